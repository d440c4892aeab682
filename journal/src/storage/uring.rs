//! The lane through io_uring: direct writes from the ring's memory, nobody waits.
//!
//! The ring is made by, and used on, one thread. Completions appear only after an enter when the kernel
//! says so (deferred task work); `poll` makes that enter.
#![allow(unsafe_code)]

use super::direct::DirectFile;
use super::lane::{Completion, LogBytes, WriteLane};
use super::{LANE_DEPTH_MAX, StorageError};
use crate::LogBuffer;
use io_uring::{IoUring, opcode, squeue, types};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Writes in flight, and one sync.
const SLOTS: usize = LANE_DEPTH_MAX + 1;
const ENTRIES: u32 = 8;
/// Index of the one registered buffer.
const LOG_BUFFER: u16 = 0;

const _: () = assert!(SLOTS <= ENTRIES as usize);

#[derive(Clone)]
struct InFlight {
    token: u64,
    operation: &'static str,
    path: Arc<Path>,
    offset: u64,
    /// Bytes a write must report; 0 for a sync.
    expected: u64,
}

pub struct UringLane {
    ring: IoUring,
    in_flight: [Option<InFlight>; SLOTS],
    /// The kernel has the ring's pages pinned: a write does not look them up.
    registered: bool,
    /// Keeps the memory mapped that the kernel reads; outlives `ring`'s operations (see `drop`).
    source: Arc<LogBuffer>,
}

impl fmt::Debug for UringLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.in_flight.iter().flatten().count();
        f.debug_struct("UringLane")
            .field("in_flight", &count)
            .finish_non_exhaustive()
    }
}

impl UringLane {
    /// Fails where io_uring is forbidden or missing.
    pub fn new(source: Arc<LogBuffer>) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag();
        // Kernels before 6.1 do not know these flags.
        let ring = builder.build(ENTRIES).or_else(|_| IoUring::new(ENTRIES))?;
        let registered = Self::register(&ring, &source);
        Ok(Self {
            ring,
            in_flight: Default::default(),
            registered,
            source,
        })
    }

    /// Whether the log buffer could be registered: the limit `memlock` and the file system decide.
    fn register(ring: &IoUring, source: &LogBuffer) -> bool {
        let (begin, length) = source.doubled();
        let buffer = libc::iovec {
            iov_base: begin.cast_mut().cast(),
            iov_len: length,
        };
        // SAFETY: the range is `source`'s mapping, which outlives the ring (`drop` waits for operations, and
        // the ring is a field before `source`); the kernel only reads it, for writes.
        unsafe { ring.submitter().register_buffers(&[buffer]) }.is_ok()
    }

    fn submit(&mut self, entry: squeue::Entry, operation: InFlight) -> Result<(), StorageError> {
        let path = Arc::clone(&operation.path);
        let failed = |code| StorageError::from_code("submit a write to", &path, code);
        let free = self.in_flight.iter().position(Option::is_none);
        let slot = free.ok_or_else(|| failed(libc::EBUSY))?;
        let entry = entry.user_data(slot as u64);
        // SAFETY: a write's memory lies in `self.source`'s mapping, which is kept until the operation has
        // completed (`drop` waits); the kernel takes its own reference to the file at submission below.
        unsafe { self.ring.submission().push(&entry) }.map_err(|_| failed(libc::EBUSY))?;
        self.in_flight[slot] = Some(operation);
        loop {
            match self.ring.submit() {
                Ok(_) => return Ok(()),
                // Interrupted before anything was taken: not a failure of the write.
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(failed(error.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
    }

    fn complete(operation: &InFlight, result: i32) -> Completion {
        let (path, offset, expected) = (&operation.path, operation.offset, operation.expected);
        let result = match u64::try_from(result) {
            Ok(written) if written == expected => Ok(()),
            Ok(written) => {
                let path = path.display().to_string();
                Err(StorageError::ShortWrite {
                    path,
                    offset,
                    expected,
                    written,
                })
            }
            Err(_) => Err(StorageError::from_code(operation.operation, path, -result)),
        };
        Completion {
            token: operation.token,
            result,
        }
    }
}

impl WriteLane for UringLane {
    type File = DirectFile;

    fn driver(&self) -> &'static str {
        if self.registered {
            "io_uring, registered buffers"
        } else {
            "io_uring"
        }
    }

    fn submit_write(
        &mut self,
        file: &DirectFile,
        offset: u64,
        bytes: LogBytes<'_>,
        token: u64,
    ) -> Result<(), StorageError> {
        assert!(
            bytes.is_of(&self.source),
            "a lane writes from the log buffer it was made for"
        );
        let (descriptor, length) = (types::Fd(file.descriptor()), bytes.length() as u32);
        let entry = if self.registered {
            opcode::WriteFixed::new(descriptor, bytes.pointer(), length, LOG_BUFFER)
                .offset(offset)
                .build()
        } else {
            opcode::Write::new(descriptor, bytes.pointer(), length)
                .offset(offset)
                .build()
        };
        let (path, expected) = (Arc::clone(file.path()), bytes.length());
        self.submit(
            entry,
            InFlight {
                token,
                operation: "write",
                path,
                offset,
                expected,
            },
        )
    }

    fn submit_sync(&mut self, file: &DirectFile, token: u64) -> Result<(), StorageError> {
        // The times of a file need not last.
        let entry = opcode::Fsync::new(types::Fd(file.descriptor()))
            .flags(types::FsyncFlags::DATASYNC)
            .build();
        let path = Arc::clone(file.path());
        self.submit(
            entry,
            InFlight {
                token,
                operation: "sync",
                path,
                offset: 0,
                expected: 0,
            },
        )
    }

    fn poll(&mut self) -> Result<Option<Completion>, StorageError> {
        if self.ring.completion().is_empty() && self.in_flight.iter().any(Option::is_some) {
            // A synchronous write ends in a kernel worker bound to this core. A thread that only spins
            // keeps it out for its whole time slice (4 ms, measured), so it gives way while it waits; with
            // nobody else on the core that costs one system call a poll.
            std::thread::yield_now();
            if self.ring.submission().taskrun() {
                // Runs deferred work; an error here shows again at the next poll.
                let _ = self.ring.submit();
            }
        }
        let Some(entry) = self.ring.completion().next() else {
            return Ok(None);
        };
        let slot = entry.user_data() as usize;
        let operation = self.in_flight.get_mut(slot).and_then(Option::take);
        Ok(operation.map(|operation| Self::complete(&operation, entry.result())))
    }
}

impl Drop for UringLane {
    /// Waits for what is in flight: the kernel reads memory that `source` keeps mapped.
    fn drop(&mut self) {
        while self.in_flight.iter().any(Option::is_some) {
            match self.ring.submit_and_wait(1) {
                Err(error) if error.raw_os_error() != Some(libc::EINTR) => {
                    // Cannot wait: keep the memory mapped for ever rather than hand it to others.
                    std::mem::forget(Arc::clone(&self.source));
                    return;
                }
                _ => {}
            }
            while let Some(entry) = self.ring.completion().next() {
                if let Some(slot) = self.in_flight.get_mut(entry.user_data() as usize) {
                    *slot = None;
                }
            }
        }
    }
}
