//! The gateway: connections in, command records out; numbered messages in, connections out.
//!
//! It decides nothing about trading. By itself it says only what has no number: login answers,
//! heartbeats, end of session, debug text. What it cannot pass on it leaves unread, which reaches the
//! client's TCP window; what a client does not read waits in the client's stream file.
//!
//! `Gateway` is a plain state machine over [`Out`]; the agent that owns the driver is in `shell`.

mod delivery;
mod intake;
mod limits;
mod login;
mod shell;
#[cfg(test)]
mod tests;

pub use limits::LoginsConfig;
pub use shell::{GatewayAgent, GatewaySetup};

use crate::auth::Verifier;
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::Fatal;
use crate::ring;
use limits::LoginLimits;
use lockstep_net::ConnectionId;
use lockstep_record::command::{Disconnect, Login};
use lockstep_record::{ConnectionEpoch, Gateway as GatewayId, RecordWriter, SessionId, Source};
use lockstep_wire::soup::{Password, ServerSession, TimerAction, Timing, User};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What the gateway may do to a connection; the driver implements it.
pub trait Out {
    /// Takes all of `bytes`, or nothing if they do not fit the connection's send buffer.
    fn send_all(&mut self, connection: ConnectionId, bytes: &[u8]) -> bool;
    fn send_room(&self, connection: ConnectionId) -> usize;
    /// Bytes taken and not yet given to the kernel.
    fn send_pending(&self, connection: ConnectionId) -> usize;
    fn pause(&mut self, connection: ConnectionId);
    /// Reads again; bytes that were not consumed are offered again.
    fn resume(&mut self, connection: ConnectionId);
    /// Closes once everything taken has been sent.
    fn close_after_flush(&mut self, connection: ConnectionId);
    fn close_now(&mut self, connection: ConnectionId);
}

/// Replays stored messages of a session to a connection that is behind.
pub trait StreamSource {
    /// The gateway has heard that a day began: numbers mean that day's messages from now on.
    fn begin_day(&mut self, session_name: &[u8; 10]);
    /// Copies whole packets from number `from` on into `out`; returns (bytes, packets); (0, 0) if they
    /// are not written yet.
    fn read(
        &mut self,
        session: SessionId,
        from: u64,
        out: &mut [u8],
    ) -> Result<(usize, u64), Fatal>;
}

fn slot_of(id: ConnectionId) -> usize {
    id.slot() as usize
}

/// One connection, by driver slot.
#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    peer: SocketAddr,
    soup: ServerSession,
    /// Set once the login was accepted.
    session: SessionId,
    epoch: ConnectionEpoch,
    /// Number of the next sequenced message to hand to the driver.
    next_to_send: u64,
    /// `next_to_send` is older than what the egress ring brings: read from the stream file.
    behind: bool,
    /// The day is over: `Z` once everything has been sent.
    ending: bool,
    paused: bool,
    /// It was its turn to go on: it may write although others wait.
    has_turn: bool,
    /// The login while it is being verified and sequenced.
    login: Option<(Login, User, Password)>,
}

/// What the gateway knows of a session.
#[derive(Clone, Copy, Debug, Default)]
struct SessionEntry {
    /// Slot of the connection that is logged in.
    slot: Option<u32>,
    /// Number after the newest message seen on the egress ring.
    next_number: u64,
}

/// A step that found no room in the ring or the password queue; retried in order.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Login(ConnectionId, SessionId),
    Logout(ConnectionId, SessionId, ConnectionEpoch),
    Disconnect(ConnectionId, SessionId, ConnectionEpoch, u8),
}

/// Reasons of a Disconnect record (journal-format.md).
mod reason {
    pub const PEER_CLOSED: u8 = 1;
    pub const TIMED_OUT: u8 = 2;
    pub const VIOLATION: u8 = 3;
    pub const IO_ERROR: u8 = 4;
}

#[derive(Debug)]
struct GatewayCounters {
    accepted: Counter,
    open: Counter,
    logins_accepted: Counter,
    logins_rejected: Counter,
    logins_limited: Counter,
    violations: Counter,
    messages_in: Counter,
    messages_out: Counter,
    replayed: Counter,
    ingress_full: Counter,
    behind: Counter,
    heartbeats: Counter,
    timed_out: Counter,
}

impl GatewayCounters {
    fn new(counters: &Counters) -> Self {
        Self {
            accepted: counters.counter(CounterId::ConnectionsAccepted),
            open: counters.counter(CounterId::ConnectionsOpen),
            logins_accepted: counters.counter(CounterId::LoginsAccepted),
            logins_rejected: counters.counter(CounterId::LoginsRejected),
            logins_limited: counters.counter(CounterId::LoginsLimited),
            violations: counters.counter(CounterId::Violations),
            messages_in: counters.counter(CounterId::MessagesIn),
            messages_out: counters.counter(CounterId::MessagesOut),
            replayed: counters.counter(CounterId::MessagesReplayed),
            ingress_full: counters.counter(CounterId::IngressFull),
            behind: counters.counter(CounterId::SessionsBehind),
            heartbeats: counters.counter(CounterId::HeartbeatsOut),
            timed_out: counters.counter(CounterId::PeersTimedOut),
        }
    }
}

