//! What consumers read, as far as the broker needs to know it.

use std::collections::BTreeSet;

use super::ClassicGroup;
use super::commit::CONSUMER;

impl ClassicGroup {
    /// The topics that the members read; `None` if they are no consumers, or a subscription
    /// cannot be parsed.
    pub(super) fn parse_subscriptions(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol_name = self.protocol_name.as_deref()?;
        for member in self.members.values() {
            parse_subscription(&member.metadata(protocol_name), &mut topics)?;
        }
        Some(topics)
    }
}

/// Reads `ConsumerProtocolSubscription` as far as all its versions agree: the version, and the
/// list of topics.
fn parse_subscription(metadata: &[u8], topics: &mut BTreeSet<String>) -> Option<()> {
    let (version, rest) = metadata.split_first_chunk()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk()?;
    for _ in 0..u32::try_from(i32::from_be_bytes(*count)).ok()? {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, after) = after.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(topic).ok()?.to_owned());
        rest = after;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_from_any_version_and_nothing_from_damage() {
        let whole = b"\x00\x03\x00\x00\x00\x02\x00\x01a\x00\x02bc and what later versions add";
        check(whole, Some(&["a", "bc"]));
        check(b"\x00\x00\x00\x00\x00\x00", Some(&[]));
        for length in 0..13 {
            check(&whole[..length], None);
        }
        check(b"\xff\xff\x00\x00\x00\x00", None);
        check(b"\x00\x00\xff\xff\xff\xff", None);
        check(b"\x00\x00\x7f\xff\xff\xff\x00\x01a", None);
        check(b"\x00\x00\x00\x00\x00\x01\x00\x01\xff", None);
    }

    fn check(metadata: &[u8], expected: Option<&[&str]>) {
        let mut topics = BTreeSet::new();
        let parsed = parse_subscription(metadata, &mut topics).map(|()| topics);
        let expected =
            expected.map(|topics| topics.iter().map(|&topic| topic.to_owned()).collect());
        assert_eq!(parsed, expected, "{metadata:?}");
    }
}
