//! Seeded order flow of several sessions that trade with each other, and accounts of every trade.
//!
//! Requests are drawn from what the venue's answers say is open, so the flow goes on over any crash. It
//! must never send anything that the traders do not remember.

use lockstep_bench::client::orders::{Cause, Change};
use lockstep_bench::client::traders::{NewOrder, RequestError, Traders};
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
/// In 1/10,000, as the venue's default.
const TICK: u64 = 100;
/// A mid never walks below this many ticks from zero.
const MID_TICKS_MIN: u64 = 2_000;
/// Idle sleep in the kernel at most.
const WAIT_MAX: Duration = Duration::from_millis(1);

/// Weights of enter, cancel, partial cancel, replace, immediate-or-cancel: near the proportions of the
/// public LOBSTER samples (48 % new, 37 % cancelled, 10 to 16 % executed).
const WEIGHTS: [u32; 5] = [46, 34, 3, 7, 10];

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

/// One instrument of the flow.
#[derive(Clone, Copy, Debug)]
struct Instrument {
    symbol: [u8; 8],
    mid_ticks: u64,
}

/// The flow, and what it has seen.
#[derive(Debug)]
struct Market {
    random: Random,
    instruments: Vec<Instrument>,
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
}

impl Flow {
    /// A trader for every session of the folder; none is connected yet.
    pub fn new(folder: &VenueFolder, seed: u64) -> Result<Self, FlowError> {
        let sessions = folder.plan.sessions;
        let limits = Limits {
            connections_max: sessions * 4,
            ..Limits::default()
        };
        let driver = AnyDriver::new(DriverKind::Epoll, &limits)?;
        let mut traders = Traders::new(driver, TraderLimits::default(), true);
        for session in 1..=sessions {
            traders.add(folder.login(session, 1)?);
        }
        let market = Market::new(&folder.plan, seed);
        Ok(Self { traders, market })
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
        stop: fn() -> bool,
    ) -> Result<(), FlowError> {
        self.traders.connect(address)?;
        self.wait(
            "not all sessions were logged in and caught up",
            at_most,
            stop,
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
        let (begun, before) = (Instant::now(), self.market.requests);
        let mut look = begun;
        while begun.elapsed() < duration && !self.traders.are_down() {
            let due = begun.elapsed().as_micros() as u64 * per_s / 1_000_000;
            let sent = self.market.requests - before;
            let count = (due.saturating_sub(sent) as usize).min(BURST_MAX);
            let work = self.market.send(&mut self.traders, count)? + self.poll()?;
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
            || false,
            Traders::are_down,
        )
    }

    /// Waits until nothing is unanswered.
    pub fn settle(&mut self, at_most: Duration) -> Result<(), FlowError> {
        for trader in 0..self.traders.traders().len() {
            self.traders.settle(trader)?;
        }
        self.wait(
            "requests are unanswered",
            at_most,
            || false,
            |traders| traders.unanswered_count() == 0,
        )
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
        self.connect(address, at_most, || false)?;
        self.wait(
            "the day was not told again",
            at_most,
            || false,
            |traders| {
                let heard: u64 = traders.traders().iter().map(|t| t.verified_count()).sum();
                heard - before.verified >= before.acknowledgements
            },
        )?;
        self.settle(at_most)?;
        Ok(self.sums().verified - before.verified)
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
        stop: fn() -> bool,
        done: impl Fn(&Traders<AnyDriver>) -> bool,
    ) -> Result<(), FlowError> {
        let until = Instant::now() + at_most;
        while !done(&self.traders) {
            if stop() {
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
    fn new(plan: &VenuePlan, seed: u64) -> Self {
        let instrument = |(i, symbol): (u64, &String)| Instrument {
            symbol: lockstep_bench::client::request::symbol(symbol).unwrap_or([b' '; 8]),
            mid_ticks: 10_000 + 7_500 * i,
        };
        let open = (0..plan.sessions).map(|_| OpenOrders::default()).collect();
        Self {
            random: Random::new(seed),
            instruments: (0..).zip(&plan.symbols).map(instrument).collect(),
            open,
            trades: HashMap::new(),
            misfit: None,
            requests: 0,
        }
    }

    /// Sends up to `count` requests; fewer if sessions have enough unanswered.
    fn send(&mut self, traders: &mut Traders<AnyDriver>, count: usize) -> Result<usize, FlowError> {
        let mut sent = 0;
        for _ in 0..count {
            let trader = self.random.below(self.open.len() as u64) as usize;
            if traders.traders()[trader].outbox().len() >= WINDOW {
                continue;
            }
            match self.send_one(traders, trader) {
                Ok(()) => sent += 1,
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

    fn send_one(
        &mut self,
        traders: &mut Traders<AnyDriver>,
        trader: usize,
    ) -> Result<(), RequestError> {
        let open = &self.open[trader].user_refs;
        let choice = match open.len() {
            0 => 0,
            n if n >= OPEN_ORDERS_MAX => 1,
            _ => self.random.weighted(&WEIGHTS),
        };
        if choice == 0 || choice == 4 {
            let order = self.new_order(choice == 4);
            return traders.enter(trader, &order).map(|_| ());
        }
        let user_ref = open[self.random.below(open.len() as u64) as usize];
        let id = lockstep_bench::client::orders::OrderId::new(user_ref);
        let Some(order) = traders.traders()[trader].orders().get(id).copied() else {
            return Ok(());
        };
        match choice {
            1 => traders.cancel(trader, user_ref, 0),
            2 => traders.cancel(trader, user_ref, order.executed + order.open.div_ceil(2)),
            _ => {
                let total = order.executed + order.open + self.random.below(200) as u32;
                let tick = (order.price.0 / TICK).max(2) + self.random.below(3) - 1;
                traders
                    .replace(trader, user_ref, total, Price(tick * TICK))
                    .map(|_| ())
            }
        }
    }

    fn new_order(&mut self, is_immediate: bool) -> NewOrder {
        let i = self.random.below(self.instruments.len() as u64) as usize;
        let walk = self.random.below(101);
        let instrument = &mut self.instruments[i];
        match walk {
            0 => instrument.mid_ticks = (instrument.mid_ticks - 1).max(MID_TICKS_MIN),
            100 => instrument.mid_ticks += 1,
            _ => {}
        }
        let Instrument { symbol, mid_ticks } = *instrument;
        let side = if self.random.chance(500) {
            Side::Buy
        } else {
            Side::Sell
        };
        let away = 1 + self.random.geometric(800, 60);
        // One resting order in eight, and every immediate one, reaches over the spread.
        let crosses = is_immediate || self.random.chance(125);
        let is_above = (side == Side::Sell) != crosses;
        let ticks = if is_above {
            mid_ticks + away
        } else {
            mid_ticks - away
        };
        let quantity = 100 * (1 + self.random.geometric(600, 20) as u32);
        NewOrder {
            side,
            quantity,
            symbol,
            price: Price(ticks * TICK),
            is_immediate,
        }
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
