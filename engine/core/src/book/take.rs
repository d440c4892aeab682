//! Matching: an aggressor takes from the opposite side, best price first, displayed before hidden, first
//! come first served.
//!
//! What happens when two orders meet is the sink's decision, as is what a reserve order displays next; this
//! module keeps the levels right. It must not know why.

use super::ladder::{Best, Key, TICK_MAX};
use super::pool::{Book, OrderPool, lane, side_of};
use crate::NONE;
use lockstep_prefetch::prefetch;
use lockstep_record::Side;

/// How far an aggressor goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// No worse than this price, in ticks.
    Tick(u32),
    /// Whatever there is.
    Market,
}

impl Limit {
    #[inline(always)]
    pub(super) fn key(self, against: Side) -> Key {
        match self {
            Self::Tick(tick) => Key::of(against, tick),
            Self::Market => Key(TICK_MAX),
        }
    }
}

/// What becomes of an aggressor and the resting order that it meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meeting {
    Trade,
    /// All that is left of the aggressor goes.
    CancelAggressor,
    /// The whole resting order goes.
    CancelResting,
    CancelBoth,
    /// Both lose what they would have traded.
    Decrement,
}

/// One meeting, said before the resting order leaves the book if it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fill {
    pub meeting: Meeting,
    pub slot: u32,
    pub owner: u32,
    pub number: u32,
    /// Shares that trade, or would have.
    pub quantity: u32,
    /// Shares that the resting order loses.
    pub resting_loss: u32,
    /// Shares that the aggressor loses.
    pub aggressor_loss: u32,
    /// The resting order's price.
    pub tick: u32,
    /// What is left of the resting order.
    pub resting_open: u32,
    pub hidden: bool,
}

/// Decides on meetings and hears of their outcome while an aggressor walks the book.
pub(crate) trait FillSink {
    #[inline(always)]
    fn meets(&mut self, _owner: u32) -> Meeting {
        Meeting::Trade
    }

    /// The order that will be met next if this one leaves anything; it may be `NONE`. Time only is at stake.
    #[inline(always)]
    fn comes(&mut self, _slot: u32) {}

    /// Returns the shares that the resting order displays next when it has nothing open left; 0: it leaves.
    fn filled(&mut self, fill: &Fill) -> u32;
}

/// What an aggressor would find, beyond what the book shows.
pub(crate) trait Prospect {
    fn meets(&self, owner: u32) -> Meeting;
    /// Shares that an order would display at its `round`-th refreshment, from 1.
    fn displays(&self, slot: u32, round: u32) -> u32;
    /// Shares that it does not display yet.
    fn reserve(&self, slot: u32) -> u32;
    /// Whether displayed orders share in another way than price-time.
    fn is_shared(&self) -> bool;
}

impl Book {
    /// Whether an order would meet any other within its limit.
    #[inline(always)]
    pub fn would_meet(&self, side: Side, limit: Limit) -> bool {
        let against = side.opposite();
        self.best[self.next_lane(against)].key <= limit.key(against)
    }
}

impl OrderPool {
    /// Lets an order take what it can from the opposite side, up to `limit`: best price first, displayed
    /// before hidden, first come first served. Returns what is left of it.
    #[inline]
    pub fn take<S: FillSink>(
        &mut self,
        book: &mut Book,
        side: Side,
        limit: Limit,
        mut open: u32,
        sink: &mut S,
    ) -> u32 {
        let against = side.opposite();
        let limit = limit.key(against);
        while open != 0 {
            let lane = book.next_lane(against);
            // An empty ladder's best key lies behind every limit.
            if book.best[lane].key > limit {
                break;
            }
            open = self.take_level(book, lane, open, sink);
        }
        open
    }

    pub(super) fn take_level<S: FillSink>(
        &mut self,
        book: &mut Book,
        lane: usize,
        mut open: u32,
        sink: &mut S,
    ) -> u32 {
        let Best { key, level } = book.best[lane];
        let tick = key.tick(side_of(lane));
        let mut lost = 0;
        let mut slot = self.levels.level(level).head;
        while slot != NONE && open != 0 {
            let next = self.orders[slot as usize].next;
            prefetch(&self.orders, next as usize);
            sink.comes(next);
            let fill = self.meet(slot, lane, tick, open, sink);
            open -= fill.aggressor_loss;
            lost += u64::from(fill.resting_loss);
            let displays_next = sink.filled(&fill);
            if fill.resting_open != 0 {
                break;
            }
            slot = if displays_next == 0 {
                self.leave(&fill)
            } else {
                self.move_back(level, slot, displays_next)
            };
        }
        let entry = self.levels.level_mut(level);
        entry.head = slot;
        entry.quantity -= lost;
        if slot == NONE {
            entry.tail = NONE;
            self.levels
                .vacate(&mut book.best[lane], &mut book.ladders[lane], level);
        } else {
            self.orders[slot as usize].prev = NONE;
        }
        open
    }

