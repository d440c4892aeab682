//! What a duty cycle may cost: system calls counted, waiting bounded, and no slot or byte in between.

mod common;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use common::{World, small_limits};
use lockstep_net::{Close, Driver, DriverKind, Limits};

on_both_drivers!(
    idle_polls_cost_at_most_one_call,
    one_enter_sends_for_all,
    wait_ends_when_bytes_come,
    wait_ends_in_time,
    wait_does_not_sleep_on_work,
    wait_flushes,
);

fn idle_polls_cost_at_most_one_call(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let _peers: Vec<_> = (0..20).map(|_| world.peer()).collect();
    world.settle();
    let before = *world.driver.stats();
    for _ in 0..10_000 {
        assert_eq!(world.turn(), 0);
    }
    let after = *world.driver.stats();
    assert_eq!(after.polls - before.polls, 10_000);
    let expected = if kind == DriverKind::IoUring {
        0
    } else {
        10_000
    };
    assert_eq!(after.enters - before.enters, expected);
}

fn one_enter_sends_for_all(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let mut peers: Vec<_> = (0..50).map(|_| world.peer()).collect();
    world.settle();
    for round in 0..10 {
        let before = world.driver.stats().enters;
        for (_, id) in &peers {
            assert_eq!(world.driver.send(*id, &[round]), 1);
            assert_eq!(world.driver.send(*id, &[round]), 1);
        }
        world.driver.flush();
        world.driver.flush();
        let expected = u64::from(kind == DriverKind::IoUring);
        assert_eq!(world.driver.stats().enters - before, expected);
        for (stream, _) in &mut peers {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, [round, round]);
        }
        world.settle();
    }
    assert_eq!(
        world.driver.stats().sends,
        500,
        "one send carries all of a turn"
    );
}

fn wait_ends_when_bytes_come(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (mut stream, id) = world.peer();
    world.settle();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"wake").unwrap();
        stream
    });
    let start = Instant::now();
    while world.recorder.bytes_of(id).is_empty() {
        world.driver.wait(Duration::from_secs(10));
        world.turn();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(world.driver.stats().polls < 100_000, "it slept");
    drop(writer.join().unwrap());
}

fn wait_ends_in_time(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let _peer = world.peer();
    world.settle();
    for millis in [1, 20] {
        let start = Instant::now();
        world.driver.wait(Duration::from_millis(millis));
        assert!(start.elapsed() >= Duration::from_millis(millis));
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

/// Kept bytes that a resume made due, more bytes of a turn cut short, a close that only needs telling.
fn wait_does_not_sleep_on_work(kind: DriverKind) {
    let mut world = World::new(
        kind,
        Limits {
            receive_turn_bytes: 64,
            ..small_limits()
        },
    );
    let (mut stream, id) = world.peer();
    world.recorder.consume = Box::new(|connections, id, bytes| {
        connections.pause(id);
        bytes.len().min(10)
    });
    stream.write_all(&[1; 200]).unwrap();
    let start = Instant::now();
    while world.recorder.bytes_of(id).len() < 200 {
        world.driver.resume(id);
        world.driver.wait(Duration::from_secs(10));
        world.turn();
    }
    world.driver.close(id, Close::Now);
    while world.driver.connections().live() > 0 {
        world.driver.wait(Duration::from_secs(10));
        world.turn();
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn wait_flushes(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (mut stream, id) = world.peer();
    world.driver.send(id, b"queued");
    world.driver.wait(Duration::from_millis(1));
    let mut bytes = [0; 6];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"queued");
}
