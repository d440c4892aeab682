//! What the driver tests share: a handler that records, and a driver with it, run until something holds.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId, probe,
};

/// Whether the host allows the driver; says so if not.
pub fn allowed(kind: DriverKind) -> bool {
    match (kind, probe().io_uring) {
        (DriverKind::IoUring, Err(lack)) => {
            eprintln!("SKIP: no io_uring here: {lack}");
            false
        }
        _ => true,
    }
}

/// Each named function, taking a driver kind, as a test per driver.
#[macro_export]
macro_rules! on_both_drivers {
    ($($name:ident),+ $(,)?) => {
        mod io_uring {
            $(#[test]
            fn $name() {
                if $crate::common::allowed(lockstep_net::DriverKind::IoUring) {
                    super::$name(lockstep_net::DriverKind::IoUring);
                }
            })+
        }
        mod epoll {
            $(#[test]
            fn $name() {
                super::$name(lockstep_net::DriverKind::Epoll);
            })+
        }
    };
}

/// What a handler was told, bytes aside.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Told {
    Accepted(ListenerId, ConnectionId, SocketAddr),
    Connected(ConnectionId, Result<(), ErrorKind>),
    PeerFinished(ConnectionId),
    Sendable(ConnectionId),
    Closed(ConnectionId, CloseReason),
}

/// What `received` does: how many bytes to consume.
pub type Consume = Box<dyn FnMut(&mut Connections, ConnectionId, &[u8]) -> usize>;

/// Records everything; consumes as told. Asserts what must hold of every callback.
pub struct Recorder {
    pub told: Vec<Told>,
    pub received: Vec<(ConnectionId, Vec<u8>)>,
    pub consume: Consume,
    pub on_peer_finished: fn(&mut Connections, ConnectionId),
    pub on_open: fn(&mut Connections, ConnectionId),
    pub on_sendable: fn(&mut Connections, ConnectionId),
    live: Vec<ConnectionId>,
    /// `received` calls of the current poll.
    pub offers: Vec<(ConnectionId, usize)>,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            told: Vec::new(),
            received: Vec::new(),
            consume: Box::new(|_, _, bytes| bytes.len()),
            on_peer_finished: |connections, connection| {
                connections.close(connection, Close::AfterFlush);
            },
            on_open: |_, _| {},
            on_sendable: |_, _| {},
            live: Vec::new(),
            offers: Vec::new(),
        }
    }

    pub fn bytes_of(&self, connection: ConnectionId) -> &[u8] {
        let found = self.received.iter().find(|(id, _)| *id == connection);
        found.map_or(&[], |(_, bytes)| bytes)
    }

    fn open(&mut self, connections: &mut Connections, connection: ConnectionId) {
        assert!(connections.is_open(connection));
        assert!(
            !self.received.iter().any(|(id, _)| *id == connection),
            "an id was reused"
        );
        self.live.push(connection);
        self.received.push((connection, Vec::new()));
        (self.on_open)(connections, connection);
    }
}

impl Handler for Recorder {
    fn accepted(
        &mut self,
        connections: &mut Connections,
        listener: ListenerId,
        connection: ConnectionId,
        peer: SocketAddr,
    ) {
        self.told.push(Told::Accepted(listener, connection, peer));
        self.open(connections, connection);
    }

