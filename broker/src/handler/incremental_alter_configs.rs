//! IncrementalAlterConfigs (KIP-339): single settings are set, deleted, or, where they are lists,
//! added to and taken from.

use klamm_metadata::controller::{AlterResource, ConfigChange};
use klamm_protocol::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use klamm_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: IncrementalAlterConfigsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let resources = request.resources.iter().map(|resource| {
            let changes = resource.configs.iter().map(|config| ConfigChange {
                key: config.name.to_string(),
                operation: config.config_operation,
                value: config.value.as_ref().map(|value| value.to_string()),
            });
            AlterResource {
                kind: resource.resource_type,
                name: resource.resource_name.to_string(),
                changes: changes.collect(),
            }
        });
        let resources: Vec<_> = resources.collect();
        let decided = change(&shard, |decider| {
            decider.incremental_alter_configs(&resources, request.validate_only)
        });
        let results = refusal::of_alterations(decided.await, &resources);
        let responses = results.into_iter().map(|altered| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(altered.kind)
                .with_resource_name(altered.name)
                .with_error_code(altered.code)
                .with_error_message(altered.text)
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    });
}
