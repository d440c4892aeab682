//! Echo round trip over TCP loopback with both sides spinning: the floor under every latency figure.
//!
//! `cargo run --release -p lockstep-net --example echo_floor -- [ROUNDS] [BYTES] [IDLE]`
//!
//! Prints one line for plain non-blocking sockets (no readiness call at all: the kernel's own floor),
//! then one per driver, driver against the same driver, with `IDLE` further connections open. Nothing
//! is pinned: pin with taskset.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId, probe,
};

const WARM_UP: usize = 5_000;

/// Sends back what it gets.
struct Echo;

impl Handler for Echo {
    fn accepted(&mut self, _: &mut Connections, _: ListenerId, _: ConnectionId, _: SocketAddr) {}

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), ErrorKind>) {}

    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        connections.send(connection, bytes)
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {}

    fn closed(&mut self, _: &mut Connections, _: ConnectionId, _: CloseReason) {}
}

/// Sends the next message when the last came back whole.
struct Pinger {
    message: Vec<u8>,
    received: usize,
    sent_at: Instant,
    round_trips_ns: Vec<u64>,
    rounds: usize,
    connected: usize,
}

impl Handler for Pinger {
    fn accepted(&mut self, _: &mut Connections, _: ListenerId, _: ConnectionId, _: SocketAddr) {}

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, result: Result<(), ErrorKind>) {
        result.expect("the echo server listens");
        self.connected += 1;
    }

    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        self.received += bytes.len();
        if self.received == self.message.len() {
            let now = Instant::now();
            self.round_trips_ns
                .push((now - self.sent_at).as_nanos() as u64);
            self.received = 0;
            self.sent_at = now;
            if self.round_trips_ns.len() < self.rounds {
                connections.send(connection, &self.message);
            } else {
                connections.close(connection, Close::AfterFlush);
            }
        }
        bytes.len()
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {}

    fn closed(&mut self, _: &mut Connections, _: ConnectionId, _: CloseReason) {}
}

fn serve(kind: DriverKind, address: &mpsc::Sender<SocketAddr>, stop: &AtomicBool) {
    let mut driver = AnyDriver::new(kind, &Limits::default()).expect("driver");
    let (_, bound) = driver
        .listen("127.0.0.1:0".parse().unwrap(), 1024)
        .expect("listen");
    address.send(bound).unwrap();
    while !stop.load(Ordering::Relaxed) {
        driver.poll(&mut Echo);
        driver.flush();
    }
}

fn ping(
    kind: DriverKind,
    address: SocketAddr,
    rounds: usize,
    bytes: usize,
    idle: usize,
) -> Vec<u64> {
    let mut driver = AnyDriver::new(kind, &Limits::default()).expect("driver");
    let mut pinger = Pinger {
        message: vec![7; bytes],
        received: 0,
        sent_at: Instant::now(),
        round_trips_ns: Vec::with_capacity(rounds),
        rounds,
        connected: 0,
    };
    let connection = driver.connect(address).expect("connect");
    for _ in 0..idle {
        driver.connect(address).expect("connect");
    }
    while pinger.connected < idle + 1 {
        driver.poll(&mut pinger);
        driver.flush();
    }
    pinger.sent_at = Instant::now();
    driver.send(connection, &vec![7; bytes]);
    while pinger.round_trips_ns.len() < rounds {
        driver.flush();
        driver.poll(&mut pinger);
    }
    driver.flush();
    pinger.round_trips_ns
}

/// Spins on `recv` without asking for readiness.
fn receive_spinning(stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn plain(rounds: usize, bytes: usize) -> Vec<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut message = vec![0; bytes];
        while receive_spinning(&mut stream, &mut message).is_ok() {
            stream.write_all(&message).unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut message = vec![7; bytes];
    let mut round_trips_ns = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let sent_at = Instant::now();
        stream.write_all(&message).unwrap();
        receive_spinning(&mut stream, &mut message).unwrap();
        round_trips_ns.push(sent_at.elapsed().as_nanos() as u64);
    }
    drop(stream);
    server.join().unwrap();
    round_trips_ns
}

fn report(name: &str, round_trips_ns: &[u64]) {
    let mut sorted = round_trips_ns[WARM_UP.min(round_trips_ns.len() / 2)..].to_vec();
    sorted.sort_unstable();
    let at = |per_mille: usize| sorted[(sorted.len() - 1) * per_mille / 1000] as f64 / 1000.0;
    println!(
        "{name:10} round trip us: min {:.2}  p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
        at(0),
        at(500),
        at(900),
        at(990),
        at(999),
        at(1000)
    );
}

fn argument(position: usize, default: usize) -> usize {
    std::env::args()
        .nth(position)
        .map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    let (rounds, bytes, idle) = (argument(1, 100_000), argument(2, 64), argument(3, 0));
    let report_of_host = probe();
    println!("{report_of_host}");
    report("plain", &plain(rounds, bytes));
    let mut kinds = vec![DriverKind::Epoll];
    if report_of_host.chosen() == DriverKind::IoUring {
        kinds.push(DriverKind::IoUring);
    }
    for kind in kinds {
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        let round_trips_ns = std::thread::scope(|scope| {
            scope.spawn(|| serve(kind, &sender, &stop));
            let address = receiver.recv().unwrap();
            let round_trips_ns = ping(kind, address, rounds, bytes, idle);
            stop.store(true, Ordering::Relaxed);
            round_trips_ns
        });
        report(kind.name(), &round_trips_ns);
    }
}
