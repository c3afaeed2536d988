//! What the leader of a load and its parts say to each other: one line of JSON each.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::bench::outcome::{Outcome, missing, number};
use crate::bench::payload::Source;
use crate::bench::plan::Plan;
use crate::bench::share::{Numbers, Share};
use crate::bench::totals::Totals;

/// Another number is another meaning of what is said: both sides must be of one.
pub(super) const FORMAT: &str = "klamm-bench-part-1";

/// What a part is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// Say what time it is.
    Clock,
    /// This is the load, and the cluster: connect.
    Plan(Box<Task>),
    /// Make the topic, or look at it; and delete it at the end, if it was made for the load.
    Topic,
    /// Make these clients.
    Clients {
        run: u64,
        topic: String,
        ends: Vec<(i32, i64)>,
        share: Share,
    },
    /// The first message is due at this time of the part's clock.
    Begin { at_unix_us: u64 },
    /// Send no more: the user wants it to end.
    Stop,
    /// It is over: say what was measured.
    End,
}

/// A load, and where to put it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) plan: Plan,
    /// Properties of the clients.
    pub(super) properties: Vec<(String, String)>,
    pub(super) timeout: Duration,
    /// The file of messages.
    pub(super) source: Option<Source>,
}

/// What a part says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Report {
    /// Its first word.
    Hello {
        format: String,
        version: String,
        boot: Option<String>,
    },
    Clock {
        unix_us: u64,
    },
    /// The topic, with the offset at which each of its partitions ended.
    Topic {
        topic: String,
        ends: Vec<(i32, i64)>,
    },
    /// What it was told is done.
    Ready,
    Totals(Totals),
    Outcome(Box<Outcome>),
    /// It ends; with this code it would as a command.
    Failed {
        why: String,
        code: u8,
    },
}

impl Order {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Clock => json!({ "do": "clock" }),
            Self::Plan(task) => {
                let source = task.source.as_ref().map(|source| {
                    json!({
                        "path": source.path.to_string_lossy(),
                        "base64": STANDARD.encode(&source.bytes),
                    })
                });
                json!({
                    "do": "plan",
                    "plan": task.plan.words(),
                    "properties": task.properties,
                    "timeout_us": us(task.timeout),
                    "source": source,
                })
            }
            Self::Topic => json!({ "do": "topic" }),
            Self::Clients {
                run,
                topic,
                ends,
                share,
            } => json!({
                "do": "clients",
                // As text: a number of 64 bits is not the same number everywhere.
                "run": run.to_string(),
                "topic": topic,
                "ends": ends,
                "producers": numbers(share.producers),
                "consumers": numbers(share.consumers),
            }),
            Self::Begin { at_unix_us } => json!({ "do": "begin", "at_unix_us": at_unix_us }),
            Self::Stop => json!({ "do": "stop" }),
            Self::End => json!({ "do": "end" }),
        }
    }

    /// What [`Self::to_json`] has made.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        match text(value, "do")?.as_str() {
            "clock" => Ok(Self::Clock),
            "plan" => Ok(Self::Plan(Box::new(task(value)?))),
            "topic" => Ok(Self::Topic),
            "clients" => Ok(Self::Clients {
                run: text(value, "run")?.parse().map_err(|_| missing("run"))?,
                topic: text(value, "topic")?,
                ends: ends(value)?,
                share: Share {
                    producers: numbers_of(&value["producers"])?,
                    consumers: numbers_of(&value["consumers"])?,
                },
            }),
            "begin" => Ok(Self::Begin {
                at_unix_us: number(value, "at_unix_us")?,
            }),
            "stop" => Ok(Self::Stop),
            "end" => Ok(Self::End),
            other => Err(format!("{other:?} cannot be done")),
        }
    }
}

impl Report {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Hello {
                format,
                version,
                boot,
            } => json!({ "is": "hello", "format": format, "version": version, "boot": boot }),
            Self::Clock { unix_us } => json!({ "is": "clock", "unix_us": unix_us }),
            Self::Topic { topic, ends } => json!({ "is": "topic", "topic": topic, "ends": ends }),
            Self::Ready => json!({ "is": "ready" }),
            Self::Totals(totals) => json!({
                "is": "totals",
                "at_us": us(totals.at),
                "sending": totals.sending,
                "sent": totals.sent,
                "acknowledged": totals.acknowledged,
                "failed": totals.failed,
                "consumed": totals.consumed,
                "worst_us": totals.worst_us,
            }),
            Self::Outcome(outcome) => json!({ "is": "outcome", "outcome": outcome.to_json() }),
            Self::Failed { why, code } => json!({ "is": "failed", "why": why, "code": code }),
        }
    }

    /// What [`Self::to_json`] has made.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        match text(value, "is")?.as_str() {
            "hello" => Ok(Self::Hello {
                format: text(value, "format")?,
                version: text(value, "version")?,
                boot: value["boot"].as_str().map(str::to_owned),
            }),
            "clock" => Ok(Self::Clock {
                unix_us: number(value, "unix_us")?,
            }),
            "topic" => Ok(Self::Topic {
                topic: text(value, "topic")?,
                ends: ends(value)?,
            }),
            "ready" => Ok(Self::Ready),
            "totals" => Ok(Self::Totals(Totals {
                at: Duration::from_micros(number(value, "at_us")?),
                sending: number(value, "sending")?,
                sent: number(value, "sent")?,
                acknowledged: number(value, "acknowledged")?,
                failed: number(value, "failed")?,
                consumed: number(value, "consumed")?,
                worst_us: number(value, "worst_us")?,
            })),
            "outcome" => Outcome::from_json(&value["outcome"]).map(|one| Self::Outcome(one.into())),
            "failed" => Ok(Self::Failed {
                why: text(value, "why")?,
                code: u8::try_from(number(value, "code")?).map_err(|_| missing("code"))?,
            }),
            other => Err(format!("{other:?} is unknown")),
        }
    }
}

