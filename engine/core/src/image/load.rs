//! A state from its image: each `read_*` is the other half of the `write_*` of the same name.
//!
//! An image may come from a damaged or forged file. Nothing here panics for what it says: ids, counts,
//! prices and keys are checked before they are used, the rest by `check_invariants` at the end.

use super::walk::{Reader, Walk};
use super::*;
use crate::book::ladder::{Key, TICK_MAX};
use crate::book::pool::{FREE_ORDER, NewOrder, side_of};
use crate::bounds::Capacity;
use crate::instrument::BLANK_FIRM;
use crate::invariant::{Counted, Part};
use crate::order::FREE_DETAIL;
use crate::peg::{Peg, PegKind};
use crate::session::{UNDEFINED, owner, owner_session};
use alloc::vec::Vec;
use core::hint::black_box;
use lockstep_record::FirmId;

pub(super) type Loaded = Result<(), LoadError>;

/// Bytes of an order without an extension.
const ORDER_LENGTH: usize = 53;
/// The index is asked for the places of so many orders at once: a large one lies in no cache.
const ORDERS_AHEAD: usize = 32;

/// (order reference, slot) of all live orders.
type References = Vec<(u64, u32)>;

impl StateMachine {
    /// The state of an image, in a process of this capacity. Takes the memory of its bounds.
    pub fn load_image(
        capacity: Capacity,
        sections: &[(Section, &[u8])],
    ) -> Result<Self, LoadError> {
        Self::load_image_with(capacity, sections, |one, other| (one(), other()))
    }

    /// The same; `both` carries out the two parts of the check at its end, beside each other if it can.
    pub fn load_image_with(
        capacity: Capacity,
        sections: &[(Section, &[u8])],
        both: impl FnOnce(Part<'_>, Part<'_>) -> (Counted, Counted),
    ) -> Result<Self, LoadError> {
        let mut machine = Self::new(capacity);
        let mut reader = Reader::new(sections);
        reader.section(Section::Position)?;
        let version = reader.get()?;
        if version != IMAGE_VERSION {
            return Err(LoadError::Version { found: version });
        }
        walk_position(&mut reader, &mut machine.position, &mut machine.digest);
        let references = machine.read_content(&mut reader)?;
        reader.end()?;
        machine.check_loaded(&references, both)?;
        Ok(machine)
    }

    /// All live orders, by reference.
    fn read_content(&mut self, reader: &mut Reader<'_>) -> Result<References, LoadError> {
        reader.section(Section::Venue)?;
        let mut bounds = Bounds::default();
        walk_bounds(reader, &mut bounds);
        walk_features(reader, &mut self.features);
        walk_day(reader, &mut self.day);
        walk_last_numbers(reader, &mut self.last_reference, &mut self.last_match);
        reader.u64(&mut self.random_seed);
        walk_counters(reader, &mut self.counters);
        reader.u64(&mut self.random.0);
        reader.check()?;
        if !self.features.are_legal() {
            return Err(reader.wrong("a rule is out of its range"));
        }
        self.take_bounds(reader, &bounds)?;
        self.read_firms(reader)?;
        reader.section(Section::Sessions)?;
        self.read_sessions(reader)?;
        reader.section(Section::Books)?;
        let mut references = References::new();
        self.read_books(reader, &mut references)?;
        reader.section(Section::Risk)?;
        self.read_risk(reader)?;
        reader.section(Section::Waiting)?;
        self.read_waiting(reader, &mut references)?;
        references.sort_unstable();
        self.link_sessions(&references);
        self.count_loaded(reader)?;
        Ok(references)
    }

    /// A state before its first `SetBounds` has none and holds nothing.
    fn take_bounds(&mut self, reader: &Reader<'_>, bounds: &Bounds) -> Loaded {
        if *bounds == Bounds::default() {
            return Ok(());
        }
        if !bounds.may_follow(&Bounds::default()) {
            return Err(reader.wrong("a bound is 0 or above its maximum"));
        }
        if let Some((bound, wanted, held)) = bounds.beyond(&self.capacity) {
            return Err(LoadError::Capacity {
                bound,
                wanted,
                held,
            });
        }
        self.grow(bounds);
        Ok(())
    }

    fn read_firms(&mut self, reader: &mut Reader<'_>) -> Loaded {
        let mut last = FirmId(0);
        for _ in 0..reader.get()? {
            let id = FirmId(reader.get()?);
            let mut code = BLANK_FIRM;
            reader.bytes(&mut code);
            reader.check()?;
            if id <= last || !self.firms.in_bounds(id) || code == BLANK_FIRM {
                return Err(reader.wrong("firms are not by id, within the bounds, with codes"));
            }
            *self.firms.code_mut(id) = code;
            last = id;
        }
        Ok(())
    }

