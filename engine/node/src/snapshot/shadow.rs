//! A second state machine that follows the committed log from the segments.
//!
//! It never goes beyond what is committed, and a snapshot of it never beyond what is on the medium. The log's
//! digests are compared all the way: a shadow that differs writes no snapshot.

use super::content::{StreamMarkSink, open_newest, save};
use crate::fatal::{ExitCode, Fatal};
use crate::journal::{read_fatal, storage_fatal};
use crate::replay::Replayer;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::segment::segment_name;
use lockstep_journal::snapshot::{SnapshotHeader, read_back};
use lockstep_journal::storage::{Storage, StorageFile, WriteMode};
use lockstep_journal::{Lineage, LogTail};

#[derive(Debug)]
pub struct Shadow<S: Storage> {
    storage: S,
    meta: JournalMeta,
    replayer: Replayer,
    streams: StreamMarkSink,
    reader: JournalReader<S>,
    /// Of the last batch applied.
    lineage: Lineage,
    /// Segments before this one are known to be synced.
    synced: u64,
    /// Index of the last snapshot that is known; 0 = none.
    last_saved: u64,
}

impl<S: Storage> Shadow<S> {
    /// From the newest snapshot that serves, or the log's begin. `report` hears of those that do not.
    pub fn start(
        storage: &S,
        meta: &JournalMeta,
        capacity: Capacity,
        report: &mut dyn FnMut(&str),
    ) -> Result<Self, Fatal> {
        let mut tell = |unusable: &super::Unusable| report(&format!("snapshot: {unusable}"));
        let newest = open_newest(storage, meta.cluster_id, capacity, &mut tell)
            .map_err(|e| storage_fatal(&e))?;
        let (replayer, streams, from, lineage) = match newest {
            Some(loaded) => {
                let facts = &loaded.header.facts;
                let replayer = Replayer::behind_snapshot(loaded.machine);
                (replayer, loaded.streams, facts.tail, facts.lineage)
            }
            None => {
                let replayer = Replayer::new(StateMachine::new(capacity));
                let streams = StreamMarkSink::default();
                (replayer, streams, LogTail::EMPTY, meta.lineage)
            }
        };
        let options = ReadOptions {
            from,
            until: None,
            verify: true,
        };
        Ok(Self {
            reader: JournalReader::beside_writer(storage.clone(), meta, options),
            storage: storage.clone(),
            meta: *meta,
            replayer,
            streams,
            lineage,
            synced: from.position.segment(meta.segment_data_length),
            last_saved: from.index,
        })
    }

    /// Applies what has been committed up to `commit_index`, at most `batches_max` batches; returns how many.
    pub fn follow(&mut self, commit_index: u64, batches_max: usize) -> Result<usize, Fatal> {
        let mut applied = 0;
        while applied < batches_max && self.reader.tail().index < commit_index {
            let Some(batch) = self.reader.next_batch().map_err(|e| read_fatal(&e))? else {
                break;
            };
            self.lineage = batch.header.lineage;
            self.streams.index = batch.header.index;
            self.replayer.apply(&batch, &mut self.streams)?;
            applied += 1;
        }
        Ok(applied)
    }

    /// The state's place in the log.
    pub fn tail(&self) -> &LogTail {
        self.reader.tail()
    }

    pub fn machine(&self) -> &StateMachine {
        &self.replayer.machine
    }

    /// Index of the last snapshot that this shadow began from or wrote; 0 = none.
    pub fn last_saved(&self) -> u64 {
        self.last_saved
    }

    /// Writes a snapshot of the state as it is, and reads it back.
    pub fn save(&mut self) -> Result<SnapshotHeader, Fatal> {
        self.sync_log().map_err(|e| storage_fatal(&e))?;
        let ids = (self.meta.cluster_id, self.lineage);
        let (machine, tail) = (&self.replayer.machine, *self.reader.tail());
        let header = save(&self.storage, machine, &self.streams, &tail, ids)
            .map_err(|e| storage_fatal(&e))?;
        if let Err(error) = read_back(&self.storage, &header) {
            let what = format!("a snapshot just written does not read back: {error}");
            return Err(Fatal::new(ExitCode::Io, what));
        }
        self.last_saved = tail.index;
        Ok(header)
    }

    /// Under `local` what was read may not be on the medium yet; no snapshot may outlive its log.
    fn sync_log(&mut self) -> Result<(), lockstep_journal::storage::StorageError> {
        let last = self.tail().position.segment(self.meta.segment_data_length);
        for number in self.synced..=last {
            match self
                .storage
                .open(&segment_name(number), WriteMode::Buffered)
            {
                Ok(file) => file.sync()?,
                // Trimmed since, so synced long ago; or the log ends at a segment's end.
                Err(lockstep_journal::storage::StorageError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.synced = last;
        Ok(())
    }
}
