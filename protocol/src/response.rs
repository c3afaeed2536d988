//! Answers, encoded as pieces ready for one vectored write.

mod errors;
mod fit;
mod log_dirs;
mod offsets;
mod throttle;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::Encodable;

use crate::api::ApiKey;
use crate::messages::{DeleteGroupsResponse, FetchResponse};
use crate::request::{RequestHeader, version_in_crate};
use crate::wire::Writer;

/// An answer on its way to the socket: pieces that, one after the other, are the frame, beginning
/// with its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedResponse {
    pieces: Vec<Bytes>,
    size_bytes: usize,
}

/// Room for most answers, so that they are written without growing.
const INITIAL_BYTES: usize = 256;

/// Our own mistake: a message with a field set that its version does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response cannot be encoded: {reason} api={api} version={version}")]
pub struct EncodeError {
    /// The API.
    pub api: ApiKey,
    /// The version that was asked for.
    pub version: i16,
    /// What the encoder says.
    pub reason: String,
}

macro_rules! responses {
    (own { $($own:ident($own_message:ty),)+ } crate { $($api:ident($message:ty),)+ }) => {
        /// The answer to a request of a served API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $(#[doc = concat!("Kafka's `", stringify!($own), "`.")] $own($own_message),)+
            $(#[doc = concat!("Kafka's `", stringify!($api), "`.")] $api($message),)+
        }

        impl Response {
            /// The API that the answer is of.
            pub fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$own(_) => ApiKey::$own,)+
                    $(Self::$api(_) => ApiKey::$api,)+
                }
            }

            /// Encodes what the `kafka-protocol` crate has code for, and nothing for the others.
            fn encode_by_crate(&self, body: &mut BytesMut, version: i16) -> Result<(), String> {
                match self {
                    $(Self::$own(_) => Ok(()),)+
                    $(Self::$api(message) => message
                        .encode(body, version)
                        .map_err(|error| error.to_string()),)+
                }
            }
        }

        $(impl From<$own_message> for Response {
            fn from(message: $own_message) -> Self {
                Self::$own(message)
            }
        })+

        $(impl From<$message> for Response {
            fn from(message: $message) -> Self {
                Self::$api(message)
            }
        })+
    };
}

responses! {
    own {
        Fetch(FetchResponse),
        DeleteGroups(DeleteGroupsResponse),
    }
    crate {
        Produce(kafka::ProduceResponse),
        ListOffsets(kafka::ListOffsetsResponse),
        Metadata(kafka::MetadataResponse),
        OffsetCommit(kafka::OffsetCommitResponse),
        OffsetFetch(kafka::OffsetFetchResponse),
        FindCoordinator(kafka::FindCoordinatorResponse),
        JoinGroup(kafka::JoinGroupResponse),
        Heartbeat(kafka::HeartbeatResponse),
        LeaveGroup(kafka::LeaveGroupResponse),
        SyncGroup(kafka::SyncGroupResponse),
        DescribeGroups(kafka::DescribeGroupsResponse),
        ListGroups(kafka::ListGroupsResponse),
        ApiVersions(kafka::ApiVersionsResponse),
        CreateTopics(kafka::CreateTopicsResponse),
        DeleteTopics(kafka::DeleteTopicsResponse),
        DeleteRecords(kafka::DeleteRecordsResponse),
        InitProducerId(kafka::InitProducerIdResponse),
        OffsetForLeaderEpoch(kafka::OffsetForLeaderEpochResponse),
        DescribeConfigs(kafka::DescribeConfigsResponse),
        AlterConfigs(kafka::AlterConfigsResponse),
        DescribeLogDirs(kafka::DescribeLogDirsResponse),
        CreatePartitions(kafka::CreatePartitionsResponse),
        ElectLeaders(kafka::ElectLeadersResponse),
        IncrementalAlterConfigs(kafka::IncrementalAlterConfigsResponse),
        AlterPartitionReassignments(kafka::AlterPartitionReassignmentsResponse),
        ListPartitionReassignments(kafka::ListPartitionReassignmentsResponse),
        OffsetDelete(kafka::OffsetDeleteResponse),
        DescribeClientQuotas(kafka::DescribeClientQuotasResponse),
        AlterClientQuotas(kafka::AlterClientQuotasResponse),
        DescribeUserScramCredentials(kafka::DescribeUserScramCredentialsResponse),
        DescribeQuorum(kafka::DescribeQuorumResponse),
        DescribeCluster(kafka::DescribeClusterResponse),
        DescribeProducers(kafka::DescribeProducersResponse),
        UnregisterBroker(kafka::UnregisterBrokerResponse),
        ListConfigResources(kafka::ListConfigResourcesResponse),
        DescribeTopicPartitions(kafka::DescribeTopicPartitionsResponse),
    }
}

impl Response {
    /// Encodes the answer to the request with this header. Panics if the answer is of another API.
    pub fn encode(self, to: &RequestHeader) -> Result<EncodedResponse, EncodeError> {
        assert_eq!(
            self.api_key(),
            to.api_key,
            "a request gets an answer of its own API"
        );
        self.encode_as(to.api_version, to.correlation_id)
    }

    /// As [`encode`](Self::encode), for who has no header at hand.
    pub fn encode_as(
        mut self,
        version: i16,
        correlation_id: i32,
    ) -> Result<EncodedResponse, EncodeError> {
        fit::fit(&mut self, version);
        let api = self.api_key().api();
        let flexible = api.is_flexible(version);
        let mut writer = Writer::new(INITIAL_BYTES, flexible);
        writer.int32(0); // the length, written last
        writer.int32(correlation_id);
        if api.has_flexible_response_header(version) {
            writer.no_tags();
        }
        match (&self, version) {
            (Self::Fetch(message), _) => message.encode(&mut writer, version),
            (Self::DeleteGroups(message), _) => message.encode(&mut writer, version),
            (Self::OffsetCommit(message), 10..) => offsets::encode_commit(message, &mut writer),
            (Self::OffsetFetch(message), 10..) => offsets::encode_fetch(message, &mut writer),
            (Self::DescribeLogDirs(message), 5..) => log_dirs::encode(message, &mut writer),
            _ => self
                .encode_by_crate(writer.buffer(), version_in_crate(api.key, version))
                .map_err(|reason| EncodeError {
                    api: api.key,
                    version,
                    reason,
                })?,
        }
        Ok(EncodedResponse::of_writer(writer))
    }
}

impl EncodedResponse {
    pub(crate) fn of_writer(writer: Writer) -> Self {
        let (pieces, size_bytes) = writer.into_frame();
        Self { pieces, size_bytes }
    }

    /// The pieces in order; none is empty, and the first begins with the length of the frame.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Gives the pieces away.
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// All pieces together, the length field included.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

#[cfg(test)]
mod tests;
