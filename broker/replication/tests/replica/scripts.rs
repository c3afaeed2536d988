//! Runs the scripts in `testdata`: commands, and after each the effects it had. With
//! `KLAMM_REWRITE=1` the files are written anew, to be reviewed as a diff.

use std::fmt::Write as _;
use std::time::Duration;

use klamm_model::raft::HardState;
use klamm_model::{Instant, LogIndex, Offset, Term};
use klamm_replication::{
    Event, JournalTicket, Position, Replica, ReplicaId, ReplicaSettings, Restored, VisibleWhen,
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
fn an_impossible_past_is_refused() {
    check(
        "impossible.txt",
        include_str!("../../testdata/impossible.txt"),
    );
}

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
            _ => self.handle(event(command, &arguments)),
        }
    }

    fn build(&mut self, arguments: &[&str]) -> String {
        let id = ReplicaId::new(1).unwrap();
        let mut voters = 1;
        let mut visible_when = VisibleWhen::Written;
        let mut restored = Restored::empty();
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            match key {
                "voters" => voters = number(value),
                "strict" => visible_when = VisibleWhen::Synced,
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
            id,
            voters: (1..=voters).map(|v| ReplicaId::new(v).unwrap()).collect(),
            seed: 1,
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
            writeln!(text, "  {effect}").unwrap();
        }
        text
    }
}

fn event(command: &str, arguments: &[&str]) -> Event {
    let index = || LogIndex(number(arguments[0]));
    match command {
        "start" => Event::Start,
        "propose" => {
            let sizes = arguments.iter().map(|&records| number(records) as usize);
            Event::Propose(sizes.map(batch).collect())
        }
        "written" => Event::Written { through: index() },
        "synced" => Event::Synced { through: index() },
        "journal-synced" => Event::JournalSynced(JournalTicket(number(arguments[0]))),
        "strict" => Event::VisibleWhen(VisibleWhen::Synced),
        "lax" => Event::VisibleWhen(VisibleWhen::Written),
        _ => panic!("unknown command {command}"),
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
