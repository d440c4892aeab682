//! What the host says about itself: kernel release, limits, the io_uring switch. Read at start only.
#![allow(unsafe_code)]

use std::fs;
use std::mem;

/// A soft and hard resource limit; `u64::MAX` means none.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct ResourceLimit {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

pub(crate) fn kernel_release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

/// The value of `kernel.io_uring_disabled` (Linux 6.6): 0 allowed, 1 for a group only, 2 forbidden.
pub(crate) fn io_uring_disabled() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Whether a seccomp filter is installed on this thread (containers usually have one).
pub(crate) fn has_seccomp_filter() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

pub(crate) fn memory_lock_limit() -> ResourceLimit {
    resource_limit(libc::RLIMIT_MEMLOCK)
}

pub(crate) fn open_files_limit() -> ResourceLimit {
    resource_limit(libc::RLIMIT_NOFILE)
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

fn resource_limit(resource: Resource) -> ResourceLimit {
    // SAFETY: all-zero bytes are a valid rlimit.
    let mut limit: libc::rlimit = unsafe { mem::zeroed() };
    // SAFETY: the struct lives through the call; on failure it stays zero, which is reported as such.
    unsafe { libc::getrlimit(resource, &mut limit) };
    ResourceLimit {
        soft: limit.rlim_cur,
        hard: limit.rlim_max,
    }
}
