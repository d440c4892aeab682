//! What lies behind the end of the log: zeros, a torn write, stale batches, or proof of damage.

use super::Witness;
use crate::batch::{BATCH_KIND_CLEAN_STOP, BATCH_MAGIC};
use crate::folder::JournalMeta;
use crate::position::BATCH_ALIGNMENT;
use crate::segment::SegmentSource;
use crate::storage::{Storage, StorageError};
use crate::{BatchHeader, BatchView, LogPosition, LogTail};

#[derive(Debug, Default)]
pub(super) struct Remains {
    /// The first and behind the last byte that is not zero, both to a batch's alignment.
    pub(super) range: Option<(LogPosition, LogPosition)>,
    /// Whole batches of this cluster, wherever they stand and whether they are stale or not.
    pub(super) whole_batches: u64,
    /// The most that a whole batch among the remains proves.
    pub(super) witness: Option<Witness>,
}

impl Remains {
    /// Looks at every multiple of 64 from the tail to the end of the last segment.
    pub(super) fn scan<S: Storage>(
        source: &mut SegmentSource<S>,
        meta: &JournalMeta,
        tail: &LogTail,
        numbers: &[u64],
    ) -> Result<Self, StorageError> {
        let mut remains = Self::default();
        let first = tail.position.segment(meta.segment_data_length);
        for &number in numbers.iter().filter(|number| **number >= first) {
            let begin = tail
                .position
                .max(LogPosition(number * meta.segment_data_length));
            remains.scan_segment(source.log(begin)?, begin, meta, tail);
        }
        Ok(remains)
    }

    fn scan_segment(
        &mut self,
        bytes: &[u8],
        begin: LogPosition,
        meta: &JournalMeta,
        tail: &LogTail,
    ) {
        for (at, line) in bytes.chunks(BATCH_ALIGNMENT as usize).enumerate() {
            if line.iter().fold(0, |sum, byte| sum | byte) == 0 {
                continue;
            }
            let offset = at * BATCH_ALIGNMENT as usize;
            let position = begin.plus(offset as u64);
            let begin = self.range.map_or(position, |(begin, _)| begin);
            self.range = Some((begin, position.plus(BATCH_ALIGNMENT)));
            if line.starts_with(&BATCH_MAGIC)
                && let Ok(view) = BatchView::verified(&bytes[offset..], position)
                && view.header.cluster_id == meta.cluster_id
            {
                self.whole_batches += 1;
                self.testify(&view.header, position, tail);
            }
        }
    }

    /// What is committed is never truncated, so a commit index counts whatever else the batch is. A clean
    /// stop counts unless it is of a truncated suffix.
    fn testify(&mut self, header: &BatchHeader, position: LogPosition, tail: &LogTail) {
        let index = header.index;
        let stale = header.term < tail.term || index <= tail.index;
        if header.kind == BATCH_KIND_CLEAN_STOP && !stale && index > tail.index + 1 {
            self.witness = Some(Witness::CleanStop { position, index });
        }
        let commit_index = header.commit_index;
        let best = match self.witness {
            None => 0,
            Some(Witness::LaterBatch { commit_index, .. }) => commit_index,
            Some(_) => u64::MAX,
        };
        if commit_index > best {
            self.witness = Some(Witness::LaterBatch {
                position,
                index,
                commit_index,
            });
        }
    }
}
