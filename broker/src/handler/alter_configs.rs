//! AlterConfigs (KIP-133): all settings of a resource at once; what is not named goes back to its
//! default. Superseded by IncrementalAlterConfigs, and still in use.

use klamm_metadata::controller::AlterResource;
use klamm_protocol::messages::alter_configs_request::AlterConfigsRequest;
use klamm_protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};
use klamm_protocol::messages::text_of;

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
        let result = |kind, name: &str, (code, text)| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(kind)
                .with_resource_name(text_of(name))
                .with_error_code(code)
                .with_error_message(text)
        };
        let results = match decided.await {
            Ok(outcomes) => outcomes
                .iter()
                .map(|(kind, name, outcome)| result(*kind, name, refusal::of_outcome(outcome)))
                .collect(),
            Err(error) => resources
                .iter()
                .map(|resource| {
                    let told = (error.code(), Some(text_of(error.message())));
                    result(resource.kind, &resource.name, told)
                })
                .collect(),
        };
        AlterConfigsResponse::default().with_responses(results)
    });
}
