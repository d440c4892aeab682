//! The whole-state check that tests and the simulator run after every step.

use crate::NONE;
use crate::book::pool::{Book, LANES, side_of};
use crate::book::uncross::market_tick;
use crate::error::InvariantError;
use crate::instrument::{BookMark, Instrument};
use crate::machine::StateMachine;
use crate::risk::{Exposure, notional};
use crate::session::owner_session;
use crate::state::TradingState;
use alloc::collections::BTreeMap;
use lockstep_record::{FirmId, InstrumentId, SessionId, Side, Timestamp};

type Check = Result<(), InvariantError>;
/// Two numbers that a part of the check has counted.
pub type Counted = Result<(u32, u32), InvariantError>;
/// A part of the check that may run on another thread.
pub type Part<'a> = &'a (dyn Fn() -> Counted + Sync);

fn state(what: &'static str) -> InvariantError {
    InvariantError::State { what }
}

impl StateMachine {
    /// Checks every book, every session's list of orders, and the totals between them. Reads everything;
    /// not for the hot path.
    pub fn check_invariants(&self) -> Result<(), InvariantError> {
        self.check_counts(self.check_books()?, self.check_sessions()?)
    }

    /// The same for a state just loaded, whose lists of sessions are known: `listed` are all live orders, (order
    /// reference, slot), by reference. A list is compared with it and not followed, which in a large state would
    /// wait for memory at every step.
    /// `both` carries out the two parts that read most, beside each other if it can.
    pub(crate) fn check_loaded(
        &self,
        listed: &[(u64, u32)],
        both: impl FnOnce(Part<'_>, Part<'_>) -> (Counted, Counted),
    ) -> Check {
        let (books, lists) = both(&|| self.check_books(), &|| self.check_lists(listed));
        self.check_counts(books?, lists?)
    }

    fn check_books(&self) -> Counted {
        let (mut orders, mut levels) = (0, 0);
        for id in self.instruments.defined() {
            let (in_book, on_levels) = self.check_book(id)?;
            orders += in_book;
            levels += on_levels;
        }
        Ok((orders, levels))
    }

    fn check_counts(
        &self,
        (mut orders, levels): (u32, u32),
        (listed, extended): (u32, u32),
    ) -> Check {
        orders += self.stops.check().map_err(state)?;
        self.pegs.check().map_err(state)?;
        orders += self.waiting_pegs().count() as u32;
        if self.touched.any() {
            return Err(state("what a record left to do has not been done"));
        }
        if orders != self.pool.live() {
            return Err(state(
                "the books and the pool disagree on the number of live orders",
            ));
        }
        if levels != self.pool.levels.occupied() {
            return Err(state(
                "the books and the pool disagree on the number of price levels",
            ));
        }
        self.extensions.check().map_err(state)?;
        self.timers.check().map_err(state)?;
        if extended != self.extensions.live() {
            return Err(state("orders and extensions disagree on their number"));
        }
        if listed != orders {
            return Err(state(
                "the sessions and the books disagree on the number of live orders",
            ));
        }
        self.check_risk()?;
        if orders > self.bounds.open_orders_max || levels > self.bounds.price_levels_max {
            return Err(state("a bound is exceeded"));
        }
        Ok(())
    }

    fn check_book(&self, id: InstrumentId) -> Result<(u32, u32), InvariantError> {
        let instrument = self.instruments.get(id);
        let wrong = |what| InvariantError::Book {
            instrument: id,
            what,
        };
        let mut counts = (0, 0);
        for mark in BookMark::ALL {
            let book = self.instruments.book(id, mark);
            if book.id != mark.book_id(id.0) {
                return Err(wrong("a book's id is not its instrument's"));
            }
            let (orders, levels) = self.pool.check_book(book).map_err(wrong)?;
            counts = (counts.0 + orders, counts.1 + levels);
            for lane in 0..LANES {
                self.check_orders(instrument, book, lane).map_err(wrong)?;
            }
        }
        if instrument.retired && (counts.0 != 0 || self.stops.any_of(id.0)) {
            return Err(wrong("a retired instrument has live orders"));
        }
        self.check_phase(id).map_err(wrong)?;
        if self.instruments.find(instrument.symbol) != Some(id) {
            return Err(wrong("the symbol does not lead to the instrument"));
        }
        Ok(counts)
    }

