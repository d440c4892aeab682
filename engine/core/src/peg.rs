//! Pegged orders: what each follows, and those of one instrument in the order of their references.
//!
//! A node has the index of its order's extension. Nothing here allocates after `grow`. This module must not
//! know of clients, books or events.

use crate::book::ladder::TICK_MAX;
use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::Side;

/// What a pegged order follows; the value is OUCH's PriceType.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum PegKind {
    /// The best displayed price of its own side.
    Primary = b'R',
    /// The best displayed price of the other side.
    Market = b'P',
    /// The middle of both.
    Midpoint = b'M',
}

impl PegKind {
    pub fn from_u8(letter: u8) -> Option<Self> {
        match letter {
            b'R' => Some(Self::Primary),
            b'P' => Some(Self::Market),
            b'M' | b'm' => Some(Self::Midpoint),
            _ => None,
        }
    }
}

/// Best displayed prices of an instrument, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Quote {
    pub bid: Option<u32>,
    pub ask: Option<u32>,
}

/// What a pegged order wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Peg {
    pub kind: PegKind,
    /// Added to what it follows, in ticks.
    pub offset: i32,
    /// The price that it was entered with, in 1/10,000: its limit, or a market price for none.
    pub price: u64,
}

impl Peg {
    /// Where it rests, in ticks; `None` if what it follows is not there, or no price is legal.
    pub fn tick(&self, side: Side, limit: Option<u32>, quote: Quote, tick_max: u32) -> Option<u32> {
        let (own, other) = match side {
            Side::Buy => (quote.bid, quote.ask),
            Side::Sell => (quote.ask, quote.bid),
        };
        let follows = match self.kind {
            PegKind::Primary => i64::from(own?),
            PegKind::Market => i64::from(other?),
            PegKind::Midpoint => {
                let sum = i64::from(own?) + i64::from(other?);
                // Between two ticks: the one farther from the other side.
                let up = i64::from(side == Side::Sell);
                (sum + up) / 2
            }
        };
        let wanted = follows + i64::from(self.offset);
        let limit = limit.map(i64::from);
        let apart = other.map(i64::from);
        let tick = match side {
            Side::Buy => {
                let wanted = limit.map_or(wanted, |limit| wanted.min(limit));
                apart.map_or(wanted, |ask| wanted.min(ask - 1))
            }
            Side::Sell => {
                let wanted = limit.map_or(wanted, |limit| wanted.max(limit));
                apart.map_or(wanted, |bid| wanted.max(bid + 1))
            }
        };
        let tick = u32::try_from(tick).ok()?;
        (1..=tick_max.min(TICK_MAX)).contains(&tick).then_some(tick)
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    peg: Peg,
    slot: u32,
    reference: u64,
    /// `NONE`: not in use.
    instrument: u32,
    prev: u32,
    next: u32,
}

const FREE: Node = Node {
    peg: Peg {
        kind: PegKind::Primary,
        offset: 0,
        price: 0,
    },
    slot: NONE,
    reference: 0,
    instrument: NONE,
    prev: NONE,
    next: NONE,
};

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// All pegged orders.
#[derive(Debug)]
pub(crate) struct Pegs {
    /// By extension.
    nodes: Vec<Node>,
    /// By instrument id; oldest order reference first.
    lists: Vec<List>,
    live: u32,
    /// Where a walk goes on; moves on when its node leaves.
    cursor: u32,
}

impl Pegs {
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            lists: Vec::new(),
            live: 0,
            cursor: NONE,
        }
    }

    /// Makes room for a peg an extension.
    pub fn grow(&mut self, extensions: u32, instruments_max: u32) {
        grown(&mut self.nodes, extensions as usize, FREE);
        let none = List {
            first: NONE,
            last: NONE,
        };
        grown(&mut self.lists, instruments_max as usize + 1, none);
    }

    #[inline(always)]
    pub fn any(&self) -> bool {
        self.live != 0
    }

    #[inline(always)]
    pub fn any_of(&self, instrument: u32) -> bool {
        self.lists[instrument as usize].first != NONE
    }

    /// Whether the order of an extension is pegged.
    #[inline(always)]
    pub fn holds(&self, index: u32) -> bool {
        self.live != 0 && self.nodes[index as usize].instrument != NONE
    }

    pub fn get(&self, index: u32) -> &Peg {
        &self.nodes[index as usize].peg
    }

    #[cfg(test)]
    pub fn get_mut(&mut self, index: u32) -> &mut Peg {
        &mut self.nodes[index as usize].peg
    }

    pub fn slot(&self, index: u32) -> u32 {
        self.nodes[index as usize].slot
    }

    /// Adds an order that has just got the highest reference of its instrument's pegged orders.
    pub fn add(&mut self, index: u32, instrument: u32, peg: Peg, slot: u32, reference: u64) {
        self.hold(index, instrument, peg, slot, reference);
        self.link(index);
    }

    /// Adds an order without its place in the instrument's list, which `link` gives it.
    pub fn hold(&mut self, index: u32, instrument: u32, peg: Peg, slot: u32, reference: u64) {
        self.nodes[index as usize] = Node {
            peg,
            slot,
            reference,
            instrument,
            prev: NONE,
            next: NONE,
        };
        self.live += 1;
    }

    /// Appends to the instrument's list.
    pub fn link(&mut self, index: u32) {
        let instrument = self.nodes[index as usize].instrument;
        let list = &mut self.lists[instrument as usize];
        let last = list.last;
        list.last = index;
        if last == NONE {
            list.first = index;
        } else {
            self.nodes[last as usize].next = index;
        }
        self.nodes[index as usize].prev = last;
    }

    pub fn remove(&mut self, index: u32) -> Peg {
        let node = self.nodes[index as usize];
        let list = &mut self.lists[node.instrument as usize];
        if node.prev == NONE {
            list.first = node.next;
        } else {
            self.nodes[node.prev as usize].next = node.next;
        }
        if node.next == NONE {
            list.last = node.prev;
        } else {
            self.nodes[node.next as usize].prev = node.prev;
        }
        if self.cursor == index {
            self.cursor = node.next;
        }
        self.nodes[index as usize] = FREE;
        self.live -= 1;
        node.peg
    }

    /// Begins a walk over an instrument's pegged orders.
    pub fn begin(&mut self, instrument: u32) {
        self.cursor = self.lists[instrument as usize].first;
    }

    /// The next of the walk with a reference up to `last`, whatever left meanwhile.
    pub fn step(&mut self, last: u64) -> Option<u32> {
        let index = self.cursor;
        if index == NONE || self.nodes[index as usize].reference > last {
            self.cursor = NONE;
            return None;
        }
        self.cursor = self.nodes[index as usize].next;
        Some(index)
    }

    /// Pegged orders of an instrument, oldest order reference first.
    pub fn of(&self, instrument: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.lists[instrument as usize].first;
        core::iter::from_fn(move || {
            let index = at;
            if index == NONE {
                return None;
            }
            at = self.nodes[index as usize].next;
            Some(index)
        })
    }

    /// Checks the lists; returns how many orders they hold, or what is wrong.
    pub fn check(&self) -> Result<u32, &'static str> {
        let mut count = 0;
        for instrument in 0..self.lists.len() as u32 {
            let (mut last, mut reference) = (NONE, 0);
            for index in self.of(instrument) {
                let node = &self.nodes[index as usize];
                if node.prev != last || node.instrument != instrument || node.reference <= reference
                {
                    return Err("pegged orders are not by reference");
                }
                (last, reference) = (index, node.reference);
                count += 1;
            }
            if self.lists[instrument as usize].last != last {
                return Err("the last pegged order is not the last of its list");
            }
        }
        if count == self.live && self.cursor == NONE {
            Ok(count)
        } else {
            Err("pegged orders and their count disagree")
        }
    }
}

/// Instruments whose orders have changed, by id once each.
#[derive(Debug)]
pub(crate) struct Touched {
    ids: Vec<u32>,
    marked: Vec<bool>,
}

impl Touched {
    pub fn new() -> Self {
        Self {
            ids: Vec::new(),
            marked: Vec::new(),
        }
    }

    pub fn grow(&mut self, instruments_max: u32) {
        grown(&mut self.marked, instruments_max as usize + 1, false);
        self.ids.reserve_exact(instruments_max as usize + 1);
    }

    #[inline(always)]
    pub fn any(&self) -> bool {
        !self.ids.is_empty()
    }

    pub fn add(&mut self, instrument: u32) {
        let marked = &mut self.marked[instrument as usize];
        if !*marked {
            *marked = true;
            self.ids.push(instrument);
        }
    }

    /// Takes the lowest id.
    pub fn take(&mut self) -> Option<u32> {
        let (at, &id) = self.ids.iter().enumerate().min_by_key(|(_, id)| **id)?;
        self.ids.swap_remove(at);
        self.marked[id as usize] = false;
        Some(id)
    }
}
