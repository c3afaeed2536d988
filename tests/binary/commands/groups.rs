//! `klamm group`, and reading as a member of one.

use rustix::process::Signal;
use serde_json::json;

use super::World;
use crate::process::{Process, binary, command};
use crate::support::eventually;

#[test]
fn a_group_is_listed_described_moved_and_deleted() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    world
        .feed(&["produce", "t"], b"1\n2\n3\n4\n")
        .refused(0, &[]);
    assert_eq!(world.out(&["group", "list"]), "there are no groups\n");
    let read = |words: &[&str]| world.out(&[&["consume", "t", "--group", "g"], words].concat());
    assert_eq!(read(&["--count", "1"]), "1\n");
    assert_eq!(world.json(&["group", "list"])[0]["group"], "g");

    let described = &world.json(&["group", "describe", "g"])[0];
    assert_eq!(
        (&described["state"], &described["lag"]),
        (&json!("Empty"), &json!(3))
    );
    let expected = json!({
        "topic": "t", "partition": 0, "committed": 1, "end": 4, "lag": 3, "member": null
    });
    assert_eq!(described["partitions"][0], expected);
    let table = world.out(&["group", "describe", "g"]);
    assert!(
        table.contains("Group g: Empty, 3 records behind"),
        "{table}"
    );
    assert_eq!(read(&["-e"]), "2\n3\n4\n");
    assert_eq!(read(&["-e"]), "");

    let reset = ["group", "reset", "g", "--topic", "t:0", "--to", "2"];
    let planned = world.run(&reset);
    planned.refused(0, &["add --execute"]);
    assert_eq!(read(&["-e"]), "", "nothing was moved");
    let moved = world.json(&[reset.as_slice(), &["--execute"]].concat());
    assert_eq!(
        (&moved[0]["committed"], &moved[0]["new"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(read(&["-e"]), "3\n4\n");
    let beginning = [
        "group",
        "reset",
        "g",
        "--topic",
        "t",
        "--to",
        "beginning",
        "--execute",
    ];
    world.out(&beginning);
    assert_eq!(read(&["-e"]), "1\n2\n3\n4\n");

    assert_eq!(world.out(&["group", "delete", "g"]), "group g deleted\n");
    world
        .run(&["group", "describe", "g"])
        .refused(1, &["there is no such group"]);
    world
        .run(&["group", "delete", "g"])
        .refused(1, &["group g: "]);
    world.broker.assert_no_errors();
}

#[test]
fn a_group_with_members_shows_them_and_stays_where_it_is() {
    let world = World::start();
    world.out(&["topic", "create", "t", "--partitions", "2"]);
    let mut member = command(binary());
    member.args(["consume", "t", "--group", "g", "-X", "client.id=reader"]);
    member.env("KLAMM_BOOTSTRAP", world.bootstrap());
    let mut member = Process::start(member);
    let described = eventually("the member has both partitions", || {
        let described = world.run(&["group", "describe", "g", "--output", "json"]);
        let group = super::lines_of_json(&described.out).pop()?;
        (group["members"][0]["partitions"] == json!(["t-0", "t-1"])).then_some(group)
    });
    assert_eq!(described["state"], "Stable");
    assert_eq!(described["members"][0]["client_id"], "reader");
    let member_id = &described["members"][0]["member"];
    assert_eq!(&described["partitions"][1]["member"], member_id);
    let reset = [
        "group",
        "reset",
        "g",
        "--topic",
        "t",
        "--to",
        "end",
        "--execute",
    ];
    world.run(&reset).refused(1, &["it has 1 members"]);
    world
        .run(&["group", "delete", "g"])
        .refused(1, &["group g: "]);
    member.signal(Signal::INT);
    let status = member.wait(crate::broker::STOP_LIMIT);
    assert_eq!(status.code(), Some(0), "{:?}", member.lines());
    world.out(&["group", "delete", "g"]);
}
