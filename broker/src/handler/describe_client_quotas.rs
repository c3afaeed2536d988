//! DescribeClientQuotas (KIP-546): the limits of the entities that a filter finds.

use klamm_metadata::client_quota::{FilterComponent, QuotaEntity, QuotaLimits, describe};
use klamm_protocol::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use klamm_protocol::messages::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use klamm_protocol::messages::text_of;

use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: &DescribeClientQuotasRequest) {
    let image = call.shard.image();
    let components = request.components.iter().map(|component| FilterComponent {
        entity_type: component.entity_type.to_string(),
        match_type: component.match_type,
        match_name: component._match.as_ref().map(|name| name.to_string()),
    });
    let components: Vec<_> = components.collect();
    let response = DescribeClientQuotasResponse::default().with_error_message(None);
    let response = match describe(image.client_quotas(), &components, request.strict) {
        Ok(found) => {
            let entries = found
                .into_iter()
                .map(|(entity, limits)| entry(entity, limits));
            response.with_entries(Some(entries.collect()))
        }
        Err(refusal) => response
            .with_error_code(refusal.code())
            .with_error_message(Some(text_of(&refusal.to_string())))
            .with_entries(None),
    };
    call.reply(response);
}

fn entry(entity: &QuotaEntity, limits: &QuotaLimits) -> EntryData {
    let parts = [("client-id", &entity.client_id), ("user", &entity.user)];
    let parts = parts.into_iter().filter_map(|(entity_type, name)| {
        let name = name.as_ref()?;
        let part = EntityData::default()
            .with_entity_type(text_of(entity_type))
            .with_entity_name(name.on_wire().map(text_of));
        Some(part)
    });
    let values = limits.iter().map(|(key, limit)| {
        ValueData::default()
            .with_key(text_of(key.name()))
            .with_value(limit.get())
    });
    EntryData::default()
        .with_entity(parts.collect())
        .with_values(values.collect())
}
