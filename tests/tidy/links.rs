//! Documents point at things that exist.

use std::path::Path;

use crate::tree::{SourceFile, assert_none, files, root};

#[test]
fn relative_links_lead_somewhere() {
    let documents = files(&[".md"]);
    let mut findings = Vec::new();
    for document in &documents {
        for (line_index, target) in links(&document.text) {
            if let Some(problem) = problem_with(document, &target, &documents) {
                findings.push(format!("{} {target}: {problem}", document.at(line_index)));
            }
        }
    }
    assert_none(
        &findings,
        "a link in a document leads to a file, and to a heading that it has",
    );
}

#[test]
fn paths_that_documents_name_exist() {
    let mut findings = Vec::new();
    for document in files(&[".md"]) {
        // A decision tells what was true on its day, and is never edited.
        if document.path.starts_with("docs/decisions/") {
            continue;
        }
        for (line_index, line) in document.text.lines().enumerate() {
            for quoted in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|quoted| is_source_path(quoted))
            {
                if !root().join(quoted).exists() {
                    findings.push(format!("{} `{quoted}`", document.at(line_index)));
                }
            }
        }
    }
    assert_none(&findings, "a source file that a document names exists");
}

/// `storage/src/log.rs`, but neither `log.rs` nor `<base>.index`.
fn is_source_path(quoted: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let ending = [".rs", ".md", ".toml"]
        .iter()
        .any(|ending| quoted.ends_with(ending));
    ending && quoted.contains('/') && quoted.chars().all(plain) && !quoted.starts_with(['/', '.'])
}

/// Targets of `[text](target)` outside code, with the index of their line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (line_index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            if let Some(end) = rest.find(')') {
                found.push((line_index, rest[..end].to_owned()));
            }
        }
    }
    found
}

fn problem_with(from: &SourceFile, target: &str, documents: &[SourceFile]) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&from.path)
        .parent()
        .expect("a file lies in a folder");
    let path = match path {
        "" => from.path.clone(),
        path => normalise(&folder.join(path)),
    };
    if !root().join(&path).exists() {
        return Some("no such file".to_owned());
    }
    let document = documents.iter().find(|document| document.path == path)?;
    let known = heading.is_empty() || slugs(&document.text).any(|slug| slug == heading);
    (!known).then(|| "no such heading".to_owned())
}

/// Resolves `..` without asking the disk.
fn normalise(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Headings in the form that links use: lower case, hyphens, no punctuation.
fn slugs(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
}

#[test]
fn a_broken_link_is_found() {
    let document = |path: &str, text: &str| SourceFile {
        path: path.into(),
        text: text.into(),
    };
    let documents = [
        document("docs/glossary.md", "# The seam, once\n"),
        document("README.md", ""),
    ];
    let check = |target: &str, expected: Option<&str>| {
        let problem = problem_with(&documents[0], target, &documents);
        assert_eq!(problem.as_deref(), expected, "{target}");
    };
    check("../README.md", None);
    check("#the-seam-once", None);
    check("#the-roof", Some("no such heading"));
    check("nowhere.md", Some("no such file"));
}
