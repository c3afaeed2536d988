//! `cargo ci sizes`: where a second idea may have moved in. A report, not a check: a taste that a
//! machine enforces is pleased by cutting in the wrong place.

use std::fs;

use crate::command::root;
use crate::steps::Outcome;

/// Longer files are named.
const LINES_NOTED: usize = 600;
/// Longer functions are named. A wide `match` is the usual one, and is fine.
const FUNCTION_LINES_NOTED: usize = 70;

/// Prints the longest files and functions.
pub(crate) fn report() -> Outcome {
    let output = std::process::Command::new("git")
        .args(["ls-files", "*.rs"])
        .current_dir(root())
        .output();
    let listing = output.map(|output| output.stdout).unwrap_or_default();
    let mut found = Vec::new();
    for path in String::from_utf8_lossy(&listing).lines() {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = shipped.lines().count();
        if lines > LINES_NOTED {
            found.push((lines, format!("{path}: {lines} lines without tests")));
        }
        for (line_index, name, length) in functions(shipped) {
            if length > FUNCTION_LINES_NOTED {
                found.push((
                    length,
                    format!("{path}:{}: {name}, {length} lines", line_index + 1),
                ));
            }
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    for (_, line) in &found {
        println!("  | {line}");
    }
    Outcome::passed()
}

/// Index of the first line, name and length of each function. rustfmt has put the closing brace
/// under the first letter of the line that opened it.
fn functions(text: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else {
            continue;
        };
        let qualifiers = [
            "pub",
            "pub(crate)",
            "pub(super)",
            "async",
            "const",
            "unsafe",
        ];
        if !before
            .split_whitespace()
            .all(|word| qualifiers.contains(&word))
        {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| **line == closing);
        let name = after.split(['(', '<']).next().unwrap_or_default();
        found.extend(length.map(|length| (start, name, length + 1)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let text =
            "impl A {\n    pub fn b<T>(t: T) {\n        if t {\n        }\n    }\n}\nfn c() {\n}\n";
        assert_eq!(functions(text), [(1, "b", 4), (6, "c", 2)]);
    }
}
