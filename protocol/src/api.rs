//! THE table: every API that Klamm serves, with its versions.
//!
//! The answer to ApiVersions and the dispatch of requests both read it, so what is offered and
//! what is served cannot differ. An API is listed once its handler serves the whole range.
//! Ranges are those of Kafka 4.4 with unstable versions off. Left out until they are served:
//! security (17, 36, 29–31, 38–41, 51), transactions (24–28, 65, 66), consumer, streams and share
//! groups (68, 69, 76–79, 88–93), telemetry (71, 72).

/// One row: an API and its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// The lowest version that ApiVersions offers.
    pub advertised_min: i16,
    /// The lowest version that is decoded. Differs from the offered one for Produce alone.
    pub accepted_min: i16,
    /// The highest version offered and decoded.
    pub max: i16,
    /// The first version with compact forms and tagged fields (KIP-482), if any has them.
    pub flexible_from: Option<i16>,
}

macro_rules! apis {
    ($($code:literal $key:ident $min:literal..=$max:literal $flexible:expr;)+) => {
        /// An API that Klamm serves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("Kafka's `", stringify!($key), "`.")] $key = $code,)+
        }

        impl ApiKey {
            /// Kafka's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => stringify!($key),)+ }
            }

            /// The API of a number on the wire; `None` if Klamm does not serve it.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$key),)+ _ => None }
            }

            /// The row of this API.
            pub const fn api(self) -> &'static Api {
                match self {
                    $(Self::$key => {
                        const ROW: Api = Api::row(ApiKey::$key, $min, $max, $flexible);
                        &ROW
                    })+
                }
            }
        }

        /// All rows, by rising key.
        pub const APIS: &[Api] = &[$(*ApiKey::$key.api(),)+];
    };
}

apis! {
    0 Produce 0..=13 Some(9);
    1 Fetch 4..=18 Some(12);
    2 ListOffsets 1..=11 Some(6);
    3 Metadata 0..=13 Some(9);
    8 OffsetCommit 2..=10 Some(8);
    9 OffsetFetch 1..=10 Some(6);
    10 FindCoordinator 0..=6 Some(3);
    11 JoinGroup 0..=9 Some(6);
    12 Heartbeat 0..=4 Some(4);
    13 LeaveGroup 0..=5 Some(4);
    14 SyncGroup 0..=5 Some(4);
    15 DescribeGroups 0..=6 Some(5);
    16 ListGroups 0..=5 Some(3);
    18 ApiVersions 0..=5 Some(3);
    19 CreateTopics 2..=7 Some(5);
    20 DeleteTopics 1..=6 Some(4);
    21 DeleteRecords 0..=2 Some(2);
    22 InitProducerId 0..=5 Some(2);
    23 OffsetForLeaderEpoch 2..=4 Some(4);
    32 DescribeConfigs 1..=4 Some(4);
    33 AlterConfigs 0..=2 Some(2);
    35 DescribeLogDirs 1..=5 Some(2);
    37 CreatePartitions 0..=3 Some(2);
    42 DeleteGroups 0..=3 Some(2);
    43 ElectLeaders 0..=2 Some(2);
    44 IncrementalAlterConfigs 0..=1 Some(1);
    45 AlterPartitionReassignments 0..=1 Some(0);
    46 ListPartitionReassignments 0..=0 Some(0);
    47 OffsetDelete 0..=0 None;
    48 DescribeClientQuotas 0..=1 Some(1);
    49 AlterClientQuotas 0..=1 Some(1);
    50 DescribeUserScramCredentials 0..=0 Some(0);
    55 DescribeQuorum 0..=2 Some(0);
    60 DescribeCluster 0..=2 Some(0);
    61 DescribeProducers 0..=0 Some(0);
    64 UnregisterBroker 0..=0 Some(0);
    74 ListConfigResources 0..=1 Some(0);
    75 DescribeTopicPartitions 0..=0 Some(0);
}

/// The lowest Produce version served. Lower ones are offered all the same, because librdkafka
/// tells from the range whether a broker knows message formats and codecs (KAFKA-18659).
const PRODUCE_ACCEPTED_MIN: i16 = 3;

impl Api {
    const fn row(key: ApiKey, min: i16, max: i16, flexible_from: Option<i16>) -> Self {
        let accepted_min = match key {
            ApiKey::Produce => PRODUCE_ACCEPTED_MIN,
            _ => min,
        };
        Self {
            key,
            advertised_min: min,
            accepted_min,
            max,
            flexible_from,
        }
    }

    /// Whether a request of this version is decoded.
    pub const fn accepts(&self, version: i16) -> bool {
        self.accepted_min <= version && version <= self.max
    }

    /// Whether this version has compact forms and tagged fields.
    pub const fn is_flexible(&self, version: i16) -> bool {
        match self.flexible_from {
            Some(from) => version >= from,
            None => false,
        }
    }

    /// Whether the header of this version's answer ends with tagged fields. That of ApiVersions
    /// never does: who asks cannot know yet what the broker speaks.
    pub const fn has_flexible_response_header(&self, version: i16) -> bool {
        self.is_flexible(version) && !matches!(self.key, ApiKey::ApiVersions)
    }
}

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_rise_and_read_back() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in APIS {
            assert_eq!(ApiKey::from_code(api.key.code()), Some(api.key));
            assert_eq!(api.key.api(), api);
            assert!(api.advertised_min <= api.accepted_min && api.accepted_min <= api.max);
        }
        assert_eq!(ApiKey::from_code(4), None);
    }

    #[test]
    fn quirk_6_produce_is_listed_from_0_and_served_from_3() {
        let produce = ApiKey::Produce.api();
        assert_eq!((produce.advertised_min, produce.accepted_min), (0, 3));
        assert!(!produce.accepts(2) && produce.accepts(3) && produce.accepts(13));
    }
}
