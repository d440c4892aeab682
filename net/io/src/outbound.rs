//! Positions of one connection's out buffer: a ring of bytes that the kernel reads from while we
//! append behind. It must never give out for writing a byte that may be in flight.

use std::ops::Range;

/// `length` bytes from `head` (wrapping at the capacity) are queued; the first of them may be in flight.
///
/// When the ring runs empty it starts at 0 again: a quiet connection uses the same hot lines for every
/// message, touches few pages, and is never cut at the wrap.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct OutPosition {
    head: u32,
    length: u32,
}

impl OutPosition {
    pub(crate) fn length(self) -> usize {
        self.length as usize
    }

    /// The next bytes to hand to the kernel: contiguous, at most `turn`.
    pub(crate) fn front(self, capacity: usize, turn: usize) -> Range<usize> {
        let head = self.head as usize;
        head..head + self.length().min(capacity - head).min(turn)
    }

    /// Reserves up to `wanted` bytes behind the queued ones: two ranges (the second after the wrap),
    /// to be filled by the caller at once.
    pub(crate) fn append(
        &mut self,
        capacity: usize,
        wanted: usize,
    ) -> (Range<usize>, Range<usize>) {
        debug_assert!(self.length() <= capacity && (self.head as usize) < capacity);
        let taken = wanted.min(capacity - self.length());
        let mut tail = self.head as usize + self.length();
        if tail >= capacity {
            tail -= capacity;
        }
        let first = taken.min(capacity - tail);
        self.length += taken as u32;
        (tail..tail + first, 0..taken - first)
    }

    /// The kernel took `count` bytes from the front.
    pub(crate) fn consume(&mut self, capacity: usize, count: usize) {
        assert!(
            count <= self.length(),
            "the kernel cannot take more than was queued"
        );
        self.length -= count as u32;
        let head = self.head as usize + count;
        self.head = if self.length == 0 {
            0
        } else if head >= capacity {
            (head - capacity) as u32
        } else {
            head as u32
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Against a queue, with every mix of sizes: what comes out is what went in, and what is being
    /// written never overlaps what is in flight.
    #[test]
    fn behaves_as_a_queue_and_leaves_the_flight_alone() {
        const CAPACITY: usize = 13;
        let mut position = OutPosition::default();
        let mut ring = [0u8; CAPACITY];
        let mut model = VecDeque::new();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next_byte = 0u8;
        let mut wraps = 0;
        for _ in 0..100_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let flight = position.front(CAPACITY, 1 + (random >> 8) as usize % CAPACITY);
            let wanted = (random >> 16) as usize % (CAPACITY + 3);
            let (first, second) = position.append(CAPACITY, wanted);
            wraps += usize::from(!second.is_empty());
            assert_eq!(
                first.len() + second.len(),
                wanted.min(CAPACITY - model.len())
            );
            for index in first.chain(second) {
                assert!(!flight.contains(&index));
                ring[index] = next_byte;
                model.push_back(next_byte);
                next_byte = next_byte.wrapping_add(1);
            }
            let took = (random >> 24) as usize % (flight.len() + 1);
            for index in flight.take(took) {
                assert_eq!(model.pop_front(), Some(ring[index]));
            }
            position.consume(CAPACITY, took);
            assert_eq!(position.length(), model.len());
            assert!(position.length() > 0 || position.head == 0);
        }
        assert!(wraps > 1_000);
    }
}
