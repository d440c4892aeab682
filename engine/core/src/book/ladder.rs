//! Price levels of many books in one pool, ordered best first, found by tick.
//!
//! A *ladder* is one side of one book. Its levels are ordered by a 31-bit *key* in which the best price is the
//! lowest (`Key::of`), and lie in *leaves*: 16 neighbouring levels with an occupancy bitmap. The leaves about
//! the best price stand in the ladder's own line, its *window*; all behind it hang in a 64-way trie, whose
//! inner nodes skip the digits in which all that is below them agree. So a book whose orders lie near the
//! touch has no trie, however wide its price domain is; a wide one gets deeper by a step for each factor
//! of 64. Which leaves lie in the window follows the best price, and no outcome depends on it.
//!
//! Bounds: a leaf holds at least one occupied level and an inner node at least two children, so as many
//! leaves and nodes as levels always suffice. Nothing here allocates after [`LevelPool::grow`].
//!
//! This module must not know of orders beyond the first and last of a level.

mod check;
mod trie;

use crate::{NONE, grown};
use alloc::vec::Vec;
use core::hint::select_unpredictable;
use lockstep_prefetch::prefetch;
use lockstep_record::Side;
use trie::{FREE_NODE, Node};

/// Ticks that a key can express.
pub const TICK_MAX: u32 = (1 << 31) - 1;

const LEAF_BITS: u32 = 4;
const LEAF_LEVELS: u32 = 1 << LEAF_BITS;
/// Marks a child reference as a leaf. `NONE` carries it too, so a descent stops there.
const LEAF: u32 = 1 << 31;
/// Most levels: a level's id is `leaf × 16 + slot`, and `NONE` is no id.
pub const LEVELS_MAX: u32 = (1 << 27) - 1;

/// A price in the ladder's own order: the best price of its side is the lowest key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(pub u32);

impl Key {
    #[inline(always)]
    pub fn of(side: Side, tick: u32) -> Self {
        debug_assert!(tick <= TICK_MAX);
        // `TICK_MAX - tick` for a bid, without a branch on the side, which would be a coin's toss.
        let reversed = (side as u32).wrapping_sub(1) & TICK_MAX;
        Self(tick ^ reversed)
    }

    #[inline(always)]
    pub fn tick(self, side: Side) -> u32 {
        // The mapping is its own inverse.
        Self::of(side, self.0).0
    }

    #[inline(always)]
    fn base(self) -> u32 {
        self.0 >> LEAF_BITS
    }
}

/// One price level. Invariant: `head == NONE` iff `tail == NONE` iff `quantity == 0` iff the level's bit
/// in its leaf is clear.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Level {
    pub head: u32,
    pub tail: u32,
    /// Open shares of all its orders.
    pub quantity: u64,
}
const _: () = assert!(size_of::<Level>() == 16);

const EMPTY_LEVEL: Level = Level {
    head: NONE,
    tail: NONE,
    quantity: 0,
};

/// Sixteen levels' place and occupancy; in a free leaf `base` is the next free one.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Leaf {
    /// `key >> 4` of its levels.
    base: u32,
    /// Bit *i*: level *i* holds an order.
    bits: u32,
}

/// The id of a leaf's level; the slot is the last digit of `key`. With a base for the leaf: the key.
#[inline(always)]
const fn level_id(leaf: u32, key: u32) -> u32 {
    (leaf << LEAF_BITS) | (key % LEAF_LEVELS)
}

/// Leaves that a ladder knows without a walk: 14 × 16 ticks from a little before the best price.
const NEAR: u32 = 14;
/// Leaves of these that lie before the best price's when the window is laid.
const NEAR_BEFORE: u32 = 2;
/// The window is laid anew when the best price has gone so many leaves into it.
const NEAR_TURN: u32 = 7;

/// The best level of a ladder. Apart from it, so that those of one book share a line: most orders look at
/// the best prices of the other side and at nothing else of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Best {
    /// Behind every key if the ladder is empty.
    pub key: Key,
    /// `NONE` if the ladder is empty.
    pub level: u32,
}

