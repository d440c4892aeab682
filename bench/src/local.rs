//! The state machine in this process, without journal, sockets or other threads, behind OUCH messages.
//!
//! What a replay or a flow does to it is what it does to a venue, less the wire and the log: a check of
//! one against the other, and a venue for tests. It must never be taken for a venue: it acknowledges
//! what it would forget.

use crate::market::link::{LinkError, VenueLink};
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    DayOpen, DefineFirm, DefineInstrument, DefineSession, Login, SetBounds,
};
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::{
    BatchInfo, Body, ConnectionEpoch, LogIndex, RECORD_LENGTH_MAX, RecordWriter, Sequence,
    SessionId, Source, Term, Timestamp,
};
use lockstep_wire::ouch::{Inbound, OUTBOUND_LENGTH_MAX, encode_event};
use std::collections::VecDeque;

/// 2026-01-02 00:00:00 UTC, ns since the Unix epoch: the one day that it knows.
const MIDNIGHT: u64 = 1_767_312_000_000_000_000;
const DATE: u32 = 20_260_102;
/// Each batch is a microsecond after the last.
const BATCH_NS: u64 = 1_000;

/// Bounds of a local venue.
#[derive(Clone, Copy, Debug)]
pub struct LocalLimits {
    pub open_orders_max: u32,
    pub price_levels_max: u32,
}

impl Default for LocalLimits {
    fn default() -> Self {
        Self {
            open_orders_max: 1 << 16,
            price_levels_max: 1 << 12,
        }
    }
}

impl LocalLimits {
    /// Room for so many live orders, each at a price of its own; at least the default.
    pub fn for_live_orders(live: usize) -> Self {
        let least = Self::default();
        let wanted = u32::try_from(live.saturating_add(1)).unwrap_or(u32::MAX);
        Self {
            open_orders_max: wanted.max(least.open_orders_max),
            price_levels_max: wanted.max(least.price_levels_max),
        }
    }
}

#[repr(align(8))]
struct Record([u8; RECORD_LENGTH_MAX]);

/// Answers as the sessions would hear them.
#[derive(Debug, Default)]
struct Answers {
    queue: VecDeque<(usize, Vec<u8>)>,
    epochs: Vec<ConnectionEpoch>,
}

impl EventSink for Answers {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let mut bytes = vec![0; OUTBOUND_LENGTH_MAX];
        let length = encode_event(to, &event, &mut bytes);
        bytes.truncate(length);
        self.queue.push_back((to.session.0 as usize - 1, bytes));
    }

    fn control(&mut self, control: &Control) {
        if let Control::LoginAccepted { session, epoch, .. } = control {
            self.epochs[session.0 as usize - 1] = *epoch;
        }
    }
}

/// A state machine with an open day, sessions and instruments.
#[allow(missing_debug_implementations)]
pub struct LocalVenue {
    machine: StateMachine,
    answers: Answers,
    index: u64,
    sequence: u64,
}

impl LocalVenue {
    /// Defines a firm, these users (sessions 0.. in their order, all logged in) and these symbols with
    /// tick and lot 1, and opens the day.
    pub fn new(
        users: &[[u8; 6]],
        symbols: &[[u8; 8]],
        limits: LocalLimits,
    ) -> Result<Self, ApplyError> {
        let mut venue = Self {
            machine: StateMachine::new(Capacity::default()),
            answers: Answers {
                queue: VecDeque::new(),
                epochs: vec![ConnectionEpoch(0); users.len()],
            },
            index: 0,
            sequence: 0,
        };
        venue.define(users, symbols, limits)?;
        venue.command(&DayOpen {
            midnight: MIDNIGHT,
            date: DATE,
            session_name: *b"     LOCAL",
            _reserved: [0; 10],
        })?;
        for (number, user) in (1..).zip(users) {
            venue.log_in(number, *user)?;
        }
        Ok(venue)
    }

    fn define(
        &mut self,
        users: &[[u8; 6]],
        symbols: &[[u8; 8]],
        limits: LocalLimits,
    ) -> Result<(), ApplyError> {
        self.command(&SetBounds {
            open_orders_max: limits.open_orders_max,
            instruments_max: (symbols.len() as u32).max(1),
            sessions_max: (users.len() as u32).max(1),
            firms_max: 1,
            price_levels_max: limits.price_levels_max,
            _reserved: [0; 12],
        })?;
        let code = *b"LOCL";
        self.command(&DefineFirm { firm: 1, code })?;
        for (instrument, symbol) in (1..).zip(symbols) {
            self.command(&DefineInstrument {
                symbol: *symbol,
                instrument,
                tick_size: 1,
                lot_size: 1,
                _reserved: [0; 12],
            })?;
        }
        for (session, user) in (1..).zip(users) {
            self.command(&DefineSession {
                session,
                firm: 1,
                user: *user,
                cancel_on_disconnect: 0,
                order_entry: 1,
                _reserved: [0; 8],
            })?;
        }
        Ok(())
    }

    /// SHA-256 over the whole state.
    pub fn state_hash(&self) -> [u8; 32] {
        self.machine.state_hash()
    }

    pub fn machine(&self) -> &StateMachine {
        &self.machine
    }

    /// Applies one OUCH message of a session (from 0) as a batch of its own.
    pub fn submit(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError> {
        let refused = |reason: String| LinkError::Refused { session, reason };
        let request = Inbound::parse(message).map_err(|error| refused(error.to_string()))?;
        let Some(epoch) = self.answers.epochs.get(session) else {
            return Err(refused("there is no such session".to_owned()));
        };
        let source = Source {
            session: SessionId(session as u32 + 1),
            epoch: *epoch,
            ..Source::default()
        };
        let mut record = Record([0; RECORD_LENGTH_MAX]);
        let length = request.write_record(source, &mut record.0);
        self.apply(&record, length)
            .map_err(|error| refused(error.to_string()))
    }

    /// The oldest answer not taken yet: session (from 0) and OUCH message.
    pub fn take_answer(&mut self) -> Option<(usize, Vec<u8>)> {
        self.answers.queue.pop_front()
    }

    fn command<B: Body>(&mut self, body: &B) -> Result<(), ApplyError> {
        let mut record = Record([0; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut record.0, Source::default(), body).finish();
        self.apply(&record, length)
    }

    fn log_in(&mut self, session: u32, user: [u8; 6]) -> Result<(), ApplyError> {
        let login = Login {
            connection: u64::from(session),
            requested_number: 0,
            peer_address: [0; 16],
            peer_port: 0,
            user,
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        };
        let source = Source {
            session: SessionId(session),
            ..Source::default()
        };
        let mut record = Record([0; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut record.0, source, &login).finish();
        self.apply(&record, length)
    }

    fn apply(&mut self, record: &Record, length: usize) -> Result<(), ApplyError> {
        self.index += 1;
        let batch = BatchInfo {
            kind: BatchKind::Commands,
            term: Term(1),
            index: LogIndex(self.index),
            first_sequence: Sequence(self.sequence + 1),
            record_count: 1,
            timestamp: Timestamp(MIDNIGHT + 1 + self.index * BATCH_NS),
            feature_set_version: 0,
        };
        self.sequence += 1;
        self.machine
            .apply(&batch, &record.0[..length], &mut self.answers)
    }
}

impl VenueLink for LocalVenue {
    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError> {
        self.submit(session, message)
    }

    fn poll(&mut self, answer: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError> {
        let mut count = 0;
        while let Some((session, bytes)) = self.answers.queue.pop_front() {
            answer(session, &bytes);
            count += 1;
        }
        Ok(count)
    }
}
