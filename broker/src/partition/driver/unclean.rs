//! What an unclean election means for the log that a replica finds on its disk.

use klamm_model::Offset;
use klamm_replication::{Forced, LogFate, Members, ReplicaId, UncleanElection};
use klamm_storage::Log;

use super::{OpenError, restored};

/// What becomes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It goes on as it is.
    GoesOn,
    /// Its replica votes alone from now on, and the journal knows that.
    GoesOnAlone,
    /// It may not be opened any more: its replica begins anew.
    IsGivenUp {
        /// Records from this offset on may differ from what the survivor's log has there, or not be in it.
        lost_from: Offset,
    },
}

/// Has a log that was opened go through an unclean election, if it has not; to be asked before
/// [`open`](super::PartitionDriver::open). Waits for the disk.
///
/// # Errors
/// If the journal cannot be written. It may be tried again, with the log opened anew.
pub fn settle(
    log: &mut Log,
    own: ReplicaId,
    election: &UncleanElection,
) -> Result<Settled, OpenError> {
    let mut past = restored(log, Members::default())?;
    match election.fate_of(own, &past) {
        LogFate::GoesOn => Ok(Settled::GoesOn),
        LogFate::IsGivenUp => Ok(Settled::IsGivenUp {
            lost_from: end_of_common(log, election),
        }),
        LogFate::GoesOnAlone => {
            if log.synced_index() < log.last_index() {
                log.sync()?;
            }
            let Forced { hard_state, metas } = past.go_on_alone(own, election);
            log.save_hard_state(hard_state)?;
            for meta in &metas {
                log.append_meta(meta)?;
            }
            log.sync_journal()?;
            Ok(Settled::GoesOnAlone)
        }
    }
}

/// How far a log can be the same as the survivor's was: by the leader epochs, as clients find out where their
/// logs diverge (KIP-101).
fn end_of_common(log: &Log, election: &UncleanElection) -> Offset {
    let end = log.log_end_offset();
    let of_epoch = election.last.term.leader_epoch();
    let common = log.leader_epochs().end_offset_of(of_epoch, end);
    let common = common.map_or(end, |(_, common)| common);
    common.min(election.end_offset)
}
