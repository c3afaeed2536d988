//! What one event may use beside the group it is about.

use std::time::Duration;

use crate::append::{Appends, Purpose};
use crate::deadlines::{Deadlines, Timer, TimerKind};
use crate::member_id::MemberIds;
use crate::{AppendId, Config, Effect, GroupId, LogRecord, MemberId, Now, Reply, Token};

/// Time, settings, and where effects go.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) member_ids: &'a mut MemberIds,
    pub(crate) deadlines: &'a mut Deadlines,
    pub(crate) appends: &'a mut Appends,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    /// Answers a request.
    pub(crate) fn reply(&mut self, token: Token, reply: Reply) {
        self.effects.push(Effect::Reply { token, reply });
    }

    /// Asks for an append.
    pub(crate) fn append(&mut self, records: Vec<LogRecord>, purpose: Purpose) -> AppendId {
        assert!(!records.is_empty(), "an append has records");
        let append_id = self.appends.begin(purpose);
        self.effects.push(Effect::Append { append_id, records });
        append_id
    }

    /// Answers a request when `append_id` is committed.
    pub(crate) fn hold(&mut self, append_id: AppendId, token: Token, reply: Reply) {
        self.appends.hold(append_id, token, reply);
    }

    /// Sets a timer of a group, `timeout` from now.
    pub(crate) fn schedule(&mut self, group_id: &GroupId, kind: TimerKind, timeout: Duration) {
        let at = self.now.instant + timeout;
        self.deadlines.schedule(
            Timer {
                group_id: group_id.clone(),
                kind,
            },
            at,
        );
    }

    /// Stops a timer of a group.
    pub(crate) fn cancel(&mut self, group_id: &GroupId, kind: TimerKind) {
        self.deadlines.cancel(&Timer {
            group_id: group_id.clone(),
            kind,
        });
    }

    /// Stops a member's session timer.
    pub(crate) fn cancel_session(&mut self, group_id: &GroupId, member_id: &MemberId) {
        self.cancel(group_id, TimerKind::Session(member_id.clone()));
    }
}

/// Milliseconds of the wire as a duration; negative ones as none.
pub(crate) fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
