//! Makes a journal the way a node does: appender, log buffer, writer, segments; without sockets and threads.
//!
//! A state machine applies each batch as it is appended, so that the log carries the digests that a live
//! node would have written, and so that a replay can be compared with what happened.

use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_journal::folder::{
    AcknowledgementPolicy, FolderError, FormatOptions, HardState, OpenOptions, format,
};
use lockstep_journal::segment::SegmentPreparer;
use lockstep_journal::storage::{DirectStorage, StorageError};
use lockstep_journal::writer::{JournalError, JournalWriter};
use lockstep_journal::{
    Appender, BATCH_LENGTH_MAX, Journal, LogBufferError, LogTail, OpenError, Published, SealFields,
    StartOptions,
};
use lockstep_record::batch::BatchKind;
use lockstep_record::event::EventSink;
use lockstep_record::{BatchInfo, LogIndex, Sequence, Term, Timestamp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// 2026-01-02T09:30:00Z: where the made log's time begins.
pub const BEGIN_NS: u64 = 1_767_346_200_000_000_000;
/// Time between two batches of the made log, ns.
pub const BATCH_STEP_NS: u64 = 40_000;

#[derive(Debug, Error)]
pub enum BuildError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    LogBuffer(#[from] LogBufferError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("cannot name a journal: {0}")]
    Name(io::Error),
    #[error("a batch of {length} bytes does not fit: at most {max}")]
    BatchTooLong { length: usize, max: usize },
    #[error("the log buffer is full and the writer does not get on")]
    Stuck,
}

#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// A folder that is empty or not there.
    pub folder: PathBuf,
    pub log_buffer: PathBuf,
    pub segment_data_length: u64,
    pub ring_length: u64,
}

/// A term is in the hard state before it is in the log, as consensus has it.
fn store_term(journal: &mut Journal<DirectStorage>, term: u64) -> Result<(), BuildError> {
    let state = *journal.hard_state.state();
    journal.hard_state.store(&HardState { term, ..state })?;
    Ok(())
}

/// A batch's records, one behind the other, 8-aligned.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    skip: usize,
    /// End of each record.
    ends: Vec<usize>,
}

impl Default for Records {
    fn default() -> Self {
        let bytes = vec![0; BATCH_LENGTH_MAX as usize + 8];
        let skip = bytes.as_ptr().align_offset(8);
        Self {
            bytes,
            skip,
            ends: Vec::new(),
        }
    }
}

impl Records {
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all records.
    pub fn length(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Adds the record that `write` puts at the start of the free room; it returns the length.
    pub fn push(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let begin = self.length();
        let length = write(&mut self.bytes[self.skip + begin..]);
        self.ends.push(begin + length);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.skip..self.skip + self.length()]
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes()[begin..*end])
    }
}

/// A journal in the making. Dropping it leaves the folder and the log buffer as `kill -9` would.
#[derive(Debug)]
pub struct JournalBuilder {
    journal: Journal<DirectStorage>,
    appender: Appender,
    writer: JournalWriter<DirectStorage>,
    preparer: SegmentPreparer<DirectStorage>,
    pub machine: StateMachine,
    term: u64,
    committed: u64,
}

impl JournalBuilder {
    /// Formats the folder and begins a log with a term start.
    pub fn create(options: &BuildOptions) -> Result<Self, BuildError> {
        let storage = DirectStorage::create(&options.folder)?;
        let mut wanted = FormatOptions::new_cluster(BEGIN_NS).map_err(BuildError::Name)?;
        wanted.segment_data_length = options.segment_data_length;
        format(&storage, &wanted)?;
        let start = StartOptions {
            open: OpenOptions {
                policy: AcknowledgementPolicy::Local,
                allow_volatile: true,
            },
            log_buffer_path: Some(options.log_buffer.clone()),
            ring_length: options.ring_length,
            from: LogTail::EMPTY,
            witness_index: 0,
        };
        let mut journal = Journal::open(&storage, &start)?;
        store_term(&mut journal, 1)?;
        let appender = journal.buffer.appender(journal.folder.meta().lineage)?;
        let (writer, preparer) = (journal.writer(), journal.preparer());
        let mut builder = Self {
            journal,
            appender,
            writer,
            preparer,
            machine: StateMachine::new(Capacity::default()),
            term: 1,
            committed: 0,
        };
        let none = Records::default();
        let sink = &mut lockstep_record::event::NullSink;
        builder.append(BatchKind::TermStart, &none, sink)?;
        Ok(builder)
    }

