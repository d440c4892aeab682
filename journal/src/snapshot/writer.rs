//! Writes a snapshot in one pass: sections as they come, the header last.

use super::{SECTIONS_MAX, SNAPSHOT_LOCK_NAME, SnapshotFacts, SnapshotHeader, SnapshotSection};
use super::{preparing_name, snapshot_name};
use crate::Checksum;
use crate::pace::{CHUNK_LENGTH, paced};
use crate::position::BLOCK_LENGTH;
use crate::storage::{AlignedBuffer, Storage, StorageError, StorageFile, WriteMode};

/// Dropped before [`SnapshotWriter::finish`], it leaves a file of no meaning behind.
#[derive(Debug)]
pub struct SnapshotWriter<S: Storage> {
    storage: S,
    index: u64,
    file: S::File,
    buffer: AlignedBuffer,
    filled: usize,
    /// Bytes of the file before `buffer`.
    written: u64,
    sections: Vec<SnapshotSection>,
    crc: u32,
    _lock: S::Lock,
}

impl<S: Storage> SnapshotWriter<S> {
    /// Begins the snapshot behind batch `index`; refused while another is being written. Removes what a crash
    /// left of earlier ones.
    pub fn create(storage: &S, index: u64) -> Result<Self, StorageError> {
        let lock = storage.lock(SNAPSHOT_LOCK_NAME)?;
        for name in storage.list()? {
            if name.ends_with(super::PREPARING_SUFFIX) {
                storage.delete(&name)?;
            }
        }
        // Past the page cache where possible: a big snapshot must not push out what others need.
        let file = storage.create(&preparing_name(index), WriteMode::Direct)?;
        Ok(Self {
            storage: storage.clone(),
            index,
            file,
            buffer: AlignedBuffer::new(CHUNK_LENGTH),
            filled: 0,
            written: BLOCK_LENGTH,
            sections: Vec::with_capacity(SECTIONS_MAX),
            crc: 0,
            _lock: lock,
        })
    }

    /// Begins a section. Tags ascend; at most [`SECTIONS_MAX`].
    pub fn section(&mut self, tag: u32) -> Result<(), StorageError> {
        assert!(self.sections.len() < SECTIONS_MAX, "too many sections");
        let last = self.sections.last().map_or(0, |last| last.tag);
        assert!(tag > last, "sections stand in the order of their tags");
        self.end_section()?;
        self.sections.push(SnapshotSection {
            tag,
            offset: self.written,
            length: 0,
            checksum: Checksum::ZERO,
        });
        Ok(())
    }

    /// The section's next bytes.
    pub fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        let Some(section) = self.sections.last_mut() else {
            panic!("bytes belong to a section");
        };
        section.length += bytes.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        while !bytes.is_empty() {
            let room = CHUNK_LENGTH - self.filled;
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.get_mut()[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled == CHUNK_LENGTH {
                paced(CHUNK_LENGTH, || self.write_blocks())?;
            }
        }
        Ok(())
    }

    /// Pads the section to a block.
    fn end_section(&mut self) -> Result<(), StorageError> {
        if let Some(section) = self.sections.last_mut() {
            section.checksum = Checksum::of_crc(self.crc);
            self.crc = 0;
        }
        self.write_blocks()
    }

    fn write_blocks(&mut self) -> Result<(), StorageError> {
        if self.filled == 0 {
            return Ok(());
        }
        let length = self.filled.next_multiple_of(BLOCK_LENGTH as usize);
        self.buffer.get_mut()[self.filled..length].fill(0);
        self.file.write_at(self.written, self.buffer.get(length))?;
        self.written += length as u64;
        self.filled = 0;
        Ok(())
    }

    /// Makes it a snapshot: on the medium, whole, with its name, when this returns.
    pub fn finish(mut self, facts: &SnapshotFacts) -> Result<SnapshotHeader, StorageError> {
        assert_eq!(facts.tail.index, self.index, "the batch it was begun for");
        self.end_section()?;
        let header = SnapshotHeader {
            facts: facts.clone(),
            file_length: self.written,
            sections: self.sections,
        };
        // Content first: a header never stands before bytes that are not there.
        self.file.sync()?;
        drop(self.file);
        let preparing = preparing_name(self.index);
        let file = self.storage.open(&preparing, WriteMode::Buffered)?;
        file.write_at(0, &header.encode())?;
        file.sync()?;
        drop(file);
        self.storage
            .rename(&preparing, &snapshot_name(self.index))?;
        self.storage.sync_folder()?;
        Ok(header)
    }
}
