//! What can go wrong with a log buffer's file.

use crate::JournalId;
use crate::header_block::HeaderBlockError;
use crate::position::{RING_LENGTH_MAX, RING_LENGTH_MIN};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum LogBufferError {
    #[error(
        "log buffer length {length} is no power of two from {RING_LENGTH_MIN} to {RING_LENGTH_MAX}"
    )]
    RingLength { length: u64 },
    #[error("segment data length {length} is out of bounds or no multiple of 4096")]
    SegmentDataLength { length: u64 },
    #[error("log buffer {path} is in use by another process{}", owner(*process))]
    Locked { path: PathBuf, process: Option<u32> },
    #[error(
        "log buffer {path} belongs to journal {journal_id} and may hold its acknowledged batches; \
         choose another path, or remove the file if that journal is not wanted"
    )]
    OtherJournal {
        path: PathBuf,
        journal_id: JournalId,
    },
    #[error("log buffer {path}: {source}")]
    Header {
        path: PathBuf,
        source: HeaderBlockError,
    },
    #[error("this log buffer's appender exists: readers are taken before it, and it only once")]
    AppenderTaken,
    #[error("all consumer slots of this log buffer are taken")]
    TooManyConsumers,
    #[error(
        "cannot {operation} log buffer {path}: {source}{}",
        crate::log_buffer::error::advice(source)
    )]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl LogBufferError {
    pub(super) fn io(operation: &'static str, path: &Path, source: &io::Error) -> Self {
        let source = match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(source.kind(), source.to_string()),
        };
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

fn owner(process: Option<u32>) -> String {
    process
        .map(|id| format!(" (process {id})"))
        .unwrap_or_default()
}

fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOSPC) => "; enlarge that file system (for /dev/shm: mount -o remount,size=…)",
        Some(libc::EACCES | libc::EPERM) => "; run as the user that owns the file",
        _ => "",
    }
}
