//! Live orders as the state machine's events tell of them, for tools that need to know what an event is about.
//!
//! An event names an order by session and user reference only; here that becomes its instrument, side and
//! price, and the record that began its life. It must never decide anything: what is live, and how many
//! shares, is what the events say.

use lockstep_core::StateMachine;
use lockstep_record::event::{Delivery, Event, OrderState, OrderTerms, UserRef};
use lockstep_record::{InstrumentId, OrderReference, PartTag, Price};
use std::collections::HashMap;

/// An order as its session knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct OrderKey {
    pub session: u32,
    /// UserRefIdx; 0 when the client uses none.
    pub index: u8,
    pub number: u32,
}

impl OrderKey {
    pub fn new(session: u32, user_ref: UserRef) -> Self {
        Self {
            session,
            index: user_ref.index,
            number: user_ref.number,
        }
    }
}

impl OrderKey {
    /// `SESSION:NUMBER` or `SESSION:USER-REF-IDX:NUMBER`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(':').collect();
        let (session, index, number) = match words[..] {
            [session, number] => (session, "0", number),
            [session, index, number] => (session, index, number),
            _ => return None,
        };
        Some(Self {
            session: session.parse().ok()?,
            index: index.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl std::fmt::Display for OrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.index {
            0 => write!(f, "{}:{}", self.session, self.number),
            index => write!(f, "{}:{index}:{}", self.session, self.number),
        }
    }
}

/// One live order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiveOrder {
    pub key: OrderKey,
    /// Sequence of the record that entered the first order of its chain.
    pub life: u64,
    pub reference: OrderReference,
    pub instrument: InstrumentId,
    pub symbol: [u8; 8],
    /// As on the wire: `B`, `S`, `T`, `E`.
    pub side: u8,
    pub price: Price,
    /// Open shares, a reserve included.
    pub open: u32,
    /// Most shares that are displayed at a time; 0 = all.
    pub max_floor: u32,
    /// The last trade price that makes it act; 0 = it is no stop, or its trigger is not said.
    pub stop_price: u64,
    /// Venue tag 201, or what it means to leave it out: `N` no stop, `S` stop, `T` trailing stop.
    pub stop_kind: u8,
    /// Shares of this order, not of its chain, that have traded.
    pub executed: u32,
    pub time_in_force: u8,
    pub display: u8,
    pub capacity: u8,
    pub client_order_id: [u8; 14],
}

/// What an event did to an order.
#[derive(Clone, Copy, Debug)]
pub struct Touched {
    /// The order that was replaced, if the event is a replacement.
    pub original: Option<LiveOrder>,
    /// Nothing for an order that this event began.
    pub before: Option<LiveOrder>,
    /// `open` 0: it is no more.
    pub after: LiveOrder,
}

#[derive(Debug, Default)]
pub struct Ledger {
    live: HashMap<OrderKey, LiveOrder>,
    /// Of the record whose events come now.
    sequence: u64,
}

/// Lives of orders that are older than the log that is there begin here: their order reference is added.
pub const LIFE_BEFORE: u64 = 1 << 63;

impl Ledger {
    /// Begins with a state's live orders: of a snapshot, where the log before it is not there.
    pub fn begin(&mut self, machine: &StateMachine) {
        let symbols: HashMap<u32, [u8; 8]> = machine
            .instruments()
            .map(|instrument| (instrument.instrument.0, instrument.symbol))
            .collect();
        for session in machine.sessions() {
            for order in machine.open_orders(session.session) {
                let key = OrderKey::new(session.session.0, order.user_ref);
                let live = LiveOrder {
                    key,
                    life: LIFE_BEFORE | order.reference.0,
                    reference: order.reference,
                    instrument: order.instrument,
                    symbol: symbols
                        .get(&order.instrument.0)
                        .copied()
                        .unwrap_or([b' '; 8]),
                    side: order.side,
                    price: order.price,
                    open: order.open,
                    max_floor: 0,
                    stop_price: 0,
                    stop_kind: b'N',
                    executed: order.executed,
                    time_in_force: order.time_in_force,
                    display: order.display,
                    capacity: b' ',
                    client_order_id: order.client_order_id,
                };
                self.live.insert(key, live);
            }
        }
    }

