//! Messages of a file → OUCH requests of two sessions, and what the venue must answer.
//!
//! ```text
//! A F   day order of the maker                 E C   IOC of the taker at the order's price and size
//! X D   cancel of that many shares             U     replace
//! ```
//! Every order lies in a lane of its stock: an instrument in which what the file says of it is possible.
//!
//! ```text
//! lane 0    the stock itself: whatever does not cross there
//! lane 1, 2 bids and asks that would trade at once in lane 0
//! lane 3…   one order each: those that execute out of turn (`survey`)
//! ```
//! Pure: the same messages give the same plan. It decides nothing about comparisons.

use super::book::{FileBook, FileOrder, Unfit};
use super::reader::{ItchKind, ItchMessage};
use super::report::{Event, ItchCounts, Skip};
use super::survey::Survey;
use lockstep_record::Side;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Bounds of what can be entered (docs/matching.md): shares of a chain, highest limit price.
const SHARES_MAX: u32 = 999_999;
const PRICE_MAX: u64 = 1_999_999_900;
const FIRST_SOLO_LANE: u16 = 3;
/// Lanes that a symbol can name.
const LANES_MAX: u16 = 36 * 36;

/// What a request asks for, and so what must be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Enter {
        side: Side,
        shares: u32,
        price: u64,
        symbol: [u8; 8],
    },
    /// `removes` shares go; `new_total` of the chain, executed ones included; 0: all.
    Cancel { new_total: u32, removes: u32 },
    Replace {
        original: u32,
        /// Of the chain, executed shares included.
        total: u32,
        /// Open afterwards.
        shares: u32,
        price: u64,
        side: Side,
    },
    /// An IOC of the taker that must hit `maker`, all of `shares`.
    Cross {
        side: Side,
        shares: u32,
        price: u64,
        symbol: [u8; 8],
        maker: u32,
    },
}

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Number of the message that it is for; 0 for the clean-up.
    pub message: u64,
    /// What is reproduced once it is answered; `None` for the first half of a replace, and for the clean-up.
    pub event: Option<Event>,
    /// Number that the request's answers carry, in its session.
    pub user_ref: u32,
    pub action: Action,
}

/// An order of the maker's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MakerOrder {
    pub user_ref: u32,
    /// Of the chain of OUCH replacements.
    pub executed: u32,
}

#[derive(Debug, Default)]
struct Lanes {
    free: BTreeSet<u16>,
    used: u16,
}

/// The plan's state.
#[derive(Debug)]
pub struct Planner {
    survey: Survey,
    book: FileBook,
    makers: HashMap<u64, MakerOrder>,
    left_out: HashSet<u64>,
    symbols: HashMap<u16, [u8; 8]>,
    lanes: HashMap<u16, Lanes>,
    instruments: BTreeMap<(u16, u16), [u8; 8]>,
    next_maker: u32,
    next_taker: u32,
    live_max: usize,
    counts: ItchCounts,
}

/// Name of a lane's instrument: the stock itself, or `#` and two numbers in base 36.
fn lane_symbol(stock: [u8; 8], locate: u16, lane: u16) -> [u8; 8] {
    if lane == 0 {
        return stock;
    }
    let text = format!("#{}.{}", base36(locate), base36(lane));
    let mut symbol = [b' '; 8];
    for (to, from) in symbol.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    symbol
}

fn base36(mut number: u16) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = (number % 36) as u8;
        digits.push(if digit < 10 {
            b'0' + digit
        } else {
            b'A' + digit - 10
        });
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(*digit))
        .collect()
}

impl Planner {
    /// `last_user_refs`: the last numbers that maker and taker have used today.
    pub fn new(survey: Survey, last_user_refs: [u32; 2]) -> Self {
        Self {
            survey,
            book: FileBook::default(),
            makers: HashMap::new(),
            left_out: HashSet::new(),
            symbols: HashMap::new(),
            lanes: HashMap::new(),
            instruments: BTreeMap::new(),
            next_maker: last_user_refs[0].saturating_add(1),
            next_taker: last_user_refs[1].saturating_add(1),
            live_max: 0,
            counts: ItchCounts::default(),
        }
    }

    pub fn counts(&self) -> &ItchCounts {
        &self.counts
    }

    /// What the file says lives now.
    pub fn book(&self) -> &FileBook {
        &self.book
    }

    pub fn maker(&self, order: u64) -> Option<&MakerOrder> {
        self.makers.get(&order)
    }

    /// Instruments that were needed so far, by stock and lane.
    pub fn instruments(&self) -> &BTreeMap<(u16, u16), [u8; 8]> {
        &self.instruments
    }

    /// Most orders that lived at once.
    pub fn live_max(&self) -> usize {
        self.live_max
    }

