//! ListConfigResources (KIP-1142): what has settings. Version 0 lists subscriptions to client
//! metrics, of which there are none.

use klamm_metadata::ResourceKind;
use klamm_protocol::ErrorCode;
use klamm_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use klamm_protocol::messages::list_config_resources_response::{
    ConfigResource, ListConfigResourcesResponse,
};
use klamm_protocol::messages::text_of;

use crate::dispatch::Call;

/// Known to Kafka, and without members here: nobody's logs are configured by request, and no
/// client metrics are collected.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
/// From here on the request says which kinds it wants; none is all.
const KINDS_FROM: i16 = 1;

pub(crate) fn handle(call: Call, request: &ListConfigResourcesRequest) {
    let all = [
        ResourceKind::Group as i8,
        ResourceKind::Broker as i8,
        ResourceKind::Topic as i8,
    ];
    let kinds: Vec<i8> = match request.resource_types.as_slice() {
        _ if call.version() < KINDS_FROM => Vec::new(),
        [] => all.to_vec(),
        wanted => wanted.to_vec(),
    };
    let mut response = ListConfigResourcesResponse::default();
    for code in kinds {
        match ResourceKind::from_wire(code) {
            Some(kind) => {
                let names = names(&call, kind).into_iter().map(|name| {
                    ConfigResource::default()
                        .with_resource_name(text_of(&name))
                        .with_resource_type(code)
                });
                response.config_resources.extend(names);
            }
            None if matches!(code, BROKER_LOGGER | CLIENT_METRICS) => {}
            None => {
                let error = ErrorCode::UnsupportedVersion.code();
                return call.reply(ListConfigResourcesResponse::default().with_error_code(error));
            }
        }
    }
    call.reply(response);
}

fn names(call: &Call, kind: ResourceKind) -> Vec<String> {
    let image = call.shard.image();
    match kind {
        ResourceKind::Topic => image.topics().map(|topic| topic.name.to_string()).collect(),
        ResourceKind::Broker => image
            .brokers()
            .map(|broker| broker.id.0.to_string())
            .collect(),
        ResourceKind::Group => image.configured(kind).map(str::to_owned).collect(),
    }
}
