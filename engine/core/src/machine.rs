//! The state and the application of committed batches to it.
//!
//! This file decides what a record is and who may send it; what it means stands in the file of its kind.

use crate::ahead::{self, Ahead, Near};
use crate::book::pool::OrderPool;
use crate::bounds::{Bounds, Capacity};
use crate::digest::Digest;
use crate::error::ApplyError;
use crate::extension::Extensions;
use crate::features::Features;
use crate::instrument::{Firms, Instruments};
use crate::option::{Halt, Options};
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::peg::{Pegs, Touched};
use crate::phase::Timers;
use crate::random::Random;
use crate::risk::Risk;
use crate::session::Sessions;
use crate::stop::Stops;
use crate::tick::TickTables;
use alloc::vec::Vec;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    AccountQuery, BreakTrade, CancelOrder, DayClose, DayOpen, DefineFirm, DefineInstrument,
    DefineSession, DisableEntry, Disconnect, EnableEntry, EnterOrder, Login, Logout, MassCancel,
    ModifyOrder, OperatorCancel, OperatorMassCancel, ReplaceOrder, ResetProtection,
    RetireInstrument, SetBounds, SetEntryState, SetGrace, SetInstrumentState, SetLimits,
    SetPosition, SetProtection, SetReferencePrice, SetRiskBounds, SetSchedule, SetThrottle,
    StartAuction,
};
use lockstep_record::event::{Control, EventSink, Refusal};
use lockstep_record::{
    BatchInfo, Body, Kind, LogIndex, PartTag, Partition, Policy, Record, Sequence, SessionId, Term,
    Timestamp,
};

/// Where in the log the state is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    pub term: Term,
    pub index: LogIndex,
    pub sequence: Sequence,
    pub timestamp: Timestamp,
}

/// The trading day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Day {
    pub open: bool,
    /// Of the open day, or of the last; 0 = none yet.
    pub date: u32,
    /// ns since the Unix epoch.
    pub midnight: u64,
    pub session_name: [u8; 10],
}

/// Records that had no other effect than to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Of a session or connection that is not there (any more).
    pub stale: u64,
    /// Definitions and commands of operators that are out of bounds or contradict the state, and records
    /// of unknown kind that ask for a reject.
    pub refused: u64,
    /// Requests of clients that the rules answer with silence.
    pub silent: u64,
}

/// The deterministic state machine: committed batches in, events out.
#[derive(Debug)]
pub struct StateMachine {
    pub(crate) capacity: Capacity,
    pub(crate) bounds: Bounds,
    pub(crate) features: Features,
    pub(crate) position: Position,
    pub(crate) day: Day,
    pub(crate) firms: Firms,
    pub(crate) sessions: Sessions,
    pub(crate) instruments: Instruments,
    pub(crate) pool: OrderPool,
    /// By slot of the pool, and one behind all slots, which takes the links of `NONE`.
    pub(crate) details: Vec<Detail>,
    pub(crate) extensions: Extensions,
    /// When instruments change by themselves.
    pub(crate) timers: Timers,
    pub(crate) random: Random,
    pub(crate) stops: Stops,
    pub(crate) pegs: Pegs,
    /// Instruments that have to be settled before the next record.
    pub(crate) touched: Touched,
    pub(crate) risk: Risk,
    pub(crate) ticks: TickTables,
    /// What random displays are drawn from; of the day's opening.
    pub(crate) random_seed: u64,
    /// Last order reference given.
    pub(crate) last_reference: u64,
    /// Last match number given.
    pub(crate) last_match: u64,
    pub(crate) counters: Counters,
    pub(crate) digest: Digest,
    /// A batch failed half-way: the state is not to be used.
    pub(crate) stopped: bool,
}

