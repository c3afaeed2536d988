//! A clean history passes; with one anomaly planted in it, that one is found.

use std::collections::BTreeSet;

use super::{Kind, check};
use crate::history::History;
use crate::history::event::{Entry, Event, Membership, Partition, Value};

/// Where and by whom everything happens unless an event says otherwise.
const CONSUMER: &str = "reader";
const DRAINER: &str = "final";

fn here() -> Partition {
    Partition::new("t", 0)
}

fn value(number: u64) -> Value {
    Value {
        producer: 1,
        number,
    }
}

/// One producer's sends 0 to 4, acknowledged at those offsets, read by a consumer that commits
/// them, and by one more in the end.
fn clean() -> Vec<Event> {
    let mut events = vec![
        started("producer"),
        started(CONSUMER),
        assigned(CONSUMER, 1),
    ];
    for number in 0..5 {
        let offset = i64::try_from(number).expect("small");
        events.push(send(number));
        events.push(acknowledged(number, offset));
        events.push(polled(CONSUMER, offset, number));
        events.push(watermark(offset + 1));
    }
    events.push(committed(5));
    events.push(stopped("producer"));
    events.push(stopped(CONSUMER));
    events.extend((0..5).map(|at| polled(DRAINER, at, u64::try_from(at).expect("small"))));
    events.push(drained());
    events
}

fn started(client: &str) -> Event {
    let client = client.to_owned();
    Event::Started { client }
}

fn stopped(client: &str) -> Event {
    let client = client.to_owned();
    Event::Stopped { client }
}

fn send(number: u64) -> Event {
    Event::Send {
        value: value(number),
        partition: here(),
    }
}

fn acknowledged(number: u64, offset: i64) -> Event {
    Event::Acknowledged {
        value: value(number),
        offset: Some(offset),
    }
}

fn polled(consumer: &str, offset: i64, number: u64) -> Event {
    Event::Polled {
        consumer: consumer.to_owned(),
        partition: here(),
        offset,
        value: Some(value(number)),
        leader_epoch: Some(1),
    }
}

fn watermark(high_watermark: i64) -> Event {
    Event::Watermark {
        consumer: CONSUMER.to_owned(),
        partition: here(),
        high_watermark,
    }
}

fn assigned(consumer: &str, generation: i32) -> Event {
    let group = "g".to_owned();
    Event::Assigned {
        consumer: consumer.to_owned(),
        group: Some(Membership { group, generation }),
        partitions: vec![here()],
    }
}

/// Sent and acknowledged at once.
fn committed(offset: i64) -> Event {
    Event::Committed {
        group: "g".to_owned(),
        partition: here(),
        offset,
        begun_us: 0,
    }
}

fn drained() -> Event {
    Event::Drained {
        consumer: DRAINER.to_owned(),
        partition: here(),
    }
}

/// Gives every event a time, ten microseconds after the one before.
fn history(events: Vec<Event>) -> History {
    let timed = (1..).map(|at| at * 10).zip(events);
    let entries = timed.map(|(at_us, mut event)| {
        if let Event::Committed { begun_us, .. } | Event::Resumed { begun_us, .. } = &mut event {
            *begun_us = at_us;
        }
        Entry { at_us, event }
    });
    History::of([entries.collect()])
}

fn kinds(events: Vec<Event>) -> BTreeSet<Kind> {
    let found = check(&history(events));
    found.into_iter().map(|anomaly| anomaly.kind).collect()
}

/// Takes the clean history, spoils it, and asks for exactly these findings.
fn finds(spoil: impl FnOnce(&mut Vec<Event>), expected: &[Kind]) {
    let mut events = clean();
    spoil(&mut events);
    assert_eq!(kinds(events), expected.iter().copied().collect());
}

/// Removes an event that has to be there.
fn remove(events: &mut Vec<Event>, event: &Event) {
    let at = events.iter().position(|found| found == event);
    events.remove(at.expect("it is in the clean history"));
}

fn replace(events: &mut [Event], event: &Event, by: Event) {
    let mut found = events.iter_mut();
    *found
        .find(|found| *found == event)
        .expect("it is in the clean history") = by;
}

