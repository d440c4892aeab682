//! A trading day's events as the market saw them: an order-by-order feed of what is displayed.
//!
//! An order that trades as it comes in is not on the feed until something of it rests. So what a record
//! brings in waits until the record's last event, and only then is added, or replaces another.

use super::super::fields::trimmed;
use super::super::ledger::{Ledger, LiveOrder, OrderKey, Touched};
use super::super::output::Failure;
use super::super::replay::LogSink;
use super::itch::{ItchWriter, Quote, Stamp, SystemCode};
use super::{NewFile, Written};
use lockstep_core::StateMachine;
use lockstep_journal::BatchHeader;
use lockstep_node::fatal::ExitCode;
use lockstep_record::event::{Control, Delivery, Event, EventSink, Executed};
use lockstep_record::{Record, Sequence};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

/// What the feed shows of a live order.
#[derive(Clone, Copy, Debug)]
struct Shown {
    reference: u64,
    shares: u32,
    price: u64,
}

/// An order that came in with the present record.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    key: OrderKey,
    /// The displayed order that it takes the place of.
    original: Option<(u16, Shown)>,
}

/// An instrument as the feed has said it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Listed {
    symbol: [u8; 8],
    lot: u32,
    state: u8,
}

/// An auction's executions of one instrument, said as one.
#[derive(Clone, Copy, Debug)]
struct Cross {
    instrument: u32,
    symbol: [u8; 8],
    shares: u64,
    price: u64,
    match_number: u64,
    kind: u8,
}

pub struct Feed {
    /// The day that is wanted; `None` = the last one.
    wanted: Option<u32>,
    /// The day that is being written, and its midnight.
    day: Option<(u32, u64)>,
    /// Of the day that was written.
    date: u32,
    complete: bool,
    writer: ItchWriter<NewFile>,
    ledger: Ledger,
    shown: HashMap<OrderKey, Shown>,
    incoming: Option<Incoming>,
    /// Stops that no trade has reached: nobody sees them.
    waiting: HashSet<OrderKey>,
    /// By instrument; what triggers stops. It stays over days.
    last_trades: HashMap<u32, u64>,
    listed: BTreeMap<u32, Listed>,
    crosses: Vec<Cross>,
    /// Matches of crosses whose first side has been heard.
    cross_sides: HashSet<u64>,
    /// ns since the Unix epoch.
    timestamp: u64,
    failure: Option<Failure>,
}

impl Feed {
    pub fn new(wanted: Option<u32>, file: NewFile) -> Self {
        Self {
            wanted,
            day: None,
            date: 0,
            complete: false,
            writer: ItchWriter::new(file),
            ledger: Ledger::default(),
            shown: HashMap::new(),
            incoming: None,
            waiting: HashSet::new(),
            last_trades: HashMap::new(),
            listed: BTreeMap::new(),
            crosses: Vec::new(),
            cross_sides: HashSet::new(),
            timestamp: 0,
            failure: None,
        }
    }

    pub fn report(&self) -> Value {
        json!({ "day": self.date, "complete": self.complete })
    }

    /// Gives the file its day's name.
    pub fn finish(self) -> Result<Written, Failure> {
        let count = self.writer.messages;
        let mut file = self.writer.into_inner();
        if self.date == 0 {
            file.remove();
            let what = match self.wanted {
                Some(date) => format!("no trading day {date} is in the log"),
                None => "no trading day is in the log".to_owned(),
            };
            return Err(Failure::new(ExitCode::CheckFailed, what));
        }
        file.rename(&format!("{}.itch", self.date))?;
        let (path, bytes) = file.finish()?;
        Ok(Written {
            what: "itch",
            path,
            bytes,
            count,
        })
    }

    fn stamp(&self, locate: u16) -> Stamp {
        let midnight = self.day.map_or(0, |(_, midnight)| midnight);
        Stamp {
            locate,
            time_ns: self.timestamp.saturating_sub(midnight),
        }
    }

    /// The feed's code of an instrument is its id.
    fn locate(&mut self, instrument: u32) -> u16 {
        u16::try_from(instrument).unwrap_or_else(|_| {
            let what = format!("instrument {instrument} has no ITCH locate code: at most 65535");
            self.failure
                .get_or_insert(Failure::new(ExitCode::CheckFailed, what));
            0
        })
    }

