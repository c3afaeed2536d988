//! What clients saw, in a small table.

use std::time::Duration;

use serde_json::{Value, json};

use super::script::Script;
use super::seen::Seen;
use crate::bench::Acknowledged;
use crate::error::CliError;
use crate::output::{Column, Printer};

const COLUMNS: &[Column] = &[("WHAT CLIENTS SAW", "what"), ("", "value")];

/// All that is told.
#[derive(Debug)]
pub(super) struct Told {
    sent: u64,
    acknowledged: u64,
    received: u64,
    received_again: u64,
    lost: u64,
    /// The longest time without an acknowledgement of a partition that the killed broker led, and
    /// of another.
    pauses: [Option<Duration>; 2],
    /// Of messages before, during and after.
    p99s: [Option<Duration>; 3],
    /// From the start of the killed broker.
    caught_up_after: Option<Duration>,
}

impl Told {
    pub(super) fn of(sent: u64, script: &Script, seen: &Seen) -> Self {
        let acknowledged = seen.acknowledgements();
        let led: &[i32] = match &script.killed {
            Some((_, victim)) => &victim.led,
            None => &[],
        };
        let pause = |of_led: bool| {
            let mut partitions: Vec<_> = acknowledged.iter().map(|one| one.partition).collect();
            partitions.sort_unstable();
            partitions.dedup();
            let those = partitions.iter().filter(|one| led.contains(one) == of_led);
            those
                .filter_map(|one| longest_pause(&acknowledged, *one))
                .max()
        };
        let caught_up_after = script.caught_up.zip(script.started);
        Self {
            sent,
            acknowledged: acknowledged.len() as u64,
            received: seen.arrived(),
            received_again: seen.arrived_again(),
            lost: seen.lost(),
            pauses: [pause(true), pause(false)],
            p99s: p99s(&acknowledged, script),
            caught_up_after: caught_up_after.map(|(caught_up, started)| caught_up - started),
        }
    }

    pub(super) fn print(&self, printer: &mut Printer) -> Result<(), CliError> {
        printer.rows(COLUMNS, &self.rows(), "")
    }

    fn rows(&self) -> Vec<Value> {
        let row = |what: &str, value: String| json!({"what": what, "value": value});
        let [of_led, of_others] = self.pauses;
        let [before, during, after] = self.p99s;
        vec![
            row("messages sent", self.sent.to_string()),
            row("acknowledged", self.acknowledged.to_string()),
            row("acknowledged and lost", self.lost.to_string()),
            row("received", self.received.to_string()),
            row("received twice", self.received_again.to_string()),
            row(
                "longest pause of a partition that the killed broker led",
                ms(of_led),
            ),
            row("longest pause of another partition", ms(of_others)),
            row("p99 from due to acknowledged before the kill", ms(before)),
            row("p99 from the kill until it has caught up", ms(during)),
            row("p99 after that", ms(after)),
            row(
                "the killed broker had caught up, after its start",
                ms(self.caught_up_after),
            ),
        ]
    }

    /// # Errors
    /// Something was lost, or never acknowledged.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        let partly = |failed, total, what| {
            Err(CliError::Partly {
                failed,
                total,
                what,
            })
        };
        match self.sent.saturating_sub(self.acknowledged) {
            _ if self.lost > 0 => partly(
                self.lost,
                self.acknowledged,
                "acknowledged messages are lost",
            ),
            0 => Ok(()),
            failed => partly(failed, self.sent, "messages were not acknowledged"),
        }
    }
}

fn ms(duration: Option<Duration>) -> String {
    duration.map_or("-".to_owned(), |duration| {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    })
}

/// Between two acknowledgements of a partition.
fn longest_pause(acknowledged: &[Acknowledged], partition: i32) -> Option<Duration> {
    let of_it = acknowledged.iter().filter(|one| one.partition == partition);
    let times: Vec<_> = of_it.map(|one| one.at).collect();
    let pauses = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    pauses.max()
}

/// Of messages that were acknowledged before the kill; that were not, and due before the broker had
/// caught up; and that were due later.
fn p99s(acknowledged: &[Acknowledged], script: &Script) -> [Option<Duration>; 3] {
    let killed = script.killed.as_ref().map_or(Duration::MAX, |(at, _)| *at);
    let caught_up = script.caught_up.unwrap_or(Duration::MAX);
    let mut groups = [Vec::new(), Vec::new(), Vec::new()];
    for message in acknowledged {
        let due = message.at.saturating_sub(message.took);
        let group = match () {
            () if message.at < killed => 0,
            () if due < caught_up => 1,
            () => 2,
        };
        groups[group].push(message.took);
    }
    groups.map(p99)
}

fn p99(mut durations: Vec<Duration>) -> Option<Duration> {
    durations.sort_unstable();
    let rank = (durations.len() * 99).div_ceil(100);
    durations.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Witness as _;
    use crate::demo::script::tests::victim;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A message a millisecond, in turn to two partitions. Partition 0 is away from 1,000 to 1,500.
    fn told() -> Told {
        let seen = Seen::default();
        for sequence in 0..4_000 {
            let (partition, due) = (i32::from(sequence % 2 == 1), ms(sequence));
            let at = match (partition, sequence) {
                (0, 1_000..1_500) => ms(1_500),
                _ => due + ms(1),
            };
            let took = at - due;
            let message = Acknowledged {
                sequence,
                partition,
                at,
                took,
            };
            seen.acknowledged(message);
            seen.received(sequence);
        }
        let mut script = Script::of(ms(4_000));
        script.killed(ms(1_000), victim(&[0]));
        script.started(ms(2_000));
        script.caught_up(ms(2_300));
        Told::of(4_000, &script, &seen)
    }

    #[test]
    fn a_pause_is_that_of_one_partition() {
        // 998 was acknowledged at 999.
        assert_eq!(told().pauses, [Some(ms(501)), Some(ms(2))]);
    }

    #[test]
    fn latencies_before_during_and_after_are_told_apart() {
        assert_eq!(told().p99s, [Some(ms(1)), Some(ms(474)), Some(ms(1))]);
        assert_eq!(told().caught_up_after, Some(ms(300)));
    }

    #[test]
    fn what_is_lost_or_not_acknowledged_is_the_verdict() {
        let mut told = told();
        assert!(told.verdict().is_ok());
        told.sent += 2;
        assert!(told.verdict().is_err());
        told.sent -= 2;
        told.lost = 1;
        assert_eq!(
            told.verdict().expect_err("lost").to_string(),
            "1 of 4000 acknowledged messages are lost"
        );
    }
}
