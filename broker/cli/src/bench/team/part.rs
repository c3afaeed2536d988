//! One part of a load: does what it is told on its standard input, and says what it has done on its
//! standard output. When the input ends, so does the part, and a topic that it made goes.

use std::time::Duration;

use serde_json::Value;

use super::words::{FORMAT, Order, Report, Task};
use crate::bench::limits;
use crate::bench::load::{Load, Run};
use crate::bench::outcome::Outcome;
use crate::bench::payload::Payload;
use crate::bench::plan::Plan;
use crate::bench::progress::LOOK;
use crate::bench::share::Share;
use crate::bench::topic::Topic;
use crate::clock;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::error::CliError;
use crate::files;
use crate::interrupt::Interrupt;
use crate::lines::{Lines, Next};
use crate::output::{Output, Printer};

/// `klamm bench part`.
pub(in crate::bench) fn part() -> Result<(), CliError> {
    let mut leader = Leader {
        lines: Lines::of(None)?,
        printer: Printer::new(Output::Json),
    };
    leader.say(&Report::Hello {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot: files::boot(),
    })?;
    let Err(error) = obey(&mut leader) else {
        return Ok(());
    };
    let (why, code) = (error.to_string(), error.code());
    leader.say(&Report::Failed { why, code })
}

/// Whoever started this process.
struct Leader {
    lines: Lines,
    printer: Printer,
}

impl Leader {
    fn say(&mut self, report: &Report) -> Result<(), CliError> {
        self.printer.say(&report.to_json(), "")
    }

    /// The next order, but for [`Order::Clock`], which is answered at once; `None` when there is
    /// nobody any more to give one.
    fn next(&mut self) -> Result<Option<Order>, CliError> {
        loop {
            match self.lines.next(Duration::from_secs(3_600))? {
                Next::Nothing => {}
                Next::End => return Ok(None),
                Next::Line(line) => match order(&line)? {
                    Order::Clock => self.say(&Report::Clock {
                        unix_us: clock::unix_us(),
                    })?,
                    order => return Ok(Some(order)),
                },
            }
        }
    }
}

fn order(line: &[u8]) -> Result<Order, CliError> {
    let value: Value = serde_json::from_slice(line).map_err(|error| refused(error.to_string()))?;
    Order::from_json(&value).map_err(refused)
}

fn refused(why: String) -> CliError {
    let what = "an order".to_owned();
    CliError::Refused { what, why }
}

fn obey(leader: &mut Leader) -> Result<(), CliError> {
    let Some(Order::Plan(task)) = leader.next()? else {
        return Ok(());
    };
    let Task {
        plan,
        properties,
        timeout,
        source,
    } = *task;
    let cluster = Cluster::connect(&Connection::of(properties, timeout))?;
    let payload = plan.messages(source.as_ref())?;
    drop(source);
    leader.say(&Report::Ready)?;
    let mut order = leader.next()?;
    let mut made = None;
    if order == Some(Order::Topic) {
        let topic = made.insert(Topic::prepare(&plan, &cluster)?);
        let told = leader.say(&Report::Topic {
            topic: topic.name.clone(),
            ends: topic.ends.clone(),
        });
        order = told.and_then(|()| leader.next()).unwrap_or(None);
    }
    let done = match order {
        Some(Order::Clients {
            run,
            topic,
            ends,
            share,
        }) => {
            let topic = Topic::known(topic, ends);
            Work {
                plan: &plan,
                cluster: &cluster,
                payload: &payload,
            }
            .take_part(leader, &topic, share, run)
        }
        _ => Ok(()),
    };
    if let Some(topic) = made {
        topic.clean_up(&cluster);
    }
    done
}

struct Work<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    payload: &'a Payload,
}

impl Work<'_> {
    fn take_part(
        &self,
        leader: &mut Leader,
        topic: &Topic,
        share: Share,
        run: u64,
    ) -> Result<(), CliError> {
        let brokers = self.cluster.metadata.brokers().len() as u64;
        limits::raise_open_files(share.clients(), brokers)?;
        let load = Load::prepare(self.plan, self.cluster, topic, share, run, None)?;
        leader.say(&Report::Ready)?;
        let Some(Order::Begin { at_unix_us }) = leader.next()? else {
            return Ok(());
        };
        let outcome = self.measure(leader, &load, at_unix_us)?;
        leader.say(&Report::Outcome(Box::new(outcome)))?;
        // The others need the topic until the leader says no more.
        while leader.next()?.is_some() {}
        Ok(())
    }

    fn measure(
        &self,
        leader: &mut Leader,
        load: &Load<'_>,
        at_unix_us: u64,
    ) -> Result<Outcome, CliError> {
        let interrupt = Interrupt::catch()?;
        files::ask_for_precise_timers();
        let (now, now_us) = (clock::now(), clock::unix_us());
        let until = at_unix_us.checked_sub(now_us).ok_or_else(|| {
            let late_ms = (now_us - at_unix_us) / 1_000;
            refused(format!("it began {late_ms} ms ago: it came too late"))
        })?;
        let origin = now + Duration::from_micros(until);
        let follow = |run: &Run| {
            let followed = follow(leader, run, &interrupt);
            if !matches!(followed, Ok(Order::End)) {
                interrupt.ask();
            }
            followed.map(drop)
        };
        let (outcome, followed) = load.run(self.payload, origin, &interrupt, follow);
        followed.map(|()| outcome)
    }
}

/// Tells what happens, until the leader says that it is over, or nothing more.
fn follow(leader: &mut Leader, run: &Run, interrupt: &Interrupt) -> Result<Order, CliError> {
    loop {
        match leader.lines.next(LOOK)? {
            Next::Nothing => {}
            Next::End => return Ok(Order::Stop),
            Next::Line(line) => match order(&line)? {
                Order::Stop => interrupt.ask(),
                Order::End => return Ok(Order::End),
                other => return Err(refused(format!("{other:?} makes no sense now"))),
            },
        }
        leader.say(&Report::Totals(run.totals()))?;
    }
}
