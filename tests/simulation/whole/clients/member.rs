//! A consumer that belongs to a group: it joins, is assigned partitions, reads on where the group has
//! stopped, commits what it has read, and says from time to time that it is alive.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_coordinator::reply::{FetchedTopic, Joined};
use klamm_coordinator::request::{
    CommitPartition, CommitTopic, FetchTopic, Heartbeat, Join, Leave, LeavingMember, OffsetCommit,
    OffsetFetch, Protocol, Sync,
};
use klamm_coordinator::{GroupError, Reply as GroupReply, Request as GroupRequest};
use klamm_model::{LeaderEpoch, Offset, TopicId};
use klamm_simulation::history::event::{Event, Membership, Partition};

use super::super::messages::{Reply, Request};
use super::super::rules::OFFSETS_TOPIC;
use super::{Client, Line, Map, Moment, PAUSE_US, poll};

const GROUP: &str = "group";
/// How long a member may be silent, and how long a rebalance waits for it, in ms.
const SESSION_MS: i32 = 3_000;
/// How long a member waits to be let in: for the others, who may be gone.
const JOIN_TIMEOUT_US: u64 = 8_000_000;
const HEARTBEAT_US: u64 = 500_000;

/// See the module.
pub(in super::super) struct Member {
    name: String,
    /// What there is to be divided among the members.
    partitions: Vec<Partition>,
    map: Map,
    line: Line,
    state: State,
    member_id: String,
    generation: i32,
    positions: Vec<(Partition, Offset)>,
    /// What was committed, by positions.
    committed: Vec<Offset>,
    turn: usize,
    looks_for_leaders: bool,
    heartbeat_us: u64,
    next_us: u64,
    is_ending: bool,
    is_done: bool,
}

/// What it does next, or waits for.
#[derive(Debug)]
enum State {
    Joins,
    /// With the assignments that it has made, if it leads the group.
    Syncs(Vec<(String, Bytes)>),
    Resumes,
    Reads,
    Leaves,
}

impl Member {
    pub(in super::super) fn new(nth: usize, partitions: &[Partition]) -> Self {
        Self {
            name: format!("member {nth}"),
            partitions: partitions.to_vec(),
            map: Map::default(),
            line: Line::default(),
            state: State::Joins,
            member_id: String::new(),
            generation: -1,
            positions: Vec::new(),
            committed: Vec::new(),
            turn: 0,
            looks_for_leaders: true,
            heartbeat_us: 0,
            next_us: 0,
            is_ending: false,
            is_done: false,
        }
    }

    // ---- What it is told ----

    fn take_in(&mut self, at: &mut Moment<'_>, reply: Reply) {
        self.next_us = at.now_us + 1 + at.random.below(PAUSE_US);
        match reply {
            Reply::Metadata(known) => {
                self.map.learn(known);
                self.looks_for_leaders = false;
            }
            Reply::Refused(_) => self.look_for_leaders(at),
            Reply::Fetched { records, .. } => {
                let (partition, from) = &mut self.positions[self.turn];
                *from = poll(at, &self.name, partition, *from, records);
                self.turn = (self.turn + 1) % self.positions.len();
            }
            Reply::Offsets(topics) => self.resume(at, &topics),
            Reply::Group(reply) => self.coordinated(at, reply),
            other => panic!("no answer to a member: {other}"),
        }
    }

    fn look_for_leaders(&mut self, at: &Moment<'_>) {
        self.looks_for_leaders = true;
        self.next_us = at.now_us + PAUSE_US;
    }

    fn coordinated(&mut self, at: &mut Moment<'_>, reply: GroupReply) {
        match reply {
            GroupReply::Join(Ok(joined)) => self.joined(joined),
            GroupReply::Join(Err(refused)) => {
                if refused.error == GroupError::MemberIdRequired {
                    self.member_id = refused.member_id;
                } else {
                    self.refused(at, refused.error);
                }
            }
            GroupReply::Sync(Ok(synced)) => self.assigned(at, &synced.assignment),
            GroupReply::OffsetCommit(Ok(_)) => self.note_committed(at),
            GroupReply::Heartbeat(Ok(())) => self.heartbeat_us = at.now_us + HEARTBEAT_US,
            GroupReply::Leave(_) => self.is_done = true,
            GroupReply::Sync(Err(error))
            | GroupReply::OffsetCommit(Err(error))
            | GroupReply::Heartbeat(Err(error)) => self.refused(at, error),
            other => panic!("no answer to a member: {other:?}"),
        }
    }

