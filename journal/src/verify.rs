//! `journal verify`: everything that is wrong with a folder, as far as its bytes permit.
//!
//! Reads without a lock and without changing anything, on a live, a crashed or a damaged folder. Unlike recovery
//! it goes on behind damage: at each multiple of 64 it looks for the next whole batch and reports what is
//! missing between. It never decides anything; recovery's table does.

use crate::batch::{BATCH_HEADER_LENGTH, BATCH_MAGIC, BatchHeader, OrderError};
use crate::bytes::all_zero;
use crate::folder::{HardStateError, HardStateLoad, JournalMeta};
use crate::header_block::HeaderBlockError;
use crate::position::{BATCH_ALIGNMENT, BLOCK_LENGTH};
use crate::reader::{EndReason, before, check};
use crate::segment::{SegmentHeader, SegmentSource, segment_file_length};
use crate::storage::{Storage, StorageError};
use crate::{LogPosition, LogTail};
use thiserror::Error;

/// Findings kept; more are only counted.
pub const FINDINGS_MAX: usize = 1000;

/// What is wrong, or worth knowing, at one place.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    #[error("header block: {0}")]
    SegmentHeader(HeaderBlockError),
    #[error("the header block names another journal or place")]
    ForeignSegment,
    #[error("the file is {length} bytes long instead of {expected}")]
    SegmentLength { length: u64, expected: u64 },
    #[error("the segment is missing")]
    SegmentMissing,
    #[error("{reason}; batches {first_index} to {last_index} are missing, {bytes} bytes")]
    Missing {
        reason: EndReason,
        first_index: u64,
        last_index: u64,
        bytes: u64,
    },
    #[error("a whole batch that does not follow: {0}")]
    DoesNotFollow(OrderError),
    #[error("nothing readable from here on ({reason}), but index {commit_index} was committed")]
    Lost {
        reason: EndReason,
        commit_index: u64,
    },
    #[error("{bytes} bytes of an incomplete or stale tail ({reason}); recovery would cut them")]
    Tail { reason: EndReason, bytes: u64 },
    #[error("padding or gap is not zero")]
    Padding,
    #[error("hard state: {0}")]
    HardState(HardStateError),
    #[error("one slot of the hard state: {0}")]
    HardStateSlot(HeaderBlockError),
}

impl Fault {
    /// Whether records of the log are lost or doubtful; the rest is worth knowing only.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            Self::Tail { .. } | Self::Padding | Self::HardStateSlot(_)
        )
    }
}

/// One finding and its place: segment, offset in its file, and the sequence that was expected there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyFinding {
    pub segment: u64,
    pub offset: u64,
    pub sequence: u64,
    pub fault: Fault,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyReport {
    pub segment_count: u64,
    pub batch_count: u64,
    pub record_count: u64,
    /// Bytes of whole batches.
    pub byte_count: u64,
    /// Behind the last whole batch.
    pub tail: LogTail,
    pub findings: Vec<VerifyFinding>,
    /// All findings, those beyond [`FINDINGS_MAX`] included.
    pub finding_count: u64,
    pub damage_count: u64,
}

impl VerifyReport {
    /// No record is lost or doubtful.
    pub fn is_sound(&self) -> bool {
        self.damage_count == 0
    }
}

/// Verifies all segments of a folder.
pub fn verify<S: Storage>(storage: &S, meta: &JournalMeta) -> Result<VerifyReport, StorageError> {
    let mut verifier = Verifier {
        source: SegmentSource::new(storage.clone(), meta.segment_data_length),
        meta,
        commit_index: 0,
        report: VerifyReport {
            segment_count: 0,
            batch_count: 0,
            record_count: 0,
            byte_count: 0,
            tail: LogTail::EMPTY,
            findings: Vec::new(),
            finding_count: 0,
            damage_count: 0,
        },
    };
    let numbers = verifier.source.numbers()?;
    verifier.hard_state(storage)?;
    verifier.files(&numbers)?;
    verifier.begin(&numbers)?;
    while verifier.step(&numbers)? {}
    verifier.commit_index_reached();
    Ok(verifier.report)
}

