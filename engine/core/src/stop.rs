//! Stop orders that wait for their trigger: which of them a trade reaches, and in which order.
//!
//! One tree a side of an instrument, in *reach*: a price as the side's trades approach it. For sells the
//! reach of a price is the price, for buys its distance from `TICK_MAX`, so that on both sides a stop
//! triggers when a trade's reach is at or below its own, the highest trigger is the next, and a trailing
//! stop moves up. The tree is a treap by *extreme*, the best reach that a stop has followed; a trade that
//! is better than many raises all of them by one mark on a subtree, which later visits pass down. So an
//! entry, a removal, a trade and a trigger each cost a walk down the tree, however many stops wait.
//!
//! A stop's node has the index of its order's extension. Nothing here allocates after `grow`; the tree's
//! shape cannot influence an outcome. This module must not know of clients, books or events.

use crate::book::ladder::TICK_MAX;
use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::Side;

/// The extreme of a stop that does not trail; above every reach.
const STILL: u32 = u32::MAX;

/// A price as the trades of a side approach it.
#[inline(always)]
pub(crate) fn reach(side: Side, price: u32) -> u32 {
    debug_assert!(price <= TICK_MAX);
    match side {
        // The mapping is its own inverse.
        Side::Buy => TICK_MAX - price,
        Side::Sell => price,
    }
}

/// When an order's trigger is reached, in reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trigger {
    /// Best reach followed; `STILL` if it does not trail.
    pub extreme: u32,
    /// Of a trailing stop: how far its trigger stays behind its extreme; of another: unused, `STILL`.
    pub offset: u32,
    /// Of a stop that does not trail.
    pub fixed: u32,
}

impl Trigger {
    pub fn fixed(side: Side, price: u32) -> Self {
        Self {
            extreme: STILL,
            offset: STILL,
            fixed: reach(side, price),
        }
    }

    /// Follows at `offset` behind the best trade price, from the trigger price `start` (0 = none given) or
    /// the last trade price (0 = none yet), whichever is nearer to triggering.
    pub fn trailing(side: Side, offset: u32, start: u32, last: u32) -> Self {
        let given = (start != 0).then(|| reach(side, start) + offset);
        let traded = (last != 0).then(|| reach(side, last));
        Self {
            extreme: given.max(traded).unwrap_or(0),
            offset,
            fixed: 0,
        }
    }

    pub fn is_trailing(&self) -> bool {
        self.extreme != STILL
    }

    /// The reach at or below which a trade triggers it.
    pub fn level(&self) -> u32 {
        if self.is_trailing() {
            self.extreme.saturating_sub(self.offset)
        } else {
            self.fixed
        }
    }

    /// Its price, in 1/10,000; 0 if no price is so far away.
    pub fn price(&self, side: Side) -> u32 {
        let level = self.level();
        if level == 0 { 0 } else { reach(side, level) }
    }

    /// Of a trailing stop how far it stays behind; 0 of another.
    pub fn distance(&self) -> u32 {
        if self.is_trailing() { self.offset } else { 0 }
    }

    /// Whether it is one that `fixed` or `trailing` can give.
    pub fn is_legal(&self) -> bool {
        let formed = if self.is_trailing() {
            self.fixed == 0 && self.offset <= TICK_MAX
        } else {
            self.offset == STILL
        };
        formed && self.level() <= TICK_MAX
    }

    /// Whether a trade at this price triggers it.
    pub fn is_reached(&self, side: Side, price: u32) -> bool {
        price != 0 && reach(side, price) <= self.level()
    }
}

/// What is known of a waiting stop beside its trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    /// Of the pool.
    pub slot: u32,
    /// Order reference: of two stops with one trigger the lower triggers first.
    pub reference: u64,
    /// The price that the order was entered with, in 1/10,000.
    pub price: u64,
    pub side: Side,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    left: u32,
    right: u32,
    parent: u32,
    priority: u32,
    trigger: Trigger,
    /// An extreme that everything below has reached but has not been told; 0 = none.
    untold: u32,
    /// Of its subtree: the node that triggers next, and at which reach.
    next: u32,
    next_level: u32,
    /// Of its subtree: the trailing node that would be next if all had one extreme.
    closest: u32,
    /// Triggered: in the list of those that act next, and out of the tree.
    triggered: bool,
    waiting: Waiting,
}

const FREE: Node = Node {
    left: NONE,
    right: NONE,
    parent: NONE,
    priority: 0,
    trigger: Trigger {
        extreme: STILL,
        offset: STILL,
        fixed: 0,
    },
    untold: 0,
    next: NONE,
    next_level: 0,
    closest: NONE,
    triggered: false,
    waiting: Waiting {
        slot: NONE,
        reference: 0,
        price: 0,
        side: Side::Buy,
    },
};

