//! Directories that are not, or not only, ours.

use std::path::Path;

use crate::broker::{Broker, read, refuses, serve};
use crate::process::command;
use crate::support::{TempDir, files};

/// Names and contents of the files right in a directory.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let names = files(directory, "").into_iter();
    let plain = names.filter(|name| directory.join(name).is_file());
    plain
        .map(|name| (name.clone(), read(&directory.join(name))))
        .collect()
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let dir = TempDir::new();
    std::fs::write(dir.data(), "mine").expect("it can be written");
    let path = dir.data().display().to_string();
    refuses(serve(&dir, &[]), &["log.dirs", &path]);
    assert_eq!(read(&dir.data()), b"mine");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let dir = TempDir::new();
    let serve = serve(&dir, &[]);
    let mut command = command("unshare");
    command.current_dir(dir.path());
    command.args(["--mount", "--map-root-user", "sh", "-c"]);
    command.arg("mkdir data && mount -t tmpfs -o ro tmpfs data && exec \"$0\" \"$@\"");
    command.arg(serve.get_program()).args(serve.get_args());
    refuses(command, &["log.dirs", "data", "Read-only file system"]);
}

#[test]
fn a_directory_with_other_things_in_it_stays_as_it_is() {
    let check = |files: &[(&str, &str)], texts: &[&str]| {
        let dir = TempDir::new();
        std::fs::create_dir(dir.data()).expect("it can be made");
        for (name, content) in files {
            std::fs::write(dir.data().join(name), content).expect("it can be written");
        }
        let before = content(&dir.data());
        refuses(serve(&dir, &[]), texts);
        assert_eq!(content(&dir.data()), before);
    };
    check(&[("holiday.jpg", "JFIF")], &["not empty", "holiday.jpg"]);
    let of_kafka = "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=1\ndirectory.id=JsSWBcZmSUGRlTbHxeJtpg\n";
    check(
        &[
            ("meta.properties", of_kafka),
            (".kafka_cleanshutdown", "{\"version\":0}"),
        ],
        &["not a log directory of Klamm", "klamm.journal"],
    );
    check(
        &[("meta.properties", "cluster.id=\0\0")],
        &["meta.properties"],
    );
}

#[test]
fn a_directory_of_another_broker_or_cluster_is_refused() {
    let dir = TempDir::new();
    Broker::start(&dir, &[("node.id", "5")]).stop();
    refuses(
        serve(&dir, &[("node.id", "6")]),
        &[
            "the data belongs to broker 5",
            "node.id is 6",
            "set node.id=5",
        ],
    );
    // The number is the data's where none is given.
    Broker::start(&dir, &[]).process.says("broker 5 of cluster");
    let other = dir.join("other").display().to_string();
    Broker::start(&dir, &[("log.dirs", &other), ("node.id", "5")]).stop();
    let both = format!("{},{other}", dir.data().display());
    refuses(
        serve(&dir, &[("log.dirs", &both)]),
        &["belongs to another cluster", &other],
    );
}

#[test]
fn a_directory_in_use_is_refused_and_its_user_goes_on() {
    let dir = TempDir::new();
    let broker = Broker::start(&dir, &[]);
    let path = dir.data().display().to_string();
    refuses(serve(&dir, &[]), &["another klamm runs here", &path]);
    broker.client().create_topic("t", &[]);
    broker.assert_no_errors();
    broker.stop();
}

#[test]
fn a_damaged_identity_is_named() {
    let dir = TempDir::new();
    Broker::start(&dir, &[]).stop();
    let path = dir.data().join("meta.properties");
    let whole = read(&path);
    for damaged in [&b"\xff\xfe\x00"[..], b"", &whole[..whole.len() / 2]] {
        std::fs::write(&path, damaged).expect("it can be written");
        refuses(serve(&dir, &[]), &["meta.properties"]);
    }
    std::fs::write(&path, &whole).expect("it can be written");
    Broker::start(&dir, &[]).stop();
}
