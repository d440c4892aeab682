//! From folder and log buffer to a state machine and an open log.

use crate::config::Config;
use crate::fatal::{ExitCode, Fatal};
use crate::journal::{self, folder_fatal, hard_state_fatal, journal_policy, storage_code};
use crate::node::journal_folder;
use crate::replay::Replayer;
use crate::streams::{DayStreams, StreamReaders};
use crate::stream::StreamSink;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::{HardState, HardStateFile, JournalFolder, OpenOptions};
use lockstep_journal::log_buffer::LogBufferOptions;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::segment::{SegmentPreparer, SegmentSupply};
use lockstep_journal::storage::{DirectStorage, Storage};
use lockstep_journal::writer::JournalWriter;
use lockstep_journal::{Appender, BootId, LogBuffer, LogBufferReader, LogTail};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A recovered node, before any thread.
#[derive(Debug)]
pub struct Recovered {
    pub machine: StateMachine,
    pub log: OpenLog,
    pub streams: DayStreams,
    pub reader: StreamReaders,
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
        self.hard_state.store(&state).map_err(|e| Fatal::new(storage_code(&e), e.to_string()))?;
        let _ = std::fs::remove_file(self.buffer.path());
        Ok(())
    }
}
