//! Seals: proof against alteration, where checksums only detect accident (docs/journal-format.md, "Seals").
//!
//! SHA-256 over what a finished segment or a snapshot holds, chained to the seal before, and keyed if a key is
//! given. Computed from files, off the hot path, in pieces: see [`Sealer`]. Nothing here ever changes what it
//! seals.

mod chain;
mod key;
mod sealer;
mod verify;

pub use chain::{SealChain, read_seals};
pub use key::SealKey;
pub use sealer::Sealer;
pub use verify::{SealFault, SealFinding, SealReport, verify_seals};

use crate::bytes::{get_array, get_u16, get_u32, get_u64, put};
use crate::storage::StorageError;
use crate::{Checksum, ClusterId};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

const MAGIC: [u8; 8] = *b"LKSSEAL.";
const FORMAT_VERSION: u16 = 0;
pub const SEAL_LENGTH: usize = 256;
const KEYED: u32 = 1;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What a chain of seals is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum SealKind {
    Segment = 1,
    Snapshot = 2,
}

impl SealKind {
    pub const ALL: [Self; 2] = [Self::Segment, Self::Snapshot];

    /// Name of the chain's file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Segment => "segments.seals",
            Self::Snapshot => "snapshots.seals",
        }
    }

    /// As it is exported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Snapshot => "snapshot",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    #[error("{file}: seal {ordinal} is damaged and others follow it; restore the file from a copy")]
    Damaged { file: &'static str, ordinal: u64 },
    #[error("{file}: seal {ordinal} is of a newer format; use the newer build")]
    NewerFormat { file: &'static str, ordinal: u64 },
    #[error("{file} belongs to another cluster")]
    OtherCluster { file: &'static str },
    #[error("a key of {length} bytes is too short: give 16 or more")]
    ShortKey { length: usize },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One entry of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    pub kind: SealKind,
    pub cluster_id: ClusterId,
    /// Of the entry, from 0.
    pub ordinal: u64,
    /// Of the segment; index of the snapshot.
    pub number: u64,
    /// Bytes hashed.
    pub length: u64,
    /// Which key; 0 = none.
    pub key_id: u64,
    pub content: Hash,
    /// `chain` of the entry before; zeros in the first.
    pub previous: Hash,
    pub chain: Hash,
    /// Zeros without a key.
    pub mac: Hash,
}

impl Seal {
    pub fn encode(&self) -> [u8; SEAL_LENGTH] {
        let mut bytes = self.sealed_bytes();
        put(&mut bytes, 128, &self.chain);
        put(&mut bytes, 160, &self.mac);
        let checksum = Checksum::of(&bytes[..240]);
        put(&mut bytes, 240, &checksum.0);
        bytes
    }

    /// What `chain` is the hash of, at its place; the rest zero.
    fn sealed_bytes(&self) -> [u8; SEAL_LENGTH] {
        let mut bytes = [0; SEAL_LENGTH];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 10, &(self.kind as u16).to_le_bytes());
        let flags = if self.key_id == 0 { 0 } else { KEYED };
        put(&mut bytes, 12, &flags.to_le_bytes());
        put(&mut bytes, 16, &self.cluster_id.0);
        put(&mut bytes, 32, &self.ordinal.to_le_bytes());
        put(&mut bytes, 40, &self.number.to_le_bytes());
        put(&mut bytes, 48, &self.length.to_le_bytes());
        put(&mut bytes, 56, &self.key_id.to_le_bytes());
        put(&mut bytes, 64, &self.content);
        put(&mut bytes, 96, &self.previous);
        bytes
    }

    /// What `chain` must be.
    pub fn computed_chain(&self) -> Hash {
        Sha256::digest(&self.sealed_bytes()[..128]).into()
    }

    /// `None` if the bytes are not a whole entry of this kind.
    fn decode(bytes: &[u8], kind: SealKind) -> Option<Result<Self, u16>> {
        let bytes: &[u8; SEAL_LENGTH] = bytes.try_into().ok()?;
        let checksum = Checksum(get_array(bytes, 240));
        if bytes[..8] != MAGIC || Checksum::of(&bytes[..240]) != checksum {
            return None;
        }
        let version = get_u16(bytes, 8);
        if version > FORMAT_VERSION {
            return Some(Err(version));
        }
        let seal = Self {
            kind,
            cluster_id: ClusterId(get_array(bytes, 16)),
            ordinal: get_u64(bytes, 32),
            number: get_u64(bytes, 40),
            length: get_u64(bytes, 48),
            key_id: get_u64(bytes, 56),
            content: get_array(bytes, 64),
            previous: get_array(bytes, 96),
            chain: get_array(bytes, 128),
            mac: get_array(bytes, 160),
        };
        let fixed = get_u16(bytes, 10) == kind as u16
            && (get_u32(bytes, 12) == KEYED) == (seal.key_id != 0)
            && get_u32(bytes, 12) <= KEYED
            && crate::bytes::all_zero(&bytes[192..240]);
        fixed.then_some(Ok(seal))
    }

    /// The entry of a line that [`fmt::Display`] wrote, as far as it says: kind, ordinal, number, chain, mac.
    pub fn parse_line(line: &str) -> Option<(SealKind, u64, u64, Hash, Hash)> {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let kind = SealKind::ALL.into_iter().find(|k| k.name() == kind)?;
        let ordinal = words.next()?.parse().ok()?;
        let number = words.next()?.parse().ok()?;
        let (chain, mac) = (parse_hash(words.next()?)?, parse_hash(words.next()?)?);
        words
            .next()
            .is_none()
            .then_some((kind, ordinal, number, chain, mac))
    }
}

/// The line that is exported.
impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.kind.name(), self.ordinal, self.number)?;
        write!(f, "{} {}", hash_text(&self.chain), hash_text(&self.mac))
    }
}

/// Lower-case hexadecimal.
pub fn hash_text(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of 64 hexadecimal digits.
pub fn parse_hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
