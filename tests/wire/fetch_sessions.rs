//! Fetch sessions (KIP-227): quirk 45.

use kafka_protocol::messages::FetchResponse;
use klamm_protocol::ErrorCode;

use crate::ask::Fetch;
use crate::client::Client;
use crate::requests::batch;
use crate::world::World;

/// The id that the broker gives to a new session over two topics.
fn begin(client: &mut Client) -> i32 {
    let answer = Fetch::of("t").and("u", 0, 0).session(0, 0).ask(client, 12);
    assert_eq!((answer.error_code, names(&answer)), (0, vec!["t", "u"]));
    answer.session_id
}

fn names(answer: &FetchResponse) -> Vec<&str> {
    answer
        .responses
        .iter()
        .map(|topic| topic.topic.as_str())
        .collect()
}

#[test]
fn quirk_45_a_session_tells_only_what_has_changed() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let id = begin(&mut client);
    assert_ne!(id, 0);
    let mut next = 0;
    let mut ask = |client: &mut Client, fetch: Fetch| {
        next += 1;
        let answer = fetch.session(id, next).ask(client, 12);
        assert_eq!((answer.error_code, answer.session_id), (0, id));
        names(&answer)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(ask(&mut client, Fetch::none()), nothing);
    client.append(9, "u", &batch(&[b"v"]));
    assert_eq!(ask(&mut client, Fetch::none()), ["u"]);
    assert_eq!(
        ask(&mut client, Fetch::none()),
        ["u"],
        "until it has read on"
    );
    assert_eq!(ask(&mut client, Fetch::none().and("u", 0, 1)), nothing);
    client.append(9, "t", &batch(&[b"v"]));
    assert_eq!(ask(&mut client, Fetch::none().forget("t")), nothing);
    assert_eq!(
        ask(&mut client, Fetch::none().and("t", 0, 0)),
        ["t"],
        "added again"
    );
}

#[test]
fn quirk_45_sessions_have_numbers_and_rounds() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let id = begin(&mut client);
    let mut code = |id, epoch| {
        let answer = Fetch::none().session(id, epoch).ask(&mut client, 12);
        assert_eq!(
            answer.error_code == 0,
            answer.session_id == id,
            "{answer:?}"
        );
        answer.error_code
    };
    let wrong_round = ErrorCode::InvalidFetchSessionEpoch.code();
    let not_found = ErrorCode::FetchSessionIdNotFound.code();
    assert_eq!(code(id, 2), wrong_round);
    assert_eq!(code(id, 1), 0);
    assert_eq!(code(id, 1), wrong_round);
    assert_eq!(code(id.wrapping_add(1), 1), not_found);
}

#[test]
fn quirk_45_a_session_is_closed_and_replaced() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let not_found = ErrorCode::FetchSessionIdNotFound.code();
    let mut going_on = |id| Fetch::none().session(id, 1).ask(&mut client, 12).error_code;
    let id = begin(&mut world.client());
    let closed = Fetch::of("t").session(id, -1).ask(&mut world.client(), 12);
    assert_eq!(
        (closed.error_code, closed.session_id, names(&closed)),
        (0, 0, vec!["t"])
    );
    assert_eq!(going_on(id), not_found);
    let id = begin(&mut world.client());
    let replaced = Fetch::of("t").session(id, 0).ask(&mut world.client(), 12);
    assert_eq!(replaced.error_code, 0);
    assert!(replaced.session_id != 0 && replaced.session_id != id);
    assert_eq!(going_on(id), not_found);
    let without = Fetch::of("t").session(0, -1).ask(&mut world.client(), 12);
    assert_eq!((without.error_code, without.session_id), (0, 0));
}

#[test]
fn quirk_45_a_full_cache_gives_no_session_and_answers_all_the_same() {
    let world = World::with(&[("max.incremental.fetch.session.cache.slots", "1")]);
    let mut client = world.client();
    for topic in ["t", "u"] {
        client.create_topic(topic, &[]);
        client.append(9, topic, &batch(&[b"v"]));
    }
    assert_ne!(begin(&mut client), 0);
    assert_eq!(begin(&mut client), 0);
}

#[test]
fn quirk_45_a_session_by_names_does_not_go_on_by_ids() {
    let world = World::with_topics(&["t", "u"]);
    let mut client = world.client();
    let id = begin(&mut client);
    let answer = Fetch::none().session(id, 1).ask(&mut client, 13);
    assert_eq!(
        answer.error_code,
        ErrorCode::FetchSessionTopicIdError.code()
    );
}

#[test]
fn quirk_45_a_session_survives_neither_the_broker_nor_a_deleted_topic() {
    let mut world = World::with_topics(&["t", "u"]);
    let id = begin(&mut world.client());
    world.restart();
    let answer = Fetch::none().session(id, 1).ask(&mut world.client(), 12);
    assert_eq!(answer.error_code, ErrorCode::FetchSessionIdNotFound.code());
    let mut client = world.client();
    let id = begin(&mut client);
    let request = kafka_protocol::messages::DeleteTopicsRequest::default()
        .with_topic_names(vec![crate::ask::topic_name("u")]);
    assert_eq!(client.call(5, &request).responses[0].error_code, 0);
    let answer = Fetch::none().session(id, 1).ask(&mut client, 12);
    assert_eq!((answer.error_code, names(&answer)), (0, vec!["u"]));
    let code = answer.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
}