fn task(value: &Value) -> Result<Task, String> {
    let words = texts(&value["plan"]).ok_or_else(|| missing("plan"))?;
    let source = match &value["source"] {
        Value::Null => None,
        source => Some(Source {
            path: PathBuf::from(text(source, "path")?),
            bytes: STANDARD
                .decode(text(source, "base64")?)
                .map_err(|error| error.to_string())?,
        }),
    };
    let pairs = value["properties"].as_array();
    let properties = pairs.ok_or_else(|| missing("properties"))?.iter();
    let properties = properties.map(|pair| match texts(pair)?.as_slice() {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    });
    Ok(Task {
        plan: Plan::of_words(&words).map_err(|error| error.to_string())?,
        properties: properties
            .collect::<Option<_>>()
            .ok_or_else(|| missing("properties"))?,
        timeout: Duration::from_micros(number(value, "timeout_us")?),
        source,
    })
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn text(value: &Value, name: &str) -> Result<String, String> {
    let text = value[name].as_str().map(str::to_owned);
    text.ok_or_else(|| missing(name))
}

fn ends(value: &Value) -> Result<Vec<(i32, i64)>, String> {
    let end = |pair: &Value| {
        let partition = i32::try_from(pair[0].as_i64()?).ok()?;
        Some((partition, pair[1].as_i64()?))
    };
    let pairs = value["ends"].as_array().ok_or_else(|| missing("ends"))?;
    let ends: Option<Vec<_>> = pairs.iter().map(end).collect();
    ends.ok_or_else(|| missing("ends"))
}

fn numbers(numbers: Numbers) -> Value {
    let Numbers { first, every, of } = numbers;
    Value::Object(Map::from_iter([
        ("first".to_owned(), json!(first)),
        ("every".to_owned(), json!(every)),
        ("of".to_owned(), json!(of)),
    ]))
}

fn numbers_of(value: &Value) -> Result<Numbers, String> {
    Ok(Numbers {
        first: number(value, "first")?,
        every: number(value, "every")?,
        of: number(value, "of")?,
    })
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::tests::example;
    use crate::bench::plan::tests::plan;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let check = |order: Order| {
            let text = order.to_json().to_string();
            assert!(!text.contains('\n'), "{text}");
            let value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(Order::from_json(&value), Ok(order));
        };
        check(Order::Clock);
        check(Order::Plan(Box::new(Task {
            plan: plan(&["--topic=a\nb'$(c)"]),
            properties: vec![("sasl.password".to_owned(), "'; rm\n".to_owned())],
            timeout: Duration::from_millis(1_500),
            source: Some(Source {
                path: "m.csv".into(),
                bytes: vec![0, 10, 255],
            }),
        })));
        check(Order::Topic);
        check(Order::Clients {
            run: u64::MAX,
            topic: "t".to_owned(),
            ends: vec![(0, 7), (1, i64::MAX)],
            share: Share::new(1, 3, 7, 2),
        });
        check(Order::Begin { at_unix_us: 9 });
        check(Order::Stop);
        check(Order::End);
        assert!(Order::from_json(&json!({ "do": "dance" })).is_err());
        assert!(Order::from_json(&json!({})).is_err());
    }

    #[test]
    fn reports_are_read_as_they_were_written() {
        let check = |report: Report| {
            let text = report.to_json().to_string();
            let value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(Report::from_json(&value), Ok(report));
        };
        check(Report::Hello {
            format: FORMAT.to_owned(),
            version: "1".to_owned(),
            boot: None,
        });
        check(Report::Clock { unix_us: 1 });
        check(Report::Topic {
            topic: "t".to_owned(),
            ends: vec![(3, 5)],
        });
        check(Report::Ready);
        check(Report::Totals(Totals {
            at: Duration::from_micros(7),
            sending: 1,
            sent: 2,
            acknowledged: 3,
            failed: 4,
            consumed: 5,
            worst_us: 6,
        }));
        check(Report::Outcome(Box::new(example(10, 3))));
        check(Report::Failed {
            why: "no".to_owned(),
            code: 3,
        });
        assert!(Report::from_json(&json!({ "is": "failed", "why": "", "code": 256 })).is_err());
    }
}
