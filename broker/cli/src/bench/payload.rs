//! What is in the messages of the load: readings as vehicles and sensors send them, made from a
//! seed, or the messages of a file.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::Value;

use crate::error::CliError;
use crate::files;

/// A message without its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
}

/// Messages that are sent in turn, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload(Vec<Body>);

/// A file of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// What it is called; its ending says what is in it.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// More than a batch holds, so that compression finds no repetitions that real messages lack.
const GENERATED: u64 = 10_000;
/// Generated messages together take no more than about this.
const GENERATED_BYTES_MAX: usize = 64 << 20;
/// Sources of readings; each is a key.
const DEVICES: u64 = 1_000;
/// So much of a file is read, and the rest passed over.
const FILE_BYTES_MAX: usize = 256 << 20;

impl Payload {
    /// Readings of `size_bytes` each; the same seed gives the same.
    pub(super) fn generated(seed: u64, size_bytes: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let fits = GENERATED_BYTES_MAX / size_bytes.max(1);
        let count = GENERATED
            .min(u64::try_from(fits).unwrap_or(GENERATED))
            .max(1);
        let bodies = (0..count).map(|number| reading(&mut random, number, size_bytes));
        Self(bodies.collect())
    }

    /// The lines of a file, or the rows of a `.csv` below its first; `key` names the field of a
    /// line that is a JSON object, or the column.
    ///
    /// # Errors
    /// It is empty, or has no such field.
    pub(super) fn of_file(source: &Source, key: Option<&str>) -> Result<Self, CliError> {
        let Source { path, bytes } = source;
        let is_csv = path.extension().is_some_and(|ending| ending == "csv");
        let bodies = match is_csv {
            true => rows(bytes.as_slice(), key),
            false => lines(bytes.as_slice(), key),
        };
        let wrong = |why: String| CliError::Refused {
            what: path.display().to_string(),
            why,
        };
        let bodies = bodies.map_err(wrong)?;
        match bodies.is_empty() {
            true => Err(wrong("there is no message in it".to_owned())),
            false => Ok(Self(bodies)),
        }
    }

    /// The body of a message.
    pub(super) fn of(&self, sequence: u64) -> &Body {
        let index = sequence % self.0.len() as u64;
        &self.0[usize::try_from(index).unwrap_or(0)]
    }

    /// Bytes of a value on average.
    pub(super) fn mean_bytes(&self) -> u64 {
        let all: usize = self.0.iter().map(|body| body.value.len()).sum();
        (all / self.0.len()) as u64
    }
}

impl Source {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        Ok(Self {
            path: path.to_owned(),
            bytes: files::read_bytes(path, FILE_BYTES_MAX as u64)?,
        })
    }
}

fn reading(random: &mut ChaCha8Rng, number: u64, size_bytes: usize) -> Body {
    let mut below = |bound: u64| random.next_u64() % bound;
    let device = format!("device-{:04}", below(DEVICES));
    let mut text = format!(
        "{{\"device\":\"{device}\",\"n\":{number},\"lat\":{:.5},\"lon\":{:.5},\"speed\":{:.1}",
        47.0 + below(800_000) as f64 / 1e5,
        6.0 + below(900_000) as f64 / 1e5,
        below(2_500) as f64 / 10.0,
    );
    let mut sensor = 0;
    loop {
        let next = format!(",\"s{sensor}\":{:.2}", below(100_000) as f64 / 100.0);
        // What is left over is filled up below.
        if text.len() + next.len() + ",\"x\":\"\"}".len() > size_bytes {
            break;
        }
        text.push_str(&next);
        sensor += 1;
    }
    let filling = size_bytes.saturating_sub(text.len() + ",\"x\":\"\"}".len());
    let filling: String = (0..filling).map(|_| letter(below(26))).collect();
    text.push_str(&format!(",\"x\":\"{filling}\"}}"));
    // Smaller than a reading is: a piece of one.
    text.truncate(size_bytes);
    Body {
        key: Some(device.into_bytes()),
        value: text.into_bytes(),
    }
}

