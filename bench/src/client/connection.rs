//! OUCH sessions over one driver, on one thread: connecting, login, framing, heartbeats, numbers.
//!
//! It moves messages and knows nothing of orders. It must never skip a number: a venue that continues
//! a stream at another number than asked is a `SessionEnd::Gap`, and the connection ends.

use crate::measure::clock::Clock;
use lockstep_net::{
    Close, CloseReason, ConnectionId, Connections, Driver, Handler, ListenerId, NetError,
};
use lockstep_record::StreamNumber;
use lockstep_wire::ouch::INBOUND_LENGTH_MAX;
use lockstep_wire::soup::{
    CLIENT_HEARTBEAT, ClientSession, ClientState, ClientTimerAction, ClientTiming, ClientViolation,
    FRAME_HEADER_LENGTH, LOGIN_REQUEST_FRAME_LENGTH, LOGOUT_REQUEST, Login, ServerInput,
    encode_unsequenced,
};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

/// How often each timer is looked at, ns: far below the heartbeat interval, rare enough to cost nothing.
const TIMER_INTERVAL_NS: u64 = 50_000_000;
/// Sessions whose timers are looked at in one step: a thousand heartbeats at once would hold up whoever is measured.
const TIMER_SCAN: usize = 8;
/// Sessions of one client at most: what one driver holds.
pub const SESSIONS_MAX: usize = 10_000;

/// Why a session has no connection any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionEnd {
    ConnectFailed(io::ErrorKind),
    /// `A` not authorised, `S` session or number not available.
    LoginRejected(u8),
    /// The trading session is over, or a newer login took the session.
    EndOfSession,
    Closed(CloseReason),
    /// The venue broke SoupBinTCP.
    Violation(ClientViolation),
    /// The stream does not continue where asked.
    Gap {
        asked: u64,
        given: u64,
    },
    /// Nothing came from the venue for too long.
    TimedOut,
}

/// Hears what the venue says, from inside `Client::poll`. `session` is what `Client::add` returned.
pub trait Listener {
    /// The login was accepted; `number` is that of the next sequenced message.
    fn logged_in(&mut self, session: usize, number: StreamNumber);
    /// One sequenced message. `now_ns`: when its bytes were taken from the driver.
    fn answer(&mut self, session: usize, number: StreamNumber, payload: &[u8], now_ns: u64);
    /// The session has no connection any more.
    fn ended(&mut self, session: usize, why: SessionEnd);
}

/// A message that could not be handed over. Nothing of it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    #[error("session {session} is not logged in")]
    NotLoggedIn { session: usize },
    #[error("session {session}: the send buffer is full; poll and try again")]
    Full { session: usize },
    #[error("session {session}: a message of {length} bytes is longer than any in OUCH")]
    TooLong { session: usize, length: usize },
}

struct Session {
    login: Login,
    soup: ClientSession,
    connection: Option<ConnectionId>,
    /// Number of the next sequenced message, over all connections; 0 before the first login.
    next_number: u64,
    /// What ended it, told when the driver confirms.
    end: Option<SessionEnd>,
    /// The client does not read, so the venue's silence says nothing.
    reading_paused: bool,
}

struct Sessions {
    sessions: Vec<Session>,
    /// Session by the driver's connection slot.
    by_slot: Vec<u32>,
    clock: Clock,
    timing: ClientTiming,
}

const NO_SESSION: u32 = u32::MAX;

/// A set of OUCH sessions to one address.
#[allow(missing_debug_implementations)]
pub struct Client<D> {
    driver: D,
    sessions: Sessions,
    timers_due_ns: u64,
    /// Session whose timers come next.
    timer_session: usize,
}

impl<D: Driver> Client<D> {
    pub fn new(driver: D, clock: Clock) -> Self {
        Self {
            driver,
            sessions: Sessions {
                sessions: Vec::new(),
                by_slot: Vec::new(),
                clock,
                timing: ClientTiming::default(),
            },
            timers_due_ns: 0,
            timer_session: 0,
        }
    }

    pub fn clock(&self) -> Clock {
        self.sessions.clock
    }

    pub fn driver(&self) -> &D {
        &self.driver
    }

    pub fn session_count(&self) -> usize {
        self.sessions.sessions.len()
    }

    /// Adds a session and returns its index. `login.number`: as in SoupBinTCP, 0 = new messages only.
    /// Panics above `SESSIONS_MAX`: the caller's bound.
    pub fn add(&mut self, login: Login) -> usize {
        let sessions = &mut self.sessions;
        assert!(sessions.sessions.len() < SESSIONS_MAX);
        sessions.sessions.push(Session {
            login,
            soup: ClientSession::new(0, sessions.timing),
            connection: None,
            next_number: 0,
            end: None,
            reading_paused: false,
        });
        sessions.sessions.len() - 1
    }

