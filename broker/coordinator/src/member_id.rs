//! New member ids.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::MemberId;

/// How many bytes [`MemberIds::next`] adds to the prefix.
pub(crate) const SUFFIX_LENGTH: usize = 37;

/// Makes member ids that nobody can guess and that a seed repeats.
#[derive(Debug)]
pub(crate) struct MemberIds {
    random: ChaCha8Rng,
}

impl MemberIds {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            random: ChaCha8Rng::from_seed(seed),
        }
    }

    /// `prefix`, `-` and a random uuid (version 4), as Kafka names members.
    pub(crate) fn next(&mut self, prefix: &str) -> MemberId {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        MemberId::new(&format!(
            "{prefix}-{}-{}-{}-{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_id_is_the_prefix_and_a_uuid() {
        let mut ids = MemberIds::new([7; 32]);
        let first = ids.next("client");
        assert_eq!(first.as_str().len(), "client".len() + SUFFIX_LENGTH);
        let parts: Vec<usize> = first.as_str().split('-').map(str::len).collect();
        assert_eq!(parts, [6, 8, 4, 4, 4, 12]);
        assert_eq!(first.as_str().as_bytes()["client-".len() + 14], b'4');
        assert_ne!(first, ids.next("client"));
        assert_eq!(first, MemberIds::new([7; 32]).next("client"));
    }
}
