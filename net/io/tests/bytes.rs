//! Bytes in order, whole and bounded: echo, split frames, kept tails, back-pressure in both directions.

mod common;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Random, Told, World, pattern, small_limits};
use lockstep_net::{CloseReason, Connections, Driver, DriverKind, Limits};

on_both_drivers!(
    echo_of_random_sizes_on_many_connections,
    split_frames_are_offered_contiguously,
    nothing_is_consumed_until_all_is_there,
    a_tail_beyond_the_bound_ends_that_connection_alone,
    a_tail_at_the_bound_is_kept,
    pause_stops_the_peer_and_resume_loses_nothing,
    resume_offers_what_was_kept_without_new_bytes,
    a_peer_that_never_reads_costs_the_others_nothing,
    a_flood_gets_one_turn_a_poll,
    floods_make_way_for_who_sends_little,
    the_smallest_bounds_work,
);

/// Both ends on one driver: outgoing connections send random chunks, accepted ones echo.
fn echo_of_random_sizes_on_many_connections(kind: DriverKind) {
    const CONNECTIONS: usize = 20;
    const BYTES: usize = 40_000;
    let mut world = World::new(kind, small_limits());
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| world.driver.connect(world.address).unwrap())
        .collect();
    world.recorder.consume = Box::new({
        let clients = clients.clone();
        move |connections, connection, bytes| {
            if clients.contains(&connection) {
                return bytes.len();
            }
            // An echo that runs out of room stops reading until it can go on.
            let sent = connections.send(connection, bytes);
            if sent < bytes.len() {
                connections.pause(connection);
            }
            sent
        }
    });
    world.recorder.on_sendable = Connections::resume;
    let mut random = Random::new(7);
    let mut sent = [0; CONNECTIONS];
    world.until("everything echoed", |world| {
        for (index, client) in clients.iter().enumerate() {
            let length = random.below(3_000).min(BYTES - sent[index]);
            sent[index] += world
                .driver
                .send(*client, &pattern(sent[index] + index, length));
        }
        clients
            .iter()
            .all(|client| world.recorder.bytes_of(*client).len() == BYTES)
    });
    for (index, client) in clients.iter().enumerate() {
        assert!(world.recorder.bytes_of(*client) == pattern(index, BYTES));
    }
    assert!(world.driver.stats().bytes_received >= 2 * (CONNECTIONS * BYTES) as u64);
}

/// A frame is a length byte pair and a body; the consumer takes whole frames only.
fn whole_frames(bytes: &[u8]) -> usize {
    let mut position = 0;
    while let Some([high, low]) = bytes.get(position..position + 2) {
        let end = position + 2 + usize::from(u16::from_be_bytes([*high, *low]));
        if end > bytes.len() {
            break;
        }
        position = end;
    }
    position
}

fn split_frames_are_offered_contiguously(kind: DriverKind) {
    let mut random = Random::new(11);
    let mut frames = Vec::new();
    for frame in 0..600 {
        let body = pattern(frame, random.below(300));
        frames.extend_from_slice(&(body.len() as u16).to_be_bytes());
        frames.extend_from_slice(&body);
    }
    let mut world = World::new(kind, small_limits());
    let (mut stream, connection) = world.peer();
    world.recorder.consume = Box::new(|_, _, bytes| whole_frames(bytes));
    let expected = frames.clone();
    let writer = thread::spawn(move || {
        let mut position = 0;
        while position < frames.len() {
            // Mostly a few bytes at a time, so that frames and their headers are cut everywhere.
            let bound = if random.below(50) == 0 { 5_000 } else { 90 };
            let length = 1 + random.below(bound);
            let end = frames.len().min(position + length);
            stream.write_all(&frames[position..end]).unwrap();
            position = end;
            if random.below(4) == 0 {
                thread::yield_now();
            }
        }
        stream
    });
    world.until("all frames", |world| {
        world.recorder.bytes_of(connection).len() == expected.len()
    });
    assert!(world.recorder.bytes_of(connection) == expected);
    drop(writer.join().unwrap());
    assert_eq!(world.until_closed(connection), CloseReason::PeerClosed);
}

