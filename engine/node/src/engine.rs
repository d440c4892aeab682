//! The engine agent: applies committed batches to the state machine, straight from the log buffer.
//!
//! It applies nothing that is not committed, and no further batch while events of the last one wait
//! for room in the egress ring.

use crate::admin::desk::Inquiries;
use crate::agent::{Agent, Now};
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::{ExitCode, Fatal};
use crate::sink::EgressSink;
use crate::status::{Applied, FinalState, Status};
use lockstep_core::{ApplyError, StateMachine};
use lockstep_journal::{BatchHeader, LogBuffer, LogBufferReader};
use lockstep_net::Waker;
use lockstep_record::batch::BatchKind;
use lockstep_record::{BatchInfo, LogIndex, Sequence, Term, Timestamp};
use std::sync::Arc;

/// Batches applied in one duty cycle, so that a fused thread's gateway is not starved.
const BATCHES_MAX: usize = 64;

#[derive(Debug)]
struct EngineCounters {
    index: Counter,
    sequence: Counter,
    events: Counter,
    egress_full: Counter,
    open_orders: Counter,
}

pub struct EngineAgent {
    machine: StateMachine,
    log: LogBufferReader,
    buffer: Arc<LogBuffer>,
    sink: EgressSink,
    status: Arc<Status>,
    inquiries: Arc<Inquiries>,
    /// Of a gateway that parks on another thread.
    waker: Option<Waker>,
    counters: EngineCounters,
}

impl std::fmt::Debug for EngineAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineAgent")
            .field("index", &self.machine.last_index())
            .finish_non_exhaustive()
    }
}

impl EngineAgent {
    pub fn new(
        machine: StateMachine,
        log: LogBufferReader,
        buffer: Arc<LogBuffer>,
        sink: EgressSink,
        status: Arc<Status>,
        inquiries: Arc<Inquiries>,
        counters: &Counters,
    ) -> Self {
        Self {
            machine,
            log,
            buffer,
            sink,
            status,
            inquiries,
            waker: None,
            counters: EngineCounters {
                index: counters.counter(CounterId::AppliedIndex),
                sequence: counters.counter(CounterId::AppliedSequence),
                events: counters.counter(CounterId::Events),
                egress_full: counters.counter(CounterId::EgressFull),
                open_orders: counters.counter(CounterId::OpenOrders),
            },
        }
    }

    /// With a gateway on another thread to wake when there is something to send.
    pub fn with_waker(mut self, waker: Option<Waker>) -> Self {
        self.waker = waker;
        self
    }

    fn publish_status(&self) {
        let applied = Applied {
            index: self.machine.last_index(),
            digest: self.machine.digest(),
        };
        let sequence = self.machine.last_sequence();
        self.status
            .set_applied(applied, sequence, self.machine.next_deadline());
        self.counters.index.set(applied.index.0);
        self.counters.sequence.set(sequence.0);
        self.counters.events.set(self.sink.events());
        self.counters.egress_full.set(self.sink.full());
        self.counters
            .open_orders
            .set(u64::from(self.machine.open_order_count()));
    }
}

impl Agent for EngineAgent {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn do_work(&mut self, _: Now) -> Result<usize, Fatal> {
        let mut applied = 0;
        while applied < BATCHES_MAX && self.sink.drain() {
            let Some(batch) = self.log.next_committed() else {
                break;
            };
            let info = batch_info(&batch.header)?;
            self.machine
                .apply(&info, batch.body(), &mut self.sink)
                .map_err(|e| apply_fatal(&e))?;
            applied += 1;
        }
        if applied != 0 {
            self.publish_status();
            if let Some(waker) = &self.waker {
                waker.wake();
            }
        }
        // Between two batches, at most one: the state is whole, and nothing waits behind it for long.
        Ok(applied + self.inquiries.answer(&self.machine))
    }

    fn on_stop(&mut self, _: Now) -> Result<bool, Fatal> {
        let all = self.log.position() == self.buffer.published_position();
        if all {
            self.log.release();
        }
        let finished = all && self.sink.drain();
        if finished && self.status.final_state().is_none() {
            self.status.set_final(FinalState {
                hash: self.machine.state_hash(),
                sequence: self.machine.last_sequence(),
            });
        }
        Ok(finished)
    }

    fn awaits(&self) -> String {
        let (position, published) = (self.log.position().0, self.buffer.published_position().0);
        format!(
            "{} bytes of the log to be applied, and room for {} bytes of events",
            published - position,
            self.sink.spilled_length()
        )
    }
}

/// What the state machine is told of a batch.
pub fn batch_info(header: &BatchHeader) -> Result<BatchInfo, Fatal> {
    let kind = BatchKind::from_u8(header.kind).ok_or_else(|| {
        let what = format!(
            "batch {} is of kind {}: a newer binary wrote it",
            header.index, header.kind
        );
        Fatal::new(ExitCode::NewerFormat, what)
    })?;
    Ok(BatchInfo {
        kind,
        term: Term(header.term),
        index: LogIndex(header.index),
        first_sequence: Sequence(header.first_sequence),
        record_count: header.record_count,
        timestamp: Timestamp(header.timestamp),
        feature_set_version: header.feature_set_version,
    })
}

/// The state machine refuses a batch: this node must not go on.
pub fn apply_fatal(error: &ApplyError) -> Fatal {
    let code = match error {
        ApplyError::BoundsExceedNode { .. } => ExitCode::BoundsExceedNode,
        ApplyError::HaltPolicy { .. } => ExitCode::NewerFormat,
        _ => ExitCode::JournalDamaged,
    };
    Fatal::new(code, format!("the state machine stopped: {error}"))
}
