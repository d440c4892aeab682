//! `bench compare A B`: two sets of reports of one bench, as medians with their spread, and a verdict.
//!
//! A file holds one or more JSON reports of the same kind, one behind the other (`… --json >> A.json`).
//! Every figure in them is a number whose name says which way is better: percentiles and whatever ends
//! in `_ns` are better low, whatever ends in `_per_s` or `_per_second` is better high. Runs of a report
//! (rounds, steps) and reports of a file are samples of one figure. Figures are judged only between
//! equals: reports that are invalid, of other kinds or settings have no verdict but that.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Reports of one file at most.
const REPORTS_MAX: usize = 10_000;
/// Parts of a report that say how it was measured, not what.
const NOT_FIGURES: [&str; 15] = [
    "setting",
    "pace",
    "mix",
    "counts",
    "curve",
    "bars",
    "intervals",
    "server",
    "neighbours",
    "venue_threads",
    "own_threads",
    "lateness",
    "range",
    "decades",
    "gaps",
];
/// What must be equal for figures to be comparable, as paths into `setting`.
const SETTINGS: [&[&str]; 8] = [
    &["driver"],
    &["policy"],
    &["layout"],
    &["build"],
    &["machine", "cpu_model"],
    &["machine", "cores"],
    &["machine", "kernel"],
    &["machine", "clock_source"],
];
/// What was asked for, of a whole report.
const ASKED: [&str; 7] = [
    "bench",
    "pace",
    "profile",
    "mix",
    "sessions",
    "duration_ns",
    "range",
];
/// Names of latencies that carry no unit.
const PERCENTILES: [&str; 13] = [
    "min", "mean", "max", "p50", "p90", "p99", "p999", "p9999", "p99_9", "p99_99", "p95", "p75",
    "median",
];

#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Reports before.
    pub before: PathBuf,
    /// Reports after.
    pub after: PathBuf,
    /// Changes of a median below so many percent are no change.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub tolerance_percent: u64,
    /// Compare what was measured under other settings or other options all the same.
    #[arg(long)]
    pub any_setting: bool,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Why there is nothing to compare.
#[derive(Debug, Error)]
pub enum CompareError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a file of JSON reports: {what}")]
    Report { path: PathBuf, what: String },
}

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Low,
    High,
}

/// What became of a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Better,
    /// Within the tolerance, or the spreads overlap.
    None,
    Worse,
}

/// Samples of one figure on one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Samples {
    pub count: usize,
    pub min: u64,
    pub median: u64,
    pub max: u64,
}

/// One figure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub better: Better,
    pub before: Samples,
    pub after: Samples,
    /// Median after in thousandths of the median before.
    pub ratio_per_mille: u64,
    pub change: Change,
}

/// The outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CompareReport {
    /// `compare`: what kind of report this is.
    pub bench: &'static str,
    pub tolerance_percent: u64,
    pub figures: Vec<Figure>,
    /// Why the two cannot be held against each other; empty if they can.
    pub not_comparable: Vec<String>,
}

impl CompareReport {
    pub fn is_comparable(&self) -> bool {
        self.not_comparable.is_empty()
    }

    pub fn count(&self, change: Change) -> usize {
        let figures = self.figures.iter();
        figures.filter(|figure| figure.change == change).count()
    }

    /// Comparable, and nothing is worse.
    pub fn is_good(&self) -> bool {
        self.is_comparable() && self.count(Change::Worse) == 0
    }
}

pub fn run(arguments: &CompareArgs) -> Result<CompareReport, CompareError> {
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    Ok(compare(
        &before,
        &after,
        arguments.tolerance_percent,
        arguments.any_setting,
    ))
}

