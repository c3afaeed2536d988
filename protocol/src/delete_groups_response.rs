//! The DeleteGroups response, versions 0 to 3; version 3 adds a message per group.

use kafka_protocol::protocol::StrBytes;

use crate::wire::Writer;

/// What became of the groups to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteGroupsResponse {
    /// How long the client should hold back, in milliseconds.
    pub throttle_time_ms: i32,
    /// By group.
    pub results: Vec<DeletableGroupResult>,
}

/// What became of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletableGroupResult {
    /// Its id.
    pub group_id: StrBytes,
    /// Kafka's error code, 0 for success.
    pub error_code: i16,
    /// Why, in words; told from version 3 on.
    pub error_message: Option<StrBytes>,
}

impl DeleteGroupsResponse {
    pub(crate) fn encode(&self, writer: &mut Writer, version: i16) {
        writer.int32(self.throttle_time_ms);
        writer.array(&self.results, |writer, result| {
            writer.text(&result.group_id);
            writer.int16(result.error_code);
            if version >= 3 {
                writer.nullable_text(result.error_message.as_deref());
            }
            writer.no_tags();
        });
        writer.no_tags();
    }
}
