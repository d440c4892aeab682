//! What a client may not do on a connection: each way, the typed violation, what it is told, and that
//! nothing after it is looked at.

use crate::concat;
use lockstep_record::StreamNumber;
use lockstep_wire::ouch::INBOUND_LENGTH_MAX;
use lockstep_wire::soup::*;
use proptest::prelude::*;

const LOGIN: &[u8] = b"\x00\x2FLALICE SECRET                                 1";

fn awaiting_login() -> ServerSession {
    ServerSession::new(0, Timing::default())
}

fn login_pending() -> ServerSession {
    let mut session = awaiting_login();
    let taken = session.handle_bytes(LOGIN, 0).unwrap();
    assert!(matches!(taken.input, Some(Input::Login(_))));
    session
}

fn logged_in() -> ServerSession {
    let mut session = login_pending();
    session
        .login_accepted(b"     SESS1", StreamNumber(1), 0, &mut [0; 64])
        .expect("a login was pending");
    session
}

/// The violation of `bytes`, after which the session is over.
fn violation(mut session: ServerSession, bytes: &[u8]) -> Violation {
    let violation = session
        .handle_bytes(bytes, 0)
        .map(|taken| format!("{taken:?}"))
        .unwrap_err();
    assert_eq!(session.state(), State::Ended);
    let after = session.handle_bytes(LOGIN, 0).unwrap();
    assert!(after.consumed == LOGIN.len() && after.input.is_none());
    assert_eq!(session.poll_timer(u64::MAX), None);
    violation
}

/// What is sent before the connection is closed.
fn told(violation: &Violation) -> String {
    let mut out = [0; DEBUG_PACKET_LENGTH_MAX];
    let length = violation.encode_answer(&mut out);
    if length == 0 {
        assert_eq!(violation.answer(), Answer::Close);
        return String::new();
    }
    assert_eq!(violation.answer(), Answer::DebugThenClose);
    let frame = split_server(&out[..length])
        .unwrap()
        .expect("a whole packet");
    assert_eq!(frame.length(), length);
    match ServerPacket::from_frame(&frame) {
        Ok(ServerPacket::Debug(text)) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_before_login() {
    let violation = violation(awaiting_login(), b"\x00\x02UQ");
    assert_eq!(violation, Violation::DataBeforeLogin);
    assert_eq!(told(&violation), "");
}

#[test]
fn second_login_on_one_connection() {
    let violation = violation(logged_in(), LOGIN);
    assert_eq!(violation, Violation::SecondLogin);
    assert_eq!(told(&violation), "");
}

#[test]
fn zero_length() {
    for session in [awaiting_login(), logged_in()] {
        let violation = violation(session, b"\x00\x00");
        assert_eq!(violation, Violation::Frame(FrameError::ZeroLength));
        assert!(told(&violation).contains("packet length 0"));
    }
}

/// Condemned by the length field alone: nothing of the packet is waited for.
#[test]
fn oversized() {
    let longest = (CLIENT_FRAME_LENGTH_MAX - 2) as u16;
    assert!(usize::from(longest) > 1 + INBOUND_LENGTH_MAX);
    for length in [longest + 1, u16::MAX] {
        for session in [awaiting_login(), logged_in()] {
            let violation = violation(session, &length.to_be_bytes());
            assert_eq!(
                violation,
                Violation::Frame(FrameError::TooLong {
                    length: 2 + usize::from(length),
                    length_max: CLIENT_FRAME_LENGTH_MAX,
                })
            );
            assert!(told(&violation).contains("at most 2048"));
        }
    }
    let packet = concat(&[&longest.to_be_bytes(), b"U", &[b'?'; 2045]]);
    assert_eq!(packet.len(), CLIENT_FRAME_LENGTH_MAX);
    let mut session = logged_in();
    let taken = session.handle_bytes(&packet, 0).unwrap();
    assert_eq!(taken.consumed, packet.len());
    assert!(matches!(taken.input, Some(Input::Data(payload)) if payload.len() == 2045));
}

#[test]
fn unknown_and_server_types() {
    for packet_type in 0..=255u8 {
        if b"+LURO".contains(&packet_type) {
            continue;
        }
        for session in [awaiting_login(), logged_in()] {
            let violation = violation(session, &[0, 1, packet_type]);
            let expected = if b"AJSHZ".contains(&packet_type) {
                FrameError::WrongDirection(packet_type)
            } else {
                FrameError::UnknownType(packet_type)
            };
            assert_eq!(violation, Violation::Frame(expected));
        }
    }
    assert!(told(&violation(logged_in(), b"\x00\x01S")).contains("'S' is not for this direction"));
    assert!(told(&violation(logged_in(), b"\x00\x01\xFF")).contains("unknown packet type 0xff"));
}

#[test]
fn wrong_length_for_its_type() {
    for (packet_type, expected) in [(b'L', 47), (b'R', 1), (b'O', 1)] {
        for length in (1..60u16).filter(|length| usize::from(*length) != expected) {
            let bytes = concat(&[&length.to_be_bytes(), &[packet_type]]);
            let violation = violation(logged_in(), &bytes);
            assert_eq!(
                violation,
                Violation::Frame(FrameError::Length {
                    packet_type,
                    length: usize::from(length),
                    expected,
                })
            );
            assert!(told(&violation).contains(&format!("it must be {expected}")));
        }
    }
}

/// Other protocols on our port: a TLS hello, an HTTP request, a FIX logon.
#[test]
fn strangers() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"8=FIX.4.4\x019=5\x0135=A\x01",
        &[0xFF; 64],
        &[0x00; 64],
    ] {
        let violation = violation(awaiting_login(), bytes);
        assert!(matches!(violation, Violation::Frame(_)), "{violation:?}");
        assert!(!told(&violation).is_empty());
    }
}