    /// Connects and logs in: the first time as `add` was told, later where the stream was left.
    /// A no-op while it has a connection.
    pub fn connect(&mut self, session: usize, address: SocketAddr) -> Result<(), NetError> {
        if self.sessions.sessions[session].connection.is_some() {
            return Ok(());
        }
        let connection = self.driver.connect(address)?;
        let slot = connection.slot() as usize;
        let by_slot = &mut self.sessions.by_slot;
        by_slot.resize(by_slot.len().max(slot + 1), NO_SESSION);
        by_slot[slot] = u32::try_from(session).unwrap_or(NO_SESSION);
        let now_ns = self.sessions.clock.now_ns();
        let timing = self.sessions.timing;
        let entry = &mut self.sessions.sessions[session];
        entry.connection = Some(connection);
        entry.soup = ClientSession::new(now_ns, timing);
        entry.end = None;
        entry.reading_paused = false;
        Ok(())
    }

    /// Asks for the next connection to begin at message `number` of the day.
    pub fn rewind(&mut self, session: usize, number: u64) {
        self.sessions.sessions[session].next_number = number;
    }

    pub fn is_logged_in(&self, session: usize) -> bool {
        self.sessions.sessions[session].soup.state() == ClientState::LoggedIn
    }

    pub fn is_connected(&self, session: usize) -> bool {
        self.sessions.sessions[session].connection.is_some()
    }

    /// Number of the next sequenced message of the session; 0 before its first login.
    pub fn next_number(&self, session: usize) -> u64 {
        self.sessions.sessions[session].next_number
    }

    /// Longest message that `send` would take now; 0 unless logged in.
    pub fn send_room(&mut self, session: usize) -> usize {
        let entry = &self.sessions.sessions[session];
        match (entry.soup.state(), entry.connection) {
            (ClientState::LoggedIn, Some(connection)) => self
                .driver
                .send_room(connection)
                .saturating_sub(FRAME_HEADER_LENGTH),
            _ => 0,
        }
    }

    /// Queues one OUCH message; it leaves with the next `flush`. `now_ns` counts for heartbeats.
    #[inline]
    pub fn send(&mut self, session: usize, message: &[u8], now_ns: u64) -> Result<(), SendError> {
        let entry = &mut self.sessions.sessions[session];
        let (ClientState::LoggedIn, Some(connection)) = (entry.soup.state(), entry.connection)
        else {
            return Err(SendError::NotLoggedIn { session });
        };
        let length = message.len();
        if length > INBOUND_LENGTH_MAX {
            return Err(SendError::TooLong { session, length });
        }
        let mut frame = [0; FRAME_HEADER_LENGTH + INBOUND_LENGTH_MAX];
        let length = encode_unsequenced(message, &mut frame);
        if self.driver.send_room(connection) < length {
            return Err(SendError::Full { session });
        }
        let sent = self.driver.send(connection, &frame[..length]);
        debug_assert!(sent == length);
        entry.soup.handle_sent(now_ns);
        Ok(())
    }

    /// Says goodbye and closes, after what is queued.
    pub fn log_out(&mut self, session: usize) {
        if let Some(connection) = self.sessions.sessions[session].connection {
            self.driver.send(connection, &LOGOUT_REQUEST);
            self.driver.close(connection, Close::AfterFlush);
        }
    }

    /// Says goodbye for every session, and hands it to the kernel.
    pub fn log_out_all<L: Listener>(&mut self, listener: &mut L) {
        for session in 0..self.session_count() {
            self.log_out(session);
        }
        self.flush();
        self.poll(listener);
    }

    /// Reads nothing more from this connection, as a client that hangs.
    pub fn pause_reading(&mut self, session: usize) {
        let entry = &mut self.sessions.sessions[session];
        if let Some(connection) = entry.connection {
            entry.reading_paused = true;
            self.driver.pause(connection);
        }
    }

    /// Drops the connection without a word, as a crash would.
    pub fn cut(&mut self, session: usize) {
        if let Some(connection) = self.sessions.sessions[session].connection {
            self.driver.close(connection, Close::Now);
        }
    }

    /// One duty cycle without the flush; returns how much there was to do.
    #[inline]
    pub fn poll<L: Listener>(&mut self, listener: &mut L) -> usize {
        let mut adapter = Adapter {
            sessions: &mut self.sessions,
            listener,
        };
        let work = self.driver.poll(&mut adapter);
        work + self.poll_timers()
    }

    /// Hands everything queued to the kernel.
    #[inline]
    pub fn flush(&mut self) {
        self.driver.flush();
    }

    /// Flushes and blocks until something may have arrived, at most so long.
    pub fn wait(&mut self, at_most: Duration) {
        self.driver.wait(at_most);
    }

