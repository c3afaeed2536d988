//! A history as lines of JSON: what clients in any language write, one object per event.
//!
//! Every line has `at` (µs since 1970) and `op`; the rest depends on `op`, as [`Line`] reads it.

use serde_json::{Map, Value as Json};

use crate::history::event::{Entry, Event, Membership, Partition, Value};
use crate::history::payload;

/// Reads one client's log. A last line that the client was killed in is left out.
pub fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| entry(line).map_err(|problem| format!("line {}: {problem}", at + 1)))
        .collect()
}

fn entry(line: &str) -> Result<Entry, String> {
    let parsed: Json = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let fields = parsed.as_object().ok_or("not an object")?;
    let line = Line { fields };
    Ok(Entry {
        at_us: line.unsigned("at")?,
        event: line.event()?,
    })
}

/// The fields of one line.
struct Line<'a> {
    fields: &'a Map<String, Json>,
}

impl Line<'_> {
    fn event(&self) -> Result<Event, String> {
        Ok(match self.text("op")?.as_str() {
            "started" => Event::Started {
                client: self.text("client")?,
            },
            "stopped" => Event::Stopped {
                client: self.text("client")?,
            },
            "error" => Event::Error {
                client: self.text("client")?,
                text: self.text("text")?,
            },
            "send" => Event::Send {
                value: self.value()?,
                partition: self.partition()?,
            },
            "acked" => Event::Acknowledged {
                value: self.value()?,
                offset: self.optional("offset", Self::signed)?,
            },
            "failed" => Event::Failed {
                value: self.value()?,
            },
            "unknown" => Event::Unknown {
                value: self.value()?,
            },
            "assigned" => self.assigned()?,
            "polled" => self.polled()?,
            "watermark" => Event::Watermark {
                consumer: self.text("consumer")?,
                partition: self.partition()?,
                high_watermark: self.signed("high_watermark")?,
            },
            "drained" => Event::Drained {
                consumer: self.text("consumer")?,
                partition: self.partition()?,
            },
            "committed" => Event::Committed {
                group: self.text("group")?,
                partition: self.partition()?,
                offset: self.signed("offset")?,
                begun_us: self.unsigned("begun")?,
            },
            "resumed" => Event::Resumed {
                group: self.text("group")?,
                partition: self.partition()?,
                offset: self.signed("offset")?,
                begun_us: self.unsigned("begun")?,
            },
            other => return Err(format!("no such op: {other}")),
        })
    }

    fn assigned(&self) -> Result<Event, String> {
        let partitions = self.field("partitions")?.as_array().ok_or("no list")?;
        let partition = |pair: &Json| {
            let topic = pair.get(0)?.as_str()?;
            let index = i32::try_from(pair.get(1)?.as_i64()?).ok()?;
            Some(Partition::new(topic, index))
        };
        let partitions: Option<Vec<_>> = partitions.iter().map(partition).collect();
        let group = self.optional("group", Self::text)?;
        let generation = self.optional("generation", Self::signed)?;
        let membership = |(group, generation)| {
            let generation = i32::try_from(generation).ok()?;
            Some(Membership { group, generation })
        };
        Ok(Event::Assigned {
            consumer: self.text("consumer")?,
            group: group.zip(generation).and_then(membership),
            partitions: partitions.ok_or("partitions are pairs of topic and index")?,
        })
    }

    fn polled(&self) -> Result<Event, String> {
        let partition = self.partition()?;
        let value = payload::value(&partition, self.text("value")?.as_bytes());
        let leader_epoch = self.optional("epoch", Self::signed)?;
        Ok(Event::Polled {
            consumer: self.text("consumer")?,
            partition,
            offset: self.signed("offset")?,
            value,
            leader_epoch: leader_epoch.and_then(|epoch| i32::try_from(epoch).ok()),
        })
    }

    fn value(&self) -> Result<Value, String> {
        let producer = self.unsigned("producer")?;
        Ok(Value {
            producer: u32::try_from(producer).map_err(|error| error.to_string())?,
            number: self.unsigned("number")?,
        })
    }

    fn partition(&self) -> Result<Partition, String> {
        let index = self.signed("partition")?;
        let index = i32::try_from(index).map_err(|error| error.to_string())?;
        Ok(Partition::new(&self.text("topic")?, index))
    }

    fn field(&self, name: &str) -> Result<&Json, String> {
        let field = self.fields.get(name);
        field.ok_or_else(|| format!("{name} is missing"))
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let text = self.field(name)?.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| format!("{name} is no text"))
    }

    fn signed(&self, name: &str) -> Result<i64, String> {
        let number = self.field(name)?.as_i64();
        number.ok_or_else(|| format!("{name} is no number"))
    }

    fn unsigned(&self, name: &str) -> Result<u64, String> {
        let number = self.field(name)?.as_u64();
        number.ok_or_else(|| format!("{name} is no number from 0 on"))
    }

    /// What is missing or null is `None`; what is there has to be right.
    fn optional<T>(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        match self.fields.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_client_are_read_and_a_last_one_cut_short_is_left_out() {
        let text = concat!(
            r#"{"at":1,"op":"send","producer":4,"number":2,"topic":"t","partition":1}"#,
            "\n",
            r#"{"at":2,"op":"acked","producer":4,"number":2,"offset":null}"#,
            "\n",
            r#"{"at":3,"op":"polled","consumer":"c","topic":"t","partition":1,"offset":9,"value":"t/1/4/2;t/"}"#,
            "\n",
            r#"{"at":4,"op":"assigned","consumer":"c","group":"g","generation":3,"partitions":[["t",1]]}"#,
            "\n",
            r#"{"at":5,"op":"acked","produ"#,
        );
        let value = Value {
            producer: 4,
            number: 2,
        };
        let events: Vec<_> = parse(text).expect("sound lines");
        let events: Vec<_> = events.into_iter().map(|entry| entry.event).collect();
        let partition = Partition::new("t", 1);
        let membership = Membership {
            group: "g".to_owned(),
            generation: 3,
        };
        let expected = [
            Event::Send {
                value,
                partition: partition.clone(),
            },
            Event::Acknowledged {
                value,
                offset: None,
            },
            Event::Polled {
                consumer: "c".to_owned(),
                partition: partition.clone(),
                offset: 9,
                value: Some(value),
                leader_epoch: None,
            },
            Event::Assigned {
                consumer: "c".to_owned(),
                group: Some(membership),
                partitions: vec![partition],
            },
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let parsed = parse("{\"at\":1,\"op\":\"dance\"}\n");
        assert_eq!(parsed, Err("line 1: no such op: dance".to_owned()));
        let parsed = parse("\n{\"op\":\"dance\"}\n");
        assert_eq!(parsed, Err("line 2: at is missing".to_owned()));
    }
}