fn nothing_is_consumed_until_all_is_there(kind: DriverKind) {
    const FRAME: usize = 15_000;
    let mut world = World::new(kind, small_limits());
    let (mut stream, connection) = world.peer();
    world.recorder.consume = Box::new(|_, _, bytes| if bytes.len() < FRAME { 0 } else { FRAME });
    for round in 0..3 {
        stream.write_all(&pattern(round * FRAME, FRAME)).unwrap();
        world.until("the frame", |world| {
            world.recorder.bytes_of(connection).len() == (round + 1) * FRAME
        });
    }
    assert!(world.recorder.bytes_of(connection) == pattern(0, 3 * FRAME));
}

fn a_tail_beyond_the_bound_ends_that_connection_alone(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let tail_max = world.driver.connections().limits().receive_tail_max as usize;
    let (mut stubborn, stubborn_id) = world.peer();
    let (mut other, other_id) = world.peer();
    world.recorder.consume =
        Box::new(move |_, id, bytes| if id == stubborn_id { 0 } else { bytes.len() });
    stubborn.write_all(&pattern(0, tail_max + 1)).unwrap();
    assert_eq!(world.until_closed(stubborn_id), CloseReason::TailOverflow);
    assert_eq!(world.driver.stats().tail_overflows, 1);
    other.write_all(b"still here").unwrap();
    world.until("the other", |world| {
        world.recorder.bytes_of(other_id) == b"still here"
    });
    assert!(stubborn.read(&mut [0; 8]).is_err(), "the peer sees a reset");
}

fn a_tail_at_the_bound_is_kept(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let tail_max = world.driver.connections().limits().receive_tail_max as usize;
    let (mut stream, connection) = world.peer();
    world.recorder.consume = Box::new(move |_, _, bytes| {
        if bytes.len() <= tail_max {
            0
        } else {
            bytes.len()
        }
    });
    stream.write_all(&pattern(0, tail_max)).unwrap();
    world.until("all arrived", |world| {
        world.driver.stats().bytes_received == tail_max as u64
    });
    world.settle();
    assert!(world.recorder.bytes_of(connection).is_empty());
    stream.write_all(&pattern(tail_max, 1)).unwrap();
    world.until("all consumed", |world| {
        world.recorder.bytes_of(connection).len() == tail_max + 1
    });
    assert!(world.recorder.bytes_of(connection) == pattern(0, tail_max + 1));
}

fn pause_stops_the_peer_and_resume_loses_nothing(kind: DriverKind) {
    const BYTES: usize = 24 << 20;
    let limits = Limits {
        receive_turn_bytes: 64 * 1024,
        ..small_limits()
    };
    let mut world = World::new(kind, limits);
    let (mut stream, connection) = world.peer();
    let written = Arc::new(AtomicUsize::new(0));
    let writer = thread::spawn({
        let written = Arc::clone(&written);
        move || {
            while written.load(Ordering::Relaxed) < BYTES {
                let start = written.load(Ordering::Relaxed);
                stream.write_all(&pattern(start, 1 << 16)).unwrap();
                written.store(start + (1 << 16), Ordering::Relaxed);
            }
            stream
        }
    });
    // Paused from inside the callback that consumes nothing of what it is shown.
    world.recorder.consume = Box::new(|connections, id, _| {
        connections.pause(id);
        0
    });
    let (mut seen, mut since) = (0, Instant::now());
    world.until("the peer stalls", |_| {
        let now = written.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        seen > 0 && since.elapsed() > Duration::from_millis(300)
    });
    assert!(seen < BYTES, "the peer was never stopped");
    let stats = *world.driver.stats();
    let kept_max = limits.receive_tail_max + limits.receive_turn_bytes;
    assert!(stats.bytes_received <= u64::from(kept_max));
    assert_eq!(stats.pauses, 1);
    world.recorder.consume = Box::new(|_, _, bytes| bytes.len());
    world.driver.resume(connection);
    world.until("everything", |world| {
        world.recorder.bytes_of(connection).len() == BYTES
    });
    assert!(world.recorder.bytes_of(connection) == pattern(0, BYTES));
    drop(writer.join().unwrap());
}

