//! The load of one process, for somebody who wants to know what becomes of each message.

use std::sync::Arc;
use std::time::Duration;

use super::load::{Load, Run, START};
use super::plan::Plan;
use super::progress::LOOK;
use super::share::Share;
use super::stamp;
use super::topic::Topic;
use super::totals::{Ending, Totals};
use crate::clock;
use crate::cluster::Cluster;
use crate::error::CliError;
use crate::files;
use crate::interrupt::Interrupt;

/// Who wants to know. It is called by the threads that send and receive, and must not wait.
pub(crate) trait Witness: Send + Sync {
    /// A message was acknowledged.
    fn acknowledged(&self, message: Acknowledged);
    /// A message was received, perhaps not for the first time.
    fn received(&self, sequence: u64);
}

/// A message that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) sequence: u64,
    pub(crate) partition: i32,
    /// After the start.
    pub(crate) at: Duration,
    /// How long after it was due.
    pub(crate) took: Duration,
}

/// Puts a load on the cluster, as the words say which `klamm bench` would be given. `each` is told
/// again and again what has happened so far; its error ends the load.
///
/// # Errors
/// The words make no sense, the cluster refuses, or `each` does.
pub(crate) fn run(
    words: &[String],
    cluster: &Cluster,
    witness: Arc<dyn Witness>,
    interrupt: &Interrupt,
    mut each: impl FnMut(&Totals) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let plan = Plan::of_words(words)?;
    let payload = plan.messages(None)?;
    files::ask_for_precise_timers();
    let topic = Topic::prepare(&plan, cluster)?;
    let share = Share::new(0, 1, 1, 1);
    let load = Load::prepare(
        &plan,
        cluster,
        &topic,
        share,
        stamp::new_run(),
        Some(witness),
    );
    let follow = |run: &Run| {
        let mut ending = Ending::new(plan.drain);
        loop {
            clock::sleep(LOOK);
            let totals = run.totals();
            if let Err(error) = each(&totals) {
                interrupt.ask();
                return Err(error);
            }
            if ending.has_come(&totals) {
                return Ok(());
            }
        }
    };
    load?
        .run(&payload, clock::now() + START, interrupt, follow)
        .1
}
