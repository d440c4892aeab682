//! Snapshot files: the state after one batch, in checksummed sections (docs/journal-format.md, "Snapshot").
//!
//! A file has its name only when it is whole: sections first, synced, the header last, synced, then renamed.
//! This module knows tags, lengths and checksums; it must never know what a section means.

mod file;
mod read_back;
mod writer;

pub use file::{SnapshotError, SnapshotFile};
pub use read_back::read_back;
pub use writer::SnapshotWriter;

use crate::bytes::{get_array, get_u32, get_u64, put};
use crate::header_block::{self, HeaderBlockError};
use crate::position::BLOCK_LENGTH;
use crate::storage::{Storage, StorageError};
use crate::{Checksum, ClusterId, JournalId, Lineage, LogPosition, LogTail};

const MAGIC: [u8; 8] = *b"LKSSNAPS";
const FORMAT_VERSION: u16 = 0;
const SUFFIX: &str = ".snapshot";
const PREPARING_SUFFIX: &str = ".snapshot.preparing";
/// Held while a snapshot is written.
pub const SNAPSHOT_LOCK_NAME: &str = "snapshot.lock";
pub const SECTIONS_MAX: usize = 32;
/// Longest engine version, bytes.
pub const ENGINE_VERSION_LENGTH_MAX: usize = 32;
const SECTION_TABLE: usize = 256;
const SECTION_ENTRY: usize = 48;

const _: () = assert!(SECTION_TABLE + SECTIONS_MAX * SECTION_ENTRY <= BLOCK_LENGTH as usize);

/// Name of the snapshot behind batch `index`.
pub fn snapshot_name(index: u64) -> String {
    format!("{index:016}{SUFFIX}")
}

fn preparing_name(index: u64) -> String {
    format!("{index:016}{PREPARING_SUFFIX}")
}

/// The index in a snapshot's name; `None` for any other name.
pub fn snapshot_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() < 16 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Indices of all snapshots in a folder, ascending.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, StorageError> {
    let names = storage.list()?;
    let mut indices: Vec<u64> = names
        .iter()
        .filter_map(|name| snapshot_index(name))
        .collect();
    indices.sort_unstable();
    Ok(indices)
}

/// What a snapshot says of itself beside its sections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotFacts {
    pub cluster_id: ClusterId,
    pub lineage: Lineage,
    /// Where the log continues.
    pub tail: LogTail,
    /// Of the state machine's events so far.
    pub digest: u64,
    pub feature_set_version: u64,
    /// Layout of the state image.
    pub image_version: u32,
    pub state_hash: [u8; 32],
    /// At most [`ENGINE_VERSION_LENGTH_MAX`] bytes; longer ones are cut.
    pub engine_version: String,
    /// Index of the batch that opened the trading day whose streams are kept: the open one or, until the next
    /// opens, the last one; 0 = none has been opened.
    pub stream_index: u64,
}

/// One section's place; offsets from the file's begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotSection {
    pub tag: u32,
    pub offset: u64,
    pub length: u64,
    pub checksum: Checksum,
}

