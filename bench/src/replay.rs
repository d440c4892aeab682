//! `bench replay`: how fast a journal is read, verified and applied, on one thread.
//!
//! The journal is made first, by the real appender, log buffer, writer and segments, with order flow of
//! several sessions. Then four passes take turns over the same mapped files, so that the time of one is
//! told apart: *touch* (batch headers only: the empty baseline), *verify* (both checksums), *apply* (the
//! state machine, without checksums) and *replay* (all of it, what recovery and `journal replay` do).

pub mod builder;

pub use crate::flow::records as flow;

use crate::flow::options::LIVE_ORDERS_MAX;
use crate::measure::setting::Setting;
use builder::{BuildError, BuildOptions, JournalBuilder};
use clap::Args;
use flow::{Flow, FlowOptions};
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::{FolderError, read_meta};
use lockstep_journal::reader::{JournalReader, ReadError, ReadOptions};
use lockstep_journal::storage::{DirectStorage, StorageError};
use lockstep_node::fatal::Fatal;
use lockstep_node::replay::Replayer;
use lockstep_record::event::{Event, EventSink, NullSink};
use serde::Serialize;
use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;
use thiserror::Error;

const SEGMENT_DATA_LENGTH: u64 = 64 << 20;
const RING_LENGTH: u64 = 64 << 20;
pub const RECORDS_MAX: u64 = 1 << 32;
pub const ROUNDS_MAX: u32 = 1000;

#[derive(Debug, Error)]
pub enum ReplayBenchError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{0}")]
    Replay(#[from] Fatal),
    #[error("the replayed state {replayed} is not the state {made} that the journal was made with")]
    OtherState { replayed: String, made: String },
}

/// Replays a made journal and times it.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Records of the journal.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=RECORDS_MAX))]
    pub records: u64,
    /// Rounds of all four passes; each pass's best counts, all are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=ROUNDS_MAX as i64))]
    pub rounds: u32,
    /// Orders that rest in the books, about; reached after as many records or more.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIVE_ORDERS_MAX)))]
    pub live_orders: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Make the journal here and keep it; otherwise in the temporary folder, removed afterwards.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Pin to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// One pass's time in each round.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pass {
    pub rounds_ns: Vec<u64>,
    /// Time on a processor in each round; much below `rounds_ns`, the machine was busy with others.
    pub rounds_cpu_ns: Vec<u64>,
    pub best_ns: u64,
    pub records_per_second: u64,
    /// Of the segments' used bytes.
    pub bytes_per_second: u64,
}

impl Pass {
    fn of(rounds: &[Taken], records: u64, bytes: u64) -> Self {
        let rounds_ns: Vec<u64> = rounds.iter().map(|taken| taken.wall_ns).collect();
        let rounds_cpu_ns = rounds.iter().map(|taken| taken.cpu_ns).collect();
        let best_ns = rounds_ns.iter().copied().min().unwrap_or(0);
        let rate = |count: u64| {
            let scaled = u128::from(count) * 1_000_000_000;
            scaled.checked_div(u128::from(best_ns)).unwrap_or(0) as u64
        };
        Self {
            records_per_second: rate(records),
            bytes_per_second: rate(bytes),
            rounds_ns,
            rounds_cpu_ns,
            best_ns,
        }
    }
}

/// What one round of a pass took.
#[derive(Clone, Copy, Default, Debug)]
struct Taken {
    wall_ns: u64,
    cpu_ns: u64,
}

#[derive(Debug)]
struct Stopwatch {
    begun: Instant,
    cpu_begun_ns: u64,
}

impl Stopwatch {
    fn start() -> Self {
        let cpu_begun_ns = cpu_ns();
        let begun = Instant::now();
        Self {
            begun,
            cpu_begun_ns,
        }
    }

    fn stop(&self) -> Taken {
        let wall_ns = self.begun.elapsed().as_nanos() as u64;
        let cpu_ns = cpu_ns().saturating_sub(self.cpu_begun_ns);
        Taken { wall_ns, cpu_ns }
    }
}

