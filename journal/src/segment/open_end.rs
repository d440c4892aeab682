//! The segments that may still be written, read past the page cache into memory of our own.
//!
//! A mapping would do for what it reads, but not for the writer: while a file has pages in the cache, each of
//! its direct writes must drop them, and ends in a kernel worker on the core that submitted it. So whoever
//! follows a live journal leaves no page of the segment behind that is being written. What is read beside a write may be
//! half of it: the reader's checksums decide, and what they refuse is read again.

use super::segment_name;
use crate::batch::{BATCH_HEADER_LENGTH, BATCH_MAGIC, BatchHeader};
use crate::position::{BATCH_LENGTH_MAX, BLOCK_LENGTH};
use crate::storage::{AlignedBuffer, Storage, StorageError, StorageFile};

/// Of the first read behind the log's end; doubled from read to read while there is more, up to all of the memory.
const READ_LENGTH_MIN: u64 = 64 << 10;
/// A batch that begins anywhere in a block.
const CAPACITY: u64 = BATCH_LENGTH_MAX + BLOCK_LENGTH;

#[derive(Debug)]
pub(super) struct OpenEnd<S: Storage> {
    file: Option<(u64, S::File)>,
    bytes: AlignedBuffer,
    /// File offset of the first byte held; begins a block.
    begin: u64,
    /// Bytes held.
    held: u64,
    read_length: u64,
}

impl<S: Storage> OpenEnd<S> {
    pub fn new() -> Self {
        Self {
            file: None,
            bytes: AlignedBuffer::new(CAPACITY as usize),
            begin: 0,
            held: 0,
            read_length: READ_LENGTH_MIN,
        }
    }

    /// The segment whose bytes are looked at.
    pub fn number(&self) -> Option<u64> {
        self.file.as_ref().map(|(number, _)| *number)
    }

    /// Forgets what was read: the next look is a fresh one.
    pub fn forget(&mut self) {
        self.held = 0;
        self.read_length = READ_LENGTH_MIN;
    }

    /// The bytes from `offset` of segment `number`'s file, at least to the end of the batch there if there is a whole
    /// one; fewer, or none, if the file is shorter or not there.
    pub fn from(&mut self, storage: &S, number: u64, offset: u64) -> Result<&[u8], StorageError> {
        if self.number() != Some(number) {
            self.held = 0;
            self.file = match storage.open_to_read(&segment_name(number)) {
                Err(StorageError::NotFound { .. }) => None,
                opened => Some((number, opened?)),
            };
        }
        let whole = |length| length <= self.rest(offset);
        if !self.batch_length(offset).is_some_and(whole) {
            self.read(offset, self.read_length)?;
            self.read_length = (2 * self.read_length).min(CAPACITY);
            if let Some(length) = self.batch_length(offset)
                && length > self.rest(offset)
            {
                self.read(offset, length.min(BATCH_LENGTH_MAX))?;
            }
        }
        Ok(self.held_from(offset))
    }

    fn held_from(&self, offset: u64) -> &[u8] {
        let held = self.bytes.get(self.held as usize);
        let from = offset.checked_sub(self.begin).map(|from| from as usize);
        from.and_then(|from| held.get(from..)).unwrap_or_default()
    }

    fn rest(&self, offset: u64) -> u64 {
        self.held_from(offset).len() as u64
    }

    /// What the header at `offset` says, if there is one; nothing of it is verified.
    fn batch_length(&self, offset: u64) -> Option<u64> {
        let bytes = self.held_from(offset);
        let begins = bytes.len() >= BATCH_HEADER_LENGTH && bytes[..8] == BATCH_MAGIC;
        begins.then(|| BatchHeader::parse(bytes).length())
    }

    /// Holds `length` bytes from `offset`, or what the file has of them.
    fn read(&mut self, offset: u64, length: u64) -> Result<(), StorageError> {
        self.held = 0;
        let Some((_, file)) = &self.file else {
            return Ok(());
        };
        self.begin = offset - offset % BLOCK_LENGTH;
        let length = (offset + length - self.begin).next_multiple_of(BLOCK_LENGTH);
        let target = &mut self.bytes.get_mut()[..length.min(CAPACITY) as usize];
        self.held = file.read_at(self.begin, target)? as u64;
        Ok(())
    }
}
