//! UnregisterBroker (KIP-500): a broker leaves the cluster for ever.

use klamm_metadata::Decision;
use klamm_model::BrokerId;
use klamm_protocol::messages::text_of;
use klamm_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use klamm_protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use super::refusal;
use crate::controller::change;
use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: &UnregisterBrokerRequest) {
    let (shard, broker) = (call.shard.clone(), BrokerId(request.broker_id.0));
    call.reply_later(async move {
        let decided = change(&shard, |decider| match decider.unregister_broker(broker) {
            Ok(Decision { records, reply }) => Decision {
                records,
                reply: Ok(reply),
            },
            Err(refusal) => Decision {
                records: Vec::new(),
                reply: Err(refusal),
            },
        });
        let (code, text) = match decided.await {
            Ok(outcome) => refusal::of_outcome(&outcome),
            Err(error) => (error.code(), Some(text_of(error.message()))),
        };
        UnregisterBrokerResponse::default()
            .with_error_code(code)
            .with_error_message(text)
    });
}
