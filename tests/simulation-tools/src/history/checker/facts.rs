//! A history, ordered by what the rules ask for.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::History;
use crate::history::event::{Entry, Event, Partition, Value};

/// What is known of one send.
pub(super) struct Sent<'a> {
    pub(super) partition: &'a Partition,
    pub(super) end: Option<End>,
}

/// How a send ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Acknowledged { offset: Option<i64> },
    Failed,
    Unknown,
}

/// One record as a consumer was given it.
pub(super) struct Sight<'a> {
    pub(super) consumer: &'a str,
    pub(super) offset: i64,
    pub(super) value: Option<Value>,
    pub(super) leader_epoch: Option<i32>,
}

#[derive(Default)]
pub(super) struct Facts<'a> {
    pub(super) sends: BTreeMap<Value, Sent<'a>>,
    /// Each partition's records as they were read, in the order of the history.
    pub(super) sights: BTreeMap<&'a Partition, Vec<Sight<'a>>>,
    /// Who has read which partition from its start to its end.
    pub(super) drains: BTreeMap<&'a Partition, &'a str>,
    /// Which values each offset is said to have, by acknowledgements and by reads.
    pub(super) claims: BTreeMap<&'a Partition, BTreeMap<i64, BTreeSet<Value>>>,
    /// The same the other way round.
    pub(super) places: BTreeMap<(&'a Partition, Value), BTreeSet<i64>>,
    /// Clients that began and were not seen to end.
    pub(super) unended: BTreeSet<&'a str>,
    /// Completions of sends that nobody began.
    pub(super) strays: Vec<Value>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut facts = Self::default();
        for entry in history.entries() {
            facts.add(entry);
        }
        facts
    }

    fn add(&mut self, entry: &'a Entry) {
        match &entry.event {
            Event::Started { client } => {
                self.unended.insert(client);
            }
            Event::Stopped { client } => {
                self.unended.remove(client.as_str());
            }
            Event::Send { value, partition } => {
                let sent = Sent {
                    partition,
                    end: None,
                };
                self.sends.insert(*value, sent);
            }
            Event::Acknowledged { value, offset } => {
                let offset = *offset;
                self.end(*value, End::Acknowledged { offset });
            }
            Event::Failed { value } => self.end(*value, End::Failed),
            Event::Unknown { value } => self.end(*value, End::Unknown),
            Event::Polled {
                consumer,
                partition,
                offset,
                value,
                leader_epoch,
            } => {
                let sight = Sight {
                    consumer,
                    offset: *offset,
                    value: *value,
                    leader_epoch: *leader_epoch,
                };
                self.sights.entry(partition).or_default().push(sight);
                if let Some(value) = value {
                    self.claim(partition, *offset, *value);
                }
            }
            Event::Drained {
                consumer,
                partition,
            } => {
                self.drains.insert(partition, consumer);
            }
            Event::Error { .. }
            | Event::Assigned { .. }
            | Event::Watermark { .. }
            | Event::Committed { .. }
            | Event::Resumed { .. } => {}
        }
    }

    fn end(&mut self, value: Value, end: End) {
        let Some(sent) = self.sends.get_mut(&value) else {
            self.strays.push(value);
            return;
        };
        sent.end = Some(end);
        let partition = sent.partition;
        // An impossible offset is a finding of its own, and no place of a record.
        if let End::Acknowledged { offset: Some(at) } = end
            && at >= 0
        {
            self.claim(partition, at, value);
        }
    }

    fn claim(&mut self, partition: &'a Partition, offset: i64, value: Value) {
        let offsets = self.claims.entry(partition).or_default();
        offsets.entry(offset).or_default().insert(value);
        let places = self.places.entry((partition, value)).or_default();
        places.insert(offset);
    }

    /// The values that were read from a partition, by anyone or by one consumer.
    pub(super) fn values_read(&self, partition: &Partition, by: Option<&str>) -> BTreeSet<Value> {
        let sights = self.sights.get(partition).into_iter().flatten();
        let sights = sights.filter(|sight| by.is_none_or(|by| by == sight.consumer));
        sights.filter_map(|sight| sight.value).collect()
    }

    /// All partitions that were written to.
    pub(super) fn written(&self) -> BTreeSet<&'a Partition> {
        self.sends.values().map(|sent| sent.partition).collect()
    }
}
