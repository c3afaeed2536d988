//! The journal's bytes: a file header, then frames.
//!
//! ```text
//! header, 16 bytes:  0 "KLAMMJNL"   8 version u32   12 CRC-32 u32 of bytes 0..12
//! frame:             0 length u32   of the payload
//!                    4 durable u64  bytes of the file known to be synced when it was written
//!                   12 CRC-32 u32   of bytes 0..12
//!                   16 CRC-32 u32   of the payload
//!                   20 payload
//! ```
//! All numbers big-endian. A header with a checksum of its own tells an unfinished last write (the
//! header is right and says more than there is) from damage. `durable` tells, after a power loss,
//! damage from bytes that were never promised.

use std::io::{self, IoSlice};
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::disk::{DiskError, DiskFile, Mapping};

const MAGIC: &[u8; 8] = b"KLAMMJNL";
const VERSION: u32 = 1;
const START_BYTES: usize = 16;
const FRAME_BYTES: usize = 20;

/// Largest payload. A membership entry of many replicas is a few hundred bytes; a log that came as a
/// copy takes one record, with 29 bytes for each change of its leader.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What reading a journal found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// Nothing was ever written.
    Empty,
    /// Every byte is accounted for.
    Whole,
    /// Right up to `position`, not beyond.
    Damaged {
        /// End of the last good frame.
        position: u64,
        /// Bytes known to have been durable, from the frames before and after the damage.
        durable: u64,
        /// Whether this is how a write looks that the end of a process cut short.
        unfinished: bool,
    },
    /// Not a journal.
    Foreign,
}

/// Writes the file header.
pub(super) fn start(bytes: &mut Vec<u8>) {
    bytes.put_slice(MAGIC);
    bytes.put_u32(VERSION);
    bytes.put_u32(crc32fast::hash(&bytes[..12]));
}

/// Writes a frame around the payload that `fill` appends.
pub(super) fn encode(bytes: &mut Vec<u8>, durable: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.put_bytes(0, FRAME_BYTES);
    fill(bytes);
    let length = bytes.len() - at - FRAME_BYTES;
    assert!(length <= PAYLOAD_BYTES_MAX, "a journal record is small");
    let mut header = [0; FRAME_BYTES];
    let mut fields = &mut header[..];
    fields.put_u32(length as u32);
    fields.put_u64(durable);
    let summed = crc32fast::hash(&header[..12]);
    let mut fields = &mut header[12..];
    fields.put_u32(summed);
    fields.put_u32(crc32fast::hash(&bytes[at + FRAME_BYTES..]));
    bytes[at..at + FRAME_BYTES].copy_from_slice(&header);
}

/// Hands every payload up to the first damage to `each`, which says whether it understands it.
pub(super) fn scan(bytes: &[u8], mut each: impl FnMut(&[u8]) -> bool) -> Scan {
    match read_start(bytes) {
        Start::Right => {}
        Start::Nothing => return Scan::Empty,
        Start::Wrong => return Scan::Foreign,
    }
    let mut position = START_BYTES;
    let mut durable = 0;
    while position < bytes.len() {
        let Ok(frame) = read_frame(&bytes[position..]) else {
            break;
        };
        if !each(frame.payload) {
            return Scan::Foreign;
        }
        durable = durable.max(frame.durable);
        position += FRAME_BYTES + frame.payload.len();
    }
    if position == bytes.len() {
        return Scan::Whole;
    }
    let unfinished = matches!(read_frame(&bytes[position..]), Err(Unreadable::Unfinished));
    Scan::Damaged {
        position: position as u64,
        durable: durable.max(durable_after(&bytes[position + 1..])),
        unfinished,
    }
}

enum Start {
    Nothing,
    Right,
    Wrong,
}

fn read_start(bytes: &[u8]) -> Start {
    if bytes.iter().all(|byte| *byte == 0) {
        // Created but not written, or a length whose bytes were lost: the first file is synced
        // before it gets its name, so nothing was ever in it.
        return Start::Nothing;
    }
    let Some(start) = bytes.get(..START_BYTES) else {
        return Start::Wrong;
    };
    let right = &start[..8] == MAGIC
        && start[8..12] == VERSION.to_be_bytes()
        && start[12..] == crc32fast::hash(&start[..12]).to_be_bytes();
    if right { Start::Right } else { Start::Wrong }
}

struct Frame<'a> {
    durable: u64,
    payload: &'a [u8],
}

enum Unreadable {
    /// There are fewer bytes than a frame needs.
    Unfinished,
    Damaged,
}

fn read_frame(bytes: &[u8]) -> Result<Frame<'_>, Unreadable> {
    let Some((header, rest)) = bytes.split_at_checked(FRAME_BYTES) else {
        return Err(Unreadable::Unfinished);
    };
    let mut fields = header;
    let length = fields.get_u32() as usize;
    let durable = fields.get_u64();
    let header_sum = fields.get_u32();
    let payload_sum = fields.get_u32();
    if header_sum != crc32fast::hash(&header[..12]) || length > PAYLOAD_BYTES_MAX {
        return Err(Unreadable::Damaged);
    }
    let Some(payload) = rest.get(..length) else {
        return Err(Unreadable::Unfinished);
    };
    if payload_sum != crc32fast::hash(payload) {
        return Err(Unreadable::Damaged);
    }
    Ok(Frame { durable, payload })
}

/// The largest `durable` of any frame that lies somewhere after a damage.
fn durable_after(bytes: &[u8]) -> u64 {
    (0..bytes.len().saturating_sub(FRAME_BYTES - 1))
        .filter_map(|position| read_frame(&bytes[position..]).ok())
        .map(|frame| frame.durable)
        .max()
        .unwrap_or(0)
}

/// Stands where a journal's file will be, until the first is written.
#[derive(Debug)]
pub(super) struct NoFile;

impl NoFile {
    fn refuse<T>() -> Result<T, DiskError> {
        let source = io::Error::new(io::ErrorKind::Unsupported, "no file yet");
        Err(DiskError::new("use", Path::new("journal"), source))
    }
}

impl DiskFile for NoFile {
    fn write_at(&self, _: &mut [IoSlice<'_>], _: u64) -> Result<(), DiskError> {
        Self::refuse()
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> Result<usize, DiskError> {
        Self::refuse()
    }
    fn read_at_once(&self, _: &mut [u8], _: u64) -> Result<Option<usize>, DiskError> {
        Self::refuse()
    }
    fn sync_data(&self) -> Result<(), DiskError> {
        Self::refuse()
    }
    fn truncate(&self, _: u64) -> Result<(), DiskError> {
        Self::refuse()
    }
    fn allocate(&self, _: u64, _: u64) -> Result<(), DiskError> {
        Self::refuse()
    }
    fn length(&self) -> Result<u64, DiskError> {
        Self::refuse()
    }
    fn map_read_only(&self, _: usize) -> Result<Mapping, DiskError> {
        Self::refuse()
    }
}
