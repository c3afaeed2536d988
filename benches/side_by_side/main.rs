//! The side-by-side run: Klamm and Apache Kafka in turn, on one machine, with the same client.
//!
//! What is measured: end-to-end latency under open loop (a message is stamped with the time it was
//! *due*, so that a broker that stalls cannot hide its stall), CPU time of the broker per message,
//! cold start to the first acknowledged record, saturated throughput with Kafka's own tools,
//! memory (at rest, with many partitions, with many connections), a large log, a compaction, and
//! what grows with partitions and groups. And of three brokers beside three: latency with three
//! replicas, what clients see when a leader is killed, what idle partitions cost, what a load notices
//! while 5 GiB move. All brokers run
//! their defaults but for ports, folders, the number of partitions and, of three, the heap.
//!
//! What it is not: a measurement of networks, or of other clients. On a shared virtual machine only
//! the ratio between two brokers measured in turn means something.
//!
//! Start with [`plan`], which lists the parts. [`contestant`] starts and stops a broker, [`cluster`]
//! three of them, which [`watcher`] asks how they are; [`machine`] reads what the kernel counts, [`report`] writes the table.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a command for people: it prints, measures time, starts processes and reads files"
)]

mod admin;
mod arguments;
mod cluster;
mod compaction;
mod contestant;
mod failover;
mod filling;
mod growth;
mod highest_rate;
mod idle;
mod large_log;
mod latency;
mod machine;
mod moving;
mod plan;
mod replicated;
mod report;
mod scale;
mod start;
mod statistics;
mod throughput;
mod watcher;

use std::process::ExitCode;

fn main() -> ExitCode {
    let plan = match arguments::parse(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::from(2);
        }
    };
    if let Err(problem) = machine::ask_for_precise_timers() {
        println!("timers are not precise: {problem}");
    }
    match plan.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}
