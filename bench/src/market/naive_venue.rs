//! A deliberately simple venue for tests of the replay, with bugs to plant in it.
//!
//! One symbol, day and IOC limit orders, cancels. Answers are made by the wire's own encoder, so the
//! replay reads what it would read from a socket.

use super::link::{LinkError, VenueLink};
use lockstep_record::event::{
    Accepted, CancelReason, Canceled, Delivery, Event, Executed, OrderState, OrderTerms,
    RejectReason, Rejected, UserRef,
};
use lockstep_record::{
    InstrumentId, MatchNumber, OrderReference, Parts, Price, SessionId, Side, StreamNumber,
};
use lockstep_wire::ouch::inbound::EnterOrder;
use lockstep_wire::ouch::{Inbound, OUTBOUND_LENGTH_MAX, encode_event};
use std::collections::VecDeque;

/// One-line mistakes of a matching engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    None,
    /// The newest order of a level trades first.
    NewestFirst,
    /// A partial cancel moves the order to the back.
    PartialCancelLosesPriority,
    /// A cancel takes one share more than asked, where it can.
    CancelTakesMore,
    /// A cancel says what was asked and removes nothing.
    CancelLies,
    /// An aggressor lets its last share rest instead of trading it.
    ImmediateRests,
    /// Trades print a price one tick off.
    WrongPrice,
    /// An order is accepted with a share less.
    AcceptsLess,
    /// Only one side of a trade is told.
    OneSidedTrade,
    /// An aggressor's last share is cancelled instead of traded.
    TradesLess,
    /// Every hundredth order is refused.
    Refuses,
    /// The second answer of anything is garbage.
    Garbage,
    /// Cancels stay unanswered.
    Silent,
    /// Every order is accepted twice.
    AcceptsTwice,
}

struct Resting {
    session: usize,
    user_ref: u32,
    side: Side,
    price: u64,
    total: u32,
    open: u32,
}

pub struct NaiveVenue {
    bug: Bug,
    /// In time priority.
    book: Vec<Resting>,
    answers: VecDeque<(usize, Vec<u8>)>,
    next_match: u64,
    orders: u64,
}

impl NaiveVenue {
    pub fn new(bug: Bug) -> Self {
        Self {
            bug,
            book: Vec::new(),
            answers: VecDeque::new(),
            next_match: 1,
            orders: 0,
        }
    }

    pub fn resting(&self) -> usize {
        self.book.len()
    }

    fn answer(&mut self, session: usize, event: Event<'_>) {
        let to = Delivery {
            session: SessionId(1 + session as u32),
            number: StreamNumber(1),
            time_ns: 1,
        };
        let mut bytes = vec![0; OUTBOUND_LENGTH_MAX];
        let length = encode_event(&to, &event, &mut bytes);
        bytes.truncate(length);
        if self.bug == Bug::Garbage && self.answers.len() == 1 {
            bytes[0] = b'?';
        }
        self.answers.push_back((session, bytes));
    }

    fn executed(
        &mut self,
        session: usize,
        user_ref: u32,
        quantity: u32,
        price: u64,
        liquidity: u8,
    ) {
        let price = if self.bug == Bug::WrongPrice {
            price + 100
        } else {
            price
        };
        let executed = Executed {
            user_ref: UserRef {
                number: user_ref,
                index: 0,
            },
            quantity,
            price: Price(price),
            liquidity,
            match_number: MatchNumber(self.next_match),
        };
        self.answer(session, Event::Executed(&executed));
    }

    fn canceled(&mut self, session: usize, user_ref: u32, quantity: u32, reason: CancelReason) {
        let canceled = Canceled {
            user_ref: UserRef {
                number: user_ref,
                index: 0,
            },
            quantity,
            reason,
        };
        self.answer(session, Event::Canceled(&canceled));
    }