    fn refused(&mut self, at: &Moment<'_>, error: GroupError) {
        match error {
            GroupError::NotCoordinator
            | GroupError::CoordinatorNotAvailable
            | GroupError::CoordinatorLoadInProgress => return self.look_for_leaders(at),
            GroupError::UnknownMemberId => self.member_id.clear(),
            GroupError::RebalanceInProgress | GroupError::IllegalGeneration => {}
            other => panic!("{}: {other:?}", self.name),
        }
        self.state = State::Joins;
    }

    fn joined(&mut self, joined: Joined) {
        self.generation = joined.generation;
        let is_leader = joined.leader == joined.member_id;
        self.member_id = joined.member_id;
        let mut shares: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if is_leader {
            let members: Vec<_> = joined
                .members
                .into_iter()
                .map(|one| one.member_id)
                .collect();
            for (nth, partition) in self.partitions.iter().enumerate() {
                let share = shares.entry(members[nth % members.len()].clone());
                share.or_default().push(partition.index.to_string());
            }
        }
        let shares = shares.into_iter();
        let shares = shares.map(|(member, share)| (member, Bytes::from(share.join(","))));
        self.state = State::Syncs(shares.collect());
    }

    fn assigned(&mut self, at: &mut Moment<'_>, assignment: &Bytes) {
        let text = std::str::from_utf8(assignment).expect("as the leader wrote it");
        let is_given = |partition: &&Partition| {
            let mut given = text.split(',');
            given.any(|index| index == partition.index.to_string())
        };
        let given: Vec<_> = self.partitions.iter().filter(is_given).cloned().collect();
        at.note(Event::Assigned {
            consumer: self.name.clone(),
            group: Some(Membership {
                group: GROUP.to_owned(),
                generation: self.generation,
            }),
            partitions: given.clone(),
        });
        self.positions = given.into_iter().map(|one| (one, Offset::ZERO)).collect();
        self.turn = 0;
        self.heartbeat_us = at.now_us + HEARTBEAT_US;
        self.state = State::Resumes;
    }

    fn resume(&mut self, at: &mut Moment<'_>, topics: &[FetchedTopic]) {
        let begun_us = self.line.begun_us();
        let fetched = topics.iter().flat_map(|topic| &topic.partitions);
        let offsets: BTreeMap<i32, i64> = fetched
            .filter_map(|(index, found)| Some((*index, found.as_ref()?.offset)))
            .collect();
        for (partition, position) in &mut self.positions {
            // Where nothing was committed, a group begins at the beginning.
            let offset = offsets.get(&partition.index).copied().unwrap_or_default();
            *position = Offset::new(offset);
            at.note(Event::Resumed {
                group: GROUP.to_owned(),
                partition: partition.clone(),
                offset,
                begun_us,
            });
        }
        self.committed = self.offsets();
        self.state = State::Reads;
    }

    fn offsets(&self) -> Vec<Offset> {
        self.positions.iter().map(|(_, offset)| *offset).collect()
    }

    fn note_committed(&mut self, at: &mut Moment<'_>) {
        let begun_us = self.line.begun_us();
        for (partition, offset) in &self.positions {
            at.note(Event::Committed {
                group: GROUP.to_owned(),
                partition: partition.clone(),
                offset: offset.get(),
                begun_us,
            });
        }
        self.committed = self.offsets();
    }

    // ---- What it asks ----

