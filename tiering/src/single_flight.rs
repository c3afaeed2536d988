//! Work that many ask for at once is done once.
//!
//! It is a task of its own: whoever asks may go away, the others still get the outcome, and what was fetched
//! is kept for the next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Work in progress, by what it is for.
pub(crate) struct SingleFlight<K, T, E> {
    running: Mutex<Running<K, T, E>>,
}

#[derive(Debug)]
struct Running<K, T, E> {
    next: u64,
    flights: BTreeMap<K, (u64, Outcome<T, E>)>,
}

type Outcome<T, E> = watch::Receiver<Option<Result<T, E>>>;

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Flight<T, E>(Outcome<T, E>);

impl<K, T, E> SingleFlight<K, T, E>
where
    K: Ord + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        let running = Running {
            next: 0,
            flights: BTreeMap::new(),
        };
        Self {
            running: Mutex::new(running),
        }
    }

    /// Joins the work for this key, or begins it. The outcome is there when `first` is done; until `then`,
    /// which keeps it, is done too, who comes gets the same. After an error, who comes begins anew.
    pub(crate) fn join<First, Then>(
        self: &Arc<Self>,
        runtime: &Handle,
        key: &K,
        first: impl FnOnce() -> First,
        then: impl FnOnce(T, Landing<K, T, E>) -> Then + Send + 'static,
    ) -> Flight<T, E>
    where
        First: Future<Output = Result<T, E>> + Send + 'static,
        Then: Future<Output = ()> + Send + 'static,
    {
        let mut running = self.lock();
        if let Some((_, flight)) = running.flights.get(key) {
            return Flight(flight.clone());
        }
        let (sender, receiver) = watch::channel(None);
        running.next += 1;
        let number = running.next;
        running
            .flights
            .insert(key.clone(), (number, receiver.clone()));
        drop(running);
        let landing = Landing {
            flights: self.clone(),
            key: key.clone(),
            number,
        };
        let first = first();
        runtime.spawn(async move {
            let landing = landing;
            match first.await {
                Ok(outcome) => {
                    sender.send_replace(Some(Ok(outcome.clone())));
                    then(outcome, landing).await;
                }
                Err(error) => {
                    drop(landing);
                    sender.send_replace(Some(Err(error)));
                }
            }
        });
        Flight(receiver)
    }

    /// Whoever comes from now on does not join what is running for this key, and it is not to be kept.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().flights.remove(key);
    }
}

impl<K, T, E> SingleFlight<K, T, E> {
    fn lock(&self) -> MutexGuard<'_, Running<K, T, E>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the work off the list, even if it panics or the runtime ends.
pub(crate) struct Landing<K: Ord, T, E> {
    flights: Arc<SingleFlight<K, T, E>>,
    key: K,
    number: u64,
}

impl<K: Ord, T, E> Landing<K, T, E> {
    /// Whether nobody has asked to forget it.
    pub(crate) fn is_expected(&self) -> bool {
        self.is_in(&self.flights.lock())
    }

    fn is_in(&self, running: &Running<K, T, E>) -> bool {
        let flight = running.flights.get(&self.key);
        flight.is_some_and(|(number, _)| *number == self.number)
    }
}

impl<K: Ord, T, E> Drop for Landing<K, T, E> {
    fn drop(&mut self) {
        let mut running = self.flights.lock();
        if self.is_in(&running) {
            running.flights.remove(&self.key);
        }
    }
}

impl<T: Clone, E: Clone> Flight<T, E> {
    /// The outcome; `None` if the work came to no end, as when the runtime stops.
    pub(crate) async fn outcome(mut self) -> Option<Result<T, E>> {
        let landed = self.0.wait_for(Option::is_some).await.ok()?;
        (*landed).clone()
    }
}

impl<K, T, E> fmt::Debug for SingleFlight<K, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.lock().flights.len();
        f.debug_struct("SingleFlight")
            .field("running", &running)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn block_on(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test);
    }

    type Flights = SingleFlight<u8, usize, ()>;

    #[test]
    fn those_who_come_meanwhile_get_the_same() {
        block_on(async {
            let flights = Arc::new(Flights::new());
            let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
            let join = || {
                let (count, go) = (count.clone(), go.clone());
                let work = move || async move {
                    go.notified().await;
                    Ok(count.fetch_add(1, Ordering::Relaxed))
                };
                flights.join(&Handle::current(), &1, work, |_, _| async {})
            };
            let (one, another, abandoned) = (join(), join(), join());
            drop(abandoned);
            go.notify_one();
            let outcomes = (one.outcome().await, another.outcome().await);
            assert_eq!(outcomes, (Some(Ok(0)), Some(Ok(0))));
            tokio::task::yield_now().await;
            go.notify_one();
            assert_eq!(join().outcome().await, Some(Ok(1)), "a new one afterwards");
        });
    }

    #[test]
    fn work_that_fails_is_not_joined_any_more_and_one_that_panics_leaves_nobody_waiting() {
        block_on(async {
            let flights = Arc::new(Flights::new());
            let runtime = Handle::current();
            let flight = flights.join(&runtime, &1, || async { Err(()) }, |_, _| async {});
            assert_eq!(flight.outcome().await, Some(Err(())));
            let panics = || async { panic!("on purpose") };
            let flight = flights.join(&runtime, &1, panics, |_, _| async {});
            assert_eq!(flight.outcome().await, None);
            let flight = flights.join(&runtime, &1, || async { Ok(7) }, |_, _| async {});
            assert_eq!(flight.outcome().await, Some(Ok(7)));
        });
    }

    #[test]
    fn what_is_forgotten_is_neither_joined_nor_expected() {
        block_on(async {
            let flights = Arc::new(Flights::new());
            let runtime = Handle::current();
            let (tell, told) = tokio::sync::oneshot::channel();
            let then = |_, landing: Landing<_, _, _>| async move {
                tell.send(landing.is_expected()).unwrap();
            };
            let first = flights.join(&runtime, &1, || async { Ok(1) }, then);
            flights.forget(&1);
            let second = flights.join(&runtime, &1, || async { Ok(2) }, |_, _| async {});
            assert_eq!(first.outcome().await, Some(Ok(1)));
            assert_eq!(second.outcome().await, Some(Ok(2)));
            assert_eq!(told.await, Ok(false));
        });
    }
}
