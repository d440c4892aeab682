//! Framing, and views of every packet in both directions.
//!
//! A frame is judged as soon as the bytes that condemn it are there: the same error whether the bytes
//! come at once or one by one, and nothing is buffered for a frame that cannot become legal.

use super::login::{LOGIN_REQUEST_PAYLOAD, LoginRequest, pad_left};
use super::number::{NUMBER_WIDTH, parse_number};
use crate::ouch::{INBOUND_LENGTH_MAX, OUTBOUND_LENGTH_MAX};
use thiserror::Error;

/// Bytes before a packet's payload: length and type.
pub const FRAME_HEADER_LENGTH: usize = 3;

/// Longest packet that a client may send, with its length field. A receive tail of this size always
/// suffices.
pub const CLIENT_FRAME_LENGTH_MAX: usize = 2048;
/// Longest packet that this venue sends and that our client takes, with its length field.
pub const SERVER_FRAME_LENGTH_MAX: usize = 2048;

const _: () = assert!(CLIENT_FRAME_LENGTH_MAX >= FRAME_HEADER_LENGTH + INBOUND_LENGTH_MAX);
const _: () = assert!(CLIENT_FRAME_LENGTH_MAX >= LOGIN_REQUEST_FRAME_LENGTH);
const _: () = assert!(SERVER_FRAME_LENGTH_MAX >= FRAME_HEADER_LENGTH + OUTBOUND_LENGTH_MAX);
const _: () = assert!(SERVER_FRAME_LENGTH_MAX >= super::DEBUG_PACKET_LENGTH_MAX);

/// Whole packets, length field included.
pub const LOGIN_REQUEST_FRAME_LENGTH: usize = FRAME_HEADER_LENGTH + LOGIN_REQUEST_PAYLOAD;
pub const LOGIN_ACCEPTED_FRAME_LENGTH: usize = FRAME_HEADER_LENGTH + LOGIN_ACCEPTED_PAYLOAD;
pub const LOGIN_REJECTED_FRAME_LENGTH: usize = FRAME_HEADER_LENGTH + 1;

/// Payload of `A`: session 10, number 20.
pub(super) const LOGIN_ACCEPTED_PAYLOAD: usize = 10 + NUMBER_WIDTH;

/// Why bytes are not a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FrameError {
    #[error("packet length 0; a packet has at least its type")]
    ZeroLength,
    #[error("packet of {length} bytes; at most {length_max} are taken")]
    TooLong { length: usize, length_max: usize },
    #[error("unknown packet type {0:#04x}")]
    UnknownType(u8),
    /// A type that only the other end may send.
    #[error("packet type '{}' is not for this direction", char::from(*.0))]
    WrongDirection(u8),
    #[error("packet type '{}' has length {length}, it must be {expected}", char::from(*.packet_type))]
    Length {
        packet_type: u8,
        /// Of type and payload, as in the length field.
        length: usize,
        expected: usize,
    },
}

/// One whole packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub packet_type: u8,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that the packet takes, length field included.
    pub const fn length(&self) -> usize {
        FRAME_HEADER_LENGTH + self.payload.len()
    }
}

/// What the length field of a packet type must hold.
enum Rule {
    Exactly(usize),
    AtLeastOne,
    OtherEnd,
    Unknown,
}

fn client_rule(packet_type: u8) -> Rule {
    match packet_type {
        b'U' | b'+' => Rule::AtLeastOne,
        b'R' | b'O' => Rule::Exactly(1),
        b'L' => Rule::Exactly(1 + LOGIN_REQUEST_PAYLOAD),
        b'A' | b'J' | b'S' | b'H' | b'Z' => Rule::OtherEnd,
        _ => Rule::Unknown,
    }
}

fn server_rule(packet_type: u8) -> Rule {
    match packet_type {
        // 'U' from the server came with 4.00; it carries no number.
        b'S' | b'U' | b'+' => Rule::AtLeastOne,
        b'H' | b'Z' => Rule::Exactly(1),
        b'A' => Rule::Exactly(1 + LOGIN_ACCEPTED_PAYLOAD),
        b'J' => Rule::Exactly(2),
        b'L' | b'R' | b'O' => Rule::OtherEnd,
        _ => Rule::Unknown,
    }
}

/// The packet at the start of what a client sent; `None`: more bytes are needed.
#[inline]
pub fn split_client(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    split(bytes, CLIENT_FRAME_LENGTH_MAX, client_rule)
}