    fn read_sessions(&mut self, reader: &mut Reader<'_>) -> Loaded {
        let mut last = SessionId(0);
        for _ in 0..reader.get()? {
            let id = SessionId(reader.get()?);
            let mut session = UNDEFINED;
            walk_session(reader, &mut session);
            reader.check()?;
            if id <= last || !self.sessions.in_bounds(id) {
                return Err(reader.wrong("sessions are not by id within the bounds"));
            }
            if !session.firms().all(|firm| self.firms.is_defined(firm)) {
                return Err(reader.wrong("a session has a firm that is not defined"));
            }
            session.defined = true;
            *self.sessions.get_mut(id) = session;
            self.read_numbers(id, reader)?;
            last = id;
        }
        Ok(())
    }

    fn read_numbers(&mut self, id: SessionId, reader: &mut Reader<'_>) -> Loaded {
        let mut above = 0;
        for _ in 0..reader.get()? {
            let (mut channel, mut last) = (0, 0);
            reader.u8(&mut channel);
            reader.u32(&mut last);
            reader.check()?;
            if u32::from(channel) < above || last == 0 {
                return Err(reader.wrong("numbers are not by channel, above 0"));
            }
            above = u32::from(channel) + 1;
            self.sessions.consume(owner(id, channel), last);
        }
        Ok(())
    }

    fn read_books(&mut self, reader: &mut Reader<'_>, references: &mut References) -> Loaded {
        let mut last = InstrumentId(0);
        for _ in 0..reader.get()? {
            let id = InstrumentId(reader.get()?);
            if id <= last {
                return Err(reader.wrong("instruments are not by id"));
            }
            self.read_book(id, reader, references)?;
            last = id;
        }
        Ok(())
    }

    fn read_book(
        &mut self,
        id: InstrumentId,
        reader: &mut Reader<'_>,
        references: &mut References,
    ) -> Loaded {
        if !self.instruments.in_bounds(id) {
            return Err(reader.wrong("an instrument is beyond the bounds"));
        }
        let mut instrument = *self.instruments.get(id);
        walk_instrument(reader, &mut instrument);
        walk_ticks(reader, self.ticks.get_mut(id));
        reader.check()?;
        let (tick_size, lot_size) = (instrument.tick_size, instrument.lot_size);
        let legal = (1..=TICK_MAX).contains(&tick_size) && lot_size != 0;
        if !legal || self.instruments.find(instrument.symbol).is_some() {
            return Err(reader.wrong("an instrument has no tick, no lot, or another's symbol"));
        }
        self.instruments
            .define(id, instrument.symbol, tick_size, lot_size);
        if instrument.last_price > TICK_MAX {
            return Err(reader.wrong("a last price is above every price"));
        }
        let ticks = self.ticks.get(id);
        if !ticks.is_legal(tick_size, self.features.price_max) {
            return Err(reader.wrong("a tick table is not by price, in multiples of the tick"));
        }
        let banded = ticks.count != 0;
        let mut phase = *self.instruments.phase(id);
        walk_phase(reader, &mut phase);
        reader.check()?;
        *self.instruments.phase_mut(id) = phase;
        let place = self.instruments.get_mut(id);
        (place.banded, place.retired) = (banded, instrument.retired);
        (place.state, place.last_price) = (instrument.state, instrument.last_price);
        place.allocation = instrument.allocation;
        place.statistics = instrument.statistics;
        place.collared = phase.rules.collars();
        self.arm(id);
        for mark in BookMark::ALL {
            self.read_ladders(id, mark, reader, references)?;
        }
        Ok(())
    }

    fn read_ladders(
        &mut self,
        id: InstrumentId,
        mark: BookMark,
        reader: &mut Reader<'_>,
        references: &mut References,
    ) -> Loaded {
        for lane in 0..LANES {
            let mut last = None;
            loop {
                let tick = reader.get()?;
                if tick == NONE {
                    break;
                }
                let key = (tick <= TICK_MAX).then(|| Key::of(side_of(lane), tick));
                if key.is_none() || key <= last {
                    return Err(reader.wrong("levels are not best first, at prices there are"));
                }
                last = key;
                self.read_level((id, mark), lane, tick, reader, references)?;
            }
        }
        Ok(())
    }

    fn read_level(
        &mut self,
        place: (InstrumentId, BookMark),
        lane: usize,
        tick: u32,
        reader: &mut Reader<'_>,
        references: &mut References,
    ) -> Loaded {
        let count = reader.get()?;
        if count == 0 {
            return Err(reader.wrong("a level has no order"));
        }
        for _ in 0..count {
            if references.len().is_multiple_of(ORDERS_AHEAD) {
                self.read_ahead(reader);
            }
            let slot = self.read_order(place, lane, Some(tick), reader)?;
            references.push((self.details[slot as usize].reference, slot));
        }
        Ok(())
    }

    /// Asks for the places of coming orders' keys together, so that one does not wait for another.
    #[inline(never)]
    fn read_ahead(&self, reader: &Reader<'_>) {
        let mut seen = 0;
        for order in 0..ORDERS_AHEAD {
            let (owner, number) = reader.coming(order * ORDER_LENGTH);
            seen ^= self.pool.look_at_place(owner, number);
        }
        black_box(seen);
    }

