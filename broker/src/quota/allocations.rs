//! A metered request allocates nothing once its client is resolved.

use std::alloc::System;

use klamm_metadata::MetadataImage;
use klamm_metadata::client_quota::{EntityName, QuotaEntity, QuotaLimit};
use klamm_metadata::record::MetadataRecord;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::*;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tries; the leanest counts, since other tests allocate at the same time.
const TRIES: u32 = 10_000;

/// Allocations of `work`, at the least.
fn allocations(mut work: impl FnMut(u32)) -> usize {
    let tries = (0..TRIES).map(|number| {
        let region = Region::new(ALLOCATOR);
        work(number);
        let change = region.change();
        change.allocations + change.reallocations
    });
    tries.min().expect("there are tries")
}

fn quotas() -> ClientQuotas {
    let mut image = MetadataImage::default();
    for key in QuotaKey::ALL {
        image
            .apply(&MetadataRecord::ClientQuota {
                entity: QuotaEntity {
                    user: None,
                    client_id: Some(EntityName::Default),
                },
                key,
                limit: QuotaLimit::new(1e9),
            })
            .unwrap();
    }
    image.client_quotas().clone()
}

#[test]
fn a_metered_request_allocates_nothing_once_its_client_is_resolved() {
    let window = Window {
        samples: 11,
        length: Duration::from_secs(1),
    };
    let quotas = quotas();
    let manager = QuotaManager::new(window, &quotas);
    let cached = CachedClient::default();
    let names = (ANONYMOUS, "a client");
    let request = |number: u32| {
        // Through a whole window soon, and round it again and again.
        let now = Instant::START + Duration::from_millis(7) * number;
        let client = manager.client(&cached, &quotas, names, now);
        let metered = manager.begin(client, now);
        manager.produced(&metered, 1_000, now);
        let answering = manager.answering(&metered, now);
        manager.fetching(&metered, 1_000, answering, now);
        manager.sent(&metered, now, now);
        manager.end(now);
    };
    (0..5_000).for_each(request);
    assert_eq!(allocations(|number| request(5_000 + number)), 0);
    // What is counted is counted: resolving a client allocates.
    let resolve = |number: u32| {
        manager.changed(&quotas);
        manager.client(
            &cached,
            &quotas,
            names,
            Instant::START + Duration::from_secs(60) * number,
        );
    };
    assert!(allocations(resolve) > 0);
}