impl SnapshotSection {
    /// Where the next section begins, or the file ends.
    fn end(&self) -> Option<u64> {
        let end = self.offset.checked_add(self.length)?;
        end.checked_next_multiple_of(BLOCK_LENGTH)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotHeader {
    pub facts: SnapshotFacts,
    pub file_length: u64,
    pub sections: Vec<SnapshotSection>,
}

impl SnapshotHeader {
    pub fn encode(&self) -> [u8; BLOCK_LENGTH as usize] {
        let (facts, tail) = (&self.facts, &self.facts.tail);
        let mut bytes = [0; BLOCK_LENGTH as usize];
        // Of the log, not of one copy of it: no journal id.
        header_block::start(
            &mut bytes,
            MAGIC,
            FORMAT_VERSION,
            facts.cluster_id,
            JournalId::ZERO,
        );
        put(&mut bytes, 48, &facts.lineage.0);
        let longs = [
            (64, tail.index),
            (72, tail.term),
            (80, tail.next_sequence),
            (88, tail.timestamp),
            (96, tail.position.0),
            (144, facts.digest),
            (152, facts.feature_set_version),
            (224, self.file_length),
            (232, facts.stream_index),
        ];
        for (offset, value) in longs {
            put(&mut bytes, offset, &value.to_le_bytes());
        }
        put(&mut bytes, 104, &(self.sections.len() as u32).to_le_bytes());
        put(&mut bytes, 108, &facts.image_version.to_le_bytes());
        put(&mut bytes, 128, &tail.header_checksum.0);
        put(&mut bytes, 160, &facts.state_hash);
        let version = facts.engine_version.as_bytes();
        let length = version.len().min(ENGINE_VERSION_LENGTH_MAX);
        put(&mut bytes, 192, &version[..length]);
        for (at, section) in self.sections.iter().enumerate() {
            let entry = SECTION_TABLE + at * SECTION_ENTRY;
            put(&mut bytes, entry, &section.tag.to_le_bytes());
            put(&mut bytes, entry + 8, &section.offset.to_le_bytes());
            put(&mut bytes, entry + 16, &section.length.to_le_bytes());
            put(&mut bytes, entry + 24, &section.checksum.0);
        }
        header_block::finish(&mut bytes);
        bytes
    }

    /// `bytes` begin with the header block; fewer than a block count as no header.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderBlockError> {
        let block = bytes
            .get(..BLOCK_LENGTH as usize)
            .ok_or(HeaderBlockError::Empty)?;
        let (cluster_id, _) = header_block::check(block, MAGIC, FORMAT_VERSION)?;
        let version: [u8; ENGINE_VERSION_LENGTH_MAX] = get_array(block, 192);
        let version = String::from_utf8_lossy(&version);
        let header = Self {
            facts: SnapshotFacts {
                cluster_id,
                lineage: Lineage(get_array(block, 48)),
                tail: LogTail {
                    position: LogPosition(get_u64(block, 96)),
                    index: get_u64(block, 64),
                    term: get_u64(block, 72),
                    next_sequence: get_u64(block, 80),
                    timestamp: get_u64(block, 88),
                    header_checksum: Checksum(get_array(block, 128)),
                },
                digest: get_u64(block, 144),
                feature_set_version: get_u64(block, 152),
                image_version: get_u32(block, 108),
                state_hash: get_array(block, 160),
                engine_version: version.trim_end_matches('\0').to_owned(),
                stream_index: get_u64(block, 232),
            },
            file_length: get_u64(block, 224),
            sections: sections(block)?,
        };
        if header.is_consistent() {
            Ok(header)
        } else {
            Err(HeaderBlockError::Malformed)
        }
    }

    /// Sections behind the header, behind each other, filling the file; tags ascending.
    fn is_consistent(&self) -> bool {
        let mut end = Some(BLOCK_LENGTH);
        for section in &self.sections {
            if end != Some(section.offset) {
                return false;
            }
            end = section.end();
        }
        let pairs = self.sections.iter().zip(self.sections.iter().skip(1));
        let facts = &self.facts;
        end == Some(self.file_length)
            && pairs.clone().all(|(one, next)| one.tag < next.tag)
            && facts.tail.index < u64::MAX
            && facts.tail.next_sequence > 0
            && facts.stream_index <= facts.tail.index
    }
}

fn sections(block: &[u8]) -> Result<Vec<SnapshotSection>, HeaderBlockError> {
    let count = get_u32(block, 104) as usize;
    if !(1..=SECTIONS_MAX).contains(&count) {
        return Err(HeaderBlockError::Malformed);
    }
    let entry = |at: usize| {
        let entry = SECTION_TABLE + at * SECTION_ENTRY;
        SnapshotSection {
            tag: get_u32(block, entry),
            offset: get_u64(block, entry + 8),
            length: get_u64(block, entry + 16),
            checksum: Checksum(get_array(block, entry + 24)),
        }
    };
    Ok((0..count).map(entry).collect())
}

#[cfg(test)]
mod tests;
