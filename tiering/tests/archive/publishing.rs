//! Who writes the manifest, and who finds out that it is somebody else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use klamm_model::{LeaderEpoch, Offset};
use klamm_tiering::layout::{head_key, mark_key};
use klamm_tiering::{ArchiveMarkError, ManifestHead, ObjectStore, PublishError, claim_archive};
use tokio::task::JoinSet;

use crate::world::{GROUP, World, block_on};

async fn head(world: &World) -> ManifestHead {
    let bytes = world.store.get_range(&head_key(GROUP), 0..u64::MAX).await;
    ManifestHead::decode(&bytes.unwrap()).unwrap()
}

fn superseded(epoch: i32, sequence: u64) -> Result<(), PublishError> {
    let epoch = LeaderEpoch(epoch);
    Err(PublishError::Superseded { epoch, sequence })
}

#[test]
fn a_leader_that_was_replaced_finds_out() {
    for world in [World::new(), World::in_directory()] {
        block_on(async {
            let objects = world.small(&[0, 10, 20], 1).await;
            let old = world.archive_of(&objects[..1]);
            old.publish(LeaderEpoch(1)).await.unwrap();
            let new = world.load(0..10).await.unwrap();
            new.add(objects[1].clone(), &[]).unwrap();
            new.publish(LeaderEpoch(2)).await.unwrap();
            assert_eq!(old.publish(LeaderEpoch(1)).await, superseded(2, 2));
            assert_eq!(old.publish(LeaderEpoch(1)).await, superseded(2, 2));
            new.publish(LeaderEpoch(2)).await.unwrap();
            let head = head(&world).await;
            assert_eq!((head.sequence, head.end), (3, Offset::new(20)));
            assert_eq!(head.recent, objects);
        });
    }
}

#[test]
fn a_new_leader_goes_on_whatever_the_old_one_has_written_meanwhile() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20], 1).await;
        let old = world.archive_of(&objects[..1]);
        let new = world.archive_of(&objects);
        old.publish(LeaderEpoch(1)).await.unwrap();
        old.publish(LeaderEpoch(1)).await.unwrap();
        new.publish(LeaderEpoch(2)).await.unwrap();
        let head = head(&world).await;
        assert_eq!((head.sequence, head.leader_epoch), (3, LeaderEpoch(2)));
    });
}

#[test]
fn of_two_that_publish_side_by_side_the_later_leader_wins() {
    let world = World::in_directory();
    block_on(async {
        let objects = world.small(&[0, 10, 20], 1).await;
        let old = Arc::new(world.archive_of(&objects[..1]));
        let new = Arc::new(world.archive_of(&objects));
        let mut racing = JoinSet::new();
        for (archive, epoch) in [(old, 1), (new, 2)] {
            racing.spawn(async move {
                let mut outcomes = Vec::new();
                while outcomes.len() < 20 {
                    match archive.publish(LeaderEpoch(epoch)).await {
                        Err(PublishError::Busy) => {}
                        outcome => outcomes.push(outcome),
                    }
                }
                (epoch, outcomes)
            });
        }
        for (epoch, outcomes) in racing.join_all().await {
            let is_fine = |outcome: &Result<(), PublishError>| match outcome {
                Ok(()) => true,
                Err(PublishError::Superseded { .. }) => epoch == 1,
                Err(_) => false,
            };
            assert!(outcomes.iter().all(is_fine), "{epoch}: {outcomes:?}");
        }
        let head = head(&world).await;
        assert_eq!(
            (head.leader_epoch, head.end),
            (LeaderEpoch(2), Offset::new(20))
        );
        assert!(head.sequence >= 20);
    });
}

#[test]
fn two_that_believe_to_lead_the_same_epoch_do_not_both_write() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20], 1).await;
        world
            .archive_of(&objects)
            .publish(LeaderEpoch(3))
            .await
            .unwrap();
        let other = world.archive_of(&objects[..1]);
        for _ in 0..2 {
            assert_eq!(other.publish(LeaderEpoch(3)).await, superseded(3, 1));
        }
        assert_eq!(head(&world).await.end, Offset::new(20));
        other.publish(LeaderEpoch(4)).await.unwrap();
    });
}

#[test]
fn a_head_whose_answer_was_lost_is_recognised() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        let archive = world.archive_of(&objects[..1]);
        for object in &objects[1..] {
            world.store.unanswered.store(1, Ordering::Relaxed);
            assert!(archive.publish(LeaderEpoch(1)).await.is_err());
            world.store.failing.store(1, Ordering::Relaxed);
            assert!(archive.publish(LeaderEpoch(1)).await.is_err());
            archive.add(object.clone(), &[]).unwrap();
        }
        archive.publish(LeaderEpoch(1)).await.unwrap();
        assert_eq!(head(&world).await.end, Offset::new(30));
    });
}

#[test]
fn a_head_that_somebody_has_removed_is_written_again() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10], 1).await;
        let archive = world.archive_of(&objects);
        archive.publish(LeaderEpoch(1)).await.unwrap();
        world.store.delete(&head_key(GROUP)).await.unwrap();
        archive.publish(LeaderEpoch(1)).await.unwrap();
        assert_eq!(head(&world).await.sequence, 2);
    });
}

#[test]
fn epochs_of_the_records_are_published_and_read_back() {
    block_on(async {
        let world = World::new();
        let mut objects = world.small(&[0, 10], 1).await;
        objects.extend(world.small(&[10, 20], 4).await);
        let archive = world.archive_of(&[]);
        for object in &objects {
            let index = archive.index(object).await.unwrap();
            archive.add(object.clone(), index.epochs()).unwrap();
        }
        archive.publish(LeaderEpoch(4)).await.unwrap();
        let told = |archive: &klamm_tiering::PartitionArchive| {
            let epochs = archive.epochs();
            let told = epochs
                .iter()
                .map(|entry| (entry.epoch.0, entry.start_offset.get()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&world.load(0..20).await.unwrap()), [(1, 0), (4, 10)]);
        assert_eq!(told(&world.load(12..20).await.unwrap()), [(4, 10)]);
    });
}

#[test]
fn a_place_is_one_clusters() {
    block_on(async {
        let world = World::new();
        let claim = async |cluster_id| claim_archive(&*world.store, cluster_id).await;
        assert_eq!(claim("one").await, Ok(()));
        assert_eq!(claim("one").await, Ok(()));
        let cluster_id = "one".to_owned();
        let refused = claim("another").await;
        assert_eq!(refused, Err(ArchiveMarkError::OtherCluster { cluster_id }));
        world.replace(&mark_key(), "{\"version\":2}").await;
        assert_eq!(
            claim("one").await,
            Err(ArchiveMarkError::Newer { version: 2 })
        );
        world.replace(&mark_key(), "{}").await;
        assert_eq!(claim("one").await, Err(ArchiveMarkError::Unreadable));
    });
}
