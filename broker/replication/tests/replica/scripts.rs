//! Runs the scripts in `testdata`: commands, and after each the effects it had. With
//! `KLAMM_REWRITE=1` the files are written anew, to be reviewed as a diff.

use std::fmt::Write as _;
use std::time::Duration;

use klamm_model::raft::{DataEntry, HardState, LogEntry, MetaEntry, MetaKind, Placement};
use klamm_model::{Instant, LogIndex, Offset, Term};
use klamm_replication::{
    Configuration, Effect, EntryId, Envelope, Event, JournalTicket, Members, PeerMessage, Position,
    Replica, ReplicaId, ReplicaSettings, Restored, VisibleWhen,
};

use crate::batch;

#[test]
fn a_lone_voter_elects_itself_and_commits_what_is_fsynced() {
    check(
        "lone_voter.txt",
        include_str!("../../testdata/lone_voter.txt"),
    );
}

#[test]
fn a_restarted_replica_goes_on_in_the_next_term() {
    check("restart.txt", include_str!("../../testdata/restart.txt"));
}

#[test]
fn when_strict_nothing_is_visible_before_its_fsync() {
    check("strict.txt", include_str!("../../testdata/strict.txt"));
}

#[test]
fn a_vote_is_asked_for_only_when_the_term_is_durable() {
    check(
        "three_voters.txt",
        include_str!("../../testdata/three_voters.txt"),
    );
}

#[test]
fn a_follower_writes_in_order_and_acknowledges_twice() {
    check("follower.txt", include_str!("../../testdata/follower.txt"));
}

#[test]
fn what_disagrees_with_the_leader_is_replaced() {
    check("conflict.txt", include_str!("../../testdata/conflict.txt"));
}

#[test]
fn a_leader_shows_what_a_majority_has_written() {
    check("leader.txt", include_str!("../../testdata/leader.txt"));
}

#[test]
fn what_a_majority_has_of_an_older_term_is_not_shown() {
    check(
        "figure_eight.txt",
        include_str!("../../testdata/figure_eight.txt"),
    );
}

#[test]
fn leadership_is_given_to_who_has_everything() {
    check("transfer.txt", include_str!("../../testdata/transfer.txt"));
}

#[test]
fn a_replica_that_may_have_lost_something_does_not_vote() {
    check("recovery.txt", include_str!("../../testdata/recovery.txt"));
}

#[test]
fn a_learner_is_added_and_becomes_a_voter() {
    check("learner.txt", include_str!("../../testdata/learner.txt"));
}

#[test]
fn a_joint_configuration_takes_both_majorities() {
    check("joint.txt", include_str!("../../testdata/joint.txt"));
}

#[test]
fn a_new_leader_leaves_the_joint_configuration_that_another_has_begun() {
    check(
        "joint_inherited.txt",
        include_str!("../../testdata/joint_inherited.txt"),
    );
}

#[test]
fn a_leader_that_is_removed_says_so_and_steps_down() {
    check(
        "removed_leader.txt",
        include_str!("../../testdata/removed_leader.txt"),
    );
}

#[test]
fn after_a_restart_members_fall_back_by_one_change_at_most() {
    check(
        "members_restart.txt",
        include_str!("../../testdata/members_restart.txt"),
    );
}

#[test]
fn a_leader_that_is_known_to_be_gone_is_replaced_at_once() {
    check(
        "unreachable.txt",
        include_str!("../../testdata/unreachable.txt"),
    );
}

#[test]
fn a_preferred_replica_does_not_wait_for_a_time_out() {
    check(
        "preferred.txt",
        include_str!("../../testdata/preferred.txt"),
    );
}

#[test]
fn a_leader_knows_whom_it_has_heard() {
    check(
        "responsive.txt",
        include_str!("../../testdata/responsive.txt"),
    );
}

#[test]
fn a_group_that_nobody_uses_falls_asleep_together() {
    check("sleep.txt", include_str!("../../testdata/sleep.txt"));
}

#[test]
fn whatever_happens_wakes_a_sleeping_leader() {
    check(
        "wake_leader.txt",
        include_str!("../../testdata/wake_leader.txt"),
    );
}

