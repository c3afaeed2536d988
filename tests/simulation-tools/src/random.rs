//! Chance, all of it from one seed.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// A seeded source of choices.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// One of 2^64 sources.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let number = self.number();
        if bound == 0 { 0 } else { number % bound }
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A place in a list.
    pub fn place<T>(&mut self, list: &[T]) -> usize {
        self.below(list.len() as u64) as usize
    }

    /// A place in a list of weights, each as often as its weight says.
    ///
    /// Panics if all of them are 0.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut choice = self.below(weights.iter().sum());
        let chosen = weights.iter().position(|weight| {
            let is = choice < *weight;
            choice = choice.saturating_sub(*weight);
            is
        });
        chosen.expect("one of them has a weight")
    }
}
