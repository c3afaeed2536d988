//! AlterClientQuotas (KIP-546): limits of users and client-ids are set and taken back.

use klamm_metadata::controller::{AlterQuotasReply, QuotaAlteration, QuotaOp};
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::alter_client_quotas_request::AlterClientQuotasRequest;
use klamm_protocol::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData, EntryData,
};
use klamm_protocol::messages::text_of;

use crate::controller::change;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: AlterClientQuotasRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let alterations = alterations(&request);
        let decided = change(&shard, |decider| {
            decider.alter_client_quotas(&alterations, request.validate_only)
        });
        let entries = match decided.await {
            Ok(reply) => of_reply(reply),
            Err(error) => of_error(&request, error),
        };
        AlterClientQuotasResponse::default().with_entries(entries)
    });
}

fn alterations(request: &AlterClientQuotasRequest) -> Vec<QuotaAlteration> {
    let entries = request.entries.iter().map(|entry| {
        let entity = entry.entity.iter().map(|part| {
            let name = part.entity_name.as_ref().map(|name| name.to_string());
            (part.entity_type.to_string(), name)
        });
        let ops = entry.ops.iter().map(|op| QuotaOp {
            key: op.key.to_string(),
            value: (!op.remove).then_some(op.value),
        });
        QuotaAlteration {
            entity: entity.collect(),
            ops: ops.collect(),
        }
    });
    entries.collect()
}

fn of_reply(reply: AlterQuotasReply) -> Vec<EntryData> {
    let entries = reply.into_iter().map(|(entity, outcome)| {
        let parts = entity.iter().map(|(entity_type, name)| {
            EntityData::default()
                .with_entity_type(text_of(entity_type))
                .with_entity_name(name.as_deref().map(text_of))
        });
        let (code, text) = match outcome {
            Ok(()) => (0, None),
            Err(refusal) => (refusal.code(), Some(text_of(&refusal.to_string()))),
        };
        EntryData::default()
            .with_error_code(code)
            .with_error_message(text)
            .with_entity(parts.collect())
    });
    entries.collect()
}

/// Nothing could be decided: the same for every entity.
fn of_error(request: &AlterClientQuotasRequest, error: ErrorCode) -> Vec<EntryData> {
    let entries = request.entries.iter().map(|entry| {
        let parts = entry.entity.iter().map(|part| {
            EntityData::default()
                .with_entity_type(part.entity_type.clone())
                .with_entity_name(part.entity_name.clone())
        });
        EntryData::default()
            .with_error_code(error.code())
            .with_error_message(Some(text_of(error.message())))
            .with_entity(parts.collect())
    });
    entries.collect()
}
