//! Rules about records: what was acknowledged is there, once, where everybody finds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::checker::facts::{End, Facts, Sight};
use crate::history::checker::{Anomaly, Kind};
use crate::history::event::Partition;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = lost(facts);
    found.extend(vanished(facts));
    found.extend(duplicates(facts));
    found.extend(inconsistent_offsets(facts));
    for (partition, sights) in &facts.sights {
        found.extend(unsent(facts, partition, sights));
        found.extend(epochs(partition, sights));
    }
    for (partition, drainer) in &facts.drains {
        found.extend(gaps(facts, partition, drainer));
    }
    found
}

/// What was acknowledged is read by whoever reads past it, and by whoever reads to the end.
fn lost(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for partition in facts.written() {
        let read = facts.values_read(partition, None);
        let sights = facts.sights.get(partition).into_iter().flatten();
        let highest = sights.map(|sight| sight.offset).max();
        let is_drained = facts.drains.contains_key(partition);
        if !is_drained {
            found.push(Anomaly::new(Kind::Undrained, partition));
        }
        for (value, sent) in &facts.sends {
            let Some(End::Acknowledged { offset }) = sent.end else {
                continue;
            };
            if sent.partition != partition || read.contains(value) {
                continue;
            }
            let is_passed = offset.zip(highest).is_some_and(|(at, top)| at <= top);
            let what = format!("{value} of {partition}, acknowledged at {offset:?}");
            if is_passed {
                found.push(Anomaly::new(Kind::LostWrite, what));
            } else if is_drained {
                found.push(Anomaly::new(Kind::Unseen, what));
            }
        }
    }
    found
}

/// What anybody was given is still there at the end.
fn vanished(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (partition, drainer) in &facts.drains {
        let at_end = facts.values_read(partition, Some(drainer));
        let read = facts.values_read(partition, None);
        let gone = read.difference(&at_end);
        found.extend(
            gone.map(|value| Anomaly::new(Kind::Vanished, format!("{value} of {partition}"))),
        );
    }
    found
}

fn duplicates(facts: &Facts<'_>) -> Vec<Anomaly> {
    let twice = facts.places.iter().filter(|(_, places)| places.len() > 1);
    let found = twice.map(|((partition, value), places)| {
        Anomaly::new(
            Kind::Duplicate,
            format!("{value} at {places:?} of {partition}"),
        )
    });
    found.collect()
}

fn inconsistent_offsets(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (partition, offsets) in &facts.claims {
        for (offset, values) in offsets.iter().filter(|(_, values)| values.len() > 1) {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            let what = format!("{offset} of {partition} has {}", values.join(" and "));
            found.push(Anomaly::new(Kind::InconsistentOffsets, what));
        }
    }
    found
}

/// What is read was sent to that partition, and did not fail.
fn unsent(facts: &Facts<'_>, partition: &Partition, sights: &[Sight<'_>]) -> Vec<Anomaly> {
    let seen: BTreeSet<_> = sights.iter().map(|s| (s.offset, s.value)).collect();
    let found = seen.into_iter().filter_map(|(offset, value)| {
        let place = format!("{offset} of {partition}");
        let Some(value) = value else {
            return Some(Anomaly::new(Kind::WrongDelivery, place));
        };
        let kind = match facts.sends.get(&value) {
            None => Kind::Phantom,
            Some(sent) if sent.partition != partition => Kind::WrongDelivery,
            Some(sent) if sent.end == Some(End::Failed) => Kind::AbortedRead,
            Some(_) => return None,
        };
        Some(Anomaly::new(kind, format!("{value} at {place}")))
    });
    found.collect()
}

/// Leader epochs never fall along a log, and a record keeps its own.
fn epochs(partition: &Partition, sights: &[Sight<'_>]) -> Vec<Anomaly> {
    let known = sights.iter();
    let known = known.filter_map(|sight| Some((sight.offset, sight.leader_epoch?)));
    let mut by_offset: BTreeMap<i64, (i32, i32)> = BTreeMap::new();
    for (offset, epoch) in known {
        let (least, most) = by_offset.entry(offset).or_insert((epoch, epoch));
        (*least, *most) = ((*least).min(epoch), (*most).max(epoch));
    }
    let mut found = Vec::new();
    let mut last = i32::MIN;
    for (offset, (least, most)) in by_offset {
        if least != most || least < last {
            let what = format!("{offset} of {partition} in {least} to {most}, after {last}");
            found.push(Anomaly::new(Kind::EpochRegression, what));
        }
        last = last.max(most);
    }
    found
}

/// Nothing is missing between the first and the last record of a whole read.
fn gaps(facts: &Facts<'_>, partition: &Partition, drainer: &str) -> Vec<Anomaly> {
    let sights = facts.sights.get(partition).into_iter().flatten();
    let sights = sights.filter(|sight| sight.consumer == drainer);
    let offsets: Vec<_> = sights.map(|sight| sight.offset).collect();
    let pairs = offsets.windows(2).filter(|pair| pair[1] > pair[0] + 1);
    pairs
        .map(|pair| {
            let what = format!("between {} and {} of {partition}", pair[0], pair[1]);
            Anomaly::new(Kind::Gap, what)
        })
        .collect()
}