    /// ITCH prices have 32 bits; the venue takes no order above that.
    fn price(&mut self, price: u64) -> u32 {
        u32::try_from(price).unwrap_or_else(|_| {
            let what = format!("price {price} does not fit an ITCH message");
            self.failure
                .get_or_insert(Failure::new(ExitCode::CheckFailed, what));
            0
        })
    }

    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error.into());
        }
    }

    fn system(&mut self, code: SystemCode) {
        let stamp = self.stamp(0);
        let written = self.writer.system(stamp, code);
        self.keep(written);
    }

    fn list(&mut self, instrument: u32, listed: Listed, before: Option<Listed>) {
        let locate = self.locate(instrument);
        let stamp = self.stamp(locate);
        let same = |b: Listed| (b.symbol, b.lot) == (listed.symbol, listed.lot);
        if !before.is_some_and(same) {
            let written = self.writer.directory(stamp, listed.symbol, listed.lot);
            self.keep(written);
        }
        if before.is_none_or(|before| before.state != listed.state) {
            let written = self
                .writer
                .trading_action(stamp, listed.symbol, listed.state);
            self.keep(written);
        }
    }

    fn begin_day(&mut self, date: u32, midnight: u64) {
        self.day = Some((date, midnight));
        self.date = date;
        self.complete = false;
        let written = self.writer.restart();
        self.keep(written);
        self.shown.clear();
        self.system(SystemCode::StartOfMessages);
        self.system(SystemCode::StartOfSystemHours);
        for (instrument, listed) in self.listed.clone() {
            self.list(instrument, listed, None);
        }
        self.system(SystemCode::StartOfMarketHours);
    }

    fn end_day(&mut self) {
        self.system(SystemCode::EndOfMarketHours);
        self.system(SystemCode::EndOfSystemHours);
        self.system(SystemCode::EndOfMessages);
        let written = self.writer.end();
        self.keep(written);
        self.day = None;
        self.complete = true;
    }

    /// The present record has said its last: what it brought in and still lives is displayed.
    fn settle(&mut self) {
        self.settle_incoming();
        for cross in std::mem::take(&mut self.crosses) {
            let locate = self.locate(cross.instrument);
            let (stamp, price) = (self.stamp(locate), self.price(cross.price));
            let (shares, number) = (cross.shares, cross.match_number);
            let written = self
                .writer
                .cross(stamp, shares, cross.symbol, price, number, cross.kind);
            self.keep(written);
        }
        self.cross_sides.clear();
    }

    fn settle_incoming(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        let order = self.ledger.get(&incoming.key).copied();
        let seen = |o: &LiveOrder| o.display != b'N' && !self.waiting.contains(&o.key);
        let order = order.filter(seen);
        match (order, incoming.original) {
            (Some(order), Some((locate, original))) => {
                let (stamp, price) = (self.stamp(locate), self.price(order.price.0));
                let shares = displayed(&order, None);
                let reference = order.reference.0;
                let written =
                    self.writer
                        .replace(stamp, original.reference, reference, shares, price);
                self.keep(written);
                self.show(&order, shares);
            }
            (Some(order), None) => self.add(&order, displayed(&order, None)),
            (None, Some((locate, original))) => self.delete(locate, original.reference),
            (None, None) => {}
        }
    }

    fn show(&mut self, order: &LiveOrder, shares: u32) {
        let shown = Shown {
            reference: order.reference.0,
            shares,
            price: order.price.0,
        };
        self.shown.insert(order.key, shown);
    }

    fn add(&mut self, order: &LiveOrder, shares: u32) {
        let locate = self.locate(order.instrument.0);
        let quote = Quote {
            reference: order.reference.0,
            side: if order.side == b'B' { b'B' } else { b'S' },
            shares,
            symbol: order.symbol,
            price: self.price(order.price.0),
        };
        let written = self.writer.add(self.stamp(locate), &quote);
        self.keep(written);
        self.show(order, shares);
    }

    fn delete(&mut self, locate: u16, reference: u64) {
        let written = self.writer.delete(self.stamp(locate), reference);
        self.keep(written);
    }

    /// A replacement that trades is not one for the feed: the original goes before the trades come.
    fn original_goes(&mut self) {
        let original = self.incoming.as_mut().and_then(|i| i.original.take());
        if let Some((locate, original)) = original {
            self.delete(locate, original.reference);
        }
    }

    fn executed(&mut self, executed: &Executed, order: &LiveOrder) {
        self.original_goes();
        let locate = self.locate(order.instrument.0);
        let stamp = self.stamp(locate);
        let price = self.price(executed.price.0);
        let (shares, number) = (executed.quantity, executed.match_number.0);
        let cross = cross_kind(executed.liquidity);
        if let Some(kind) = cross {
            self.crossed(executed, order, kind);
        }
        if let Some(shown) = self.shown.get_mut(&order.key) {
            shown.shares = shown.shares.saturating_sub(shares);
            let shown = *shown;
            let written = if cross.is_some() {
                let reference = shown.reference;
                self.writer
                    .executed_with_price(stamp, reference, shares, number, false, price)
            } else if shown.price == executed.price.0 {
                self.writer.executed(stamp, shown.reference, shares, number)
            } else {
                let reference = shown.reference;
                self.writer
                    .executed_with_price(stamp, reference, shares, number, true, price)
            };
            self.keep(written);
            if shown.shares == 0 {
                self.shown.remove(&order.key);
            }
        } else if cross.is_none() && !is_aggressor(executed) {
            let written = self
                .writer
                .trade(stamp, shares, order.symbol, price, number);
            self.keep(written);
        }
    }

    fn crossed(&mut self, executed: &Executed, order: &LiveOrder, kind: u8) {
        // Each match is heard twice; its shares count once.
        if !self.cross_sides.insert(executed.match_number.0) {
            return;
        }
        let instrument = order.instrument.0;
        let known = self.crosses.iter_mut().find(|c| c.instrument == instrument);
        match known {
            Some(cross) => cross.shares += u64::from(executed.quantity),
            None => self.crosses.push(Cross {
                instrument,
                symbol: order.symbol,
                shares: executed.quantity.into(),
                price: executed.price.0,
                match_number: executed.match_number.0,
                kind,
            }),
        }
    }

    /// A displayed order has fewer shares, and not because it traded.
    fn reduced(&mut self, order: &LiveOrder, shares: u32) {
        let Some(shown) = self.shown.get_mut(&order.key) else {
            return;
        };
        let gone = shown.shares - shares.min(shown.shares);
        let reference = shown.reference;
        shown.shares -= gone;
        let locate = self.locate(order.instrument.0);
        if shares == 0 || order.open == 0 {
            self.shown.remove(&order.key);
            self.delete(locate, reference);
        } else if gone > 0 {
            let written = self.writer.cancel(self.stamp(locate), reference, gone);
            self.keep(written);
        }
    }

    /// The order has new terms by itself: a refreshed reserve, a new day, another price.
    fn restated(&mut self, order: &LiveOrder, shares: Option<u32>) {
        if self
            .incoming
            .is_some_and(|incoming| incoming.key == order.key)
            || order.open == 0
        {
            return;
        }
        let locate = self.locate(order.instrument.0);
        match self.shown.get(&order.key).copied() {
            Some(shown) if order.display == b'N' => {
                self.shown.remove(&order.key);
                self.delete(locate, shown.reference);
            }
            Some(shown) if shown.price != order.price.0 || shown.reference != order.reference.0 => {
                // Its place at the new price is behind all others.
                self.delete(locate, shown.reference);
                self.add(order, shares.unwrap_or(shown.shares));
            }
            Some(_) => {}
            None if order.display == b'N' => {}
            // A stop that waits on from an earlier day.
            None if shares == Some(0) => drop(self.waiting.insert(order.key)),
            None => self.add(order, displayed(order, shares)),
        }
    }

    /// A stop waits until a trade reaches its trigger; one that was reached before acts at once.
    fn waits(&mut self, order: &LiveOrder) -> bool {
        if order.stop_kind == b'N' {
            return false;
        }
        let last = self.last_trades.get(&order.instrument.0);
        let reached = |last: &u64| match order.side {
            b'B' => *last >= order.stop_price,
            _ => *last <= order.stop_price,
        };
        order.stop_price == 0 || !last.is_some_and(reached)
    }

    /// Also between the days that are written: a later day begins with what is known here.
    fn follow_stops(&mut self, event: &Event<'_>, touched: &Touched) {
        let order = &touched.after;
        if let Some(original) = touched.original {
            self.waiting.remove(&original.key);
        }
        match event {
            Event::Accepted(_) | Event::Replaced(_) if self.waits(order) => {
                self.waiting.insert(order.key);
            }
            Event::Executed(executed) => {
                self.last_trades
                    .insert(order.instrument.0, executed.price.0);
            }
            _ => {}
        }
        if order.open == 0 {
            self.waiting.remove(&order.key);
        }
    }

    fn touched(&mut self, event: &Event<'_>, touched: &Touched) {
        let order = &touched.after;
        match event {
            // A triggered stop acts as if it came in now.
            Event::PriorityUpdate(_) if self.waiting.remove(&order.key) => {
                self.settle_incoming();
                self.incoming = Some(Incoming {
                    key: order.key,
                    original: None,
                });
            }
            Event::Accepted(_) => {
                self.settle_incoming();
                self.incoming = Some(Incoming {
                    key: order.key,
                    original: None,
                });
            }
            Event::Replaced(_) => {
                self.settle_incoming();
                let shown = touched.original.and_then(|o| self.shown.remove(&o.key));
                let locate = self.locate(order.instrument.0);
                self.incoming = Some(Incoming {
                    key: order.key,
                    original: shown.map(|shown| (locate, shown)),
                });
            }
            Event::Executed(executed) => self.executed(executed, order),
            Event::SelfMatchCanceled(canceled) => {
                self.original_goes();
                let shown = self.shown.get(&order.key).map_or(0, |shown| shown.shares);
                self.reduced(order, shown.saturating_sub(canceled.decrement));
            }
            Event::Canceled(_) | Event::Modified(_) => self.reduced(order, order.open),
            Event::Restated(restated) => self.restated(order, restated.display_quantity),
            Event::PriorityUpdate(_) => self.restated(order, None),
            _ => {}
        }
    }
}