#[test]
fn a_sleeping_follower_wakes_for_its_leader_and_without_it() {
    check(
        "wake_follower.txt",
        include_str!("../../testdata/wake_follower.txt"),
    );
}

#[test]
fn who_votes_is_learnt_from_those_who_know() {
    check(
        "stale_members.txt",
        include_str!("../../testdata/stale_members.txt"),
    );
}

#[test]
fn after_an_unclean_election_nobody_waits_for_those_that_were_given_up() {
    check("unclean.txt", include_str!("../../testdata/unclean.txt"));
}

/// raft-rs stops when 256 messages have not been acknowledged, and an acknowledgement to it is an
/// fsync.
#[test]
fn a_leader_goes_on_sending_though_nothing_is_fsynced() {
    let mut world = World::default();
    let elected = [
        "replica voters=3",
        "start",
        "ticks 40",
        "hear 2 1 pre-vote",
        "journal-synced 1",
        "hear 2 1 vote",
        "journal-synced 2",
        "hear 2 1 accepted through=1",
    ];
    for line in elected {
        world.run(line);
    }
    for index in 2..600 {
        let effects = world.run("propose 1");
        assert!(effects.contains("send 1->2"), "at {index}: {effects}");
        world.run(&format!("hear 2 1 written through={index}"));
    }
}

#[test]
fn who_needs_what_the_leader_has_not_is_told_to_take_a_copy() {
    check(
        "behind_the_beginning.txt",
        include_str!("../../testdata/behind_the_beginning.txt"),
    );
}

#[test]
fn a_follower_wants_a_copy_until_its_log_agrees() {
    check(
        "take_copy.txt",
        include_str!("../../testdata/take_copy.txt"),
    );
}

#[test]
fn an_impossible_past_is_refused() {
    check(
        "impossible.txt",
        include_str!("../../testdata/impossible.txt"),
    );
}

/// Of three voters, which have one entry, and its heartbeats have begun to offer sleep.
const QUIET_LEADER: [&str; 22] = [
    "replica voters=3",
    "start",
    "ticks 40",
    "hear 2 1 pre-vote",
    "journaled",
    "hear 2 1 vote",
    "journaled",
    "hear 2 1 accepted through=1",
    "hear 3 1 accepted through=1",
    "ticks 10",
    "hear 2 1 heartbeat-response commit=1",
    "hear 3 1 heartbeat-response commit=1",
    "ticks 10",
    "hear 2 1 heartbeat-response commit=1",
    "hear 3 1 heartbeat-response commit=1",
    "ticks 10",
    "hear 2 1 heartbeat-response commit=1",
    "hear 3 1 heartbeat-response commit=1",
    "ticks 10",
    "hear 2 1 heartbeat-response commit=1",
    "hear 3 1 heartbeat-response commit=1",
    "ticks 2",
];

/// Its followers take the offer.
const TO_SLEEP: [&str; 2] = [
    "hear 2 1 heartbeat-response commit=1 asleep",
    "hear 3 1 heartbeat-response commit=1 asleep",
];

/// Replica 2 of three under leader 1, which have one entry.
const SLEEPING_FOLLOWER: [&str; 5] = [
    "replica id=2 voters=3",
    "start",
    "hear 1 1 append after=0/0 noop/1 commit=0",
    "journaled",
    "hear 1 1 heartbeat commit=1 visible=1 sleep",
];

fn check(name: &str, recorded: &str) {
    let mut actual = String::new();
    let mut world = World::default();
    for line in recorded.lines() {
        if line.starts_with("  ") {
            continue;
        }
        actual.push_str(line);
        actual.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            actual.push_str(&world.run(line));
        }
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told to rewrite its data"
    )]
    if std::env::var("KLAMM_REWRITE").is_ok() {
        let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &actual).unwrap();
        return;
    }
    assert_eq!(actual, recorded, "{name}: KLAMM_REWRITE=1 records it anew");
}

#[derive(Default)]
struct World {
    /// The last ticket given out.
    ticket: JournalTicket,
    id: u64,
    replica: Option<Replica>,
    now: Instant,
}

