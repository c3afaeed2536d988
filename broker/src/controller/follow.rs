//! Applies to the image what is committed, on every broker alike.

use std::rc::Rc;
use std::sync::Arc;

use klamm_metadata::{MetadataImage, MetadataRecord};
use klamm_model::Offset;

use super::effects;
use super::load::{Changes, LoadError, read_changes};
use crate::shard::Shard;

/// Applies changes as they are committed without opening any partition: for the start, which opens
/// those that there are in the end. Returns only if one cannot be understood.
pub(crate) async fn follow_quietly(shard: &Rc<Shard>) -> LoadError {
    loop {
        if let Err(error) = catch_up(shard) {
            return error;
        }
        shard.controller.news.0.notified().await;
    }
}

fn catch_up(shard: &Rc<Shard>) -> Result<(), LoadError> {
    let mut image = MetadataImage::clone(&shard.image());
    let mut last = None;
    while let Some(changes) = next_changes(shard)? {
        apply(&mut image, &changes)?;
        shard.controller.applied.set(changes.next_offset);
        last = Some(changes);
    }
    if let Some(last) = last {
        if image.is_removed(shard.node_id) {
            shard.peers.note_removed(shard.node_id);
        }
        publish(shard, image);
        finish(shard, &last);
    }
    Ok(())
}

/// Applies changes as they are committed, and does what they mean for this broker, until one cannot
/// be understood.
pub(crate) async fn follow(shard: Rc<Shard>) -> LoadError {
    loop {
        match apply_next(&shard).await {
            Ok(true) => {}
            Ok(false) => shard.controller.news.0.notified().await,
            Err(error) => return error,
        }
    }
}

async fn apply_next(shard: &Rc<Shard>) -> Result<bool, LoadError> {
    let Some(changes) = next_changes(shard)? else {
        return Ok(false);
    };
    let before = shard.image();
    let mut after = MetadataImage::clone(&before);
    apply(&mut after, &changes)?;
    let records: Vec<MetadataRecord> = changes
        .records
        .iter()
        .map(|(_, record)| record.clone())
        .collect();
    // Opened before anybody can see them: some clients give up on a partition without a leader.
    let opening = shard.controller.opening.lock().await;
    let opened = effects::open_new(shard, &after, &records).await;
    publish(shard, after);
    effects::perform(shard, &before, &records, opened);
    drop(opening);
    finish(shard, &changes);
    Ok(true)
}

fn next_changes(shard: &Shard) -> Result<Option<Changes>, LoadError> {
    let controller = &shard.controller;
    let end = controller.partition.driver().high_watermark();
    match controller.applied.get() < end {
        true => read_changes(&controller.partition, controller.applied.get(), end).map(Some),
        false => Ok(None),
    }
}

fn apply(image: &mut MetadataImage, changes: &Changes) -> Result<(), LoadError> {
    for (offset, record) in &changes.records {
        let offset: Offset = *offset;
        let applied = image.apply(record);
        applied.map_err(|error| LoadError::OutOfPlace { offset, error })?;
    }
    Ok(())
}

fn publish(shard: &Shard, image: MetadataImage) {
    shard.publish(Arc::new(image));
}

fn finish(shard: &Shard, changes: &Changes) {
    shard.controller.applied.set(changes.next_offset);
    shard.controller.advanced.notify_waiters();
}