/// Before the producer and the consumer end.
fn insert(events: &mut Vec<Event>, event: Event) {
    let at = events
        .iter()
        .position(|found| *found == stopped("producer"));
    events.insert(at.expect("it is in the clean history"), event);
}

#[test]
fn a_clean_history_passes() {
    finds(|_| (), &[]);
}

#[test]
fn what_failed_or_is_unknown_and_nobody_read_is_no_finding() {
    finds(
        |events| {
            insert(events, send(5));
            insert(events, Event::Failed { value: value(5) });
            insert(events, send(6));
            insert(events, Event::Unknown { value: value(6) });
        },
        &[],
    );
}

#[test]
fn what_is_unknown_may_be_read() {
    let unknown = Event::Unknown { value: value(3) };
    finds(|events| replace(events, &acknowledged(3, 3), unknown), &[]);
}

#[test]
fn an_acknowledged_record_that_readers_passed_by_is_lost() {
    finds(
        |events| {
            remove(events, &polled(CONSUMER, 2, 2));
            remove(events, &polled(DRAINER, 2, 2));
        },
        &[Kind::LostWrite, Kind::Gap, Kind::PollSkip],
    );
}

#[test]
fn an_acknowledged_record_that_is_not_at_the_end_is_unseen() {
    finds(
        |events| {
            insert(events, send(5));
            insert(events, acknowledged(5, 5));
        },
        &[Kind::Unseen],
    );
}

#[test]
fn a_record_acknowledged_without_an_offset_is_missed_as_well() {
    finds(
        |events| {
            insert(events, send(5));
            let value = value(5);
            insert(
                events,
                Event::Acknowledged {
                    value,
                    offset: None,
                },
            );
        },
        &[Kind::Unseen],
    );
}

#[test]
fn a_record_that_was_read_and_is_gone_has_vanished() {
    finds(
        |events| {
            insert(events, send(5));
            insert(events, Event::Unknown { value: value(5) });
            insert(events, polled(CONSUMER, 5, 5));
        },
        &[Kind::Vanished],
    );
}

#[test]
fn a_record_that_failed_for_certain_and_is_read_is_an_aborted_read() {
    let failed = Event::Failed { value: value(3) };
    finds(
        |events| replace(events, &acknowledged(3, 3), failed),
        &[Kind::AbortedRead],
    );
}

#[test]
fn a_record_that_nobody_sent_is_a_phantom() {
    finds(
        |events| {
            remove(events, &send(4));
            remove(events, &acknowledged(4, 4));
        },
        &[Kind::Phantom],
    );
}

#[test]
fn a_record_of_another_partition_is_delivered_wrongly() {
    let elsewhere = Event::Send {
        value: value(4),
        partition: Partition::new("t", 1),
    };
    finds(
        |events| {
            replace(events, &send(4), elsewhere);
            remove(events, &acknowledged(4, 4));
            insert(events, Event::Unknown { value: value(4) });
        },
        &[Kind::WrongDelivery, Kind::Undrained],
    );
}

#[test]
fn a_record_with_other_bytes_than_any_that_were_sent_is_delivered_wrongly() {
    let mut damaged = polled(CONSUMER, 4, 4);
    if let Event::Polled { value, .. } = &mut damaged {
        *value = None;
    }
    finds(
        |events| replace(events, &polled(CONSUMER, 4, 4), damaged),
        &[Kind::WrongDelivery],
    );
}

#[test]
fn a_record_at_two_offsets_is_a_duplicate() {
    finds(
        |events| {
            let at = events.len() - 1;
            events.insert(at, polled(DRAINER, 5, 4));
        },
        &[Kind::Duplicate],
    );
}

#[test]
fn two_records_at_one_offset_are_inconsistent() {
    finds(
        |events| {
            insert(events, send(5));
            insert(events, Event::Unknown { value: value(5) });
            replace(events, &polled(DRAINER, 4, 4), polled(DRAINER, 4, 5));
        },
        &[Kind::Vanished, Kind::InconsistentOffsets],
    );
}

#[test]
fn a_later_send_at_a_lower_offset_is_out_of_order() {
    finds(
        |events| {
            for (offset, number, other) in [(2, 2, 3), (3, 3, 2)] {
                let at = i64::try_from(other).expect("small");
                replace(
                    events,
                    &acknowledged(number, offset),
                    acknowledged(number, at),
                );
                for reader in [CONSUMER, DRAINER] {
                    replace(
                        events,
                        &polled(reader, offset, number),
                        polled(reader, offset, other),
                    );
                }
            }
        },
        &[Kind::NonmonotonicSend],
    );
}

