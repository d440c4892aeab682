//! How the displayed orders of a price share what an aggressor takes, where that is not price-time.
//!
//! A price is taken in *rounds*. If the aggressor wants no less than what is displayed there, all of it
//! trades, first come first served; if less, the instrument's allocation decides how much each order gives,
//! and they give it first come first served. Whole lots are shared; what rounding leaves goes to the first
//! come. Orders of the aggressor's own party take no part: they meet it before the first round.

use super::ladder::Best;
use super::pool::{Book, OrderPool};
use super::take::{Fill, FillSink, Limit, Meeting, Prospect};
use crate::NONE;
use lockstep_record::Side;

/// The allocation of an instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocation {
    /// First come first served.
    PriceTime,
    /// By size; a share below `minimum` is none.
    ProRata { minimum: u32 },
    /// The first gives so many per cent of what the aggressor wants, the others the rest.
    TopShare { percent: u32 },
}

impl Allocation {
    /// As a definition says it: a letter, and what goes with it. `None`: it does not mean anything.
    pub fn of(letter: u8, minimum: u32, percent: u32) -> Option<Self> {
        match (letter, minimum, percent) {
            (b'F', 0, 0) => Some(Self::PriceTime),
            (b'P', minimum, 0) => Some(Self::ProRata { minimum }),
            (b'T', 0, percent @ 1..=100) => Some(Self::TopShare { percent }),
            _ => None,
        }
    }

    /// The letter, the minimum and the per cent; what does not go with the letter is 0.
    pub fn parts(self) -> (u8, u32, u32) {
        match self {
            Self::PriceTime => (b'F', 0, 0),
            Self::ProRata { minimum } => (b'P', minimum, 0),
            Self::TopShare { percent } => (b'T', 0, percent),
        }
    }
}

/// An allocation with what it counts in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    pub allocation: Allocation,
    pub lot_size: u32,
}

/// One round: what the aggressor wants, and what is displayed.
#[derive(Clone, Copy, Debug)]
struct Round {
    wanted: u32,
    displayed: u64,
}

impl Sharing {
    fn in_lots(&self, quantity: u64) -> u32 {
        // A share is at most what the aggressor wants.
        let quantity = quantity as u32;
        quantity - quantity % self.lot_size
    }

    /// What an order gives before rounding is made good.
    fn share(&self, round: &Round, open: u32, is_first: bool) -> u32 {
        let wanted = u64::from(round.wanted);
        match self.allocation {
            Allocation::PriceTime => 0,
            Allocation::ProRata { minimum } => {
                let share = self.in_lots(u64::from(open) * wanted / round.displayed);
                if share < minimum { 0 } else { share }
            }
            Allocation::TopShare { percent } if is_first => {
                let lot = u64::from(self.lot_size);
                let lots = (wanted * u64::from(percent)).div_ceil(100 * lot);
                // Rounded up, and then no more than there is.
                (lots * lot).min(wanted).min(u64::from(open)) as u32
            }
            Allocation::TopShare { .. } => 0,
        }
    }
}

impl OrderPool {
    /// As `take`, with another allocation than price-time for displayed orders.
    pub fn take_shared<S: FillSink>(
        &mut self,
        book: &mut Book,
        side: Side,
        limit: Limit,
        mut open: u32,
        sharing: &Sharing,
        sink: &mut S,
    ) -> u32 {
        let against = side.opposite();
        let limit = limit.key(against);
        while open != 0 {
            let lane = book.next_lane(against);
            if book.best[lane].key > limit {
                break;
            }
            open = if lane & 2 != 0 {
                self.take_level(book, lane, open, sink)
            } else {
                self.share_level(book, lane, open, sharing, sink)
            };
        }
        open
    }

    /// One round at the best price; returns what is left of the aggressor.
    fn share_level<S: FillSink>(
        &mut self,
        book: &mut Book,
        lane: usize,
        open: u32,
        sharing: &Sharing,
        sink: &mut S,
    ) -> u32 {
        let Best { key, level } = book.best[lane];
        let tick = key.tick(super::pool::side_of(lane));
        let open = self.meet_own(level, lane, tick, open, sink);
        let displayed = self.levels.level(level).quantity;
        let open = if open == 0 || displayed == 0 {
            open
        } else if u64::from(open) >= displayed {
            self.give(level, lane, tick, open, sink, |_, open| open)
        } else {
            self.give_shares(level, lane, tick, open, sharing, sink)
        };
        if self.levels.level(level).head == NONE {
            self.levels
                .vacate(&mut book.best[lane], &mut book.ladders[lane], level);
        }
        open
    }

