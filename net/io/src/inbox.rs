//! Receive memory: a piece per slot that the kernel writes into, right behind the bytes that the
//! handler has not consumed, so that what is offered is contiguous without a copy.
//!
//! It must never move bytes while a receive is armed: the kernel holds the address behind them.

use std::ops::Range;

use crate::error::NetError;
use crate::limits::Limits;
use crate::memory::Pool;

#[derive(Copy, Clone, Default, Debug)]
struct Kept {
    start: u32,
    end: u32,
}

/// All inboxes of a driver. Piece = `receive_tail_max + receive_turn_bytes`: beside a full tail there is
/// room for one more turn, and a paused connection holds at most that and not a byte more.
#[derive(Debug)]
pub(crate) struct Inboxes {
    pool: Pool,
    kept: Box<[Kept]>,
    turn_bytes: usize,
    tail_max: usize,
}

impl Inboxes {
    pub(crate) fn map(limits: &Limits) -> Result<Self, NetError> {
        let tail_max = limits.receive_tail_max as usize;
        let turn_bytes = limits.receive_turn_bytes as usize;
        Ok(Self {
            pool: Pool::map(limits.connections_max, tail_max + turn_bytes)?,
            kept: vec![Kept::default(); limits.connections_max as usize].into_boxed_slice(),
            turn_bytes,
            tail_max,
        })
    }

    fn kept_mut(&mut self, slot: u32) -> &mut Kept {
        &mut self.kept[slot as usize]
    }

    /// Bytes received and not consumed.
    pub(crate) fn kept_bytes(&self, slot: u32) -> usize {
        let kept = self.kept[slot as usize];
        (kept.end - kept.start) as usize
    }

    pub(crate) fn tail_overflows(&self, slot: u32) -> bool {
        self.kept_bytes(slot) > self.tail_max
    }

    pub(crate) fn offer(&self, slot: u32) -> &[u8] {
        let kept = self.kept[slot as usize];
        self.pool
            .bytes(slot, kept.start as usize..kept.end as usize)
    }

    pub(crate) fn consume(&mut self, slot: u32, count: usize) {
        assert!(
            count <= self.kept_bytes(slot),
            "a handler consumed more than it was offered"
        );
        self.kept_mut(slot).start += count as u32;
    }

    /// Forgets what was kept. The memory stays armed if it was: positions restart at the next `arm`.
    pub(crate) fn clear(&mut self, slot: u32) {
        let kept = self.kept_mut(slot);
        kept.start = kept.end;
    }

    /// Where the next receive goes: moves the kept bytes to the front, then one turn's room behind
    /// them, or `None` if there is none. No receive may be armed.
    pub(crate) fn arm(&mut self, slot: u32) -> Option<Range<usize>> {
        let Kept { start, end } = self.kept[slot as usize];
        let length = (end - start) as usize;
        if start > 0 {
            if length > 0 {
                let moved = self.pool.bytes_mut(slot, 0..end as usize);
                moved.copy_within(start as usize.., 0);
            }
            *self.kept_mut(slot) = Kept {
                start: 0,
                end: length as u32,
            };
        }
        let room = (self.pool.piece_bytes() - length).min(self.turn_bytes);
        (room > 0).then_some(length..length + room)
    }

    /// `count` bytes arrived where the last `arm` said.
    pub(crate) fn grow(&mut self, slot: u32, count: usize) {
        let piece_bytes = self.pool.piece_bytes();
        let kept = self.kept_mut(slot);
        assert!(
            kept.end as usize + count <= piece_bytes,
            "the kernel wrote more than was armed"
        );
        kept.end += count as u32;
    }

    /// Address for the kernel.
    pub(crate) fn pointer(&self, slot: u32, range: &Range<usize>) -> *mut u8 {
        self.pool.pointer(slot, range)
    }

    /// View to read into, of what `arm` returned.
    pub(crate) fn armed(&mut self, slot: u32, range: Range<usize>) -> &mut [u8] {
        self.pool.bytes_mut(slot, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inboxes(tail: u32, turn: u32) -> Inboxes {
        let limits = Limits {
            connections_max: 2,
            receive_tail_max: tail,
            receive_turn_bytes: turn,
            ..Limits::default()
        };
        Inboxes::map(&limits).unwrap()
    }

    #[test]
    fn what_is_kept_stays_contiguous_with_what_follows() {
        let mut inboxes = inboxes(10, 4);
        let mut expected = Vec::new();
        for (byte, consumed) in [(1, 1), (2, 0), (3, 3), (4, 4), (5, 2)] {
            let range = inboxes.arm(1).unwrap();
            assert_eq!(range.len(), 4);
            inboxes.armed(1, range).fill(byte);
            inboxes.grow(1, 4);
            expected.extend([byte; 4]);
            assert_eq!(inboxes.offer(1), expected);
            inboxes.consume(1, consumed);
            expected.drain(..consumed);
        }
        assert_eq!(inboxes.kept_bytes(0), 0);
    }

    #[test]
    fn the_room_ends_at_the_bound() {
        let mut inboxes = inboxes(3, 4);
        for expected_room in [4, 3] {
            let range = inboxes.arm(0).unwrap();
            assert_eq!(range.len(), expected_room);
            inboxes.grow(0, expected_room);
        }
        assert!(inboxes.tail_overflows(0));
        assert_eq!(inboxes.arm(0), None);
        inboxes.consume(0, 4);
        assert!(!inboxes.tail_overflows(0));
        assert_eq!(inboxes.arm(0), Some(3..7));
    }
}
