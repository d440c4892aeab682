//! Bounded single-producer ring with one or two consumers, over memory that can be shared by processes.
//!
//! Full means back-pressure: `claim` returns `None` and the producer keeps its input. Nothing is ever
//! dropped and nobody ever blocks. Each consumer sees every frame.
//!
//! ```text
//! memory: line 0 tail u64 · line 1 head of consumer 0 · line 2 head of consumer 1 · (128 bytes each)
//!         · data, a power of two of bytes
//! frame:  u32 payload length · u32 tag · payload · zeros to a multiple of 8
//!         length u32::MAX: padding to the end of the data, the next frame begins at its start
//! ```
//! Positions only grow; `position % capacity` is the offset. Offsets alone are stored, no pointers, so
//! the mapping's address may differ between processes. Invariant: `head <= tail <= head + capacity`.
#![allow(unsafe_code)]

pub mod cursor;
#[cfg(test)]
mod model_tests;

use cursor::{Cursors, Head, Tail};
use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Adjacent-line prefetch pulls pairs of 64-byte lines: writers are kept 128 bytes apart.
const LINE: usize = 128;
const HEADER: usize = 3 * LINE;
const FRAME_HEADER: usize = 8;
const PADDING: u32 = u32::MAX;

/// Consumers a ring can have.
pub const CONSUMERS_MAX: usize = 2;

#[derive(Debug)]
struct Memory {
    base: *mut u8,
    capacity: u64,
    _map: MmapMut,
}

// SAFETY: the mapping lives as long as the Arc; cursors are atomics, and data bytes are handed from
// producer to consumer by Release stores and Acquire loads of the cursors.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn cursor(&self, line: usize) -> &AtomicU64 {
        // SAFETY: lines 0..3 are inside the mapping, 8-aligned, and only ever accessed as AtomicU64.
        unsafe { &*self.base.add(line * LINE).cast::<AtomicU64>() }
    }

    fn data(&self, position: u64) -> *mut u8 {
        let offset = (position & (self.capacity - 1)) as usize;
        // SAFETY: offset < capacity, and the mapping is HEADER + capacity bytes.
        unsafe { self.base.add(HEADER + offset) }
    }
}

impl Cursors for Memory {
    #[inline]
    fn tail(&self) -> u64 {
        self.cursor(0).load(Ordering::Acquire)
    }

    #[inline]
    fn set_tail(&self, tail: u64) {
        self.cursor(0).store(tail, Ordering::Release);
    }

    #[inline]
    fn head(&self, consumer: usize) -> u64 {
        self.cursor(1 + consumer).load(Ordering::Acquire)
    }

    #[inline]
    fn set_head(&self, consumer: usize, head: u64) {
        self.cursor(1 + consumer).store(head, Ordering::Release);
    }
}

/// The only writer of a ring.
#[derive(Debug)]
pub struct Producer {
    memory: Arc<Memory>,
    tail: Tail,
    claimed: usize,
}

/// One reader of a ring.
#[derive(Debug)]
pub struct Consumer {
    memory: Arc<Memory>,
    head: Head,
}

/// One frame as a consumer sees it; valid until the consumer advances.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub tag: u32,
    /// 8-aligned.
    pub payload: &'a [u8],
}

