//! A venue over sockets for tests: the local venue behind SoupBinTCP, with streams that outlive the
//! server's thread as a journal would, and a switch that ends the thread in the middle of a request.

use lockstep_bench::local::{LocalLimits, LocalVenue};
use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId,
};
use lockstep_record::StreamNumber;
use lockstep_record::event::LoginRejectReason;
use lockstep_wire::soup::{
    FRAME_HEADER_LENGTH, Input, LOGIN_ACCEPTED_FRAME_LENGTH, LOGIN_REJECTED_FRAME_LENGTH,
    SERVER_HEARTBEAT, ServerSession, TimerAction, Timing, encode_sequenced_header,
};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What survives a crash.
pub struct Durable {
    pub venue: LocalVenue,
    pub users: Vec<[u8; 6]>,
    /// Framed messages of each session, from number 1.
    pub streams: Vec<Vec<Vec<u8>>>,
    pub requests: u64,
    /// The server dies when it has taken so many requests.
    pub dies_after: u64,
}

impl Durable {
    pub fn new(users: &[[u8; 6]], symbols: &[[u8; 8]]) -> Arc<Mutex<Self>> {
        let venue = LocalVenue::new(users, symbols, LocalLimits::default()).expect("definitions");
        let mut durable = Self {
            venue,
            users: users.to_vec(),
            streams: vec![Vec::new(); users.len()],
            requests: 0,
            dies_after: u64::MAX,
        };
        durable.store_answers();
        Arc::new(Mutex::new(durable))
    }

    fn store_answers(&mut self) {
        while let Some((session, payload)) = self.venue.take_answer() {
            let mut frame = vec![0; FRAME_HEADER_LENGTH];
            encode_sequenced_header(payload.len(), &mut frame);
            frame.extend_from_slice(&payload);
            self.streams[session].push(frame);
        }
    }
}

pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(durable: &Arc<Mutex<Durable>>, kind: DriverKind) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, listening) = mpsc::channel();
        let (durable, stop_too) = (Arc::clone(durable), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut driver = AnyDriver::new(kind, &Limits::default()).expect("driver");
            let any = "127.0.0.1:0".parse().expect("address");
            let (_, address) = driver.listen(any, 64).expect("listen");
            told.send(address).expect("starter waits");
            serve(&mut driver, &durable, &stop_too);
        });
        Self {
            address: listening.recv().expect("listening"),
            stop,
            thread: Some(thread),
        }
    }

    /// True once the server died of `dies_after`.
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("server thread");
        }
    }
}

struct Connection {
    soup: ServerSession,
    session: Option<usize>,
    sent: usize,
}

struct Gateway<'a> {
    durable: MutexGuard<'a, Durable>,
    connections: &'a mut BTreeMap<ConnectionId, Connection>,
    now_ns: u64,
}

fn serve(driver: &mut AnyDriver, durable: &Mutex<Durable>, stop: &AtomicBool) {
    let mut connections = BTreeMap::new();
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let mut gateway = Gateway {
            durable: durable.lock().expect("lock"),
            connections: &mut connections,
            now_ns: started.elapsed().as_nanos() as u64,
        };
        let work = driver.poll(&mut gateway);
        gateway.send(driver.connections());
        let is_dead = gateway.durable.requests >= gateway.durable.dies_after;
        drop(gateway);
        if is_dead {
            // The driver is dropped with everything that was not flushed: a crash.
            return;
        }
        driver.flush();
        if work == 0 {
            driver.wait(Duration::from_millis(5));
        }
    }
}

impl Gateway<'_> {
    /// Sends each connection what its session's stream has for it.
    fn send(&mut self, out: &mut Connections) {
        for (id, connection) in self.connections.iter_mut() {
            let Some(session) = connection.session else {
                continue;
            };
            let stream = &self.durable.streams[session];
            while connection.sent < stream.len()
                && out.send_room(*id) >= stream[connection.sent].len()
            {
                out.send(*id, &stream[connection.sent]);
                connection.sent += 1;
            }
            if connection.soup.poll_timer(self.now_ns) == Some(TimerAction::SendHeartbeat) {
                out.send(*id, &SERVER_HEARTBEAT);
                connection.soup.handle_sent(self.now_ns);
            }
        }
    }

    fn log_in(&mut self, out: &mut Connections, id: ConnectionId, user: [u8; 6], number: u64) {
        let known = self.durable.users.iter().position(|known| *known == user);
        let Some(session) = known else {
            let soup = &mut self.connections.get_mut(&id).expect("live").soup;
            let mut rejected = [0; LOGIN_REJECTED_FRAME_LENGTH];
            let length = soup.login_rejected(LoginRejectReason::NotAuthorized, &mut rejected);
            out.send(id, &rejected[..length.expect("a login is pending")]);
            return out.close(id, Close::AfterFlush);
        };
        let next = self.durable.streams[session].len() as u64 + 1;
        let number = if number == 0 { next } else { number };
        assert!(number <= next, "asked for message {number} of {next}");
        let connection = self.connections.get_mut(&id).expect("live");
        let mut accepted = [0; LOGIN_ACCEPTED_FRAME_LENGTH];
        let first = StreamNumber(number);
        let length =
            connection
                .soup
                .login_accepted(b"     LOCAL", first, self.now_ns, &mut accepted);
        out.send(id, &accepted[..length.expect("a login is pending")]);
        connection.session = Some(session);
        connection.sent = number as usize - 1;
    }

    fn take(&mut self, out: &mut Connections, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut consumed = 0;
        loop {
            let connection = self.connections.get_mut(&id).expect("live");
            let taken = connection
                .soup
                .handle_bytes(&bytes[consumed..], self.now_ns)
                .expect("a sound client");
            consumed += taken.consumed;
            match taken.input {
                Some(Input::Login(login)) => {
                    let (user, number) = (*login.user().padded(), login.number().expect("number"));
                    self.log_in(out, id, user, number);
                }
                Some(Input::Data(payload)) => {
                    if self.durable.requests >= self.durable.dies_after {
                        return bytes.len();
                    }
                    let session = connection.session.expect("logged in");
                    self.durable.requests += 1;
                    self.durable
                        .venue
                        .submit(session, payload)
                        .expect("sound requests");
                    self.durable.store_answers();
                }
                Some(Input::Logout) => {
                    out.close(id, Close::AfterFlush);
                    return bytes.len();
                }
                None => {}
            }
            if taken.consumed == 0 {
                return consumed;
            }
        }
    }
}

impl Handler for Gateway<'_> {
    fn accepted(&mut self, _: &mut Connections, _: ListenerId, id: ConnectionId, _: SocketAddr) {
        let connection = Connection {
            soup: ServerSession::new(self.now_ns, Timing::default()),
            session: None,
            sent: 0,
        };
        self.connections.insert(id, connection);
    }

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), io::ErrorKind>) {}

    fn received(&mut self, out: &mut Connections, id: ConnectionId, bytes: &[u8]) -> usize {
        self.take(out, id, bytes)
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {}

    fn closed(&mut self, _: &mut Connections, id: ConnectionId, _: CloseReason) {
        self.connections.remove(&id);
    }
}
