//! Bulk work takes the disk for a tenth of the time only: the log's own writes should meet it seldom.

use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a snapshot read or written at a time.
pub(crate) const CHUNK_LENGTH: usize = 128 << 10;
const PAUSES: u32 = 9;
/// A disk that stands still is not waited for nine times more.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// How long to leave the disk alone after a piece of work that took so long.
pub fn pause(took: Duration) -> Duration {
    (took * PAUSES).min(PAUSE_MAX)
}

/// Reads or writes `length` bytes; after a whole chunk pauses.
pub(crate) fn paced<T>(length: usize, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    if length >= CHUNK_LENGTH {
        thread::sleep(pause(begun.elapsed()));
    }
    result
}
