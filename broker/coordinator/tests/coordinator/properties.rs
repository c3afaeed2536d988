//! Whatever clients, time and the log do, in whatever order: every request is answered once, what
//! was acknowledged is in the log, what is read is what the log says, generations do not fall,
//! and the members of a generation have their assignments from one leader's request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_coordinator::record::Record;
use klamm_coordinator::request::{
    CommitPartition, CommitTopic, Heartbeat, Join, Leave, LeavingMember, OffsetCommit,
    OffsetDelete, OffsetFetch, Protocol, Sync,
};
use klamm_coordinator::{AppendError, Config, GroupError, GroupState, Reply, Request, Token};
use klamm_model::TopicId;
use proptest::prelude::*;

use crate::world::World;

const GROUPS: [&str; 2] = ["g", "h"];
const INSTANCES: usize = 2;
const PARTITIONS: i32 = 3;

#[derive(Clone, Debug)]
enum Step {
    JoinNew {
        group: usize,
        instance: Option<usize>,
        handshake: bool,
    },
    JoinAgain {
        group: usize,
        member: usize,
        change: bool,
    },
    Sync {
        group: usize,
        member: usize,
    },
    Heartbeat {
        group: usize,
        member: usize,
    },
    Leave {
        group: usize,
        member: usize,
    },
    Commit {
        group: usize,
        member: Option<usize>,
        partition: i32,
    },
    DeleteOffset {
        group: usize,
        partition: i32,
    },
    DeleteGroup {
        group: usize,
    },
    Advance {
        seconds: u64,
    },
    Hold,
    SettleNext {
        fails: bool,
    },
    Release,
    Restart,
    Resign,
}

