//! A disk without room: what is refused, what goes on, and that nothing acknowledged is lost.
//!
//! The disk is a small one in memory, mounted where only the broker and its holder see it, so that
//! nothing is left behind however the test ends.

use std::path::PathBuf;
use std::process::Command;

use kafka_protocol::messages::{DeleteTopicsRequest, TopicName};

use crate::broker::{Broker, refusal, serve};
use crate::client::Client;
use crate::process::{Process, command};
use crate::requests::{KAFKA_STORAGE_ERROR, batch, text};
use crate::support::{TempDir, eventually};

/// A disk of some MiB at `data`, as long as it lives.
struct SmallDisk {
    dir: TempDir,
    holder: Process,
}

impl SmallDisk {
    fn mount(mebibytes: u32) -> Self {
        let dir = TempDir::new();
        let mut unshare = command("unshare");
        unshare.current_dir(dir.path());
        unshare.args(["--mount", "--map-root-user", "sh", "-c"]);
        unshare.arg(format!(
            "mkdir data && mount -t tmpfs -o size={mebibytes}m tmpfs data && \
             echo mounted >&2 && exec sleep infinity"
        ));
        let holder = Process::start(unshare);
        holder.says("mounted");
        Self { dir, holder }
    }

    /// The same command where the disk is seen.
    fn command(&self, plain: &Command) -> Command {
        let mut nsenter = command("nsenter");
        let holder = self.holder.id().to_string();
        nsenter.args([
            "--user",
            "--preserve-credentials",
            "--mount",
            "--target",
            &holder,
        ]);
        let dir = self.dir.path().to_str().expect("the path is text");
        nsenter.args([&format!("--wd={dir}"), "--"]);
        nsenter.arg(plain.get_program()).args(plain.get_args());
        nsenter
    }

    fn start(&self, settings: &[(&str, &str)]) -> Broker {
        Broker::run(self.command(&serve(&self.dir, settings)))
    }

    /// A path on the disk, as seen from here.
    fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let data = self.dir.data();
        root.join(data.strip_prefix("/").expect("it is absolute"))
            .join(name)
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut bytes = 1 << 20;
        let mut filler = std::fs::File::create(self.path("filler")).expect("it can be made");
        let zeros = vec![0; bytes];
        while bytes > 0 {
            match std::io::Write::write(&mut filler, &zeros[..bytes]) {
                Ok(_) => {}
                Err(_) => bytes /= 2,
            }
        }
    }

    /// Takes what has become free since.
    fn fill_on(&self) {
        let (path, other) = (self.path("filler"), self.path("other-filler"));
        std::fs::rename(path, other).expect("it can be renamed");
        self.fill();
    }

    fn free(&self) {
        std::fs::remove_file(self.path("filler")).expect("it is there");
    }
}

/// Bytes that are free on the disk.
fn available(disk: &SmallDisk) -> u64 {
    let found = rustix::fs::statvfs(disk.path("")).expect("it is mounted");
    found.f_bavail * found.f_frsize
}

/// Produces until the disk is full; how many batches were acknowledged.
fn produce_until_full(client: &mut Client, value: &[u8]) -> i64 {
    let mut acknowledged = 0;
    loop {
        match client.produce("t", &batch(&[value])) {
            Ok(offset) => {
                assert_eq!(offset, acknowledged);
                acknowledged += 1;
            }
            Err(error) => {
                assert_eq!(error, KAFKA_STORAGE_ERROR);
                return acknowledged;
            }
        }
        assert!(acknowledged < 10_000, "the disk is small");
    }
}

#[test]
fn producers_are_refused_readers_are_not_and_room_heals_it() {
    let disk = SmallDisk::mount(24);
    let broker = disk.start(&[("replica.high.watermark.checkpoint.interval.ms", "50")]);
    let mut client = broker.client();
    client.create_topic("t", &[("segment.bytes", "1048576")]);
    let value = vec![b'x'; 100_000];
    let full = produce_until_full(&mut client, &value);
    assert!(full > 50, "{full}");
    for _ in 0..20 {
        assert_eq!(
            client.produce("t", &batch(&[&value])),
            Err(KAFKA_STORAGE_ERROR)
        );
    }
    assert_eq!(client.read_all("t", 0).len() as i64, full, "readers go on");

    // Something else on the disk goes, or retention does its work.
    assert_eq!(client.alter(2, "t", "segment.bytes", Some("2097152")), 0);
    drop(client);
    broker.kill();
    let broker = disk.start(&[
        ("log.retention.check.interval.ms", "50"),
        ("log.initial.task.delay.ms", "0"),
        ("log.segment.delete.delay.ms", "0"),
    ]);
    let mut client = broker.client();
    assert_eq!(
        client.read_all("t", 0).len() as i64,
        full,
        "nothing acknowledged is lost"
    );
    assert_eq!(client.alter(2, "t", "retention.bytes", Some("5000000")), 0);
    let offset = eventually("there is room again", || {
        client.produce("t", &batch(&[&value])).ok()
    });
    assert_eq!(offset, full);
    broker.stop();
}