    /// Plans one message.
    pub fn handle_message(&mut self, message: &ItchMessage, out: &mut Vec<Request>) {
        self.counts.messages += 1;
        match message.kind {
            ItchKind::Add {
                order,
                side,
                shares,
                symbol,
                price,
            } => {
                self.symbols.insert(message.locate, symbol);
                let terms = FileOrder {
                    locate: message.locate,
                    lane: 0,
                    side,
                    price,
                    open: shares,
                    root: order,
                };
                self.add(message.number, order, terms, out);
            }
            ItchKind::Execute {
                order,
                shares,
                printed,
            } => self.execute(message.number, order, shares, printed, out),
            ItchKind::Cancel { order, shares } => {
                self.cancel(message.number, order, Some(shares), Event::Cancel, out);
            }
            ItchKind::Delete { order } => {
                self.cancel(message.number, order, None, Event::Delete, out);
            }
            ItchKind::Replace {
                original,
                order,
                shares,
                price,
            } => self.replace(message.number, original, (order, shares, price), out),
            ItchKind::Stock { .. } => self.counts.skip(Skip::Other('R')),
            ItchKind::Other(kind) => self.counts.skip(match kind {
                b'P' => Skip::HiddenTrade,
                b'Q' => Skip::CrossTrade,
                other => Skip::Other(char::from(other)),
            }),
        }
    }

    /// Cancels of all that lives.
    pub fn finish(&mut self, out: &mut Vec<Request>) {
        let mut orders: Vec<_> = self.book.iter().map(|(order, _)| *order).collect();
        orders.sort_unstable();
        for order in orders {
            let (Ok(terms), Some(maker)) = (self.book.remove(order), self.makers.remove(&order))
            else {
                continue;
            };
            out.push(Request {
                message: 0,
                event: None,
                user_ref: maker.user_ref,
                action: Action::Cancel {
                    new_total: 0,
                    removes: terms.open,
                },
            });
        }
    }

    fn skip(&mut self, order: u64, unfit: Unfit) {
        self.counts.skip(match unfit {
            Unfit::Unknown if self.left_out.contains(&order) => Skip::LeftOut,
            Unfit::Unknown => Skip::BornBeforeFile,
            Unfit::MoreThanOpen => Skip::MoreThanOpen,
            Unfit::Duplicate => Skip::Duplicate,
        });
    }

    /// The lane for an order: where it neither trades at once nor stands behind another when it executes.
    fn lane(&mut self, terms: &FileOrder) -> Option<u16> {
        if self.survey.out_of_turn.contains(&terms.root) {
            let lanes = self.lanes.entry(terms.locate).or_default();
            let lane = lanes.free.pop_first().unwrap_or_else(|| {
                lanes.used += 1;
                FIRST_SOLO_LANE + lanes.used - 1
            });
            return (lane < LANES_MAX).then_some(lane);
        }
        let crosses = self
            .book
            .would_trade(terms.locate, 0, terms.side, terms.price);
        Some(match (crosses, terms.side) {
            (false, _) => 0,
            (true, Side::Buy) => 1,
            (true, Side::Sell) => 2,
        })
    }

    fn free_lane(&mut self, terms: &FileOrder) {
        if terms.lane >= FIRST_SOLO_LANE {
            let lanes = self.lanes.entry(terms.locate).or_default();
            lanes.free.insert(terms.lane);
        }
    }

    fn symbol(&mut self, locate: u16, lane: u16) -> [u8; 8] {
        let stock = self.symbols.get(&locate).copied().unwrap_or([b' '; 8]);
        let symbol = lane_symbol(stock, locate, lane);
        self.instruments.insert((locate, lane), symbol);
        symbol
    }

    fn add(&mut self, message: u64, order: u64, terms: FileOrder, out: &mut Vec<Request>) {
        if self.book.get(order).is_some() {
            return self.skip(order, Unfit::Duplicate);
        }
        self.enter(message, Event::Add, order, terms, out);
    }

    fn enter(
        &mut self,
        message: u64,
        event: Event,
        order: u64,
        terms: FileOrder,
        out: &mut Vec<Request>,
    ) {
        let is_legal =
            (1..=SHARES_MAX).contains(&terms.open) && (1..=PRICE_MAX).contains(&terms.price);
        let Some(lane) = is_legal.then(|| self.lane(&terms)).flatten() else {
            self.left_out.insert(order);
            return self.counts.skip(Skip::NotEnterable);
        };
        self.counts.lane(lane);
        let terms = FileOrder { lane, ..terms };
        let symbol = self.symbol(terms.locate, lane);
        // The caller has seen that the reference is free.
        let added = self.book.add(order, terms);
        debug_assert!(added.is_ok());
        self.live_max = self.live_max.max(self.book.live_count());
        let user_ref = self.next_maker;
        self.next_maker += 1;
        let maker = MakerOrder {
            user_ref,
            executed: 0,
        };
        self.makers.insert(order, maker);
        out.push(Request {
            message,
            event: Some(event),
            user_ref,
            action: Action::Enter {
                side: terms.side,
                shares: terms.open,
                price: terms.price,
                symbol,
            },
        });
    }

