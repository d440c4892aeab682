//! Drives a plan against a venue and holds the venue's answers against it.
//!
//! The maker's requests may be in flight together, up to the window; an aggressor travels alone, for its
//! execution is told to two sessions. Every answer must be the one that the oldest request waits for.
//!
//! A state machine without I/O or time. It must never let an answer pass that it did not expect.

use super::plan::{Action, Planner, Request};
use super::reader::ItchMessage;
use super::report::{ItchCompared, ItchMismatch};
use super::survey::Survey;
use crate::client::orders::{Cause, Change, Order, OrderId, Orders};
use crate::client::request::{
    LimitOrder, REQUEST_LENGTH_MAX, encode_cancel, encode_enter, encode_replace,
};
use crate::market::link::Conversation;
use lockstep_record::Price;
use lockstep_wire::ouch::Outbound;
use std::collections::VecDeque;

/// Sessions of the link: maker and taker (`Role::session`).
pub const MAKER: usize = 0;
pub const TAKER: usize = 1;
/// Requests planned ahead at most, about.
const AHEAD_MAX: usize = 4096;
/// Live orders of one session at most.
const ORDERS_MAX: usize = 1 << 26;

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct ItchOptions {
    /// Last UserRefNum that maker and taker have used today.
    pub last_user_refs: [u32; 2],
    /// Requests in flight at most.
    pub window: usize,
    /// Give up after so many mismatches.
    pub mismatches_max: usize,
}

/// One end of an execution: match number, shares, price.
type End = (u64, u32, u64);

#[derive(Debug)]
struct InFlight {
    request: Request,
    /// An aggressor: its Accepted, its own end, the maker's end.
    is_accepted: bool,
    taken: Option<End>,
    made: Option<End>,
}

/// A replay of one file.
#[derive(Debug)]
pub struct ItchReplay {
    options: ItchOptions,
    planner: Planner,
    planned: Vec<Request>,
    ahead: VecDeque<Request>,
    in_flight: VecDeque<InFlight>,
    /// By session of the link; the third hears the day's events only.
    orders: [Orders; 3],
    compared: ItchCompared,
    mismatches: Vec<ItchMismatch>,
    requests: u64,
    answers: u64,
}

impl ItchReplay {
    pub fn new(survey: Survey, options: ItchOptions) -> Self {
        Self {
            options,
            planner: Planner::new(survey, options.last_user_refs),
            planned: Vec::new(),
            ahead: VecDeque::new(),
            in_flight: VecDeque::new(),
            orders: [(); 3].map(|()| Orders::new(ORDERS_MAX)),
            compared: ItchCompared::default(),
            mismatches: Vec::new(),
            requests: 0,
            answers: 0,
        }
    }

    pub fn wants_messages(&self) -> bool {
        self.ahead.len() < AHEAD_MAX
    }

    /// True when everything planned is sent and answered.
    pub fn is_idle(&self) -> bool {
        self.ahead.is_empty() && self.in_flight.is_empty()
    }

    pub fn has_given_up(&self) -> bool {
        self.mismatches.len() >= self.options.mismatches_max
    }

    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    pub fn compared(&self) -> &ItchCompared {
        &self.compared
    }

    pub fn mismatches(&self) -> &[ItchMismatch] {
        &self.mismatches
    }

    pub fn requests(&self) -> u64 {
        self.requests
    }

    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Message of the oldest request that is not answered.
    pub fn waiting_for(&self) -> Option<u64> {
        self.in_flight.front().map(|head| head.request.message)
    }

    pub fn handle_message(&mut self, message: &ItchMessage) {
        self.planner.handle_message(message, &mut self.planned);
        self.ahead.extend(self.planned.drain(..));
    }

    /// Cancels all that lives. Only when idle and compared.
    pub fn clean_up(&mut self) {
        self.planner.finish(&mut self.planned);
        self.ahead.extend(self.planned.drain(..));
    }

    fn progress(&mut self, session: usize, change: &Change) {
        let Some(head) = self.in_flight.front_mut() else {
            return self.note(format!("session {session}: nothing asked for {change:?}"));
        };
        match head.take(session, change) {
            Taken::More => {}
            Taken::Done => self.retire(),
            Taken::Wrong => {
                let request = head.request;
                self.note(format!("{request:?} was answered by {change:?}"));
                // A refused request has no more to come; others may, and are noted as strangers.
                self.in_flight.pop_front();
            }
        }
    }

    fn retire(&mut self) {
        let Some(head) = self.in_flight.pop_front() else {
            return;
        };
        if let Some(event) = head.request.event {
            *self.compared.reproduced.entry(event).or_default() += 1;
            let hash = &mut self.compared.hash;
            hash.number(head.request.message);
            hash.number(event as u64);
            hash.number(u64::from(head.request.user_ref));
            if let Some((_, shares, price)) = head.taken {
                hash.number(u64::from(shares));
                hash.number(price);
            }
        }
    }

    /// Holds every order that the file leaves open against what the venue has answered of it. Only when idle.
    pub fn compare_open_orders(&mut self) {
        let book = self.planner.book();
        let mut live: Vec<_> = book.iter().map(|(order, terms)| (*order, *terms)).collect();
        live.sort_unstable_by_key(|(order, _)| *order);
        let expected = live.len();
        for (order, terms) in live {
            let id = self.planner.maker(order).map(|maker| maker.user_ref);
            let answered = id.and_then(|id| self.orders[MAKER].get(OrderId::new(id)).copied());
            let told = answered.map(|o| (o.side, o.price.0, o.open));
            if told == Some((terms.side, terms.price, terms.open)) {
                self.compared.open_orders += 1;
                self.compared.hash.number(order);
                self.compared.hash.number(terms.price);
                self.compared.hash.number(u64::from(terms.open));
            } else {
                self.note(format!(
                    "order {order} is {terms:?}, the venue says {told:?}"
                ));
            }
        }
        let open: usize = self.orders.iter().map(Orders::live_count).sum();
        if open != expected {
            self.note(format!(
                "the file leaves {expected} orders open, the venue {open}"
            ));
        }
    }

