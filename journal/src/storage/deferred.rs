//! A lane for tests whose operations end late and in any order, as those of a disk with a queue do.
//!
//! An operation happens when it ends; until then a power cut finds nothing of it. Two writes in flight that
//! touch one block are the caller's bug, and panic.

use super::lane::{BlockingLane, Completion, LogBytes, WriteLane};
use super::{StorageError, StorageFile};

#[derive(Debug)]
enum Operation {
    Write { offset: u64, bytes: Vec<u8> },
    Sync,
}

#[derive(Debug)]
struct Pending<F> {
    file: F,
    name: String,
    token: u64,
    operation: Operation,
}

#[derive(Debug)]
pub struct DeferredLane<F> {
    pending: Vec<Pending<F>>,
    random: u64,
}

/// A file that a test's lane can keep.
pub trait SharedFile: StorageFile + Clone {
    fn name(&self) -> &str;
}

impl<F: SharedFile> DeferredLane<F> {
    pub fn new(seed: u64) -> Self {
        Self {
            pending: Vec::new(),
            random: seed,
        }
    }

    /// Xorshift: enough to choose.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    fn submit(&mut self, file: &F, token: u64, operation: Operation) {
        if let Operation::Write { offset, bytes } = &operation {
            let (begin, end) = (*offset, offset + bytes.len() as u64);
            for other in self.pending.iter().filter(|o| o.name == file.name()) {
                if let Operation::Write { offset, bytes } = &other.operation {
                    let apart = end <= *offset || offset + bytes.len() as u64 <= begin;
                    assert!(apart, "two writes in flight touch one block");
                }
            }
        }
        self.pending.push(Pending {
            file: file.clone(),
            name: file.name().to_owned(),
            token,
            operation,
        });
    }
}

impl<F: SharedFile> DeferredLane<F> {
    fn poll(&mut self) -> Option<Completion> {
        if self.pending.is_empty() || self.below(4) != 0 {
            return None;
        }
        let at = self.below(self.pending.len());
        let pending = self.pending.swap_remove(at);
        let result = match &pending.operation {
            Operation::Write { offset, bytes } => pending.file.write_at(*offset, bytes),
            Operation::Sync => pending.file.sync(),
        };
        let token = pending.token;
        Some(Completion { token, result })
    }
}

/// The lane of storage in memory: at once, or deferred.
#[derive(Debug)]
pub enum MemoryLane<F> {
    Blocking(BlockingLane<F>),
    Deferred(DeferredLane<F>),
}

impl<F: SharedFile> WriteLane for MemoryLane<F> {
    type File = F;

    fn driver(&self) -> &'static str {
        match self {
            Self::Blocking(lane) => lane.driver(),
            Self::Deferred(_) => "deferred memory",
        }
    }

    fn submit_write(
        &mut self,
        file: &F,
        offset: u64,
        bytes: LogBytes<'_>,
        token: u64,
    ) -> Result<(), StorageError> {
        match self {
            Self::Blocking(lane) => lane.submit_write(file, offset, bytes, token),
            Self::Deferred(lane) => {
                let bytes = bytes.to_vec();
                lane.submit(file, token, Operation::Write { offset, bytes });
                Ok(())
            }
        }
    }

    fn submit_sync(&mut self, file: &F, token: u64) -> Result<(), StorageError> {
        match self {
            Self::Blocking(lane) => lane.submit_sync(file, token),
            Self::Deferred(lane) => {
                lane.submit(file, token, Operation::Sync);
                Ok(())
            }
        }
    }

    fn poll(&mut self) -> Result<Option<Completion>, StorageError> {
        match self {
            Self::Blocking(lane) => lane.poll(),
            Self::Deferred(lane) => Ok(lane.poll()),
        }
    }
}
