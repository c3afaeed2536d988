//! What happens when: a broker is killed, started again, and catches up.

use std::time::Duration;

/// The broker that is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Victim {
    /// For people.
    pub(super) name: String,
    /// Partitions that it led.
    pub(super) led: Vec<i32>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Kill,
    Start,
    /// Whether it has caught up.
    Look,
}

/// What is planned, and what has happened, all counted from the first message.
#[derive(Clone, Debug)]
pub(super) struct Script {
    kill_at: Duration,
    start_at: Duration,
    pub(super) killed: Option<(Duration, Victim)>,
    pub(super) started: Option<Duration>,
    pub(super) caught_up: Option<Duration>,
}

impl Script {
    /// For a load of this length: a third of it is quiet, and a half of it has all brokers again.
    pub(super) fn of(load: Duration) -> Self {
        Self {
            kill_at: load / 3,
            start_at: load / 2,
            killed: None,
            started: None,
            caught_up: None,
        }
    }

    /// What is to be done now.
    pub(super) fn due(&self, at: Duration) -> Option<Act> {
        match (&self.killed, self.started, self.caught_up) {
            (None, ..) => (at >= self.kill_at).then_some(Act::Kill),
            (Some(_), None, _) => (at >= self.start_at).then_some(Act::Start),
            (Some(_), Some(_), None) => Some(Act::Look),
            (Some(_), Some(_), Some(_)) => None,
        }
    }

    pub(super) fn killed(&mut self, at: Duration, victim: Victim) {
        self.killed = Some((at, victim));
    }

    pub(super) fn started(&mut self, at: Duration) {
        self.started = Some(at);
    }

    pub(super) fn caught_up(&mut self, at: Duration) {
        self.caught_up = Some(at);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::demo) fn victim(led: &[i32]) -> Victim {
        Victim {
            name: "broker 2".to_owned(),
            led: led.to_vec(),
        }
    }

    #[test]
    fn a_broker_is_killed_started_and_looked_at_until_it_has_caught_up() {
        let seconds = Duration::from_secs;
        let mut script = Script::of(seconds(30));
        assert_eq!(script.due(seconds(9)), None);
        assert_eq!(script.due(seconds(10)), Some(Act::Kill));
        script.killed(seconds(10), victim(&[0]));
        assert_eq!(script.due(seconds(14)), None);
        assert_eq!(script.due(seconds(15)), Some(Act::Start));
        script.started(seconds(15));
        assert_eq!(script.due(seconds(16)), Some(Act::Look));
        script.caught_up(seconds(16));
        assert_eq!(script.due(seconds(29)), None);
    }
}
