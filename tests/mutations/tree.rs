//! A copy of the sources, in which a guard can be left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guards::Guard;

/// Lies below `target`; what was built in it stays for the next time.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Copies what git knows, and what is new, of the workspace this command was built from. A file that
    /// is the same already is not written, so that nothing is built anew because of it.
    pub(crate) fn copy() -> Self {
        let sources = workspace();
        let root = sources.join("target/mutations/sources");
        let known = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&sources)
            .output()
            .expect("git is needed");
        assert!(known.status.success(), "git lists the sources");
        let names = String::from_utf8(known.stdout).expect("names are UTF-8");
        for name in names.split_terminator('\0') {
            let Ok(content) = fs::read(sources.join(name)) else {
                // Deleted, but not yet committed.
                continue;
            };
            let copy = root.join(name);
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                write(&copy, &content);
            }
        }
        Self { root }
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Does something while a guard is missing.
    pub(crate) fn without<T>(&self, guard: &Guard, act: impl FnOnce(&Self) -> T) -> T {
        let path = self.root.join(guard.file);
        let whole = fs::read_to_string(&path).expect("the file of a guard is there");
        let mutated = guard.left_out_of(&whole);
        write(&path, mutated.as_bytes());
        let result = act(self);
        write(&path, whole.as_bytes());
        result
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest_dir.parent();
    root.expect("tests/ lies inside the workspace").to_owned()
}

fn write(path: &Path, content: &[u8]) {
    let directory = path.parent().expect("a file lies in a directory");
    fs::create_dir_all(directory).expect("target can be written");
    fs::write(path, content).expect("target can be written");
}
