//! Which limit holds for whom, and what a filter finds.

use super::*;

fn name(text: &str) -> Option<EntityName> {
    match text {
        "-" => None,
        "*" => Some(EntityName::Default),
        name => Some(EntityName::Named(name.to_owned())),
    }
}

/// Quotas of `producer_byte_rate` for entities written as "user client-id"; the limit is the
/// position, from 1.
fn quotas(entities: &[&str]) -> ClientQuotas {
    let mut quotas = ClientQuotas::default();
    for (limit, entity) in (1..).zip(entities) {
        let (user, client_id) = entity.split_once(' ').expect("two words");
        let entity = QuotaEntity {
            user: name(user),
            client_id: name(client_id),
        };
        let limit = QuotaLimit::new(f64::from(limit));
        quotas.set(&entity, QuotaKey::ProducerByteRate, limit);
    }
    quotas
}

/// Kafka's order, most specific first.
const ORDER: [&str; 8] = ["u c", "u *", "u -", "* c", "* *", "* -", "- c", "- *"];

#[test]
fn the_most_specific_entity_that_has_a_limit_holds_whatever_others_there_are() {
    use SharedBy::{ClientId, User, UserAndClientId};
    const SHARED_BY: [SharedBy; 8] = [
        UserAndClientId,
        UserAndClientId,
        User,
        UserAndClientId,
        UserAndClientId,
        User,
        ClientId,
        ClientId,
    ];
    for chosen in 0_u32..256 {
        let is_chosen = |position: &usize| chosen >> position & 1 == 1;
        let positions: Vec<usize> = (0..ORDER.len()).filter(is_chosen).collect();
        let mut entities: Vec<_> = positions.iter().map(|position| ORDER[*position]).collect();
        entities.extend(["other c", "u other", "- other", "other -"]);
        let quotas = quotas(&entities);
        let key = QuotaKey::ProducerByteRate;
        let found = quotas.resolve(key, "u", "c");
        let found = found.map(|(shared_by, limit)| (shared_by, limit.get()));
        let expected = positions.first().map(|first| (SHARED_BY[*first], 1.0));
        assert_eq!(found, expected, "{entities:?}");
        let other = quotas.resolve(QuotaKey::ConsumerByteRate, "u", "c");
        assert_eq!(other, None, "a limit of another kind");
    }
}

#[test]
fn a_client_without_a_client_id_comes_under_the_defaults() {
    let check = |entities: &[&str], expected: Option<(SharedBy, f64)>| {
        let found = quotas(entities).resolve(QuotaKey::ProducerByteRate, "u", "");
        let found = found.map(|(shared_by, limit)| (shared_by, limit.get()));
        assert_eq!(found, expected, "{entities:?}");
    };
    check(&["- c", "u c", "* c"], None);
    check(&["- c", "- *"], Some((SharedBy::ClientId, 2.0)));
    check(&["u c", "* *"], Some((SharedBy::UserAndClientId, 2.0)));
}

#[test]
fn a_filter_finds_what_has_all_its_parts_and_a_strict_one_nothing_more() {
    let quotas = quotas(&ORDER);
    let check = |components: &[(&str, i8, Option<&str>)], strict, expected: &[&str]| {
        let components: Vec<_> = components
            .iter()
            .map(|(entity_type, match_type, name)| FilterComponent {
                entity_type: (*entity_type).to_owned(),
                match_type: *match_type,
                match_name: name.map(str::to_owned),
            })
            .collect();
        let found = describe(&quotas, &components, strict).expect("the filter is right");
        let mut found: Vec<_> = found
            .iter()
            .flat_map(|(_, limits)| limits.iter())
            .map(|(_, limit)| ORDER[limit.get() as usize - 1])
            .collect();
        found.sort_by_key(|entity| ORDER.iter().position(|other| other == entity));
        assert_eq!(found, expected, "{components:?} strict={strict}");
    };
    check(&[], false, &ORDER);
    check(&[], true, &[]);
    check(&[("user", 0, Some("u"))], false, &["u c", "u *", "u -"]);
    check(&[("user", 0, Some("u"))], true, &["u -"]);
    check(&[("user", 1, None)], true, &["* -"]);
    check(&[("user", 2, None)], true, &["u -", "* -"]);
    check(&[("client-id", 2, None)], true, &["- c", "- *"]);
    let both = [("user", 2, None), ("client-id", 0, Some("c"))];
    check(&both, true, &["u c", "* c"]);
    check(&both, false, &["u c", "* c"]);
    check(&[("client-id", 1, None)], false, &["u *", "* *", "- *"]);
    check(&[("user", 0, Some("nobody"))], false, &[]);
    check(&[("ip", 2, None)], false, &[]);
}

#[test]
fn wrong_filters_are_refused_in_kafkas_words() {
    let check = |components: &[(&str, i8, Option<&str>)], code, expected: &str| {
        let components: Vec<_> = components
            .iter()
            .map(|(entity_type, match_type, name)| FilterComponent {
                entity_type: (*entity_type).to_owned(),
                match_type: *match_type,
                match_name: name.map(str::to_owned),
            })
            .collect();
        let none = ClientQuotas::default();
        let refusal = describe(&none, &components, false);
        let refusal = refusal.expect_err(expected);
        assert_eq!(
            (refusal.to_string().as_str(), refusal.code()),
            (expected, code)
        );
    };
    check(&[("", 2, None)], 42, "Invalid empty entity type.");
    check(&[("group", 2, None)], 35, "Unsupported entity type group");
    let twice = "Entity type user cannot appear more than once in the filter.";
    check(&[("user", 2, None), ("user", 1, None)], 42, twice);
    let null = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
    check(&[("user", 0, None)], 42, null);
    let named = "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.";
    check(&[("user", 1, Some("u"))], 42, named);
    let named = "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.";
    check(&[("user", 2, Some("u"))], 42, named);
    check(&[("user", 3, None)], 42, "Unknown match type 3");
    let mixed = QuotaRefusal::IpAndOthersInFilter.to_string();
    check(&[("ip", 2, None), ("user", 2, None)], 42, &mixed);
}