/// Stops of one instrument.
#[derive(Clone, Copy, Debug)]
struct Trees {
    /// By side.
    roots: [u32; 2],
    /// Triggered stops that have not acted, first triggered first.
    first: u32,
    last: u32,
}

/// All waiting stops.
#[derive(Debug)]
pub(crate) struct Stops {
    /// By extension.
    nodes: Vec<Node>,
    /// By instrument id.
    trees: Vec<Trees>,
    waiting: u32,
    triggered: u32,
    seed: u64,
}

impl Stops {
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            trees: Vec::new(),
            waiting: 0,
            triggered: 0,
            seed: 0,
        }
    }

    /// Makes room for a stop an extension; `seed` decides the trees' shape and nothing else.
    pub fn grow(&mut self, extensions: u32, instruments_max: u32, seed: u64) {
        grown(&mut self.nodes, extensions as usize, FREE);
        let none = Trees {
            roots: [NONE; 2],
            first: NONE,
            last: NONE,
        };
        grown(&mut self.trees, instruments_max as usize + 1, none);
        self.seed = seed;
    }

    /// Whether any order waits or has been triggered and not acted.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.waiting != 0
    }

    /// Orders that wait or have been triggered and not acted.
    pub fn count(&self) -> u32 {
        self.waiting
    }

    #[inline(always)]
    pub fn any_triggered(&self) -> bool {
        self.triggered != 0
    }

    /// Whether a stop waits or has been triggered in an instrument; walks nothing.
    pub fn any_of(&self, instrument: u32) -> bool {
        let trees = &self.trees[instrument as usize];
        trees.roots != [NONE; 2] || trees.first != NONE
    }

    /// Whether the order of an extension waits or has been triggered.
    pub fn holds(&self, index: u32) -> bool {
        self.nodes[index as usize].waiting.slot != NONE
    }

    pub fn get(&self, index: u32) -> &Waiting {
        &self.nodes[index as usize].waiting
    }

    #[cfg(test)]
    pub fn get_mut(&mut self, index: u32) -> (&mut Waiting, &mut Trigger) {
        let node = &mut self.nodes[index as usize];
        (&mut node.waiting, &mut node.trigger)
    }

    /// The trigger as it is now, with what it has not been told.
    pub fn trigger(&self, index: u32) -> Trigger {
        let node = &self.nodes[index as usize];
        let mut trigger = node.trigger;
        let mut above = if node.triggered { NONE } else { node.parent };
        while above != NONE {
            // Extremes only rise, so the highest is the last.
            trigger.extreme = trigger.extreme.max(self.nodes[above as usize].untold);
            above = self.nodes[above as usize].parent;
        }
        trigger
    }

    /// Lets an order wait.
    pub fn add(&mut self, index: u32, instrument: u32, trigger: Trigger, waiting: Waiting) {
        let mixed = (waiting.reference ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.nodes[index as usize] = Node {
            priority: ((mixed ^ (mixed >> 29)).wrapping_mul(0xA076_1D64_78BD_642F) >> 32) as u32,
            trigger,
            waiting,
            ..FREE
        };
        self.pull(index);
        self.waiting += 1;
        let root = self.root(instrument, waiting.side);
        let (below, above) = self.split(root, trigger.extreme);
        let lower = self.merge(below, index);
        let root = self.merge(lower, above);
        self.set_root(instrument, waiting.side, root);
    }

    /// Takes out an order that leaves, whether it waits or is triggered.
    pub fn remove(&mut self, index: u32, instrument: u32) -> Waiting {
        let node = self.nodes[index as usize];
        if node.triggered {
            self.unlink(index, instrument);
        } else {
            self.take_out(index, instrument);
        }
        self.waiting -= 1;
        self.nodes[index as usize] = FREE;
        node.waiting
    }

    fn take_out(&mut self, index: u32, instrument: u32) {
        self.tell(index);
        let Node {
            left,
            right,
            parent,
            waiting,
            ..
        } = self.nodes[index as usize];
        let merged = self.merge(left, right);
        if parent == NONE {
            return self.set_root(instrument, waiting.side, merged);
        }
        if self.nodes[parent as usize].left == index {
            self.nodes[parent as usize].left = merged;
        } else {
            self.nodes[parent as usize].right = merged;
        }
        self.set_parent(merged, parent);
        let mut above = parent;
        while above != NONE {
            self.pull(above);
            above = self.nodes[above as usize].parent;
        }
    }

    /// A trade at this price: trailing stops follow it, and those that it reaches are triggered, the
    /// highest reach first, then the lowest order reference.
    pub fn traded(&mut self, instrument: u32, price: u32) {
        for side in [Side::Buy, Side::Sell] {
            let root = self.root(instrument, side);
            if root == NONE {
                continue;
            }
            let reach = reach(side, price);
            self.follow(instrument, side, reach);
            loop {
                let root = self.root(instrument, side);
                if root == NONE || self.nodes[root as usize].next_level < reach {
                    break;
                }
                self.pull_trigger(self.nodes[root as usize].next, instrument);
            }
        }
    }

    /// Triggers one that waits.
    pub fn pull_trigger(&mut self, index: u32, instrument: u32) {
        // What it has not been told does not matter any more, but the image shows it.
        let trigger = self.trigger(index);
        self.take_out(index, instrument);
        self.nodes[index as usize].trigger = trigger;
        self.link(index, instrument);
    }

    /// Everything whose extreme is below a reach now has this one.
    fn follow(&mut self, instrument: u32, side: Side, reach: u32) {
        let root = self.root(instrument, side);
        let (below, above) = self.split(root, reach);
        if below != NONE {
            self.raise(below, reach);
        }
        let root = self.merge(below, above);
        self.set_root(instrument, side, root);
    }

    /// The triggered stop of an instrument that acts next.
    pub fn first_triggered(&self, instrument: u32) -> Option<u32> {
        let first = self.trees[instrument as usize].first;
        (first != NONE).then_some(first)
    }

    /// Whether an order has been triggered and not acted.
    pub fn is_triggered(&self, index: u32) -> bool {
        self.nodes[index as usize].triggered
    }

    /// Triggered stops of an instrument, first triggered first.
    pub fn triggered(&self, instrument: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = self.trees[instrument as usize].first;
        core::iter::from_fn(move || {
            let index = at;
            if index == NONE {
                return None;
            }
            at = self.nodes[index as usize].right;
            Some(index)
        })
    }

    /// Appends to the triggered; a node out of the tree links by its children's fields.
    fn link(&mut self, index: u32, instrument: u32) {
        let trees = &mut self.trees[instrument as usize];
        let last = trees.last;
        trees.last = index;
        if last == NONE {
            trees.first = index;
        } else {
            self.nodes[last as usize].right = index;
        }
        let node = &mut self.nodes[index as usize];
        (node.left, node.right, node.parent) = (last, NONE, NONE);
        node.triggered = true;
        self.triggered += 1;
    }

    fn unlink(&mut self, index: u32, instrument: u32) {
        let Node { left, right, .. } = self.nodes[index as usize];
        let trees = &mut self.trees[instrument as usize];
        if left == NONE {
            trees.first = right;
        } else {
            self.nodes[left as usize].right = right;
        }
        if right == NONE {
            trees.last = left;
        } else {
            self.nodes[right as usize].left = left;
        }
        self.triggered -= 1;
    }

    fn root(&self, instrument: u32, side: Side) -> u32 {
        self.trees[instrument as usize].roots[side as usize]
    }

    fn set_root(&mut self, instrument: u32, side: Side, root: u32) {
        self.trees[instrument as usize].roots[side as usize] = root;
        self.set_parent(root, NONE);
    }

    fn set_parent(&mut self, index: u32, parent: u32) {
        if index != NONE {
            self.nodes[index as usize].parent = parent;
        }
    }

    /// Everything in a subtree has this extreme now. None of it is `STILL`.
    fn raise(&mut self, index: u32, extreme: u32) {
        let node = &mut self.nodes[index as usize];
        node.trigger.extreme = extreme;
        node.untold = extreme;
        self.pull(index);
    }

    /// Passes what is below has not been told to the children.
    fn tell(&mut self, index: u32) {
        let Node {
            left,
            right,
            untold,
            ..
        } = self.nodes[index as usize];
        if untold == 0 {
            return;
        }
        self.nodes[index as usize].untold = 0;
        for child in [left, right] {
            if child != NONE {
                self.raise(child, untold);
            }
        }
    }

    /// Whether one stop triggers before another at the same level or distance.
    fn sooner(&self, one: u32, other: u32) -> bool {
        let reference = |index: u32| self.nodes[index as usize].waiting.reference;
        reference(one) < reference(other)
    }

    /// Finds again what a node knows of its subtree.
    fn pull(&mut self, index: u32) {
        let node = self.nodes[index as usize];
        let (mut next, mut next_level) = (index, node.trigger.level());
        let mut closest = index;
        for child in [node.left, node.right] {
            if child == NONE {
                continue;
            }
            let below = &self.nodes[child as usize];
            let level = below.next_level;
            if level > next_level || (level == next_level && self.sooner(below.next, next)) {
                (next, next_level) = (below.next, level);
            }
            let offset = |index: u32| self.nodes[index as usize].trigger.offset;
            let (theirs, ours) = (offset(below.closest), offset(closest));
            if theirs < ours || (theirs == ours && self.sooner(below.closest, closest)) {
                closest = below.closest;
            }
        }
        if node.untold != 0 {
            // The children do not know it yet.
            next = closest;
            let offset = self.nodes[closest as usize].trigger.offset;
            next_level = node.untold.saturating_sub(offset);
        }
        let node = &mut self.nodes[index as usize];
        (node.next, node.next_level, node.closest) = (next, next_level, closest);
    }

    /// Cuts a tree into what has an extreme below `extreme` and the rest.
    fn split(&mut self, index: u32, extreme: u32) -> (u32, u32) {
        if index == NONE {
            return (NONE, NONE);
        }
        self.tell(index);
        let Node {
            left,
            right,
            trigger,
            ..
        } = self.nodes[index as usize];
        let cut = if trigger.extreme < extreme {
            let (below, above) = self.split(right, extreme);
            self.nodes[index as usize].right = below;
            self.set_parent(below, index);
            (index, above)
        } else {
            let (below, above) = self.split(left, extreme);
            self.nodes[index as usize].left = above;
            self.set_parent(above, index);
            (below, index)
        };
        self.pull(index);
        cut
    }

    /// Joins two trees; no extreme of the first is above one of the second.
    fn merge(&mut self, one: u32, other: u32) -> u32 {
        if one == NONE || other == NONE {
            return if one == NONE { other } else { one };
        }
        let priority = |index: u32| self.nodes[index as usize].priority;
        let top = if priority(one) >= priority(other) {
            self.tell(one);
            let right = self.merge(self.nodes[one as usize].right, other);
            self.nodes[one as usize].right = right;
            self.set_parent(right, one);
            one
        } else {
            self.tell(other);
            let left = self.merge(one, self.nodes[other as usize].left);
            self.nodes[other as usize].left = left;
            self.set_parent(left, other);
            other
        };
        self.pull(top);
        top
    }

    /// Checks trees and lists; returns how many stops they hold, or what is wrong.
    pub fn check(&self) -> Result<u32, &'static str> {
        let (mut held, mut triggered) = (0, 0);
        for (instrument, trees) in (0..).zip(&self.trees) {
            for side in [Side::Buy, Side::Sell] {
                held += self.check_tree(self.root(instrument, side), NONE, side, 0)?;
            }
            let mut last = NONE;
            for index in self.triggered(instrument) {
                if !self.is_triggered(index) || self.nodes[index as usize].left != last {
                    return Err("a triggered stop is linked wrongly");
                }
                last = index;
                triggered += 1;
            }
            if trees.last != last {
                return Err("the last triggered stop is not the last of its list");
            }
        }
        if held + triggered != self.waiting || triggered != self.triggered {
            return Err("waiting stops and their count disagree");
        }
        Ok(self.waiting)
    }

    fn check_tree(
        &self,
        index: u32,
        parent: u32,
        side: Side,
        untold: u32,
    ) -> Result<u32, &'static str> {
        if index == NONE {
            return Ok(0);
        }
        let node = &self.nodes[index as usize];
        if node.parent != parent || node.triggered || node.waiting.side != side {
            return Err("a waiting stop hangs in the wrong place");
        }
        let told = untold.max(node.untold);
        let own = self.trigger(index).extreme;
        for (child, is_left) in [(node.left, true), (node.right, false)] {
            if child == NONE {
                continue;
            }
            let extreme = self.trigger(child).extreme;
            if (is_left && extreme > own) || (!is_left && extreme < own) {
                return Err("waiting stops are not by extreme");
            }
            let below = &self.nodes[child as usize];
            if below.priority > node.priority {
                return Err("a waiting stop lies above one of higher priority");
            }
            let level = match told {
                0 => below.next_level,
                _ => told.saturating_sub(self.nodes[below.closest as usize].trigger.offset),
            };
            if untold == 0 && level > node.next_level {
                return Err("a waiting stop would trigger too late");
            }
        }
        let left = self.check_tree(node.left, index, side, told)?;
        Ok(1 + left + self.check_tree(node.right, index, side, told)?)
    }
}

#[cfg(test)]
mod tests;
