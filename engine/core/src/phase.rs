//! What changes an instrument's state by itself: its daily schedule, the end of a call, and the indications
//! during one; and the heap of these times over all instruments.
//!
//! Everything falls due by the batches' timestamps, before a batch's first record. What follows from a time
//! is reckoned from that time, not from the batch that carried it out.

use crate::book::TICK_MAX;
use crate::book::pool::Book;
use crate::instrument::BookMark;
use crate::machine::{Done, StateMachine};
use crate::outbox::Outbox;
use crate::state::TradingState;
use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::command::{ArchivedSetReferencePrice, ArchivedSetSchedule};
use lockstep_record::event::{EventSink, Refusal};
use lockstep_record::{InstrumentId, PartTag, Record, Timestamp};

pub(crate) const DAY_MS: u32 = 86_400_000;
/// Longest random part of a call.
pub(crate) const RANDOM_END_MS_MAX: u32 = 3_600_000;
/// The whole price.
const COLLAR_MAX: u32 = 10_000;
const INDICATION_INTERVAL_MS_MIN: u32 = 10;
const NEVER: u32 = u32::MAX;
const NS_PER_MS: u64 = 1_000_000;

/// States that a schedule enters, in the order of its times.
const SCHEDULED: [TradingState; 5] = [
    TradingState::PreOpen,
    TradingState::OpeningAuction,
    TradingState::Trading,
    TradingState::ClosingAuction,
    TradingState::Closed,
];

/// When an instrument changes its state each day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// In ms after midnight: pre-open, opening auction, trading, closing auction, closed; all ones = never.
    pub times_ms: [u32; 5],
    pub random_end_ms: u32,
}

impl Schedule {
    pub const NONE: Self = Self {
        times_ms: [NEVER; 5],
        random_end_ms: 0,
    };

    pub(crate) fn is_none(&self) -> bool {
        self.times_ms == [NEVER; 5]
    }

    fn of(body: &ArchivedSetSchedule) -> Option<Self> {
        let times_ms = [
            body.pre_open_ms.to_native(),
            body.opening_auction_ms.to_native(),
            body.trading_ms.to_native(),
            body.closing_auction_ms.to_native(),
            body.closed_ms.to_native(),
        ];
        let schedule = Self {
            times_ms,
            random_end_ms: body.random_end_ms.to_native(),
        };
        schedule.is_legal().then_some(schedule)
    }

    /// Times ascend and everything is within its bounds.
    pub fn is_legal(&self) -> bool {
        let mut last = None;
        for &time in self.times_ms.iter().filter(|&&time| time != NEVER) {
            if time >= 2 * DAY_MS || last.is_some_and(|last| time <= last) {
                return false;
            }
            last = Some(time);
        }
        self.random_end_ms <= RANDOM_END_MS_MAX
    }
}

/// Collars and auctions as an instrument's definition has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuctionRules {
    /// In 1/10,000 of the price around which they lie; 0 = none.
    pub static_collar: u32,
    pub dynamic_collar: u32,
    /// `R` rejects, `V` calls a volatility auction.
    pub collar_action: u8,
    /// Of the volatility auction that a collar causes.
    pub duration_ms: u32,
    pub random_end_ms: u32,
    /// 0 = only at the begin.
    pub indication_interval_ms: u32,
}

impl AuctionRules {
    pub const NONE: Self = Self {
        static_collar: 0,
        dynamic_collar: 0,
        collar_action: b'R',
        duration_ms: 0,
        random_end_ms: 0,
        indication_interval_ms: 0,
    };

    /// Of an instrument's definition; `None` if a part cannot be read or is out of its bounds.
    pub(crate) fn of(record: &Record<'_>) -> Option<Self> {
        let number = |tag| match record.parts().find(tag) {
            None => Some(0),
            Some(part) => part.u32(),
        };
        let collar_action = match record.parts().find(PartTag::COLLAR_ACTION) {
            None => b'R',
            Some(part) => part.u8()?,
        };
        let rules = Self {
            static_collar: number(PartTag::STATIC_COLLAR)?,
            dynamic_collar: number(PartTag::DYNAMIC_COLLAR)?,
            collar_action,
            duration_ms: number(PartTag::AUCTION_DURATION)?,
            random_end_ms: number(PartTag::AUCTION_RANDOM_END)?,
            indication_interval_ms: number(PartTag::INDICATION_INTERVAL)?,
        };
        rules.is_legal().then_some(rules)
    }

