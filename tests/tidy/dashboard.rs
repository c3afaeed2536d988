//! The dashboard for Grafana shows metrics that there are.

use klamm_broker::metrics::{METRICS, MetricKind};
use serde_json::Value;

use crate::tree::assert_none;

const DASHBOARD: &str = include_str!("../../docs/grafana-dashboard.json");

#[test]
fn the_dashboard_asks_for_metrics_of_the_table_only() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let mut questions = Vec::new();
    expressions(&dashboard, &mut questions);
    assert!(questions.len() > 20, "its questions were found");
    let mut findings = Vec::new();
    for question in questions {
        let names: Vec<_> = metrics_in(&question).collect();
        if names.is_empty() {
            findings.push(format!("{question} asks for no metric"));
        }
        let unknown = names.iter().filter(|name| !is_sample(name));
        findings.extend(unknown.map(|name| format!("{name} is not in the table")));
    }
    assert_none(&findings, "docs/metrics.md has every metric");
}

/// All values under the key `expr`, and the queries of variables.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn metrics_in(question: &str) -> impl Iterator<Item = &str> {
    let words = question.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("klamm_") || word.starts_with("process_"))
}

/// Whether Prometheus has samples of that name.
fn is_sample(name: &str) -> bool {
    METRICS.iter().any(|metric| match metric.kind {
        MetricKind::Histogram => {
            let ending = name.strip_prefix(metric.name);
            matches!(ending, Some("_bucket" | "_sum" | "_count"))
        }
        MetricKind::Counter | MetricKind::Gauge => metric.name == name,
    })
}

#[test]
fn names_are_found_in_questions() {
    let names: Vec<_> =
        metrics_in("sum by (api) (rate(klamm_requests_total{job=~\"a\"}[1m]))").collect();
    assert_eq!(names, ["klamm_requests_total"]);
    assert!(is_sample("klamm_turn_seconds_bucket") && !is_sample("klamm_turn_seconds"));
}