/// The packet at the start of what a server sent; `None`: more bytes are needed.
#[inline]
pub fn split_server(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    split(bytes, SERVER_FRAME_LENGTH_MAX, server_rule)
}

#[inline(always)]
fn split(
    bytes: &[u8],
    length_max: usize,
    rule: impl Fn(u8) -> Rule,
) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(&field) = bytes.first_chunk::<2>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(field));
    if length == 0 {
        return Err(FrameError::ZeroLength);
    }
    if 2 + length > length_max {
        return Err(FrameError::TooLong {
            length: 2 + length,
            length_max,
        });
    }
    let Some(&packet_type) = bytes.get(2) else {
        return Ok(None);
    };
    match rule(packet_type) {
        Rule::AtLeastOne => {}
        Rule::Exactly(expected) if expected == length => {}
        Rule::Exactly(expected) => {
            return Err(FrameError::Length {
                packet_type,
                length,
                expected,
            });
        }
        Rule::OtherEnd => return Err(FrameError::WrongDirection(packet_type)),
        Rule::Unknown => return Err(FrameError::UnknownType(packet_type)),
    }
    Ok(bytes
        .get(FRAME_HEADER_LENGTH..2 + length)
        .map(|payload| Frame {
            packet_type,
            payload,
        }))
}

/// What a client can send.
#[derive(Clone, Copy, Debug)]
pub enum ClientPacket<'a> {
    Login(LoginRequest<'a>),
    Unsequenced(&'a [u8]),
    Heartbeat,
    Logout,
    Debug(&'a [u8]),
}

impl<'a> ClientPacket<'a> {
    /// Reads a frame of [`split_client`].
    #[inline]
    pub fn from_frame(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let payload = frame.payload;
        Ok(match frame.packet_type {
            b'U' => Self::Unsequenced(payload),
            b'R' => Self::Heartbeat,
            b'L' => Self::Login(
                LoginRequest::new(payload).ok_or(wrong_length(frame, LOGIN_REQUEST_PAYLOAD))?,
            ),
            b'O' => Self::Logout,
            b'+' => Self::Debug(payload),
            other => return Err(FrameError::UnknownType(other)),
        })
    }
}

fn wrong_length(frame: &Frame<'_>, payload: usize) -> FrameError {
    FrameError::Length {
        packet_type: frame.packet_type,
        length: 1 + frame.payload.len(),
        expected: 1 + payload,
    }
}

/// View of a login accepted packet's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginAccepted<'a>(&'a [u8; LOGIN_ACCEPTED_PAYLOAD]);

impl LoginAccepted<'_> {
    /// Trading session, padded left.
    pub fn session(&self) -> [u8; 10] {
        let mut session = [0; 10];
        session.copy_from_slice(&self.0[..10]);
        pad_left(&session)
    }

    /// Number of the next sequenced message on this connection.
    pub fn number(&self) -> Result<u64, super::NumberError> {
        let mut number = [0; NUMBER_WIDTH];
        number.copy_from_slice(&self.0[10..]);
        parse_number(&number)
    }
}

/// What a server can send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerPacket<'a> {
    LoginAccepted(LoginAccepted<'a>),
    /// `A` not authorized, `S` session not available.
    LoginRejected(u8),
    Sequenced(&'a [u8]),
    Unsequenced(&'a [u8]),
    Heartbeat,
    EndOfSession,
    Debug(&'a [u8]),
}

impl<'a> ServerPacket<'a> {
    /// Reads a frame of [`split_server`].
    #[inline]
    pub fn from_frame(frame: &Frame<'a>) -> Result<Self, FrameError> {
        let payload = frame.payload;
        Ok(match frame.packet_type {
            b'S' => Self::Sequenced(payload),
            b'U' => Self::Unsequenced(payload),
            b'H' => Self::Heartbeat,
            b'Z' => Self::EndOfSession,
            b'+' => Self::Debug(payload),
            b'A' => Self::LoginAccepted(LoginAccepted(
                payload
                    .try_into()
                    .map_err(|_| wrong_length(frame, LOGIN_ACCEPTED_PAYLOAD))?,
            )),
            b'J' => match payload {
                &[reason] => Self::LoginRejected(reason),
                _ => return Err(wrong_length(frame, 1)),
            },
            other => return Err(FrameError::UnknownType(other)),
        })
    }
}
