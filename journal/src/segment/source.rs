//! Segment data by number, one segment mapped at a time: what reader, recovery and `verify` walk over.

use super::open_end::OpenEnd;
use super::{is_full, map_segment, segment_number};
use crate::LogPosition;
use crate::position::BLOCK_LENGTH;
use crate::storage::{Storage, StorageBytes, StorageError};

/// The bytes of one segment after another. Keeps at most one mapped, so that resident memory is bounded
/// by a segment however long the journal is.
#[derive(Debug)]
pub struct SegmentSource<S: Storage> {
    storage: S,
    data_length: u64,
    mapped: Option<(u64, StorageBytes)>,
    /// Reads what may still be written, where somebody writes.
    open_end: Option<OpenEnd<S>>,
}

impl<S: Storage> SegmentSource<S> {
    pub fn new(storage: S, data_length: u64) -> Self {
        Self {
            storage,
            data_length,
            mapped: None,
            open_end: None,
        }
    }

    /// Of a journal that another thread or process may be writing: its writer notices nothing of us.
    pub fn beside_writer(storage: S, data_length: u64) -> Self {
        Self {
            open_end: Some(OpenEnd::new()),
            ..Self::new(storage, data_length)
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
            match map_segment(&self.storage, number, self.last()?) {
                Err(StorageError::NotFound { .. }) => return Ok(None),
                bytes => self.mapped = Some((number, bytes?)),
            }
        }
        Ok(self.mapped.as_ref().map(|(_, bytes)| &bytes[..]))
    }

    fn last(&self) -> Result<u64, StorageError> {
        Ok(self.numbers()?.last().copied().unwrap_or(0))
    }

    /// The log's bytes from `position` to the end of its segment, or beside a writer at least to the end of the batch
    /// there; fewer, or none, if the file is shorter or not there.
    pub fn log(&mut self, position: LogPosition) -> Result<&[u8], StorageError> {
        let data_length = self.data_length;
        let number = position.segment(data_length);
        let begin = BLOCK_LENGTH + position.offset_in_segment(data_length);
        let end = BLOCK_LENGTH + data_length;
        if !self.may_be_written(number)? {
            let file = self.file(number)?.unwrap_or_default();
            let end = file.len().min(end as usize);
            return Ok(file.get(begin as usize..end).unwrap_or_default());
        }
        let Some(open_end) = &mut self.open_end else {
            return Ok(&[]);
        };
        let bytes = open_end.from(&self.storage, number, begin)?;
        Ok(&bytes[..bytes.len().min((end - begin) as usize)])
    }

    /// Whether a writer is there that may come to segment `number`.
    #[inline(always)]
    fn may_be_written(&self, number: u64) -> Result<bool, StorageError> {
        match &self.open_end {
            None => Ok(false),
            // Once begun, to the end.
            Some(open_end) if open_end.number() == Some(number) => Ok(true),
            Some(_) if matches!(&self.mapped, Some((mapped, _)) if *mapped == number) => Ok(false),
            Some(_) => Ok(!is_full(number, self.last()?)),
        }
    }

    /// Forgets what was read: a live journal's next bytes are looked at afresh.
    pub fn refresh(&mut self) {
        self.mapped = None;
        if let Some(open_end) = &mut self.open_end {
            open_end.forget();
        }
    }
}
