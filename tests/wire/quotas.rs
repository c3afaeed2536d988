//! Client quotas: quirk 74.
//!
//! Times are bounded from below alone: what is throttled may take longer on a busy machine, but
//! never less.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest, MetadataRequest, ProduceRequest, ProduceResponse,
};
use klamm_protocol::ErrorCode;

use crate::ask::Fetch;
use crate::client::Client;
use crate::requests::{ALL, batch, produce_request, text};
use crate::support;
use crate::world::World;

type Entity<'a> = &'a [(&'a str, Option<&'a str>)];

/// One whole sample and the current one: what was used is forgotten soon.
const SHORT_WINDOW: (&str, &str) = ("quota.window.num", "2");
const APP: Entity<'static> = &[("client-id", Some("app"))];
/// More bytes of one request than a second of [`LIMIT`] allows.
const BYTES: usize = 30_000;
const LIMIT: f64 = 20_000.0;
/// Times are told in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

fn alteration(entity: Entity<'_>, ops: &[(&str, Option<f64>)]) -> EntryData {
    let entity = entity.iter().map(|(entity_type, name)| {
        EntityData::default()
            .with_entity_type(text(entity_type))
            .with_entity_name(name.map(text))
    });
    let ops = ops.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    });
    EntryData::default()
        .with_entity(entity.collect())
        .with_ops(ops.collect())
}

impl Client {
    /// Changes quotas of one entity: the error code and its message.
    fn alter_quotas(
        &mut self,
        version: i16,
        entity: Entity<'_>,
        ops: &[(&str, Option<f64>)],
    ) -> (i16, String) {
        let request =
            AlterClientQuotasRequest::default().with_entries(vec![alteration(entity, ops)]);
        let answer = self.call(version, &request);
        assert_eq!(answer.entries.len(), 1);
        let entry = &answer.entries[0];
        let parts: BTreeMap<_, _> = entry
            .entity
            .iter()
            .map(|part| (part.entity_type.as_str(), part.entity_name.as_deref()))
            .collect();
        assert_eq!(parts, entity.iter().copied().collect());
        let message = entry.error_message.as_deref().unwrap_or_default();
        (entry.error_code, message.to_owned())
    }

    fn limit(&mut self, entity: Entity<'_>, key: &str, value: Option<f64>) {
        let told = self.alter_quotas(1, entity, &[(key, value)]);
        assert_eq!(told, (0, String::new()));
    }

    /// What a filter finds, in words, or the error code.
    fn quotas(
        &mut self,
        version: i16,
        components: &[(&str, i8, Option<&str>)],
        strict: bool,
    ) -> Result<Vec<String>, i16> {
        let components = components.iter().map(|(entity_type, match_type, name)| {
            ComponentData::default()
                .with_entity_type(text(entity_type))
                .with_match_type(*match_type)
                .with_match(name.map(text))
        });
        let request = DescribeClientQuotasRequest::default()
            .with_components(components.collect())
            .with_strict(strict);
        let answer = self.call(version, &request);
        let Some(entries) = answer.entries else {
            assert!(answer.error_message.is_some());
            return Err(answer.error_code);
        };
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        let entries = entries.iter().flat_map(|entry| {
            let parts = entry.entity.iter().map(|part| {
                let name = part.entity_name.as_deref().unwrap_or("<default>");
                format!("{} {name} ", &*part.entity_type)
            });
            let entity: String = parts.collect();
            let values = entry.values.iter();
            values.map(move |value| format!("{entity}{}={}", &*value.key, value.value))
        });
        Ok(entries.collect())
    }

    /// Produces [`BYTES`] and a few more.
    fn produce_bytes(&mut self) -> ProduceResponse {
        self.call(9, &request_of_bytes(ALL))
    }

    /// Asks for what needs nothing, and waits for the answer.
    fn is_answered(&mut self) -> Duration {
        let answer = self.call(12, &MetadataRequest::default().with_topics(Some(vec![])));
        Duration::from_millis(u64::try_from(answer.throttle_time_ms).expect("not negative"))
    }
}

