//! How the directory was left, and by which run of the kernel: whether the page cache of that
//! time is still there.

use std::path::Path;

use super::{Boot, BootKind, LogDirError};
use crate::disk::{self, Disk, DiskError};

const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
const BOOT_FILE: &str = "klamm.boot";
const BYTES_MAX: usize = 64 << 10;

/// The content of the boot file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    boot_id: Option<String>,
    incarnation: u64,
    recovering: bool,
}

/// Finds out what happened before, and writes down that this start happened: from here on, an end
/// without [`mark_clean`] is an unclean one. `unsynced` says that an fsync has failed before.
pub(super) fn begin(
    disk: &dyn Disk,
    root: &Path,
    is_new: bool,
    unsynced: bool,
) -> Result<Boot, LogDirError> {
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
        _ if unsynced => BootKind::Lossy,
        (false, true, _) => BootKind::Clean,
        (false, false, true) => BootKind::Killed,
        (false, false, false) => BootKind::Lossy,
    };
    let now = Record {
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
    Ok(Boot {
        kind,
        incarnation: now.incarnation,
        recovering: now.recovering,
    })
}

/// Writes down whether losses remain to be made good.
pub(super) fn set_recovering(disk: &dyn Disk, root: &Path, boot: &Boot) -> Result<(), DiskError> {
    let record = Record {
        boot_id: disk.boot_id(),
        incarnation: boot.incarnation,
        recovering: boot.recovering,
    };
    write(disk, root, &record)
}

/// Writes down that all was closed in good order.
pub(super) fn mark_clean(disk: &dyn Disk, root: &Path, incarnation: u64) -> Result<(), DiskError> {
    let text = crate::checkpoint::encode_clean_shutdown(incarnation);
    disk::replace_small(disk, &root.join(CLEAN_SHUTDOWN_FILE), text.as_bytes())
}

fn write(disk: &dyn Disk, root: &Path, record: &Record) -> Result<(), DiskError> {
    let text = format!(
        "version=1\nboot.id={}\nincarnation={}\nrecovering={}\n",
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
