//! The page cache, file by file.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

/// What is brought into memory as a whole.
const PAGE_BYTES: usize = 4096;

/// Which pages of a file are not in memory, and which never will be.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    cold: BTreeSet<usize>,
    unreadable: BTreeSet<usize>,
}

impl Cache {
    /// All pages of a file of this length leave memory.
    pub(super) fn evict(&mut self, length: usize) {
        self.cold = pages(&(0..length)).collect();
    }

    /// A part leaves memory, and cannot be read until it is written again.
    pub(super) fn fail_reads(&mut self, range: &Range<usize>) {
        self.cold.extend(pages(range));
        self.unreadable.extend(pages(range));
    }

    pub(super) fn is_resident(&self, range: &Range<usize>) -> bool {
        self.cold.range(pages(range)).next().is_none()
    }

    pub(super) fn populate(&mut self, range: &Range<usize>) -> Result<(), io::ErrorKind> {
        if self.unreadable.range(pages(range)).next().is_some() {
            return Err(io::ErrorKind::Other);
        }
        let pages = pages(range);
        self.cold.retain(|page| !pages.contains(page));
        Ok(())
    }

    pub(super) fn written(&mut self, range: &Range<usize>) {
        let pages = pages(range);
        self.cold.retain(|page| !pages.contains(page));
        self.unreadable.retain(|page| !pages.contains(page));
    }
}

fn pages(range: &Range<usize>) -> Range<usize> {
    let first = range.start / PAGE_BYTES;
    match range.is_empty() {
        true => first..first,
        false => first..range.end.div_ceil(PAGE_BYTES),
    }
}
