//! UnregisterBroker (KIP-500): a broker leaves the cluster for ever.

use klamm_model::BrokerId;
use klamm_protocol::messages::text_of;
use klamm_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use klamm_protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::controller::requests;
use crate::dispatch::Call;
use crate::peer;

pub(crate) fn handle(call: Call, request: &UnregisterBrokerRequest) {
    let (shard, broker) = (call.shard.clone(), BrokerId(request.broker_id.0));
    call.reply_later(async move {
        // Another one may be the controller before it is done, if this one is to leave.
        let asked = requests::ask(&shard, peer::Request::Unregister(broker)).await;
        let (code, text) = match asked {
            Ok(_) => (0, None),
            Err(refused) => (refused.code, Some(text_of(&refused.reason))),
        };
        UnregisterBrokerResponse::default()
            .with_error_code(code)
            .with_error_message(text)
    });
}
