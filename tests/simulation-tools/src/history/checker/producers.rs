//! Rules about sends: each ends, with an offset that can be, in the order of sending.

use std::collections::BTreeMap;

use crate::history::checker::facts::{End, Facts};
use crate::history::checker::{Anomaly, Kind};
use crate::history::event::Partition;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = stuck(facts);
    found.extend(spurious_offsets(facts));
    found.extend(out_of_order(facts));
    found
}

fn stuck(facts: &Facts<'_>) -> Vec<Anomaly> {
    let clients = facts.unended.iter();
    let clients = clients.map(|client| format!("{client} did not end"));
    let sends = facts.sends.iter().filter(|(_, sent)| sent.end.is_none());
    let sends = sends.map(|(value, sent)| format!("the send of {value} to {}", sent.partition));
    let found = clients.chain(sends);
    found.map(|what| Anomaly::new(Kind::Stuck, what)).collect()
}

/// An acknowledgement of what was not sent, or with an offset below zero, or with the zero that
/// answers have by default and another record has in truth.
fn spurious_offsets(facts: &Facts<'_>) -> Vec<Anomaly> {
    let strays = facts.strays.iter();
    let strays = strays.map(|value| format!("the end of a send of {value}, which nobody sent"));
    let wrong = facts.sends.iter().filter_map(|(value, sent)| {
        let Some(End::Acknowledged { offset: Some(at) }) = sent.end else {
            return None;
        };
        let claims = facts.claims.get(sent.partition);
        let others = claims.and_then(|claims| claims.get(&0));
        let is_taken = at == 0 && others.is_some_and(|others| others.len() > 1);
        (at < 0 || is_taken).then(|| format!("{value} at {at} of {}", sent.partition))
    });
    let found = strays.chain(wrong);
    found
        .map(|what| Anomaly::new(Kind::SpuriousOffset, what))
        .collect()
}

/// Values count a producer's sends: in their order, offsets rise.
fn out_of_order(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut last: BTreeMap<(u32, &Partition), i64> = BTreeMap::new();
    for (value, sent) in &facts.sends {
        let places = facts.places.get(&(sent.partition, *value));
        let Some(first) = places.and_then(|places| places.first()) else {
            continue;
        };
        let before = last.insert((value.producer, sent.partition), *first);
        if let Some(before) = before.filter(|before| before > first) {
            let at = sent.partition;
            let what = format!("{value} at {first} of {at}, one sent earlier at {before}");
            found.push(Anomaly::new(Kind::NonmonotonicSend, what));
        }
    }
    found
}