struct Verifier<'a, S: Storage> {
    source: SegmentSource<S>,
    meta: &'a JournalMeta,
    /// Highest index that anything whole says is committed.
    commit_index: u64,
    report: VerifyReport,
}

impl<S: Storage> Verifier<'_, S> {
    fn find(&mut self, position: LogPosition, fault: Fault) {
        let segment = position.segment(self.meta.segment_data_length);
        let offset = BLOCK_LENGTH + position.offset_in_segment(self.meta.segment_data_length);
        self.find_in(segment, offset, fault);
    }

    fn find_in(&mut self, segment: u64, offset: u64, fault: Fault) {
        self.report.finding_count += 1;
        self.report.damage_count += u64::from(fault.is_damage());
        if self.report.findings.len() < FINDINGS_MAX {
            let sequence = self.report.tail.next_sequence;
            self.report.findings.push(VerifyFinding {
                segment,
                offset,
                sequence,
                fault,
            });
        }
    }

    fn hard_state(&mut self, storage: &S) -> Result<(), StorageError> {
        match HardStateLoad::read(storage, self.meta) {
            Ok(load) => {
                self.commit_index = load.state.commit_index;
                if let Some(error) = load.slot_damaged {
                    self.find_in(0, 0, Fault::HardStateSlot(error));
                }
            }
            Err(error) => self.find_in(0, 0, Fault::HardState(error)),
        }
        Ok(())
    }

    fn files(&mut self, numbers: &[u64]) -> Result<(), StorageError> {
        let expected = segment_file_length(self.meta.segment_data_length);
        for &number in numbers {
            let file = self.source.file(number)?.unwrap_or_default();
            let (length, header) = (file.len() as u64, SegmentHeader::decode(file));
            match header {
                Ok(header) if header == self.meta.segment_header(number).with_first(&header) => {}
                Ok(_) => self.find_in(number, 0, Fault::ForeignSegment),
                Err(error) => self.find_in(number, 0, Fault::SegmentHeader(error)),
            }
            if length != expected {
                self.find_in(number, 0, Fault::SegmentLength { length, expected });
            }
        }
        let pairs = numbers.iter().zip(numbers.iter().skip(1));
        for number in pairs.flat_map(|(number, next)| number + 1..*next) {
            self.find_in(number, 0, Fault::SegmentMissing);
        }
        self.report.segment_count = numbers.len() as u64;
        Ok(())
    }

    /// A journal whose first segments were archived begins with whatever batch is first.
    fn begin(&mut self, numbers: &[u64]) -> Result<(), StorageError> {
        let Some(first) = numbers.first().filter(|number| **number > 0) else {
            return Ok(());
        };
        let position = LogPosition(first * self.meta.segment_data_length);
        self.report.tail.position = position;
        if let Ok(header) = self.whole_at(position)? {
            self.report.tail = before(&header, position);
        }
        Ok(())
    }

    fn whole_at(
        &mut self,
        position: LogPosition,
    ) -> Result<Result<BatchHeader, EndReason>, StorageError> {
        let found = check(self.source.log(position)?, position, true);
        Ok(found.and_then(|header| {
            let right = header.cluster_id == self.meta.cluster_id;
            let error = OrderError::Cluster {
                found: header.cluster_id,
            };
            if right {
                Ok(header)
            } else {
                Err(EndReason::DoesNotFollow(error))
            }
        }))
    }

    /// The next batch, wherever it is; `false` at the end.
    fn step(&mut self, numbers: &[u64]) -> Result<bool, StorageError> {
        let here = self.report.tail.position;
        let mut reason = EndReason::NoSegment;
        let next = here.next_segment(self.meta.segment_data_length);
        // Nothing but the begin of a segment stands at one; elsewhere a gap may follow.
        let at_begin = here.offset_in_segment(self.meta.segment_data_length) == 0;
        for position in [here, if at_begin { here } else { next }] {
            match self.whole_at(position)? {
                Ok(header) => match header.follows(&self.report.tail, self.meta.cluster_id) {
                    Ok(()) => {
                        self.padding(here, position)?;
                        self.take(&header, position)?;
                        return Ok(true);
                    }
                    Err(error) if position == here => reason = EndReason::DoesNotFollow(error),
                    Err(_) => {}
                },
                Err(found) if position == here => reason = found,
                Err(_) => {}
            }
        }
        self.resume(here, reason, numbers)
    }

    /// Looks for the next whole batch that is not stale, and reports what is between.
    fn resume(
        &mut self,
        here: LogPosition,
        reason: EndReason,
        numbers: &[u64],
    ) -> Result<bool, StorageError> {
        let mut remains = None;
        let first = here.segment(self.meta.segment_data_length);
        for &number in numbers.iter().filter(|number| **number >= first) {
            let begin = here.max(LogPosition(number * self.meta.segment_data_length));
            if let Some((header, position)) = self.search(begin, &mut remains)? {
                return self.jump(here, reason, &header, position);
            }
        }
        if let Some((first, end)) = remains {
            self.find(
                first,
                Fault::Tail {
                    reason,
                    bytes: end.0 - first.0,
                },
            );
        }
        Ok(false)
    }

    fn search(
        &mut self,
        begin: LogPosition,
        remains: &mut Option<(LogPosition, LogPosition)>,
    ) -> Result<Option<(BatchHeader, LogPosition)>, StorageError> {
        let tail = self.report.tail;
        let cluster_id = self.meta.cluster_id;
        let bytes = self.source.log(begin)?;
        for (at, line) in bytes.chunks(BATCH_ALIGNMENT as usize).enumerate() {
            let offset = at * BATCH_ALIGNMENT as usize;
            let position = begin.plus(offset as u64);
            if all_zero(line) {
                continue;
            }
            let first = remains.map_or(position, |(first, _)| first);
            *remains = Some((first, position.plus(line.len() as u64)));
            if line.starts_with(&BATCH_MAGIC)
                && let Ok(header) = check(&bytes[offset..], position, true)
                && header.cluster_id == cluster_id
                && header.term >= tail.term
                && header.index > tail.index
            {
                return Ok(Some((header, position)));
            }
        }
        Ok(None)
    }

    /// Damage, or a torn tail, before a whole batch at `position`.
    fn jump(
        &mut self,
        here: LogPosition,
        reason: EndReason,
        header: &BatchHeader,
        position: LogPosition,
    ) -> Result<bool, StorageError> {
        let (expected, found) = (self.report.tail.index + 1, header.index);
        let fault = if found == expected {
            match header.follows(&self.report.tail, self.meta.cluster_id) {
                Err(error) => Fault::DoesNotFollow(error),
                Ok(()) => Fault::DoesNotFollow(OrderError::Chain),
            }
        } else {
            let bytes = position.0 - here.0;
            Fault::Missing {
                reason,
                first_index: expected,
                last_index: found - 1,
                bytes,
            }
        };
        self.find(here, fault);
        self.report.tail = before(header, position);
        self.take(header, position)?;
        Ok(true)
    }

    fn take(&mut self, header: &BatchHeader, position: LogPosition) -> Result<(), StorageError> {
        self.report.tail = LogTail::after(header, position);
        self.report.batch_count += 1;
        self.report.record_count += u64::from(header.record_count);
        self.report.byte_count += header.length();
        self.commit_index = self.commit_index.max(header.commit_index);
        let length = BATCH_HEADER_LENGTH as u64 + u64::from(header.body_length);
        self.padding(position.plus(length), position.plus(header.length()))
    }

    /// Reports bytes that are not zero between two batches, or behind a batch's records.
    fn padding(&mut self, from: LogPosition, to: LogPosition) -> Result<(), StorageError> {
        if from < to {
            let bytes = self.source.log(from)?;
            let length = ((to.0 - from.0) as usize).min(bytes.len());
            if !all_zero(&bytes[..length]) {
                self.find(from, Fault::Padding);
            }
        }
        Ok(())
    }

    /// The log must reach what is known to be committed.
    fn commit_index_reached(&mut self) {
        let (tail, commit_index) = (self.report.tail, self.commit_index);
        if tail.index < commit_index {
            let reason = match self.report.findings.last().map(|finding| &finding.fault) {
                Some(Fault::Tail { reason, .. }) => *reason,
                _ => EndReason::Zeros,
            };
            self.find(
                tail.position,
                Fault::Lost {
                    reason,
                    commit_index,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests;
