//! What the data plane counts. Its thread alone adds; with several shards each would have its own.

use klamm_metadata::QuotaKey;
use klamm_protocol::{APIS, ApiKey, ErrorCode, Response};

use super::count::{Count, Histogram};
use super::traffic::{Flow, Traffic};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Counters {
    requests: Box<[Count]>,
    /// By API, and within it by error.
    errors: Box<[Count]>,
    request_times: [Histogram; RequestKind::ALL.len()],
    turn_times: [Histogram; Stage::ALL.len()],
    refusals: [Count; Refusal::ALL.len()],
    throttle_times: [Histogram; QuotaKey::ALL.len()],
    pub(crate) turn_records: Histogram,
    pub(crate) turn_batches: Histogram,
    /// Appended by producers and coordinators.
    pub(crate) appended: Flow,
    /// Sent to consumers.
    pub(crate) fetched: Flow,
    /// The same by topic.
    pub(crate) traffic: Traffic,
    pub(crate) delayed_fetches: Count,
    pub(crate) connections_accepted: Count,
    pub(crate) write_times: Histogram,
    pub(crate) write_stalls: Count,
    pub(crate) fsync_times: Histogram,
    pub(crate) segments_rolled: Count,
    pub(crate) segments_deleted: Count,
    /// Compactions that came to their end.
    pub(crate) compactions: Count,
    pub(crate) compacted_bytes_before: Count,
    pub(crate) compacted_bytes_after: Count,
    /// Replicas here that were elected.
    pub(crate) elections: Count,
    /// Unclean elections that this broker held as the controller.
    pub(crate) unclean_elections: Count,
    /// Replicas that have left, and come to, those in sync with a leader here.
    pub(crate) in_sync_left: Count,
    pub(crate) in_sync_came: Count,
    /// Logs that were cut below what had been shown.
    pub(crate) acknowledged_losses: Count,
}

/// What a request is, as far as its latency goes: those of a kind are about as quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Produce,
    /// Answered at once.
    Fetch,
    /// Had to wait for records, or for its time to be up.
    DelayedFetch,
    /// JoinGroup and SyncGroup, which wait for other members.
    Rebalance,
    Other,
}

impl RequestKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Produce,
        Self::Fetch,
        Self::DelayedFetch,
        Self::Rebalance,
        Self::Other,
    ];

    pub(crate) fn of(api: ApiKey) -> Self {
        match api {
            ApiKey::Produce => Self::Produce,
            ApiKey::Fetch => Self::Fetch,
            ApiKey::JoinGroup | ApiKey::SyncGroup => Self::Rebalance,
            _ => Self::Other,
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::DelayedFetch => "delayed_fetch",
            Self::Rebalance => "rebalance",
            Self::Other => "other",
        }
    }
}

/// What a turn does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Requests are decoded and checked, batches get their places.
    Staged,
    /// Batches are proposed and written, or given to the writer's thread.
    Written,
    /// Who waits is answered.
    Answered,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::Staged, Self::Written, Self::Answered];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Written => "written",
            Self::Answered => "answered",
        }
    }
}

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its address has as many connections as it may.
    AddressLimit,
    /// The system gave no socket: mostly for want of files.
    AcceptFailed,
    /// What it sends is no frame, or too large a one.
    Frame,
    /// It sends a request that cannot be read, or that is not served.
    Request,
    /// Its request takes too long to arrive.
    Slow,
    /// It does not take its replies, and all that are not taken take too much.
    Unread,
}

impl Refusal {
    pub(crate) const ALL: [Self; 6] = [
        Self::AddressLimit,
        Self::AcceptFailed,
        Self::Frame,
        Self::Request,
        Self::Slow,
        Self::Unread,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::AddressLimit => "address_limit",
            Self::AcceptFailed => "accept_failed",
            Self::Frame => "frame",
            Self::Request => "request",
            Self::Slow => "slow",
            Self::Unread => "unread",
        }
    }
}

/// Where an API stands in [`APIS`], by its number on the wire.
const API_NUMBERS: [u8; 128] = {
    let mut numbers = [0; 128];
    let mut number = 0;
    while number < APIS.len() {
        numbers[APIS[number].key.code() as usize] = number as u8;
        number += 1;
    }
    numbers
};

/// Room for every code from -1 on.
const ERRORS: usize = 160;

fn api_number(api: ApiKey) -> usize {
    usize::from(API_NUMBERS[api as usize & (API_NUMBERS.len() - 1)])
}

