//! Clients that use up their limits.

use klamm_metadata::MetadataImage;
use klamm_metadata::client_quota::{EntityName, QuotaEntity, QuotaLimit};
use klamm_metadata::record::MetadataRecord;

use super::sensors::{NAMES_BYTES_MAX, SENSORS_MAX};
use super::*;

const WINDOW: Window = Window {
    samples: 11,
    length: Duration::from_secs(1),
};

fn at(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(millis)
}

fn name(text: &str) -> Option<EntityName> {
    match text {
        "-" => None,
        "*" => Some(EntityName::Default),
        name => Some(EntityName::Named(name.to_owned())),
    }
}

/// Quotas by user, client-id, key and limit.
fn quotas(entries: &[(&str, &str, QuotaKey, f64)]) -> ClientQuotas {
    let mut image = MetadataImage::default();
    for (user, client_id, key, limit) in entries {
        let record = MetadataRecord::ClientQuota {
            entity: QuotaEntity {
                user: name(user),
                client_id: name(client_id),
            },
            key: *key,
            limit: QuotaLimit::new(*limit),
        };
        image.apply(&record).unwrap();
    }
    image.client_quotas().clone()
}

const PRODUCE: QuotaKey = QuotaKey::ProducerByteRate;
const FETCH: QuotaKey = QuotaKey::ConsumerByteRate;
const REQUEST: QuotaKey = QuotaKey::RequestPercentage;

struct World {
    quotas: ClientQuotas,
    manager: QuotaManager,
}

impl World {
    fn new(entries: &[(&str, &str, QuotaKey, f64)]) -> Self {
        let quotas = quotas(entries);
        let manager = QuotaManager::new(WINDOW, &quotas);
        Self { quotas, manager }
    }

    fn change(&mut self, entries: &[(&str, &str, QuotaKey, f64)]) {
        self.quotas = quotas(entries);
        self.manager.changed(&self.quotas);
    }

    fn client(&self, cached: &CachedClient, client_id: &str, now: Instant) -> Rc<QuotaClient> {
        let names = (ANONYMOUS, client_id);
        self.manager.client(cached, &self.quotas, names, now)
    }

    fn begin(&self, client_id: &str, now: Instant) -> Metered {
        let client = self.client(&CachedClient::default(), client_id, now);
        self.manager.begin(client, now)
    }

    /// Milliseconds that a client is throttled for producing.
    fn produce(&self, client_id: &str, bytes: usize, now: Instant) -> u128 {
        let metered = self.begin(client_id, now);
        let throttle = self.manager.produced(&metered, bytes, now);
        throttle.map_or(0, |throttle| throttle.time.as_millis())
    }

    fn fetch(&self, client_id: &str, bytes: usize, now: Instant) -> (u128, bool) {
        let metered = self.begin(client_id, now);
        let verdict = self.manager.fetching(&metered, bytes, None, now);
        let throttle = verdict.throttle.map(|throttle| throttle.time.as_millis());
        (throttle.unwrap_or(0), verdict.is_withheld)
    }
}

#[test]
fn who_shares_a_limit_uses_it_up_together_and_nobody_else() {
    let world = World::new(&[
        ("-", "*", PRODUCE, 100.0),
        (ANONYMOUS, "mine", PRODUCE, 200.0),
        ("other", "-", PRODUCE, 1.0),
    ]);
    assert_eq!(world.produce("a", 1_000, at(0)), 0);
    assert_eq!(
        world.produce("a", 100, at(0)),
        1_000,
        "over 10 s, 110 a second"
    );
    assert_eq!(world.produce("b", 1_000, at(0)), 0, "each has its own");
    assert_eq!(
        world.produce("mine", 2_000, at(0)),
        0,
        "the more specific limit"
    );
    assert_eq!(world.fetch("a", 1 << 30, at(0)), (0, false), "not limited");

    let world = World::new(&[(ANONYMOUS, "-", PRODUCE, 100.0)]);
    assert_eq!(world.produce("a", 1_000, at(0)), 0);
    assert_eq!(
        world.produce("b", 100, at(0)),
        1_000,
        "the user's, whatever the client-id"
    );
}

#[test]
fn another_limit_holds_from_the_next_request_on_for_what_was_used_before() {
    let mut world = World::new(&[("-", "*", PRODUCE, 1_000.0)]);
    let cached = CachedClient::default();
    let before = world.client(&cached, "a", at(0));
    assert_eq!(world.produce("a", 5_000, at(0)), 0);
    let same = world.client(&cached, "a", at(0));
    assert!(Rc::ptr_eq(&before, &same), "nothing was made anew");
    world.change(&[("-", "a", PRODUCE, 100.0)]);
    let after = world.client(&cached, "a", at(0));
    assert!(!Rc::ptr_eq(&before, &after));
    assert_eq!(
        world.produce("a", 0, at(0)),
        40_000,
        "500 a second over 10 s"
    );
    world.change(&[]);
    assert!(!world.manager.are_set());
    assert_eq!(world.manager.sensor_count(), 0);
}

