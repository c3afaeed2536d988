//! UnregisterBroker (KIP-500): a broker leaves the cluster for ever.

use klamm_model::BrokerId;
use klamm_protocol::messages::text_of;
use klamm_protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use klamm_protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use crate::controller::requests;
use crate::dispatch::Call;
use crate::peer;
use crate::shard::Shard;

pub(crate) fn handle(call: Call, request: &UnregisterBrokerRequest) {
    let (shard, broker) = (call.shard.clone(), BrokerId(request.broker_id.0));
    call.reply_later(async move {
        let is_news = !shard.image().is_removed(broker);
        // Another one may be the controller before it is done, if this one is to leave; and the others
        // may have closed their connections to it before their answer comes.
        let asked = tokio::select! {
            asked = requests::ask(&shard, peer::Request::Unregister(broker)) => asked.map(|_| ()),
            () = is_removed(&shard, broker), if is_news => Ok(()),
        };
        let (code, text) = match asked {
            Ok(()) => (0, None),
            Err(refused) => (refused.code, Some(text_of(&refused.reason))),
        };
        UnregisterBrokerResponse::default()
            .with_error_code(code)
            .with_error_message(text)
    });
}

/// Waits until this broker knows that another, or itself, has been removed. Of itself it may hear only from
/// those who refuse it: nobody sends it the metadata any more.
async fn is_removed(shard: &Shard, broker: BrokerId) {
    let applied = async {
        while !shard.image().is_removed(broker) {
            shard.controller.advanced().await;
        }
    };
    tokio::select! {
        () = applied => {}
        _ = shard.peers.removed(), if broker == shard.node_id => {}
    }
}
