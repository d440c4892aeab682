//! The trie behind a ladder's window: leaves by key, 64 ways a step, inner nodes that skip the digits in which all
//! below them agree.

use super::{Key, LEAF, LEAF_BITS, LEAF_LEVELS, Ladder, LevelPool, level_id};
use crate::NONE;

pub(super) const NODE_BITS: u32 = 6;
pub(super) const NODE_SLOTS: usize = 1 << NODE_BITS;

/// Inner node over keys that agree above `shift + 6`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Node {
    pub(super) bits: u64,
    /// `key >> (shift + 6)` of all keys below; in a free node the next free one.
    pub(super) prefix: u32,
    /// 4, 10, 16, 22 or 28: the digit that selects the slot is `key >> shift & 63`.
    pub(super) shift: u32,
    pub(super) slots: [u32; NODE_SLOTS],
}
const _: () = assert!(size_of::<Node>() == 272);

pub(super) const FREE_NODE: Node = Node {
    bits: 0,
    prefix: NONE,
    shift: LEAF_BITS,
    slots: [NONE; NODE_SLOTS],
};

impl Node {
    #[inline(always)]
    pub(super) fn digit(&self, key: Key) -> usize {
        (key.0 >> self.shift) as usize % NODE_SLOTS
    }

    #[inline(always)]
    pub(super) fn covers(&self, key: Key) -> bool {
        prefix(key, self.shift) == self.prefix
    }

    fn first(&self) -> u32 {
        self.slots[self.bits.trailing_zeros() as usize % NODE_SLOTS]
    }

    fn put(&mut self, digit: usize, child: u32) {
        self.slots[digit] = child;
        self.bits |= 1 << digit;
    }
}

/// The part of a key above the digit at `shift`. The highest digit reaches beyond 32 bits.
#[inline(always)]
fn prefix(key: Key, shift: u32) -> u32 {
    (u64::from(key.0) >> (shift + NODE_BITS)) as u32
}

impl LevelPool {
    /// The leaf of `key` in the trie, or `NONE`.
    #[inline(never)]
    pub(super) fn find_leaf(&self, ladder: &Ladder, key: Key) -> u32 {
        let mut child = ladder.root;
        while child & LEAF == 0 {
            let node = &self.nodes[child as usize];
            child = node.slots[node.digit(key)];
        }
        if child != NONE {
            let leaf = child & !LEAF;
            // The nodes' prefixes were skipped: the leaf's base settles all digits at once.
            if self.leaves[leaf as usize].base == key.base() {
                return leaf;
            }
        }
        NONE
    }

    /// Lowest occupied level below a child reference.
    pub(super) fn first_below(&self, mut child: u32) -> u32 {
        while child & LEAF == 0 {
            child = self.nodes[child as usize].first();
        }
        if child == NONE {
            NONE
        } else {
            self.first_of(child & !LEAF)
        }
    }

    /// The best occupied level at `key` or behind it among those that hang in the trie, or `NONE`.
    pub(super) fn hung_at_or_behind(&self, ladder: &Ladder, key: Key) -> u32 {
        // The nearest subtree known to lie wholly behind `key`.
        let mut behind = NONE;
        let mut child = ladder.root;
        while child & LEAF == 0 {
            let node = &self.nodes[child as usize];
            let wanted = prefix(key, node.shift);
            if node.prefix != wanted {
                return self.first_below(if node.prefix > wanted { child } else { behind });
            }
            let digit = node.digit(key);
            let greater = node.bits & (u64::MAX << digit) & !(1 << digit);
            if greater != 0 {
                behind = node.slots[greater.trailing_zeros() as usize];
            }
            child = node.slots[digit];
        }
        if child != NONE {
            let leaf = child & !LEAF;
            let entry = self.leaves[leaf as usize];
            let bits = match entry.base.cmp(&key.base()) {
                core::cmp::Ordering::Less => 0,
                core::cmp::Ordering::Equal => entry.bits & (u32::MAX << (key.0 % LEAF_LEVELS)),
                core::cmp::Ordering::Greater => entry.bits,
            };
            if bits != 0 {
                return level_id(leaf, bits.trailing_zeros());
            }
        }
        self.first_below(behind)
    }

    /// Puts a leaf into the trie at the place of `key`.
    pub(super) fn hang(&mut self, ladder: &mut Ladder, key: Key, new: u32) {
        let mut parent = NONE;
        let mut child = ladder.root;
        loop {
            if child == NONE {
                self.set_child(ladder, parent, key, new);
                return;
            }
            let other = if child & LEAF != 0 {
                Key(self.leaves[(child & !LEAF) as usize].base << LEAF_BITS)
            } else {
                let node = &self.nodes[child as usize];
                if node.covers(key) {
                    parent = child;
                    child = node.slots[node.digit(key)];
                    continue;
                }
                Key((u64::from(node.prefix) << (node.shift + NODE_BITS)) as u32)
            };
            let fork = self.take_node(key, other);
            let node = &mut self.nodes[fork as usize];
            node.put(node.digit(other), child);
            node.put(node.digit(key), new);
            self.set_child(ladder, parent, key, fork);
            return;
        }
    }

    /// A node at the highest digit in which the keys differ.
    fn take_node(&mut self, key: Key, other: Key) -> u32 {
        let highest = (key.0 ^ other.0).ilog2();
        let shift = LEAF_BITS + (highest - LEAF_BITS) / NODE_BITS * NODE_BITS;
        let index = self.free_node;
        let node = &mut self.nodes[index as usize];
        self.free_node = node.prefix;
        node.shift = shift;
        node.prefix = prefix(key, shift);
        index
    }

    fn set_child(&mut self, ladder: &mut Ladder, parent: u32, key: Key, child: u32) {
        if parent == NONE {
            ladder.root = child;
        } else {
            let node = &mut self.nodes[parent as usize];
            node.put(node.digit(key), child);
        }
    }

    /// Takes a leaf out of the trie.
    pub(super) fn unhang(&mut self, ladder: &mut Ladder, leaf: u32) {
        let key = Key(self.leaves[leaf as usize].base << LEAF_BITS);
        if ladder.root == leaf | LEAF {
            ladder.root = NONE;
            return;
        }
        let mut grandparent = NONE;
        let mut parent = ladder.root;
        loop {
            let node = &self.nodes[parent as usize];
            let child = node.slots[node.digit(key)];
            if child == leaf | LEAF {
                break;
            }
            grandparent = parent;
            parent = child;
        }
        let node = &mut self.nodes[parent as usize];
        let digit = node.digit(key);
        node.slots[digit] = NONE;
        node.bits &= !(1 << digit);
        if node.bits.is_power_of_two() {
            // One child left: it takes the node's place, so that no node has fewer than two.
            let only = node.first();
            *node = Node {
                prefix: self.free_node,
                ..FREE_NODE
            };
            self.free_node = parent;
            self.set_child(ladder, grandparent, key, only);
        }
    }
}