fn step() -> impl Strategy<Value = Step> {
    let group = 0..GROUPS.len();
    let member = 0..8usize;
    prop_oneof![
        6 => (group.clone(), proptest::option::of(0..INSTANCES), any::<bool>())
            .prop_map(|(group, instance, handshake)| Step::JoinNew { group, instance, handshake }),
        12 => (group.clone(), member.clone(), proptest::bool::weighted(0.2))
            .prop_map(|(group, member, change)| Step::JoinAgain { group, member, change }),
        12 => (group.clone(), member.clone()).prop_map(|(group, member)| Step::Sync { group, member }),
        4 => (group.clone(), member.clone())
            .prop_map(|(group, member)| Step::Heartbeat { group, member }),
        2 => (group.clone(), member.clone()).prop_map(|(group, member)| Step::Leave { group, member }),
        5 => (group.clone(), proptest::option::of(member), 0..PARTITIONS)
            .prop_map(|(group, member, partition)| Step::Commit { group, member, partition }),
        1 => (group.clone(), 0..PARTITIONS)
            .prop_map(|(group, partition)| Step::DeleteOffset { group, partition }),
        1 => group.prop_map(|group| Step::DeleteGroup { group }),
        5 => (0..20u64).prop_map(|seconds| Step::Advance { seconds }),
        1 => (0..4000u64).prop_map(|seconds| Step::Advance { seconds }),
        2 => Just(Step::Hold),
        4 => proptest::bool::weighted(0.3).prop_map(|fails| Step::SettleNext { fails }),
        2 => Just(Step::Release),
        1 => Just(Step::Restart),
        1 => Just(Step::Resign),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_schedules_keep_the_promises(steps in proptest::collection::vec(step(), 1..150)) {
        let mut clients = Clients::new();
        for step in steps {
            clients.step(step);
            clients.check();
        }
        clients.world.resign();
        clients.check();
    }
}

/// What a client believes about itself.
#[derive(Clone, Debug)]
struct Client {
    member_id: String,
    instance_id: Option<String>,
    generation: i32,
    /// Whom it would assign for, were it the leader.
    members: Vec<String>,
}

enum Asked {
    Join {
        group: usize,
        instance_id: Option<String>,
    },
    Sync {
        group: usize,
        member_id: String,
        generation: i32,
    },
    Commit {
        group: usize,
        partition: i32,
        offset: i64,
    },
    Other,
}

struct Clients {
    world: World,
    clients: [Vec<Client>; GROUPS.len()],
    asked: BTreeMap<Token, Asked>,
    /// The highest generation anyone joined, in the life of the group and of the process.
    generations: [i32; GROUPS.len()],
    /// Which request the assignments of a generation came from.
    assigned_by: BTreeMap<(usize, i32), String>,
    /// Makes every offset and every leader's request different.
    count: i64,
}

impl Clients {
    fn new() -> Self {
        let config = Config {
            initial_rebalance_delay: Duration::from_secs(1),
            offsets_retention: Duration::from_secs(3_000),
            group_max_size: 4,
            ..Config::default()
        };
        Self {
            world: World::new(config),
            clients: Default::default(),
            asked: BTreeMap::new(),
            generations: [0; GROUPS.len()],
            assigned_by: BTreeMap::new(),
            count: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::JoinNew {
                group,
                instance,
                handshake,
            } => {
                let instance_id = instance.map(|number| format!("i{number}"));
                self.join(group, String::new(), instance_id, handshake, false);
            }
            Step::JoinAgain {
                group,
                member,
                change,
            } => {
                if let Some(client) = self.client(group, member) {
                    self.join(group, client.member_id, client.instance_id, true, change);
                }
            }
            Step::Sync { group, member } => self.sync(group, member),
            Step::Heartbeat { group, member } => {
                if let Some(client) = self.client(group, member) {
                    let Client {
                        member_id,
                        instance_id,
                        generation,
                        ..
                    } = client;
                    let group_id = GROUPS[group].to_owned();
                    let request = Heartbeat {
                        group_id,
                        generation,
                        member_id,
                        instance_id,
                    };
                    self.ask(Request::Heartbeat(request), Asked::Other);
                }
            }
            Step::Leave { group, member } => {
                if let Some(Client {
                    member_id,
                    instance_id,
                    ..
                }) = self.client(group, member)
                {
                    let members = vec![LeavingMember {
                        member_id,
                        instance_id,
                    }];
                    let request = Leave {
                        group_id: GROUPS[group].to_owned(),
                        members,
                    };
                    self.ask(Request::Leave(request), Asked::Other);
                }
            }
            Step::Commit {
                group,
                member,
                partition,
            } => self.commit(group, member, partition),
            Step::DeleteOffset { group, partition } => {
                let topics = vec![("t".to_owned(), vec![partition])];
                let request = OffsetDelete {
                    group_id: GROUPS[group].to_owned(),
                    topics,
                };
                self.ask(Request::OffsetDelete(request), Asked::Other);
            }
            Step::DeleteGroup { group } => {
                let group_id = GROUPS[group].to_owned();
                self.ask(Request::DeleteGroup { group_id }, Asked::Other);
            }
            Step::Advance { seconds } => self.world.advance(Duration::from_secs(seconds)),
            Step::Hold => self.world.holding = true,
            Step::SettleNext { fails } => {
                let result = if fails {
                    Err(AppendError::NotAvailable)
                } else {
                    Ok(())
                };
                self.world.settle_next(result);
            }
            Step::Release => {
                self.world.holding = false;
                self.world.settle_next(Ok(()));
            }
            Step::Restart => self.restart(),
            Step::Resign => {
                self.world.resign();
                self.take_replies();
                self.restart();
            }
        }
        self.take_replies();
        // A group that was deleted begins anew.
        for (group, name) in GROUPS.iter().enumerate() {
            if self.world.coordinator.describe_group(name).is_none() {
                self.begin_anew(group);
            }
        }
    }

    fn restart(&mut self) {
        self.world.restart();
        // What was not written is forgotten, generations included.
        self.generations = [0; GROUPS.len()];
    }

    fn begin_anew(&mut self, group: usize) {
        self.generations[group] = 0;
        self.assigned_by.retain(|(other, _), _| *other != group);
    }

    fn client(&self, group: usize, member: usize) -> Option<Client> {
        let clients = &self.clients[group];
        clients.get(clients.len().checked_sub(1 + member)?).cloned()
    }

    fn ask(&mut self, request: Request, asked: Asked) {
        let token = self.world.request(request);
        self.asked.insert(token, asked);
    }

    fn join(
        &mut self,
        group: usize,
        member_id: String,
        instance_id: Option<String>,
        handshake: bool,
        change: bool,
    ) {
        self.count += 1;
        let metadata = if change {
            self.count.to_string()
        } else {
            String::new()
        };
        let name = |name: &str| Protocol {
            name: name.to_owned(),
            metadata: metadata.clone().into(),
        };
        let asked = Asked::Join {
            group,
            instance_id: instance_id.clone(),
        };
        let request = Join {
            group_id: GROUPS[group].to_owned(),
            member_id,
            instance_id,
            client_id: "c".to_owned(),
            client_host: String::new(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 15_000,
            protocol_type: "other".to_owned(),
            protocols: if change {
                vec![name("b"), name("a")]
            } else {
                vec![name("a"), name("b")]
            },
            requires_member_id: handshake,
            supports_skip_assignment: true,
        };
        self.ask(Request::Join(request), asked);
    }

    fn sync(&mut self, group: usize, member: usize) {
        let Some(client) = self.client(group, member) else {
            return;
        };
        self.count += 1;
        let count = self.count;
        let assignment = |id: &String| (id.clone(), Bytes::from(format!("{count} {id}")));
        let assignments = client.members.iter().map(assignment).collect();
        let Client {
            member_id,
            instance_id,
            generation,
            ..
        } = client;
        let asked = Asked::Sync {
            group,
            member_id: member_id.clone(),
            generation,
        };
        let request = Sync {
            group_id: GROUPS[group].to_owned(),
            generation,
            member_id,
            instance_id,
            protocol_type: None,
            protocol_name: None,
            assignments,
        };
        self.ask(Request::Sync(request), asked);
    }

    fn commit(&mut self, group: usize, member: Option<usize>, partition: i32) {
        self.count += 1;
        let offset = self.count;
        let client = member.and_then(|member| self.client(group, member));
        let request = OffsetCommit {
            group_id: GROUPS[group].to_owned(),
            generation: client.as_ref().map_or(-1, |client| client.generation),
            member_id: client
                .as_ref()
                .map(|client| client.member_id.clone())
                .unwrap_or_default(),
            instance_id: client.and_then(|client| client.instance_id),
            retention_time_ms: None,
            knows_group_id_not_found: true,
            topics: vec![CommitTopic {
                name: "t".to_owned(),
                topic_id: TopicId::ZERO,
                partitions: vec![CommitPartition {
                    partition,
                    offset,
                    leader_epoch: -1,
                    metadata: None,
                }],
            }],
        };
        self.ask(
            Request::OffsetCommit(request),
            Asked::Commit {
                group,
                partition,
                offset,
            },
        );
    }

    fn take_replies(&mut self) {
        for (token, reply) in std::mem::take(&mut self.world.replies) {
            let asked = self.asked.remove(&token).expect("it was asked");
            match (asked, reply) {
                (Asked::Join { group, instance_id }, Reply::Join(Ok(joined))) => {
                    let generation = joined.generation;
                    assert!(
                        generation >= self.generations[group],
                        "generations do not fall"
                    );
                    self.generations[group] = generation;
                    let members = joined.members.into_iter().map(|member| member.member_id);
                    let client = Client {
                        member_id: joined.member_id,
                        instance_id,
                        generation,
                        members: members.collect(),
                    };
                    self.remember(group, client);
                }
                (Asked::Join { group, instance_id }, Reply::Join(Err(refused))) => {
                    if refused.error == GroupError::MemberIdRequired {
                        let member_id = refused.member_id;
                        let members = Vec::new();
                        self.remember(
                            group,
                            Client {
                                member_id,
                                instance_id,
                                generation: -1,
                                members,
                            },
                        );
                    }
                }
                (
                    Asked::Sync {
                        group,
                        member_id,
                        generation,
                    },
                    Reply::Sync(Ok(synced)),
                ) => {
                    self.check_assignment(group, &member_id, generation, &synced.assignment);
                }
                (
                    Asked::Commit {
                        group,
                        partition,
                        offset,
                    },
                    Reply::OffsetCommit(Ok(results)),
                ) => {
                    assert_eq!(results[0].partitions, [(partition, None)]);
                    let is_it = |(g, p, o): &(String, i32, Option<i64>)| {
                        g == GROUPS[group] && *p == partition && *o == Some(offset)
                    };
                    assert!(
                        self.offset_records().any(|record| is_it(&record)),
                        "it is in the log"
                    );
                }
                (Asked::Sync { .. }, Reply::Sync(Err(_)))
                | (Asked::Commit { .. }, Reply::OffsetCommit(Err(_)))
                | (Asked::Other, _) => {}
                (_, reply) => panic!("not what was asked: {reply:?}"),
            }
        }
    }

    fn remember(&mut self, group: usize, client: Client) {
        self.clients[group].retain(|other| other.member_id != client.member_id);
        self.clients[group].push(client);
    }

    /// One owner per generation: all assignments stem from one request, and each is one's own.
    fn check_assignment(&mut self, group: usize, member_id: &str, generation: i32, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        let text = std::str::from_utf8(bytes).expect("written as text");
        let (request, owner) = text.split_once(' ').expect("a request and an owner");
        // A static member inherits the assignment of the id before it.
        let inherited = !member_id.starts_with("c-");
        assert!(
            owner == member_id || inherited,
            "{owner} is not {member_id}"
        );
        let by = self
            .assigned_by
            .entry((group, generation))
            .or_insert_with(|| request.to_owned());
        assert_eq!(by, request, "one leader's request per generation");
    }

    fn check(&self) {
        for name in GROUPS {
            self.check_offsets(name);
            self.check_reload(name);
        }
    }

    /// What is read is what the log says.
    fn check_offsets(&self, group_id: &str) {
        if self.world.coordinator.next_deadline().is_none() {
            return; // It has resigned.
        }
        let mut expected: BTreeMap<i32, i64> = BTreeMap::new();
        for (_, partition, offset) in self.offset_records().filter(|(id, ..)| id == group_id) {
            match offset {
                Some(offset) => expected.insert(partition, offset),
                None => expected.remove(&partition),
            };
        }
        let fetch = OffsetFetch {
            group_id: group_id.to_owned(),
            topics: None,
        };
        let fetched = self.world.coordinator.fetch_offsets(&fetch);
        let fetched = fetched.iter().flat_map(|topic| &topic.partitions);
        let fetched =
            fetched.map(|(partition, offset)| (*partition, offset.as_ref().unwrap().offset));
        assert_eq!(fetched.collect::<BTreeMap<_, _>>(), expected);
    }

    /// A stable group is the same after a restart.
    fn check_reload(&self, group_id: &str) {
        let live = self.world.coordinator.describe_group(group_id);
        let Some(live) = live.filter(|group| group.state == GroupState::Stable) else {
            return;
        };
        if self.world.appends_under_way() == 0 {
            let reloaded = self.world.reloaded().describe_group(group_id);
            assert_eq!(Some(live), reloaded);
        }
    }

    fn offset_records(&self) -> impl Iterator<Item = (String, i32, Option<i64>)> {
        self.world.log.iter().filter_map(|record| {
            match Record::decode(&record.key, record.value.as_deref()).expect("we wrote it") {
                Record::Offset {
                    group_id,
                    partition,
                    value,
                    ..
                } => Some((group_id, partition, value.map(|value| value.offset))),
                Record::Group { .. } | Record::Unknown => None,
            }
        })
    }
}
