//! The manifest's lines.

use crate::seal::{Hash, hash_text, parse_hash};
use crate::segment::segment_name;
use crate::snapshot::snapshot_name;
use std::fmt;

pub const MANIFEST_NAME: &str = "archive.manifest";
pub(super) const MANIFEST_PREPARING_NAME: &str = "archive.manifest.preparing";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveKind {
    Segment,
    Snapshot,
}

impl ArchiveKind {
    fn word(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Snapshot => "snapshot",
        }
    }

    /// Name of the file in the journal folder.
    pub fn name(self, number: u64) -> String {
        match self {
            Self::Segment => segment_name(number),
            Self::Snapshot => snapshot_name(number),
        }
    }
}

/// One archived file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchiveEntry {
    pub kind: ArchiveKind,
    /// Of the segment; index of the snapshot.
    pub number: u64,
    /// Of the file as it was in the journal folder.
    pub length: u64,
    pub hash: Hash,
    /// Of the compressed copy.
    pub stored_length: u64,
    pub stored_hash: Hash,
}

impl ArchiveEntry {
    /// Name of the file in the journal folder.
    pub fn name(&self) -> String {
        self.kind.name(self.number)
    }

    /// Name of the copy in the archive.
    pub fn stored_name(&self) -> String {
        stored_name(self.kind, self.number)
    }

    /// `None` if the line is not one of a manifest.
    pub fn parse(line: &str) -> Option<Self> {
        let (content, crc) = line.rsplit_once(" crc ")?;
        if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(content.as_bytes()) {
            return None;
        }
        let words: Vec<&str> = content.split(' ').collect();
        let [
            kind,
            number,
            "length",
            length,
            "sha256",
            hash,
            "stored",
            stored,
            "stored_sha256",
            stored_hash,
        ] = words[..]
        else {
            return None;
        };
        let kinds = [ArchiveKind::Segment, ArchiveKind::Snapshot];
        Some(Self {
            kind: kinds.into_iter().find(|known| known.word() == kind)?,
            number: number.parse().ok()?,
            length: length.parse().ok()?,
            hash: parse_hash(hash)?,
            stored_length: stored.parse().ok()?,
            stored_hash: parse_hash(stored_hash)?,
        })
    }
}

pub(super) fn stored_name(kind: ArchiveKind, number: u64) -> String {
    format!("{}.lz4", kind.name(number))
}

/// The manifest's line, without its end.
impl fmt::Display for ArchiveEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = format!(
            "{} {} length {} sha256 {} stored {} stored_sha256 {}",
            self.kind.word(),
            self.number,
            self.length,
            hash_text(&self.hash),
            self.stored_length,
            hash_text(&self.stored_hash)
        );
        write!(
            f,
            "{content} crc {:08x}",
            crc32c::crc32c(content.as_bytes())
        )
    }
}
