//! What is printed: a table for people, or one JSON object per line for programs.
//!
//! A command says what it knows once, as JSON objects; the table is the same, column by column.
//! Colours are left out where the output is no terminal, or `NO_COLOR` is set.

use std::io::Write;

use anstyle::Style;
use clap::ValueEnum;
use serde_json::Value;

use crate::error::CliError;

/// For whom a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables and sentences, for people; they may change from version to version.
    Table,
    /// One JSON object per line, for programs; names of fields stay.
    Json,
}

/// A column of a table: what stands above it, and the field that it shows.
pub(crate) type Column = (&'static str, &'static str);

const BOLD: Style = Style::new().bold();

/// The standard output.
pub(crate) struct Printer {
    format: Output,
    out: Box<dyn Write>,
}

impl Printer {
    pub(crate) fn new(format: Output) -> Self {
        // Whole blocks at once: a line of its own per record would be a system call each.
        let out = std::io::BufWriter::new(anstream::stdout());
        Self {
            format,
            out: Box::new(out),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Output::Json
    }

    /// Rows that are objects, under their columns; `none` is said if there are no rows.
    pub(crate) fn rows(
        &mut self,
        columns: &[Column],
        rows: &[Value],
        none: &str,
    ) -> Result<(), CliError> {
        if self.is_json() {
            for row in rows {
                writeln!(self.out, "{row}")?;
            }
        } else if rows.is_empty() {
            writeln!(self.out, "{none}")?;
        } else {
            self.table(columns, rows)?;
        }
        Ok(self.out.flush()?)
    }

    /// One object for programs, and a sentence for people.
    pub(crate) fn say(&mut self, object: &Value, sentence: &str) -> Result<(), CliError> {
        match self.format {
            Output::Json => writeln!(self.out, "{object}")?,
            Output::Table => writeln!(self.out, "{sentence}")?,
        }
        Ok(self.out.flush()?)
    }

    /// A line for people only.
    pub(crate) fn title(&mut self, text: &str) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{BOLD}{text}{BOLD:#}")?)
    }

    /// Text as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.out.write_all(bytes)?)
    }

    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }

    /// A table for people, whatever the format.
    pub(crate) fn table(&mut self, columns: &[Column], rows: &[Value]) -> Result<(), CliError> {
        let text = table(columns, rows);
        let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
        writeln!(self.out, "{BOLD}{head}{BOLD:#}")?;
        Ok(writeln!(self.out, "{body}")?)
    }
}

/// Says something to the user that is no result.
pub(crate) fn note(text: &str) {
    // Whoever has closed the standard error does not want to know.
    let _ = writeln!(anstream::stderr(), "klamm: {text}");
}

/// Columns beside each other, without lines between them, so that other tools can cut them.
fn table(columns: &[Column], rows: &[Value]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(columns.iter().map(|(title, _)| *title));
    for row in rows {
        table.add_row(columns.iter().map(|(_, field)| cell(&row[*field])));
    }
    for (index, (_, field)) in columns.iter().enumerate() {
        let numbers = rows
            .iter()
            .all(|row| row[*field].is_number() || row[*field].is_null());
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if numbers {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// A value as it stands in a table.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_column_per_field_and_a_dash_for_what_is_unknown() {
        let rows = [
            json!({"topic": "orders", "isr": [1, 2], "end": 5}),
            json!({"topic": "a", "isr": [], "end": null}),
        ];
        let columns = [("TOPIC", "topic"), ("ISR", "isr"), ("END", "end")];
        let text = table(&columns, &rows);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], ["TOPIC", "ISR", "END"]);
        assert_eq!(lines[1], ["orders", "1,2", "5"]);
        assert_eq!(lines[2], ["a", "-"]);
    }
}
