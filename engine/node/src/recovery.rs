//! From folder and log buffer to a state machine and an open log.

use crate::config::Config;
use crate::fatal::{ExitCode, Fatal};
use crate::journal::{folder_fatal, hard_state_fatal, journal_policy, storage_code};
use crate::node::journal_folder;
use crate::replay::Replayer;
use crate::stream::StreamSink;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::{HardState, HardStateFile, JournalFolder, OpenOptions};
use lockstep_journal::log_buffer::LogBufferOptions;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::segment::{SegmentPreparer, SegmentSupply};
use lockstep_journal::storage::{DirectStorage, Storage};
use lockstep_journal::stream::{StreamReader, StreamWriter};
use lockstep_journal::writer::JournalWriter;
use lockstep_journal::{Appender, BootId, LogBuffer, LogBufferReader, LogTail};
use std::sync::Arc;
use std::time::Instant;

/// A recovered node, before any thread.
#[derive(Debug)]
pub struct Recovered {
    pub machine: StateMachine,
    pub log: OpenLog,
    pub streams: StreamWriter,
    pub reader: StreamReader,
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
    hard_state: HardStateFile<DirectStorage>,
    state: HardState,
    buffer: Arc<LogBuffer>,
    _folder: JournalFolder<DirectStorage>,
}

impl Finish {
    /// After an orderly stop nothing depends on the log buffer any more: say so.
    pub fn orderly(mut self) -> Result<(), Fatal> {
        let state = HardState {
            commit_index: self.buffer.commit_index(),
            log_buffer_id: lockstep_journal::LogBufferId::default(),
            boot_id: BootId::default(),
            ..self.state
        };
        self.hard_state
            .store(&state)
            .map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
        let _ = std::fs::remove_file(self.buffer.path());
        Ok(())
    }
}

pub fn recover(config: &Config, report: fn(&str)) -> Result<Recovered, Fatal> {
    let storage = DirectStorage::open(&journal_folder(config)).map_err(|e| {
        let hint = "make the journal with `lockstep format --config FILE`, once";
        Fatal::new(storage_code(&e), format!("{e}; {hint}"))
    })?;
    let options = OpenOptions {
        policy: journal_policy(config.acknowledge.policy),
        allow_volatile: config.acknowledge.allow_volatile,
    };
    let folder = JournalFolder::open(storage.clone(), options).map_err(|e| folder_fatal(&e))?;
    let meta = *folder.meta();
    let begun = Instant::now();
    let mut replayer = Replayer::new(StateMachine::new(Capacity::default()));
    let mut streams = StreamWriter::new(
        &crate::node::stream_folder(config),
        Capacity::default().sessions_max as usize + 1,
    )
    .map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
    let mut sink = StreamSink::new(&mut streams);
    let mut reader = JournalReader::new(storage.clone(), &meta, ReadOptions::ALL);
    while let Some(batch) = reader
        .next_batch()
        .map_err(|e| Fatal::new(ExitCode::JournalDamaged, e.to_string()))?
    {
        replayer.apply(&batch, &mut sink)?;
    }
    let tail = *reader.tail();
    report(&format!(
        "recovered {} batches, {} records in {:?}",
        replayer.batches,
        replayer.records,
        begun.elapsed()
    ));
    let names = storage
        .list()
        .map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
    let prepared = names.iter().filter(|n| n.ends_with(".segment")).count() as u64;
    let mut hard_state = HardStateFile::open(&storage, &meta).map_err(|e| hard_state_fatal(&e))?;
    let path = config
        .data
        .log_buffer
        .clone()
        .unwrap_or_else(|| LogBuffer::default_path(meta.journal_id));
    let position = tail.position;
    let within = (position.0 - position.block_floor().0) as usize;
    let prefix = if within == 0 {
        Vec::new()
    } else {
        let segment = position.block_floor().segment(meta.segment_data_length);
        let name = lockstep_journal::segment::segment_name(segment);
        let bytes = storage
            .map(&name)
            .map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
        let at = 4096
            + position
                .block_floor()
                .offset_in_segment(meta.segment_data_length) as usize;
        bytes[at..at + within].to_vec()
    };
    let buffer = LogBuffer::create(
        &LogBufferOptions {
            path,
            ring_length: config.journal.log_buffer_bytes,
            cluster_id: meta.cluster_id,
            journal_id: meta.journal_id,
            segment_data_length: meta.segment_data_length,
        },
        &tail,
        &prefix,
    )
    .map_err(|e| Fatal::new(ExitCode::Setup, e.to_string()))?;
    let state = HardState {
        term: hard_state.state().term.max(tail.term) + 1,
        vote: 0,
        commit_index: tail.index,
        log_buffer_id: buffer.identity().log_buffer_id,
        boot_id: buffer.identity().boot_id,
    };
    hard_state
        .store(&state)
        .map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
    let setup = |e: lockstep_journal::LogBufferError| Fatal::new(ExitCode::Setup, e.to_string());
    let consensus_reader = buffer.reader().map_err(setup)?;
    let engine_reader = buffer.reader().map_err(setup)?;
    let supply = SegmentSupply::new(prepared);
    let writer = JournalWriter::new(
        &folder,
        Arc::clone(&buffer),
        journal_policy(config.acknowledge.policy),
        Arc::clone(&supply),
    );
    let preparer = SegmentPreparer::new(storage, meta, supply);
    let appender = buffer.appender(meta.lineage).map_err(setup)?;
    let stream_reader = streams.reader();
    Ok(Recovered {
        machine: replayer.machine,
        log: OpenLog {
            term: state.term,
            tail,
            buffer: Arc::clone(&buffer),
            appender,
            consensus_reader,
            engine_reader,
            writer,
            preparer,
        },
        streams,
        reader: stream_reader,
        finish: Finish {
            hard_state,
            state,
            buffer,
            _folder: folder,
        },
    })
}
