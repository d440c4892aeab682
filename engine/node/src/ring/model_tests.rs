//! The ring's protocol under a model checker: every interleaving of producer and consumers, with the
//! reorderings that the memory model allows. A cell per 8-byte word reports any access that is not
//! ordered after the other side's, which on the machine at hand might never be seen.
#![allow(unsafe_code)]

use super::cursor::{Cursors, Head, Tail};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

const CAPACITY: u64 = 32;
const PADDING: u64 = u64::MAX;

/// Orders of the four accesses to the cursors; a weaker one is a planted fault.
#[derive(Clone, Copy)]
struct Orders {
    load: Ordering,
    store: Ordering,
}

const SHIPPED: Orders = Orders {
    load: Ordering::Acquire,
    store: Ordering::Release,
};

struct Shared {
    orders: Orders,
    tail: AtomicU64,
    heads: Vec<AtomicU64>,
    words: Vec<UnsafeCell<u64>>,
}

impl Shared {
    fn new(orders: Orders, consumers: usize) -> Self {
        Self {
            orders,
            tail: AtomicU64::new(0),
            heads: (0..consumers).map(|_| AtomicU64::new(0)).collect(),
            words: (0..CAPACITY / 8).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn word(&self, position: u64) -> &UnsafeCell<u64> {
        &self.words[(position % CAPACITY / 8) as usize]
    }

    fn write(&self, position: u64, value: u64) {
        self.word(position).with_mut(|word| {
            // SAFETY: the model checker reports it if anything else may touch the word meanwhile.
            unsafe { *word = value };
        });
    }

    fn read(&self, position: u64) -> u64 {
        self.word(position).with(|word| {
            // SAFETY: as in `write`.
            unsafe { *word }
        })
    }
}

impl Cursors for Shared {
    fn tail(&self) -> u64 {
        self.tail.load(self.orders.load)
    }
    fn set_tail(&self, tail: u64) {
        self.tail.store(tail, self.orders.store);
    }
    fn head(&self, consumer: usize) -> u64 {
        self.heads[consumer].load(self.orders.load)
    }
    fn set_head(&self, consumer: usize, head: u64) {
        self.heads[consumer].store(head, self.orders.store);
    }
}

/// Forced switches of thread within one run. Bugs of such protocols show within two; without a bound
/// two consumers take hours.
const PREEMPTIONS_MAX: usize = 2;

/// How often each side tries before it gives up: waiting for ever has no end in a model.
const ATTEMPTS: usize = 2;

/// Frames of a length in bytes (header word included) on a ring of four words, so that padding, laps
/// and a full ring all occur. Each consumer must see each frame that was published, once, in order.
/// Returns the most frames that any interleaving published.
fn run(orders: Orders, consumers: usize, frames: &'static [u64]) -> usize {
    let most = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen_most = std::sync::Arc::clone(&most);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(move || {
        let shared = Arc::new(Shared::new(orders, consumers));
        let readers: Vec<_> = (0..consumers)
            .map(|consumer| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut reader = Reader::new(consumer);
                    (0..ATTEMPTS).for_each(|_| reader.poll(&shared, frames));
                    reader
                })
            })
            .collect();
        let produced = produce(&shared, consumers, frames);
        for reader in readers {
            let mut reader = reader.join().unwrap();
            (0..frames.len()).for_each(|_| reader.poll(&shared, frames));
            assert_eq!(reader.seen, produced, "a frame was lost or doubled");
        }
        seen_most.fetch_max(produced, Ordering::Relaxed);
    });
    most.load(Ordering::Relaxed)
}

/// A frame is its length in bytes, then `length / 8 - 1` words of its number.
fn produce(shared: &Shared, consumers: usize, frames: &[u64]) -> usize {
    let mut tail = Tail::new(CAPACITY, consumers);
    for (number, &length) in frames.iter().enumerate() {
        let Some(claim) = (0..ATTEMPTS).find_map(|_| tail.claim(shared, length)) else {
            return number;
        };
        if let Some(padding) = claim.padding {
            shared.write(padding, PADDING);
        }
        shared.write(claim.start, length);
        for word in 1..length / 8 {
            shared.write(claim.start + word * 8, number as u64);
        }
        tail.commit(shared, length);
    }
    frames.len()
}

struct Reader {
    head: Head,
    seen: usize,
}

impl Reader {
    fn new(consumer: usize) -> Self {
        Self {
            head: Head::new(CAPACITY, consumer),
            seen: 0,
        }
    }

    /// One frame if there is one.
    fn poll(&mut self, shared: &Shared, frames: &[u64]) {
        let Some(mut start) = self.head.next(shared) else {
            return;
        };
        if shared.read(start) == PADDING {
            self.head.wrap();
            // Padding and the frame behind it are published together.
            start = self.head.next(shared).expect("a frame behind the padding");
        }
        let length = shared.read(start);
        assert!(length == frames[self.seen] && length <= self.head.available());
        for word in 1..length / 8 {
            assert_eq!(shared.read(start + word * 8), self.seen as u64);
        }
        self.head.step(length);
        self.head.publish(shared);
        self.seen += 1;
    }
}

#[test]
fn one_consumer_over_laps_and_padding() {
    assert_eq!(
        run(SHIPPED, 1, &[16, 8, 16]),
        3,
        "no interleaving made a lap"
    );
}

#[test]
fn two_consumers() {
    assert_eq!(
        run(SHIPPED, 2, &[16, 8, 16]),
        3,
        "no interleaving made a lap"
    );
}

/// The oracle's planted bugs: without Release or without Acquire the checker must find a race.
#[test]
fn a_weaker_order_is_found() {
    for orders in [
        Orders {
            store: Ordering::Relaxed,
            ..SHIPPED
        },
        Orders {
            load: Ordering::Relaxed,
            ..SHIPPED
        },
    ] {
        let found = std::panic::catch_unwind(|| run(orders, 1, &[16, 8, 16]));
        assert!(found.is_err(), "the model checker no longer sees a race");
    }
}
