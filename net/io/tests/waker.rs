//! A driver that waits is woken by another thread, at once and not at its timeout.

mod common;

use common::*;
use lockstep_net::{AnyDriver, Driver, DriverKind, Limits, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than the whole test may take: a wait that only its timeout ends is a failure.
const NEVER: Duration = Duration::from_secs(120);

/// Work that comes over memory alone, a thousand times: each is seen, and no wait is left to its timeout.
fn work_from_another_thread_ends_the_wait(kind: DriverKind) {
    const ROUNDS: u64 = 1_000;
    let waker = Waker::new().expect("an eventfd");
    let (work, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let other = {
        let (waker, work, seen) = (waker.clone(), Arc::clone(&work), Arc::clone(&seen));
        std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                work.store(round, Ordering::Release);
                waker.wake();
                while seen.load(Ordering::Acquire) != round {
                    std::thread::yield_now();
                }
                if round % 10 == 0 {
                    // The waiter is asleep for sure, most times.
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        })
    };
    let limits = Limits {
        connections_max: 4,
        ..Limits::default()
    };
    let mut driver = AnyDriver::new(kind, &limits).expect("a driver");
    driver.set_waker(&waker);
    driver
        .listen("127.0.0.1:0".parse().expect("an address"), 4)
        .expect("a listener");
    let mut handler = Recorder::new();
    let begun = Instant::now();
    let mut last = 0;
    while last < ROUNDS {
        driver.poll(&mut handler);
        driver.flush();
        waker.announce();
        if work.load(Ordering::Acquire) == last {
            driver.wait(NEVER);
        }
        waker.retract();
        last = work.load(Ordering::Acquire);
        seen.store(last, Ordering::Release);
    }
    other.join().expect("the other thread");
    assert!(begun.elapsed() < NEVER, "a wait was left to its timeout");
}

/// A bell that was rung while nobody waited wakes nobody later.
fn an_old_ring_is_forgotten(kind: DriverKind) {
    let waker = Waker::new().expect("an eventfd");
    let limits = Limits {
        connections_max: 4,
        ..Limits::default()
    };
    let mut driver = AnyDriver::new(kind, &limits).expect("a driver");
    driver.set_waker(&waker);
    let mut handler = Recorder::new();
    waker.wake();
    waker.announce();
    waker.wake();
    driver.wait(NEVER);
    waker.retract();
    while driver.poll(&mut handler) != 0 {}
    let begun = Instant::now();
    waker.announce();
    driver.wait(Duration::from_millis(20));
    waker.retract();
    assert!(
        begun.elapsed() >= Duration::from_millis(10),
        "it was woken by nothing"
    );
}

on_both_drivers!(
    work_from_another_thread_ends_the_wait,
    an_old_ring_is_forgotten
);
