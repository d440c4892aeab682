//! `bench ring`: what one hand-off costs, on one thread and between two cores, beside the floor of a bare
//! cache line that two cores pass to and fro.

use super::{MicroReport, Row};
use crate::measure::clock::Clock;
use crate::measure::hash::ResultHash;
use crate::measure::setting::Setting;
use crate::measure::thread::{PinError, pin};
use clap::Args;
use crossbeam_utils::CachePadded;
use lockstep_node::ring::{self, Consumer, Producer};
use std::hint::{black_box, spin_loop};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use thiserror::Error;

const RING_BYTES: usize = 1 << 20;
/// Payload of a frame: about an order's record.
const PAYLOAD_BYTES: usize = 72;
const TAG: u32 = 1;

#[derive(Debug, Error)]
pub enum RingBenchError {
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("cannot make a ring: {0}")]
    Ring(#[from] io::Error),
}

#[derive(Clone, Debug, Args)]
pub struct RingArgs {
    /// Operations of a round; the hand-offs between cores take a tenth of it.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1 << 36))]
    pub operations: u64,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Cores of the two threads; without them, unpinned and yielding, which measures the scheduler.
    #[arg(long, num_args = 2, value_names = ["CORE", "CORE"])]
    pub cores: Vec<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// How a thread waits and where it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    core: Option<usize>,
}

impl Place {
    /// Of two threads: the cores that were given, or none.
    pub(crate) fn two(cores: &[usize]) -> [Self; 2] {
        [0, 1].map(|at| Self {
            core: cores.get(at).copied(),
        })
    }

    pub(crate) fn enter(self) -> Result<(), PinError> {
        self.core.map_or(Ok(()), pin)
    }

    #[inline]
    pub(crate) fn wait(self) {
        if self.core.is_some() {
            spin_loop();
        } else {
            yield_now();
        }
    }
}

pub fn run(arguments: &RingArgs) -> Result<MicroReport, RingBenchError> {
    let [here, there] = Place::two(&arguments.cores);
    here.enter()?;
    let layout = match arguments.cores[..] {
        [a, b] => format!("cores {a} and {b} spin"),
        _ => "unpinned yield".to_owned(),
    };
    let hand_offs = (arguments.operations / 10).max(100);
    let mut rows = vec![
        Row::new("sum of numbers (baseline)", arguments.operations),
        Row::new("frame through a ring, one thread", arguments.operations),
        Row::new("cache line to the other core", hand_offs),
        Row::new("frame to the other core", hand_offs),
        Row::new("stream of frames to the other core", arguments.operations),
    ];
    for _ in 0..arguments.rounds {
        baseline(&mut rows[0]);
        one_thread(&mut rows[1])?;
        cache_line(&mut rows[2], here, there)?;
        hand_off(&mut rows[3], here, there)?;
        stream(&mut rows[4], here, there)?;
    }
    Ok(MicroReport {
        bench: "ring",
        setting: Setting::new("none", "none", &layout),
        rows,
    })
}

