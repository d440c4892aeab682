//! Packets into callers' buffers. Buffers that are too short are the caller's bug and panic; every
//! length is a constant or bounded by one.

use super::frame::{
    CLIENT_FRAME_LENGTH_MAX, FRAME_HEADER_LENGTH, LOGIN_ACCEPTED_FRAME_LENGTH,
    LOGIN_ACCEPTED_PAYLOAD, LOGIN_REJECTED_FRAME_LENGTH, LOGIN_REQUEST_FRAME_LENGTH,
    SERVER_FRAME_LENGTH_MAX,
};
use super::login::{LOGIN_REQUEST_PAYLOAD, Login, pad_left};
use super::number::{NUMBER_WIDTH, write_number};
use core::fmt;
use lockstep_record::event::LoginRejectReason;

pub const SERVER_HEARTBEAT: [u8; 3] = [0, 1, b'H'];
pub const CLIENT_HEARTBEAT: [u8; 3] = [0, 1, b'R'];
pub const END_OF_SESSION: [u8; 3] = [0, 1, b'Z'];
pub const LOGOUT_REQUEST: [u8; 3] = [0, 1, b'O'];

/// Longest text of a debug packet; longer ones are cut.
pub const DEBUG_TEXT_LENGTH_MAX: usize = 160;
/// A debug packet with its header.
pub const DEBUG_PACKET_LENGTH_MAX: usize = FRAME_HEADER_LENGTH + DEBUG_TEXT_LENGTH_MAX;

#[inline(always)]
fn write_header(out: &mut [u8], packet_type: u8, payload_length: usize) {
    // Every caller bounds its payload far below 65,535.
    out[..2].copy_from_slice(&((1 + payload_length) as u16).to_be_bytes());
    out[2] = packet_type;
}

/// `L`. Returns [`LOGIN_REQUEST_FRAME_LENGTH`].
pub(super) fn encode_login(login: &Login, out: &mut [u8]) -> usize {
    write_header(out, b'L', LOGIN_REQUEST_PAYLOAD);
    let mut payload = [0; LOGIN_REQUEST_PAYLOAD];
    login.write_payload(&mut payload);
    out[FRAME_HEADER_LENGTH..LOGIN_REQUEST_FRAME_LENGTH].copy_from_slice(&payload);
    LOGIN_REQUEST_FRAME_LENGTH
}

/// `A`: the trading session, padded left, and the number of the next sequenced message on this
/// connection. Returns [`LOGIN_ACCEPTED_FRAME_LENGTH`].
pub fn encode_login_accepted(session: &[u8; 10], number: u64, out: &mut [u8]) -> usize {
    write_header(out, b'A', LOGIN_ACCEPTED_PAYLOAD);
    out[3..13].copy_from_slice(&pad_left(session));
    let mut digits = [0; NUMBER_WIDTH];
    write_number(number, &mut digits);
    out[13..LOGIN_ACCEPTED_FRAME_LENGTH].copy_from_slice(&digits);
    LOGIN_ACCEPTED_FRAME_LENGTH
}

/// `J`. Returns [`LOGIN_REJECTED_FRAME_LENGTH`].
pub fn encode_login_rejected(reason: LoginRejectReason, out: &mut [u8]) -> usize {
    write_header(out, b'J', 1);
    out[3] = reason as u8;
    LOGIN_REJECTED_FRAME_LENGTH
}

/// Writes the header of `S` before a payload of `payload_length` bytes that stands at
/// `out[FRAME_HEADER_LENGTH..]`. Returns the packet's length.
#[inline(always)]
pub fn encode_sequenced_header(payload_length: usize, out: &mut [u8]) -> usize {
    debug_assert!(FRAME_HEADER_LENGTH + payload_length <= SERVER_FRAME_LENGTH_MAX);
    write_header(out, b'S', payload_length);
    FRAME_HEADER_LENGTH + payload_length
}

/// `U` around a whole payload. Returns the packet's length.
///
/// Panics if the packet would be longer than [`CLIENT_FRAME_LENGTH_MAX`]: no message is.
#[inline]
pub fn encode_unsequenced(payload: &[u8], out: &mut [u8]) -> usize {
    let length = FRAME_HEADER_LENGTH + payload.len();
    assert!(length <= CLIENT_FRAME_LENGTH_MAX);
    write_header(out, b'U', payload.len());
    out[FRAME_HEADER_LENGTH..length].copy_from_slice(payload);
    length
}

/// `+` with the text of `reason`, cut to [`DEBUG_TEXT_LENGTH_MAX`] bytes. Returns the packet's length,
/// at most [`DEBUG_PACKET_LENGTH_MAX`], which `out` must hold. Never on the hot path: it formats.
pub fn encode_debug(reason: &dyn fmt::Display, out: &mut [u8]) -> usize {
    let mut text = Text {
        out: &mut out[FRAME_HEADER_LENGTH..DEBUG_PACKET_LENGTH_MAX],
        length: 0,
    };
    // The only error is Text's own: full. What fitted is sent.
    let _ = fmt::write(&mut text, format_args!("{reason}"));
    let length = text.length;
    write_header(out, b'+', length);
    FRAME_HEADER_LENGTH + length
}

/// Formats into a bounded buffer, cutting what does not fit.
struct Text<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.out.len() - self.length;
        let taken = text.len().min(room);
        self.out[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes written by hand from the packet tables.
    #[test]
    fn server_packets_are_the_tables() {
        let mut out = [0xEE; 64];
        let length = encode_login_accepted(b"SESS1     ", 42, &mut out);
        assert_eq!(&out[..length], b"\x00\x1FA     SESS1                  42");
        let length = encode_login_rejected(LoginRejectReason::NotAuthorized, &mut out);
        assert_eq!(&out[..length], b"\x00\x02JA");
        let length = encode_login_rejected(LoginRejectReason::SessionNotAvailable, &mut out);
        assert_eq!(&out[..length], b"\x00\x02JS");
        out[3..6].copy_from_slice(b"abc");
        let length = encode_sequenced_header(3, &mut out);
        assert_eq!(&out[..length], b"\x00\x04Sabc");
        assert_eq!(&SERVER_HEARTBEAT, b"\x00\x01H");
        assert_eq!(&END_OF_SESSION, b"\x00\x01Z");
    }

    #[test]
    fn client_packets_are_the_tables() {
        let mut out = [0xEE; 64];
        let login = Login {
            session: *b"     SESS1",
            ..Login::new("alice", "secret", 42).unwrap()
        };
        let length = encode_login(&login, &mut out);
        assert_eq!(
            &out[..length],
            b"\x00\x2FLALICE SECRET         SESS1                  42"
        );
        let length = encode_unsequenced(b"Q", &mut out);
        assert_eq!(&out[..length], b"\x00\x02UQ");
        assert_eq!(&CLIENT_HEARTBEAT, b"\x00\x01R");
        assert_eq!(&LOGOUT_REQUEST, b"\x00\x01O");
    }

    #[test]
    fn debug_text_is_cut_at_its_bound() {
        let mut out = [0xEE; DEBUG_PACKET_LENGTH_MAX];
        let length = encode_debug(&"why", &mut out);
        assert_eq!(&out[..length], b"\x00\x04+why");
        let long = std::string::String::from_utf8(std::vec![b'x'; 1000]).unwrap();
        let length = encode_debug(&long, &mut out);
        assert_eq!(length, DEBUG_PACKET_LENGTH_MAX);
        assert_eq!(out[..3], [0, 161, b'+']);
        assert!(out[3..].iter().all(|&byte| byte == b'x'));
    }
}
