//! Network: the clients' interfaces, their rings, offloads and interrupts, and TCP's settings.

use super::Plan;
use super::finding::Finding;
use super::host::Host;
use lockstep_net::NicSettings;

const NET: &str = "/sys/class/net";

/// Longest wait for a receive interrupt that a latency path accepts, in µs.
const COALESCING_US_MAX: u32 = 10;

/// Interfaces with a device behind them that are up.
pub fn interfaces_up(host: &Host) -> Vec<String> {
    let names = host.names(NET).into_iter();
    names
        .filter(|name| host.exists(&format!("{NET}/{name}/device")))
        .filter(|name| host.text(&format!("{NET}/{name}/operstate")).as_deref() != Some("down"))
        .collect()
}

pub fn examine(host: &Host, plan: &Plan, findings: &mut Vec<Finding>) {
    findings.push(congestion_control(host));
    findings.push(idle_restart(host));
    findings.push(busy_poll(host));
    if plan.interfaces.is_empty() {
        let what = "no interface with a device is up; give --interface NAME";
        findings.push(Finding::unknown("interface", what));
    }
    for name in &plan.interfaces {
        if !host.exists(&format!("{NET}/{name}")) {
            findings.push(Finding::warn(
                format!("interface {name}"),
                "there is no such interface",
                "ip link",
            ));
            continue;
        }
        let settings = NicSettings::of(name).unwrap_or_default();
        findings.push(rings(name, &settings));
        findings.push(coalescing(name, &settings));
        findings.push(offloads(name, &settings));
    }
}

fn congestion_control(host: &Host) -> Finding {
    const NAME: &str = "TCP congestion control";
    match host.text("/proc/sys/net/ipv4/tcp_congestion_control") {
        Some(name) if name == "bbr" => Finding::warn(
            NAME,
            "bbr paces what is sent: bursts to clients wait for its timer",
            "sysctl -w net.ipv4.tcp_congestion_control=cubic",
        ),
        Some(name) => Finding::pass(NAME, name),
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

fn idle_restart(host: &Host) -> Finding {
    const NAME: &str = "TCP after idle";
    match host.number("/proc/sys/net/ipv4/tcp_slow_start_after_idle") {
        Some(0) => Finding::pass(NAME, "the window stays as it was"),
        Some(_) => Finding::warn(
            NAME,
            "a connection that was silent starts over with a small window: a burst takes round trips",
            "sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
        ),
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

fn busy_poll(host: &Host) -> Finding {
    const NAME: &str = "busy polling";
    match host.number("/proc/sys/net/core/busy_poll") {
        Some(0) => Finding::warn(
            NAME,
            "off: a frame waits for its interrupt even though our thread is awake",
            "sysctl -w net.core.busy_poll=50 net.core.busy_read=50",
        ),
        Some(us) => Finding::pass(NAME, format!("{us} µs")),
        None => Finding::unknown(NAME, "the host does not say"),
    }
}

fn rings(name: &str, settings: &NicSettings) -> Finding {
    let title = format!("rings of {name}");
    match (settings.receive_ring, settings.send_ring) {
        (Some((receive, receive_max)), Some((send, send_max))) => {
            let what = format!("receive {receive} of {receive_max}, send {send} of {send_max}");
            if receive < receive_max {
                let mend = format!("ethtool -G {name} rx {receive_max}");
                return Finding::warn(title, format!("{what}: a burst may be dropped"), mend);
            }
            Finding::pass(title, what)
        }
        _ => Finding::unknown(title, "its driver does not say"),
    }
}

fn coalescing(name: &str, settings: &NicSettings) -> Finding {
    let title = format!("interrupt coalescing of {name}");
    match settings.receive_coalescing_us {
        None => Finding::unknown(title, "its driver does not say"),
        Some((us, adaptive)) if adaptive || us > COALESCING_US_MAX => Finding::warn(
            title,
            format!("a frame may wait {us} µs (adaptive: {adaptive})"),
            format!("ethtool -C {name} adaptive-rx off rx-usecs 0"),
        ),
        Some((us, _)) => Finding::pass(title, format!("{us} µs")),
    }
}

fn offloads(name: &str, settings: &NicSettings) -> Finding {
    let title = format!("receive offloads of {name}");
    match (settings.large_receive_offload, settings.receive_offload) {
        (Some(true), _) => Finding::warn(
            title,
            "large receive offload holds frames back to merge them",
            format!("ethtool -K {name} lro off"),
        ),
        (_, Some(true)) => Finding::warn(
            title,
            "generic receive offload merges frames: good for throughput, a little late for single orders",
            format!("ethtool -K {name} gro off"),
        ),
        (None, None) => Finding::unknown(title, "its driver does not say"),
        _ => Finding::pass(title, "frames are passed up as they come"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::super::host::fake;
    use super::*;

    #[test]
    fn tcp_settings() {
        let (_folder, host) = fake(&[
            ("/proc/sys/net/ipv4/tcp_congestion_control", "bbr"),
            ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1"),
            ("/proc/sys/net/core/busy_poll", "50"),
        ]);
        assert_eq!(congestion_control(&host).status, Status::Warn);
        assert_eq!(idle_restart(&host).status, Status::Warn);
        assert_eq!(busy_poll(&host).status, Status::Pass);
    }

    #[test]
    fn interfaces_without_a_device_are_not_the_clients() {
        let (_folder, host) = fake(&[
            ("/sys/class/net/lo/operstate", "unknown"),
            ("/sys/class/net/eth0/operstate", "up"),
            ("/sys/class/net/eth0/device/vendor", "1"),
            ("/sys/class/net/eth1/operstate", "down"),
            ("/sys/class/net/eth1/device/vendor", "1"),
        ]);
        assert_eq!(interfaces_up(&host), ["eth0"]);
    }

    #[test]
    fn what_the_driver_says_is_judged() {
        let good = NicSettings {
            receive_ring: Some((4096, 4096)),
            send_ring: Some((4096, 4096)),
            receive_coalescing_us: Some((0, false)),
            receive_offload: Some(false),
            large_receive_offload: Some(false),
        };
        for check in [rings, coalescing, offloads] {
            assert_eq!(check("eth0", &good).status, Status::Pass);
            assert_eq!(
                check("eth0", &NicSettings::default()).status,
                Status::Unknown
            );
        }
        let bad = NicSettings {
            receive_ring: Some((256, 4096)),
            receive_coalescing_us: Some((0, true)),
            large_receive_offload: Some(true),
            ..good
        };
        for check in [rings, coalescing, offloads] {
            assert_eq!(check("eth0", &bad).status, Status::Warn);
        }
    }
}