impl World {
    fn run(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let arguments: Vec<&str> = words.collect();
        match command {
            "replica" => self.build(&arguments),
            "advance" => {
                self.now = self.now + Duration::from_millis(number(arguments[0]));
                String::new()
            }
            "ticks" => (0..number(arguments[0])).map(|_| self.tick()).collect(),
            "hear" => self.handle(hear(self.id, &arguments)),
            // All that was given out so far.
            "journaled" => self.handle(Event::JournalSynced(self.ticket)),
            "members" => self.members(),
            "wants-copy" => {
                let replica = self.replica.as_ref().unwrap();
                let end = LogIndex(number(arguments[0]));
                format!("  {}\n", replica.wants_copy(end))
            }
            "responsive" => self.responsive(number(arguments[0])),
            "asleep?" => self.sleep(),
            "quiet-leader" => self.silently(&QUIET_LEADER),
            "sleeping-leader" => self.silently(&QUIET_LEADER) + &self.silently(&TO_SLEEP),
            "sleeping-follower" => self.silently(&SLEEPING_FOLLOWER),
            "farewell" => self.farewell(),
            _ => {
                let term = self.replica.as_ref().map(Replica::term);
                self.handle(event(command, &arguments, term.unwrap_or_default()))
            }
        }
    }

    fn build(&mut self, arguments: &[&str]) -> String {
        self.id = 1;
        let mut preferred = false;
        let mut visible_when = VisibleWhen::Written;
        let mut recovering = false;
        let mut restored = Restored {
            members: members("1"),
            ..Restored::empty()
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            match key {
                "id" => self.id = number(value),
                "voters" => {
                    let voters = (1..=number(value)).map(|id| id.to_string());
                    restored.members = members(&voters.collect::<Vec<_>>().join(","));
                }
                "members" => restored.members = members(value),
                "membership" => {
                    let (index, value) = value.split_once(':').unwrap();
                    let row = (LogIndex(number(index)), members(value));
                    restored.memberships.push(row);
                }
                "preferred" => preferred = true,
                "strict" => visible_when = VisibleWhen::Synced,
                "recovering" => recovering = true,
                "term" => restored.hard_state = hard_state(number(value)),
                "commit" => restored.hard_state.commit = LogIndex(number(value)),
                "last" => restored.last = position(value),
                "noop" => {
                    let (term, index) = value.split_once('#').unwrap();
                    let row = (Term::new(number(term)), LogIndex(number(index)));
                    restored.terms.push(row);
                }
                _ => panic!("unknown argument {argument}"),
            }
        }
        let settings = ReplicaSettings {
            id: ReplicaId::new(self.id).unwrap(),
            seed: 1,
            life: 1,
            recovering,
            preferred,
            visible_when,
        };
        match Replica::new(settings, &restored) {
            Ok(replica) => {
                self.replica = Some(replica);
                String::new()
            }
            Err(error) => format!("  error: {error}\n"),
        }
    }

    /// Those in force, whether they may be changed, and how far the others are behind.
    fn members(&self) -> String {
        let replica = self.replica.as_ref().unwrap();
        let can = match replica.can_change_members() {
            true => "can",
            false => "cannot",
        };
        let mut text = format!("  in force: {}, {can} be changed", replica.members());
        for (id, written) in replica.followers() {
            write!(text, ", {} has #{written}", id.get()).unwrap();
        }
        text + "\n"
    }

    fn responsive(&self, millis: u64) -> String {
        let replica = self.replica.as_ref().unwrap();
        let voters = replica.responsive_voters(self.now, Duration::from_millis(millis));
        format!("  {voters} voters\n")
    }

    /// What other scripts show.
    fn silently(&mut self, lines: &[&str]) -> String {
        lines.iter().for_each(|line| drop(self.run(line)));
        String::new()
    }

    /// Whether it sleeps, and until when.
    fn sleep(&self) -> String {
        let replica = self.replica.as_ref().unwrap();
        let due = replica.next_deadline().unwrap();
        match replica.is_asleep() {
            true => format!("  for {:?}\n", due.since(self.now)),
            false => "  no\n".to_owned(),
        }
    }

