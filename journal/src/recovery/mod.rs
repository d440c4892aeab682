//! Recovery: where the log ends, what is torn, what is corrupt (docs/journal-format.md, the decision table).
//!
//! [`recover`] only reads: a function of the folder's bytes, a log buffer's bytes and this boot's id. What it
//! decides is carried out by [`Recovery::apply`]. It must never give up a batch that a witness proves
//! complete, and never continue behind bytes that do not verify and follow.

mod apply;
mod cut;
mod finding;
mod remains;
mod ring;
mod walk;

pub use apply::Applied;
pub use cut::{CutError, cut_at};
pub use finding::{Cut, Damage, Finding, RecoveryError, Witness};

use crate::batch::BATCH_KIND_CLEAN_STOP;
use crate::folder::{HARD_STATE_NAME, HardState, HardStateError, HardStateLoad, JournalMeta};
use crate::header_block::HeaderBlockError;
use crate::journal::VerifiedPosition;
use crate::log_buffer::LogBufferImage;
use crate::position::BLOCK_LENGTH;
use crate::reader::EndReason;
use crate::segment::{SegmentHeader, SegmentSource, segment_file_length};
use crate::storage::{Storage, StorageError};
use crate::{BatchError, BatchHeader, BootId, LogPosition, LogTail};
use remains::Remains;
use ring::Ring;
use walk::{Stop, Walk};

/// What recovery is told from outside.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryOptions<'a> {
    /// Begin behind this: the log's begin, or a verified snapshot's position.
    pub from: LogTail,
    /// A batch index that something else (snapshot, peer) proves was complete; 0 = none.
    pub witness_index: u64,
    pub boot_id: BootId,
    /// An earlier owner's log buffer, if its file is there and whole enough to have a header.
    pub log_buffer: Option<LogBufferImage<'a>>,
}

/// Bytes that the segments lack and the log buffer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rewrite {
    pub position: LogPosition,
    pub length: u64,
}

/// What recovery found and decided. Nothing is changed yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Recovery {
    /// Where the log continues.
    pub tail: LogTail,
    /// The last batch, unless the log is empty (or begins at a snapshot and has none behind it).
    pub last: Option<BatchHeader>,
    /// Batches walked over, and the records in them.
    pub batch_count: u64,
    pub record_count: u64,
    pub hard_state: HardState,
    /// Everything worth telling, in the order it was found. Empty after an uneventful orderly stop but
    /// for [`Finding::CleanStop`].
    pub findings: Vec<Finding>,
    /// Batches in the log buffer that the segments still lack: [`Recovery::apply`] writes them.
    pub pending_batches: u64,
    rewrites: Vec<Rewrite>,
    cut: Option<Cut>,
    /// Segments whose header block or length is to be mended.
    mend: Vec<u64>,
}

impl Recovery {
    /// Whether the last run ended orderly.
    pub fn is_clean_stop(&self) -> bool {
        self.last
            .is_some_and(|last| last.kind == BATCH_KIND_CLEAN_STOP)
    }

    /// What is cut from the tail, if anything.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }
}

/// Decides; see the module. `meta` is the folder's, read before.
pub fn recover<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    options: &RecoveryOptions<'_>,
) -> Result<Recovery, RecoveryError> {
    recover_telling(storage, meta, options, None)
}

/// The same; `verified` is told the end of each batch that was taken from disk, nothing behind one that is
/// missing there.
pub(crate) fn recover_telling<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    options: &RecoveryOptions<'_>,
    verified: Option<&VerifiedPosition>,
) -> Result<Recovery, RecoveryError> {
    let mut findings = Vec::new();
    let hard_state = load_hard_state(storage, meta, &mut findings)?;
    let ring = Ring::usable(options, meta, &mut findings);
    if let Some(hard_state) = &hard_state {
        check_log_buffer_is_there(hard_state, options, &mut findings);
    }
    let mut source = SegmentSource::new(storage.clone(), meta.segment_data_length);
    let numbers = source.numbers()?;
    let first = options.from.position.segment(meta.segment_data_length);
    let numbers: Vec<u64> = numbers
        .into_iter()
        .filter(|number| *number >= first)
        .collect();
    let mend = check_headers(&mut source, meta, &numbers, &mut findings)?;
    let mut walk = Walk::new(&mut source, meta, ring.as_ref(), options.from, verified);
    while walk.step()? {}
    let (stop, mut recovery) = walk.finish(findings);
    let remains = Remains::scan(&mut source, meta, &recovery.tail, &numbers)?;
    let hard_state = hard_state_or_default(hard_state, &recovery, &remains)?;
    let witness = Witness::strongest(
        &hard_state,
        ring.as_ref(),
        &remains,
        options,
        &recovery.tail,
    );
    decide(&mut recovery, meta, &numbers, &remains, stop, witness)?;
    if hard_state.term < recovery.tail.term {
        let (stored, log) = (hard_state.term, recovery.tail.term);
        recovery
            .findings
            .push(Finding::HardStateBehind { stored, log });
    }
    recovery.hard_state = hard_state;
    recovery.mend = mend;
    Ok(recovery)
}

