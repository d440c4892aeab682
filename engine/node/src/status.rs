//! What agents tell each other beside rings and log buffer: a few words, one writer each.

use lockstep_record::{LogIndex, Sequence, Timestamp};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The engine's digest and the batch after which it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    pub index: LogIndex,
    pub digest: u64,
}

/// What the state machine had come to when the node stopped in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FinalState {
    /// SHA-256 over every field of the state.
    pub hash: [u8; 32],
    /// Of the last record applied.
    pub sequence: Sequence,
}

/// A state hash as it is printed everywhere: 64 hexadecimal digits.
pub fn hash_text(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Written by the engine (applied, deadline) and by consensus (commit index).
#[derive(Debug)]
pub struct Status {
    /// Even: stable. The pair below is a seqlock, since both words must be of one batch.
    version: AtomicU64,
    applied_index: AtomicU64,
    digest: AtomicU64,
    /// ns since the Unix epoch; `u64::MAX` = none.
    deadline_ns: AtomicU64,
    commit_index: AtomicU64,
    applied_sequence: AtomicU64,
    final_state: OnceLock<FinalState>,
}

impl Status {
    pub fn new(applied: Applied, commit_index: LogIndex) -> Self {
        Self {
            version: AtomicU64::new(0),
            applied_index: AtomicU64::new(applied.index.0),
            digest: AtomicU64::new(applied.digest),
            deadline_ns: AtomicU64::new(u64::MAX),
            commit_index: AtomicU64::new(commit_index.0),
            applied_sequence: AtomicU64::new(0),
            final_state: OnceLock::new(),
        }
    }

    /// Engine only.
    pub fn set_applied(
        &self,
        applied: Applied,
        sequence: Sequence,
        next_deadline: Option<Timestamp>,
    ) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.applied_index.store(applied.index.0, Ordering::Relaxed);
        self.digest.store(applied.digest, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
        self.applied_sequence.store(sequence.0, Ordering::Release);
        self.deadline_ns
            .store(next_deadline.map_or(u64::MAX, |t| t.0), Ordering::Relaxed);
    }

    /// The newest pair that can be read without waiting; `index` 0 if the engine is just writing one.
    pub fn applied(&self) -> Applied {
        let before = self.version.load(Ordering::Acquire);
        let applied = Applied {
            index: LogIndex(self.applied_index.load(Ordering::Relaxed)),
            digest: self.digest.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        let stable = before.is_multiple_of(2) && before == self.version.load(Ordering::Relaxed);
        if stable { applied } else { Applied::default() }
    }

    /// Every record up to this one has been applied and its events are in the egress ring.
    pub fn applied_sequence(&self) -> Sequence {
        Sequence(self.applied_sequence.load(Ordering::Acquire))
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        let at = self.deadline_ns.load(Ordering::Relaxed);
        (at != u64::MAX).then_some(Timestamp(at))
    }

    /// Engine only, once, when the node stops in order and everything is applied.
    pub fn set_final(&self, state: FinalState) {
        // The first stands: an engine that is asked twice has applied nothing in between.
        let _ = self.final_state.set(state);
    }

    /// `None` before the orderly end.
    pub fn final_state(&self) -> Option<FinalState> {
        self.final_state.get().copied()
    }

    /// Consensus only.
    pub fn set_commit_index(&self, index: LogIndex) {
        self.commit_index.store(index.0, Ordering::Relaxed);
    }

    pub fn commit_index(&self) -> LogIndex {
        LogIndex(self.commit_index.load(Ordering::Relaxed))
    }
}
