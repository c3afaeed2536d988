//! What is said first by whoever connects, and what is answered.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use klamm_model::{BrokerId, TopicId};
use klamm_replication::frame::Format;

use super::{
    Address, WireError, finished, frame, put_address, put_broker, put_text, take_address,
    take_broker, take_id, take_text, take_u8,
};

/// Of greetings, and their answers. It never changes: by these brokers of different versions find out
/// whether they understand each other.
const FORMAT: u8 = 1;
const MAGIC: &[u8; 5] = b"KLAMM";

const WELCOME: u8 = 0;
const REFUSAL: u8 = 1;
const REMOVAL: u8 = 2;

/// The versions of what is said after a greeting that a broker understands.
///
/// A new kind of message, request or field makes a new level. A version of Klamm speaks the level of the
/// version before as well, so that brokers are updated one after the other: two speak the newest level
/// that both know.
///
/// Level 2 says of entries whether a segment begins with them ([`Format::Two`]), and speaks of unclean
/// elections. Level 3 knows what is archived ([`Format::Three`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) oldest: u8,
    pub(crate) newest: u8,
}

impl Levels {
    /// Of this version.
    pub(crate) const OWN: Self = Self {
        oldest: 1,
        newest: 3,
    };
    /// What every version speaks.
    pub(crate) const FIRST: u8 = 1;
    /// From which on unclean elections are spoken of.
    pub(crate) const UNCLEAN_ELECTIONS: u8 = 2;

    /// What two brokers speak; `None` if there is nothing that both understand.
    pub(in crate::peer) fn common(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }

    /// How replicas speak on a level that is understood here.
    pub(in crate::peer) fn format(level: u8) -> Format {
        match level {
            1 => Format::One,
            2 => Format::Two,
            _ => Format::Three,
        }
    }
}

impl std::fmt::Display for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Messages between replicas, and requests.
    Link,
    /// Requests alone, of somebody who need not be a broker yet.
    Requests,
    /// Kafka's own requests, handed on for clients.
    Forwarding,
    /// The copy of a log: see [`bulk`](crate::peer::bulk).
    Bulk,
}

/// What is said first by whoever connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) levels: Levels,
    pub(crate) purpose: Purpose,
    /// Empty if it belongs to none yet.
    pub(crate) cluster_id: String,
    pub(crate) broker: Option<BrokerId>,
    /// Of its process.
    pub(crate) incarnation: TopicId,
    /// Whom it wants to talk to.
    pub(crate) expected: Option<BrokerId>,
    /// Where it listens itself.
    pub(crate) address: Address,
    /// By which listener the clients came, of [`Purpose::Forwarding`].
    pub(crate) listener: String,
}

/// The answer to a greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// What is spoken from here on.
    pub(crate) level: u8,
    /// Empty if it belongs to none yet.
    pub(crate) cluster_id: String,
    pub(crate) broker: Option<BrokerId>,
    pub(crate) incarnation: TopicId,
    pub(crate) address: Address,
    /// Who leads the metadata, if that is known.
    pub(crate) controller: Option<(BrokerId, Address)>,
    /// How long its process has been up; a version that does not say so counts as up for ever.
    pub(crate) up_for: Duration,
}

/// Why somebody is not welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: String,
    /// The broker was removed from the cluster, and need not ask again.
    pub(crate) is_final: bool,
}

impl Refused {
    /// Another time it may be welcome.
    pub(in crate::peer) fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_final: false,
        }
    }
}

impl Greeting {
    /// What is spoken with whoever said this; it has been read, so there is something.
    pub(in crate::peer) fn level(&self) -> u8 {
        let common = Levels::OWN.common(self.levels);
        common.expect("only greetings that are understood are read")
    }