/// Bytes copied from a stream file in one step for one connection.
const REPLAY_CHUNK: usize = 32 << 10;
/// Connections whose timers are looked at in one step.
const TIMER_SCAN: usize = 32;
/// Every timer is looked at this often.
const TIMER_PERIOD_NS: u64 = 100_000_000;

#[derive(Debug)]
pub struct Gateway<S> {
    id: GatewayId,
    timing: Timing,
    now_ns: u64,
    connections: Vec<Option<Connection>>,
    open: usize,
    sessions: Vec<SessionEntry>,
    ingress: ring::Producer,
    egress: ring::Consumer,
    verifier: Verifier,
    limits: LoginLimits,
    waiting: VecDeque<Waiting>,
    /// Logins whose password the helper thread has not been given yet; apart, so that a flood of them
    /// keeps nothing else waiting.
    unverified: VecDeque<ConnectionId>,
    /// Connections paused because the ingress ring was full, or because others waited for it: each has its
    /// turn, in this order.
    stalled: VecDeque<ConnectionId>,
    /// Slots of connections with `behind` set.
    behind: Vec<u32>,
    streams: S,
    /// A session waits for messages that the stream store still holds in memory.
    flush_wanted: std::sync::Arc<std::sync::atomic::AtomicBool>,
    scratch: Box<[u8]>,
    timer_slot: usize,
    timer_due_ns: u64,
    accepting: bool,
    /// The day's streams have had their last message.
    day_over: bool,
    counters: GatewayCounters,
}

/// What a gateway is made of.
#[derive(Debug)]
pub struct GatewayParts<S> {
    pub timing: Timing,
    pub connections_max: usize,
    /// Next number of each session's stream by session id, as recovered; index 0 unused.
    pub next_numbers: Vec<u64>,
    /// No day is open; the last one's streams can still be read.
    pub day_over: bool,
    pub ingress: ring::Producer,
    pub egress: ring::Consumer,
    pub verifier: Verifier,
    pub logins: LoginsConfig,
    pub streams: S,
    pub flush_wanted: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl<S: StreamSource> Gateway<S> {
    pub fn new(parts: GatewayParts<S>, counters: &Counters) -> Self {
        let entry = |&next_number: &u64| SessionEntry {
            slot: None,
            next_number,
        };
        let users_max = parts.next_numbers.len();
        Self {
            id: GatewayId(1),
            timing: parts.timing,
            now_ns: 0,
            connections: (0..parts.connections_max).map(|_| None).collect(),
            open: 0,
            sessions: parts.next_numbers.iter().map(entry).collect(),
            ingress: parts.ingress,
            egress: parts.egress,
            verifier: parts.verifier,
            limits: LoginLimits::new(parts.logins, users_max),
            waiting: VecDeque::with_capacity(3 * parts.connections_max),
            unverified: VecDeque::with_capacity(2 * parts.connections_max),
            stalled: VecDeque::with_capacity(2 * parts.connections_max),
            behind: Vec::with_capacity(parts.connections_max),
            streams: parts.streams,
            flush_wanted: parts.flush_wanted,
            scratch: vec![0; REPLAY_CHUNK].into_boxed_slice(),
            timer_slot: 0,
            timer_due_ns: 0,
            accepting: true,
            day_over: parts.day_over,
            counters: GatewayCounters::new(counters),
        }
    }

    /// One duty cycle beside the driver's: verdicts, retries, egress, replays, timers.
    pub fn do_work(&mut self, now_ns: u64, out: &mut impl Out) -> Result<usize, Fatal> {
        self.now_ns = now_ns;
        let mut work = self.poll_verdicts(out);
        work += self.retry_waiting();
        work += self.take_egress(out);
        work += self.serve_behind(out)?;
        self.resume_stalled(out);
        self.poll_timers(out);
        Ok(work)
    }

    /// Takes no more input: the node stops. Messages are still delivered.
    pub fn close_intake(&mut self) {
        self.accepting = false;
    }

    /// Nothing of what was accepted waits to be put in order.
    pub fn intake_is_closed(&self) -> bool {
        !self.accepting && self.waiting.is_empty()
    }

    /// Every message of the engine has been handed to its connection or to the stream files.
    pub fn egress_is_drained(&mut self) -> bool {
        self.egress.peek().is_none()
    }

    /// A connection has bytes that the kernel has not taken.
    pub fn has_unsent(&self, out: &impl Out) -> bool {
        self.connections
            .iter()
            .flatten()
            .any(|c| out.send_pending(c.id) != 0)
    }

    pub fn set_now(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .get_mut(slot_of(id))?
            .as_mut()
            .filter(|c| c.id == id)
    }

    pub fn handle_accepted(&mut self, id: ConnectionId, peer: SocketAddr, out: &mut impl Out) {
        self.counters.accepted.add(1);
        let slot = slot_of(id);
        if !self.accepting || slot >= self.connections.len() {
            out.close_now(id);
            return;
        }
        self.open += 1;
        self.counters.open.set(self.open as u64);
        self.connections[slot] = Some(Connection {
            id,
            peer,
            soup: ServerSession::new(self.now_ns, self.timing),
            session: SessionId::NONE,
            epoch: ConnectionEpoch(0),
            next_to_send: 0,
            behind: false,
            ending: false,
            paused: false,
            has_turn: false,
            login: None,
        });
    }

    /// The driver closed the connection; its slot may be reused from now on.
    pub fn handle_closed(&mut self, id: ConnectionId, by_error: bool) {
        let Some(connection) = self
            .connections
            .get_mut(slot_of(id))
            .and_then(|c| c.take_if(|c| c.id == id))
        else {
            return;
        };
        self.open -= 1;
        self.counters.open.set(self.open as u64);
        let why = if by_error {
            reason::IO_ERROR
        } else {
            reason::PEER_CLOSED
        };
        self.end_session(&connection, why);
    }

    /// Puts the disconnect of a logged-in connection in order and forgets that it served its session.
    fn end_session(&mut self, connection: &Connection, why: u8) {
        if connection.session == SessionId::NONE {
            return;
        }
        let slot = connection.id.slot();
        if let Some(entry) = self.sessions.get_mut(connection.session.0 as usize)
            && entry.slot == Some(slot)
        {
            entry.slot = None;
            self.waiting.push_back(Waiting::Disconnect(
                connection.id,
                connection.session,
                connection.epoch,
                why,
            ));
        }
    }

    /// Ends a live connection from our side: the disconnect is put in order, the slot is freed when
    /// the driver reports the close.
    fn drop_connection(&mut self, id: ConnectionId, why: u8, flush: bool, out: &mut impl Out) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        connection.soup.end();
        let (session, epoch) = (connection.session, connection.epoch);
        connection.session = SessionId::NONE;
        connection.login = None;
        if session != SessionId::NONE
            && let Some(entry) = self.sessions.get_mut(session.0 as usize)
            && entry.slot == Some(id.slot())
        {
            entry.slot = None;
            self.waiting
                .push_back(Waiting::Disconnect(id, session, epoch, why));
        }
        if flush {
            out.close_after_flush(id);
        } else {
            out.close_now(id);
        }
    }

