//! How brokers find each other and what they say to one another.

use klamm_metadata::setting::{Kind, Setting, Valid, setting};

use super::{boolean, int, long, string, unset};

pub(super) const ROWS: &[Setting] = &[
    setting("klamm.seed.brokers", Kind::List, Some(""))
        .says("Where other brokers of the cluster may be found: `host:port` of their `klamm.peer.listener`, separated by commas; the broker itself may be among them, so that all brokers can be given the same list. Names are resolved again at each attempt, and one name may stand for several brokers. Empty: the broker is a cluster of its own, and opens no peer listener."),
    string("klamm.peer.listener", ":9192")
        .valid(Valid::NonEmpty)
        .says("Where the broker listens for other brokers, as `host:port`; an empty host is every address, port 0 any free one. Opened only if there are `klamm.seed.brokers`. Neither encrypted nor authenticated: it belongs on a network of the brokers alone."),
    string("klamm.peer.advertised", "")
        .says("What other brokers are told to connect to, as `host:port`. Empty: the host of `klamm.peer.listener` or, if that is every address, the host that the first of `advertised.listeners` has, and the port that was bound."),
    int("klamm.cluster.size", "-1")
        .valid(Valid::AtLeast(-1))
        .says("How many brokers found a new cluster together: none is founded before so many brokers without data have met. -1 is as many as `klamm.seed.brokers` has entries; give the number if one name stands for several. Means nothing to brokers that have data, and nothing where a cluster is found."),
    unset("replica.selector.class", Kind::Class)
        .valid(Valid::OneOf(&["org.apache.kafka.common.replica.RackAwareReplicaSelector", "org.apache.kafka.common.replica.LeaderSelector"]))
        .says("Where consumers read that say in which rack they stand (`client.rack`): with `org.apache.kafka.common.replica.RackAwareReplicaSelector` from a replica in their rack that has caught up, if there is one (KIP-392); with the other or none, from the leader."),
    setting("leader.replication.throttled.rate", Kind::Long, None)
        .internal()
        .at_once()
        .says("How many bytes a second may be copied from the replicas of this broker that `leader.replication.throttled.replicas` names, all together (KIP-73). Copied are logs of which a replica has nothing, or lacks what is not there as entries any more; what follows entry by entry is not held back. Set by `kafka-reassign-partitions --throttle`."),
    setting("follower.replication.throttled.rate", Kind::Long, None)
        .internal()
        .at_once()
        .says("The same for copies to this broker, and `follower.replication.throttled.replicas`."),
    long("replica.lag.time.max.ms", "30000")
        .valid(Valid::AtLeast(1))
        .says("How long a follower that is reached may lack something of what its leader has before it is out of sync. A follower whose broker is not reached is out of sync at once. Clients are told who is in sync (`kafka-topics.sh --under-replicated-partitions`), and `acks=all` stops to wait for who is not; who may be elected does not depend on it."),
    int("klamm.metadata.voters", "3")
        .valid(Valid::Between(1, 7))
        .says("How many brokers vote on the cluster's metadata at most: a majority of them must run for topics to be created or changed. There are never more than there are brokers, and the number that vote is kept odd. All other brokers follow."),
    long("klamm.metadata.voter.replacement.ms", "300000")
        .valid(Valid::AtLeast(-1))
        .says("How long a broker that votes on the cluster's metadata may not be reached by the controller before another one that is reached and has caught up gets its vote, if there is any and a majority votes without it. The broker follows when it is back. -1 is never."),
    boolean("auto.leader.rebalance.enable", "true")
        .says("Whether a broker that is back gets the partitions that it is the preferred leader of by itself. Otherwise only on order (`kafka-leader-election.sh --election-type preferred`)."),
    long("klamm.leader.restore.delay.ms", "12000")
        .valid(Valid::AtLeast(0))
        .says("How long a broker must have been reached before it gets them, and how long after its start it lets others stand for election first. Clients that were refused while it was down try it again only after a while: librdkafka waits up to 10 s (`reconnect.backoff.max.ms`), and would not find the leader for as long."),
];