#[test]
fn a_fetch_over_the_limit_is_withheld_and_not_charged() {
    let world = World::new(&[("-", "*", FETCH, 100.0)]);
    let max = world.manager.fetch_bytes_max(&world.begin("a", at(0)));
    assert_eq!(max, Some(1_000));
    assert_eq!(world.fetch("a", 1_000, at(0)), (0, false));
    assert_eq!(world.fetch("a", 500, at(0)), (5_000, true));
    assert_eq!(world.fetch("a", 500, at(1_000)), (5_000, true));
    assert_eq!(world.fetch("a", 100, at(5_000)), (1_000, true));
    assert_eq!(
        world.fetch("a", 500, at(11_500)),
        (0, false),
        "the window is empty again"
    );
}

#[test]
fn a_batch_larger_than_the_limit_ever_allows_is_given_once_and_waited_for_afterwards() {
    let world = World::new(&[("-", "*", FETCH, 100.0)]);
    assert_eq!(world.fetch("a", 3_000, at(0)), (20_000, false));
    let (throttle, is_withheld) = world.fetch("a", 3_000, at(5_000));
    assert!(throttle > 0 && is_withheld);
    assert_eq!(world.fetch("a", 3_000, at(20_000)), (20_000, false));
}

#[test]
fn throttled_for_its_time_a_client_gets_no_records_either() {
    let world = World::new(&[("-", "*", FETCH, 100.0)]);
    let metered = world.begin("a", at(0));
    let busy = Throttle {
        key: REQUEST,
        time: Duration::from_millis(7),
    };
    let verdict = world.manager.fetching(&metered, 900, Some(busy), at(0));
    let expected = FetchVerdict {
        throttle: Some(busy),
        is_withheld: true,
    };
    assert_eq!(verdict, expected);
    assert_eq!(
        world.fetch("a", 1_000, at(0)),
        (0, false),
        "it was not charged"
    );
}

#[test]
fn the_threads_time_is_recorded_in_percent_until_the_request_is_handed_on() {
    let world = World::new(&[("-", "*", REQUEST, 1.0)]);
    let quotas = &world.manager;
    // 100 ms of 10 s are one percent.
    let answered = world.begin("a", at(0));
    assert_eq!(quotas.answering(&answered, at(100)), None);
    quotas.sent(&answered, at(100), at(110));
    quotas.end(at(110));
    let later = world.begin("a", at(110));
    let throttle = quotas.answering(&later, at(110)).expect("110 ms were used");
    assert_eq!((throttle.key, throttle.time.as_millis()), (REQUEST, 990));
    quotas.end(at(110));
    assert_eq!(
        quotas.answering(&later, at(900)),
        Some(Throttle {
            time: Duration::from_millis(200),
            ..throttle
        }),
        "answered later, it takes no time of the thread"
    );
}

#[test]
fn a_throttle_for_time_is_a_sample_long_at_most_and_what_is_exempt_counts_for_nothing() {
    let world = World::new(&[("-", "*", REQUEST, 1.0)]);
    let quotas = &world.manager;
    let exempt = world.begin("a", at(0));
    quotas.exempt(&exempt);
    quotas.end(at(5_000));
    let long = world.begin("a", at(5_000));
    quotas.exempt(&exempt);
    let throttle = quotas.answering(&long, at(8_000)).map(|t| t.time);
    assert_eq!(throttle, Some(WINDOW.length), "3 s of 10 s: 30 percent");
}

#[test]
fn made_up_client_ids_take_no_more_than_the_room_there_is() {
    let world = World::new(&[("-", "*", PRODUCE, 100.0)]);
    for number in 0..SENSORS_MAX {
        assert_eq!(world.produce(&format!("made-up-{number}"), 1, at(0)), 0);
    }
    assert_eq!(world.manager.sensor_count(), SENSORS_MAX);
    // All others share one limit.
    assert_eq!(world.produce("one", 1_000, at(1_500)), 0);
    assert_eq!(world.produce("two", 100, at(1_500)), 1_000);
    let throttle = world.produce("made-up-7", 1_000, at(1_500));
    assert_eq!(throttle, 0, "but not with those that have one");
    let long = "x".repeat(NAMES_BYTES_MAX);
    let throttle = world.produce(&long, 100, at(1_500));
    assert_eq!(throttle, 2_000, "nor a name without bound");
    assert_eq!(world.manager.sensor_count(), SENSORS_MAX);

    // Once the window has passed, those that are idle make room; the used ones stay.
    let cached = CachedClient::default();
    let idle = world.client(&cached, "made-up-8", at(0));
    assert_eq!(world.produce("three", 1_000, at(13_000)), 0);
    assert_eq!(world.manager.sensor_count(), 2, "made-up-7 and three");
    let found = world.client(&cached, "made-up-8", at(13_000));
    assert!(
        !Rc::ptr_eq(&idle, &found),
        "who was idle gets another sensor"
    );
    let long = world.client(&cached, &"x".repeat(2 * NAMES_BYTES_MAX), at(13_000));
    assert_eq!(
        Rc::strong_count(&long),
        1,
        "and no connection keeps a long name"
    );
}

#[test]
fn idle_sensors_go_after_an_hour() {
    let world = World::new(&[("-", "*", PRODUCE, 100.0)]);
    world.produce("a", 1, at(0));
    world.produce("b", 1, at(1_000));
    assert_eq!(world.manager.sensor_count(), 2);
    world.produce("c", 1, at(3_600_000));
    assert_eq!(world.manager.sensor_count(), 2, "a is gone");
}
