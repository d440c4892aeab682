//! What a figure was measured on and how: printed beside every figure.

use super::clock::Clock;
use serde::Serialize;
use std::fmt;

/// The machine, as the kernel describes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    pub cpu_model: String,
    /// Cores that are online.
    pub cores: usize,
    pub kernel: String,
    pub clock_source: String,
    /// The cores are virtual: the host may steal time from them.
    pub is_virtual: bool,
}

/// Everything that a reader needs to compare two figures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Setting {
    /// Socket driver of the client.
    pub driver: String,
    /// Acknowledgement policy of the venue; `none` for an echo server.
    pub policy: String,
    /// Threads, cores and idle strategies of both ends.
    pub layout: String,
    pub machine: Machine,
    /// Of this binary.
    pub commit: &'static str,
    pub build: &'static str,
    /// What the compiler was told to build for.
    pub target_cpu: &'static str,
    pub clock_read_ns: u64,
}

impl Setting {
    pub fn new(driver: &str, policy: &str, layout: &str) -> Self {
        Self {
            driver: driver.to_owned(),
            policy: policy.to_owned(),
            layout: layout.to_owned(),
            machine: Machine::probe(),
            commit: env!("LOCKSTEP_COMMIT"),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            target_cpu: env!("LOCKSTEP_TARGET_CPU"),
            clock_read_ns: Clock::read_cost_ns(),
        }
    }
}

impl Machine {
    /// Reads `/proc` and `/sys`; what is not there is `unknown`.
    pub fn probe() -> Self {
        let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let clock_source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        Self {
            cpu_model: cpu_field(&cpu_info, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: cpu_info
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: read_line("/proc/sys/kernel/osrelease"),
            clock_source: read_line(clock_source),
            is_virtual: cpu_field(&cpu_info, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        }
    }
}

fn read_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "unknown" } else { line }.to_owned()
}

/// Value of the first `name : value` line.
fn cpu_field<'a>(cpu_info: &'a str, name: &str) -> Option<&'a str> {
    cpu_info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            cpu_model,
            cores,
            kernel,
            clock_source,
            is_virtual,
        } = &self.machine;
        let kind = if *is_virtual { "virtual" } else { "physical" };
        writeln!(
            f,
            "driver {} · policy {} · {}",
            self.driver, self.policy, self.layout
        )?;
        writeln!(
            f,
            "{cpu_model}, {cores} {kind} cores · Linux {kernel} · clock {clock_source}, {} ns a read",
            self.clock_read_ns
        )?;
        write!(
            f,
            "commit {} · {} build for {}",
            self.commit, self.build, self.target_cpu
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let setting = Setting::new("epoll", "local", "client core 0 spin");
        assert!(setting.machine.cores > 0);
        assert_ne!(setting.machine.kernel, "");
        let text = setting.to_string();
        assert!(
            text.contains("driver epoll · policy local · client core 0 spin"),
            "{text}"
        );
        let json = serde_json::to_value(&setting).expect("json");
        for field in [
            "driver",
            "policy",
            "layout",
            "machine",
            "commit",
            "build",
            "clock_read_ns",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn cpu_fields_are_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3: fast\nflags\t\t: fpu hypervisor\n";
        assert_eq!(cpu_field(text, "model name"), Some("Some CPU @ 3: fast"));
        assert_eq!(cpu_field(text, "missing"), None);
    }
}
