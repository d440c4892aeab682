//! Snapshots by a process of its own: `lockstep snapshotter DIR`, and one on demand.
//!
//! It takes no lock but that of the snapshot being written, and works beside a live node or on a folder that
//! nobody serves from.

use super::shadow::Shadow;
use crate::fatal::Fatal;
use crate::journal::{folder_fatal, read_fatal};
use lockstep_core::Capacity;
use lockstep_journal::folder::{HardStateLoad, JournalMeta, read_meta};
use lockstep_journal::log_buffer::ObservedLogBuffer;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::snapshot::SnapshotHeader;
use lockstep_journal::storage::Storage;
use lockstep_journal::{BootId, LogBuffer, LogTail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BATCHES_MAX: usize = 4096;
const POLL: Duration = Duration::from_millis(50);

/// When a following process takes snapshots.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// 0 = not by records.
    pub every_records: u64,
    /// Zero = not by time.
    pub every: Duration,
    /// `None`: where a node puts it by default.
    pub log_buffer: Option<PathBuf>,
}

/// What is known to be committed, from outside: the log buffer, the hard state, later batches.
#[derive(Debug)]
struct CommitWatch<S: Storage> {
    storage: S,
    meta: JournalMeta,
    log_buffer: PathBuf,
    scout: JournalReader<S>,
    commit_index: u64,
}

impl<S: Storage> CommitWatch<S> {
    fn new(storage: &S, meta: &JournalMeta, log_buffer: Option<PathBuf>, from: LogTail) -> Self {
        let options = ReadOptions {
            from,
            until: None,
            verify: true,
        };
        Self {
            storage: storage.clone(),
            meta: *meta,
            log_buffer: log_buffer.unwrap_or_else(|| LogBuffer::default_path(meta.journal_id)),
            scout: JournalReader::beside_writer(storage.clone(), meta, options),
            commit_index: 0,
        }
    }

    fn look(&mut self) -> Result<u64, Fatal> {
        if let Ok(load) = HardStateLoad::read(&self.storage, &self.meta) {
            self.commit_index = self.commit_index.max(load.state.commit_index);
        }
        // One of another boot may speak of batches that a power cut took.
        if let Ok(Some(observed)) = ObservedLogBuffer::open_positions(&self.log_buffer)
            && observed.identity.journal_id == self.meta.journal_id
            && BootId::current().is_ok_and(|boot| boot == observed.identity.boot_id)
        {
            self.commit_index = self.commit_index.max(observed.commit_index);
        }
        while let Some(batch) = self.scout.next_batch().map_err(|e| read_fatal(&e))? {
            self.commit_index = self.commit_index.max(batch.header.commit_index);
        }
        Ok(self.commit_index)
    }
}

/// One snapshot of all that is known to be committed; `None` if the newest one is already there.
pub fn take<S: Storage>(
    storage: &S,
    log_buffer: Option<PathBuf>,
    report: &mut dyn FnMut(&str),
) -> Result<Option<SnapshotHeader>, Fatal> {
    let meta = read_meta(storage).map_err(|e| folder_fatal(&e))?;
    let mut shadow = Shadow::start(storage, &meta, Capacity::default(), report)?;
    let mut watch = CommitWatch::new(storage, &meta, log_buffer, *shadow.tail());
    let commit_index = watch.look()?;
    while shadow.follow(commit_index, BATCHES_MAX)? > 0 {}
    if shadow.tail().index <= shadow.last_saved() {
        return Ok(None);
    }
    shadow.save().map(Some)
}

/// Follows the log and takes snapshots until `stop` says so. A snapshot that fails is reported, and the next
/// one tried when it is due.
pub fn follow<S: Storage>(
    storage: &S,
    options: &FollowOptions,
    report: &mut dyn FnMut(&str),
    stop: &dyn Fn() -> bool,
) -> Result<(), Fatal> {
    let meta = read_meta(storage).map_err(|e| folder_fatal(&e))?;
    let mut shadow = Shadow::start(storage, &meta, Capacity::default(), report)?;
    let log_buffer = options.log_buffer.clone();
    let mut watch = CommitWatch::new(storage, &meta, log_buffer, *shadow.tail());
    let mut due = Instant::now() + options.every;
    let mut records = shadow.tail().next_sequence;
    let mut commit_index = 0;
    while !stop() {
        if shadow.tail().index >= commit_index {
            commit_index = watch.look()?;
        }
        let applied = shadow.follow(commit_index, BATCHES_MAX)?;
        // Due is due, also while there is much to catch up with.
        let tail = *shadow.tail();
        let by_time = !options.every.is_zero() && Instant::now() >= due;
        let by_records =
            options.every_records != 0 && tail.next_sequence - records >= options.every_records;
        if (by_time || by_records) && tail.index > shadow.last_saved() {
            due = Instant::now() + options.every;
            records = tail.next_sequence;
            report(&saved(shadow.save(), &tail));
        }
        if applied == 0 {
            // What is committed may not be in the segments yet.
            commit_index = 0;
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

fn saved(result: Result<SnapshotHeader, Fatal>, tail: &LogTail) -> String {
    let (index, sequence) = (tail.index, tail.next_sequence - 1);
    match result {
        Ok(header) => {
            let bytes = header.file_length;
            format!("snapshot behind batch {index}, record {sequence}: {bytes} bytes")
        }
        Err(fatal) => format!("snapshot failed: {fatal}"),
    }
}
