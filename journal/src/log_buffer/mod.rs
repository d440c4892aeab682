//! The log buffer: the head of the log, a ring in shared memory that survives the process.
//!
//! The sequencer's [`Appender`] builds batches in it; the engine, replication and the journal's writer read
//! them from it without a copy. Layout in docs/journal-format.md, "Log buffer". It must never hand out
//! room that a consumer or the journal's writer still needs, and never take another journal's buffer.

mod appender;
mod error;
mod layout;
mod mapping;
mod observed;
mod pages;
mod previous;
mod reader;

pub use appender::{Appender, BatchFull, Full, Published, SealFields};
pub use error::LogBufferError;
pub use layout::{CONSUMERS_MAX, Identity};
pub use observed::ObservedLogBuffer;
pub use pages::RingMemory;
pub use previous::{LogBufferImage, PreviousLogBuffer};
pub use reader::LogBufferReader;

use crate::position::{BLOCK_LENGTH, RING_LENGTH_MAX, RING_LENGTH_MIN};
use crate::position::{SEGMENT_DATA_LENGTH_MAX, SEGMENT_DATA_LENGTH_MIN};
use crate::{BootId, ClusterId, JournalId, LogBufferId, LogPosition, LogTail};
use layout::{COMMIT_INDEX, COMMIT_POSITION, DURABLE_POSITION, FREED_POSITION};
use layout::{PUBLISHED_INDEX, PUBLISHED_POSITION};
use mapping::{Mapping, RingReader, RingWriter};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Everything a new log buffer needs to know.
#[derive(Clone, Debug)]
pub struct LogBufferOptions {
    pub path: PathBuf,
    /// A power of two from [`RING_LENGTH_MIN`] to [`RING_LENGTH_MAX`], bytes.
    pub ring_length: u64,
    pub cluster_id: ClusterId,
    pub journal_id: JournalId,
    pub segment_data_length: u64,
}

/// A log buffer in use by this process. Share it as `Arc`; each agent takes its own handle from it.
#[derive(Debug)]
pub struct LogBuffer {
    mapping: Arc<Mapping>,
    identity: Identity,
    tail: LogTail,
    memory: RingMemory,
    path: PathBuf,
    appender_taken: AtomicBool,
    consumers_taken: AtomicUsize,
    /// Holds the lock on the file until the last handle is gone.
    _file: File,
}

impl LogBuffer {
    /// Where the log buffer of this journal lies unless the configuration says otherwise.
    pub fn default_path(journal_id: JournalId) -> PathBuf {
        Path::new("/dev/shm").join(format!("lockstep-{journal_id}.log"))
    }

