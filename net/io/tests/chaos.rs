//! Random peers against a random handler, checked against a model of what must hold: bytes in order and
//! untouched, none while paused, all of them before an orderly end, everything freed in the end.

mod common;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{Random, pattern};
use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId,
};

on_both_drivers!(random_life);

const SEEDS: u64 = 12;
const STEPS: usize = 4_000;
const PEERS: usize = 12;
/// The handler takes whole frames of this many bytes, so that tails are kept all the time.
const FRAME: usize = 7;

/// One connection as the handler's side knows it.
#[derive(Default)]
struct Side {
    consumed: usize,
    sent: usize,
    paused: bool,
    closing: bool,
    finished: bool,
    closed: Option<CloseReason>,
}

struct Model {
    random: Random,
    sides: HashMap<ConnectionId, Side>,
    by_peer: HashMap<SocketAddr, ConnectionId>,
}

impl Model {
    fn side(&mut self, id: ConnectionId) -> &mut Side {
        self.sides.get_mut(&id).expect("accepted before")
    }

    fn close(&mut self, connections: &mut Connections, id: ConnectionId, how: Close) {
        connections.close(id, how);
        self.side(id).closing = true;
    }

    fn pause(&mut self, connections: &mut Connections, id: ConnectionId, paused: bool) {
        if paused {
            connections.pause(id);
        } else {
            connections.resume(id);
        }
        self.side(id).paused = paused;
    }

    fn send(&mut self, connections: &mut Connections, id: ConnectionId) {
        let length = 1 + self.random.below(3_000);
        let room = connections.send_room(id);
        let side = self.side(id);
        let taken = connections.send(id, &pattern(side.sent, length));
        assert_eq!(taken, length.min(room));
        assert!(!side.closing || taken == 0);
        side.sent += taken;
    }
}

impl Handler for Model {
    fn accepted(
        &mut self,
        _: &mut Connections,
        _: ListenerId,
        connection: ConnectionId,
        peer: SocketAddr,
    ) {
        assert!(
            self.sides.insert(connection, Side::default()).is_none(),
            "an id was reused"
        );
        self.by_peer.insert(peer, connection);
    }

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), ErrorKind>) {
        panic!("nothing was connected");
    }

    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        let choice = self.random.below(12);
        let side = self.side(connection);
        assert!(!side.paused && !side.closing && !side.finished && side.closed.is_none());
        assert!(
            bytes == pattern(side.consumed, bytes.len()),
            "bytes lost, doubled or moved"
        );
        let whole = bytes.len() - bytes.len() % FRAME;
        let consumed = if choice == 0 {
            whole / FRAME / 2 * FRAME
        } else {
            whole
        };
        side.consumed += consumed;
        if consumed < whole || choice == 1 {
            self.pause(connections, connection, true);
        }
        match choice {
            2 | 3 => self.send(connections, connection),
            4 if self.random.below(60) == 0 => {
                self.close(connections, connection, Close::AfterFlush);
            }
            _ => {}
        }
        consumed
    }

    fn peer_finished(&mut self, connections: &mut Connections, connection: ConnectionId) {
        let side = self.side(connection);
        assert!(!side.finished && !side.paused && !side.closing);
        side.finished = true;
        self.close(connections, connection, Close::AfterFlush);
    }

    fn sendable(&mut self, connections: &mut Connections, connection: ConnectionId) {
        assert!(!self.side(connection).closing);
        self.send(connections, connection);
    }

    fn closed(&mut self, _: &mut Connections, connection: ConnectionId, why: CloseReason) {
        let side = self.side(connection);
        assert!(side.closed.replace(why).is_none(), "closed twice");
    }
}

