//! From folder and log buffer to a state machine and an open log.
//!
//! The journal decides what the log is (docs/journal-format.md, "Torn or corrupt"); here it is replayed,
//! the day's stream files are made again, and a new term begins.

use crate::config::Config;
use crate::fatal::Fatal;
use crate::journal::{journal_policy, log_buffer_fatal, open_fatal, read_fatal, storage_fatal};
use crate::node::{journal_folder, stream_folder};
use crate::replay::Replayer;
use crate::stream::{StreamSink, StreamStore};
use crate::streams::{DayReaders, DayStreams};
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::OpenOptions;
use lockstep_journal::journal::{Journal, StartOptions};
use lockstep_journal::segment::SegmentPreparer;
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::writer::JournalWriter;
use lockstep_journal::{Appender, LogBuffer, LogBufferReader, LogTail};
use lockstep_record::{Kind, Record};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A recovered node, before any thread.
#[derive(Debug)]
pub struct Recovered {
    pub machine: StateMachine,
    pub log: OpenLog,
    pub streams: DayStreams,
    pub reader: DayReaders,
    pub finish: Finish,
}

/// The log, open for appending.
#[derive(Debug)]
pub struct OpenLog {
    pub term: u64,
    pub tail: LogTail,
    pub buffer: Arc<LogBuffer>,
    pub appender: Appender,
    pub consensus_reader: LogBufferReader,
    pub engine_reader: LogBufferReader,
    pub writer: JournalWriter<DirectStorage>,
    pub preparer: SegmentPreparer<DirectStorage>,
}

/// What is left to do when everything has stopped in order. Holds the journal's lock until then.
#[derive(Debug)]
pub struct Finish {
    journal: Journal<DirectStorage>,
}

impl Finish {
    /// After an orderly stop nothing depends on the log buffer any more: say so, and remove it.
    pub fn orderly(mut self) -> Result<(), Fatal> {
        let commit_index = self.journal.buffer.commit_index();
        self.journal
            .stopped(commit_index)
            .map_err(|e| storage_fatal(&e))?;
        // Only memory is wasted if that fails; the next start takes it over.
        let _ = std::fs::remove_file(self.journal.buffer.path());
        Ok(())
    }
}

/// Recovers the journal of a configuration; `report` is told what an operator should know.
pub fn recover(config: &Config, report: fn(&str)) -> Result<Recovered, Fatal> {
    let begun = Instant::now();
    let storage = DirectStorage::open(&journal_folder(config)).map_err(|e| {
        let fatal = storage_fatal(&e);
        let hint = "`lockstep format --config FILE` makes a journal, once";
        Fatal::new(fatal.code, format!("{}; {hint}", fatal.message))
    })?;
    let options = StartOptions {
        open: OpenOptions {
            policy: journal_policy(config.acknowledge.policy),
            allow_volatile: config.acknowledge.allow_volatile,
        },
        log_buffer_path: config.data.log_buffer.clone(),
        ring_length: config.journal.log_buffer_bytes,
        from: LogTail::EMPTY,
        witness_index: 0,
    };
    let journal = Journal::open(&storage, &options).map_err(|e| open_fatal(&e))?;
    for finding in &journal.recovery.findings {
        report(&format!("recovery: {finding}"));
    }
    let mut streams = DayStreams::new(&stream_folder(config))?;
    let machine = replay(&journal, &mut streams, report, begun)?;
    let reader = streams.readers();
    let (log, finish) = open_log(journal)?;
    Ok(Recovered {
        machine,
        log,
        streams,
        reader,
        finish,
    })
}

/// Replays everything and makes the current day's stream files again.
fn replay(
    journal: &Journal<DirectStorage>,
    streams: &mut DayStreams,
    report: fn(&str),
    begun: Instant,
) -> Result<StateMachine, Fatal> {
    let day_index = last_day_open(journal)?;
    let mut replayer = Replayer::new(StateMachine::new(Capacity::default()));
    let mut sink = StreamSink::new(streams);
    let mut reader = journal.reader(LogTail::EMPTY);
    let mut progress = Progress::new(begun, journal.recovery.record_count, report);
    while let Some(batch) = reader.next_batch().map_err(|e| read_fatal(&e))? {
        // Nobody can ask for an earlier day's messages: only the last day's are written.
        sink.writing = day_index.is_some_and(|index| batch.header.index >= index);
        replayer.apply(&batch, &mut sink)?;
        if let Some(fatal) = sink.failure.take() {
            return Err(fatal);
        }
        progress.advance(replayer.records);
    }
    StreamStore::flush(streams)?;
    report(&format!(
        "recovered {} records in {} batches in {} ms; {} digests compared",
        replayer.records,
        replayer.batches,
        begun.elapsed().as_millis(),
        replayer.digests_compared
    ));
    Ok(replayer.machine)
}

/// Index of the batch that holds the last `DayOpen`.
fn last_day_open(journal: &Journal<DirectStorage>) -> Result<Option<u64>, Fatal> {
    let mut reader = journal.reader(LogTail::EMPTY);
    let mut last = None;
    while let Some(batch) = reader.next_batch().map_err(|e| read_fatal(&e))? {
        let mut rest = batch.body();
        while let Ok((record, more)) = Record::parse(rest) {
            if record.header().kind == Kind::DAY_OPEN {
                last = Some(batch.header.index);
            }
            rest = more;
        }
    }
    Ok(last)
}

/// Begins a term that no earlier run has had, and hands out the log's ends.
fn open_log(mut journal: Journal<DirectStorage>) -> Result<(OpenLog, Finish), Fatal> {
    let tail = journal.recovery.tail;
    // Synced before it is spoken of: no two runs ever seal batches in one term.
    let term = journal.begin_term().map_err(|e| storage_fatal(&e))?;
    let buffer = Arc::clone(&journal.buffer);
    let consensus_reader = buffer.reader().map_err(|e| log_buffer_fatal(&e))?;
    let engine_reader = buffer.reader().map_err(|e| log_buffer_fatal(&e))?;
    let lineage = journal.folder.meta().lineage;
    let appender = buffer.appender(lineage).map_err(|e| log_buffer_fatal(&e))?;
    let log = OpenLog {
        term,
        tail,
        buffer,
        appender,
        consensus_reader,
        engine_reader,
        writer: journal.writer(),
        preparer: journal.preparer(),
    };
    Ok((log, Finish { journal }))
}

/// A line now and then on long recoveries.
struct Progress {
    begun: Instant,
    total: u64,
    report: fn(&str),
    next: Duration,
}

impl Progress {
    const PERIOD: Duration = Duration::from_secs(2);

    fn new(begun: Instant, total: u64, report: fn(&str)) -> Self {
        Self {
            begun,
            total,
            report,
            next: Self::PERIOD,
        }
    }

    fn advance(&mut self, records: u64) {
        // Looking at the clock costs less than a batch, but not nothing.
        if !records.is_multiple_of(64) {
            return;
        }
        let elapsed = self.begun.elapsed();
        if elapsed >= self.next {
            self.next = elapsed + Self::PERIOD;
            (self.report)(&format!("replaying: {records} of {} records", self.total));
        }
    }
}