    /// An order at a price, in ticks, or one that waits at none.
    #[inline(always)]
    fn read_order(
        &mut self,
        (id, mark): (InstrumentId, BookMark),
        lane: usize,
        tick: Option<u32>,
        reader: &mut Reader<'_>,
    ) -> Result<u32, LoadError> {
        let (mut order, mut detail) = (FREE_ORDER, FREE_DETAIL);
        walk_order(reader, &mut order, &mut detail);
        let mut extended = false;
        reader.flag(&mut extended);
        let mut extension = Extension::NONE;
        let mut peg = None;
        if extended {
            walk_extension(reader, &mut extension);
            let mut pegged = false;
            reader.flag(&mut pegged);
            if pegged {
                let mut value = Peg {
                    kind: PegKind::Primary,
                    offset: 0,
                    price: 0,
                };
                walk_peg(reader, &mut value);
                peg = Some(value);
            }
        }
        reader.check()?;
        let (owner, number) = (order.owner, order.number);
        if self.sessions.find(owner_session(owner)).is_none()
            || !self.firms.is_defined(detail.firm())
        {
            return Err(reader.wrong("an order's session or firm is not defined"));
        }
        if order.open == 0 || self.pool.find(owner, number) != NONE {
            return Err(reader.wrong("an order is not open, or its key is another's"));
        }
        let book = self.instruments.book_mut(id, mark);
        let no_level = |tick| self.pool.lacks_level(book, lane, tick);
        if self.pool.is_full() || tick.is_some_and(no_level) {
            return Err(reader.wrong("there are more orders or levels than the bounds allow"));
        }
        if extended && self.extensions.is_full() {
            return Err(reader.wrong("there are more extended orders than the bounds allow"));
        }
        let new = NewOrder {
            owner,
            number,
            open: order.open,
            executed: order.executed,
            hidden: lane & 2 != 0,
        };
        let slot = match tick {
            Some(tick) => self.pool.rest(book, side_of(lane), tick, &new),
            None => self.pool.hold(book, side_of(lane), &new),
        };
        if extended {
            detail.extension = self.extensions.add(extension, detail.reference, slot);
        }
        if let Some(peg) = peg {
            // Its place in the instrument's list follows in link_sessions.
            self.pegs
                .hold(detail.extension, id.0, peg, slot, detail.reference);
        }
        self.details[slot as usize] = detail;
        Ok(slot)
    }

    fn read_waiting(&mut self, reader: &mut Reader<'_>, references: &mut References) -> Loaded {
        let mut last = None;
        for _ in 0..reader.get()? {
            let (id, lane) = (InstrumentId(reader.get()?), reader.get()? as usize);
            let known = self.instruments.in_bounds(id) && self.instruments.get(id).is_defined();
            if !known || lane >= LANES {
                return Err(reader.wrong("an order waits for an instrument or side there is not"));
            }
            let slot = self.read_order((id, BookMark::Own), lane, None, reader)?;
            let Detail {
                reference,
                extension,
                ..
            } = self.details[slot as usize];
            let place = Some((owner_session(self.pool.order(slot).owner), reference));
            if place <= last {
                return Err(reader.wrong("waiting orders are not by session and reference"));
            }
            last = place;
            references.push((reference, slot));
            if extension != NONE && self.pegs.holds(extension) {
                continue;
            }
            let side = side_of(lane);
            let mut waiting = Waiting {
                slot,
                reference,
                price: 0,
                side,
            };
            let mut trigger = Trigger::fixed(side, 0);
            walk_waiting(reader, &mut waiting, &mut trigger);
            reader.check()?;
            if extension == NONE || !trigger.is_legal() {
                return Err(reader.wrong("a waiting order has no trigger that there can be"));
            }
            self.stops.add(extension, id.0, trigger, waiting);
        }
        let mut last = 0;
        for _ in 0..reader.get()? {
            let slot = self.pool.find(reader.get()?, reader.get()?);
            let held = slot != NONE && self.pool.order(slot).is_held();
            let index = if held {
                self.details[slot as usize].extension
            } else {
                NONE
            };
            if index == NONE || !self.stops.holds(index) || self.stops.is_triggered(index) {
                return Err(reader.wrong("a triggered order does not wait, or is there twice"));
            }
            let instrument = self.pool.order(slot).book();
            if instrument < last {
                return Err(reader.wrong("triggered orders are not by instrument"));
            }
            last = instrument;
            self.stops.pull_trigger(index, instrument);
        }
        Ok(())
    }

    /// Each session's list, oldest order reference first.
    fn link_sessions(&mut self, references: &[(u64, u32)]) {
        for &(_, slot) in references {
            let order = self.pool.order(slot);
            let (session, instrument) = (owner_session(order.owner), order.instrument());
            let extension = self.details[slot as usize].extension;
            if extension != NONE && !order.is_held() {
                self.extensions.link(extension, instrument);
            }
            self.sessions.link(&mut self.details, session, slot);
            let extension = self.details[slot as usize].extension;
            if extension != NONE && self.pegs.holds(extension) {
                self.pegs.link(extension);
            }
        }
    }
}
