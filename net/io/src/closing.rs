//! The list of connections that close in order, oldest first: one wait for all makes insertion order
//! deadline order. Linked through the slots, so that leaving it early costs nothing.

use std::time::Instant;

use crate::slot::{NONE, Slot};

/// Head and tail of the list. A driver reads the clock only while it is not empty.
#[derive(Debug)]
pub(crate) struct ClosingList {
    head: u32,
    tail: u32,
}

impl ClosingList {
    pub(crate) fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// The oldest, if its time is up.
    pub(crate) fn expired(&self, slots: &[Slot], now: Instant) -> Option<u32> {
        let slot = slots.get(self.head as usize)?;
        slot.closes_by
            .is_some_and(|by| by <= now)
            .then_some(self.head)
    }

    pub(crate) fn push(&mut self, slots: &mut [Slot], index: u32, by: Instant) {
        let slot = &mut slots[index as usize];
        debug_assert!(slot.closes_by.is_none());
        slot.closes_by = Some(by);
        slot.closing_previous = self.tail;
        slot.closing_next = NONE;
        match self.tail {
            NONE => self.head = index,
            tail => slots[tail as usize].closing_next = index,
        }
        self.tail = index;
    }

    /// Takes a slot out; a no-op if it is not in the list.
    pub(crate) fn remove(&mut self, slots: &mut [Slot], index: u32) {
        let slot = &mut slots[index as usize];
        if slot.closes_by.take().is_none() {
            return;
        }
        let (previous, next) = (slot.closing_previous, slot.closing_next);
        match previous {
            NONE => self.head = next,
            previous => slots[previous as usize].closing_next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => slots[next as usize].closing_previous = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn expires_in_order_whatever_left_early() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for removed in [
            vec![],
            vec![0],
            vec![2],
            vec![4],
            vec![0, 1],
            vec![1, 3],
            vec![4, 3, 0],
        ] {
            let mut slots: Vec<_> = (0..5).map(|_| Slot::new()).collect();
            let mut list = ClosingList::new();
            for index in 0..5 {
                list.push(&mut slots, index, at(u64::from(index)));
            }
            for &index in &removed {
                list.remove(&mut slots, index);
                list.remove(&mut slots, index);
            }
            let mut left = Vec::new();
            while let Some(index) = list.expired(&slots, at(3)) {
                left.push(index);
                list.remove(&mut slots, index);
            }
            let expected: Vec<u32> = (0..=3).filter(|index| !removed.contains(index)).collect();
            assert_eq!(left, expected);
            assert_eq!(list.is_empty(), removed.contains(&4));
        }
    }
}
