//! `lockstep journal replay`: the state that the log leads to, at its end or at any sequence.

use super::folder::{self, Opened};
use super::output::{Failure, Progress};
use super::replay_report::Report;
use super::start;
use super::stream_hash::StreamHashes;
use super::time::{self, Utc};
use super::verdict::{self, Outcome, Verdict};
use clap::Args;
use lockstep_core::StateMachine;
use lockstep_journal::reader::ReadOptions;
use lockstep_journal::{BatchHeader, BatchView, LogPosition, LogTail};
use lockstep_node::engine::{apply_fatal, batch_info};
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::journal::read_fatal;
use lockstep_node::replay::Replayer;
use lockstep_record::Record;
use lockstep_record::event::{EventSink, NullSink};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Batches between two looks at the clock.
const BATCHES_A_TICK: u64 = 4096;

#[derive(Args)]
pub struct ReplayArguments {
    /// The data directory, or the journal folder in it
    pub directory: PathBuf,
    #[command(flatten)]
    pub extent: Extent,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print the price levels of every instrument
    #[arg(long)]
    pub books: bool,
    /// Print every open order
    #[arg(long)]
    pub orders: bool,
    /// Print every session with the next number of its outbound stream
    #[arg(long)]
    pub sessions: bool,
    /// Regenerate the day's outbound streams; print their lengths and SHA-256
    #[arg(long)]
    pub streams: bool,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    pub log_buffer: Option<PathBuf>,
}

/// How much of the log is replayed.
#[derive(Args, Clone, Copy, Default, Debug)]
pub struct Extent {
    /// Stop behind this sequence, also in the middle of a batch
    #[arg(long, value_name = "SEQ")]
    pub until: Option<u64>,
    /// Stop behind the last batch not later: UTC as 2026-01-02T09:30:00.5Z, or ns since the Unix epoch
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub until_time: Option<Utc>,
    /// Stop behind this batch.
    #[arg(skip)]
    pub until_index: Option<u64>,
    /// Leave out what only the log buffer holds
    #[arg(long)]
    pub segments_only: bool,
    /// Begin behind this snapshot (its batch index); default: the log's begin, or where that was trimmed the
    /// oldest snapshot that serves
    #[arg(long, value_name = "INDEX")]
    pub from_snapshot: Option<u64>,
}

/// Hears what a replay says, and where in the log it is.
pub trait LogSink: EventSink {
    /// The state that the replay begins with, if it is a snapshot's.
    fn begin(&mut self, _: &StateMachine) -> Result<(), Failure> {
        Ok(())
    }
    /// The batch that is applied next.
    fn batch(&mut self, _: &BatchHeader) {}
    /// It has been applied; an error ends the replay.
    fn batch_applied(&mut self, _: &StateMachine) -> Result<(), Failure> {
        Ok(())
    }
}

impl LogSink for NullSink {}
impl LogSink for StreamHashes {
    fn begin(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        if machine.day().open {
            let what = "--streams needs the log from the day's begin, but replay begins in the middle of \
                        it: restore earlier segments, or leave --from-snapshot out";
            return Err(Failure::new(ExitCode::Usage, what));
        }
        Ok(())
    }
}

pub fn run(arguments: &ReplayArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let (replayed, streams) = if arguments.streams {
        let (replayed, streams) = replay(&opened, &arguments.extent, StreamHashes::default())?;
        (replayed, Some(streams))
    } else {
        (replay(&opened, &arguments.extent, NullSink)?.0, None)
    };
    let report = Report {
        arguments,
        opened: &opened,
        replayed: &replayed,
        streams: streams.as_ref(),
    };
    report.print(out)?;
    out.flush()?;
    replayed.result(&arguments.extent).map_err(Failure::from)
}

