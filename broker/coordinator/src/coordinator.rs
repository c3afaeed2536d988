//! The groups and offsets of one partition of `__consumer_offsets`.
//!
//! This module takes events apart and puts the pieces where they belong; what a request does to a
//! group is in [`crate::group`]. [`Loader`] makes a coordinator from the log.

mod appended;
mod clean_up;
mod deletion;
mod load;
mod membership;
mod offset_requests;
mod query;

use std::collections::BTreeMap;

use klamm_model::Instant;

pub use load::Loader;

use crate::append::Appends;
use crate::deadlines::{Deadlines, Timer, TimerKind};
use crate::group::ClassicGroup;
use crate::member_id::MemberIds;
use crate::offsets::Offsets;
use crate::record::STRING_LENGTH_MAX;
use crate::turn::Turn;
use crate::{Config, Effect, Event, GroupError, GroupId, Now, Request, Token};

/// Serves the groups of one partition of `__consumer_offsets`, once it is loaded.
#[derive(Debug)]
pub struct GroupCoordinator {
    groups: BTreeMap<GroupId, ClassicGroup>,
    offsets: Offsets,
    shared: Shared,
    /// When to look for expired offsets; `None` after a resignation.
    next_clean_up: Option<Instant>,
}

/// What all groups use.
#[derive(Debug)]
struct Shared {
    config: Config,
    member_ids: MemberIds,
    deadlines: Deadlines,
    appends: Appends,
}

impl Shared {
    fn turn<'a>(&'a mut self, now: Now, effects: &'a mut Vec<Effect>) -> Turn<'a> {
        Turn {
            now,
            config: &self.config,
            member_ids: &mut self.member_ids,
            deadlines: &mut self.deadlines,
            appends: &mut self.appends,
            effects,
        }
    }
}

impl GroupCoordinator {
    /// Takes in what happened and adds what is to be done, in order.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Request { token, request } => self.request(now, token, request, effects),
            Event::Appended { append_id, result } => {
                self.appended(now, append_id, result, effects);
            }
            Event::DeadlineReached => self.deadline_reached(now, effects),
            Event::PartitionsDeleted(partitions) => {
                self.partitions_deleted(now, &partitions, effects);
            }
            Event::Resigned => self.resign(now, effects),
        }
    }

    /// When to hand in [`Event::DeadlineReached`], if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.shared.deadlines.next(), self.next_clean_up]
            .into_iter()
            .flatten()
            .min()
    }

    /// Obeys other settings from now on. Timers that run keep their time.
    pub fn set_config(&mut self, config: Config) {
        self.shared.config = config;
    }

    fn request(&mut self, now: Now, token: Token, request: Request, effects: &mut Vec<Effect>) {
        let refusal = self
            .check_request(&request)
            .err()
            .map(|error| request.refused(error));
        if let Some(reply) = refusal {
            effects.push(Effect::Reply { token, reply });
            return;
        }
        match request {
            Request::Join(join) => self.join(now, token, join, effects),
            Request::Sync(sync) => self.sync(now, token, sync, effects),
            Request::Heartbeat(heartbeat) => self.heartbeat(now, token, &heartbeat, effects),
            Request::Leave(leave) => self.leave(now, token, leave, effects),
            Request::OffsetCommit(commit) => self.commit_offsets(now, token, commit, effects),
            Request::OffsetDelete(delete) => self.delete_offsets(now, token, delete, effects),
            Request::DeleteGroup { group_id } => self.delete_group(now, token, &group_id, effects),
        }
    }

    /// What has to hold of any request: somebody serves it, and the group's name can be stored.
    /// Members need a name; offsets were always accepted without one.
    fn check_request(&self, request: &Request) -> Result<(), GroupError> {
        if self.next_clean_up.is_none() {
            return Err(GroupError::NotCoordinator);
        }
        let needs_name = matches!(
            request,
            Request::Join(_) | Request::Sync(_) | Request::Heartbeat(_) | Request::Leave(_)
        );
        let group_id = request.group_id();
        if group_id.len() > STRING_LENGTH_MAX || (needs_name && group_id.is_empty()) {
            return Err(GroupError::InvalidGroupId);
        }
        Ok(())
    }

    fn deadline_reached(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(timer) = self.shared.deadlines.pop_due(now.instant) {
            let Timer { group_id, kind } = timer;
            let Some(group) = self.groups.get_mut(&group_id) else {
                continue;
            };
            let mut turn = self.shared.turn(now, effects);
            match kind {
                TimerKind::Join => group.join_deadline_reached(&mut turn),
                TimerKind::Sync => group.sync_deadline_reached(&mut turn),
                TimerKind::Session(member_id) => {
                    group.session_deadline_reached(&mut turn, &member_id);
                }
            }
        }
        if self.next_clean_up.is_some_and(|at| at <= now.instant) {
            self.clean_up(now, effects);
            self.schedule_clean_up(now);
        }
    }

    fn schedule_clean_up(&mut self, now: Now) {
        self.next_clean_up =
            Some(now.instant + self.shared.config.offsets_retention_check_interval);
    }

    fn resign(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for group in self.groups.values_mut() {
            group.dismiss(
                &mut self.shared.turn(now, effects),
                GroupError::NotCoordinator,
            );
        }
        for pending in self.shared.appends.abandon() {
            if let Some((token, reply)) = pending.held {
                let reply = reply.refused(GroupError::NotCoordinator);
                effects.push(Effect::Reply { token, reply });
            }
        }
        self.groups.clear();
        self.offsets = Offsets::default();
        self.shared.deadlines = Deadlines::default();
        self.next_clean_up = None;
    }
}
