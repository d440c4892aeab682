//! Memory: limits, huge pages, swap, shared memory, what walks the pages behind our back.

use super::finding::Finding;
use super::host::{Host, chosen};
use super::{Plan, kernel};

pub fn examine(host: &Host, plan: &Plan, findings: &mut Vec<Finding>) {
    findings.push(lock_limit(host, plan));
    findings.push(priority_limit(host));
    findings.push(open_files(host, plan));
    findings.push(huge_pages(host));
    findings.push(log_buffer_pages(host));
    findings.push(swap(host));
    findings.push(page_walkers(host));
    findings.push(shared_memory(host, plan));
}

fn lock_limit(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "memory lock limit";
    match host.limit("Max locked memory") {
        None => Finding::unknown(NAME, "no /proc/self/limits"),
        Some(u64::MAX) => Finding::pass(NAME, "unlimited"),
        Some(limit) if limit >= plan.log_buffer_bytes.saturating_mul(2) => {
            Finding::pass(NAME, format!("{} MiB", limit >> 20))
        }
        Some(limit) => Finding::warn(
            NAME,
            format!(
                "{} MiB: a log buffer of {} MiB cannot be locked and registered",
                limit >> 20,
                plan.log_buffer_bytes >> 20
            ),
            "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity)",
        ),
    }
}

fn priority_limit(host: &Host) -> Finding {
    const NAME: &str = "real-time limit";
    match host.limit("Max realtime priority") {
        None => Finding::unknown(NAME, "no /proc/self/limits"),
        Some(0) => Finding::warn(
            NAME,
            "no real-time priority may be asked for (only needed where cores are not isolated)",
            "ulimit -r 99 (systemd: LimitRTPRIO=99)",
        ),
        Some(priority) => Finding::pass(NAME, priority.to_string()),
    }
}

fn open_files(host: &Host, plan: &Plan) -> Finding {
    /// Segments, stream files of sessions, rings, counters.
    const BESIDE_CONNECTIONS: u64 = 256;
    const NAME: &str = "open files limit";
    let wanted = plan.connections_max.saturating_add(BESIDE_CONNECTIONS);
    match host.limit("Max open files") {
        None => Finding::unknown(NAME, "no /proc/self/limits"),
        Some(limit) if limit >= wanted => Finding::pass(NAME, limit.to_string()),
        Some(limit) => Finding::fail(
            NAME,
            format!(
                "{limit}, but {} connections need {wanted}",
                plan.connections_max
            ),
            format!("ulimit -n {wanted} (systemd: LimitNOFILE={wanted})"),
        ),
    }
}

