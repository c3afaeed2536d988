//! A set of rows, found by name.

use super::{ConfigError, Setting};

/// A set of rows. Small enough that a walk finds a row: no request looks up more than a few.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    rows: &'static [&'static [Setting]],
}

impl Table {
    /// Joins parts of a table, each kept beside what it concerns.
    pub const fn new(rows: &'static [&'static [Setting]]) -> Self {
        Self { rows }
    }

    /// All rows, in the order they are written.
    pub fn rows(&self) -> impl Iterator<Item = &'static Setting> {
        self.rows.iter().flat_map(|part| part.iter())
    }

    /// The row of `name`. A row whose name ends in `*` stands for all names that begin so.
    pub fn get(&self, name: &str) -> Option<&'static Setting> {
        self.rows()
            .find(|row| row.name == name)
            .or_else(|| self.rows().find(|row| row.covers(name)))
    }

    /// The name most like `name`, if any is near enough to be a slip of the pen.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        const NEAR: f64 = 0.7;
        self.rows()
            .filter(|row| !row.name.ends_with('*'))
            .map(|row| (strsim::normalized_damerau_levenshtein(row.name, name), row))
            .filter(|(similarity, _)| *similarity >= NEAR)
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, row)| row.name)
    }

    /// Checks a value of the setting `name`; `what` is "topic", "group" or "broker".
    ///
    /// # Errors
    /// [`ConfigError::Unknown`] without such a row, otherwise whatever [`Setting::check`] says.
    pub fn check(&self, what: &'static str, name: &str, value: &str) -> Result<(), ConfigError> {
        let row = self.get(name).ok_or_else(|| ConfigError::Unknown {
            what,
            name: name.to_owned(),
        })?;
        row.check(value).map(drop)
    }
}

impl Setting {
    fn covers(&self, name: &str) -> bool {
        let prefix = self.name.strip_suffix('*');
        prefix.is_some_and(|prefix| name.starts_with(prefix))
    }
}
