//! A read at the end of the log, as of a consumer that keeps up, and its answer.

use bytes::Bytes;
use klamm_model::TopicId;
use klamm_protocol::messages::{FetchResponse, FetchablePartition, FetchableTopic};
use klamm_protocol::{ApiKey, ErrorCode, RequestHeader, Response};
use klamm_storage::Attempt;

use crate::count::per_turn;
use crate::partition::{Partition, batch};

/// The lists of topics, partitions and pieces of records; the buffer around the records, once more
/// when it is shared; and the list of pieces.
const ANSWER_MAX: usize = 6;

#[test]
fn a_read_at_the_tail_allocates_nothing() {
    let mut partition = Partition::new("read");
    let from = partition.driver.high_watermark();
    partition.turn([batch()]);
    let count = per_turn(
        &mut partition,
        || (),
        |partition, ()| {
            let upper = partition.driver.high_watermark();
            let log = partition.driver.log_mut();
            let read = log
                .try_read(from, upper, 1 << 20, true)
                .expect("it is there");
            let Attempt::Done(read) = read else {
                panic!("what was written a moment ago is in memory");
            };
            assert!(!read.records.is_empty());
        },
        |_| {},
    );
    assert_eq!(count, 0);
}

#[test]
fn the_answer_to_a_fetch_allocates_no_more_than_this() {
    let header = RequestHeader {
        api_key: ApiKey::Fetch,
        api_version: 17,
        correlation_id: 1,
        client_id: None,
    };
    let records = batch().to_bytes();
    let answer = |(header, records): &mut (RequestHeader, Bytes), ()| {
        let partition = FetchablePartition {
            records: vec![records.clone()],
            ..FetchablePartition::error(0, ErrorCode::None)
        };
        let topic = FetchableTopic {
            name: Default::default(),
            topic_id: TopicId::from_bytes([2; 16]),
            partitions: vec![partition],
        };
        let response = FetchResponse {
            topics: vec![topic],
            ..FetchResponse::default()
        };
        let encoded = Response::Fetch(response)
            .encode(header)
            .expect("it is valid");
        assert_eq!(encoded.into_pieces().len(), 3);
    };
    let count = per_turn(&mut (header, records), || (), answer, |_| {});
    assert!(count <= ANSWER_MAX, "{count} allocations");
}
