//! What brokers say to each other, as bytes.
//!
//! ```text
//! frame      length 4 B, payload
//! greeting   "KLAMM" 5 B, format 1 B, oldest and newest level 1 B each, purpose 1 B, cluster text, broker 4 B (-1: none yet),
//!            incarnation 16 B, expected broker 4 B (-1: whoever it is), host text, port 2 B, listener text
//! welcome    1 B (0), level 1 B, cluster text, broker 4 B, incarnation 16 B, host text, port 2 B,
//!            controller 4 B (-1: none is known), its host text, its port 2 B
//! refusal    1 B (1: this time, 2: for ever, since the broker was removed), reason text
//! message    1 B (1), topic id 16 B, partition 4 B, an envelope as `klamm_replication::frame` has it
//! leaders    1 B (2), count 4 B, each: topic id 16 B, partition 4 B, leader epoch 4 B,
//!            count of brokers in sync 4 B, each: broker 4 B;
//!            none of them is a sign of life
//! request    1 B (3), number 8 B, a request as in `request`
//! reply      1 B (4), number 8 B, a reply as in `request`
//! ```
//!
//! Whoever connects greets, and is welcomed or refused; everything after that is messages, leaders,
//! requests and replies; on a bulk connection what `bulk::wire` says. A text is its length in 2 bytes and UTF-8. Numbers are big-endian.

mod pieces;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use klamm_replication::frame::Format;

pub(super) use self::pieces::{
    end, finished, frame, put_address, put_broker, put_group, put_length, put_text, take_address,
    take_broker, take_group, take_id, take_text, take_u8,
};

/// Of greetings, and their answers. It never changes: by these brokers of different versions find out
/// whether they understand each other.
const FORMAT: u8 = 1;
const MAGIC: &[u8; 5] = b"KLAMM";

/// What a greeting, a welcome or a refusal takes at most: a few texts.
pub(super) const GREETING_BYTES_MAX: usize = 8 << 10;
/// What any other frame takes at most: more than a segment, and so than any batch in it.
pub(super) const FRAME_BYTES_MAX: usize = i32::MAX as usize;

const WELCOME: u8 = 0;
const REFUSAL: u8 = 1;
const REMOVAL: u8 = 2;

const MESSAGE: u8 = 1;
const LEADERS: u8 = 2;
const REQUEST: u8 = 3;
const REPLY: u8 = 4;

/// A partition's Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// The topic.
    pub(crate) topic_id: TopicId,
    /// The partition.
    pub(crate) partition: PartitionIndex,
}

/// What a broker says of a partition that it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Led {
    pub(crate) group: Group,
    pub(crate) epoch: LeaderEpoch,
    /// The brokers whose replicas are in sync, itself among them.
    pub(crate) in_sync: Vec<BrokerId>,
}

/// Where a broker listens for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an IP address, resolved each time it is connected to.
    pub(crate) host: String,
    /// The TCP port.
    pub(crate) port: u16,
}

/// The versions of what is said after a greeting that a broker understands.
///
/// A new kind of message, request or field makes a new level. A version of Klamm speaks the level of the
/// version before as well, so that brokers are updated one after the other: two speak the newest level
/// that both know.
///
/// Level 2 says of entries whether a segment begins with them ([`Format::Two`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    pub(crate) oldest: u8,
    pub(crate) newest: u8,
}

impl Levels {
    /// Of this version.
    pub(crate) const OWN: Self = Self {
        oldest: 1,
        newest: 2,
    };
    /// What every version speaks.
    pub(crate) const FIRST: u8 = 1;
    /// From which on unclean elections are spoken of.
    pub(crate) const UNCLEAN_ELECTIONS: u8 = 2;

    /// What two brokers speak; `None` if there is nothing that both understand.
    pub(super) fn common(self, other: Self) -> Option<u8> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }

    /// How replicas speak on a level that is understood here.
    pub(super) fn format(level: u8) -> Format {
        match level {
            1 => Format::One,
            _ => Format::Two,
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
    /// The copy of a log: see [`bulk`](super::bulk).
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
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_final: false,
        }
    }
}

/// A frame after the greeting.
#[derive(Debug)]
pub(super) enum Frame {
    Message { group: Group, envelope: Bytes },
    Leaders(Vec<Led>),
    Request { number: u64, body: Bytes },
    Reply { number: u64, body: Bytes },
}

/// Why bytes of another broker make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// They end too early.
    #[error("a frame is cut short")]
    Truncated,
    /// They do not begin as a broker's.
    #[error("this is no broker: its greeting is something else")]
    NotABroker,
    /// A newer Klamm.
    #[error("the other broker speaks a format that is not known here, update this one format={0}")]
    Format(u8),
    /// Much older, or much newer.
    #[error("the other broker speaks levels {0}, this one {own}: of their versions of Klamm nothing is understood by both, so update the older one step by step", own = Levels::OWN)]
    Levels(Levels),
    /// A kind of frame, purpose or request that is not known.
    #[error("a frame is of an unknown kind kind={0}")]
    Kind(u8),
    /// Bytes are not what they were when they were sent.
    #[error("a frame was damaged on its way")]
    Checksum,
    /// A number that makes no sense.
    #[error("a frame holds an impossible number field={0}")]
    Number(&'static str),
    /// Not UTF-8, or too long.
    #[error("a frame holds what is no text")]
    Text,
    /// Something follows.
    #[error("{0} bytes follow a frame's end")]
    Trailing(usize),
}

impl Greeting {
    /// What is spoken with whoever said this; it has been read, so there is something.
    pub(super) fn level(&self) -> u8 {
        let common = Levels::OWN.common(self.levels);
        common.expect("only greetings that are understood are read")
    }

