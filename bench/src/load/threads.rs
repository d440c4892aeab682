//! What the venue's threads cost the kernel while the load was measured: context switches, page faults, time
//! spent waiting for a core; and heap allocations of the whole process.
//!
//! The generator's own process is looked at in the same way: its pinned threads are the load and, in a floor's
//! turn, the echo server.
//!
//! Read from `/proc/PID/task` shortly before the measured span and right after it, by the load's own thread. A
//! pinned thread of a venue in steady state has none of these. The kernel counts as *involuntary* also what a
//! thread did to itself by `sched_yield` when somebody else ran: the journal's yields while a write is in
//! flight (policy `durable`) show there. Allocations come from the venue's counters file, which knows them to
//! a tenth of a second.

use lockstep_node::counters::{CounterId, read_counter};
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Of one thread, in the measured span.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ThreadCost {
    pub thread: u32,
    pub name: String,
    /// Cores that it may run on.
    pub cores: String,
    /// It may run on one core only.
    pub is_pinned: bool,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
    /// It could run and somebody else did.
    pub waited_ns: u64,
}

/// Of the venue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VenueThreads {
    pub threads: Vec<ThreadCost>,
    /// Of the whole process; none without a counters file.
    pub allocations: Option<u64>,
}

/// What `/proc` says of a thread at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    thread: u32,
    name: String,
    cores: String,
    voluntary: u64,
    involuntary: u64,
    minor: u64,
    major: u64,
    waited_ns: u64,
}

#[derive(Clone, Debug)]
struct Look {
    threads: Vec<Seen>,
    allocations: Option<u64>,
}

/// Looks twice.
#[derive(Debug)]
pub(super) struct ThreadWatch {
    process: Option<u32>,
    counters: Option<PathBuf>,
    before: Option<Look>,
    after: Option<Look>,
}

impl ThreadWatch {
    /// Without a process it never looks.
    pub(super) fn new(process: Option<u32>, counters: Option<&Path>) -> Self {
        Self {
            process,
            counters: counters.map(Path::to_owned),
            before: None,
            after: None,
        }
    }

    /// It has not looked yet and should.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.process.is_some() && self.before.is_none()
    }

    pub(super) fn look_before(&mut self) -> io::Result<()> {
        self.before = self.look()?;
        Ok(())
    }

    pub(super) fn look_after(&mut self) -> io::Result<()> {
        self.after = self.look()?;
        Ok(())
    }

    fn look(&self) -> io::Result<Option<Look>> {
        let Some(process) = self.process else {
            return Ok(None);
        };
        let allocations = match &self.counters {
            Some(path) => Some(read_counter(path, CounterId::Allocations)?),
            None => None,
        };
        Ok(Some(Look {
            threads: threads_of(process)?,
            allocations,
        }))
    }

    /// The difference; threads that ended or began in between are left out.
    pub(super) fn finish(&self) -> Option<VenueThreads> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        let was = |thread: u32| before.threads.iter().find(|seen| seen.thread == thread);
        let threads = after.threads.iter().filter_map(|now| {
            let was = was(now.thread)?;
            Some(ThreadCost {
                thread: now.thread,
                name: now.name.clone(),
                cores: now.cores.clone(),
                is_pinned: now.cores.bytes().all(|byte| byte.is_ascii_digit()),
                voluntary_switches: now.voluntary.saturating_sub(was.voluntary),
                involuntary_switches: now.involuntary.saturating_sub(was.involuntary),
                minor_faults: now.minor.saturating_sub(was.minor),
                major_faults: now.major.saturating_sub(was.major),
                waited_ns: now.waited_ns.saturating_sub(was.waited_ns),
            })
        });
        let allocations = after.allocations.zip(before.allocations);
        Some(VenueThreads {
            threads: threads.collect(),
            allocations: allocations.map(|(after, before)| after.saturating_sub(before)),
        })
    }
}

impl VenueThreads {
    /// Switches, faults and allocations of the pinned threads, in that order: 0 in steady state.
    pub fn pinned(&self) -> impl Iterator<Item = &ThreadCost> {
        self.threads.iter().filter(|thread| thread.is_pinned)
    }
}

