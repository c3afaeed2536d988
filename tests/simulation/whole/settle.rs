//! The end of a life: faults end, everything comes to rest, and all must be as if there had been none.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::MetadataImage;
use klamm_simulation::Tally;
use klamm_simulation::history::History;
use klamm_simulation::history::checker::check;
use klamm_simulation::history::figures::Figures;

use super::clients::reader::Reader;
use super::hosted::batches;
use super::messages::Group;
use super::rules::METADATA;
use super::world::World;

/// How long things go wrong, in µs.
const TROUBLE_US: u64 = 12_000_000;
/// How soon after that every group has a leader.
const ELECTION_US: u64 = 10_000_000;
/// How soon clients have ended what they had begun.
const PATIENCE_US: u64 = 60_000_000;
/// What is left to be done takes no longer: sessions end, all is fsynced, and followers are told.
const REST_US: u64 = 8_000_000;

/// What came of a life.
#[derive(Clone, Debug)]
pub(super) struct Lived {
    pub(super) tally: Tally,
    pub(super) acknowledged: u64,
    pub(super) polled: u64,
    pub(super) commits: u64,
    /// How often the end of a log was cut off.
    pub(super) corrections: u64,
    /// Changes of the metadata.
    pub(super) changes: u64,
}

impl World<'_> {
    /// Lives it.
    pub(super) fn live(mut self) -> Lived {
        self.begin();
        self.live_until(TROUBLE_US, |_| false);
        self.heal();
        self.live_until(self.now_us + ELECTION_US, World::is_led);
        self.note_standing();
        assert!(self.is_led(), "not every group has a leader");
        for seat in &mut self.clients {
            seat.client.wind_up();
        }
        self.await_clients();
        let drain = Reader::draining(&self.data.clone());
        self.seat(Box::new(drain));
        self.await_clients();
        self.live_until(self.now_us + REST_US, |_| false);
        self.note_standing();
        self.check_end();
        self.check_history()
    }

    fn await_clients(&mut self) {
        let is_done = |world: &Self| world.clients.iter().all(|seat| seat.client.is_done());
        self.live_until(self.now_us + PATIENCE_US, is_done);
        for seat in &self.clients {
            assert!(seat.client.is_done(), "{} does not end", seat.client.name());
        }
    }

    fn heal(&mut self) {
        self.note("healed".to_owned());
        self.is_healed = true;
        self.network.heal();
        self.pace.lost_one_in = 1_000_000;
        for broker in 0..self.brokers.len() {
            let host = &mut self.brokers[broker];
            host.halted_until = 0;
            host.disk_stalls_until = 0;
            host.disk.clear_faults();
            self.start(broker);
        }
        self.relent();
    }

    /// How every replica stands, for whoever reads of a life that fails.
    fn note_standing(&self) {
        for process in self.brokers.iter().filter_map(|host| host.process.as_ref()) {
            let (own, known) = (process.own + 1, process.is_known);
            let reached = &process.reached;
            let applied = process.applied;
            self.note(format!(
                "{own}: known {known}, has applied {applied}, reaches {reached:?}"
            ));
            for hosted in process.hosted.values() {
                let driver = &hosted.driver;
                self.note(format!(
                    "{own}: {} {:?} leads {} in {}, ends at {}, shows {}, committed {}, barred {}, \
                     asleep {}, offline {:?}, {:?}",
                    hosted.id,
                    hosted.replica,
                    driver.is_leader(),
                    driver.leader_epoch().0,
                    driver.log_end_offset(),
                    driver.high_watermark(),
                    driver.committed_offset(),
                    driver.is_recovering(),
                    driver.is_asleep(),
                    driver.offline(),
                    driver.members(),
                ));
            }
        }
    }

    /// The image that the most advanced broker has.
    fn image(&self) -> &MetadataImage {
        let processes = self.brokers.iter().filter_map(|host| host.process.as_ref());
        let newest = processes.max_by_key(|process| process.applied);
        &newest.expect("all run").image
    }

    fn groups(&self) -> Vec<Group> {
        let topics = self.image().topics();
        let groups = topics.flat_map(|topic| {
            let topic_id = topic.id;
            let indexes = topic.partition_indexes();
            indexes.map(move |index| Group {
                topic: topic_id,
                index,
            })
        });
        groups.chain([METADATA]).collect()
    }

    fn is_led(&self) -> bool {
        let leads = |group: &Group| {
            let mut hosts = self.brokers.iter().filter_map(|host| host.process.as_ref());
            hosts.any(|process| {
                process
                    .hosted
                    .get(group)
                    .is_some_and(|hosted| hosted.leads())
            })
        };
        let all = self.groups();
        all.len() > 1 + self.data.len() && all.iter().all(leads)
    }

    /// One leader, one log, one image; and nothing that was shown is missing.
    fn check_end(&mut self) {
        let newest = self.image().clone();
        for host in &self.brokers {
            let process = host.process.as_ref().expect("all run");
            assert_eq!(process.image, newest, "one image in the end");
            assert!(process.is_known, "everybody belongs to the cluster");
            assert!(!process.dir.boot().recovering, "nobody is barred for ever");
        }
        for topic in newest.topics() {
            let settled = topic
                .partitions
                .iter()
                .all(|partition| !partition.is_reassigning());
            assert!(settled, "reassignments of {} end", topic.name);
        }
        for group in self.groups() {
            self.check_group(group);
        }
    }

    fn check_group(&mut self, group: Group) {
        let shown = self.oracle.end_of(group);
        let mut logs = BTreeMap::new();
        let mut leaders = 0;
        for (place, host) in self.brokers.iter_mut().enumerate() {
            let process = host.process.as_mut().expect("all run");
            let Some(hosted) = process.hosted.get_mut(&group) else {
                continue;
            };
            leaders += usize::from(hosted.driver.is_leader());
            let end = hosted.driver.log_end_offset();
            let (id, driver) = (&hosted.id, &hosted.driver);
            assert_eq!(end, shown, "{}: {id} ends elsewhere", place + 1);
            assert_eq!(driver.high_watermark(), end, "{}: {id} is shown", place + 1);
            assert_eq!(
                driver.committed_offset(),
                end,
                "{}: {id} is committed",
                place + 1
            );
            let all = batches(hosted.driver.log_mut(), klamm_model::Offset::ZERO, end);
            let all = all.expect("the disk works");
            let bytes: Vec<_> = all.iter().map(klamm_model::RecordBatch::to_bytes).collect();
            logs.insert(place, (hosted.driver.log().last_index(), bytes));
        }
        assert_eq!(leaders, 1, "one leader of {group:?}");
        let mut logs = logs.into_values();
        let first = logs.next().expect("it leads");
        assert!(logs.all(|log| log == first), "one log of {group:?}");
    }

    fn check_history(mut self) -> Lived {
        let changes = self.oracle.end_of(METADATA).get().unsigned_abs();
        let history = History::of([self.history]);
        let anomalies = check(&history);
        assert!(anomalies.is_empty(), "{anomalies:#?}");
        let figures = Figures::of(&history, 0);
        self.tally.ended(Duration::from_micros(self.now_us));
        Lived {
            tally: self.tally,
            corrections: self.corrections,
            acknowledged: figures.acknowledged as u64,
            polled: figures.polled as u64,
            commits: figures.commits as u64,
            changes,
        }
    }
}