    fn farewell(&self) -> String {
        let said = self.replica.as_ref().unwrap().farewell();
        said.iter().map(|effect| format!("  {effect}\n")).collect()
    }

    fn tick(&mut self) -> String {
        let due = self.replica.as_ref().unwrap().next_deadline();
        self.now = self.now.max(due.expect("a deadline"));
        self.handle(Event::Tick)
    }

    fn handle(&mut self, event: Event) -> String {
        let mut effects = Vec::new();
        let replica = self.replica.as_mut().unwrap();
        replica.handle(self.now, event, &mut effects);
        let mut text = String::new();
        for effect in effects {
            if let Effect::Journal { ticket, .. } = &effect {
                self.ticket = *ticket;
            }
            writeln!(text, "  {effect}").unwrap();
        }
        text
    }
}

/// Entries are named by their index, and are of the current `term`.
fn event(command: &str, arguments: &[&str], term: Term) -> Event {
    let entry = || EntryId {
        index: LogIndex(number(arguments[0])),
        term,
    };
    match command {
        "start" => Event::Start,
        "propose" => {
            let sizes = arguments.iter().map(|&records| number(records) as usize);
            Event::Propose(sizes.map(batch).collect())
        }
        // A write that was begun in an older term.
        "written-of" => Event::Written {
            through: entry_id(arguments[0]),
        },
        "synced-of" => Event::Synced {
            through: entry_id(arguments[0]),
        },
        "transfer" => Event::TransferLeadership(ReplicaId::new(number(arguments[0])).unwrap()),
        "announce" => Event::Announce,
        "change" => Event::ChangeMembers(members(arguments[0])),
        "unreachable" => {
            let mut ids = arguments
                .iter()
                .map(|&id| ReplicaId::new(number(id)).unwrap());
            Event::LeaderUnreachable {
                leader: ids.next().unwrap(),
                newcomers: ids.collect(),
            }
        }
        "begins" => Event::LogBegins {
            first: LogIndex(number(arguments[0])),
        },
        "peer-restarted" => Event::PeerRestarted(ReplicaId::new(number(arguments[0])).unwrap()),
        "written" => Event::Written { through: entry() },
        "synced" => Event::Synced { through: entry() },
        "journal-synced" => Event::JournalSynced(JournalTicket(number(arguments[0]))),
        "strict" => Event::VisibleWhen(VisibleWhen::Synced),
        "lax" => Event::VisibleWhen(VisibleWhen::Written),
        _ => panic!("unknown command {command}"),
    }
}

/// `FROM TERM MESSAGE…`, with the entries of an append as `noop/TERM`, `m:MEMBERS/TERM` or
/// `RECORDS/TERM`.
fn hear(own: u64, arguments: &[&str]) -> Event {
    let field = |key: &str| {
        let fields = arguments.iter().filter_map(|word| word.split_once('='));
        fields
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .next()
    };
    let index = |key| LogIndex(field(key).map_or(0, number));
    let message = match arguments[2] {
        "pre-vote" | "vote" => PeerMessage::VoteResponse {
            pre: arguments[2] == "pre-vote",
            granted: true,
            commit: EntryId::default(),
        },
        "refused" => PeerMessage::VoteResponse {
            pre: true,
            granted: false,
            commit: entry_id(field("committed").unwrap()),
        },
        "pre-vote?" | "vote?" => PeerMessage::VoteRequest {
            pre: arguments[2] == "pre-vote?",
            last: entry_id(field("last").unwrap()),
            commit: EntryId::default(),
            transfer: arguments.contains(&"transfer"),
        },
        "written" => PeerMessage::Written {
            through: index("through"),
        },
        "accepted" => PeerMessage::Accepted {
            through: index("through"),
            commit: LogIndex::ZERO,
        },
        "rejected" => PeerMessage::Rejected {
            previous: index("previous"),
            hint: entry_id(field("hint").unwrap()),
            commit: LogIndex::ZERO,
        },
        "take-copy" => PeerMessage::TakeCopy {
            unless: entry_id(field("unless").unwrap()),
        },
        "heartbeat" => PeerMessage::Heartbeat {
            commit: index("commit"),
            sleep: arguments.contains(&"sleep"),
        },
        "recovering" => PeerMessage::Recovering { life: 7 },
        "timeout-now" => PeerMessage::TimeoutNow,
        "catch-up-to" => PeerMessage::CatchUpTo {
            life: 1,
            through: index("through"),
        },
        "holds" => PeerMessage::Holds {
            life: 1,
            last: entry_id(field("last").unwrap()),
            commit: field("committed").map(entry_id).unwrap_or_default(),
            configuration: Box::new(Configuration {
                since: index("since"),
                members: field("members").map(members).unwrap_or_default(),
            }),
        },
        "heartbeat-response" => PeerMessage::HeartbeatResponse {
            commit: index("commit"),
            asleep: arguments.contains(&"asleep"),
        },
        "append" => PeerMessage::Append {
            previous: entry_id(field("after").unwrap()),
            commit: index("commit"),
            count: entries(arguments, &field).len() as u32,
            flush: arguments.contains(&"flush"),
        },
        word => panic!("unknown message {word}"),
    };
    let envelope = Envelope {
        from: ReplicaId::new(number(arguments[0])).unwrap(),
        to: ReplicaId::new(own).unwrap(),
        term: Term::new(number(arguments[1])),
        visible: index("visible"),
        message,
    };
    Event::Received(envelope, entries(arguments, &field))
}

