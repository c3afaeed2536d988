//! Much of everything: memory with a thousand partitions and connections, and what ten thousand
//! idle connections cost those that are not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::admin;
use crate::contestant::{Broker, Contestant, Setting};
use crate::latency::{self, Client, Load};
use crate::machine;
use crate::start;

const PARTITIONS: i32 = 1_000;
const CONNECTIONS: usize = 1_000;
/// With a few others just below what Klamm takes by default where 20,000 files may be open.
const IDLE_CONNECTIONS: usize = 9_900;
/// A broker that takes no more connections lets them wait.
const PATIENCE: Duration = Duration::from_secs(10);
const KIB_PER_MIB: f64 = 1024.0;

/// Messages per second of those that are not idle.
const RATE: u64 = 1_000;
/// How long their latency is measured.
const MEASURED: Duration = Duration::from_secs(15);

/// What was measured about a life of its own.
pub(crate) fn run(contestant: Contestant, setting: &Setting) -> Result<Vec<(String, f64)>, String> {
    let (broker, _) = start::to_first_produce(contestant, setting)?;
    let mut figures = Vec::new();
    admin::create_topic(&broker, "wide", PARTITIONS, &[])?;
    let connections = connect(&broker, CONNECTIONS)?;
    figures.push((
        "resident memory with 1,000 partitions and 1,000 connections, MiB".into(),
        machine::resident_mib(broker.pid())?,
    ));
    drop(connections);

    let alone = p99(&broker)?;
    let before = machine::resident_mib(broker.pid())?;
    let idle = connect(&broker, IDLE_CONNECTIONS)?;
    let after = machine::resident_mib(broker.pid())?;
    figures.push((
        format!("memory of an idle connection (of {IDLE_CONNECTIONS}), KiB"),
        (after - before) * KIB_PER_MIB / IDLE_CONNECTIONS as f64,
    ));
    figures.push((
        format!(
            "{RATE}/s, bare client: p99 beside {IDLE_CONNECTIONS} idle connections, × that without"
        ),
        p99(&broker)? / alone,
    ));
    drop(idle);
    Ok(figures)
}

fn p99(broker: &Broker) -> Result<f64, String> {
    let load = Load::single(Client::Bare, RATE, "scale");
    let outcome = latency::run(broker, &load, MEASURED)?;
    Ok(outcome.percentile_ms(99.0))
}

/// Connections that have asked for the versions once, as every client does.
fn connect(broker: &Broker, count: usize) -> Result<Vec<TcpStream>, String> {
    (0..count)
        .map(|number| {
            connect_one(broker).map_err(|error| format!("connection {number} of {count}: {error}"))
        })
        .collect()
}

fn connect_one(broker: &Broker) -> std::io::Result<TcpStream> {
    // Length, ApiVersions version 0, correlation id 1, no client id.
    const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let mut stream = TcpStream::connect(broker.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    Ok(stream)
}
