//! How logs are compacted. When they are is up to the topic settings.

use klamm_metadata::setting::{Kind, Setting, Unit, Valid, setting};

use super::{boolean, int, long};

/// Largest double, Kafka's way to say "without limit".
const UNLIMITED: &str = "1.7976931348623157E308";

pub(super) const ROWS: &[Setting] = &[
    boolean("log.cleaner.enable", "true")
        .says("Whether logs are compacted at all. Without it topics with `cleanup.policy=compact` keep every record, `__consumer_offsets` among them."),
    int("log.cleaner.threads", "1")
        .valid(Valid::AtLeast(0))
        .says("How many logs are compacted at once. The threads have the lowest priority."),
    long("log.cleaner.backoff.ms", "15000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("How long until the broker looks for logs to compact again, after it found none."),
    long("log.cleaner.dedupe.buffer.size", "134217728")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1_048_576))
        .at_once()
        .says("Memory for the keys of all compactions at once, 24 bytes each; while it fills up, half as much again. It is taken as keys are found, and given back. More keys than fit are compacted in several rounds."),
    setting("log.cleaner.io.buffer.load.factor", Kind::Double, Some("0.9"))
        .valid(Valid::RealBetween(0.0, 1.0))
        .at_once()
        .says("How full the memory for keys may get: fuller takes more keys at once, and each takes longer."),
    int("log.cleaner.io.buffer.size", "524288")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("How much all compactions together write at once."),
    setting("log.cleaner.io.max.bytes.per.second", Kind::Double, Some(UNLIMITED))
        .unit(Unit::Bytes)
        .at_once()
        .says("How much all compactions together read and write in a second."),
];
