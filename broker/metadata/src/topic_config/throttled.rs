//! Which replicas of a topic are copied with a limit on the rate (KIP-73).

use klamm_model::{BrokerId, PartitionIndex};

use crate::setting::Value;

/// The value of `leader.replication.throttled.replicas` or `follower.replication.throttled.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// `*`.
    All,
    /// Pairs of partition and broker; none for nothing and for `none`.
    Listed(Vec<(PartitionIndex, BrokerId)>),
}

impl ThrottledReplicas {
    /// Nothing.
    pub const NONE: Self = Self::Listed(Vec::new());

    /// Whether the replica on a broker is among them.
    pub fn covers(&self, partition: PartitionIndex, broker: BrokerId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(&(partition, broker)),
        }
    }

    /// Pairs that are none have been refused when the value was set.
    pub(super) fn of(value: &Value) -> Self {
        let Value::List(list) = value else {
            return Self::NONE;
        };
        if matches!(&list[..], [only] if only == "*") {
            return Self::All;
        }
        let pairs = list.iter().filter_map(|pair| {
            let (partition, broker) = pair.split_once(':')?;
            let partition = PartitionIndex(partition.parse().ok()?);
            Some((partition, BrokerId(broker.parse().ok()?)))
        });
        Self::Listed(pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_throttled_if_it_is_listed_or_all_are() {
        let of = |texts: &[&str]| {
            let list = texts.iter().map(|&text| text.to_owned());
            ThrottledReplicas::of(&Value::List(list.collect()))
        };
        let covers = |replicas: &ThrottledReplicas| replicas.covers(PartitionIndex(3), BrokerId(1));
        assert!(covers(&of(&["*"])));
        assert!(covers(&of(&["2:1", "3:1"])));
        assert!(!covers(&of(&["1:3"])));
        assert!(!covers(&of(&["none"])));
        assert_eq!(of(&[]), ThrottledReplicas::NONE);
    }
}
