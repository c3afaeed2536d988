//! Why a request about client quotas is refused: one variant per sentence that Kafka says
//! (`ClientQuotaControlManager`, `ClientQuotasImage`), and two of our own for what is not limited
//! here.

/// Why a request about client quotas is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each variant's text says what it is; the fields are named in it"
)]
pub enum QuotaRefusal {
    // Entities.
    #[error("Invalid empty client quota entity")]
    EmptyEntity,
    #[error("Unhandled client quota entity type: {0}")]
    UnhandledEntityType(String),
    #[error("Empty {0} not supported")]
    EmptyName(&'static str),
    // As Kafka has it, without the space.
    #[error(
        "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"
    )]
    IpAndOthers,
    #[error("Ignoring duplicate entity {0}")]
    DuplicateEntity(String),
    #[error(
        "Quotas of single addresses (connection_creation_rate) are not enforced here; max.connection.creation.rate limits all new connections together."
    )]
    IpQuota,

    // Limits.
    #[error("Invalid configuration key {0}")]
    InvalidKey(String),
    #[error("The quota {0} is not enforced here, so it cannot be set.")]
    NotEnforced(String),
    #[error("Quota {0} must be greater than 0")]
    NotPositive(String),
    #[error("Proposed value for {key} is too large for a {kind}.")]
    TooLarge { key: String, kind: &'static str },
    #[error("{0} cannot be a fractional value.")]
    Fractional(String),

    // Filters.
    #[error("Invalid empty entity type.")]
    EmptyEntityType,
    #[error("Entity type {0} cannot appear more than once in the filter.")]
    RepeatedEntityType(String),
    #[error("Unsupported entity type {0}")]
    UnsupportedEntityType(String),
    #[error("Request specified MATCH_TYPE_EXACT, but set match string to null.")]
    ExactWithoutMatch,
    #[error("Request specified MATCH_TYPE_{0}, but also specified a match string.")]
    UnwantedMatch(&'static str),
    #[error("Unknown match type {0}")]
    UnknownMatchType(i8),
    #[error(
        "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component."
    )]
    IpAndOthersInFilter,
}

impl QuotaRefusal {
    /// Kafka's number for it (`org.apache.kafka.common.protocol.Errors`).
    pub const fn code(&self) -> i16 {
        match self {
            Self::UnsupportedEntityType(_) => 35,
            Self::EmptyEntity
            | Self::UnhandledEntityType(_)
            | Self::EmptyName(_)
            | Self::IpAndOthers
            | Self::DuplicateEntity(_)
            | Self::IpQuota
            | Self::InvalidKey(_)
            | Self::NotEnforced(_)
            | Self::NotPositive(_)
            | Self::TooLarge { .. }
            | Self::Fractional(_)
            | Self::EmptyEntityType
            | Self::RepeatedEntityType(_)
            | Self::ExactWithoutMatch
            | Self::UnwantedMatch(_)
            | Self::UnknownMatchType(_)
            | Self::IpAndOthersInFilter => 42,
        }
    }
}
