//! A report as one HTML file: readable without network, without scripts, years later.
//!
//! ```text
//! percentile curve · latency over time · throughput against latency · histogram · the text report
//! ```
//! It shows what the report holds and computes nothing of its own.

mod chart;

use crate::load::beside::BesideReport;
use crate::load::floor::FloorReport;
use crate::load::report::LoadReport;
use crate::load::sweep::SweepReport;
use chart::{Axis, Chart, Mark, Scale, Series, escape};
use std::fmt::Write;

const STYLE: &str = "body{font:14px sans-serif;max-width:900px;margin:2em auto;color:#222}\
svg{width:100%;height:auto;font:11px sans-serif}pre{background:#f6f6f6;padding:1em;overflow-x:auto}\
h2{margin-bottom:.2em}p{margin:.2em 0}";

/// A report that has a page.
pub trait Page {
    /// What the page is about.
    fn title(&self) -> String;
    /// Its runs, each with a name.
    fn runs(&self) -> Vec<(String, &LoadReport)>;
    /// Throughput against latency.
    fn throughput(&self) -> Vec<Series>;
    /// The report as text.
    fn text(&self) -> String;
}

/// The whole page.
pub fn page(report: &dyn Page) -> String {
    let runs = report.runs();
    let title = escape(&report.title());
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <title>{title}</title>\n<style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    if let Some((_, run)) = runs.first() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "<pre>{}</pre>", escape(&run.setting.to_string()));
    }
    let (over_time, of) = over_time(&runs);
    let histogram = histogram(&runs);
    let charts = [
        ("Percentiles", "all runs", curve(&runs)),
        ("Latency over time", of.as_str(), over_time),
        (
            "Throughput against latency",
            "",
            throughput(report.throughput()),
        ),
        ("Histogram", of.as_str(), histogram),
    ];
    for (heading, note, chart) in charts {
        let _ = writeln!(
            out,
            "<h2>{heading}</h2>\n<p>{}</p>\n{}",
            escape(note),
            chart.svg()
        );
    }
    let _ = writeln!(
        out,
        "<h2>Report</h2>\n<pre>{}</pre>",
        escape(&report.text())
    );
    out.push_str("</body></html>\n");
    out
}

fn latency_axis() -> Axis {
    Axis {
        label: "latency",
        scale: Scale::Log,
        format: duration,
    }
}

/// `250 ns`, `1.5 µs`, `20 ms`.
fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns >= 1e9 => (ns / 1e9, "s"),
        ns if ns >= 1e6 => (ns / 1e6, "ms"),
        ns if ns >= 1e3 => (ns / 1e3, "µs"),
        ns => (ns, "ns"),
    };
    format!("{} {unit}", (value * 100.0).round() / 100.0)
}

/// `1.5 k`, `2 M`.
fn number(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e3 => (value / 1e3, " k"),
        value => (value, ""),
    };
    format!("{}{unit}", (value * 100.0).round() / 100.0)
}

/// `99.9 %` of one in a thousand.
fn percentile(one_in: f64) -> String {
    format!("{} %", ((1.0 - 1.0 / one_in) * 1e8).round() / 1e6)
}

fn curve(runs: &[(String, &LoadReport)]) -> Chart {
    let series = runs.iter().map(|(name, run)| Series {
        name: name.clone(),
        mark: Mark::Line,
        points: run
            .curve
            .iter()
            .map(|point| (point.one_in as f64, point.ns as f64))
            .collect(),
    });
    Chart {
        title: "latency by percentile",
        x: Axis {
            label: "percentile",
            scale: Scale::Log,
            format: percentile,
        },
        y: latency_axis(),
        series: series.collect(),
    }
}

