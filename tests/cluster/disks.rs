//! A broker's disk that can lose its power, fill up, and fail to write: ext4 on a loop device, whose
//! sparse file lies in a small filesystem in memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::TempDir;

/// What the image may come to hold; it is larger, as disks of cheap storage are.
const POOL_MIB: u32 = 512;
const DISK_MIB: u32 = 448;
/// Ends a filesystem as a loss of power does: what is in memory, the journal's too, is not written.
const SHUT_DOWN: &str = "\
import fcntl, os, struct, sys
NO_LOG_FLUSH = 2
EXT4_IOC_SHUTDOWN = 0x8004587D
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), EXT4_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
";
const PROGRAMS: [&str; 5] = ["mkfs.ext4", "e2fsck", "mount", "umount", "python3"];

/// Mounted where a broker has its data, as long as it lives.
pub(crate) struct Disk {
    pool: PathBuf,
    mounted_at: PathBuf,
}

/// Why there can be no disk here; `None` if there can.
pub(crate) fn obstacle() -> Option<String> {
    if let Some(missing) = PROGRAMS.iter().find(|program| !is_on_path(program)) {
        return Some(format!("{missing} is not installed"));
    }
    remove_left_over();
    let dir = TempDir::new();
    // It goes again at once.
    let problem = Disk::try_mount(&dir).err()?;
    Some(format!("no disk can be mounted: {problem}"))
}

/// Mounts of runs that were killed, the last first: one lies in the other.
fn remove_left_over() {
    let prefix = std::env::temp_dir().join("klamm-binary-");
    let prefix = prefix.to_string_lossy();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let path = line.split(' ').nth(1).unwrap_or_default();
        let rest = path.strip_prefix(prefix.as_ref());
        let process = rest.and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = run("umount", ["--lazy"], &[&PathBuf::from(path)]);
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Disk {
    pub(crate) fn mount(dir: &TempDir) -> Self {
        Self::try_mount(dir).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn try_mount(dir: &TempDir) -> Result<Self, String> {
        let disk = Self {
            pool: dir.join("pool"),
            mounted_at: dir.data(),
        };
        for folder in [&disk.pool, &disk.mounted_at] {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let size = format!("size={POOL_MIB}m");
        run(
            "mount",
            ["-t", "tmpfs", "-o", &size, "tmpfs"],
            &[&disk.pool],
        )?;
        let image = disk.image();
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        let bytes = u64::from(DISK_MIB) << 20;
        file.set_len(bytes).map_err(|error| error.to_string())?;
        run("mkfs.ext4", ["-q", "-F"], &[&image])?;
        disk.attach()?;
        Ok(disk)
    }

    /// What has not been synced is gone. The broker has to be killed at once: it could still read.
    pub(crate) fn cut_power(&self) {
        run("python3", ["-c", SHUT_DOWN], &[&self.mounted_at]).expect("ext4 can be shut down");
    }

    /// Every later write of the device fails, and so does the fsync that asks for it.
    pub(crate) fn fail(&self) {
        fill(&self.pool.join("filler"));
    }

    /// There is no room for another byte.
    pub(crate) fn fill(&self) {
        fill(&self.filler());
    }

    pub(crate) fn free(&self) {
        // It may not have been filled.
        let _ = std::fs::remove_file(self.filler());
    }

    /// As if the machine had power again, or another device; nobody may use the disk.
    pub(crate) fn replug(&self) {
        run("umount", [], &[&self.mounted_at]).expect("nobody uses it");
        let _ = std::fs::remove_file(self.pool.join("filler"));
        // Says with its status that it has repaired something.
        let _ = run("e2fsck", ["-f", "-y"], &[&self.image()]);
        self.attach().expect("the disk is as it was");
        self.free();
        self.boot_anew();
    }

    /// The kernel has not been started again, as that of a machine without power has to be: the
    /// broker is made to believe so, which is how it knows that its page cache was lost.
    fn boot_anew(&self) {
        let path = self.mounted_at.join("klamm.boot");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return;
        };
        let lines = text.lines().map(|line| match line.starts_with("boot.id=") {
            true => "boot.id=00000000-0000-4000-8000-000000000000\n".to_owned(),
            false => format!("{line}\n"),
        });
        std::fs::write(path, lines.collect::<String>()).expect("the disk takes a file");
    }

    fn attach(&self) -> Result<(), String> {
        run("mount", ["-o", "loop"], &[&self.image(), &self.mounted_at])
    }

    fn image(&self) -> PathBuf {
        self.pool.join("image")
    }

    fn filler(&self) -> PathBuf {
        self.mounted_at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The directory is left for inspection, and the disk goes.
            let kept = self.pool.with_file_name("kept");
            let _ = run(
                "cp",
                ["--archive", "--sparse=always"],
                &[&self.mounted_at, &kept],
            );
        }
        for folder in [&self.mounted_at, &self.pool] {
            // It may never have been mounted.
            let _ = run("umount", ["--lazy"], &[folder]);
        }
    }
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut bytes = 1 << 20;
    let zeros = vec![0; bytes];
    let mut filler = std::fs::File::create(path).expect("it can be made");
    while bytes > 0 {
        if filler.write_all(&zeros[..bytes]).is_err() {
            bytes /= 2;
        }
    }
}

fn run<const N: usize>(program: &str, words: [&str; N], paths: &[&PathBuf]) -> Result<(), String> {
    let output = Command::new(program).args(words).args(paths).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} {words:?} {paths:?}: {}", said.trim()))
        }
    }
}