fn threads_of(process: u32) -> io::Result<Vec<Seen>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let entry = entry?;
        let Some(thread) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else {
            continue;
        };
        let folder = entry.path();
        let read = |name: &str| fs::read_to_string(folder.join(name));
        // A thread that ends meanwhile is none of the venue's agents.
        let (Ok(status), Ok(stat)) = (read("status"), read("stat")) else {
            continue;
        };
        // A kernel without scheduler statistics says nothing of waiting.
        let schedule = read("schedstat").unwrap_or_default();
        threads.extend(parse(thread, &status, &stat, &schedule));
    }
    threads.sort_unstable_by_key(|seen| seen.thread);
    Ok(threads)
}

/// `None` if the files are not what proc(5) says.
fn parse(thread: u32, status: &str, stat: &str, schedule: &str) -> Option<Seen> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    let count = |name: &str| field(name)?.parse().ok();
    // The name is in parentheses and may hold anything; fields are counted behind it, from the state on.
    let behind: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| behind.get(index)?.parse().ok();
    Some(Seen {
        thread,
        name: field("Name")?.to_owned(),
        cores: field("Cpus_allowed_list")?.to_owned(),
        voluntary: count("voluntary_ctxt_switches")?,
        involuntary: count("nonvoluntary_ctxt_switches")?,
        minor: number(7)?,
        major: number(9)?,
        waited_ns: schedule
            .split_whitespace()
            .nth(1)
            .and_then(|waited| waited.parse().ok())
            .unwrap_or(0),
    })
}

impl fmt::Display for VenueThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pinned threads               voluntary involuntary  minor  major  waited µs"
        )?;
        for cost in self.pinned() {
            write!(
                f,
                "\n  {:<16} core {:<4}{:>10}{:>12}{:>7}{:>7}{:>11}",
                cost.name,
                cost.cores,
                cost.voluntary_switches,
                cost.involuntary_switches,
                cost.minor_faults,
                cost.major_faults,
                cost.waited_ns / 1000
            )?;
        }
        if self.pinned().next().is_none() {
            write!(f, "\n  none: no thread of that process is pinned")?;
        }
        match self.allocations {
            Some(count) => write!(f, "\nheap allocations of the process: {count}"),
            None => write!(
                f,
                "\nheap allocations: not counted (--counters names the file)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tagents-0\nState:\tR (running)\nCpus_allowed:\t2\n\
        Cpus_allowed_list:\t1\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n";
    const STAT: &str = "42 (ag) en (ts) R 1 2 3 0 -1 4194304 99 0 3 0 1 2 0 0 20 0 1 0";

    #[test]
    fn proc_is_read_whatever_the_thread_is_called() {
        let seen = parse(42, STATUS, STAT, "1000 2500 9\n").expect("legal");
        assert_eq!((seen.voluntary, seen.involuntary), (5, 7));
        assert_eq!((seen.minor, seen.major), (99, 3));
        assert_eq!(seen.waited_ns, 2500);
        assert_eq!((seen.name.as_str(), seen.cores.as_str()), ("agents-0", "1"));
        assert_eq!(parse(42, STATUS, STAT, "").expect("legal").waited_ns, 0);
        for (status, stat) in [("", STAT), (STATUS, ""), (STATUS, "42 (x) R 1 2")] {
            assert_eq!(parse(42, status, stat, ""), None);
        }
    }

    /// A thread that sleeps switches, one that touches new memory faults, and both show.
    #[test]
    fn what_a_thread_does_to_itself_is_counted() {
        let mut watch = ThreadWatch::new(Some(std::process::id()), None);
        assert!(watch.is_waiting());
        watch.look_before().expect("own process");
        assert!(!watch.is_waiting());
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
        let touched = vec![1_u8; 16 << 20];
        watch.look_after().expect("own process");
        assert_eq!(
            touched.iter().map(|byte| u64::from(*byte)).sum::<u64>(),
            16 << 20
        );
        let report = watch.finish().expect("looked twice");
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let mine = report
            .threads
            .iter()
            .find(|cost| name.starts_with(&cost.name))
            .expect("this thread");
        assert!(mine.voluntary_switches >= 20, "{report:?}");
        // Huge pages take fewer faults.
        assert!(mine.minor_faults >= 8, "{report:?}");
        assert_eq!(report.allocations, None);
    }

    #[test]
    fn without_a_process_nothing_is_looked_at() {
        let mut watch = ThreadWatch::new(None, None);
        assert!(!watch.is_waiting());
        watch.look_after().expect("nothing to read");
        assert!(watch.finish().is_none());
    }
}