/// Of the first run, and its name.
fn over_time(runs: &[(String, &LoadReport)]) -> (Chart, String) {
    let mut series = Vec::new();
    if let Some((_, run)) = runs.first() {
        type Pick = fn(&crate::measure::latency::Summary) -> u64;
        let picks: [(&str, Pick); 3] = [("p50", |s| s.p50), ("p99", |s| s.p99), ("max", |s| s.max)];
        for (name, pick) in picks {
            let points = run
                .intervals
                .iter()
                .map(|i| (i.from_ns as f64, pick(&i.summary) as f64));
            series.push(Series {
                name: name.to_owned(),
                mark: Mark::Line,
                points: points.collect(),
            });
        }
    }
    let chart = Chart {
        title: "latency over time",
        x: Axis {
            label: "time since the measured span began",
            scale: Scale::Linear,
            format: duration,
        },
        y: latency_axis(),
        series,
    };
    let name = runs.first().map(|(name, _)| name.clone());
    (chart, name.unwrap_or_default())
}

fn throughput(series: Vec<Series>) -> Chart {
    Chart {
        title: "latency by throughput",
        x: Axis {
            label: "answers a second",
            scale: Scale::Linear,
            format: number,
        },
        y: latency_axis(),
        series,
    }
}

fn histogram(runs: &[(String, &LoadReport)]) -> Chart {
    let series = runs.first().map(|(name, run)| {
        // A bar's end is where the next begins; one more point ends the last.
        let ends = run.bars.last().map(|bar| (bar.to_ns as f64, 1.0));
        let points = run
            .bars
            .iter()
            .map(|bar| (bar.from_ns.max(1) as f64, bar.count as f64));
        Series {
            name: name.clone(),
            mark: Mark::Bars,
            points: points.chain(ends).collect(),
        }
    });
    Chart {
        title: "requests by latency",
        x: Axis {
            label: "latency",
            ..latency_axis()
        },
        y: Axis {
            label: "requests",
            scale: Scale::Log,
            format: number,
        },
        series: series.into_iter().collect(),
    }
}

fn dots(name: &str, points: impl Iterator<Item = (f64, f64)>, mark: Mark) -> Series {
    Series {
        name: name.to_owned(),
        mark,
        points: points.collect(),
    }
}

/// A run's intervals: what was answered of them against their latency.
fn interval_dots(name: &str, run: &LoadReport) -> Vec<Series> {
    let rate = |count: u64, ns: u64| count as f64 * 1e9 / ns.max(1) as f64;
    let of = |suffix: &str, pick: fn(&crate::measure::latency::Summary) -> u64| {
        let points = run
            .intervals
            .iter()
            .map(|i| (rate(i.summary.count, i.length_ns), pick(&i.summary) as f64));
        dots(&format!("{name} {suffix}"), points, Mark::Dots)
    };
    vec![of("p50", |s| s.p50), of("p99", |s| s.p99)]
}

impl Page for LoadReport {
    fn title(&self) -> String {
        format!("Load: {} sessions, {}", self.sessions, self.setting.policy)
    }

    fn runs(&self) -> Vec<(String, &LoadReport)> {
        vec![("run".to_owned(), self)]
    }

