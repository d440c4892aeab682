//! Visible levels of a book, and what a row's levels and a message determine of the next row.
//!
//! This is the whole theory of the comparison: a row is reconstructible on a side as far as the levels
//! visible before it and its message determine that side. What a file only reveals (the level that
//! comes into view when another empties) is not determined, and never compared.

use super::lobster::{EventKind, Message};
use lockstep_record::Side;

/// One price level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// 1/10,000.
    pub price: u64,
    /// Shares; never 0 in a `Levels`.
    pub quantity: u64,
}

/// Levels of one side, best first, strictly sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Levels(Vec<Level>);

/// True if `a` is the better price of that side.
pub const fn is_better(side: Side, a: u64, b: u64) -> bool {
    match side {
        Side::Buy => a > b,
        Side::Sell => a < b,
    }
}

impl Levels {
    /// Appends a level; false, and nothing done, if it is not worse than the last one.
    pub fn push_worst(&mut self, side: Side, level: Level) -> bool {
        let sorted = self
            .0
            .last()
            .is_none_or(|last| is_better(side, last.price, level.price));
        if sorted {
            self.0.push(level);
        }
        sorted
    }

    pub fn as_slice(&self) -> &[Level] {
        &self.0
    }

    pub fn best(&self) -> Option<Level> {
        self.0.first().copied()
    }

    pub fn worst(&self) -> Option<Level> {
        self.0.last().copied()
    }

    pub fn quantity_at(&self, price: u64) -> u64 {
        let level = self.0.iter().find(|level| level.price == price);
        level.map_or(0, |level| level.quantity)
    }

    /// Adds shares at a price, in its place.
    fn add(&mut self, side: Side, price: u64, quantity: u64) {
        let at = self
            .0
            .partition_point(|level| is_better(side, level.price, price));
        match self.0.get_mut(at) {
            Some(level) if level.price == price => level.quantity += quantity,
            _ => self.0.insert(at, Level { price, quantity }),
        }
    }

    /// Takes shares from a level; `None` if it does not hold them, else whether it is now gone.
    fn take(&mut self, price: u64, quantity: u64) -> Option<bool> {
        let at = self.0.iter().position(|level| level.price == price)?;
        let left = self.0[at].quantity.checked_sub(quantity)?;
        if left == 0 {
            self.0.remove(at);
        } else {
            self.0[at].quantity = left;
        }
        Some(left == 0)
    }
}

/// Both sides of a row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BookRow {
    pub bids: Levels,
    pub asks: Levels,
}

impl BookRow {
    pub fn side(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    pub fn side_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Best bid at or above best ask: no matching engine can hold such a book.
    pub fn is_crossed(&self) -> bool {
        match (self.bids.best(), self.asks.best()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }
}

/// What is known of one side after a row, from the row before and the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Determined {
    /// The levels that are determined, best first, at most the file's depth.
    pub levels: Levels,
    /// False if a level below them came into view that only the file knows.
    pub is_complete: bool,
}

impl Determined {
    /// True if `shown`, the whole visible side, agrees with everything that is determined.
    pub fn agrees_with(&self, shown: &[Level]) -> bool {
        let levels = self.levels.as_slice();
        if self.is_complete {
            shown == levels
        } else {
            shown.len() >= levels.len() && shown[..levels.len()] == *levels
        }
    }
}

/// Why a message says nothing that the visible levels could follow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unfit {
    /// Below the visible levels: the book that is compared does not change.
    OutsideView,
    /// A cancel or execution of more than its level shows, or at a price that shows nothing.
    NotInBook,
    /// An execution away from the best price.
    NotAtBest,
    /// A new order that would trade with the visible other side.
    Crossing,
}

/// What a message does to the visible book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Kinds 5, 6 and 7.
    None,
    Adds,
    Takes,
    Unfit(Unfit),
}

/// The effect of `message` on the levels `before`, of a file with `depth` levels a side.
pub fn effect(before: &BookRow, message: &Message, depth: usize) -> Effect {
    if !message.kind.is_visible() {
        return Effect::None;
    }
    let Message { side, price, .. } = *message;
    let own = before.side(side);
    let is_full = own.as_slice().len() == depth;
    let is_outside = own
        .worst()
        .is_some_and(|worst| is_better(side, worst.price, price));
    if is_full && is_outside {
        return Effect::Unfit(Unfit::OutsideView);
    }
    if message.kind == EventKind::New {
        let opposite = before.side(side.opposite()).best();
        let crosses = opposite.is_some_and(|best| !is_better(side, best.price, price));
        return if crosses {
            Effect::Unfit(Unfit::Crossing)
        } else {
            Effect::Adds
        };
    }
    if own.quantity_at(price) < u64::from(message.size) {
        return Effect::Unfit(Unfit::NotInBook);
    }
    if message.kind == EventKind::Execution && own.best().is_some_and(|best| best.price != price) {
        return Effect::Unfit(Unfit::NotAtBest);
    }
    Effect::Takes
}

