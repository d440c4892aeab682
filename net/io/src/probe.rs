//! Which driver this host allows and, in words, what io_uring lacks here and what to do about it.

use std::fmt;
use std::io;

use crate::any::DriverKind;
use crate::host::{self, ResourceLimit};
use crate::uring::{Ring, SetupError};

/// Why io_uring cannot be used: what is missing and what to do.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Lack {
    what: String,
    remedy: String,
}

impl Lack {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// What is missing or forbidden.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What an operator can do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What the host allows, found by setting up a small ring the way the driver would.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// The running kernel's release.
    pub kernel: String,
    /// `Ok` if the io_uring driver works here.
    pub io_uring: Result<(), Lack>,
    open_files: ResourceLimit,
    memory_lock: ResourceLimit,
}

/// Tries a ring and reports. Cheap; for start-up and for `doctor`.
#[must_use]
pub fn probe() -> ProbeReport {
    ProbeReport {
        kernel: host::kernel_release(),
        io_uring: Ring::new(8, 16).map(drop).map_err(|error| explain(&error)),
        open_files: host::open_files_limit(),
        memory_lock: host::memory_lock_limit(),
    }
}

impl ProbeReport {
    /// What [`DriverKind::Auto`] means here.
    #[must_use]
    pub fn chosen(&self) -> DriverKind {
        if self.io_uring.is_ok() {
            DriverKind::IoUring
        } else {
            DriverKind::Epoll
        }
    }

    /// Most connections that the open files limit leaves room for, with some for everything else.
    #[must_use]
    pub fn connections_possible(&self) -> u64 {
        const OTHER_FILES: u64 = 64;
        self.open_files.soft.saturating_sub(OTHER_FILES)
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver {} (Linux {})", self.chosen(), self.kernel)?;
        if let Err(lack) = &self.io_uring {
            write!(
                f,
                "\n  io_uring is not used: {}\n  to use it: {}",
                lack.what, lack.remedy
            )?;
        }
        write!(
            f,
            "\n  open files: {} (room for {} connections; ulimit -n raises it to at most {})",
            show(self.open_files.soft),
            show(self.connections_possible()),
            show(self.open_files.hard)
        )?;
        write!(
            f,
            "\n  locked memory: {} bytes",
            show(self.memory_lock.soft)
        )
    }
}

fn show(limit: u64) -> String {
    if limit >= u64::MAX / 2 {
        "unlimited".into()
    } else {
        limit.to_string()
    }
}

/// Why a ring could not be set up on this host.
pub(crate) fn explain(error: &SetupError) -> Lack {
    match error {
        SetupError::Lacks(what) => Lack::new(
            format!("the kernel's io_uring lacks {what}"),
            "use Linux 6.1 or later, or the epoll driver",
        ),
        SetupError::Setup(error) => explain_errno(
            error,
            host::io_uring_disabled(),
            host::has_seccomp_filter(),
            host::memory_lock_limit(),
        ),
    }
}

fn explain_errno(
    error: &io::Error,
    disabled: Option<u32>,
    seccomp: bool,
    memory_lock: ResourceLimit,
) -> Lack {
    match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM | libc::EACCES), Some(2)) => Lack::new(
            "the sysctl kernel.io_uring_disabled is 2: forbidden for every process",
            "sysctl -w kernel.io_uring_disabled=0",
        ),
        (Some(libc::EPERM | libc::EACCES), Some(1)) => Lack::new(
            "the sysctl kernel.io_uring_disabled is 1: only for the group kernel.io_uring_group",
            "sysctl -w kernel.io_uring_disabled=0, or run in that group or with CAP_SYS_ADMIN",
        ),
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) if seccomp => Lack::new(
            "a seccomp filter forbids io_uring_setup (containers do by default)",
            "allow io_uring_setup, io_uring_enter and io_uring_register in the container's profile",
        ),
        (Some(libc::EPERM | libc::EACCES), _) => Lack::new(
            "io_uring_setup is not permitted (a security module?)",
            "look for a denial in the kernel's audit log",
        ),
        (Some(libc::ENOSYS), _) => Lack::new(
            "the kernel has no io_uring",
            "use Linux 6.1 or later with CONFIG_IO_URING",
        ),
        (Some(libc::EINVAL), _) => Lack::new(
            "the kernel refuses SINGLE_ISSUER, DEFER_TASKRUN or SUBMIT_ALL",
            "use Linux 6.1 or later",
        ),
        (Some(libc::ENOMEM), _) => Lack::new(
            format!(
                "no memory for the ring (locked memory limit: {})",
                show(memory_lock.soft)
            ),
            "raise RLIMIT_MEMLOCK (ulimit -l) or free memory",
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => Lack::new(
            "no file descriptor is left for the ring",
            "raise RLIMIT_NOFILE (ulimit -n)",
        ),
        _ => Lack::new(
            format!("io_uring_setup failed: {error}"),
            "use the epoll driver",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: ResourceLimit = ResourceLimit {
        soft: 65_536,
        hard: u64::MAX,
    };

    #[test]
    fn each_refusal_names_its_cause_and_a_remedy() {
        let cases = [
            (
                libc::EPERM,
                Some(2),
                false,
                "io_uring_disabled is 2",
                "io_uring_disabled=0",
            ),
            (
                libc::EPERM,
                Some(1),
                true,
                "io_uring_disabled is 1",
                "CAP_SYS_ADMIN",
            ),
            (libc::EPERM, Some(0), true, "seccomp", "profile"),
            (libc::ENOSYS, None, true, "seccomp", "profile"),
            (libc::EPERM, None, false, "not permitted", "audit"),
            (libc::ENOSYS, None, false, "no io_uring", "6.1"),
            (libc::EINVAL, Some(0), false, "DEFER_TASKRUN", "6.1"),
            (libc::ENOMEM, Some(0), false, "65536", "RLIMIT_MEMLOCK"),
            (libc::EMFILE, Some(0), false, "descriptor", "RLIMIT_NOFILE"),
            (libc::EIO, Some(0), false, "failed", "epoll"),
        ];
        for (errno, disabled, seccomp, what, remedy) in cases {
            let error = io::Error::from_raw_os_error(errno);
            let lack = explain_errno(&error, disabled, seccomp, LOCK);
            assert!(lack.what().contains(what), "{errno}: {lack}");
            assert!(lack.remedy().contains(remedy), "{errno}: {lack}");
        }
        let lack = explain(&SetupError::Lacks("RECV"));
        assert!(
            lack.to_string().contains("RECV") && lack.to_string().contains("6.1"),
            "{lack}"
        );
    }

    #[test]
    fn the_report_names_driver_and_lack() {
        let mut report = probe();
        report.io_uring = Ok(());
        assert!(
            report.to_string().starts_with("driver io_uring (Linux "),
            "{report}"
        );
        report.io_uring = Err(Lack::new("a seccomp filter", "allow it"));
        let text = report.to_string();
        assert!(text.starts_with("driver epoll (Linux "), "{text}");
        assert!(
            text.contains("io_uring is not used: a seccomp filter"),
            "{text}"
        );
        assert!(text.contains("to use it: allow it"), "{text}");
        assert_eq!(report.chosen(), DriverKind::Epoll);
    }
}
