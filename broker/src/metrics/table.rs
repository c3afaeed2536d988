//! THE table: every metric, in the order in which it is shown.
//!
//! To add one: a row here, and `KLAMM_WRITE_DOCS=1 cargo test -p klamm-broker metrics_page`. Names
//! follow Prometheus' habits: base units, `_total` for what only grows.

use klamm_metadata::QuotaKey;

use super::counters::{Refusal, RequestKind, Stage};
use super::exposition::{Samples, Sources};
use super::survey::GROUP_STATES;
use super::traffic::Flow;

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What its values count.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence (or a few).
    pub sentence: &'static str,
    read: fn(&Sources, &mut Samples<'_>),
}

/// How values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, from 0 at the start of the process.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted in buckets.
    Histogram,
}

/// What values count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, or yes (1) and no (0).
    None,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

impl Metric {
    /// Takes its values from where they are.
    pub(super) fn read(&self, sources: &Sources, samples: &mut Samples<'_>) {
        (self.read)(sources, samples);
    }

    const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    const fn says(mut self, sentence: &'static str) -> Self {
        self.sentence = sentence;
        self
    }
}

const fn metric(name: &'static str, kind: Kind, read: fn(&Sources, &mut Samples<'_>)) -> Metric {
    Metric {
        name,
        kind,
        unit: Unit::None,
        labels: &[],
        sentence: "",
        read,
    }
}

const fn counter(name: &'static str, read: fn(&Sources, &mut Samples<'_>)) -> Metric {
    metric(name, Kind::Counter, read)
}

const fn gauge(name: &'static str, read: fn(&Sources, &mut Samples<'_>)) -> Metric {
    metric(name, Kind::Gauge, read)
}

const fn histogram(name: &'static str, read: fn(&Sources, &mut Samples<'_>)) -> Metric {
    metric(name, Kind::Histogram, read)
}

