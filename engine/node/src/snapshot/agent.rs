//! The snapshot agent: a shadow on a thread of its own in the node's process.
//!
//! It may block on the disk, so it shares its thread with nobody. A snapshot that fails is reported and tried
//! again when the next one is due: trading does not depend on it.

use super::shadow::Shadow;
use crate::agent::{Agent, Now};
use crate::config::SnapshotConfig;
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::{ExitCode, Fatal};
use lockstep_core::Capacity;
use lockstep_journal::LogBuffer;
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::storage::Storage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Batches applied in one duty cycle.
const BATCHES_MAX: usize = 256;
/// The segments' end is looked at this often: each look maps pages that the journal's next direct write must
/// drop again.
const POLL_NS: u64 = 50_000_000;
const PARK: Duration = Duration::from_millis(5);

/// Asks the agent for a snapshot as soon as it has caught up.
#[derive(Debug, Default)]
pub struct SnapshotRequest {
    wanted: AtomicU64,
    /// Highest ticket that has been dealt with, behind the next two.
    done: AtomicU64,
    /// Highest ticket whose snapshot failed.
    failed: AtomicU64,
    /// Last batch of the newest snapshot; before `done`.
    index: AtomicU64,
}

impl SnapshotRequest {
    /// The ticket to wait for.
    pub fn ask(&self) -> u64 {
        self.wanted.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// What became of the snapshot that was begun after this ticket was given: the index of the last batch in it
    /// or in a newer one, or that it failed; nothing yet if `None`.
    pub fn fate(&self, ticket: u64) -> Option<Option<u64>> {
        if self.done.load(Ordering::Acquire) < ticket {
            return None;
        }
        let failed = self.failed.load(Ordering::Relaxed) >= ticket;
        Some((!failed).then(|| self.index.load(Ordering::Relaxed)))
    }

    /// Tickets that nobody has answered yet.
    fn waiting(&self) -> Option<u64> {
        let wanted = self.wanted.load(Ordering::Acquire);
        (wanted > self.done.load(Ordering::Relaxed)).then_some(wanted)
    }

    fn answer(&self, wanted: u64, taken: Option<u64>) {
        match taken {
            Some(index) => self.index.store(index, Ordering::Relaxed),
            None => self.failed.store(wanted, Ordering::Relaxed),
        }
        self.done.store(wanted, Ordering::Release);
    }
}

pub struct SnapshotAgent<S: Storage> {
    storage: S,
    meta: JournalMeta,
    config: SnapshotConfig,
    buffer: Arc<LogBuffer>,
    request: Arc<SnapshotRequest>,
    /// `None` before the first duty cycle, and after a failure that ends it.
    shadow: Option<Shadow<S>>,
    ended: bool,
    next_poll_ns: u64,
    next_time_ns: u64,
    records_at_last: u64,
    index: Counter,
    failures: Counter,
}

impl<S: Storage> std::fmt::Debug for SnapshotAgent<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotAgent").finish_non_exhaustive()
    }
}

impl<S: Storage> SnapshotAgent<S> {
    pub fn new(
        storage: S,
        meta: JournalMeta,
        config: SnapshotConfig,
        buffer: Arc<LogBuffer>,
        request: Arc<SnapshotRequest>,
        counters: &Counters,
    ) -> Self {
        Self {
            storage,
            meta,
            next_time_ns: config.every_seconds.saturating_mul(1_000_000_000),
            config,
            buffer,
            request,
            shadow: None,
            ended: false,
            next_poll_ns: 0,
            records_at_last: 0,
            index: counters.counter(CounterId::SnapshotIndex),
            failures: counters.counter(CounterId::SnapshotFailures),
        }
    }

    fn begin(&mut self) -> Result<(), Fatal> {
        let mut report = |line: &str| tracing::warn!("{line}");
        let capacity = Capacity::default();
        let shadow = Shadow::start(&self.storage, &self.meta, capacity, &mut report)?;
        self.records_at_last = shadow.tail().next_sequence;
        self.index.set(shadow.last_saved());
        self.shadow = Some(shadow);
        Ok(())
    }

    fn work(&mut self, now: Now) -> Result<usize, Fatal> {
        let Some(shadow) = &mut self.shadow else {
            return self.begin().map(|()| 1);
        };
        if now.monotonic_ns < self.next_poll_ns {
            return Ok(0);
        }
        // Whoever asked before this look at the log gets what it saw, once all of that is applied.
        let wanted = self.request.waiting();
        let commit_index = self.buffer.commit_index();
        let applied = shadow.follow(commit_index, BATCHES_MAX)?;
        let caught_up = applied < BATCHES_MAX;
        if caught_up {
            self.next_poll_ns = now.monotonic_ns + POLL_NS;
        }
        let (index, records) = (shadow.tail().index, shadow.tail().next_sequence);
        let by_records = self.config.every_records != 0
            && records - self.records_at_last >= self.config.every_records;
        let by_time = self.config.every_seconds != 0 && now.monotonic_ns >= self.next_time_ns;
        let asked = wanted.filter(|_| caught_up);
        if !(by_records || by_time || asked.is_some()) {
            return Ok(applied);
        }
        self.records_at_last = records;
        let period = self.config.every_seconds.saturating_mul(1_000_000_000);
        self.next_time_ns = now.monotonic_ns.saturating_add(period);
        let saved = index == shadow.last_saved() || self.save();
        if let Some(wanted) = asked {
            self.request.answer(wanted, saved.then_some(index));
        }
        Ok(applied + 1)
    }

    /// Whether the snapshot is there.
    fn save(&mut self) -> bool {
        let Some(shadow) = &mut self.shadow else {
            return false;
        };
        match shadow.save() {
            Ok(header) => {
                let index = header.facts.tail.index;
                self.index.set(index);
                tracing::info!(index, bytes = header.file_length, "snapshot taken");
                true
            }
            Err(fatal) => {
                self.failures.add(1);
                tracing::error!("snapshot failed, the next one is tried when due: {fatal}");
                false
            }
        }
    }
}

impl<S: Storage> Agent for SnapshotAgent<S> {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    /// Alone on its thread, and looking at the log now and then only.
    fn park(&mut self, timeout: Duration) -> bool {
        std::thread::sleep(timeout.max(PARK));
        true
    }

    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        if self.ended {
            if let Some(wanted) = self.request.waiting() {
                self.request.answer(wanted, None);
            }
            return Ok(0);
        }
        match self.work(now) {
            // Somebody's bits are wrong, and in the only replica there is: do not go on trading.
            Err(fatal) if fatal.code == ExitCode::Diverged => Err(fatal),
            Err(fatal) => {
                self.failures.add(1);
                tracing::error!("snapshots end until the next start: {fatal}");
                (self.ended, self.shadow) = (true, None);
                Ok(0)
            }
            other => other,
        }
    }
}
