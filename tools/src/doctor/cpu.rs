//! Cores: isolation, frequency, sleep states, siblings, interrupts.

use super::Plan;
use super::finding::Finding;
use super::host::{Host, parse_cores};

const CPU: &str = "/sys/devices/system/cpu";

/// Sleep states that take longer to leave than this show in the tail, in µs.
const WAKE_UP_US_MAX: u64 = 10;

pub fn examine(host: &Host, plan: &Plan, findings: &mut Vec<Finding>) {
    findings.push(pinned(host, plan));
    findings.push(isolated(host, plan));
    findings.push(governor(host, plan));
    findings.push(sleep_states(host, plan));
    findings.push(siblings(host, plan));
    findings.push(interrupts(host, plan));
    findings.push(real_time_throttle(host));
    findings.push(autogroup(host));
}

/// The cores that matter: the layout's, else all.
fn cores(host: &Host, plan: &Plan) -> Vec<u32> {
    if plan.cores.is_empty() {
        host.cores(&format!("{CPU}/online")).unwrap_or_default()
    } else {
        plan.cores.clone()
    }
}

fn list(cores: &[u32]) -> String {
    let texts: Vec<String> = cores.iter().map(u32::to_string).collect();
    texts.join(",")
}

fn pinned(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "layout";
    let Some(online) = host.cores(&format!("{CPU}/online")) else {
        return Finding::unknown(NAME, "the online cores cannot be read");
    };
    let absent: Vec<u32> = plan
        .cores
        .iter()
        .filter(|c| !online.contains(c))
        .copied()
        .collect();
    if !absent.is_empty() {
        return Finding::fail(
            NAME,
            format!(
                "cores {} are not online (online: {})",
                list(&absent),
                list(&online)
            ),
            "name online cores in the [[thread]] entries of the configuration",
        );
    }
    if plan.cores.is_empty() {
        return Finding::warn(
            NAME,
            format!(
                "no pinned core is known; looking at all {} cores",
                online.len()
            ),
            "give --config FILE with `core = N` in its [[thread]] entries",
        );
    }
    if plan.spins && plan.cores.len() >= online.len() {
        return Finding::fail(
            NAME,
            "every core of the host spins: the kernel's own work must interrupt one",
            "leave one core without a pinned thread",
        );
    }
    Finding::pass(
        NAME,
        format!("agents on cores {} of {}", list(&plan.cores), online.len()),
    )
}

fn isolated(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "isolated cores";
    let Some(isolated) = host.cores(&format!("{CPU}/isolated")) else {
        return Finding::unknown(NAME, "the kernel does not say which cores are isolated");
    };
    let wanted = if plan.cores.is_empty() {
        vec![1]
    } else {
        plan.cores.clone()
    };
    let missing: Vec<u32> = wanted
        .iter()
        .filter(|c| !isolated.contains(c))
        .copied()
        .collect();
    if missing.is_empty() || plan.cores.is_empty() && !isolated.is_empty() {
        return Finding::pass(NAME, list(&isolated));
    }
    let cores = list(&missing);
    Finding::warn(
        NAME,
        format!("cores {cores} are not isolated: the scheduler and the timer tick interrupt them"),
        format!(
            "boot with isolcpus=managed_irq,domain,{cores} nohz_full={cores} rcu_nocbs={cores}"
        ),
    )
}

fn governor(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "frequency governor";
    let file = |core: &u32| format!("{CPU}/cpu{core}/cpufreq/scaling_governor");
    let cores = cores(host, plan);
    let known: Vec<(u32, String)> = cores
        .iter()
        .filter_map(|c| Some((*c, host.text(&file(c))?)))
        .collect();
    if known.is_empty() {
        return Finding::unknown(
            NAME,
            "the host does not let its frequencies be seen (usual for virtual machines)",
        );
    }
    match known.iter().find(|(_, g)| g != "performance") {
        None => Finding::pass(NAME, "performance"),
        Some((core, governor)) => Finding::warn(
            NAME,
            format!("core {core} is governed by {governor}: its clock rate changes under load"),
            "cpupower frequency-set --governor performance",
        ),
    }
}

