//! `GroupMetadataValue`: a classic group's generation and its members' assignments.

use bytes::Bytes;
use klamm_model::Timestamp;

use super::RecordError;
use super::wire::{Reader, Writer};

/// A generation of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `consumer`, `connect`, …; empty if no member ever joined.
    pub protocol_type: String,
    /// The generation's number.
    pub generation: i32,
    /// The protocol the generation uses; none without members.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: Option<String>,
    /// When the group came into the state it had when this was written. Since version 2.
    pub state_timestamp: Option<Timestamp>,
    /// The members; none: the group is empty.
    pub members: Vec<MemberMetadata>,
}

/// A member of a [`GroupMetadata`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The member.
    pub member_id: String,
    /// Its own name, if static. Since version 3.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it was.
    pub client_host: String,
    /// How long a rebalance waits for it, in ms. Since version 1; before, the session timeout.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// Its metadata for the protocol in use.
    pub subscription: Bytes,
    /// Its assignment.
    pub assignment: Bytes,
}

impl GroupMetadata {
    pub(super) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(value);
        let version = reader.i16()?;
        match version {
            0..=3 => Self::decode_classic(version, &mut reader),
            4 => Self::decode_flexible(&mut reader),
            _ => Err(RecordError::UnknownVersion(version)),
        }
    }

    fn decode_classic(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let protocol_type = reader.string()?;
        let generation = reader.i32()?;
        let protocol = reader.nullable_string()?;
        let leader = reader.nullable_string()?;
        let state_timestamp = if version >= 2 {
            reader.i64()?
        } else {
            NO_TIMESTAMP
        };
        let mut members = Vec::new();
        // No capacity from the count: a member that is not there ends the loop.
        for _ in 0..reader.i32()? {
            let member_id = reader.string()?;
            let instance_id = if version >= 3 {
                reader.nullable_string()?
            } else {
                None
            };
            let client_id = reader.string()?;
            let client_host = reader.string()?;
            let rebalance_timeout_ms = if version >= 1 {
                reader.i32()?
            } else {
                AS_SESSION
            };
            let session_timeout_ms = reader.i32()?;
            members.push(MemberMetadata {
                member_id,
                instance_id,
                client_id,
                client_host,
                rebalance_timeout_ms: rebalance_or_session(
                    rebalance_timeout_ms,
                    session_timeout_ms,
                ),
                session_timeout_ms,
                subscription: reader.bytes()?,
                assignment: reader.bytes()?,
            });
        }
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            state_timestamp: (state_timestamp != NO_TIMESTAMP)
                .then_some(Timestamp(state_timestamp)),
            members,
        })
    }

    fn decode_flexible(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let protocol_type = reader.compact_string()?;
        let generation = reader.i32()?;
        let protocol = reader.compact_nullable_string()?;
        let leader = reader.compact_nullable_string()?;
        let state_timestamp = reader.i64()?;
        let mut members = Vec::new();
        for _ in 0..reader.compact_length()?.ok_or(RecordError::Malformed)? {
            let member_id = reader.compact_string()?;
            let instance_id = reader.compact_nullable_string()?;
            let client_id = reader.compact_string()?;
            let client_host = reader.compact_string()?;
            let rebalance_timeout_ms = reader.i32()?;
            let session_timeout_ms = reader.i32()?;
            members.push(MemberMetadata {
                member_id,
                instance_id,
                client_id,
                client_host,
                rebalance_timeout_ms: rebalance_or_session(
                    rebalance_timeout_ms,
                    session_timeout_ms,
                ),
                session_timeout_ms,
                subscription: reader.compact_bytes()?,
                assignment: reader.compact_bytes()?,
            });
            reader.tagged_fields(|_, _| Ok(()))?;
        }
        reader.tagged_fields(|_, _| Ok(()))?;
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            state_timestamp: (state_timestamp != NO_TIMESTAMP)
                .then_some(Timestamp(state_timestamp)),
            members,
        })
    }

    /// Version 3, as Kafka 4.4 writes it (the last one older brokers can read).
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(3);
        writer.string(&self.protocol_type);
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref());
        writer.nullable_string(self.leader.as_deref());
        writer.i64(self.state_timestamp.map_or(NO_TIMESTAMP, Timestamp::millis));
        writer.i32(i32::try_from(self.members.len()).expect("group.max.size is 31 bits wide"));
        for member in &self.members {
            writer.string(&member.member_id);
            writer.nullable_string(member.instance_id.as_deref());
            writer.string(&member.client_id);
            writer.string(&member.client_host);
            writer.i32(member.rebalance_timeout_ms);
            writer.i32(member.session_timeout_ms);
            writer.bytes(&member.subscription);
            writer.bytes(&member.assignment);
        }
        writer.finish()
    }
}

const NO_TIMESTAMP: i64 = -1;
const AS_SESSION: i32 = -1;

fn rebalance_or_session(rebalance_timeout_ms: i32, session_timeout_ms: i32) -> i32 {
    if rebalance_timeout_ms == AS_SESSION {
        session_timeout_ms
    } else {
        rebalance_timeout_ms
    }
}
