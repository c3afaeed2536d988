//! Appends under way: what to do when they are committed, and which reply waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::group::{ClassicGroup, StaticTakeover};
use crate::{AppendId, GroupId, MemberId, Reply, Token};

/// What an append was for, and what its outcome changes.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A group was made by its first join. If it fails, whoever waits in it is sent away.
    GroupCreated(GroupId),
    /// The last member left. Nothing depends on it: after a restart the members of the generation
    /// before would time out.
    GroupEmptied,
    /// The leader has assigned: hand the assignments out.
    Assigned {
        group_id: GroupId,
        assignments: BTreeMap<MemberId, Bytes>,
    },
    /// A static member came back under a new id without a rebalance.
    StaticMemberReplaced {
        group_id: GroupId,
        takeover: Box<StaticTakeover>,
    },
    /// Offsets were committed or deleted.
    Offsets {
        group_id: GroupId,
        partitions: Vec<(Arc<str>, i32)>,
    },
    /// A group was deleted, with these offsets as the last ones.
    GroupDeleted {
        group: Box<ClassicGroup>,
        partitions: Vec<(Arc<str>, i32)>,
    },
}

/// One append under way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) purpose: Purpose,
    /// Leaves when the records commit; refused when they do not.
    pub(crate) held: Option<(Token, Reply)>,
}

/// All appends under way. As many as the driver has taken and not answered: it bounds them with
/// the requests it lets in, since each comes from a request, a member or a group.
#[derive(Debug, Default)]
pub(crate) struct Appends {
    next: u64,
    pending: BTreeMap<AppendId, Pending>,
}

impl Appends {
    /// Notes a new append.
    pub(crate) fn begin(&mut self, purpose: Purpose) -> AppendId {
        let append_id = AppendId(self.next);
        self.next += 1;
        self.pending.insert(
            append_id,
            Pending {
                purpose,
                held: None,
            },
        );
        append_id
    }

    /// Keeps a reply until the append is through.
    pub(crate) fn hold(&mut self, append_id: AppendId, token: Token, reply: Reply) {
        let pending = self
            .pending
            .get_mut(&append_id)
            .expect("the append is under way");
        assert!(pending.held.is_none(), "one reply waits for an append");
        pending.held = Some((token, reply));
    }

    /// Takes the append out: it is through. `None` for one from before a resignation.
    pub(crate) fn end(&mut self, append_id: AppendId) -> Option<Pending> {
        self.pending.remove(&append_id)
    }

    /// Takes all out: none of them counts any more.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Pending> + use<> {
        std::mem::take(&mut self.pending).into_values()
    }
}