fn resume_offers_what_was_kept_without_new_bytes(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (mut stream, connection) = world.peer();
    // Takes three bytes at a time and pauses: each resume must bring the rest again.
    world.recorder.consume = Box::new(|connections, id, bytes| {
        connections.pause(id);
        bytes.len().min(3)
    });
    stream.write_all(b"0123456789").unwrap();
    for expected in [3, 6, 9, 10] {
        world.until("the next part", |world| {
            world.recorder.bytes_of(connection).len() == expected
        });
        world.settle();
        assert_eq!(
            world.recorder.bytes_of(connection).len(),
            expected,
            "told while paused"
        );
        world.driver.resume(connection);
        world.driver.resume(connection);
    }
    assert_eq!(world.recorder.bytes_of(connection), b"0123456789");
}

fn a_peer_that_never_reads_costs_the_others_nothing(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let capacity = world.driver.connections().limits().send_buffer_bytes as usize;
    let (mut deaf, deaf_id) = world.peer();
    let (mut other, other_id) = world.peer();
    let mut sent = 0;
    // Until the kernel's buffers and ours are full.
    let mut still = Instant::now();
    world.until("its buffers are full", |world| {
        let taken = world.driver.send(deaf_id, &pattern(sent, 10_000));
        sent += taken;
        if taken > 0 {
            still = Instant::now();
        }
        still.elapsed() > Duration::from_millis(200)
    });
    assert_eq!(world.driver.send_room(deaf_id), 0);
    assert_eq!(world.driver.send_pending(deaf_id), capacity);
    assert!(world.driver.stats().sends_short > 0);
    world.settle();
    world
        .recorder
        .told
        .retain(|told| *told != Told::Sendable(deaf_id));
    let mut echoed = [0; 4];
    for _ in 0..20 {
        world.driver.send(other_id, b"ping");
        world.turn();
        other.read_exact(&mut echoed).unwrap();
    }
    assert!(!world.was_told(Told::Sendable(deaf_id)));
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; sent];
        deaf.read_exact(&mut bytes).unwrap();
        bytes
    });
    world.until("room again", |world| {
        world.was_told(Told::Sendable(deaf_id)) && world.driver.send_pending(deaf_id) == 0
    });
    assert!(reader.join().unwrap() == pattern(0, sent));
    let told = world
        .recorder
        .told
        .iter()
        .filter(|told| **told == Told::Sendable(deaf_id));
    assert_eq!(told.count(), 1, "once per short send");
}

/// A connection at line rate may bring one turn of bytes a poll, and the others theirs.
fn a_flood_gets_one_turn_a_poll(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let turn = world.driver.connections().limits().receive_turn_bytes as usize;
    let (mut flood, flood_id) = world.peer();
    let (mut victim, victim_id) = world.peer();
    let stop = Arc::new(AtomicUsize::new(0));
    let writer = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let bytes = vec![1; 1 << 16];
            while stop.load(Ordering::Relaxed) == 0 && flood.write_all(&bytes).is_ok() {}
        }
    });
    world.until("the flood runs", |world| {
        world.recorder.offers.contains(&(flood_id, turn))
    });
    let mut full_turns = 0;
    for round in 0..200 {
        victim.write_all(&[round as u8]).unwrap();
        let expected = round + 1;
        let mut polls = 0;
        while world.recorder.bytes_of(victim_id).len() < expected || polls < 20 {
            world.turn();
            polls += 1;
            let mut bytes_of: HashMap<_, usize> = HashMap::new();
            for &(id, length) in &world.recorder.offers {
                *bytes_of.entry(id).or_default() += length;
                full_turns += usize::from(id == flood_id && length == turn);
            }
            assert!(
                bytes_of.values().all(|&bytes| bytes <= turn),
                "{bytes_of:?}"
            );
            assert!(polls < 1_000_000, "the victim starves");
        }
    }
    assert!(
        full_turns > 100,
        "there was no flood: {full_turns} full turns"
    );
    stop.store(1, Ordering::Relaxed);
    // Keeps taking bytes, so that the writer comes to see the flag.
    world.until("the flood ends", |_| writer.is_finished());
    writer.join().unwrap();
}

