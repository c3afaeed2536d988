//! The files of a directory tree as object storage would list them: by rising key, some at a time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::place::OWN_DIRECTORY;
use crate::object_store::ObjectKey;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    root: &'a Path,
    prefix: &'a str,
    after: &'a str,
    count_max: usize,
    found: Vec<(ObjectKey, fs::Metadata)>,
}

/// A file, or a directory, whose key ends with `/` then: so they stand among each other as keys do.
struct Entry {
    key: String,
    path: PathBuf,
    is_directory: bool,
}

impl<'a> Listing<'a> {
    pub(super) fn new(
        root: &'a Path,
        prefix: &'a str,
        after: Option<&'a ObjectKey>,
        count_max: usize,
    ) -> Self {
        Self {
            root,
            prefix,
            after: after.map_or("", ObjectKey::as_str),
            count_max,
            found: Vec::new(),
        }
    }

    pub(super) fn files(mut self) -> io::Result<Vec<(ObjectKey, fs::Metadata)>> {
        self.walk("", self.root)?;
        Ok(self.found)
    }

    fn walk(&mut self, key: &str, directory: &Path) -> io::Result<()> {
        for entry in entries(key, directory)? {
            if self.found.len() == self.count_max {
                break;
            }
            match entry.is_directory {
                true if self.may_hold(&entry.key) => self.walk(&entry.key, &entry.path)?,
                false if self.is_wanted(&entry.key) => self.add(&entry)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Unless it has just been deleted, or is somebody else's, with a name that is no key.
    fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let Ok(key) = ObjectKey::new(&entry.key) else {
            return Ok(());
        };
        match fs::metadata(&entry.path) {
            Ok(about) => self.found.push((key, about)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn is_wanted(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && key > self.after
    }

    /// Whether a key that begins with this one may be wanted.
    fn may_hold(&self, directory: &str) -> bool {
        let is_below = directory.starts_with(self.prefix) || self.prefix.starts_with(directory);
        let comes_later = directory > self.after || self.after.starts_with(directory);
        is_below && comes_later && directory.trim_end_matches('/') != OWN_DIRECTORY
    }
}

/// What is in a directory, by rising key.
fn entries(key: &str, directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let end = if is_directory { "/" } else { "" };
        entries.push(Entry {
            key: format!("{key}{name}{end}"),
            path: entry.path(),
            is_directory,
        });
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(entries)
}
