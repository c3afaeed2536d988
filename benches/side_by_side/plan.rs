//! What is measured, in which order: A B A B, so that a slow minute of the machine hits both.

use std::path::PathBuf;
use std::time::Duration;

use crate::contestant::{Contestant, Setting};
use crate::latency::{self, Client, Load};
use crate::machine;
use crate::report::{Measurement, Report};
use crate::start;

/// A run of the comparison.
pub(crate) struct Plan {
    pub(crate) contestants: Vec<Contestant>,
    /// How often each is measured.
    pub(crate) pairs: u32,
    /// How long, at each rate.
    pub(crate) measured: Duration,
    /// How long before that a broker is under the same load.
    pub(crate) warm_up: Duration,
    /// Messages per second.
    pub(crate) rates: Vec<u64>,
    /// Bytes of a message's value.
    pub(crate) size_bytes: usize,
    /// Klamm's binary.
    pub(crate) klamm: PathBuf,
}

/// How long an idle broker is left alone before its memory is read.
const REST: Duration = Duration::from_secs(10);

impl Plan {
    /// Runs everything, prints as it goes, and writes the report. The error is the text to print.
    pub(crate) fn run(&self) -> Result<(), String> {
        let setting = Setting::prepare(&self.klamm, &self.contestants)?;
        let mut report = Report::new(self.contestants.clone());
        println!("{}", machine::description());
        for pair in 1..=self.pairs {
            for &contestant in &self.contestants {
                println!("\npair {pair} of {}: {}", self.pairs, contestant.name());
                self.measure(contestant, &setting, &mut report)?;
            }
        }
        let path = setting.folder().join("report.md");
        let text = report.to_markdown(&machine::description());
        println!("\n{text}");
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written to {}", path.display());
        Ok(())
    }

    /// One life of one broker.
    fn measure(
        &self,
        contestant: Contestant,
        setting: &Setting,
        report: &mut Report,
    ) -> Result<(), String> {
        let mut record = |name: String, value: f64| {
            println!("  {name}: {value:.3}");
            report.add(Measurement {
                contestant,
                name,
                value,
            });
        };
        let (broker, cold_start) = start::to_first_produce(contestant, setting)?;
        record(
            "cold start to first acknowledged record, ms".into(),
            millis(cold_start),
        );
        std::thread::sleep(REST);
        record(
            "resident memory at rest, MiB".into(),
            machine::resident_mib(broker.pid())?,
        );

        for &rate in &self.rates {
            for client in Client::ALL {
                let load = Load {
                    client,
                    rate,
                    size_bytes: self.size_bytes,
                    topic: format!("latency-{rate}"),
                };
                latency::run(&broker, &load, self.warm_up)?;
                let result = latency::run(&broker, &load, self.measured)?;
                for (name, value) in result.figures() {
                    record(format!("{rate}/s, {}: {name}", client.name()), value);
                }
                println!("  {}", result.remarks());
            }
        }
        if !self.rates.is_empty() {
            record(
                "resident memory after the load, MiB".into(),
                machine::resident_mib(broker.pid())?,
            );
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