#[test]
fn a_disk_filled_by_others_is_survived_without_a_restart() {
    let disk = SmallDisk::mount(48);
    let broker = disk.start(&[("replica.high.watermark.checkpoint.interval.ms", "50")]);
    let mut client = broker.client();
    client.create_topic("t", &[("flush.ms", "20")]);
    client.create_topic("strict", &[("flush.messages", "1")]);
    let value = vec![b'x'; 10_000];
    assert_eq!(client.produce("t", &batch(&[&value])), Ok(0));
    assert_eq!(client.produce("strict", &batch(&[&value])), Ok(0));
    for round in 0..3 {
        disk.fill();
        let refused = eventually("the disk is full", || {
            client.produce("t", &batch(&[&value])).err()
        });
        assert_eq!(refused, KAFKA_STORAGE_ERROR, "round {round}");
        let created = client.try_create_topic(&format!("new-{round}"), 1, &[]);
        let before = client.read_all("t", 0).len() as i64;
        disk.free();
        let after = eventually("there is room again", || {
            client.produce("t", &batch(&[&value])).ok()
        });
        assert_eq!(after, before, "round {round}");
        let strict = client.produce("strict", &batch(&[&value]));
        assert!(strict.is_ok(), "round {round} {strict:?}");
        if created.0 == 0 {
            let name = format!("new-{round}");
            let first = eventually("the new topic is open", || {
                client.produce(&name, &batch(&[b"a"])).ok()
            });
            assert_eq!(first, 0, "round {round}");
        }
    }
    let count = client.read_all("t", 0).len();
    broker.stop();
    let broker = disk.start(&[]);
    assert_eq!(broker.client().read_all("t", 0).len(), count);
}

#[test]
fn retention_and_deletion_make_room_where_there_is_none() {
    for mebibytes in [24, 64] {
        let disk = SmallDisk::mount(mebibytes);
        let broker = disk.start(&[
            ("log.retention.check.interval.ms", "50"),
            ("log.initial.task.delay.ms", "0"),
            ("log.segment.delete.delay.ms", "0"),
        ]);
        let mut client = broker.client();
        let value = vec![b'x'; 500_000];
        for topic in ["t", "u"] {
            client.create_topic(topic, &[("segment.bytes", "1048576")]);
            for _ in 0..10 {
                client
                    .produce(topic, &batch(&[&value]))
                    .expect("it is appended");
            }
        }
        disk.fill();
        let before = available(&disk);
        let alter = client.alter(2, "t", "retention.bytes", Some("1000000"));
        assert_eq!(alter, 0, "{mebibytes}");
        let after = eventually("retention makes room", || {
            let now = available(&disk);
            (now > before + (2 << 20)).then_some(now)
        });
        disk.fill_on();
        let deletion = DeleteTopicsRequest::default()
            .with_topic_names(vec![TopicName(text("u"))])
            .with_timeout_ms(10_000);
        assert_eq!(client.call(4, &deletion).responses[0].error_code, 0);
        eventually("deletion makes room", || {
            (available(&disk) > 2 << 20).then_some(())
        });
        assert!(after > before);
        client
            .produce("t", &batch(&[&value]))
            .expect("there is room");
        broker.stop();
    }
}

#[test]
fn on_a_full_disk_topics_can_be_deleted_and_the_broker_can_be_started() {
    let disk = SmallDisk::mount(64);
    let broker = disk.start(&[]);
    let mut client = broker.client();
    for number in 0..100 {
        client.create_topic(&format!("t{number}"), &[]);
    }
    client
        .produce("t0", &batch(&[b"a"]))
        .expect("it is appended");
    disk.fill();
    for number in 1..100 {
        // What is kept back for this is enough for many changes.
        assert_eq!(
            client.alter(2, "t0", "retention.ms", Some(&format!("{number}00000"))),
            0
        );
    }
    broker.kill();
    let broker = disk.start(&[]);
    assert_eq!(broker.client().values("t0", 0), ["a"]);
    disk.free();
    eventually("what was kept back is kept back again", || {
        disk.path("klamm.ballast").exists().then_some(())
    });
    broker.stop();
}

#[test]
fn a_start_on_a_full_disk_serves_or_says_that_it_is_full() {
    let disk = SmallDisk::mount(24);
    let broker = disk.start(&[]);
    let mut client = broker.client();
    client.create_topic("t", &[]);
    client
        .produce("t", &batch(&[b"a"]))
        .expect("it is appended");
    broker.kill();
    disk.fill();
    let said = refusal(disk.command(&serve(&disk.dir, &[])));
    assert!(said.contains("no space left on device"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    disk.free();
    let broker = disk.start(&[]);
    assert_eq!(broker.client().values("t", 0), ["a"]);
    broker.stop();
}
