//! The journal agent, and what the node makes of the journal's errors.

use crate::affinity;
use crate::agent::{Agent, Now};
use crate::config::AcknowledgePolicy;
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::{ExitCode, Fatal};
use lockstep_journal::folder::{AcknowledgementPolicy, FolderError, HardStateError};
use lockstep_journal::journal::OpenError;
use lockstep_journal::pace::pause;
use lockstep_journal::reader::ReadError;
use lockstep_journal::recovery::RecoveryError;
use lockstep_journal::segment::SegmentPreparer;
use lockstep_journal::storage::{Storage, StorageError};
use lockstep_journal::writer::{JournalError, JournalWriter};
use lockstep_journal::{HeaderBlockError, LogBuffer, LogBufferError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Under `local` the disk follows in writes of at least this many bytes …
const LAZY_BYTES: u64 = 256 << 10;
/// … or after this time. Each write costs the core that submits it some 60 µs (submission, interrupt, a kernel worker's
/// turn): at 2 ms that alone was the p99 of 20,000 orders a second on one core, at 20 ms half of what is above p99.
const LAZY_NS: u64 = 50_000_000;

#[derive(Debug)]
pub struct JournalAgent<S: Storage> {
    writer: JournalWriter<S>,
    buffer: Arc<LogBuffer>,
    policy: AcknowledgePolicy,
    next_write_ns: u64,
    durable: Counter,
    writes: Counter,
    stalls: Counter,
}

impl<S: Storage> JournalAgent<S> {
    pub fn new(
        writer: JournalWriter<S>,
        buffer: Arc<LogBuffer>,
        policy: AcknowledgePolicy,
        counters: &Counters,
    ) -> Self {
        Self {
            writer,
            buffer,
            policy,
            next_write_ns: 0,
            durable: counters.counter(CounterId::DurablePosition),
            writes: counters.counter(CounterId::JournalWrites),
            stalls: counters.counter(CounterId::JournalStalls),
        }
    }

    fn may_wait(&mut self, now: Now) -> bool {
        if self.policy == AcknowledgePolicy::Durable {
            return false;
        }
        let pending = self.buffer.published_position().0 - self.buffer.durable_position().0;
        if pending < LAZY_BYTES && now.monotonic_ns < self.next_write_ns {
            return true;
        }
        self.next_write_ns = now.monotonic_ns + LAZY_NS;
        false
    }

    fn write(&mut self) -> Result<usize, Fatal> {
        let stalls = self.writer.counts().stalls;
        let work = self.writer.do_work().map_err(|e| journal_fatal(&e))?;
        let counts = self.writer.counts();
        if work != 0 {
            self.durable.set(self.buffer.durable_position().0);
            self.writes.set(counts.writes);
        }
        // A cycle that waits has done no work.
        if counts.stalls != stalls {
            self.stalls.set(counts.stalls);
        }
        Ok(work)
    }
}

impl<S: Storage> Agent for JournalAgent<S> {
    fn name(&self) -> &'static str {
        "journal"
    }

    #[inline]
    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        if self.may_wait(now) {
            return Ok(0);
        }
        self.write()
    }

    fn on_stop(&mut self, _: Now) -> Result<bool, Fatal> {
        if !self.writer.is_drained() {
            self.write()?;
            return Ok(false);
        }
        self.writer.sync().map_err(|e| journal_fatal(&e))?;
        Ok(true)
    }

    fn awaits(&self) -> String {
        let unfinished = self.writer.unfinished();
        let synced = match unfinished.syncing {
            Some(segment) => format!(", and the sync of segment {segment}"),
            None => String::new(),
        };
        format!(
            "the disk: {} bytes to write, {} writes in flight{synced}",
            unfinished.bytes, unfinished.in_flight
        )
    }
}

/// How long the helper that makes segments waits at most for the writer's call; it may share its core with others.
const PREPARER_IDLE: Duration = Duration::from_millis(20);

