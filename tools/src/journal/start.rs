//! Where a replay begins: at the log's begin, or behind a snapshot.

use super::folder::Opened;
use super::output::Failure;
use super::replay::Extent;
use super::time::Utc;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::LogTail;
use lockstep_journal::snapshot::{SnapshotFacts, SnapshotFile};
use lockstep_node::fatal::ExitCode;
use lockstep_node::replay::Replayer;
use lockstep_node::snapshot::{Unusable, load};

pub struct Begin {
    pub replayer: Replayer,
    /// The first batch to apply is the one behind this.
    pub tail: LogTail,
}

/// The log's begin if it is there; else the oldest snapshot that serves, for it leaves most to replay.
pub fn begin(opened: &Opened, extent: &Extent) -> Result<Begin, Failure> {
    if let Some(index) = extent.from_snapshot {
        let failed = |what: String| {
            let what = format!("--from-snapshot {index}: {what}");
            Failure::new(ExitCode::CheckFailed, what)
        };
        let begin = behind(opened, index).map_err(|unusable| failed(unusable.to_string()))?;
        let machine = &begin.replayer.machine;
        let late = extent
            .until
            .is_some_and(|until| until < machine.last_sequence().0)
            || extent
                .until_time
                .is_some_and(|until| until < Utc(machine.last_timestamp().0));
        if late {
            return Err(failed(
                "it is of a later moment than was asked for".to_owned(),
            ));
        }
        return Ok(begin);
    }
    let Some(first) = opened.trimmed_to() else {
        return Ok(Begin {
            replayer: Replayer::new(StateMachine::new(Capacity::default())),
            tail: LogTail::EMPTY,
        });
    };
    let length = opened.meta.segment_data_length;
    let mut why = String::new();
    for seen in &opened.snapshots {
        let serves = |facts: &&SnapshotFacts| {
            facts.tail.position.segment(length) >= first && is_within(facts, extent)
        };
        if seen.facts.as_ref().filter(serves).is_none() {
            continue;
        }
        match behind(opened, seen.index) {
            Ok(begin) => return Ok(begin),
            Err(unusable) => why = format!("; {unusable}"),
        }
    }
    let what = format!(
        "the log begins only with segment {first}, and no snapshot serves for what is asked{why}: restore \
         snapshots or segments from the archive"
    );
    Err(Failure::new(ExitCode::JournalDamaged, what))
}

/// Nothing behind what is asked for has been applied to it.
fn is_within(facts: &SnapshotFacts, extent: &Extent) -> bool {
    extent
        .until
        .is_none_or(|until| facts.tail.next_sequence <= until.saturating_add(1))
        && extent
            .until_time
            .is_none_or(|until| Utc(facts.tail.timestamp) <= until)
}

fn behind(opened: &Opened, index: u64) -> Result<Begin, Unusable> {
    let file = SnapshotFile::open(&opened.storage, index, opened.meta.cluster_id)?;
    let loaded = load(&file, Capacity::default())?;
    Ok(Begin {
        tail: loaded.header.facts.tail,
        replayer: Replayer::behind_snapshot(loaded.machine),
    })
}
