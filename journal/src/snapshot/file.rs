//! A snapshot as it is read: mapped, its header checked at once, its sections when asked.

use super::{SnapshotHeader, snapshot_name};
use crate::header_block::HeaderBlockError;
use crate::storage::{Storage, StorageBytes, StorageError};
use crate::{Checksum, ClusterId};
use thiserror::Error;

/// Why a snapshot cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SnapshotError {
    #[error("{name}: header: {source}")]
    Header {
        name: String,
        source: HeaderBlockError,
    },
    #[error("{name} is behind batch {found}, not the one of its name")]
    OtherIndex { name: String, found: u64 },
    #[error("{name} belongs to cluster {found}")]
    OtherCluster { name: String, found: ClusterId },
    #[error("{name} has {found} bytes instead of {expected}")]
    Length {
        name: String,
        expected: u64,
        found: u64,
    },
    #[error("{name}, offset {offset}: the checksum of section {tag} does not hold")]
    Section { name: String, tag: u32, offset: u64 },
    #[error("{name}, offset {offset}: padding is not zero")]
    Padding { name: String, offset: u64 },
    #[error("{name}: its header or its length is not what was written")]
    NotAsWritten { name: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A mapped snapshot with a header that holds.
#[derive(Debug)]
pub struct SnapshotFile {
    name: String,
    header: SnapshotHeader,
    bytes: StorageBytes,
}

impl SnapshotFile {
    /// Maps the snapshot behind batch `index`. Header, length and cluster are checked, sections are not:
    /// see [`Self::verify`].
    pub fn open<S: Storage>(
        storage: &S,
        index: u64,
        cluster_id: ClusterId,
    ) -> Result<Self, SnapshotError> {
        let name = snapshot_name(index);
        let bytes = storage.map(&name)?;
        bytes.prefer_huge_pages();
        let header = Self::check(&name, &bytes, index, cluster_id)?;
        Ok(Self {
            name,
            header,
            bytes,
        })
    }

    fn check(
        name: &str,
        bytes: &[u8],
        index: u64,
        cluster_id: ClusterId,
    ) -> Result<SnapshotHeader, SnapshotError> {
        let name = || name.to_owned();
        let header = SnapshotHeader::decode(bytes).map_err(|source| SnapshotError::Header {
            name: name(),
            source,
        })?;
        let (expected, found) = (header.file_length, bytes.len() as u64);
        if header.facts.cluster_id != cluster_id {
            let found = header.facts.cluster_id;
            return Err(SnapshotError::OtherCluster {
                name: name(),
                found,
            });
        }
        if header.facts.tail.index != index {
            let found = header.facts.tail.index;
            return Err(SnapshotError::OtherIndex {
                name: name(),
                found,
            });
        }
        if expected != found {
            return Err(SnapshotError::Length {
                name: name(),
                expected,
                found,
            });
        }
        Ok(header)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the section with this tag.
    pub fn section(&self, tag: u32) -> Option<&[u8]> {
        let section = self.header.sections.iter().find(|s| s.tag == tag)?;
        let (begin, end) = (section.offset, section.offset + section.length);
        self.bytes.get(begin as usize..end as usize)
    }

    /// All sections in order: (tag, bytes).
    pub fn sections(&self) -> impl Iterator<Item = (u32, &[u8])> + '_ {
        let tags = self.header.sections.iter().map(|section| section.tag);
        tags.filter_map(|tag| Some((tag, self.section(tag)?)))
    }

    /// Checks every byte behind the header.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        for section in &self.header.sections {
            let end = (section.offset + section.length) as usize;
            let content = self.bytes.get(section.offset as usize..end);
            if content.is_none_or(|content| Checksum::of(content) != section.checksum) {
                return Err(SnapshotError::Section {
                    name: self.name.clone(),
                    tag: section.tag,
                    offset: section.offset,
                });
            }
            let next = section.end().map_or(end, |next| next as usize);
            let padding = self.bytes.get(end..next);
            if !padding.is_some_and(crate::bytes::all_zero) {
                return Err(SnapshotError::Padding {
                    name: self.name.clone(),
                    offset: end as u64,
                });
            }
        }
        Ok(())
    }
}