fn read(path: &Path) -> Result<Vec<Value>, CompareError> {
    let text = std::fs::read_to_string(path).map_err(|source| CompareError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |what: String| CompareError::Report {
        path: path.to_owned(),
        what,
    };
    let reports: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .take(REPORTS_MAX)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    match reports.iter().find(|report| !report.is_object()) {
        Some(_) => Err(wrong("a report is a JSON object".to_owned())),
        None if reports.is_empty() => Err(wrong("it is empty".to_owned())),
        None => Ok(reports),
    }
}

/// Holds `after` against `before`.
pub fn compare(
    before: &[Value],
    after: &[Value],
    tolerance_percent: u64,
    any_setting: bool,
) -> CompareReport {
    let (old, new) = (figures_of(before), figures_of(after));
    let mut not_comparable = Vec::new();
    for (side, reports) in [("before", before), ("after", after)] {
        let invalid = reports.iter().filter(|report| is_invalid(report)).count();
        if invalid > 0 {
            not_comparable.push(format!("{side}: {invalid} report(s) or runs are invalid"));
        }
    }
    if !any_setting {
        not_comparable.extend(differences(before, after));
    }
    let figures: Vec<_> = old
        .iter()
        .filter_map(|(name, (better, before))| {
            let (_, after) = new.get(name)?;
            Some(figure(name, *better, before, after, tolerance_percent))
        })
        .collect();
    if figures.is_empty() {
        not_comparable.push("the reports have no figure in common".to_owned());
    }
    CompareReport {
        bench: "compare",
        tolerance_percent,
        figures,
        not_comparable,
    }
}

/// Name → which way is better, and every sample.
type Figures = BTreeMap<String, (Better, Vec<u64>)>;

fn figures_of(reports: &[Value]) -> Figures {
    let mut figures = Figures::new();
    reports
        .iter()
        .for_each(|report| collect(report, &mut Vec::new(), &mut figures));
    figures
}

fn collect<'a>(value: &'a Value, path: &mut Vec<&'a str>, figures: &mut Figures) {
    match value {
        Value::Object(fields) => {
            // A step of a sweep is a figure of its own, named by its rate.
            let rate = fields.get("offered_per_s").map(Value::to_string);
            for (name, value) in fields {
                if NOT_FIGURES.contains(&name.as_str()) || name == "offered_per_s" {
                    continue;
                }
                match &rate {
                    Some(rate) => {
                        let mut inner = Figures::new();
                        collect(value, &mut vec![name], &mut inner);
                        let outer = path.join(".");
                        for (name, (better, samples)) in inner {
                            let name = format!("{outer}[{rate}/s].{name}");
                            let entry = figures.entry(name).or_insert((better, Vec::new()));
                            entry.1.extend(samples);
                        }
                    }
                    None => {
                        path.push(name);
                        collect(value, path, figures);
                        path.pop();
                    }
                }
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect(value, path, figures)),
        Value::Number(number) => {
            let sample = number
                .as_u64()
                .or_else(|| number.as_f64().map(|f| f as u64));
            if let (Some(better), Some(sample)) = (better_of(path), sample) {
                let entry = figures.entry(path.join("."));
                entry.or_insert((better, Vec::new())).1.push(sample);
            }
        }
        _ => {}
    }
}

/// Which way the figure at `path` is better; `None`: it is no figure.
fn better_of(path: &[&str]) -> Option<Better> {
    let name = path.last()?;
    let asked = ["warm_up_ns", "duration_ns", "clock_read_ns", "threshold_ns"];
    if asked.contains(name) {
        return None;
    }
    if name.ends_with("_per_s") || name.ends_with("_per_second") {
        return Some(Better::High);
    }
    let is_latency = PERCENTILES.contains(name) || name.ends_with("_ns");
    is_latency.then_some(Better::Low)
}

fn samples(values: &[u64]) -> Samples {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Samples {
        count: sorted.len(),
        min: sorted.first().copied().unwrap_or(0),
        median: sorted.get(sorted.len() / 2).copied().unwrap_or(0),
        max: sorted.last().copied().unwrap_or(0),
    }
}

fn figure(name: &str, better: Better, before: &[u64], after: &[u64], tolerance: u64) -> Figure {
    let (before, after) = (samples(before), samples(after));
    let ratio = u128::from(after.median) * 1000 / u128::from(before.median.max(1));
    let ratio_per_mille = u64::try_from(ratio).unwrap_or(u64::MAX);
    let overlap = before.min <= after.max && after.min <= before.max;
    // Single samples have no spread to overlap.
    let is_noise = overlap && before.count.max(after.count) > 1;
    let is_same = before.median == after.median;
    let change = if is_same || is_noise || ratio_per_mille.abs_diff(1000) <= tolerance * 10 {
        Change::None
    } else if (ratio_per_mille < 1000) == (better == Better::Low) {
        Change::Better
    } else {
        Change::Worse
    };
    Figure {
        name: name.to_owned(),
        better,
        before,
        after,
        ratio_per_mille,
        change,
    }
}

/// True if the report, or a run in it, says of itself that it is invalid.
fn is_invalid(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| match name.as_str() {
            "invalid" => value.as_array().is_some_and(|reasons| !reasons.is_empty()),
            // A sweep goes on until runs are no longer valid: that is its finding.
            "steps" => false,
            _ => is_invalid(value),
        }),
        Value::Array(values) => values.iter().any(is_invalid),
        _ => false,
    }
}

