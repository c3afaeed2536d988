//! Requests of served APIs, decoded from a frame.
//!
//! Produce, Fetch and ApiVersions have own decoders. For all other APIs a first pass over the
//! frame (`shape`) proves that every count and length is covered by bytes that are there and
//! that the decoded message fits its memory budget; only then does the `kafka-protocol` crate,
//! which reserves memory for arrays on the word of their count, see the frame.
//!
//! Whatever a frame holds, decoding does not panic and allocates no more than
//! [`DECODE_SLACK_BYTES`] and [`DECODE_BYTES_PER_FRAME_BYTE`] times the frame.
//!
//! [`DECODE_SLACK_BYTES`]: crate::wire::DECODE_SLACK_BYTES
//! [`DECODE_BYTES_PER_FRAME_BYTE`]: crate::wire::DECODE_BYTES_PER_FRAME_BYTE

mod offsets;
mod shape;

#[cfg(any(test, feature = "sample"))]
pub use shape::sample::sample_frame;

use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::api::{Api, ApiKey};
use crate::messages::{ApiVersionsRequest, FetchRequest, ProduceRequest};
use crate::wire::{Fault, Reader};

/// What precedes every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api_key: ApiKey,
    /// The version, within the range that is accepted.
    pub api_version: i16,
    /// Chosen by the client, returned with the answer.
    pub correlation_id: i32,
    /// What the client calls itself (`client.id`).
    pub client_id: Option<StrBytes>,
}

/// Why a frame is no request; each variant asks the connection for another reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// ApiVersions of a version that is not known: answer with
    /// [`unsupported_api_versions_response`](crate::api_versions::unsupported_api_versions_response)
    /// and go on.
    #[error("unsupported version of ApiVersions version={version}")]
    UnsupportedApiVersions {
        /// What the client asked for.
        version: i16,
        /// To be returned with the answer.
        correlation_id: i32,
    },
    /// An API or a version that is not served: close the connection, as Kafka does.
    #[error("unsupported api or version key={key} version={version}")]
    Unsupported {
        /// The API's number.
        key: i16,
        /// Its version.
        version: i16,
    },
    /// Bytes that are no request: close the connection, as Kafka does.
    #[error("malformed request: {fault} key={key} version={version}")]
    Malformed {
        /// The API's number, or -1 if the frame ends before it.
        key: i16,
        /// Its version, or -1.
        version: i16,
        /// What is wrong.
        fault: Fault,
    },
}

macro_rules! requests {
    (own { $($own:ident($own_message:ty),)+ } crate { $($api:ident($message:ty),)+ }) => {
        /// A request of a served API.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $(#[doc = concat!("Kafka's `", stringify!($own), "`.")] $own($own_message),)+
            $(#[doc = concat!("Kafka's `", stringify!($api), "`.")] $api($message),)+
        }

        impl Request {
            /// The API that the request is of.
            pub fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$own(_) => ApiKey::$own,)+
                    $(Self::$api(_) => ApiKey::$api,)+
                }
            }
        }

        $(impl From<$own_message> for Request {
            fn from(message: $own_message) -> Self {
                Self::$own(message)
            }
        })+

        $(impl From<$message> for Request {
            fn from(message: $message) -> Self {
                Self::$api(message)
            }
        })+

        /// Decodes a body whose shape has been found right.
        fn decode_shaped(
            api: &Api,
            version: i16,
            mut body: Bytes,
        ) -> Result<Request, Fault> {
            match api.key {
                $(ApiKey::$own => Err(Fault::Value),)+
                $(ApiKey::$api => <$message>::decode(&mut body, version)
                    .map(Request::$api)
                    .map_err(|_| Fault::Value),)+
            }
        }
    };
}

