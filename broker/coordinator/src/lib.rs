//! Consumer groups and committed offsets. Pure.
//!
//! One [`GroupCoordinator`] serves the groups of one partition of `__consumer_offsets`: the
//! classic group protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup), offset commits, and the
//! admin requests about both. The behaviour is that of Apache Kafka's `GroupMetadataManager` and
//! `OffsetMetadataManager`; the records are byte-compatible with Kafka's.
//!
//! It touches no log, no socket, no clock. The driver hands in [`Event`]s and performs the
//! [`Effect`]s in order:
//!
//! - every [`Token`] handed in with a request comes back in exactly one [`Effect::Reply`], at once
//!   or later (a join waits for the other members, a commit for its records);
//! - every [`Effect::Append`] is answered by exactly one [`Event::Appended`], in the order of the
//!   appends. A reply that promises something leaves only when its records are committed;
//! - [`GroupCoordinator::next_deadline`] says when to hand in [`Event::DeadlineReached`].
//!
//! What is *not* here: which partition serves a group (that is [`partition_for_group`], and who
//! leads it), whether a topic exists, who may do what, versions of the wire.
//!
//! Start with [`coordinator`] (what an event does), then [`group`] (one group's states).
#![forbid(unsafe_code)]

pub mod coordinator;
pub mod group;

pub mod config;
pub mod error;
pub mod event;
pub mod ids;
pub mod partition;
pub mod record;
pub mod reply;
pub mod request;

mod append;
mod deadlines;
mod member_id;
mod offsets;
mod turn;

pub use config::Config;
pub use coordinator::{GroupCoordinator, Loader};
pub use error::{AppendError, GroupError};
pub use event::{AppendId, Effect, Event, LogRecord, Now, Token};
pub use group::GroupState;
pub use ids::{GroupId, MemberId};
pub use partition::partition_for_group;
pub use reply::Reply;
pub use request::Request;
