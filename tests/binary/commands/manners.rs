//! How the commands behave among other programs: codes, pipes, signals, help.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::Signal;

use super::{World, did, limited};
use crate::process::{Process, binary, command};

#[test]
fn a_cluster_that_does_not_answer_is_named_with_the_reason() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").port()
    };
    let address = format!("127.0.0.1:{port}");
    let refused = did(limited().args(["topic", "list", "--bootstrap", &address]));
    let reasons = [
        address.as_str(),
        "no broker answers at",
        "Connection refused",
    ];
    refused.refused(3, &reasons);
    assert_eq!(refused.out, "");

    // Somebody who listens, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("it is bound").to_string();
    let mut command = limited();
    command.args(["group", "list", "--timeout", "1s", "--bootstrap", &address]);
    did(&mut command).refused(3, &["no broker answers at", &address]);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let world = World::start();
    let check = |words: &[&str], text: &str| world.run(words).refused(2, &[text]);
    check(&["topic"], "Usage:");
    check(&["topic", "frobnicate"], "frobnicate");
    check(&["topic", "list", "--timeout", "soon"], "such as 10s");
    check(
        &["topic", "list", "-X", "no.such.property=1"],
        "no.such.property",
    );
    check(&["topic", "list", "-X", "nothing"], "KEY=VALUE");
    check(&["bench", "--rate", "0"], "--rate");
    check(
        &["consume", "t", "--from", "yesterday"],
        "2026-11-25T10:00:00Z",
    );
    let unread = ["topic", "list", "--client-config", "nowhere.properties"];
    world.run(&unread).refused(1, &["nowhere.properties"]);
}

#[test]
fn properties_come_from_a_file_too() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    let file = format!("# mine\nbootstrap.servers = {}\n", world.bootstrap());
    std::fs::write(world.dir.join("client.properties"), file).expect("written");
    let mut command = limited();
    command.current_dir(world.dir.path());
    command.args(["topic", "list", "--client-config", "client.properties"]);
    let listed = did(&mut command);
    assert!(listed.out.contains('t'), "{}", listed.err);
    // TLS is there, and a broker without it is told from one that is away.
    let tls = world.run(&[
        "topic",
        "list",
        "-X",
        "security.protocol=ssl",
        "--timeout",
        "5s",
    ]);
    tls.refused(3, &["no broker answers", &world.bootstrap(), "SSL"]);
    let mechanism = [
        "-X",
        "security.protocol=sasl_plaintext",
        "-X",
        "sasl.mechanisms=SCRAM-SHA-256",
    ];
    let login = [
        "-X",
        "sasl.username=a",
        "-X",
        "sasl.password=b",
        "--timeout",
        "5s",
    ];
    world
        .run(&[&["topic", "list"], mechanism.as_slice(), &login].concat())
        .refused(3, &["SASL"]);
}

#[test]
fn a_reader_who_has_had_enough_is_no_failure() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    let lines = "a line that is long enough to fill pipes soon\n".repeat(20_000);
    world
        .feed(&["produce", "t"], lines.as_bytes())
        .refused(0, &[]);
    let mut command = world.command(&["consume", "t"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("text");
    assert!(line.starts_with("a line"), "{line}");
    drop(out);
    let ended = super::ended(child);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn the_first_interrupt_ends_a_command_in_good_order() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    for signal in [Signal::INT, Signal::TERM] {
        let mut consume = command(binary());
        consume
            .args(["consume", "t"])
            .env("KLAMM_BOOTSTRAP", world.bootstrap());
        consume.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = consume.spawn().expect("it starts");
        // A record that has come: it is past its start.
        world.feed(&["produce", "t"], b"a\n").refused(0, &[]);
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        assert_eq!(line, "a\n");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("it runs");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    let mut bench = command(binary());
    bench.args([
        "bench",
        "--seconds",
        "600",
        "--warm-up",
        "0",
        "--rate",
        "10",
    ]);
    bench.env("KLAMM_BOOTSTRAP", world.bootstrap());
    let mut bench = Process::start(bench);
    bench.says("10 s: sent");
    bench.signal(Signal::INT);
    assert_eq!(bench.wait(crate::support::LIMIT).code(), Some(130));
    bench.says("interrupted");
    let topics = world.out(&["topic", "list"]);
    assert!(
        !topics.contains("klamm-bench"),
        "its topic is gone: {topics}"
    );
}

#[test]
fn colours_are_for_terminals() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    assert!(!world.out(&["topic", "describe", "t"]).contains('\x1b'));
}

#[test]
fn help_teaches_and_shells_complete() {
    let world = World::start();
    for words in [
        &["topic"][..],
        &["produce"],
        &["consume"],
        &["group"],
        &["config"],
        &["bench"],
    ] {
        let help = world.out(&[words, &["--help"]].concat());
        assert!(
            help.contains("Examples:") && help.contains("KLAMM_BOOTSTRAP"),
            "{help}"
        );
    }
    let help = world.out(&["--help"]);
    for text in ["Exit codes: 0 done", "serve", "consume", "klamm topic list"] {
        assert!(help.contains(text), "{text}\n{help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.out(&["completions", shell]);
        assert!(
            script.contains("topic") && script.contains("bootstrap"),
            "{shell}"
        );
    }
}
