//! Producers: some idempotent, some not; each writes to one partition.
//!
//! An idempotent producer behaves as Kafka's: it numbers its batches, keeps the last ones until
//! they are acknowledged, and sends them again in order when it does not know what became of them.

use std::collections::VecDeque;

use klamm_model::record_batch::BatchBuilder;
use klamm_model::{ProducerEpoch, ProducerId, RecordBatch, Timestamp};

use klamm_simulation::Random;

/// A client that writes.
pub(crate) struct Producer {
    pub(crate) partition: usize,
    identity: Option<Identity>,
    /// Batches not yet acknowledged, oldest first.
    unacknowledged: VecDeque<Sent>,
    /// How many of them the broker has taken, as far as the producer knows.
    taken: usize,
    /// Records have been lost or deleted: the broker may have forgotten sequences.
    pub(crate) may_be_unknown: bool,
}

struct Identity {
    id: ProducerId,
    next_sequence: i32,
}

/// A batch, the numbers of its records, and where it was said to stand when it was last sent.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) batch: RecordBatch,
    pub(crate) records: Vec<u64>,
    base: Option<i64>,
}

/// Numbers that are never used twice.
#[derive(Default)]
pub(crate) struct Numbers {
    last_record: u64,
    last_producer: i64,
}

/// The key of a record: few, so that most are written again.
pub(crate) fn key_of(number: u64) -> u64 {
    const KEYS: u64 = 12;
    number % KEYS
}

/// As Kafka's `max.in.flight.requests.per.connection` for idempotence.
const IN_FLIGHT_MAX: usize = 5;

impl Producer {
    pub(crate) fn new(partition: usize, idempotent: bool, numbers: &mut Numbers) -> Self {
        Self {
            partition,
            identity: idempotent.then(|| numbers.identity()),
            unacknowledged: VecDeque::new(),
            taken: 0,
            may_be_unknown: false,
        }
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.identity.is_some()
    }

    /// The batch to send next: one that has to be sent again, or a new one; `None` when too many
    /// are in flight.
    pub(crate) fn next(
        &mut self,
        random: &mut Random,
        numbers: &mut Numbers,
        wall: Timestamp,
    ) -> Option<Sent> {
        if self.taken == self.unacknowledged.len() {
            if self.taken == IN_FLIGHT_MAX {
                return None;
            }
            let sent = self.compose(random, numbers, wall);
            self.unacknowledged.push_back(sent);
        }
        Some(self.unacknowledged[self.taken].clone())
    }

    /// One that was sent already, for a duplicate on the wire.
    pub(crate) fn again(&self, random: &mut Random) -> Option<Sent> {
        let taken: Vec<&Sent> = self.unacknowledged.iter().take(self.taken).collect();
        if taken.is_empty() || !self.is_idempotent() {
            return None;
        }
        Some(taken[random.place(&taken)].clone())
    }

    fn compose(&mut self, random: &mut Random, numbers: &mut Numbers, wall: Timestamp) -> Sent {
        let count = 1 + random.below(4) as usize;
        let mut builder = BatchBuilder::new();
        if let Some(identity) = &mut self.identity {
            let epoch = ProducerEpoch(0);
            builder = builder.producer(identity.id, epoch, identity.next_sequence);
            identity.next_sequence += count as i32;
        }
        let records: Vec<u64> = (0..count).map(|_| numbers.record()).collect();
        for number in &records {
            let mut value = number.to_be_bytes().to_vec();
            value.resize(8 + random.below(300) as usize, b'.');
            let key = key_of(*number).to_be_bytes();
            builder.append(wall, Some(&key), Some(&value), &[]);
        }
        Sent {
            batch: builder.build(),
            records,
            base: None,
        }
    }

    /// The broker has taken what [`next`](Self::next) gave out, to stand at `base`.
    pub(crate) fn taken(&mut self, base: i64) {
        self.unacknowledged[self.taken].base = Some(base);
        self.taken += 1;
    }

    /// Whether retention or compaction has taken a batch that may be sent again: of those, the
    /// broker remembers the last one only when it starts anew.
    pub(crate) fn stood_below(&self, whole_from: i64) -> bool {
        let mut bases = self.unacknowledged.iter().filter_map(|sent| sent.base);
        bases.any(|base| base < whole_from)
    }

    /// The broker has acknowledged a batch; or has forgotten all of them, with a crash.
    pub(crate) fn acknowledged(&mut self, records: &[u64]) {
        let position = self
            .unacknowledged
            .iter()
            .position(|sent| sent.records == records);
        if let Some(position) = position {
            assert_eq!(position, 0, "acknowledged out of order");
            self.unacknowledged.pop_front();
            self.taken = self.taken.saturating_sub(1);
        }
    }

    /// The connection broke: what is not acknowledged has to be sent again. Without idempotence
    /// that could repeat records, so it is given up.
    pub(crate) fn disconnected(&mut self) {
        self.taken = 0;
        if !self.is_idempotent() {
            self.unacknowledged.clear();
        }
    }

    /// Starts over under a new producer id, giving up what is not acknowledged.
    pub(crate) fn reset(&mut self, numbers: &mut Numbers) {
        assert!(self.may_be_unknown, "a sequence that should have fitted");
        self.identity = Some(numbers.identity());
        self.unacknowledged.clear();
        self.taken = 0;
        self.may_be_unknown = false;
    }
}

impl Numbers {
    fn record(&mut self) -> u64 {
        self.last_record += 1;
        self.last_record
    }

    fn identity(&mut self) -> Identity {
        self.last_producer += 1;
        Identity {
            id: ProducerId(self.last_producer),
            next_sequence: 0,
        }
    }
}
