//! Leads a load of several processes, step by step; each step is done by all before the next.

use std::time::{Duration, Instant};

use super::clocks::{self, Clock, Reading};
use super::launch::Member;
use super::links::Links;
use super::words::{FORMAT, Order, Report, Task};
use crate::bench::outcome::Outcome;
use crate::bench::plan::Plan;
use crate::bench::progress::{LOOK, Progress};
use crate::bench::share::Share;
use crate::bench::stamp;
use crate::bench::totals::{Ending, Totals};
use crate::clock::{self, Deadline};
use crate::connection::Connection;
use crate::error::CliError;
use crate::files;
use crate::interrupt::Interrupt;

/// A host connects within this time, or an image is fetched.
const START_LIMIT: Duration = Duration::from_secs(120);
/// What any other step may take, beside the time for the cluster's answers.
const STEP_LIMIT: Duration = Duration::from_secs(30);
/// How often each part is asked for the time.
const CLOCK_ROUNDS: usize = 16;
/// From the order to begin until the first message is due; every part has the order by then.
const START: Duration = Duration::from_secs(1);
/// What is sent to parts as one line; they take no longer ones.
const SOURCE_BYTES_MAX: usize = 45 << 20;

/// Makes the load with these parts; what all of them have measured, and whether Ctrl-C ended it
/// early.
///
/// # Errors
/// A part cannot be started, or fails; the others end then.
pub(in crate::bench) fn lead(
    plan: &Plan,
    connection: &Connection,
    members: Vec<Member>,
) -> Result<(Outcome, bool), CliError> {
    let parts = members.len() as u64;
    let clients = Clients::of(plan, parts)?;
    let task = task(plan, connection)?;
    let interrupt = Interrupt::catch()?;
    let mut leader = Leader {
        links: Links::start(members)?,
        interrupt,
        limit: STEP_LIMIT + connection.timeout * 2,
    };
    let clocks = leader.meet()?;
    leader.links.tell_all(&Order::Plan(Box::new(task)));
    leader.each(&leader.step("it has no answer of the cluster"), ready)?;
    leader.hand_out(clients)?;
    let origin = leader.begin(&clocks);
    let interrupted = leader.follow(plan, origin)?;
    let mut outcome = leader.add_up()?;
    outcome.clocks = clocks::report(&leader.links.names(), &clocks);
    Ok((outcome, interrupted))
}

/// How many there are, in all parts together.
#[derive(Clone, Copy)]
struct Clients {
    producers: u64,
    consumers: u64,
}

impl Clients {
    fn of(plan: &Plan, parts: u64) -> Result<Self, CliError> {
        let clients = Self {
            producers: plan.producers.map_or(parts, u64::from),
            consumers: plan.consumers.map_or(parts, u64::from),
        };
        if clients.producers + clients.consumers < parts {
            return Err(CliError::Usage(format!(
                "{} producers and {} consumers are too few for {parts} processes",
                clients.producers, clients.consumers
            )));
        }
        Ok(clients)
    }
}

fn task(plan: &Plan, connection: &Connection) -> Result<Task, CliError> {
    let source = plan.source()?;
    if let Some(source) = source
        .as_ref()
        .filter(|one| one.bytes.len() > SOURCE_BYTES_MAX)
    {
        return Err(CliError::Refused {
            what: source.path.display().to_string(),
            why: "several processes are given no more than 45 MiB of messages".to_owned(),
        });
    }
    let config = connection.properties()?;
    let properties = config.config_map().into_iter();
    Ok(Task {
        plan: plan.clone(),
        properties: properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        timeout: connection.timeout,
        source,
    })
}

fn ready(report: Report) -> Option<()> {
    matches!(report, Report::Ready).then_some(())
}

/// Something that each part has to do before any goes on.
struct Step {
    what: &'static str,
    limit: Duration,
    can_be_interrupted: bool,
}

impl Step {
    fn too_late(&self) -> String {
        format!("{} within {} s", self.what, self.limit.as_secs())
    }
}

struct Leader {
    links: Links,
    interrupt: Interrupt,
    /// Of a step in which the cluster is asked.
    limit: Duration,
}

