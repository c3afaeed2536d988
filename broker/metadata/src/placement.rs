//! Which brokers hold a new partition.

use klamm_model::BrokerId;

/// Replicas for `count` partitions, the first of which is number `first`: leaders go round the
/// brokers, and the followers of partitions that share a leader differ from round to round, so
/// that a broker's load falls to all others when it stops. `turn` shifts the start per topic.
///
/// `factor` is at most the number of brokers, of which there is at least one.
pub(crate) fn place(
    brokers: &[BrokerId],
    turn: usize,
    first: usize,
    count: usize,
    factor: usize,
) -> Vec<Vec<BrokerId>> {
    let n = brokers.len();
    assert!(
        (1..=n).contains(&factor),
        "more replicas than brokers factor={factor} brokers={n}"
    );
    let replicas = |partition: usize| {
        let leader = turn + partition;
        // The distance of the followers grows by one each time all brokers have led once.
        let shift = partition / n;
        let follower = |k: usize| leader + 1 + (shift + k) % (n - 1);
        let positions = std::iter::once(leader).chain((0..factor - 1).map(follower));
        positions.map(|position| brokers[position % n]).collect()
    };
    (first..first + count).map(replicas).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_and_followers_are_spread_and_no_broker_holds_two_replicas() {
        let brokers: Vec<_> = (1..=5).map(BrokerId).collect();
        let placed = place(&brokers, 3, 0, 20, 3);
        let mut led = [0; 5];
        let mut pairs = std::collections::BTreeSet::new();
        for replicas in &placed {
            assert_eq!(replicas.len(), 3);
            let unique: std::collections::BTreeSet<_> = replicas.iter().collect();
            assert_eq!(unique.len(), 3, "{replicas:?}");
            led[(replicas[0].0 - 1) as usize] += 1;
            pairs.insert((replicas[0], replicas[1]));
        }
        assert_eq!(led, [4; 5]);
        assert_eq!(pairs.len(), 20);
    }

    #[test]
    fn one_broker_holds_everything() {
        assert_eq!(
            place(&[BrokerId(7)], 9, 2, 2, 1),
            [[BrokerId(7)], [BrokerId(7)]]
        );
    }
}