/// The first `setting` in a report.
fn setting(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(fields) => fields
            .get("setting")
            .or_else(|| fields.values().find_map(setting)),
        Value::Array(values) => values.iter().find_map(setting),
        _ => None,
    }
}

/// What the reports were measured with that is not the same in all of them.
fn differences(before: &[Value], after: &[Value]) -> Vec<String> {
    let all = || before.iter().chain(after);
    let mut found = Vec::new();
    let mut note = |name: String, values: Vec<String>| {
        if let Some(other) = values.iter().find(|value| **value != values[0]) {
            found.push(format!("{name} differs: {} and {other}", values[0]));
        }
    };
    for path in SETTINGS {
        let at = |report: &Value| {
            let value = path
                .iter()
                .try_fold(setting(report)?, |value, name| value.get(name))?;
            Some(value.to_string())
        };
        let values = all().map(|report| at(report).unwrap_or_default());
        note(path.join("."), values.collect());
    }
    for name in ASKED {
        let values = all().map(|report| report.get(name).map(Value::to_string));
        note(
            name.to_owned(),
            values.map(Option::unwrap_or_default).collect(),
        );
    }
    found
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.figures.iter().map(|figure| figure.name.len()).max();
        let width = width.unwrap_or(0).max(6);
        writeln!(
            f,
            "{:<width$} {:>14} {:>14} {:>8}  spread before, after (samples)",
            "figure", "before", "after", "ratio"
        )?;
        for figure in &self.figures {
            let Samples {
                min, max, count, ..
            } = figure.before;
            let after = figure.after;
            let ratio = figure.ratio_per_mille;
            let word = match figure.change {
                Change::Better => "better",
                Change::None => "",
                Change::Worse => "WORSE",
            };
            let line = format!(
                "{:<width$} {:>14} {:>14} {:>8}  {min}..{max} ({count}), {}..{} ({})  {word}",
                figure.name,
                figure.before.median,
                after.median,
                format!("{}.{:03}", ratio / 1000, ratio % 1000),
                after.min,
                after.max,
                after.count,
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for reason in &self.not_comparable {
            writeln!(f, "NOT COMPARABLE: {reason}")?;
        }
        write!(
            f,
            "{} better, {} the same within {} % or the spread, {} worse",
            self.count(Change::Better),
            self.count(Change::None),
            self.tolerance_percent,
            self.count(Change::Worse)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(p99: u64, per_s: u64, policy: &str) -> Value {
        json!({
            "bench": "load",
            "setting": {"policy": policy, "machine": {"cores": 2}, "clock_read_ns": 20},
            "duration_ns": 1000, "answered_per_s": per_s, "counts": {"sent": 5},
            "all": {"count": 9, "p99": p99}, "lateness": {"p99": 1}, "invalid": [],
        })
    }

    fn change(report: &CompareReport, name: &str) -> Change {
        let figure = report.figures.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.change).expect(name)
    }

    #[test]
    fn medians_are_judged_by_direction_tolerance_and_spread() {
        let many = |p99s: [u64; 3], per_s| p99s.map(|p99| report(p99, per_s, "local")).to_vec();
        let before = many([100, 110, 120], 1_000);
        let slower = compare(&before, &many([200, 210, 220], 1_100), 5, false);
        assert!(slower.is_comparable() && !slower.is_good(), "{slower}");
        assert_eq!(change(&slower, "all.p99"), Change::Worse);
        assert_eq!(change(&slower, "answered_per_s"), Change::Better);
        assert_eq!(slower.figures.len(), 2, "{slower}");
        let figure = &slower.figures[0];
        let samples = (figure.before.min, figure.before.median, figure.before.max);
        assert_eq!((samples, figure.ratio_per_mille), ((100, 110, 120), 1909));
        // The medians differ by more than the tolerance, but the spreads overlap.
        let noisy = compare(&before, &many([119, 150, 160], 1_000), 5, false);
        assert_eq!(change(&noisy, "all.p99"), Change::None);
        let near = compare(&before[..1], &[report(104, 1_000, "local")], 5, false);
        assert!(near.is_good(), "{near}");
        let far = compare(&before[..1], &[report(106, 1_000, "local")], 5, false);
        assert!(!far.is_good(), "{far}");
    }

    #[test]
    fn only_equals_are_held_against_each_other() {
        let before = [report(100, 1_000, "local")];
        let other = [report(100, 1_000, "durable")];
        let refused = compare(&before, &other, 5, false);
        assert!(!refused.is_good(), "{refused}");
        assert!(refused.to_string().contains("policy differs"), "{refused}");
        assert!(compare(&before, &other, 5, true).is_good());
        let mut invalid = report(100, 1_000, "local");
        invalid["invalid"] = json!(["the generator was late"]);
        let refused = compare(&before, &[invalid], 5, true);
        assert!(!refused.is_good(), "{refused}");
        let strange = [json!({"bench": "other", "text": "x"})];
        assert!(!compare(&before, &strange, 5, true).is_good());
    }

    #[test]
    fn rounds_are_samples_and_steps_are_figures() {
        let floor = json!({"venue": [{"all": {"p50": 3}}, {"all": {"p50": 5}}], "floor": []});
        let figures = figures_of(&[floor]);
        assert_eq!(figures["venue.all.p50"], (Better::Low, vec![3, 5]));
        let step = |rate, p50| json!({"offered_per_s": rate, "report": {"all": {"p50": p50}}});
        let sweep = json!({"knee_per_s": 7, "steps": [step(10, 1), step(20, 2)]});
        let figures = figures_of(&[sweep]);
        assert_eq!(figures["knee_per_s"], (Better::High, vec![7]));
        assert_eq!(
            figures["steps[10/s].report.all.p50"],
            (Better::Low, vec![1])
        );
        assert_eq!(
            figures["steps[20/s].report.all.p50"],
            (Better::Low, vec![2])
        );
    }

    #[test]
    fn a_file_of_several_reports_is_read_and_other_files_are_errors() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.json");
        let one = report(1, 2, "local");
        std::fs::write(&path, format!("{one}\n{one:#}\n")).expect("written");
        assert_eq!(read(&path).expect("two reports").len(), 2);
        for wrong in ["", "[1]", "{", "{} x"] {
            std::fs::write(&path, wrong).expect("written");
            let error = read(&path).expect_err(wrong);
            assert!(matches!(error, CompareError::Report { .. }), "{error}");
        }
        assert!(matches!(
            read(&folder.path().join("absent")),
            Err(CompareError::Read { .. })
        ));
    }
}
