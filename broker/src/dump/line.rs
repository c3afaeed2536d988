//! One line of output: names and values, for people or as JSON.

use std::fmt;
use std::path::Path;

use serde_json::Value;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Line {
    fields: Vec<(&'static str, Value)>,
}

const FILE: &str = "file";
const PROBLEM: &str = "problem";

impl Line {
    /// A line about a file.
    pub(super) fn of(path: &Path) -> Self {
        let file = Value::from(path.display().to_string());
        Self {
            fields: vec![(FILE, file)],
        }
    }

    /// Something is wrong.
    pub(super) fn problem(path: &Path, text: impl Into<String>) -> Self {
        Self::of(path).field(PROBLEM, text.into())
    }

    #[must_use]
    pub(super) fn field(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    #[must_use]
    pub(super) fn fields(
        self,
        fields: impl IntoIterator<Item = (&'static str, impl Into<Value>)>,
    ) -> Self {
        fields
            .into_iter()
            .fold(self, |line, (name, value)| line.field(name, value))
    }

    /// Whether it tells of damage.
    pub(super) fn is_problem(&self) -> bool {
        self.fields.iter().any(|(name, _)| *name == PROBLEM)
    }

    pub(super) fn to_json(&self) -> String {
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Object(fields.collect()).to_string()
    }
}

/// As `kafka-dump-log` writes them. The file is named where its lines begin, and where something is
/// wrong.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names_file =
            self.is_problem() || self.fields.iter().any(|(name, _)| *name == "dumping");
        let shown = self
            .fields
            .iter()
            .filter(|(name, _)| names_file || *name != FILE);
        for (at, (name, value)) in shown.enumerate() {
            let space = if at == 0 { "" } else { " " };
            match value {
                Value::String(text) => write!(f, "{space}{name}: {text}")?,
                value => write!(f, "{space}{name}: {value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_for_people_and_programs() {
        let line = Line::of(Path::new("/a/b.log"))
            .field("baseOffset", 7)
            .field("key", "k");
        assert_eq!(line.to_string(), "baseOffset: 7 key: k");
        assert_eq!(
            line.to_json(),
            r#"{"baseOffset":7,"file":"/a/b.log","key":"k"}"#
        );
        let problem = Line::problem(Path::new("x"), "torn");
        assert_eq!(problem.to_string(), "file: x problem: torn");
        assert!(problem.is_problem() && !line.is_problem());
    }
}
