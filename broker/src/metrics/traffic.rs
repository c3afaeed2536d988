//! Records and bytes, in all and by topic.
//!
//! A partition resolves the cells of its topic once, when it is opened. There are cells for a
//! bounded number of topics; those beyond it share one row, so that a broker with very many topics
//! does not drown whoever reads its metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use klamm_model::TopicName;

use super::count::Count;

/// Records and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) records: Count,
    pub(crate) bytes: Count,
}

impl Flow {
    pub(crate) fn add(&self, records: u64, bytes: u64) {
        self.records.add(records);
        self.bytes.add(bytes);
    }
}

/// What goes through one topic.
#[derive(Debug, Default)]
pub(crate) struct TopicTraffic {
    pub(crate) appended: Flow,
    pub(crate) fetched: Flow,
}

/// Topics that have cells of their own.
pub(crate) const TOPICS_MAX: usize = 200;

/// The label of all topics beyond that; no topic can be called so.
pub(crate) const OTHER_TOPICS: &str = "(others)";

/// See the [module](self). A topic's cells live as long as a partition holds them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    topics: Mutex<BTreeMap<TopicName, Weak<TopicTraffic>>>,
    others: Arc<TopicTraffic>,
}

impl Traffic {
    /// The cells for a partition of this topic.
    pub(crate) fn of(&self, topic: &TopicName) -> Arc<TopicTraffic> {
        let mut topics = self.lock();
        if let Some(known) = topics.get(topic).and_then(Weak::upgrade) {
            return known;
        }
        if topics.len() >= TOPICS_MAX {
            topics.retain(|_, cells| cells.strong_count() > 0);
        }
        if topics.len() >= TOPICS_MAX {
            return self.others.clone();
        }
        let cells = Arc::new(TopicTraffic::default());
        topics.insert(topic.clone(), Arc::downgrade(&cells));
        cells
    }

    /// Every topic that is there, by name, and the others in one.
    pub(crate) fn read(&self) -> Vec<(String, Arc<TopicTraffic>)> {
        let topics = self.lock();
        let own = topics.iter().filter_map(|(name, cells)| {
            let cells = cells.upgrade()?;
            Some((name.as_str().to_owned(), cells))
        });
        let shared = (Arc::strong_count(&self.others) > 1)
            .then(|| (OTHER_TOPICS.to_owned(), self.others.clone()));
        own.chain(shared).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicName, Weak<TopicTraffic>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(number: usize) -> TopicName {
        TopicName::new(&format!("t{number}")).expect("the name is legal")
    }

    #[test]
    fn partitions_of_a_topic_share_cells_and_topics_beyond_the_bound_share_one_row() {
        let traffic = Traffic::default();
        let held: Vec<_> = (0..TOPICS_MAX).map(|n| traffic.of(&topic(n))).collect();
        held[0].appended.add(2, 20);
        traffic.of(&topic(0)).appended.add(1, 10);
        assert_eq!(held[0].appended.records.get(), 3);
        let beyond: Vec<_> = (0..2).map(|n| traffic.of(&topic(1_000 + n))).collect();
        assert!(Arc::ptr_eq(&beyond[0], &beyond[1]));
        let rows = traffic.read();
        assert_eq!(rows.len(), TOPICS_MAX + 1);
        assert_eq!(rows.last().expect("a row").0, OTHER_TOPICS);
    }

    #[test]
    fn a_topic_that_is_gone_has_no_row_and_leaves_room() {
        let traffic = Traffic::default();
        drop(traffic.of(&topic(1)));
        assert!(traffic.read().is_empty());
        let held: Vec<_> = (0..TOPICS_MAX).map(|n| traffic.of(&topic(n))).collect();
        assert_eq!(traffic.read().len(), TOPICS_MAX);
        drop(held);
        let fresh = traffic.of(&topic(TOPICS_MAX));
        assert!(!Arc::ptr_eq(&fresh, &traffic.others));
    }
}