requests! {
    own {
        Produce(ProduceRequest),
        Fetch(FetchRequest),
        ApiVersions(ApiVersionsRequest),
    }
    crate {
        ListOffsets(kafka::ListOffsetsRequest),
        Metadata(kafka::MetadataRequest),
        OffsetCommit(kafka::OffsetCommitRequest),
        OffsetFetch(kafka::OffsetFetchRequest),
        FindCoordinator(kafka::FindCoordinatorRequest),
        JoinGroup(kafka::JoinGroupRequest),
        Heartbeat(kafka::HeartbeatRequest),
        LeaveGroup(kafka::LeaveGroupRequest),
        SyncGroup(kafka::SyncGroupRequest),
        DescribeGroups(kafka::DescribeGroupsRequest),
        ListGroups(kafka::ListGroupsRequest),
        CreateTopics(kafka::CreateTopicsRequest),
        DeleteTopics(kafka::DeleteTopicsRequest),
        DeleteRecords(kafka::DeleteRecordsRequest),
        InitProducerId(kafka::InitProducerIdRequest),
        OffsetForLeaderEpoch(kafka::OffsetForLeaderEpochRequest),
        DescribeConfigs(kafka::DescribeConfigsRequest),
        AlterConfigs(kafka::AlterConfigsRequest),
        DescribeLogDirs(kafka::DescribeLogDirsRequest),
        CreatePartitions(kafka::CreatePartitionsRequest),
        DeleteGroups(kafka::DeleteGroupsRequest),
        ElectLeaders(kafka::ElectLeadersRequest),
        IncrementalAlterConfigs(kafka::IncrementalAlterConfigsRequest),
        AlterPartitionReassignments(kafka::AlterPartitionReassignmentsRequest),
        ListPartitionReassignments(kafka::ListPartitionReassignmentsRequest),
        OffsetDelete(kafka::OffsetDeleteRequest),
        DescribeClientQuotas(kafka::DescribeClientQuotasRequest),
        AlterClientQuotas(kafka::AlterClientQuotasRequest),
        DescribeUserScramCredentials(kafka::DescribeUserScramCredentialsRequest),
        DescribeQuorum(kafka::DescribeQuorumRequest),
        DescribeCluster(kafka::DescribeClusterRequest),
        DescribeProducers(kafka::DescribeProducersRequest),
        UnregisterBroker(kafka::UnregisterBrokerRequest),
        ListConfigResources(kafka::ListConfigResourcesRequest),
        DescribeTopicPartitions(kafka::DescribeTopicPartitionsRequest),
    }
}

impl Request {
    /// Decodes the frame of one request. Bytes after the request are ignored, as Kafka does.
    pub fn decode(frame: Bytes) -> Result<(RequestHeader, Self), DecodeError> {
        let mut reader = Reader::new(frame);
        let (header, api) = RequestHeader::decode(&mut reader)?;
        let version = header.api_version;
        let body = decode_body(api, version, reader)
            .map_err(|fault| malformed(header.api_key.code(), version, fault))?;
        Ok((header, body))
    }
}

impl RequestHeader {
    fn decode(reader: &mut Reader) -> Result<(Self, &'static Api), DecodeError> {
        let unnamed = |fault| malformed(-1, -1, fault);
        let key = reader.int16().map_err(unnamed)?;
        let version = reader.int16().map_err(unnamed)?;
        let correlation_id = reader.int32().map_err(unnamed)?;
        let Some(api_key) = ApiKey::from_code(key) else {
            return Err(DecodeError::Unsupported { key, version });
        };
        let api = api_key.api();
        if !api.accepts(version) {
            return Err(match api_key {
                ApiKey::ApiVersions => DecodeError::UnsupportedApiVersions {
                    version,
                    correlation_id,
                },
                _ => DecodeError::Unsupported { key, version },
            });
        }
        let named = |fault| malformed(key, version, fault);
        let client_id = reader.nullable_text_of_16_bits().map_err(named)?;
        reader.set_flexible(api.is_flexible(version));
        reader.skip_tags().map_err(named)?;
        let header = Self {
            api_key,
            api_version: version,
            correlation_id,
            client_id,
        };
        Ok((header, api))
    }
}

fn decode_body(api: &Api, version: i16, mut reader: Reader) -> Result<Request, Fault> {
    let reader = &mut reader;
    Ok(match (api.key, version) {
        (ApiKey::Produce, _) => ProduceRequest::decode(reader, version)?.into(),
        (ApiKey::Fetch, _) => FetchRequest::decode(reader, version)?.into(),
        (ApiKey::ApiVersions, _) => ApiVersionsRequest::decode(reader, version)?.into(),
        (ApiKey::OffsetCommit, 10..) => offsets::decode_commit(reader)?.into(),
        (ApiKey::OffsetFetch, 10..) => offsets::decode_fetch(reader)?.into(),
        (key, _) => {
            let body = reader.clone().into_rest();
            shape::check(reader, key, version)?;
            decode_shaped(api, version_in_crate(key, version), body)?
        }
    })
}

/// The version by whose code the crate reads or writes a message: its newest where the message
/// has not changed since, or where what has changed is code of our own.
pub(crate) fn version_in_crate(key: ApiKey, version: i16) -> i16 {
    match key {
        ApiKey::ListOffsets => version.min(10),
        ApiKey::ApiVersions | ApiKey::DescribeLogDirs => version.min(4),
        ApiKey::DeleteGroups => version.min(2),
        _ => version,
    }
}

fn malformed(key: i16, version: i16, fault: Fault) -> DecodeError {
    DecodeError::Malformed {
        key,
        version,
        fault,
    }
}

#[cfg(test)]
mod tests;
