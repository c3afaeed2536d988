//! Transactions as compaction walks over them: what was aborted goes at once, markers when nothing
//! of their transactions is left and nobody needs them (Kafka's `CleanedTransactionMetadata`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_model::{Offset, ProducerId, RecordBatch};

use crate::producer_state::{AbortedTransaction, Marker};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct CleanedTransactions {
    /// Not begun yet, the first last.
    ahead: Vec<AbortedTransaction>,
    aborted: BTreeMap<ProducerId, Aborted>,
    /// Producers with records of a transaction that was not aborted.
    committed: BTreeSet<ProducerId>,
    /// Aborted transactions whose markers stay.
    kept: Vec<AbortedTransaction>,
}

#[derive(Debug)]
struct Aborted {
    transaction: AbortedTransaction,
    /// Whether batches of it are still there.
    has_batches: bool,
}

impl CleanedTransactions {
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self {
            ahead: aborted,
            aborted: BTreeMap::new(),
            committed: BTreeSet::new(),
            kept: Vec::new(),
        }
    }

    /// Looks at the next batch; whether it can go: records of an aborted transaction, or a marker
    /// of a transaction of which nothing is left.
    pub(super) fn observe(&mut self, batch: &RecordBatch) -> bool {
        self.begin_until(batch.last_offset());
        let header = batch.header();
        match header.is_control() {
            true => self.end(batch),
            false if header.is_transactional() => self.go_on(header.producer_id()),
            false => false,
        }
    }

    /// Rows for the index of the copy, of the markers observed since the last call.
    pub(super) fn take_kept(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.kept)
    }

    fn begin_until(&mut self, offset: Offset) {
        while let Some(transaction) = self.ahead.pop_if(|next| next.first_offset <= offset) {
            let began = Aborted {
                transaction,
                has_batches: false,
            };
            self.aborted.entry(transaction.producer_id).or_insert(began);
        }
    }

    fn go_on(&mut self, producer_id: ProducerId) -> bool {
        match self.aborted.get_mut(&producer_id) {
            Some(aborted) => {
                aborted.has_batches = true;
                true
            }
            None => {
                self.committed.insert(producer_id);
                false
            }
        }
    }

    fn end(&mut self, batch: &RecordBatch) -> bool {
        let producer_id = batch.header().producer_id();
        // One without a record was compacted before, and only keeps what its producer is known by.
        if batch.header().record_count() == 0 {
            return true;
        }
        match Marker::read(batch) {
            Some(Marker { aborts: true, .. }) => match self.aborted.remove(&producer_id) {
                Some(aborted) if aborted.has_batches => {
                    self.kept.push(aborted.transaction);
                    false
                }
                _ => true,
            },
            Some(_) => !self.committed.remove(&producer_id),
            // Of a kind this version does not know.
            None => false,
        }
    }
}
