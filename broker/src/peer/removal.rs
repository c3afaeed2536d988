//! That this broker has been removed from the cluster: heard of others, or read in the metadata.

use std::cell::RefCell;

use klamm_model::BrokerId;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Removal {
    reason: RefCell<Option<String>>,
    /// It has been heard of.
    noted: Notify,
}

/// What is said of a broker that has been removed.
pub(super) fn told(broker: BrokerId) -> String {
    format!(
        "broker {} has been removed from the cluster: start it with an empty data directory to join anew",
        broker.0
    )
}

impl Removal {
    /// It is so. The first reason stays.
    pub(super) fn note(&self, reason: &str) {
        let mut known = self.reason.borrow_mut();
        known.get_or_insert_with(|| reason.to_owned());
        drop(known);
        self.noted.notify_waiters();
    }

    /// Waits until it is so.
    pub(super) async fn noted(&self) -> String {
        loop {
            let noted = self.noted.notified();
            if let Some(reason) = self.reason.borrow().clone() {
                return reason;
            }
            noted.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_hears_the_first_reason_whenever_it_was_noted() {
        let removal = Removal::default();
        let (heard, ()) = tokio::join!(removal.noted(), async {
            removal.note("first");
            removal.note("second");
        });
        assert_eq!(heard, "first");
        assert_eq!(removal.noted().await, "first");
    }
}
