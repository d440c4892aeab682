//! `bench snapshots`: what the matching thread notices of a snapshot that is being taken on another core.
//!
//! The node's own agents, fused on one thread as on a small host and without sockets: a record that was made
//! before goes into the ingress ring, and its time runs until its batch is sealed, journaled under `local`,
//! committed, applied, and what it said is in the egress ring. Rounds take turns: in one nobody else runs, in the
//! other the node's snapshot agent follows the log and takes one snapshot after another on the other core.

use crate::engine::EngineArgs;
use crate::engine::stream::{Stream, make};
use crate::measure::setting::Setting;
use crate::measure::thread::{PinError, pin};
use crate::measure::ticks::{TickHistogram, Ticks};
use clap::Args;
use lockstep_core::ApplyError;
use lockstep_journal::LogBuffer;
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::snapshot;
use lockstep_journal::storage::{DirectStorage, Storage};
use lockstep_node::admin::desk;
use lockstep_node::agent::{Agent, Now};
use lockstep_node::clock::{BatchClock, SystemClock};
use lockstep_node::config::{AcknowledgePolicy, Config, SnapshotConfig};
use lockstep_node::consensus::{LogEnd, Solo};
use lockstep_node::counters::{Counter, CounterId, Counters};
use lockstep_node::engine::EngineAgent;
use lockstep_node::fatal::Fatal;
use lockstep_node::journal::{JournalAgent, start_preparer};
use lockstep_node::log::ConsensusAgent;
use lockstep_node::node::format_journal;
use lockstep_node::recovery::{Finish, Recovered, recover};
use lockstep_node::ring::{self, Consumer, Producer};
use lockstep_node::sequencer::{BatchBounds, LogTail, Sequencer, SequencerAgent};
use lockstep_node::sink::EgressSink;
use lockstep_node::snapshot::SnapshotAgent;
use lockstep_node::status::{Applied, Status};
use lockstep_record::{LogIndex, Sequence, Term, Timestamp};
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

const RING_BYTES: usize = 1 << 20;
const SPILL_BYTES: usize = 64 << 20;
/// Records after which the next snapshot is due.
const RECORDS_BETWEEN: u64 = 10_000;
/// Quantiles that are reported, in a million.
const QUANTILES: [(&str, u64); 4] = [
    ("p50", 500_000),
    ("p99", 990_000),
    ("p99.9", 999_000),
    ("p99.99", 999_900),
];

#[derive(Clone, Debug, Args)]
pub struct SnapshotsArgs {
    /// An existing folder on the file system of a journal; what is made in it is removed.
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Commands of a round.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub commands: u32,
    /// Pairs of rounds, with and without; which comes first alternates.
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
    /// Core of the snapshot agent and of the thread that prepares segments.
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
    #[error("configuration: {0}")]
    Config(String),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no snapshot came to its end in a round: give it more commands")]
    NoSnapshot,
    #[error("a thread of the bench panicked")]
    Thread,
}

