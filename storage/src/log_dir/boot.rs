//! How the directory was left, and by which run of the kernel: whether the page cache of that
//! time is still there; and whether it holds what an fsync that failed may have lost.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use super::{Boot, BootKind, LogDirError};
use crate::disk::{self, Disk, DiskError, DiskFile};

const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
const BOOT_FILE: &str = "klamm.boot";
const BYTES_MAX: usize = 64 << 10;

/// The first line, and behind it, at a place that is always the same, the second: it is written
/// over when an fsync has failed. So it needs no room, which a full disk would not have.
const VERSION_LINE: &str = "version=1\n";
const ALL_SYNCED_LINE: &str = "unsynced=false\n";
const UNSYNCED_LINE: &str = "unsynced=true \n";

/// The content of the boot file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    unsynced: bool,
    boot_id: Option<String>,
    incarnation: u64,
    recovering: bool,
}

/// Finds out what happened before, and writes down that this start happened: from here on, an end
/// without [`mark_clean`] is an unclean one. Also says whether an fsync has failed
/// ([`mark_unsynced`]) and what it lost is not yet written again.
pub(super) fn begin(
    disk: &dyn Disk,
    root: &Path,
    is_new: bool,
) -> Result<(Boot, bool), LogDirError> {
    let before = read(disk, root)?;
    let boot_id = disk.boot_id();
    let clean = match disk.open(&root.join(CLEAN_SHUTDOWN_FILE), disk::Open::Existing) {
        Ok(_) => true,
        Err(DiskError::NotFound { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let same_boot = boot_id.is_some() && before.boot_id == boot_id;
    let kind = match (is_new, clean, same_boot) {
        (true, _, _) => BootKind::First,
        // Pages that were forgotten are gone when the kernel needs their room, in any order.
        _ if before.unsynced => BootKind::Lossy,
        (false, true, _) => BootKind::Clean,
        (false, false, true) => BootKind::Killed,
        (false, false, false) => BootKind::Lossy,
    };
    let now = Record {
        unsynced: before.unsynced,
        boot_id,
        incarnation: before.incarnation + 1,
        recovering: before.recovering || kind == BootKind::Lossy,
    };
    // This order: a crash in between leaves "clean" with the new boot id, and nothing has been
    // touched yet.
    write(disk, root, &now)?;
    if clean {
        disk.remove_file(&root.join(CLEAN_SHUTDOWN_FILE))?;
        disk.sync_dir(root)?;
    }
    let boot = Boot {
        kind,
        incarnation: now.incarnation,
        recovering: now.recovering,
    };
    Ok((boot, now.unsynced))
}

/// Writes down whether losses remain to be made good, and whether an fsync has failed.
pub(super) fn update(
    disk: &dyn Disk,
    root: &Path,
    boot: &Boot,
    unsynced: bool,
) -> Result<(), DiskError> {
    let record = Record {
        unsynced,
        boot_id: disk.boot_id(),
        incarnation: boot.incarnation,
        recovering: boot.recovering,
    };
    write(disk, root, &record)
}

/// The boot file, for [`mark_unsynced`]; every [`begin`] and [`update`] makes another.
pub(super) fn open(disk: &dyn Disk, root: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
    disk.open(&root.join(BOOT_FILE), disk::Open::Existing)
}

/// Leaves the mark that an fsync has failed. Once this returns `Ok` the next process finds it,
/// unless the machine goes down: then it is as durable as the disk lets it be.
pub(super) fn mark_unsynced(file: &dyn DiskFile) -> Result<(), DiskError> {
    let position = VERSION_LINE.len() as u64;
    file.write_at(&mut [IoSlice::new(UNSYNCED_LINE.as_bytes())], position)?;
    // The next process reads it from the page cache whatever becomes of it.
    let _ = file.sync_data();
    Ok(())
}

/// Writes down that all was closed in good order.
pub(super) fn mark_clean(disk: &dyn Disk, root: &Path, incarnation: u64) -> Result<(), DiskError> {
    let text = crate::checkpoint::encode_clean_shutdown(incarnation);
    disk::replace_small(disk, &root.join(CLEAN_SHUTDOWN_FILE), text.as_bytes())
}

fn write(disk: &dyn Disk, root: &Path, record: &Record) -> Result<(), DiskError> {
    let unsynced_line = match record.unsynced {
        true => UNSYNCED_LINE,
        false => ALL_SYNCED_LINE,
    };
    let text = format!(
        "{VERSION_LINE}{unsynced_line}boot.id={}\nincarnation={}\nrecovering={}\n",
        record.boot_id.as_deref().unwrap_or_default(),
        record.incarnation,
        record.recovering
    );
    disk::replace_small(disk, &root.join(BOOT_FILE), text.as_bytes())
}

fn read(disk: &dyn Disk, root: &Path) -> Result<Record, LogDirError> {
    let path = root.join(BOOT_FILE);
    let bytes = match disk::read_small(disk, &path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(DiskError::NotFound { .. }) => return Ok(Record::default()),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let get = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.map(str::to_owned)
    };
    let read = || {
        (get("version=")? == "1").then_some(())?;
        Some(Record {
            unsynced: get("unsynced=").is_some_and(|value| value.trim() == "true"),
            boot_id: get("boot.id=").filter(|id| !id.is_empty()),
            incarnation: get("incarnation=")?.parse().ok()?,
            recovering: get("recovering=")?.parse().ok()?,
        })
    };
    read().ok_or_else(|| LogDirError::Damaged {
        path,
        reason: "it does not say which boot wrote it".to_owned(),
    })
}
