//! The housekeeping thread: figures about the process into counters, ten times a second. Not pinned,
//! allocates nothing after its start.

use crate::agent::Stop;
use crate::counters::{Counter, CounterId, Counters};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_millis(100);

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
    let began = Instant::now();
    std::thread::Builder::new()
        .name("housekeeping".into())
        .spawn(move || {
            while !stop.is_requested() {
                figures.update(began, allocation_count);
                std::thread::sleep(PERIOD);
            }
            figures.update(began, allocation_count);
        })
}

impl Figures {
    fn update(&self, began: Instant, allocation_count: Option<AllocationCount>) {
        self.uptime.set(began.elapsed().as_millis() as u64);
        if let Some(count) = allocation_count {
            self.allocations.set(count());
        }
        let mut buffer = [0; 1024];
        if let Some(pages) = proc_field(c"/proc/self/statm", &mut buffer, 1) {
            self.resident.set(pages * self.page_bytes);
        }
        // Field 10 of stat; the process name before it, in parentheses, holds no space here.
        if let Some(faults) = proc_field(c"/proc/self/stat", &mut buffer, 9) {
            self.minor_faults.set(faults);
        }
    }
}

/// The i-th (from 0) space-separated number of a proc file.
fn proc_field(path: &std::ffi::CStr, buffer: &mut [u8], i: usize) -> Option<u64> {
    let mut file = File::open(path.to_str().ok()?).ok()?;
    let length = file.read(buffer).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    text.split_ascii_whitespace().nth(i)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read() {
        let mut buffer = [0; 1024];
        assert!(proc_field(c"/proc/self/statm", &mut buffer, 1).unwrap() > 0);
        assert!(proc_field(c"/proc/self/stat", &mut buffer, 9).unwrap() > 0);
        assert_eq!(proc_field(c"/proc/self/absent", &mut buffer, 0), None);
    }
}
