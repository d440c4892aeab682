//! What is not an OUCH message: each way, its typed error and what the client is told.

use crate::{concat, source};
use lockstep_wire::ouch::{APPENDAGE_LENGTH_MAX, Inbound, OuchError, Outbound, write_command};
use lockstep_wire::soup::{DEBUG_PACKET_LENGTH_MAX, encode_debug};
use proptest::prelude::*;

fn error(bytes: &[u8]) -> OuchError {
    Inbound::parse(bytes)
        .map(|message| format!("{message:?}"))
        .expect_err("illegal")
}

/// The debug packet's text.
fn told(error: &OuchError) -> String {
    let mut out = [0; DEBUG_PACKET_LENGTH_MAX];
    let length = encode_debug(error, &mut out);
    assert_eq!(out[2], b'+');
    String::from_utf8(out[3..length].to_vec()).unwrap()
}

fn enter_order(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'1'; 45];
    bytes[0] = b'O';
    concat(&[&bytes, &(options.len() as u16).to_be_bytes(), options])
}

#[test]
fn empty_message() {
    assert_eq!(error(b""), OuchError::Empty);
    assert!(told(&error(b"")).contains("empty message"));
}

#[test]
fn unknown_types() {
    let known = b"OUXMCDEQ";
    for message in 0..=255u8 {
        let bytes = concat(&[&[message], &[b' '; 46]]);
        let unknown = error_type(&bytes) == Some(message);
        assert_eq!(unknown, !known.contains(&message), "type {message:#x}");
    }
    // What the venue says is not the client's to say.
    for message in *b"SABJPITRGK" {
        assert_eq!(error(&[message]), OuchError::UnknownType(message));
    }
    assert!(told(&error(b"A")).contains("unknown OUCH message type 0x41"));
}

fn error_type(bytes: &[u8]) -> Option<u8> {
    match Inbound::parse(bytes) {
        Err(OuchError::UnknownType(message)) => Some(message),
        _ => None,
    }
}

/// Each message at every length up to its fixed part's: short of it always an error, never a panic.
#[test]
fn impossible_lengths() {
    for &(message, fixed) in Inbound::MESSAGES {
        for length in 1..fixed {
            let mut bytes = vec![0; length];
            bytes[0] = message;
            assert_eq!(
                error(&bytes),
                OuchError::Length {
                    message,
                    length,
                    fixed
                }
            );
        }
        let mut bytes = vec![0; fixed];
        bytes[0] = message;
        assert!(Inbound::parse(&bytes).is_ok(), "type {message:#x}");
    }
    // One byte more than the short form is half a length field.
    for (message, fixed) in [(b'X', 9), (b'M', 10), (b'Q', 1)] {
        let mut bytes = vec![0; fixed + 1];
        bytes[0] = message;
        let length = fixed + 1;
        assert_eq!(
            error(&bytes),
            OuchError::Length {
                message,
                length,
                fixed
            }
        );
    }
    assert!(told(&error(b"X123")).contains("'X' of 4 bytes; its fixed part has 9"));
}

#[test]
fn announced_options_that_are_not_there_or_too_many() {
    for (announced, present) in [(1u16, 0usize), (0, 3), (5, 3), (3, 4), (0xFFFF, 3)] {
        let mut bytes = enter_order(&[]);
        bytes.truncate(45);
        bytes.extend_from_slice(&announced.to_be_bytes());
        bytes.extend_from_slice(&[2, 12, b'P', 0][..present]);
        assert_eq!(
            error(&bytes),
            OuchError::AppendageLength {
                message: b'O',
                announced: usize::from(announced),
                present,
            }
        );
        assert!(told(&error(&bytes)).contains(&format!("announces {announced} bytes")));
    }
}

#[test]
fn options_above_the_bound() {
    let full = [2, 12, b'P'].repeat(170);
    let full = concat(&[&full, &[1, 12]]);
    assert_eq!(full.len(), APPENDAGE_LENGTH_MAX);
    assert!(Inbound::parse(&enter_order(&full)).is_ok());
    let over = concat(&[&[2, 12, b'P'].repeat(169), &[2, 12, b'P', 2, 12, b'P']]);
    assert_eq!(over.len(), APPENDAGE_LENGTH_MAX + 1);
    let error = error(&enter_order(&over));
    assert_eq!(
        error,
        OuchError::AppendageTooLong {
            message: b'O',
            length: 513,
            length_max: 512,
        }
    );
    assert!(told(&error).contains("513 bytes of options"));
}

#[test]
fn elements_of_impossible_length() {
    let cases: [(&[u8], usize, u8); 5] = [
        (&[0], 0, 0),
        (&[0, 12], 0, 0),
        (&[2, 12, b'P', 0], 3, 0),
        (&[2, 12, b'P', 2, 12], 3, 2),
        (&[255, 12], 0, 255),
    ];
    for (options, offset, length) in cases {
        let error = error(&enter_order(options));
        assert_eq!(
            error,
            OuchError::Element {
                message: b'O',
                offset,
                length,
            }
        );
        assert!(told(&error).contains(&format!("option at byte {offset}")));
    }
}

#[test]
fn a_system_event_has_no_options() {
    assert!(Outbound::parse(&[b'S'; 10]).is_ok());
    for length in [9, 11, 12] {
        let bytes = vec![b'S'; length];
        assert_eq!(
            Outbound::parse(&bytes).map(|_| ()),
            Err(OuchError::Length {
                message: b'S',
                length,
                fixed: 10
            })
        );
    }
}

proptest! {
    #![proptest_config(crate::many_cases())]

    /// Whatever comes: a typed outcome, and what is legal is read whole.
    #[test]
    fn arbitrary_payloads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut out = [0; 4096];
        match Inbound::parse(&bytes) {
            Ok(message) => {
                prop_assert_eq!(message.length(), bytes.len());
                let length = message.encode(&mut out);
                prop_assert_eq!(&out[..length], &bytes[..]);
            }
            Err(error) => {
                prop_assert!(!told(&error).is_empty());
                prop_assert_eq!(write_command(&bytes, source(), &mut out), Err(error));
            }
        }
        if let Ok(message) = Outbound::parse(&bytes) {
            prop_assert_eq!(message.length(), bytes.len());
            let _ = format!("{message:?}");
        }
    }

    /// The same from bytes that begin like messages, so that the deeper checks are reached.
    #[test]
    fn damaged_messages_never_panic(
        row in 0..8usize,
        fields in prop::collection::vec(any::<u8>(), 0..80),
        announced in prop_oneof![Just(None), (0..40u16).prop_map(Some)],
    ) {
        let (message, fixed) = Inbound::MESSAGES[row];
        let mut bytes = concat(&[&[message], &fields]);
        if let Some(announced) = announced {
            let at = if b"XMQ".contains(&message) { fixed } else { fixed - 2 };
            if let Some(field) = bytes.get_mut(at..at + 2) {
                field.copy_from_slice(&announced.to_be_bytes());
            }
        }
        let mut out = [0; 4096];
        if let Ok(message) = Inbound::parse(&bytes) {
            let length = message.encode(&mut out);
            prop_assert_eq!(&out[..length], &bytes[..]);
            prop_assert_eq!(write_command(&bytes, source(), &mut out), Ok(message.record_length()));
        }
    }
}
