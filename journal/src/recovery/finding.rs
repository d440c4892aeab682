//! What recovery reports: findings, refusals, and the witnesses behind them.

use super::RecoveryOptions;
use super::remains::Remains;
use super::ring::Ring;
use crate::batch::OrderError;
use crate::folder::{HardState, HardStateError};
use crate::header_block::HeaderBlockError;
use crate::reader::EndReason;
use crate::storage::StorageError;
use crate::{LogBufferId, LogPosition, LogTail};
use thiserror::Error;

/// What a recovery cut from the tail. `segment` and `offset` are of the first byte, in its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    pub segment: u64,
    pub offset: u64,
    pub position: LogPosition,
    /// Bytes up to the last one that is not zero.
    pub length: u64,
    /// Of the last batch that is kept; 0 = none.
    pub last_index: u64,
    /// Of the last record that is kept; 0 = none.
    pub last_sequence: u64,
    /// Whole batches within what is cut: of an unacknowledged write that was torn before them, or stale.
    pub whole_batches: u64,
    pub reason: EndReason,
}

/// Something that recovery met and could deal with. `R…` are rows of docs/journal-format.md.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Finding {
    /// R2
    #[error("the last run stopped orderly")]
    CleanStop,
    /// R4
    #[error(
        "torn tail cut: {} bytes from segment {} offset {} ({}); last sequence kept {}, last index {}",
        .0.length, .0.segment, .0.offset, .0.reason, .0.last_sequence, .0.last_index
    )]
    TailCut(Cut),
    /// R5
    #[error(
        "segment {segment} offset {offset}, sequence {sequence}: {reason}; repaired from the log buffer"
    )]
    Repaired {
        segment: u64,
        offset: u64,
        index: u64,
        sequence: u64,
        reason: EndReason,
    },
    /// R6
    #[error("{batches} batches from index {first_index} taken from the log buffer")]
    TakenFromLogBuffer { first_index: u64, batches: u64 },
    /// R8
    #[error("stale remains at position {position}: a whole batch that does not follow: {order}")]
    StaleRemains {
        position: LogPosition,
        order: OrderError,
    },
    /// R11
    #[error("segment {segment}: header block rewritten: {error}")]
    SegmentHeaderDamaged {
        segment: u64,
        error: HeaderBlockError,
    },
    /// R12
    #[error("segment {segment}: {length} bytes long instead of {expected}; length mended")]
    SegmentLength {
        segment: u64,
        length: u64,
        expected: u64,
    },
    /// R14
    #[error("log buffer ignored: {why}")]
    LogBufferIgnored { why: &'static str },
    /// R15
    #[error(
        "the log buffer {log_buffer_id} of the last run is gone though the machine was not restarted: \
         under policy local, what was acknowledged and not yet on disk is lost"
    )]
    LogBufferMissing { log_buffer_id: LogBufferId },
    /// R16
    #[error("one slot of the hard state is damaged ({error}); the other counts")]
    HardStateSlotDamaged { error: HeaderBlockError },
    /// R18
    #[error(
        "the hard state's term {stored} is behind the log's {log}; a group's node must join anew"
    )]
    HardStateBehind { stored: u64, log: u64 },
}

/// What proves that a batch was complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Witness {
    #[error("the hard state says that index {commit_index} is committed")]
    HardState { commit_index: u64 },
    #[error("the log buffer says that index {commit_index} is committed")]
    LogBufferCommit { commit_index: u64 },
    #[error("the log buffer says that the segments hold everything before position {position}")]
    LogBufferDurable { position: LogPosition },
    #[error(
        "batch {index} behind it, at position {position}, says that index {commit_index} is committed"
    )]
    LaterBatch {
        position: LogPosition,
        index: u64,
        commit_index: u64,
    },
    #[error("the clean-stop batch {index} behind it, at position {position}")]
    CleanStop { position: LogPosition, index: u64 },
    #[error("a snapshot or a peer proves index {index}")]
    Given { index: u64 },
}

impl Witness {
    /// One that says that the batch behind `tail` was complete, if there is any.
    pub(super) fn strongest(
        hard_state: &HardState,
        ring: Option<&Ring<'_>>,
        remains: &Remains,
        options: &RecoveryOptions<'_>,
        tail: &LogTail,
    ) -> Option<Self> {
        let lost = |index: u64| index > tail.index;
        let commit_index = hard_state.commit_index;
        if lost(commit_index) {
            return Some(Self::HardState { commit_index });
        }
        if let Some(witness) = remains.witness.filter(|witness| match witness {
            Self::LaterBatch { commit_index, .. } => lost(*commit_index),
            _ => true,
        }) {
            return Some(witness);
        }
        if let Some(ring) = ring {
            let commit_index = ring.image.commit_index;
            if lost(commit_index) {
                return Some(Self::LogBufferCommit { commit_index });
            }
            let position = ring.image.durable_position;
            if position > tail.position {
                return Some(Self::LogBufferDurable { position });
            }
        }
        let index = options.witness_index;
        lost(index).then_some(Self::Given { index })
    }
}

/// Where, and why it cannot be a torn tail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    pub segment: u64,
    /// In the segment's file.
    pub offset: u64,
    pub position: LogPosition,
    /// Of the batch that is missing or damaged.
    pub index: u64,
    /// Of its first record.
    pub sequence: u64,
    pub reason: EndReason,
    pub witness: Witness,
}

/// Recovery refuses. Nothing has been changed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecoveryError {
    /// R7
    #[error(
        "journal damaged at segment {} offset {}, sequence {} (batch {}): {}; it was complete: {}; \
         restore the segment from a copy or a peer, or cut explicitly with `journal repair --cut-at`",
        .0.segment, .0.offset, .0.sequence, .0.index, .0.reason, .0.witness
    )]
    Damaged(Box<Damage>),
    /// R9
    #[error(
        "segment {segment} offset {offset}: format version {version} is newer than this build's; use the \
         build that wrote it"
    )]
    NewerFormat {
        segment: u64,
        offset: u64,
        version: u16,
    },
    /// R10
    #[error("segment {number} is missing though a later one exists; restore it from a copy")]
    SegmentMissing { number: u64 },
    /// R20
    #[error(
        "segment {segment} belongs to another journal or another place; put the right file there"
    )]
    ForeignSegment { segment: u64 },
    /// R17
    #[error(transparent)]
    HardState(#[from] HardStateError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}
