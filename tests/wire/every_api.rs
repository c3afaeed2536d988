//! Every API in every version: whatever is well-formed gets an answer that the client's decoder
//! reads whole and would have written the same way.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as kafka, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use klamm_protocol::request::sample_frame;
use klamm_protocol::{APIS, ApiKey, Request as Served};

use crate::member::Member;
use crate::raw::{correlation_id, framed};
use crate::world::World;

/// Samples of each version.
const SEEDS: u64 = 12;

#[test]
fn every_api_and_version_is_answered_in_the_clients_words() {
    // Texts of samples are beginnings of this one, so that some name a topic or a group.
    let names: Vec<_> = (1..12).map(|length| &"sampled-text"[..length]).collect();
    let world = World::with_topics(&names);
    for name in &names {
        Member::alone(&world, name);
    }
    let mut client = world.client();
    let mut answered = 0;
    for api in APIS {
        for version in api.accepted_min..=api.max {
            for seed in 0..SEEDS {
                let Some(frame) = sample(api.key, version, seed) else {
                    continue;
                };
                let asked = correlation_id(&frame[4..]);
                client
                    .send_bytes(&framed(&frame))
                    .expect("the connection is open");
                let answer = client.receive_frame();
                let answer = answer
                    .unwrap_or_else(|error| panic!("{} v{version} seed={seed} {error}", api.key));
                assert_eq!(correlation_id(&answer), asked, "{} v{version}", api.key);
                if let Err(error) = check(api.key, version, answer.clone()) {
                    panic!("{} v{version} seed={seed} {error} {answer:?}", api.key);
                }
                answered += 1;
            }
        }
    }
    assert!(answered > 1_000, "only {answered} requests were answered");
}

/// A request drawn from the seed, made such that it is answered, and soon: `acks` is never 0, and
/// nothing waits for long. `None` if the sample cannot be told to.
fn sample(key: ApiKey, version: i16, seed: u64) -> Option<Bytes> {
    let frame = sample_frame(key, version, seed);
    match Served::decode(frame.clone())
        .expect("samples are well-formed")
        .1
    {
        Served::Produce(request) => (request.acks != 0).then_some(frame),
        Served::Fetch(request) => (request.max_wait_ms < 1_000).then_some(frame),
        _ => Some(frame),
    }
}

/// Decodes the answer whole; what it says again is the same bytes.
fn check(key: ApiKey, version: i16, answer: Bytes) -> Result<(), String> {
    macro_rules! as_client {
        ($($key:ident => $request:ident,)+) => {
            match key {
                $(ApiKey::$key => again::<kafka::$request>(version, answer),)+
            }
        };
    }
    as_client! {
        Produce => ProduceRequest,
        Fetch => FetchRequest,
        ListOffsets => ListOffsetsRequest,
        Metadata => MetadataRequest,
        OffsetCommit => OffsetCommitRequest,
        OffsetFetch => OffsetFetchRequest,
        FindCoordinator => FindCoordinatorRequest,
        JoinGroup => JoinGroupRequest,
        Heartbeat => HeartbeatRequest,
        LeaveGroup => LeaveGroupRequest,
        SyncGroup => SyncGroupRequest,
        DescribeGroups => DescribeGroupsRequest,
        ListGroups => ListGroupsRequest,
        ApiVersions => ApiVersionsRequest,
        CreateTopics => CreateTopicsRequest,
        DeleteTopics => DeleteTopicsRequest,
        DeleteRecords => DeleteRecordsRequest,
        InitProducerId => InitProducerIdRequest,
        OffsetForLeaderEpoch => OffsetForLeaderEpochRequest,
        DescribeConfigs => DescribeConfigsRequest,
        AlterConfigs => AlterConfigsRequest,
        DescribeLogDirs => DescribeLogDirsRequest,
        CreatePartitions => CreatePartitionsRequest,
        DeleteGroups => DeleteGroupsRequest,
        ElectLeaders => ElectLeadersRequest,
        IncrementalAlterConfigs => IncrementalAlterConfigsRequest,
        AlterPartitionReassignments => AlterPartitionReassignmentsRequest,
        ListPartitionReassignments => ListPartitionReassignmentsRequest,
        OffsetDelete => OffsetDeleteRequest,
        DescribeClientQuotas => DescribeClientQuotasRequest,
        AlterClientQuotas => AlterClientQuotasRequest,
        DescribeUserScramCredentials => DescribeUserScramCredentialsRequest,
        DescribeQuorum => DescribeQuorumRequest,
        DescribeCluster => DescribeClusterRequest,
        DescribeProducers => DescribeProducersRequest,
        UnregisterBroker => UnregisterBrokerRequest,
        ListConfigResources => ListConfigResourcesRequest,
        DescribeTopicPartitions => DescribeTopicPartitionsRequest,
    }
}

