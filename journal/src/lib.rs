//! Batches of opaque records, and every file that keeps them: log buffer, segments, stream files.
//!
//! ```text
//! sequencer ─Appender─▶ log buffer (ring in shared memory) ─LogBufferReader─▶ engine, replication
//!                            │ JournalWriter (blocks, in place)
//!                            ▼
//!                       segments ◀─ SegmentPreparer (zeros ahead of need)
//!                            │ JournalReader, recover, verify (mapped)
//! ```
//!
//! A node calls [`Journal::open`] (lock, recover, mend, a fresh log buffer), replays [`Journal::reader`], takes
//! its [`LogBuffer::reader`]s, then the one [`LogBuffer::appender`], and runs [`Journal::writer`] and
//! [`Journal::preparer`] as agents.
//!
//! The journal *is* the consensus log. It knows batches, positions, terms and indices; it must never
//! know what a record means, never read a clock, and never answer success for bytes that are not where
//! the policy says they are. Layouts and recovery's decisions are normative in `docs/journal-format.md`.

pub mod archive;
pub mod batch;
mod bytes;
mod checksum;
pub mod folder;
mod header_block;
mod ids;
pub mod journal;
pub mod log_buffer;
mod os;
pub mod pace;
mod position;
pub mod reader;
pub mod recovery;
pub mod seal;
pub mod segment;
pub mod snapshot;
pub mod storage;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod writer;

pub use batch::{BATCH_HEADER_LENGTH, BatchError, BatchHeader, BatchView, LogTail};
pub use checksum::Checksum;
pub use header_block::HeaderBlockError;
pub use ids::{BootId, ClusterId, JournalId, Lineage, LogBufferId};
pub use journal::{Journal, OpenError, StartOptions};
pub use log_buffer::{
    Appender, BatchFull, Full, LogBuffer, LogBufferError, LogBufferOptions, LogBufferReader,
    Published, SealFields,
};
pub use position::{
    BATCH_ALIGNMENT, BATCH_LENGTH_MAX, BLOCK_LENGTH, LogPosition, RING_LENGTH_DEFAULT,
    RING_LENGTH_MAX, RING_LENGTH_MIN, SEGMENT_DATA_LENGTH_DEFAULT, SEGMENT_DATA_LENGTH_MAX,
    SEGMENT_DATA_LENGTH_MIN, batch_length,
};
