//! Market-maker protection: a session, or one group of its orders, is pulled out of the market when it
//! trades too much in a window of time.
//!
//! Executions are counted as they happen; what has tripped is pulled when the record that did it is done,
//! and refuses new orders until it is reset. A slab, and a list by session in order of group. Nothing here
//! allocates after `grow`.

use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::{SessionId, Timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Protection {
    /// ns.
    pub window: u64,
    /// Shares; 0 = any number.
    pub quantity_max: u64,
    /// 0 = any number.
    pub executions_max: u32,
    /// 0: all orders of the session; otherwise the group + 1.
    pub whom: u32,
    /// Executions and shares in the window that began at `start`.
    pub executions: u32,
    pub quantity: u64,
    pub start: Timestamp,
    pub tripped: bool,
    pub session: SessionId,
    /// Behind it in its session's list; in a free one the next free one.
    pub next: u32,
}

pub(crate) const FREE_PROTECTION: Protection = Protection {
    window: 0,
    quantity_max: 0,
    executions_max: 0,
    whom: 0,
    executions: 0,
    quantity: 0,
    start: Timestamp(0),
    tripped: false,
    session: SessionId(0),
    next: NONE,
};

/// What a protection is about, as `Protection.whom` holds it.
pub(crate) fn whom(by_group: bool, group_id: u16) -> u32 {
    if by_group { u32::from(group_id) + 1 } else { 0 }
}

impl Protection {
    #[inline(always)]
    pub fn covers(&self, group_id: u16) -> bool {
        self.whom == 0 || self.whom == u32::from(group_id) + 1
    }

    /// The group that it is about; `None` = all orders.
    pub fn group_id(&self) -> Option<u16> {
        self.whom.checked_sub(1).map(|group| group as u16)
    }

    pub fn reset(&mut self) {
        self.executions = 0;
        self.quantity = 0;
        self.start = Timestamp(0);
        self.tripped = false;
    }

    /// Counts an execution; whether it trips now.
    fn count(&mut self, quantity: u32, now: Timestamp) -> bool {
        if self.tripped {
            return false;
        }
        if now.0.saturating_sub(self.start.0) >= self.window {
            self.start = now;
            self.executions = 0;
            self.quantity = 0;
        }
        self.executions = self.executions.saturating_add(1);
        self.quantity = self.quantity.saturating_add(u64::from(quantity));
        let many = self.executions_max != 0 && self.executions >= self.executions_max;
        let much = self.quantity_max != 0 && self.quantity >= self.quantity_max;
        self.tripped = many || much;
        self.tripped
    }
}

#[derive(Debug)]
pub(crate) struct Protections {
    table: Vec<Protection>,
    free: u32,
    /// Tripped by the record that is being applied; empty between records.
    pub pending: Vec<u32>,
}

impl Protections {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            free: NONE,
            pending: Vec::new(),
        }
    }

    pub fn grow(&mut self, protections_max: u32) {
        let from = self.table.len() as u32;
        grown(&mut self.table, protections_max as usize, FREE_PROTECTION);
        for index in (from..protections_max).rev() {
            self.table[index as usize].next = self.free;
            self.free = index;
        }
        self.pending.reserve_exact(protections_max as usize);
    }

    pub fn get(&self, index: u32) -> &Protection {
        &self.table[index as usize]
    }

    #[cfg(test)]
    pub fn get_mut(&mut self, index: u32) -> &mut Protection {
        &mut self.table[index as usize]
    }

    /// A session's list, by group; `first` is its first.
    pub fn list(&self, first: u32) -> impl Iterator<Item = &Protection> + Clone {
        let mut at = first;
        core::iter::from_fn(move || {
            let here = self.table.get(at as usize)?;
            at = here.next;
            Some(here)
        })
    }

    /// Counts an execution of an order of this group.
    #[inline(never)]
    pub fn executed(&mut self, first: u32, group_id: u16, quantity: u32, now: Timestamp) {
        let mut at = first;
        while at != NONE {
            let protection = &mut self.table[at as usize];
            if protection.covers(group_id) && protection.count(quantity, now) {
                self.pending.push(at);
            }
            at = self.table[at as usize].next;
        }
    }

    /// Whether orders of this group are refused.
    pub fn refuses(&self, first: u32, group_id: u16) -> bool {
        self.list(first)
            .any(|protection| protection.tripped && protection.covers(group_id))
    }

    /// Sets a session's protection, in the place of one for the same orders; `first` is its list. `None`:
    /// there is no room.
    pub fn set(&mut self, first: &mut u32, new: &Protection) -> Option<()> {
        self.end(first, new.whom);
        let index = self.free;
        if index == NONE {
            return None;
        }
        self.free = self.table[index as usize].next;
        let (mut before, mut at) = (NONE, *first);
        while at != NONE && self.table[at as usize].whom < new.whom {
            (before, at) = (at, self.table[at as usize].next);
        }
        self.table[index as usize] = Protection { next: at, ..*new };
        if before == NONE {
            *first = index;
        } else {
            self.table[before as usize].next = index;
        }
        Some(())
    }

    /// Whether a session has one for these orders.
    pub fn has(&self, first: u32, whom: u32) -> bool {
        self.list(first).any(|protection| protection.whom == whom)
    }

    pub fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Ends a session's protection for these orders, if there is one.
    pub fn end(&mut self, first: &mut u32, whom: u32) {
        let (mut before, mut at) = (NONE, *first);
        while at != NONE && self.table[at as usize].whom != whom {
            (before, at) = (at, self.table[at as usize].next);
        }
        if at == NONE {
            return;
        }
        let next = self.table[at as usize].next;
        if before == NONE {
            *first = next;
        } else {
            self.table[before as usize].next = next;
        }
        self.table[at as usize] = Protection {
            next: self.free,
            ..FREE_PROTECTION
        };
        self.free = at;
    }

    /// Resets those of a session's that `meant` picks.
    pub fn reset(&mut self, first: u32, meant: impl Fn(&Protection) -> bool) {
        let mut at = first;
        while at != NONE {
            let protection = &mut self.table[at as usize];
            if meant(protection) {
                protection.reset();
            }
            at = protection.next;
        }
    }

    pub fn reset_all(&mut self) {
        for protection in &mut self.table {
            protection.reset();
        }
    }
}
