//! What the host took from the measured thread in a round, as far as the kernel says.

use serde::Serialize;
use std::fs;

/// Of the thread that looks, and of its core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stalls {
    /// It could run and somebody else did, ns.
    pub waited_ns: u64,
    pub involuntary_switches: u64,
    /// The hypervisor ran somebody else on the core, ms; 0 where no core was asked for.
    pub stolen_ms: u64,
}

/// A look at the counts.
#[derive(Debug)]
pub(super) struct Look {
    core: Option<usize>,
    seen: Stalls,
}

impl Look {
    pub fn begin(core: Option<usize>) -> Self {
        let seen = look(core);
        Self { core, seen }
    }

    /// What has been added since.
    pub fn end(&self) -> Stalls {
        let (now, then) = (look(self.core), self.seen);
        Stalls {
            waited_ns: now.waited_ns.saturating_sub(then.waited_ns),
            involuntary_switches: now
                .involuntary_switches
                .saturating_sub(then.involuntary_switches),
            stolen_ms: now.stolen_ms.saturating_sub(then.stolen_ms),
        }
    }
}

/// What the host does not say is 0.
fn look(core: Option<usize>) -> Stalls {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let schedule = read("/proc/thread-self/schedstat");
    let status = read("/proc/thread-self/status");
    let stat = read("/proc/stat");
    let core = core.map(|core| format!("cpu{core}"));
    Stalls {
        waited_ns: word(Some(&schedule), 1),
        involuntary_switches: word(line(&status, "nonvoluntary_ctxt_switches:"), 1),
        // In ticks of 1/100 s, as proc(5) has it.
        stolen_ms: 10 * core.map_or(0, |core| word(line(&stat, &core), 8)),
    }
}

fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let named = |line: &&str| line.split_whitespace().next() == Some(name);
    text.lines().find(named)
}

fn word(line: Option<&str>, at: usize) -> u64 {
    let word = line.and_then(|line| line.split_whitespace().nth(at));
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_by_name_and_place() {
        let stat = "cpu  1 2 3 4 5 6 7 8 9\ncpu1 10 20 30 40 50 60 70 80 90 100\n";
        assert_eq!(word(line(stat, "cpu1"), 8), 80);
        assert_eq!(word(line(stat, "cpu10"), 8), 0);
        let status = "Name:\tx\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(word(line(status, "nonvoluntary_ctxt_switches:"), 1), 7);
    }

    /// Two threads on one core wait for each other.
    #[test]
    fn waiting_for_a_core_shows() {
        let core = core_affinity::get_core_ids().and_then(|ids| ids.first().copied());
        let Some(core) = core else {
            println!("SKIP the host does not say which cores there are");
            return;
        };
        let spin = move || {
            core_affinity::set_for_current(core);
            let look = Look::begin(Some(core.id));
            let begun = std::time::Instant::now();
            while begun.elapsed().as_millis() < 100 {
                std::hint::spin_loop();
            }
            look.end().waited_ns
        };
        let threads = [std::thread::spawn(spin), std::thread::spawn(spin)];
        let waited: u64 = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert!(waited > 0, "two spinning threads on core {}", core.id);
    }
}