impl Best {
    pub const NONE: Self = Self {
        key: Key(NONE),
        level: NONE,
    };

    #[inline(always)]
    pub fn is_none(&self) -> bool {
        self.level == NONE
    }
}

/// One side of one book: where its levels are. A cache line.
///
/// Invariants: the best level's leaf is in the window; no leaf has a base below `near_base`; a leaf is in
/// the window or in the trie, never in both.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Ladder {
    /// Of the trie; `NONE`: no leaf lies behind the window.
    root: u32,
    /// Base of the first leaf of the window.
    near_base: u32,
    /// The leaves with bases from `near_base` on, `NONE` where there is none.
    near: [u32; NEAR as usize],
}
const _: () = assert!(size_of::<Ladder>() == 64);

impl Ladder {
    pub const EMPTY: Self = Self {
        root: NONE,
        near_base: 0,
        near: [NONE; NEAR as usize],
    };

    /// Whether a leaf of this base belongs in the window.
    #[inline(always)]
    fn is_near(&self, base: u32) -> bool {
        base.wrapping_sub(self.near_base) < NEAR
    }

    /// The level of a key if its leaf lies in the window; otherwise any, or none.
    #[inline(always)]
    pub fn near_level(&self, key: Key) -> u32 {
        let near = key.base().wrapping_sub(self.near_base).min(NEAR - 1);
        let leaf = self.near[near as usize];
        level_id(leaf, key.0)
    }
}

/// The levels of all ladders.
#[derive(Debug)]
pub(crate) struct LevelPool {
    levels: Vec<Level>,
    leaves: Vec<Leaf>,
    nodes: Vec<Node>,
    free_leaf: u32,
    free_node: u32,
    occupied: u32,
    levels_max: u32,
}

impl LevelPool {
    pub fn new() -> Self {
        Self {
            levels: Vec::new(),
            leaves: Vec::new(),
            nodes: Vec::new(),
            free_leaf: NONE,
            free_node: NONE,
            occupied: 0,
            levels_max: 0,
        }
    }

    /// Makes room for `levels_max` occupied levels and touches all of it. Allocates; not on the hot path.
    pub fn grow(&mut self, levels_max: u32) {
        assert!(levels_max >= self.levels_max && levels_max <= LEVELS_MAX);
        let from = self.levels_max;
        self.levels_max = levels_max;
        grown(
            &mut self.levels,
            levels_max as usize * LEAF_LEVELS as usize,
            EMPTY_LEVEL,
        );
        grown(
            &mut self.leaves,
            levels_max as usize,
            Leaf {
                base: NONE,
                bits: 0,
            },
        );
        grown(&mut self.nodes, levels_max as usize, FREE_NODE);
        // Lowest index on top of the free lists.
        for index in (from..levels_max).rev() {
            self.leaves[index as usize].base = self.free_leaf;
            self.free_leaf = index;
            self.nodes[index as usize].prefix = self.free_node;
            self.free_node = index;
        }
    }

