//! What goes wrong inside, in Kafka's codes. One exhaustive `match` per kind of error.

use klamm_model::LeaderEpoch;
use klamm_protocol::ErrorCode;
use klamm_storage::{ProducerRefusal, ReadError};

use crate::partition::driver::StageError;

/// Why a batch was not taken.
pub(crate) fn of_stage(error: &StageError) -> ErrorCode {
    match error {
        StageError::NotLeader => ErrorCode::NotLeaderOrFollower,
        StageError::Producer(refusal) => of_producer(refusal),
        StageError::BatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
        StageError::NoSpace | StageError::Offline => ErrorCode::KafkaStorageError,
        // Kafka has no code for a disk that has fallen behind; this one is retried.
        StageError::Overloaded => ErrorCode::RequestTimedOut,
    }
}

fn of_producer(refusal: &ProducerRefusal) -> ErrorCode {
    match refusal {
        ProducerRefusal::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerRefusal::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
    }
}

/// Why records were not read.
pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
        ReadError::Unreadable(_) | ReadError::Offline(_) => ErrorCode::KafkaStorageError,
    }
}

/// Compares the leader epoch that a client believes in with ours (KIP-320); -1 skips the check.
pub(crate) fn check_leader_epoch(claimed: i32, ours: LeaderEpoch) -> Result<(), ErrorCode> {
    match claimed {
        -1 => Ok(()),
        claimed if claimed < ours.0 => Err(ErrorCode::FencedLeaderEpoch),
        claimed if claimed > ours.0 => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_epoch_is_fenced_a_newer_one_unknown_and_none_is_not_checked() {
        let check = |claimed| check_leader_epoch(claimed, LeaderEpoch(5));
        assert_eq!(check(-1), Ok(()));
        assert_eq!(check(5), Ok(()));
        assert_eq!(check(4), Err(ErrorCode::FencedLeaderEpoch));
        assert_eq!(check(6), Err(ErrorCode::UnknownLeaderEpoch));
    }
}