/// All of them.
pub const METRICS: &[Metric] = &[
    // ---- Requests ----
    counter("klamm_requests_total", |from, to| {
        for (api, count) in from.counters.requests() {
            to.add(&[api.name()], count);
        }
    })
    .labels(&["api"])
    .says("Requests that were read, by API under Kafka's name."),
    counter("klamm_request_errors_total", |from, to| {
        for (api, error, count) in from.counters.errors() {
            to.add(&[api.name(), error], count);
        }
    })
    .labels(&["api", "error"])
    .says("Errors in answers, under Kafka's names; an answer holds one for each partition, topic or group that it concerns. Only those that have happened are shown."),
    histogram("klamm_request_seconds", |from, to| {
        for kind in RequestKind::ALL {
            to.add_histogram(&[kind.label()], from.counters.request_time(kind));
        }
    })
    .unit(Unit::Seconds)
    .labels(&["request"])
    .says("From reading a request to the end of the turn in which its answer was given to the socket: `produce`, `fetch` that was answered at once, `delayed_fetch` that waited for records or for the disk, `rebalance` (JoinGroup and SyncGroup, which wait for members), `other`. What waits for an fsync or another thread is in here."),
    histogram("klamm_turn_seconds", |from, to| {
        for stage in Stage::ALL {
            to.add_histogram(&[stage.label()], from.counters.turn_time(stage));
        }
    })
    .unit(Unit::Seconds)
    .labels(&["stage"])
    .says("The stages of a turn, in which the data plane takes on all that is ready at once: `staged`, from the first request read until every batch has its place; `written`, until all are written and so visible, or given to the writer's thread; `answered`, until consumers and producers are answered."),
    histogram("klamm_turn_batches", |from, to| {
        to.add_histogram(&[], &from.counters.turn_batches);
    })
    .says("Record batches appended by one turn."),
    histogram("klamm_turn_records", |from, to| {
        to.add_histogram(&[], &from.counters.turn_records);
    })
    .says("Records appended by one turn."),
    counter("klamm_delayed_fetches_total", |from, to| {
        to.add(&[], from.counters.delayed_fetches.get());
    })
    .says("Fetch requests that found too little to read, or something that was not in memory, and waited."),
    gauge("klamm_delayed_requests", |from, to| {
        to.add(&[], from.survey.delayed_requests);
    })
    .says("Requests that wait at present, and deadlines of consumer groups."),
    gauge("klamm_request_bytes_in_flight", |from, to| {
        to.add(&[], from.survey.request_bytes);
    })
    .unit(Unit::Bytes)
    .says("Requests that were read and are not answered."),
    gauge("klamm_request_bytes_in_flight_max", |from, to| {
        to.add(&[], from.survey.request_bytes_max);
    })
    .unit(Unit::Bytes)
    .says("How many there may be before the broker stops reading (`queued.max.request.bytes`)."),
    gauge("klamm_reply_bytes_unread", |from, to| {
        to.add(&[], from.survey.unread_bytes);
    })
    .unit(Unit::Bytes)
    .says("Replies in memory that clients have not taken off their sockets; records of fetches do not count."),
    gauge("klamm_reply_bytes_unread_max", |from, to| {
        to.add(&[], from.survey.unread_bytes_max);
    })
    .unit(Unit::Bytes)
    .says("How many there may be before connections are closed (`klamm.queued.max.response.bytes`)."),
    // ---- Records ----
    counter("klamm_appended_records_total", |from, to| {
        to.add(&[], from.counters.appended.records.get());
    })
    .says("Records appended to logs, by producers and by the broker itself."),
    counter("klamm_appended_bytes_total", |from, to| {
        to.add(&[], from.counters.appended.bytes.get());
    })
    .unit(Unit::Bytes)
    .says("Their batches, as they are on disk."),
    counter("klamm_fetched_records_total", |from, to| {
        to.add(&[], from.counters.fetched.records.get());
    })
    .says("Records sent to consumers, each time they are sent."),
    counter("klamm_fetched_bytes_total", |from, to| {
        to.add(&[], from.counters.fetched.bytes.get());
    })
    .unit(Unit::Bytes)
    .says("Their batches."),
    counter("klamm_topic_appended_records_total", |from, to| {
        by_topic(from, to, |(appended, _)| appended.records.get());
    })
    .labels(&["topic"])
    .says("As `klamm_appended_records_total`, by topic. Topics beyond the first 200 share the label `(others)`; a deleted one is not shown."),
    counter("klamm_topic_appended_bytes_total", |from, to| {
        by_topic(from, to, |(appended, _)| appended.bytes.get());
    })
    .unit(Unit::Bytes)
    .labels(&["topic"])
    .says("As `klamm_appended_bytes_total`, by topic."),
    counter("klamm_topic_fetched_records_total", |from, to| {
        by_topic(from, to, |(_, fetched)| fetched.records.get());
    })
    .labels(&["topic"])
    .says("As `klamm_fetched_records_total`, by topic."),
    counter("klamm_topic_fetched_bytes_total", |from, to| {
        by_topic(from, to, |(_, fetched)| fetched.bytes.get());
    })
    .unit(Unit::Bytes)
    .labels(&["topic"])
    .says("As `klamm_fetched_bytes_total`, by topic."),
    // ---- Connections ----
    gauge("klamm_connections", |from, to| {
        to.add(&[], from.survey.connections);
    })
    .says("Connections of clients."),
    gauge("klamm_connections_max", |from, to| {
        to.add(&[], from.survey.connections_max);
    })
    .says("How many there may be: `max.connections`, or half of the open files if that is less."),
    counter("klamm_connections_accepted_total", |from, to| {
        to.add(&[], from.counters.connections_accepted.get());
    })
    .says("Connections that were accepted."),
    counter("klamm_connections_refused_total", |from, to| {
        for reason in Refusal::ALL {
            to.add(&[reason.label()], from.counters.refusals(reason));
        }
    })
    .labels(&["reason"])
    .says("Connections that the broker closed or did not get: `address_limit`, too many of one address; `accept_failed`, mostly for want of open files; `frame`, no Kafka client, or too large a request; `request`, one that cannot be read or is not served; `slow`, one that took longer than `klamm.request.receive.timeout.ms` to arrive; `unread`, one whose replies were not taken when all that were not took more than `klamm.queued.max.response.bytes`."),
    // ---- Quotas ----
    histogram("klamm_throttle_seconds", |from, to| {
        for key in QuotaKey::ALL {
            to.add_histogram(&[key.name()], from.counters.throttle_time(key));
        }
    })
    .unit(Unit::Seconds)
    .labels(&["quota"])
    .says("How long clients were told to wait when they had used up a quota, by Kafka's name of it. Of a request that is over two of them the longer counts."),
    gauge("klamm_muted_connections", |from, to| {
        to.add(&[], from.survey.muted_connections);
    })
    .says("Connections that are not read at present because their clients are throttled."),
    gauge("klamm_quota_sensors", |from, to| {
        to.add(&[], from.survey.quota_sensors);
    })
    .says("Users and client-ids whose use of a quota is remembered, one for each quota; 10,000 at the most, beyond which new ones share one."),
    // ---- Logs ----
    gauge("klamm_topics", |from, to| to.add(&[], from.survey.topics)).says("Topics."),
    gauge("klamm_partitions", |from, to| {
        to.add(&["online"], from.survey.partitions_online);
        to.add(&["offline"], from.survey.partitions_offline);
    })
    .labels(&["state"])
    .says("Partitions of this broker, that of the metadata included: `online`, or `offline`, whose disk has failed or that could not be opened."),
    gauge("klamm_sleeping_partitions", |from, to| {
        to.add(&[], from.survey.asleep);
    })
    .says("Partitions whose replicas sleep, since nobody uses them and all are there: they exchange no heartbeats until something happens. Always 0 on a single broker."),
    gauge("klamm_segments", |from, to| to.add(&[], from.survey.segments))
        .says("Segments of all logs."),
    counter("klamm_segments_rolled_total", |from, to| {
        to.add(&[], from.counters.segments_rolled.get());
    })
    .says("Segments begun because the one before was full or old."),
    counter("klamm_segments_deleted_total", |from, to| {
        to.add(&[], from.counters.segments_deleted.get());
    })
    .says("Segments dropped by retention or by DeleteRecords."),
    counter("klamm_compactions_total", |from, to| {
        to.add(&[], from.counters.compactions.get());
    })
    .says("Compactions of a log."),
    counter("klamm_compacted_bytes_total", |from, to| {
        to.add(&["before"], from.counters.compacted_bytes_before.get());
        to.add(&["after"], from.counters.compacted_bytes_after.get());
    })
    .unit(Unit::Bytes)
    .labels(&["when"])
    .says("Segments that compactions copied: their size `before`, and that of the copies `after`."),
    gauge("klamm_uncleanable_partitions", |from, to| {
        to.add(&[], from.survey.uncleanable);
    })
    .says("Partitions that compaction gave up because records in them are damaged or cannot be read."),
    gauge("klamm_log_dir_bytes", |from, to| {
        for dir in &from.survey.log_dirs {
            to.add(&[&dir.path], dir.bytes);
        }
    })
    .unit(Unit::Bytes)
    .labels(&["dir"])
    .says("Segments in a log directory, indexes not counted."),
    gauge("klamm_log_dir_partitions", |from, to| {
        for dir in &from.survey.log_dirs {
            to.add(&[&dir.path], dir.partitions);
        }
    })
    .labels(&["dir"])
    .says("Partitions in a log directory."),
    gauge("klamm_log_dir_offline", |from, to| {
        for dir in &from.survey.log_dirs {
            to.add(&[&dir.path], u64::from(dir.is_offline));
        }
    })
    .labels(&["dir"])
    .says("1 if a write or an fsync has failed in a log directory: replace the disk, then restart."),
    gauge("klamm_writer_offloading", |from, to| {
        for dir in &from.survey.log_dirs {
            to.add(&[&dir.path], u64::from(dir.is_offloading));
        }
    })
    .labels(&["dir"])
    .says("1 if the directory's thread writes, 0 if the data plane does (`klamm.log.writer`)."),
    histogram("klamm_write_seconds", |from, to| {
        to.add_histogram(&[], &from.counters.write_times);
    })
    .unit(Unit::Seconds)
    .says("Writes of batches to the page cache."),
    counter("klamm_write_stalls_total", |from, to| {
        to.add(&[], from.counters.write_stalls.get());
    })
    .says("Writes that slept, and took more than 0.5 ms: the file system held them up."),
    histogram("klamm_fsync_seconds", |from, to| {
        to.add_histogram(&[], &from.counters.fsync_times);
    })
    .unit(Unit::Seconds)
    .says("fsyncs of logs, in the background."),
    // ---- The cluster ----
    gauge("klamm_leaders", |from, to| to.add(&[], from.survey.cluster.led))
        .says("Partitions that this broker leads (Kafka's `LeaderCount`)."),
    gauge("klamm_under_replicated_partitions", |from, to| {
        to.add(&[], from.survey.cluster.under_replicated);
    })
    .says("Of those that it leads, partitions with fewer replicas in sync than they have (`UnderReplicatedPartitions`)."),
    gauge("klamm_under_min_isr_partitions", |from, to| {
        to.add(&[], from.survey.cluster.under_min_in_sync);
    })
    .says("Of those that it leads, partitions with fewer replicas in sync than `min.insync.replicas` (`UnderMinIsrPartitionCount`)."),
    gauge("klamm_leaderless_partitions", |from, to| {
        to.add(&[], from.survey.cluster.leaderless);
    })
    .says("Partitions of the cluster that nobody leads whom this broker reaches (`OfflinePartitionsCount`, which only Kafka's controller has)."),
    gauge("klamm_follower_lag_entries", |from, to| {
        for (broker, peer) in &from.survey.cluster.peers {
            to.add(&[&broker.0.to_string()], peer.lag_entries);
        }
    })
    .labels(&["broker"])
    .says("Entries (batches) that the followers on another broker are not known to have written of what this broker leads."),
    counter("klamm_elections_total", |from, to| {
        to.add(&[], from.counters.elections.get());
    })
    .says("How often a replica of this broker was elected."),
    counter("klamm_unclean_elections_total", |from, to| {
        to.add(&[], from.counters.unclean_elections.get());
    })
    .says("Unclean elections that this broker held as the controller (`UncleanLeaderElectionsPerSec`): each gives records up. Must be 0."),
    counter("klamm_isr_shrinks_total", |from, to| {
        to.add(&[], from.counters.in_sync_left.get());
    })
    .says("Followers that were in sync with a leader here and are not any more (`IsrShrinksPerSec`)."),
    counter("klamm_isr_expands_total", |from, to| {
        to.add(&[], from.counters.in_sync_came.get());
    })
    .says("Followers that have come in sync with a leader here (`IsrExpandsPerSec`)."),
    counter("klamm_acknowledged_losses_total", |from, to| {
        to.add(&[], from.counters.acknowledged_losses.get());
    })
    .says("How often a log here was cut below what consumers had been shown, or given up after an unclean election with records that the survivor may not have: acknowledged records are lost. Must be 0."),
    gauge("klamm_controller", |from, to| {
        to.add(&[], u64::from(from.survey.cluster.is_controller));
    })
    .says("1 if this broker is the controller (`ActiveControllerCount`)."),
    gauge("klamm_metadata_lag_records", |from, to| {
        to.add(&[], from.survey.cluster.metadata_lag);
    })
    .says("Records of the metadata that are decided, as far as this broker knows, and that it has not applied."),
    gauge("klamm_peer_up", |from, to| {
        for (broker, peer) in &from.survey.cluster.peers {
            to.add(&[&broker.0.to_string()], u64::from(peer.link.is_up));
        }
    })
    .labels(&["broker"])
    .says("1 if this broker is connected to that one, 0 if it tries to be."),
    counter("klamm_peer_connections_total", |from, to| {
        for (broker, peer) in &from.survey.cluster.peers {
            to.add(&[&broker.0.to_string()], peer.link.connections);
        }
    })
    .labels(&["broker"])
    .says("Connections made to another broker to send by: all but the first are reconnects."),
    counter("klamm_peer_sent_bytes_total", |from, to| {
        for (broker, peer) in &from.survey.cluster.peers {
            to.add(&[&broker.0.to_string()], peer.link.sent_bytes);
        }
    })
    .unit(Unit::Bytes)
    .labels(&["broker"])
    .says("What was sent to another broker by these; copies of logs go by connections of their own."),
    // ---- Groups ----
    gauge("klamm_groups", |from, to| {
        for (state, count) in GROUP_STATES.iter().zip(from.survey.groups) {
            to.add(&[state.as_str()], count);
        }
    })
    .labels(&["state"])
    .says("Consumer groups, by Kafka's name of their state."),
    // ---- The process ----
    gauge("klamm_ready", |from, to| to.add(&[], u64::from(from.is_ready)))
        .says("1 if `/health/ready` says yes."),
    gauge("klamm_heartbeat_age_seconds", |from, to| {
        to.add_real(&[], from.heartbeat_age.as_secs_f64());
    })
    .unit(Unit::Seconds)
    .says("How long ago the data plane was last seen to move; it shows itself twice a second."),
    counter("klamm_data_plane_cpu_seconds_total", |from, to| {
        to.add_real(&[], from.survey.cpu.as_secs_f64());
    })
    .unit(Unit::Seconds)
    .says("CPU time of the data plane's thread: at one second a second it can do no more."),
    gauge("klamm_cpu_seconds_per_record", |from, to| {
        let records = from.counters.appended.records.get();
        if records > 0 {
            to.add_real(&[], from.process.cpu.as_secs_f64() / records as f64);
        }
    })
    .unit(Unit::Seconds)
    .says("CPU time of the process for each record appended since its start. For the present, divide the rates of `process_cpu_seconds_total` and `klamm_appended_records_total`."),
    gauge("klamm_build_info", |_, to| to.add(&[env!("CARGO_PKG_VERSION")], 1))
        .labels(&["version"])
        .says("Always 1: the version is in the label."),
    counter("process_cpu_seconds_total", |from, to| {
        to.add_real(&[], from.process.cpu.as_secs_f64());
    })
    .unit(Unit::Seconds)
    .says("CPU time of all threads."),
    gauge("process_resident_memory_bytes", |from, to| {
        if let Some(bytes) = from.process.resident_bytes {
            to.add(&[], bytes);
        }
    })
    .unit(Unit::Bytes)
    .says("Memory in use, mapped segments included."),
    gauge("process_open_fds", |from, to| {
        if let Some(files) = from.process.open_files {
            to.add(&[], files);
        }
    })
    .says("Open files and sockets."),
    gauge("process_max_fds", |from, to| {
        if let Some(files) = from.process.open_files_max {
            to.add(&[], files);
        }
    })
    .says("How many there may be."),
    gauge("process_start_time_seconds", |from, to| {
        to.add_real(&[], from.started_at_seconds);
    })
    .unit(Unit::Seconds)
    .says("When the process was started, in seconds since 1970."),
];

fn by_topic(from: &Sources, to: &mut Samples<'_>, value: fn((&Flow, &Flow)) -> u64) {
    for (topic, traffic) in from.counters.traffic.read() {
        to.add(&[&topic], value((&traffic.appended, &traffic.fetched)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_sentence_and_a_name_of_its_own_that_says_what_it_is() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(names.insert(name), "{name} has two rows");
            assert!(metric.sentence.ends_with('.'), "{name} has no sentence");
            let is_ours = name.starts_with("klamm_") || name.starts_with("process_");
            assert!(is_ours, "{name}");
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            match metric.unit {
                Unit::Seconds => assert!(name.contains("_seconds"), "{name}"),
                Unit::Bytes => assert!(name.contains("_bytes"), "{name}"),
                Unit::None => assert!(!name.contains("_seconds"), "{name}"),
            }
        }
    }
}
