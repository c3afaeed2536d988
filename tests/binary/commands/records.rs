//! `klamm produce` and `klamm consume`.

use serde_json::json;

use super::World;

/// Everything that a topic holds, in this form.
fn consumed(world: &World, topic: &str, format: &str) -> String {
    world.out(&["consume", topic, "--exit-at-end", "--format", format])
}

#[test]
fn lines_become_records_and_lines_again() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    let produced = world.feed(
        &["produce", "t", "--key-separator", ":", "-H", "from=test"],
        b"a:1\nb:2:3\n:4",
    );
    assert_eq!(
        (produced.code, produced.out.as_str()),
        (0, "3 records delivered to t\n")
    );
    assert_eq!(world.out(&["consume", "t", "-e"]), "1\n2:3\n4\n");
    let form = r"%t/%p:%o %k=%s %h\n";
    let expected = "t/0:0 a=1 from=test\nt/0:1 b=2:3 from=test\nt/0:2 =4 from=test\n";
    assert_eq!(consumed(&world, "t", form), expected);
    let bad = world.feed(
        &["produce", "t", "-k", ":", "-o", "json"],
        b"x:1\nno key\ny:2\n",
    );
    bad.refused(1, &["line 2: ", "is missing"]);
    assert_eq!(bad.out, "{\"delivered\":1,\"failed\":0,\"topic\":\"t\"}\n");
    world.broker.assert_no_errors();
}

#[test]
fn what_was_consumed_as_json_can_be_produced_again() {
    let world = World::start();
    world.out(&["topic", "create", "a", "b", "--partitions", "2"]);
    let records = [
        json!({"key": "k", "value": "v", "partition": 1, "timestamp": 1_000,
            "headers": [{"key": "h", "value": "x"}, {"key": "h", "value": null}]}),
        json!({"key": "gone", "value": null, "partition": 0, "timestamp": 2_000, "headers": []}),
        json!({"key": null, "value_base64": "/wA=", "partition": 0, "timestamp": 3_000, "headers": []}),
    ];
    let lines = records
        .each_ref()
        .map(|record| format!("{record}\n"))
        .concat();
    world
        .feed(&["produce", "a", "--format", "json"], lines.as_bytes())
        .refused(0, &[]);
    let read = world.out(&["consume", "a", "-e", "-o", "json"]);
    let copied = world.feed(&["produce", "b", "--format", "json"], read.as_bytes());
    copied.refused(0, &[]);
    let mut copy = world.json(&["consume", "b", "-e"]);
    copy.sort_by_key(|record| record["timestamp"].as_i64());
    for (record, expected) in copy.iter().zip(&records) {
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&record[field], value, "{record}");
        }
    }
    assert_eq!(copy.len(), 3);
}

#[test]
fn one_begins_and_ends_where_one_says() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    let record = |n: u32| format!("{{\"value\":\"{n}\",\"timestamp\":{}}}\n", n * 60_000);
    let lines: String = (1..=5).map(record).collect();
    world
        .feed(&["produce", "t", "--format", "json"], lines.as_bytes())
        .refused(0, &[]);
    let check = |words: &[&str], expected: &str| {
        let words = [&["consume", "t", "--format", "%s "], words].concat();
        assert_eq!(world.out(&words), expected, "{words:?}");
    };
    check(&["-e"], "1 2 3 4 5 ");
    check(&["-e", "--from", "3"], "4 5 ");
    check(&["-e", "--from", "end"], "");
    check(&["-e", "--from", "99"], "");
    check(&["-e", "--from", "1970-01-01T00:03:00Z"], "3 4 5 ");
    check(&["-e", "--from", "1971-01-01T00:00:00Z"], "");
    check(&["--count", "2"], "1 2 ");
    check(&["--count", "0"], "");
    world
        .run(&["consume", "t", "-p", "7"])
        .refused(1, &["no partition 7"]);
    world
        .run(&["consume", "nowhere"])
        .refused(1, &["there is no such topic"]);
    world
        .run(&["consume", "t", "--format", "%x"])
        .refused(2, &["%x"]);
}

#[test]
fn every_codec_and_acknowledgement_works() {
    let world = World::start();
    world.out(&["topic", "create", "t"]);
    let line = format!("{}\n", "all work and no play ".repeat(50));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produce = ["produce", "t", "--compression", codec];
        world
            .feed(&produce, line.repeat(20).as_bytes())
            .refused(0, &[]);
    }
    for acks in ["0", "1", "all"] {
        world
            .feed(&["produce", "t", "--acks", acks], line.as_bytes())
            .refused(0, &[]);
    }
    assert_eq!(
        world.out(&["consume", "t", "--count", "103"]),
        line.repeat(103)
    );
}

#[test]
fn a_record_that_cannot_be_written_is_counted_and_told() {
    let world = World::start();
    world
        .feed(&["produce", "t"], b"a\n")
        .refused(1, &["topic t: ", "klamm topic create t"]);
    world.out(&["topic", "create", "t", "-c", "max.message.bytes=1000"]);
    let large = vec![b'x'; 5_000];
    let refused = world.feed(&["produce", "t"], &large);
    refused.refused(1, &["a record was not delivered: ", "none was delivered"]);
    let partly = world.feed(
        &[
            "produce",
            "t",
            "-X",
            "linger.ms=0",
            "-X",
            "batch.num.messages=1",
        ],
        &[b"a\n".as_slice(), &large].concat(),
    );
    partly.refused(4, &["1 of 2 records were not delivered"]);
    assert_eq!(partly.out, "1 records delivered to t, 1 not\n");
    world
        .feed(&["produce", "t", "-p", "4"], b"a\n")
        .refused(1, &["no partition 4"]);
    world
        .feed(&["produce", "t", "--format", "json"], b"{\n")
        .refused(1, &["line 1: "]);
}