    fn connected(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        result: Result<(), ErrorKind>,
    ) {
        self.told.push(Told::Connected(connection, result));
        match result {
            Ok(()) => self.open(connections, connection),
            Err(_) => assert!(!connections.is_open(connection)),
        }
    }

    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        assert!(connections.is_open(connection), "offered though closing");
        assert!(!bytes.is_empty());
        self.offers.push((connection, bytes.len()));
        let consumed = (self.consume)(connections, connection, bytes);
        let kept = self.received.iter_mut().find(|(id, _)| *id == connection);
        kept.expect("opened before")
            .1
            .extend_from_slice(&bytes[..consumed]);
        consumed
    }

    fn peer_finished(&mut self, connections: &mut Connections, connection: ConnectionId) {
        assert!(connections.is_open(connection));
        self.told.push(Told::PeerFinished(connection));
        (self.on_peer_finished)(connections, connection);
    }

    fn sendable(&mut self, connections: &mut Connections, connection: ConnectionId) {
        let half = connections.limits().send_buffer_bytes as usize / 2;
        assert!(connections.send_room(connection) >= half);
        self.told.push(Told::Sendable(connection));
        (self.on_sendable)(connections, connection);
    }

    fn closed(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        why: CloseReason,
    ) {
        let position = self.live.iter().position(|id| *id == connection);
        self.live
            .swap_remove(position.expect("closed once, and only what was opened"));
        assert_eq!(connections.send(connection, b"x"), 0, "the id is dead");
        self.told.push(Told::Closed(connection, why));
    }
}

/// A driver, its handler, and one listener on a port the system chose.
pub struct World {
    pub driver: AnyDriver,
    pub recorder: Recorder,
    pub address: SocketAddr,
}

/// Small enough that every bound is met quickly, large enough to be plausible.
pub fn small_limits() -> Limits {
    Limits {
        connections_max: 64,
        listeners_max: 2,
        send_buffer_bytes: 32 * 1024,
        send_turn_bytes: 4 * 1024,
        receive_tail_max: 16 * 1024,
        receive_turn_bytes: 2 * 1024,
        short_turn_bytes: 512,
        events_per_poll_max: 16,
        accept_burst: 1,
        accept_interval: Duration::ZERO,
        close_wait_max: Duration::from_secs(5),
    }
}

/// Nothing here takes longer than this unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

impl World {
    pub fn new(kind: DriverKind, limits: Limits) -> Self {
        let mut driver = AnyDriver::new(kind, &limits).unwrap();
        let (_, address) = driver.listen("127.0.0.1:0".parse().unwrap(), 1024).unwrap();
        Self {
            driver,
            recorder: Recorder::new(),
            address,
        }
    }

    pub fn turn(&mut self) -> usize {
        self.recorder.offers.clear();
        let work = self.driver.poll(&mut self.recorder);
        self.driver.flush();
        work
    }

    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            if self.turn() == 0 {
                std::thread::yield_now();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: not in time; told {:?}; {:?}",
                self.recorder.told,
                self.driver.stats()
            );
        }
    }

    /// Long enough that whatever is on its way has arrived.
    pub fn settle(&mut self) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(30) {
            self.turn();
            std::thread::yield_now();
        }
    }

    /// A peer of plain blocking sockets, and its connection here.
    pub fn peer(&mut self) -> (TcpStream, ConnectionId) {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let local = stream.local_addr().unwrap();
        let mut found = None;
        self.until("accept", |world| {
            found = world.recorder.told.iter().find_map(|told| match told {
                Told::Accepted(_, id, peer) if *peer == local => Some(*id),
                _ => None,
            });
            found.is_some()
        });
        (stream, found.unwrap())
    }

    pub fn until_closed(&mut self, connection: ConnectionId) -> CloseReason {
        let mut why = None;
        self.until("close", |world| {
            why = world.recorder.told.iter().find_map(|told| match told {
                Told::Closed(id, why) if *id == connection => Some(*why),
                _ => None,
            });
            why.is_some()
        });
        why.unwrap()
    }

    pub fn was_told(&self, told: Told) -> bool {
        self.recorder.told.contains(&told)
    }

    /// No slot is held and every opened connection was told closed.
    pub fn assert_all_gone(&mut self) {
        assert_eq!(self.driver.connections().live(), 0);
        let stats = *self.driver.stats();
        assert_eq!(stats.accepted + stats.connected, stats.closed);
        assert!(self.recorder.live.is_empty());
    }
}

/// A byte pattern whose period (251 is prime) shows any lost, doubled or moved byte.
pub fn pattern(start: usize, length: usize) -> Vec<u8> {
    (start..start + length)
        .map(|index| (index % 251) as u8)
        .collect()
}

/// xorshift64*: the tests' only source of chance, seeded.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
