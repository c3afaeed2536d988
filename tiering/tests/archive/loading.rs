//! What an archive holds, from its manifest or from a listing.

use std::ops::Range;
use std::sync::atomic::Ordering;

use klamm_model::{LeaderEpoch, Offset, Timestamp};
use klamm_tiering::layout::{head_key, index_key, log_key, sealed_key};
use klamm_tiering::manifest::SEAL_OBJECTS;
use klamm_tiering::{ArchiveError, ManifestError, ObjectStore, PartitionArchive, StoreError};

use crate::world::{GROUP, World, block_on, owner};

const EPOCH: LeaderEpoch = LeaderEpoch(1);

/// The bounds of all objects, as find goes from one to the next.
async fn bounds(archive: &PartitionArchive) -> Vec<i64> {
    let Range { mut start, end } = archive.range();
    let mut bounds = Vec::new();
    while start < end {
        let object = archive.find(start).await.unwrap().unwrap();
        if bounds.is_empty() {
            bounds.push(object.base().get());
        }
        bounds.push(object.end().get());
        start = object.end();
    }
    bounds
}

#[test]
fn the_head_of_the_manifest_is_enough() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 35], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        let archive = world.load(0..35).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20, 35]);
        let found = archive.find(Offset::new(20)).await.unwrap();
        assert_eq!(found.as_ref(), Some(&objects[2]));
        assert_eq!(archive.find_now(Offset::new(19)), Some(objects[1].clone()));
        assert_eq!(archive.find(Offset::new(35)).await.unwrap(), None);
        assert_eq!(world.store.listings.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn without_a_head_objects_are_listed() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 35], 1).await;
        let archive = world.load(5..35).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20, 35]);
        let listed = archive.find(Offset::new(20)).await.unwrap().unwrap();
        assert_eq!((listed.bytes, &listed.details), (objects[2].bytes, &None));
        let details = archive.details(&listed).await.unwrap();
        assert_eq!(
            (details.records, details.max_timestamp),
            (15, Timestamp(34))
        );
        let again = archive.find(Offset::new(20)).await.unwrap().unwrap();
        assert_eq!(again.details, Some(details), "looked up once");
        assert_eq!(archive.find(Offset::new(4)).await.unwrap(), None);
    });
}

#[test]
fn a_head_that_is_behind_is_completed() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        world.small(&[20, 30, 40, 55], 2).await;
        // Planned and not committed, and of a history that has ended.
        world.small(&[40, 70], 3).await;
        world.small(&[25, 30], 1).await;
        let archive = world.load(0..40).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20, 30, 40]);
        assert_eq!(archive.find_now(Offset::ZERO), Some(objects[0].clone()));
        let archive = world.load(0..70).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20, 30, 40, 70]);
    });
}

#[test]
fn a_head_that_knows_more_than_this_broker_is_cut() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 35], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        let archive = world.load(10..20).await.unwrap();
        assert_eq!(bounds(&archive).await, [10, 20]);
        assert_eq!(bounds(&world.load(35..35).await.unwrap()).await, [0; 0]);
        assert_eq!(world.store.listings.load(Ordering::Relaxed), 0);
        // No object ends there.
        let refused = world.load(0..15).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Hole { .. }), "{refused}");
    });
}

#[test]
fn a_history_that_an_unclean_election_has_ended_does_not_count() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        world.small(&[10, 20, 40], 5).await;
        let archive = world.load(0..40).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20, 40]);
        let taken = archive.find(Offset::new(10)).await.unwrap().unwrap();
        assert_eq!((taken.name.epoch(), taken.details), (LeaderEpoch(5), None));
    });
}

#[test]
fn a_damaged_head_is_passed_over_and_replaced() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        world.replace(&head_key(GROUP), "{\"version\":1,").await;
        let archive = world.load(0..20).await.unwrap();
        assert_eq!(bounds(&archive).await, [0, 10, 20]);
        archive.publish(LeaderEpoch(2)).await.unwrap();
        let listings = world.store.listings.load(Ordering::Relaxed);
        world.load(0..20).await.unwrap();
        assert_eq!(world.store.listings.load(Ordering::Relaxed), listings);
    });
}

#[test]
fn a_head_of_a_newer_version_is_neither_read_nor_replaced() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10], 1).await;
        let archive = world.archive_of(&objects);
        archive.publish(EPOCH).await.unwrap();
        world.replace(&head_key(GROUP), "{\"version\":7}").await;
        let expected = ArchiveError::Manifest {
            key: head_key(GROUP),
            error: ManifestError::Newer { version: 7 },
        };
        assert_eq!(world.load(0..10).await.unwrap_err(), expected);
        let refused = archive.publish(EPOCH).await.unwrap_err();
        assert_eq!(refused, expected.into());
    });
}

#[test]
fn what_is_missing_is_an_error_that_says_where() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        let log = log_key(GROUP, &objects[1].name);
        world
            .store
            .delete(&index_key(GROUP, &objects[1].name))
            .await
            .unwrap();
        let expected = |half| ArchiveError::Hole {
            from: Offset::new(10),
            to: Offset::new(20),
            half,
        };
        assert_eq!(
            world.load(0..30).await.unwrap_err(),
            expected(Some(log.clone()))
        );
        world.store.delete(&log).await.unwrap();
        let error = world.load(0..30).await.unwrap_err();
        assert_eq!(error, expected(None));
        assert_eq!(error.to_string(), "the archive has a hole from=10 to=20");
        assert_eq!(bounds(&world.load(20..30).await.unwrap()).await, [20, 30]);
    });
}