    pub fn folder(&self) -> &Path {
        self.journal.folder.storage().folder()
    }

    /// What the next batch continues.
    pub fn tail(&self) -> &LogTail {
        self.appender.tail()
    }

    /// Begins another term with its batch.
    pub fn next_term(&mut self) -> Result<Published, BuildError> {
        self.term += 1;
        store_term(&mut self.journal, self.term)?;
        let sink = &mut lockstep_record::event::NullSink;
        self.append(BatchKind::TermStart, &Records::default(), sink)
    }

    /// One batch: into the log buffer, committed at once, applied here.
    pub fn append<S: EventSink>(
        &mut self,
        kind: BatchKind,
        records: &Records,
        sink: &mut S,
    ) -> Result<Published, BuildError> {
        self.begin(records.length())?;
        for record in records.each() {
            // `begin` has made room for all of them.
            let fits = self.appender.push(record);
            assert!(fits.is_ok(), "a batch is as long as its records");
        }
        let tail = *self.appender.tail();
        let fields = SealFields {
            kind: kind as u8,
            term: self.term,
            index: tail.index + 1,
            first_sequence: tail.next_sequence,
            timestamp: (tail.timestamp + BATCH_STEP_NS).max(BEGIN_NS),
            commit_index: self.committed,
            digest_index: self.machine.last_index().0,
            digest: self.machine.digest(),
            feature_set_version: 0,
        };
        let published = self.appender.seal(&fields);
        self.committed = published.index;
        let buffer = self.appender.buffer();
        buffer.publish_commit(published.index, published.end());
        let info = BatchInfo {
            kind,
            term: Term(fields.term),
            index: LogIndex(fields.index),
            first_sequence: Sequence(fields.first_sequence),
            record_count: records.count() as u32,
            timestamp: Timestamp(fields.timestamp),
            feature_set_version: 0,
        };
        self.machine.apply(&info, records.bytes(), sink)?;
        Ok(published)
    }

    fn begin(&mut self, length: usize) -> Result<(), BuildError> {
        let max = self.appender.body_length_max();
        if length > max {
            return Err(BuildError::BatchTooLong { length, max });
        }
        if self.appender.begin(length).is_ok() {
            return Ok(());
        }
        self.drain()?;
        self.appender.begin(length).map_err(|_| BuildError::Stuck)
    }

    /// Writes everything to segments.
    pub fn drain(&mut self) -> Result<(), BuildError> {
        while !self.writer.is_drained() {
            let work = self.preparer.do_work() + self.writer.do_work()?;
            if work == 0 {
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// An orderly stop: a clean-stop batch, everything on disk, the hard state without a log buffer.
    pub fn stop(mut self) -> Result<StateMachine, BuildError> {
        let sink = &mut lockstep_record::event::NullSink;
        self.append(BatchKind::CleanStop, &Records::default(), sink)?;
        self.drain()?;
        self.writer.sync()?;
        self.journal.stopped(self.committed)?;
        let path = self.journal.buffer.path().to_owned();
        // Nothing is in it that the segments lack.
        let _ = std::fs::remove_file(path);
        Ok(self.machine)
    }

    /// As `kill -9` under policy `local`: what the writer has not written is only in the log buffer.
    pub fn kill(self) -> StateMachine {
        self.machine
    }

    pub fn log_buffer(&self) -> &Arc<lockstep_journal::LogBuffer> {
        &self.journal.buffer
    }
}