/// One quantile: medians over the rounds, ns.
#[derive(Clone, Debug, Serialize)]
pub struct QuantileRow {
    pub quantile: &'static str,
    pub without_ns: u64,
    pub with_ns: u64,
    pub ratio: f64,
    /// Of each pair of rounds.
    pub ratios: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SnapshotsReport {
    pub setting: Setting,
    pub commands: u32,
    pub live_orders: u32,
    /// Taken in all rounds together, and bytes of the last.
    pub snapshots: u64,
    pub snapshot_bytes: u64,
    pub rows: Vec<QuantileRow>,
    pub max_without_ns: u64,
    pub max_with_ns: u64,
}

pub fn run(arguments: &SnapshotsArgs) -> Result<SnapshotsReport, SnapshotsBenchError> {
    let stream = make(&EngineArgs {
        commands: arguments.commands * 2 * u32::from(arguments.rounds),
        sessions: 100,
        // A market of a few orders runs empty.
        instruments: (arguments.live_orders / 50).min(100),
        live_orders: arguments.live_orders,
        batch: 1,
        rounds: 1,
        seed: arguments.seed,
        protections: false,
        core: None,
        json: false,
    })?;
    let directory = arguments.folder.join("bench.snapshots");
    let result = std::thread::scope(|scope| {
        let measured = scope.spawn(|| measure(arguments, &stream, &directory));
        measured.join().map_err(|_| SnapshotsBenchError::Thread)?
    });
    // What was measured counts, not whether the files could be removed.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

/// On a thread of its own, which it pins.
fn measure(
    arguments: &SnapshotsArgs,
    stream: &Stream,
    directory: &Path,
) -> Result<SnapshotsReport, SnapshotsBenchError> {
    // Threads begin where their maker runs: first the helpers' core.
    arguments.snapshot_core.map(pin).transpose()?;
    let (mut bed, mut snapshots) = Bed::create(directory)?;
    arguments.core.map(pin).transpose()?;
    let ticks = Ticks::calibrate();
    for at in 0..stream.filling {
        bed.pass(stream.records.range(at, 1))?;
        bed.hear();
    }
    let mut at = stream.filling;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        for second in [false, true] {
            let end = at + arguments.commands as usize;
            if second == (round % 2 == 0) {
                let (measured, back) =
                    beside(arguments, snapshots, || bed.timed(stream, at..end, &ticks))?;
                snapshots = back;
                with.push(measured);
            } else {
                without.push(bed.timed(stream, at..end, &ticks)?);
            }
            at = end;
        }
    }
    let report = report(arguments, &ticks, &without, &with, &snapshots);
    bed.finish()?;
    Ok(report)
}

/// Does `work` while snapshots are taken, one after another, on the other core.
fn beside(
    arguments: &SnapshotsArgs,
    mut snapshots: Snapshots,
    work: impl FnOnce() -> Result<TickHistogram, Fatal>,
) -> Result<(TickHistogram, Snapshots), SnapshotsBenchError> {
    let over = AtomicBool::new(false);
    let core = arguments.snapshot_core;
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            core.map(pin).transpose()?;
            snapshots.take_until(&over).map(|()| snapshots)
        });
        let measured = work();
        over.store(true, Ordering::Release);
        let snapshots = taking.join().map_err(|_| SnapshotsBenchError::Thread)??;
        Ok((measured?, snapshots))
    })
}

/// The node's snapshot agent, driven by hand.
struct Snapshots {
    agent: SnapshotAgent<DirectStorage>,
    /// Index of the newest snapshot, as the agent says, and as was seen last.
    newest: Counter,
    last: u64,
    storage: DirectStorage,
    begun: Instant,
    taken: u64,
    bytes: u64,
}

