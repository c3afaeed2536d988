//! A read-only window on a file. The only unsafe code of the crate.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

/// Bytes of a file, readable without a system call and without a copy. Cheap to clone; unmapped
/// when the last clone and the last slice are gone.
///
/// It may be longer than its file. Whoever slices it knows how much has been written and asks for
/// no more: reading a page beyond the end of the file would end the process with SIGBUS.
#[derive(Clone)]
pub struct Mapping {
    inner: Inner,
    length: usize,
}

#[derive(Clone)]
enum Inner {
    /// Pages of a real file, shared.
    Mapped(Bytes),
    /// A simulated file, copied on each read.
    Memory(Arc<dyn Memory>),
}

/// Bytes behind a simulated mapping.
pub(crate) trait Memory: Send + Sync {
    /// Fills `buffer` from `position`; zeros beyond the end.
    fn read(&self, buffer: &mut [u8], position: usize);
}

impl Mapping {
    /// Maps the first `length` bytes of a file of ours.
    #[expect(unsafe_code, reason = "the one place where a file becomes memory")]
    pub(crate) fn of_file(file: &std::fs::File, length: usize) -> std::io::Result<Self> {
        if length == 0 {
            return Ok(Self {
                inner: Inner::Mapped(Bytes::new()),
                length,
            });
        }
        // SAFETY: a mapping is sound as long as the bytes that are read through it do not change
        // under the reader. Files of a log directory are ours alone (mode 0600, and the directory
        // is locked); they are written by `pwritev` at their end only, beyond what any reader may
        // ask for; they are shortened only after readers of the cut part are gone.
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(file)? };
        Ok(Self {
            inner: Inner::Mapped(Bytes::from_owner(Pages(map))),
            length,
        })
    }

    /// A window on a simulated file.
    pub(crate) fn of_memory(memory: Arc<dyn Memory>, length: usize) -> Self {
        Self {
            inner: Inner::Memory(memory),
            length,
        }
    }

    /// Bytes that can be asked for at most.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing can be asked for.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Shares a part. Panics beyond [`len`](Self::len); the caller keeps to what is written.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "a slice lies in its mapping range={range:?} length={}",
            self.length
        );
        match &self.inner {
            Inner::Mapped(bytes) => bytes.slice(range),
            Inner::Memory(memory) => {
                let mut copy = vec![0; range.len()];
                memory.read(&mut copy, range.start);
                copy.into()
            }
        }
    }

    /// Copies a part, for small things that are looked at and forgotten.
    pub fn read(&self, buffer: &mut [u8], position: usize) {
        let end = position + buffer.len();
        assert!(
            end <= self.length,
            "a read lies in its mapping end={end} length={}",
            self.length
        );
        match &self.inner {
            Inner::Mapped(bytes) => buffer.copy_from_slice(&bytes[position..end]),
            Inner::Memory(memory) => memory.read(buffer, position),
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

struct Pages(Mmap);

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