/// Time that this thread has had a processor, ns; 0 where the kernel does not count it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    pub records: u64,
    pub batches: u64,
    pub bytes: u64,
    /// What the flow did: events of each sort.
    pub accepted: u64,
    pub executed: u64,
    pub canceled: u64,
    pub replaced: u64,
    pub rejected: u64,
    pub open_orders: u32,
    pub touch: Pass,
    pub verify: Pass,
    pub apply: Pass,
    pub replay: Pass,
    pub state_hash: String,
    pub digest: String,
    pub setting: Setting,
}

#[derive(Default)]
struct EventCounts {
    accepted: u64,
    executed: u64,
    canceled: u64,
    replaced: u64,
    rejected: u64,
}

impl EventSink for EventCounts {
    fn deliver(&mut self, _: &lockstep_record::event::Delivery, event: Event<'_>) {
        match event {
            Event::Accepted(_) => self.accepted += 1,
            Event::Executed(_) => self.executed += 1,
            Event::Canceled(_) => self.canceled += 1,
            Event::Replaced(_) => self.replaced += 1,
            Event::Rejected(_) => self.rejected += 1,
            _ => {}
        }
    }

    fn control(&mut self, _: &lockstep_record::event::Control) {}
}

/// Makes the journal, times the passes, removes it unless it was asked for.
pub fn run(arguments: &ReplayArgs) -> Result<ReplayReport, ReplayBenchError> {
    if let Some(core) = arguments.core {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
    }
    let temporary = arguments.folder.is_none();
    let folder = arguments.folder.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("lockstep-bench-replay-{}", std::process::id()))
    });
    let report = run_in(arguments, &folder);
    if temporary {
        // What was measured counts, not whether the temporary files could be removed.
        let _ = std::fs::remove_dir_all(&folder);
    }
    report
}

fn run_in(arguments: &ReplayArgs, folder: &Path) -> Result<ReplayReport, ReplayBenchError> {
    let mut counts = EventCounts::default();
    let made = make(arguments, folder, &mut counts)?;
    let storage = DirectStorage::open(&folder.join("journal"))?;
    let meta = read_meta(&storage)?;
    let passes = Passes { storage, meta };
    let (mut touch, mut verify, mut apply, mut replay) = (vec![], vec![], vec![], vec![]);
    let mut seen = Seen::default();
    for _ in 0..arguments.rounds {
        touch.push(passes.read(false)?.taken);
        verify.push(passes.read(true)?.taken);
        apply.push(passes.apply(false, &made)?.taken);
        seen = passes.apply(true, &made)?;
        replay.push(seen.taken);
    }
    let pass = |rounds: &[Taken]| Pass::of(rounds, seen.records, seen.bytes);
    Ok(ReplayReport {
        records: seen.records,
        batches: seen.batches,
        bytes: seen.bytes,
        accepted: counts.accepted,
        executed: counts.executed,
        canceled: counts.canceled,
        replaced: counts.replaced,
        rejected: counts.rejected,
        open_orders: made.open_order_count(),
        touch: pass(&touch),
        verify: pass(&verify),
        apply: pass(&apply),
        replay: pass(&replay),
        state_hash: hex(&made.state_hash()),
        digest: format!("{:016x}", made.digest()),
        setting: Setting::new("none", "none", "one thread, mapped segments"),
    })
}

/// The journal in `folder/journal`. Returns the state that it led to while it was made.
fn make(
    arguments: &ReplayArgs,
    folder: &Path,
    counts: &mut EventCounts,
) -> Result<StateMachine, ReplayBenchError> {
    let mut builder = JournalBuilder::create(&BuildOptions {
        folder: folder.join("journal"),
        log_buffer: folder.join("log-buffer"),
        segment_data_length: SEGMENT_DATA_LENGTH,
        ring_length: RING_LENGTH,
    })?;
    let default = FlowOptions::default();
    let mut flow = Flow::new(FlowOptions {
        seed: arguments.seed,
        live_orders: arguments.live_orders,
        // Around its target the flow goes up and down.
        open_orders_max: default.open_orders_max.max(arguments.live_orders / 4 * 5),
        ..default
    });
    flow.open(&mut builder, counts)?;
    loop {
        let done = builder.tail().next_sequence - 1;
        if done >= arguments.records {
            return Ok(builder.stop()?);
        }
        flow.batch(&mut builder, arguments.records - done, counts)?;
    }
}

#[derive(Clone, Copy, Default)]
struct Seen {
    records: u64,
    batches: u64,
    bytes: u64,
    taken: Taken,
}