    /// Whether a definition may say so.
    pub fn is_legal(&self) -> bool {
        let interval = self.indication_interval_ms;
        self.static_collar <= COLLAR_MAX
            && self.dynamic_collar <= COLLAR_MAX
            && matches!(self.collar_action, b'R' | b'V')
            && self.duration_ms <= DAY_MS
            && self.random_end_ms <= RANDOM_END_MS_MAX
            && interval <= RANDOM_END_MS_MAX
            && (interval == 0 || interval >= INDICATION_INTERVAL_MS_MIN)
    }

    pub(crate) fn collars(&self) -> bool {
        self.static_collar != 0 || self.dynamic_collar != 0
    }
}

/// The rarely used half of an instrument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub schedule: Schedule,
    /// Index of the next scheduled state of this day; 5 = none is left.
    pub next_scheduled: u8,
    /// When the call ends; 0 = not by itself.
    pub call_ends: Timestamp,
    /// State after the call.
    pub next_state: TradingState,
    /// When the next indication is said; 0 = none will be.
    pub indicates: Timestamp,
    pub rules: AuctionRules,
    /// In 1/10,000; 0 = none.
    pub reference_price: u32,
    /// Orders for the auction that is called, or next to be called, only.
    pub call: Book,
    /// Orders for the closing auction only.
    pub close: Book,
}

impl Phase {
    pub const fn new(id: u32) -> Self {
        Self {
            schedule: Schedule::NONE,
            next_scheduled: SCHEDULED.len() as u8,
            call_ends: Timestamp(0),
            next_state: TradingState::Trading,
            indicates: Timestamp(0),
            rules: AuctionRules::NONE,
            reference_price: 0,
            call: Book::new(BookMark::Call.book_id(id)),
            close: Book::new(BookMark::Close.book_id(id)),
        }
    }

    /// Whether it is one that definitions and the passing of a day can give.
    pub fn is_legal(&self) -> bool {
        let at = usize::from(self.next_scheduled);
        let next = self.schedule.times_ms.get(at);
        self.schedule.is_legal()
            && at <= SCHEDULED.len()
            && next.is_none_or(|&time| time != NEVER)
            && self.rules.is_legal()
            && self.reference_price <= TICK_MAX
    }

    /// The next scheduled state of the day and its time.
    fn scheduled(&self, midnight: u64) -> Option<(Timestamp, TradingState)> {
        let at = usize::from(self.next_scheduled);
        let (&state, &time) = SCHEDULED.get(at).zip(self.schedule.times_ms.get(at))?;
        let time = midnight.saturating_add(u64::from(time) * NS_PER_MS);
        Some((Timestamp(time), state))
    }

    /// Goes to the first entry at or behind `from` that is later than `now`.
    fn skip_to(&mut self, midnight: u64, now: Timestamp) -> Option<TradingState> {
        let mut passed = None;
        self.next_scheduled = 0;
        while let Some((time, state)) = self.scheduled(midnight) {
            let never = self.schedule.times_ms[usize::from(self.next_scheduled)] == NEVER;
            if !never && time > now {
                break;
            }
            if !never {
                passed = Some(state);
            }
            self.next_scheduled += 1;
        }
        passed
    }
}

/// Times of all instruments, the earliest first, then the lowest id: a heap with each one's place in it.
#[derive(Debug)]
pub(crate) struct Timers {
    heap: Vec<(Timestamp, u32)>,
    /// By instrument id: its index in the heap, or `NONE`.
    places: Vec<u32>,
}

impl Timers {
    pub fn new() -> Self {
        Self {
            heap: Vec::new(),
            places: Vec::new(),
        }
    }

    pub fn grow(&mut self, instruments_max: u32) {
        let length = instruments_max as usize + 1;
        grown(&mut self.places, length, NONE);
        let used = self.heap.len();
        self.heap.reserve_exact(length - used);
        // Touches what later times will use.
        self.heap.resize(length, (Timestamp(0), 0));
        self.heap.truncate(used);
    }

    pub fn first(&self) -> Option<(Timestamp, InstrumentId)> {
        self.heap
            .first()
            .map(|&(time, id)| (time, InstrumentId(id)))
    }

    /// Sets an instrument's time; `None` takes it out.
    pub fn set(&mut self, id: InstrumentId, time: Option<Timestamp>) {
        let at = self.places[id.0 as usize];
        match (at, time) {
            (NONE, None) => {}
            (NONE, Some(time)) => {
                self.heap.push((time, id.0));
                self.rise(self.heap.len() - 1);
            }
            (at, Some(time)) => {
                self.heap[at as usize].0 = time;
                self.settle(at as usize);
            }
            (at, None) => {
                self.places[id.0 as usize] = NONE;
                self.heap.swap_remove(at as usize);
                if (at as usize) < self.heap.len() {
                    self.settle(at as usize);
                }
            }
        }
    }

