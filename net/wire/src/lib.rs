//! SoupBinTCP 3.00 and OUCH 5.0: codecs and session state machines.
//!
//! Everything here is a function of bytes and of a time that the caller passes in. This crate must
//! never open a socket, read a clock, allocate, or decide anything about trading: it turns legal bytes
//! into command records, events into legal bytes, and names what is illegal. What is answered to what
//! is written in `docs/wire-protocol.md`, a test a row.
//!
//! One function per decoder, callable on any bytes whatever:
//! [`soup::split_client`], [`soup::split_server`], [`ouch::Inbound::parse`], [`ouch::Outbound::parse`].
//!
//! A gateway's work on the bytes of a connection:
//!
//! ```
//! use lockstep_record::{ConnectionEpoch, Gateway, RECORD_LENGTH_MAX, SessionId, Source, StreamNumber};
//! use lockstep_wire::ouch::{INBOUND_LENGTH_MAX, inbound::CancelOrder, Appendage, write_command};
//! use lockstep_wire::soup::{self, ClientSession, Input, Login, ServerSession, Timing};
//!
//! // What a client sends: its login and a cancel.
//! let mut client = ClientSession::new(0, Default::default());
//! let mut bytes = [0; 128];
//! let mut length = client.log_in(&Login::new("alice", "secret", 1)?, 0, &mut bytes).unwrap();
//! let mut message = [0; INBOUND_LENGTH_MAX];
//! let cancel = CancelOrder { user_ref_num: 7, quantity: 0 };
//! let message_length = cancel.encode(Appendage::ABSENT, &mut message);
//! length += soup::encode_unsequenced(&message[..message_length], &mut bytes[length..]);
//!
//! // What the venue makes of it.
//! let mut session = ServerSession::new(0, Timing::default());
//! let mut record = [0; RECORD_LENGTH_MAX];
//! let mut record_length = 0;
//! let mut at = 0;
//! while at < length {
//!     let taken = session.handle_bytes(&bytes[at..length], 0)?;
//!     at += taken.consumed;
//!     match taken.input {
//!         // Verify the password, put the login in order, then answer it.
//!         Some(Input::Login(_)) => {
//!             let mut answer = [0; soup::LOGIN_ACCEPTED_FRAME_LENGTH];
//!             session.login_accepted(b"     SESS1", StreamNumber(1), 0, &mut answer);
//!         }
//!         Some(Input::Data(payload)) => {
//!             let source = Source { session: SessionId(3), epoch: ConnectionEpoch(1), gateway: Gateway(1) };
//!             record_length = write_command(payload, source, &mut record)?;
//!         }
//!         Some(Input::Logout) | None => {}
//!     }
//! }
//! assert_eq!(record_length, 32);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod field;
pub mod ouch;
pub mod soup;

pub use field::Field;