#[test]
fn an_acknowledgement_at_no_offset_is_spurious() {
    finds(
        |events| replace(events, &acknowledged(3, 3), acknowledged(3, -1)),
        &[Kind::SpuriousOffset],
    );
}

#[test]
fn an_acknowledgement_at_another_records_zero_is_spurious() {
    finds(
        |events| replace(events, &acknowledged(3, 3), acknowledged(3, 0)),
        &[
            Kind::Duplicate,
            Kind::InconsistentOffsets,
            Kind::NonmonotonicSend,
            Kind::SpuriousOffset,
        ],
    );
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_spurious() {
    finds(
        |events| insert(events, acknowledged(9, 9)),
        &[Kind::SpuriousOffset],
    );
}

#[test]
fn an_offset_without_a_record_is_a_gap() {
    finds(
        |events| {
            insert(events, send(5));
            insert(events, acknowledged(5, 7));
            let at = events.len() - 1;
            events.insert(at, polled(DRAINER, 7, 5));
        },
        &[Kind::Gap],
    );
}

#[test]
fn a_leader_epoch_that_falls_along_the_log_is_noticed() {
    let mut old = polled(DRAINER, 4, 4);
    if let Event::Polled { leader_epoch, .. } = &mut old {
        *leader_epoch = Some(0);
    }
    finds(
        |events| replace(events, &polled(DRAINER, 4, 4), old),
        &[Kind::EpochRegression],
    );
}

#[test]
fn a_consumer_that_is_given_a_record_again_goes_back() {
    finds(
        |events| insert(events, polled(CONSUMER, 3, 3)),
        &[Kind::NonmonotonicPoll],
    );
}

#[test]
fn a_consumer_may_go_back_after_it_was_assigned_anew() {
    finds(
        |events| {
            insert(events, assigned(CONSUMER, 2));
            insert(events, polled(CONSUMER, 3, 3));
        },
        &[],
    );
}

#[test]
fn a_consumer_that_is_not_given_a_record_skips_it() {
    finds(
        |events| remove(events, &polled(CONSUMER, 2, 2)),
        &[Kind::PollSkip],
    );
}

#[test]
fn a_high_watermark_that_falls_is_noticed() {
    finds(
        |events| insert(events, watermark(4)),
        &[Kind::WatermarkRegression],
    );
}

#[test]
fn a_commit_that_goes_back_is_noticed() {
    finds(
        |events| insert(events, committed(4)),
        &[Kind::CommitRegression],
    );
}

#[test]
fn a_committed_offset_that_is_forgotten_is_noticed() {
    let resumed = Event::Resumed {
        group: "g".to_owned(),
        partition: here(),
        offset: 2,
        begun_us: 0,
    };
    finds(|events| insert(events, resumed), &[Kind::CommitRegression]);
}

#[test]
fn a_question_that_began_before_the_commit_ended_may_miss_it() {
    let mut events = clean();
    let resumed = Event::Resumed {
        group: "g".to_owned(),
        partition: here(),
        offset: 2,
        begun_us: 0,
    };
    insert(&mut events, resumed);
    let mut entries = history(events).entries().to_vec();
    for entry in &mut entries {
        if let Event::Resumed { begun_us, .. } = &mut entry.event {
            *begun_us = 1;
        }
    }
    assert_eq!(check(&History::of([entries])), []);
}

#[test]
fn two_members_with_one_partition_in_one_generation_are_noticed() {
    finds(
        |events| insert(events, assigned("other", 1)),
        &[Kind::TwoOwners],
    );
}

#[test]
fn a_client_that_does_not_end_is_stuck() {
    finds(|events| remove(events, &stopped(CONSUMER)), &[Kind::Stuck]);
}

#[test]
fn a_send_that_does_not_end_is_stuck() {
    finds(|events| insert(events, send(5)), &[Kind::Stuck]);
}

#[test]
fn a_partition_that_nobody_read_to_its_end_is_no_clean_one() {
    finds(|events| remove(events, &drained()), &[Kind::Undrained]);
}
