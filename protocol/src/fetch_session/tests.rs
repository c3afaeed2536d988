use std::time::Duration;

use bytes::Bytes;
use klamm_model::TopicId;

use super::*;
use crate::messages::{
    FetchPartition, FetchablePartition, FetchableTopic, ForgottenTopic, StrBytes,
};

const V12: i16 = 12;
const V13: i16 = 13;

fn at(seconds: u64) -> Instant {
    Instant::after_start(Duration::from_secs(seconds))
}

fn request(session: (i32, i32), partitions: &[i32]) -> FetchRequest {
    let wanted = |partition: &i32| FetchPartition {
        partition: *partition,
        current_leader_epoch: -1,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1_000,
    };
    let topics = if partitions.is_empty() {
        Vec::new()
    } else {
        vec![FetchTopic {
            name: StrBytes::from_static_str("t"),
            topic_id: TopicId::ZERO,
            partitions: partitions.iter().map(wanted).collect(),
        }]
    };
    FetchRequest {
        cluster_id: None,
        replica_id: -1,
        replica_epoch: -1,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: 0,
        isolation_level: 0,
        session_id: session.0,
        session_epoch: session.1,
        topics,
        forgotten_topics: Vec::new(),
        rack_id: StrBytes::new(),
    }
}

/// Answers everything asked for: `news` names partitions with records.
fn respond(context: &FetchContext, high_watermark: i64, news: &[i32]) -> FetchResponse {
    let answer = |partition: &FetchPartition| FetchablePartition {
        high_watermark,
        records: news
            .contains(&partition.partition)
            .then(|| Bytes::from_static(b"records"))
            .into_iter()
            .collect(),
        log_start_offset: 0,
        ..FetchablePartition::error(partition.partition, ErrorCode::None)
    };
    FetchResponse {
        topics: context
            .topics()
            .iter()
            .map(|topic| FetchableTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic.partitions.iter().map(answer).collect(),
            })
            .collect(),
        ..FetchResponse::default()
    }
}

fn told(response: &FetchResponse) -> Vec<i32> {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.index).collect()
}

fn asked(context: &FetchContext) -> Vec<i32> {
    let partitions = context.topics().iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.partition).collect()
}

struct Client {
    sessions: FetchSessions,
    id: i32,
    epoch: i32,
}

impl Client {
    fn open(partitions: &[i32]) -> Self {
        let mut client = Self {
            sessions: FetchSessions::new(10, 1_000, 1),
            id: 0,
            epoch: 0,
        };
        let response = client.fetch(partitions, 5, &[]);
        assert_eq!(
            told(&response),
            partitions,
            "a full fetch is answered in full"
        );
        client.id = response.session_id;
        assert!(client.id > 0);
        client
    }

    fn begin(&mut self, partitions: &[i32]) -> FetchContext {
        let mut request = request((self.id, self.epoch), partitions);
        self.epoch += 1;
        self.sessions.begin(at(1), V12, &mut request).unwrap()
    }

    fn fetch(&mut self, partitions: &[i32], high_watermark: i64, news: &[i32]) -> FetchResponse {
        let context = self.begin(partitions);
        let mut response = respond(&context, high_watermark, news);
        self.sessions.finish(at(1), &context, &mut response);
        response
    }
}

#[test]
fn quirk_45_an_increment_tells_only_what_has_changed() {
    let mut client = Client::open(&[0, 1, 2]);
    assert_eq!(
        told(&client.fetch(&[], 5, &[])),
        [] as [i32; 0],
        "nothing moved"
    );
    assert_eq!(told(&client.fetch(&[], 5, &[1])), [1], "records");
    assert_eq!(
        told(&client.fetch(&[], 6, &[])),
        [0, 2, 1],
        "the high watermark moved"
    );
    assert_eq!(told(&client.fetch(&[], 6, &[])), [] as [i32; 0]);
    assert_eq!(client.fetch(&[], 6, &[]).session_id, client.id);
}

#[test]
fn quirk_43_partitions_that_were_served_come_last() {
    let mut client = Client::open(&[0, 1, 2]);
    client.fetch(&[], 5, &[0]);
    assert_eq!(asked(&client.begin(&[])), [1, 2, 0]);
    client.fetch(&[], 5, &[1, 0]);
    assert_eq!(asked(&client.begin(&[])), [2, 1, 0]);
}

#[test]
fn an_error_is_told_each_time_and_so_is_its_end() {
    let mut client = Client::open(&[0]);
    for _ in 0..2 {
        let context = client.begin(&[]);
        let mut response = respond(&context, 5, &[]);
        response.topics[0].partitions[0] =
            FetchablePartition::error(0, ErrorCode::NotLeaderOrFollower);
        client.sessions.finish(at(1), &context, &mut response);
        assert_eq!(told(&response), [0]);
    }
    assert_eq!(told(&client.fetch(&[], 5, &[])), [0]);
    assert_eq!(told(&client.fetch(&[], 5, &[])), [] as [i32; 0]);
}