fn entries<'a>(arguments: &[&str], field: &impl Fn(&str) -> Option<&'a str>) -> Vec<LogEntry> {
    let mut index = field("after").map_or(LogIndex::ZERO, |after| entry_id(after).index);
    let mut offset = Offset::new(field("at").map_or(0, number) as i64);
    let words = arguments[3..].iter().filter(|word| !word.contains('='));
    let entries = words.filter_map(|word| word.split_once('/'));
    let build = |(kind, term): (&str, &str)| {
        index = index.next();
        let term = Term::new(number(term));
        let meta = match kind.strip_prefix("m:") {
            Some("bad") => Some(MetaKind::Membership("no members".into())),
            Some(text) => Some(MetaKind::Membership(members(text).encode())),
            None => (kind == "noop").then_some(MetaKind::Noop),
        };
        if let Some(kind) = meta {
            return LogEntry::Meta(MetaEntry {
                index,
                term,
                at_offset: offset,
                kind,
            });
        }
        let mut batch = batch(number(kind) as usize);
        batch.stamp(offset, term.leader_epoch());
        offset = batch.next_offset();
        LogEntry::Records(DataEntry {
            index,
            term,
            batch,
            placement: Placement::Undecided,
        })
    };
    entries.map(build).collect()
}

fn entry_id(text: &str) -> EntryId {
    let (index, term) = text.split_once('/').unwrap();
    EntryId {
        index: LogIndex(number(index)),
        term: Term::new(number(term)),
    }
}

/// As members are shown: `1,2,4|1,2,3+5`, or `1!2` after two unclean elections.
fn members(text: &str) -> Members {
    let ids = |text: &str| -> Vec<ReplicaId> {
        let ids = text.split(',').filter(|id| !id.is_empty());
        ids.map(|id| ReplicaId::new(number(id)).unwrap()).collect()
    };
    let (text, unclean_elections) = text.split_once('!').unwrap_or((text, "0"));
    let (text, learners) = text.split_once('+').unwrap_or((text, ""));
    let (voters, outgoing) = text.split_once('|').unwrap_or((text, ""));
    Members {
        outgoing: ids(outgoing),
        ..Members::of_voters(ids(voters))
            .with_learners(ids(learners))
            .after_unclean_elections(number(unclean_elections))
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn hard_state(term: u64) -> HardState {
    HardState {
        term: Term::new(term),
        vote: 1,
        commit: LogIndex::ZERO,
    }
}

fn position(text: &str) -> Position {
    let (index, offset) = text.split_once('@').unwrap();
    Position {
        index: LogIndex(number(index)),
        offset: Offset::new(number(offset) as i64),
    }
}