impl Snapshots {
    fn take_until(&mut self, over: &AtomicBool) -> Result<(), SnapshotsBenchError> {
        let before = self.taken;
        while !over.load(Ordering::Acquire) {
            let now = Now {
                monotonic_ns: self.begun.elapsed().as_nanos() as u64,
            };
            let work = self.agent.do_work(now)?;
            if self.newest.get() != self.last {
                self.last = self.newest.get();
                self.taken += 1;
                self.remove_older()?;
            } else if work == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if self.taken == before {
            return Err(SnapshotsBenchError::NoSnapshot);
        }
        Ok(())
    }

    fn remove_older(&mut self) -> Result<(), SnapshotsBenchError> {
        let other = |error: lockstep_journal::storage::StorageError| io::Error::other(error);
        let mut indices = snapshot::list(&self.storage).map_err(other)?;
        let newest = indices.pop().unwrap_or(0);
        let name = snapshot::snapshot_name(newest);
        self.bytes = std::fs::metadata(self.storage.folder().join(name))?.len();
        for index in indices {
            let name = snapshot::snapshot_name(index);
            self.storage.delete(&name).map_err(other)?;
        }
        Ok(())
    }
}

/// A node's agents between two rings, without gateway and sockets.
struct Bed {
    ingress: Producer,
    egress: Consumer,
    agents: Vec<Box<dyn Agent>>,
    engine: EngineAgent,
    begun: Instant,
    finish: Finish,
    buffer: Arc<LogBuffer>,
    preparer: Option<JoinHandle<()>>,
    done: Arc<AtomicBool>,
}

fn config(directory: &Path) -> Result<Config, SnapshotsBenchError> {
    let text = format!(
        "[data]\ndirectory = {directory:?}\n[network]\nlisten = \"127.0.0.1:0\"\n\
         [acknowledge]\npolicy = \"local\"\n[day]\nopening = \"operator\"\n"
    );
    Config::parse(&text).map_err(SnapshotsBenchError::Config)
}

impl Bed {
    fn create(directory: &Path) -> Result<(Self, Snapshots), SnapshotsBenchError> {
        let config = config(directory)?;
        format_journal(&config)?;
        let Recovered {
            machine,
            log,
            finish,
            ..
        } = recover(&config, |_| ())?;
        let counters = Counters::create(&directory.join("counters"))?;
        let (ingress, mut inputs) = ring::create(RING_BYTES, 1)?;
        let (egress_in, mut outputs) = ring::create(RING_BYTES, 1)?;
        let applied = Applied {
            index: machine.last_index(),
            digest: machine.digest(),
        };
        let status = Arc::new(Status::new(applied, machine.last_index()));
        let (storage, meta): (DirectStorage, JournalMeta) = (log.storage.clone(), log.meta);
        let (buffer, policy) = (Arc::clone(&log.buffer), AcknowledgePolicy::Local);
        let committed = LogEnd {
            index: LogIndex(log.tail.index),
            position: log.tail.position.0,
        };
        let tail = LogTail {
            term: Term(log.term),
            next_index: LogIndex(log.tail.index + 1),
            next_sequence: Sequence(log.tail.next_sequence),
        };
        let bounds = BatchBounds {
            records_max: config.journal.batch_records_max,
            bytes_max: config.journal.batch_bytes_max as usize,
        };
        let clock = BatchClock::new(SystemClock, Timestamp(log.tail.timestamp));
        let sequencer = Sequencer::new(
            log.appender,
            clock,
            vec![inputs.remove(0)],
            tail,
            bounds,
            Arc::clone(&status),
            &counters,
        );
        let consensus = ConsensusAgent::new(
            Solo::new(Term(log.term), policy, committed),
            log.consensus_reader,
            Arc::clone(&buffer),
            Arc::clone(&status),
            committed,
            &counters,
        );
        let journal = JournalAgent::new(log.writer, Arc::clone(&buffer), policy, &counters);
        let (fates, _, inquiries) = desk::create()?;
        let engine = EngineAgent::new(
            machine,
            log.engine_reader,
            Arc::clone(&buffer),
            EgressSink::new(egress_in, SPILL_BYTES).with_fates(fates),
            status,
            inquiries,
            &counters,
        );
        let done = Arc::new(AtomicBool::new(false));
        let preparer = start_preparer(log.preparer, Arc::clone(&done))?;
        // By records, not when asked: a follower of batches of one record may never catch up with a loop that has
        // nothing else to do, and what is due by records does not wait for that.
        let config = SnapshotConfig {
            every_records: RECORDS_BETWEEN,
            ..SnapshotConfig::default()
        };
        let agent = SnapshotAgent::new(
            storage.clone(),
            meta,
            config,
            Arc::clone(&buffer),
            Arc::default(),
            &counters,
        );
        let begun = Instant::now();
        let snapshots = Snapshots {
            agent,
            newest: counters.counter(CounterId::SnapshotIndex),
            last: 0,
            storage,
            begun,
            taken: 0,
            bytes: 0,
        };
        let agents: Vec<Box<dyn Agent>> = vec![
            Box::new(SequencerAgent::new(sequencer)),
            Box::new(consensus),
            Box::new(journal),
        ];
        let bed = Self {
            ingress,
            egress: outputs.remove(0),
            agents,
            engine,
            begun,
            finish,
            buffer,
            preparer: Some(preparer),
            done,
        };
        Ok((bed, snapshots))
    }

    /// One duty cycle of all; whether a batch was applied.
    #[inline(always)]
    fn cycle(&mut self) -> Result<bool, Fatal> {
        let now = Now {
            monotonic_ns: self.begun.elapsed().as_nanos() as u64,
        };
        for agent in &mut self.agents {
            agent.do_work(now)?;
        }
        Ok(self.engine.do_work(now)? != 0)
    }

