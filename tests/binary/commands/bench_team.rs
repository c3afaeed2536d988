//! `klamm bench` in several processes, whatever reaches them.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::World;
use crate::process::{Process, binary, command};
use crate::support::LIMIT;

/// Twice a second and a half or so, of 500 messages each.
const SMALL: &[&str] = &[
    "bench",
    "--rate=500",
    "--seconds=1",
    "--warm-up=1",
    "--partitions=4",
];

/// A script in place of ssh, which notes with what it was called, and runs the command here.
fn script(world: &World, name: &str, text: &str) -> String {
    let path = world.dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("it is ours");
    path.display().to_string()
}

fn team(world: &World, more: &[&str]) -> Value {
    let mut objects = world.json(&[SMALL, more].concat());
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

fn all_arrived(result: &Value) {
    for what in ["due", "sent", "acknowledged", "consumed"] {
        assert_eq!(result["messages"][what], 500, "{what} {result}");
    }
    assert_eq!(result["messages"]["failed"], 0, "{result}");
    assert_eq!(result["messages"]["duplicates"], 0, "{result}");
    assert_eq!(result["latency_ms"]["due_to_consumed"]["count"], 500);
}

#[test]
fn several_processes_make_one_load() {
    let world = World::start();
    let clients = ["--processes=3", "--producers=4", "--consumers=9"];
    let result = team(&world, &clients);
    all_arrived(&result);
    assert_eq!(result["processes"], 3);
    assert_eq!(result["parameters"]["rate"], 500);
    assert_eq!(result["parameters"]["partitions"], 4);
    assert_eq!(result["parameters"]["producers"], 4);
    assert_eq!(result["parameters"]["consumers"], 4, "one per partition");
    let parts = result["clocks"]["parts"].as_array().expect("a list");
    assert_eq!(parts[2]["part"], "process 3");
    assert_eq!(parts[2]["uncertain_us"], 0, "it is the same clock");
    // One of them sends, the other receives.
    all_arrived(&team(
        &world,
        &["--processes=2", "--producers=1", "--consumers=1"],
    ));
    assert_eq!(world.out(&["topic", "list"]), "there are no topics\n");
    world.broker.assert_no_errors();
}

#[test]
fn hosts_are_reached_by_a_command_that_knows_nothing_of_the_load() {
    let world = World::start();
    let ssh = script(
        &world,
        "ssh.sh",
        "echo \"$@\" >> called; echo 'Welcome!'; echo 'a warning' >&2; shift 3; exec sh -c \"$*\"",
    );
    let klamm = world.dir.join("it's klamm; exit 9");
    std::os::unix::fs::symlink(binary(), &klamm).expect("a new name");
    std::fs::write(world.dir.join("m.csv"), "id,v\na,1\nb,2\n").expect("written");
    let words = [
        "--on=one,two",
        &format!("--ssh-command={ssh} -p 23"),
        &format!("--remote-klamm={}", klamm.display()),
        "--payload=m.csv",
        "--payload-key=id",
        "--topic=kept",
        "-X",
        "client.id=$(touch injected)'; touch injected",
        "--result=r.json",
    ];
    all_arrived(&team(&world, &words));
    let called = std::fs::read_to_string(world.dir.join("called")).expect("it was called");
    assert_eq!(called.lines().count(), 2);
    for line in called.lines() {
        assert!(line.starts_with("-p 23 one ") || line.starts_with("-p 23 two "));
        assert!(
            line.ends_with(r"/it'\''s klamm; exit 9' bench part"),
            "{line}"
        );
    }
    assert!(!world.dir.join("injected").exists());
    let kept = world.out(&["consume", "kept", "-e", "--format", r"%k|%s\n"]);
    assert_eq!(kept.lines().filter(|line| *line == "a|a,1").count(), 500);
    assert_eq!(kept.lines().filter(|line| *line == "b|b,2").count(), 500);
}

#[test]
fn clocks_of_other_machines_are_compared() {
    let world = World::start();
    // Another boot is another machine.
    let ssh = script(
        &world,
        "ssh.sh",
        "host=$1; shift; sh -c \"$*\" | sed -u \"s/\\\"boot\\\":\\\"[^\\\"]*\\\"/\\\"boot\\\":\\\"$host\\\"/\"",
    );
    let klamm = format!("--remote-klamm={}", binary().display());
    let ssh = format!("--ssh-command={ssh}");
    let words = [SMALL, &["--on=one,two", &ssh, &klamm, "--result=r.json"]].concat();
    let report = world.out(&words);
    assert!(
        report.contains("Clocks, against this machine's"),
        "{report}"
    );
    assert!(report.contains("two 0."), "{report}");
    let result = &world.json(&["bench", "merge", "r.json"])[0];
    all_arrived(result);
    for part in result["clocks"]["parts"].as_array().expect("a list") {
        let uncertain = part["uncertain_us"].as_u64().expect("a number");
        let ahead = part["ahead_us"].as_i64().expect("a number");
        assert!(uncertain > 0, "it was measured: {part}");
        assert!(ahead.unsigned_abs() <= uncertain, "it is one clock: {part}");
    }
    assert!(result["clocks"]["error_us"].as_u64() > Some(0), "{result}");
}

#[test]
fn containers_are_told_on_their_standard_input() {
    let world = World::start();
    let run = script(
        &world,
        "run.sh",
        &format!(
            "echo \"$@\" >> called; shift; exec {} \"$@\"",
            binary().display()
        ),
    );
    let command = format!("--container-command={run}");
    all_arrived(&team(
        &world,
        &["--containers=2", "--image=klamm:1", &command],
    ));
    let called = std::fs::read_to_string(world.dir.join("called")).expect("it was called");
    assert_eq!(called, "klamm:1 bench part\n".repeat(2));
}

#[test]
fn a_part_that_cannot_do_it_ends_the_others_and_is_named() {
    let world = World::start();
    let klamm = binary().display().to_string();
    let refuses = script(
        &world,
        "refuses.sh",
        &format!(
            "[ $1 = two ] && {{ echo 'ssh: connect to host two: No route to host' >&2; exit 255; }}; exec {klamm} bench part"
        ),
    );
    let refuses = format!("--ssh-command={refuses}");
    let run = |more: &[&str]| world.run(&[SMALL, more].concat());
    run(&["--on=one,two", &refuses]).refused(
        3,
        &["two: ended (exit status: 255) before it began: ssh: connect to host two: No route"],
    );
    run(&["--on=one", "--ssh-command=/nowhere/ssh"])
        .refused(3, &["one: /nowhere/ssh cannot be started: No such file"]);
    run(&["--on=one", "--ssh-command=echo"]).refused(3, &["one: ended", "before it began"]);
    run(&["--on=-oProxyCommand=x"]).refused(2, &["is no host"]);
    run(&["--processes=3", "--producers=1", "--consumers=1"]).refused(2, &["too few for 3"]);
    // What the cluster refuses is said by a part.
    run(&["--processes=2", "--topic=no/topic"]).refused(1, &["process 1: topic no/topic"]);

    // One that dies in the middle.
    let dies = script(
        &world,
        "dies.sh",
        &format!(
            "[ $1 = one ] && exec {klamm} bench part; exec timeout -s KILL 3 {klamm} bench part"
        ),
    );
    let dies = format!("--ssh-command={dies}");
    let died = world.run(&["bench", "--seconds=600", "--on=one,two", &dies]);
    died.refused(1, &["two: ended"]);
    assert_eq!(world.out(&["topic", "list"]), "there are no topics\n");
}

#[test]
fn an_interrupt_ends_all_parts_and_says_what_was_measured() {
    let world = World::start();
    let mut bench = command(binary());
    bench.args([
        "bench",
        "--seconds=600",
        "--warm-up=0",
        "--rate=10",
        "--processes=2",
    ]);
    bench
        .args(["--result", "r.json"])
        .current_dir(world.dir.path());
    bench.env("KLAMM_BOOTSTRAP", world.bootstrap());
    let mut bench = Process::start(bench);
    bench.says("10 s: sent");
    bench.signal(Signal::INT);
    assert_eq!(bench.wait(LIMIT).code(), Some(130));
    bench.says("interrupted: the result is of the time until then");
    let result = &world.json(&["bench", "merge", "r.json"])[0];
    assert_eq!(result["processes"], 2);
    let consumed = result["messages"]["consumed"].as_u64().expect("a number");
    assert!((90..1_000).contains(&consumed), "{result}");
    assert_eq!(world.out(&["topic", "list"]), "there are no topics\n");
}

#[test]
fn an_interrupt_does_not_wait_for_a_host_that_does_not_answer() {
    let world = World::start();
    let silent = script(
        &world,
        "silent.sh",
        "echo $1 is asked >&2; sleep 600; exit 1",
    );
    let mut bench = command(binary());
    bench.args(["bench", "--on=one", "--ssh-command", &silent]);
    bench.env("KLAMM_BOOTSTRAP", world.bootstrap());
    let mut bench = Process::start(bench);
    bench.says("one is asked");
    bench.signal(Signal::INT);
    // Less than a part is given that has something to clean up.
    assert_eq!(bench.wait(Duration::from_secs(10)).code(), Some(130));
    bench.says("interrupted: nothing was measured yet");
}

#[test]
fn parts_end_when_the_one_that_started_them_is_killed() {
    let world = World::start();
    let pids = world.dir.join("pids");
    let note = format!(
        "echo $$ >> {}; exec {} bench part",
        pids.display(),
        binary().display()
    );
    let ssh = format!("--ssh-command={}", script(&world, "ssh.sh", &note));
    let mut bench = command(binary());
    bench.args([
        "bench",
        "--seconds=600",
        "--warm-up=0",
        "--on=one,two",
        &ssh,
    ]);
    bench.env("KLAMM_BOOTSTRAP", world.bootstrap());
    let mut bench = Process::start(bench);
    bench.says("10 s: sent");
    let pids = std::fs::read_to_string(pids).expect("they were started");
    bench.kill();
    let deadline = std::time::Instant::now() + LIMIT;
    for pid in pids.lines() {
        let process = std::path::Path::new("/proc").join(pid);
        while process.join("exe").exists() && process.join("fd/0").exists() {
            assert!(std::time::Instant::now() < deadline, "{pid} still runs");
            std::thread::yield_now();
        }
    }
    assert_eq!(world.out(&["topic", "list"]), "there are no topics\n");
}
