//! Uploads that were begun by somebody who is no more.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use klamm_tiering::ObjectBody;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::gateway::Gateway;
use crate::open;
use crate::suite::key;

/// A body that is asked for, and gives nothing until the test is over.
struct Stuck {
    asked: Arc<Notify>,
    over: Mutex<Receiver<()>>,
}

impl Stuck {
    fn new() -> (Self, Arc<Notify>, Sender<()>) {
        let (sender, over) = channel();
        let asked = Arc::new(Notify::new());
        let stuck = Self {
            asked: asked.clone(),
            over: Mutex::new(over),
        };
        (stuck, asked, sender)
    }
}

impl ObjectBody for Stuck {
    fn size_bytes(&self) -> u64 {
        20 * 1024 * 1024
    }

    fn read(&self, _: Range<u64>) -> io::Result<Bytes> {
        self.asked.notify_one();
        let _ = self.over.lock().unwrap().recv();
        Err(io::Error::other("it is over"))
    }
}

#[test]
fn what_somebody_began_and_left_is_given_up_when_it_is_old() {
    let gateway = Gateway::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut settings = gateway.settings();
        settings.prefix = "an/archive".to_owned();
        let store = open(&settings).await;
        let (stuck, asked, over) = Stuck::new();
        let theirs = store.clone();
        let begun = tokio::spawn(async move {
            let at = key("log/large");
            theirs.put_if_absent(&at, Arc::new(stuck)).await
        });
        // The first part is asked for when the upload was begun.
        asked.notified().await;
        begun.abort();
        assert!(begun.await.unwrap_err().is_cancelled());
        let hour = Duration::from_secs(3600);
        assert_eq!(store.abort_stale("", hour).await, Ok(0));
        assert_eq!(store.abort_stale("other/", Duration::ZERO).await, Ok(0));
        assert_eq!(store.abort_stale("log/", Duration::ZERO).await, Ok(1));
        assert_eq!(store.abort_stale("", Duration::ZERO).await, Ok(0));
        drop(over);
    });
}
