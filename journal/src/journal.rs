//! The start of a journal in one call: lock, recover, mend, begin a new life of the log buffer.

use crate::folder::{
    FolderError, HardState, HardStateError, HardStateFile, JournalFolder, OpenOptions,
};
use crate::log_buffer::PreviousLogBuffer;
use crate::reader::{JournalReader, ReadOptions};
use crate::recovery::{Applied, Recovery, RecoveryError, RecoveryOptions, recover_telling};
use crate::segment::{SegmentPreparer, SegmentSupply};
use crate::storage::{Storage, StorageError};
use crate::writer::JournalWriter;
use crate::{BootId, LogBuffer, LogBufferError, LogBufferId, LogBufferOptions};
use crate::{LogPosition, LogTail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

#[derive(Clone, Debug)]
pub struct StartOptions {
    pub open: OpenOptions,
    /// `None`: [`LogBuffer::default_path`].
    pub log_buffer_path: Option<PathBuf>,
    pub ring_length: u64,
    /// Begin behind a verified snapshot; [`LogTail::EMPTY`] = at the log's begin.
    pub from: LogTail,
    /// A batch index that a snapshot or a peer proves; 0 = none.
    pub witness_index: u64,
}

/// End of the last batch on disk that recovery has verified and taken; what is before it stays.
#[derive(Debug)]
pub struct VerifiedPosition(AtomicU64);

impl VerifiedPosition {
    pub fn new(from: LogPosition) -> Self {
        Self(AtomicU64::new(from.0))
    }

    pub fn get(&self) -> LogPosition {
        LogPosition(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, position: LogPosition) {
        self.0.store(position.0, Ordering::Release);
    }
}

/// Why a journal does not start. Each is a different thing to do for the operator.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    LogBuffer(#[from] LogBufferError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    HardState(#[from] HardStateError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot read this boot's id: {0}")]
    BootId(std::io::Error),
}

/// A journal held by this process: recovered, and ready for agents to be made from it.
///
/// Everything up to `recovery.tail` is in the segments and synced; the log buffer is empty and continues
/// there. Replay reads the segments ([`Self::reader`]), then the engine follows the log buffer.
#[derive(Debug)]
pub struct Journal<S: Storage> {
    pub folder: JournalFolder<S>,
    pub recovery: Recovery,
    pub applied: Applied,
    pub buffer: Arc<LogBuffer>,
    pub hard_state: HardStateFile<S>,
    pub supply: Arc<SegmentSupply>,
    policy: crate::folder::AcknowledgementPolicy,
}

impl<S: Storage> Journal<S> {
    /// Recovers and takes the journal in `storage`. On any error nothing acknowledged has been touched.
    pub fn open(storage: &S, options: &StartOptions) -> Result<Self, OpenError> {
        let folder = JournalFolder::open(storage.clone(), options.open)?;
        Self::start(folder, options, None)
    }

    /// The same in a folder whose lock this process holds already. `verified` is told how far the log has been
    /// verified, so that another thread may apply it meanwhile.
    pub fn start(
        folder: JournalFolder<S>,
        options: &StartOptions,
        verified: Option<&VerifiedPosition>,
    ) -> Result<Self, OpenError> {
        let storage = &folder.storage().clone();
        let meta = *folder.meta();
        let default_path = || LogBuffer::default_path(meta.journal_id);
        let path = options.log_buffer_path.clone().unwrap_or_else(default_path);
        let boot_id = BootId::current().map_err(OpenError::BootId)?;
        let (recovery, applied) = recover_and_apply(&folder, options, (&path, boot_id), verified)?;
        let buffer_options = LogBufferOptions {
            path,
            ring_length: options.ring_length,
            cluster_id: meta.cluster_id,
            journal_id: meta.journal_id,
            segment_data_length: meta.segment_data_length,
        };
        let buffer = LogBuffer::create(&buffer_options, &recovery.tail, &applied.prefix)?;
        let mut hard_state = HardStateFile::open_or_create(storage, &meta)?;
        let log_buffer_id = buffer.identity().log_buffer_id;
        hard_state.store(&HardState {
            log_buffer_id,
            boot_id,
            ..recovery.hard_state
        })?;
        let supply = SegmentSupply::new(applied.prepared);
        let policy = options.open.policy;
        Ok(Self {
            folder,
            recovery,
            applied,
            buffer,
            hard_state,
            supply,
            policy,
        })
    }

    /// The agent that writes segments.
    pub fn writer(&self) -> JournalWriter<S> {
        let supply = Arc::clone(&self.supply);
        JournalWriter::new(&self.folder, Arc::clone(&self.buffer), self.policy, supply)
    }

    /// The helper that makes segments ahead of need.
    pub fn preparer(&self) -> SegmentPreparer<S> {
        let storage = self.folder.storage().clone();
        SegmentPreparer::new(storage, *self.folder.meta(), Arc::clone(&self.supply))
    }

    /// Everything that recovery has passed, for replay: verified a moment ago, so only order is checked.
    pub fn reader(&self, from: LogTail) -> JournalReader<S> {
        let until = Some(self.recovery.tail.position);
        let options = ReadOptions {
            from,
            until,
            verify: false,
        };
        JournalReader::new(self.folder.storage().clone(), self.folder.meta(), options)
    }

    /// A new term, above every one in the hard state and the log, on the medium when this returns: a solo
    /// node calls it before its first batch.
    pub fn begin_term(&mut self) -> Result<u64, StorageError> {
        let state = *self.hard_state.state();
        let term = state.term.max(self.recovery.tail.term) + 1;
        self.hard_state.store(&HardState {
            term,
            vote: 0,
            ..state
        })?;
        Ok(term)
    }

    /// Last step of an orderly stop: the writer is drained and synced, `commit_index` is the clean stop's.
    pub fn stopped(&mut self, commit_index: u64) -> Result<(), StorageError> {
        let state = *self.hard_state.state();
        let log_buffer_id = LogBufferId::ZERO;
        self.hard_state.store(&HardState {
            commit_index,
            log_buffer_id,
            ..state
        })
    }
}

/// Everything that needs the log buffer as the last owner left it. It is let go again on return, with all
/// that it held secured in the segments.
fn recover_and_apply<S: Storage>(
    folder: &JournalFolder<S>,
    options: &StartOptions,
    (path, boot_id): (&Path, BootId),
    verified: Option<&VerifiedPosition>,
) -> Result<(Recovery, Applied), OpenError> {
    let (storage, meta) = (folder.storage(), folder.meta());
    let mut previous = PreviousLogBuffer::open(path)?;
    if let Some(previous) = &previous {
        previous.refuse_foreign(meta.journal_id)?;
    }
    let log_buffer = match &mut previous {
        Some(previous) if previous.identity().is_ok() => Some(previous.image()?),
        _ => None,
    };
    let (from, witness_index) = (options.from, options.witness_index);
    let recovery_options = RecoveryOptions {
        from,
        witness_index,
        boot_id,
        log_buffer,
    };
    let recovery = recover_telling(storage, meta, &recovery_options, verified)?;
    folder.remove_unfinished()?;
    let applied = recovery.apply(storage, meta, log_buffer)?;
    Ok((recovery, applied))
}
