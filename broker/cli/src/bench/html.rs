//! A result as one page that needs nothing else: tables, and the curve of percentiles as SVG.

use std::fmt::Write as _;

use serde_json::Value;

use super::latencies::{Latencies, Leg};
use super::outcome::Outcome;
use super::report;

/// The drawing's size, and the room for its scales, in pixels.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 16.0;
/// Nines on the horizontal scale: from 0 % to 99.999 %.
const NINES_MAX: f64 = 5.0;
/// Points of a curve.
const POINTS: u32 = 250;

/// Legs that are drawn, with their colours.
const CURVES: [(Leg, &str); 3] = [
    (Leg::DueToConsumed, "#c2410c"),
    (Leg::DueToAcknowledged, "#1d4ed8"),
    (Leg::DueToSent, "#6b7280"),
];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#111;background:#fff}\
table{border-collapse:collapse;margin:1.5em 0}th,td{padding:.25em .8em;text-align:right;border-bottom:1px solid #ddd}\
th:first-child,td:first-child{text-align:left}svg text{font:12px system-ui,sans-serif;fill:#333}\
.line{stroke:#ddd}.curve{fill:none;stroke-width:2}";

/// The whole page.
pub(super) fn page(outcome: &Outcome) -> String {
    let headline = escaped(&report::headline(outcome));
    let latencies = table(
        &[
            ("Latency, ms", "leg"),
            ("p50", "p50"),
            ("p90", "p90"),
            ("p99", "p99"),
            ("p99.9", "p99.9"),
            ("p99.99", "p99.99"),
            ("max", "max"),
            ("mean", "mean"),
            ("within 1 ms", "within"),
        ],
        &report::latencies(outcome),
    );
    let messages = table(
        &[
            ("Messages", "what"),
            ("count", "count"),
            ("per second", "rate"),
        ],
        &report::messages(outcome),
    );
    let remarks = report::remarks(outcome);
    let remarks = remarks
        .iter()
        .map(|text| format!("<p>{}</p>", escaped(text)));
    let remarks: String = remarks.collect();
    let bootstrap = escaped(&outcome.parameters.bootstrap);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>klamm bench</title><style>{STYLE}</style>\n\
         <h1>klamm bench</h1><p>{headline}</p><p>Cluster: {bootstrap}. Klamm {version}.</p>\n\
         {curves}\n{latencies}\n{messages}\n{remarks}\
         <p>The load is open: latency counts from when a message was due, whatever the cluster did.</p></html>\n",
        curves = drawing(outcome),
    )
}

fn table(columns: &[(&str, &str)], rows: &[Value]) -> String {
    let mut text = String::from("<table><tr>");
    for (title, _) in columns {
        text.push_str(&format!("<th>{}</th>", escaped(title)));
    }
    for row in rows {
        text.push_str("</tr>\n<tr>");
        for (_, field) in columns {
            let cell = match &row[*field] {
                Value::Null => String::new(),
                Value::String(text) => escaped(text),
                other => other.to_string(),
            };
            text.push_str(&format!("<td>{cell}</td>"));
        }
    }
    text.push_str("</tr></table>");
    text
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The scale of latencies: whole powers of ten that hold every curve.
#[derive(Clone, Copy)]
struct Scale {
    /// Exponents of milliseconds.
    low: f64,
    high: f64,
}

impl Scale {
    fn of(outcome: &Outcome) -> Self {
        let all = CURVES.map(|(leg, _)| outcome.of(leg));
        let counted = || all.iter().filter(|latencies| latencies.count() > 0);
        let shortest = counted().map(|latencies| latencies.percentile_ms(0.0));
        let longest = counted().map(|latencies| latencies.percentile_ms(100.0));
        let low = shortest.fold(1.0, f64::min).max(1e-3).log10().floor();
        let high = longest.fold(1.0, f64::max).log10().ceil();
        Self {
            low,
            high: high.max(low + 1.0),
        }
    }

    fn y(self, ms: f64) -> f64 {
        let share = (ms.max(1e-3).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
    }
}

/// `nines` is 2 for 99 %.
fn x(nines: f64) -> f64 {
    LEFT + nines / NINES_MAX * (WIDTH - LEFT - RIGHT)
}

fn percentile(nines: f64) -> f64 {
    100.0 - 100.0 / 10_f64.powf(nines)
}

fn drawing(outcome: &Outcome) -> String {
    let scale = Scale::of(outcome);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"100%\" role=\"img\" aria-label=\"latency by percentile\">"
    );
    lines(&mut svg, scale);
    for (index, (leg, colour)) in CURVES.iter().enumerate() {
        let latencies = outcome.of(*leg);
        if latencies.count() > 0 {
            curve(&mut svg, scale, latencies, colour);
        }
        let y = TOP + 16.0 * (index as f64 + 1.0);
        let (from, to, at) = (LEFT + 14.0, LEFT + 40.0, LEFT + 46.0);
        put(
            &mut svg,
            &format!(
                "<line x1=\"{from}\" x2=\"{to}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" class=\"curve\"/><text x=\"{at}\" y=\"{}\">{}</text>",
                y + 4.0,
                leg.title()
            ),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The lines of both scales, with what they stand for.
fn lines(svg: &mut String, scale: Scale) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut exponent = scale.low;
    while exponent <= scale.high {
        let ms = 10_f64.powf(exponent);
        let y = scale.y(ms);
        put(
            svg,
            &format!(
                "<line class=\"line\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{ms} ms</text>",
                LEFT - 6.0,
                y + 4.0
            ),
        );
        exponent += 1.0;
    }
    for (nines, name) in ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]
        .iter()
        .enumerate()
    {
        let x = x(nines as f64);
        let anchor = if nines == 5 { "end" } else { "middle" };
        put(
            svg,
            &format!(
                "<line class=\"line\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{name}</text>",
                bottom + 20.0
            ),
        );
    }
}

fn curve(svg: &mut String, scale: Scale, latencies: &Latencies, colour: &str) {
    // Beyond one message of all there is nothing to draw.
    let end = (latencies.count() as f64).log10().clamp(0.0, NINES_MAX);
    let mut points = String::new();
    for point in 0..=POINTS {
        let nines = end * f64::from(point) / f64::from(POINTS);
        let y = scale.y(latencies.percentile_ms(percentile(nines)));
        put(&mut points, &format!("{:.1},{y:.1} ", x(nines)));
    }
    put(
        svg,
        &format!("<polyline class=\"curve\" stroke=\"{colour}\" points=\"{points}\"/>"),
    );
}

fn put(text: &mut String, piece: &str) {
    // A string takes all that is written to it.
    let _ = text.write_str(piece);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::tests::example;

    #[test]
    fn the_page_needs_nothing_else() {
        let page = page(&example(10_000, 7));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        for outside in ["http", "src=", "href=", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<polyline").count(), CURVES.len());
        assert!(page.contains("99.99 %") && page.contains("due to consumed"));
    }

    #[test]
    fn a_curve_rises_from_left_to_right_inside_the_drawing() {
        let outcome = example(10_000, 7);
        let mut svg = String::new();
        curve(
            &mut svg,
            Scale::of(&outcome),
            outcome.of(Leg::DueToConsumed),
            "#000",
        );
        let points = svg.split("points=\"").nth(1).expect("points");
        let points: Vec<(f64, f64)> = points
            .split_whitespace()
            .filter_map(|pair| {
                let (x, y) = pair.split_once(',')?;
                Some((x.parse().ok()?, y.parse().ok()?))
            })
            .collect();
        assert_eq!(points.len(), POINTS as usize + 1);
        for pair in points.windows(2) {
            assert!(pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1, "{pair:?}");
        }
        assert!(
            points
                .iter()
                .all(|(x, y)| (0.0..=WIDTH).contains(x) && (0.0..=HEIGHT).contains(y))
        );
    }

    #[test]
    fn nothing_measured_is_a_page_too() {
        let mut outcome = example(0, 1);
        outcome.errors.insert("<script>".to_owned(), 1);
        let page = page(&outcome);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(!page.contains("<polyline"));
    }
}
