//! Between raft-rs' messages and ours.

use klamm_model::{LogIndex, Term};
use raft::eraftpb::{Entry, Message, MessageType};

use crate::ReplicaId;
use crate::envelope::{EntryId, Envelope, PeerMessage};

/// raft-rs marks an election that the leader wants with these words.
const TRANSFER: &[u8] = b"CampaignTransfer";

/// `None` for what does not go to another replica as it is.
pub(super) fn to_envelope(message: &Message, flush: bool) -> Option<Envelope> {
    let commit = LogIndex(message.commit);
    let pre = matches!(
        message.get_msg_type(),
        MessageType::MsgRequestPreVote | MessageType::MsgRequestPreVoteResponse
    );
    let translated = match message.get_msg_type() {
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => PeerMessage::VoteRequest {
            pre,
            last: named(message.index, message.log_term),
            commit: named(message.commit, message.commit_term),
            transfer: message.context == TRANSFER,
        },
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            PeerMessage::VoteResponse {
                pre,
                granted: !message.reject,
                commit: named(message.commit, message.commit_term),
            }
        }
        MessageType::MsgAppend => PeerMessage::Append {
            previous: named(message.index, message.log_term),
            commit,
            count: u32::try_from(message.entries.len()).expect("the store limits them"),
            flush,
        },
        MessageType::MsgAppendResponse if message.reject => PeerMessage::Rejected {
            previous: LogIndex(message.index),
            hint: named(message.reject_hint, message.log_term),
            commit,
        },
        MessageType::MsgAppendResponse => PeerMessage::Accepted {
            through: LogIndex(message.index),
            commit,
        },
        MessageType::MsgHeartbeat => PeerMessage::Heartbeat {
            commit,
            sleep: false,
        },
        MessageType::MsgHeartbeatResponse => PeerMessage::HeartbeatResponse {
            commit,
            asleep: false,
        },
        MessageType::MsgTimeoutNow => PeerMessage::TimeoutNow,
        _ => return None,
    };
    Some(Envelope {
        from: ReplicaId::new(message.from)?,
        to: ReplicaId::new(message.to)?,
        term: Term::new(message.term),
        visible: LogIndex::ZERO,
        message: translated,
    })
}

/// `None` for what raft-rs knows nothing of.
pub(super) fn to_message(envelope: &Envelope, entries: Vec<Entry>) -> Option<Message> {
    let mut message = Message {
        from: envelope.from.get(),
        to: envelope.to.get(),
        term: envelope.term.get(),
        ..Message::default()
    };
    match envelope.message {
        PeerMessage::VoteRequest {
            pre,
            last,
            commit,
            transfer,
        } => {
            message.set_msg_type(match pre {
                true => MessageType::MsgRequestPreVote,
                false => MessageType::MsgRequestVote,
            });
            (message.index, message.log_term) = numbers(last);
            (message.commit, message.commit_term) = numbers(commit);
            if transfer {
                message.context = TRANSFER.to_vec().into();
            }
        }
        PeerMessage::VoteResponse {
            pre,
            granted,
            commit,
        } => {
            message.set_msg_type(match pre {
                true => MessageType::MsgRequestPreVoteResponse,
                false => MessageType::MsgRequestVoteResponse,
            });
            message.reject = !granted;
            (message.commit, message.commit_term) = numbers(commit);
        }
        PeerMessage::Append {
            previous, commit, ..
        } => {
            message.set_msg_type(MessageType::MsgAppend);
            (message.index, message.log_term) = numbers(previous);
            message.commit = commit.0;
            message.set_entries(entries.into());
        }
        PeerMessage::Accepted { through, commit } => {
            message.set_msg_type(MessageType::MsgAppendResponse);
            message.index = through.0;
            message.commit = commit.0;
        }
        PeerMessage::Rejected {
            previous,
            hint,
            commit,
        } => {
            message.set_msg_type(MessageType::MsgAppendResponse);
            message.reject = true;
            message.index = previous.0;
            (message.reject_hint, message.log_term) = numbers(hint);
            message.commit = commit.0;
        }
        PeerMessage::Heartbeat { commit, .. } => {
            message.set_msg_type(MessageType::MsgHeartbeat);
            message.commit = commit.0;
        }
        PeerMessage::HeartbeatResponse { commit, .. } => {
            message.set_msg_type(MessageType::MsgHeartbeatResponse);
            message.commit = commit.0;
        }
        PeerMessage::TimeoutNow => message.set_msg_type(MessageType::MsgTimeoutNow),
        PeerMessage::Written { .. }
        | PeerMessage::TakeCopy { .. }
        | PeerMessage::Recovering { .. }
        | PeerMessage::CatchUpTo { .. }
        | PeerMessage::Holds { .. } => return None,
    }
    Some(message)
}

fn named(index: u64, term: u64) -> EntryId {
    EntryId {
        index: LogIndex(index),
        term: Term::new(term),
    }
}

fn numbers(entry: EntryId) -> (u64, u64) {
    (entry.index.0, entry.term.get())
}
