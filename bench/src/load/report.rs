//! Figures of a load run, the setting they were measured in, and whether they mean anything.

use super::intervals::IntervalSummary;
use super::neighbours::NeighbourCounts;
use super::recorder::{Counts, Recorder};
use super::run::{LoadOptions, Pace};
use super::schedule::Profile;
use super::server::ServerReport;
use super::stream::{Class, Mix};
use super::threads::VenueThreads;
use crate::measure::hash::ResultHash;
use crate::measure::hgrm::write_hgrm;
use crate::measure::hlog::write_hlog;
use crate::measure::latency::{Bar, CurvePoint, Latency, SUMMARY_HEADING, Summary};
use crate::measure::setting::Setting;
use lockstep_net::DriverStats;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run and its raw histograms.
#[derive(Debug)]
pub struct LoadOutcome {
    pub report: LoadReport,
    pub recorder: Recorder,
}

/// What a run measured. Latencies in ns, from the intended send time to the answer.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// `load`: what kind of report this is.
    pub bench: &'static str,
    pub setting: Setting,
    pub pace: Pace,
    /// Of an open loop.
    pub profile: Profile,
    pub mix: Mix,
    pub seed: u64,
    pub sessions: usize,
    pub idle_sessions: usize,
    pub warm_up_ns: u64,
    pub duration_ns: u64,
    /// Answers a second over the measured span.
    pub answered_per_s: u64,
    pub counts: Counts,
    pub all: Summary,
    pub classes: BTreeMap<Class, Summary>,
    /// How long after its due time a request was handed to the driver.
    pub lateness: Summary,
    /// System calls and bytes of the client's driver.
    pub driver_enters: u64,
    pub driver_bytes_sent: u64,
    pub driver_bytes_received: u64,
    /// Why the figures mean nothing; empty for a valid run.
    pub invalid: Vec<String>,
    /// Over the requests sent: the same for the same seed, mix and number of requests.
    pub request_hash: ResultHash,
    /// The venue's counters, if they were asked for.
    pub server: Option<ServerReport>,
    /// Who else was there.
    pub neighbours: Option<NeighbourCounts>,
    /// What the venue's threads cost the kernel in the measured span, if its process was named.
    pub venue_threads: Option<VenueThreads>,
    /// The same of this process, if the load is pinned.
    pub own_threads: Option<VenueThreads>,
    /// Of all classes.
    pub curve: Vec<CurvePoint>,
    pub bars: Vec<Bar>,
    pub intervals: Vec<IntervalSummary>,
}

/// What the run leaves beside the recorder.
pub(super) struct Observed {
    /// Of each session's requests.
    pub fingerprints: Vec<u64>,
    pub stats: DriverStats,
    pub server: Option<ServerReport>,
    pub neighbours: Option<NeighbourCounts>,
    pub threads: Option<VenueThreads>,
    pub own_threads: Option<VenueThreads>,
}

impl LoadReport {
    pub(super) fn new(
        options: &LoadOptions,
        setting: Setting,
        recorder: &Recorder,
        observed: Observed,
    ) -> Self {
        let mut all = Latency::new();
        let mut classes = BTreeMap::new();
        for class in Class::ALL {
            let latency = recorder.latency(class);
            all.add(latency);
            if latency.count() > 0 {
                classes.insert(class, latency.summary());
            }
        }
        let mut request_hash = ResultHash::default();
        let Observed {
            fingerprints,
            stats,
            server,
            neighbours,
            threads,
            own_threads,
        } = observed;
        fingerprints
            .into_iter()
            .for_each(|fingerprint| request_hash.number(fingerprint));
        let (curve, bars) = (all.curve(), all.bars());
        let (all, lateness) = (all.summary(), recorder.lateness().summary());
        let duration_ns = ns(options.duration);
        Self {
            bench: "load",
            setting,
            pace: options.pace,
            profile: options.profile,
            mix: options.mix,
            seed: options.seed,
            sessions: options.logins.len(),
            idle_sessions: options.idle_logins.len(),
            warm_up_ns: ns(options.warm_up),
            duration_ns,
            answered_per_s: per_second(all.count, duration_ns),
            counts: recorder.counts,
            all,
            classes,
            lateness,
            driver_enters: stats.enters,
            driver_bytes_sent: stats.bytes_sent,
            driver_bytes_received: stats.bytes_received,
            invalid: invalid(options.pace, &recorder.counts, &all, &lateness),
            request_hash,
            server,
            neighbours,
            venue_threads: threads,
            own_threads,
            curve,
            bars,
            intervals: recorder.intervals().summaries(),
        }
    }

    pub fn is_valid(&self) -> bool {
        self.invalid.is_empty()
    }
}

impl LoadOutcome {
    /// Writes `PREFIX-CLASS.hgrm` for each class measured and `PREFIX-all.hgrm`; returns the paths.
    pub fn write_hgrm_files(&self, prefix: &Path) -> io::Result<Vec<PathBuf>> {
        let mut all = Latency::new();
        let mut paths = Vec::new();
        for class in Class::ALL {
            let latency = self.recorder.latency(class);
            all.add(latency);
            if latency.count() > 0 {
                paths.push(write_one(prefix, class.name(), latency)?);
            }
        }
        paths.push(write_one(prefix, "all", &all)?);
        Ok(paths)
    }

