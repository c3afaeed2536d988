//! Replies and records as short texts.

use klamm_coordinator::record::{CommittedOffset, GroupMetadata, Record};
use klamm_coordinator::reply::{
    DescribedGroup, FetchedTopic, JoinRefused, Joined, Left, ListedGroup, TopicResult,
};
use klamm_coordinator::{GroupError, LogRecord, Reply};

pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Join(Ok(joined)) => self::joined(joined),
        Reply::Join(Err(JoinRefused { error, member_id })) => {
            format!("join: {} member={member_id:?}", self::error(*error))
        }
        Reply::Sync(Ok(synced)) => {
            format!("sync: assignment={}", text(&synced.assignment))
        }
        Reply::Sync(Err(error)) => format!("sync: {}", self::error(*error)),
        Reply::Heartbeat(result) => format!("heartbeat: {}", outcome(*result)),
        Reply::Leave(Ok(left)) => format!("leave: {}", join(left.iter().map(self::left))),
        Reply::Leave(Err(error)) => format!("leave: {}", self::error(*error)),
        Reply::OffsetCommit(result) => format!("commit: {}", topics(result)),
        Reply::OffsetDelete(result) => format!("offset-delete: {}", topics(result)),
        Reply::DeleteGroup(result) => format!("delete-group: {}", outcome(*result)),
    }
}

fn joined(joined: &Joined) -> String {
    let members = joined.members.iter().map(|member| {
        let instance = member
            .instance_id
            .as_deref()
            .map(|id| format!("/{id}"))
            .unwrap_or_default();
        format!("{}{instance}:{}", member.member_id, text(&member.metadata))
    });
    format!(
        "join: member={} generation={} protocol={} leader={}{}{}",
        joined.member_id,
        joined.generation,
        joined.protocol_name.as_deref().unwrap_or("-"),
        joined.leader,
        if joined.skip_assignment {
            " skip-assignment"
        } else {
            ""
        },
        if joined.members.is_empty() {
            String::new()
        } else {
            format!(" members={}", join(members))
        },
    )
}

fn left(left: &Left) -> String {
    let who = left.instance_id.as_deref().unwrap_or(&left.member_id);
    format!("{who}={}", outcome(left.error.map_or(Ok(()), Err)))
}

fn topics(result: &Result<Vec<TopicResult>, GroupError>) -> String {
    match result {
        Err(error) => self::error(*error),
        Ok(topics) => join(topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|(partition, error)| {
                format!(
                    "{}-{partition}={}",
                    topic.name,
                    outcome(error.map_or(Ok(()), Err))
                )
            })
        })),
    }
}

pub(crate) fn fetched(topics: &[FetchedTopic]) -> String {
    join(topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|(partition, offset)| match offset {
                None => format!("{}-{partition}=none", topic.name),
                Some(offset) => format!(
                    "{}-{partition}={} epoch={} metadata={:?}",
                    topic.name, offset.offset, offset.leader_epoch, offset.metadata
                ),
            })
    }))
}

pub(crate) fn described(group: Option<&DescribedGroup>) -> String {
    let Some(group) = group else {
        return "Dead".to_owned();
    };
    let members = group.members.iter().map(|member| {
        format!(
            "{}{} client={} host={} metadata={} assignment={}",
            member.member_id,
            member
                .instance_id
                .as_deref()
                .map(|id| format!("/{id}"))
                .unwrap_or_default(),
            member.client_id,
            member.client_host,
            text(&member.metadata),
            text(&member.assignment),
        )
    });
    let head = format!(
        "{} type={:?} protocol={:?}",
        group.state, group.protocol_type, group.protocol_name
    );
    std::iter::once(head)
        .chain(members)
        .collect::<Vec<_>>()
        .join("\n  ")
}

pub(crate) fn listed(groups: &[ListedGroup]) -> String {
    join(groups.iter().map(|group| {
        format!(
            "{} type={:?} {}",
            group.group_id, group.protocol_type, group.state
        )
    }))
}

pub(crate) fn record(record: &LogRecord) -> String {
    match Record::decode(&record.key, record.value.as_deref()).expect("we wrote it") {
        Record::Offset {
            group_id,
            topic,
            partition,
            value,
        } => {
            let value = value.as_ref().map_or("deleted".to_owned(), self::offset);
            format!("log: offset {group_id} {topic}-{partition} {value}")
        }
        Record::Group { group_id, value } => {
            let value = value.as_ref().map_or("deleted".to_owned(), self::group);
            format!("log: group {group_id} {value}")
        }
        Record::Unknown => "log: ?".to_owned(),
    }
}

fn offset(offset: &CommittedOffset) -> String {
    let expiry = match offset.expire_timestamp {
        Some(expiry) => format!(" expires after {} ms", expiry.0 - offset.commit_timestamp.0),
        None => String::new(),
    };
    format!("{}{expiry}", offset.offset)
}

fn group(group: &GroupMetadata) -> String {
    let members = group.members.iter().map(|member| {
        let instance = member
            .instance_id
            .as_deref()
            .map(|id| format!("/{id}"))
            .unwrap_or_default();
        format!(
            "{}{instance}:{}",
            member.member_id,
            text(&member.assignment)
        )
    });
    format!(
        "generation={} type={:?} protocol={} leader={} members=[{}]",
        group.generation,
        group.protocol_type,
        group.protocol.as_deref().unwrap_or("-"),
        group.leader.as_deref().unwrap_or("-"),
        join(members)
    )
}

fn outcome(result: Result<(), GroupError>) -> String {
    result.err().map_or("ok".to_owned(), error)
}

/// The variant's name: it is Kafka's.
fn error(error: GroupError) -> String {
    format!("{error:?}")
}

/// As the script wrote it: of a subscription to topics of one letter, the letters.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0, 3, _, _, _, _, topics @ ..] => {
            topics.chunks(3).map(|topic| char::from(topic[2])).collect()
        }
        other => other.escape_ascii().to_string(),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
