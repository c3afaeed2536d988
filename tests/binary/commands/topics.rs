//! `klamm topic` and `klamm config`.

use serde_json::json;

use super::World;

#[test]
fn a_topic_is_made_shown_grown_and_deleted() {
    let world = World::start();
    assert_eq!(world.out(&["topic", "list"]), "there are no topics\n");
    assert!(world.json(&["topic", "list"]).is_empty());
    let create = ["topic", "create", "orders", "--partitions", "3"];
    let settings = ["--replication", "1", "-c", "retention.ms=3600000"];
    let said = world.out(&[create.as_slice(), &settings].concat());
    assert_eq!(said, "topic orders created\n");

    let listed = &world.json(&["topic", "list"])[0];
    assert_eq!(listed["topic"], "orders");
    assert_eq!(
        (&listed["partitions"], &listed["replication"]),
        (&json!(3), &json!(1))
    );
    let table = world.out(&["topic", "list"]);
    assert!(
        table.starts_with("TOPIC ") && table.contains("orders"),
        "{table}"
    );

    world
        .feed(&["produce", "orders", "-p", "1"], b"a\nb\n")
        .refused(0, &[]);
    let described = &world.json(&["topic", "describe", "orders"])[0];
    let expected = json!({
        "partition": 1, "leader": 1, "replicas": [1], "isr": [1], "begin": 0, "end": 2
    });
    assert_eq!(described["partitions"][1], expected);
    let config = &described["configs"][0];
    assert_eq!(
        (&config["name"], &config["value"]),
        (&json!("retention.ms"), &json!("3600000"))
    );
    let table = world.out(&["topic", "describe", "orders"]);
    assert!(
        table.contains("Topic orders\n") && table.contains("retention.ms"),
        "{table}"
    );

    world.out(&["topic", "partitions", "orders", "5"]);
    assert_eq!(world.json(&["topic", "list"])[0]["partitions"], 5);
    let fewer = world.run(&["topic", "partitions", "orders", "2"]);
    fewer.refused(1, &["has 5 partitions already"]);

    assert_eq!(
        world.out(&["topic", "delete", "orders"]),
        "topic orders deleted\n"
    );
    world
        .run(&["topic", "describe", "orders"])
        .refused(1, &["there is no such topic"]);
    world.broker.assert_no_errors();
}

#[test]
fn what_the_cluster_refuses_is_told_and_in_the_exit_code() {
    let world = World::start();
    world.out(&["topic", "create", "a"]);
    world
        .run(&["topic", "create", "a"])
        .refused(1, &["topic a: ", "already exists"]);
    let again = world.json(&["topic", "create", "a", "--if-not-exists"]);
    assert_eq!(again, [json!({"topic": "a", "result": "existed already"})]);
    let partly = world.run(&["topic", "create", "a", "b", "--output", "json"]);
    partly.refused(4, &["topic a: ", "1 of 2 were refused"]);
    assert!(
        partly.out.contains(r#"{"result":"created","topic":"b"}"#),
        "{}",
        partly.out
    );
    world
        .run(&["topic", "delete", "c"])
        .refused(1, &["topic c: "]);
    world.out(&["topic", "delete", "a", "b", "c", "--if-exists"]);
    let replicas = world.run(&["topic", "create", "d", "--replication", "3"]);
    replicas.refused(1, &["topic d: ", "eplication factor"]);
}

#[test]
fn settings_change_one_by_one_and_go_back() {
    let world = World::start();
    world.out(&["topic", "create", "t", "-c", "retention.ms=3600000"]);
    world.out(&[
        "config",
        "set",
        "topic",
        "t",
        "max.message.bytes=2000",
        "flush.messages=1",
    ]);
    let set = world.json(&["config", "get", "topic", "t"]);
    let names: Vec<_> = set
        .iter()
        .map(|row| row["name"].as_str().expect("text"))
        .collect();
    assert_eq!(
        names,
        ["flush.messages", "max.message.bytes", "retention.ms"]
    );
    assert_eq!(set[0]["source"], "topic");
    let said = world.out(&["config", "unset", "topic", "t", "max.message.bytes"]);
    assert_eq!(said, "topic t: max.message.bytes is the default again\n");
    let rest = world.json(&["config", "get", "topic", "t"]);
    assert_eq!(rest.len(), 2, "the others stay: {rest:?}");
    let one = &world.json(&["config", "get", "topic", "t", "max.message.bytes"])[0];
    assert_eq!(one["default"], true);
    assert!(world.json(&["config", "get", "topic", "t", "--all"]).len() > 10);
    let unknown = world.run(&["config", "set", "topic", "t", "no.such.thing=1"]);
    unknown.refused(1, &["settings of topic t: ", "no.such.thing"]);
    world
        .run(&["config", "get", "topic", "t", "no.such.thing"])
        .refused(1, &["--all"]);
}

#[test]
fn a_broker_has_settings_too() {
    let world = World::start();
    let all = world.json(&["config", "get", "broker", "1", "--all"]);
    assert!(all.iter().any(|row| row["name"] == "log.dirs"), "{all:?}");
    world.out(&["config", "set", "broker", "1", "log.retention.ms=7200000"]);
    let set = &world.json(&["config", "get", "broker", "1", "log.retention.ms"])[0];
    assert_eq!(set["value"], "7200000");
    world
        .run(&["config", "get", "broker", "9"])
        .refused(1, &["no such broker"]);
    world
        .run(&["config", "get", "broker", "x"])
        .refused(2, &["named by its number"]);
}
