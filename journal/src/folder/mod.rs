//! The journal folder: made once by [`format`], held by one process at a time.
//!
//! Nothing here decides about batches; that is recovery's. What is refused is refused by a type of its own, so
//! that a command line can say what to do.

mod hard_state;
mod meta;

pub use hard_state::{HardState, HardStateError, HardStateFile, HardStateLoad};
pub use meta::{FormatOptions, JournalMeta};

use crate::header_block::HeaderBlockError;
use crate::position::BLOCK_LENGTH;
use crate::position::{SEGMENT_DATA_LENGTH_MAX, SEGMENT_DATA_LENGTH_MIN};
use crate::segment::{is_preparing_name, segment_number};
use crate::storage::{Storage, StorageError, StorageFile, Volatility, WriteMode};
use thiserror::Error;

pub const META_NAME: &str = "journal.meta";
const META_PREPARING_NAME: &str = "journal.meta.preparing";
pub const LOCK_NAME: &str = "journal.lock";
pub const HARD_STATE_NAME: &str = "hard.state";

/// Segments that a predecessor may have been writing to: the last used, the next, and one to spare.
const SETTLED_SEGMENTS: usize = 3;

/// Why a folder cannot be used as a journal.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FolderError {
    #[error("{folder} is not empty ({entry}); a journal is formatted into an empty folder")]
    NotEmpty { folder: String, entry: String },
    #[error("{folder} is not a journal: it has no {META_NAME}; make one with `journal format`")]
    NotAJournal { folder: String },
    #[error("{folder}/{META_NAME}: {source}; restore it from a copy")]
    Meta {
        folder: String,
        source: HeaderBlockError,
    },
    #[error(
        "{folder} is on {file_system}, which forgets at a power cut, but acknowledgements are to be \
         durable; choose another folder, policy `local`, or allow it explicitly"
    )]
    Volatile {
        folder: String,
        file_system: &'static str,
    },
    #[error("segment data length {length} is no multiple of 4096 from 8192 to 1073741824")]
    SegmentDataLength { length: u64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How a journal is going to be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenOptions {
    pub policy: AcknowledgementPolicy,
    /// Accept `durable` on a file system that forgets: tests and demonstrations only.
    pub allow_volatile: bool,
}

/// When a batch may be acknowledged (DESIGN: acknowledgement policies).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcknowledgementPolicy {
    /// On stable storage: each write is synced before it counts.
    Durable,
    /// In the log buffers of a majority; the disk right behind.
    Replicated,
    /// In this machine's log buffer; the disk right behind.
    Local,
}

impl AcknowledgementPolicy {
    /// How segments are opened for writing.
    pub fn write_mode(self) -> WriteMode {
        match self {
            Self::Durable => WriteMode::DirectSync,
            Self::Replicated | Self::Local => WriteMode::Direct,
        }
    }
}

/// A journal folder that this process holds.
#[derive(Debug)]
pub struct JournalFolder<S: Storage> {
    storage: S,
    meta: JournalMeta,
    _lock: S::Lock,
}

/// Makes an empty folder a journal.
pub fn format<S: Storage>(
    storage: &S,
    options: &FormatOptions,
) -> Result<JournalMeta, FolderError> {
    let length = options.segment_data_length;
    let bounds = SEGMENT_DATA_LENGTH_MIN..=SEGMENT_DATA_LENGTH_MAX;
    if !length.is_multiple_of(BLOCK_LENGTH) || !bounds.contains(&length) {
        return Err(FolderError::SegmentDataLength { length });
    }
    if let Some(entry) = storage.list()?.into_iter().next() {
        return Err(FolderError::NotEmpty {
            folder: storage.describe(),
            entry,
        });
    }
    let meta = JournalMeta::new(options);
    hard_state::create(storage, &meta)?;
    // The meta file comes last: a folder with it is whole.
    write_meta(storage, &meta)?;
    Ok(meta)
}

