//! ListPartitionReassignments (KIP-455): none, since a reassignment is over when it is answered.

use klamm_protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use crate::dispatch::Call;

pub(crate) fn handle(call: Call) {
    call.reply(ListPartitionReassignmentsResponse::default());
}