#[test]
fn quirk_74_a_throttled_client_is_told_nothing_and_later_everything_that_is_new() {
    let mut client = Client::open(&[0, 1]);
    let first = client
        .sessions
        .begin(at(1), V12, &mut request((0, 0), &[0]));
    let throttled = client.sessions.throttled(&first.unwrap());
    assert_eq!(throttled, FetchResponse::default(), "no session is begun");
    let context = client.begin(&[]);
    let throttled = client.sessions.throttled(&context);
    assert_eq!((throttled.error_code, throttled.session_id), (0, client.id));
    assert_eq!(told(&throttled), [] as [i32; 0]);
    assert_eq!(told(&client.fetch(&[], 6, &[1])), [0, 1]);
    client.begin(&[]);
    let late = client.sessions.throttled(&context);
    assert_eq!(late.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
}

#[test]
fn increments_add_change_and_forget_partitions() {
    let mut client = Client::open(&[0, 1]);
    assert_eq!(told(&client.fetch(&[2], 5, &[])), [2]);
    assert_eq!(asked(&client.begin(&[1])), [0, 1, 2]);
    let mut forgetting = request((client.id, client.epoch), &[]);
    client.epoch += 1;
    let forgotten = |partitions: &[i32]| ForgottenTopic {
        name: StrBytes::from_static_str("t"),
        topic_id: TopicId::ZERO,
        partitions: partitions.to_vec(),
    };
    forgetting.forgotten_topics = vec![forgotten(&[0, 9])];
    let context = client.sessions.begin(at(1), V12, &mut forgetting).unwrap();
    assert_eq!(asked(&context), [1, 2]);
    let mut forgetting = request((client.id, client.epoch), &[]);
    forgetting.forgotten_topics = vec![forgotten(&[1, 2])];
    let context = client.sessions.begin(at(1), V12, &mut forgetting).unwrap();
    assert!(!context.is_incremental());
    assert!(client.sessions.is_empty(), "an empty session is closed");
}

#[test]
fn quirk_45_unknown_ids_wrong_epochs_and_mixed_topic_ids_are_refused() {
    let mut client = Client::open(&[0]);
    let mut check = |session: (i32, i32), version: i16, expected: ErrorCode| {
        let result = client
            .sessions
            .begin(at(1), version, &mut request(session, &[]));
        assert_eq!(result.unwrap_err(), expected);
    };
    let id = client.id;
    check((id ^ 1, 1), V12, ErrorCode::FetchSessionIdNotFound);
    check((id, 2), V12, ErrorCode::InvalidFetchSessionEpoch);
    check((id, 1), V13, ErrorCode::FetchSessionTopicIdError);
}

#[test]
fn quirk_45_final_and_initial_epochs_close_the_session_they_name() {
    for epoch in [-1, 0] {
        let mut client = Client::open(&[0]);
        let mut request = request((client.id, epoch), &[0]);
        let context = client.sessions.begin(at(1), V12, &mut request).unwrap();
        assert!(client.sessions.is_empty());
        let mut response = respond(&context, 5, &[]);
        client.sessions.finish(at(1), &context, &mut response);
        assert_eq!(told(&response), [0]);
        assert_eq!(response.session_id > 0, epoch == 0);
        assert_eq!(client.sessions.len(), usize::from(epoch == 0));
    }
}

#[test]
fn an_answer_overtaken_by_a_later_request_is_an_epoch_error() {
    let mut client = Client::open(&[0]);
    let first = client.begin(&[]);
    let _second = client.begin(&[]);
    let mut response = respond(&first, 9, &[]);
    client.sessions.finish(at(1), &first, &mut response);
    assert_eq!(
        response,
        FetchResponse::error(ErrorCode::InvalidFetchSessionEpoch)
    );
}

#[test]
fn quirk_45_a_full_cache_answers_id_0_until_a_session_is_stale_or_smaller_and_settled() {
    let mut sessions = FetchSessions::new(2, 1_000, 1);
    let mut open = |seconds: u64, partitions: &[i32]| {
        let mut request = request((0, 0), partitions);
        let context = sessions.begin(at(seconds), V12, &mut request).unwrap();
        let mut response = respond(&context, 5, &[]);
        sessions.finish(at(seconds), &context, &mut response);
        response.session_id
    };
    let first = open(0, &[0, 1]);
    let second = open(100, &[0]);
    assert!(first > 0 && second > 0 && first != second);
    assert_eq!(
        open(110, &[0, 1, 2]),
        0,
        "nothing is stale, nothing settled"
    );
    assert!(open(121, &[0]) > 0, "the first is stale");
    assert_eq!(open(125, &[0, 1, 2]), 0);
    let mut touch = request((second, 1), &[]);
    assert!(
        sessions.begin(at(215), V12, &mut touch).is_ok(),
        "the second is still there"
    );
}

#[test]
fn without_slots_there_are_no_sessions() {
    let mut sessions = FetchSessions::new(0, 1_000, 1);
    let mut request = request((0, 0), &[0]);
    let context = sessions.begin(at(0), V12, &mut request).unwrap();
    let mut response = respond(&context, 5, &[]);
    sessions.finish(at(0), &context, &mut response);
    assert_eq!((response.session_id, told(&response)), (0, vec![0]));
}

#[test]
fn sessions_by_topic_id_look_at_the_id_alone() {
    let mut sessions = FetchSessions::new(2, 1_000, 1);
    let id = TopicId::from_bytes([7; 16]);
    let mut first = request((0, 0), &[0]);
    first.topics[0].topic_id = id;
    first.topics[0].name = StrBytes::new();
    let context = sessions.begin(at(0), V13, &mut first).unwrap();
    let mut response = respond(&context, 5, &[]);
    sessions.finish(at(0), &context, &mut response);
    let mut next = request((response.session_id, 1), &[]);
    let context = sessions.begin(at(0), V13, &mut next).unwrap();
    let mut response = respond(&context, 5, &[]);
    response.topics[0].name = StrBytes::from_static_str("resolved");
    sessions.finish(at(0), &context, &mut response);
    assert_eq!(told(&response), [] as [i32; 0]);
}

/// A client that hears only of changes knows at all times what a full answer would tell it.
#[test]
fn a_client_of_increments_knows_what_full_answers_would_tell() {
    for seed in 0..50 {
        let mut state: u64 = seed;
        let mut draw = |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040);
            (state >> 33) % limit
        };
        let mut client = Client::open(&[0, 1, 2, 3]);
        let mut truth = [(5, 0, ErrorCode::None); 4];
        let mut known = truth.map(|(high_watermark, start, _)| (high_watermark, start));
        for round in 0..200 {
            let partition = &mut truth[draw(4) as usize];
            match draw(4) {
                0 => partition.0 += 1,
                1 => partition.1 += 1,
                2 => partition.2 = ErrorCode::NotLeaderOrFollower,
                _ => partition.2 = ErrorCode::None,
            }
            let context = client.begin(&[]);
            let served = draw(8) as i32;
            let mut response = respond(&context, 0, &[served]);
            let topics = response.topics.iter_mut();
            for answer in topics.flat_map(|topic| &mut topic.partitions) {
                let (high_watermark, start, error) = truth[answer.index as usize];
                if error == ErrorCode::None {
                    (answer.high_watermark, answer.log_start_offset) = (high_watermark, start);
                } else {
                    *answer = FetchablePartition::error(answer.index, error);
                }
            }
            client.sessions.finish(at(1), &context, &mut response);
            let told = response.topics.iter().flat_map(|topic| &topic.partitions);
            for answer in told {
                known[answer.index as usize] = (answer.high_watermark, answer.log_start_offset);
            }
            for (index, (high_watermark, start, error)) in truth.into_iter().enumerate() {
                if error == ErrorCode::None {
                    let context = format!("seed={seed} round={round} partition={index}");
                    assert_eq!(known[index], (high_watermark, start), "{context}");
                }
            }
        }
    }
}

