//! A deliberately naive venue, written from the rules (`docs/matching.md`) and not from the code: ordered
//! maps and one list of live orders in order of time, searched from the front each time.
//!
//! A [`Fault`] plants one wrong line in it; the differential test must see each of them.

mod auction;
mod connection;
mod entry;
pub mod fault;
mod matching;
mod operator;
mod options;
mod pegs;
mod phase;
mod protection;
mod request;
mod risk;
mod sharing;
mod stops;

use super::*;
use auction::{Only, accumulates};
use fault::Fault;
use lockstep_core::inspect::Statistics as Prices;
use options::{Read, read};
use phase::Rules;
use protection::Protection;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Session {
    firm: u32,
    user: [u8; 6],
    permitted: Vec<u32>,
    order_entry: bool,
    cancel_on_disconnect: bool,
    connected: bool,
    epoch: u32,
    connection: u64,
    next_outbound: u64,
    /// Firms whose entry the client has disabled.
    disabled: Vec<u32>,
    self_trade_group: u32,
    self_trade_mode: u8,
    /// `E`, `D`, `K`: what the operator lets it enter.
    entry: u8,
}

#[derive(Clone, Debug)]
struct Instrument {
    symbol: [u8; 8],
    tick_size: u64,
    lot_size: u32,
    state: u8,
    /// Times in ms after midnight.
    schedule: Vec<(u32, u8)>,
    schedule_random_end_ms: u32,
    /// What is still to come of it on this day.
    planned: Vec<(u64, u8)>,
    /// When the call ends, and the state then.
    call_ends: Option<(u64, u8)>,
    indicates: Option<u64>,
    rules: Rules,
    /// 0 = none.
    reference: u64,
    prices: Prices,
    /// From this price up this tick size, by price.
    bands: Vec<(u32, u32)>,
    /// Until the next day opens.
    retired: bool,
    /// Of the last trade; 0 = none.
    last: u64,
    /// Letter, smallest share, per cent of the first.
    allocation: (u8, u32, u32),
}

#[derive(Clone, Debug)]
struct Order {
    terms: Terms,
    session: u32,
    firm: u32,
    /// Open shares, those not displayed included.
    open: u32,
    executed: u32,
    /// Most shares displayed at a time; 0 = all.
    floor: u32,
    /// How far a display may be from that, either way.
    random: u32,
    refreshed: u64,
    /// Of a reserve order: shares displayed now.
    shown: u32,
    /// 0 = none.
    deadline: u64,
    by_date: bool,
    only: Only,
    /// It is out of the book until a trade triggers it.
    stop: Option<stops::Stop>,
    peg: Option<pegs::Peg>,
}

impl Order {
    /// Where it rests, or its limit.
    fn price(&self) -> u64 {
        let pegged = self.peg.and_then(|peg| peg.at);
        pegged.unwrap_or(self.terms.price)
    }

    /// It is out of the book.
    fn waits(&self) -> bool {
        self.stop.is_some() || self.peg.is_some_and(|peg| peg.at.is_none())
    }

    fn shown(&self) -> u32 {
        if self.floor == 0 {
            self.open
        } else {
            self.shown
        }
    }
}

/// Live-order view for comparison: session, number, channel, price, (open, shown), executed, reference.
pub type Resting = (u32, u32, u8, u64, (u32, u32), u32, u64);

pub struct Oracle {
    pub fault: Fault,
    bounds: [u32; 5],
    day_open: bool,
    date: u32,
    session_name: [u8; 10],
    midnight: u64,
    now: u64,
    firms: BTreeMap<u32, [u8; 4]>,
    sessions: BTreeMap<u32, Session>,
    instruments: BTreeMap<u32, Instrument>,
    /// Live orders, first come first.
    orders: Vec<Order>,
    numbers: BTreeMap<(u32, u8), u32>,
    references: u64,
    seed: u64,
    matches: u64,
    random: u64,
    /// Order references of triggered stops that have not acted.
    triggered: std::collections::VecDeque<u64>,
    /// Rounds in which more than one order gave its share of less than all.
    pub rounds: usize,
    /// Prices that pegged orders took when the quote changed.
    pub pegged: usize,
    protection: Protection,
    said: Vec<Said>,
}

const MARKET: u64 = 2_000_000_000;

fn is_buy(side: u8) -> bool {
    side == b'B'
}