fn request_of_bytes(acks: i16) -> ProduceRequest {
    produce_request("t", 0, acks, &batch(&[&[7; BYTES]]))
}

fn throttle(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).expect("not negative"))
}

/// How long [`BYTES`] are throttled at least, over a window of a second.
fn throttle_of_bytes() -> Duration {
    let seconds = BYTES as f64 / LIMIT - 1.0;
    Duration::from_secs_f64(seconds).saturating_sub(ROUNDING)
}

#[test]
fn quirk_74_quotas_are_set_found_and_kept_over_restarts() {
    let mut world = World::new();
    let mut client = world.client();
    let limit = [("producer_byte_rate", Some(1000.0))];
    let done = (0, String::new());
    let entities: [Entity<'_>; 4] = [
        &[("user", Some("alice"))],
        &[("user", None), ("client-id", Some("app"))],
        APP,
        &[("client-id", None)],
    ];
    for (version, entity) in [0, 1, 0, 1].into_iter().zip(entities) {
        assert_eq!(client.alter_quotas(version, entity, &limit), done);
    }
    let more = [
        ("request_percentage", Some(12.5)),
        ("producer_byte_rate", None),
        ("consumer_byte_rate", Some(2e9)),
    ];
    assert_eq!(client.alter_quotas(1, entities[0], &more), done);
    let mut all = vec![
        "client-id <default> producer_byte_rate=1000",
        "client-id app producer_byte_rate=1000",
        "client-id app user <default> producer_byte_rate=1000",
        "user alice consumer_byte_rate=2000000000",
        "user alice request_percentage=12.5",
    ];
    for version in 0..=1 {
        let alice = client.quotas(version, &[("user", 0, Some("alice"))], true);
        assert_eq!(alice.unwrap(), &all[3..]);
        let default = client.quotas(version, &[("client-id", 1, None)], true);
        assert_eq!(default.unwrap(), &all[..1]);
        let with_client_id = client.quotas(version, &[("client-id", 2, None)], false);
        assert_eq!(with_client_id.unwrap(), &all[..3]);
        assert_eq!(client.quotas(version, &[], false).unwrap(), all);
    }
    let only_checked = AlterClientQuotasRequest::default()
        .with_entries(vec![alteration(APP, &[("producer_byte_rate", None)])])
        .with_validate_only(true);
    assert_eq!(client.call(1, &only_checked).entries[0].error_code, 0);
    for restart in [World::restart, World::kill_and_restart] {
        restart(&mut world);
        let found = world.client().quotas(1, &[], false);
        assert_eq!(found.unwrap(), all);
    }
    world.client().limit(APP, "producer_byte_rate", None);
    all.remove(1);
    world.restart();
    assert_eq!(world.client().quotas(1, &[], false).unwrap(), all);
}

#[test]
fn quirk_74_what_cannot_be_set_is_refused_in_kafkas_words() {
    let world = World::new();
    let mut client = world.client();
    let mut check = |entity: Entity<'_>, key, value, message: &str| {
        let told = client.alter_quotas(1, entity, &[(key, Some(value))]);
        assert_eq!(told, (ErrorCode::InvalidRequest.code(), message.to_owned()));
    };
    let rate = "producer_byte_rate";
    check(&[], rate, 1.0, "Invalid empty client quota entity");
    check(&[("user", Some(""))], rate, 1.0, "Empty user not supported");
    check(APP, "burst", 1.0, "Invalid configuration key burst");
    let negative = "Quota producer_byte_rate must be greater than 0";
    check(APP, rate, -1.0, negative);
    let broken = "producer_byte_rate cannot be a fractional value.";
    check(APP, rate, 0.5, broken);
    let unenforced =
        "The quota controller_mutation_rate is not enforced here, so it cannot be set.";
    check(APP, "controller_mutation_rate", 1.0, unenforced);
    let address = "Quotas of single addresses (connection_creation_rate) are not enforced here; max.connection.creation.rate limits all new connections together.";
    check(&[("ip", None)], "connection_creation_rate", 1.0, address);
    assert_eq!(client.quotas(1, &[], false), Ok(vec![]));
    let unsupported = ErrorCode::UnsupportedVersion.code();
    let found = client.quotas(1, &[("group", 2, None)], false);
    assert_eq!(found, Err(unsupported));
    let found = client.quotas(1, &[("user", 0, None)], false);
    assert_eq!(found, Err(ErrorCode::InvalidRequest.code()));
    assert_eq!(client.quotas(1, &[("ip", 2, None)], false), Ok(vec![]));
}

