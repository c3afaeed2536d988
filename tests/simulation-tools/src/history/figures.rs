//! What a run was like for its clients: how much, how many errors, how long they waited.

use std::collections::BTreeMap;
use std::fmt;

use crate::history::History;
use crate::history::event::{Event, Partition};

/// Longer lists help nobody.
const ERRORS_SHOWN: usize = 20;

/// Counts and times of a history; times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records given to producers.
    pub sent: usize,
    /// Those of them that were acknowledged.
    pub acknowledged: usize,
    /// Those that were certainly not written.
    pub failed: usize,
    /// Those of which nobody knows.
    pub unknown: usize,
    /// Records given to consumers.
    pub polled: usize,
    /// Acknowledged commits of offsets.
    pub commits: usize,
    /// What applications were told, and by which client.
    pub errors: Vec<String>,
    /// From a send to its acknowledgement.
    pub ack_p50_us: u64,
    /// 99 of 100 were quicker.
    pub ack_p99_us: u64,
    /// The longest.
    pub ack_max_us: u64,
    /// The longest of each producer, and when that record was sent, and where to.
    pub longest: BTreeMap<u32, Wait>,
    /// The longest time in which a consumer was given nothing, and when it began.
    pub silences: BTreeMap<String, (u64, u64)>,
}

/// One record's wait for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait {
    /// How long.
    pub us: u64,
    /// Since when.
    pub from_us: u64,
    /// Where to.
    pub partition: Partition,
}

impl Figures {
    /// Of what was begun from `from_us` on.
    pub fn of(history: &History, from_us: u64) -> Self {
        let mut figures = Self::default();
        let mut begun = BTreeMap::new();
        let mut waits = Vec::new();
        let mut last_polls: BTreeMap<&str, u64> = BTreeMap::new();
        let entries = history.entries().iter();
        for entry in entries.filter(|entry| entry.at_us >= from_us) {
            match &entry.event {
                Event::Send { value, partition } => {
                    figures.sent += 1;
                    begun.insert(*value, (entry.at_us, partition));
                }
                Event::Acknowledged { value, .. } => {
                    figures.acknowledged += 1;
                    let Some((from_us, partition)) = begun.remove(value) else {
                        continue;
                    };
                    let us = entry.at_us - from_us;
                    let partition = partition.clone();
                    let wait = Wait {
                        us,
                        from_us,
                        partition,
                    };
                    waits.push(us);
                    let longest = figures
                        .longest
                        .entry(value.producer)
                        .or_insert(wait.clone());
                    *longest = wait.max(longest.clone());
                }
                Event::Failed { .. } => figures.failed += 1,
                Event::Unknown { .. } => figures.unknown += 1,
                Event::Polled { consumer, .. } => {
                    figures.polled += 1;
                    let last = last_polls.insert(consumer, entry.at_us);
                    let last = last.unwrap_or(entry.at_us);
                    let silence = (entry.at_us - last, last);
                    let longest = figures.silences.entry(consumer.clone()).or_default();
                    *longest = silence.max(*longest);
                }
                Event::Committed { .. } => figures.commits += 1,
                Event::Error { client, text } => {
                    figures
                        .errors
                        .push(format!("{} {client}: {text}", entry.at_us));
                }
                _ => {}
            }
        }
        waits.sort_unstable();
        figures.ack_p50_us = quantile(&waits, 50);
        figures.ack_p99_us = quantile(&waits, 99);
        figures.ack_max_us = quantile(&waits, 100);
        figures
    }
}

/// The value that `percent` of all do not exceed; 0 of none.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let at = rank.saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {} acknowledged {} failed {} unknown {} polled {} commits {} errors {}; \
             acknowledged within p50 {} p99 {} max {} µs",
            self.sent,
            self.acknowledged,
            self.failed,
            self.unknown,
            self.polled,
            self.commits,
            self.errors.len(),
            self.ack_p50_us,
            self.ack_p99_us,
            self.ack_max_us,
        )?;
        for (producer, wait) in &self.longest {
            let Wait {
                us,
                from_us,
                partition,
            } = wait;
            write!(
                f,
                "\n  producer {producer} at most {us} µs, from {from_us}, {partition}"
            )?;
        }
        for (consumer, (us, from_us)) in &self.silences {
            write!(
                f,
                "\n  {consumer} given nothing for at most {us} µs, from {from_us}"
            )?;
        }
        let mut errors = self.errors.iter().take(ERRORS_SHOWN);
        errors.try_for_each(|error| write!(f, "\n  {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, quantile};
    use crate::history::History;
    use crate::history::event::{Entry, Event, Partition, Value};

    #[test]
    fn quantiles_are_values_that_were_seen() {
        assert_eq!(quantile(&[], 99), 0);
        assert_eq!(quantile(&[7], 50), 7);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&hundred, 50), 50);
        assert_eq!(quantile(&hundred, 99), 99);
        assert_eq!(quantile(&hundred, 100), 100);
    }

    #[test]
    fn a_send_waits_until_it_is_acknowledged() {
        let value = Value {
            producer: 1,
            number: 0,
        };
        let partition = Partition::new("t", 0);
        let offset = None;
        let events = [
            (10, Event::Send { value, partition }),
            (35, Event::Acknowledged { value, offset }),
        ];
        let entries = events.map(|(at_us, event)| Entry { at_us, event });
        let figures = Figures::of(&History::of([entries.to_vec()]), 0);
        let text = figures.to_string();
        assert!(text.starts_with("sent 1 acknowledged 1 "), "{text}");
        assert!(text.contains("p50 25 p99 25 max 25 µs\n"), "{text}");
        assert!(
            text.ends_with("producer 1 at most 25 µs, from 10, t-0"),
            "{text}"
        );
    }
}
