//! Checks of one ladder, for tests and the simulator: they read all of it.

use super::trie::{NODE_BITS, NODE_SLOTS};
use super::*;

impl LevelPool {
    /// Checks one ladder; returns its number of occupied levels, or what is wrong.
    pub fn check(&self, best: &Best, ladder: &Ladder) -> Result<u32, &'static str> {
        let first = self.first_from(ladder, 0);
        if first != best.level {
            return Err("the best price is not the lowest key");
        }
        if best.key
            != if first == NONE {
                Key(NONE)
            } else {
                self.key(first)
            }
        {
            return Err("the best key is not the best level's");
        }
        if first != NONE && !ladder.is_near(best.key.base()) {
            return Err("the best level is not in the window");
        }
        let mut occupied = 0;
        for (base, &leaf) in (ladder.near_base..).zip(&ladder.near) {
            if leaf == NONE {
                continue;
            }
            if self.leaves[leaf as usize].base != base {
                return Err("a leaf is not in its place of the window");
            }
            occupied += self.check_leaf(leaf)?;
        }
        if ladder.root == NONE {
            return Ok(occupied);
        }
        let behind = self.key(self.first_below(ladder.root)).base();
        if behind < ladder.near_base + NEAR {
            return Err("a leaf hangs in the trie that belongs in the window");
        }
        Ok(occupied + self.check_child(ladder.root)?)
    }

    fn check_child(&self, child: u32) -> Result<u32, &'static str> {
        if child == NONE {
            return Err("an occupied slot holds no child");
        }
        if child & LEAF != 0 {
            return self.check_leaf(child & !LEAF);
        }
        let node = &self.nodes[child as usize];
        if node.bits.count_ones() < 2 {
            return Err("an inner node has fewer than two children");
        }
        let mut occupied = 0;
        for digit in 0..NODE_SLOTS {
            let below = node.slots[digit];
            if (node.bits >> digit & 1 == 0) != (below == NONE) {
                return Err("a node's bitmap and slots disagree");
            }
            if below == NONE {
                continue;
            }
            let key = if below & LEAF != 0 {
                Key(self.leaves[(below & !LEAF) as usize].base << LEAF_BITS)
            } else {
                let inner = &self.nodes[below as usize];
                if inner.shift >= node.shift {
                    return Err("a node's digit is not below its parent's");
                }
                Key((u64::from(inner.prefix) << (inner.shift + NODE_BITS)) as u32)
            };
            if !node.covers(key) || node.digit(key) != digit {
                return Err("a child hangs in the wrong slot");
            }
            occupied += self.check_child(below)?;
        }
        Ok(occupied)
    }

    fn check_leaf(&self, leaf: u32) -> Result<u32, &'static str> {
        let entry = &self.leaves[leaf as usize];
        if entry.bits == 0 || entry.bits >> LEAF_LEVELS != 0 {
            return Err("a leaf's bitmap is empty or too wide");
        }
        for slot in 0..LEAF_LEVELS {
            let level = self.level(level_id(leaf, slot));
            let occupied = entry.bits >> slot & 1 != 0;
            if occupied != (level.head != NONE)
                || occupied != (level.tail != NONE)
                || occupied != (level.quantity != 0)
            {
                return Err("a level and its bit disagree");
            }
        }
        Ok(entry.bits.count_ones())
    }
}