    /// The aggressor meets the orders of its own party at a price, first come first, and what they display
    /// next.
    fn meet_own<S: FillSink>(
        &mut self,
        level: u32,
        lane: usize,
        tick: u32,
        mut open: u32,
        sink: &mut S,
    ) -> u32 {
        let mut slot = self.levels.level(level).head;
        while slot != NONE && open != 0 {
            let order = self.orders[slot as usize];
            if sink.meets(order.owner) == Meeting::Trade {
                slot = order.next;
                continue;
            }
            let fill = self.meet(slot, lane, tick, open, sink);
            open -= fill.aggressor_loss;
            let refreshed = self.settle_fill(level, &fill, sink);
            // Refreshed behind itself it is the next; refreshed behind others it will come again.
            slot = if refreshed && order.next == NONE {
                slot
            } else {
                order.next
            };
        }
        open
    }

    /// Less is wanted than is displayed: each gives its share, and what is left over goes to the first come.
    fn give_shares<S: FillSink>(
        &mut self,
        level: u32,
        lane: usize,
        tick: u32,
        wanted: u32,
        sharing: &Sharing,
        sink: &mut S,
    ) -> u32 {
        let round = Round {
            wanted,
            displayed: self.level(level).quantity,
        };
        let first = self.level(level).head;
        let share = |slot: u32, open: u32| sharing.share(&round, open, slot == first);
        let slots = self.level_orders(level);
        let given: u32 = slots.map(|slot| share(slot, self.order(slot).open)).sum();
        let mut over = wanted - given;
        let mut first_gives = None;
        if matches!(sharing.allocation, Allocation::TopShare { .. }) {
            // It has had its share: what is left over is the others', and then its own again.
            let first_open = self.order(first).open;
            let others = round.displayed - u64::from(first_open);
            let back = u64::from(over).saturating_sub(others) as u32;
            first_gives = Some(share(first, first_open) + back);
            over -= back;
        }
        self.give(level, lane, tick, wanted, sink, |slot, open| {
            match first_gives {
                Some(gives) if slot == first => return gives,
                _ => {}
            }
            let share = share(slot, open);
            let more = over.min(open - share);
            over -= more;
            share + more
        })
    }

    /// Every order that is displayed at a price now gives what `quantity` says for its slot and open shares.
    fn give<S: FillSink>(
        &mut self,
        level: u32,
        lane: usize,
        tick: u32,
        mut open: u32,
        sink: &mut S,
        mut quantity: impl FnMut(u32, u32) -> u32,
    ) -> u32 {
        let last = self.levels.level(level).tail;
        let mut slot = self.levels.level(level).head;
        loop {
            let order = self.orders[slot as usize];
            let gives = quantity(slot, order.open);
            if gives != 0 {
                let fill = self.meet(slot, lane, tick, gives, sink);
                open -= fill.aggressor_loss;
                self.settle_fill(level, &fill, sink);
            }
            if slot == last || open == 0 {
                return open;
            }
            slot = order.next;
        }
    }

    /// Says a fill and takes what was lost off the level, and an order that is done; whether it displays more.
    fn settle_fill<S: FillSink>(&mut self, level: u32, fill: &Fill, sink: &mut S) -> bool {
        let displays_next = sink.filled(fill);
        self.levels.level_mut(level).quantity -= u64::from(fill.resting_loss);
        if fill.resting_open != 0 {
            return false;
        }
        self.detach(level, fill.slot);
        if displays_next == 0 {
            self.index.remove(fill.owner, fill.number, fill.slot);
            self.release(fill.slot);
            return false;
        }
        self.attach(level, fill.slot, displays_next);
        true
    }

    /// Takes an order with nothing open out of its level's list.
    fn detach(&mut self, level: u32, slot: u32) {
        let order = self.orders[slot as usize];
        if order.prev == NONE {
            self.levels.level_mut(level).head = order.next;
        } else {
            self.orders[order.prev as usize].next = order.next;
        }
        if order.next == NONE {
            self.levels.level_mut(level).tail = order.prev;
        } else {
            self.orders[order.next as usize].prev = order.prev;
        }
    }

    /// Puts it behind all others of its level.
    fn attach(&mut self, level: u32, slot: u32, open: u32) {
        let entry = self.levels.level_mut(level);
        entry.quantity += u64::from(open);
        let last = entry.tail;
        entry.tail = slot;
        let order = &mut self.orders[slot as usize];
        (order.open, order.prev, order.next) = (open, last, NONE);
        if last == NONE {
            self.levels.level_mut(level).head = slot;
        } else {
            self.orders[last as usize].next = slot;
        }
    }

    /// Shares of a shared level that would trade; lowers `open` to what would be left of the aggressor.
    pub(super) fn count_shared(&self, level: u32, open: &mut u32, prospect: &dyn Prospect) -> u64 {
        let mut others = 0;
        for slot in self.level_orders(level) {
            let order = self.order(slot);
            let whole = u64::from(order.open) + u64::from(prospect.reserve(slot));
            match prospect.meets(order.owner) {
                Meeting::Trade => others += whole,
                Meeting::CancelResting => {}
                // At most the aggressor's own.
                Meeting::Decrement => *open -= whole.min(u64::from(*open)) as u32,
                Meeting::CancelAggressor | Meeting::CancelBoth => *open = 0,
            }
        }
        let counted = others.min(u64::from(*open));
        *open -= counted as u32;
        counted
    }
}