#[test]
fn quirk_74_a_producer_over_its_rate_is_answered_at_once_and_not_read_for_its_throttle() {
    let world = World::with(&[SHORT_WINDOW]);
    let mut admin = world.client();
    admin.create_topic("t", &[]);
    admin.limit(APP, "producer_byte_rate", Some(LIMIT));
    let (mut app, mut other) = (world.client().named("app"), world.client().named("other"));
    assert_eq!(other.produce_bytes().throttle_time_ms, 0);
    let started = Instant::now();
    let answer = app.produce_bytes();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    let told = throttle(answer.throttle_time_ms);
    assert!(told >= throttle_of_bytes(), "{told:?}");
    // Everybody else is read: the same client by another connection too, though it shares the rate.
    assert_eq!(other.produce_bytes().throttle_time_ms, 0);
    world.client().named("app").is_answered();
    app.is_answered();
    let took = started.elapsed();
    assert!(took >= told, "{took:?} of {told:?}");
    admin.limit(APP, "producer_byte_rate", None);
    assert_eq!(app.produce_bytes().throttle_time_ms, 0);
}

#[test]
fn quirk_74_without_an_answer_a_producer_is_throttled_all_the_same() {
    // One at a time: what was read together with the first would be answered.
    let one = ("klamm.requests.in.flight.max", "1");
    let world = World::with(&[SHORT_WINDOW, one]);
    let mut admin = world.client();
    admin.create_topic("t", &[]);
    admin.limit(APP, "producer_byte_rate", Some(LIMIT));
    let mut app = world.client().named("app");
    let started = Instant::now();
    app.send(9, &request_of_bytes(0)).expect("it is sent");
    app.is_answered();
    let took = started.elapsed();
    assert!(took >= throttle_of_bytes(), "{took:?}");
    assert_eq!(admin.ends("t"), (0, 1));
}

#[test]
fn quirk_74_all_connections_of_a_user_share_its_rate() {
    let world = World::with(&[SHORT_WINDOW]);
    let mut admin = world.client();
    admin.create_topic("t", &[]);
    // Nobody is asked who they are: all are the same user.
    admin.limit(
        &[("user", Some("ANONYMOUS"))],
        "producer_byte_rate",
        Some(LIMIT),
    );
    let other: Entity<'_> = &[("user", Some("alice"))];
    admin.limit(other, "producer_byte_rate", Some(1.0));
    let own: Entity<'_> = &[("user", None), ("client-id", Some("own"))];
    admin.limit(own, "producer_byte_rate", Some(1.0));
    let first = world.client().named("a").produce_bytes().throttle_time_ms;
    let second = world.client().named("own").produce_bytes().throttle_time_ms;
    assert!(throttle(first) >= throttle_of_bytes());
    assert!(second > 0);
    // The window may have passed between the two on a slow machine, but not the limit of alice.
    assert!(throttle(second) < Duration::from_secs(1_000));
}