fn sleep_states(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "C-states";
    let cores = cores(host, plan);
    let mut seen = false;
    for core in &cores {
        let folder = format!("{CPU}/cpu{core}/cpuidle");
        for state in host.names(&folder) {
            let read = |name: &str| host.number(&format!("{folder}/{state}/{name}"));
            let Some(latency_us) = read("latency") else {
                continue;
            };
            seen = true;
            if latency_us > WAKE_UP_US_MAX && read("disable") == Some(0) {
                return Finding::warn(
                    NAME,
                    format!(
                        "core {core} may sleep so deep that waking takes {latency_us} µs; a spinning core does not sleep, one that parks does"
                    ),
                    format!("cpupower idle-set --disable-by-latency {WAKE_UP_US_MAX}"),
                );
            }
        }
    }
    if seen {
        Finding::pass(
            NAME,
            format!("no enabled state takes more than {WAKE_UP_US_MAX} µs to leave"),
        )
    } else {
        Finding::unknown(NAME, "the host shows no sleep states")
    }
}

fn siblings(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "SMT";
    match host.number(&format!("{CPU}/smt/active")) {
        Some(0) => Finding::pass(NAME, "off"),
        None => Finding::unknown(NAME, "the host does not say"),
        Some(_) => {
            let shared = plan.cores.iter().find_map(|core| {
                let path = format!("{CPU}/cpu{core}/topology/thread_siblings_list");
                let siblings = host.cores(&path)?;
                siblings
                    .iter()
                    .find(|s| *s != core)
                    .map(|sibling| (*core, *sibling))
            });
            match shared {
                Some((core, sibling)) => Finding::warn(
                    NAME,
                    format!("core {core} shares its execution units with core {sibling}"),
                    format!("echo 0 > {CPU}/cpu{sibling}/online (or boot with nosmt)"),
                ),
                None if plan.cores.is_empty() => Finding::warn(
                    NAME,
                    "on: two pinned threads may share one core's execution units",
                    format!("echo off > {CPU}/smt/control"),
                ),
                None => Finding::pass(NAME, "on, but the pinned cores have no online sibling"),
            }
        }
    }
}

fn interrupts(host: &Host, plan: &Plan) -> Finding {
    const NAME: &str = "IRQ affinity";
    let numbers: Vec<String> = host
        .names("/proc/irq")
        .into_iter()
        .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    if numbers.is_empty() {
        return Finding::unknown(NAME, "no interrupts can be seen");
    }
    if plan.cores.is_empty() {
        return Finding::unknown(NAME, "no pinned core is known; give --config FILE");
    }
    let on_pinned: Vec<&String> = numbers
        .iter()
        .filter(|number| {
            let read = |file: &str| host.text(&format!("/proc/irq/{number}/{file}"));
            let text = read("effective_affinity_list").or_else(|| read("smp_affinity_list"));
            let at = text.as_deref().and_then(parse_cores).unwrap_or_default();
            at.iter().any(|core| plan.cores.contains(core))
        })
        .collect();
    let Some(first) = on_pinned.first() else {
        return Finding::pass(
            NAME,
            format!("none of {} goes to a pinned core", numbers.len()),
        );
    };
    Finding::warn(
        NAME,
        format!(
            "{} of {} interrupts go to pinned cores (first: {first})",
            on_pinned.len(),
            numbers.len()
        ),
        format!(
            "systemctl stop irqbalance; echo 0 > /proc/irq/{first}/smp_affinity_list, and so for each; one that \
             refuses is managed: pin the agents to other cores, or boot with isolcpus=managed_irq,domain,CORES"
        ),
    )
}

