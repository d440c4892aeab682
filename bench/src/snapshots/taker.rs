//! The node's snapshot agent, on a thread that is not the node's.

use super::SnapshotsBenchError;
use lockstep_journal::snapshot;
use lockstep_journal::storage::{DirectStorage, Storage, StorageError};
use lockstep_node::agent::{Agent, Now};
use lockstep_node::counters::{Counter, CounterId, Counters};
use lockstep_node::snapshot::SnapshotAgent;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Driven by hand.
pub(super) struct Taker {
    agent: SnapshotAgent<DirectStorage>,
    /// Index of the newest snapshot, as the agent says, and as was seen last.
    newest: Counter,
    last: u64,
    storage: DirectStorage,
    begun: Instant,
    pub taken: u64,
    /// Of the last.
    pub bytes: u64,
}

impl Taker {
    pub fn new(
        agent: SnapshotAgent<DirectStorage>,
        storage: DirectStorage,
        counters: &Counters,
    ) -> Self {
        Self {
            agent,
            newest: counters.counter(CounterId::SnapshotIndex),
            last: 0,
            storage,
            begun: Instant::now(),
            taken: 0,
            bytes: 0,
        }
    }

    fn now(&self) -> Now {
        let monotonic_ns = self.begun.elapsed().as_nanos() as u64;
        Now { monotonic_ns }
    }

    /// Follows what has been written since it was last asked to, as it does all the time in a node.
    pub fn catch_up(&mut self) -> Result<(), SnapshotsBenchError> {
        // It looks at the log now and then only.
        let looks = Duration::from_millis(120);
        let mut idle_since = Instant::now();
        while idle_since.elapsed() < looks {
            let now = self.now();
            if self.agent.do_work(now)? > 0 {
                idle_since = Instant::now();
            }
        }
        self.last = self.newest.get();
        self.remove_older()
    }

    /// One snapshot after another until it is over.
    pub fn take_until(&mut self, over: &AtomicBool) -> Result<(), SnapshotsBenchError> {
        let before = self.taken;
        while !over.load(Ordering::Acquire) {
            let now = self.now();
            let work = self.agent.do_work(now)?;
            if self.newest.get() != self.last {
                self.last = self.newest.get();
                self.taken += 1;
                self.remove_older()?;
            } else if work == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if self.taken == before {
            return Err(SnapshotsBenchError::NoSnapshot);
        }
        Ok(())
    }

    fn remove_older(&mut self) -> Result<(), SnapshotsBenchError> {
        let other = |error: StorageError| io::Error::other(error);
        let mut indices = snapshot::list(&self.storage).map_err(other)?;
        let Some(newest) = indices.pop() else {
            return Ok(());
        };
        let name = snapshot::snapshot_name(newest);
        self.bytes = std::fs::metadata(self.storage.folder().join(name))?.len();
        for index in indices {
            let name = snapshot::snapshot_name(index);
            self.storage.delete(&name).map_err(other)?;
        }
        Ok(())
    }
}
