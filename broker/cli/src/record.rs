//! Records as the command line reads and writes them: positions, headers, JSON.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::message::{Headers as _, Message};
use serde_json::{Map, Value, json};

use crate::cluster::{BEGIN, Cluster, END, Partition};
use crate::error::CliError;

/// Where in a partition to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Beginning,
    End,
    Offset(i64),
    /// Milliseconds since 1970: the first record that is not older.
    Time(i64),
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(offset) = text.parse::<u64>() {
            let offset = i64::try_from(offset).map_err(|_| "an offset has 63 bits")?;
            return Ok(Self::Offset(offset));
        }
        match text {
            "beginning" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            time => {
                let time = humantime::parse_rfc3339_weak(time).map_err(
                    |_| "give beginning, end, an offset, or a time such as 2026-11-25T10:00:00Z",
                )?;
                let since = time
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_err(|_| "a time before 1970")?;
                let ms = i64::try_from(since.as_millis()).map_err(|_| "a time too far away")?;
                Ok(Self::Time(ms))
            }
        }
    }
}

impl Position {
    /// The offset that it is in each partition, never outside of what is there.
    pub(crate) fn offsets(
        &self,
        cluster: &Cluster,
        partitions: &[Partition],
    ) -> Result<Vec<i64>, CliError> {
        let found = match self {
            Self::Beginning => cluster.offsets(partitions, BEGIN)?,
            Self::End => cluster.offsets(partitions, END)?,
            Self::Time(ms) => cluster.offsets_or_end(partitions, *ms)?,
            Self::Offset(offset) => {
                let begins = cluster.offsets(partitions, BEGIN)?;
                let ends = cluster.offsets(partitions, END)?;
                let bounds = begins.into_iter().zip(ends);
                bounds
                    .map(|(begin, end)| Some((*offset).clamp(begin?, end?)))
                    .collect()
            }
        };
        let named = partitions.iter().zip(found);
        named
            .map(|((topic, partition), offset)| {
                offset.ok_or_else(|| CliError::Refused {
                    what: format!("{topic}-{partition}"),
                    why: "its leader does not say which offsets it has".to_owned(),
                })
            })
            .collect()
    }
}

/// A record as one JSON object. What is not text is told in base 64, under another name.
pub(crate) fn to_json(message: &impl Message) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), json!(message.topic()));
    object.insert("partition".into(), json!(message.partition()));
    object.insert("offset".into(), json!(message.offset()));
    object.insert("timestamp".into(), json!(message.timestamp().to_millis()));
    insert(&mut object, "key", message.key());
    insert(&mut object, "value", message.payload());
    let headers = message.headers().into_iter().flat_map(|all| all.iter());
    let headers = headers.map(|header| {
        let mut object = Map::new();
        object.insert("key".into(), json!(header.key));
        insert(&mut object, "value", header.value);
        Value::Object(object)
    });
    object.insert("headers".into(), headers.collect());
    Value::Object(object)
}

fn insert(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(_)) => object.insert(
            format!("{name}_base64"),
            json!(STANDARD.encode(bytes.unwrap_or_default())),
        ),
    };
}

/// Name and value of a header; the value may be null.
pub(crate) type Header = (String, Option<Vec<u8>>);

/// A record that shall be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewRecord {
    pub(crate) key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
    pub(crate) partition: Option<i32>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
}

impl NewRecord {
    /// A line: the value, or key and value with `separator` between them.
    ///
    /// # Errors
    /// The separator is missing.
    pub(crate) fn of_line(line: &[u8], separator: Option<&str>) -> Result<Self, String> {
        let Some(separator) = separator else {
            return Ok(Self {
                value: Some(line.to_vec()),
                ..Self::default()
            });
        };
        let width = separator.len();
        let at = line
            .windows(width.max(1))
            .position(|window| window == separator.as_bytes())
            .ok_or_else(|| format!("the key separator {separator:?} is missing"))?;
        Ok(Self {
            key: Some(line[..at].to_vec()),
            value: Some(line[at + width..].to_vec()),
            ..Self::default()
        })
    }

