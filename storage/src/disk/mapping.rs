//! A read-only window on a file. The only unsafe code of the crate.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;
use rustix::io::Errno;
use rustix::mm::Advice;

use super::{ClosedBy, Closer};

/// Bytes of a file, readable without a system call and without a copy. Cheap to clone; unmapped
/// when the last clone and the last slice are gone, by whoever closes files.
///
/// It may be longer than its file. Whoever slices it knows how much has been written and asks for
/// no more: reading a page beyond the end of the file would end the process with SIGBUS. So would
/// reading a page that is not in memory and that the disk cannot give: that is what
/// [`is_resident`](Self::is_resident) and [`populate`](Self::populate) are for.
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
    /// Fills `buffer` from `position`; zeros beyond the end. Panics where a real process would
    /// have to wait for the disk, or end with SIGBUS.
    fn read(&self, buffer: &mut [u8], position: usize);

    /// See [`Mapping::is_resident`].
    fn is_resident(&self, range: Range<usize>) -> bool;

    /// See [`Mapping::populate`].
    fn populate(&self, range: Range<usize>) -> io::Result<()>;
}

impl Mapping {
    /// Maps the first `length` bytes of a file of ours.
    #[expect(unsafe_code, reason = "the one place where a file becomes memory")]
    pub(crate) fn of_file(
        file: &std::fs::File,
        length: usize,
        closer: &Closer,
    ) -> io::Result<Self> {
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
            inner: Inner::Mapped(Bytes::from_owner(Pages(ClosedBy::new(closer, map)))),
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
        self.assert_holds(&range);
        match &self.inner {
            Inner::Mapped(bytes) => bytes.slice(range),
            Inner::Memory(memory) => {
                let mut copy = vec![0; range.len()];
                memory.read(&mut copy, range.start);
                copy.into()
            }
        }
    }

    /// Whether a part is in memory, so that reading it waits for no disk. Costs one system call
    /// for each mebibyte; true where the system does not tell. Panics beyond [`len`](Self::len).
    ///
    /// It is the truth of a moment: what is not in use may leave memory again.
    pub fn is_resident(&self, range: Range<usize>) -> bool {
        self.assert_holds(&range);
        match &self.inner {
            Inner::Mapped(bytes) => pages_are_resident(&bytes[page_start(range.start)..range.end]),
            Inner::Memory(memory) => memory.is_resident(range),
        }
    }

    /// Brings a part into memory, for as long as the disk takes. Panics beyond
    /// [`len`](Self::len).
    ///
    /// # Errors
    /// The disk does not give the bytes, or the file ends before them. Reading them through the
    /// mapping would end the process.
    pub fn populate(&self, range: Range<usize>) -> io::Result<()> {
        self.assert_holds(&range);
        match &self.inner {
            Inner::Mapped(bytes) => populate_pages(&bytes[page_start(range.start)..range.end]),
            Inner::Memory(memory) => memory.populate(range),
        }
    }

    fn assert_holds(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "a range lies in its mapping range={range:?} length={}",
            self.length
        );
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

/// Pages that one call asks about.
const PAGES_PER_CALL: usize = 256;

/// The start of the page that a position of a mapping lies in; mappings start with a page.
fn page_start(position: usize) -> usize {
    position - position % rustix::param::page_size()
}

/// Whether all of `bytes`, which start with a page of a mapping, are in memory.
#[expect(unsafe_code, reason = "rustix has no mincore")]
fn pages_are_resident(bytes: &[u8]) -> bool {
    let page_bytes = rustix::param::page_size();
    bytes.chunks(PAGES_PER_CALL * page_bytes).all(|bytes| {
        let mut pages = [0_u8; PAGES_PER_CALL];
        let count = bytes.len().div_ceil(page_bytes);
        // SAFETY: the address is that of a page, the range lies in a mapping that `bytes` borrows,
        // and there is room for one byte of each of its pages: a chunk has `PAGES_PER_CALL` of
        // them at most. The call reads no byte of the mapping.
        let failed = unsafe {
            libc::mincore(
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
                pages.as_mut_ptr(),
            )
        } != 0;
        match failed {
            // Where nobody tells (a sandbox), pages are read as if there were no such question.
            true => io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock,
            // The other bits are reserved.
            false => pages[..count].iter().all(|page| page & 1 == 1),
        }
    })
}

/// Reads `bytes`, which start with a page of a mapping, into memory.
#[expect(unsafe_code, reason = "advice goes by address")]
fn populate_pages(bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let start = bytes.as_ptr().cast_mut().cast();
    loop {
        // SAFETY: the address is that of a page, and the range lies in a mapping that `bytes`
        // borrows. The advice brings pages into memory and changes no byte of them.
        let populated =
            unsafe { rustix::mm::madvise(start, bytes.len(), Advice::LinuxPopulateRead) };
        match populated {
            // Older kernels (before 5.14) do not know it: there, reading is as it always was.
            Ok(()) | Err(Errno::INVAL) => return Ok(()),
            Err(Errno::INTR) => {}
            // "Bad address" is how it says what would be SIGBUS.
            Err(Errno::FAULT) => return Err(Errno::IO.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

struct Pages(ClosedBy<Mmap>);

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