    /// Writes the histograms of the intervals, all classes together, as an interval log.
    pub fn write_hlog_file(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let intervals = self.recorder.intervals();
        let length = Duration::from_nanos(intervals.length_ns());
        let pieces = intervals
            .iter()
            .map(|(from_ns, latency)| (Duration::from_nanos(from_ns), length, latency));
        write_hlog(pieces, &mut file)?;
        file.flush()
    }
}

fn write_one(prefix: &Path, name: &str, latency: &Latency) -> io::Result<PathBuf> {
    let mut file_name = prefix.file_name().unwrap_or_default().to_os_string();
    file_name.push(format!("-{name}.hgrm"));
    let path = prefix.with_file_name(file_name);
    let mut file = BufWriter::new(File::create(&path)?);
    write_hgrm(latency, &mut file)?;
    file.flush()?;
    Ok(path)
}

/// What makes the figures meaningless.
fn invalid(pace: Pace, counts: &Counts, all: &Summary, lateness: &Summary) -> Vec<String> {
    let mut why = Vec::new();
    if all.count == 0 {
        why.push("nothing was measured".to_owned());
    }
    let is_open = matches!(pace, Pace::Rate { .. });
    if is_open && lateness.p99.saturating_mul(10) > all.p99 {
        why.push(format!(
            "the generator's p99 lateness of {} ns exceeds a tenth of the p99 of {} ns: \
             give it a core of its own or lower the rate",
            lateness.p99, all.p99
        ));
    }
    for (count, what) in [
        (counts.unanswered, "requests were not answered"),
        (counts.refused, "requests were refused"),
        (counts.out_of_order, "answers came out of order or unasked"),
        (counts.unreadable, "answers could not be read"),
        (
            counts.unfilled,
            "aggressors did not trade: somebody else trades in this market",
        ),
    ] {
        if count > 0 {
            why.push(format!("{count} {what}"));
        }
    }
    why
}

fn per_second(count: u64, duration_ns: u64) -> u64 {
    let scaled = u128::from(count) * 1_000_000_000 / u128::from(duration_ns.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        match self.pace {
            Pace::Rate { per_s } => {
                write!(f, "open loop, {per_s} requests/s, {}", self.profile)?;
            }
            Pace::Window { requests } => write!(f, "closed loop, {requests} in flight a session")?,
        }
        let Counts {
            sent,
            answered,
            stalls,
            ..
        } = self.counts;
        writeln!(
            f,
            " · {} session(s), {} idle · {} ms measured after {} ms · seed {}",
            self.sessions,
            self.idle_sessions,
            self.duration_ns / 1_000_000,
            self.warm_up_ns / 1_000_000,
            self.seed
        )?;
        writeln!(f, "{SUMMARY_HEADING}")?;
        for (class, summary) in &self.classes {
            writeln!(f, "{}", summary.row(class.name()))?;
        }
        writeln!(f, "{}", self.all.row("all"))?;
        writeln!(f, "{}", self.lateness.row("own lateness"))?;
        writeln!(
            f,
            "{sent} sent, {answered} answered, {} /s · {stalls} stalls · {} driver calls · request hash {}",
            self.answered_per_s, self.driver_enters, self.request_hash
        )?;
        if let Some(neighbours) = &self.neighbours {
            writeln!(f, "{neighbours}")?;
        }
        if let Some(server) = &self.server {
            writeln!(f, "{server}")?;
        }
        if let Some(threads) = &self.venue_threads {
            writeln!(f, "venue's {threads}")?;
        }
        if let Some(threads) = &self.own_threads {
            writeln!(f, "own {threads}")?;
        }
        match self.invalid.as_slice() {
            [] => write!(f, "valid"),
            reasons => write!(f, "INVALID: {}", reasons.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace::Rate { per_s: 1 };

    fn summary(p99: u64) -> Summary {
        Summary {
            count: 1,
            p99,
            ..Summary::default()
        }
    }

    #[test]
    fn a_late_generator_makes_a_run_invalid() {
        let counts = Counts::default();
        assert!(invalid(PACE, &counts, &summary(1000), &summary(100)).is_empty());
        let why = invalid(PACE, &counts, &summary(1000), &summary(101));
        assert!(
            why.len() == 1 && why[0].contains("lateness of 101 ns"),
            "{why:?}"
        );
        let closed = Pace::Window { requests: 1 };
        assert!(invalid(closed, &counts, &summary(1000), &summary(101)).is_empty());
    }

    #[test]
    fn everything_unexpected_makes_a_run_invalid() {
        let counts = Counts {
            refused: 1,
            unfilled: 2,
            out_of_order: 3,
            unreadable: 4,
            unanswered: 5,
            ..Counts::default()
        };
        assert_eq!(invalid(PACE, &counts, &summary(1000), &summary(1)).len(), 5);
        assert_eq!(
            invalid(PACE, &Counts::default(), &Summary::default(), &summary(0)),
            ["nothing was measured"]
        );
        assert_eq!(per_second(500, 250_000_000), 2_000);
    }
}
