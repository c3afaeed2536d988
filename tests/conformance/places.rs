//! Where things are: sources of the clients, the cache of what was installed, the run's own folder.

use std::path::{Path, PathBuf};

use crate::args::{Args, Target};

/// Every path that the runner uses.
pub(crate) struct Places {
    /// `tests/conformance/clients`.
    pub(crate) clients: PathBuf,
    /// What the install step fetched and built; kept between runs.
    pub(crate) cache: PathBuf,
    /// Data and logs of this run.
    pub(crate) run: PathBuf,
    /// The broker under test.
    pub(crate) binary: PathBuf,
}

impl Places {
    pub(crate) fn find(args: &Args) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| tests.join("../target"), PathBuf::from);
        let run = std::env::temp_dir().join(format!("klamm-conformance-{}", std::process::id()));
        Self {
            clients: tests.join("conformance/clients"),
            cache: cache_home().join("klamm-tests"),
            run,
            binary: args
                .binary
                .clone()
                .unwrap_or_else(|| target.join("release/klamm")),
        }
    }

    /// Refuses a run that could only fail.
    pub(crate) fn check(&self, target: Target) -> Result<(), String> {
        if target == Target::Klamm && !self.binary.is_file() {
            return Err(format!(
                "no broker to test, run `cargo build --release` first file={}",
                self.binary.display()
            ));
        }
        Ok(())
    }

    /// The end of a group: what it wrote in `dir` goes, unless somebody wants to look at it.
    pub(crate) fn leave(&self, dir: &Path, keep: bool) {
        if keep {
            println!("    data and logs are in {}", dir.display());
            return;
        }
        let _ = std::fs::remove_dir_all(dir);
        let _ = std::fs::remove_dir(&self.run); // goes with its last group
    }

    /// A class path that holds every jar of an installed Maven module.
    pub(crate) fn jars(&self, module: &str) -> String {
        format!("{}/*", self.cache.join("maven").join(module).display())
    }
}

fn cache_home() -> PathBuf {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return PathBuf::from(cache);
    }
    std::env::var_os("HOME")
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(".cache")
}