/// Creates a ring of `capacity` bytes (a power of two, at least 4,096) for `consumers` readers.
pub fn create(capacity: usize, consumers: usize) -> io::Result<(Producer, Vec<Consumer>)> {
    assert!(capacity.is_power_of_two() && capacity >= 4096);
    assert!((1..=CONSUMERS_MAX).contains(&consumers));
    // SAFETY: the name is a NUL-terminated literal; the result is checked.
    let fd = unsafe { libc::memfd_create(c"lockstep-ring".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just returned by memfd_create and is owned by nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len((HEADER + capacity) as u64)?;
    // SAFETY: the file is private to this ring; its length was just set and is never changed.
    let mut map = unsafe { MmapOptions::new().populate().map_mut(&file)? };
    let memory = Arc::new(Memory {
        base: map.as_mut_ptr(),
        capacity: capacity as u64,
        _map: map,
    });
    let readers = (0..consumers)
        .map(|i| Consumer {
            memory: Arc::clone(&memory),
            head: Head::new(capacity as u64, i),
        })
        .collect();
    let producer = Producer {
        memory,
        tail: Tail::new(capacity as u64, consumers),
        claimed: 0,
    };
    Ok((producer, readers))
}

impl Producer {
    /// Largest payload that can ever be claimed: a quarter of the ring, so that padding never blocks it.
    pub fn payload_max(&self) -> usize {
        (self.memory.capacity / 4) as usize - FRAME_HEADER
    }

    /// Space for a payload of up to `payload_max` bytes, or `None` if the ring is full.
    /// The claim is replaced by the next one unless `commit` follows.
    #[inline]
    pub fn claim(&mut self, payload_max: usize) -> Option<&mut [u8]> {
        debug_assert!(payload_max <= self.payload_max());
        let needed = (FRAME_HEADER + payload_max.next_multiple_of(8)) as u64;
        let claim = self.tail.claim(&*self.memory, needed)?;
        if let Some(padding) = claim.padding {
            // SAFETY: at least 8 bytes remain to the end (frames are multiples of 8) and the claim
            // says that no consumer still reads them.
            unsafe { self.memory.data(padding).cast::<u32>().write(PADDING) };
        }
        self.claimed = payload_max;
        let start = self.memory.data(claim.start + FRAME_HEADER as u64);
        // SAFETY: `needed` bytes from tail are contiguous, inside the data area, and not visible to
        // any consumer until `commit` publishes them; `&mut self` makes this the only view.
        Some(unsafe { std::slice::from_raw_parts_mut(start, payload_max) })
    }

    /// Publishes the first `length` bytes of the last claim as a frame.
    #[inline]
    pub fn commit(&mut self, tag: u32, length: usize) {
        assert!(length <= self.claimed);
        let frame = self.memory.data(self.tail.position()).cast::<u32>();
        // SAFETY: the claim covered the 8 header bytes at tail, 8-aligned.
        unsafe { frame.write(length as u32) };
        // SAFETY: as above, second word.
        unsafe { frame.add(1).write(tag) };
        self.claimed = 0;
        let whole = (FRAME_HEADER + length.next_multiple_of(8)) as u64;
        self.tail.commit(&*self.memory, whole);
    }

    /// Copies a payload in; false if the ring is full.
    #[inline]
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> bool {
        match self.claim(payload.len()) {
            Some(space) => {
                space.copy_from_slice(payload);
                self.commit(tag, payload.len());
                true
            }
            None => false,
        }
    }

    /// Bytes between the tail and the slowest consumer.
    pub fn depth_bytes(&self) -> u64 {
        self.tail.depth_bytes(&*self.memory)
    }

    /// Bytes that can be claimed before the slowest consumer gives more back; padding may cost some of them.
    pub fn room_bytes(&self) -> u64 {
        self.memory.capacity - self.depth_bytes()
    }
}

impl Consumer {
    /// The next frame, or `None` if there is none yet. Does not advance.
    #[inline]
    pub fn peek(&mut self) -> Option<Frame<'_>> {
        loop {
            let position = self.head.next(&*self.memory)?;
            let frame = self.memory.data(position).cast::<u32>();
            // SAFETY: the position is below the tail (Acquire), so the producer has written this
            // 8-aligned header.
            let length = unsafe { frame.read() };
            if length == PADDING {
                self.head.wrap();
                continue;
            }
            // SAFETY: as above, second word.
            let tag = unsafe { frame.add(1).read() };
            let length = length as usize;
            // A frame longer than what is published is a broken producer: stop before reading it.
            assert!(
                (FRAME_HEADER + length) as u64 <= self.head.available(),
                "ring frame exceeds the published tail"
            );
            let start = self.memory.data(position + FRAME_HEADER as u64);
            // SAFETY: the frame is published, contiguous, and not overwritten before `advance` and
            // `publish` move this consumer's head past it.
            let payload = unsafe { std::slice::from_raw_parts(start, length) };
            return Some(Frame { tag, payload });
        }
    }

    /// Steps over the frame that `peek` returned; its space is given back by `publish`.
    #[inline]
    pub fn advance(&mut self) {
        if let Some(frame) = self.peek() {
            let whole = FRAME_HEADER + frame.payload.len().next_multiple_of(8);
            self.head.step(whole as u64);
        }
    }

    /// Gives the space of all frames stepped over back to the producer.
    #[inline]
    pub fn publish(&mut self) {
        self.head.publish(&*self.memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_ring_pushes_back_and_loses_nothing() {
        let (mut producer, mut consumers) = create(4096, 2).unwrap();
        let mut slow = consumers.pop().unwrap();
        let mut fast = consumers.pop().unwrap();
        let mut pushed = 0u64;
        while producer.push(7, &pushed.to_le_bytes()) {
            pushed += 1;
        }
        assert_eq!(pushed, 4096 / 16);
        for expected in 0..pushed {
            assert_eq!(fast.peek().unwrap().payload, expected.to_le_bytes());
            fast.advance();
        }
        fast.publish();
        assert!(
            !producer.push(7, &[0; 8]),
            "the slow consumer still holds everything"
        );
        assert_eq!(slow.peek().unwrap().tag, 7);
        slow.advance();
        slow.publish();
        assert!(producer.push(8, &[0; 8]));
        assert!(!producer.push(8, &[0; 8]));
    }

    /// Random frame sizes over many laps and two threads: each consumer sees each byte once, in order.
    #[test]
    fn two_consumers_see_every_frame_in_order() {
        const FRAMES: u64 = 20_000;
        let (mut producer, consumers) = create(1 << 14, 2).unwrap();
        let readers: Vec<_> = consumers
            .into_iter()
            .map(|mut consumer| {
                std::thread::spawn(move || {
                    let mut seen = 0u64;
                    while seen < FRAMES {
                        if let Some(frame) = consumer.peek() {
                            assert_eq!(u64::from(frame.tag), seen & 0xFFFF);
                            assert_eq!(frame.payload.len() as u64, seen * 31 % 500);
                            assert!(frame.payload.iter().all(|&b| b == seen as u8));
                            assert!(frame.payload.as_ptr().addr().is_multiple_of(8));
                            consumer.advance();
                            seen += 1;
                            if seen.is_multiple_of(3) {
                                consumer.publish();
                            }
                        } else {
                            consumer.publish();
                            std::thread::yield_now();
                        }
                    }
                    consumer.publish();
                    seen
                })
            })
            .collect();
        let mut next = 0u64;
        while next < FRAMES {
            let length = (next * 31 % 500) as usize;
            match producer.claim(512) {
                Some(space) => {
                    space[..length].fill(next as u8);
                    producer.commit((next & 0xFFFF) as u32, length);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        for reader in readers {
            assert_eq!(reader.join().unwrap(), FRAMES);
        }
        assert_eq!(producer.depth_bytes(), 0);
    }
}