impl Default for Counters {
    fn default() -> Self {
        let counts = |number| (0..number).map(|_| Count::default()).collect();
        Self {
            requests: counts(APIS.len()),
            errors: counts(APIS.len() * ERRORS),
            request_times: RequestKind::ALL.map(|_| Histogram::of_times()),
            turn_times: Stage::ALL.map(|_| Histogram::of_times()),
            refusals: Refusal::ALL.map(|_| Count::default()),
            throttle_times: QuotaKey::ALL.map(|_| Histogram::of_times()),
            turn_records: Histogram::of_amounts(),
            turn_batches: Histogram::of_amounts(),
            appended: Flow::default(),
            fetched: Flow::default(),
            traffic: Traffic::default(),
            delayed_fetches: Count::default(),
            connections_accepted: Count::default(),
            write_times: Histogram::of_times(),
            write_stalls: Count::default(),
            fsync_times: Histogram::of_times(),
            segments_rolled: Count::default(),
            segments_deleted: Count::default(),
            compactions: Count::default(),
            compacted_bytes_before: Count::default(),
            compacted_bytes_after: Count::default(),
            elections: Count::default(),
            in_sync_left: Count::default(),
            in_sync_came: Count::default(),
            unclean_elections: Count::default(),
            acknowledged_losses: Count::default(),
        }
    }
}

impl Counters {
    /// A request has been read.
    pub(crate) fn requested(&self, api: ApiKey) {
        self.requests[api_number(api)].add(1);
    }

    /// Counts every error that the answer holds.
    pub(crate) fn answered(&self, response: &Response) {
        let api = api_number(response.api_key());
        response.for_each_error(&mut |code| {
            let error = usize::try_from(i32::from(code) + 1).unwrap_or(0);
            self.errors[api * ERRORS + error.min(ERRORS - 1)].add(1);
        });
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        self.refusals[reason as usize].add(1);
    }

    pub(crate) fn request_time(&self, kind: RequestKind) -> &Histogram {
        &self.request_times[kind as usize]
    }

    pub(crate) fn turn_time(&self, stage: Stage) -> &Histogram {
        &self.turn_times[stage as usize]
    }

    /// Of requests that were throttled for such a quota.
    pub(crate) fn throttle_time(&self, key: QuotaKey) -> &Histogram {
        &self.throttle_times[key.index()]
    }

    pub(crate) fn refusals(&self, reason: Refusal) -> u64 {
        self.refusals[reason as usize].get()
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = (ApiKey, u64)> {
        let counts = self.requests.iter().map(Count::get);
        APIS.iter().map(|api| api.key).zip(counts)
    }

    /// Those that have happened.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (ApiKey, &'static str, u64)> {
        let by_api = APIS.iter().zip(self.errors.chunks(ERRORS));
        let all = by_api.flat_map(|(api, counts)| {
            let errors = (-1_i16..).zip(counts);
            errors.map(|(code, count)| {
                let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
                (api.key, error.name(), count.get())
            })
        });
        all.filter(|(.., count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use klamm_protocol::messages::FetchResponse;

    use super::*;

    #[test]
    fn every_api_has_a_cell_of_its_own_and_every_error_has_room() {
        let counters = Counters::default();
        for api in APIS {
            counters.requested(api.key);
        }
        assert!(counters.requests().all(|(_, count)| count == 1));
        let last = ErrorCode::ALL.iter().map(|error| error.code()).max();
        assert!(usize::try_from(last.expect("there are some")).expect("positive") + 1 < ERRORS);
    }

    #[test]
    fn errors_are_counted_by_api_and_name_and_success_is_none() {
        let counters = Counters::default();
        for error in [
            ErrorCode::None,
            ErrorCode::UnknownServerError,
            ErrorCode::FetchSessionIdNotFound,
            ErrorCode::FetchSessionIdNotFound,
        ] {
            counters.answered(&FetchResponse::error(error).into());
        }
        let errors: Vec<_> = counters.errors().collect();
        assert_eq!(
            errors,
            [
                (ApiKey::Fetch, "UNKNOWN_SERVER_ERROR", 1),
                (ApiKey::Fetch, "FETCH_SESSION_ID_NOT_FOUND", 2)
            ]
        );
    }

    #[test]
    fn cells_are_found_by_the_number_of_the_variant() {
        let numbers = RequestKind::ALL.map(|kind| kind as usize);
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(Stage::ALL.map(|stage| stage as usize), [0, 1, 2]);
        assert_eq!(
            Refusal::ALL.map(|reason| reason as usize),
            [0, 1, 2, 3, 4, 5]
        );
    }
}
