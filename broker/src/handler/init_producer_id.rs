//! InitProducerId: an identity for an idempotent producer (KIP-98, KIP-360).

use klamm_protocol::ErrorCode;
use klamm_protocol::messages::ProducerId;
use klamm_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use klamm_protocol::messages::init_producer_id_response::InitProducerIdResponse;

use crate::dispatch::Call;

pub(crate) fn handle(call: Call, request: InitProducerIdRequest) {
    if let Err(error) = check(&request) {
        return call.reply(refused(error));
    }
    let shard = call.shard.clone();
    call.reply_later(async move {
        match shard.producer_ids.next(&shard).await {
            Ok(id) => InitProducerIdResponse::default()
                .with_producer_id(ProducerId(id.0))
                .with_producer_epoch(0),
            Err(error) => refused(error),
        }
    });
}

fn check(request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    match &request.transactional_id {
        // There are no transactions: a final error, so that the producer says so and stops.
        Some(id) if !id.is_empty() => Err(ErrorCode::UnsupportedVersion),
        Some(_) => Err(ErrorCode::InvalidRequest),
        // An idempotent producer that wants a new epoch gets a new id instead, as in Kafka.
        None => Ok(()),
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
