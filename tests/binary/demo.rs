//! `klamm demo`: a broker of three is killed under load, and nothing is lost.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Process, binary, command};
use crate::support::{TempDir, eventually};

/// Brokers that start, a load, and what comes late.
const LIMIT: Duration = Duration::from_secs(120);

fn demo(dir: &TempDir, words: &[&str]) -> std::process::Command {
    let mut command = command(binary());
    // Where the brokers' folder is made.
    command.env("TMPDIR", dir.path());
    command.current_dir(dir.path()).arg("demo").args(words);
    command
}

/// What is left in the directory.
fn left(dir: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(dir.path()).expect("the directory is there");
    entries
        .map(|entry| entry.expect("it can be read").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_broker_is_killed_under_load_and_nothing_is_lost() {
    let dir = TempDir::new();
    let mut command = demo(&dir, &["--rate=300", "--seconds=9"]);
    command.stdin(Stdio::null());
    let output = command.output().expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{table}");
    let value = |what: &str| {
        let line = table.lines().find(|line| line.starts_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what}\n{table}"));
        line[what.len()..].trim().to_owned()
    };
    assert_eq!(value("messages sent"), "2700", "{said}");
    assert_eq!(value("acknowledged   "), "2700", "{said}");
    assert_eq!(value("acknowledged and lost"), "0", "{said}");
    assert_eq!(value("received   "), "2700", "{said}");
    assert_eq!(value("received twice"), "0", "{said}");
    for what in [
        "longest pause of a partition that the killed broker led",
        "longest pause of another partition",
        "p99 from due to acknowledged before the kill",
        "p99 from the kill until it has caught up",
        "p99 after that",
        "the killed broker had caught up, after its start",
    ] {
        let ms = value(what);
        let ms = ms.strip_suffix(" ms").unwrap_or_else(|| panic!("{table}"));
        assert!(ms.parse::<f64>().is_ok_and(|ms| ms > 0.0), "{what} {table}");
    }
    for what in ["is killed", "is started again", "has caught up"] {
        assert!(said.contains(what), "{said}");
    }
    for second in 1..=9 {
        let line = format!("{second:4} s  sent");
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert_eq!(left(&dir), [""; 0], "nothing is left behind");
}

#[test]
fn ctrl_c_ends_it_and_nothing_is_left_behind() {
    let dir = TempDir::new();
    let mut process = Process::start(demo(&dir, &["--rate=300", "--seconds=600"]));
    process.says("   2 s  sent");
    let brokers = children(process.id());
    assert_eq!(brokers.len(), 3, "{brokers:?}");
    process.signal(Signal::INT);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    assert_eq!(left(&dir), [""; 0]);
    assert!(brokers.iter().all(|pid| !runs(*pid)), "{brokers:?}");
}

#[test]
fn the_brokers_end_with_it_however_it_ends() {
    let dir = TempDir::new();
    let mut process = Process::start(demo(&dir, &["--rate=300", "--seconds=600"]));
    process.says("they are ready");
    let brokers = children(process.id());
    assert_eq!(brokers.len(), 3, "{brokers:?}");
    process.kill();
    eventually("the brokers end", || {
        brokers.iter().all(|pid| !runs(*pid)).then_some(())
    });
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path} {error}"));
    let pids = text.split_whitespace();
    pids.map(|pid| pid.parse().expect("a number")).collect()
}

/// Whether a process runs; one that nobody has waited for does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, fields)| fields);
    state.is_some_and(|fields| !fields.starts_with('Z'))
}
