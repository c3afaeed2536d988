//! Which brokers hold a new partition.
//!
//! The aims are those of Kafka's `StripedReplicaPlacer`: replicas on as many racks as there are
//! (brokers without a rack share one), leaders and followers spread. It differs where racks are of
//! unequal size: there leaders go round the brokers, not round the racks, so that the only broker
//! of a rack does not lead as much as all of another rack together.

use std::collections::BTreeMap;

use klamm_model::BrokerId;

/// Where partitions are placed.
pub(crate) struct Placement {
    /// In the order in which brokers lead, which goes through the racks in turn.
    ring: Vec<Seat>,
    racks: usize,
}

struct Seat {
    broker: BrokerId,
    rack: usize,
}

impl Placement {
    /// On these brokers, sorted by number.
    pub(crate) fn on<'a>(brokers: impl Iterator<Item = (BrokerId, Option<&'a str>)>) -> Self {
        let mut by_rack: BTreeMap<_, Vec<BrokerId>> = BTreeMap::new();
        for (broker, rack) in brokers {
            by_rack.entry(rack).or_default().push(broker);
        }
        let longest = by_rack.values().map(Vec::len).max().unwrap_or(0);
        let stripe = |row: usize| {
            let racks = by_rack.values().enumerate();
            racks.filter_map(move |(rack, brokers)| {
                let broker = *brokers.get(row)?;
                Some(Seat { broker, rack })
            })
        };
        Self {
            ring: (0..longest).flat_map(stripe).collect(),
            racks: by_rack.len(),
        }
    }

    /// How many brokers there are.
    pub(crate) fn broker_count(&self) -> usize {
        self.ring.len()
    }

    /// When the broker's turn to lead comes.
    pub(crate) fn turn_of(&self, broker: BrokerId) -> Option<usize> {
        self.ring.iter().position(|seat| seat.broker == broker)
    }

    /// Replicas for `count` partitions, the first of which is number `first`: leaders go round the
    /// brokers, and partitions that share a leader have other followers as long as there are any,
    /// so that a broker's load falls to all others when it stops. `turn` shifts the start per
    /// topic.
    ///
    /// `factor` is at most the number of brokers, of which there is at least one.
    pub(crate) fn place(
        &self,
        turn: usize,
        first: usize,
        count: usize,
        factor: usize,
    ) -> Vec<Vec<BrokerId>> {
        let n = self.ring.len();
        assert!(
            (1..=n).contains(&factor),
            "more replicas than brokers factor={factor} brokers={n}"
        );
        let mut loads = Loads {
            follows: vec![0; n],
            pairs: BTreeMap::new(),
        };
        (first..first + count)
            .map(|partition| self.replicas(turn + partition, factor, &mut loads))
            .collect()
    }

    fn replicas(&self, turn: usize, factor: usize, loads: &mut Loads) -> Vec<BrokerId> {
        let n = self.ring.len();
        let leader = turn % n;
        let mut on_rack = vec![0; self.racks];
        on_rack[self.ring[leader].rack] = 1;
        let mut chosen = vec![leader];
        while chosen.len() < factor {
            // Of equals the next on the ring, one further each time all brokers have led once.
            let distance = |seat: usize| (2 * n + seat - leader - 1 - turn / n % n) % n;
            let rank = |seat: &usize| {
                let pairs = loads.pairs.get(&(leader, *seat)).copied().unwrap_or(0);
                let on_rack = on_rack[self.ring[*seat].rack];
                (on_rack, pairs, loads.follows[*seat], distance(*seat))
            };
            let free = (0..n).filter(|seat| !chosen.contains(seat));
            let follower = free
                .min_by_key(rank)
                .expect("there are at least as many brokers as replicas");
            on_rack[self.ring[follower].rack] += 1;
            loads.follows[follower] += 1;
            *loads.pairs.entry((leader, follower)).or_insert(0) += 1;
            chosen.push(follower);
        }
        chosen.iter().map(|seat| self.ring[*seat].broker).collect()
    }
}

/// What was placed so far, by place on the ring.
struct Loads {
    follows: Vec<usize>,
    /// How often the second follows the first.
    pairs: BTreeMap<(usize, usize), usize>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha8Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    type Racks = BTreeMap<BrokerId, Option<String>>;

