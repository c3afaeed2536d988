//! Requests of clients under quotas (KIP-219): the answer leaves at once and says for how long the
//! client is throttled, and for so long its connection is not read.

use std::time::Duration;

use klamm_model::Instant;
use klamm_protocol::{RequestHeader, Response};

use super::Call;
use crate::net::ReplySlot;
use crate::quota::{Metered, Throttle, longer};
use crate::shard::Shard;

/// What a call is metered by.
pub(super) struct MeteredCall {
    metered: Metered,
    /// What was decided about its client, and when, if that came before the answer.
    decided: Option<(Option<Throttle>, Instant)>,
}

impl MeteredCall {
    /// A request was decoded; the thread has it since `begun`.
    pub(super) fn begin(
        shard: &Shard,
        header: &RequestHeader,
        slot: &ReplySlot,
        begun: Instant,
    ) -> Self {
        let connection = slot.connection();
        let client_id = header.client_id.as_deref().unwrap_or_default();
        let names = (connection.user(), client_id);
        let image = shard.image();
        let cached = &connection.quota_client;
        let client = shard
            .quotas
            .client(cached, image.client_quotas(), names, begun);
        Self {
            metered: shard.quotas.begin(client, begun),
            decided: None,
        }
    }
}

impl Call {
    /// The time that this request takes counts for nobody (`acks=0`).
    pub(crate) fn exempt_time(&self) {
        if let Some(call) = &self.metered {
            self.shard.quotas.exempt(&call.metered);
        }
    }

    /// How many bytes of records the client may be given at once; `None` is without limit.
    pub(crate) fn fetch_bytes_max(&self) -> Option<usize> {
        let call = self.metered.as_ref()?;
        self.shard.quotas.fetch_bytes_max(&call.metered)
    }

    /// Whether the client, which is about to get so many bytes of records, gets none instead: it
    /// is throttled.
    pub(crate) fn withholds(&mut self, bytes: usize) -> bool {
        let Some(call) = &mut self.metered else {
            return false;
        };
        let quotas = &self.shard.quotas;
        let now = self.shard.clock.now();
        let answering = quotas.answering(&call.metered, now);
        let verdict = quotas.fetching(&call.metered, bytes, answering, now);
        call.decided = Some((verdict.throttle, now));
        verdict.is_withheld
    }

    /// Gives no answer; the client wants none.
    pub(crate) fn reply_nothing(self) {
        self.count_silent();
        self.slot.send_nothing();
    }

    /// Ends the connection in place of an answer.
    pub(crate) fn close(self) {
        self.count_silent();
        self.slot.close();
    }

    /// Records what a client produced that is not answered: of its quotas that of bytes alone.
    fn count_silent(&self) {
        if let Some(call) = &self.metered {
            let now = self.shard.clock.now();
            let bytes = self.slot.request_bytes();
            let throttle = self.shard.quotas.produced(&call.metered, bytes, now);
            self.throttle(throttle, now);
        }
    }

    /// Answers a client whose throttle, if any, is decided now or was before.
    pub(super) fn reply_metered(mut self, mut response: Response) {
        let call = self.metered.take().expect("the caller has looked");
        let (throttle, now) = call.decided.unwrap_or_else(|| {
            let now = self.shard.clock.now();
            (self.decide(&call.metered, &response, now), now)
        });
        if let Some(Throttle { time, .. }) = throttle {
            response.set_throttle_time_ms(millis(time));
        }
        self.throttle(throttle, now);
        let shard = self.shard.clone();
        self.send(response);
        shard.quotas.sent(&call.metered, now, shard.clock.now());
    }

    fn decide(&self, metered: &Metered, response: &Response, now: Instant) -> Option<Throttle> {
        let quotas = &self.shard.quotas;
        let produced = match response {
            Response::Produce(_) => quotas.produced(metered, self.slot.request_bytes(), now),
            _ => None,
        };
        longer(produced, quotas.answering(metered, now))
    }

    fn throttle(&self, throttle: Option<Throttle>, now: Instant) {
        let Some(Throttle { key, time }) = throttle else {
            return;
        };
        self.shard.counters().throttle_time(key).observe_time(time);
        tracing::debug!(client = %self.slot.connection().peer, client_id = self.client_id(),
            quota = key.name(), ?time, "client throttled");
        self.slot.mute_until(now + time);
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
