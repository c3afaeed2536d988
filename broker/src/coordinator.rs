//! Consumer groups: which of the coordinators' partitions this broker leads.

use std::rc::Rc;

use crate::partition::Partition;
use crate::shard::Shard;

/// The coordinators of this broker.
#[derive(Debug, Default)]
pub(crate) struct Coordinators;

impl Coordinators {
    pub(crate) fn new() -> Self {
        Self
    }

    /// A partition has been taken into service; `__consumer_offsets` gets a coordinator.
    pub(crate) fn partition_opened(&self, _shard: &Rc<Shard>, _partition: &Rc<Partition>) {}

    /// A partition has left service.
    pub(crate) fn partition_closed(&self, _shard: &Rc<Shard>, _partition: &Rc<Partition>) {}
}
