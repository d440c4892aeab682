//! Traders over sockets: the shell around `Trader`, many on one thread.

use super::connection::{Client, Listener, SendError, SessionEnd};
use super::orders::Change;
use super::request::{
    LimitOrder, REQUEST_LENGTH_MAX, encode_account_query, encode_cancel, encode_enter,
    encode_replace,
};
use super::trader::{Phase, Trader, TraderError, TraderLimits};
use crate::measure::clock::Clock;
use lockstep_net::{Driver, NetError};
use lockstep_record::{Price, Side, StreamNumber};
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

/// Why a request was not sent. It was not remembered either.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RequestError {
    #[error("trader {trader} is not ready: it is {phase:?}")]
    NotReady { trader: usize, phase: Phase },
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Trader(#[from] TraderError),
}

/// A new order's terms; the number is the trader's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewOrder {
    pub side: Side,
    pub quantity: u32,
    pub symbol: [u8; 8],
    pub price: Price,
    /// Immediate or cancel instead of day.
    pub is_immediate: bool,
}

/// A set of traders on one driver.
#[allow(missing_debug_implementations)]
pub struct Traders<D> {
    client: Client<D>,
    traders: Vec<Trader>,
    limits: TraderLimits,
    remembers_ended: bool,
}

impl<D: Driver> Traders<D> {
    pub fn new(driver: D, limits: TraderLimits, remembers_ended: bool) -> Self {
        Self {
            client: Client::new(driver, Clock::start()),
            traders: Vec::new(),
            limits,
            remembers_ended,
        }
    }

    /// Adds a trader. Its stream is asked for from number 1, whatever `login.number` says: exact
    /// accounts begin at the beginning.
    pub fn add(&mut self, login: Login) -> usize {
        self.traders
            .push(Trader::new(self.limits, self.remembers_ended));
        self.client.add(Login { number: 1, ..login })
    }

    pub fn traders(&self) -> &[Trader] {
        &self.traders
    }

    /// Connects every trader that has no connection.
    pub fn connect(&mut self, address: SocketAddr) -> Result<(), NetError> {
        (0..self.traders.len()).try_for_each(|trader| self.client.connect(trader, address))
    }

    /// The next connections replay the day from its first message, so that every message remembered
    /// is told again and compared.
    pub fn rewind(&mut self) {
        (0..self.traders.len()).for_each(|trader| self.client.rewind(trader, 1));
    }

    /// A new trading day has opened: every trader begins anew, at message 1. Call it while all are
    /// down. Returns the orders that were still open in the old day's accounts.
    pub fn begin_day(&mut self) -> usize {
        self.rewind();
        self.traders.iter_mut().map(Trader::begin_day).sum()
    }

    pub fn are_ready(&self) -> bool {
        self.traders
            .iter()
            .all(|trader| trader.phase() == Phase::Ready)
    }

    pub fn are_down(&self) -> bool {
        (0..self.traders.len()).all(|trader| self.is_down(trader))
    }

    /// Whether a trader's connection is gone, and has been told gone.
    pub fn is_down(&self, trader: usize) -> bool {
        !self.client.is_connected(trader)
    }

    /// Requests that have no answer yet, over all traders.
    pub fn unanswered_count(&self) -> usize {
        self.traders
            .iter()
            .map(|trader| trader.outbox().len())
            .sum()
    }

    /// One duty cycle: takes messages, keeps sessions alive, sends again what is in doubt, flushes.
    /// `observe` hears every change of every trader's orders.
    pub fn poll(&mut self, observe: &mut dyn FnMut(usize, &Change)) -> Result<usize, TraderError> {
        let mut crew = Crew {
            traders: &mut self.traders,
            observe,
            error: None,
            joined: Vec::new(),
        };
        let work = self.client.poll(&mut crew);
        let Crew { error, joined, .. } = crew;
        for trader in joined {
            self.ask_number(trader);
        }
        for trader in 0..self.traders.len() {
            self.resend(trader);
        }
        self.client.flush();
        error.map_or(Ok(work), Err)
    }

    /// Blocks until something may have arrived, at most so long.
    pub fn wait(&mut self, at_most: Duration) {
        self.client.wait(at_most);
    }

    /// Sends a new order; returns its number.
    pub fn enter(&mut self, trader: usize, order: &NewOrder) -> Result<u32, RequestError> {
        let user_ref = self.ready(trader)?.next_user_ref();
        let mut message = [0; REQUEST_LENGTH_MAX];
        let order = LimitOrder {
            user_ref,
            side: order.side,
            quantity: order.quantity,
            symbol: order.symbol,
            price: order.price,
            is_immediate: order.is_immediate,
        };
        let length = encode_enter(&order, &mut message);
        self.send(trader, &message[..length])?;
        Ok(self.traders[trader].take_user_ref())
    }

