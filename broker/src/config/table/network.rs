//! Connections, sockets, requests, reading.

use klamm_metadata::setting::{Setting, Unit, Valid};

use super::{int, long, string};

pub(super) const ROWS: &[Setting] = &[
    long("connections.max.idle.ms", "600000")
        .unit(Unit::Millis)
        .says("A connection without a request for so long is closed; negative is never."),
    long("klamm.request.receive.timeout.ms", "60000")
        .unit(Unit::Millis)
        .says("How long a request may take to arrive, from its first byte to its last; its connection is closed then. Negative is for ever."),
    int("max.connections", "10000")
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("How many connections the broker holds at most; further ones wait. (Kafka has no limit.)"),
    int("max.connections.per.ip", "2147483647")
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("How many connections one address may hold; further ones are closed."),
    string("max.connections.per.ip.overrides", "")
        .valid(Valid::CountsByAddress)
        .at_once()
        .says("Other limits for single addresses: `address:count`, separated by commas. (Kafka takes host names as well.)"),
    int("max.connection.creation.rate", "2147483647")
        .valid(Valid::AtLeast(0))
        .at_once()
        .says("How many connections are accepted in a second; further ones wait."),
    int("socket.request.max.bytes", "104857600")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1))
        .says("The largest request; a larger one closes its connection."),
    long("queued.max.request.bytes", "-1")
        .unit(Unit::Bytes)
        .says("How many bytes of requests may be in the broker at once before it stops reading; not less than `socket.request.max.bytes`. -1 is a quarter of the memory, at most 1 GiB. (For Kafka, -1 is without limit.)"),
    long("klamm.queued.max.response.bytes", "-1")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-1))
        .says("How much memory replies may take that clients have not taken off their sockets, of all connections together; beyond it the connection is closed that has held the most for the longest. Records of fetches do not count: they are pages of the log's files. -1 is an eighth of the memory, at most 512 MiB. (Kafka has no limit.)"),
    int("klamm.requests.in.flight.max", "64")
        .valid(Valid::Between(1, 1_000_000))
        .says("How many requests of one connection may be in the broker at once before it stops reading from it."),
    int("socket.send.buffer.bytes", "102400")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-1))
        .says("The send buffer of a connection (SO_SNDBUF); -1 leaves it to the system."),
    int("socket.receive.buffer.bytes", "102400")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(-1))
        .says("The receive buffer of a connection (SO_RCVBUF); -1 leaves it to the system."),
    int("socket.listen.backlog.size", "50")
        .valid(Valid::AtLeast(1))
        .says("How many connections the system holds that the broker has not accepted yet."),
    int("fetch.max.bytes", "57671680")
        .unit(Unit::Bytes)
        .valid(Valid::AtLeast(1024))
        .says("The largest answer to a fetch, whatever the client asks for; but one batch is always sent whole."),
    int("klamm.fetch.max.wait.ms", "60000")
        .unit(Unit::Millis)
        .valid(Valid::AtLeast(0))
        .says("How long a fetch may wait for records, whatever the client asks for: it is answered with what there is then. (Kafka has no limit.)"),
    int("max.incremental.fetch.session.cache.slots", "1000")
        .valid(Valid::AtLeast(0))
        .says("How many fetch sessions (KIP-227) are remembered; a client without one sends its partitions each time."),
    int("klamm.fetch.session.partitions.max", "500000")
        .valid(Valid::AtLeast(0))
        .says("How many partitions all these sessions remember together, some 200 bytes each; when there is no room for a new one, it goes as when there is no slot, and a session that outgrows the room ends. (Kafka has no limit.)"),
    int("quota.window.num", "11")
        .valid(Valid::Between(1, 3_600))
        .says("How many samples a client's rate is taken from when there are quotas: after a pause a client may use up what is allowed in all of them but one at once."),
    int("quota.window.size.seconds", "1")
        .unit(Unit::Seconds)
        .valid(Valid::AtLeast(1))
        .says("How long each of these samples is; also the longest throttle for `request_percentage`."),
    string("klamm.produce.validate", "records")
        .valid(Valid::OneOf(&["records", "header"]))
        .says("How much of a produced batch is looked at: `records`, every record as Kafka does it, or `header`, checksum and header only, which spares decompression."),
];
