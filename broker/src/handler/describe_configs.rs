//! DescribeConfigs (KIP-133): every setting of topics, brokers and groups, and where it comes from.

use klamm_metadata::{ConfigEntry, ConfigSynonym, Describer};
use klamm_protocol::messages::describe_configs_request::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use klamm_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use klamm_protocol::messages::text_of;

use super::refusal;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: &DescribeConfigsRequest) {
    let (image, config) = (call.shard.image(), call.shard.config());
    let describer = Describer {
        image: &image,
        broker: call.shard.node_id,
        layers: config.layers(&image),
    };
    let results = request
        .resources
        .iter()
        .map(|resource| result(&describer, request, resource));
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    call.reply(response);
}

fn result(
    describer: &Describer<'_>,
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsResource,
) -> DescribeConfigsResult {
    let keys = resource.configuration_keys.iter().flatten();
    let keys: Vec<_> = keys.map(|key| key.to_string()).collect();
    let described = describer.describe(resource.resource_type, &resource.resource_name, &keys);
    let (code, text) = refusal::of_outcome(&described);
    let entries = described.unwrap_or_default();
    DescribeConfigsResult::default()
        .with_error_code(code)
        .with_error_message(text)
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone())
        .with_configs(entries.iter().map(|entry| config(entry, request)).collect())
}

fn config(entry: &ConfigEntry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let documentation = request
        .include_documentation
        .then(|| text_of(entry.row.sentence));
    let synonyms = if request.include_synonyms {
        entry.synonyms.as_slice()
    } else {
        &[]
    };
    DescribeConfigsResourceResult::default()
        .with_name(text_of(&entry.name))
        .with_value(entry.value.as_deref().map(text_of))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.row.sensitive)
        .with_config_type(entry.row.kind.wire_code())
        .with_documentation(documentation)
        .with_synonyms(synonyms.iter().map(synonym).collect())
}

fn synonym(synonym: &ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(text_of(&synonym.name))
        .with_value(synonym.value.as_deref().map(text_of))
        .with_source(synonym.source as i8)
}
