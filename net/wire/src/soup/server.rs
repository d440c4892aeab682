//! The venue's end of one SoupBinTCP connection, sans I/O.
//!
//! It frames, keeps the login order and the timers, and names violations. It must never authenticate,
//! count sequenced messages or decide about trading: a login becomes a command, and its answer comes
//! back from the state machine. Any violation ends the session; nothing after it is looked at.
//!
//! ```text
//! AwaitingLogin ──L──▶ LoginPending ──login_accepted──▶ LoggedIn ──O, violation, time out──▶ Ended
//!       │                    └──login_rejected──▶ Ended        └──end_of_session (Z)──▶ Ended
//!       └──O, violation, login time out──▶ Ended
//! ```

use super::encode::{END_OF_SESSION, encode_debug, encode_login_accepted, encode_login_rejected};
use super::frame::{ClientPacket, FrameError, split_client};
use super::login::LoginRequest;
use lockstep_record::StreamNumber;
use lockstep_record::event::LoginRejectReason;
use thiserror::Error;

/// Time limits of a connection, in ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// A connection that has not sent its login by then is closed.
    pub login_timeout_ns: u64,
    /// A side that has sent nothing for this long sends a heartbeat.
    pub heartbeat_interval_ns: u64,
    /// A peer from which nothing came for this long is taken for dead.
    pub idle_timeout_ns: u64,
}

impl Default for Timing {
    /// SoupBinTCP's own figures: 30 s, 1 s, 15 s.
    fn default() -> Self {
        Self {
            login_timeout_ns: 30_000_000_000,
            heartbeat_interval_ns: 1_000_000_000,
            idle_timeout_ns: 15_000_000_000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Connected; nothing but a login, a logout or noise may come.
    AwaitingLogin,
    /// The login is being verified and committed. Takes no bytes.
    LoginPending,
    LoggedIn,
    /// The connection is to be closed. Takes all bytes and looks at none.
    Ended,
}

/// What the client said, for the gateway to act on.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// To be verified and put in order; answer with `login_accepted` or `login_rejected`.
    Login(LoginRequest<'a>),
    /// One unsequenced payload: an OUCH message.
    Data(&'a [u8]),
    /// Close the connection; if it was logged in, after putting the logout in order.
    Logout,
}

/// Outcome of one call of [`ServerSession::handle_bytes`].
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// Bytes to drop from the front. 0: more bytes are needed, or the session takes none now.
    pub consumed: usize,
    /// `None` also for packets that say nothing: heartbeats and debug text.
    pub input: Option<Input<'a>>,
}

impl Taken<'_> {
    const NOTHING: Self = Self {
        consumed: 0,
        input: None,
    };
}

/// What the client may not do. The connection ends with [`Violation::answer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("data before login")]
    DataBeforeLogin,
    #[error("second login on one connection")]
    SecondLogin,
}

/// What a violation is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A debug packet that names it, then close.
    DebugThenClose,
    Close,
}

impl Violation {
    /// `docs/wire-protocol.md`, "Packets".
    pub const fn answer(&self) -> Answer {
        match self {
            Self::Frame(_) => Answer::DebugThenClose,
            Self::DataBeforeLogin | Self::SecondLogin => Answer::Close,
        }
    }

    /// Writes what is to be sent before closing; 0 bytes if nothing. `out` must hold
    /// [`DEBUG_PACKET_LENGTH_MAX`](super::DEBUG_PACKET_LENGTH_MAX).
    pub fn encode_answer(&self, out: &mut [u8]) -> usize {
        match self.answer() {
            Answer::DebugThenClose => encode_debug(self, out),
            Answer::Close => 0,
        }
    }
}

/// What time asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimerAction {
    /// Send [`SERVER_HEARTBEAT`](super::SERVER_HEARTBEAT), then call `handle_sent`.
    SendHeartbeat,
    /// Close. The session has ended.
    LoginTimedOut,
    /// Put the disconnect in order and close. The session has ended.
    PeerTimedOut,
}

/// One connection. 64 bytes, so that a thousand idle ones cost a thousand cache lines.
#[derive(Clone, Debug)]
pub struct ServerSession {
    timing: Timing,
    /// When the connection was made, then when bytes last came.
    heard_ns: u64,
    sent_ns: u64,
    state: State,
    reading: bool,
}

const _: () = assert!(size_of::<ServerSession>() <= 64);

impl ServerSession {
    pub fn new(now_ns: u64, timing: Timing) -> Self {
        Self {
            timing,
            heard_ns: now_ns,
            sent_ns: now_ns,
            state: State::AwaitingLogin,
            reading: true,
        }
    }

