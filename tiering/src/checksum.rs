//! The checksum by which a content is known: CRC-64/NVME, S3's own, of the object as a whole.
//!
//! After an answer that was lost it tells whether what lies there is what was to be written.

use std::fmt;
use std::io;

use crc_fast::{CrcAlgorithm, Digest};

use crate::body::{ObjectBody, PIECE_BYTES, pieces};
use crate::object_store::{ObjectKey, ObjectStore, StoreError};

/// The CRC-64/NVME of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crc64Nvme(pub u64);

/// A checksum to which pieces are added in their order.
#[derive(Debug)]
pub struct Crc64NvmeDigest(Digest);

impl Crc64Nvme {
    /// That of bytes in memory.
    pub fn of(content: &[u8]) -> Self {
        let mut digest = Crc64NvmeDigest::default();
        digest.add(content);
        digest.finish()
    }

    /// That of a body, which is read once. Waits for its disk.
    ///
    /// # Errors
    /// If the body cannot be read.
    pub fn of_body(body: &dyn ObjectBody) -> io::Result<Self> {
        let mut digest = Crc64NvmeDigest::default();
        for range in pieces(body.size_bytes(), PIECE_BYTES) {
            digest.add(&body.read(range)?);
        }
        Ok(digest.finish())
    }
}

impl fmt::Display for Crc64Nvme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Default for Crc64NvmeDigest {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }
}

impl Crc64NvmeDigest {
    /// Takes in what comes next.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum of all that was taken in.
    pub fn finish(self) -> Crc64Nvme {
        Crc64Nvme(self.0.finalize())
    }
}

/// Whether the object has this size and checksum. A store that knows no checksum is read through.
///
/// Whoever is told that an object is there already ([`StoreError::ConditionFailed`]) so learns whether it
/// is its own: the answer to an earlier attempt may have been lost.
///
/// # Errors
/// Those of [`ObjectStore::head`] and [`ObjectStore::get_range`].
pub async fn holds(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    size_bytes: u64,
    checksum: Crc64Nvme,
) -> Result<bool, StoreError> {
    let head = store.head(key).await?;
    if head.size_bytes != size_bytes {
        return Ok(false);
    }
    let stored = match head.checksum {
        Some(known) => known,
        None => read_through(store, key, size_bytes).await?,
    };
    Ok(stored == checksum)
}

async fn read_through(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    size_bytes: u64,
) -> Result<Crc64Nvme, StoreError> {
    let mut digest = Crc64NvmeDigest::default();
    for range in pieces(size_bytes, PIECE_BYTES) {
        digest.add(&store.get_range(key, range).await?);
    }
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn it_is_the_checksum_that_the_catalogue_of_crcs_gives() {
        assert_eq!(
            Crc64Nvme::of(b"123456789"),
            Crc64Nvme(0xae8b_1486_0a79_9888)
        );
        assert_eq!(Crc64Nvme::of(b"").to_string(), "0000000000000000");
    }

    #[test]
    fn a_body_has_the_checksum_of_its_bytes_however_it_is_cut() {
        let size = usize::try_from(PIECE_BYTES).unwrap() + 4321;
        let content: Bytes = (0..size).map(|at| (at % 251) as u8).collect();
        let whole = Crc64Nvme::of(&content);
        assert_eq!(Crc64Nvme::of_body(&content).unwrap(), whole);
        let mut digest = Crc64NvmeDigest::default();
        for piece in content.chunks(1000) {
            digest.add(piece);
        }
        assert_eq!(digest.finish(), whole);
    }
}