    fn placement(racks: &Racks) -> Placement {
        Placement::on(racks.iter().map(|(id, rack)| (*id, rack.as_deref())))
    }

    fn without_racks(count: i32) -> Racks {
        (1..=count).map(|id| (BrokerId(id), None)).collect()
    }

    #[test]
    fn leaders_and_followers_are_spread_and_no_broker_holds_two_replicas() {
        let placed = placement(&without_racks(5)).place(3, 0, 20, 3);
        let mut led = [0; 5];
        let mut pairs = BTreeSet::new();
        for replicas in &placed {
            led[(replicas[0].0 - 1) as usize] += 1;
            pairs.extend(
                replicas[1..]
                    .iter()
                    .map(|follower| (replicas[0], *follower)),
            );
        }
        assert_eq!(led, [4; 5]);
        assert_eq!(pairs.len(), 20);
    }

    #[test]
    fn one_broker_holds_everything() {
        let one = Placement::on([(BrokerId(7), Some("a"))].into_iter());
        assert_eq!(one.place(9, 2, 2, 1), [[BrokerId(7)], [BrokerId(7)]]);
    }

    #[test]
    fn three_brokers_on_three_racks_share_all_there_is() {
        let racks = [(1, "a"), (2, "b"), (3, "c")];
        let racks = racks.map(|(id, rack)| (BrokerId(id), Some(rack)));
        let placed = Placement::on(racks.into_iter()).place(0, 0, 4, 3);
        let ids = |ids: [i32; 3]| ids.map(BrokerId).to_vec();
        assert_eq!(placed[0], ids([1, 2, 3]));
        assert_eq!(placed[3][0], BrokerId(1));
        let turn = Placement::on(racks.into_iter()).turn_of(BrokerId(3));
        assert_eq!(turn, Some(2));
    }

    fn spread(counts: impl Iterator<Item = usize> + Clone) -> usize {
        let (least, most) = (counts.clone().min(), counts.max());
        most.unwrap_or(0) - least.unwrap_or(0)
    }

    #[test]
    fn whatever_the_racks_replicas_are_spread_over_them_and_leaders_over_all() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut below = |end: usize| dice.next_u32() as usize % end;
        for round in 0..400 {
            let (brokers, racks) = (1 + below(9), 1 + below(5));
            let rack = |number: usize| (number > 0).then(|| format!("rack {number}"));
            let racks: Racks = (0..brokers)
                .map(|id| (BrokerId(id as i32), rack(below(racks))))
                .collect();
            let rack_count = racks.values().collect::<BTreeSet<_>>().len();
            let (factor, count) = (1 + below(brokers), 1 + below(60));
            let placed = placement(&racks).place(below(100), below(10), count, factor);
            assert_eq!(placed.len(), count);
            let mut led: BTreeMap<_, usize> = racks.keys().map(|id| (*id, 0)).collect();
            for replicas in &placed {
                let distinct: BTreeSet<_> = replicas.iter().collect();
                assert_eq!(
                    (distinct.len(), replicas.len()),
                    (factor, factor),
                    "round={round}"
                );
                let on: BTreeSet<_> = replicas.iter().map(|id| &racks[id]).collect();
                assert_eq!(on.len(), rack_count.min(factor), "round={round}");
                *led.get_mut(&replicas[0]).expect("registered") += 1;
            }
            assert!(spread(led.values().copied()) <= 1, "round={round} {led:?}");
        }
    }

    #[test]
    fn followers_are_spread_where_racks_are_of_equal_size() {
        for (per_rack, racks) in [(1, 3), (2, 3), (3, 3), (5, 1), (4, 2), (3, 4)] {
            let brokers = per_rack * racks;
            let rack = |id: i32| Some(format!("{}", id % racks));
            let racks: Racks = (0..brokers).map(|id| (BrokerId(id), rack(id))).collect();
            for factor in 2..=brokers as usize {
                let placed = placement(&racks).place(1, 0, 10 * brokers as usize, factor);
                let mut follows = vec![0; brokers as usize];
                let followers = placed.iter().flat_map(|replicas| &replicas[1..]);
                followers.for_each(|id| follows[id.0 as usize] += 1);
                let spread = spread(follows.iter().copied());
                assert!(spread <= 2, "{brokers} {factor} {follows:?}");
            }
        }
    }
}
