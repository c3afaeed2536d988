//! The metrics page of the documentation, made from the table: `docs/metrics.md`.

use std::fmt::Write;

use super::table::{Kind, METRICS, Metric, Unit};

const HEAD: &str = "\
# Metrics

<!-- Made from the table in the code: KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker metrics_page -->

`GET /metrics` on the admin port (`klamm.admin.listener`) answers in the text format of Prometheus
(0.0.4). Times are in seconds. Histograms of times have buckets from 50 µs to 10 s; each adds
`_bucket`, `_sum` and `_count` to its name.

What is counted as it happens can always be read. What there is at one moment (partitions, groups,
connections, requests in flight) is asked of the data plane at each scrape; while that stands still,
the values of the scrape before are shown, and `klamm_heartbeat_age_seconds` grows.

| Name | Type | Labels | What it says |
|---|---|---|---|
";

/// The whole page.
pub fn metrics_page() -> String {
    let mut page = HEAD.to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            metric.name,
            kind(metric),
            labels.join(", "),
            metric.sentence
        );
    }
    page
}

fn kind(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    match metric.unit {
        Unit::None => kind.to_owned(),
        Unit::Bytes => format!("{kind}, bytes"),
        Unit::Seconds => format!("{kind}, seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the page lies in the repository, not on a broker's disk"
    )]
    fn metrics_page_is_current() {
        if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
            std::fs::write(PATH, metrics_page()).expect("the repository can be written");
        }
        let written = std::fs::read_to_string(PATH).expect("docs/metrics.md is there");
        assert!(
            written == metrics_page(),
            "docs/metrics.md is not made from the table: KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker metrics_page"
        );
    }
}