    fn write_disconnect(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        epoch: ConnectionEpoch,
        why: u8,
    ) -> bool {
        let source = Source {
            session,
            epoch,
            gateway: self.id,
        };
        let body = Disconnect {
            connection: id.0,
            reason: why,
            _reserved: [0; 7],
        };
        let Some(space) = self.ingress.claim(64) else {
            return false;
        };
        let length = RecordWriter::new(space, source, &body).finish();
        self.ingress.commit(0, length);
        true
    }

    /// Retries, in order, what found no room before.
    fn retry_waiting(&mut self) -> usize {
        let mut work = 0;
        while let Some(id) = self.unverified.front().copied() {
            if !self.request_verdict(id) {
                break;
            }
            self.unverified.pop_front();
            work += 1;
        }
        while let Some(waiting) = self.waiting.front().copied() {
            let done = match waiting {
                Waiting::Login(id, session) => self.write_login(id, session),
                Waiting::Logout(id, session, epoch) => self.write_logout(id, session, epoch),
                Waiting::Disconnect(id, session, epoch, why) => {
                    self.write_disconnect(id, session, epoch, why)
                }
            };
            if !done {
                break;
            }
            self.waiting.pop_front();
            work += 1;
        }
        work
    }

    fn poll_timers(&mut self, out: &mut impl Out) {
        if self.now_ns < self.timer_due_ns {
            return;
        }
        let steps = self.connections.len().div_ceil(TIMER_SCAN) as u64;
        self.timer_due_ns = self.now_ns + TIMER_PERIOD_NS / steps;
        for _ in 0..TIMER_SCAN.min(self.connections.len()) {
            let slot = self.timer_slot;
            self.timer_slot = (slot + 1) % self.connections.len();
            let now_ns = self.now_ns;
            let Some(connection) = self.connections[slot].as_mut() else {
                continue;
            };
            let Some(action) = connection.soup.poll_timer(now_ns) else {
                continue;
            };
            let id = connection.id;
            match action {
                TimerAction::SendHeartbeat => {
                    // No room: the client has bytes of ours to read, which are as good a sign of life.
                    if out.send_all(id, &lockstep_wire::soup::SERVER_HEARTBEAT) {
                        self.counters.heartbeats.add(1);
                    }
                    connection.soup.handle_sent(now_ns);
                }
                TimerAction::LoginTimedOut | TimerAction::PeerTimedOut => {
                    self.counters.timed_out.add(1);
                    self.drop_connection(id, reason::TIMED_OUT, false, out);
                }
            }
        }
    }
}
