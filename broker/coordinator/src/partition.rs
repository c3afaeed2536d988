//! Which partition of `__consumer_offsets` serves a group.

use klamm_model::PartitionIndex;

/// The partition that holds `group_id`: the text's hash as Java computes it, made non-negative
/// as Kafka does (`Utils.abs`), modulo the partition count.
///
/// Panics if `partition_count` is not positive.
pub fn partition_for_group(group_id: &str, partition_count: i32) -> PartitionIndex {
    assert!(partition_count > 0, "a topic has partitions");
    // Kafka maps the one number without an absolute value to 0.
    let hash = java_hash(group_id).checked_abs().unwrap_or(0);
    PartitionIndex(hash % partition_count)
}

/// `java.lang.String.hashCode`: over UTF-16 units, wrapping.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_land_where_kafka_puts_them() {
        // Computed by Apache Kafka 4.4.
        for (group, hash, partition) in [
            ("", 0, 0),
            ("a", 97, 47),
            ("my-group", -1_906_497_762, 12),
            ("grüppe", -1_233_264_812, 12),
            ("😀 emoji", -1_572_615_351, 1),
            ("polygenelubricants", i32::MIN, 0),
            ("console-consumer-12345", 158_455_506, 6),
        ] {
            assert_eq!(java_hash(group), hash, "{group}");
            assert_eq!(
                partition_for_group(group, 50),
                PartitionIndex(partition),
                "{group}"
            );
        }
    }
}