    pub(super) fn encode(&self) -> Bytes {
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

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
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
pub(super) fn refusal(refused: &Refused) -> Bytes {
    let mut out = frame();
    out.put_u8(match refused.is_final {
        true => REMOVAL,
        false => REFUSAL,
    });
    put_text(&mut out, &refused.reason);
    finished(out)
}

impl Welcome {
    pub(super) fn encode(&self) -> Bytes {
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
        finished(out)
    }

    /// What is said to a greeting.
    pub(super) fn decode(mut bytes: Bytes) -> Result<Result<Self, Refused>, WireError> {
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
        // A later version may say more.
        Ok(Ok(Self {
            level,
            cluster_id,
            broker,
            incarnation,
            address,
            controller: controller.map(|broker| (broker, controller_address)),
        }))
    }
}

impl Address {
    fn nowhere() -> Self {
        Self {
            host: String::new(),
            port: 0,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

impl Frame {
    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, WireError> {
        let kind = take_u8(&mut bytes)?;
        match kind {
            MESSAGE => Ok(Self::Message {
                group: take_group(&mut bytes)?,
                envelope: bytes,
            }),
            LEADERS => {
                let count = bytes.try_get_u32().map_err(|_| WireError::Truncated)?;
                // Each takes bytes: no memory on the word of a count alone.
                let leaders = (0..count).map(|_| take_led(&mut bytes));
                let leaders = leaders.collect::<Result<_, _>>()?;
                end(&bytes).map(|()| Self::Leaders(leaders))
            }
            REQUEST | REPLY => {
                let number = bytes.try_get_u64().map_err(|_| WireError::Truncated)?;
                Ok(match kind {
                    REQUEST => Self::Request {
                        number,
                        body: bytes,
                    },
                    _ => Self::Reply {
                        number,
                        body: bytes,
                    },
                })
            }
            other => Err(WireError::Kind(other)),
        }
    }
}

/// What precedes an envelope of so many bytes.
pub(super) fn put_message_head(out: &mut BytesMut, group: Group, envelope_bytes: usize) {
    const HEAD: usize = 1 + 16 + 4;
    put_length(out, HEAD + envelope_bytes);
    out.put_u8(MESSAGE);
    put_group(out, group);
}

pub(super) fn leaders(leaders: &[Led]) -> Bytes {
    let mut out = frame();
    out.put_u8(LEADERS);
    out.put_u32(u32::try_from(leaders.len()).expect("partitions are far fewer"));
    for led in leaders {
        put_group(&mut out, led.group);
        out.put_i32(led.epoch.0);
        out.put_u32(u32::try_from(led.in_sync.len()).expect("replicas are far fewer"));
        for broker in &led.in_sync {
            put_broker(&mut out, Some(*broker));
        }
    }
    finished(out)
}

pub(super) fn request(number: u64, body: &[u8]) -> Bytes {
    numbered(REQUEST, number, body)
}

pub(super) fn reply(number: u64, body: &[u8]) -> Bytes {
    numbered(REPLY, number, body)
}

fn numbered(kind: u8, number: u64, body: &[u8]) -> Bytes {
    let mut out = frame();
    out.put_u8(kind);
    out.put_u64(number);
    out.put_slice(body);
    finished(out)
}

fn take_led(bytes: &mut Bytes) -> Result<Led, WireError> {
    let group = take_group(bytes)?;
    let epoch = bytes.try_get_i32().map_err(|_| WireError::Truncated)?;
    let count = bytes.try_get_u32().map_err(|_| WireError::Truncated)?;
    let in_sync = (0..count).map(|_| {
        let broker = bytes.try_get_i32().map_err(|_| WireError::Truncated)?;
        Ok(BrokerId(broker))
    });
    Ok(Led {
        group,
        epoch: LeaderEpoch(epoch),
        in_sync: in_sync.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::pieces::LENGTH_BYTES;
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

    fn payload(frame: &Bytes) -> Bytes {
        let length = u32::from_be_bytes(frame[..LENGTH_BYTES].try_into().unwrap());
        assert_eq!(length as usize, frame.len() - LENGTH_BYTES);
        frame.slice(LENGTH_BYTES..)
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
            };
            assert_eq!(Welcome::decode(payload(&welcome.encode())), Ok(Ok(welcome)));
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
        assert_eq!(Levels::format(greeting().level()), Format::Two);
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
        newer[MAGIC.len() + 1..][..2].copy_from_slice(&[3, 4]);
        let error = Greeting::decode(newer.into()).unwrap_err();
        let said = "the other broker speaks levels 3 to 4, this one 1 to 2";
        assert!(error.to_string().starts_with(said), "{error}");
    }

    #[test]
    fn a_list_of_leaders_that_lies_about_its_length_takes_no_memory() {
        let group = Group {
            topic_id: TopicId::from_bytes([1; 16]),
            partition: PartitionIndex(2),
        };
        let led = Led {
            group,
            epoch: LeaderEpoch(5),
            in_sync: vec![BrokerId(1), BrokerId(3)],
        };
        let list = payload(&leaders(std::slice::from_ref(&led)));
        let Ok(Frame::Leaders(read)) = Frame::decode(list.clone()) else {
            panic!("a list of leaders");
        };
        assert_eq!(read, [led]);
        const COUNT_OF_LEADERS: usize = 1;
        const COUNT_IN_SYNC: usize = COUNT_OF_LEADERS + 4 + 16 + 4 + 4;
        for count in [COUNT_OF_LEADERS, COUNT_IN_SYNC] {
            let mut lying = list.to_vec();
            lying[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes());
            let error = Frame::decode(lying.into()).unwrap_err();
            assert_eq!(error, WireError::Truncated);
        }
    }
}
