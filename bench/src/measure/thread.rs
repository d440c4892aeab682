//! Where a thread of a bench runs and what it does when there is nothing to do.

use clap::ValueEnum;
use lockstep_net::Driver;
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// What an idle thread does. Figures of latency need `Spin` on a core of its own; with fewer cores than
/// threads, anything but `Spin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Never leaves the core.
    Spin,
    /// Offers the core to others.
    Yield,
    /// Sleeps in the kernel until something may have arrived.
    Park,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Yield => "yield",
            Self::Park => "park",
        })
    }
}

impl Idle {
    /// Spends a duty cycle that found no work; sleeps at most `at_most`. The driver is flushed.
    #[inline]
    pub fn idle<D: Driver>(self, driver: &mut D, at_most: Duration) {
        match self {
            Self::Spin => std::hint::spin_loop(),
            Self::Yield => std::thread::yield_now(),
            Self::Park => driver.wait(at_most),
        }
    }
}

/// The host does not let this thread run on that core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "cannot pin a thread to core {core}; this process may use {cores} cores (see taskset -p, cpusets)"
)]
pub struct PinError {
    pub core: usize,
    pub cores: usize,
}

/// Cores of a Linux CPU set; a core beyond them cannot even be asked for.
const CORES_MAX: usize = 1024;

/// Keeps the calling thread on one core.
pub fn pin(core: usize) -> Result<(), PinError> {
    if core < CORES_MAX && core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        return Ok(());
    }
    let cores = core_affinity::get_core_ids().map_or(0, |ids| ids.len());
    Err(PinError { core, cores })
}

/// `core 1 spin`, for reports.
pub fn describe(core: Option<usize>, idle: Idle) -> String {
    match core {
        Some(core) => format!("core {core} {idle}"),
        None => format!("unpinned {idle}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_works_or_says_why_not() {
        std::thread::spawn(|| {
            for core in [CORES_MAX - 1, CORES_MAX, usize::MAX] {
                let error = pin(core).expect_err("no such core");
                assert!(
                    error.to_string().contains(&format!("core {core};")),
                    "{error}"
                );
            }
        })
        .join()
        .expect("thread");
        assert_eq!(describe(Some(1), Idle::Park), "core 1 park");
        assert_eq!(describe(None, Idle::Yield), "unpinned yield");
    }
}
