//! A manifest as JSON.
//!
//! Offsets, times and counts are numbers, ids texts. A program reads what it knows and leaves the rest; what
//! an older one could not live with gets a new `version`. A topic id is written as Kafka's tools print it.
//! Each recent object, and each of a list, has a line of its own.

use bytes::Bytes;
use klamm_model::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicName};
use klamm_storage::{EpochEntry, GroupId};
use serde_json::{Map, Value, json};

use super::{ArchiveOwner, ManifestError, ManifestHead, SealedList, SealedRange};
use crate::archived_object::{ArchivedObject, ObjectDetails};
use crate::layout::{LAYOUT_VERSION, ObjectName};

impl ManifestHead {
    /// The bytes of the object.
    pub fn encode(&self) -> Bytes {
        let mut fields = owner_fields(&self.owner);
        fields.insert("leader_epoch".to_owned(), self.leader_epoch.0.into());
        fields.insert("sequence".to_owned(), self.sequence.into());
        fields.insert("start".to_owned(), self.start.get().into());
        fields.insert("end".to_owned(), self.end.get().into());
        let lists = [
            ("epochs", self.epochs.iter().map(epoch_value).collect()),
            ("sealed", self.sealed.iter().map(sealed_value).collect()),
            ("recent", self.recent.iter().map(object_value).collect()),
        ];
        text(fields, &lists)
    }

    /// Reads what [`encode`](Self::encode) writes, and checks that ranges fit each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let fields = Fields::of_manifest(bytes)?;
        let head = Self {
            owner: fields.owner()?,
            leader_epoch: fields.epoch("leader_epoch")?,
            sequence: fields.number("sequence")?,
            start: fields.offset("start")?,
            end: fields.offset("end")?,
            epochs: fields.list("epochs", take_epoch)?,
            sealed: fields.list("sealed", take_sealed)?,
            recent: fields.list("recent", take_object)?,
        };
        head.check()?;
        Ok(head)
    }
}

impl SealedList {
    /// The bytes of the object.
    pub fn encode(&self) -> Bytes {
        let mut fields = owner_fields(&self.owner);
        let summary = self.summary();
        fields.insert("base".to_owned(), summary.range.start.get().into());
        fields.insert("end".to_owned(), summary.range.end.get().into());
        let objects = self.objects.iter().map(object_value).collect();
        text(fields, &[("objects", objects)])
    }

    /// Reads what [`encode`](Self::encode) writes, and checks that ranges fit each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let fields = Fields::of_manifest(bytes)?;
        let list = Self {
            owner: fields.owner()?,
            objects: fields.list("objects", take_object)?,
        };
        if list.objects.is_empty() {
            return Err(damaged("objects"));
        }
        let whole = fields.offset("base")?..fields.offset("end")?;
        super::check_ranges(super::ranges(&list.objects), whole)?;
        Ok(list)
    }
}

/// Bytes that an object takes in a manifest.
pub(super) fn object_bytes(object: &ArchivedObject) -> usize {
    object_value(object).to_string().len() + LINE_BYTES
}

/// What stands between two elements.
const LINE_BYTES: usize = 2;

/// Fields, then lists with a line for each element.
fn text(fields: Map<String, Value>, lists: &[(&str, Vec<Value>)]) -> Bytes {
    let mut text = Value::Object(fields).to_string();
    text.pop();
    for (name, elements) in lists {
        let lines: Vec<_> = elements.iter().map(Value::to_string).collect();
        let lines = lines.join(",\n");
        text.push_str(&format!(",\n\"{name}\":[\n{lines}]"));
    }
    text.push_str("}\n");
    text.into()
}