#[test]
fn all_sessions_together_have_so_many_partitions_at_most() {
    let mut sessions = FetchSessions::new(10, 5, 1);
    let mut open = |now: Instant, partitions: &[i32]| {
        let mut request = request((0, 0), partitions);
        let context = sessions.begin(now, V12, &mut request).unwrap();
        let mut response = respond(&context, 5, &[]);
        sessions.finish(now, &context, &mut response);
        assert_eq!(told(&response), partitions, "it is answered in any case");
        response.session_id
    };
    let (first, second) = (open(at(1), &[0, 1]), open(at(1), &[0, 1, 2]));
    assert!(first > 0 && second > 0);
    assert_eq!(open(at(2), &[0]), 0, "there is no room, and none is old");
    assert_eq!(open(at(2), &[0, 1, 2, 3, 4, 5]), 0, "nor ever would be");
    let third = open(at(130), &[0, 1]);
    assert!(third > 0, "an unused one has gone for it");

    // One that grows beyond the room goes; its client begins anew.
    let mut grow = |id, epoch, partitions: &[i32]| {
        let mut request = request((id, epoch), partitions);
        sessions.begin(at(131), V12, &mut request).map(drop)
    };
    let left = if grow(first, 1, &[]).is_ok() {
        first
    } else {
        second
    };
    assert_eq!(grow(third, 1, &[]), Ok(()));
    let grown = grow(third, 2, &[5, 6, 7, 8]);
    assert_eq!(grown, Err(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(grow(left, if left == first { 2 } else { 1 }, &[3]), Ok(()));
    assert_eq!(sessions.len(), 1);
}

#[test]
fn a_session_does_not_keep_the_request_that_it_came_from() {
    let mut sessions = FetchSessions::new(1, 10, 1);
    let frame = Bytes::from(b"topic and much more".to_vec());
    let mut request = request((0, 0), &[0]);
    request.topics[0].name = StrBytes::try_from(frame.slice(..5)).expect("it is text");
    let context = sessions.begin(at(1), V12, &mut request).unwrap();
    let mut response = respond(&context, 5, &[]);
    sessions.finish(at(1), &context, &mut response);
    assert_eq!(sessions.len(), 1);
    drop((request, context, response));
    assert!(frame.is_unique());
}
