//! When a connection has waited long enough: for a request to begin, and for one to be whole.
//!
//! Plain points in time beside one timer, which is set again when it goes off: reading is frequent,
//! and deadlines are not.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::ConnectionConfig;

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct Deadlines {
    idle_max: Duration,
    receive_max: Duration,
    last_read: Instant,
    /// By when the request that is arriving has to be whole.
    whole_by: Option<Instant>,
    /// And by when, because memory is short.
    hurried_by: Option<Instant>,
}

impl Deadlines {
    /// Of a connection that begins now.
    pub(crate) fn new(config: &ConnectionConfig, now: Instant) -> Self {
        Self {
            idle_max: config.idle_max,
            receive_max: config.receive_max,
            last_read: now,
            whole_by: None,
            hurried_by: None,
        }
    }

    /// Bytes have arrived, or their absence is excused.
    pub(crate) fn has_read(&mut self, now: Instant) {
        self.last_read = now;
    }

    /// A request has begun, and is not whole. Its time counts from the first such call.
    pub(crate) fn request_is_arriving(&mut self) {
        // What has begun to arrive was read just now.
        self.whole_by
            .get_or_insert(self.last_read + self.receive_max);
    }

    /// No request is in the middle of arriving.
    pub(crate) fn request_is_whole(&mut self) {
        self.whole_by = None;
        self.hurried_by = None;
    }

    /// The request that is arriving is given `time` from now, if that is less.
    pub(crate) fn hurry(&mut self, now: Instant, time: Duration) {
        self.hurried_by.get_or_insert(now + time);
    }

    /// There is no hurry any more.
    pub(crate) fn relax(&mut self) {
        self.hurried_by = None;
    }

    /// The next one to look at.
    pub(crate) fn next(&self) -> Instant {
        let idle = self.last_read + self.idle_max;
        let others = self.whole_by.into_iter().chain(self.hurried_by);
        others.fold(idle, Instant::min)
    }

    /// Whether the request takes too long to arrive.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        let mut both = self.whole_by.into_iter().chain(self.hurried_by);
        both.any(|by| by <= now)
    }

    /// Whether nothing has come for too long.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.last_read + self.idle_max <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_time_and_less_of_it_when_memory_is_short() {
        const SECOND: Duration = Duration::from_secs(1);
        let begin = Instant::now();
        let at = |seconds: u32| begin + seconds * SECOND;
        let mut deadlines = Deadlines {
            idle_max: 600 * SECOND,
            receive_max: 60 * SECOND,
            last_read: begin,
            whole_by: None,
            hurried_by: None,
        };
        deadlines.request_is_arriving();
        deadlines.has_read(at(10));
        deadlines.request_is_arriving();
        assert_eq!(deadlines.next(), at(60), "bytes do not prolong it");
        deadlines.hurry(at(10), 5 * SECOND);
        deadlines.hurry(at(13), 5 * SECOND);
        assert_eq!(deadlines.next(), at(15));
        assert!(!deadlines.is_slow(at(14)) && deadlines.is_slow(at(15)));
        deadlines.relax();
        assert!(!deadlines.is_slow(at(59)) && deadlines.is_slow(at(60)));
        deadlines.request_is_whole();
        assert!(!deadlines.is_slow(at(100)));
        assert_eq!(deadlines.next(), at(610));
        assert!(!deadlines.is_idle(at(609)) && deadlines.is_idle(at(610)));
    }
}