fn owner_fields(owner: &ArchiveOwner) -> Map<String, Value> {
    let fields = json!({
        "version": LAYOUT_VERSION,
        "cluster_id": owner.cluster_id,
        "topic_id": owner.group.topic_id.to_string(),
        "topic": owner.topic.as_str(),
        "partition": owner.group.partition.0,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn epoch_value(entry: &EpochEntry) -> Value {
    json!({ "epoch": entry.epoch.0, "offset": entry.start_offset.get() })
}

fn sealed_value(list: &SealedRange) -> Value {
    json!({
        "base": list.range.start.get(),
        "end": list.range.end.get(),
        "objects": list.objects,
        "bytes": list.bytes,
        "max_timestamp": list.max_timestamp.map(Timestamp::millis),
    })
}

fn object_value(object: &ArchivedObject) -> Value {
    let mut value = json!({
        "base": object.base().get(),
        "end": object.end().get(),
        "epoch": object.name.epoch().0,
        "plan": object.name.plan(),
        "bytes": object.bytes,
    });
    if let Some(details) = &object.details {
        value["records"] = details.records.into();
        value["min_timestamp"] = details.min_timestamp.millis().into();
        value["max_timestamp"] = details.max_timestamp.millis().into();
        value["first_epoch"] = details.first_epoch.0.into();
        value["last_epoch"] = details.last_epoch.0.into();
        value["crc64nvme"] = details.checksum.clone().into();
    }
    value
}

/// The fields of something, which may not be what they should be.
struct Fields<'a>(std::borrow::Cow<'a, Value>);

impl<'a> Fields<'a> {
    /// Those of a head or a list of a version that is known.
    fn of_manifest(bytes: &[u8]) -> Result<Self, ManifestError> {
        let parsed = serde_json::from_slice(bytes);
        let value: Value = parsed.map_err(|error| ManifestError::Damaged(error.to_string()))?;
        let fields = Self(std::borrow::Cow::Owned(value));
        match fields.number("version")? {
            version if version > LAYOUT_VERSION => Err(ManifestError::Newer { version }),
            0 => Err(damaged("version")),
            _ => Ok(fields),
        }
    }

    fn number(&self, name: &str) -> Result<u64, ManifestError> {
        self.0[name].as_u64().ok_or_else(|| damaged(name))
    }

    fn offset(&self, name: &str) -> Result<Offset, ManifestError> {
        let offset = self.0[name].as_i64().and_then(Offset::checked);
        offset.ok_or_else(|| damaged(name))
    }

    fn epoch(&self, name: &str) -> Result<LeaderEpoch, ManifestError> {
        let epoch = self.0[name].as_i64().map(i32::try_from);
        match epoch {
            Some(Ok(epoch)) => Ok(LeaderEpoch(epoch)),
            _ => Err(damaged(name)),
        }
    }

    fn timestamp(&self, name: &str) -> Result<Timestamp, ManifestError> {
        let millis = self.0[name].as_i64();
        millis.map(Timestamp).ok_or_else(|| damaged(name))
    }

    fn text(&self, name: &str) -> Result<&str, ManifestError> {
        self.0[name].as_str().ok_or_else(|| damaged(name))
    }

    fn list<T>(
        &self,
        name: &str,
        take: impl Fn(&Fields<'_>) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        let elements = self.0[name].as_array().ok_or_else(|| damaged(name))?;
        let fields = |element| Fields(std::borrow::Cow::Borrowed(element));
        elements
            .iter()
            .map(|element| take(&fields(element)))
            .collect()
    }

    fn owner(&self) -> Result<ArchiveOwner, ManifestError> {
        let topic_id = TopicId::parse(self.text("topic_id")?);
        let partition = i32::try_from(self.number("partition")?);
        let group = GroupId {
            topic_id: topic_id.ok_or_else(|| damaged("topic_id"))?,
            partition: PartitionIndex(partition.map_err(|_| damaged("partition"))?),
        };
        Ok(ArchiveOwner {
            cluster_id: self.text("cluster_id")?.to_owned(),
            topic: TopicName::new(self.text("topic")?).map_err(|_| damaged("topic"))?,
            group,
        })
    }
}

fn take_epoch(fields: &Fields<'_>) -> Result<EpochEntry, ManifestError> {
    Ok(EpochEntry {
        epoch: fields.epoch("epoch")?,
        start_offset: fields.offset("offset")?,
    })
}

fn take_sealed(fields: &Fields<'_>) -> Result<SealedRange, ManifestError> {
    let is_known = !fields.0["max_timestamp"].is_null();
    let time = is_known.then(|| fields.timestamp("max_timestamp"));
    Ok(SealedRange {
        range: fields.offset("base")?..fields.offset("end")?,
        objects: fields.number("objects")?,
        bytes: fields.number("bytes")?,
        max_timestamp: time.transpose()?,
    })
}

fn take_object(fields: &Fields<'_>) -> Result<ArchivedObject, ManifestError> {
    let (base, end) = (fields.offset("base")?, fields.offset("end")?);
    let name = ObjectName::new(base, end, fields.epoch("epoch")?, fields.number("plan")?);
    let is_known = !fields.0["records"].is_null();
    Ok(ArchivedObject {
        name: name.ok_or_else(|| damaged("an object's name"))?,
        bytes: fields.number("bytes")?,
        details: is_known.then(|| take_details(fields)).transpose()?,
    })
}

fn take_details(fields: &Fields<'_>) -> Result<ObjectDetails, ManifestError> {
    Ok(ObjectDetails {
        records: fields.number("records")?,
        min_timestamp: fields.timestamp("min_timestamp")?,
        max_timestamp: fields.timestamp("max_timestamp")?,
        first_epoch: fields.epoch("first_epoch")?,
        last_epoch: fields.epoch("last_epoch")?,
        checksum: fields.0["crc64nvme"].as_str().map(str::to_owned),
    })
}

fn damaged(field: &str) -> ManifestError {
    ManifestError::Damaged(format!("a field is missing or impossible field={field}"))
}
