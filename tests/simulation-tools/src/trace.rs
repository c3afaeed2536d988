//! What happened, line by line: compared by the meta tests, printed when a seed fails.

use std::cell::RefCell;
use std::rc::Rc;

/// Clones write to one trace.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Rc<RefCell<Vec<String>>>,
}

impl Trace {
    /// Adds a line.
    pub fn note(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    /// All of it.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The end of it, for a report.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines.borrow();
        let skipped = lines.len().saturating_sub(count);
        lines[skipped..].join("\n")
    }
}
