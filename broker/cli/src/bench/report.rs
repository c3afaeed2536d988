//! A result, told to people.

use std::time::Duration;

use serde_json::{Value, json};

use super::latencies::{Leg, PERCENTILES};
use super::outcome::Outcome;
use crate::error::CliError;
use crate::output::{Column, Printer};

const LATENCIES: &[Column] = &[
    ("LATENCY, ms", "leg"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("p99.9", "p99.9"),
    ("p99.99", "p99.99"),
    ("MAX", "max"),
    ("MEAN", "mean"),
    ("<= 1 ms", "within"),
];
const MESSAGES: &[Column] = &[
    ("MESSAGES", "what"),
    ("COUNT", "count"),
    ("PER SECOND", "rate"),
];
/// A generator that is later than this at p99 measures itself.
const LATE_MS: f64 = 1.0;
/// Clocks that are known no better than to this share of the median are warned of.
const CLOCKS_PERCENT: f64 = 10.0;

/// Prints tables, and what a reader must know to trust them.
pub(super) fn print(outcome: &Outcome, printer: &mut Printer) -> Result<(), CliError> {
    printer.title(&headline(outcome))?;
    printer.raw(b"\n")?;
    printer.table(LATENCIES, &latencies(outcome))?;
    printer.raw(b"\n")?;
    printer.table(MESSAGES, &messages(outcome))?;
    for remark in remarks(outcome) {
        printer.raw(format!("\n{remark}\n").as_bytes())?;
    }
    printer.flush()
}

/// What load it was, in one line.
pub(super) fn headline(outcome: &Outcome) -> String {
    let asked = &outcome.parameters;
    let processes = match outcome.processes {
        1 => String::new(),
        several => format!(", {several} processes"),
    };
    format!(
        "{} messages/s of {} B for {} s after {} s of warm-up: acks={}, linger {} ms, compression {}, {} partitions, {} producers, {} consumers{processes}",
        asked.rate,
        asked.size,
        asked.seconds,
        asked.warm_up,
        asked.acks,
        asked.linger_ms,
        asked.compression,
        asked.partitions,
        asked.producers,
        asked.consumers,
    )
}

/// A row for each leg, with figures as text.
pub(super) fn latencies(outcome: &Outcome) -> Vec<Value> {
    let rows = Leg::ALL.map(|leg| {
        let latencies = outcome.of(leg);
        let mut row = json!({ "leg": leg.title() });
        for (percentile, name) in PERCENTILES {
            row[name] = json!(figure(latencies.percentile_ms(percentile)));
        }
        row["mean"] = json!(figure(latencies.mean_ms()));
        let within = latencies.within_percent(Duration::from_millis(1));
        row["within"] = json!(format!("{within:.2} %"));
        if latencies.count() == 0 {
            row = json!({ "leg": leg.title() });
        }
        row
    });
    rows.to_vec()
}

/// Three digits or so: more would be noise.
fn figure(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.3}"),
        ms if ms < 100.0 => format!("{ms:.2}"),
        ms => format!("{ms:.1}"),
    }
}

/// A row for each thing that can become of a message.
pub(super) fn messages(outcome: &Outcome) -> Vec<Value> {
    let counts = &outcome.counts;
    let rate = |rate: f64| json!(format!("{rate:.0}"));
    let row =
        |what: &str, count: u64, rate: Value| json!({"what": what, "count": count, "rate": rate});
    let mut rows = vec![
        row("due", counts.due, rate(outcome.parameters.rate as f64)),
        row("sent", counts.sent, Value::Null),
        row(
            "acknowledged",
            counts.acknowledged,
            rate(outcome.acknowledged_rate),
        ),
        row("received", counts.consumed, rate(outcome.consumed_rate)),
        row("not acknowledged", counts.failed, Value::Null),
        row("not received", outcome.unfinished(), Value::Null),
        row("received twice", counts.duplicates, Value::Null),
    ];
    for (why, times) in &outcome.errors {
        rows.push(row(&format!("error: {why}"), *times, Value::Null));
    }
    rows
}

/// What a reader must know to trust the figures.
pub(super) fn remarks(outcome: &Outcome) -> Vec<String> {
    let mut remarks = Vec::new();
    let late = outcome.of(Leg::DueToSent).percentile_ms(99.0);
    if late > LATE_MS {
        remarks.push(format!(
            "The generator itself sent late (p99 {late:.1} ms): it needs more producers or a quieter machine, or the cluster did not take messages fast enough."
        ));
    }
    remarks.extend(clocks(outcome));
    if outcome.of(Leg::DueToConsumed).count() < 100_000 {
        remarks.push("p99.99 means something from about 100,000 messages on.".to_owned());
    }
    remarks
}

/// How far the clocks of several machines are apart, and whether that can be seen in the figures.
fn clocks(outcome: &Outcome) -> Vec<String> {
    let clocks = &outcome.clocks;
    let ms = |us: u64| us as f64 / 1e3;
    let others = clocks.parts.iter().filter(|clock| clock.uncertain_us > 0);
    let others: Vec<_> = others
        .map(|clock| {
            let direction = if clock.ahead_us < 0 {
                "behind"
            } else {
                "ahead"
            };
            let apart = ms(clock.ahead_us.unsigned_abs());
            let uncertain = ms(clock.uncertain_us);
            format!(
                "{} {apart:.3} ms {direction} (± {uncertain:.3})",
                clock.part
            )
        })
        .collect();
    if others.is_empty() {
        return Vec::new();
    }
    let mut remarks = vec![format!(
        "Clocks, against this machine's when it connected: {}. Latencies allow for it, and may still be {:.3} ms off where a message goes from one machine to another.",
        others.join(", "),
        ms(clocks.error_us)
    )];
    let median = outcome.of(Leg::DueToConsumed).percentile_ms(50.0);
    let percent = ms(clocks.error_us) / median.max(1e-3) * 100.0;
    if percent > CLOCKS_PERCENT {
        remarks.push(format!(
            "Beware: that is {percent:.0} % of the median from due to consumed. Start the load from a machine that is nearer to the hosts, or put producers and consumers on one host."
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::tests::example;

    #[test]
    fn a_report_names_the_load_and_every_leg() {
        let outcome = example(1_000, 7);
        assert!(headline(&outcome).starts_with("1000 messages/s of 200 B for 1 s"));
        let rows = latencies(&outcome);
        assert_eq!(rows.len(), Leg::ALL.len());
        assert_eq!(rows[2]["leg"], "due to consumed");
        assert_eq!(rows[2]["p50"], "3.501");
        let errors = messages(&outcome);
        assert!(errors.iter().any(|row| row["what"] == "error: Timed out"));
    }

    #[test]
    fn a_late_generator_is_told() {
        assert!(remarks(&example(1_000, 7))[0].contains("sent late"));
        assert!(!remarks(&example(100, 1))[0].contains("sent late"));
    }

    #[test]
    fn clocks_that_are_too_far_apart_are_told() {
        let remarks = remarks(&example(100, 1)).join("\n");
        assert!(
            remarks.contains("load1 0.812 ms behind (± 0.201)"),
            "{remarks}"
        );
        assert!(remarks.contains("Beware"), "{remarks}");
        let slow = example(1_000, 10_000);
        assert!(!clocks(&slow).join("\n").contains("Beware"));
        let mut one = example(100, 1);
        one.clocks.parts[0].uncertain_us = 0;
        assert_eq!(clocks(&one), [""; 0]);
    }
}
