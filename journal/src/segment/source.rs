//! Segment data by number, one segment mapped at a time: what reader, recovery and `verify` walk over.

use super::{segment_name, segment_number};
use crate::LogPosition;
use crate::position::BLOCK_LENGTH;
use crate::storage::{Storage, StorageBytes, StorageError};
use crate::writer::SEGMENTS_AHEAD;

/// The bytes of one segment after another. Keeps at most one mapped, so that resident memory is bounded
/// by a segment however long the journal is.
#[derive(Debug)]
pub struct SegmentSource<S: Storage> {
    storage: S,
    data_length: u64,
    mapped: Option<(u64, StorageBytes)>,
}

impl<S: Storage> SegmentSource<S> {
    pub fn new(storage: S, data_length: u64) -> Self {
        Self {
            storage,
            data_length,
            mapped: None,
        }
    }

    pub fn storage(&self) -> &S {
        &self.storage
    }

    pub fn data_length(&self) -> u64 {
        self.data_length
    }

    /// Numbers of all segments that are there, ascending.
    pub fn numbers(&self) -> Result<Vec<u64>, StorageError> {
        let mut numbers: Vec<u64> = self
            .storage
            .list()?
            .iter()
            .filter_map(|name| segment_number(name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The whole file of segment `number`, header block included; `None` if it is not there.
    pub fn file(&mut self, number: u64) -> Result<Option<&[u8]>, StorageError> {
        if !matches!(&self.mapped, Some((mapped, _)) if *mapped == number) {
            // The old mapping goes first: never two at once.
            self.mapped = None;
            match self.storage.map(&segment_name(number)) {
                Err(StorageError::NotFound { .. }) => return Ok(None),
                other => {
                    let bytes = other?;
                    if self.is_full(number)? {
                        bytes.prefer_huge_pages();
                    }
                    self.mapped = Some((number, bytes));
                }
            }
        }
        Ok(self.mapped.as_ref().map(|(_, bytes)| &bytes[..]))
    }

    /// Nobody writes to it any more: segments are prepared only so far ahead of the one that is written.
    fn is_full(&self, number: u64) -> Result<bool, StorageError> {
        let last = self.numbers()?.last().copied().unwrap_or(0);
        Ok(number + SEGMENTS_AHEAD < last)
    }

    /// The log's bytes from `position` to the end of its segment; fewer, or none, if the file is shorter
    /// or not there.
    pub fn log(&mut self, position: LogPosition) -> Result<&[u8], StorageError> {
        let data_length = self.data_length;
        let begin = (BLOCK_LENGTH + position.offset_in_segment(data_length)) as usize;
        let end = (BLOCK_LENGTH + data_length) as usize;
        let file = self
            .file(position.segment(data_length))?
            .unwrap_or_default();
        Ok(file.get(begin..end.min(file.len())).unwrap_or_default())
    }

    /// Forgets what is mapped: a live journal's next bytes are looked at afresh.
    pub fn refresh(&mut self) {
        self.mapped = None;
    }
}
