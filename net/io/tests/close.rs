//! How connections end: half-close, reset, orderly and abrupt close, from wherever it is asked. Every world
//! ends with no slot held.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use common::{Told, World, pattern, small_limits};
use lockstep_net::{Close, CloseReason, Driver, DriverKind, Limits};

on_both_drivers!(
    half_close_delivers_the_rest_and_still_sends,
    half_close_while_paused_waits_for_the_bytes,
    a_reset_is_told_as_such,
    close_after_flush_delivers_everything,
    close_after_flush_survives_what_the_peer_still_sends,
    close_after_flush_is_cut_off_in_time,
    close_while_lingering_is_at_once,
    close_now_resets_and_drops,
    close_from_every_callback,
    close_while_connecting,
);

fn finish(world: &mut World) {
    world.until("all slots free", |world| {
        world.driver.connections().live() == 0
    });
    world.assert_all_gone();
}

fn half_close_delivers_the_rest_and_still_sends(kind: DriverKind) {
    const BYTES: usize = 100_000;
    let mut world = World::new(kind, small_limits());
    world.recorder.on_peer_finished = |_, _| {};
    let (mut stream, id) = world.peer();
    let peer = thread::spawn(move || {
        stream.write_all(&pattern(0, BYTES)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    world.until("the end", |world| world.was_told(Told::PeerFinished(id)));
    assert!(world.recorder.bytes_of(id) == pattern(0, BYTES));
    assert!(world.driver.connections().is_open(id));
    let mut sent = 0;
    world.until("the answer is queued", |world| {
        sent += world.driver.send(id, &pattern(sent, BYTES - sent));
        sent == BYTES
    });
    world.driver.close(id, Close::AfterFlush);
    assert_eq!(world.until_closed(id), CloseReason::PeerClosed);
    assert!(peer.join().unwrap() == pattern(0, BYTES));
    let ends = world
        .recorder
        .told
        .iter()
        .filter(|told| **told == Told::PeerFinished(id));
    assert_eq!(ends.count(), 1);
    finish(&mut world);
}

fn half_close_while_paused_waits_for_the_bytes(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    world.recorder.consume = Box::new(|connections, id, _| {
        connections.pause(id);
        0
    });
    let (mut stream, id) = world.peer();
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    world.until("the bytes are here", |world| {
        world.driver.stats().bytes_received == 10
    });
    world.settle();
    assert!(!world.was_told(Told::PeerFinished(id)));
    world.recorder.consume = Box::new(|_, _, bytes| bytes.len());
    world.driver.resume(id);
    assert_eq!(world.until_closed(id), CloseReason::PeerClosed);
    assert_eq!(world.recorder.bytes_of(id), b"last words");
    assert!(world.was_told(Told::PeerFinished(id)));
    finish(&mut world);
}

/// A peer that closes with unread bytes resets the connection: that is how its kernel tells.
fn a_reset_is_told_as_such(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (stream, id) = world.peer();
    let (_other, other_id) = world.peer();
    world.driver.send(id, b"never read");
    world.until("it is out", |world| world.driver.send_pending(id) == 0);
    stream.peek(&mut [0]).unwrap();
    drop(stream);
    assert_eq!(world.until_closed(id), CloseReason::Reset);
    assert!(world.driver.connections().is_open(other_id));
}

fn close_after_flush_delivers_everything(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let capacity = world.driver.connections().limits().send_buffer_bytes as usize;
    let (mut stream, id) = world.peer();
    assert_eq!(world.driver.send(id, &pattern(0, capacity)), capacity);
    world.driver.close(id, Close::AfterFlush);
    assert_eq!(world.driver.send(id, b"too late"), 0);
    assert_eq!(world.driver.send_pending(id), capacity);
    assert!(!world.driver.connections().is_open(id));
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    });
    assert_eq!(world.until_closed(id), CloseReason::Local);
    assert!(reader.join().unwrap() == pattern(0, capacity));
    assert_eq!(world.driver.stats().closes_cut, 0);
    finish(&mut world);
}

/// Closing a socket that has unread bytes resets it, and a reset discards what the peer has not read
/// yet: a rejected client would never see the reason. So the close must take in what still comes.
fn close_after_flush_survives_what_the_peer_still_sends(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    world.recorder.consume = Box::new(|connections, id, bytes| {
        connections.send(id, b"rejected");
        connections.close(id, Close::AfterFlush);
        bytes.len()
    });
    let (mut stream, id) = world.peer();
    let peer = thread::spawn(move || {
        for part in 0..50 {
            // Fails only if it was reset.
            stream.write_all(&pattern(part, 1_000)).unwrap();
            thread::sleep(Duration::from_micros(200));
        }
        let mut reason = Vec::new();
        stream.read_to_end(&mut reason).unwrap();
        reason
    });
    assert_eq!(world.until_closed(id), CloseReason::Local);
    assert_eq!(peer.join().unwrap(), b"rejected");
    let told = world
        .recorder
        .told
        .iter()
        .filter(|told| matches!(told, Told::PeerFinished(_)));
    assert_eq!(told.count(), 0, "nothing more of a closing connection");
    assert_eq!(world.driver.stats().bytes_received, 50_000);
    finish(&mut world);
}

fn close_after_flush_is_cut_off_in_time(kind: DriverKind) {
    let wait = Duration::from_millis(150);
    let mut world = World::new(
        kind,
        Limits {
            close_wait_max: wait,
            ..small_limits()
        },
    );
    let start = Instant::now();
    // One that never reads what is owed to it, one that reads but never ends its side.
    let (_deaf, deaf_id) = world.peer();
    let (mut silent, silent_id) = world.peer();
    let mut still = Instant::now();
    world.until("its buffers are full", |world| {
        if world.driver.send(deaf_id, &pattern(0, 10_000)) > 0 {
            still = Instant::now();
        }
        still.elapsed() > Duration::from_millis(50)
    });
    world.driver.send(silent_id, b"bye");
    world.driver.close(deaf_id, Close::AfterFlush);
    world.driver.close(silent_id, Close::AfterFlush);
    assert_eq!(world.until_closed(deaf_id), CloseReason::Local);
    assert_eq!(world.until_closed(silent_id), CloseReason::Local);
    assert!(start.elapsed() >= wait);
    assert_eq!(world.driver.stats().closes_cut, 2);
    let mut bye = [0; 3];
    silent.read_exact(&mut bye).unwrap();
    assert_eq!(&bye, b"bye");
    finish(&mut world);
}

fn close_while_lingering_is_at_once(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (_silent, id) = world.peer();
    world.driver.close(id, Close::AfterFlush);
    world.settle();
    assert_eq!(world.driver.connections().live(), 1, "waits for the peer");
    world.driver.close(id, Close::AfterFlush);
    world.driver.close(id, Close::Now);
    world.driver.close(id, Close::Now);
    assert_eq!(world.until_closed(id), CloseReason::Local);
    assert_eq!(world.driver.stats().closes_cut, 0);
    finish(&mut world);
}

fn close_now_resets_and_drops(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (mut stream, id) = world.peer();
    world.driver.send(id, b"never sent");
    world.driver.close(id, Close::Now);
    assert_eq!(world.until_closed(id), CloseReason::Local);
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    finish(&mut world);
}

fn close_from_every_callback(kind: DriverKind) {
    for how in [Close::AfterFlush, Close::Now] {
        // From accepted and connected: on both ends of one connection.
        let mut world = World::new(kind, small_limits());
        world.recorder.on_open = match how {
            Close::AfterFlush => |connections, id| connections.close(id, Close::AfterFlush),
            Close::Now => |connections, id| connections.close(id, Close::Now),
        };
        for _ in 0..5 {
            world.driver.connect(world.address).unwrap();
        }
        // A connection that is reset while it waits may be gone before it is accepted.
        world.until("outcomes", |world| {
            let stats = world.driver.stats();
            stats.connected == 5 && stats.accepted + stats.accept_errors == 5
        });
        finish(&mut world);
        // From received, with more bytes waiting, and twice.
        world.recorder.on_open = |_, _| {};
        world.recorder.consume = Box::new(move |connections, id, _| {
            connections.close(id, how);
            connections.close(id, how);
            connections.resume(id);
            1
        });
        let (mut stream, id) = world.peer();
        stream.write_all(&pattern(0, 10_000)).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(world.until_closed(id), CloseReason::Local);
        assert_eq!(world.recorder.bytes_of(id).len(), 1);
        // From sendable.
        world.recorder.on_sendable = |connections, id| connections.close(id, Close::Now);
        let (stream, id) = world.peer();
        let capacity = world.driver.connections().limits().send_buffer_bytes as usize;
        assert_eq!(world.driver.send(id, &pattern(0, capacity + 1)), capacity);
        assert_eq!(world.until_closed(id), CloseReason::Local);
        drop(stream);
        finish(&mut world);
    }
}

fn close_while_connecting(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let before_flush = world.driver.connect(world.address).unwrap();
    world.driver.close(before_flush, Close::Now);
    // TEST-NET-1 answers nobody: the attempt is in flight when it is given up.
    let in_flight = world
        .driver
        .connect("192.0.2.1:9".parse().unwrap())
        .unwrap();
    world.turn();
    world.driver.close(in_flight, Close::AfterFlush);
    for id in [before_flush, in_flight] {
        world.until("the outcome", |world| {
            world
                .recorder
                .told
                .iter()
                .any(|told| matches!(told, Told::Connected(told_id, Err(_)) if *told_id == id))
        });
    }
    assert_eq!(world.recorder.told.len(), 2, "{:?}", world.recorder.told);
    finish(&mut world);
}