fn frame(number: u64) -> [u8; PAYLOAD_BYTES] {
    let mut payload = [0; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}

#[inline]
fn take(consumer: &mut Consumer) -> Option<u64> {
    let payload = consumer.peek()?.payload;
    let number = payload.first_chunk().map(|c| u64::from_le_bytes(*c));
    consumer.advance();
    number
}

fn record(row: &mut Row, elapsed_ns: u64, sum: u64) {
    let mut hash = ResultHash::default();
    hash.number(sum);
    row.round(elapsed_ns, hash);
}

fn baseline(row: &mut Row) {
    let clock = Clock::start();
    let begun_ns = clock.now_ns();
    let mut sum = 0u64;
    for number in 0..row.operations {
        sum = sum.wrapping_add(black_box(number));
    }
    let elapsed_ns = clock.now_ns() - begun_ns;
    record(row, elapsed_ns, sum);
}

fn pair() -> io::Result<(Producer, Consumer)> {
    let (producer, mut consumers) = ring::create(RING_BYTES, 1)?;
    let consumer = consumers.pop();
    Ok((
        producer,
        consumer.unwrap_or_else(|| unreachable!("one was asked for")),
    ))
}

/// A fused layout's cost: written and read on one core.
fn one_thread(row: &mut Row) -> io::Result<()> {
    let (mut producer, mut consumer) = pair()?;
    let clock = Clock::start();
    let begun_ns = clock.now_ns();
    let mut sum = 0u64;
    for number in 0..row.operations {
        assert!(
            producer.push(TAG, &frame(number)),
            "an emptied ring is full"
        );
        sum = sum.wrapping_add(take(&mut consumer).unwrap_or(0));
        consumer.publish();
    }
    let elapsed_ns = clock.now_ns() - begun_ns;
    record(row, elapsed_ns, sum);
    Ok(())
}

/// Runs `first` here, timed, and `second` there, which sums what it gets. Neither begins before both are
/// where they belong; an error there keeps `first` from waiting for nobody.
fn both(
    there: Place,
    first: impl FnOnce(),
    second: impl FnOnce() -> u64 + Send,
) -> Result<(u64, u64), PinError> {
    const GOOD: u64 = 1;
    const BAD: u64 = 2;
    let ready = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let handle = scope.spawn(|| {
            let entered = there.enter();
            let state = if entered.is_ok() { GOOD } else { BAD };
            ready.store(state, Ordering::Release);
            entered.map(|()| second())
        });
        while ready.load(Ordering::Acquire) == 0 {
            yield_now();
        }
        let clock = Clock::start();
        let begun_ns = clock.now_ns();
        if ready.load(Ordering::Acquire) == GOOD {
            first();
        }
        match handle.join() {
            Ok(sum) => sum.map(|sum| (clock.now_ns() - begun_ns, sum)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The floor of any hand-off: half of a round trip of one cache line each way.
fn cache_line(row: &mut Row, here: Place, there: Place) -> Result<(), PinError> {
    let ping = CachePadded::new(AtomicU64::new(0));
    let pong = CachePadded::new(AtomicU64::new(0));
    let count = row.operations / 2;
    let first = || {
        for number in 1..=count {
            ping.store(number, Ordering::Release);
            while pong.load(Ordering::Acquire) != number {
                here.wait();
            }
        }
    };
    let second = || {
        let mut sum = 0u64;
        for number in 1..=count {
            while ping.load(Ordering::Acquire) != number {
                there.wait();
            }
            sum = sum.wrapping_add(number);
            pong.store(number, Ordering::Release);
        }
        sum
    };
    let (elapsed_ns, sum) = both(there, first, second)?;
    record(row, elapsed_ns, sum);
    Ok(())
}

/// Half of a round trip over two rings: what a split layout pays per hand-off.
fn hand_off(row: &mut Row, here: Place, there: Place) -> Result<(), RingBenchError> {
    let (mut ping, mut ping_end) = pair()?;
    let (mut pong, mut pong_end) = pair()?;
    let count = row.operations / 2;
    let first = || {
        for number in 1..=count {
            push(&mut ping, number, here);
            pop(&mut pong_end, here);
        }
    };
    let second = || {
        let mut sum = 0u64;
        for _ in 0..count {
            let number = pop(&mut ping_end, there);
            sum = sum.wrapping_add(number);
            push(&mut pong, number, there);
        }
        sum
    };
    let (elapsed_ns, sum) = both(there, first, second)?;
    record(row, elapsed_ns, sum);
    Ok(())
}

/// One hand-off between two cores (or unpinned threads), picoseconds, over `count` of them.
pub(crate) fn hand_off_ps([here, there]: [Place; 2], count: u64) -> Result<u64, RingBenchError> {
    let mut row = Row::new("frame to the other core", count);
    hand_off(&mut row, here, there)?;
    Ok(row.median_ps)
}

/// As many frames as one side can write and the other read.
fn stream(row: &mut Row, here: Place, there: Place) -> Result<(), RingBenchError> {
    let (mut producer, mut consumer) = pair()?;
    let count = row.operations;
    let first = || (0..count).for_each(|number| push(&mut producer, number, here));
    let second = || {
        let mut sum = 0u64;
        for _ in 0..count {
            sum = sum.wrapping_add(pop(&mut consumer, there));
        }
        sum
    };
    let (elapsed_ns, sum) = both(there, first, second)?;
    record(row, elapsed_ns, sum);
    Ok(())
}

#[inline]
fn push(producer: &mut Producer, number: u64, place: Place) {
    let payload = frame(number);
    while !producer.push(TAG, &payload) {
        place.wait();
    }
}

#[inline]
fn pop(consumer: &mut Consumer, place: Place) -> u64 {
    loop {
        if let Some(number) = take(consumer) {
            consumer.publish();
            return number;
        }
        place.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiny, so that the bench cannot rot; each row hands over everything.
    #[test]
    fn every_row_hands_over_what_it_says() {
        let arguments = RingArgs {
            operations: 2_000,
            rounds: 2,
            cores: Vec::new(),
            json: false,
        };
        let report = run(&arguments).expect("no core asked for");
        let hashes: Vec<_> = report.rows.iter().map(|row| row.result_hash).collect();
        assert_eq!(hashes[0], hashes[1], "the same numbers: {report}");
        assert_eq!(hashes[0], hashes[4], "the same numbers: {report}");
        assert_eq!(report.rows[2].operations, 200);
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error_and_nobody_waits() {
        let arguments = RingArgs {
            operations: 1_000,
            rounds: 1,
            cores: vec![0, 100_000],
            json: false,
        };
        let error = run(&arguments).expect_err("no such core");
        assert!(error.to_string().contains("100000"), "{error}");
    }
}
