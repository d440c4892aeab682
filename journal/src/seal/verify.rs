//! What seals prove, and what they prove wrong.

use super::{Hash, Seal, SealError, SealKey, SealKind, read_seals};
use crate::folder::JournalMeta;
use crate::position::BLOCK_LENGTH;
use crate::segment::segment_name;
use crate::snapshot::snapshot_name;
use crate::storage::{Storage, StorageError};
use sha2::{Digest, Sha256};
use thiserror::Error;

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SealFault {
    #[error("the entry is not what its chain value says")]
    Entry,
    #[error("it does not continue the entry before")]
    Chain,
    #[error("it follows number {before}: others are missing between")]
    Gap { before: u64 },
    #[error("the key says it is forged")]
    Forged,
    #[error("it was sealed with another key ({key_id:016x})")]
    OtherKey { key_id: u64 },
    #[error("it was sealed without a key")]
    NotKeyed,
    #[error("its cluster is another")]
    OtherCluster,
    #[error("the file's content is not what was sealed")]
    Altered,
    #[error("the file is not there (archived or removed)")]
    Absent,
    #[error("the chain does not contain the exported seal: it was made anew, or cut")]
    Anchor,
}

impl SealFault {
    /// `Absent` is worth knowing only: the archive has its own proof.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealFinding {
    pub ordinal: u64,
    pub number: u64,
    pub fault: SealFault,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealReport {
    pub kind: SealKind,
    pub seal_count: u64,
    /// Files whose content was hashed and is what was sealed.
    pub content_count: u64,
    pub last: Option<Seal>,
    pub findings: Vec<SealFinding>,
}

impl SealReport {
    pub fn is_sound(&self) -> bool {
        !self
            .findings
            .iter()
            .any(|finding| finding.fault.is_damage())
    }
}

/// Verifies one chain and the files it is of. With a key, every entry must be keyed with it. `anchor`: ordinal and
/// chain value of a seal that was exported earlier.
pub fn verify_seals<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    kind: SealKind,
    key: Option<&SealKey>,
    anchor: Option<(u64, Hash)>,
) -> Result<SealReport, SealError> {
    let seals = read_seals(storage, kind)?;
    let mut report = SealReport {
        kind,
        seal_count: seals.len() as u64,
        content_count: 0,
        last: seals.last().copied(),
        findings: Vec::new(),
    };
    let mut before: Option<&Seal> = None;
    for seal in &seals {
        for fault in entry_faults(seal, before, meta, key) {
            report.find(seal, fault);
        }
        match content(storage, meta, seal)? {
            None => report.find(seal, SealFault::Absent),
            Some(hash) if hash == seal.content => report.content_count += 1,
            Some(_) => report.find(seal, SealFault::Altered),
        }
        before = Some(seal);
    }
    if let Some((ordinal, chain)) = anchor {
        let found = seals.get(ordinal as usize);
        if found.is_none_or(|seal| seal.chain != chain) {
            let (number, fault) = (found.map_or(0, |seal| seal.number), SealFault::Anchor);
            report.findings.push(SealFinding {
                ordinal,
                number,
                fault,
            });
        }
    }
    Ok(report)
}

impl SealReport {
    fn find(&mut self, seal: &Seal, fault: SealFault) {
        let (ordinal, number) = (seal.ordinal, seal.number);
        self.findings.push(SealFinding {
            ordinal,
            number,
            fault,
        });
    }
}

fn entry_faults(
    seal: &Seal,
    before: Option<&Seal>,
    meta: &JournalMeta,
    key: Option<&SealKey>,
) -> Vec<SealFault> {
    let mut faults = Vec::new();
    if seal.computed_chain() != seal.chain {
        faults.push(SealFault::Entry);
    }
    if seal.previous != before.map_or([0; 32], |before| before.chain) {
        faults.push(SealFault::Chain);
    }
    if let Some(before) = before.map(|before| before.number)
        && seal.kind == SealKind::Segment
        && seal.number != before + 1
    {
        faults.push(SealFault::Gap { before });
    }
    if seal.cluster_id != meta.cluster_id {
        faults.push(SealFault::OtherCluster);
    }
    let key_id = seal.key_id;
    match key {
        Some(_) if key_id == 0 => faults.push(SealFault::NotKeyed),
        Some(key) if key.id() != key_id => faults.push(SealFault::OtherKey { key_id }),
        Some(key) if key.mac(&seal.chain) != seal.mac => faults.push(SealFault::Forged),
        _ => {}
    }
    faults
}

/// The hash of what a seal is of; `None` if it is not there.
fn content<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    seal: &Seal,
) -> Result<Option<Hash>, StorageError> {
    let (name, begin, length) = match seal.kind {
        SealKind::Segment => {
            let name = segment_name(seal.number);
            (name, BLOCK_LENGTH as usize, meta.segment_data_length)
        }
        SealKind::Snapshot => (snapshot_name(seal.number), 0, seal.length),
    };
    let bytes = match storage.map(&name) {
        Err(StorageError::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    let (content, rest) = (bytes.get(begin..).unwrap_or_default(), length as usize);
    if seal.kind == SealKind::Snapshot && content.len() != rest {
        return Ok(Some([0; 32]));
    }
    let mut hash = Sha256::new();
    let there = &content[..rest.min(content.len())];
    hash.update(there);
    let zeros = [0; 4096];
    let mut missing = rest - there.len();
    while missing > 0 {
        let length = missing.min(zeros.len());
        hash.update(&zeros[..length]);
        missing -= length;
    }
    Ok(Some(hash.finalize().into()))
}