    fn enter(&mut self, session: usize, order: &EnterOrder) {
        self.orders += 1;
        let user_ref = UserRef {
            number: order.user_ref_num,
            index: 0,
        };
        if self.bug == Bug::Refuses && self.orders.is_multiple_of(100) {
            let rejected = Rejected {
                user_ref,
                reason: RejectReason::Other,
                client_order_id: [b' '; 14],
            };
            return self.answer(session, Event::Rejected(&rejected));
        }
        let less = u32::from(self.bug == Bug::AcceptsLess && order.quantity > 1);
        let quantity = order.quantity - less;
        let accepted = Accepted {
            instrument: InstrumentId(1),
            terms: OrderTerms {
                user_ref,
                side: order.side,
                quantity,
                symbol: order.symbol,
                price: order.price,
                time_in_force: order.time_in_force,
                display: order.display,
                order_reference: OrderReference(self.orders),
                capacity: order.capacity,
                intermarket_sweep: order.intermarket_sweep,
                cross_type: order.cross_type,
                state: OrderState::Live,
                client_order_id: order.client_order_id,
                options: Parts::default(),
            },
        };
        self.answer(session, Event::Accepted(&accepted));
        if self.bug == Bug::AcceptsTwice {
            self.answer(session, Event::Accepted(&accepted));
        }
        self.match_and_rest(session, order, quantity);
    }

    fn match_and_rest(&mut self, session: usize, order: &EnterOrder, quantity: u32) {
        let side = if order.side == b'B' {
            Side::Buy
        } else {
            Side::Sell
        };
        let price = order.price.0;
        let mut open = quantity;
        let is_short = matches!(self.bug, Bug::TradesLess | Bug::ImmediateRests);
        let short = u32::from(is_short && open > 1);
        while open > short
            && let Some(at) = self.best_opposite(side, price)
        {
            let maker = &mut self.book[at];
            let traded = maker.open.min(open - short);
            maker.open -= traded;
            open -= traded;
            let (maker_session, maker_ref, at_price) = (maker.session, maker.user_ref, maker.price);
            if maker.open == 0 {
                self.book.remove(at);
            }
            if self.bug != Bug::OneSidedTrade {
                self.executed(maker_session, maker_ref, traded, at_price, b'A');
            }
            self.executed(session, order.user_ref_num, traded, at_price, b'R');
            self.next_match += 1;
        }
        if open == 0 {
            return;
        }
        if order.time_in_force == b'3' && self.bug != Bug::ImmediateRests {
            return self.canceled(
                session,
                order.user_ref_num,
                open,
                CancelReason::ImmediateOrCancel,
            );
        }
        self.book.push(Resting {
            session,
            user_ref: order.user_ref_num,
            side,
            price,
            total: quantity,
            open,
        });
    }

    /// Best price first, then the oldest.
    fn best_opposite(&self, side: Side, limit: u64) -> Option<usize> {
        let is_marketable = |order: &&Resting| {
            order.side == side.opposite()
                && match side {
                    Side::Buy => order.price <= limit,
                    Side::Sell => order.price >= limit,
                }
        };
        let prices = self
            .book
            .iter()
            .filter(is_marketable)
            .map(|order| order.price);
        let best = match side {
            Side::Buy => prices.min(),
            Side::Sell => prices.max(),
        }?;
        let is_best = |order: &Resting| order.side == side.opposite() && order.price == best;
        if self.bug == Bug::NewestFirst {
            self.book.iter().rposition(is_best)
        } else {
            self.book.iter().position(is_best)
        }
    }

    fn cancel(&mut self, session: usize, user_ref: u32, new_total: u32) {
        if self.bug == Bug::Silent {
            return;
        }
        let is_it = |order: &Resting| order.session == session && order.user_ref == user_ref;
        let Some(at) = self.book.iter().position(is_it) else {
            return;
        };
        let order = &mut self.book[at];
        let executed = order.total - order.open;
        let more = u32::from(self.bug == Bug::CancelTakesMore && new_total > executed + 1);
        let keeps = new_total.saturating_sub(executed + more).min(order.open);
        let removed = order.open - keeps;
        if self.bug != Bug::CancelLies {
            order.total -= removed;
            order.open = keeps;
        }
        if order.open == 0 {
            self.book.remove(at);
        } else if self.bug == Bug::PartialCancelLosesPriority {
            let order = self.book.remove(at);
            self.book.push(order);
        }
        self.canceled(session, user_ref, removed, CancelReason::User);
    }
}

impl VenueLink for NaiveVenue {
    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError> {
        match Inbound::parse(message) {
            Ok(Inbound::EnterOrder(order)) => self.enter(session, &order.values()),
            Ok(Inbound::CancelOrder(cancel)) => {
                self.cancel(session, cancel.user_ref_num(), cancel.quantity());
            }
            other => return Err(LinkError::Other(format!("the replay sent {other:?}"))),
        }
        Ok(())
    }

    fn poll(&mut self, answer: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError> {
        let mut count = 0;
        while let Some((session, bytes)) = self.answers.pop_front() {
            answer(session, &bytes);
            count += 1;
        }
        Ok(count)
    }
}