/// Zero-fills segments ahead of need, on a thread of its own that no agent waits for, for a tenth of the disk's
/// time unless a segment is needed soon. It ends when `done` says that the writer needs no more: a stopping writer
/// may still have to rotate. `nice` is that of the thread which would wait for segments.
pub fn start_preparer<S: Storage>(
    mut preparer: SegmentPreparer<S>,
    nice: Option<i32>,
    done: Arc<AtomicBool>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("segments".into())
        .spawn(move || {
            affinity::take_nice(nice);
            preparer.wake_this_thread();
            while !done.load(Ordering::Acquire) {
                let begun = Instant::now();
                if preparer.do_work() == 0 {
                    std::thread::park_timeout(PREPARER_IDLE);
                } else if !preparer.is_urgent() {
                    std::thread::sleep(pause(begun.elapsed()));
                }
            }
        })
}

fn journal_fatal(error: &JournalError) -> Fatal {
    let (JournalError::Write(source) | JournalError::Prepare { source, .. }) = error;
    Fatal::new(storage_code(source), format!("journal: {error}"))
}

/// The exit code of a storage condition.
pub fn storage_code(error: &StorageError) -> ExitCode {
    match error {
        StorageError::NotFound { .. } => ExitCode::JournalMissing,
        StorageError::Locked { .. } => ExitCode::JournalLocked,
        StorageError::ReadOnly { .. } => ExitCode::JournalReadOnly,
        StorageError::NoSpace { .. } => ExitCode::DiskFull,
        _ => ExitCode::Io,
    }
}

pub fn folder_fatal(error: &FolderError) -> Fatal {
    let code = match error {
        FolderError::NotEmpty { .. } => ExitCode::Configuration,
        FolderError::NotAJournal { .. } => ExitCode::JournalMissing,
        FolderError::Meta { source, .. } => header_code(source),
        FolderError::Volatile { .. } => ExitCode::VolatileStorage,
        FolderError::SegmentDataLength { .. } => ExitCode::Configuration,
        FolderError::Storage(source) => storage_code(source),
    };
    let hint = match error {
        FolderError::Volatile { .. } => " with `acknowledge.allow_volatile = true`",
        _ => "",
    };
    Fatal::new(code, format!("{error}{hint}"))
}

pub fn storage_fatal(error: &StorageError) -> Fatal {
    Fatal::new(storage_code(error), error.to_string())
}

pub fn log_buffer_fatal(error: &LogBufferError) -> Fatal {
    let code = match error {
        LogBufferError::Locked { .. } => ExitCode::JournalLocked,
        _ => ExitCode::Setup,
    };
    Fatal::new(code, error.to_string())
}

pub fn read_fatal(error: &ReadError) -> Fatal {
    let code = match error {
        ReadError::Damaged { .. } => ExitCode::JournalDamaged,
        ReadError::Storage(source) => storage_code(source),
    };
    Fatal::new(code, error.to_string())
}

/// Why a journal did not open, with its exit code.
pub fn open_fatal(error: &OpenError) -> Fatal {
    let code = match error {
        OpenError::Folder(source) => return folder_fatal(source),
        OpenError::LogBuffer(source) => log_buffer_fatal(source).code,
        OpenError::Recovery(source) => recovery_code(source),
        OpenError::HardState(source) => hard_state_code(source),
        OpenError::Storage(source) => storage_code(source),
        OpenError::BootId(_) => ExitCode::Setup,
    };
    Fatal::new(code, error.to_string())
}

fn recovery_code(error: &RecoveryError) -> ExitCode {
    match error {
        RecoveryError::NewerFormat { .. } => ExitCode::NewerFormat,
        RecoveryError::HardState(source) => hard_state_code(source),
        RecoveryError::Storage(source) => storage_code(source),
        _ => ExitCode::JournalDamaged,
    }
}

fn hard_state_code(error: &HardStateError) -> ExitCode {
    match error {
        HardStateError::Damaged { .. } => ExitCode::JournalDamaged,
        HardStateError::Unusable(source) => header_code(source),
        HardStateError::Storage(source) => storage_code(source),
    }
}

fn header_code(error: &HeaderBlockError) -> ExitCode {
    match error {
        HeaderBlockError::NewerFormat { .. } => ExitCode::NewerFormat,
        _ => ExitCode::JournalDamaged,
    }
}

pub fn journal_policy(policy: AcknowledgePolicy) -> AcknowledgementPolicy {
    match policy {
        AcknowledgePolicy::Durable => AcknowledgementPolicy::Durable,
        AcknowledgePolicy::Local => AcknowledgementPolicy::Local,
    }
}

#[cfg(test)]
mod tests;
