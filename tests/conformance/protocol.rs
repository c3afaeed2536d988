//! What a client program says on standard output: one JSON object per line.
//!
//! | line | meaning |
//! |---|---|
//! | `{"begin": "codec/lz4"}` | a check starts; its time limit runs from here |
//! | `{"check": "codec/lz4", "ok": true, "detail": "…"}` | its outcome |
//! | `{"broker": "kill"}` | kill -9 the broker and start it again; `ready` comes back on standard input |
//! | `{"broker": "stop"}` | the same with SIGTERM |
//! | `{"done": true}` | the program ran to its end |
//!
//! Other lines are noise of the client library and are kept in its log.

use serde_json::Value;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Begin(String),
    Check {
        name: String,
        ok: bool,
        detail: String,
    },
    Kill,
    Stop,
    Done,
    Noise,
}

impl Line {
    pub(crate) fn parse(text: &str) -> Self {
        if !text.starts_with('{') {
            return Self::Noise;
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return Self::Noise;
        };
        let text_of = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(name) = text_of("begin") {
            return Self::Begin(name);
        }
        if let Some(name) = text_of("check") {
            let ok = value.get("ok").and_then(Value::as_bool).unwrap_or(false);
            return Self::Check {
                name,
                ok,
                detail: text_of("detail").unwrap_or_default(),
            };
        }
        match text_of("broker").as_deref() {
            Some("kill") => Self::Kill,
            Some("stop") => Self::Stop,
            _ if value.get("done").is_some() => Self::Done,
            _ => Self::Noise,
        }
    }
}