    fn next_request(&mut self, at: &mut Moment<'_>) -> Option<GroupRequest> {
        let (group_id, member_id) = (GROUP.to_owned(), self.member_id.clone());
        let generation = self.generation;
        match &self.state {
            State::Joins => Some(GroupRequest::Join(Join {
                group_id,
                member_id,
                client_id: self.name.clone(),
                session_timeout_ms: SESSION_MS,
                rebalance_timeout_ms: SESSION_MS,
                protocol_type: "consumer".to_owned(),
                protocols: vec![Protocol {
                    name: "range".to_owned(),
                    metadata: Bytes::new(),
                }],
                requires_member_id: true,
                ..Join::default()
            })),
            State::Syncs(assignments) => Some(GroupRequest::Sync(Sync {
                group_id,
                generation,
                member_id,
                assignments: assignments.clone(),
                ..Sync::default()
            })),
            State::Leaves => Some(GroupRequest::Leave(Leave {
                group_id,
                members: vec![LeavingMember {
                    member_id,
                    instance_id: None,
                }],
            })),
            State::Reads if at.now_us >= self.heartbeat_us => {
                Some(GroupRequest::Heartbeat(Heartbeat {
                    group_id,
                    generation,
                    member_id,
                    instance_id: None,
                }))
            }
            State::Reads if self.committed != self.offsets() && at.random.one_in(4) => {
                Some(GroupRequest::OffsetCommit(self.commit()))
            }
            State::Resumes | State::Reads => None,
        }
    }

    fn commit(&self) -> OffsetCommit {
        let partitions = self
            .positions
            .iter()
            .map(|(partition, offset)| CommitPartition {
                partition: partition.index,
                offset: offset.get(),
                leader_epoch: -1,
                metadata: None,
            });
        OffsetCommit {
            group_id: GROUP.to_owned(),
            generation: self.generation,
            member_id: self.member_id.clone(),
            topics: vec![CommitTopic {
                name: self.partitions[0].topic.clone(),
                topic_id: TopicId::ZERO,
                partitions: partitions.collect(),
            }],
            ..OffsetCommit::default()
        }
    }

    fn fetch_offsets(&self) -> Request {
        let partitions = self.positions.iter().map(|(partition, _)| partition.index);
        Request::Offsets(OffsetFetch {
            group_id: GROUP.to_owned(),
            topics: Some(vec![FetchTopic {
                name: self.partitions[0].topic.clone(),
                topic_id: TopicId::ZERO,
                partitions: partitions.collect(),
            }]),
        })
    }

    fn ask(&mut self, at: &mut Moment<'_>) {
        let offsets = Partition::new(OFFSETS_TOPIC, 0);
        let Some((_, coordinator, _)) = self.map.leader(&offsets) else {
            return self.look_for_leaders(at);
        };
        if matches!(self.state, State::Resumes) {
            let request = self.fetch_offsets();
            return self.line.ask(at, coordinator, request);
        }
        if let Some(request) = self.next_request(at) {
            let request = Request::Group(request);
            return match self.state {
                State::Joins => {
                    self.line.ask_for(at, coordinator, request, JOIN_TIMEOUT_US);
                }
                _ => self.line.ask(at, coordinator, request),
            };
        }
        let next = self.positions.get(self.turn);
        let Some((partition, from)) = next else {
            return at.wake_in(PAUSE_US);
        };
        let leader: Option<(_, _, LeaderEpoch)> = self.map.leader(partition);
        match leader {
            Some((group, leader, epoch)) => {
                let from = *from;
                self.line
                    .ask(at, leader, Request::Fetch { group, from, epoch });
            }
            None => self.look_for_leaders(at),
        }
    }
}

impl Client for Member {
    fn name(&self) -> &str {
        &self.name
    }

    fn act(&mut self, at: &mut Moment<'_>, answer: Option<(u64, Reply)>) {
        self.looks_for_leaders |= self.line.has_given_up(at);
        if let Some(reply) = self.line.answered(answer) {
            self.take_in(at, reply);
        }
        if self.is_done || self.line.is_busy(at) {
            return;
        }
        if self.is_ending && self.member_id.is_empty() {
            self.is_done = true;
            return;
        }
        if self.is_ending {
            self.state = State::Leaves;
        }
        if at.now_us < self.next_us {
            return at.wake_in(self.next_us - at.now_us);
        }
        if self.looks_for_leaders {
            let broker = at.any_broker();
            return self.line.ask(at, broker, Request::Metadata);
        }
        self.ask(at);
        at.wake_in(PAUSE_US);
    }

    fn wind_up(&mut self) {
        self.is_ending = true;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