    /// Cancels down to `new_total` shares of the chain, executed ones included; 0 cancels all.
    pub fn cancel(
        &mut self,
        trader: usize,
        user_ref: u32,
        new_total: u32,
    ) -> Result<(), RequestError> {
        self.ready(trader)?;
        let mut message = [0; REQUEST_LENGTH_MAX];
        let length = encode_cancel(user_ref, new_total, &mut message);
        self.send(trader, &message[..length])
    }

    /// Replaces an order; `total` of the chain, executed shares included. Returns the new number.
    pub fn replace(
        &mut self,
        trader: usize,
        original: u32,
        total: u32,
        price: Price,
    ) -> Result<u32, RequestError> {
        let user_ref = self.ready(trader)?.next_user_ref();
        let mut message = [0; REQUEST_LENGTH_MAX];
        let length = encode_replace(original, user_ref, total, price, &mut message);
        self.send(trader, &message[..length])?;
        Ok(self.traders[trader].take_user_ref())
    }

    /// Asks for the trader's next number. Once that is answered, so is everything before it: what has
    /// no answer by then was answered by silence (a cancel of nothing) and leaves the outbox. What
    /// other traders do to its orders meanwhile may still be on the way.
    pub fn settle(&mut self, trader: usize) -> Result<(), RequestError> {
        self.ready(trader)?;
        let mut message = [0; REQUEST_LENGTH_MAX];
        let length = encode_account_query(&mut message);
        self.send(trader, &message[..length])
    }

    /// Hands queued requests to the kernel.
    pub fn flush(&mut self) {
        self.client.flush();
    }

    /// Says goodbye to the venue.
    pub fn log_out(&mut self) {
        (0..self.traders.len()).for_each(|trader| self.client.log_out(trader));
        self.client.flush();
    }

    /// Drops every connection without a word.
    pub fn cut(&mut self) {
        (0..self.traders.len()).for_each(|trader| self.client.cut(trader));
        self.client.flush();
    }

    /// Drops one connection without a word.
    pub fn cut_one(&mut self, trader: usize) {
        self.client.cut(trader);
        self.client.flush();
    }

    fn ready(&self, trader: usize) -> Result<&Trader, RequestError> {
        let phase = self.traders[trader].phase();
        match phase {
            Phase::Ready => Ok(&self.traders[trader]),
            Phase::Down | Phase::CatchingUp | Phase::Resending => {
                Err(RequestError::NotReady { trader, phase })
            }
        }
    }

    fn send(&mut self, trader: usize, message: &[u8]) -> Result<(), RequestError> {
        let now_ns = self.client.clock().now_ns();
        // Room is checked first: a request must be in doubt before a byte of it can leave.
        if self.client.send_room(trader) < message.len() {
            return Err(SendError::Full { session: trader }.into());
        }
        self.traders[trader].handle_request(message)?;
        Ok(self.client.send(trader, message, now_ns)?)
    }

    fn ask_number(&mut self, trader: usize) {
        let mut query = [0; REQUEST_LENGTH_MAX];
        let length = encode_account_query(&mut query);
        let now_ns = self.client.clock().now_ns();
        // A fresh connection has room; one that is gone again will ask after the next login.
        let _ = self.client.send(trader, &query[..length], now_ns);
    }

    /// Sends again what is in doubt, as far as the send buffer has room.
    fn resend(&mut self, trader: usize) {
        let now_ns = self.client.clock().now_ns();
        while let Some(message) = self.traders[trader].next_resend() {
            if self.client.send(trader, message, now_ns).is_err() {
                return;
            }
            self.traders[trader].handle_resent();
        }
    }
}

struct Crew<'a> {
    traders: &'a mut [Trader],
    observe: &'a mut dyn FnMut(usize, &Change),
    error: Option<TraderError>,
    joined: Vec<usize>,
}

impl Listener for Crew<'_> {
    fn logged_in(&mut self, session: usize, number: StreamNumber) {
        self.traders[session].handle_logged_in(number.0);
        self.joined.push(session);
    }

    fn answer(&mut self, session: usize, number: StreamNumber, payload: &[u8], _: u64) {
        match self.traders[session].handle_message(number.0, payload) {
            Ok(Change::None) => {}
            Ok(change) => (self.observe)(session, &change),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }

    fn ended(&mut self, session: usize, why: SessionEnd) {
        self.traders[session].handle_ended(why);
    }
}