impl Oracle {
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            bounds: [0; 5],
            day_open: false,
            date: 0,
            session_name: [b' '; 10],
            midnight: 0,
            now: 0,
            firms: BTreeMap::new(),
            sessions: BTreeMap::new(),
            instruments: BTreeMap::new(),
            orders: Vec::new(),
            numbers: BTreeMap::new(),
            references: 0,
            seed: 0,
            matches: 0,
            random: 0,
            triggered: Default::default(),
            rounds: 0,
            pegged: 0,
            protection: Protection::default(),
            said: Vec::new(),
        }
    }

    /// One command as a batch of its own; returns what it says.
    pub fn tell(&mut self, now: u64, command: &Command) -> Vec<Said> {
        let mut said = self.begin_batch(now);
        said.extend(self.tell_next(command));
        said.extend(self.end_batch());
        said
    }

    /// A batch begins: what is due by its time comes before its first record.
    pub fn begin_batch(&mut self, now: u64) -> Vec<Said> {
        self.now = now;
        self.expire();
        self.finish();
        std::mem::take(&mut self.said)
    }

    /// The batch's next record.
    pub fn tell_next(&mut self, command: &Command) -> Vec<Said> {
        if self.fault == Fault::DueBetweenRecords {
            self.expire();
            self.finish();
        }
        self.protection.risk.over_rate = false;
        let options = read(&command.parts);
        if command.session == 0 {
            self.operate(command);
        } else if let Request::Login(body) = &command.request {
            self.login(command.session, body);
        } else if self.is_current(command) {
            self.request(command.session, &command.request, &options);
        }
        if self.fault != Fault::SettledWithTheBatch {
            self.finish();
        }
        std::mem::take(&mut self.said)
    }

    /// A batch ends: nothing follows from that.
    pub fn end_batch(&mut self) -> Vec<Said> {
        if self.fault == Fault::SettledWithTheBatch {
            self.finish();
        }
        std::mem::take(&mut self.said)
    }

    /// What follows from a record before the next one.
    fn finish(&mut self) {
        loop {
            self.settle();
            let before = self.said.len();
            self.pull_tripped();
            if self.said.len() == before {
                break;
            }
        }
    }

    /// A new leader begins.
    pub fn term_start(&mut self, now: u64) -> Vec<Said> {
        self.now = now;
        self.begin_grace();
        self.expire();
        self.finish();
        std::mem::take(&mut self.said)
    }

    /// What is due, earliest first; nothing between days.
    fn expire(&mut self) {
        if self.fault == Fault::ExpiredByReference && self.day_open {
            let now = self.now;
            let due = |order: &Order| order.deadline != 0 && order.deadline <= now;
            while let Some(at) = (0..self.orders.len())
                .filter(|at| due(&self.orders[*at]))
                .min_by_key(|at| self.orders[*at].terms.order_reference)
            {
                self.cancel_at(at, CancelReason::Timeout);
            }
        }
        while let Some((time, class, id, what)) = self.next_due()
            && time <= self.now
        {
            if class == 0 {
                let is_it = |order: &Order| order.terms.order_reference == id;
                let at = self.orders.iter().position(is_it).unwrap();
                self.cancel_at(at, CancelReason::Timeout);
            } else if class == 1 {
                self.fire(id as u32, what);
            } else {
                self.end_grace();
            }
        }
    }

    /// What fell due between days.
    fn expire_orders(&mut self) {
        while let Some((time, 0, id, _)) = self.next_order_due()
            && time <= self.now
        {
            let is_it = |order: &Order| order.terms.order_reference == id;
            let at = self.orders.iter().position(is_it).unwrap();
            self.cancel_at(at, CancelReason::Timeout);
        }
    }

    /// When something happens next by itself.
    pub fn next_deadline(&self) -> Option<u64> {
        self.next_due().map(|(time, ..)| time)
    }

    pub fn prices(&self, instrument: u32) -> Option<Prices> {
        let instrument = self.instruments.get(&instrument)?;
        Some(instrument.prices)
    }

    pub fn state(&self, instrument: u32) -> Option<u8> {
        let instrument = self.instruments.get(&instrument)?;
        Some(instrument.state)
    }

    /// All connections are gone.
    fn disconnect_all(&mut self) {
        for session in self.sessions.values_mut() {
            session.connected = false;
        }
    }

    fn is_current(&self, command: &Command) -> bool {
        self.sessions.get(&command.session).is_some_and(|session| {
            let epoch = session.epoch == command.epoch || self.fault == Fault::StaleTaken;
            session.connected && epoch
        })
    }

    fn say(&mut self, session: u32, what: What) {
        let stream = &mut self.sessions.get_mut(&session).unwrap().next_outbound;
        let number = *stream;
        *stream += 1;
        let time_ns = self.now - self.midnight;
        self.said.push(Said::Event {
            session,
            number,
            time_ns,
            what,
        });
    }

    fn say_all(&mut self, code: SystemEventCode) {
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.say(session, What::System(code));
        }
    }

    /// Live orders of one side: displayed ones in priority, then hidden ones; then those for auctions only.
    pub fn side(&self, instrument: u32, buy: bool) -> Vec<Resting> {
        let own = |order: &&Order| {
            let own = order.terms.instrument == instrument && is_buy(order.terms.side) == buy;
            own && !order.waits()
        };
        let mut orders: Vec<&Order> = self.orders.iter().filter(own).collect();
        // A stable sort keeps the order of time within a price.
        orders.sort_by_key(|o| {
            let price = match o.price() {
                MARKET.. => 0,
                price if buy => u64::MAX - price,
                price => price,
            };
            (o.only, hidden(&o.terms), price)
        });
        let view = |o: &Order| {
            let UserRef { number, index } = o.terms.user_ref;
            let reference = o.terms.order_reference;
            (
                o.session,
                number,
                index,
                o.price().min(MARKET),
                (o.open, o.shown()),
                o.executed,
                reference,
            )
        };
        orders.into_iter().map(view).collect()
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn live(&self) -> usize {
        self.orders.len()
    }

    pub fn epoch(&self, session: u32) -> u32 {
        self.sessions
            .get(&session)
            .map_or(0, |session| session.epoch)
    }

    /// Numbers of some live orders of a session, for a generator that wants to hit them.
    pub fn live_numbers(&self, session: u32) -> Vec<UserRef> {
        let own = self.orders.iter().filter(|order| order.session == session);
        own.map(|order| order.terms.user_ref).collect()
    }

    pub fn last_number(&self, session: u32, channel: u8) -> u32 {
        self.last(session, channel)
    }
}

fn hidden(terms: &Terms) -> bool {
    terms.display == b'N'
}

/// Whether an order of these terms may rest in an instrument of this state.
fn rests(terms: &Terms, state: u8) -> bool {
    let waits = accumulates(state) || terms.cross_type != b'N';
    terms.time_in_force != b'3' && (terms.price < MARKET || waits)
}

fn trimmed(name: &[u8; 10]) -> String {
    let text = String::from_utf8_lossy(name).to_string();
    text.trim_matches([' ', '\0']).to_string()
}
