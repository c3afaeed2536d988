//! Kafka's own `DumpLogSegments` over every file that a stopped broker left.

use std::path::{Path, PathBuf};

use crate::args::Target;
use crate::broker::Broker;
use crate::client;
use crate::places::Places;
use crate::process::Invocation;
use crate::report::Report;

/// What Kafka's tool understands; the Raft files beside them are Klamm's own.
const SUFFIXES: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];

/// Reads the files in one JVM; the program says what it found in the lines of a client.
pub(crate) fn run(
    group: &str,
    broker: &mut Broker,
    places: &Places,
    dir: &Path,
    report: &mut Report,
) {
    let list = dir.join("files.txt");
    let mut files = Vec::new();
    collect(broker.data(), &mut files);
    if broker.target() == Target::Kafka {
        // Kafka's controller leaves the time index of its own log at its full, preallocated size.
        files.retain(|file| !file.to_string_lossy().contains("/__cluster_metadata-0/"));
    }
    files.sort();
    let text: String = files
        .iter()
        .map(|file| format!("{}\n", file.display()))
        .collect();
    if let Err(error) = std::fs::write(&list, text) {
        report.case(
            &format!("{group}/dump"),
            std::time::Duration::ZERO,
            Err(error.to_string()),
        );
        return;
    }
    let class_path = format!(
        "{}:{}",
        places.cache.join("classes/kafka-tools").display(),
        places.jars("tools")
    );
    let program = Invocation::java(&class_path, 512, "DumpFiles").arg(&list);
    client::run(
        &format!("{group}/dump"),
        program,
        broker,
        &dir.join("dump.log"),
        report,
    );
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            // What is being deleted may go away.
            if !name.ends_with("-delete") {
                collect(&path, files);
            }
        } else if is_log_file(&path) {
            files.push(path);
        }
    }
}

fn is_log_file(path: &Path) -> bool {
    let known = path
        .extension()
        .is_some_and(|suffix| SUFFIXES.iter().any(|known| suffix == *known));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    known && stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit())
}
