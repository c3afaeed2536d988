//! How a source file begins, and that every exception from a lint says why.

use crate::tree::{SourceFile, assert_none, files};
use crate::workspace::members;

/// Where unsafe code may live: what maps files and what calls the operating system.
const UNSAFE_FOLDER: &str = "storage/src/";
/// The one other file, which calls librdkafka, and the root of its crate, which can therefore not
/// forbid it: there, the workspace denies it.
const UNSAFE_FILE: &str = "broker/cli/src/config/incremental.rs";
const UNSAFE_FILE_ROOT: &str = "broker/cli/src/lib.rs";
/// Folders of the pure crates: no edge may lie in them.
const PURE_FOLDERS: &[&str] = &[
    "protocol/",
    "broker/replication/",
    "broker/coordinator/",
    "broker/metadata/",
];

#[test]
fn unsafe_code_is_forbidden_outside_its_places() {
    let sources = files(&[".rs"]);
    let mut findings = Vec::new();
    for path in members().iter().flat_map(|member| &member.crate_roots) {
        let root = sources.iter().find(|file| file.path == *path);
        let forbids = root.is_some_and(|file| file.text.contains("#![forbid(unsafe_code)]"));
        let may = path.starts_with(UNSAFE_FOLDER) || path == UNSAFE_FILE_ROOT;
        if !forbids && !may {
            findings.push(format!("{path} lacks #![forbid(unsafe_code)]"));
        }
    }
    for file in sources
        .iter()
        .filter(|file| !file.path.starts_with(UNSAFE_FOLDER) && file.path != UNSAFE_FILE)
    {
        for (line_index, attribute) in exceptions(&file.text) {
            if attribute.contains("unsafe_code") {
                findings.push(format!("{} {attribute}", file.at(line_index)));
            }
        }
    }
    assert_none(
        &findings,
        "unsafe code lives in named modules of storage, and where librdkafka is called",
    );
}

#[test]
fn every_file_says_what_it_is() {
    let findings: Vec<_> = files(&[".rs"])
        .iter()
        // `foo/tests.rs` is what `foo.rs` would hold at its end.
        .filter(|file| !file.path.ends_with("/tests.rs") && !file.text.starts_with("//!"))
        .map(|file| file.at(0))
        .collect();
    assert_none(
        &findings,
        "a file begins with `//!`: what it is, what it is not, its invariants",
    );
}

#[test]
fn modules_are_files_with_a_name() {
    let findings: Vec<_> = files(&["mod.rs"])
        .into_iter()
        .filter(|file| file.path.ends_with("/mod.rs"))
        .map(|file| file.path)
        .collect();
    assert_none(&findings, "`foo.rs` and `foo/bar.rs`, never `foo/mod.rs`");
}

#[test]
fn every_exception_from_a_lint_says_why() {
    let mut findings = Vec::new();
    for file in files(&[".rs"]).iter().filter(|file| !is_this_folder(file)) {
        for (line_index, attribute) in exceptions(&file.text) {
            if !attribute.contains("reason =") {
                findings.push(format!("{} {attribute}", file.at(line_index)));
            }
        }
    }
    assert_none(
        &findings,
        "`expect(lint, reason = \"…\")`, so that one search prints every edge",
    );
}

#[test]
fn pure_crates_have_no_edge() {
    let mut findings = Vec::new();
    for file in files(&[".rs"]) {
        if !PURE_FOLDERS
            .iter()
            .any(|folder| file.path.starts_with(folder))
        {
            continue;
        }
        // Tests of a pure crate may count with a set or read their test data.
        let shipped = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        for (line_index, attribute) in exceptions(shipped) {
            if !is_test && attribute.contains("clippy::disallowed") {
                findings.push(format!("{} {attribute}", file.at(line_index)));
            }
        }
    }
    assert_none(
        &findings,
        "clock, disk, network, threads and randomness enter at the edge only",
    );
}

/// Attributes that switch a lint off, each with the index of its first line.
fn exceptions(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for opening in ["[expect(", "[allow("] {
        for (start, _) in text.match_indices(opening) {
            let before = &text[..start];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            // In a comment or a text it is talk about an attribute.
            if !matches!(before[line_start..].trim(), "#" | "#!") {
                continue;
            }
            let end = text[start..]
                .find(")]")
                .map_or(text.len(), |length| start + length + 2);
            let attribute = text[start..end]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            found.push((before.matches('\n').count(), attribute));
        }
    }
    found
}

fn is_this_folder(file: &SourceFile) -> bool {
    file.path.starts_with("tests/tidy/")
}

#[test]
fn an_exception_over_several_lines_is_read_whole() {
    let text = "//! x\n#![expect(\n    clippy::a,\n    reason = \"b\"\n)]\n// #[allow(c)]\n";
    assert_eq!(
        exceptions(text),
        [(1, "[expect( clippy::a, reason = \"b\" )]".to_owned())]
    );
}
