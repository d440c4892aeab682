//! The client's end of a SoupBinTCP connection, sans I/O: for load, demo, replay and tests.
//!
//! It counts sequenced messages, so that a client that reconnects can ask for the first one it lacks.
//! It must never drop or invent a message: a number is given exactly once, in order.

use super::encode::encode_login;
use super::frame::{FrameError, ServerPacket, split_server};
use super::login::Login;
use super::number::NumberError;
use lockstep_record::StreamNumber;
use thiserror::Error;

/// Time limits of a client, in ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientTiming {
    /// A client that has sent nothing for this long sends a heartbeat.
    pub heartbeat_interval_ns: u64,
    /// A server from which nothing came for this long is taken for dead.
    pub idle_timeout_ns: u64,
}

impl Default for ClientTiming {
    fn default() -> Self {
        Self {
            heartbeat_interval_ns: 1_000_000_000,
            idle_timeout_ns: 15_000_000_000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientState {
    Connected,
    LoginSent,
    LoggedIn,
    Ended,
}

/// What the server said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerInput<'a> {
    LoginAccepted {
        session: [u8; 10],
        /// Number of the next sequenced message on this connection.
        number: StreamNumber,
    },
    /// `A` not authorized, `S` session not available. The server closes.
    LoginRejected(u8),
    Sequenced {
        number: StreamNumber,
        payload: &'a [u8],
    },
    /// Data without a number (SoupBinTCP 4.00); this venue sends none.
    Unsequenced(&'a [u8]),
    Debug(&'a [u8]),
    /// The trading session is over or was taken by a newer login. The server closes.
    EndOfSession,
}

/// Outcome of one call of [`ClientSession::handle_bytes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientTaken<'a> {
    /// Bytes to drop from the front. 0: more bytes are needed.
    pub consumed: usize,
    /// `None` also for heartbeats.
    pub input: Option<ServerInput<'a>>,
}

/// What a server may not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ClientViolation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("login accepted carries an unreadable number: {0}")]
    Number(#[from] NumberError),
    #[error("packet type '{}' while {state:?}", char::from(*.packet_type))]
    OutOfPlace { packet_type: u8, state: ClientState },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientTimerAction {
    /// Send [`CLIENT_HEARTBEAT`](super::CLIENT_HEARTBEAT), then call `handle_sent`.
    SendHeartbeat,
    /// Close. The session has ended.
    ServerTimedOut,
}

/// One connection of a client.
#[derive(Clone, Debug)]
pub struct ClientSession {
    timing: ClientTiming,
    heard_ns: u64,
    sent_ns: u64,
    /// Number of the next sequenced message; meaningful once logged in.
    next_number: StreamNumber,
    state: ClientState,
}

impl ClientSession {
    pub fn new(now_ns: u64, timing: ClientTiming) -> Self {
        Self {
            timing,
            heard_ns: now_ns,
            sent_ns: now_ns,
            next_number: StreamNumber(0),
            state: ClientState::Connected,
        }
    }

    #[inline(always)]
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// Number that the next sequenced message will have: what to ask for after a reconnect. 0 before
    /// the first login was accepted.
    #[inline(always)]
    pub fn next_number(&self) -> StreamNumber {
        self.next_number
    }

    /// Writes `L` into `out`, which must hold
    /// [`LOGIN_REQUEST_FRAME_LENGTH`](super::LOGIN_REQUEST_FRAME_LENGTH) bytes; returns its length.
    /// `None` if a login was sent already.
    pub fn log_in(&mut self, login: &Login, now_ns: u64, out: &mut [u8]) -> Option<usize> {
        if self.state != ClientState::Connected {
            return None;
        }
        self.state = ClientState::LoginSent;
        self.sent_ns = now_ns;
        Some(encode_login(login, out))
    }

    /// Takes at most one packet from the front of `bytes`. Call it again while it consumes. After an
    /// error the session has ended.
    #[inline]
    pub fn handle_bytes<'a>(
        &mut self,
        bytes: &'a [u8],
        now_ns: u64,
    ) -> Result<ClientTaken<'a>, ClientViolation> {
        if self.state == ClientState::Ended {
            return Ok(ClientTaken {
                consumed: bytes.len(),
                input: None,
            });
        }
        if !bytes.is_empty() {
            self.heard_ns = now_ns;
        }
        let taken = self.take(bytes);
        if taken.is_err() {
            self.state = ClientState::Ended;
        }
        taken
    }

    #[inline(always)]
    fn take<'a>(&mut self, bytes: &'a [u8]) -> Result<ClientTaken<'a>, ClientViolation> {
        let Some(frame) = split_server(bytes)? else {
            return Ok(ClientTaken {
                consumed: 0,
                input: None,
            });
        };
        let packet = ServerPacket::from_frame(&frame)?;
        let input = match (packet, self.state) {
            (ServerPacket::Sequenced(payload), ClientState::LoggedIn) => {
                let number = self.next_number;
                // Wraps only for a server that began at the last number there is.
                self.next_number.0 = number.0.wrapping_add(1);
                Some(ServerInput::Sequenced { number, payload })
            }
            (ServerPacket::Heartbeat, _) => None,
            (ServerPacket::Debug(text), _) => Some(ServerInput::Debug(text)),
            (ServerPacket::Unsequenced(payload), ClientState::LoggedIn) => {
                Some(ServerInput::Unsequenced(payload))
            }
            (ServerPacket::LoginAccepted(accepted), ClientState::LoginSent) => {
                self.next_number = StreamNumber(accepted.number()?);
                self.state = ClientState::LoggedIn;
                Some(ServerInput::LoginAccepted {
                    session: accepted.session(),
                    number: self.next_number,
                })
            }
            (ServerPacket::LoginRejected(reason), ClientState::LoginSent) => {
                self.state = ClientState::Ended;
                Some(ServerInput::LoginRejected(reason))
            }
            (ServerPacket::EndOfSession, ClientState::LoggedIn) => {
                self.state = ClientState::Ended;
                Some(ServerInput::EndOfSession)
            }
            (_, state) => {
                return Err(ClientViolation::OutOfPlace {
                    packet_type: frame.packet_type,
                    state,
                });
            }
        };
        Ok(ClientTaken {
            consumed: frame.length(),
            input,
        })
    }

    /// Something was sent to the server.
    #[inline(always)]
    pub fn handle_sent(&mut self, now_ns: u64) {
        self.sent_ns = now_ns;
    }

    /// The client closes or lost the connection.
    pub fn end(&mut self) {
        self.state = ClientState::Ended;
    }

    /// What is due. A heartbeat is asked for until `handle_sent`, and only after the login.
    #[inline]
    pub fn poll_timer(&mut self, now_ns: u64) -> Option<ClientTimerAction> {
        if self.state == ClientState::Ended {
            return None;
        }
        if now_ns.saturating_sub(self.heard_ns) >= self.timing.idle_timeout_ns {
            self.state = ClientState::Ended;
            return Some(ClientTimerAction::ServerTimedOut);
        }
        let due = now_ns.saturating_sub(self.sent_ns) >= self.timing.heartbeat_interval_ns;
        (due && self.state == ClientState::LoggedIn).then_some(ClientTimerAction::SendHeartbeat)
    }
}
