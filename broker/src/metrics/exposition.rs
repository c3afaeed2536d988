//! From rows and values to the text that Prometheus reads (format 0.0.4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::count::Histogram;
use super::counters::Counters;
use super::process::ProcessStats;
use super::survey::Survey;
use super::table::{Kind, METRICS, Metric, Unit};

/// What the text is, for the header `Content-Type`.
pub(crate) use prometheus_text::CONTENT_TYPE;

/// Everything that rows read from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) counters: Arc<Counters>,
    /// The last one that the data plane has given.
    pub(crate) survey: Survey,
    pub(crate) process: ProcessStats,
    pub(crate) is_ready: bool,
    pub(crate) heartbeat_age: Duration,
    /// Seconds since 1970.
    pub(crate) started_at_seconds: f64,
}

impl Sources {
    /// The text of all metrics.
    ///
    /// # Errors
    /// None that a string can cause; the encoder has the word.
    pub(crate) fn expose(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            // The encoder adds the ending of counters itself.
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            let mut samples = Samples {
                metric,
                encoder: encoder.encode_descriptor(name, metric.sentence, None, kind)?,
                result: Ok(()),
            };
            metric.read(self, &mut samples);
            samples.result?;
        }
        Ok(())
    }
}

/// Takes the values of one metric.
pub(crate) struct Samples<'a> {
    metric: &'static Metric,
    encoder: MetricEncoder<'a>,
    result: fmt::Result,
}

impl Samples<'_> {
    /// A whole number, with the values of the metric's labels in their order.
    pub(crate) fn add(&mut self, labels: &[&str], value: u64) {
        self.encode(labels, |encoder, kind| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        });
    }

    /// As [`add`](Self::add), for a number that need not be whole.
    pub(crate) fn add_real(&mut self, labels: &[&str], value: f64) {
        self.encode(labels, |encoder, kind| match kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        });
    }

    /// As [`add`](Self::add), for a histogram: nanoseconds become seconds.
    pub(crate) fn add_histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        let scaled = |value: u64| match self.metric.unit {
            Unit::Seconds => Duration::from_nanos(value).as_secs_f64(),
            Unit::Bytes | Unit::None => value as f64,
        };
        let (buckets, all) = histogram.read();
        let buckets: Vec<_> = buckets
            .map(|(bound, count)| (scaled(bound), count))
            .collect();
        let sum = scaled(histogram.sum());
        self.encode(labels, |encoder, _| {
            encoder.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
        });
    }

    fn encode(
        &mut self,
        values: &[&str],
        write: impl FnOnce(&mut MetricEncoder<'_>, Kind) -> fmt::Result,
    ) {
        let metric = self.metric;
        assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        let labels: Vec<(&str, &str)> = metric
            .labels
            .iter()
            .copied()
            .zip(values.iter().copied())
            .collect();
        self.result = self.result.and_then(|()| {
            let mut encoder = self.encoder.encode_family(&labels)?;
            write(&mut encoder, metric.kind)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use klamm_model::TopicName;

    use super::super::counters::{RequestKind, Stage};
    use super::super::survey::LogDirSurvey;
    use super::*;

    fn sources() -> Sources {
        let mut survey = Survey::default();
        survey.log_dirs.push(LogDirSurvey {
            path: "a \"b\"\\".to_owned(),
            ..LogDirSurvey::default()
        });
        Sources {
            counters: Arc::default(),
            survey,
            process: ProcessStats::read(),
            is_ready: true,
            heartbeat_age: Duration::from_millis(250),
            started_at_seconds: 1.5,
        }
    }

    #[test]
    fn every_row_is_exposed_under_its_name_with_its_sentence() {
        let sources = sources();
        let topic = TopicName::new("t").expect("the name is legal");
        let cells = sources.counters.traffic.of(&topic);
        sources.counters.appended.add(1, 10);
        let text = sources.expose().expect("it is written");
        drop(cells);
        let typed: BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert_eq!(typed, METRICS.iter().map(|metric| metric.name).collect());
        for metric in METRICS {
            let help = format!("# HELP {} {}\n", metric.name, metric.sentence);
            assert!(text.contains(&help), "{help}");
        }
    }

    #[test]
    fn values_have_their_labels_units_and_escapes() {
        let sources = sources();
        let counters = sources.counters.clone();
        counters
            .turn_time(Stage::Written)
            .observe_time(Duration::from_micros(60));
        counters
            .request_time(RequestKind::Produce)
            .observe_time(Duration::from_millis(2));
        counters.turn_records.observe(3);
        let text = sources.expose().expect("it is written");
        for line in [
            "klamm_turn_seconds_bucket{stage=\"written\",le=\"5e-05\"} 0",
            "klamm_turn_seconds_bucket{stage=\"written\",le=\"7.5e-05\"} 1",
            "klamm_turn_seconds_count{stage=\"written\"} 1",
            "klamm_request_seconds_sum{request=\"produce\"} 0.002",
            "klamm_turn_records_bucket{le=\"4\"} 1",
            "klamm_turn_records_sum 3.0",
            "klamm_requests_total{api=\"Produce\"} 0",
            "klamm_log_dir_bytes{dir=\"a \\\"b\\\"\\\\\"} 0",
            "process_start_time_seconds 1.5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