fn huge_pages(host: &Host) -> Finding {
    const NAME: &str = "transparent huge pages";
    const FILE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = host.text(FILE);
    match text.as_deref().and_then(chosen) {
        Some("always") => Finding::warn(
            NAME,
            "always: the kernel compacts and collapses pages under running threads",
            format!("echo madvise > {FILE}"),
        ),
        Some("never") => Finding::warn(
            NAME,
            "never: the state machine's tables lie in pages of 4 KiB, and most accesses walk the page tables",
            format!("echo madvise > {FILE}"),
        ),
        Some(mode) => Finding::pass(NAME, mode),
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

/// The node moves its log buffer into huge pages by itself; what forbids it?
fn log_buffer_pages(host: &Host) -> Finding {
    const NAME: &str = "log buffer pages";
    const FILE: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    const COST: &str = "long journal writes take up to twice as long from small pages";
    let release = host.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let text = host.text(FILE);
    match (text.as_deref().and_then(chosen), kernel::numbers(&release)) {
        (None, _) | (_, None) => Finding::unknown(NAME, "the host does not say"),
        (Some("deny"), _) => Finding::warn(
            NAME,
            format!("memory files are denied huge pages: {COST}"),
            format!("echo never > {FILE} (or advise)"),
        ),
        (Some(_), Some(numbers)) if numbers < (6, 1) => Finding::warn(
            NAME,
            format!("a kernel before 6.1 does not collapse pages of memory files: {COST}"),
            "a kernel of 6.1 or later",
        ),
        (Some(mode), _) => Finding::pass(NAME, format!("{mode}; collapsed at start all the same")),
    }
}

fn swap(host: &Host) -> Finding {
    const NAME: &str = "swap";
    match host.memory_bytes("SwapTotal") {
        None => Finding::unknown(NAME, "no /proc/meminfo"),
        Some(0) => Finding::pass(NAME, "none"),
        Some(bytes) => Finding::warn(
            NAME,
            format!(
                "{} MiB: a page that was swapped out costs milliseconds",
                bytes >> 20
            ),
            "swapoff -a",
        ),
    }
}

/// DAMON and NUMA balancing unmap pages to see whether they are used: page faults on hot memory.
fn page_walkers(host: &Host) -> Finding {
    const NAME: &str = "page walkers";
    if host
        .number("/proc/sys/kernel/numa_balancing")
        .is_some_and(|v| v != 0)
    {
        return Finding::warn(
            NAME,
            "NUMA balancing is on: it makes hot pages fault on purpose",
            "sysctl -w kernel.numa_balancing=0",
        );
    }
    let processes = host.processes();
    if processes.is_empty() {
        return Finding::unknown(NAME, "the processes cannot be read");
    }
    for (thread, remedy) in [
        (
            "kdamond",
            "echo N > /sys/module/damon_reclaim/parameters/enabled (and other users of DAMON)",
        ),
        ("ksmd", "echo 0 > /sys/kernel/mm/ksm/run"),
    ] {
        let found = processes.iter().find(|p| p.starts_with(thread));
        let merging = thread != "ksmd" || host.number("/sys/kernel/mm/ksm/run") == Some(1);
        if let Some(found) = found.filter(|_| merging) {
            let what = format!("{found} runs: it walks page tables and takes a core while it does");
            return Finding::warn(NAME, what, remedy);
        }
    }
    Finding::pass(NAME, "no DAMON, no page merging, no NUMA balancing")
}

fn shared_memory(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "shared memory";
    let mounts = host.text("/proc/self/mountinfo").unwrap_or_default();
    let on_shm = mounts
        .lines()
        .any(|l| l.split_whitespace().nth(4) == Some("/dev/shm"));
    if !on_shm {
        return Finding::unknown(NAME, "/dev/shm is not mounted; name `data.log_buffer`");
    }
    match host.memory_bytes("MemAvailable") {
        None => Finding::unknown(NAME, "no /proc/meminfo"),
        Some(free) if free / 2 >= plan.log_buffer_bytes => Finding::pass(
            NAME,
            format!(
                "/dev/shm is there and {} MiB of memory are free",
                free >> 20
            ),
        ),
        Some(free) => Finding::fail(
            NAME,
            format!(
                "{} MiB of memory are free; the log buffer alone takes {} MiB",
                free >> 20,
                plan.log_buffer_bytes >> 20
            ),
            "lower journal.log_buffer_bytes or free memory",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::super::host::fake;
    use super::*;
    use std::path::PathBuf;

    fn plan() -> Plan {
        Plan {
            cores: vec![1],
            spins: true,
            data: PathBuf::from("."),
            log_buffer_bytes: 64 << 20,
            connections_max: 1000,
            interfaces: Vec::new(),
        }
    }

    #[test]
    fn limits_are_held_against_the_configuration() {
        let limits = "Max open files  1024  1024 files\nMax locked memory  8388608 8388608 bytes\nMax realtime priority  0 0\n";
        let (_folder, host) = fake(&[("/proc/self/limits", limits)]);
        assert_eq!(open_files(&host, &plan()).status, Status::Fail);
        assert_eq!(lock_limit(&host, &plan()).status, Status::Warn);
        assert_eq!(priority_limit(&host).status, Status::Warn);
        let limits = "Max open files  20000  20000 files\nMax locked memory  unlimited unlimited bytes\nMax realtime priority  99 99\n";
        let (_folder, host) = fake(&[("/proc/self/limits", limits)]);
        assert_eq!(open_files(&host, &plan()).status, Status::Pass);
        assert_eq!(lock_limit(&host, &plan()).status, Status::Pass);
        assert_eq!(priority_limit(&host).status, Status::Pass);
    }

    #[test]
    fn what_keeps_the_log_buffer_out_of_huge_pages_is_named() {
        let of = |mode: &str, release: &str| {
            let (_folder, host) = fake(&[
                ("/sys/kernel/mm/transparent_hugepage/shmem_enabled", mode),
                ("/proc/sys/kernel/osrelease", release),
            ]);
            log_buffer_pages(&host).status
        };
        let never = "always within_size advise [never] deny force\n";
        assert_eq!(of(never, "6.18.44-fc\n"), Status::Pass);
        assert_eq!(of(never, "6.1.0\n"), Status::Pass);
        assert_eq!(of(never, "5.15.0-97-generic\n"), Status::Warn);
        let deny = "always within_size advise never [deny] force\n";
        assert_eq!(of(deny, "6.18.44\n"), Status::Warn);
        assert_eq!(of("", "6.18.44\n"), Status::Unknown);
        assert_eq!(of(never, ""), Status::Unknown);
    }

    #[test]
    fn huge_pages_swap_and_walkers() {
        let (_folder, host) = fake(&[
            (
                "/sys/kernel/mm/transparent_hugepage/enabled",
                "[always] madvise never",
            ),
            ("/proc/meminfo", "SwapTotal: 2048 kB\nMemAvailable: 1024 kB"),
            ("/proc/77/comm", "kdamond.0"),
            (
                "/proc/self/mountinfo",
                "25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw",
            ),
        ]);
        assert_eq!(huge_pages(&host).status, Status::Warn);
        for (mode, status) in [
            ("always [madvise] never", Status::Pass),
            ("always madvise [never]", Status::Warn),
        ] {
            let file = "/sys/kernel/mm/transparent_hugepage/enabled";
            let (_folder, host) = fake(&[(file, mode)]);
            assert_eq!(huge_pages(&host).status, status);
        }
        assert_eq!(swap(&host).status, Status::Warn);
        assert_eq!(page_walkers(&host).status, Status::Warn);
        assert_eq!(shared_memory(&host, &plan()).status, Status::Fail);
    }
}
