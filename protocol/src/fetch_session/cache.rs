//! The sessions by id, and which one goes when there is no room.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_model::Instant;

use super::SESSION_PARTITIONS_MAX;
use super::session::Session;

/// A session that was not used for this long may go for any other; one that is younger than this
/// goes for a follower's only. Kafka's `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`.
const EVICTION: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Cache {
    sessions: BTreeMap<i32, Session>,
    slots_max: usize,
    /// Of all sessions together.
    partitions: usize,
    partitions_max: usize,
    state: u64,
}

/// By what sessions compare when one has to go: the least goes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    from_follower: bool,
    partitions: usize,
    id: i32,
}

impl Cache {
    pub(super) fn new(slots_max: usize, partitions_max: usize, seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            slots_max,
            partitions: 0,
            partitions_max,
            state: seed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get(&self, id: i32) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// The session must keep its partitions: see [`change`](Self::change).
    pub(super) fn get_mut(&mut self, id: i32) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// Changes which partitions a session has; one that gets more than there is room for goes,
    /// and its client begins anew.
    pub(super) fn change(&mut self, id: i32, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = session.len();
        change(session);
        let (after, is_too_large) = (session.len(), session.len() > SESSION_PARTITIONS_MAX);
        self.partitions = self.partitions - before + after;
        if is_too_large || self.partitions > self.partitions_max {
            self.remove(id);
        }
    }

    pub(super) fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.len();
        }
    }

    /// The id of the session, or `None` if all others are worth more.
    pub(super) fn insert(&mut self, now: Instant, session: Session) -> Option<i32> {
        let partitions = session.len();
        if self.slots_max == 0 || partitions > self.partitions_max {
            return None;
        }
        while self.sessions.len() >= self.slots_max
            || self.partitions + partitions > self.partitions_max
        {
            let evicted = self.evictable(now, &session)?;
            self.remove(evicted);
        }
        let id = self.unused_id();
        self.partitions += partitions;
        self.sessions.insert(id, session);
        Some(id)
    }

    fn evictable(&self, now: Instant, newcomer: &Session) -> Option<i32> {
        let (oldest_id, oldest) = self
            .sessions
            .iter()
            .min_by_key(|(id, session)| (session.last_used(), **id))?;
        if now.since(oldest.last_used()) > EVICTION {
            return Some(*oldest_id);
        }
        let least = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                let is_settled = now.since(session.created()) > EVICTION;
                is_settled || (newcomer.is_from_follower() && !session.is_from_follower())
            })
            .map(|(id, session)| Worth::of(*id, session))
            .min()?;
        (Worth::of(0, newcomer) >= least).then_some(least.id)
    }

    /// A positive number that is not in use.
    fn unused_id(&mut self) -> i32 {
        loop {
            // SplitMix64.
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let id = ((mixed ^ (mixed >> 31)) as i32) & i32::MAX;
            if id > 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Worth {
    fn of(id: i32, session: &Session) -> Self {
        Self {
            from_follower: session.is_from_follower(),
            partitions: session.len(),
            id,
        }
    }
}
