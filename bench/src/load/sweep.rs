//! One offered rate after another, each half as high again, up to the knee: the highest rate that the
//! venue answers in full without its p99 running away.
//!
//! A rate is *kept up with* if the run is valid, all but one in a hundred of what was offered is answered
//! within the measured span's rate, and p99 is at most ten times the lowest p99 so far. The sweep ends
//! two steps behind the knee, or where the generator itself falls behind: it says which.

use super::report::LoadReport;
use super::run::{LoadOptions, Pace};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Between two rates.
const FACTOR_PER_MILLE: u64 = 1_500;
/// A p99 this many times the lowest has run away.
const P99_FACTOR_MAX: u64 = 10;
/// Of a thousand offered, so many must be answered.
const ANSWERED_PER_MILLE_MIN: u64 = 990;
/// Steps behind the knee, to show how it goes on.
const STEPS_BEHIND_MAX: usize = 2;

/// From which rate to which, requests a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Range {
    pub from_per_s: u64,
    pub to_per_s: u64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once(':')
            .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match parsed {
            Some((from_per_s, to_per_s)) if from_per_s >= 1 && to_per_s >= from_per_s => Ok(Self {
                from_per_s,
                to_per_s,
            }),
            _ => Err("a sweep is FROM:TO, requests a second, FROM at most TO".to_owned()),
        }
    }
}

impl Range {
    /// The rates, lowest first; the last is `to_per_s`.
    pub fn rates(self) -> Vec<u64> {
        let mut rates = Vec::new();
        let mut rate = self.from_per_s;
        while rate < self.to_per_s {
            rates.push(rate);
            rate = (rate.saturating_mul(FACTOR_PER_MILLE) / 1000).max(rate + 1);
        }
        rates.push(self.to_per_s);
        rates
    }
}

/// Why a rate was not kept up with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behind {
    /// Less was answered than offered.
    Answers,
    /// p99 has run away.
    Latency,
    /// The run says of itself that it is not valid; its reasons are in the report.
    Invalid,
}

/// One rate.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub offered_per_s: u64,
    /// `None`: kept up with.
    pub behind: Option<Behind>,
    pub report: LoadReport,
}

/// A whole sweep.
#[derive(Clone, Debug, Serialize)]
pub struct SweepReport {
    /// `sweep`: what kind of report this is.
    pub bench: &'static str,
    pub range: Range,
    /// Highest rate kept up with; 0 if none was.
    pub knee_per_s: u64,
    /// False: no rate up to the highest was too much, so the knee is not below it.
    pub is_knee_found: bool,
    pub steps: Vec<Step>,
}

impl SweepReport {
    /// A sweep says something if it kept up with any rate.
    pub fn is_valid(&self) -> bool {
        self.knee_per_s > 0
    }
}

/// Judges a run against the lowest p99 of those before it.
pub fn judge(report: &LoadReport, offered_per_s: u64, p99_min_ns: u64) -> Option<Behind> {
    let floor = u128::from(offered_per_s) * u128::from(ANSWERED_PER_MILLE_MIN) / 1000;
    if u128::from(report.answered_per_s) < floor || report.counts.unanswered > 0 {
        Some(Behind::Answers)
    } else if report.all.p99 > p99_min_ns.saturating_mul(P99_FACTOR_MAX) {
        Some(Behind::Latency)
    } else if !report.is_valid() {
        Some(Behind::Invalid)
    } else {
        None
    }
}

/// Runs `options` at one rate after another, each by `run`. `progress` is told each step.
pub fn sweep<E>(
    options: &LoadOptions,
    range: Range,
    run: &mut dyn FnMut(&LoadOptions) -> Result<LoadReport, E>,
    progress: &mut dyn FnMut(&Step),
) -> Result<SweepReport, E> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut knee_per_s, mut p99_min_ns) = (0, u64::MAX);
    for offered_per_s in range.rates() {
        let pace = Pace::Rate {
            per_s: offered_per_s,
        };
        let report = run(&LoadOptions {
            pace,
            ..options.clone()
        })?;
        let behind = judge(&report, offered_per_s, p99_min_ns);
        if behind.is_none() {
            knee_per_s = offered_per_s;
            p99_min_ns = p99_min_ns.min(report.all.p99);
        }
        let step = Step {
            offered_per_s,
            behind,
            report,
        };
        progress(&step);
        steps.push(step);
        let is_over = |steps: &[Step]| steps.iter().all(|step| step.behind.is_some());
        if steps.len() > STEPS_BEHIND_MAX && is_over(&steps[steps.len() - STEPS_BEHIND_MAX..]) {
            break;
        }
    }
    Ok(SweepReport {
        bench: "sweep",
        range,
        knee_per_s,
        is_knee_found: steps.last().is_some_and(|step| step.behind.is_some()),
        steps,
    })
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.steps.first() {
            writeln!(f, "{}", step.report.setting)?;
            let sessions = step.report.sessions;
            writeln!(f, "{sessions} session(s), {}", step.report.profile)?;
        }
        writeln!(
            f,
            "{:>12} {:>12} {:>10} {:>10} {:>10} {:>10}  µs",
            "offered/s", "answered/s", "p50", "p99", "p99.9", "max"
        )?;
        let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
        for step in &self.steps {
            let all = &step.report.all;
            let note = match step.behind {
                None => String::new(),
                Some(Behind::Answers) => "not all was answered in time".to_owned(),
                Some(Behind::Latency) => "p99 has run away".to_owned(),
                Some(Behind::Invalid) => format!("invalid: {}", step.report.invalid.join("; ")),
            };
            writeln!(
                f,
                "{:>12} {:>12} {:>10} {:>10} {:>10} {:>10}  {note}",
                step.offered_per_s,
                step.report.answered_per_s,
                us(all.p50),
                us(all.p99),
                us(all.p99_9),
                us(all.max),
            )?;
        }
        match (self.knee_per_s, self.is_knee_found) {
            (0, _) => write!(f, "INVALID: no rate was kept up with"),
            (knee, true) => write!(f, "knee: {knee} requests/s"),
            (knee, false) => write!(f, "no knee up to {knee} requests/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_half_and_end_where_asked() {
        let range: Range = "1000:5000".parse().expect("legal");
        assert_eq!(range.rates(), [1000, 1500, 2250, 3375, 5000]);
        assert_eq!("1:3".parse::<Range>().expect("legal").rates(), [1, 2, 3]);
        assert_eq!("7:7".parse::<Range>().expect("legal").rates(), [7]);
        for wrong in ["", "5", "5:4", "0:4", "a:b"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
