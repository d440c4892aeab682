//! `bench snapshots`: what the matching thread notices of a snapshot that is being taken on another core.
//!
//! The node's own agents, fused on one thread as on a small host and without sockets: a record that was made
//! before goes into the ingress ring, and its time runs until its batch is sealed, journaled under `local`,
//! committed, applied, and what it said is in the egress ring. Rounds of three kinds take turns: nothing of ours
//! on the other core; a loop there that touches no memory, which shows what the host makes of two busy cores; the
//! node's snapshot agent, which follows the log and takes one snapshot after another.

mod report;
mod stalls;
mod taker;

use crate::bed::{self, Bed, BedError};
use crate::engine::stream::Stream;
use crate::measure::latency::Latency;
use crate::measure::thread::{PinError, pin};
use crate::measure::ticks::Ticks;
use clap::Args;
use lockstep_core::ApplyError;
use lockstep_node::fatal::Fatal;
pub use report::{ArmReport, QuantileRow, SnapshotsReport};
pub use stalls::Stalls;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use taker::Taker;
use thiserror::Error;

#[derive(Clone, Debug, Args)]
pub struct SnapshotsArgs {
    /// An existing folder on the file system of a journal; what is made in it is removed.
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Commands of a round.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub commands: u32,
    /// Rounds of each of the three kinds; which comes first changes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub rounds: u16,
    /// Orders that rest in the books, about.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    pub live_orders: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Core of the agents.
    #[arg(long)]
    pub core: Option<usize>,
    /// Core of the snapshot agent, of the loop, and of the thread that prepares segments.
    #[arg(long)]
    pub snapshot_core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Error)]
pub enum SnapshotsBenchError {
    #[error(transparent)]
    Stream(#[from] ApplyError),
    #[error("{0}")]
    Node(#[from] Fatal),
    #[error(transparent)]
    Bed(#[from] BedError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no snapshot came to its end in a round: give it more commands")]
    NoSnapshot,
    #[error("a thread of the bench panicked")]
    Thread,
}

/// What the other core does in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arm {
    Nothing,
    Loop,
    Snapshots,
}

const ARMS: [Arm; 3] = [Arm::Nothing, Arm::Loop, Arm::Snapshots];

/// One round.
struct Round {
    latency: Latency,
    stalls: Stalls,
}

pub fn run(arguments: &SnapshotsArgs) -> Result<SnapshotsReport, SnapshotsBenchError> {
    let count = arguments.commands * ARMS.len() as u32 * u32::from(arguments.rounds);
    let stream = bed::commands(count, arguments.live_orders, arguments.seed)?;
    bed::in_new_folder(&arguments.folder, "bench.snapshots", |directory| {
        measure(arguments, &stream, directory)
    })
}

/// On a thread of its own, which it pins.
fn measure(
    arguments: &SnapshotsArgs,
    stream: &Stream,
    directory: &Path,
) -> Result<SnapshotsReport, SnapshotsBenchError> {
    // Threads begin where their maker runs: first the helpers' core.
    arguments.snapshot_core.map(pin).transpose()?;
    let (mut bed, follower) = Bed::create(directory)?;
    let mut taker = Taker::new(follower);
    arguments.core.map(pin).transpose()?;
    let ticks = Ticks::calibrate();
    for at in 0..stream.filling {
        bed.pass(stream.records.range(at, 1))?;
        bed.ends.hear();
    }
    let mut at = stream.filling;
    let mut rounds = ARMS.map(|_| Vec::new());
    for round in 0..usize::from(arguments.rounds) {
        for turn in 0..ARMS.len() {
            let arm = (round + turn) % ARMS.len();
            let range = at..at + arguments.commands as usize;
            at = range.end;
            let mut timed = |range: Range<usize>| timed(arguments, &mut bed, stream, range, &ticks);
            rounds[arm].push(match ARMS[arm] {
                Arm::Nothing => timed(range)?,
                Arm::Loop => beside(arguments, spin_until, || timed(range))?,
                Arm::Snapshots => {
                    taker.catch_up()?;
                    beside(arguments, |over| taker.take_until(over), || timed(range))?
                }
            });
        }
    }
    let report = report::report(arguments, &rounds, &taker);
    bed.works.finish()?;
    Ok(report)
}

fn timed(
    arguments: &SnapshotsArgs,
    bed: &mut Bed,
    stream: &Stream,
    range: Range<usize>,
    ticks: &Ticks,
) -> Result<Round, Fatal> {
    let look = stalls::Look::begin(arguments.core);
    let latency = one_at_a_time(bed, stream, range, ticks)?;
    let stalls = look.end();
    Ok(Round { latency, stalls })
}

#[inline(never)]
fn one_at_a_time(
    bed: &mut Bed,
    stream: &Stream,
    range: Range<usize>,
    ticks: &Ticks,
) -> Result<Latency, Fatal> {
    let mut latency = Latency::new();
    for at in range {
        let record = stream.records.range(at, 1);
        let begin = ticks.begin();
        bed.pass(record)?;
        let taken = ticks.end().saturating_sub(begin);
        latency.record(ticks.ns(taken));
        bed.ends.hear();
    }
    Ok(latency)
}

fn spin_until(over: &AtomicBool) -> Result<(), SnapshotsBenchError> {
    while !over.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Does `work` while `other` runs on the other core.
fn beside(
    arguments: &SnapshotsArgs,
    other: impl FnOnce(&AtomicBool) -> Result<(), SnapshotsBenchError> + Send,
    work: impl FnOnce() -> Result<Round, Fatal>,
) -> Result<Round, SnapshotsBenchError> {
    let over = AtomicBool::new(false);
    let core = arguments.snapshot_core;
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            core.map(pin).transpose()?;
            other(&over)
        });
        let measured = work();
        over.store(true, Ordering::Release);
        running.join().map_err(|_| SnapshotsBenchError::Thread)??;
        Ok(measured?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, so that it cannot rot: all kinds of rounds run, snapshots are really taken, nothing is left. More orders than
    /// the egress ring holds answers for: nobody took them while the books were filled, and it stood still for ever.
    #[test]
    fn a_tiny_run_takes_snapshots_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = SnapshotsArgs {
            folder: folder.path().to_owned(),
            commands: 20_000,
            rounds: 1,
            live_orders: 12_000,
            seed: 3,
            core: None,
            snapshot_core: None,
            json: false,
        };
        // A busy host may give the other thread no time in so short a round.
        let report = loop {
            match run(&arguments) {
                Err(SnapshotsBenchError::NoSnapshot) if arguments.commands < 5_000_000 => {
                    arguments.commands *= 4;
                }
                other => break other.unwrap(),
            }
        };
        assert!(
            report.snapshots > 0 && report.snapshot_bytes > 20_000,
            "{report}"
        );
        let arms = [&report.nothing, &report.busy_loop, &report.with_snapshots];
        for arm in arms {
            assert_eq!(arm.latency.count, u64::from(arguments.commands), "{report}");
            assert!(
                arm.latency.p50 > 0 && arm.latency.saturated == 0,
                "{report}"
            );
        }
        assert_eq!(report.rows.len(), 4);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
