//! Identities of new topics: random uuids (version 4) from a seed that comes from outside.

use klamm_model::TopicId;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

/// A source of topic identities: the same seed gives the same ones in the same order.
#[derive(Clone, Debug)]
pub struct TopicIds {
    random: ChaCha12Rng,
}

impl TopicIds {
    /// With a seed that no other broker has and no earlier start had.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            random: ChaCha12Rng::from_seed(seed),
        }
    }

    /// A new identity. As in Kafka, none that prints with a `-` in front: shells would take it for
    /// an option.
    pub fn draw(&mut self) -> TopicId {
        loop {
            let mut bytes = [0; 16];
            self.random.fill_bytes(&mut bytes);
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = TopicId::from_bytes(bytes);
            if !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_random_uuids_never_zero_and_never_look_like_an_option() {
        let mut ids = TopicIds::new([1; 32]);
        let drawn: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.draw()).collect();
        assert_eq!(drawn.len(), 10_000);
        for id in &drawn {
            assert!(!id.is_zero());
            assert_eq!(id.as_bytes()[6] >> 4, 4);
            assert_eq!(id.as_bytes()[8] >> 6, 2);
            assert!(!id.to_string().starts_with('-'));
        }
        assert_eq!(TopicIds::new([1; 32]).draw(), TopicIds::new([1; 32]).draw());
    }
}
