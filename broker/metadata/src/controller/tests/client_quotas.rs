//! AlterClientQuotas, as `ClientQuotaControlManagerTest` of Apache Kafka has it.

use super::super::*;
use super::World;
use crate::client_quota::{QuotaKey, QuotaRefusal};

type Parts<'a> = &'a [(&'a str, Option<&'a str>)];
type Ops<'a> = &'a [(&'a str, Option<f64>)];

fn alteration(parts: Parts<'_>, ops: Ops<'_>) -> QuotaAlteration {
    let entity = parts
        .iter()
        .map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)));
    let ops = ops.iter().map(|(key, value)| QuotaOp {
        key: (*key).to_owned(),
        value: *value,
    });
    QuotaAlteration {
        entity: entity.collect(),
        ops: ops.collect(),
    }
}

fn alter(world: &mut World, parts: Parts<'_>, ops: Ops<'_>) -> Result<(), QuotaRefusal> {
    let alterations = [alteration(parts, ops)];
    let mut reply = world.with(|controller| controller.alter_client_quotas(&alterations, false));
    assert_eq!(reply.len(), 1);
    reply.remove(0).1
}

/// Every limit there is, in words.
fn limits(world: &World) -> Vec<String> {
    let entities = world.image.client_quotas().iter();
    let show = |name: &Option<crate::client_quota::EntityName>| match name {
        None => "-".to_owned(),
        Some(name) => name.on_wire().unwrap_or("*").to_owned(),
    };
    entities
        .flat_map(|(entity, limits)| {
            let (user, client_id) = (show(&entity.user), show(&entity.client_id));
            limits
                .iter()
                .map(move |(key, limit)| format!("{user} {client_id} {key}={}", limit.get()))
        })
        .collect()
}

const ALICE: Parts<'static> = &[("user", Some("alice"))];

#[test]
fn limits_are_set_changed_and_taken_back_for_every_kind_of_entity() {
    let mut world = World::new();
    let entities: [Parts<'_>; 6] = [
        ALICE,
        &[("user", None)],
        &[("client-id", Some("app"))],
        &[("client-id", None)],
        &[("user", Some("alice")), ("client-id", None)],
        &[("user", None), ("client-id", Some("app"))],
    ];
    for entity in entities {
        let ops = [("producer_byte_rate", Some(1000.0))];
        assert_eq!(alter(&mut world, entity, &ops), Ok(()));
    }
    let all = [
        "- * producer_byte_rate=1000",
        "- app producer_byte_rate=1000",
        "* - producer_byte_rate=1000",
        "* app producer_byte_rate=1000",
        "alice - producer_byte_rate=1000",
        "alice * producer_byte_rate=1000",
    ];
    assert_eq!(limits(&world), all);
    let ops = [
        ("producer_byte_rate", None),
        ("consumer_byte_rate", Some(2000.0)),
        ("request_percentage", Some(12.5)),
    ];
    assert_eq!(alter(&mut world, ALICE, &ops), Ok(()));
    for entity in &entities[1..] {
        let ops = [("producer_byte_rate", None)];
        assert_eq!(alter(&mut world, entity, &ops), Ok(()));
    }
    let left = [
        "alice - consumer_byte_rate=2000",
        "alice - request_percentage=12.5",
    ];
    assert_eq!(limits(&world), left);
}

#[test]
fn what_is_so_already_makes_no_record() {
    let mut world = World::new();
    let ops = [
        ("request_percentage", Some(5.0)),
        ("consumer_byte_rate", None),
    ];
    let alterations = [alteration(ALICE, &ops)];
    let mut decide = |validate_only| {
        let mut records = 0;
        world.with(|controller| {
            let decision = controller.alter_client_quotas(&alterations, validate_only);
            records = decision.records.len();
            decision
        });
        records
    };
    assert_eq!(decide(true), 0, "only validated");
    assert_eq!(decide(false), 1);
    assert_eq!(decide(false), 0);
    let set = world.image.client_quotas().iter().next();
    assert!(
        set.is_some_and(|(_, limits)| limits.get(QuotaKey::RequestPercentage).is_some()),
        "the first, and nothing since"
    );
}

#[test]
fn refusals_are_in_kafkas_words_and_change_nothing() {
    let one = [("producer_byte_rate", Some(1.0))];
    let check = |parts: Parts<'_>, ops: Ops<'_>, expected: &str| {
        let mut world = World::new();
        let refusal = alter(&mut world, parts, ops).expect_err(expected);
        assert_eq!(
            (refusal.to_string().as_str(), refusal.code()),
            (expected, 42)
        );
        assert_eq!(limits(&world), [""; 0]);
    };
    check(&[], &one, "Invalid empty client quota entity");
    let unhandled = "Unhandled client quota entity type: group";
    check(&[("group", Some("g"))], &one, unhandled);
    check(&[("user", Some(""))], &one, "Empty user not supported");
    check(
        &[("client-id", Some(""))],
        &one,
        "Empty client-id not supported",
    );
    let both =
        "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId";
    check(&[("ip", None), ("user", None)], &one, both);
    let ip = QuotaRefusal::IpQuota.to_string();
    let rate = [("connection_creation_rate", Some(1.0))];
    check(&[("ip", Some("127.0.0.1"))], &rate, &ip);

    let check = |key, value, expected| check(ALICE, &[one[0], (key, Some(value))], expected);
    let rate = "consumer_byte_rate";
    check("burst", 1.0, "Invalid configuration key burst");
    check(rate, 0.0, "Quota consumer_byte_rate must be greater than 0");
    check(
        rate,
        -1.0,
        "Quota consumer_byte_rate must be greater than 0",
    );
    check(
        rate,
        f64::NAN,
        "Quota consumer_byte_rate must be greater than 0",
    );
    check(
        rate,
        1.5,
        "consumer_byte_rate cannot be a fractional value.",
    );
    let large = "Proposed value for consumer_byte_rate is too large for a LONG.";
    check(rate, 1e19, large);
    check(rate, f64::INFINITY, large);
    let large = "Proposed value for request_percentage is too large for a DOUBLE.";
    check("request_percentage", f64::INFINITY, large);
    let unenforced =
        "The quota controller_mutation_rate is not enforced here, so it cannot be set.";
    check("controller_mutation_rate", 1.0, unenforced);
}

#[test]
fn each_entity_is_decided_on_its_own_and_one_that_comes_twice_is_told_so() {
    let mut world = World::new();
    let set = |parts, value| alteration(parts, &[("producer_byte_rate", Some(value))]);
    let twice: Ops<'_> = &[
        ("request_percentage", Some(1.0)),
        ("request_percentage", None),
    ];
    let alterations = [
        set(ALICE, 1.0),
        set(&[("client-id", None)], -1.0),
        set(ALICE, 2.0),
        alteration(&[("user", None), ("client-id", None)], twice),
        set(&[("client-id", Some("app"))], 3.0),
    ];
    let reply = world.with(|controller| controller.alter_client_quotas(&alterations, false));
    let told: Vec<_> = reply
        .iter()
        .map(|(_, outcome)| outcome.as_ref().err().map(ToString::to_string))
        .collect();
    let alice = "Ignoring duplicate entity ClientQuotaEntity(entries={user=alice})";
    let default =
        "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=null, user=null})";
    let negative = "Quota producer_byte_rate must be greater than 0";
    let expected = [Some(alice), Some(negative), Some(default), None];
    assert_eq!(told, expected.map(|text| text.map(str::to_owned)));
    let set = ["- app producer_byte_rate=3", "alice - producer_byte_rate=1"];
    assert_eq!(limits(&world), set);
}
