//! Kernel version, io_uring, clock, control groups, what else competes for the cores.

use super::finding::Finding;
use super::host::Host;
use lockstep_net::probe;

/// Deferred task work (6.1) and everything else the io_uring driver uses.
const KERNEL_MIN: (u32, u32) = (6, 1);

pub fn examine(host: &Host, findings: &mut Vec<Finding>) {
    findings.push(version(host));
    findings.push(io_uring());
    findings.push(clock_source(host));
    findings.push(clock_synchronized(host));
    findings.push(virtualization(host));
    findings.push(cpu_quota(host));
    findings.push(watchdog(host));
}

fn version(host: &Host) -> Finding {
    let Some(release) = host.text("/proc/sys/kernel/osrelease") else {
        return Finding::unknown("kernel", "no /proc/sys/kernel/osrelease");
    };
    match numbers(&release) {
        Some(numbers) if numbers >= KERNEL_MIN => Finding::pass("kernel", release),
        Some(_) => Finding::warn(
            "kernel",
            format!("{release}: io_uring lacks deferred task work, so the epoll driver will run"),
            format!("install Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1),
        ),
        None => Finding::unknown("kernel", release),
    }
}

/// Major and minor number of a kernel's release.
pub(super) fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn io_uring() -> Finding {
    match probe().io_uring {
        Ok(()) => Finding::pass("io_uring", "a ring with the driver's flags can be set up"),
        Err(lack) => Finding::warn(
            "io_uring",
            format!("{}; the epoll driver will run", lack.what()),
            lack.remedy(),
        ),
    }
}

fn clock_source(host: &Host) -> Finding {
    const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
    match host
        .text(&format!("{FOLDER}/current_clocksource"))
        .as_deref()
    {
        Some("tsc") => Finding::pass("clock source", "tsc: read without a system call"),
        Some(other) => Finding::warn(
            "clock source",
            format!("{other}: reading the clock may cost a system call per batch"),
            format!("echo tsc > {FOLDER}/current_clocksource (boot with tsc=reliable if refused)"),
        ),
        None => Finding::unknown("clock source", "the host does not say"),
    }
}

/// The batch timestamps are the venue's legal time: somebody must discipline the clock.
fn clock_synchronized(host: &Host) -> Finding {
    const DAEMONS: &[&str] = &[
        "chronyd",
        "ntpd",
        "ntpsec",
        "ptp4l",
        "phc2sys",
        "systemd-timesyn",
    ];
    let processes = host.processes();
    if processes.is_empty() {
        return Finding::unknown("clock discipline", "the processes cannot be read");
    }
    match DAEMONS.iter().find(|d| processes.iter().any(|p| p == *d)) {
        Some(daemon) => Finding::pass("clock discipline", format!("{daemon} runs")),
        None => Finding::warn(
            "clock discipline",
            "neither NTP nor PTP runs: batch timestamps drift from UTC",
            "systemctl enable --now chronyd (or ptp4l with phc2sys)",
        ),
    }
}

fn virtualization(host: &Host) -> Finding {
    let Some(info) = host.text("/proc/cpuinfo") else {
        return Finding::unknown("virtualization", "no /proc/cpuinfo");
    };
    let flags = info
        .lines()
        .find(|l| l.starts_with("flags") || l.starts_with("Features"));
    match flags {
        Some(flags) if flags.split_whitespace().any(|f| f == "hypervisor") => Finding::warn(
            "virtualization",
            "a virtual machine: the hypervisor can stop a spinning core at any moment",
            "run on bare metal, or have the virtual cores pinned to dedicated ones; `lockstep bench jitter` shows the loss",
        ),
        Some(_) => Finding::pass("virtualization", "no hypervisor announces itself"),
        None => Finding::unknown("virtualization", "the processor's flags are not shown"),
    }
}

fn cpu_quota(host: &Host) -> Finding {
    let quota = host
        .text("/sys/fs/cgroup/cpu.max")
        .or_else(|| host.text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
    match quota.as_deref() {
        Some(quota) if quota.starts_with("max") || quota.starts_with('-') => {
            Finding::pass("cpu quota", "none")
        }
        Some(quota) => Finding::fail(
            "cpu quota",
            format!("{quota}: a spinning thread will be stopped when the quota is used up"),
            "run without a CPU limit (systemd: CPUQuota=; containers: no --cpus, use --cpuset-cpus)",
        ),
        // A root control group has no such file.
        None if host.exists("/sys/fs/cgroup") => {
            Finding::pass("cpu quota", "none at the root of the control groups")
        }
        None => Finding::unknown("cpu quota", "control groups are not mounted"),
    }
}

fn watchdog(host: &Host) -> Finding {
    match host.number("/proc/sys/kernel/nmi_watchdog") {
        Some(0) => Finding::pass("NMI watchdog", "off"),
        Some(_) => Finding::warn(
            "NMI watchdog",
            "on: it interrupts every core periodically",
            "sysctl -w kernel.nmi_watchdog=0",
        ),
        None => Finding::unknown("NMI watchdog", "this kernel has none, or does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::super::host::fake;
    use super::*;

    #[test]
    fn kernel_versions() {
        for (release, status) in [
            ("6.18.5", Status::Pass),
            ("6.1.0-13-amd64", Status::Pass),
            ("5.15.0", Status::Warn),
            ("strange", Status::Unknown),
        ] {
            let (_folder, host) = fake(&[("/proc/sys/kernel/osrelease", release)]);
            assert_eq!(version(&host).status, status, "{release}");
        }
    }

    #[test]
    fn quotas_of_both_control_group_versions() {
        for (path, text, status) in [
            ("/sys/fs/cgroup/cpu.max", "max 100000", Status::Pass),
            ("/sys/fs/cgroup/cpu.max", "200000 100000", Status::Fail),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1", Status::Pass),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "5000", Status::Fail),
        ] {
            let (_folder, host) = fake(&[(path, text)]);
            assert_eq!(cpu_quota(&host).status, status, "{text}");
        }
    }

    #[test]
    fn the_hypervisor_flag_is_a_word_not_a_part_of_one() {
        for (flags, status) in [
            ("flags : fpu hypervisor sse", Status::Warn),
            ("flags : fpu nohypervisors", Status::Pass),
        ] {
            let (_folder, host) = fake(&[("/proc/cpuinfo", flags)]);
            assert_eq!(virtualization(&host).status, status);
        }
    }
}