/// The story: beside one session at line rate another's answers took seven times as long, because each duty
/// cycle held a whole turn of the first. Now connections that always have more make way for one that asks and
/// waits: however many there are, between its bytes and their delivery lie four short turns at most, two of each of
/// two duty cycles.
fn floods_make_way_for_who_sends_little(kind: DriverKind) {
    const FLOODS: usize = 3;
    let mut world = World::new(kind, small_limits());
    let short = world.driver.connections().limits().short_turn_bytes as usize;
    let (mut light, light_id) = world.peer();
    let mut floods: Vec<_> = (0..FLOODS).map(|_| world.peer()).collect();
    for round in 1..=300_usize {
        light.write_all(&[1; 50]).unwrap();
        let mut beside = Vec::new();
        world.until("the light one's bytes", |world| {
            let offers = world.recorder.offers.iter();
            beside.extend(
                offers
                    .filter(|(id, _)| *id != light_id)
                    .map(|(_, length)| *length),
            );
            world.recorder.bytes_of(light_id).len() == 50 * round
        });
        // Known by then: both what is light and what is busy.
        if round > 20 {
            assert!(
                beside.len() <= 4 && beside.iter().all(|length| *length <= short),
                "{beside:?}"
            );
        }
        for (stream, _) in &mut floods {
            stream.set_nonblocking(true).unwrap();
            // As much as the socket takes: it always has more for us.
            while stream.write(&[2; 4096]).is_ok_and(|count| count == 4096) {}
        }
    }
    let brought: Vec<_> = floods
        .iter()
        .map(|(_, id)| world.recorder.bytes_of(*id).len())
        .collect();
    let (least, most) = (brought.iter().min(), brought.iter().max());
    assert!(
        *least.unwrap() > 20 * short && *most.unwrap() <= 2 * least.unwrap(),
        "they take turns: {brought:?}"
    );
}

fn the_smallest_bounds_work(kind: DriverKind) {
    let limits = Limits {
        connections_max: 2,
        listeners_max: 1,
        send_buffer_bytes: 64,
        send_turn_bytes: 64,
        receive_tail_max: 1,
        receive_turn_bytes: 64,
        short_turn_bytes: 64,
        events_per_poll_max: 1,
        accept_burst: 1,
        accept_interval: Duration::ZERO,
        close_wait_max: Duration::from_secs(5),
    };
    let mut world = World::new(kind, limits);
    let (mut stream, connection) = world.peer();
    world.recorder.consume = Box::new(|connections, id, bytes| {
        let sent = connections.send(id, bytes);
        if sent < bytes.len() {
            connections.pause(id);
        }
        sent
    });
    world.recorder.on_sendable = Connections::resume;
    let echo = thread::spawn(move || {
        let mut echoed = vec![0; 20_000];
        let mut reader = stream.try_clone().unwrap();
        let writer = thread::spawn(move || stream.write_all(&pattern(0, 20_000)).unwrap());
        reader.read_exact(&mut echoed).unwrap();
        writer.join().unwrap();
        echoed
    });
    world.until("the echo", |_| echo.is_finished());
    assert!(echo.join().unwrap() == pattern(0, 20_000));
    assert_eq!(world.recorder.bytes_of(connection).len(), 20_000);
}