    pub(in crate::peer) fn encode(&self) -> Bytes {
        let mut out = frame();
        out.put_slice(MAGIC);
        out.put_u8(FORMAT);
        out.put_u8(self.levels.oldest);
        out.put_u8(self.levels.newest);
        out.put_u8(match self.purpose {
            Purpose::Link => 0,
            Purpose::Requests => 1,
            Purpose::Forwarding => 2,
            Purpose::Bulk => 3,
        });
        put_text(&mut out, &self.cluster_id);
        put_broker(&mut out, self.broker);
        out.put_slice(self.incarnation.as_bytes());
        put_broker(&mut out, self.expected);
        put_address(&mut out, &self.address);
        put_text(&mut out, &self.listener);
        finished(out)
    }

    pub(in crate::peer) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let bytes = &mut bytes;
        if !bytes.starts_with(MAGIC) {
            return Err(WireError::NotABroker);
        }
        bytes.advance(MAGIC.len());
        match take_u8(bytes)? {
            FORMAT => {}
            other => return Err(WireError::Format(other)),
        }
        let levels = Levels {
            oldest: take_u8(bytes)?,
            newest: take_u8(bytes)?,
        };
        if Levels::OWN.common(levels).is_none() {
            return Err(WireError::Levels(levels));
        }
        let greeting = Self {
            levels,
            purpose: match take_u8(bytes)? {
                0 => Purpose::Link,
                1 => Purpose::Requests,
                2 => Purpose::Forwarding,
                3 => Purpose::Bulk,
                other => return Err(WireError::Kind(other)),
            },
            cluster_id: take_text(bytes)?,
            broker: take_broker(bytes)?,
            incarnation: take_id(bytes)?,
            expected: take_broker(bytes)?,
            address: take_address(bytes)?,
            listener: take_text(bytes)?,
        };
        // A later version may say more.
        Ok(greeting)
    }
}

/// Says why somebody is not welcome.
pub(in crate::peer) fn refusal(refused: &Refused) -> Bytes {
    let mut out = frame();
    out.put_u8(match refused.is_final {
        true => REMOVAL,
        false => REFUSAL,
    });
    put_text(&mut out, &refused.reason);
    finished(out)
}

impl Welcome {
    pub(in crate::peer) fn encode(&self) -> Bytes {
        let mut out = frame();
        out.put_u8(WELCOME);
        out.put_u8(self.level);
        put_text(&mut out, &self.cluster_id);
        put_broker(&mut out, self.broker);
        out.put_slice(self.incarnation.as_bytes());
        put_address(&mut out, &self.address);
        let controller = self.controller.as_ref();
        put_broker(&mut out, controller.map(|(broker, _)| *broker));
        let nowhere = Address::nowhere();
        put_address(
            &mut out,
            controller.map_or(&nowhere, |(_, address)| address),
        );
        out.put_u64(u64::try_from(self.up_for.as_millis()).unwrap_or(u64::MAX));
        finished(out)
    }

