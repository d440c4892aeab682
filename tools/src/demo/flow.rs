//! The flow model over several sessions of a venue, and accounts of every trade.
//!
//! The model (`lockstep_bench::flow`) says what happens next; the venue's answers say what is open. Where a
//! crash, a broken connection or another session's order has made the two part, the answers count: what is
//! gone is not cancelled, and a session that has come to hold too much cancels some of it. It must never
//! send anything that the traders do not remember.

use lockstep_bench::client::orders::{Cause, Change, Order, OrderId};
use lockstep_bench::client::request::symbol;
use lockstep_bench::client::traders::{NewOrder, RequestError, Traders};
use lockstep_bench::flow::model::{Flow as Model, FlowAction, FlowEvent};
use lockstep_bench::flow::options::{FlowOptions, SymbolOptions};
use lockstep_bench::random::Random;
use lockstep_net::{AnyDriver, DriverKind, Limits, NetError};
use lockstep_record::{Price, Side};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use thiserror::Error;

use super::venue::{VenueFolder, VenuePlan};
use lockstep_bench::client::connection::SendError;
use lockstep_bench::client::trader::{TraderError, TraderLimits};

/// Unanswered requests of one session.
const WINDOW: usize = 64;
/// Own open orders of one session; above it the flow cancels.
const OPEN_ORDERS_MAX: usize = 400;
/// Sends between two looks at the answers.
const BURST_MAX: usize = 64;
/// Of the model's own time.
const EVENTS_PER_S: u64 = 10_000;
/// Where the first symbol's price begins, and from one symbol to the next, 1/10,000.
const PRICE: u64 = 1_000_000;
const PRICE_STEP: u64 = 750_000;
/// Idle sleep in the kernel at most.
const WAIT_MAX: Duration = Duration::from_millis(1);

