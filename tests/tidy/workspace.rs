//! What `cargo metadata` says about the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// A crate of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Names of direct dependencies of every kind.
    pub(crate) dependencies: BTreeSet<String>,
    /// Names of all crates that the shipped crate is linked with.
    pub(crate) linked: BTreeSet<String>,
    /// Root files of its library and binaries, relative to the root of the workspace.
    pub(crate) crate_roots: Vec<String>,
    /// Names of its binaries.
    pub(crate) binaries: BTreeSet<String>,
}

/// All crates of the workspace, by name.
pub(crate) fn members() -> Vec<Member> {
    let metadata = metadata();
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let mut members: Vec<_> = array(&metadata["workspace_members"])
        .iter()
        .map(|id| member(text(id), &packages, &nodes))
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

fn member(id: &str, packages: &BTreeMap<&str, &Value>, nodes: &BTreeMap<&str, &Value>) -> Member {
    let package = packages[id];
    let targets = array(&package["targets"]);
    let prefix = format!("{}/", root().display());
    Member {
        name: text(&package["name"]).to_owned(),
        dependencies: array(&package["dependencies"])
            .iter()
            .map(|dependency| text(&dependency["name"]).to_owned())
            .collect(),
        linked: linked(id, packages, nodes),
        crate_roots: targets
            .iter()
            .filter(|target| is_kind(target, "lib") || is_kind(target, "bin"))
            .map(|target| {
                text(&target["src_path"])
                    .trim_start_matches(&prefix)
                    .to_owned()
            })
            .collect(),
        binaries: targets
            .iter()
            .filter(|target| is_kind(target, "bin"))
            .map(|target| text(&target["name"]).to_owned())
            .collect(),
    }
}

fn is_kind(target: &Value, wanted: &str) -> bool {
    array(&target["kind"]).iter().any(|kind| kind == wanted)
}

/// Everything reachable over normal dependencies: what build scripts and tests use is not linked.
fn linked(
    start: &str,
    packages: &BTreeMap<&str, &Value>,
    nodes: &BTreeMap<&str, &Value>,
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for dependency in array(&nodes[id]["deps"]) {
            let kinds = array(&dependency["dep_kinds"]);
            let next = text(&dependency["pkg"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) && seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.into_iter()
        .map(|id| text(&packages[id]["name"]).to_owned())
        .collect()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo built this test");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {problem}");
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    array(list)
        .iter()
        .map(|item| (text(&item["id"]), item))
        .collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("cargo metadata has a list here")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a text here")
}
