//! Rules about consumers and groups: positions only rise, and a partition has one owner.

use std::collections::BTreeMap;

use crate::history::History;
use crate::history::checker::facts::Facts;
use crate::history::checker::{Anomaly, Kind};
use crate::history::event::{Event, Membership, Partition};

pub(super) fn check(history: &History, facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut sessions = Sessions::default();
    let mut groups = Groups::default();
    for entry in history.entries() {
        match &entry.event {
            Event::Assigned {
                consumer,
                group,
                partitions,
            } => {
                sessions.restart(consumer);
                if let Some(membership) = group {
                    groups.assigned(membership, consumer, partitions);
                }
            }
            Event::Polled {
                consumer,
                partition,
                offset,
                ..
            } => sessions.polled(facts, consumer, partition, *offset),
            Event::Watermark {
                consumer,
                partition,
                high_watermark,
            } => sessions.told(consumer, partition, *high_watermark),
            Event::Committed {
                group,
                partition,
                offset,
                begun_us,
            } => groups.committed(group, partition, *offset, (*begun_us, entry.at_us), true),
            Event::Resumed {
                group,
                partition,
                offset,
                begun_us,
            } => groups.committed(group, partition, *offset, (*begun_us, entry.at_us), false),
            _ => {}
        }
    }
    sessions.found.into_iter().chain(groups.found).collect()
}

/// What each consumer has seen since its last assignment.
#[derive(Default)]
struct Sessions<'a> {
    positions: BTreeMap<&'a str, BTreeMap<&'a Partition, i64>>,
    watermarks: BTreeMap<&'a str, BTreeMap<&'a Partition, i64>>,
    found: Vec<Anomaly>,
}

impl<'a> Sessions<'a> {
    fn restart(&mut self, consumer: &str) {
        self.positions.remove(consumer);
        self.watermarks.remove(consumer);
    }

    fn polled(
        &mut self,
        facts: &Facts<'_>,
        consumer: &'a str,
        partition: &'a Partition,
        offset: i64,
    ) {
        let positions = self.positions.entry(consumer).or_default();
        let Some(last) = positions.insert(partition, offset) else {
            return;
        };
        let what = format!("{consumer} of {partition}: {offset} after {last}");
        if offset <= last {
            self.found.push(Anomaly::new(Kind::NonmonotonicPoll, what));
            return;
        }
        let claims = facts.claims.get(partition);
        let mut between = claims
            .into_iter()
            .flat_map(|all| all.range(last + 1..offset));
        if between.next().is_some() {
            self.found.push(Anomaly::new(Kind::PollSkip, what));
        }
    }

    fn told(&mut self, consumer: &'a str, partition: &'a Partition, high_watermark: i64) {
        let watermarks = self.watermarks.entry(consumer).or_default();
        let last = watermarks.entry(partition).or_insert(high_watermark);
        if high_watermark < *last {
            let what = format!("{consumer} of {partition}: {high_watermark} after {last}");
            let anomaly = Anomaly::new(Kind::WatermarkRegression, what);
            self.found.push(anomaly);
        }
        *last = high_watermark;
    }
}

/// A group's offset of one partition, as an acknowledged commit left it.
struct Commit {
    offset: i64,
    ended_us: u64,
}

#[derive(Default)]
struct Groups<'a> {
    owners: BTreeMap<(&'a Membership, &'a Partition), &'a str>,
    /// Acknowledged commits in the order in which they ended, each higher than all before it.
    commits: BTreeMap<(&'a str, &'a Partition), Vec<Commit>>,
    found: Vec<Anomaly>,
}

impl<'a> Groups<'a> {
    fn assigned(
        &mut self,
        membership: &'a Membership,
        consumer: &'a str,
        partitions: &'a [Partition],
    ) {
        for partition in partitions {
            let owner = self
                .owners
                .entry((membership, partition))
                .or_insert(consumer);
            if *owner != consumer {
                let Membership { group, generation } = membership;
                let what = format!(
                    "{partition} belongs to {owner} and {consumer} in generation {generation} of {group}"
                );
                self.found.push(Anomaly::new(Kind::TwoOwners, what));
            }
        }
    }

    /// A commit, or a question for one: neither may be below a commit that had ended before it
    /// began, since consumers here commit what they have read and nobody resets an offset.
    fn committed(
        &mut self,
        group: &'a str,
        partition: &'a Partition,
        offset: i64,
        (begun_us, ended_us): (u64, u64),
        is_commit: bool,
    ) {
        let commits = self.commits.entry((group, partition)).or_default();
        let before = commits.partition_point(|commit| commit.ended_us < begun_us);
        let before = commits[..before].last();
        if let Some(before) = before.filter(|before| before.offset > offset) {
            let what = format!(
                "{group} of {partition}: {offset} after {} was acknowledged",
                before.offset
            );
            self.found.push(Anomaly::new(Kind::CommitRegression, what));
        }
        let is_higher = commits.last().is_none_or(|last| offset > last.offset);
        if is_commit && is_higher {
            commits.push(Commit { offset, ended_us });
        }
    }
}
