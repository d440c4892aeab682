//! The housekeeping thread: figures about the process into counters, ten times a second. Not pinned,
//! allocates nothing after its start. It may share a core with a client of the venue, so it is brief: no file is opened
//! (that alone took some 60 µs each time).

use crate::agent::Stop;
use crate::counters::{Counter, CounterId, Counters};
use crate::residence;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(100);
const STATM: &str = "/proc/self/statm";

/// How many heap allocations the process has made; the binary's counting allocator provides it.
pub type AllocationCount = fn() -> u64;

#[derive(Debug)]
struct Figures {
    allocations: Counter,
    resident: Counter,
    minor_faults: Counter,
    uptime: Counter,
    page_bytes: u64,
}

/// Starts the thread; it ends when the node stops.
pub fn start(
    counters: &Counters,
    stop: Arc<Stop>,
    allocation_count: Option<AllocationCount>,
    page_bytes: u64,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let figures = Figures {
        allocations: counters.counter(CounterId::Allocations),
        resident: counters.counter(CounterId::ResidentBytes),
        minor_faults: counters.counter(CounterId::MinorFaults),
        uptime: counters.counter(CounterId::UptimeMs),
        page_bytes,
    };
    let (began, statm) = (Instant::now(), File::open(STATM)?);
    std::thread::Builder::new()
        .name("housekeeping".into())
        .spawn(move || {
            while !stop.is_requested() {
                figures.update(began, allocation_count, &statm);
                std::thread::sleep(PERIOD);
            }
            figures.update(began, allocation_count, &statm);
        })
}

impl Figures {
    fn update(&self, began: Instant, allocation_count: Option<AllocationCount>, statm: &File) {
        self.uptime.set(began.elapsed().as_millis() as u64);
        if let Some(count) = allocation_count {
            self.allocations.set(count());
        }
        if let Some(pages) = resident_pages(statm) {
            self.resident.set(pages * self.page_bytes);
        }
        if let Some(faults) = residence::minor_faults() {
            self.minor_faults.set(faults);
        }
    }
}

/// The second number of `/proc/self/statm`, read anew through an open file.
fn resident_pages(statm: &File) -> Option<u64> {
    let mut buffer = [0; 128];
    let length = statm.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_again_and_again() {
        let statm = File::open(STATM).unwrap();
        let before = resident_pages(&statm).unwrap();
        let touched = vec![1_u8; 64 << 20];
        let after = resident_pages(&statm).unwrap();
        assert!(
            before > 0 && after >= before + (32 << 20) / 4096,
            "{before} {after}"
        );
        assert_eq!(touched.iter().map(|&b| u64::from(b)).sum::<u64>(), 64 << 20);
    }
}
