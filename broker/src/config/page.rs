//! The settings page of the documentation, made from the tables: `docs/settings.md`.

use std::fmt::Write;

use klamm_metadata::setting::{Effect, Setting, Standing, Table, Unit};
use klamm_metadata::{GROUP_SETTINGS, TOPIC_SETTINGS};

use super::table::PARTS;

const HEAD: &str = "\
# Settings

<!-- Made from the tables in the code: KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker settings_page -->

Kafka's names wherever Kafka has the setting; Klamm's own begin with `klamm.`. Defaults are those
of Apache Kafka 4.4 where the text does not say otherwise.

Settings of the broker are given, the later winning over the earlier,

1. in a file: `klamm serve --config FILE`, in the form of Kafka's `server.properties`
   (`name=value`, `#` begins a comment, a backslash at the end goes on with the next line; UTF-8);
2. in the environment: `KLAMM_` and the name in capitals with `_` for each `.`, so that
   `KLAMM_LOG_DIRS` is `log.dirs`. Names that begin with `klamm.` need not say it twice:
   `KLAMM_LOG_LEVEL` is `klamm.log.level`. Variables that container platforms make for a service
   named klamm (`KLAMM_PORT…`, `KLAMM_SERVICE_…`) are passed over;
3. on the command line: `klamm serve --set NAME=VALUE`, as often as needed.

A name that is not in these tables keeps the broker from starting, as does a value out of range or
values that do not go together; the message says what to change.

**When** tells when a change takes effect: *at start*, or *at once* when it is made while the broker
runs, for one broker or for all (`kafka-configs --alter --entity-type brokers`). Settings of topics
and groups always change at once.
";

/// The whole page.
pub fn settings_page() -> String {
    let mut page = HEAD.to_owned();
    for (title, rows) in PARTS {
        heading(&mut page, title);
        table(&mut page, rows.iter(), true);
    }
    for (title, table_of) in [
        ("Settings of a topic", &TOPIC_SETTINGS),
        ("Settings of a group", &GROUP_SETTINGS),
    ] {
        heading(&mut page, title);
        resource(&mut page, table_of);
    }
    page
}

fn heading(page: &mut String, title: &str) {
    let _ = write!(page, "\n## {title}\n\n");
}

fn resource(page: &mut String, rows: &Table) {
    table(page, rows.rows(), false);
}

fn table<'a>(page: &mut String, rows: impl Iterator<Item = &'a Setting>, with_effect: bool) {
    page.push_str("| Name | Type | Default | Values |");
    page.push_str(if with_effect { " When |" } else { "" });
    page.push_str(" What it does |\n|---|---|---|---|---|");
    page.push_str(if with_effect { "---|\n" } else { "\n" });
    for row in rows {
        let when = match row.effect {
            _ if !with_effect => "",
            Effect::AtStart => " at start |",
            Effect::AtOnce => " at once |",
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |{when} {} |",
            row.name,
            kind(row),
            default(row),
            cell(&row.valid.to_string()),
            cell(&sentence(row)),
        );
    }
}

fn kind(row: &Setting) -> String {
    let kind = row.kind.to_string().to_lowercase();
    match row.unit {
        Unit::None => kind,
        unit => format!("{kind}, {unit}"),
    }
}

fn default(row: &Setting) -> String {
    match row.default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some("9223372036854775807") => "never (2^63 - 1)".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn sentence(row: &Setting) -> String {
    match row.standing {
        Standing::Ignored(reason) if reason == row.sentence => format!("No effect: {reason}."),
        Standing::Ignored(reason) => format!("{} *No effect: {reason}.*", row.sentence),
        Standing::DefaultOnly(reason) if reason == row.sentence => format!("Refused: {reason}."),
        Standing::DefaultOnly(reason) => {
            format!("{} *Only the default is accepted: {reason}.*", row.sentence)
        }
        Standing::Served => row.sentence.to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the page lies in the repository, not on a broker's disk"
    )]
    fn settings_page_is_current() {
        if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
            std::fs::write(PATH, settings_page()).expect("the repository can be written");
        }
        let written = std::fs::read_to_string(PATH).expect("docs/settings.md is there");
        assert!(
            written == settings_page(),
            "docs/settings.md is not made from these tables: KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker settings_page"
        );
    }
}
