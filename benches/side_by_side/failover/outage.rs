//! How long a partition was away, as its producer saw it.

use std::time::Duration;

use super::sender::Acknowledged;

/// The longest time without an acknowledgement of a partition that ended in a time; `None` if
/// there was none in it. Messages are due all the while, so silence is the cluster's.
pub(super) fn longest_silence(
    acknowledged: &[Acknowledged],
    partition: i32,
    after: Duration,
    until: Duration,
) -> Option<Duration> {
    let of_it = acknowledged.iter().filter(|one| one.partition == partition);
    let mut last = after;
    let mut longest = None;
    for one in of_it.take_while(|one| one.at <= until) {
        if one.at > after {
            longest = longest.max(Some(one.at.saturating_sub(last)));
        }
        last = one.at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_between_two_acknowledgements_of_one_partition() {
        let ms = Duration::from_millis;
        let acknowledged: Vec<_> = [(0, 990), (1, 999), (0, 1_400), (0, 1_406), (0, 9_000)]
            .iter()
            .map(|(partition, at)| Acknowledged {
                partition: *partition,
                sequence: 0,
                at: ms(*at),
            })
            .collect();
        let check = |partition, after, until, expected: Option<u64>| {
            let longest = longest_silence(&acknowledged, partition, ms(after), ms(until));
            assert_eq!(longest, expected.map(ms));
        };
        check(0, 1_000, 2_000, Some(410));
        check(0, 1_401, 2_000, Some(6));
        check(0, 2_000, 9_500, Some(7_594));
        check(1, 1_000, 2_000, None);
    }
}