fn write_meta<S: Storage>(storage: &S, meta: &JournalMeta) -> Result<(), StorageError> {
    let file = storage.create(META_PREPARING_NAME, WriteMode::Buffered)?;
    file.write_at(0, &meta.encode())?;
    file.sync()?;
    drop(file);
    storage.rename(META_PREPARING_NAME, META_NAME)?;
    storage.sync_folder()
}

/// Makes `journal.meta` and `hard.state` anew where a folder has lost them (rows R13 and R17), because an
/// operator says so; returns the names of those that were made. A damaged one is kept as `NAME.replaced`.
///
/// The new hard state knows no term, vote or commit index: the log's own are used, and a log that is torn at its
/// end is believed to have ended there. Right for a solo node that has nothing better; never for a node of a
/// group, which must join anew. Nobody else may use the folder.
pub fn remake<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
) -> Result<Vec<&'static str>, HardStateError> {
    let mut made = Vec::new();
    match HardStateLoad::read(storage, meta) {
        Ok(_) => {}
        Err(
            error @ (HardStateError::Damaged { .. }
            | HardStateError::Storage(StorageError::NotFound { .. })),
        ) => {
            if matches!(error, HardStateError::Damaged { .. }) {
                put_aside(storage, HARD_STATE_NAME)?;
            }
            hard_state::create(storage, meta)?;
            storage.sync_folder()?;
            made.push(HARD_STATE_NAME);
        }
        Err(error) => return Err(error),
    }
    match read_meta(storage) {
        Ok(_) => {}
        Err(FolderError::Storage(error)) => return Err(error.into()),
        Err(error) => {
            if matches!(error, FolderError::Meta { .. }) {
                put_aside(storage, META_NAME)?;
            }
            // Of an interrupted earlier attempt.
            match storage.delete(META_PREPARING_NAME) {
                Ok(()) | Err(StorageError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            write_meta(storage, meta)?;
            made.push(META_NAME);
        }
    }
    Ok(made)
}

fn put_aside<S: Storage>(storage: &S, name: &str) -> Result<(), StorageError> {
    storage.rename(name, &format!("{name}.replaced"))
}

/// Reads what a folder is, without taking its lock: for tools on a live or a damaged folder.
pub fn read_meta<S: Storage>(storage: &S) -> Result<JournalMeta, FolderError> {
    let bytes = match storage.map(META_NAME) {
        Err(StorageError::NotFound { .. }) => {
            return Err(FolderError::NotAJournal {
                folder: storage.describe(),
            });
        }
        other => other?,
    };
    JournalMeta::decode(&bytes).map_err(|source| FolderError::Meta {
        folder: storage.describe(),
        source,
    })
}

impl<S: Storage> JournalFolder<S> {
    /// Takes the journal for this process, for writing.
    pub fn open(storage: S, options: OpenOptions) -> Result<Self, FolderError> {
        let meta = read_meta(&storage)?;
        let durable = options.policy == AcknowledgementPolicy::Durable;
        if let (true, false, Volatility::Volatile(file_system)) =
            (durable, options.allow_volatile, storage.volatility()?)
        {
            return Err(FolderError::Volatile {
                folder: storage.describe(),
                file_system,
            });
        }
        let lock = storage.lock(LOCK_NAME)?;
        // A killed predecessor's last writes may still be on their way to the newest segments.
        let names = storage.list()?;
        let segments = names.iter().filter(|name| segment_number(name).is_some());
        for name in segments.rev().take(SETTLED_SEGMENTS) {
            storage.settle(name)?;
        }
        Ok(Self {
            storage,
            meta,
            _lock: lock,
        })
    }

    pub fn storage(&self) -> &S {
        &self.storage
    }

    pub fn meta(&self) -> &JournalMeta {
        &self.meta
    }

    /// Removes segments that a crash left half prepared.
    pub fn remove_unfinished(&self) -> Result<(), FolderError> {
        for name in self
            .storage
            .list()?
            .iter()
            .filter(|name| is_preparing_name(name))
        {
            self.storage.delete(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