/// A SCHED_FIFO thread that spins is stopped for 50 ms a second unless this is -1.
fn real_time_throttle(host: &Host) -> Finding {
    const NAME: &str = "real-time throttling";
    match host.text("/proc/sys/kernel/sched_rt_runtime_us").as_deref() {
        Some("-1") => Finding::pass(NAME, "off"),
        Some(us) => Finding::warn(
            NAME,
            format!("a real-time thread may run {us} µs of each period, then is stopped"),
            "sysctl -w kernel.sched_rt_runtime_us=-1 (only matters under chrt)",
        ),
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

/// Found as stops of 25 s: agents that yielded kept the workers that complete direct writes off both cores.
fn autogroup(host: &Host) -> Finding {
    const NAME: &str = "scheduler autogroup";
    match host
        .text("/proc/sys/kernel/sched_autogroup_enabled")
        .as_deref()
    {
        Some("0") => Finding::pass(NAME, "off"),
        Some(_) => Finding::warn(
            NAME,
            "on: a thread's nice value counts only within its own login session, and agents that yield can keep the \
             kernel's disk workers off a core for seconds (seen on Linux 6.18)",
            "sysctl -w kernel.sched_autogroup_enabled=0, or boot with noautogroup",
        ),
        None if host.exists("/proc/sys/kernel/ostype") => {
            Finding::pass(NAME, "this kernel has none")
        }
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::super::host::fake;
    use super::*;
    use std::path::PathBuf;

    fn plan(cores: &[u32]) -> Plan {
        Plan {
            cores: cores.to_vec(),
            spins: true,
            data: PathBuf::from("."),
            log_buffer_bytes: 0,
            connections_max: 0,
            interfaces: Vec::new(),
        }
    }

    #[test]
    fn a_layout_that_names_an_absent_core_or_takes_them_all_fails() {
        let (_folder, host) = fake(&[("/sys/devices/system/cpu/online", "0-1\n")]);
        assert_eq!(pinned(&host, &plan(&[1])).status, Status::Pass);
        assert_eq!(pinned(&host, &plan(&[2])).status, Status::Fail);
        assert_eq!(pinned(&host, &plan(&[0, 1])).status, Status::Fail);
        assert_eq!(pinned(&host, &plan(&[])).status, Status::Warn);
    }

    #[test]
    fn isolation_names_the_cores_that_lack_it() {
        let (_folder, host) = fake(&[("/sys/devices/system/cpu/isolated", "2-3")]);
        assert_eq!(isolated(&host, &plan(&[2, 3])).status, Status::Pass);
        let lacking = isolated(&host, &plan(&[1, 2]));
        assert_eq!(lacking.status, Status::Warn);
        assert!(lacking.remedy.unwrap().contains("nohz_full=1 "));
    }

    #[test]
    fn governor_and_sleep_states() {
        let cpu1 = "/sys/devices/system/cpu/cpu1";
        let files = |governor: &'static str, disable: &'static str| {
            [
                (format!("{cpu1}/cpufreq/scaling_governor"), governor),
                (format!("{cpu1}/cpuidle/state2/latency"), "133"),
                (format!("{cpu1}/cpuidle/state2/disable"), disable),
            ]
        };
        for (governor_name, disable, want_governor, want_sleep) in [
            ("performance", "1", Status::Pass, Status::Pass),
            ("powersave", "0", Status::Warn, Status::Warn),
        ] {
            let files = files(governor_name, disable);
            let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
            let (_folder, host) = fake(&files);
            assert_eq!(governor(&host, &plan(&[1])).status, want_governor);
            assert_eq!(sleep_states(&host, &plan(&[1])).status, want_sleep);
        }
    }

    #[test]
    fn an_interrupt_on_a_pinned_core_is_found() {
        let (_folder, host) = fake(&[
            ("/proc/irq/24/effective_affinity_list", "0"),
            ("/proc/irq/25/effective_affinity_list", "1"),
        ]);
        assert_eq!(interrupts(&host, &plan(&[2])).status, Status::Pass);
        let found = interrupts(&host, &plan(&[1]));
        assert_eq!(found.status, Status::Warn);
        assert!(found.what.contains("1 of 2"), "{found:?}");
    }

    #[test]
    fn autogroup_is_a_warning_where_it_is_on() {
        const FILE: &str = "/proc/sys/kernel/sched_autogroup_enabled";
        for (text, expected) in [("1\n", Status::Warn), ("0\n", Status::Pass)] {
            let (_folder, host) = fake(&[(FILE, text)]);
            assert_eq!(autogroup(&host).status, expected);
        }
        let (_folder, host) = fake(&[("/proc/sys/kernel/ostype", "Linux\n")]);
        assert_eq!(autogroup(&host).status, Status::Pass);
    }

    #[test]
    fn siblings_of_pinned_cores() {
        let (_folder, host) = fake(&[
            ("/sys/devices/system/cpu/smt/active", "1"),
            (
                "/sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
                "1,5",
            ),
            (
                "/sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
                "2",
            ),
        ]);
        assert_eq!(siblings(&host, &plan(&[1])).status, Status::Warn);
        assert_eq!(siblings(&host, &plan(&[2])).status, Status::Pass);
    }
}
