//! Executions: an order takes from the book, and both sides hear of each fill.
//!
//! Per fill the resting side hears first, then the aggressor; both with the same match number, at the
//! resting order's price.

use crate::book::pool::{Fill, FillSink};
use crate::entry::Admitted;
use crate::machine::StateMachine;
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::session::{Sessions, owner_ref, owner_session};
use lockstep_record::event::{Event, EventSink, Executed};
use lockstep_record::{InstrumentId, MatchNumber, Price};

const ADDED: u8 = b'A';
const REMOVED: u8 = b'R';

/// An order on its way into the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggressor {
    pub instrument: InstrumentId,
    pub owner: u32,
    pub number: u32,
    pub admitted: Admitted,
    /// Shares that can trade.
    pub open: u32,
    /// Shares of its chain that traded before.
    pub executed: u32,
    /// If fewer than these can be had at once, none is taken.
    pub min_quantity: u32,
}

/// Turns fills into events.
struct Executions<'a, 'b, S> {
    sessions: &'a mut Sessions,
    details: &'a mut [Detail],
    last_match: &'a mut u64,
    out: &'a mut Outbox<'b, S>,
    tick_size: u32,
    owner: u32,
    number: u32,
}

impl<S: EventSink> FillSink for Executions<'_, '_, S> {
    #[inline(always)]
    fn filled(&mut self, fill: &Fill) {
        *self.last_match += 1;
        let mut executed = Executed {
            user_ref: owner_ref(fill.owner, fill.number),
            quantity: fill.quantity,
            price: Price(u64::from(fill.tick) * u64::from(self.tick_size)),
            liquidity: ADDED,
            match_number: MatchNumber(*self.last_match),
        };
        let resting = owner_session(fill.owner);
        self.out
            .deliver(self.sessions, resting, Event::Executed(&executed));
        executed.user_ref = owner_ref(self.owner, self.number);
        executed.liquidity = REMOVED;
        self.out.deliver(
            self.sessions,
            owner_session(self.owner),
            Event::Executed(&executed),
        );
        if fill.resting_open == 0 {
            self.sessions.unlink(self.details, resting, fill.slot);
        }
    }
}

impl StateMachine {
    /// Lets an order take what it can; returns what is left of it.
    #[inline(always)]
    pub(crate) fn execute<S: EventSink>(
        &mut self,
        order: &Aggressor,
        out: &mut Outbox<'_, S>,
    ) -> u32 {
        let Admitted { side, limit, .. } = order.admitted;
        let instrument = self.instruments.get_mut(order.instrument);
        if order.min_quantity != 0
            && !self
                .pool
                .can_take(&instrument.book, side, limit, order.min_quantity)
        {
            return order.open;
        }
        let mut executions = Executions {
            sessions: &mut self.sessions,
            details: &mut self.details,
            last_match: &mut self.last_match,
            out,
            tick_size: instrument.tick_size,
            owner: order.owner,
            number: order.number,
        };
        self.pool.take(
            &mut instrument.book,
            side,
            limit,
            order.open,
            &mut executions,
        )
    }
}