    fn throughput(&self) -> Vec<Series> {
        interval_dots("interval", self)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Page for FloorReport {
    fn title(&self) -> String {
        format!("Venue against floor, {} rounds", self.venue.len())
    }

    fn runs(&self) -> Vec<(String, &LoadReport)> {
        let half = self.half.as_ref().map_or(&[][..], |half| &half.runs);
        named("venue", &self.venue)
            .chain(named("floor", &self.floor))
            .chain(named("venue at half", half))
            .collect()
    }

    fn throughput(&self) -> Vec<Series> {
        vec![
            p99_by_rate("venue", &self.venue),
            p99_by_rate("floor", &self.floor),
        ]
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

/// The runs of one side, numbered from 1.
fn named<'a>(
    name: &'static str,
    runs: &'a [LoadReport],
) -> impl Iterator<Item = (String, &'a LoadReport)> {
    (1..)
        .zip(runs)
        .map(move |(i, run): (usize, _)| (format!("{name} {i}"), run))
}

/// p99 over what was answered a second, a dot for each run of one side.
fn p99_by_rate(name: &str, runs: &[LoadReport]) -> Series {
    let points = runs
        .iter()
        .map(|run| (run.answered_per_s as f64, run.all.p99 as f64));
    dots(&format!("{name} p99"), points, Mark::Dots)
}

impl Page for BesideReport {
    fn title(&self) -> String {
        format!("Beside neighbours and alone, {} rounds", self.beside.len())
    }

    fn runs(&self) -> Vec<(String, &LoadReport)> {
        named("beside", &self.beside)
            .chain(named("alone", &self.alone))
            .collect()
    }

    fn throughput(&self) -> Vec<Series> {
        vec![
            p99_by_rate("beside", &self.beside),
            p99_by_rate("alone", &self.alone),
        ]
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Page for SweepReport {
    fn title(&self) -> String {
        format!("Sweep: knee at {} requests/s", self.knee_per_s)
    }

    /// The knee first.
    fn runs(&self) -> Vec<(String, &LoadReport)> {
        let mut steps: Vec<_> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.offered_per_s != self.knee_per_s);
        steps
            .into_iter()
            .map(|step| (format!("{}/s", step.offered_per_s), &step.report))
            .collect()
    }

    fn throughput(&self) -> Vec<Series> {
        let of = |name: &str, pick: fn(&LoadReport) -> u64| {
            let points = self.steps.iter().map(|step| {
                let report = &step.report;
                (report.answered_per_s as f64, pick(report) as f64)
            });
            dots(name, points, Mark::Line)
        };
        vec![
            of("p50", |r| r.all.p50),
            of("p99", |r| r.all.p99),
            of("p99.9", |r| r.all.p99_9),
        ]
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element is closed by its own end, in order, as XML wants it.
    pub fn assert_well_formed(page: &str) {
        let mut open = Vec::new();
        let mut rest = page;
        while let Some(at) = rest.find('<') {
            let end = at + rest[at..].find('>').expect("an element ends");
            let element = &rest[at + 1..end];
            rest = &rest[end + 1..];
            let name = |text: &str| {
                let end = text.find(|c: char| !c.is_ascii_alphanumeric());
                text[..end.unwrap_or(text.len())].to_owned()
            };
            if element.starts_with('!') || element.ends_with('/') {
                continue;
            } else if let Some(closed) = element.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(closed), "{element}");
            } else {
                assert_eq!(element.matches('"').count() % 2, 0, "{element}");
                open.push(name(element));
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_chart_of_anything_is_well_formed_and_stays_inside() {
        let axis = |scale| Axis {
            label: "a & <b>",
            scale,
            format: duration,
        };
        for (x, y) in [
            (Scale::Linear, Scale::Log),
            (Scale::Log, Scale::Linear),
            (Scale::Log, Scale::Log),
        ] {
            for points in [
                vec![],
                vec![(5.0, 5.0)],
                vec![(0.0, 0.0), (1.0, f64::NAN), (1e9, 1e12), (3.0, 0.1)],
            ] {
                let series = [Mark::Line, Mark::Dots, Mark::Bars].map(|mark| Series {
                    name: "<\"s\">".to_owned(),
                    mark,
                    points: points.clone(),
                });
                let chart = Chart {
                    title: "t",
                    x: axis(x),
                    y: axis(y),
                    series: series.to_vec(),
                };
                let svg = chart.svg();
                assert_well_formed(&svg);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn values_are_told_in_their_unit() {
        assert_eq!(duration(250.0), "250 ns");
        assert_eq!(duration(1_500.0), "1.5 µs");
        assert_eq!(duration(2e9), "2 s");
        assert_eq!(number(1_500_000.0), "1.5 M");
        assert_eq!(percentile(1000.0), "99.9 %");
        assert_eq!(percentile(1.0), "0 %");
    }
}
