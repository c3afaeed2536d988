//! How a record is printed as text: kcat's letters, where kcat has them.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use rdkafka::message::{Headers as _, Message};

/// A format such as `%p:%o %s\n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Value,
    Key,
    Headers,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Date,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match field(letters.next())? {
                    Piece::Text(text) => plain.extend(text),
                    piece => {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        pieces.push(piece);
                    }
                },
                '\\' => plain.push(escaped(letters.next())?),
                letter => plain.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }
}

fn field(letter: Option<char>) -> Result<Piece, String> {
    Ok(match letter {
        Some('s') => Piece::Value,
        Some('k') => Piece::Key,
        Some('h') => Piece::Headers,
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('T') => Piece::Timestamp,
        Some('D') => Piece::Date,
        Some('%') => Piece::Text(b"%".to_vec()),
        Some(other) => return Err(format!("%{other} is no field of a record")),
        None => return Err("it ends with a %; write %% for a percent sign".to_owned()),
    })
}

fn escaped(letter: Option<char>) -> Result<u8, String> {
    match letter {
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        _ => Err(r"after \ comes n, t, 0 or \".to_owned()),
    }
}

impl Template {
    /// The record in this form; keys and values as they are, byte for byte.
    pub(super) fn fill(&self, message: &impl Message) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend(text),
                Piece::Value => out.extend(message.payload().unwrap_or_default()),
                Piece::Key => out.extend(message.key().unwrap_or_default()),
                Piece::Headers => headers(message, &mut out),
                Piece::Topic => out.extend(message.topic().as_bytes()),
                Piece::Partition => out.extend(message.partition().to_string().as_bytes()),
                Piece::Offset => out.extend(message.offset().to_string().as_bytes()),
                Piece::Timestamp => out.extend(time(message, |ms| ms.to_string()).as_bytes()),
                Piece::Date => out.extend(time(message, date).as_bytes()),
            }
        }
        out
    }
}

/// `key=value`, with commas between them.
fn headers(message: &impl Message, out: &mut Vec<u8>) {
    let all = message.headers().into_iter().flat_map(|all| all.iter());
    for (index, header) in all.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend(header.key.as_bytes());
        out.push(b'=');
        out.extend(header.value.unwrap_or_default());
    }
}

fn time(message: &impl Message, form: impl Fn(i64) -> String) -> String {
    message.timestamp().to_millis().map_or("-".to_owned(), form)
}

fn date(ms: i64) -> String {
    let since = u64::try_from(ms).ok().map(Duration::from_millis);
    let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    // What the library cannot write, beyond the year 9999, is told as a number.
    match time {
        Some(time) if ms < 253_402_300_800_000 => {
            humantime::format_rfc3339_millis(time).to_string()
        }
        _ => ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    #[test]
    fn each_letter_is_a_field() {
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header {
                key: "b",
                value: None::<&str>,
            });
        let message = OwnedMessage::new(
            Some(b"value".to_vec()),
            Some(b"key".to_vec()),
            "t".to_owned(),
            Timestamp::CreateTime(1_500),
            3,
            9,
            Some(headers),
        );
        let check = |format: &str, expected: &str| {
            let template: Template = format.parse().expect(format);
            let filled = template.fill(&message);
            assert_eq!(String::from_utf8_lossy(&filled), expected, "{format}");
        };
        check(r"%t-%p:%o %k=%s\n", "t-3:9 key=value\n");
        check("%T %D", "1500 1970-01-01T00:00:01.500Z");
        check("%h 100%%", "a=1,b= 100%");
        check(r"\\\t\0", "\\\t\0");
    }

    #[test]
    fn a_format_that_makes_no_sense_is_refused() {
        for format in ["%", "%x", r"\", r"\x"] {
            assert!(format.parse::<Template>().is_err(), "{format}");
        }
    }

    #[test]
    fn a_date_beyond_all_calendars_is_a_number() {
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
        assert_eq!(date(-1), "-1");
    }
}