    /// What an instrument's state promises of its books and its times.
    fn check_phase(&self, id: InstrumentId) -> Result<(), &'static str> {
        let state = self.instruments.get(id).state;
        let phase = self.instruments.phase(id);
        if state == TradingState::Trading && self.day.open && self.is_crossed(id, state) {
            return Err("the book is crossed");
        }
        if matches!(state, TradingState::Trading | TradingState::Closed) && !phase.call.is_empty() {
            return Err("an order for an auction is left after it");
        }
        if state == TradingState::Closed && !phase.close.is_empty() {
            return Err("an order for the closing auction is left after the close");
        }
        let waits = !phase.call.is_empty() || !phase.close.is_empty();
        if waits && !self.day.open {
            return Err("an order for an auction outlived the day");
        }
        let timed = phase.call_ends != Timestamp(0) || phase.indicates != Timestamp(0);
        if timed && !state.is_auction() {
            return Err("a call that is not there has an end");
        }
        if state.is_auction() && !self.day.open {
            return Err("a call outlived the day");
        }
        if self.timers.of(id) != self.next_time(id) {
            return Err("an instrument's time is not the earliest of its times");
        }
        if self.instruments.get(id).collared != phase.rules.collars() {
            return Err("an instrument and its rules disagree on collars");
        }
        Ok(())
    }

    fn check_orders(
        &self,
        instrument: &Instrument,
        book: &Book,
        lane: usize,
    ) -> Result<(), &'static str> {
        let mut at = None;
        let folded = !instrument.state.accumulates();
        while let Some((level, tick)) = self.pool.next_level(book, lane, at) {
            at = Some(level);
            let price = u64::from(tick) * u64::from(instrument.tick_size);
            let own = book.id == instrument.book.id;
            let at_market = !own && tick == market_tick(side_of(lane));
            if !at_market && (price == 0 || price > self.features.price_max) {
                return Err("an order rests at no legal price");
            }
            let mut last_reference = 0;
            for slot in self.pool.level_orders(level) {
                let order = self.pool.order(slot);
                let detail = &self.details[slot as usize];
                let extension = self.extensions.of(detail.extension);
                // A reserve order goes back each time it is displayed anew.
                let in_time = detail.reference > last_reference || extension.max_floor != 0;
                if !in_time || detail.reference > self.last_reference {
                    return Err("time priority is not by order reference");
                }
                if extension.max_floor == 0 {
                    last_reference = detail.reference;
                }
                if (detail.side == b'B') != (side_of(lane) == Side::Buy) {
                    return Err("an order's side is not the book's");
                }
                if (detail.display == b'N') != order.is_hidden() {
                    return Err("an order's display is not its ladder's");
                }
                let timed = extension.deadline != Timestamp(0);
                if !matches!((detail.time_in_force, timed), (b'0', false) | (b'6', true)) {
                    return Err("an order rests that may not, or not so long");
                }
                if extension.max_floor == 0 && extension.reserve != 0 {
                    return Err("an order without a display size has a reserve");
                }
                let for_auction = detail.cross_type != b'N' || at_market;
                if own == for_auction {
                    return Err("an order for an auction only is in the wrong book");
                }
                if !folded && extension.reserve != 0 {
                    return Err("a reserve is held back from an auction");
                }
                if !extension.displays_well() {
                    return Err("an order's display varies by more than its size");
                }
                let shows_max = extension.max_floor.saturating_add(extension.random);
                if extension.max_floor != 0 && folded && order.open > shows_max {
                    return Err("an order displays more than its display size");
                }
                let open = u64::from(order.open) + u64::from(extension.reserve);
                let total = open + u64::from(order.executed);
                if total > u64::from(self.features.quantity_max) {
                    return Err("a chain is larger than an order may be");
                }
                if order.number > self.sessions.last_number(order.owner) {
                    return Err("a live order's number was never used");
                }
            }
        }
        Ok(())
    }

    /// Number of orders in all sessions' lists, and of those with an extension.
    fn check_sessions(&self) -> Counted {
        let mut counts = (0, 0);
        for id in self.sessions.defined() {
            let (orders, extensions) = self.check_session(id)?;
            counts = (counts.0 + orders, counts.1 + extensions);
        }
        Ok(counts)
    }

    /// The same as [`Self::check_sessions`] finds: each list has just the orders of `listed` that are its
    /// session's, in their order.
    fn check_lists(&self, listed: &[(u64, u32)]) -> Counted {
        // Of each session's list so far: its last slot, that one's reference, how many.
        let mut ends = alloc::vec![(NONE, 0u64, 0u32); self.sessions.id_end() as usize];
        let mut extended = 0;
        for &(_, slot) in listed {
            let (order, detail) = (self.pool.order(slot), &self.details[slot as usize]);
            let id = owner_session(order.owner);
            let session = self.sessions.find(id).filter(|_| order.open != 0);
            let Some(session) = session else {
                return Err(state("a session's list holds what is not its live order"));
            };
            let end = &mut ends[id.0 as usize];
            let linked = match end.0 {
                NONE => session.first_order,
                last => self.details[last as usize].next,
            };
            if linked != slot || detail.prev != end.0 || detail.reference <= end.1 {
                return Err(state("a session's list is not by order reference"));
            }
            self.check_waiting(slot)?;
            extended += u32::from(detail.extension != NONE);
            *end = (slot, detail.reference, end.2 + 1);
        }
        for id in self.sessions.defined() {
            let (session, (last, _, count)) = (self.sessions.get(id), ends[id.0 as usize]);
            let ends_there = match last {
                NONE => session.first_order == NONE,
                last => self.details[last as usize].next == NONE,
            };
            if session.last_order != last || session.open_orders != count || !ends_there {
                return Err(state("a session's list and its count disagree"));
            }
            self.check_connection(id)?;
        }
        Ok((listed.len() as u32, extended))
    }

    /// Walks a session's list; returns its number of orders, and of those with an extension.
    fn check_session(&self, id: SessionId) -> Result<(u32, u32), InvariantError> {
        let mut extended = 0;
        let session = self.sessions.get(id);
        let (mut count, mut last, mut last_reference) = (0, NONE, 0);
        let mut slot = session.first_order;
        while slot != NONE {
            let detail = &self.details[slot as usize];
            let order = self.pool.order(slot);
            if order.open == 0 || owner_session(order.owner) != id {
                return Err(state("a session's list holds what is not its live order"));
            }
            if detail.prev != last || detail.reference <= last_reference {
                return Err(state("a session's list is not by order reference"));
            }
            self.check_waiting(slot)?;
            count += 1;
            extended += u32::from(detail.extension != NONE);
            if count > session.open_orders {
                return Err(state("a session's list is longer than its count"));
            }
            (last, last_reference, slot) = (slot, detail.reference, detail.next);
        }
        if session.last_order != last || session.open_orders != count {
            return Err(state("a session's list and its count disagree"));
        }
        self.check_connection(id)?;
        Ok((count, extended))
    }

    /// What is counted of live orders, against the live orders.
    fn check_risk(&self) -> Check {
        if !self.risk.protections.pending.is_empty() {
            return Err(state("a tripped protection was not pulled"));
        }
        if !self.risk.tracking {
            return Ok(());
        }
        let mut firms = alloc::vec![Exposure::default(); self.bounds.firms_max as usize + 1];
        let mut open: BTreeMap<(u32, u32), [u64; 2]> = BTreeMap::new();
        for id in self.sessions.defined() {
            let mut own = Exposure::default();
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let (order, shares) = (self.counted(slot), self.open_of(slot));
                for sum in [&mut own, &mut firms[order.firm.0 as usize]] {
                    sum.open_orders += 1;
                    sum.open_notional += notional(order.price, shares);
                }
                let pair = open.entry((order.firm.0, order.instrument.0)).or_default();
                pair[order.side as usize] += u64::from(shares);
                slot = self.details[slot as usize].next;
            }
            if self.risk.session(id).exposure != own {
                return Err(state("a session's open orders are not what is counted"));
            }
        }
        for (id, _) in self.firms.defined() {
            if self.risk.firm(id).account.exposure != firms[id.0 as usize] {
                return Err(state("a firm's open orders are not what is counted"));
            }
        }
        if self.risk.positions.are_kept() {
            self.check_positions(&open)?;
        }
        Ok(())
    }

    fn check_positions(&self, open: &BTreeMap<(u32, u32), [u64; 2]>) -> Check {
        let positions = &self.risk.positions;
        if positions.iter().count() != positions.live() as usize
            || positions.live() > self.risk.bounds.positions_max
        {
            return Err(state("the number of positions is not what is counted"));
        }
        for position in positions.iter() {
            let pair = (position.firm, position.instrument);
            let counted = [position.open_buy, position.open_sell];
            if open.get(&pair).copied().unwrap_or_default() != counted {
                return Err(state("a position's open shares are not its orders'"));
            }
        }
        let there = |pair: &(u32, u32)| {
            let (firm, instrument) = (FirmId(pair.0), InstrumentId(pair.1));
            positions.find(firm, instrument).is_some()
        };
        if !open.keys().all(there) {
            return Err(state("a live order's firm has no position"));
        }
        Ok(())
    }

    fn check_connection(&self, id: SessionId) -> Check {
        let session = self.sessions.get(id);
        if session.connected && !self.day.open {
            return Err(state("a session is connected outside the day"));
        }
        if session.next_outbound == 0 {
            return Err(state("an outbound number is 0"));
        }
        Ok(())
    }
}