    /// A JSON object with the fields that [`to_json`] writes; `topic` and `offset` are passed over,
    /// so that what was consumed can be produced again. A key or value that is no text is JSON itself.
    ///
    /// # Errors
    /// It is no such object.
    pub(crate) fn of_json(line: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let Value::Object(object) = value else {
            return Err("a record is a JSON object".to_owned());
        };
        Ok(Self {
            key: bytes(&object, "key")?,
            value: bytes(&object, "value")?,
            headers: headers(&object)?,
            partition: number(&object, "partition")?,
            timestamp: number(&object, "timestamp")?,
        })
    }
}

fn bytes(object: &Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let encoded = format!("{name}_base64");
    if let Some(Value::String(text)) = object.get(&encoded) {
        let decoded = STANDARD.decode(text);
        return Ok(Some(
            decoded.map_err(|error| format!("{encoded}: {error}"))?,
        ));
    }
    Ok(match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone().into_bytes()),
        Some(other) => Some(other.to_string().into_bytes()),
    })
}

fn headers(object: &Map<String, Value>) -> Result<Vec<Header>, String> {
    let all = match object.get("headers") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(all)) => all,
        Some(_) => return Err("headers are a list of objects with key and value".to_owned()),
    };
    all.iter()
        .map(|header| match (header, header["key"].as_str()) {
            (Value::Object(object), Some(key)) => Ok((key.to_owned(), bytes(object, "value")?)),
            _ => Err("a header is an object with key and value".to_owned()),
        })
        .collect()
}

fn number<T: TryFrom<i64>>(object: &Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_i64().and_then(|number| T::try_from(number).ok());
            number
                .map(Some)
                .ok_or_else(|| format!("{name} is no such number: {value}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    #[test]
    fn a_position_is_a_word_an_offset_or_a_time() {
        let check = |text: &str, expected: Option<Position>| {
            assert_eq!(text.parse().ok(), expected, "{text}");
        };
        check("beginning", Some(Position::Beginning));
        check("end", Some(Position::End));
        check("42", Some(Position::Offset(42)));
        check("1970-01-01T00:00:01Z", Some(Position::Time(1000)));
        check("1970-01-01 00:00:01.5", Some(Position::Time(1500)));
        check("-1", None);
        check("yesterday", None);
    }

    #[test]
    fn a_line_is_a_value_or_a_key_and_a_value() {
        let record = NewRecord::of_line(b"a::b::c", Some("::")).expect("valid");
        assert_eq!(record.key.as_deref(), Some(b"a".as_slice()));
        assert_eq!(record.value.as_deref(), Some(b"b::c".as_slice()));
        let record = NewRecord::of_line(b"a:b", None).expect("valid");
        assert_eq!((record.key, record.value), (None, Some(b"a:b".to_vec())));
        assert!(NewRecord::of_line(b"a", Some(":")).is_err());
    }

    #[test]
    fn what_was_consumed_as_json_can_be_produced_again() {
        let header = |value| Header { key: "h", value };
        let headers = OwnedHeaders::new()
            .insert(header(Some("x".as_bytes())))
            .insert(header(Some(&[0xff][..])))
            .insert(header(None));
        let message = OwnedMessage::new(
            Some(vec![0xff, 0]),
            None,
            "t".to_owned(),
            Timestamp::CreateTime(7),
            3,
            9,
            Some(headers),
        );
        let text = to_json(&message).to_string();
        let record = NewRecord::of_json(text.as_bytes()).expect("valid");
        let expected = NewRecord {
            key: None,
            value: Some(vec![0xff, 0]),
            headers: vec![
                ("h".to_owned(), Some(b"x".to_vec())),
                ("h".to_owned(), Some(vec![0xff])),
                ("h".to_owned(), None),
            ],
            partition: Some(3),
            timestamp: Some(7),
        };
        assert_eq!(record, expected, "{text}");
    }

    #[test]
    fn json_that_is_no_record_is_refused() {
        let check = |text: &str| {
            assert!(NewRecord::of_json(text.as_bytes()).is_err(), "{text}");
        };
        check("[]");
        check("{");
        check(r#"{"partition": "x"}"#);
        check(r#"{"headers": {"a": 1}}"#);
        check(r#"{"value_base64": "%"}"#);
        let nested = NewRecord::of_json(br#"{"value": {"a": 1}}"#).expect("valid");
        assert_eq!(nested.value.as_deref(), Some(br#"{"a":1}"#.as_slice()));
    }
}
