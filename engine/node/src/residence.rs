//! Keeps what the process has touched in memory (`memory.lock`), and counts first touches.
//!
//! A page that was swapped out costs the agent that touches it milliseconds. Pages are locked as they are touched and
//! not before, so mappings of files (streams that are replayed) are not read for nothing. Later mappings are
//! locked too, which is only safe where no limit can refuse them: with one, a day would end at the mapping that goes
//! beyond it. So a limit is refused at the start.
#![allow(unsafe_code)]

use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum LockError {
    #[error(
        "{source}: `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity), or memory.lock = false"
    )]
    Refused { source: io::Error },
    #[error(
        "the limit of locked memory is {limit_bytes} bytes and a later mapping would fail at it: \
         `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity), or memory.lock = false"
    )]
    Limited { limit_bytes: u64 },
}

/// CAP_IPC_LOCK (linux/capability.h): no limit counts.
const IPC_LOCK: u32 = 14;

/// Page faults of this process that needed no disk, since its start.
pub fn minor_faults() -> Option<u64> {
    // SAFETY: all-zero is a valid `rusage`: numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    (result == 0).then_some(usage.ru_minflt as u64)
}

/// Locks what is mapped now and later, each page from its first touch.
pub fn lock() -> Result<(), LockError> {
    let source = io::Error::last_os_error;
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(LockError::Refused { source: source() });
    }
    if limit.rlim_cur != libc::RLIM_INFINITY && !may_exceed_the_limit() {
        let limit_bytes = limit.rlim_cur;
        return Err(LockError::Limited { limit_bytes });
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: takes no memory of ours and changes no byte of it.
    if unsafe { libc::mlockall(flags) } != 0 {
        return Err(LockError::Refused { source: source() });
    }
    Ok(())
}

fn may_exceed_the_limit() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_capability(&status))
}

fn has_capability(status: &str) -> bool {
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> IPC_LOCK & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locking_works_or_says_what_to_do() {
        match lock() {
            // SAFETY: takes no memory of ours and changes no byte of it.
            Ok(()) => assert_eq!(unsafe { libc::munlockall() }, 0),
            Err(error) => assert!(error.to_string().contains("ulimit -l unlimited"), "{error}"),
        }
    }

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        let status = |set: &str| format!("Name:\tx\nCapPrm:\t{set}\nCapEff:\t{set}\n");
        assert!(has_capability(&status("000001ffffffffff")));
        assert!(has_capability(&status("0000000000004000")));
        assert!(!has_capability(&status("0000000000003fff")));
        assert!(!has_capability("CapPrm:\tffff\n") && !has_capability(""));
    }
}
