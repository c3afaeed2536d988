//! The settings of the broker: one row each, beside what they concern.
//!
//! To add one: a row in the part it belongs to, a field in [`super::typed`], a line in
//! [`super::resolve`], and `KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker settings_page`.

use klamm_metadata::setting::{Kind, Setting, Table, setting};

mod absent;
mod cleaner;
mod cluster;
mod groups;
mod identity;
mod log;
mod network;
mod topic_defaults;

/// All settings of the broker. Rows that end in `*` stand for all names that begin so.
pub static BROKER_SETTINGS: Table = Table::new(&[
    identity::ROWS,
    cluster::ROWS,
    network::ROWS,
    topic_defaults::ROWS,
    log::ROWS,
    cleaner::ROWS,
    groups::ROWS,
    absent::ROWS,
]);

/// The parts in which the documentation shows the table: a title, and the rows.
pub(super) const PARTS: &[(&str, &[Setting])] = &[
    ("Identity, listeners and topics", identity::ROWS),
    ("The cluster", cluster::ROWS),
    ("Connections and requests", network::ROWS),
    ("Defaults of the topic settings", topic_defaults::ROWS),
    ("Housekeeping of the log", log::ROWS),
    ("Compaction", cleaner::ROWS),
    ("Producers, consumer groups and offsets", groups::ROWS),
    ("Settings of Kafka without effect here", absent::ROWS),
];

const fn boolean(name: &'static str, default: &'static str) -> Setting {
    setting(name, Kind::Boolean, Some(default))
}

const fn int(name: &'static str, default: &'static str) -> Setting {
    setting(name, Kind::Int, Some(default))
}

const fn long(name: &'static str, default: &'static str) -> Setting {
    setting(name, Kind::Long, Some(default))
}

const fn string(name: &'static str, default: &'static str) -> Setting {
    setting(name, Kind::String, Some(default))
}

/// Not set unless given.
const fn unset(name: &'static str, kind: Kind) -> Setting {
    setting(name, kind, None)
}
