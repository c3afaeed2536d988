//! What of an archive may go, and what goes with it.

use klamm_model::{LeaderEpoch, Offset, Timestamp};
use klamm_tiering::manifest::SEAL_OBJECTS;
use klamm_tiering::{PartitionArchive, RetentionLimits};

use crate::world::{GROUP, World, block_on};

async fn expired(archive: &PartitionArchive, limits: RetentionLimits) -> (u64, i64) {
    let expired = archive.expired(limits).await.unwrap();
    (expired.objects, expired.start.get())
}

#[test]
fn objects_expire_by_age_when_all_in_them_is_too_old() {
    block_on(async {
        let world = World::new();
        world.small(&[0, 10, 20, 30], 1).await;
        let archive = world.load(0..30).await.unwrap();
        for (oldest, expected) in [(9, (0, 0)), (10, (1, 10)), (25, (2, 20)), (99, (3, 30))] {
            let limits = RetentionLimits {
                oldest: Some(Timestamp(oldest)),
                ..RetentionLimits::default()
            };
            assert_eq!(expired(&archive, limits).await, expected, "{oldest}");
        }
        assert_eq!(expired(&archive, RetentionLimits::default()).await, (0, 0));
    });
}

#[test]
fn objects_expire_by_size_while_the_rest_is_not_too_small() {
    block_on(async {
        let world = World::new();
        let objects = world.small(&[0, 10, 20, 30], 1).await;
        let archive = world.load(0..30).await.unwrap();
        let size = objects[0].bytes;
        let check = async |bytes_max, bytes_beyond, expected| {
            let limits = RetentionLimits {
                bytes_max: Some(bytes_max),
                bytes_beyond,
                oldest: None,
            };
            assert_eq!(
                expired(&archive, limits).await,
                expected,
                "{bytes_max} {bytes_beyond}"
            );
        };
        check(3 * size, 0, (0, 0)).await;
        check(2 * size + 1, 0, (0, 0)).await;
        check(2 * size, 0, (1, 10)).await;
        check(3 * size, 2 * size, (2, 20)).await;
        check(0, 0, (3, 30)).await;
    });
}

#[test]
fn what_lies_below_the_start_is_told_once() {
    block_on(async {
        let world = World::new();
        let bounds: Vec<_> = (0..=2 * SEAL_OBJECTS as i64 + 5)
            .map(|at| at * 10)
            .collect();
        world.small(&bounds, 1).await;
        let end = *bounds.last().unwrap();
        let list_end = SEAL_OBJECTS as i64 * 10;
        world
            .load(0..end)
            .await
            .unwrap()
            .publish(LeaderEpoch(1))
            .await
            .unwrap();
        let archive = world.load(0..end).await.unwrap();
        let check = async |start: i64, objects: usize, lists: usize| {
            let removed = archive.remove_below(Offset::new(start)).await.unwrap();
            assert_eq!(
                (removed.objects.len(), removed.lists.len()),
                (objects, lists),
                "{start}"
            );
            assert_eq!(removed.keys(GROUP).len(), objects * 2 + lists);
        };
        check(0, 0, 0).await;
        check(25, 2, 0).await;
        check(25, 0, 0).await;
        check(20, 0, 0).await;
        assert_eq!(archive.range().start, Offset::new(25));
        check(list_end, SEAL_OBJECTS - 2, 1).await;
        check(2 * list_end + 30, SEAL_OBJECTS + 3, 1).await;
        assert_eq!(
            archive.find(Offset::new(2 * list_end + 29)).await.unwrap(),
            None
        );
        archive.publish(LeaderEpoch(1)).await.unwrap();
        check(i64::MAX, 2, 0).await;
        archive.publish(LeaderEpoch(1)).await.unwrap();
        assert_eq!(archive.range(), Offset::new(end)..Offset::new(end));
        assert!(world.load(end..end).await.is_ok());
    });
}
