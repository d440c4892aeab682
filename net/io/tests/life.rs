//! How connections begin: accept, connect, bounds, ids, addresses; and how a driver ends.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::{Recorder, Told, World, pattern, small_limits};
use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Driver, DriverKind, Limits, NetError,
};

on_both_drivers!(
    connect_and_refusal,
    connections_beyond_the_bound_are_closed_and_counted,
    outgoing_connections_beyond_the_bound_are_an_error,
    listeners_are_told_apart_and_bounded,
    an_address_in_use_is_named,
    a_stale_id_is_a_no_op,
    a_dropped_driver_lets_its_peers_go,
    version_six_addresses_work,
    the_largest_bounds_can_be_made,
);

fn finish(world: &mut World) {
    world.until("all slots free", |world| {
        world.driver.connections().live() == 0
    });
    world.assert_all_gone();
}

fn connect_and_refusal(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let good = world.driver.connect(world.address).unwrap();
    let refused = world.driver.connect(nobody).unwrap();
    assert_ne!(good, refused);
    assert_eq!(world.driver.send(good, b"early"), 0, "not open yet");
    world.until("both outcomes", |world| {
        world.was_told(Told::Connected(good, Ok(())))
            && world.was_told(Told::Connected(refused, Err(ErrorKind::ConnectionRefused)))
    });
    world.driver.close(good, Close::AfterFlush);
    assert_eq!(world.until_closed(good), CloseReason::Local);
    finish(&mut world);
    let stats = world.driver.stats();
    assert_eq!((stats.accepted, stats.connected, stats.closed), (1, 1, 2));
}

fn connections_beyond_the_bound_are_closed_and_counted(kind: DriverKind) {
    let mut world = World::new(
        kind,
        Limits {
            connections_max: 4,
            ..small_limits()
        },
    );
    let mut served: Vec<_> = (0..4).map(|_| world.peer()).collect();
    let mut surplus: Vec<_> = (0..30)
        .map(|_| TcpStream::connect(world.address).unwrap())
        .collect();
    world.until("all refused", |world| {
        world.driver.stats().refused_full == 30
    });
    for stream in &mut surplus {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "closed at once");
    }
    for (stream, id) in &mut served {
        stream.write_all(b"hello").unwrap();
        world.until("served on", |world| {
            world.recorder.bytes_of(*id) == b"hello"
        });
    }
    // A place that becomes free is given again.
    let (stream, id) = served.pop().unwrap();
    drop(stream);
    assert_eq!(world.until_closed(id), CloseReason::PeerClosed);
    let (_stream, newcomer) = world.peer();
    assert_eq!(newcomer.slot(), id.slot());
    assert_eq!(newcomer.generation(), id.generation() + 1);
    assert_eq!(world.driver.stats().accepted, 5);
}

