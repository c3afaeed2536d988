//! AlterConfigs (KIP-133): all settings of a resource at once; what is not named goes back to its
//! default. Superseded by IncrementalAlterConfigs, and still in use.

use klamm_metadata::controller::AlterResource;
use klamm_protocol::messages::alter_configs_request::AlterConfigsRequest;
use klamm_protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: AlterConfigsRequest) {
    let shard = call.shard.clone();
    call.reply_later(async move {
        let resources = request.resources.iter().map(|resource| {
            let changes = resource.configs.iter().map(|config| {
                let value = config.value.as_ref().map(|value| value.to_string());
                (config.name.to_string(), value)
            });
            AlterResource {
                kind: resource.resource_type,
                name: resource.resource_name.to_string(),
                changes: changes.collect(),
            }
        });
        let resources: Vec<_> = resources.collect();
        let decided = change(&shard, |decider| {
            decider.alter_configs(&resources, request.validate_only)
        });
        let results = refusal::of_alterations(decided.await, &resources);
        let responses = results.into_iter().map(|altered| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(altered.kind)
                .with_resource_name(altered.name)
                .with_error_code(altered.code)
                .with_error_message(altered.text)
        });
        AlterConfigsResponse::default().with_responses(responses.collect())
    });
}