    fn poll_timers(&mut self) -> usize {
        let now_ns = self.sessions.clock.now_ns();
        if now_ns < self.timers_due_ns {
            return 0;
        }
        let sessions = &mut self.sessions.sessions;
        let steps = sessions.len().div_ceil(TIMER_SCAN).max(1) as u64;
        self.timers_due_ns = now_ns + TIMER_INTERVAL_NS / steps;
        let from = self.timer_session;
        let to = (from + TIMER_SCAN).min(sessions.len());
        self.timer_session = if to < sessions.len() { to } else { 0 };
        for session in &mut sessions[from..to] {
            let Some(connection) = session.connection.filter(|_| !session.reading_paused) else {
                continue;
            };
            match session.soup.poll_timer(now_ns) {
                Some(ClientTimerAction::SendHeartbeat) => {
                    // A full buffer is a word already: the heartbeat can wait.
                    if self.driver.send_room(connection) >= CLIENT_HEARTBEAT.len() {
                        self.driver.send(connection, &CLIENT_HEARTBEAT);
                    }
                    session.soup.handle_sent(now_ns);
                }
                Some(ClientTimerAction::ServerTimedOut) => {
                    session.end = Some(SessionEnd::TimedOut);
                    self.driver.close(connection, Close::Now);
                }
                None => {}
            }
        }
        0
    }
}

struct Adapter<'a, L> {
    sessions: &'a mut Sessions,
    listener: &'a mut L,
}

impl<L: Listener> Adapter<'_, L> {
    /// The session of a live connection.
    fn find(&self, connection: ConnectionId) -> Option<usize> {
        let index = *self.sessions.by_slot.get(connection.slot() as usize)? as usize;
        let session = self.sessions.sessions.get(index)?;
        (session.connection == Some(connection)).then_some(index)
    }

    fn end(&mut self, connection: ConnectionId, why: SessionEnd) {
        let Some(index) = self.find(connection) else {
            return;
        };
        let session = &mut self.sessions.sessions[index];
        session.connection = None;
        session.soup.end();
        let why = session.end.take().unwrap_or(why);
        self.listener.ended(index, why);
    }

    /// Takes packets from `bytes`; returns the bytes consumed, and what ends the connection.
    #[inline]
    fn take(&mut self, index: usize, bytes: &[u8], now_ns: u64) -> (usize, Option<SessionEnd>) {
        let session = &mut self.sessions.sessions[index];
        let mut consumed = 0;
        loop {
            let taken = match session.soup.handle_bytes(&bytes[consumed..], now_ns) {
                Ok(taken) => taken,
                Err(violation) => return (bytes.len(), Some(SessionEnd::Violation(violation))),
            };
            consumed += taken.consumed;
            match taken.input {
                Some(ServerInput::Sequenced { number, payload }) => {
                    session.next_number = number.0 + 1;
                    self.listener.answer(index, number, payload, now_ns);
                }
                Some(ServerInput::LoginAccepted { number, .. }) => {
                    let asked = asked_number(session);
                    if asked > 0 && asked != number.0 {
                        let given = number.0;
                        return (bytes.len(), Some(SessionEnd::Gap { asked, given }));
                    }
                    session.next_number = number.0;
                    self.listener.logged_in(index, number);
                }
                Some(ServerInput::LoginRejected(reason)) => {
                    return (bytes.len(), Some(SessionEnd::LoginRejected(reason)));
                }
                Some(ServerInput::EndOfSession) => {
                    return (bytes.len(), Some(SessionEnd::EndOfSession));
                }
                Some(ServerInput::Unsequenced(_) | ServerInput::Debug(_)) | None => {}
            }
            if taken.consumed == 0 || consumed == bytes.len() {
                return (consumed, None);
            }
        }
    }
}

/// The number that the session asked for, or will ask for.
fn asked_number(session: &Session) -> u64 {
    match session.next_number {
        0 => session.login.number,
        next => next,
    }
}

impl<L: Listener> Handler for Adapter<'_, L> {
    fn accepted(
        &mut self,
        connections: &mut Connections,
        _: ListenerId,
        connection: ConnectionId,
        _: SocketAddr,
    ) {
        // A client listens nowhere.
        connections.close(connection, Close::Now);
    }

    fn connected(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        result: Result<(), io::ErrorKind>,
    ) {
        if let Err(kind) = result {
            return self.end(connection, SessionEnd::ConnectFailed(kind));
        }
        let Some(index) = self.find(connection) else {
            return connections.close(connection, Close::Now);
        };
        let now_ns = self.sessions.clock.now_ns();
        let session = &mut self.sessions.sessions[index];
        let login = Login {
            number: asked_number(session),
            ..session.login
        };
        let mut request = [0; LOGIN_REQUEST_FRAME_LENGTH];
        if let Some(length) = session.soup.log_in(&login, now_ns, &mut request) {
            connections.send(connection, &request[..length]);
        }
    }

    #[inline]
    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        let Some(index) = self.find(connection) else {
            return bytes.len();
        };
        let now_ns = self.sessions.clock.now_ns();
        let (consumed, end) = self.take(index, bytes, now_ns);
        if let Some(end) = end {
            self.sessions.sessions[index].end = Some(end);
            self.sessions.sessions[index].soup.end();
            connections.close(connection, Close::Now);
        }
        consumed
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {}

    fn closed(&mut self, _: &mut Connections, connection: ConnectionId, why: CloseReason) {
        self.end(connection, SessionEnd::Closed(why));
    }
}
