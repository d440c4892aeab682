//! From folder and log buffer to a state machine and an open log.
//!
//! The journal decides what the log is (docs/journal-format.md, "Torn or corrupt"); here a snapshot is loaded,
//! the rest replayed, the day's stream files are made again, and a new term begins.

mod apply;
mod begin;
mod beside;

use crate::config::Config;
use crate::consensus::LogEnd;
use crate::fatal::Fatal;
use crate::journal::{folder_fatal, journal_policy, log_buffer_fatal, storage_fatal};
use crate::node::{journal_folder, stream_folder};
use crate::sequencer;
use crate::streams::{DayReaders, DayStreams, StreamLife};
use apply::Replay;
use lockstep_core::StateMachine;
use lockstep_core::inspect::SessionView;
use lockstep_journal::folder::{HardStateLoad, JournalFolder, JournalMeta, OpenOptions};
use lockstep_journal::journal::{Journal, StartOptions};
use lockstep_journal::segment::SegmentPreparer;
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::writer::JournalWriter;
use lockstep_journal::{Appender, LogBuffer, LogBufferReader, LogTail};
use lockstep_record::{LogIndex, Sequence, Term};
use std::sync::Arc;
use std::time::Instant;

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
    /// For those who follow the log from its segments.
    pub storage: DirectStorage,
    pub meta: JournalMeta,
}

impl OpenLog {
    /// End of what recovery has found: committed, for this node alone decides.
    pub fn end(&self) -> LogEnd {
        LogEnd {
            index: LogIndex(self.tail.index),
            position: self.tail.position.0,
        }
    }

    /// What the sequencer's first batch continues.
    pub fn next(&self) -> sequencer::LogTail {
        sequencer::LogTail {
            term: Term(self.term),
            next_index: LogIndex(self.tail.index + 1),
            next_sequence: Sequence(self.tail.next_sequence),
        }
    }
}

/// What is left to do when everything has stopped in order. Holds the journal's lock until then.
#[derive(Debug)]
pub struct Finish {
    journal: Journal<DirectStorage>,
    life: StreamLife,
}

impl Finish {
    /// After an orderly stop nothing depends on the log buffer any more: say so, and remove it.
    pub fn orderly(mut self) -> Result<(), Fatal> {
        let commit_index = self.journal.buffer.commit_index();
        self.journal
            .stopped(commit_index)
            .map_err(|e| storage_fatal(&e))?;
        let folder = &self.journal.folder;
        // Failing that, the next start takes longer.
        let _ = self.life.end(folder.storage(), folder.meta(), commit_index);
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
    let open = OpenOptions {
        policy: journal_policy(config.acknowledge.policy),
        allow_volatile: config.acknowledge.allow_volatile,
    };
    // The lock before anything is touched, the stream files included.
    let folder = JournalFolder::open(storage.clone(), open).map_err(|e| folder_fatal(&e))?;
    let mut streams = DayStreams::new(&stream_folder(config))?;
    let life = StreamLife::of(config);
    let wrote_last = |load: HardStateLoad| life.wrote_last(&load.state, &storage, folder.meta());
    if HardStateLoad::read(&storage, folder.meta()).is_ok_and(wrote_last) {
        streams.continue_files();
    }
    let begin = begin::begin(&storage, folder.meta(), &mut streams, &report)?;
    let snapshot_ms = begun.elapsed().as_millis();
    let options = StartOptions {
        open,
        log_buffer_path: config.data.log_buffer.clone(),
        ring_length: config.journal.log_buffer_bytes,
        from: begin.from,
        witness_index: begin.witness_index,
    };
    let (journal, machine) = if streams.is_continuing() {
        let replay = Replay::new(begin.replayer, &mut streams, report, begun);
        replay.run(folder, &options, snapshot_ms)?
    } else {
        let (mut beside, writer) = beside::pair();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| writer.run(&mut streams));
            let replay = Replay::new(begin.replayer, &mut beside, report, begun);
            let replayed = replay.run(folder, &options, snapshot_ms);
            drop(beside);
            match writing.join() {
                Ok(written) => written.and(replayed),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?
    };
    let sent = |session: SessionView| (session.session.0, session.next_outbound.0 - 1);
    streams.settle(machine.sessions().map(sent))?;
    // Failing that, the next start takes longer.
    let _ = life.begin(journal.buffer.identity().log_buffer_id);
    let reader = streams.readers();
    let (log, finish) = open_log(journal, life)?;
    report(&described(&log.buffer));
    Ok(Recovered {
        machine,
        log,
        streams,
        reader,
        finish,
    })
}

fn described(buffer: &LogBuffer) -> String {
    let locked = if buffer.memory_locked() {
        "locked"
    } else {
        "not locked (`ulimit -l` is too low)"
    };
    let (mib, memory) = (buffer.identity().ring_length >> 20, buffer.memory());
    format!("log buffer: {mib} MiB, {locked}, in {memory}")
}

/// Begins a term that no earlier run has had, and hands out the log's ends.
fn open_log(
    mut journal: Journal<DirectStorage>,
    life: StreamLife,
) -> Result<(OpenLog, Finish), Fatal> {
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
        storage: journal.folder.storage().clone(),
        meta: *journal.folder.meta(),
    };
    Ok((log, Finish { journal, life }))
}

#[cfg(test)]
mod tests;