/// Shares of a resting order that the feed shows.
fn displayed(order: &LiveOrder, said: Option<u32>) -> u32 {
    let most = match (said, order.max_floor) {
        (Some(said), _) => said,
        (None, 0) => order.open,
        (None, max_floor) => max_floor,
    };
    most.min(order.open)
}

/// The order took shares away: its counterpart's message says the trade.
fn is_aggressor(executed: &Executed) -> bool {
    executed.liquidity == b'R'
}

/// ITCH's cross type for the liquidity flags of auctions.
fn cross_kind(liquidity: u8) -> Option<u8> {
    match liquidity {
        b'O' => Some(b'O'),
        b'C' => Some(b'C'),
        b'H' | b'K' => Some(b'H'),
        _ => None,
    }
}

/// ITCH's letter for a trading state: an auction's call shows quotes without trading.
fn action(state: u8) -> u8 {
    match state {
        b'T' => b'T',
        b'H' | b'C' => b'H',
        _ => b'Q',
    }
}

impl EventSink for Feed {
    fn record(&mut self, sequence: Sequence, _: &Record<'_>) {
        self.ledger.record(sequence.0);
        self.settle();
    }

    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let touched = self.ledger.event(to, &event);
        if let Some(touched) = &touched {
            self.follow_stops(&event, touched);
        }
        if self.day.is_none() {
            return;
        }
        if let Some(touched) = &touched {
            self.touched(&event, touched);
        } else if let Event::Broken(broken) = &event {
            let number = broken.match_number.0;
            // Both sides hear of it; the feed says it once.
            if self.cross_sides.insert(number) {
                let written = self.writer.broken(self.stamp(0), number);
                self.keep(written);
            }
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::DayOpened { date, midnight, .. }
                if self.wanted.is_none_or(|wanted| wanted == *date) =>
            {
                self.begin_day(*date, *midnight);
            }
            Control::DayClosed { .. } if self.day.is_some() => {
                self.settle();
                self.end_day();
            }
            _ => {}
        }
    }
}

impl LogSink for Feed {
    /// A day is written from its begin only; orders that outlive an earlier one are known from here.
    fn begin(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        self.ledger.begin(machine);
        Ok(())
    }

    fn batch(&mut self, header: &BatchHeader) {
        self.timestamp = header.timestamp;
    }

    fn batch_applied(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        self.settle();
        for instrument in machine.instruments() {
            let listed = Listed {
                symbol: instrument.symbol,
                lot: instrument.lot_size,
                state: action(instrument.state as u8),
            };
            let id = instrument.instrument.0;
            let before = self.listed.insert(id, listed);
            if self.day.is_some() && before != Some(listed) {
                self.list(id, listed, before);
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let symbols: Vec<String> = self.listed.values().map(|l| trimmed(&l.symbol)).collect();
        f.debug_struct("Feed")
            .field("date", &self.date)
            .field("symbols", &symbols)
            .finish()
    }
}
