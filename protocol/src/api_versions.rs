//! ApiVersions: the first request on a connection, and the one that must never be refused.

use kafka_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::protocol::StrBytes;

use crate::ErrorCode;
use crate::api::{APIS, ApiKey};
use crate::response::EncodedResponse;
use crate::wire::{Fault, Reader, Writer};

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsRequest {
    /// The client library; empty before version 3.
    pub client_software_name: StrBytes,
    /// Its version; empty before version 3.
    pub client_software_version: StrBytes,
    /// The cluster the client believes to talk to, if it says so (version 5 on; KIP-1242).
    pub cluster_id: Option<StrBytes>,
    /// The broker the client believes to talk to, or -1 (version 5 on).
    pub node_id: i32,
}

/// A feature of the cluster, as ApiVersions tells it from version 3 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name, such as `metadata.version`.
    pub name: &'static str,
    /// The lowest level this broker supports.
    pub supported_min: i16,
    /// The highest level this broker supports.
    pub supported_max: i16,
    /// The level in force; 0 is not told.
    pub finalized: i16,
}

/// The last version whose clients fail on features with a lowest level of 0 (KAFKA-17011).
const FEATURE_MIN_0_UNKNOWN_UNTIL: i16 = 3;

impl ApiVersionsRequest {
    pub(crate) fn decode(reader: &mut Reader, version: i16) -> Result<Self, Fault> {
        let mut request = Self {
            client_software_name: StrBytes::new(),
            client_software_version: StrBytes::new(),
            cluster_id: None,
            node_id: -1,
        };
        if version >= 3 {
            request.client_software_name = reader.text()?;
            request.client_software_version = reader.text()?;
        }
        if version >= 5 {
            request.cluster_id = reader.nullable_text()?;
            request.node_id = reader.int32()?;
        }
        reader.skip_tags()?;
        Ok(request)
    }

    /// Whether the request is as it must be; otherwise the answer is `INVALID_REQUEST`. From version
    /// 3 on, name and version of the client are letters and digits, with dots and hyphens inside
    /// (KIP-511); from version 5 on, cluster and broker are named together or not at all (KIP-1242).
    pub fn is_valid(&self, version: i16) -> bool {
        let words = [&self.client_software_name, &self.client_software_version];
        let words_are_valid = version < 3 || words.into_iter().all(|text| is_software_word(text));
        let peer_is_valid = self.cluster_id.is_some() == (self.node_id != -1);
        words_are_valid && peer_is_valid
    }

    /// Whether the client meant another broker than this one, as when an address has passed to
    /// another cluster; the answer is then `REBOOTSTRAP_REQUIRED` (KIP-1242).
    pub fn means_another_broker(&self, cluster_id: &str, node_id: i32) -> bool {
        let Some(meant) = &self.cluster_id else {
            return false;
        };
        meant.as_str() != cluster_id || self.node_id != node_id
    }
}

/// The answer that lists the whole table, or no API at all where `error` says that the request was
/// not valid. `finalized_epoch` is the metadata version at which the features came into force.
pub fn api_versions_response(
    version: i16,
    error: ErrorCode,
    features: &[Feature],
    finalized_epoch: i64,
) -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default().with_error_code(error.code());
    if !error.is_none() {
        return response;
    }
    response.api_keys = APIS
        .iter()
        .map(|api| {
            ApiVersion::default()
                .with_api_key(api.key.code())
                .with_min_version(api.advertised_min)
                .with_max_version(api.max)
        })
        .collect();
    if version < 3 {
        return response;
    }
    let told =
        |feature: &&Feature| version > FEATURE_MIN_0_UNKNOWN_UNTIL || feature.supported_min > 0;
    response.supported_features = features.iter().filter(told).map(supported).collect();
    response.finalized_features_epoch = finalized_epoch;
    response.finalized_features = features
        .iter()
        .filter(|feature| feature.finalized > 0)
        .map(finalized)
        .collect();
    response
}

fn supported(feature: &Feature) -> SupportedFeatureKey {
    SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version(feature.supported_min)
        .with_max_version(feature.supported_max)
}

fn finalized(feature: &Feature) -> FinalizedFeatureKey {
    FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(feature.name))
        .with_min_version_level(feature.finalized)
        .with_max_version_level(feature.finalized)
}

/// The answer to an ApiVersions request of a version that is not known: in the form of version 0,
/// with `UNSUPPORTED_VERSION` and the one row that lets the client choose another (KIP-511).
pub fn unsupported_api_versions_response(correlation_id: i32) -> EncodedResponse {
    let api = ApiKey::ApiVersions.api();
    let mut writer = Writer::new(20, false);
    writer.int32(0); // the length, written last
    writer.int32(correlation_id);
    writer.int16(ErrorCode::UnsupportedVersion.code());
    writer.count(1);
    for field in [api.key.code(), api.advertised_min, api.max] {
        writer.int16(field);
    }
    EncodedResponse::of_writer(writer)
}

fn is_software_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirk_4_software_words_are_letters_and_digits_with_dots_and_hyphens_inside() {
        for good in ["a", "apache-kafka-java", "4.4.0", "v2.15.0-RC1"] {
            assert!(is_software_word(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "ä", "a/b"] {
            assert!(!is_software_word(bad), "{bad}");
        }
    }

    #[test]
    fn a_client_names_cluster_and_broker_together_and_rightly() {
        let check = |cluster: Option<&'static str>, node_id: i32, valid: bool, another: bool| {
            let request = ApiVersionsRequest {
                client_software_name: StrBytes::from_static_str("a"),
                client_software_version: StrBytes::from_static_str("1"),
                cluster_id: cluster.map(StrBytes::from_static_str),
                node_id,
            };
            assert_eq!(request.is_valid(5), valid);
            assert_eq!(request.means_another_broker("c", 1), another);
        };
        check(None, -1, true, false);
        check(Some("c"), 1, true, false);
        check(Some("c"), 2, true, true);
        check(Some("d"), 1, true, true);
        check(Some("c"), -1, false, true);
        check(None, 1, false, false);
    }

    #[test]
    fn quirk_3_the_answer_to_an_unknown_version_is_v0_with_one_row() {
        let answer = unsupported_api_versions_response(7);
        assert_eq!(
            answer.pieces().concat(),
            b"\0\0\0\x10\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x05"
        );
    }
}