/// The log has ended at `recovery.tail`, where `stop` says: rightly?
fn decide(
    recovery: &mut Recovery,
    meta: &JournalMeta,
    numbers: &[u64],
    remains: &Remains,
    stop: Stop,
    witness: Option<Witness>,
) -> Result<(), RecoveryError> {
    let (segment, offset) = place(stop.position, meta);
    if let EndReason::NotWhole(BatchError::NewerFormat { version }) = stop.reason {
        return Err(RecoveryError::NewerFormat {
            segment,
            offset,
            version,
        });
    }
    if let Some(witness) = witness {
        return Err(RecoveryError::Damaged(Box::new(Damage {
            segment,
            offset,
            position: stop.position,
            index: recovery.tail.index + 1,
            sequence: recovery.tail.next_sequence,
            reason: stop.reason,
            witness,
        })));
    }
    refuse_missing_segment(recovery, meta, numbers)?;
    if recovery.is_clean_stop() {
        recovery.findings.push(Finding::CleanStop);
    }
    if let EndReason::DoesNotFollow(order) = stop.reason {
        recovery.findings.push(Finding::StaleRemains {
            position: stop.position,
            order,
        });
    }
    if let Some(range) = remains.range {
        recovery.cut_tail(range, remains.whole_batches, stop.reason, meta);
    }
    Ok(())
}

impl Recovery {
    fn cut_tail(
        &mut self,
        (position, end): (LogPosition, LogPosition),
        whole_batches: u64,
        reason: EndReason,
        meta: &JournalMeta,
    ) {
        let (segment, offset) = place(position, meta);
        let cut = Cut {
            segment,
            offset,
            position,
            length: end.0 - position.0,
            last_index: self.tail.index,
            last_sequence: self.tail.next_sequence - 1,
            whole_batches,
            reason,
        };
        self.findings.push(Finding::TailCut(cut));
        self.cut = Some(cut);
    }
}

/// Row R10. The tail's own segment may be missing if the log buffer has what belongs into it.
fn refuse_missing_segment(
    recovery: &Recovery,
    meta: &JournalMeta,
    numbers: &[u64],
) -> Result<(), RecoveryError> {
    let data_length = meta.segment_data_length;
    let tail = recovery.tail.position.segment(data_length);
    let rewritten = recovery.rewrites.last().is_some_and(|rewrite| {
        LogPosition(rewrite.position.0 + rewrite.length - 1).segment(data_length) == tail
    });
    let first = if rewritten { tail + 1 } else { tail };
    let last = numbers.last().copied().unwrap_or(0);
    match (first..last).find(|number| !numbers.contains(number)) {
        Some(number) => Err(RecoveryError::SegmentMissing { number }),
        None => Ok(()),
    }
}

/// The segment that holds a log position, and the offset in its file.
fn place(position: LogPosition, meta: &JournalMeta) -> (u64, u64) {
    let data_length = meta.segment_data_length;
    (
        position.segment(data_length),
        BLOCK_LENGTH + position.offset_in_segment(data_length),
    )
}

/// `None` if there is no file: right only for a journal without batches.
fn load_hard_state<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    findings: &mut Vec<Finding>,
) -> Result<Option<HardState>, RecoveryError> {
    match HardStateLoad::read(storage, meta) {
        Ok(load) => {
            if let Some(error) = load.slot_damaged {
                findings.push(Finding::HardStateSlotDamaged { error });
            }
            Ok(Some(load.state))
        }
        Err(HardStateError::Storage(StorageError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn hard_state_or_default(
    found: Option<HardState>,
    recovery: &Recovery,
    remains: &Remains,
) -> Result<HardState, RecoveryError> {
    match found {
        Some(state) => Ok(state),
        None if recovery.tail.index == 0 && remains.whole_batches == 0 => Ok(HardState::default()),
        None => {
            let path = HARD_STATE_NAME.to_owned();
            Err(HardStateError::Storage(StorageError::NotFound { path }).into())
        }
    }
}

fn check_log_buffer_is_there(
    hard_state: &HardState,
    options: &RecoveryOptions<'_>,
    findings: &mut Vec<Finding>,
) {
    let wanted = hard_state.log_buffer_id;
    let this_boot = hard_state.boot_id == options.boot_id;
    if wanted == crate::LogBufferId::ZERO || !this_boot {
        return;
    }
    let found = options.log_buffer.is_some_and(|image| {
        // A crash between making a log buffer and storing its id leaves one that nothing is in.
        let unused = image.published_position == image.identity.base_position;
        image.identity.log_buffer_id == wanted || unused
    });
    if !found {
        findings.push(Finding::LogBufferMissing {
            log_buffer_id: wanted,
        });
    }
}

/// Refuses foreign and newer segments; gives the numbers of those to be mended.
fn check_headers<S: Storage>(
    source: &mut SegmentSource<S>,
    meta: &JournalMeta,
    numbers: &[u64],
    findings: &mut Vec<Finding>,
) -> Result<Vec<u64>, RecoveryError> {
    let expected_length = segment_file_length(meta.segment_data_length);
    let mut mend = Vec::new();
    for &segment in numbers {
        let file = source.file(segment)?.unwrap_or_default();
        let length = file.len() as u64;
        match SegmentHeader::decode(file) {
            Ok(header) if header == meta.segment_header(segment).with_first(&header) => {}
            Ok(_) => return Err(RecoveryError::ForeignSegment { segment }),
            Err(HeaderBlockError::NewerFormat { version, .. }) => {
                return Err(RecoveryError::NewerFormat {
                    segment,
                    offset: 0,
                    version,
                });
            }
            Err(error) => {
                findings.push(Finding::SegmentHeaderDamaged { segment, error });
                mend.push(segment);
            }
        }
        if length != expected_length {
            findings.push(Finding::SegmentLength {
                segment,
                length,
                expected: expected_length,
            });
            mend.push(segment);
        }
    }
    mend.dedup();
    Ok(mend)
}

#[cfg(test)]
mod tests;
