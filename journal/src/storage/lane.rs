//! The way of the journal's writer: from log buffer memory to a file, in flight while others work.
#![allow(unsafe_code)]

use super::{StorageError, StorageFile};
use crate::{LogBuffer, LogPosition};
use std::collections::VecDeque;

/// Bytes of a log buffer, named by position. Whole blocks.
#[derive(Clone, Copy, Debug)]
pub struct LogBytes<'a> {
    buffer: &'a LogBuffer,
    position: LogPosition,
    length: u64,
}

impl<'a> LogBytes<'a> {
    /// `length` bytes from `position`; the ring must still hold them (the writer's duty).
    pub fn new(buffer: &'a LogBuffer, position: LogPosition, length: u64) -> Self {
        Self {
            buffer,
            position,
            length,
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn is_of(&self, buffer: &LogBuffer) -> bool {
        std::ptr::eq(self.buffer, buffer)
    }

    /// Mapped for `length` bytes for as long as the buffer lives.
    pub(super) fn pointer(&self) -> *const u8 {
        self.buffer.pointer(self.position, self.length)
    }

    /// A copy. What lies behind the published position may be torn; it is of no meaning on disk either.
    pub(super) fn to_vec(self) -> Vec<u8> {
        let length = self.length as usize;
        let mut copy = vec![0u64; length.div_ceil(8)];
        for (at, word) in copy.iter_mut().enumerate() {
            // SAFETY: in the mapping (`pointer`), 8-aligned (positions and lengths are whole blocks);
            // volatile, because the appender may store behind the published position meanwhile.
            *word = unsafe { self.pointer().cast::<u64>().add(at).read_volatile() };
        }
        copy.iter()
            .flat_map(|word| word.to_ne_bytes())
            .take(length)
            .collect()
    }
}

/// The end of one submitted operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    pub token: u64,
    pub result: Result<(), StorageError>,
}

/// Operations in flight. One thread submits and polls.
pub trait WriteLane: Send + std::fmt::Debug {
    type File: StorageFile;

    /// For reports: how writes are made.
    fn driver(&self) -> &'static str;
    /// Starts a write of whole blocks. Their memory must not be freed before it completes.
    fn submit_write(
        &mut self,
        file: &Self::File,
        offset: u64,
        bytes: LogBytes<'_>,
        token: u64,
    ) -> Result<(), StorageError>;
    /// Starts a sync of what has completed so far.
    fn submit_sync(&mut self, file: &Self::File, token: u64) -> Result<(), StorageError>;
    /// One completion, if there is any; never waits.
    fn poll(&mut self) -> Result<Option<Completion>, StorageError>;
}

/// A lane that works while it is called: for memory, for faults, and where io_uring is forbidden.
#[derive(Debug)]
pub struct BlockingLane<F> {
    driver: &'static str,
    done: VecDeque<Completion>,
    _file: std::marker::PhantomData<fn(&F)>,
}

impl<F> BlockingLane<F> {
    pub fn new(driver: &'static str) -> Self {
        let done = VecDeque::with_capacity(super::LANE_DEPTH_MAX + 1);
        Self {
            driver,
            done,
            _file: std::marker::PhantomData,
        }
    }
}

impl<F: StorageFile> WriteLane for BlockingLane<F> {
    type File = F;

    fn driver(&self) -> &'static str {
        self.driver
    }

    fn submit_write(
        &mut self,
        file: &F,
        offset: u64,
        bytes: LogBytes<'_>,
        token: u64,
    ) -> Result<(), StorageError> {
        let result = file.write_log(offset, bytes);
        self.done.push_back(Completion { token, result });
        Ok(())
    }

    fn submit_sync(&mut self, file: &F, token: u64) -> Result<(), StorageError> {
        let result = file.sync();
        self.done.push_back(Completion { token, result });
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<Completion>, StorageError> {
        Ok(self.done.pop_front())
    }
}
