//! `bench layout`: what it costs to have the gateway on one core and everything behind it on another.
//!
//! The node's own agents without sockets, twice: once fused with the thread that puts records in and hears
//! answers, as its gateway would, and once on a core of their own. Both get the same records, one at a time, by
//! turns; time runs from before a record goes into the ingress ring until an answer is seen in the egress
//! ring. Beside them, by turns too, what one hand-off between the two cores takes (`bench ring`).

use crate::bed::{self, Bed, BedError, Ends};
use crate::engine::stream::Stream;
use crate::measure::hash::ResultHash;
use crate::measure::latency::{Latency, SUMMARY_HEADING, Summary};
use crate::measure::median;
use crate::measure::setting::Setting;
use crate::measure::thread::PinError;
use crate::measure::ticks::Ticks;
use crate::micro::ring::{Place, RingBenchError, hand_off_ps};
use clap::Args;
use lockstep_core::ApplyError;
use lockstep_node::fatal::Fatal;
use serde::Serialize;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use thiserror::Error;

/// Hand-offs in a round of the bare ring.
const HAND_OFFS: u64 = 100_000;
/// Orders that rest in the books, about.
const LIVE_ORDERS: u32 = 10_000;

#[derive(Clone, Debug, Args)]
pub struct LayoutArgs {
    /// An existing folder on the file system of a journal; what is made in it is removed.
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Commands of a round.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub commands: u32,
    /// Rounds of each layout.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub rounds: u16,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Core of the gateway's end (and of everything, fused), and core of what is behind it (split). Without them,
    /// unpinned and yielding, which measures the scheduler.
    #[arg(long, num_args = 2, value_names = ["CORE", "CORE"])]
    pub cores: Vec<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Error)]
