//! Reads a partition from its start to its end, when nothing happens to it any more.

use std::time::Instant;

use crate::clients::own::consumer::Reader;
use crate::clients::own::{PATIENCE, Task};
use crate::history::event::{Entry, Event};

/// Reads past `last`, an offset that was acknowledged after everything else had ended.
pub(crate) fn drain(task: &Task, last: i64) -> Vec<Entry> {
    let consumer = format!("drain-{}", task.partition);
    let begun = Instant::now();
    let mut reader = Reader::new(task, &consumer);
    while reader.next <= last {
        let at = &task.partition;
        let next = reader.next;
        assert!(
            begun.elapsed() < PATIENCE,
            "{at} is read to {next} of {last}"
        );
        reader.read();
    }
    let partition = task.partition.clone();
    reader.log.add(Event::Drained {
        consumer,
        partition,
    });
    reader.log.entries
}