impl Leader {
    /// Waits until each part has said what `wanted` takes; a value from each.
    fn each<T>(
        &mut self,
        step: &Step,
        wanted: impl Fn(Report) -> Option<T>,
    ) -> Result<Vec<T>, CliError> {
        let deadline = Deadline::after(step.limit);
        let mut found: Vec<Option<T>> = (0..self.links.len()).map(|_| None).collect();
        while let Some(missing) = found.iter().position(Option::is_none) {
            if step.can_be_interrupted {
                self.heed_interrupt()?;
            }
            if deadline.has_passed() {
                return Err(self.links.failed(missing, step.too_late()));
            }
            if let Some((part, report)) = self.links.next(LOOK)? {
                found[part] = wanted(report).or(found[part].take());
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The same for one part, while the others have nothing to say.
    fn one<T>(
        &mut self,
        part: usize,
        step: &Step,
        wanted: impl Fn(Report) -> Option<T>,
    ) -> Result<T, CliError> {
        let deadline = Deadline::after(step.limit);
        loop {
            self.heed_interrupt()?;
            if deadline.has_passed() {
                return Err(self.links.failed(part, step.too_late()));
            }
            let said = self.links.next(LOOK)?.filter(|(from, _)| *from == part);
            if let Some(found) = said.and_then(|(_, report)| wanted(report)) {
                return Ok(found);
            }
        }
    }

    fn heed_interrupt(&self) -> Result<(), CliError> {
        match self.interrupt.asked() {
            true => Err(CliError::Interrupted("nothing was measured yet".to_owned())),
            false => Ok(()),
        }
    }

    fn step(&self, what: &'static str) -> Step {
        Step {
            what,
            limit: self.limit,
            can_be_interrupted: true,
        }
    }

    /// Waits until all are there, and compares their clocks with ours.
    fn meet(&mut self) -> Result<Vec<Clock>, CliError> {
        let hello = |report| match report {
            Report::Hello {
                format,
                version,
                boot,
            } => Some((format, version, boot)),
            _ => None,
        };
        let step = Step {
            limit: START_LIMIT,
            ..self.step("it does not answer")
        };
        let hellos = self.each(&step, hello)?;
        let own = files::boot();
        let mut clocks = Vec::new();
        for (part, (format, version, boot)) in hellos.into_iter().enumerate() {
            if format != FORMAT {
                let why = format!("it is klamm {version}, which does not fit to this one");
                return Err(self.links.failed(part, why));
            }
            let reading = match boot.is_some() && boot == own {
                true => Reading::SAME,
                false => self.read_clock(part)?,
            };
            clocks.push(Clock { boot, reading });
        }
        clocks::share_readings(&mut clocks);
        Ok(clocks)
    }

    fn read_clock(&mut self, part: usize) -> Result<Reading, CliError> {
        let time = |report| match report {
            Report::Clock { unix_us } => Some(unix_us),
            _ => None,
        };
        let mut best: Option<Reading> = None;
        for _ in 0..CLOCK_ROUNDS {
            let asked = clock::unix_us();
            self.links.tell(part, &Order::Clock);
            let said = self.one(part, &self.step("it does not say what time it is"), time)?;
            let reading = Reading::of(asked, said, clock::unix_us());
            best = Some(best.map_or(reading, |best| best.or(reading)));
        }
        Ok(best.expect("there is a round"))
    }

    /// Lets the first part make the topic, and gives each its clients.
    fn hand_out(&mut self, clients: Clients) -> Result<(), CliError> {
        self.links.tell(0, &Order::Topic);
        let topic = |report| match report {
            Report::Topic { topic, ends } => Some((topic, ends)),
            _ => None,
        };
        let step = self.step("the topic is not there");
        let (topic, ends) = self.one(0, &step, topic)?;
        let parts = self.links.len() as u64;
        // More consumers than partitions would have nothing to do.
        let consumers = clients.consumers.min(ends.len() as u64);
        let run = stamp::new_run();
        for part in 0..parts {
            let order = Order::Clients {
                run,
                topic: topic.clone(),
                ends: ends.clone(),
                share: Share::new(part, parts, clients.producers, consumers),
            };
            self.links.tell(usize::try_from(part).unwrap_or(0), &order);
        }
        self.each(&self.step("its clients are not there"), ready)?;
        Ok(())
    }

    /// Says when the first message is due; by our clock it is returned.
    fn begin(&mut self, clocks: &[Clock]) -> Instant {
        let now_us = i64::try_from(clock::unix_us()).unwrap_or(i64::MAX);
        let start_us = i64::try_from(START.as_micros()).unwrap_or(i64::MAX);
        let origin = clock::now() + START;
        for (part, clock) in clocks.iter().enumerate() {
            let theirs = now_us + start_us + clock.reading.correction_us();
            let at_unix_us = u64::try_from(theirs).unwrap_or(0);
            self.links.tell(part, &Order::Begin { at_unix_us });
        }
        origin
    }

    /// Shows what all do until it is over; whether Ctrl-C ended it early.
    fn follow(&mut self, plan: &Plan, origin: Instant) -> Result<bool, CliError> {
        let mut progress = Progress::new(plan.schedule());
        let mut ending = Ending::new(plan.drain);
        // Until a part says otherwise it sends.
        let unknown = Totals {
            sending: 1,
            ..Totals::default()
        };
        let mut heard = vec![clock::now(); self.links.len()];
        let mut each = vec![unknown; self.links.len()];
        let mut stopped = false;
        loop {
            if let Some((part, Report::Totals(totals))) = self.links.next(LOOK)? {
                let worst_us = each[part].worst_us.max(totals.worst_us);
                each[part] = Totals { worst_us, ..totals };
                heard[part] = clock::now();
            }
            self.miss_silent(&heard)?;
            let mut all = Totals::default();
            for one in &mut each {
                all.add(one);
                one.worst_us = 0;
            }
            all.at = clock::now().saturating_duration_since(origin);
            progress.show(&all);
            if ending.has_come(&all) {
                return Ok(stopped);
            }
            if self.interrupt.asked() && !stopped {
                stopped = true;
                self.links.tell_all(&Order::Stop);
            }
        }
    }

    /// A host that is cut off does not say so.
    fn miss_silent(&self, heard: &[Instant]) -> Result<(), CliError> {
        let now = clock::now();
        let silent = |at: &Instant| now.saturating_duration_since(*at) > STEP_LIMIT;
        match heard.iter().position(silent) {
            Some(part) => Err(self.links.failed(part, "it does not answer any more")),
            None => Ok(()),
        }
    }

    fn add_up(&mut self) -> Result<Outcome, CliError> {
        self.links.tell_all(&Order::End);
        let outcome = |report| match report {
            Report::Outcome(outcome) => Some(*outcome),
            _ => None,
        };
        let step = Step {
            can_be_interrupted: false,
            ..self.step("it does not say what it has measured")
        };
        let mut outcomes = self.each(&step, outcome)?.into_iter();
        let mut sum = outcomes.next().expect("there is a part");
        outcomes.for_each(|one| sum.add_measured(&one));
        Ok(sum)
    }
}