#[test]
fn a_store_that_is_away_is_no_archive_without_objects() {
    block_on(async {
        let world = World::new();
        world.small(&[0, 10], 1).await;
        for failing in 1..=2 {
            world.store.failing.store(failing, Ordering::Relaxed);
            let error = world.load(0..10).await.unwrap_err();
            let is_away = matches!(error, ArchiveError::Store(StoreError::Unavailable { .. }));
            assert!(is_away, "{error}");
            world.store.failing.store(0, Ordering::Relaxed);
        }
        assert!(world.load(0..10).await.is_ok());
    });
}

/// Three thousand objects and one, of ten offsets each.
async fn many(world: &World) -> Vec<i64> {
    let bounds: Vec<_> = (0..=3 * SEAL_OBJECTS as i64 + 1)
        .map(|at| at * 10)
        .collect();
    world.small(&bounds, 1).await;
    bounds
}

#[test]
fn older_objects_become_lists_that_are_read_when_they_are_wanted() {
    block_on(async {
        let world = World::new();
        let all = many(&world).await;
        let end = *all.last().unwrap();
        let listed = world.load(0..end).await.unwrap();
        assert_eq!(bounds(&listed).await, all);
        listed.publish(EPOCH).await.unwrap();
        assert_eq!(bounds(&listed).await, all);
        let listings = world.store.listings.load(Ordering::Relaxed);

        let archive = world.load(0..end).await.unwrap();
        world.store.take_reads("");
        assert_eq!(archive.find_now(Offset::new(5)), None);
        assert_eq!(bounds(&archive).await, all);
        assert_eq!(world.store.take_reads(".json").len(), 3);
        assert!(archive.find_now(Offset::new(5)).is_some(), "kept");
        assert_eq!(
            archive.bytes_from(Offset::new(5)).await,
            listed.bytes_from(Offset::ZERO).await
        );
        assert_eq!(world.store.listings.load(Ordering::Relaxed), listings);

        // The head is behind; its lists are not.
        world.small(&[end, end + 5], 1).await;
        let archive = world.load(15..end + 5).await.unwrap();
        assert_eq!(world.store.listings.load(Ordering::Relaxed), listings + 1);
        assert_eq!(bounds(&archive).await.len(), all.len());
    });
}

/// Writes down all that the store has up to there.
async fn publish(world: &World, end: i64) {
    let archive = world.load(0..end).await.unwrap();
    archive.publish(EPOCH).await.unwrap();
}

#[test]
fn a_list_that_is_damaged_or_missing_is_made_up_for() {
    block_on(async {
        let world = World::new();
        let all = many(&world).await;
        let end = *all.last().unwrap();
        publish(&world, end).await;
        let list = |nth: i64| {
            let length = SEAL_OBJECTS as i64 * 10;
            sealed_key(
                GROUP,
                &(Offset::new(nth * length)..Offset::new((nth + 1) * length)),
            )
        };
        world.replace(&list(0), "[]").await;
        world.store.delete(&list(1)).await.unwrap();
        let archive = world.load(0..end).await.unwrap();
        assert_eq!(bounds(&archive).await, all);
    });
}

#[test]
fn a_list_that_is_there_already_is_taken_if_it_holds_the_same() {
    block_on(async {
        let world = World::new();
        let all = many(&world).await;
        let end = *all.last().unwrap();
        publish(&world, end).await;
        // The head is lost, and the first list holds something else.
        world.store.delete(&head_key(GROUP)).await.unwrap();
        let length = Offset::new(SEAL_OBJECTS as i64 * 10);
        world
            .replace(&sealed_key(GROUP, &(Offset::ZERO..length)), "[]")
            .await;
        world
            .load(0..end)
            .await
            .unwrap()
            .publish(LeaderEpoch(2))
            .await
            .unwrap();
        assert_eq!(bounds(&world.load(0..end).await.unwrap()).await, all);
    });
}

#[test]
fn an_object_that_does_not_follow_is_not_added() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        let archive = PartitionArchive::empty(world.store.clone(), owner(), Offset::ZERO);
        archive.add(objects[0].clone(), &[]).unwrap();
        let refused = archive.add(objects[2].clone(), &[]).unwrap_err();
        assert_eq!(
            (refused.end, refused.base),
            (Offset::new(10), Offset::new(20))
        );
        assert_eq!(archive.range(), Offset::ZERO..Offset::new(10));
    });
}

#[test]
fn an_object_is_found_by_time() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        world.archive_of(&objects).publish(EPOCH).await.unwrap();
        let listed = World::new();
        listed.small(&[0, 10, 20, 30], 1).await;
        for world in [world, listed] {
            let archive = world.load(3..30).await.unwrap();
            for (time, base) in [
                (0, Some(0)),
                (9, Some(0)),
                (10, Some(10)),
                (29, Some(20)),
                (30, None),
            ] {
                let found = archive.find_time(Timestamp(time)).await.unwrap();
                assert_eq!(found.map(|object| object.base().get()), base, "{time}");
            }
        }
    });
}
