//! Snapshots take the disk for a tenth of the time only: who else writes there should meet them seldom.

use std::thread;
use std::time::{Duration, Instant};

/// Bytes read or written at a time.
pub(super) const CHUNK_LENGTH: usize = 128 << 10;
const PAUSES: u32 = 9;
/// A disk that stands still is not waited for nine times more.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Reads or writes `length` bytes; after a whole chunk pauses nine times as long as it took.
pub(super) fn paced<T>(length: usize, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    if length >= CHUNK_LENGTH {
        thread::sleep((begun.elapsed() * PAUSES).min(PAUSE_MAX));
    }
    result
}
