//! Cancel, Modify and Account Query; and what takes a live order out of the book.

use crate::NONE;
use crate::book::ahead::Place;
use crate::book::pool::Order;
use crate::machine::StateMachine;
use crate::option::Options;
use crate::outbox::Outbox;
use crate::risk::Counted;
use crate::session::{owner, owner_ref, owner_session};
use lockstep_record::SessionId;
use lockstep_record::command::{ArchivedAccountQuery, ArchivedCancelOrder, ArchivedModifyOrder};
use lockstep_record::event::{
    AccountQueryResponse, CancelReason, Canceled, Event, EventSink, Modified, UserRef,
};

impl StateMachine {
    #[inline(always)]
    pub(crate) fn cancel_order<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedCancelOrder,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let owner = owner(session, options.user_ref_idx);
        let (slot, place) = self.pool.find_place(owner, body.user_ref_num.to_native());
        if slot == NONE || options.faulty {
            self.counters.silent += 1;
            return;
        }
        match self.new_open(slot, body.quantity.to_native()) {
            Some(0) => self.cancel_found(slot, Some(place), CancelReason::User, out),
            Some(open) => {
                let canceled = Canceled {
                    user_ref: owner_ref(owner, self.pool.order(slot).number),
                    quantity: self.open_of(slot) - open,
                    reason: CancelReason::User,
                };
                self.lower(slot, open);
                out.deliver(&mut self.sessions, session, Event::Canceled(&canceled));
            }
            None => self.counters.silent += 1,
        }
    }

    /// Open shares of a live order, its reserve included.
    #[inline(always)]
    pub(crate) fn open_of(&self, slot: u32) -> u32 {
        let extension = self.details[slot as usize].extension;
        self.pool.order(slot).open + self.extensions.of(extension).reserve
    }

    /// Lowers a live order to so many open shares, from its reserve first; priority is kept.
    #[inline(always)]
    fn lower(&mut self, slot: u32, open: u32) {
        if self.risk.tracking {
            let lost = self.open_of(slot) - open;
            self.risk.reduced(&self.counted(slot), lost);
        }
        let shown = self.pool.order(slot).open;
        let extension = self.details[slot as usize].extension;
        if extension != NONE {
            self.extensions
                .set_reserve(extension, open.saturating_sub(shown));
        }
        if open >= shown {
            return;
        }
        if self.pool.order(slot).is_held() {
            self.pool.reduce_held(slot, open);
        } else {
            self.pool.reduce(slot, open);
        }
    }

    /// What is open when the chain's total becomes `total`; `None` if it would not fall or not be in lots.
    #[inline(always)]
    fn new_open(&self, slot: u32, total: u32) -> Option<u32> {
        let order = self.pool.order(slot);
        if total <= order.executed {
            return Some(0);
        }
        let open = total - order.executed;
        let lot = self.instruments.get(order.instrument()).lot_size;
        (open < self.open_of(slot) && total.is_multiple_of(lot)).then_some(open)
    }

    pub(crate) fn modify_order<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedModifyOrder,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let owner = owner(session, options.user_ref_idx);
        let slot = self.pool.find(owner, body.user_ref_num.to_native());
        if slot == NONE || options.faulty {
            self.counters.silent += 1;
            return;
        }
        let order = *self.pool.order(slot);
        let side = self.details[slot as usize].side;
        let new_open = self.new_open(slot, body.quantity.to_native());
        let changes_side = match (side, body.side) {
            (b'S', b'E' | b'T') | (b'E', b'T') => true,
            (now, wanted) if now == wanted => false,
            _ => {
                self.counters.silent += 1;
                return;
            }
        };
        match new_open {
            Some(0) => return self.cancel_live(slot, CancelReason::User, out),
            Some(open) => self.lower(slot, open),
            None if changes_side => {}
            None => {
                self.counters.silent += 1;
                return;
            }
        }
        self.details[slot as usize].side = body.side;
        let modified = Modified {
            user_ref: owner_ref(owner, order.number),
            side: body.side,
            quantity: self.open_of(slot),
        };
        out.deliver(&mut self.sessions, session, Event::Modified(&modified));
    }

    pub(crate) fn account_query<S: EventSink>(
        &mut self,
        session: SessionId,
        _: &ArchivedAccountQuery,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let index = options.user_ref_idx;
        // 0 when the channel has used the last number there is.
        let number = self
            .sessions
            .last_number(owner(session, index))
            .wrapping_add(1);
        let response = AccountQueryResponse {
            next: UserRef { number, index },
        };
        out.deliver(
            &mut self.sessions,
            session,
            Event::AccountQueryResponse(&response),
        );
    }

    /// Cancels what is open of a live order and says so.
    #[inline(always)]
    pub(crate) fn cancel_live<S: EventSink>(
        &mut self,
        slot: u32,
        reason: CancelReason,
        out: &mut Outbox<'_, S>,
    ) {
        self.cancel_found(slot, None, reason, out);
    }

    /// The same of an order that the index has just been asked for, and found at this place.
    #[inline(always)]
    fn cancel_found<S: EventSink>(
        &mut self,
        slot: u32,
        place: Option<Place>,
        reason: CancelReason,
        out: &mut Outbox<'_, S>,
    ) {
        let quantity = self.open_of(slot);
        let counted = self.count_out(slot);
        let order = self.take_out(slot, place);
        let user_ref = owner_ref(order.owner, order.number);
        let canceled = Canceled {
            user_ref,
            quantity,
            reason,
        };
        out.deliver(
            &mut self.sessions,
            owner_session(order.owner),
            Event::Canceled(&canceled),
        );
        if let Some(counted) = counted {
            self.risk.closed(&counted, quantity);
        }
    }

    /// What a live order counts with, if that is counted. It stops counting some work later, when its firm's
    /// position has come from memory.
    #[inline(always)]
    fn count_out(&self, slot: u32) -> Option<Counted> {
        if !self.risk.tracking {
            return None;
        }
        let counted = self.counted(slot);
        self.risk.positions.warm(counted.firm, counted.instrument);
        Some(counted)
    }

    /// Takes a live order out of its book or from where it waits, and out of its session's list, with its
    /// extension.
    #[inline(always)]
    pub(crate) fn remove_live(&mut self, slot: u32) -> Order {
        let open = self.open_of(slot);
        let counted = self.count_out(slot);
        let order = self.take_out(slot, None);
        if let Some(counted) = counted {
            self.risk.closed(&counted, open);
        }
        order
    }

    /// The same but for what it counts with.
    #[inline(always)]
    fn take_out(&mut self, slot: u32, place: Option<Place>) -> Order {
        let order = self.pool.order(slot);
        let (instrument, mark) = (order.instrument(), order.mark());
        let order = if order.is_held() {
            self.remove_waiting(slot)
        } else {
            let book = self.instruments.book_mut(instrument, mark);
            match place {
                Some(place) => self.pool.remove_at(book, slot, place),
                None => self.pool.remove(book, slot),
            }
        };
        self.sessions
            .unlink(&mut self.details, owner_session(order.owner), slot);
        let detail = &mut self.details[slot as usize];
        if detail.extension != NONE {
            if self.pegs.holds(detail.extension) {
                self.pegs.remove(detail.extension);
            }
            self.extensions.remove(detail.extension);
            detail.extension = NONE;
        }
        self.touch(instrument);
        order
    }
}
