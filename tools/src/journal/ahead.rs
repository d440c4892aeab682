//! Checksums of segments computed ahead of the walk, on every core that is there.
//!
//! Only a hint of what holds: a batch that is not on a segment's list is verified by the walk itself, so that
//! damage is judged in one place and in the order of the log.

use super::folder::Opened;
use lockstep_journal::segment::map_segment;
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{BATCH_ALIGNMENT, BLOCK_LENGTH, BatchView, LogPosition};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

const THREADS_MAX: usize = 16;
/// Segments whose lists wait for the walk, for each thread; bounds memory.
const WAITING_MAX: usize = 4;

/// Where in a segment's data the batches begin whose checksums hold, in units of their alignment; ascending.
pub type Whole = Vec<u32>;

#[derive(Default)]
struct State {
    /// Next segment to look at, and the one that the walk is at.
    next: usize,
    walked: usize,
    lists: HashMap<u64, Whole>,
    running: usize,
    stop: bool,
}

struct Shared {
    storage: DirectStorage,
    data_length: u64,
    segments: Vec<u64>,
    threads: usize,
    state: Mutex<State>,
    changed: Condvar,
}

pub struct Ahead {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Ahead {
    /// `None` where it would not pay: one core, or one segment.
    pub fn start(opened: &Opened, first: u64) -> Option<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let segments: Vec<u64> = opened
            .segments
            .iter()
            .copied()
            .filter(|n| *n >= first)
            .collect();
        let threads = (cores - 1)
            .min(segments.len().saturating_sub(1))
            .min(THREADS_MAX);
        if threads == 0 {
            return None;
        }
        let shared = Arc::new(Shared {
            storage: opened.storage.clone(),
            data_length: opened.meta.segment_data_length,
            segments,
            threads,
            state: Mutex::new(State {
                running: threads,
                ..State::default()
            }),
            changed: Condvar::new(),
        });
        let spawn = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        Some(Self {
            threads: (0..threads).map(spawn).collect(),
            shared,
        })
    }

    /// The list of a segment, once it is there; segments are asked for in their order. Empty if nobody made it.
    pub fn take(&self, number: u64) -> Whole {
        let shared = &self.shared;
        let mut state = shared.lock();
        if let Some(at) = shared.segments.iter().position(|known| *known == number) {
            state.walked = at;
            shared.changed.notify_all();
        }
        loop {
            if let Some(list) = state.lists.remove(&number) {
                return list;
            }
            if state.running == 0 {
                return Whole::new();
            }
            state = shared.wait(state);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // It has no more to say: what it did not list, the walk verifies itself.
            let _ = thread.join();
        }
    }
}

/// Counts a thread as ended, however it ends: the walk must not wait for it.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn work(&self) {
        let _running = Running(self);
        while let Some(number) = self.next() {
            let list = self.whole(number);
            self.lock().lists.insert(number, list);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        while !state.stop && state.next > state.walked + self.threads * WAITING_MAX {
            state = self.wait(state);
        }
        let number = self.segments.get(state.next).copied();
        state.next += 1;
        number.filter(|_| !state.stop)
    }

    fn last(&self) -> u64 {
        self.segments.last().copied().unwrap_or(0)
    }

    /// From the segment's begin to the first place that is no whole batch.
    fn whole(&self, number: u64) -> Whole {
        let mut list = Whole::new();
        let Ok(bytes) = map_segment(&self.storage, number, self.last()) else {
            return list;
        };
        let data = bytes.get(BLOCK_LENGTH as usize..).unwrap_or_default();
        let data = &data[..data.len().min(self.data_length as usize)];
        let first = LogPosition(number.saturating_mul(self.data_length));
        let mut at = 0;
        while let Ok(batch) = BatchView::verified(&data[at..], first.plus(at as u64)) {
            list.push((at / BATCH_ALIGNMENT as usize) as u32);
            at += batch.bytes().len();
        }
        list
    }
}