    /// One record from ring to ring.
    #[inline(always)]
    fn pass(&mut self, record: &[u8]) -> Result<(), Fatal> {
        while !self.ingress.push(0, record) {
            self.cycle()?;
        }
        while !self.cycle()? {}
        Ok(())
    }

    #[inline(never)]
    fn timed(
        &mut self,
        stream: &Stream,
        range: std::ops::Range<usize>,
        ticks: &Ticks,
    ) -> Result<TickHistogram, Fatal> {
        let mut histogram = TickHistogram::new();
        for at in range {
            let record = stream.records.range(at, 1);
            let begin = ticks.begin();
            self.pass(record)?;
            histogram.record(ticks.end().saturating_sub(begin));
            self.hear();
        }
        Ok(histogram)
    }

    /// Takes what was said: a full ring would hold everything back.
    fn hear(&mut self) {
        while self.egress.peek().is_some() {
            self.egress.advance();
        }
        self.egress.publish();
    }

    /// Everything on disk, nothing left in memory's file system.
    fn finish(mut self) -> Result<(), SnapshotsBenchError> {
        while self.buffer.durable_position() != self.buffer.published_position() {
            self.cycle()?;
        }
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.preparer.take() {
            thread.join().map_err(|_| SnapshotsBenchError::Thread)?;
        }
        self.finish.orderly()?;
        Ok(())
    }
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values[values.len() / 2]
}

fn report(
    arguments: &SnapshotsArgs,
    ticks: &Ticks,
    without: &[TickHistogram],
    with: &[TickHistogram],
    snapshots: &Snapshots,
) -> SnapshotsReport {
    let row = |&(quantile, ppm): &(&'static str, u64)| {
        let at = |rounds: &[TickHistogram]| -> Vec<u64> {
            rounds.iter().map(|h| ticks.ns(h.at_ppm(ppm))).collect()
        };
        let (without, with) = (at(without), at(with));
        let ratio = |(without, with): (&u64, &u64)| *with as f64 / (*without).max(1) as f64;
        let ratios: Vec<f64> = without.iter().zip(&with).map(ratio).collect();
        let (without_ns, with_ns) = (median(without), median(with));
        QuantileRow {
            quantile,
            without_ns,
            with_ns,
            ratio: with_ns as f64 / without_ns.max(1) as f64,
            ratios,
        }
    };
    let max = |rounds: &[TickHistogram]| {
        let all = rounds.iter().map(|h| ticks.ns(h.max()));
        all.max().unwrap_or(0)
    };
    let core = |core: Option<usize>| core.map_or("unpinned".to_owned(), |c| format!("core {c}"));
    let layout = format!(
        "agents fused on {}, snapshots on {}",
        core(arguments.core),
        core(arguments.snapshot_core)
    );
    SnapshotsReport {
        setting: Setting::new("none", "local", &layout),
        commands: arguments.commands,
        live_orders: arguments.live_orders,
        snapshots: snapshots.taken,
        snapshot_bytes: snapshots.bytes,
        rows: QUANTILES.iter().map(row).collect(),
        max_without_ns: max(without),
        max_with_ns: max(with),
    }
}

impl fmt::Display for SnapshotsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        writeln!(
            f,
            "{} commands a round, about {} live orders; {} snapshots, the last of {} bytes",
            self.commands, self.live_orders, self.snapshots, self.snapshot_bytes
        )?;
        writeln!(
            f,
            "{:<8} {:>12} {:>12} {:>6}  pairs",
            "ring to ring", "without ns", "with ns", "ratio"
        )?;
        for row in &self.rows {
            let pairs: Vec<String> = row.ratios.iter().map(|r| format!("{r:.2}")).collect();
            writeln!(
                f,
                "{:<12} {:>12} {:>12} {:>6.2}  {}",
                row.quantile,
                row.without_ns,
                row.with_ns,
                row.ratio,
                pairs.join(" ")
            )?;
        }
        write!(
            f,
            "{:<12} {:>12} {:>12}",
            "max", self.max_without_ns, self.max_with_ns
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small, so that it cannot rot: both kinds of rounds run, snapshots are really taken, nothing is left. More orders than
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
        assert!(
            report
                .rows
                .iter()
                .all(|row| row.with_ns > 0 && row.without_ns > 0)
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