#[test]
fn quirk_74_a_consumer_over_its_rate_gets_nothing_and_the_records_later() {
    let world = World::with(&[SHORT_WINDOW]);
    let mut admin = world.client();
    admin.create_topic("t", &[]);
    for _ in 0..3 {
        admin.produce_bytes();
    }
    admin.limit(APP, "consumer_byte_rate", Some(40_000.0));
    let mut app = world.client().named("app");
    let first = Fetch::of("t").session(0, 0).ask(&mut app, 12);
    let records = |answer: &kafka_protocol::messages::FetchResponse| {
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let records = partitions.filter_map(|partition| partition.records.as_ref());
        records.map(bytes::Bytes::len).sum::<usize>()
    };
    let size = records(&first);
    assert!(
        (BYTES..2 * BYTES).contains(&size),
        "no more than may be had at once: {size}"
    );
    assert_eq!(first.throttle_time_ms, 0);
    // Sooner or later the second finds the first still in the window.
    let (mut next, mut offset, mut throttled) = (1, 1, 0);
    let started = Instant::now();
    while throttled < 2 {
        assert!(started.elapsed() < support::LIMIT, "it is never throttled");
        let fetch = Fetch::none().and("t", 0, offset);
        let answer = fetch.session(first.session_id, next).ask(&mut app, 12);
        assert_eq!(
            (answer.error_code, answer.session_id),
            (0, first.session_id)
        );
        next += 1;
        if answer.throttle_time_ms > 0 {
            assert_eq!(answer.responses.len(), 0, "nothing");
            throttled += 1;
        } else {
            assert!(records(&answer) > 0);
            offset = 3 - offset;
        }
    }
    let fetch = Fetch::none().and("t", 0, 2).session(first.session_id, next);
    admin.limit(APP, "consumer_byte_rate", None);
    let answer = fetch.ask(&mut app, 12);
    assert_eq!(answer.throttle_time_ms, 0);
    assert_eq!(records(&answer), size, "the session goes on");
}

#[test]
fn quirk_74_a_batch_larger_than_the_rate_ever_allows_does_not_stop_a_consumer() {
    let world = World::with(&[SHORT_WINDOW]);
    let mut admin = world.client();
    admin.create_topic("t", &[]);
    admin.produce_bytes();
    admin.limit(APP, "consumer_byte_rate", Some(LIMIT));
    let mut app = world.client().named("app");
    let answer = Fetch::of("t").ask(&mut app, 11);
    assert!(throttle(answer.throttle_time_ms) >= throttle_of_bytes());
    let records = answer.responses[0].partitions[0].records.as_ref();
    assert!(records.is_some_and(|records| records.len() > BYTES));
}

#[test]
fn quirk_74_the_threads_time_is_limited_for_every_request() {
    let world = World::with(&[SHORT_WINDOW]);
    // A tenth of a microsecond in a second.
    let nothing = 0.000_01;
    world
        .client()
        .limit(&[("client-id", None)], "request_percentage", Some(nothing));
    let mut client = world.client();
    let started = Instant::now();
    let first = client.call(3, &ApiVersionsRequest::default());
    let told = throttle(first.throttle_time_ms);
    assert!(
        told > Duration::ZERO && told <= Duration::from_secs(1),
        "{told:?}"
    );
    let second = client.is_answered();
    let took = started.elapsed();
    assert!(took >= told, "{took:?} of {told:?}");
    assert!(second > Duration::ZERO, "and again");
    // Version 0 of ApiVersions cannot tell; it is throttled all the same.
    let mut old = world.client();
    let started = Instant::now();
    old.call(0, &ApiVersionsRequest::default());
    old.is_answered();
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[test]
fn quirk_74_nobody_has_credentials() {
    let world = World::new();
    let mut client = world.client();
    let mut describe = |users: Option<&[&str]>| {
        let users = users.map(|users| {
            let users = users.iter();
            users
                .map(|name| UserName::default().with_name(text(name)))
                .collect()
        });
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let answer = client.call(0, &request);
        assert_eq!(answer.error_code, 0);
        let results = answer.results.iter();
        results
            .map(|user| (user.user.to_string(), user.error_code))
            .collect::<Vec<_>>()
    };
    assert_eq!(describe(None), []);
    assert_eq!(describe(Some(&[])), []);
    let unknown = ErrorCode::ResourceNotFound.code();
    let twice = ErrorCode::DuplicateResource.code();
    let told = describe(Some(&["b", "a", "b"]));
    assert_eq!(told, [("a".to_owned(), unknown), ("b".to_owned(), twice)]);
}