struct Passes {
    storage: DirectStorage,
    meta: lockstep_journal::folder::JournalMeta,
}

impl Passes {
    fn reader(&self, verify: bool) -> JournalReader<DirectStorage> {
        let options = ReadOptions {
            verify,
            ..ReadOptions::ALL
        };
        JournalReader::new(self.storage.clone(), &self.meta, options)
    }

    fn read(&self, verify: bool) -> Result<Seen, ReplayBenchError> {
        let watch = Stopwatch::start();
        let mut seen = Seen::default();
        let mut reader = self.reader(verify);
        while let Some(batch) = reader.next_batch()? {
            seen.records += u64::from(batch.header.record_count);
            seen.batches += 1;
            seen.bytes += batch.bytes().len() as u64;
            black_box(batch.body().first());
        }
        seen.taken = watch.stop();
        Ok(seen)
    }

    fn apply(&self, verify: bool, made: &StateMachine) -> Result<Seen, ReplayBenchError> {
        let watch = Stopwatch::start();
        let mut seen = Seen::default();
        let mut replayer = Replayer::new(StateMachine::new(Capacity::default()));
        let mut reader = self.reader(verify);
        while let Some(batch) = reader.next_batch()? {
            seen.bytes += batch.bytes().len() as u64;
            replayer.apply(&batch, &mut NullSink)?;
        }
        seen.taken = watch.stop();
        (seen.records, seen.batches) = (replayer.records, replayer.batches);
        let (replayed, made) = (replayer.machine.state_hash(), made.state_hash());
        if replayed != made {
            let (replayed, made) = (hex(&replayed), hex(&made));
            return Err(ReplayBenchError::OtherState { replayed, made });
        }
        Ok(seen)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} records in {} batches, {} MiB; {} accepted, {} executed, {} canceled, {} replaced, {} \
             rejected; {} open",
            self.records,
            self.batches,
            self.bytes >> 20,
            self.accepted,
            self.executed,
            self.canceled,
            self.replaced,
            self.rejected,
            self.open_orders
        )?;
        writeln!(
            f,
            "{:<8} {:>14} {:>10} {:>10}  rounds ms (on a processor)",
            "pass", "records/s", "MiB/s", "ns/record"
        )?;
        for (name, pass) in [
            ("touch", &self.touch),
            ("verify", &self.verify),
            ("apply", &self.apply),
            ("replay", &self.replay),
        ] {
            let rounds: Vec<String> = pass
                .rounds_ns
                .iter()
                .zip(&pass.rounds_cpu_ns)
                .map(|(wall, cpu)| format!("{} ({})", wall / 1_000_000, cpu / 1_000_000))
                .collect();
            writeln!(
                f,
                "{name:<8} {:>14} {:>10} {:>10}  {}",
                pass.records_per_second,
                pass.bytes_per_second >> 20,
                pass.best_ns.checked_div(self.records).unwrap_or(0),
                rounds.join(" ")
            )?;
        }
        writeln!(f, "state hash {}  digest {}", self.state_hash, self.digest)?;
        write!(f, "{}", self.setting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bench on a tiny journal, so that it cannot rot: all passes see every record, the replayed state
    /// is the made one, and the flow does what it is there for.
    #[test]
    fn a_small_journal_is_made_and_replayed() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ReplayArgs {
            records: 20_000,
            rounds: 1,
            live_orders: 500,
            seed: 7,
            folder: Some(folder.path().to_owned()),
            core: None,
            json: false,
        };
        let report = run(&arguments).unwrap();
        assert_eq!(report.records, 20_000);
        assert!(report.batches > 100);
        assert!(report.accepted > 8_000, "{report}");
        assert!(report.executed > 500 && report.canceled > 4_000, "{report}");
        assert!(report.replaced > 500, "{report}");
        assert!(report.rejected < 20_000 / 50, "{report}");
        assert!((100..2_000).contains(&report.open_orders), "{report}");
        // The same seed makes the same history.
        let again = tempfile::tempdir().unwrap();
        let other = ReplayArgs {
            folder: Some(again.path().to_owned()),
            ..arguments
        };
        assert_eq!(run(&other).unwrap().state_hash, report.state_hash);
    }
}
