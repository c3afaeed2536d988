//! Damage that knows what wire formats are made of: lengths, counts, variable-length integers.

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// What lengths and counts are broken with: nulls, negatives, the largest, and merely large ones.
const TELLING: [&[u8]; 14] = [
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff],
    &[0x7f, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x00, 0x0f, 0xff, 0xff],
    &[0x00, 0x00, 0x10, 0x00],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0x3f],
];

/// Damages `bytes` from position `from` on, once to four times.
pub(crate) fn damage(bytes: &mut Vec<u8>, from: usize, draw: &mut Draw) {
    for _ in 0..=draw.below(4) {
        if bytes.len() <= from {
            return;
        }
        let at = from + draw.below(bytes.len() - from);
        damage_at(bytes, at, draw);
    }
}

fn damage_at(bytes: &mut Vec<u8>, at: usize, draw: &mut Draw) {
    let rest = bytes.len() - at;
    match draw.below(8) {
        0 => bytes[at] ^= 1 << draw.below(8),
        1 => bytes[at] = draw.next() as u8,
        2..=4 => {
            let telling = draw.of(&TELLING);
            let length = telling.len().min(rest);
            bytes[at..at + length].copy_from_slice(&telling[..length]);
        }
        5 => bytes.truncate(at),
        6 => {
            bytes.drain(at..at + 1 + draw.below(rest.min(16)));
        }
        _ => {
            // A piece again and again: arrays whose elements are really there.
            let piece = bytes[at..at + 1 + draw.below(rest.min(32))].to_vec();
            let times_max = if draw.below(50) == 0 { 5_000 } else { 8 };
            let times = 1 + draw.below(times_max);
            bytes.splice(at..at, piece.repeat(times));
        }
    }
}