/// What `before` and `message` determine of one side after it. `message` must fit (`effect`), or be
/// without effect.
pub fn determine(
    before: &BookRow,
    message: &Message,
    effect: Effect,
    side: Side,
    depth: usize,
) -> Determined {
    let mut levels = before.side(side).clone();
    let mut is_complete = true;
    let quantity = u64::from(message.size);
    if side == message.side {
        match effect {
            Effect::Adds => {
                levels.add(side, message.price, quantity);
                levels.0.truncate(depth);
            }
            Effect::Takes => {
                let was_full = levels.0.len() == depth;
                let is_gone = levels.take(message.price, quantity);
                is_complete = !(was_full && is_gone == Some(true));
            }
            Effect::None | Effect::Unfit(_) => {}
        }
    }
    Determined {
        levels,
        is_complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(bids: &[(u64, u64)], asks: &[(u64, u64)]) -> BookRow {
        let mut row = BookRow::default();
        for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
            for (price, quantity) in levels {
                let (price, quantity) = (*price, *quantity);
                assert!(
                    row.side_mut(side)
                        .push_worst(side, Level { price, quantity })
                );
            }
        }
        row
    }

    fn message(kind: EventKind, side: Side, size: u32, price: u64) -> Message {
        Message {
            time_ns: 0,
            kind,
            order_id: 1,
            size,
            price,
            side,
        }
    }

    /// (name, message, effect, levels of the message's side after it, complete)
    type Case = (&'static str, Message, Effect, &'static [(u64, u64)], bool);

    const CASES: &[Case] = {
        use EventKind::{Delete, Execution, Halt, HiddenExecution, New};
        const fn of(kind: EventKind, side: Side, size: u32, price: u64) -> Message {
            Message {
                time_ns: 0,
                kind,
                order_id: 1,
                size,
                price,
                side,
            }
        }
        const BIDS: &[(u64, u64)] = &[(100, 10), (99, 20)];
        &[
            (
                "improves",
                of(New, Side::Buy, 5, 101),
                Effect::Adds,
                &[(101, 5), (100, 10)],
                true,
            ),
            (
                "joins",
                of(New, Side::Buy, 5, 99),
                Effect::Adds,
                &[(100, 10), (99, 25)],
                true,
            ),
            (
                "below view",
                of(New, Side::Buy, 5, 98),
                Effect::Unfit(Unfit::OutsideView),
                BIDS,
                true,
            ),
            (
                "crosses",
                of(New, Side::Buy, 5, 105),
                Effect::Unfit(Unfit::Crossing),
                BIDS,
                true,
            ),
            (
                "part",
                of(Delete, Side::Buy, 15, 99),
                Effect::Takes,
                &[(100, 10), (99, 5)],
                true,
            ),
            (
                "empties",
                of(Delete, Side::Buy, 10, 100),
                Effect::Takes,
                &[(99, 20)],
                false,
            ),
            (
                "too much",
                of(Delete, Side::Buy, 11, 100),
                Effect::Unfit(Unfit::NotInBook),
                BIDS,
                true,
            ),
            (
                "trades",
                of(Execution, Side::Buy, 4, 100),
                Effect::Takes,
                &[(100, 6), (99, 20)],
                true,
            ),
            (
                "away",
                of(Execution, Side::Buy, 4, 99),
                Effect::Unfit(Unfit::NotAtBest),
                BIDS,
                true,
            ),
            (
                "hidden",
                of(HiddenExecution, Side::Buy, 4, 102),
                Effect::None,
                BIDS,
                true,
            ),
            ("halt", of(Halt, Side::Buy, 0, 0), Effect::None, BIDS, true),
        ]
    };

    #[test]
    fn every_kind_determines_what_it_should() {
        let before = book(&[(100, 10), (99, 20)], &[(105, 7), (106, 8)]);
        for (name, message, expected, after, is_complete) in CASES {
            let got = effect(&before, message, 2);
            assert_eq!(got, *expected, "{name}");
            let side = determine(&before, message, got, Side::Buy, 2);
            assert_eq!(side.levels, book(after, &[]).bids, "{name}");
            assert_eq!(side.is_complete, *is_complete, "{name}");
            let other = determine(&before, message, got, Side::Sell, 2);
            assert_eq!(other.levels, before.asks, "{name}");
            assert!(other.is_complete, "{name}");
        }
    }

    #[test]
    fn a_side_with_fewer_levels_than_the_file_stays_determined_when_one_empties() {
        let before = book(&[(100, 10)], &[]);
        let delete = message(EventKind::Delete, Side::Buy, 10, 100);
        let side = determine(&before, &delete, effect(&before, &delete, 2), Side::Buy, 2);
        assert!(side.levels.as_slice().is_empty() && side.is_complete);
        assert!(side.agrees_with(&[]));
        let stray = Level {
            price: 99,
            quantity: 1,
        };
        assert!(!side.agrees_with(&[stray]));
    }

    #[test]
    fn an_incomplete_side_is_compared_as_far_as_it_goes() {
        let side = Determined {
            levels: book(&[(100, 10)], &[]).bids,
            is_complete: false,
        };
        assert!(side.agrees_with(book(&[(100, 10), (98, 1)], &[]).bids.as_slice()));
        assert!(side.agrees_with(book(&[(100, 10)], &[]).bids.as_slice()));
        assert!(!side.agrees_with(book(&[(100, 11), (98, 1)], &[]).bids.as_slice()));
        assert!(!side.agrees_with(&[]));
    }

    #[test]
    fn levels_refuse_to_be_unsorted() {
        let mut asks = Levels::default();
        let at = |price| Level { price, quantity: 1 };
        assert!(asks.push_worst(Side::Sell, at(10)));
        assert!(!asks.push_worst(Side::Sell, at(10)));
        assert!(!asks.push_worst(Side::Sell, at(9)));
        assert!(asks.push_worst(Side::Sell, at(11)));
        assert_eq!(asks.as_slice().len(), 2);
    }
}