impl StateMachine {
    /// A state before any log. Memory is taken when `SetBounds` is applied, the first record of each log.
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            bounds: Bounds::default(),
            features: Features::default(),
            position: Position {
                term: Term(0),
                index: LogIndex(0),
                sequence: Sequence(0),
                timestamp: Timestamp(0),
            },
            day: Day {
                open: false,
                date: 0,
                midnight: 0,
                session_name: [b' '; 10],
            },
            firms: Firms::new(),
            sessions: Sessions::new(),
            instruments: Instruments::new(),
            pool: OrderPool::new(),
            details: Vec::new(),
            extensions: Extensions::new(),
            timers: Timers::new(),
            random: Random(0),
            stops: Stops::new(),
            pegs: Pegs::new(),
            touched: Touched::new(),
            risk: Risk::new(),
            ticks: TickTables::new(),
            random_seed: 0,
            last_reference: 0,
            last_match: 0,
            counters: Counters::default(),
            digest: Digest::START,
            stopped: false,
        }
    }

    /// Applies one committed batch: `records` are the bytes of its records, 8-aligned, without gaps.
    ///
    /// On an error the node must stop: the state is between two batches and refuses all that follows.
    pub fn apply<S: EventSink>(
        &mut self,
        batch: &BatchInfo,
        records: &[u8],
        sink: &mut S,
    ) -> Result<(), ApplyError> {
        self.apply_before(batch, records, &[], sink)
    }

    /// As [`Self::apply`], told what comes behind the batch by who has it, as a replay does: `coming` is asked
    /// of memory while the last records are applied. It may be anything at all, and changes nothing.
    pub fn apply_before<S: EventSink>(
        &mut self,
        batch: &BatchInfo,
        records: &[u8],
        coming: &[u8],
        sink: &mut S,
    ) -> Result<(), ApplyError> {
        if self.stopped {
            return Err(ApplyError::Stopped);
        }
        self.stopped = true;
        self.check_batch(batch)?;
        let mut out = Outbox {
            sink,
            digest: self.digest,
            time_ns: batch.timestamp.0.saturating_sub(self.day.midnight),
            timestamp: batch.timestamp,
        };
        self.position.term = batch.term;
        self.position.index = batch.index;
        self.position.timestamp = batch.timestamp;
        if batch.kind == BatchKind::TermStart {
            // Connections end with the leader that held them; cancel-on-disconnect does not fire.
            self.begin_grace(batch.timestamp);
        }
        self.expire(&mut out);
        self.end_grace(&mut out);
        self.finish(&mut out);
        let mut rest = records;
        // Alone, a record has nothing to be looked at beside.
        let looks = batch.record_count > 1;
        let far = looks && self.bounds.open_orders_max >= ahead::ORDERS_MIN;
        let mut far = far.then(|| Ahead::new(records, coming));
        let mut near = Near::new(records);
        if let Some(ahead) = &mut far {
            (0..ahead::DISTANCE).for_each(|_| ahead.step(self));
        } else if looks {
            (0..ahead::NEAR_DISTANCE).for_each(|_| near.step(self));
        }
        for _ in 0..batch.record_count {
            if let Some(ahead) = &mut far {
                ahead.step(self);
            } else if looks {
                near.step(self);
            }
            let sequence = Sequence(self.position.sequence.0 + 1);
            let parsed = Record::parse(rest);
            let (record, after) =
                parsed.map_err(|error| ApplyError::Malformed { sequence, error })?;
            self.position.sequence = sequence;
            out.sink.record(sequence, &record);
            self.apply_record(&record, &mut out)?;
            self.finish(&mut out);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(ApplyError::TrailingBytes {
                index: batch.index,
                bytes: rest.len(),
            });
        }
        self.digest = out.digest;
        self.stopped = false;
        Ok(())
    }

    /// What follows from a record's effects, before the next one.
    #[inline(always)]
    fn finish<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        if self.touched.any() {
            self.settle_all(out);
        }
        self.pull_if_tripped(out);
        while self.touched.any() {
            // Orders were pulled: the quote may be another.
            self.settle_all(out);
            self.pull_if_tripped(out);
        }
    }

    #[inline(always)]
    pub(crate) fn pull_if_tripped<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        if !self.risk.protections.pending.is_empty() {
            self.pull_tripped(out);
        }
    }

    fn check_batch(&self, batch: &BatchInfo) -> Result<(), ApplyError> {
        let index = batch.index;
        let last = &self.position;
        let expected = LogIndex(last.index.0.saturating_add(1));
        if index != expected {
            return Err(ApplyError::IndexOutOfOrder {
                expected,
                found: index,
            });
        }
        let expected = Sequence(last.sequence.0.saturating_add(1));
        // Room for the batch's own numbers.
        let ends = batch
            .first_sequence
            .0
            .checked_add(u64::from(batch.record_count));
        if batch.first_sequence != expected || ends.is_none() {
            let found = batch.first_sequence;
            return Err(ApplyError::SequenceOutOfOrder {
                index,
                expected,
                found,
            });
        }
        if batch.term < last.term {
            return Err(ApplyError::TermOutOfOrder {
                index,
                last: last.term,
                found: batch.term,
            });
        }
        if batch.timestamp <= last.timestamp {
            let (last, found) = (last.timestamp, batch.timestamp);
            return Err(ApplyError::TimestampOutOfOrder { index, last, found });
        }
        if batch.feature_set_version != self.features.set_version {
            let (expected, found) = (self.features.set_version, batch.feature_set_version);
            return Err(ApplyError::FeatureSet {
                index,
                expected,
                found,
            });
        }
        Ok(())
    }

    #[inline(always)]
    fn apply_record<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
    ) -> Result<(), ApplyError> {
        let header = record.header();
        if header.partition != Partition(0) {
            let (sequence, partition) = (self.position.sequence, header.partition);
            return Err(ApplyError::Partition {
                sequence,
                partition,
            });
        }
        // In the order of their frequency; two are compared and not jumped to by a table, as which of them
        // comes next nobody can guess, and a comparison is sooner found to be guessed wrong. Here the compiler
        // knows that they have no options, and leaves out what asks for them.
        let plain = record.parts().is_empty();
        if header.kind == Kind::ENTER_ORDER && plain {
            if let Some((session, body)) = self.request::<EnterOrder>(record)? {
                self.enter_order(session, body, &Options::NONE, out);
            }
            Ok(())
        } else if header.kind == Kind::CANCEL_ORDER && plain {
            if let Some((session, body)) = self.request::<CancelOrder>(record)? {
                self.cancel_order(session, body, &Options::NONE, out);
            }
            Ok(())
        } else {
            self.apply_seldom(record, out)
        }
    }

    #[inline(never)]
    fn apply_seldom<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
    ) -> Result<(), ApplyError> {
        match record.header().kind {
            Kind::REPLACE_ORDER => self.client::<ReplaceOrder, S>(record, out, Self::replace_order),
            Kind::MODIFY_ORDER => self.client::<ModifyOrder, S>(record, out, Self::modify_order),
            Kind::ENTER_ORDER => self.client::<EnterOrder, S>(record, out, Self::enter_order),
            Kind::CANCEL_ORDER => self.client::<CancelOrder, S>(record, out, Self::cancel_order),
            _ => self.apply_rare(record, out),
        }
    }

    #[inline(never)]
    fn apply_rare<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
    ) -> Result<(), ApplyError> {
        match record.header().kind {
            Kind::ACCOUNT_QUERY => self.client::<AccountQuery, S>(record, out, Self::account_query),
            Kind::MASS_CANCEL => self.client::<MassCancel, S>(record, out, Self::mass_cancel),
            Kind::DISABLE_ENTRY => self.client::<DisableEntry, S>(record, out, Self::disable_entry),
            Kind::ENABLE_ENTRY => self.client::<EnableEntry, S>(record, out, Self::enable_entry),
            Kind::LOGIN => self.system::<Login, S>(record, out, Self::login),
            Kind::LOGOUT => self.system::<Logout, S>(record, out, Self::logout),
            Kind::DISCONNECT => self.system::<Disconnect, S>(record, out, Self::disconnect),
            Kind::SET_BOUNDS => self.set_bounds(record, out),
            Kind::DEFINE_FIRM => self.operator::<DefineFirm, S>(record, out, Self::define_firm),
            Kind::DEFINE_SESSION => {
                self.operator::<DefineSession, S>(record, out, Self::define_session)
            }
            Kind::DEFINE_INSTRUMENT => {
                self.operator::<DefineInstrument, S>(record, out, Self::define_instrument)
            }
            Kind::SET_INSTRUMENT_STATE => {
                self.operator::<SetInstrumentState, S>(record, out, Self::set_instrument_state)
            }
            Kind::START_AUCTION => {
                self.operator::<StartAuction, S>(record, out, Self::start_auction)
            }
            Kind::SET_SCHEDULE => self.operator::<SetSchedule, S>(record, out, Self::set_schedule),
            Kind::SET_REFERENCE_PRICE => {
                self.operator::<SetReferencePrice, S>(record, out, Self::set_reference_price)
            }
            Kind::DAY_OPEN => self.operator::<DayOpen, S>(record, out, Self::open_day),
            Kind::DAY_CLOSE => self.operator::<DayClose, S>(record, out, Self::close_day),
            _ => self.apply_protection(record, out),
        }
    }

    #[inline(never)]
    fn apply_protection<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
    ) -> Result<(), ApplyError> {
        match record.header().kind {
            Kind::SET_ENTRY_STATE => {
                self.operator::<SetEntryState, S>(record, out, Self::set_entry_state)
            }
            Kind::OPERATOR_MASS_CANCEL => {
                self.operator::<OperatorMassCancel, S>(record, out, Self::operator_mass_cancel)
            }
            Kind::OPERATOR_CANCEL => {
                self.operator::<OperatorCancel, S>(record, out, Self::operator_cancel)
            }
            Kind::BREAK_TRADE => self.operator::<BreakTrade, S>(record, out, Self::break_trade),
            Kind::SET_LIMITS => self.operator::<SetLimits, S>(record, out, Self::set_limits),
            Kind::SET_THROTTLE => self.operator::<SetThrottle, S>(record, out, Self::set_throttle),
            Kind::SET_PROTECTION => {
                self.operator::<SetProtection, S>(record, out, Self::set_protection)
            }
            Kind::RESET_PROTECTION => {
                self.operator::<ResetProtection, S>(record, out, Self::reset_protection)
            }
            Kind::SET_POSITION => self.operator::<SetPosition, S>(record, out, Self::set_position),
            Kind::RETIRE_INSTRUMENT => {
                self.operator::<RetireInstrument, S>(record, out, Self::retire_instrument)
            }
            Kind::SET_RISK_BOUNDS => {
                let mut beyond = None;
                self.operator::<SetRiskBounds, S>(record, out, |machine, _, body, _| {
                    machine.set_risk_bounds(body).unwrap_or_else(|error| {
                        beyond = Some(error);
                        Done::Yes
                    })
                })?;
                beyond.map_or(Ok(()), Err)
            }
            Kind::SET_GRACE => self.operator::<SetGrace, S>(record, out, Self::set_grace),
            _ => self.unknown(record),
        }
    }

    /// A record of a kind or version that has no meaning here: its policy decides.
    fn unknown(&mut self, record: &Record<'_>) -> Result<(), ApplyError> {
        let header = record.header();
        match header.policy {
            Policy::Ignore => Ok(()),
            Policy::Reject => {
                self.counters.refused += 1;
                Ok(())
            }
            Policy::Halt => Err(ApplyError::HaltPolicy {
                sequence: self.position.sequence,
                kind: header.kind,
                version: header.version,
            }),
        }
    }

    /// What a record of kind `B` that has no such body is.
    #[cold]
    fn no_body<B: Body>(&mut self, record: &Record<'_>) -> Result<(), ApplyError> {
        let header = record.header();
        if header.version != B::VERSION {
            return self.unknown(record);
        }
        Err(ApplyError::BodyLength {
            sequence: self.position.sequence,
            kind: header.kind,
            version: header.version,
            length: header.body_length,
        })
    }

    /// A request of a client on its current connection, with its options.
    fn client<B: Body, S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
        handle: impl FnOnce(&mut Self, SessionId, &B::Archived, &Options, &mut Outbox<'_, S>),
    ) -> Result<(), ApplyError> {
        let Some(body) = record.body::<B>() else {
            return self.no_body::<B>(record);
        };
        let options = if record.parts().is_empty() {
            Options::NONE
        } else {
            Options::parse(record.parts()).map_err(|halt| self.halt(record, halt))?
        };
        if self.is_current(record) {
            handle(self, record.header().source.session, body, &options, out);
        }
        Ok(())
    }

    /// The session and the body of a request without options on its session's current connection; `None`:
    /// there is nothing to be done.
    #[inline(always)]
    fn request<'a, B: Body>(
        &mut self,
        record: &Record<'a>,
    ) -> Result<Option<(SessionId, &'a B::Archived)>, ApplyError> {
        let Some(body) = record.body::<B>() else {
            return self.no_body::<B>(record).map(|()| None);
        };
        let current = self.is_current(record);
        Ok(current.then(|| (record.header().source.session, body)))
    }

    /// Whether a request is of its session's current connection; counts it.
    #[inline(always)]
    fn is_current(&mut self, record: &Record<'_>) -> bool {
        let source = record.header().source;
        let session = self.sessions.find(source.session);
        let Some(session) =
            session.filter(|session| session.connected && session.epoch == source.epoch)
        else {
            self.counters.stale += 1;
            return false;
        };
        self.risk.over_rate = session.throttled
            && self
                .risk
                .throttle_mut(source.session)
                .count(self.position.timestamp);
        true
    }

    /// A record of the gateway about a connection.
    fn system<B: Body, S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
        handle: impl FnOnce(&mut Self, &Record<'_>, &B::Archived, &mut Outbox<'_, S>),
    ) -> Result<(), ApplyError> {
        let Some(body) = record.body::<B>() else {
            return self.no_body::<B>(record);
        };
        self.check_parts(record, &[])?;
        handle(self, record, body, out);
        Ok(())
    }

    /// A record of the operator; `handle` says whether it was done.
    fn operator<B: Body, S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
        handle: impl FnOnce(&mut Self, &Record<'_>, &B::Archived, &mut Outbox<'_, S>) -> Done,
    ) -> Result<(), ApplyError> {
        let Some(body) = record.body::<B>() else {
            return self.no_body::<B>(record);
        };
        let known = self.check_parts(record, OPERATOR_PARTS)?;
        // A client's session cannot be the source of an operator's record.
        let refusal = if !known {
            Some(Refusal::UnknownPart)
        } else if record.header().source.session != SessionId::NONE {
            Some(Refusal::NotOperator)
        } else {
            handle(self, record, body, out).refusal()
        };
        self.answer_operator(record, refusal, out);
        Ok(())
    }

    /// Counts a refusal and, if the sender asked for it, says what became of his record.
    fn answer_operator<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        refusal: Option<Refusal>,
        out: &mut Outbox<'_, S>,
    ) {
        self.counters.refused += u64::from(refusal.is_some());
        let part = record.parts().find(PartTag::OPERATOR_REQUEST);
        let request = part.and_then(|part| part.u64()).unwrap_or(0);
        if request != 0 {
            out.control(&Control::OperatorAnswered {
                request,
                sequence: self.position.sequence,
                refusal,
            });
        }
    }

    /// Whether a record's parts are all known or may be ignored.
    pub(crate) fn check_parts(
        &self,
        record: &Record<'_>,
        known: &[PartTag],
    ) -> Result<bool, ApplyError> {
        let mut readable = true;
        for part in record.parts().filter(|part| !known.contains(&part.tag)) {
            match part.policy {
                Policy::Ignore => {}
                Policy::Reject => readable = false,
                Policy::Halt => return Err(self.halt(record, Halt(part.tag))),
            }
        }
        Ok(readable)
    }

    #[cold]
    fn halt(&self, record: &Record<'_>, halt: Halt) -> ApplyError {
        let (sequence, kind) = (self.position.sequence, record.header().kind);
        ApplyError::HaltPart {
            sequence,
            kind,
            tag: halt.0.0,
        }
    }

    fn set_bounds<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        out: &mut Outbox<'_, S>,
    ) -> Result<(), ApplyError> {
        let Some(body) = record.body::<SetBounds>() else {
            return self.no_body::<SetBounds>(record);
        };
        let known = self.check_parts(record, &[PartTag::OPERATOR, PartTag::OPERATOR_REQUEST])?;
        let bounds = Bounds::of(body);
        let refusal = if !known {
            Some(Refusal::UnknownPart)
        } else if record.header().source.session != SessionId::NONE {
            Some(Refusal::NotOperator)
        } else if !bounds.may_follow(&self.bounds) {
            Some(Refusal::BoundLowered)
        } else {
            None
        };
        if refusal.is_none() {
            if let Some((bound, wanted, held)) = bounds.beyond(&self.capacity) {
                let sequence = self.position.sequence;
                return Err(ApplyError::BoundsExceedNode {
                    sequence,
                    bound,
                    wanted,
                    held,
                });
            }
            self.grow(&bounds);
        }
        self.answer_operator(record, refusal, out);
        Ok(())
    }

    /// The digest of all that has been said so far.
    pub fn digest(&self) -> u64 {
        self.digest.0
    }

    /// Sequence of the last record applied; 0 = none.
    pub fn last_sequence(&self) -> Sequence {
        self.position.sequence
    }

    /// Index of the last batch applied; 0 = none.
    pub fn last_index(&self) -> LogIndex {
        self.position.index
    }

    /// When something falls due without a record: an idle leader makes an empty batch then.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.day.open {
            return None;
        }
        let deadlines = [
            self.extensions.first().map(|(deadline, _)| deadline),
            self.timers.first().map(|(time, _)| time),
            self.grace_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// Parts that operators' records may carry.
const OPERATOR_PARTS: &[PartTag] = &[
    PartTag::OPERATOR,
    PartTag::OPERATOR_REQUEST,
    PartTag::PERMITTED_FIRM,
    PartTag::TICK_BAND,
    PartTag::SELF_TRADE_GROUP,
    PartTag::SELF_TRADE_MODE,
    PartTag::ALLOCATION,
    PartTag::ALLOCATION_MINIMUM,
    PartTag::TOP_SHARE,
    PartTag::RANDOM_SEED,
    PartTag::STATIC_COLLAR,
    PartTag::DYNAMIC_COLLAR,
    PartTag::COLLAR_ACTION,
    PartTag::AUCTION_DURATION,
    PartTag::AUCTION_RANDOM_END,
    PartTag::INDICATION_INTERVAL,
];

/// Outcome of an operator's record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    Yes,
    /// Where no reason says more.
    #[allow(dead_code)]
    Refused,
    RefusedFor(Refusal),
}

impl Done {
    fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Yes => None,
            Self::Refused => Some(Refusal::Unspecified),
            Self::RefusedFor(why) => Some(why),
        }
    }
}
