//! SoupBinTCP 3.00: framing, packets, and the two ends of a session.
//!
//! ```text
//! packet:  u16 BE length (of type and payload) | u8 type | payload
//!   +  debug               both      free text, ignored
//!   A  login accepted      server    session 10, padded left · number 20, ASCII, padded left
//!   J  login rejected      server    reason 1
//!   S  sequenced data      server    one application message; each counts one
//!   U  unsequenced data    client    one application message (4.00: also server)
//!   H  heartbeat           server    nothing
//!   R  heartbeat           client    nothing
//!   Z  end of session      server    nothing
//!   L  login request       client    user 6 · password 10 · session 10 · number 20
//!   O  logout request      client    nothing
//! ```

mod client;
mod encode;
mod frame;
mod login;
mod number;
mod server;

pub use client::{
    ClientSession, ClientState, ClientTaken, ClientTimerAction, ClientTiming, ClientViolation,
    ServerInput,
};
pub use encode::{
    CLIENT_HEARTBEAT, DEBUG_PACKET_LENGTH_MAX, DEBUG_TEXT_LENGTH_MAX, END_OF_SESSION,
    LOGOUT_REQUEST, SERVER_HEARTBEAT, encode_debug, encode_login_accepted, encode_login_rejected,
    encode_sequenced_header, encode_unsequenced,
};
pub use frame::{
    CLIENT_FRAME_LENGTH_MAX, ClientPacket, FRAME_HEADER_LENGTH, Frame, FrameError,
    LOGIN_ACCEPTED_FRAME_LENGTH, LOGIN_REJECTED_FRAME_LENGTH, LOGIN_REQUEST_FRAME_LENGTH,
    LoginAccepted, SERVER_FRAME_LENGTH_MAX, ServerPacket, split_client, split_server,
};
pub use login::{Credential, CredentialError, Login, LoginRequest, Password, User};
pub use number::{NUMBER_WIDTH, NumberError, parse_number, write_number};
pub use server::{Answer, Input, ServerSession, State, Taken, TimerAction, Timing, Violation};