/// What a replay came to.
pub struct Replayed {
    pub machine: StateMachine,
    pub batches: u64,
    pub records: u64,
    pub digests_compared: u64,
    pub digests_too_old: u64,
    /// Batches that only the log buffer holds, of those.
    pub log_buffer_batches: u64,
    /// Records of the last batch that were applied, and that it has, if `--until` cut it.
    pub cut_batch: Option<(u32, u32)>,
    /// Of the log's end; `None` where the replay ended before it.
    pub verdict: Option<Verdict>,
    /// Why the state machine stopped before the log ended.
    pub stopped: Option<Fatal>,
    pub elapsed: Duration,
}

impl Replayed {
    /// What was asked for was reached, and nothing contradicts it.
    pub fn result(&self, extent: &Extent) -> Result<(), Fatal> {
        if let Some(fatal) = &self.stopped {
            return Err(Fatal::new(fatal.code, fatal.message.clone()));
        }
        if let Some(verdict) = &self.verdict {
            let code = match verdict.outcome {
                Outcome::Damaged => ExitCode::JournalDamaged,
                Outcome::NewerFormat => ExitCode::NewerFormat,
                _ => return self.reached(extent),
            };
            let why = verdict.findings.first().map(|finding| finding.to_string());
            let what = format!(
                "the log cannot be read to its end: {}",
                why.unwrap_or_default()
            );
            return Err(Fatal::new(code, what));
        }
        Ok(())
    }

    fn reached(&self, extent: &Extent) -> Result<(), Fatal> {
        let last = self.machine.last_sequence().0;
        match extent.until {
            Some(until) if until > last => {
                let what = format!("the log ends at sequence {last}, before {until}");
                Err(Fatal::new(ExitCode::CheckFailed, what))
            }
            _ => Ok(()),
        }
    }
}

/// Applies the log, as far as `extent` says, to a fresh state machine.
pub fn replay<S: LogSink>(
    opened: &Opened,
    extent: &Extent,
    sink: S,
) -> Result<(Replayed, S), Failure> {
    let begin = start::begin(opened, extent)?;
    let mut sink = sink;
    if begin.tail.index > 0 {
        sink.begin(&begin.replayer.machine)?;
    }
    let (from, first_sequence) = (begin.tail, begin.tail.next_sequence);
    let mut run = Run {
        replayer: begin.replayer,
        sink,
        until: extent.until.unwrap_or(u64::MAX),
        until_time: extent.until_time.unwrap_or(Utc(u64::MAX)),
        until_index: extent.until_index.unwrap_or(u64::MAX),
        cut_batch: None,
        done: extent.until.is_some_and(|until| until < first_sequence),
        stopped: None,
        last: None,
    };
    let mut progress = Progress::new("replayed");
    let tail = segments(opened, from, &mut run, &mut progress)?;
    let mut verdict = None;
    let mut log_buffer_batches = 0;
    if !run.done {
        let judged = verdict::judge(opened, &tail, run.last.as_ref(), None)?;
        if !extent.segments_only {
            let last_index = judged.tail.index;
            let reached = verdict::ahead(opened, tail, last_index, |batch| {
                let before = run.replayer.batches;
                if !run.done {
                    run.apply(batch)?;
                }
                log_buffer_batches += run.replayer.batches - before;
                Ok(())
            })?;
            if !run.done && reached.index < last_index {
                run.stopped = Some(unreachable_fatal(opened, &reached, &judged));
            }
        }
        verdict = Some(judged);
    }
    let elapsed = progress.elapsed();
    let replayed = Replayed {
        batches: run.replayer.batches,
        records: run.replayer.records,
        digests_compared: run.replayer.digests_compared,
        digests_too_old: run.replayer.digests_too_old,
        machine: run.replayer.machine,
        log_buffer_batches,
        cut_batch: run.cut_batch,
        verdict,
        stopped: run.stopped,
        elapsed,
    };
    Ok((replayed, run.sink))
}

