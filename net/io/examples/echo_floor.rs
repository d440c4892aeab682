//! Echo round trip over TCP loopback with both sides spinning: the floor under every latency figure.
//!
//! `cargo run --release -p lockstep-net --example echo_floor -- [ROUNDS] [BYTES] [SESSIONS] [IDLE]`
//!
//! Prints one line for plain non-blocking sockets (no readiness call at all: the kernel's own floor),
//! then one per driver, driver against the same driver: `SESSIONS` connections ping-pong at once,
//! `ROUNDS` messages in all, `IDLE` further connections are open; then what an idle poll costs. Nothing
//! is pinned: pin with taskset.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lockstep_net::{
    AnyDriver, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
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

/// A connection with a message on its way.
#[derive(Copy, Clone)]
struct Session {
    received: usize,
    sent_at: Instant,
}

/// Sends the next message of a session when its last came back whole.
struct Pinger {
    message: Vec<u8>,
    /// By slot.
    sessions: Vec<Session>,
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
        let session = &mut self.sessions[connection.slot() as usize];
        session.received += bytes.len();
        if session.received == self.message.len() {
            let now = Instant::now();
            self.round_trips_ns
                .push((now - session.sent_at).as_nanos() as u64);
            *session = Session {
                received: 0,
                sent_at: now,
            };
            if self.round_trips_ns.len() < self.rounds {
                connections.send(connection, &self.message);
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

/// What one driver showed.
struct Outcome {
    round_trips_ns: Vec<u64>,
    elapsed: Duration,
    idle_poll_ns: u64,
}

fn ping(kind: DriverKind, address: SocketAddr, plan: &Plan) -> Outcome {
    let mut driver = AnyDriver::new(kind, &Limits::default()).expect("driver");
    let start = Instant::now();
    let mut pinger = Pinger {
        message: vec![7; plan.bytes],
        sessions: vec![
            Session {
                received: 0,
                sent_at: start
            };
            plan.sessions + plan.idle
        ],
        round_trips_ns: Vec::with_capacity(plan.rounds + plan.sessions),
        rounds: plan.rounds,
        connected: 0,
    };
    let connect = |driver: &mut AnyDriver| driver.connect(address).expect("connect");
    let busy: Vec<_> = (0..plan.sessions).map(|_| connect(&mut driver)).collect();
    for _ in 0..plan.idle {
        connect(&mut driver);
    }
    while pinger.connected < plan.sessions + plan.idle {
        driver.flush();
        driver.poll(&mut pinger);
    }
    let start = Instant::now();
    for session in &mut pinger.sessions {
        session.sent_at = start;
    }
    for connection in &busy {
        driver.send(*connection, &vec![7; plan.bytes]);
    }
    while pinger.round_trips_ns.len() < plan.rounds {
        driver.flush();
        driver.poll(&mut pinger);
    }
    let elapsed = start.elapsed();
    let idle_poll_ns = idle_poll_ns(&mut driver, &mut pinger);
    Outcome {
        round_trips_ns: pinger.round_trips_ns,
        elapsed,
        idle_poll_ns,
    }
}

/// After the last answers have come: mean of many polls that find nothing.
fn idle_poll_ns(driver: &mut AnyDriver, pinger: &mut Pinger) -> u64 {
    const POLLS: u32 = 100_000;
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(20) {
        driver.flush();
        if driver.poll(pinger) > 0 {
            quiet = Instant::now();
        }
    }
    let start = Instant::now();
    for _ in 0..POLLS {
        driver.flush();
        driver.poll(pinger);
    }
    (start.elapsed() / POLLS).as_nanos() as u64
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

/// The arguments.
struct Plan {
    rounds: usize,
    bytes: usize,
    sessions: usize,
    idle: usize,
}

fn main() {
    let plan = Plan {
        rounds: argument(1, 100_000),
        bytes: argument(2, 64),
        sessions: argument(3, 1),
        idle: argument(4, 0),
    };
    let report_of_host = probe();
    println!("{report_of_host}");
    report("plain", &plain(plan.rounds, plan.bytes));
    let mut kinds = vec![DriverKind::Epoll];
    if report_of_host.chosen() == DriverKind::IoUring {
        kinds.push(DriverKind::IoUring);
    }
    for kind in kinds {
        let stop = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| serve(kind, &sender, &stop));
            let outcome = ping(kind, receiver.recv().unwrap(), &plan);
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        report(kind.name(), &outcome.round_trips_ns);
        let per_second = outcome.round_trips_ns.len() as f64 / outcome.elapsed.as_secs_f64();
        let idle_ns = outcome.idle_poll_ns;
        println!(
            "{:10} {per_second:.0} round trips/s; an idle poll and flush: {idle_ns} ns",
            ""
        );
    }
}
