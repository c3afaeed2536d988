//! The files of the source tree, read as text.

use std::path::{Path, PathBuf};

/// One text file of the repository.
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// `path:line`, as editors and terminals understand it.
    pub(crate) fn at(&self, line_index: usize) -> String {
        format!("{}:{}", self.path, line_index + 1)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir
        .parent()
        .expect("tests/ lies inside the workspace")
        .to_owned()
}

/// Every file that git tracks or would track, with one of these endings, sorted by path.
pub(crate) fn files(endings: &[&str]) -> Vec<SourceFile> {
    let output = std::process::Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git is installed, for the sources came with it");
    assert!(output.status.success(), "git ls-files failed");
    let listing = String::from_utf8(output.stdout).expect("paths of the house are UTF-8");
    let mut paths: Vec<_> = listing.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)))
        // A file that is deleted but not yet committed is listed too.
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(path)).ok()?;
            Some(SourceFile {
                path: path.to_owned(),
                text,
            })
        })
        .collect()
}

/// Fails with all findings, one a line, under the rule that they break.
pub(crate) fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
