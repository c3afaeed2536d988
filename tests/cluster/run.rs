//! One run: clients, whatever is done to the brokers meanwhile, and the verdict.

use crate::bed::Bed;
use crate::clients::own::{OwnClients, Task, drain, send_one};
use crate::clients::real::{Programs, RealClients};
use crate::history::History;
use crate::history::checker::check;
use crate::history::event::{Entry, Partition};
use crate::history::figures::Figures;
use crate::replicas;

pub(crate) const TOPIC: &str = "t";
pub(crate) const PARTITIONS: i32 = 4;
/// Producers that send the last records of a run are numbered from here on.
const LAST_PRODUCERS: u32 = 1_000_000;

/// Which clients run.
#[derive(Clone, Copy)]
pub(crate) enum Clients<'a> {
    /// Ours.
    Own,
    /// Ours, and those of others.
    AndReal(&'a Programs),
}

/// The first of the real clients' producers.
const REAL_PRODUCERS: u32 = 1_000;

/// Lets clients run while `faults` are done, heals everything, and fails unless the history is
/// clean and the replicas are equal.
pub(crate) fn run(bed: &mut Bed, clients: Clients<'_>, faults: impl FnOnce(&mut Bed)) -> History {
    bed.create_topic(TOPIC, PARTITIONS);
    let own = OwnClients::start(bed, TOPIC, PARTITIONS, 1);
    let real = match clients {
        Clients::Own => None,
        Clients::AndReal(programs) => Some(RealClients::start(bed, programs, REAL_PRODUCERS)),
    };
    faults(bed);
    bed.heal();
    bed.all_led(TOPIC, PARTITIONS);
    let mut logs = own.stop();
    logs.extend(real.into_iter().flat_map(RealClients::stop));
    for partition in 0..PARTITIONS {
        logs.extend(read_to_the_end(bed, partition));
    }
    let history = History::of(logs);
    let figures = Figures::of(&history, 0);
    let anomalies = check(&history);
    assert!(anomalies.is_empty(), "{figures}\n{anomalies:#?}");
    for partition in 0..PARTITIONS {
        replicas::assert_equal(bed, TOPIC, partition);
    }
    println!("{figures}");
    history
}

/// Appends one more record, which has to work now, and reads all there is.
fn read_to_the_end(bed: &Bed, partition: i32) -> [Vec<Entry>; 2] {
    let task = Task::of(bed, Partition::new(TOPIC, partition));
    let producer = LAST_PRODUCERS + u32::try_from(partition).expect("no negative partition");
    let (last, sent) = send_one(&task, producer);
    let last = last.unwrap_or_else(|| panic!("nothing can be appended to {}", task.partition));
    [sent, drain(&task, last)]
}