    /// The first order of a level and an aggressor with `open` shares meet: who loses how much.
    #[inline(always)]
    pub(super) fn meet<S: FillSink>(
        &mut self,
        slot: u32,
        lane: usize,
        tick: u32,
        open: u32,
        sink: &mut S,
    ) -> Fill {
        let order = &mut self.orders[slot as usize];
        let meeting = sink.meets(order.owner);
        let quantity = open.min(order.open);
        let (resting_loss, aggressor_loss) = match meeting {
            Meeting::Trade | Meeting::Decrement => (quantity, quantity),
            Meeting::CancelAggressor => (0, open),
            Meeting::CancelResting => (order.open, 0),
            Meeting::CancelBoth => (order.open, open),
        };
        order.open -= resting_loss;
        if meeting == Meeting::Trade {
            order.executed += quantity;
        }
        Fill {
            meeting,
            slot,
            owner: order.owner,
            number: order.number,
            quantity,
            resting_loss,
            aggressor_loss,
            tick,
            resting_open: order.open,
            hidden: lane & 2 != 0,
        }
    }

    /// The first order of a level is done; returns the order behind it.
    #[inline(always)]
    fn leave(&mut self, fill: &Fill) -> u32 {
        let next = self.orders[fill.slot as usize].next;
        self.index.remove(fill.owner, fill.number, fill.slot);
        self.release(fill.slot);
        next
    }

    /// Puts the first order of a level behind all others of it with new open shares; returns the first
    /// order then.
    #[cold]
    fn move_back(&mut self, level: u32, slot: u32, open: u32) -> u32 {
        let entry = self.levels.level_mut(level);
        entry.quantity += u64::from(open);
        let last = entry.tail;
        let order = &mut self.orders[slot as usize];
        order.open = open;
        if last == slot {
            return slot;
        }
        entry.tail = slot;
        let first = order.next;
        order.next = NONE;
        order.prev = last;
        self.orders[last as usize].next = slot;
        first
    }

    /// Whether an order of `open` shares could trade `wanted` of them up to `limit`. Looks at levels; if a
    /// prospect is given, at each order as an aggressor would meet it.
    pub fn can_take(
        &self,
        book: &Book,
        side: Side,
        limit: Limit,
        open: u32,
        wanted: u32,
        prospect: Option<&dyn Prospect>,
    ) -> bool {
        let against = side.opposite();
        let limit = limit.key(against);
        let lanes = [lane(against, false), lane(against, true)];
        let mut ahead = lanes.map(|lane| book.best[lane].level);
        let (mut open, mut found) = (open, 0);
        while found < u64::from(wanted) && open != 0 {
            let keys = ahead.map(|level| {
                if level == NONE {
                    Key(NONE)
                } else {
                    self.levels.key(level)
                }
            });
            let next = usize::from(keys[1] < keys[0]);
            if keys[next] > limit {
                break;
            }
            found += match prospect {
                None => self.level(ahead[next]).quantity,
                Some(prospect) if next == 0 && prospect.is_shared() => {
                    self.count_shared(ahead[next], &mut open, prospect)
                }
                Some(prospect) => self.count_level(ahead[next], &mut open, prospect),
            };
            ahead[next] = self.levels.behind(&book.ladders[lanes[next]], ahead[next]);
        }
        found >= u64::from(wanted)
    }

    /// Shares of a level that would trade; lowers `open` to what would be left of the aggressor. Walks the
    /// level as an aggressor would: all that is displayed, then what they display next, and so on.
    fn count_level(&self, level: u32, open: &mut u32, prospect: &dyn Prospect) -> u64 {
        let mut counted = 0;
        for round in 0.. {
            let before = (counted, *open);
            let mut anything = false;
            for slot in self.level_orders(level) {
                let order = self.order(slot);
                let shown = if round == 0 {
                    order.open
                } else {
                    prospect.displays(slot, round)
                };
                anything |= shown != 0;
                let quantity = shown.min(*open);
                match prospect.meets(order.owner) {
                    Meeting::Trade => {
                        counted += u64::from(quantity);
                        *open -= quantity;
                    }
                    Meeting::Decrement => *open -= quantity,
                    Meeting::CancelResting => {}
                    Meeting::CancelAggressor | Meeting::CancelBoth => *open = 0,
                }
            }
            if !anything || *open == 0 || before == (counted, *open) {
                break;
            }
        }
        counted
    }
}
