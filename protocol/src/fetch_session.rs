//! Fetch sessions (KIP-227): the broker remembers what a client fetches, so that request and
//! answer carry only what has changed.
//!
//! A fetch goes through [`FetchSessions::begin`], which says what to read, and
//! [`FetchSessions::finish`], which leaves out of the answer what the client knows already. The
//! pair (session id, session epoch) of the request means:
//!
//! | id | epoch | |
//! |---|---|---|
//! | any | -1 | no session; one with this id is closed |
//! | any | 0 | a full fetch that asks for a new session; one with this id is closed |
//! | n | e > 0 | an increment to session n, which must be at epoch e |
//!
//! Sessions are keyed by topic id or by topic name, as their first request was; a request of the
//! other kind is refused. Source: Kafka's `FetchManager`, `FetchSessionCache`, `FetchSession`.

mod cache;
mod session;

use klamm_model::Instant;

use self::cache::Cache;
use self::session::{Known, Session};
use crate::ErrorCode;
use crate::messages::{FetchRequest, FetchResponse, FetchTopic, FetchablePartition};

/// More partitions than this are not kept in one session; the client then fetches without.
pub const SESSION_PARTITIONS_MAX: usize = 100_000;

/// The sessions of a listener's or a shard's clients.
#[derive(Debug)]
pub struct FetchSessions {
    cache: Cache,
}

/// A fetch between [`begin`](FetchSessions::begin) and [`finish`](FetchSessions::finish).
#[derive(Debug)]
pub struct FetchContext {
    kind: Kind,
    topics: Vec<FetchTopic>,
    /// Of each partition of the topics, in an increment; otherwise nothing is known.
    known: Vec<Known>,
    uses_topic_ids: bool,
    from_follower: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answered in full and forgotten.
    Sessionless,
    /// Answered in full; the first of a session, if there is room.
    Full,
    /// Answered with what has changed.
    Incremental {
        id: i32,
        /// Where the session stands once this request is answered.
        epoch: i32,
    },
}

const NO_SESSION: i32 = 0;
const EPOCH_INITIAL: i32 = 0;
const EPOCH_FINAL: i32 = -1;
const TOPIC_IDS_FROM: i16 = 13;

impl FetchSessions {
    /// Room for `slots_max` sessions (`max.incremental.fetch.session.cache.slots`), and in all of
    /// them for `partitions_max` partitions. Session ids are drawn from `seed`.
    pub fn new(slots_max: usize, partitions_max: usize, seed: u64) -> Self {
        Self {
            cache: Cache::new(slots_max, partitions_max, seed),
        }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the topics out of `request` and says what is to be read. On an error the whole
    /// request is answered with it.
    pub fn begin(
        &mut self,
        now: Instant,
        version: i16,
        request: &mut FetchRequest,
    ) -> Result<FetchContext, ErrorCode> {
        let mut context = FetchContext {
            kind: Kind::Sessionless,
            topics: std::mem::take(&mut request.topics),
            known: Vec::new(),
            uses_topic_ids: version >= TOPIC_IDS_FROM,
            from_follower: request.replica_id >= 0,
        };
        match request.session_epoch {
            EPOCH_INITIAL => {
                self.cache.remove(request.session_id);
                context.kind = Kind::Full;
            }
            EPOCH_FINAL => self.cache.remove(request.session_id),
            _ => self.begin_increment(now, request, &mut context)?,
        }
        Ok(context)
    }

    fn begin_increment(
        &mut self,
        now: Instant,
        request: &FetchRequest,
        context: &mut FetchContext,
    ) -> Result<(), ErrorCode> {
        let id = request.session_id;
        let session = self
            .cache
            .get(id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch() != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids() != context.uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        self.cache.change(id, |session| {
            session.update(&context.topics, &request.forgotten_topics);
        });
        let session = self
            .cache
            .get_mut(id)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.is_empty() {
            self.cache.remove(id);
            return Ok(()); // sessionless, and nothing to read
        }
        let epoch = session.advance(now);
        (context.topics, context.known) = session.topics();
        context.kind = Kind::Incremental { id, epoch };
        Ok(())
    }

    /// Makes `response` what the client expects: sets the session, remembers what is told, and in
    /// an increment leaves out partitions that have nothing new. An answer that is an error as a
    /// whole is left alone.
    pub fn finish(&mut self, now: Instant, context: &FetchContext, response: &mut FetchResponse) {
        if response.error_code != 0 {
            return;
        }
        match context.kind {
            Kind::Sessionless => response.session_id = NO_SESSION,
            Kind::Full => response.session_id = self.create(now, context, response),
            Kind::Incremental { id, epoch } => self.finish_increment(id, epoch, response),
        }
    }

    /// The answer to a client that is throttled (KIP-219): no partition at all. The session knows
    /// nothing of it, and a first fetch gets none, so the client asks for the same again.
    pub fn throttled(&self, context: &FetchContext) -> FetchResponse {
        let Kind::Incremental { id, epoch } = context.kind else {
            return FetchResponse::default();
        };
        let session = self.cache.get(id);
        if session.is_some_and(|session| session.epoch() != epoch) {
            // A later request of the same client was answered first.
            return FetchResponse::error(ErrorCode::InvalidFetchSessionEpoch);
        }
        FetchResponse {
            session_id: id,
            ..FetchResponse::default()
        }
    }

    fn create(
        &mut self,
        now: Instant,
        context: &FetchContext,
        response: &mut FetchResponse,
    ) -> i32 {
        let mut session = Session::new(now, context.uses_topic_ids, context.from_follower);
        session.update(&context.topics, &[]);
        if session.is_empty() || session.len() > SESSION_PARTITIONS_MAX {
            return NO_SESSION;
        }
        session.keep_news(&mut response.topics);
        self.cache.insert(now, session).unwrap_or(NO_SESSION)
    }

    fn finish_increment(&mut self, id: i32, epoch: i32, response: &mut FetchResponse) {
        response.session_id = id;
        // Evicted meanwhile: the client gets what was found, and on its next request a new session.
        let Some(session) = self.cache.get_mut(id) else {
            return;
        };
        if session.epoch() != epoch {
            // A later request of the same client was answered first.
            *response = FetchResponse::error(ErrorCode::InvalidFetchSessionEpoch);
            return;
        }
        session.keep_news(&mut response.topics);
    }
}

impl FetchContext {
    /// What is to be read, in the order in which it should be read: partitions that were served
    /// last come last. A topic may appear more than once.
    pub fn topics(&self) -> &[FetchTopic] {
        &self.topics
    }

    /// Whether the client has to be told this of the partition with this number, counted over all
    /// [`topics`](Self::topics). What it need not be told may be left out of the answer, which is
    /// cheaper than to have [`FetchSessions::finish`] take it out.
    pub fn is_news(&self, nth: usize, told: &FetchablePartition) -> bool {
        self.known
            .get(nth)
            .is_none_or(|known| known.differs_from(told))
    }

    /// Whether this is an increment to a session, whose answer may leave partitions out.
    pub fn is_incremental(&self) -> bool {
        matches!(self.kind, Kind::Incremental { .. })
    }
}

#[cfg(test)]
mod tests;
