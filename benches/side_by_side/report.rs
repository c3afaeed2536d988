//! The table: medians over all lives of a broker, and the ratio between the two.

use std::fmt::Write as _;

use crate::contestant::Contestant;
use crate::statistics::median;

/// One figure of one life of a broker.
pub(crate) struct Measurement {
    pub(crate) contestant: Contestant,
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// All figures of a run.
pub(crate) struct Report {
    contestants: Vec<Contestant>,
    measurements: Vec<Measurement>,
}

impl Report {
    pub(crate) fn new(contestants: Vec<Contestant>) -> Self {
        Self {
            contestants,
            measurements: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// Medians as a table in Markdown.
    pub(crate) fn to_markdown(&self, machine: &str) -> String {
        let mut text = format!("{machine}; medians of what was measured in turn.\n\n| |");
        let names = self.contestants.iter().map(|contestant| contestant.name());
        for name in names.chain((self.contestants.len() == 2).then_some("ratio")) {
            write!(text, " {name} |").expect("a string takes everything");
        }
        text.push_str(&format!("\n|---|{}\n", "---:|".repeat(self.columns())));
        for name in self.names() {
            let medians: Vec<_> = self
                .contestants
                .iter()
                .map(|contestant| self.median(*contestant, name))
                .collect();
            write!(text, "| {name} |").expect("a string takes everything");
            for value in &medians {
                write!(text, " {} |", shown(*value)).expect("a string takes everything");
            }
            if let [first, second] = medians[..] {
                write!(text, " {} |", shown(first / second)).expect("a string takes everything");
            }
            text.push('\n');
        }
        text
    }

    fn columns(&self) -> usize {
        self.contestants.len() + usize::from(self.contestants.len() == 2)
    }

    /// Names of figures in the order in which they were first measured.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for measurement in &self.measurements {
            if !names.contains(&measurement.name.as_str()) {
                names.push(&measurement.name);
            }
        }
        names
    }

    fn median(&self, contestant: Contestant, name: &str) -> f64 {
        let of_name = |one: &&Measurement| one.contestant == contestant && one.name == name;
        let values: Vec<_> = self
            .measurements
            .iter()
            .filter(of_name)
            .map(|one| one.value)
            .collect();
        median(&values)
    }
}

/// Three digits that matter; a dash where messages never arrived.
fn shown(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