    fn settle(&mut self, at: usize) {
        self.sink(at);
        self.rise(at);
    }

    fn place(&mut self, at: usize, entry: (Timestamp, u32)) {
        self.heap[at] = entry;
        self.places[entry.1 as usize] = at as u32;
    }

    fn rise(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at != 0 && entry < self.heap[(at - 1) / 2] {
            self.place(at, self.heap[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        self.place(at, entry);
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.heap[at];
        loop {
            let children = [at * 2 + 1, at * 2 + 2];
            let below = children
                .into_iter()
                .filter_map(|child| Some((*self.heap.get(child)?, child)));
            match below.min() {
                Some((first, child)) if first < entry => {
                    self.place(at, first);
                    at = child;
                }
                _ => break,
            }
        }
        self.place(at, entry);
    }

    /// Checks heap and places.
    pub fn check(&self) -> Result<(), &'static str> {
        for (at, entry) in self.heap.iter().enumerate() {
            if at != 0 && self.heap[(at - 1) / 2] > *entry {
                return Err("an instrument's time lies above an earlier one");
            }
            if self.places[entry.1 as usize] as usize != at {
                return Err("an instrument's time is not where it should be");
            }
        }
        let placed = self.places.iter().filter(|&&at| at != NONE).count();
        if placed != self.heap.len() {
            return Err("times and instruments disagree on their number");
        }
        Ok(())
    }

    pub fn of(&self, id: InstrumentId) -> Option<Timestamp> {
        let at = self.places[id.0 as usize];
        (at != NONE).then(|| self.heap[at as usize].0)
    }
}

impl StateMachine {
    pub(crate) fn set_schedule<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetSchedule,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        if !self.instruments.is_live(id) {
            return Done::RefusedFor(Refusal::Undefined);
        }
        let Some(schedule) = Schedule::of(body) else {
            return Done::RefusedFor(Refusal::Value);
        };
        let midnight = self.day.midnight;
        let phase = self.instruments.phase_mut(id);
        phase.schedule = schedule;
        // What has passed today does not happen any more.
        phase.skip_to(midnight, out.timestamp);
        self.arm(id);
        Done::Yes
    }

    pub(crate) fn set_reference_price<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetReferencePrice,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        let price = body.price.to_native();
        if !self.instruments.is_live(id) {
            return Done::RefusedFor(Refusal::Undefined);
        }
        let tick_size = u64::from(self.instruments.get(id).tick_size);
        if price > self.features.price_max || !price.is_multiple_of(tick_size) {
            return Done::RefusedFor(Refusal::Value);
        }
        // price_max is below 2^32 (features.rs).
        self.instruments.phase_mut(id).reference_price = price as u32;
        Done::Yes
    }

    /// What an instrument's next time is: of the end of its call, its schedule and its indications.
    pub(crate) fn next_time(&self, id: InstrumentId) -> Option<Timestamp> {
        let phase = self.instruments.phase(id);
        if !self.day.open {
            return None;
        }
        let scheduled = phase.scheduled(self.day.midnight).map(|(time, _)| time);
        [phase.call_ends, phase.indicates]
            .into_iter()
            .filter(|time| *time != Timestamp(0))
            .chain(scheduled)
            .min()
    }

    pub(crate) fn arm(&mut self, id: InstrumentId) {
        let time = self.next_time(id);
        self.timers.set(id, time);
    }

    /// Carries out an instrument's earliest time: the end of its call, then its schedule, then an indication.
    pub(crate) fn fire<S: EventSink>(&mut self, id: InstrumentId, out: &mut Outbox<'_, S>) {
        let time = self.timers.of(id);
        let phase = self.instruments.phase_mut(id);
        let scheduled = phase.scheduled(self.day.midnight);
        if time == Some(phase.call_ends) {
            let next = phase.next_state;
            self.enter_state(id, next, out);
        } else if let Some((at, state)) = scheduled
            && time == Some(at)
        {
            self.skip_scheduled(id);
            self.enter_scheduled(id, at, state, out);
        } else {
            let at = phase.indicates;
            self.schedule_indication(id, at, out.timestamp);
            self.indicate(id, out);
        }
        self.arm(id);
    }

    /// On to the next entry of the schedule that has a time.
    fn skip_scheduled(&mut self, id: InstrumentId) {
        let phase = self.instruments.phase_mut(id);
        phase.next_scheduled += 1;
        while let Some(&time) = phase
            .schedule
            .times_ms
            .get(usize::from(phase.next_scheduled))
            && time == NEVER
        {
            phase.next_scheduled += 1;
        }
    }