pub enum LayoutBenchError {
    #[error(transparent)]
    Stream(#[from] ApplyError),
    #[error("{0}")]
    Node(#[from] Fatal),
    #[error(transparent)]
    Bed(#[from] BedError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Ring(#[from] RingBenchError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a thread of the bench ended early")]
    Thread,
    #[error("the layouts said different things: {fused:?} and {split:?} messages and bytes")]
    Different {
        fused: (u64, u64),
        split: (u64, u64),
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct LayoutReport {
    pub bench: &'static str,
    pub setting: Setting,
    /// Of a round.
    pub commands: u32,
    /// Medians of the rounds' medians.
    pub fused_p50_ns: u64,
    pub split_p50_ns: u64,
    pub hand_off_ns: f64,
    /// Median over the turns of (split − fused) in hand-offs of the same turn.
    pub hand_offs: f64,
    pub turns: Vec<f64>,
    pub fused: Summary,
    pub split: Summary,
    /// Of what was said: equal in both layouts.
    pub result_hash: ResultHash,
}

pub fn run(arguments: &LayoutArgs) -> Result<LayoutReport, LayoutBenchError> {
    let count = arguments.commands * u32::from(arguments.rounds);
    let stream = bed::commands(count, LIVE_ORDERS, arguments.seed)?;
    bed::in_new_folder(&arguments.folder, "bench.layout", |directory| {
        measure(arguments, &stream, directory)
    })
}

/// What the two threads tell each other.
#[derive(Default)]
struct Signals {
    running: AtomicBool,
    over: AtomicBool,
    /// The other thread has ended with an error.
    failed: AtomicBool,
}

/// The split layout's other side: runs its agents while it is told to.
fn behind(
    directory: &Path,
    place: Place,
    signals: &Signals,
    sender: &mpsc::Sender<Ends>,
) -> Result<(), LayoutBenchError> {
    place.enter()?;
    let (Bed { ends, mut works }, _) = Bed::create(directory)?;
    sender.send(ends).map_err(|_| LayoutBenchError::Thread)?;
    while !signals.over.load(Ordering::Acquire) {
        if !signals.running.load(Ordering::Acquire) {
            std::thread::yield_now();
        } else if !works.cycle()? {
            place.wait();
        }
    }
    Ok(works.finish()?)
}

fn measure(
    arguments: &LayoutArgs,
    stream: &Stream,
    directory: &Path,
) -> Result<LayoutReport, LayoutBenchError> {
    let [here, there] = Place::two(&arguments.cores);
    // The thread that prepares the fused journal's segments begins where its maker runs.
    there.enter()?;
    let (fused, _) = Bed::create(&directory.join("fused"))?;
    here.enter()?;
    let signals = Signals::default();
    let (sender, receiver) = mpsc::channel();
    let split_directory = directory.join("split");
    std::thread::scope(|scope| {
        let signals = &signals;
        let other = scope.spawn(move || {
            let result = behind(&split_directory, there, signals, &sender);
            signals.failed.store(result.is_err(), Ordering::Release);
            result
        });
        let rounds = match receiver.recv() {
            Ok(ends) => Rounds {
                arguments,
                stream,
                ticks: Ticks::calibrate(),
                fused,
                split: ends,
                signals,
                places: [here, there],
                said: [(0, 0); 2],
                answers: Vec::new(),
            }
            .run(),
            // It says itself why it has none.
            Err(_) => Err(LayoutBenchError::Thread),
        };
        signals.over.store(true, Ordering::Release);
        other.join().map_err(|_| LayoutBenchError::Thread)??;
        rounds
    })
}

struct Rounds<'a> {
    arguments: &'a LayoutArgs,
    stream: &'a Stream,
    ticks: Ticks,
    fused: Bed,
    split: Ends,
    signals: &'a Signals,
    places: [Place; 2],
    /// Messages and bytes that were said, fused and split.
    said: [(u64, u64); 2],
    /// Messages that each record of the last fused round brought.
    answers: Vec<u64>,
}

impl Rounds<'_> {
    fn run(mut self) -> Result<LayoutReport, LayoutBenchError> {
        self.fused_round(0..self.stream.filling)?;
        self.split_round(0..self.stream.filling)?;
        let (mut fused, mut split, mut hand_offs_ps) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = self.stream.filling;
        for _ in 0..self.arguments.rounds {
            let range = at..at + self.arguments.commands as usize;
            at = range.end;
            fused.push(self.fused_round(range.clone())?);
            split.push(self.split_round(range)?);
            hand_offs_ps.push(hand_off_ps(self.places, HAND_OFFS)?);
        }
        let [said, said_split] = self.said;
        if said != said_split {
            let (fused, split) = (said, said_split);
            return Err(LayoutBenchError::Different { fused, split });
        }
        let report = report(self.arguments, &fused, &split, &hand_offs_ps, said);
        self.fused.works.finish()?;
        Ok(report)
    }

    #[inline(never)]
    fn fused_round(&mut self, range: Range<usize>) -> Result<Latency, Fatal> {
        let mut latency = Latency::new();
        self.answers.clear();
        for at in range {
            let record = self.stream.records.range(at, 1);
            let begin = self.ticks.begin();
            self.fused.pass(record)?;
            let is_heard = self.fused.ends.has_answer();
            let taken = self.ticks.end().saturating_sub(begin);
            if is_heard {
                latency.record(self.ticks.ns(taken));
            }
            let said = self.fused.ends.hear();
            self.answers.push(said.0);
            add(&mut self.said[0], said);
        }
        Ok(latency)
    }

    /// The same range as the fused round before it.
    #[inline(never)]
    fn split_round(&mut self, range: Range<usize>) -> Result<Latency, LayoutBenchError> {
        let mut latency = Latency::new();
        let before = self.split.applied();
        let mut pushed = 0;
        self.signals.running.store(true, Ordering::Release);
        for (at, answers) in range.zip(std::mem::take(&mut self.answers)) {
            let record = self.stream.records.range(at, 1);
            let begin = self.ticks.begin();
            while !self.split.push(record) {
                self.wait_for_other()?;
            }
            pushed += 1;
            if answers > 0 {
                while !self.split.has_answer() {
                    self.wait_for_other()?;
                }
                let taken = self.ticks.end().saturating_sub(begin);
                latency.record(self.ticks.ns(taken));
            } else {
                // Only here: a gateway does not look at the engine's status, and who does takes its line away.
                while self.split.applied() < before + pushed {
                    self.wait_for_other()?;
                }
            }
            // All of them, or the next record's time would end with an answer to this one.
            let mut heard = 0;
            while heard < answers {
                if !self.split.has_answer() {
                    self.wait_for_other()?;
                    continue;
                }
                let said = self.split.hear();
                heard += said.0;
                add(&mut self.said[1], said);
            }
        }
        while self.split.applied() < before + pushed {
            self.wait_for_other()?;
        }
        add(&mut self.said[1], self.split.hear());
        self.signals.running.store(false, Ordering::Release);
        Ok(latency)
    }

    #[inline(always)]
    fn wait_for_other(&self) -> Result<(), LayoutBenchError> {
        if self.signals.failed.load(Ordering::Relaxed) {
            return Err(LayoutBenchError::Thread);
        }
        self.places[0].wait();
        Ok(())
    }
}

fn add(sum: &mut (u64, u64), more: (u64, u64)) {
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

fn report(
    arguments: &LayoutArgs,
    fused: &[Latency],
    split: &[Latency],
    hand_offs_ps: &[u64],
    said: (u64, u64),
) -> LayoutReport {
    let p50 = |round: &Latency| round.at_ppm(500_000) as f64;
    let of = |rounds: &[Latency]| median(rounds.iter().map(p50).collect());
    let hand_offs_ns: Vec<f64> = hand_offs_ps.iter().map(|ps| *ps as f64 / 1e3).collect();
    let pairs = fused.iter().zip(split).zip(&hand_offs_ns);
    let turns: Vec<f64> = pairs
        .map(|((fused, split), hand_off)| (p50(split) - p50(fused)) / hand_off)
        .collect();
    let all = |rounds: &[Latency]| {
        let mut all = Latency::new();
        rounds.iter().for_each(|round| all.add(round));
        all.summary()
    };
    let mut result_hash = ResultHash::default();
    result_hash.number(said.0);
    result_hash.number(said.1);
    let layout = match arguments.cores[..] {
        [here, there] => format!("fused: core {here}; split: cores {here} and {there}; spin"),
        _ => "unpinned yield".to_owned(),
    };
    LayoutReport {
        bench: "layout",
        setting: Setting::new("none", "local", &layout),
        commands: arguments.commands,
        fused_p50_ns: of(fused) as u64,
        split_p50_ns: of(split) as u64,
        hand_off_ns: median(hand_offs_ns),
        hand_offs: median(turns.clone()),
        turns,
        fused: all(fused),
        split: all(split),
        result_hash,
    }
}

impl fmt::Display for LayoutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        writeln!(f, "{SUMMARY_HEADING}")?;
        writeln!(f, "{}", self.fused.row("fused"))?;
        writeln!(f, "{}", self.split.row("split"))?;
        let turns: Vec<String> = self.turns.iter().map(|t| format!("{t:.2}")).collect();
        writeln!(
            f,
            "p50 of rounds: fused {} ns, split {} ns; one hand-off {:.0} ns",
            self.fused_p50_ns, self.split_p50_ns, self.hand_off_ns
        )?;
        writeln!(
            f,
            "split costs {:.2} hand-offs more (turns: {})",
            self.hand_offs,
            turns.join(" ")
        )?;
        write!(f, "result hash {}", self.result_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, so that it cannot rot: both layouts say the same, and nothing is left.
    #[test]
    fn a_tiny_run_compares_both_layouts_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = LayoutArgs {
            folder: folder.path().to_owned(),
            commands: 1_000,
            rounds: 2,
            seed: 3,
            cores: Vec::new(),
            json: false,
        };
        let report = run(&arguments).unwrap();
        assert!(report.fused.count > 1_500, "most commands are answered");
        assert_eq!(report.fused.count, report.split.count);
        assert!(report.hand_off_ns > 0.0 && report.turns.len() == 2);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = LayoutArgs {
            folder: folder.path().join("none"),
            commands: 1_000,
            rounds: 1,
            seed: 3,
            cores: Vec::new(),
            json: false,
        };
        assert!(matches!(run(&arguments), Err(LayoutBenchError::Io(_))));
    }
}