    fn execute(
        &mut self,
        message: u64,
        order: u64,
        shares: u32,
        printed: Option<u64>,
        out: &mut Vec<Request>,
    ) {
        let terms = match self.book.take(order, shares) {
            Ok(terms) => terms,
            Err(unfit) => return self.skip(order, unfit),
        };
        if printed.is_some_and(|printed| printed != terms.price) {
            self.counts.printed_elsewhere += 1;
        }
        let Some(maker) = self.makers.get_mut(&order) else {
            return self.skip(order, Unfit::Unknown);
        };
        maker.executed += shares;
        let maker = maker.user_ref;
        let symbol = self.symbol(terms.locate, terms.lane);
        let user_ref = self.next_taker;
        self.next_taker += 1;
        out.push(Request {
            message,
            event: Some(Event::Execute),
            user_ref,
            action: Action::Cross {
                side: terms.side.opposite(),
                shares,
                price: terms.price,
                symbol,
                maker,
            },
        });
        self.ended(order, &terms);
    }

    /// Forgets an order that has ended.
    fn ended(&mut self, order: u64, terms: &FileOrder) {
        if self.book.get(order).is_none() {
            self.makers.remove(&order);
            self.free_lane(terms);
        }
    }

    /// `shares`: how many go; `None`: all.
    fn cancel(
        &mut self,
        message: u64,
        order: u64,
        shares: Option<u32>,
        event: Event,
        out: &mut Vec<Request>,
    ) {
        let open = self.book.get(order).map_or(0, |terms| terms.open);
        let removes = shares.unwrap_or(open);
        let terms = match self.book.take(order, removes) {
            Ok(terms) => terms,
            Err(unfit) => return self.skip(order, unfit),
        };
        let maker = self.makers.get(&order).copied();
        if let Some(MakerOrder { user_ref, executed }) = maker {
            let left = terms.open - removes;
            out.push(Request {
                message,
                event: Some(event),
                user_ref,
                action: Action::Cancel {
                    new_total: if left == 0 { 0 } else { executed + left },
                    removes,
                },
            });
        }
        self.ended(order, &terms);
    }

    fn replace(
        &mut self,
        message: u64,
        original: u64,
        (order, shares, price): (u64, u32, u64),
        out: &mut Vec<Request>,
    ) {
        if order != original && self.book.get(order).is_some() {
            return self.skip(order, Unfit::Duplicate);
        }
        let before = match self.book.remove(original) {
            Ok(before) => before,
            Err(unfit) => return self.skip(original, unfit),
        };
        let Some(maker) = self.makers.remove(&original) else {
            return self.skip(original, Unfit::Unknown);
        };
        let terms = FileOrder {
            open: shares,
            price,
            ..before
        };
        let total = maker.executed.checked_add(shares);
        let crosses =
            before.lane == 0 && self.book.would_trade(before.locate, 0, before.side, price);
        match total.filter(|total| *total <= SHARES_MAX && (1..=PRICE_MAX).contains(&price)) {
            Some(total) if !crosses => {
                // The same book holds it: a replacement of the venue's own.
                let added = self.book.add(order, terms);
                debug_assert!(added.is_ok());
                let user_ref = self.next_maker;
                self.next_maker += 1;
                let replacement = MakerOrder { user_ref, ..maker };
                self.makers.insert(order, replacement);
                out.push(Request {
                    message,
                    event: Some(Event::Replace),
                    user_ref,
                    action: Action::Replace {
                        original: maker.user_ref,
                        total,
                        shares,
                        price,
                        side: before.side,
                    },
                });
            }
            _ => {
                self.counts.replaces_in_two += 1;
                out.push(Request {
                    message,
                    event: None,
                    user_ref: maker.user_ref,
                    action: Action::Cancel {
                        new_total: 0,
                        removes: before.open,
                    },
                });
                self.free_lane(&before);
                self.enter(message, Event::Replace, order, terms, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_name_of_its_own_that_is_a_symbol() {
        let name = |locate, lane| lane_symbol(*b"AAPL    ", locate, lane);
        assert_eq!(name(1, 0), *b"AAPL    ");
        assert_eq!(name(1, 2), *b"#1.2    ");
        assert_eq!(name(u16::MAX, LANES_MAX - 1), *b"#1EKF.ZZ");
        let mut seen = BTreeSet::new();
        for locate in [1, 35, 36, 65_535] {
            for lane in 1..LANES_MAX {
                assert!(seen.insert(name(locate, lane)));
            }
        }
    }
}