    /// What the operator did goes first: a scheduled state that may not follow, or would end a halt before the
    /// close, is skipped and counted.
    fn enter_scheduled<S: EventSink>(
        &mut self,
        id: InstrumentId,
        at: Timestamp,
        to: TradingState,
        out: &mut Outbox<'_, S>,
    ) {
        let from = self.instruments.get(id).state;
        let halted = from == TradingState::Halted && to != TradingState::Closed;
        // A volatility auction goes on to its own end, and then to where the schedule is.
        let called = from == TradingState::VolatilityAuction && to == TradingState::Trading;
        if halted || called || !from.may_become(to) {
            self.counters.refused += 1;
        } else if from.is_auction() && !to.is_auction() {
            let random_end_ms = self.instruments.phase(id).schedule.random_end_ms;
            self.end_call_after(id, at, random_end_ms, to);
        } else {
            self.enter_state(id, to, out);
        }
    }

    /// The call ends at `at` or up to so much later.
    pub(crate) fn end_call_after(
        &mut self,
        id: InstrumentId,
        at: Timestamp,
        random_end_ms: u32,
        next_state: TradingState,
    ) {
        let random_ns = match random_end_ms {
            0 => 0,
            random_end_ms => self.random.up_to(u64::from(random_end_ms) * NS_PER_MS),
        };
        let phase = self.instruments.phase_mut(id);
        phase.call_ends = Timestamp(at.0.saturating_add(random_ns));
        phase.next_state = next_state;
        self.arm(id);
    }

    /// A new state has no end yet; an auction begins with an indication.
    pub(crate) fn begin_call<S: EventSink>(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        out: &mut Outbox<'_, S>,
    ) {
        let phase = self.instruments.phase_mut(id);
        phase.call_ends = Timestamp(0);
        phase.next_state = TradingState::Trading;
        phase.indicates = Timestamp(0);
        if state.is_auction() {
            self.schedule_indication(id, out.timestamp, out.timestamp);
            self.indicate(id, out);
        }
        self.arm(id);
    }

    /// The next indication is a whole number of intervals after `from`; those missed are left out.
    fn schedule_indication(&mut self, id: InstrumentId, from: Timestamp, now: Timestamp) {
        let phase = self.instruments.phase_mut(id);
        let interval = u64::from(phase.rules.indication_interval_ms) * NS_PER_MS;
        phase.indicates = match now.0.saturating_sub(from.0).checked_div(interval) {
            None => Timestamp(0),
            Some(passed) => Timestamp(from.0.saturating_add((passed + 1).saturating_mul(interval))),
        };
    }

    /// An instrument goes: nothing changes it any more.
    pub(crate) fn end_instrument<S: EventSink>(
        &mut self,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        self.enter_state(id, TradingState::Closed, out);
        self.instruments.phase_mut(id).next_scheduled = SCHEDULED.len() as u8;
        self.arm(id);
    }

    /// An instrument's part in the begin of a day: a schedule begins anew, with what has passed made up for;
    /// what is in continuous trading is uncrossed, for orders may have come from the day before.
    pub(crate) fn begin_instrument_day<S: EventSink>(
        &mut self,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        let midnight = self.day.midnight;
        let phase = self.instruments.phase_mut(id);
        let passed = phase.skip_to(midnight, out.timestamp);
        let scheduled = !phase.schedule.is_none();
        let state = self.instruments.get(id).state;
        if scheduled && state != TradingState::Halted {
            self.enter_state(id, TradingState::Closed, out);
            self.enter_state(id, passed.unwrap_or(TradingState::Closed), out);
        } else if state == TradingState::Trading && self.is_crossed(id, state) {
            self.unfold_reserves(id);
            self.uncross(id, state, out);
            self.fold_reserves(id, out);
            self.touched.add(id.0);
        }
        self.arm(id);
    }

    /// An instrument's part in the end of a day: a closing auction is uncrossed; another call begins anew on
    /// the next day.
    pub(crate) fn end_instrument_day<S: EventSink>(
        &mut self,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        match self.instruments.get(id).state {
            TradingState::ClosingAuction => self.enter_state(id, TradingState::Closed, out),
            TradingState::OpeningAuction | TradingState::VolatilityAuction => {
                self.enter_state(id, TradingState::PreOpen, out);
            }
            _ => {}
        }
        self.instruments.get_mut(id).statistics.close_day();
    }
}