    /// Call for every record, before its events.
    pub fn record(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Live orders, in no order.
    pub fn live(&self) -> impl Iterator<Item = &LiveOrder> {
        self.live.values()
    }

    pub fn get(&self, key: &OrderKey) -> Option<&LiveOrder> {
        self.live.get(key)
    }

    /// Takes an event in. `None` if it is about no order that is known to live.
    pub fn event(&mut self, to: &Delivery, event: &Event<'_>) -> Option<Touched> {
        let session = to.session.0;
        let key = |user_ref| OrderKey::new(session, user_ref);
        match event {
            Event::Accepted(accepted) => {
                let opened = self.order(session, accepted.instrument, &accepted.terms);
                self.open(opened, None)
            }
            Event::Replaced(replaced) => {
                let user_ref = UserRef {
                    number: replaced.original,
                    index: replaced.terms.user_ref.index,
                };
                let original = self.live.remove(&key(user_ref));
                let mut opened = self.order(session, replaced.instrument, &replaced.terms);
                if let Some(original) = &original {
                    opened.life = original.life;
                }
                self.open(opened, original)
            }
            Event::Executed(e) => self.change(key(e.user_ref), |order| {
                order.open = order.open.saturating_sub(e.quantity);
                order.executed = order.executed.saturating_add(e.quantity);
            }),
            Event::Canceled(c) => self.change(key(c.user_ref), |order| {
                order.open = order.open.saturating_sub(c.quantity);
            }),
            Event::SelfMatchCanceled(c) => self.change(key(c.user_ref), |order| {
                order.open = order.open.saturating_sub(c.decrement);
            }),
            Event::Modified(m) => self.change(key(m.user_ref), |order| {
                order.side = m.side;
                order.open = m.quantity;
            }),
            Event::PriorityUpdate(p) => self.change(key(p.user_ref), |order| {
                order.price = p.price;
                order.display = p.display;
                order.reference = p.order_reference;
            }),
            Event::Restated(r) => self.change(key(r.user_ref), |order| {
                if let Some(price) = r.display_price {
                    order.price = price;
                }
            }),
            Event::CancelPending(user_ref) | Event::CancelReject(user_ref) => {
                self.change(key(*user_ref), |_| {})
            }
            _ => None,
        }
    }

    fn order(&self, session: u32, instrument: InstrumentId, terms: &OrderTerms<'_>) -> LiveOrder {
        let max_floor = terms.options.find(PartTag::MAX_FLOOR);
        let stop_price = terms.options.find(PartTag::STOP_PRICE);
        let stop_price = stop_price.and_then(|part| part.u64()).unwrap_or(0);
        let stop_kind = terms.options.find(PartTag::STOP_KIND);
        let stop_kind = stop_kind.and_then(|part| part.u8());
        let implied = if stop_price == 0 { b'N' } else { b'S' };
        let dead = terms.state == OrderState::Dead;
        LiveOrder {
            key: OrderKey::new(session, terms.user_ref),
            life: self.sequence,
            reference: terms.order_reference,
            instrument,
            symbol: terms.symbol,
            side: terms.side,
            price: terms.price,
            open: if dead { 0 } else { terms.quantity },
            max_floor: max_floor.and_then(|part| part.u32()).unwrap_or(0),
            stop_price,
            stop_kind: stop_kind.unwrap_or(implied),
            executed: 0,
            time_in_force: terms.time_in_force,
            display: terms.display,
            capacity: terms.capacity,
            client_order_id: terms.client_order_id,
        }
    }

    fn open(&mut self, opened: LiveOrder, original: Option<LiveOrder>) -> Option<Touched> {
        if opened.open > 0 {
            self.live.insert(opened.key, opened);
        }
        Some(Touched {
            original,
            before: None,
            after: opened,
        })
    }

    fn change(&mut self, key: OrderKey, change: impl FnOnce(&mut LiveOrder)) -> Option<Touched> {
        let order = self.live.get_mut(&key)?;
        let before = *order;
        change(order);
        let after = *order;
        if after.open == 0 {
            self.live.remove(&key);
        }
        Some(Touched {
            original: None,
            before: Some(before),
            after,
        })
    }
}
