//! Replace Order.
//!
//! In order (OUCH 5.0's four answers, `docs/matching.md` "Replace"): the original is not live or the new
//! number is used: silence; the original cannot be cancelled now: Rejected, number consumed, original
//! intact; the new values are invalid: the original is cancelled, number not consumed; Replaced.

use crate::NONE;
use crate::admission::{Admitted, Wanted};
use crate::book::pool::Order;
use crate::entry::echo_of;
use crate::execution::Aggressor;
use crate::instrument::Instrument;
use crate::machine::StateMachine;
use crate::option::{ECHO_LENGTH_MAX, Options};
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::session::{owner, owner_session};
use crate::state::TradingState;
use lockstep_record::command::ArchivedReplaceOrder;
use lockstep_record::event::{CancelReason, Event, EventSink, RejectReason, Replaced};
use lockstep_record::{InstrumentId, PartTag, Parts, SessionId};

impl StateMachine {
    pub(crate) fn replace_order<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedReplaceOrder,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let owner = owner(session, options.user_ref_idx);
        let number = body.user_ref_num.to_native();
        let slot = self
            .pool
            .find(owner, body.original_user_ref_num.to_native());
        if slot == NONE || !self.sessions.is_new(owner, number) {
            self.counters.silent += 1;
            return;
        }
        let order = *self.pool.order(slot);
        let original = self.details[slot as usize];
        let instrument = order.instrument();
        let place = self.instruments.get(instrument);
        if let Err(reason) = self.may_replace(session, place, &original) {
            self.sessions.consume(owner, number);
            self.reject(owner, number, reason, body.client_order_id, out);
            return;
        }
        let (options, wanted) = self.replacement(&original, place.tick_size, body, options);
        let Some(admitted) = self.check_replacement(&order, &wanted, &options) else {
            self.cancel_live(slot, CancelReason::User, out);
            return;
        };
        self.sessions.consume(owner, number);
        let whose = (session, original.firm(), instrument);
        let within = self.check_limits(whose, &wanted, &admitted, Some(slot));
        let fits = if self.lacks_room(&order, &original, &admitted) {
            Err(RejectReason::Other)
        } else {
            within
        };
        if let Err(reason) = fits {
            self.reject(owner, number, reason, body.client_order_id, out);
            return;
        }
        self.remove_live(slot);
        let detail = Detail::new(&wanted, original.firm(), body.client_order_id);
        let replacing = Replacing {
            original: order.number,
            executed: order.executed,
            instrument,
        };
        self.enter_replacement(
            &replacing, owner, number, &wanted, &admitted, detail, &options, out,
        );
    }

    /// What a replacement wants: its own values and options, and the original's where it is silent.
    fn replacement(
        &self,
        original: &Detail,
        tick_size: u32,
        body: &ArchivedReplaceOrder,
        options: &Options,
    ) -> (Options, Wanted) {
        let mut options = *options;
        options.inherit(original, self.firms.code(original.firm()));
        let extension = self.extensions.of(original.extension);
        let displayed = body.display != b'N';
        let inherited_deadline =
            options.inherit_extension(&extension, body.time_in_force, displayed);
        self.inherit_stop(&mut options, original, body.time_in_force);
        let plain = displayed || body.time_in_force == b'3';
        self.inherit_peg(&mut options, original, tick_size, plain);
        let wanted = Wanted {
            price: body.price.to_native(),
            quantity: body.quantity.to_native(),
            side: if options.has(PartTag::SIDE) {
                options.side
            } else {
                original.side
            },
            time_in_force: body.time_in_force,
            display: body.display,
            capacity: original.capacity,
            intermarket_sweep: body.intermarket_sweep,
            cross_type: original.cross_type,
            replaces: true,
            inherited_deadline,
        };
        (options, wanted)
    }

    /// Whether the original could be cancelled in favour of another order now.
    fn may_replace(
        &self,
        session: SessionId,
        place: &Instrument,
        original: &Detail,
    ) -> Result<(), RejectReason> {
        if self.risk.over_rate {
            return Err(RejectReason::RiskPortMessageRate);
        }
        let firm = original.firm();
        let allowed = self.lets_in(session, firm, original.group_id);
        let session = self.sessions.get(session);
        let allowed = allowed && session.order_entry && !session.is_disabled(firm);
        match place.state {
            TradingState::Closed => Err(RejectReason::DestinationClosed),
            _ if !allowed => Err(RejectReason::Other),
            TradingState::Halted => Err(RejectReason::Halted),
            _ => Ok(()),
        }
    }

    /// What the new values are; `None` if they are invalid.
    fn check_replacement(
        &self,
        order: &Order,
        wanted: &Wanted,
        options: &Options,
    ) -> Option<Admitted> {
        if options.faulty || options.unsupported() || wanted.quantity <= order.executed {
            return None;
        }
        let admitted = self
            .check_wanted(order.instrument(), wanted, options)
            .ok()?;
        // A sell may become another kind of sell, never a buy.
        let open = wanted.quantity - order.executed;
        let valid = admitted.side == order.side() && options.min_quantity <= open;
        valid.then_some(admitted)
    }

    /// Whether the new order would need a price level or an extension that is neither free nor freed by
    /// the original.
    fn lacks_room(&self, order: &Order, original: &Detail, admitted: &Admitted) -> bool {
        let extended = original.extension != NONE;
        if admitted.stop || admitted.peg {
            return !extended && self.extensions.is_full();
        }
        let Some(tick) = admitted.rests_at else {
            return false;
        };
        let alone = order.prev == NONE && order.next == NONE && !order.is_held();
        let book = self.instruments.book(order.instrument(), admitted.book);
        (!alone && self.pool.lacks_level(book, admitted.lane(), tick))
            || (admitted.is_extended() && !extended && self.extensions.is_full())
    }

    #[allow(clippy::too_many_arguments)]
    fn enter_replacement<S: EventSink>(
        &mut self,
        replacing: &Replacing,
        owner: u32,
        number: u32,
        wanted: &Wanted,
        admitted: &Admitted,
        mut detail: Detail,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let Replacing {
            original,
            executed,
            instrument,
        } = *replacing;
        self.last_reference += 1;
        detail.reference = self.last_reference;
        options.keep(&mut detail);
        let open = wanted.quantity - executed;
        // Written only where there is something to echo.
        let mut echo;
        let symbol = self.instruments.get(instrument).symbol;
        let echoed = if options.any() {
            echo = [0; ECHO_LENGTH_MAX];
            echo_of(options, &mut echo)
        } else {
            Parts::NONE
        };
        let terms = detail.terms(owner, number, open, wanted.price, symbol, echoed);
        let replaced = Replaced {
            instrument,
            original,
            terms,
        };
        out.deliver(
            &mut self.sessions,
            owner_session(owner),
            Event::Replaced(&replaced),
        );
        let aggressor = Aggressor {
            instrument,
            owner,
            number,
            admitted: *admitted,
            open,
            executed,
            min_quantity: options.min_quantity,
            self_trade: self.self_trade_of(owner, options.self_trade_prevention),
            expire_time: options.expire_time,
        };
        self.act_or_wait(&aggressor, wanted.price, &detail, options, out);
    }
}

/// What a replacement takes over from the order that it replaces.
#[derive(Clone, Copy, Debug)]
struct Replacing {
    /// Its number.
    original: u32,
    /// Shares of the chain that have traded.
    executed: u32,
    instrument: InstrumentId,
}
