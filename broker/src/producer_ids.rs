//! Producer ids, taken from the controller in blocks: an id is never given out twice, also not
//! after a crash.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use klamm_model::ProducerId;
use klamm_protocol::ErrorCode;
use tokio::sync::Mutex;

use crate::controller;
use crate::shard::Shard;

/// The rest of this broker's block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    rest: RefCell<Range<i64>>,
    refilling: Mutex<()>,
}

impl ProducerIds {
    /// The next id; asks the controller for a new block when the old one is used up.
    pub(crate) async fn next(&self, shard: &Rc<Shard>) -> Result<ProducerId, ErrorCode> {
        if let Some(id) = self.take() {
            return Ok(id);
        }
        // Those who come meanwhile wait for the same block.
        let _refilling = self.refilling.lock().await;
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let block = controller::requests::take_producer_ids(shard).await?;
        self.rest.replace(block);
        self.take().ok_or(ErrorCode::UnknownServerError)
    }

    fn take(&self) -> Option<ProducerId> {
        self.rest.borrow_mut().next().map(ProducerId)
    }
}
