//! A leader that is cut off from the other brokers, and not from its clients.

use crate::bed::{Bed, Disks};
use crate::clients::own::{Task, fetch, send_one};
use crate::faults::Fault;
use crate::history::event::Partition;
use crate::run::TOPIC;
use crate::support::eventually;

const NOT_LEADER_OR_FOLLOWER: i16 = 6;

#[test]
fn consumers_are_sent_away_by_a_leader_that_was_cut_off() {
    let Some(mut bed) = Bed::start(Disks::Shared, &[]) else {
        return;
    };
    bed.create_topic(TOPIC, 1);
    let task = Task::of(&bed, Partition::new(TOPIC, 0));
    let (last, _) = send_one(&task, 1);
    let end = last.expect("nothing is wrong yet") + 1;
    let leader = bed.leader(TOPIC, 0);
    Fault::Isolate(leader).strike(&mut bed);
    let mut client = bed.client(leader).expect("clients reach it");
    // As one who knows of no epoch, and so is not told by that of a newer one.
    eventually("the consumer is sent away", || {
        let told = fetch(&mut client, &task.partition, -1, end).expect("it answers");
        (told.error == NOT_LEADER_OR_FOLLOWER).then_some(())
    });
    let (sent, _) = send_one(&task, 2);
    assert!(sent.is_some(), "the others go on");
}