    /// Occupied levels over all ladders.
    #[inline(always)]
    pub fn occupied(&self) -> u32 {
        self.occupied
    }

    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.occupied == self.levels_max
    }

    #[inline(always)]
    pub fn level(&self, id: u32) -> &Level {
        &self.levels[id as usize]
    }

    #[inline(always)]
    pub fn level_mut(&mut self, id: u32) -> &mut Level {
        &mut self.levels[id as usize]
    }

    #[inline(always)]
    pub fn key(&self, id: u32) -> Key {
        Key(level_id(self.leaves[(id >> LEAF_BITS) as usize].base, id))
    }

    /// The id of the level at `key`, occupied or not, if its leaf exists.
    #[inline(always)]
    fn find(&self, ladder: &Ladder, key: Key) -> u32 {
        let near = key.base().wrapping_sub(ladder.near_base);
        let leaf = if near < NEAR {
            ladder.near[near as usize]
        } else {
            self.find_leaf(ladder, key)
        };
        if leaf == NONE {
            NONE
        } else {
            level_id(leaf, key.0)
        }
    }

    /// Lays the window of leaves so that it begins a little before `key`, which no occupied level precedes.
    #[inline(never)]
    fn lay_near(&mut self, ladder: &mut Ladder, key: Key) {
        let before = (ladder.near_base, ladder.near);
        ladder.near_base = key.base().saturating_sub(NEAR_BEFORE);
        ladder.near = [NONE; NEAR as usize];
        for (base, leaf) in (before.0..).zip(before.1) {
            if leaf != NONE {
                self.place(ladder, base, leaf);
            }
        }
        // What the window has come to.
        loop {
            let id = self.first_below(ladder.root);
            let leaf = id >> LEAF_BITS;
            if id == NONE || !ladder.is_near(self.leaves[leaf as usize].base) {
                return;
            }
            self.unhang(ladder, leaf);
            self.place(ladder, self.leaves[leaf as usize].base, leaf);
        }
    }

    /// Puts a leaf that is nowhere where it belongs.
    fn place(&mut self, ladder: &mut Ladder, base: u32, leaf: u32) {
        if ladder.is_near(base) {
            ladder.near[(base - ladder.near_base) as usize] = leaf;
        } else {
            self.hang(ladder, Key(base << LEAF_BITS), leaf | LEAF);
        }
    }

    /// Asks for a level's line and that of its leaf; see [`crate::book::ahead`].
    #[inline(always)]
    pub fn warm(&self, id: u32) {
        prefetch(&self.levels, id as usize);
        prefetch(&self.leaves, (id >> LEAF_BITS) as usize);
    }

    /// The first and the last order of a level that may not be there.
    #[inline(always)]
    pub fn ends(&self, id: u32) -> (u32, u32) {
        let last = self.levels.len().saturating_sub(1);
        let level = self.levels.get((id as usize).min(last));
        level.map_or((NONE, NONE), |level| (level.head, level.tail))
    }

    /// The next occupied level of the same leaf, or `NONE`, behind one that may not be there.
    #[inline(always)]
    pub fn behind_in_leaf(&self, id: u32) -> u32 {
        let last = self.leaves.len().saturating_sub(1);
        let leaf = self.leaves.get(((id >> LEAF_BITS) as usize).min(last));
        let bits = leaf.map_or(0, |leaf| leaf.bits) & (u32::MAX - 1) << (id % LEAF_LEVELS);
        let behind = level_id(id >> LEAF_BITS, bits.trailing_zeros());
        select_unpredictable(bits == 0, NONE, behind)
    }

    /// The id of the occupied level at `key`, or `NONE`.
    #[inline(always)]
    pub fn find_occupied(&self, ladder: &Ladder, key: Key) -> u32 {
        let id = self.find(ladder, key);
        if id != NONE && self.level(id).head == NONE {
            NONE
        } else {
            id
        }
    }

    /// The level at `key`, which the caller will occupy at once; marks it occupied if it was not.
    ///
    /// The caller has seen that the pool is not full, or that the level is occupied.
    #[inline(always)]
    pub fn occupy(&mut self, best: &mut Best, ladder: &mut Ladder, key: Key) -> u32 {
        let id = self.find(ladder, key);
        match self.levels.get(id as usize) {
            Some(level) if level.head != NONE => id,
            _ => self.occupy_empty(best, ladder, key, id),
        }
    }

    #[inline(never)]
    fn occupy_empty(&mut self, best: &mut Best, ladder: &mut Ladder, key: Key, found: u32) -> u32 {
        // An empty ladder's best key lies behind every key.
        let is_best = key < best.key;
        if is_best && !ladder.is_near(key.base()) {
            self.lay_near(ladder, key);
        }
        let id = if found == NONE {
            self.add_leaf(ladder, key)
        } else {
            found
        };
        self.leaves[(id >> LEAF_BITS) as usize].bits |= 1 << (id % LEAF_LEVELS);
        self.occupied += 1;
        if is_best {
            *best = Best { key, level: id };
        }
        id
    }

    /// Takes an empty level (no orders left) out of its ladder.
    pub fn vacate(&mut self, best: &mut Best, ladder: &mut Ladder, id: u32) {
        debug_assert!(self.level(id).head == NONE && self.level(id).quantity == 0);
        let leaf = id >> LEAF_BITS;
        let entry = &mut self.leaves[leaf as usize];
        entry.bits &= !(1 << (id % LEAF_LEVELS));
        self.occupied -= 1;
        if entry.bits == 0 {
            self.remove_leaf(ladder, leaf);
            if id == best.level {
                self.find_best(best, ladder);
            }
        } else if id == best.level {
            // The best leaf still holds levels: the next best is the lowest of them.
            let lowest = entry.bits.trailing_zeros();
            best.level = level_id(leaf, lowest);
            best.key = Key(level_id(entry.base, lowest));
        }
    }

    fn find_best(&mut self, best: &mut Best, ladder: &mut Ladder) {
        let level = self.first_from(ladder, 0);
        if level == NONE {
            *best = Best::NONE;
            return;
        }
        let key = self.key(level);
        *best = Best { key, level };
        // Also where it was found behind the window.
        if key.base() - ladder.near_base >= NEAR_TURN {
            self.lay_near(ladder, key);
        }
    }

    /// Lowest occupied level of the window's leaves from the `at`-th on and of all behind it.
    fn first_from(&self, ladder: &Ladder, at: usize) -> u32 {
        match ladder.near.iter().skip(at).find(|&&leaf| leaf != NONE) {
            Some(&leaf) => self.first_of(leaf),
            None => self.first_below(ladder.root),
        }
    }

    /// Lowest occupied level of a leaf.
    #[inline(always)]
    fn first_of(&self, leaf: u32) -> u32 {
        level_id(leaf, self.leaves[leaf as usize].bits.trailing_zeros())
    }

    /// The best occupied level at `key` or behind it (a worse price), or `NONE`.
    pub fn at_or_behind(&self, ladder: &Ladder, key: Key) -> u32 {
        if key.base() < ladder.near_base {
            return self.first_from(ladder, 0);
        }
        if !ladder.is_near(key.base()) {
            return self.hung_at_or_behind(ladder, key);
        }
        let near = (key.base() - ladder.near_base) as usize;
        let leaf = ladder.near[near];
        if leaf != NONE {
            let bits = self.leaves[leaf as usize].bits & (u32::MAX << (key.0 % LEAF_LEVELS));
            if bits != 0 {
                return level_id(leaf, bits.trailing_zeros());
            }
        }
        self.first_from(ladder, near + 1)
    }

    /// The next occupied level behind an occupied one.
    pub fn behind(&self, ladder: &Ladder, id: u32) -> u32 {
        let leaf = self.leaves[(id >> LEAF_BITS) as usize];
        let bits = leaf.bits & (u32::MAX << (id % LEAF_LEVELS)) & !(1 << (id % LEAF_LEVELS));
        if bits != 0 {
            return level_id(id >> LEAF_BITS, bits.trailing_zeros());
        }
        self.at_or_behind(ladder, Key((leaf.base + 1) << LEAF_BITS))
    }

    /// Gives a ladder a new leaf; returns the id of the level at `key`.
    #[inline(never)]
    fn add_leaf(&mut self, ladder: &mut Ladder, key: Key) -> u32 {
        let leaf = self.free_leaf;
        let entry = &mut self.leaves[leaf as usize];
        self.free_leaf = entry.base;
        *entry = Leaf {
            base: key.base(),
            bits: 0,
        };
        self.place(ladder, key.base(), leaf);
        level_id(leaf, key.0)
    }

    #[inline(never)]
    fn remove_leaf(&mut self, ladder: &mut Ladder, leaf: u32) {
        let base = self.leaves[leaf as usize].base;
        if ladder.is_near(base) {
            ladder.near[(base - ladder.near_base) as usize] = NONE;
        } else {
            self.unhang(ladder, leaf);
        }
        self.leaves[leaf as usize].base = self.free_leaf;
        self.free_leaf = leaf;
    }
}

#[cfg(test)]
mod tests;