    /// What is said to a greeting.
    pub(in crate::peer) fn decode(mut bytes: Bytes) -> Result<Result<Self, Refused>, WireError> {
        let bytes = &mut bytes;
        match take_u8(bytes)? {
            WELCOME => {}
            kind @ (REFUSAL | REMOVAL) => {
                let reason = take_text(bytes)?;
                let is_final = kind == REMOVAL;
                return Ok(Err(Refused { reason, is_final }));
            }
            other => return Err(WireError::Kind(other)),
        }
        let level = take_u8(bytes)?;
        let levels = Levels {
            oldest: level,
            newest: level,
        };
        if Levels::OWN.common(levels).is_none() {
            return Err(WireError::Levels(levels));
        }
        let cluster_id = take_text(bytes)?;
        let broker = take_broker(bytes)?;
        let incarnation = take_id(bytes)?;
        let address = take_address(bytes)?;
        let controller = take_broker(bytes)?;
        let controller_address = take_address(bytes)?;
        let up_for_ms = bytes.try_get_u64().unwrap_or(u64::MAX);
        // A later version may say more.
        Ok(Ok(Self {
            level,
            cluster_id,
            broker,
            incarnation,
            address,
            controller: controller.map(|broker| (broker, controller_address)),
            up_for: Duration::from_millis(up_for_ms),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::payload;
    use super::*;

    fn address() -> Address {
        Address {
            host: "broker.example".to_owned(),
            port: 9192,
        }
    }

    fn greeting() -> Greeting {
        Greeting {
            levels: Levels::OWN,
            purpose: Purpose::Link,
            cluster_id: "c".to_owned(),
            broker: Some(BrokerId(3)),
            incarnation: TopicId::from_bytes([7; 16]),
            expected: None,
            address: address(),
            listener: String::new(),
        }
    }

    #[test]
    fn what_is_said_first_reads_back_as_written() {
        let said = greeting();
        assert_eq!(Greeting::decode(payload(&said.encode())), Ok(said));
        for controller in [None, Some((BrokerId(0), address()))] {
            let welcome = Welcome {
                level: 1,
                cluster_id: "c".to_owned(),
                broker: Some(BrokerId(1)),
                incarnation: TopicId::from_bytes([8; 16]),
                address: address(),
                controller,
                up_for: Duration::from_millis(5),
            };
            let bytes = payload(&welcome.encode());
            let older = Welcome::decode(bytes.slice(..bytes.len() - 8));
            assert_eq!(Welcome::decode(bytes), Ok(Ok(welcome.clone())));
            let up_for = Duration::from_millis(u64::MAX);
            assert_eq!(older, Ok(Ok(Welcome { up_for, ..welcome })));
        }
        for is_final in [false, true] {
            let refused = Refused {
                is_final,
                ..Refused::because("no")
            };
            let read = Welcome::decode(payload(&refusal(&refused)));
            assert_eq!(read, Ok(Err(refused)));
        }
    }

    #[test]
    fn two_versions_speak_the_newest_level_that_both_know() {
        let levels = |oldest, newest| Levels { oldest, newest };
        let check = |a: Levels, b: Levels, level| {
            assert_eq!((a.common(b), b.common(a)), (level, level));
        };
        check(levels(1, 1), levels(1, 1), Some(1));
        check(levels(1, 1), levels(1, 2), Some(1));
        check(levels(2, 3), levels(1, 2), Some(2));
        check(levels(1, 1), levels(2, 3), None);
    }

    #[test]
    fn a_broker_of_the_version_before_is_spoken_to_as_it_understands() {
        let before = Greeting {
            levels: Levels {
                oldest: 1,
                newest: 1,
            },
            ..greeting()
        };
        assert_eq!(Levels::format(before.level()), Format::One);
        assert_eq!(Levels::format(2), Format::Two);
        assert_eq!(Levels::format(greeting().level()), Format::Three);
    }

    #[test]
    fn a_greeting_cut_anywhere_is_refused_and_what_a_later_version_adds_is_passed_over() {
        let whole = payload(&greeting().encode());
        for end in 0..whole.len() {
            assert!(Greeting::decode(whole.slice(..end)).is_err(), "{end}");
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert_eq!(Greeting::decode(longer.into()), Ok(greeting()));
    }

    #[test]
    fn strangers_and_newer_formats_are_told_apart() {
        let http = Greeting::decode(Bytes::from_static(b"GET / HTTP/1.1"));
        assert_eq!(http, Err(WireError::NotABroker));
        let mut newer = payload(&greeting().encode()).to_vec();
        newer[MAGIC.len()] = 9;
        let error = Greeting::decode(newer.into()).unwrap_err();
        assert_eq!(error, WireError::Format(9));
        let mut newer = payload(&greeting().encode()).to_vec();
        newer[MAGIC.len() + 1..][..2].copy_from_slice(&[4, 5]);
        let error = Greeting::decode(newer.into()).unwrap_err();
        let said = "the other broker speaks levels 4 to 5, this one 1 to 3";
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
