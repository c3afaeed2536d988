//! README promises commands and a map; both must be true.

use std::collections::BTreeSet;

use crate::tree::{SourceFile, assert_none, files, root};
use crate::workspace::members;

/// Subcommands of cargo itself that README may use.
const CARGO_COMMANDS: &[&str] = &[
    "bench", "build", "clippy", "doc", "fmt", "fuzz", "install", "run", "test",
];

#[test]
fn commands_of_the_documents_exist() {
    let aliases = aliases();
    let members = members();
    let packages: BTreeSet<_> = members.iter().map(|member| member.name.as_str()).collect();
    let binaries: BTreeSet<_> = members
        .iter()
        .flat_map(|member| member.binaries.iter().map(String::as_str))
        .collect();
    let mut findings = Vec::new();
    for document in files(&[".md"]) {
        for (line_index, line) in code_lines(&document) {
            let words: Vec<_> = line.split_whitespace().collect();
            let Some(start) = words.iter().position(|word| *word == "cargo") else {
                continue;
            };
            let command = words.get(start + 1).copied().unwrap_or_default();
            if !CARGO_COMMANDS.contains(&command) && !aliases.contains(command) {
                findings.push(format!("{} cargo {command}", document.at(line_index)));
            }
            for pair in words.windows(2) {
                let known = match pair[0] {
                    "-p" | "--package" => packages.contains(pair[1]),
                    "--bin" => binaries.contains(pair[1]),
                    _ => true,
                };
                if !known {
                    findings.push(format!(
                        "{} {} {}",
                        document.at(line_index),
                        pair[0],
                        pair[1]
                    ));
                }
            }
        }
    }
    assert_none(&findings, "a command that a document shows exists");
}

#[test]
fn the_map_of_readme_is_the_tree() {
    let readme = document("README.md");
    let map = readme
        .text
        .split_once("Cargo.toml  ")
        .expect("README has a map of folders")
        .1;
    let map = map.split("```").next().unwrap_or_default();
    let mut folder = String::new();
    let mut findings = Vec::new();
    for line in map.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let path = match line.starts_with(' ') {
            true => format!("{folder}{name}"),
            false => name.to_owned(),
        };
        // A line that is only the rest of a sentence names nothing.
        if !name.ends_with('/') && !name.contains('.') {
            continue;
        }
        if !line.starts_with(' ') {
            folder = name.to_owned();
        }
        if !root().join(&path).exists() {
            findings.push(path);
        }
    }
    assert_none(&findings, "what the map of README names exists");
}

fn document(path: &str) -> SourceFile {
    files(&[path])
        .into_iter()
        .find(|file| file.path == path)
        .expect("the document exists")
}

/// Lines of code blocks, with their index.
fn code_lines(document: &SourceFile) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for (line_index, line) in document.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            // What follows a `#` explains the command.
            lines.push((line_index, line.split(" #").next().unwrap_or_default()));
        }
    }
    lines
}

/// Aliases that the house defines for cargo.
fn aliases() -> BTreeSet<String> {
    let config = document(".cargo/config.toml");
    let table = config.text.split("[alias]").nth(1).unwrap_or_default();
    table
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}
