//! One word per idea, Kafka's word first; and no word that does not belong into the house.
//!
//! The vocabulary is in `docs/glossary.md`. Only words that are wrong everywhere are banned here:
//! a list that needs exceptions is no list.

use crate::tree::{SourceFile, assert_none, files};

/// Words that are never right, with what to write instead. Compared in lower case.
const BANNED: &[(&str, &str)] = &[
    ("topition", "topic partition"),
    ("high water mark", "high watermark"),
    ("highwater mark", "high watermark"),
    ("high-water mark", "high watermark"),
    ("write-ahead log", "log"),
    ("log rotation", "roll"),
    ("rotate the segment", "roll the segment"),
    ("message set", "record batch"),
    ("lsn", "offset or log index"),
    ("whitelist", "allow list"),
    ("blacklist", "deny list"),
    ("slave", "follower"),
    ("leverage", "use"),
    ("utilize", "use"),
    ("blazingly", "a number"),
    ("seamless", "say what happens"),
];

/// Notes to oneself, in comments and documents: do it now, or leave it out.
const NOTES: &[&str] = &["todo", "fixme", "xxx"];

/// Words of another language, each so common there that a sentence hardly avoids them all.
const NOT_ENGLISH: &[&str] = &[
    "und", "nicht", "wird", "werden", "eine", "einen", "oder", "sind", "avec", "pour", "siehe",
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_FOLDERS: &[&str] = &["work", "root", "home", "Users"];

/// Hosts of package registries, in pieces so that this file does not name them itself: packages
/// are named, and the clients know where they come from.
const REGISTRY_HOSTS: &[&[&str]] = &[
    &["repo1", "maven", "org"],
    &["repo", "maven", "apache", "org"],
    &["pypi", "org"],
    &["files", "pythonhosted", "org"],
    &["registry", "npmjs", "org"],
    &["proxy", "golang", "org"],
    &["index", "crates", "io"],
    &["static", "crates", "io"],
    &["deb", "debian", "org"],
];

/// Files that must name what is banned.
const NAME_WHAT_IS_BANNED: &[&str] = &["tests/tidy/words.rs", "docs/glossary.md"];

const TEXTS: &[&str] = &[
    ".rs",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    "Dockerfile",
    ".py",
    ".java",
    ".js",
    ".go",
];

#[test]
fn banned_words_are_not_used() {
    let findings = findings(|_, line| {
        let line = line.to_lowercase();
        let found = BANNED.iter().filter(|(word, _)| holds_word(&line, word));
        found
            .map(|(word, instead)| format!("{word} (write: {instead})"))
            .collect()
    });
    assert_none(&findings, "words of the glossary");
}

#[test]
fn texts_are_finished_and_in_english() {
    let findings = findings(|file, line| {
        let prose = prose(file, line);
        let lower = prose.to_lowercase();
        let notes = NOTES.iter().filter(|word| holds_word(&lower, word));
        let words = NOT_ENGLISH.iter().filter(|word| holds_word(prose, word));
        let letters = prose
            .chars()
            .filter(|c| c.is_alphabetic() && !c.is_ascii() && *c != 'µ');
        notes
            .chain(words)
            .map(|word| (*word).to_owned())
            .chain(letters.map(String::from))
            .collect()
    });
    assert_none(
        &findings,
        "documents and comments are in English, and no notes to oneself",
    );
}

#[test]
fn no_text_depends_on_one_machine() {
    let findings = findings(|_, line| {
        let folders = MACHINE_FOLDERS.iter().map(|folder| format!("/{folder}/"));
        folders.filter(|folder| holds_path(line, folder)).collect()
    });
    assert_none(
        &findings,
        "paths of one machine do not belong into the sources",
    );
}

#[test]
fn no_text_names_the_host_of_a_package_registry() {
    let findings = findings(|_, line| {
        let hosts = REGISTRY_HOSTS.iter().map(|labels| labels.join("."));
        hosts.filter(|host| line.contains(host.as_str())).collect()
    });
    assert_none(
        &findings,
        "packages are named by their name; clients know where to get them",
    );
}

/// What of a line is written for people: a document's line, or the comment of a source line.
fn prose<'a>(file: &SourceFile, line: &'a str) -> &'a str {
    match file.is_rust() {
        true => line.split_once("//").map_or("", |(_, comment)| comment),
        false if file.is_markdown() => line,
        false => "",
    }
}

/// All findings of `examine`, with file and line.
fn findings(examine: impl Fn(&SourceFile, &str) -> Vec<String>) -> Vec<String> {
    let mut findings = Vec::new();
    let names_them = |path: &str| NAME_WHAT_IS_BANNED.contains(&path);
    for file in files(TEXTS).iter().filter(|file| !names_them(&file.path)) {
        for (line_index, line) in file.text.lines().enumerate() {
            let found = examine(file, line);
            findings.extend(
                found
                    .iter()
                    .map(|found| format!("{} {found}", file.at(line_index))),
            );
        }
    }
    findings
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
fn holds_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// Whether a path in `line` begins with `folder`.
fn holds_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || "\"'`(=:,".contains(c))
    })
}

#[test]
fn words_are_found_whole_only() {
    assert!(holds_word("a todo here", "todo"));
    assert!(!holds_word("todos, mastodon_todo", "todo"));
    assert!(holds_path("see /root/x", "/root/"));
    assert!(!holds_path("protocol/root/x", "/root/"));
}
