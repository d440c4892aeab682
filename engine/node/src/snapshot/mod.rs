//! Snapshots: the state written beside the log, so that a start need not replay all of it.
//!
//! A [`Shadow`] of the state machine follows the committed log from the segments and writes snapshots of
//! itself, on an agent or in a process of its own. The matching thread never takes part: no pause, no fork.

mod agent;
mod content;
mod process;
mod shadow;

pub use agent::{SnapshotAgent, SnapshotRequest};
pub use content::{LoadedSnapshot, STREAMS_TAG, StreamMarkSink, Unusable, load, open_newest, save};
pub use process::{FollowOptions, follow, take};
pub use shadow::Shadow;
