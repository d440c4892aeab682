//! The file of a chain: read, and continued by one writer.

use super::{Hash, SEAL_LENGTH, Seal, SealError, SealKey, SealKind};
use crate::ClusterId;
use crate::folder::JournalMeta;
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};

/// All whole entries; a last one that is not whole is torn, and counts as not there.
pub fn read_seals<S: Storage>(storage: &S, kind: SealKind) -> Result<Vec<Seal>, SealError> {
    let bytes = match storage.map(kind.file_name()) {
        Err(StorageError::NotFound { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let file = kind.file_name();
    let mut seals = Vec::with_capacity(bytes.len() / SEAL_LENGTH);
    let mut torn = None;
    for (ordinal, entry) in (0u64..).zip(bytes.chunks(SEAL_LENGTH)) {
        match Seal::decode(entry, kind) {
            Some(Ok(seal)) if torn.is_none() && seal.ordinal == ordinal => seals.push(seal),
            Some(Err(_)) if torn.is_none() => return Err(SealError::NewerFormat { file, ordinal }),
            // Zeros behind a torn entry are the file's length, not an entry.
            None if crate::bytes::all_zero(entry) || torn.is_none() => {
                torn = torn.or(Some(ordinal));
            }
            _ => {
                let ordinal = torn.unwrap_or(ordinal);
                return Err(SealError::Damaged { file, ordinal });
            }
        }
    }
    Ok(seals)
}

/// A chain that is being continued.
#[derive(Debug)]
pub struct SealChain<S: Storage> {
    kind: SealKind,
    cluster_id: ClusterId,
    key: Option<SealKey>,
    file: S::File,
    last: Option<Seal>,
}

impl<S: Storage> SealChain<S> {
    /// Opens the chain, or makes it. The caller is its one writer.
    pub fn open(
        storage: &S,
        meta: &JournalMeta,
        kind: SealKind,
        key: Option<SealKey>,
    ) -> Result<Self, SealError> {
        let last = read_seals(storage, kind)?.last().copied();
        if last.is_some_and(|last| last.cluster_id != meta.cluster_id) {
            let file = kind.file_name();
            return Err(SealError::OtherCluster { file });
        }
        let file = match storage.create(kind.file_name(), WriteMode::Buffered) {
            Ok(file) => {
                storage.sync_folder()?;
                file
            }
            Err(StorageError::Exists { .. }) => {
                storage.open(kind.file_name(), WriteMode::Buffered)?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            kind,
            cluster_id: meta.cluster_id,
            key,
            file,
            last,
        })
    }

    pub fn last(&self) -> Option<&Seal> {
        self.last.as_ref()
    }

    /// Seals `length` bytes with this hash; on the medium when it returns.
    pub fn append(&mut self, number: u64, content: Hash, length: u64) -> Result<Seal, SealError> {
        let (ordinal, previous) = match &self.last {
            Some(last) => (last.ordinal + 1, last.chain),
            None => (0, [0; 32]),
        };
        let mut seal = Seal {
            kind: self.kind,
            cluster_id: self.cluster_id,
            ordinal,
            number,
            length,
            key_id: self.key.as_ref().map_or(0, SealKey::id),
            content,
            previous,
            chain: [0; 32],
            mac: [0; 32],
        };
        seal.chain = seal.computed_chain();
        if let Some(key) = &self.key {
            seal.mac = key.mac(&seal.chain);
        }
        let offset = ordinal * SEAL_LENGTH as u64;
        self.file.write_at(offset, &seal.encode())?;
        self.file.sync()?;
        self.last = Some(seal);
        Ok(seal)
    }
}
