//! The one place where the operating system's randomness enters: seeds and identities, drawn at
//! start. Everything below is seeded.

/// Random bytes. Panics if the kernel has none, which it always has once it has booted.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives random bytes");
    assert_eq!(filled, N, "small requests are filled whole");
    bytes
}

/// A seed for a generator.
pub(crate) fn seed() -> u64 {
    u64::from_le_bytes(random_bytes())
}

/// A random uuid (version 4), as topic, cluster and directory ids are.
pub(crate) fn uuid() -> klamm_model::TopicId {
    let mut bytes: [u8; 16] = random_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    klamm_model::TopicId::from_bytes(bytes)
}