/// Heartbeats and debug text say nothing, before the login and after; an empty debug packet is one.
#[test]
fn noise_is_silent() {
    for mut session in [awaiting_login(), logged_in()] {
        for packet in [&b"\x00\x01R"[..], b"\x00\x03+hi", b"\x00\x01+"] {
            let taken = session.handle_bytes(packet, 0).unwrap();
            assert_eq!(taken.consumed, packet.len());
            assert!(taken.input.is_none());
        }
    }
}

#[test]
fn logout_ends_the_session_before_and_after_login() {
    for mut session in [awaiting_login(), logged_in()] {
        let taken = session.handle_bytes(b"\x00\x01O\x00\x02UQ", 0).unwrap();
        assert_eq!(taken.consumed, 3);
        assert!(matches!(taken.input, Some(Input::Logout)));
        assert_eq!(session.state(), State::Ended);
        // What follows a logout is not looked at.
        let taken = session.handle_bytes(b"\x00\x02UQ", 0).unwrap();
        assert!(taken.consumed == 4 && taken.input.is_none());
    }
}

proptest! {
    #![proptest_config(crate::many_cases())]

    /// Whatever comes, in whatever state: a typed outcome, no panic, and nothing consumed that was
    /// not there.
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        length in prop_oneof![Just(None), (0..80u16).prop_map(Some)],
        packet_type in prop::sample::select(b"+LUROAJSHZ?".as_slice()),
        state in 0..3usize,
    ) {
        let mut bytes = bytes;
        if let (Some(length), 3..) = (length, bytes.len()) {
            bytes[..2].copy_from_slice(&length.to_be_bytes());
            bytes[2] = packet_type;
        }
        let mut session = [awaiting_login, login_pending, logged_in][state]();
        let mut rest = &bytes[..];
        loop {
            match session.handle_bytes(rest, 0) {
                Ok(Taken { consumed: 0, input }) => {
                    prop_assert!(input.is_none());
                    break;
                }
                Ok(taken) => {
                    let _ = format!("{taken:?}");
                    rest = &rest[taken.consumed..];
                }
                Err(violation) => {
                    let _ = told(&violation);
                    prop_assert_eq!(session.state(), State::Ended);
                    break;
                }
            }
        }
        let mut client = ClientSession::new(0, ClientTiming::default());
        let mut rest = &bytes[..];
        while let Ok(taken) = client.handle_bytes(rest, 0) {
            if taken.consumed == 0 {
                break;
            }
            rest = &rest[taken.consumed..];
        }
    }
}
