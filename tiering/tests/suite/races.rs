//! Many at once: nobody overwrites what somebody else has written.

use klamm_tiering::StoreError;
use tokio::task::JoinSet;

use super::{Store, body, key, put, read};
use crate::each;

#[test]
fn of_many_that_create_an_object_one_does() {
    each(|store| async move {
        let mut racing = JoinSet::new();
        for racer in 0..32 {
            let store = store.clone();
            racing.spawn(async move {
                let content = format!("{racer}");
                let written = body(content.clone());
                let created = store.put_if_absent(&key("owner"), written).await;
                created.map(|_| content)
            });
        }
        let all = racing.join_all().await;
        let won: Vec<_> = all.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{all:?}");
        assert_eq!(read(&store, "owner").await, won[0].as_bytes());
    });
}

#[test]
fn no_replacement_is_lost() {
    const WRITERS: usize = 12;
    const TIMES: usize = 10;
    each(|store| async move {
        put(&store, "count", "000").await;
        let mut counting = JoinSet::new();
        for _ in 0..WRITERS {
            let store = store.clone();
            counting.spawn(async move {
                for _ in 0..TIMES {
                    while !count_one(&store).await {}
                }
            });
        }
        counting.join_all().await;
        let counted = format!("{:03}", WRITERS * TIMES);
        assert_eq!(read(&store, "count").await, counted);
    });
}

/// Whether nobody was quicker.
async fn count_one(store: &Store) -> bool {
    let at = key("count");
    let tag = store.head(&at).await.unwrap().tag;
    let count = read(store, "count").await;
    let count: usize = std::str::from_utf8(&count).unwrap().parse().unwrap();
    let next = format!("{:03}", count + 1);
    match store.put_if_match(&at, &tag, next.into()).await {
        Ok(_) => true,
        Err(StoreError::ConditionFailed(_)) => false,
        Err(error) => panic!("{error}"),
    }
}
