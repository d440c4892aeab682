//! `bench jitter`: what the host steals from a core that only spins.
//!
//! The thread reads the clock again and again and does nothing else. Whatever lies between two reads
//! beyond the cost of a read was taken: by the kernel, a hypervisor, firmware, another thread on the core.
//! A latency figure measured on this core cannot be better than this.

use crate::measure::clock::Clock;
use crate::measure::latency::{Latency, SUMMARY_HEADING, Summary};
use crate::measure::setting::Setting;
use crate::measure::thread::{Idle, PinError, describe, pin};
use clap::Args;
use serde::Serialize;
use std::fmt;

/// Gaps are counted by powers of ten from this one on, ns.
const DECADES_NS: [u64; 6] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[derive(Clone, Debug, Args)]
pub struct JitterArgs {
    /// Core to look at; without it, wherever the thread runs.
    #[arg(long)]
    pub core: Option<usize>,
    /// Seconds to spin.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Gaps of at least so many ns count as stolen.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000_000))]
    pub threshold_ns: u64,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Gaps of a length and above, up to ten times it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Decade {
    pub from_ns: u64,
    pub count: u64,
    pub total_ns: u64,
}

/// What was stolen. Times in ns.
#[derive(Clone, Debug, Serialize)]
pub struct JitterReport {
    /// `jitter`: what kind of report this is.
    pub bench: &'static str,
    pub setting: Setting,
    pub duration_ns: u64,
    pub reads: u64,
    pub threshold_ns: u64,
    /// Gaps of at least the threshold.
    pub stolen_gaps: u64,
    pub stolen_ns: u64,
    /// Of a million ns.
    pub stolen_ppm: u64,
    pub stolen_gaps_per_s: u64,
    /// Of all gaps, and of the stolen ones.
    pub gaps: Summary,
    pub stolen: Summary,
    pub decades: Vec<Decade>,
}

pub fn run(arguments: &JitterArgs) -> Result<JitterReport, PinError> {
    if let Some(core) = arguments.core {
        pin(core)?;
    }
    let layout = describe(arguments.core, Idle::Spin);
    let setting = Setting::new("none", "none", &layout);
    let mut spin = Spin::new(arguments.threshold_ns);
    let clock = Clock::start();
    let until_ns = arguments.seconds.saturating_mul(1_000_000_000);
    let mut last_ns = clock.now_ns();
    let begun_ns = last_ns;
    while last_ns - begun_ns < until_ns {
        let now_ns = clock.now_ns();
        spin.gap(now_ns - last_ns);
        last_ns = now_ns;
    }
    Ok(spin.report(setting, last_ns - begun_ns))
}

#[derive(Debug)]
struct Spin {
    threshold_ns: u64,
    reads: u64,
    stolen_ns: u64,
    gaps: Latency,
    stolen: Latency,
    decades: [Decade; DECADES_NS.len()],
}

impl Spin {
    fn new(threshold_ns: u64) -> Self {
        let mut gaps = Latency::new();
        // Page faults of the first records are not the host's theft.
        gaps.clear();
        Self {
            threshold_ns,
            reads: 0,
            stolen_ns: 0,
            stolen: gaps.clone(),
            gaps,
            decades: DECADES_NS.map(|from_ns| Decade {
                from_ns,
                count: 0,
                total_ns: 0,
            }),
        }
    }

    #[inline]
    fn gap(&mut self, ns: u64) {
        self.reads += 1;
        self.gaps.record(ns);
        if ns >= self.threshold_ns {
            self.steal(ns);
        }
    }

    #[cold]
    fn steal(&mut self, ns: u64) {
        self.stolen_ns += ns;
        self.stolen.record(ns);
        if let Some(decade) = self.decades.iter_mut().rfind(|decade| decade.from_ns <= ns) {
            decade.count += 1;
            decade.total_ns += ns;
        }
    }

    fn report(&self, setting: Setting, duration_ns: u64) -> JitterReport {
        let per = |part: u64, unit: u64| {
            let scaled = u128::from(part) * u128::from(unit) / u128::from(duration_ns.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        JitterReport {
            bench: "jitter",
            setting,
            duration_ns,
            reads: self.reads,
            threshold_ns: self.threshold_ns,
            stolen_gaps: self.stolen.count(),
            stolen_ns: self.stolen_ns,
            stolen_ppm: per(self.stolen_ns, 1_000_000),
            stolen_gaps_per_s: per(self.stolen.count(), 1_000_000_000),
            gaps: self.gaps.summary(),
            stolen: self.stolen.summary(),
            decades: self.decades.to_vec(),
        }
    }
}

impl fmt::Display for JitterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        writeln!(
            f,
            "{} reads in {} ms; {} gaps of {} ns or more took {} ppm of the time, {} a second",
            self.reads,
            self.duration_ns / 1_000_000,
            self.stolen_gaps,
            self.threshold_ns,
            self.stolen_ppm,
            self.stolen_gaps_per_s
        )?;
        writeln!(f, "{SUMMARY_HEADING}")?;
        writeln!(f, "{}", self.gaps.row("all gaps"))?;
        writeln!(f, "{}", self.stolen.row("stolen"))?;
        write!(f, "{:>16} {:>10} {:>14}", "from µs", "gaps", "total µs")?;
        for decade in &self.decades {
            write!(
                f,
                "\n{:>16} {:>10} {:>14}",
                decade.from_ns / 1000,
                decade.count,
                decade.total_ns / 1000
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_where_they_belong() {
        let mut spin = Spin::new(1_000);
        for ns in [20, 999, 1_000, 9_999, 10_000, 5_000_000, 900_000_000] {
            spin.gap(ns);
        }
        let report = spin.report(Setting::new("none", "none", "test"), 1_000_000_000);
        assert_eq!((report.reads, report.stolen_gaps), (7, 5));
        let counts: Vec<_> = report.decades.iter().map(|d| d.count).collect();
        assert_eq!(counts, [2, 1, 0, 1, 0, 1]);
        assert_eq!(report.stolen_ns, 905_020_999);
        assert_eq!(report.stolen_ppm, 905_020);
        assert_eq!((report.gaps.count, report.stolen.count), (7, 5));
    }

    #[test]
    fn a_second_of_spinning_accounts_for_its_time() {
        let arguments = JitterArgs {
            core: None,
            seconds: 1,
            threshold_ns: 1_000,
            json: false,
        };
        let report = run(&arguments).expect("no core asked for");
        assert!(
            report.duration_ns >= 1_000_000_000 && report.reads > 1_000,
            "{report}"
        );
        assert!(report.stolen_ns <= report.duration_ns, "{report}");
        let decades: u64 = report.decades.iter().map(|decade| decade.count).sum();
        assert_eq!(decades, report.stolen_gaps);
        assert_eq!(report.gaps.count, report.reads);
    }
}
