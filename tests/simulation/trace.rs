//! What happened, line by line: compared by the meta test, printed when a seed fails.

use std::cell::RefCell;
use std::rc::Rc;

/// Clones write to one trace.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    lines: Rc<RefCell<Vec<String>>>,
}

impl Trace {
    pub(crate) fn note(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    /// All of it.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The end of it, for a report.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines.borrow();
        let skipped = lines.len().saturating_sub(count);
        lines[skipped..].join("\n")
    }
}
