//! Messages to bytes.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_model::Term;
use klamm_model::raft::{LogEntry, MetaKind, Placement};

use super::{Format, entry, flag, kind};
use crate::envelope::{EntryId, Envelope, PeerMessage};

/// The pieces that, written one after the other, are the message. What its format cannot say is left out.
pub fn encode(envelope: &Envelope, entries: &[LogEntry], format: Format) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(1 + 2 * entries.len());
    let mut head = BytesMut::with_capacity(96);
    head.put_u8(format.number());
    let (kind, flags) = kind_and_flags(&envelope.message);
    head.put_u8(kind);
    head.put_u8(flags);
    head.put_u64(envelope.from.get());
    head.put_u64(envelope.to.get());
    put_term(&mut head, envelope.term);
    head.put_u64(envelope.visible.0);
    put_fields(&mut head, &envelope.message);
    for entry in entries {
        put_entry(&mut head, &mut pieces, entry, format);
    }
    if !head.is_empty() {
        pieces.push(head.freeze());
    }
    pieces
}

fn kind_and_flags(message: &PeerMessage) -> (u8, u8) {
    let set = |flag: u8, is: bool| if is { flag } else { 0 };
    match message {
        PeerMessage::VoteRequest { pre, transfer, .. } => (
            kind::VOTE_REQUEST,
            set(flag::PRE, *pre) | set(flag::TRANSFER, *transfer),
        ),
        PeerMessage::VoteResponse { pre, granted, .. } => (
            kind::VOTE_RESPONSE,
            set(flag::PRE, *pre) | set(flag::GRANTED, *granted),
        ),
        PeerMessage::Append { flush, .. } => (kind::APPEND, set(flag::FLUSH, *flush)),
        PeerMessage::Accepted { .. } => (kind::ACCEPTED, 0),
        PeerMessage::Written { .. } => (kind::WRITTEN, 0),
        PeerMessage::Rejected { .. } => (kind::REJECTED, 0),
        PeerMessage::TakeCopy { .. } => (kind::TAKE_COPY, 0),
        PeerMessage::Heartbeat { sleep, .. } => (kind::HEARTBEAT, set(flag::SLEEP, *sleep)),
        PeerMessage::HeartbeatResponse { asleep, .. } => {
            (kind::HEARTBEAT_RESPONSE, set(flag::SLEEP, *asleep))
        }
        PeerMessage::TimeoutNow => (kind::TIMEOUT_NOW, 0),
        PeerMessage::Recovering { .. } => (kind::RECOVERING, 0),
        PeerMessage::CatchUpTo { .. } => (kind::CATCH_UP_TO, 0),
        PeerMessage::Holds { .. } => (kind::HOLDS, 0),
    }
}

fn put_fields(head: &mut BytesMut, message: &PeerMessage) {
    match message {
        PeerMessage::VoteRequest { last, commit, .. } => {
            put_entry_id(head, *last);
            put_entry_id(head, *commit);
        }
        PeerMessage::VoteResponse { commit, .. } => put_entry_id(head, *commit),
        PeerMessage::Append {
            previous,
            commit,
            count,
            ..
        } => {
            put_entry_id(head, *previous);
            head.put_u64(commit.0);
            head.put_u32(*count);
        }
        PeerMessage::Accepted { through, commit } => {
            head.put_u64(through.0);
            head.put_u64(commit.0);
        }
        PeerMessage::Written { through } => head.put_u64(through.0),
        PeerMessage::Rejected {
            previous,
            hint,
            commit,
        } => {
            head.put_u64(previous.0);
            put_entry_id(head, *hint);
            head.put_u64(commit.0);
        }
        PeerMessage::TakeCopy { unless } => put_entry_id(head, *unless),
        PeerMessage::Heartbeat { commit, .. } | PeerMessage::HeartbeatResponse { commit, .. } => {
            head.put_u64(commit.0);
        }
        PeerMessage::TimeoutNow => {}
        PeerMessage::Recovering { life } => head.put_u64(*life),
        PeerMessage::CatchUpTo { life, through } => {
            head.put_u64(*life);
            head.put_u64(through.0);
        }
        PeerMessage::Holds {
            life,
            last,
            commit,
            configuration,
        } => {
            head.put_u64(*life);
            put_entry_id(head, *last);
            put_entry_id(head, *commit);
            head.put_u64(configuration.since.0);
            let members = match configuration.members.voters.is_empty() {
                true => Bytes::new(),
                false => configuration.members.encode(),
            };
            put_sized(head, &members);
        }
    }
}

fn put_entry(head: &mut BytesMut, pieces: &mut Vec<Bytes>, entry: &LogEntry, format: Format) {
    match entry {
        LogEntry::Records(entry) => {
            let [header, _] = entry.batch.as_slices();
            head.put_u8(match (entry.placement, format) {
                (Placement::Undecided, _) | (_, Format::One) => entry::RECORDS,
                (Placement::Begins, _) => entry::BEGINS,
                (Placement::Continues, _) => entry::CONTINUES,
            });
            head.put_slice(header);
            pieces.push(head.split().freeze());
            pieces.push(entry.batch.record_bytes().clone());
        }
        LogEntry::Meta(meta) => {
            head.put_u8(match meta.kind {
                MetaKind::Noop => entry::NOOP,
                MetaKind::Membership(_) => entry::MEMBERSHIP,
                MetaKind::Archive(_) => entry::ARCHIVE,
            });
            put_term(head, meta.term);
            head.put_i64(meta.at_offset.get());
            match &meta.kind {
                MetaKind::Noop => {}
                MetaKind::Membership(members) => put_sized(head, members),
                MetaKind::Archive(state) => put_sized(head, &state.encode()),
            }
        }
    }
}

fn put_sized(head: &mut BytesMut, bytes: &Bytes) {
    let length = u32::try_from(bytes.len()).expect("a few replicas");
    head.put_u32(length);
    head.put_slice(bytes);
}

fn put_entry_id(head: &mut BytesMut, id: EntryId) {
    head.put_u64(id.index.0);
    put_term(head, id.term);
}

fn put_term(head: &mut BytesMut, term: Term) {
    head.put_u32(u32::try_from(term.get()).expect("a term fits a leader epoch"));
}
