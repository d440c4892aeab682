//! The walk over the log: at each position the batch on disk, else the log buffer's, else the end.

use super::ring::Ring;
use super::{Finding, Recovery, Rewrite};
use crate::folder::{HardState, JournalMeta};
use crate::journal::VerifiedPosition;
use crate::position::BLOCK_LENGTH;
use crate::reader::{EndReason, check};
use crate::segment::SegmentSource;
use crate::storage::{Storage, StorageError};
use crate::{BatchHeader, LogPosition, LogTail};

/// Repairs reported one by one; more are only counted.
const REPAIRS_REPORTED_MAX: usize = 64;

pub(super) struct Walk<'a, S: Storage> {
    source: &'a mut SegmentSource<S>,
    meta: &'a JournalMeta,
    ring: Option<&'a Ring<'a>>,
    verified: Option<&'a VerifiedPosition>,
    tail: LogTail,
    last: Option<BatchHeader>,
    batch_count: u64,
    record_count: u64,
    first_taken: Option<u64>,
    taken: u64,
    rewrites: Vec<Rewrite>,
    repairs: Vec<Finding>,
    stopped: Stop,
}

/// Where nothing can be taken, and why: at the tail or, if there are only zeros, at the next segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) position: LogPosition,
    pub(super) reason: EndReason,
}

impl<'a, S: Storage> Walk<'a, S> {
    pub(super) fn new(
        source: &'a mut SegmentSource<S>,
        meta: &'a JournalMeta,
        ring: Option<&'a Ring<'a>>,
        from: LogTail,
        verified: Option<&'a VerifiedPosition>,
    ) -> Self {
        Self {
            source,
            meta,
            ring,
            verified,
            tail: from,
            last: None,
            batch_count: 0,
            record_count: 0,
            first_taken: None,
            taken: 0,
            rewrites: Vec::new(),
            repairs: Vec::new(),
            stopped: Stop {
                position: from.position,
                reason: EndReason::Zeros,
            },
        }
    }

    pub(super) fn tail(&self) -> &LogTail {
        &self.tail
    }

    /// Takes the next batch; `false` if there is none.
    pub(super) fn step(&mut self) -> Result<bool, StorageError> {
        let here = self.tail.position;
        let data_length = self.meta.segment_data_length;
        let on_disk = self.on_disk(here)?;
        if let Ok(header) = on_disk {
            self.take_from_disk(&header, here);
            return Ok(true);
        }
        if let Some(header) = self.in_ring(here) {
            self.take_from_ring(&header, here, on_disk);
            return Ok(true);
        }
        // A batch that did not fit here begins at the next segment.
        if here.offset_in_segment(data_length) != 0 {
            let next = here.next_segment(data_length);
            let on_disk = self.on_disk(next)?;
            if let Ok(header) = on_disk {
                self.take_from_disk(&header, next);
                return Ok(true);
            }
            if let Some(header) = self.in_ring(next) {
                self.take_from_ring(&header, next, on_disk);
                return Ok(true);
            }
            if let Err(reason) = on_disk {
                self.stop(next, reason);
            }
        }
        if let Err(reason) = on_disk {
            self.stop(here, reason);
        }
        Ok(false)
    }

    fn stop(&mut self, position: LogPosition, reason: EndReason) {
        let nothing = |reason| matches!(reason, EndReason::Zeros | EndReason::NoSegment);
        let known = self.stopped.position > self.tail.position && !nothing(self.stopped.reason);
        // Called for the next segment first: what stands there says more than zeros here.
        if !(known && nothing(reason)) {
            self.stopped = Stop { position, reason };
        }
    }

    pub(super) fn finish(self, mut findings: Vec<Finding>) -> (Stop, Recovery) {
        findings.extend(self.repairs);
        if let Some(first_index) = self.first_taken {
            findings.push(Finding::TakenFromLogBuffer {
                first_index,
                batches: self.taken,
            });
        }
        let recovery = Recovery {
            tail: self.tail,
            last: self.last,
            batch_count: self.batch_count,
            record_count: self.record_count,
            hard_state: HardState::default(),
            findings,
            pending_batches: self.taken,
            rewrites: self.rewrites,
            cut: None,
            mend: Vec::new(),
        };
        (self.stopped, recovery)
    }

    fn on_disk(
        &mut self,
        position: LogPosition,
    ) -> Result<Result<BatchHeader, EndReason>, StorageError> {
        let found = check(self.source.log(position)?, position, true);
        Ok(found.and_then(|header| {
            let follows = header.follows(&self.tail, self.meta.cluster_id);
            follows.map(|()| header).map_err(EndReason::DoesNotFollow)
        }))
    }

    fn in_ring(&self, position: LogPosition) -> Option<BatchHeader> {
        let header = self.ring?.batch_at(position).ok()?;
        header.follows(&self.tail, self.meta.cluster_id).ok()?;
        Some(header)
    }

    fn take(&mut self, header: &BatchHeader, position: LogPosition) {
        self.tail = LogTail::after(header, position);
        self.last = Some(*header);
        self.batch_count += 1;
        self.record_count += u64::from(header.record_count);
    }

    fn take_from_disk(&mut self, header: &BatchHeader, position: LogPosition) {
        self.take(header, position);
        if let Some(verified) = self.verified
            && self.first_taken.is_none()
        {
            verified.set(self.tail.position);
        }
    }

    fn take_from_ring(
        &mut self,
        header: &BatchHeader,
        position: LogPosition,
        on_disk: Result<BatchHeader, EndReason>,
    ) {
        if let Err(reason) = on_disk
            && !matches!(reason, EndReason::Zeros | EndReason::NoSegment)
            && self.repairs.len() < REPAIRS_REPORTED_MAX
        {
            let data_length = self.meta.segment_data_length;
            self.repairs.push(Finding::Repaired {
                segment: position.segment(data_length),
                offset: BLOCK_LENGTH + position.offset_in_segment(data_length),
                index: header.index,
                sequence: header.first_sequence,
                reason,
            });
        }
        self.first_taken.get_or_insert(header.index);
        self.taken += 1;
        let length = header.length();
        match self.rewrites.last_mut() {
            Some(last) if last.position.plus(last.length) == position => last.length += length,
            _ => self.rewrites.push(Rewrite { position, length }),
        }
        self.take(header, position);
    }
}
