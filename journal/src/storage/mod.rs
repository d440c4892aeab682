//! The folder that a journal lives in, behind one trait: direct, memory, faulty.
//!
//! Two kinds of access: blocking ones for start, stop, preparation and tools ([`Storage`],
//! [`StorageFile`]), and a [`WriteLane`] for the journal's writer, straight from log buffer memory and
//! without waiting. Nothing here retries: a failed operation is reported once, with what and where.

mod aligned;
mod bytes;
mod deferred;
mod direct;
mod error;
mod faulty;
mod lane;
mod memory;
mod uring;
mod volatility;

pub(crate) use aligned::AlignedBuffer;
pub use bytes::StorageBytes;
pub use deferred::{DeferredLane, MemoryLane, SharedFile};
pub use direct::{DirectFile, DirectLane, DirectStorage};
pub use error::StorageError;
pub use faulty::{Fault, FaultyFile, FaultyStorage};
pub use lane::{BlockingLane, Completion, LogBytes, WriteLane};
pub use memory::{MemoryFile, MemoryStorage};
pub use volatility::Volatility;

use crate::LogBuffer;
use std::sync::Arc;

/// Most writes a lane may have in flight.
pub const LANE_DEPTH_MAX: usize = 4;

/// How writes to an open file reach the medium.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteMode {
    /// Through the page cache; on the medium after [`StorageFile::sync`]. Any offset and length.
    Buffered,
    /// Past the page cache where the file system can; whole blocks from block-aligned memory only.
    Direct,
    /// As `Direct`, and a completed write is on the medium.
    DirectSync,
}

/// A folder of files. Handles are cheap to clone; each helper takes its own.
pub trait Storage: Clone + Send + 'static {
    type File: StorageFile;
    type Lane: WriteLane<File = Self::File>;
    /// Holds a lock until dropped.
    type Lock: Send + std::fmt::Debug;

    /// For messages: the folder's path.
    fn describe(&self) -> String;
    /// Whether what is synced here survives a power cut.
    fn volatility(&self) -> Result<Volatility, StorageError>;
    /// Names of all entries, sorted.
    fn list(&self) -> Result<Vec<String>, StorageError>;
    /// Makes a new, empty file; [`StorageError::Exists`] if there is one.
    fn create(&self, name: &str, mode: WriteMode) -> Result<Self::File, StorageError>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str, mode: WriteMode) -> Result<Self::File, StorageError>;
    /// Opens an existing file for reading only, without taking any lock: past the page cache where the file system can,
    /// so whole blocks into block-aligned memory.
    fn open_to_read(&self, name: &str) -> Result<Self::File, StorageError>;
    /// The whole file, read-only, without taking any lock.
    fn map(&self, name: &str) -> Result<StorageBytes, StorageError>;
    /// Replaces `to` if it exists. Durable after [`Self::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError>;
    fn delete(&self, name: &str) -> Result<(), StorageError>;
    /// Makes creations, renames and deletions durable.
    fn sync_folder(&self) -> Result<(), StorageError>;
    /// Excludes other processes; [`StorageError::Locked`] names the one that is there.
    fn lock(&self, name: &str) -> Result<Self::Lock, StorageError>;
    /// Waits until no write to `name` of a process that died is in flight any more.
    fn settle(&self, name: &str) -> Result<(), StorageError>;
    /// The way from this log buffer's memory to files; for the thread that calls this.
    fn lane(&self, source: Arc<LogBuffer>) -> Result<Self::Lane, StorageError>;
}

/// One open file. All writes are whole or an error.
pub trait StorageFile: Send + std::fmt::Debug {
    fn length(&self) -> Result<u64, StorageError>;
    /// Fills as much of `target` as the file has from `offset`; returns how much.
    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, StorageError>;
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;
    /// Writes log buffer memory. The memory may change meanwhile behind the published position.
    fn write_log(&self, offset: u64, bytes: LogBytes<'_>) -> Result<(), StorageError> {
        self.write_at(offset, &bytes.to_vec())
    }
    /// Cuts, or extends with zeros.
    fn set_length(&self, length: u64) -> Result<(), StorageError>;
    /// Reserves space for `length` bytes from the begin.
    fn reserve(&self, length: u64) -> Result<(), StorageError>;
    /// All bytes written so far, and the length, are on the medium when this returns.
    fn sync(&self) -> Result<(), StorageError>;
}

#[cfg(test)]
mod tests;