/// Why a flow ended.
#[derive(Debug, Error)]
pub enum FlowError {
    #[error("the venue told something that cannot be: {0}")]
    Venue(#[from] TraderError),
    #[error("a request could not be made: {0}")]
    Request(#[from] RequestError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("login: {0}")]
    Login(#[from] lockstep_wire::soup::CredentialError),
    #[error("{what} after {} s: {state}", at_most.as_secs())]
    TooSlow {
        what: &'static str,
        at_most: Duration,
        state: String,
    },
    #[error("match {number}: {what}")]
    Trade { number: u64, what: &'static str },
    #[error(transparent)]
    Model(#[from] lockstep_bench::flow::options::FlowError),
    #[error("interrupted")]
    Interrupted,
}

/// The two sides of one match.
#[derive(Clone, Copy, Debug)]
struct Trade {
    quantity: u32,
    price: Price,
    buys: u8,
    sells: u8,
}

/// Own day orders that are open, one session's.
#[derive(Debug, Default)]
struct OpenOrders {
    user_refs: Vec<u32>,
    places: HashMap<u32, usize>,
}

impl OpenOrders {
    fn insert(&mut self, user_ref: u32) {
        self.places.insert(user_ref, self.user_refs.len());
        self.user_refs.push(user_ref);
    }

    fn remove(&mut self, user_ref: u32) {
        let Some(place) = self.places.remove(&user_ref) else {
            return;
        };
        self.user_refs.swap_remove(place);
        if let Some(moved) = self.user_refs.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

/// The flow, and what it has seen.
#[derive(Debug)]
struct Market {
    model: Model,
    /// The model's next event.
    next: FlowEvent,
    symbols: Vec<[u8; 8]>,
    /// Number of the order in a slot of the model's; 0: it was not sent.
    user_refs: Vec<u32>,
    random: Random,
    open: Vec<OpenOrders>,
    trades: HashMap<u64, Trade>,
    /// First trade that does not fit.
    misfit: Option<(u64, &'static str)>,
    requests: u64,
}

/// Sums over all sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    pub requests: u64,
    /// Orders accepted and replaced.
    pub orders: u64,
    pub trades: u64,
    /// Messages that the venue has given a number.
    pub acknowledgements: u64,
    /// Messages heard again and the same.
    pub verified: u64,
    pub resent: u64,
    pub unanswered: u64,
}

/// Traders of a venue's sessions, and their flow.
#[allow(missing_debug_implementations)]
pub struct Flow {
    traders: Traders<AnyDriver>,
    market: Market,
    /// Looked at while waiting.
    stop: fn() -> bool,
}

impl Flow {
    /// A trader for every session of the folder; none is connected yet.
    pub fn new(folder: &VenueFolder, seed: u64) -> Result<Self, FlowError> {
        Self::of_first(folder, folder.plan.sessions, seed)
    }

    /// A trader for each of the first so many sessions.
    pub fn of_first(folder: &VenueFolder, sessions: u32, seed: u64) -> Result<Self, FlowError> {
        let limits = Limits {
            connections_max: sessions * 4,
            ..Limits::default()
        };
        let driver = AnyDriver::new(DriverKind::Epoll, &limits)?;
        let mut traders = Traders::new(driver, TraderLimits::default(), true);
        for session in 1..=sessions {
            traders.add(folder.login(session, 1)?);
        }
        let market = Market::new(&folder.plan, sessions, seed)?;
        Ok(Self {
            traders,
            market,
            stop: || false,
        })
    }

    /// Ends every wait as `Interrupted` once `stop` is true.
    pub fn stop_when(&mut self, stop: fn() -> bool) {
        self.stop = stop;
    }

    pub fn traders(&self) -> &Traders<AnyDriver> {
        &self.traders
    }

    pub fn sums(&self) -> Sums {
        let mut sums = Sums {
            requests: self.market.requests,
            ..Sums::default()
        };
        for trader in self.traders.traders() {
            let tally = trader.orders().tally();
            sums.orders += tally.accepted + tally.replaced;
            sums.acknowledgements += trader.memory().count();
            sums.verified += trader.verified_count();
            sums.resent += trader.resent_count();
        }
        sums.trades = self.market.trades.len() as u64;
        sums.unanswered = self.traders.unanswered_count() as u64;
        sums
    }

    /// Connects all, and waits until each has heard what it missed and sent again what is in doubt.
    pub fn connect(
        &mut self,
        address: std::net::SocketAddr,
        at_most: Duration,
    ) -> Result<(), FlowError> {
        self.traders.connect(address)?;
        self.wait(
            "not all sessions were logged in and caught up",
            at_most,
            |traders| traders.are_ready(),
        )
    }

    /// Trades for so long at most so many requests a second; `each` is called between bursts and ends
    /// the load by answering false. Returns early when every connection is gone.
    pub fn trade(
        &mut self,
        duration: Duration,
        per_s: u64,
        each: &mut dyn FnMut(&Sums) -> bool,
    ) -> Result<(), FlowError> {
        let begun = Instant::now();
        let mut look = begun;
        let from_ns = self.market.next.at_ns;
        while begun.elapsed() < duration && !self.traders.are_down() {
            // The model's time runs at the rate asked for.
            let elapsed = begun.elapsed().as_nanos() * u128::from(per_s) / u128::from(EVENTS_PER_S);
            let due_ns = from_ns.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX));
            let work = self.market.send(&mut self.traders, due_ns)? + self.poll()?;
            if look.elapsed() >= Duration::from_millis(5) {
                look = Instant::now();
                if !each(&self.sums()) {
                    return Ok(());
                }
            }
            if work == 0 {
                self.traders.wait(WAIT_MAX);
            }
        }
        Ok(())
    }

    /// Hears whatever still arrives until every connection is gone: the venue was killed.
    pub fn wait_down(&mut self, at_most: Duration) -> Result<(), FlowError> {
        self.wait(
            "connections to a dead venue live on",
            at_most,
            Traders::are_down,
        )
    }

    /// Waits until nothing is unanswered.
    pub fn settle(&mut self, at_most: Duration) -> Result<(), FlowError> {
        let until = Instant::now() + at_most;
        for trader in 0..self.traders.traders().len() {
            self.settle_one(trader, until)?;
        }
        self.wait("requests are unanswered", at_most, |traders| {
            traders.unanswered_count() == 0
        })
    }

    /// A full send buffer (a burst that a crowded host has not taken yet) is waited for, not an error.
    fn settle_one(&mut self, trader: usize, until: Instant) -> Result<(), FlowError> {
        loop {
            match self.traders.settle(trader) {
                Err(RequestError::Send(SendError::Full { .. })) if Instant::now() < until => {
                    if self.poll()? == 0 {
                        self.traders.wait(WAIT_MAX);
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Connects anew from message 1 on and hears the whole day again; returns how many messages were
    /// the same as when first heard. One that differs, is missing or comes twice is an error.
    pub fn hear_again(
        &mut self,
        address: std::net::SocketAddr,
        at_most: Duration,
    ) -> Result<u64, FlowError> {
        let before = self.sums();
        self.traders.cut();
        self.wait_down(at_most)?;
        self.traders.rewind();
        self.connect(address, at_most)?;
        self.wait("the day was not told again", at_most, |traders| {
            let heard: u64 = traders.traders().iter().map(|t| t.verified_count()).sum();
            heard - before.verified >= before.acknowledgements
        })?;
        self.settle(at_most)?;
        Ok(self.sums().verified - before.verified)
    }

    /// Connects who has no connection, and does not wait.
    pub fn reconnect(&mut self, address: std::net::SocketAddr) -> Result<(), FlowError> {
        Ok(self.traders.connect(address)?)
    }

    /// Waits until every session is logged in and caught up.
    pub fn wait_ready(&mut self, at_most: Duration) -> Result<(), FlowError> {
        let what = "not all sessions came back";
        self.wait(what, at_most, |traders| traders.are_ready())
    }

    /// Breaks one trader's connection, as a network does; `connect` brings it back.
    /// Waits until it is gone: until then the trader still counts as ready, and nothing connects it anew.
    pub fn cut(&mut self, trader: usize, at_most: Duration) -> Result<(), FlowError> {
        self.traders.cut_one(trader);
        let what = "a connection lives on that was cut";
        self.wait(what, at_most, |traders| traders.is_down(trader))
    }

    /// A new trading day: streams and numbers begin anew, trades go on being numbered. Returns the orders
    /// that the old day left open: there should be none.
    pub fn begin_day(&mut self) -> usize {
        for open in &mut self.market.open {
            *open = OpenOrders::default();
        }
        self.market.user_refs.fill(0);
        self.traders.begin_day()
    }

    /// Says goodbye to the venue and waits until it has closed.
    pub fn log_out(&mut self, at_most: Duration) -> Result<(), FlowError> {
        self.traders.log_out();
        self.wait_down(at_most)
    }

    /// Every match that any session was told of has one buyer and one seller, of the same shares at the
    /// same price. Returns how many. Only when nothing is unanswered.
    pub fn check_trades(&self) -> Result<u64, FlowError> {
        if let Some((number, what)) = self.market.misfit {
            return Err(FlowError::Trade { number, what });
        }
        for (&number, trade) in &self.market.trades {
            if (trade.buys, trade.sells) != (1, 1) {
                let what = "was not told to exactly one buyer and one seller";
                return Err(FlowError::Trade { number, what });
            }
        }
        Ok(self.market.trades.len() as u64)
    }

    fn poll(&mut self) -> Result<usize, FlowError> {
        let market = &mut self.market;
        Ok(self
            .traders
            .poll(&mut |trader, change| market.observe(trader, change))?)
    }

    fn wait(
        &mut self,
        what: &'static str,
        at_most: Duration,
        done: impl Fn(&Traders<AnyDriver>) -> bool,
    ) -> Result<(), FlowError> {
        let until = Instant::now() + at_most;
        while !done(&self.traders) {
            if (self.stop)() {
                return Err(FlowError::Interrupted);
            }
            if Instant::now() >= until {
                return Err(FlowError::TooSlow {
                    what,
                    at_most,
                    state: self.state(),
                });
            }
            if self.poll()? == 0 {
                self.traders.wait(WAIT_MAX);
            }
        }
        Ok(())
    }

    /// One line about each session, for errors.
    fn state(&self) -> String {
        let mut text = String::new();
        for (i, trader) in self.traders.traders().iter().enumerate() {
            text += &format!(
                "{}T{}: {:?}, {} unanswered, {} heard, {} heard again, last end {:?}",
                if i == 0 { "" } else { "; " },
                i + 1,
                trader.phase(),
                trader.outbox().len(),
                trader.memory().count(),
                trader.verified_count(),
                trader.last_end(),
            );
        }
        text
    }
}

impl Market {
    fn new(plan: &VenuePlan, sessions: u32, seed: u64) -> Result<Self, FlowError> {
        let symbols: Vec<_> = plan
            .symbols
            .iter()
            .map(|text| symbol(text).unwrap_or([b' '; 8]))
            .collect();
        let described = (0..)
            .zip(&symbols)
            .map(|(i, symbol): (u64, _)| SymbolOptions::new(*symbol, PRICE + PRICE_STEP * i));
        let mut options = FlowOptions::new(seed, described.collect());
        options.events_per_s = EVENTS_PER_S;
        options.traders = u16::try_from(sessions).unwrap_or(u16::MAX);
        let mut model = Model::new(&options)?;
        Ok(Self {
            next: model.next_event(),
            user_refs: vec![0; model.slot_count() as usize],
            model,
            symbols,
            random: Random::part(seed, 1),
            open: (0..sessions).map(|_| OpenOrders::default()).collect(),
            trades: HashMap::new(),
            misfit: None,
            requests: 0,
        })
    }

    /// Sends the events that are due; fewer if sessions have enough unanswered.
    fn send(&mut self, traders: &mut Traders<AnyDriver>, due_ns: u64) -> Result<usize, FlowError> {
        let mut sent = 0;
        while self.next.at_ns <= due_ns && sent < BURST_MAX {
            let trader = usize::from(self.next.trader);
            if traders.traders()[trader].outbox().len() >= WINDOW {
                break;
            }
            let event = std::mem::replace(&mut self.next, self.model.next_event());
            match self.send_one(traders, trader, event.symbol, event.action) {
                Ok(count) => sent += count,
                // Gone or full for now: what was not sent is not remembered either.
                Err(RequestError::NotReady { .. })
                | Err(RequestError::Send(SendError::Full { .. } | SendError::NotLoggedIn { .. })) =>
                    {}
                Err(error) => return Err(error.into()),
            }
        }
        traders.flush();
        self.requests += sent as u64;
        Ok(sent)
    }

    /// Sends what an event stands for now; returns how many requests that were.
    fn send_one(
        &mut self,
        traders: &mut Traders<AnyDriver>,
        trader: usize,
        symbol: u16,
        action: FlowAction,
    ) -> Result<usize, RequestError> {
        let order = |side, quantity, price, is_immediate| NewOrder {
            side,
            quantity,
            symbol: self.symbols[usize::from(symbol)],
            price: Price(price),
            is_immediate,
        };
        match action {
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            } => {
                // Until it is sent, the slot holds nothing.
                self.user_refs[slot.0 as usize] = 0;
                if self.open[trader].user_refs.len() >= OPEN_ORDERS_MAX {
                    return self.cancel_some(traders, trader);
                }
                let order = order(side, quantity, price, false);
                self.user_refs[slot.0 as usize] = traders.enter(trader, &order)?;
            }
            FlowAction::Aggress {
                side,
                price,
                quantity,
                ..
            } => {
                traders.enter(trader, &order(side, quantity, price, true))?;
            }
            FlowAction::Cancel { slot, new_total } => {
                let user_ref = self.user_refs[slot.0 as usize];
                let new_total = match state(traders, trader, user_ref) {
                    State::Gone => return Ok(0),
                    State::Open(order) if new_total > 0 => order.executed + order.open.div_ceil(2),
                    State::Open(_) | State::OnTheWay => 0,
                };
                traders.cancel(trader, user_ref, new_total)?;
            }
            FlowAction::Replace {
                slot, price, open, ..
            } => {
                let user_ref = self.user_refs[slot.0 as usize];
                // Of one on the way nobody knows yet what has executed.
                let State::Open(order) = state(traders, trader, user_ref) else {
                    return Ok(0);
                };
                let total = order.executed + open;
                let replaced = traders.replace(trader, user_ref, total, Price(price))?;
                self.user_refs[slot.0 as usize] = replaced;
            }
        }
        Ok(1)
    }

    /// Cancels one of a trader's orders: the venue holds more than the model believes.
    fn cancel_some(
        &mut self,
        traders: &mut Traders<AnyDriver>,
        trader: usize,
    ) -> Result<usize, RequestError> {
        let open = &self.open[trader].user_refs;
        let user_ref = open[self.random.below(open.len() as u64) as usize];
        traders.cancel(trader, user_ref, 0)?;
        Ok(1)
    }

    fn observe(&mut self, trader: usize, change: &Change) {
        match change {
            Change::Opened { id, order } if !order.is_immediate => {
                self.open[trader].insert(id.user_ref);
            }
            Change::Replaced {
                original,
                id,
                order,
                ..
            } => {
                self.open[trader].remove(original.user_ref);
                if order.open > 0 {
                    self.open[trader].insert(id.user_ref);
                }
            }
            Change::Reduced {
                id,
                order,
                by,
                cause,
            } => {
                if order.open == 0 {
                    self.open[trader].remove(id.user_ref);
                }
                if let Cause::Executed {
                    price,
                    match_number,
                    ..
                } = cause
                {
                    self.trade(match_number.0, order.side, *by, *price);
                }
            }
            _ => {}
        }
    }

    fn trade(&mut self, number: u64, side: Side, quantity: u32, price: Price) {
        let trade = self.trades.entry(number);
        let trade = trade.or_insert(Trade {
            quantity,
            price,
            buys: 0,
            sells: 0,
        });
        match side {
            Side::Buy => trade.buys += 1,
            Side::Sell => trade.sells += 1,
        }
        let what = if (trade.quantity, trade.price) != (quantity, price) {
            "buyer and seller were told different shares or prices"
        } else if trade.buys > 1 || trade.sells > 1 {
            "was told twice to one side"
        } else {
            return;
        };
        self.misfit.get_or_insert((number, what));
    }
}

/// What the venue's answers say of an order.
enum State {
    OnTheWay,
    Open(Order),
    Gone,
}

/// Of an order of the model's; 0: it was never sent.
fn state(traders: &Traders<AnyDriver>, trader: usize, user_ref: u32) -> State {
    let orders = traders.traders()[trader].orders();
    match orders.get(OrderId::new(user_ref)) {
        _ if user_ref == 0 => State::Gone,
        None => State::OnTheWay,
        Some(order) if order.open > 0 => State::Open(*order),
        Some(_) => State::Gone,
    }
}