    fn note(&mut self, what: String) {
        let message = self.waiting_for().unwrap_or(0);
        self.mismatches.push(ItchMismatch { message, what });
    }
}

impl Conversation for ItchReplay {
    fn poll_request(&mut self, out: &mut [u8; REQUEST_LENGTH_MAX]) -> Option<(usize, usize)> {
        let is_aggressor = |request: &Request| matches!(request.action, Action::Cross { .. });
        let next = self.ahead.front()?;
        let may_send = match self.in_flight.back() {
            None => true,
            Some(last) => {
                !is_aggressor(next)
                    && !is_aggressor(&last.request)
                    && self.in_flight.len() < self.options.window
            }
        };
        let request = if may_send {
            self.ahead.pop_front()?
        } else {
            return None;
        };
        let (session, length) = encode(&request, out);
        self.requests += 1;
        self.in_flight.push_back(InFlight {
            request,
            is_accepted: false,
            taken: None,
            made: None,
        });
        Some((session, length))
    }

    fn handle_answer(&mut self, session: usize, payload: &[u8]) {
        self.answers += 1;
        let answer = match Outbound::parse(payload) {
            Ok(answer) => answer,
            Err(error) => return self.note(format!("an answer that is not OUCH: {error}")),
        };
        let Some(orders) = self.orders.get_mut(session) else {
            return self.note(format!("session {session}: nothing was asked of it"));
        };
        match orders.handle_answer(&answer) {
            Ok(Change::None) => {}
            Ok(change) => self.progress(session, &change),
            Err(error) => self.note(format!("session {session}: {error}")),
        }
    }
}

/// What an answer was to the request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    More,
    Done,
    Wrong,
}

impl InFlight {
    fn take(&mut self, session: usize, change: &Change) -> Taken {
        let own = OrderId::new(self.request.user_ref);
        let is_right = match (self.request.action, change) {
            (
                Action::Enter {
                    side,
                    shares,
                    price,
                    symbol,
                },
                Change::Opened { id, order },
            ) => {
                let terms = (order.side, order.quantity, order.price.0, order.symbol);
                session == MAKER
                    && *id == own
                    && terms == (side, shares, price, symbol)
                    && !order.is_immediate
            }
            (
                Action::Cancel { removes, .. },
                Change::Reduced {
                    id,
                    by,
                    cause: Cause::Canceled(b'U'),
                    ..
                },
            ) => session == MAKER && *id == own && *by == removes,
            (
                Action::Replace {
                    original,
                    shares,
                    price,
                    side,
                    ..
                },
                Change::Replaced {
                    original: replaced,
                    id,
                    order,
                    ..
                },
            ) => {
                let Order {
                    side: told, open, ..
                } = *order;
                session == MAKER
                    && (*replaced, *id) == (OrderId::new(original), own)
                    && (told, open, order.price.0) == (side, shares, price)
            }
            (Action::Cross { .. }, change) => return self.take_cross(session, change),
            _ => false,
        };
        if is_right { Taken::Done } else { Taken::Wrong }
    }

    fn take_cross(&mut self, session: usize, change: &Change) -> Taken {
        let Action::Cross {
            side,
            shares,
            price,
            symbol,
            maker,
        } = self.request.action
        else {
            return Taken::Wrong;
        };
        let own = OrderId::new(self.request.user_ref);
        match change {
            Change::Opened { id, order } if session == TAKER && !self.is_accepted => {
                self.is_accepted = true;
                let terms = (order.side, order.quantity, order.price.0, order.symbol);
                let is_right = *id == own && terms == (side, shares, price, symbol);
                return if is_right { Taken::More } else { Taken::Wrong };
            }
            Change::Reduced {
                id,
                by,
                cause:
                    Cause::Executed {
                        price: at,
                        match_number,
                        ..
                    },
                ..
            } => {
                let (end, expected) = if session == TAKER {
                    (&mut self.taken, own)
                } else {
                    (&mut self.made, OrderId::new(maker))
                };
                let told = (match_number.0, *by, at.0);
                if *id != expected || (*by, at.0) != (shares, price) || end.is_some() {
                    return Taken::Wrong;
                }
                *end = Some(told);
            }
            _ => return Taken::Wrong,
        }
        match (self.taken, self.made) {
            (Some(taken), Some(made)) if taken == made => Taken::Done,
            (Some(_), Some(_)) => Taken::Wrong,
            _ => Taken::More,
        }
    }
}

/// Writes a request; returns its session and length.
fn encode(request: &Request, out: &mut [u8]) -> (usize, usize) {
    let user_ref = request.user_ref;
    let order = |side, shares, price, symbol, is_immediate| LimitOrder {
        user_ref,
        side,
        quantity: shares,
        symbol,
        price: Price(price),
        is_immediate,
    };
    match request.action {
        Action::Enter {
            side,
            shares,
            price,
            symbol,
        } => (
            MAKER,
            encode_enter(&order(side, shares, price, symbol, false), out),
        ),
        Action::Cross {
            side,
            shares,
            price,
            symbol,
            ..
        } => (
            TAKER,
            encode_enter(&order(side, shares, price, symbol, true), out),
        ),
        Action::Cancel { new_total, .. } => (MAKER, encode_cancel(user_ref, new_total, out)),
        Action::Replace {
            original,
            total,
            price,
            ..
        } => (
            MAKER,
            encode_replace(original, user_ref, total, Price(price), out),
        ),
    }
}
