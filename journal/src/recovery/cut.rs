//! The operator's explicit cut: what recovery refuses to do by itself.

use super::apply::{for_each_segment, keep, zero};
use super::remains::Remains;
use super::walk::Walk;
use crate::folder::{HardState, HardStateError, HardStateFile, JournalMeta};
use crate::segment::SegmentSource;
use crate::storage::{Storage, StorageError};
use crate::{LogBufferId, LogPosition, LogTail};
use thiserror::Error;

/// Cuts the log at `position` because an operator says so: the end that [`super::RecoveryError::Damaged`]
/// refuses to make by itself. Everything behind is kept in a `.cut` file, then zeroed, and the hard state's
/// commit index goes back with it. The journal is held by this process and not running.
///
/// A log buffer of this boot that still testifies to what is cut must be removed by the caller, else the next
/// recovery restores from it or refuses again. `from`: where the log that is there begins. `witness_index`:
/// what a snapshot proves; never cut.
pub fn cut_at<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    from: &LogTail,
    position: LogPosition,
    witness_index: u64,
) -> Result<Option<String>, CutError> {
    let tail = tail_at(storage, meta, from, position)?;
    if tail.index < witness_index {
        return Err(CutError::Proven {
            index: tail.index,
            witness_index,
        });
    }
    let mut source = SegmentSource::new(storage.clone(), meta.segment_data_length);
    let numbers = source.numbers()?;
    let remains = Remains::scan(&mut source, meta, &tail, &numbers)?;
    let mut hard_state = HardStateFile::open(storage, meta)?;
    let state = *hard_state.state();
    let commit_index = state.commit_index.min(tail.index);
    let mut name = None;
    if let Some((begin, end)) = remains.range {
        let length = end.0 - begin.0;
        name = keep(storage, meta, begin, length)?;
        if name.is_none() {
            return Err(CutError::NotKept);
        }
        for_each_segment(storage, meta, begin, length, zero)?;
    }
    hard_state.store(&HardState {
        commit_index,
        log_buffer_id: LogBufferId::ZERO,
        ..state
    })?;
    storage.sync_folder()?;
    Ok(name)
}

/// Why an explicit cut is refused. Nothing has been changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CutError {
    #[error(
        "no batch that can be read ends at position {position}; the nearest before ends at {nearest}"
    )]
    NotABoundary {
        position: LogPosition,
        nearest: LogPosition,
    },
    #[error("a snapshot proves batch {witness_index}; only {index} would be left")]
    Proven { index: u64, witness_index: u64 },
    #[error("there is no space to keep what would be cut; free some first")]
    NotKept,
    #[error(transparent)]
    HardState(#[from] HardStateError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The log's tail if it ended at `position`.
fn tail_at<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    from: &LogTail,
    position: LogPosition,
) -> Result<LogTail, CutError> {
    let mut source = SegmentSource::new(storage.clone(), meta.segment_data_length);
    let mut walk = Walk::new(&mut source, meta, None, *from, None);
    while walk.tail().position < position && walk.step()? {}
    let tail = *walk.tail();
    if tail.position == position {
        return Ok(tail);
    }
    Err(CutError::NotABoundary {
        position,
        nearest: tail.position,
    })
}