/// The other end of a connection.
struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    sent: usize,
    received: usize,
    ended: bool,
    /// Nothing more comes: an end (true) or an error (false).
    over: Option<bool>,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let address = stream.local_addr().unwrap();
        Self {
            stream,
            address,
            sent: 0,
            received: 0,
            ended: false,
            over: None,
        }
    }

    fn write(&mut self, length: usize) {
        if self.ended {
            return;
        }
        match self.stream.write(&pattern(self.sent, length)) {
            Ok(count) => self.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A reset is reported once, here or by a read; after that, reads see an end.
            Err(_) => self.over = Some(false),
        }
    }

    fn read(&mut self, length: usize) {
        let mut bytes = vec![0; length];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.over = Some(true),
            Ok(count) => {
                assert!(bytes[..count] == pattern(self.received, count));
                self.received += count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.over = Some(false),
        }
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

struct Run {
    driver: AnyDriver,
    model: Model,
    random: Random,
    address: SocketAddr,
    peers: Vec<Peer>,
    orderly_ends: usize,
}

impl Run {
    fn new(kind: DriverKind, seed: u64) -> Self {
        let limits = Limits {
            // A paused connection does not see its peer go, so there are more of them than peers.
            connections_max: 200,
            listeners_max: 1,
            send_buffer_bytes: 8_000,
            send_turn_bytes: 1_500,
            receive_tail_max: 64,
            receive_turn_bytes: 700,
            short_turn_bytes: 100,
            events_per_poll_max: 5,
            accept_burst: 1,
            accept_interval: Duration::ZERO,
            close_wait_max: Duration::from_secs(30),
        };
        let mut driver = AnyDriver::new(kind, &limits).unwrap();
        let (_, address) = driver.listen("127.0.0.1:0".parse().unwrap(), 64).unwrap();
        let model = Model {
            random: Random::new(seed * 31 + 7),
            sides: HashMap::new(),
            by_peer: HashMap::new(),
        };
        let random = Random::new(seed);
        Self {
            driver,
            model,
            random,
            address,
            peers: Vec::new(),
            orderly_ends: 0,
        }
    }

    fn turn(&mut self) {
        self.driver.poll(&mut self.model);
        self.driver.flush();
    }

    fn step(&mut self) {
        if self.peers.len() < PEERS {
            self.peers.push(Peer::new(self.address));
        }
        let index = self.random.below(self.peers.len());
        let length = 1 + self.random.below(2_500);
        let choice = self.random.below(100);
        let peer = &mut self.peers[index];
        match choice {
            0..25 => peer.write(length),
            25..45 => peer.read(length),
            45 => peer.end(),
            46 if length < 500 => drop(self.peers.swap_remove(index)),
            47..60 => self.ask(index, choice),
            60..62 => self.driver.wait(Duration::from_micros(50)),
            _ => self.turn(),
        }
        self.drop_ended_peers();
    }

    /// Asks something of the connection from outside the callbacks.
    fn ask(&mut self, index: usize, choice: usize) {
        let Some(&id) = self.model.by_peer.get(&self.peers[index].address) else {
            return;
        };
        if self.model.side(id).closed.is_some() {
            return;
        }
        let connections = self.driver.connections();
        match choice {
            47..50 => self.model.send(connections, id),
            50..52 => self.model.pause(connections, id, true),
            52..59 => self.model.pause(connections, id, false),
            _ if self.random.below(8) == 0 => self.model.close(connections, id, Close::Now),
            _ if self.random.below(8) == 0 => self.model.close(connections, id, Close::AfterFlush),
            _ => {}
        }
    }

    fn drop_ended_peers(&mut self) {
        while let Some(index) = self.peers.iter().position(|peer| peer.over.is_some()) {
            let peer = self.peers.swap_remove(index);
            self.check_end(&peer);
        }
    }

    /// What an orderly end promises: the peer has every byte we took, and we have every byte of a peer
    /// that ended its side, but for the frame it did not finish.
    fn check_end(&mut self, peer: &Peer) {
        let Some(id) = self.model.by_peer.get(&peer.address) else {
            return;
        };
        let side = &self.model.sides[id];
        if peer.over == Some(true) {
            self.orderly_ends += 1;
            assert!(side.closing, "an end that nobody asked for");
            assert_eq!(peer.received, side.sent);
        }
        if side.finished {
            assert!(peer.ended && peer.sent - side.consumed < FRAME);
        }
    }

    /// Ends every connection in order and waits until all is gone.
    fn finish(mut self) -> usize {
        let start = Instant::now();
        while !self.peers.is_empty() || self.driver.connections().live() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "does not end");
            let sides = self.model.sides.iter();
            let live: Vec<_> = sides
                .filter(|(_, side)| side.closed.is_none())
                .map(|(id, _)| *id)
                .collect();
            for id in live {
                self.model.pause(self.driver.connections(), id, false);
            }
            for peer in &mut self.peers {
                peer.end();
                peer.read(1 << 14);
            }
            self.drop_ended_peers();
            self.turn();
        }
        let stats = self.driver.stats();
        assert_eq!(stats.accepted, stats.closed);
        assert_eq!(
            stats.closes_cut + stats.tail_overflows + stats.refused_full,
            0
        );
        assert!(self.model.sides.values().all(|side| side.closed.is_some()));
        self.orderly_ends
    }
}

fn random_life(kind: DriverKind) {
    let mut orderly_ends = 0;
    for seed in 1..=SEEDS {
        let mut run = Run::new(kind, seed);
        for _ in 0..STEPS {
            run.step();
        }
        orderly_ends += run.finish();
    }
    assert!(
        orderly_ends > 10 * SEEDS as usize,
        "only {orderly_ends} orderly ends"
    );
}