/// The log breaks before a snapshot behind which a start would begin.
fn unreachable_fatal(opened: &Opened, reached: &LogTail, verdict: &Verdict) -> Fatal {
    let what = format!(
        "the log breaks behind sequence {} and goes on to {}: `journal verify` says where; \
         --from-snapshot {} begins behind it",
        reached.next_sequence - 1,
        verdict.tail.next_sequence - 1,
        opened.newest_snapshot().map_or(0, |facts| facts.tail.index)
    );
    Fatal::new(ExitCode::JournalDamaged, what)
}

/// Everything that the segments hold. Returns the tail behind it.
fn segments<S: LogSink>(
    opened: &Opened,
    from: LogTail,
    run: &mut Run<S>,
    progress: &mut Progress,
) -> Result<LogTail, Failure> {
    let durable = opened
        .is_live()
        .then(|| opened.usable_log_buffer())
        .flatten();
    let until = durable.map_or(LogPosition(u64::MAX), |buffer| buffer.durable_position);
    let total = opened.segments.len() as u64 * opened.meta.segment_data_length;
    let options = ReadOptions {
        from,
        ..ReadOptions::ALL
    };
    let mut reader = opened.reader(options);
    let mut count = 0u64;
    let mut tail = from;
    while !run.done {
        let next = reader.next_batch().map_err(|e| read_fatal(&e))?;
        // What a running node is writing just now comes from its log buffer.
        let Some(batch) = next.filter(|batch| batch.end() <= until) else {
            break;
        };
        run.apply(&batch)?;
        tail = LogTail::after(&batch.header, batch.position);
        count += 1;
        if count.is_multiple_of(BATCHES_A_TICK) {
            progress.tick(tail.position.0, total, run.replayer.records);
        }
    }
    Ok(tail)
}

struct Run<S> {
    replayer: Replayer,
    sink: S,
    /// Last sequence to apply.
    until: u64,
    /// Time of the last batch to apply.
    until_time: Utc,
    /// Index of the last batch to apply.
    until_index: u64,
    cut_batch: Option<(u32, u32)>,
    done: bool,
    stopped: Option<Fatal>,
    last: Option<BatchHeader>,
}

impl<S: LogSink> Run<S> {
    #[inline]
    fn apply(&mut self, batch: &BatchView<'_>) -> Result<(), Failure> {
        let header = &batch.header;
        if Utc(header.timestamp) > self.until_time || header.index > self.until_index {
            self.done = true;
            return Ok(());
        }
        self.sink.batch(header);
        let whole = header.next_sequence() - 1 <= self.until;
        let result = if whole {
            self.replayer.apply(batch, &mut self.sink)
        } else {
            self.apply_prefix(batch)
        };
        self.last = Some(*header);
        self.done = header.next_sequence() > self.until;
        if let Err(fatal) = result {
            self.stopped = Some(fatal);
            self.done = true;
            return Ok(());
        }
        self.sink.batch_applied(&self.replayer.machine)
    }

    /// The first records of a batch are a legal batch of their own, at the same index and time: the state
    /// is what the machine's was between two of the batch's records.
    fn apply_prefix(&mut self, batch: &BatchView<'_>) -> Result<(), Fatal> {
        let header = &batch.header;
        let wanted = (self.until + 1 - header.first_sequence.min(self.until + 1)) as u32;
        if wanted == 0 {
            return Ok(());
        }
        let mut info = batch_info(header)?;
        info.record_count = wanted;
        let mut rest = batch.body();
        for _ in 0..wanted {
            let parsed = Record::parse(rest);
            let malformed = |error| {
                let what = format!("batch {}: {error}; verify the journal", header.index);
                Fatal::new(ExitCode::JournalDamaged, what)
            };
            rest = parsed.map_err(malformed)?.1;
        }
        let prefix = &batch.body()[..batch.body().len() - rest.len()];
        let applied = self.replayer.machine.apply(&info, prefix, &mut self.sink);
        applied.map_err(|error| apply_fatal(&error))?;
        self.replayer.batches += 1;
        self.replayer.records += u64::from(wanted);
        self.cut_batch = Some((wanted, header.record_count));
        Ok(())
    }
}
