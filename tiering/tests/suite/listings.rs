//! Objects by their keys.

use tokio::task::JoinSet;

use super::{body, key, keys, put};
use crate::each;

#[test]
fn objects_are_listed_by_their_keys_some_at_a_time() {
    each(|store| async move {
        let all = ["a", "b-1", "b/1", "b/2/3", "b/2/4", "b0", "c/1"];
        for text in all.iter().rev() {
            put(&store, text, "x").await;
        }
        assert_eq!(keys(&store, "", None, 100).await, all);
        assert_eq!(keys(&store, "b", None, 100).await, all[1..6]);
        assert_eq!(keys(&store, "b/", None, 100).await, all[2..5]);
        assert_eq!(keys(&store, "b/2", None, 100).await, all[3..5]);
        assert_eq!(keys(&store, "", None, 3).await, all[..3]);
        assert_eq!(keys(&store, "", Some("b/1"), 2).await, all[3..5]);
        assert_eq!(keys(&store, "", Some("b/2/3"), 100).await, all[4..]);
        assert_eq!(keys(&store, "b/", Some("a"), 100).await, all[2..5]);
        assert!(keys(&store, "none", None, 100).await.is_empty());
    });
}

#[test]
fn a_listing_goes_on_where_a_store_ends_a_page() {
    /// More than a bucket lists at once.
    const COUNT: usize = 1_030;
    const WRITERS: usize = 16;
    each(|store| async move {
        let all: Vec<_> = (0..COUNT).map(|number| format!("k/{number:06}")).collect();
        let mut writing = JoinSet::new();
        for share in all.chunks(COUNT.div_ceil(WRITERS)) {
            let (store, share) = (store.clone(), share.to_vec());
            writing.spawn(async move {
                for text in share {
                    let created = store.put_if_absent(&key(&text), body("")).await;
                    created.unwrap();
                }
            });
        }
        writing.join_all().await;
        assert_eq!(keys(&store, "k/", None, usize::MAX).await, all);
        assert_eq!(keys(&store, "k/", None, 1_010).await, all[..1_010]);
        let after = Some(all[9].as_str());
        assert_eq!(keys(&store, "k/", after, 1_015).await, all[10..1_025]);
    });
}
