//! What the broker counts of itself, and how Prometheus reads it.
//!
//! [`table`] is the one list: a row per metric with its name, labels, sentence and the function
//! that reads its values. What `/metrics` shows, `docs/metrics.md` and the tests come from it.
//!
//! Values have three sources. [`counters`] are cells that the data plane adds to and any thread
//! may read, so that a broker whose data plane stands still can be looked at. A [`survey`] is what
//! the data plane is asked for at each scrape: how many partitions, groups, connections. And
//! [`process`] is what the system knows.
//!
//! Invariants: nothing here takes a lock, allocates for each record or looks a name up on the hot
//! path, and a turn of the data plane reads the clock once more for it all ([`meter`]).

pub(crate) mod count;
pub(crate) mod counters;
pub(crate) mod exposition;
pub(crate) mod meter;
mod page;
pub(crate) mod process;
pub(crate) mod survey;
mod table;
pub(crate) mod traffic;

pub use page::metrics_page;
pub use table::{Kind as MetricKind, METRICS, Metric, Unit as MetricUnit};