    #[inline(always)]
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes at most one packet from the front of `bytes`. Call it again while it consumes.
    ///
    /// While the login is pending nothing is consumed: what follows the login on the wire is to be
    /// offered again after `login_accepted`. The gateway stops reading meanwhile, or lets at most
    /// [`CLIENT_FRAME_LENGTH_MAX`](super::CLIENT_FRAME_LENGTH_MAX) bytes gather.
    ///
    /// On a violation the session has ended: send [`Violation::encode_answer`] and close.
    #[inline]
    pub fn handle_bytes<'a>(
        &mut self,
        bytes: &'a [u8],
        now_ns: u64,
    ) -> Result<Taken<'a>, Violation> {
        match self.state {
            State::LoggedIn => {}
            State::AwaitingLogin => return self.handle_first(bytes),
            State::LoginPending => return Ok(Taken::NOTHING),
            State::Ended => {
                return Ok(Taken {
                    consumed: bytes.len(),
                    input: None,
                });
            }
        }
        if !bytes.is_empty() {
            self.heard_ns = now_ns;
        }
        let Some((packet, consumed)) = self.take(bytes)? else {
            return Ok(Taken::NOTHING);
        };
        let input = match packet {
            ClientPacket::Unsequenced(payload) => Some(Input::Data(payload)),
            ClientPacket::Heartbeat | ClientPacket::Debug(_) => None,
            ClientPacket::Login(_) => return Err(self.violate(Violation::SecondLogin)),
            ClientPacket::Logout => Some(self.log_out()),
        };
        Ok(Taken { consumed, input })
    }

    /// Before the login. Nothing here defers the login's deadline.
    #[cold]
    fn handle_first<'a>(&mut self, bytes: &'a [u8]) -> Result<Taken<'a>, Violation> {
        let Some((packet, consumed)) = self.take(bytes)? else {
            return Ok(Taken::NOTHING);
        };
        let input = match packet {
            ClientPacket::Login(request) => {
                self.state = State::LoginPending;
                Some(Input::Login(request))
            }
            ClientPacket::Heartbeat | ClientPacket::Debug(_) => None,
            ClientPacket::Unsequenced(_) => return Err(self.violate(Violation::DataBeforeLogin)),
            ClientPacket::Logout => Some(self.log_out()),
        };
        Ok(Taken { consumed, input })
    }

    #[inline(always)]
    fn take<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<Option<(ClientPacket<'a>, usize)>, Violation> {
        let frame = match split_client(bytes) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.violate(error.into())),
        };
        match ClientPacket::from_frame(&frame) {
            Ok(packet) => Ok(Some((packet, frame.length()))),
            Err(error) => Err(self.violate(error.into())),
        }
    }

    fn log_out<'a>(&mut self) -> Input<'a> {
        self.state = State::Ended;
        Input::Logout
    }

    #[cold]
    fn violate(&mut self, violation: Violation) -> Violation {
        self.state = State::Ended;
        violation
    }

    /// Something was sent to the client.
    #[inline(always)]
    pub fn handle_sent(&mut self, now_ns: u64) {
        self.sent_ns = now_ns;
    }

    /// The gateway stopped reading, to hold the client back: silence is then our own doing, and the
    /// peer is not timed out for it.
    pub fn handle_reading_paused(&mut self) {
        self.reading = false;
    }

    /// The gateway reads again.
    pub fn handle_reading_resumed(&mut self, now_ns: u64) {
        self.reading = true;
        self.heard_ns = now_ns;
    }

    /// The login was committed and accepted. Writes `A` and returns its length; `None`, and nothing
    /// written, if no login is pending (the connection ended meanwhile).
    pub fn login_accepted(
        &mut self,
        session_name: &[u8; 10],
        first_number: StreamNumber,
        now_ns: u64,
        out: &mut [u8],
    ) -> Option<usize> {
        if self.state != State::LoginPending {
            return None;
        }
        self.state = State::LoggedIn;
        self.heard_ns = now_ns;
        self.sent_ns = now_ns;
        Some(encode_login_accepted(session_name, first_number.0, out))
    }

    /// The login was refused. Writes `J`; send it and close. `None` if no login is pending.
    pub fn login_rejected(&mut self, reason: LoginRejectReason, out: &mut [u8]) -> Option<usize> {
        if self.state != State::LoginPending {
            return None;
        }
        self.state = State::Ended;
        Some(encode_login_rejected(reason, out))
    }

    /// The trading session is over, or a newer login took this one's place. Writes `Z`; send it and
    /// close. `None` unless logged in.
    pub fn end_of_session(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.state != State::LoggedIn {
            return None;
        }
        self.state = State::Ended;
        out[..END_OF_SESSION.len()].copy_from_slice(&END_OF_SESSION);
        Some(END_OF_SESSION.len())
    }

    /// Ends the session without a word: the payload was illegal, the connection broke, the node stops.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    /// What is due. A time out ends the session and is told once; a heartbeat is asked for until
    /// `handle_sent`. Nothing while a login is pending: the delay is ours.
    #[inline]
    pub fn poll_timer(&mut self, now_ns: u64) -> Option<TimerAction> {
        let heard_ago = now_ns.saturating_sub(self.heard_ns);
        match self.state {
            State::AwaitingLogin if heard_ago >= self.timing.login_timeout_ns => {
                self.state = State::Ended;
                Some(TimerAction::LoginTimedOut)
            }
            State::LoggedIn if self.reading && heard_ago >= self.timing.idle_timeout_ns => {
                self.state = State::Ended;
                Some(TimerAction::PeerTimedOut)
            }
            State::LoggedIn
                if now_ns.saturating_sub(self.sent_ns) >= self.timing.heartbeat_interval_ns =>
            {
                Some(TimerAction::SendHeartbeat)
            }
            _ => None,
        }
    }

    /// The earliest time at which `poll_timer` may say something; `None`: never, as things are.
    pub fn deadline_ns(&self) -> Option<u64> {
        match self.state {
            State::AwaitingLogin => {
                Some(self.heard_ns.saturating_add(self.timing.login_timeout_ns))
            }
            State::LoggedIn => {
                let heartbeat = self
                    .sent_ns
                    .saturating_add(self.timing.heartbeat_interval_ns);
                let idle = self.heard_ns.saturating_add(self.timing.idle_timeout_ns);
                Some(if self.reading {
                    heartbeat.min(idle)
                } else {
                    heartbeat
                })
            }
            State::LoginPending | State::Ended => None,
        }
    }
}
