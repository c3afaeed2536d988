//! When the logs are synced, checkpointed, and freed of what is old.

use klamm_metadata::setting::{Setting, Unit, Valid};

use super::{int, long, string};

pub(super) const ROWS: &[Setting] = &[
    long("log.flush.scheduler.interval.ms", "100")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often the broker looks for logs whose `flush.ms` has passed. (Kafka's default is never.)"),
    long("klamm.flush.bytes", "4194304")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(4096))
        .says("After how many bytes a log is synced even if `flush.ms` has not passed, so that no sync is a long one."),
    string("klamm.log.writer", "auto")
        .valid(Valid::OneOf(&["auto", "inline", "offload"]))
        .says("Which thread writes to the logs: `inline`, the data plane, which is quickest; `offload`, one thread for each log directory, so that a filesystem that holds up a write holds up nothing else; or `auto`, the data plane until a write takes more than half a millisecond, then for ten seconds the directory's thread."),
    int("log.flush.offset.checkpoint.interval.ms", "60000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often it is noted down how far each log is synced: what a start after a crash need not read again."),
    int("log.flush.start.offset.checkpoint.interval.ms", "60000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often it is noted down where each log starts, after DeleteRecords."),
    long("replica.high.watermark.checkpoint.interval.ms", "5000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often it is noted down how far each partition may be read."),
    long("log.retention.check.interval.ms", "300000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(1))
        .says("How often the broker looks for segments past `retention.ms` or `retention.bytes`."),
    long("log.initial.task.delay.ms", "30000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .internal()
        .says("How long after the start the first look for old segments comes."),
];