fn again<R: Request>(version: i16, answer: Bytes) -> Result<(), String> {
    let header_version = R::Response::header_version(version);
    let body_version = match (R::KEY, version) {
        // Newer than the client's library; the answers have not changed.
        (2, 11) => 10,
        (18, 5) => 4,
        // Newer, and changed.
        (35, 5) => return log_dirs(answer),
        (42, 3) => return deleted_groups(answer),
        _ => version,
    };
    let mut rest = answer.clone();
    let header = ResponseHeader::decode(&mut rest, header_version);
    let header = header.map_err(|error| error.to_string())?;
    let body = R::Response::decode(&mut rest, body_version);
    let body = body.map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over", rest.len()));
    }
    let mut encoded = BytesMut::new();
    header
        .encode(&mut encoded, header_version)
        .and_then(|()| body.encode(&mut encoded, body_version))
        .map_err(|error| error.to_string())?;
    if encoded != answer {
        return Err(format!("the client would have said {:?}", encoded.freeze()));
    }
    Ok(())
}

/// Reads fields by hand, for messages newer than the client's library.
struct Fields(Bytes);

impl Fields {
    fn skip(&mut self, bytes: usize) -> Result<(), String> {
        if self.0.len() < bytes {
            return Err(format!("{bytes} bytes are missing"));
        }
        self.0 = self.0.slice(bytes..);
        Ok(())
    }

    /// The length of a compact string or array; tests have none of 127 or more.
    fn length(&mut self) -> Result<usize, String> {
        let length = *self.0.first().ok_or("a length is missing")?;
        self.skip(1)?;
        Ok(usize::from(length).saturating_sub(1))
    }

    fn text(&mut self) -> Result<(), String> {
        let length = self.length()?;
        self.skip(length)
    }

    fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        for _ in 0..self.length()? {
            element(self)?;
        }
        Ok(())
    }

    fn no_tags(&mut self) -> Result<(), String> {
        match self.0.first() {
            Some(0) => self.skip(1),
            other => Err(format!("tagged fields begin with {other:?}")),
        }
    }

    fn end(self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(format!("{} bytes are left over", self.0.len()))
    }
}

/// DescribeLogDirs of version 5: every directory says whether it is cordoned.
fn log_dirs(answer: Bytes) -> Result<(), String> {
    let mut fields = Fields(answer);
    fields.skip(4)?; // the correlation id
    fields.no_tags()?;
    fields.skip(4 + 2)?; // throttle time, error code
    fields.array(|directory| {
        directory.skip(2)?;
        directory.text()?;
        directory.array(|topic| {
            topic.text()?;
            topic.array(|partition| {
                partition.skip(4 + 8 + 8 + 1)?;
                partition.no_tags()
            })?;
            topic.no_tags()
        })?;
        directory.skip(8 + 8 + 1)?; // total, usable, cordoned
        directory.no_tags()
    })?;
    fields.no_tags()?;
    fields.end()
}

/// DeleteGroups of version 3: every group has a message.
fn deleted_groups(answer: Bytes) -> Result<(), String> {
    let mut fields = Fields(answer);
    fields.skip(4)?; // the correlation id
    fields.no_tags()?;
    fields.skip(4)?; // throttle time
    fields.array(|group| {
        group.text()?;
        group.skip(2)?;
        group.text()?;
        group.no_tags()
    })?;
    fields.no_tags()?;
    fields.end()
}