    /// Creates (or re-initialises this journal's own) log buffer so that the log continues behind `tail`.
    ///
    /// `prefix`: the log's bytes from the begin of `tail.position`'s block up to it. An existing
    /// buffer's batches are gone after this: recovery must have secured them first. A buffer of
    /// another journal of this boot is refused, for it may hold acknowledged batches.
    pub fn create(
        options: &LogBufferOptions,
        tail: &LogTail,
        prefix: &[u8],
    ) -> Result<Arc<Self>, LogBufferError> {
        check_lengths(options)?;
        let previous = PreviousLogBuffer::open_or_create(&options.path)?;
        previous.refuse_foreign(options.journal_id)?;
        let (file, path) = previous.into_file();
        // Nothing of the old length may be mapped when it changes: the earlier mapping is gone by now.
        let failed = |operation, source| LogBufferError::io(operation, &path, &source);
        let offset = layout::ring_offset(options.ring_length);
        file.set_len(offset + options.ring_length)
            .map_err(|error| failed("resize", error))?;
        let identity = Identity {
            cluster_id: options.cluster_id,
            journal_id: options.journal_id,
            log_buffer_id: LogBufferId(crate::ids::random_id().map_err(|e| failed("name", e))?),
            boot_id: BootId::current().map_err(|error| failed("name", error))?,
            ring_length: options.ring_length,
            segment_data_length: options.segment_data_length,
            base_position: tail.position,
            process: std::process::id(),
            ring_offset: offset as u32,
        };
        let memory = pages::reserve(&file, &identity).map_err(|error| failed("reserve", error))?;
        let mut mapping = Mapping::new(&file, &identity).map_err(|e| failed("map", e))?;
        mapping.initialise(&identity.encode(), tail, prefix);
        Ok(Arc::new(Self {
            mapping: Arc::new(mapping),
            identity,
            tail: *tail,
            memory,
            path,
            appender_taken: AtomicBool::new(false),
            consumers_taken: AtomicUsize::new(0),
            _file: file,
        }))
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the ring is locked in memory; if not, raise the limit `memlock` (`ulimit -l`).
    pub fn memory_locked(&self) -> bool {
        self.mapping.memory_locked()
    }

    /// What pages the ring lies in.
    pub fn memory(&self) -> RingMemory {
        self.memory
    }

    /// The sequencer's handle; one for the life of this value, after all readers are taken.
    pub fn appender(self: &Arc<Self>, lineage: crate::Lineage) -> Result<Appender, LogBufferError> {
        if self.appender_taken.swap(true, Ordering::AcqRel) {
            return Err(LogBufferError::AppenderTaken);
        }
        let writer = RingWriter::new(Arc::clone(&self.mapping));
        Ok(Appender::new(Arc::clone(self), writer, self.tail, lineage))
    }

    /// A consumer's handle, beginning where this buffer's log begins. Take all before the appender: a
    /// consumer that came later could find its begin overwritten.
    pub fn reader(self: &Arc<Self>) -> Result<LogBufferReader, LogBufferError> {
        if self.appender_taken.load(Ordering::Acquire) {
            return Err(LogBufferError::AppenderTaken);
        }
        let slot = self.consumers_taken.fetch_add(1, Ordering::AcqRel);
        if slot >= CONSUMERS_MAX {
            return Err(LogBufferError::TooManyConsumers);
        }
        let reader = RingReader::new(Arc::clone(&self.mapping), slot, self.tail.position);
        Ok(LogBufferReader::new(
            reader,
            self.identity.segment_data_length,
        ))
    }

    /// End of the last published batch.
    pub fn published_position(&self) -> LogPosition {
        self.position(PUBLISHED_POSITION)
    }

    /// Index of the last published batch; at least that of [`Self::published_position`] read before.
    pub fn published_index(&self) -> u64 {
        self.mapping
            .counter(PUBLISHED_INDEX)
            .load(Ordering::Acquire)
    }

    /// The segments hold everything before it. May lie within a batch.
    pub fn durable_position(&self) -> LogPosition {
        self.position(DURABLE_POSITION)
    }

    pub fn commit_position(&self) -> LogPosition {
        self.position(COMMIT_POSITION)
    }

    /// At least the index of the last batch before [`Self::commit_position`] read earlier.
    pub fn commit_index(&self) -> u64 {
        self.mapping.counter(COMMIT_INDEX).load(Ordering::Acquire)
    }

    /// Everything before it may have been overwritten.
    pub fn freed_position(&self) -> LogPosition {
        self.position(FREED_POSITION)
    }

    /// Consensus says: every batch up to `index`, which ends at `position`, is committed.
    ///
    /// One writer. The position never goes back: an older one is a bug of the caller's.
    pub fn publish_commit(&self, index: u64, position: LogPosition) {
        assert!(
            position >= self.commit_position(),
            "the commit position never goes back"
        );
        assert!(
            position <= self.published_position(),
            "what is committed is published"
        );
        self.mapping
            .counter(COMMIT_INDEX)
            .store(index, Ordering::Release);
        self.mapping
            .counter(COMMIT_POSITION)
            .store(position.0, Ordering::Release);
    }

    /// The journal's writer says: the segments hold everything before `position`. One writer.
    ///
    /// Public for a node without a disk (benches, simulation) that stands in for that writer.
    pub fn publish_durable(&self, position: LogPosition) {
        assert!(
            position >= self.durable_position(),
            "the durable position never goes back"
        );
        assert!(
            position <= self.published_position(),
            "only published bytes are durable"
        );
        self.mapping
            .counter(DURABLE_POSITION)
            .store(position.0, Ordering::Release);
    }

    /// Address of ring bytes for a write by the kernel; valid as long as this value is.
    pub(crate) fn pointer(&self, position: LogPosition, length: u64) -> *const u8 {
        self.mapping.pointer(position, length)
    }

    /// The whole memory that [`Self::pointer`] points into.
    pub(crate) fn doubled(&self) -> (*const u8, usize) {
        self.mapping.doubled()
    }

    fn position(&self, offset: usize) -> LogPosition {
        LogPosition(self.mapping.counter(offset).load(Ordering::Acquire))
    }
}

fn check_lengths(options: &LogBufferOptions) -> Result<(), LogBufferError> {
    let ring = options.ring_length;
    if !ring.is_power_of_two() || !(RING_LENGTH_MIN..=RING_LENGTH_MAX).contains(&ring) {
        return Err(LogBufferError::RingLength { length: ring });
    }
    let data = options.segment_data_length;
    let bounds = SEGMENT_DATA_LENGTH_MIN..=SEGMENT_DATA_LENGTH_MAX;
    if !data.is_multiple_of(BLOCK_LENGTH) || !bounds.contains(&data) {
        return Err(LogBufferError::SegmentDataLength { length: data });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