fn outgoing_connections_beyond_the_bound_are_an_error(kind: DriverKind) {
    let mut driver = AnyDriver::new(
        kind,
        &Limits {
            connections_max: 2,
            ..small_limits()
        },
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    driver.connect(address).unwrap();
    driver.connect(address).unwrap();
    let error = driver.connect(address).unwrap_err();
    assert!(matches!(error, NetError::ConnectionsFull { max: 2 }));
    assert!(
        error.to_string().contains("raise connections_max"),
        "{error}"
    );
}

fn listeners_are_told_apart_and_bounded(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let any = "127.0.0.1:0".parse().unwrap();
    let (second, address) = world.driver.listen(any, 8).unwrap();
    assert_ne!(address, world.address);
    assert_ne!(address.port(), 0);
    let error = world.driver.listen(any, 8).unwrap_err();
    assert!(matches!(error, NetError::ListenersFull { max: 2 }));
    let (_first_peer, first_id) = world.peer();
    world.address = address;
    let (_second_peer, second_id) = world.peer();
    let listener_of = |id: ConnectionId| {
        world.recorder.told.iter().find_map(|told| match told {
            Told::Accepted(listener, accepted, _) if *accepted == id => Some(*listener),
            _ => None,
        })
    };
    assert_eq!(listener_of(second_id), Some(second));
    assert_ne!(listener_of(first_id), Some(second));
}

fn an_address_in_use_is_named(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let taken = world.address;
    let error = world.driver.listen(taken, 8).unwrap_err();
    assert!(matches!(error, NetError::Listen { address, .. } if address == taken));
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert!(error.to_string().contains("ss -ltnp"), "{error}");
}

fn a_stale_id_is_a_no_op(kind: DriverKind) {
    let mut world = World::new(
        kind,
        Limits {
            connections_max: 1,
            ..small_limits()
        },
    );
    let (stream, stale) = world.peer();
    drop(stream);
    world.until_closed(stale);
    let (mut stream, fresh) = world.peer();
    assert_eq!(stale.slot(), fresh.slot());
    assert_ne!(stale, fresh);
    assert_eq!(world.driver.send(stale, b"for another"), 0);
    assert_eq!(world.driver.send_room(stale), 0);
    world.driver.pause(stale);
    world.driver.close(stale, Close::Now);
    world.driver.close(stale, Close::AfterFlush);
    for never in [
        ConnectionId(0),
        ConnectionId(u64::MAX),
        ConnectionId(fresh.0 + (1 << 32)),
    ] {
        world.driver.close(never, Close::Now);
        assert_eq!(world.driver.send(never, b"for nobody"), 0);
        assert!(!world.driver.connections().is_open(never));
    }
    stream.write_all(b"hello").unwrap();
    world.until("served", |world| world.recorder.bytes_of(fresh) == b"hello");
    assert_eq!(world.driver.send(fresh, b"world"), 5);
    world.turn();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"world");
}

/// With receives armed, a send stuck and a connect in flight.
fn a_dropped_driver_lets_its_peers_go(kind: DriverKind) {
    let mut world = World::new(kind, small_limits());
    let (mut idle, _) = world.peer();
    let (_deaf, deaf_id) = world.peer();
    let mut still = Instant::now();
    world.until("its buffers are full", |world| {
        if world.driver.send(deaf_id, &pattern(0, 10_000)) > 0 {
            still = Instant::now();
        }
        still.elapsed() > Duration::from_millis(50)
    });
    world
        .driver
        .connect("192.0.2.1:9".parse().unwrap())
        .unwrap();
    world.turn();
    let start = Instant::now();
    let address = world.address;
    drop(world);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "the kernel did not let go"
    );
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0);
    // The listener is gone too, descriptors and all.
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

/// Both queues of a ring hold every operation that may be outstanding, up to the largest bound.
fn the_largest_bounds_can_be_made(kind: DriverKind) {
    let limits = Limits {
        connections_max: 10_000,
        listeners_max: 64,
        ..Limits::default()
    };
    let mut world = World::new(kind, limits);
    let (mut stream, id) = world.peer();
    stream.write_all(b"hello").unwrap();
    world.until("served", |world| world.recorder.bytes_of(id) == b"hello");
    let beyond = Limits {
        connections_max: 10_001,
        ..limits
    };
    let error = AnyDriver::new(kind, &beyond).unwrap_err();
    assert!(
        error.to_string().contains("choose a value from 1 to 10000"),
        "{error}"
    );
}

fn version_six_addresses_work(kind: DriverKind) {
    let mut driver = AnyDriver::new(kind, &small_limits()).unwrap();
    let listened = driver.listen("[::1]:0".parse().unwrap(), 8);
    let (_, address) = match listened {
        Err(NetError::Listen { source, .. }) if source.kind() == ErrorKind::AddrNotAvailable => {
            return eprintln!("SKIP: no IPv6 loopback here");
        }
        other => other.unwrap(),
    };
    let id = driver.connect(address).unwrap();
    let mut world = World {
        driver,
        recorder: Recorder::new(),
        address,
    };
    world.until("both ends", |world| {
        world.was_told(Told::Connected(id, Ok(()))) && world.driver.stats().accepted == 1
    });
    let peer = world.recorder.told.iter().find_map(|told| match told {
        Told::Accepted(_, _, peer) => Some(*peer),
        _ => None,
    });
    assert!(peer.unwrap().is_ipv6());
}
