//! Small text files in Kafka's formats, replaced as a whole.
//!
//! - offset checkpoints: version 0, count, then `topic partition offset` (Kafka's
//!   `OffsetCheckpointFile`)
//! - `partition.metadata`: `version: 0`, `topic_id: …` (Kafka's `PartitionMetadataFile`)
//! - `meta.properties`: Java properties (Kafka's `MetaProperties`, version 1)
//! - `.kafka_cleanshutdown`: JSON (Kafka's `CleanShutdownFileHandler`)

use std::collections::BTreeMap;
use std::fmt::Write as _;

use klamm_model::{BrokerId, Offset, PartitionIndex, TopicId, TopicName, TopicPartition};

use crate::log_dir::LogDirIdentity;

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// The text of an offset checkpoint.
pub fn encode_offsets(offsets: &Offsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (topic_partition, offset) in offsets {
        let TopicPartition { topic, partition } = topic_partition;
        let _ = writeln!(text, "{topic} {} {offset}", partition.0);
    }
    text
}

/// Reads an offset checkpoint; an error says what is wrong with it.
pub fn decode_offsets(text: &str) -> Result<Offsets, String> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if version != "0" {
        return Err(format!("unknown version {version:?}"));
    }
    let count = lines.next().unwrap_or_default();
    let expected: usize = count
        .parse()
        .map_err(|_| format!("not a count: {count:?}"))?;
    let mut offsets = Offsets::new();
    for line in lines {
        let row = decode_row(line).ok_or_else(|| format!("malformed line {line:?}"))?;
        offsets.insert(row.0, row.1);
    }
    match offsets.len() == expected {
        true => Ok(offsets),
        false => Err(format!(
            "{} lines where {expected} should be",
            offsets.len()
        )),
    }
}

fn decode_row(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut fields = line.split(' ');
    let topic = TopicName::new(fields.next()?).ok()?;
    let partition = fields.next()?.parse().ok().filter(|index| *index >= 0)?;
    let offset = Offset::checked(fields.next()?.parse().ok()?)?;
    let end = fields.next().is_none();
    end.then_some((
        TopicPartition::new(topic, PartitionIndex(partition)),
        offset,
    ))
}

/// The text of `partition.metadata`.
pub fn encode_partition_metadata(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}\n")
}

/// Reads `partition.metadata`; an error says what is wrong with it.
pub fn decode_partition_metadata(text: &str) -> Result<TopicId, String> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if version != "version: 0" {
        return Err(format!("unknown version {version:?}"));
    }
    let line = lines.next().unwrap_or_default();
    line.strip_prefix("topic_id: ")
        .and_then(TopicId::parse)
        .ok_or_else(|| format!("malformed line {line:?}"))
}

/// The text of `meta.properties`.
pub fn encode_identity(identity: &LogDirIdentity) -> String {
    format!(
        "#\ncluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
        identity.cluster_id, identity.directory_id, identity.node_id.0
    )
}

/// Reads `meta.properties`; an error says what is wrong with it.
pub fn decode_identity(text: &str) -> Result<LogDirIdentity, String> {
    let properties: BTreeMap<&str, &str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let get = |key: &str| {
        let value = properties.get(key).copied();
        value.ok_or_else(|| format!("{key} is missing"))
    };
    let version = get("version")?;
    if version != "1" {
        return Err(format!("unknown version {version:?}"));
    }
    let node_id = get("node.id")?;
    let directory_id = get("directory.id")?;
    Ok(LogDirIdentity {
        cluster_id: get("cluster.id")?.to_owned(),
        node_id: node_id
            .parse()
            .map(BrokerId)
            .map_err(|_| format!("node.id is not a number: {node_id:?}"))?,
        directory_id: TopicId::parse(directory_id)
            .ok_or_else(|| format!("directory.id is not a uuid: {directory_id:?}"))?,
    })
}

/// The text of `.kafka_cleanshutdown`; Klamm has no broker epochs, so its incarnation stands there.
pub fn encode_clean_shutdown(incarnation: u64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{incarnation}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(text: &str) -> TopicPartition {
        TopicPartition::parse(text).unwrap()
    }

    #[test]
    fn offsets_are_written_as_kafka_writes_them_and_read_back() {
        let offsets = Offsets::from([
            (partition("orders-0"), Offset::new(17)),
            (partition("a.b_c-d-12"), Offset::new(0)),
        ]);
        let text = encode_offsets(&offsets);
        assert_eq!(text, "0\n2\na.b_c-d 12 0\norders 0 17\n");
        assert_eq!(decode_offsets(&text), Ok(offsets));
    }

    #[test]
    fn damaged_offsets_are_refused() {
        for bad in [
            "",
            "1\n0\n",
            "0\n",
            "0\n2\na 0 1\n",
            "0\n1\na 0\n",
            "0\n1\na 0 -1\n",
            "0\n1\na 0 1 2\n",
            "0\n0\na 0 1\n",
        ] {
            assert!(decode_offsets(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_is_read_back_also_from_a_file_that_java_wrote() {
        let identity = LogDirIdentity {
            cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".to_owned(),
            node_id: BrokerId(3),
            directory_id: TopicId::parse("EjRWeJq8Te-BI0VniavN7w").unwrap(),
        };
        assert_eq!(
            decode_identity(&encode_identity(&identity)),
            Ok(identity.clone())
        );
        let java = "#\n#Mon Jan 05 10:11:12 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nversion=1\n\
                    directory.id=EjRWeJq8Te-BI0VniavN7w\nnode.id=3\n";
        assert_eq!(decode_identity(java), Ok(identity));
        for bad in [
            "",
            "version=0\nbroker.id=1\n",
            "version=1\ncluster.id=x\nnode.id=y\n",
        ] {
            assert!(decode_identity(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_topic_of_a_partition_is_read_back() {
        let id = TopicId::parse("EjRWeJq8Te-BI0VniavN7w").unwrap();
        let text = encode_partition_metadata(id);
        assert_eq!(text, "version: 0\ntopic_id: EjRWeJq8Te-BI0VniavN7w\n");
        assert_eq!(decode_partition_metadata(&text), Ok(id));
        assert!(decode_partition_metadata("version: 1\n").is_err());
    }
}