fn letter(number: u64) -> char {
    char::from(b'a' + u8::try_from(number % 26).unwrap_or(0))
}

fn lines(reader: impl std::io::BufRead, key: Option<&str>) -> Result<Vec<Body>, String> {
    let mut bodies = Vec::new();
    for (index, line) in reader.split(b'\n').enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let key = match key {
            None => None,
            Some(name) => Some(field(&line, name).map_err(|why| {
                let number = index + 1;
                format!("line {number}: {why}")
            })?),
        };
        bodies.push(Body { key, value: line });
    }
    Ok(bodies)
}

fn field(line: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match value.get(name) {
        None | Some(Value::Null) => Err(format!("there is no field {name}")),
        Some(Value::String(text)) => Ok(text.clone().into_bytes()),
        Some(other) => Ok(other.to_string().into_bytes()),
    }
}

fn rows(reader: impl std::io::Read, key: Option<&str>) -> Result<Vec<Body>, String> {
    let mut reader = csv::Reader::from_reader(reader);
    let headers = reader.byte_headers().map_err(|error| error.to_string())?;
    let column = match key {
        None => None,
        Some(name) => {
            let found = headers.iter().position(|header| header == name.as_bytes());
            Some(found.ok_or_else(|| format!("there is no column {name}"))?)
        }
    };
    let mut bodies = Vec::new();
    for row in reader.byte_records() {
        let row = row.map_err(|error| error.to_string())?;
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer
            .write_byte_record(&row)
            .map_err(|error| error.to_string())?;
        let mut value = writer.into_inner().map_err(|error| error.to_string())?;
        value.pop();
        let key = column
            .and_then(|column| row.get(column))
            .map(<[u8]>::to_vec);
        bodies.push(Body { key, value });
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages_of_the_size_asked_for() {
        for size in [1, 100, 200, 2_000] {
            let payload = Payload::generated(7, size);
            assert_eq!(payload, Payload::generated(7, size));
            assert!(
                payload.0.iter().all(|body| body.value.len() == size),
                "{size}"
            );
            assert_eq!(payload.mean_bytes(), size as u64);
        }
        assert_ne!(Payload::generated(7, 200), Payload::generated(8, 200));
    }

    #[test]
    fn a_generated_message_is_json_with_its_device_as_key() {
        let payload = Payload::generated(1, 200);
        for body in &payload.0[..100] {
            let value: Value = serde_json::from_slice(&body.value).expect("JSON");
            let device = value["device"].as_str().expect("a device");
            assert_eq!(body.key.as_deref(), Some(device.as_bytes()));
        }
    }

    #[test]
    fn lines_are_messages() {
        let text = b"{\"id\":\"a\",\"x\":1}\n\n{\"id\":7}\n".as_slice();
        let bodies = lines(text, Some("id")).expect("valid");
        let keys: Vec<_> = bodies.iter().map(|body| body.key.as_deref()).collect();
        assert_eq!(keys, [Some(b"a".as_slice()), Some(b"7")]);
        assert_eq!(bodies[1].value, b"{\"id\":7}");
        let refused = lines(b"{}".as_slice(), Some("id")).expect_err("no field");
        assert_eq!(refused, "line 1: there is no field id");
        assert_eq!(lines(b"no json".as_slice(), None).expect("valid").len(), 1);
    }

    #[test]
    fn rows_of_a_table_are_messages_without_its_head() {
        let text = b"id,name\n1,\"a, b\"\n2,c\n".as_slice();
        let bodies = rows(text, Some("name")).expect("valid");
        assert_eq!(bodies[0].value, b"1,\"a, b\"");
        assert_eq!(bodies[0].key.as_deref(), Some(b"a, b".as_slice()));
        assert_eq!(bodies[1].value, b"2,c");
        assert!(rows(text, Some("other")).is_err());
    }
}
