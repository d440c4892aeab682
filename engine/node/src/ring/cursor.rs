//! The ring's protocol without its memory: who may touch which bytes when. Positions in, positions out.
//!
//! The shared cursors are behind a trait, so that the code that ships also runs under a model checker
//! (`model_tests.rs`), where every interleaving and every reordering that the memory model allows is
//! tried. The rule: whoever holds bytes learned of it by an Acquire load of the other side's cursor,
//! which that side stored with Release after its last access.

/// A producer's tail and each consumer's head, shared by both sides. Each has one writer.
pub trait Cursors {
    /// The producer's tail, Acquire.
    fn tail(&self) -> u64;
    /// Release: everything written below `tail` is there for whoever loads it.
    fn set_tail(&self, tail: u64);
    /// A consumer's head, Acquire.
    fn head(&self, consumer: usize) -> u64;
    /// Release: everything below `head` has been read.
    fn set_head(&self, consumer: usize, head: u64);
}

/// Bytes that the producer may write: from `start` on, contiguous.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Where the padding frame's header goes, if the end of the data is too near.
    pub padding: Option<u64>,
    pub start: u64,
}

/// The producer's side. Invariant: `head_seen <= every head <= tail <= head_seen + capacity`.
#[derive(Debug)]
pub struct Tail {
    capacity: u64,
    consumers: usize,
    tail: u64,
    /// Lowest head seen; read anew only when the ring looks full.
    head_seen: u64,
}

impl Tail {
    /// `capacity` is a power of two of bytes.
    pub const fn new(capacity: u64, consumers: usize) -> Self {
        Self {
            capacity,
            consumers,
            tail: 0,
            head_seen: 0,
        }
    }

    /// Room for `needed` bytes (a multiple of 8, at most a quarter of the capacity), or `None` if full.
    #[inline]
    pub fn claim(&mut self, cursors: &impl Cursors, needed: u64) -> Option<Claim> {
        let to_end = self.capacity - (self.tail & (self.capacity - 1));
        let padding = if to_end < needed { to_end } else { 0 };
        if !self.room(cursors, padding + needed) {
            return None;
        }
        let at = self.tail;
        self.tail += padding;
        Some(Claim {
            padding: (padding != 0).then_some(at),
            start: self.tail,
        })
    }

    /// Publishes `length` bytes (a multiple of 8) from the last claim's start.
    #[inline]
    pub fn commit(&mut self, cursors: &impl Cursors, length: u64) {
        self.tail += length;
        cursors.set_tail(self.tail);
    }

    /// Where the next frame begins.
    pub const fn position(&self) -> u64 {
        self.tail
    }

    /// Bytes between the tail and the slowest consumer.
    pub fn depth_bytes(&self, cursors: &impl Cursors) -> u64 {
        self.tail - self.slowest(cursors)
    }

    fn slowest(&self, cursors: &impl Cursors) -> u64 {
        let heads = (0..self.consumers).map(|consumer| cursors.head(consumer));
        heads.min().unwrap_or(self.tail)
    }

    fn room(&mut self, cursors: &impl Cursors, needed: u64) -> bool {
        if self.tail + needed - self.head_seen <= self.capacity {
            return true;
        }
        self.head_seen = self.slowest(cursors);
        self.tail + needed - self.head_seen <= self.capacity
    }
}

/// A consumer's side. Invariant: `published <= head <= tail_seen <= tail`.
#[derive(Debug)]
pub struct Head {
    capacity: u64,
    consumer: usize,
    head: u64,
    tail_seen: u64,
    published: u64,
}

impl Head {
    pub const fn new(capacity: u64, consumer: usize) -> Self {
        Self {
            capacity,
            consumer,
            head: 0,
            tail_seen: 0,
            published: 0,
        }
    }

    /// Where the next frame begins, or `None` if there is none yet.
    #[inline]
    pub fn next(&mut self, cursors: &impl Cursors) -> Option<u64> {
        if self.head == self.tail_seen {
            self.tail_seen = cursors.tail();
            if self.head == self.tail_seen {
                return None;
            }
        }
        Some(self.head)
    }

    /// Published bytes from the head on.
    pub const fn available(&self) -> u64 {
        self.tail_seen - self.head
    }

    /// Steps over a frame of `length` bytes, header included.
    #[inline]
    pub fn step(&mut self, length: u64) {
        self.head += length;
    }

    /// Steps over padding: to the start of the data.
    #[inline]
    pub fn wrap(&mut self) {
        self.head += self.capacity - (self.head & (self.capacity - 1));
    }

    /// Gives the space of all frames stepped over back to the producer.
    #[inline]
    pub fn publish(&mut self, cursors: &impl Cursors) {
        if self.published != self.head {
            self.published = self.head;
            cursors.set_head(self.consumer, self.head);
        }
    }
}
