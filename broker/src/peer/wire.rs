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

mod greeting;
mod pieces;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

pub(super) use self::greeting::refusal;
pub(crate) use self::greeting::{Greeting, Levels, Purpose, Refused, Welcome};
pub(super) use self::pieces::{
    LENGTH_BYTES, end, finished, frame, frame_length, put_address, put_broker, put_group,
    put_length, put_text, take_address, take_broker, take_group, take_id, take_text, take_u8,
};

/// What a greeting, a welcome or a refusal takes at most: a few texts.
pub(super) const GREETING_BYTES_MAX: usize = 8 << 10;
/// What any other frame takes at most: more than a segment, and so than any batch in it.
pub(super) const FRAME_BYTES_MAX: usize = i32::MAX as usize;

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
    use super::*;

    pub(super) fn payload(frame: &Bytes) -> Bytes {
        let length = u32::from_be_bytes(frame[..LENGTH_BYTES].try_into().unwrap());
        assert_eq!(length as usize, frame.len() - LENGTH_BYTES);
        frame.slice(LENGTH_BYTES..)
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
