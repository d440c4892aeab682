//! The sequencer: merges the rings of gateways and operator into one order and closes batches.
//!
//! Batches come from draining, never from waiting: a batch is closed when input runs out or a bound is
//! met. The merge is round robin, a bounded number of records a turn, so that no ring starves another.
//! `Sequencer` is a plain state machine over [`BatchLog`]; `SequencerAgent` is its shell.

use crate::agent::{Agent, Now};
use crate::clock::{BatchClock, WallClock};
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::{ExitCode, Fatal};
use crate::ring::Consumer;
use crate::status::{Applied, Status};
use lockstep_record::batch::BatchKind;
use lockstep_record::{LogIndex, Record, Sequence, Term, Timestamp};
use std::sync::Arc;

/// Records taken from one ring before the next has its turn.
const TURN_RECORDS: u32 = 32;

/// What the sequencer says of a batch when it closes it.
#[derive(Clone, Copy, Debug)]
pub struct BatchSeal {
    pub kind: BatchKind,
    pub term: Term,
    pub index: LogIndex,
    pub first_sequence: Sequence,
    pub timestamp: Timestamp,
    pub commit_index: LogIndex,
    pub applied: Applied,
    pub feature_set_version: u64,
}

/// The head of the log; the log buffer's appender implements it.
pub trait BatchLog: Send {
    /// Opens a batch of up to `body_max` bytes; false while the log buffer is full.
    fn begin(&mut self, body_max: usize) -> bool;
    /// Copies a record behind the last one; false if the batch has no room for it.
    fn push(&mut self, record: &[u8]) -> bool;
    /// Publishes the open batch.
    fn seal(&mut self, seal: &BatchSeal);
    /// Drops the open batch.
    fn erase(&mut self);
}

/// Where the log goes on.
#[derive(Clone, Copy, Debug)]
pub struct LogTail {
    pub term: Term,
    pub next_index: LogIndex,
    pub next_sequence: Sequence,
}

#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    pub records_max: u32,
    pub bytes_max: usize,
}

#[derive(Debug)]
struct SequencerCounters {
    batches: Counter,
    records: Counter,
    log_full: Counter,
    malformed: Counter,
    leaps: Counter,
}

#[derive(Debug)]
pub struct Sequencer<L, C> {
    log: L,
    clock: BatchClock<C>,
    inputs: Vec<Consumer>,
    turn: usize,
    tail: LogTail,
    bounds: BatchBounds,
    status: Arc<Status>,
    stopped: bool,
    counters: SequencerCounters,
}

impl<L: BatchLog, C: WallClock> Sequencer<L, C> {
    pub fn new(
        log: L,
        clock: BatchClock<C>,
        inputs: Vec<Consumer>,
        tail: LogTail,
        bounds: BatchBounds,
        status: Arc<Status>,
        counters: &Counters,
    ) -> Self {
        Self {
            log,
            clock,
            inputs,
            turn: 0,
            tail,
            bounds,
            status,
            stopped: false,
            counters: SequencerCounters {
                batches: counters.counter(CounterId::Batches),
                records: counters.counter(CounterId::Records),
                log_full: counters.counter(CounterId::LogBufferFull),
                malformed: counters.counter(CounterId::RecordsMalformed),
                leaps: counters.counter(CounterId::ClockLeaps),
            },
        }
    }

    /// One duty cycle: at most one batch. Returns the records put in order.
    pub fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        let deadline_due = self.deadline_is_due();
        if !deadline_due && !self.has_input() {
            return Ok(0);
        }
        if !self.log.begin(self.bounds.bytes_max) {
            self.counters.log_full.add(1);
            return Ok(0);
        }
        let records = self.drain_inputs();
        if records == 0 && !deadline_due {
            self.log.erase();
            return Ok(0);
        }
        self.seal(BatchKind::Commands, records, now)?;
        // The space in the rings is given back only now that the log has the bytes.
        for input in &mut self.inputs {
            input.publish();
        }
        Ok(records as usize + usize::from(deadline_due))
    }

    /// Seals an empty batch of a kind that carries no records; false while the log buffer is full.
    pub fn seal_empty(&mut self, kind: BatchKind, now: Now) -> Result<bool, Fatal> {
        if !self.log.begin(0) {
            return Ok(false);
        }
        self.seal(kind, 0, now)?;
        Ok(true)
    }

    fn has_input(&mut self) -> bool {
        self.inputs.iter_mut().any(|input| input.peek().is_some())
    }

    /// An idle leader emits an empty batch when the state machine's next deadline is due.
    fn deadline_is_due(&self) -> bool {
        self.status.next_deadline().is_some_and(|at| self.clock.wall() >= at)
    }

    fn drain_inputs(&mut self) -> u32 {
        let mut records = 0;
        let mut idle_inputs = 0;
        while idle_inputs < self.inputs.len() {
            let input = &mut self.inputs[self.turn];
            let mut turn_records = 0;
            while turn_records < TURN_RECORDS {
                if records == self.bounds.records_max {
                    return records;
                }
                let Some(frame) = input.peek() else { break };
                // A ring may be written by another process: nothing unchecked enters the log.
                match Record::parse(frame.payload) {
                    Ok((_, [])) => {
                        if !self.log.push(frame.payload) {
                            return records;
                        }
                        records += 1;
                        turn_records += 1;
                    }
                    Ok(_) | Err(_) => self.counters.malformed.add(1),
                }
                input.advance();
            }
            idle_inputs = if turn_records == 0 { idle_inputs + 1 } else { 0 };
            self.turn = (self.turn + 1) % self.inputs.len();
        }
        records
    }

    fn seal(&mut self, kind: BatchKind, records: u32, now: Now) -> Result<(), Fatal> {
        let timestamp = self.clock.stamp(now.monotonic_ns).map_err(|leap| {
            self.counters.leaps.add(1);
            let what = format!(
                "the wall clock leapt by {} ms against the monotonic clock; mend time \
                 synchronisation and start again",
                leap.by_ns / 1_000_000
            );
            Fatal::new(ExitCode::Clock, what)
        })?;
        self.log.seal(&BatchSeal {
            kind,
            term: self.tail.term,
            index: self.tail.next_index,
            first_sequence: self.tail.next_sequence,
            timestamp,
            commit_index: self.status.commit_index(),
            applied: self.status.applied(),
            feature_set_version: 0,
        });
        self.tail.next_index.0 += 1;
        self.tail.next_sequence.0 += u64::from(records);
        self.counters.batches.add(1);
        self.counters.records.add(u64::from(records));
        Ok(())
    }
}

/// Runs a sequencer: term start first, clean stop last.
#[derive(Debug)]
pub struct SequencerAgent<L, C> {
    sequencer: Sequencer<L, C>,
    started: bool,
}

impl<L: BatchLog, C: WallClock> SequencerAgent<L, C> {
    pub fn new(sequencer: Sequencer<L, C>) -> Self {
        Self { sequencer, started: false }
    }
}

impl<L: BatchLog, C: WallClock> Agent for SequencerAgent<L, C> {
    fn name(&self) -> &'static str {
        "sequencer"
    }

    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        if !self.started {
            self.started = self.sequencer.seal_empty(BatchKind::TermStart, now)?;
            return Ok(1);
        }
        self.sequencer.do_work(now)
    }

    fn on_stop(&mut self, now: Now) -> Result<bool, Fatal> {
        if self.sequencer.stopped {
            return Ok(true);
        }
        if self.sequencer.has_input() {
            return Ok(false);
        }
        self.sequencer.stopped = self.sequencer.seal_empty(BatchKind::CleanStop, now)?;
        Ok(self.sequencer.stopped)
    }
}
