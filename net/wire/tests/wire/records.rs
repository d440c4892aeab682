//! From client bytes to command records, as docs/journal-format.md prints them.

use crate::{RecordBuffer, concat, source};
use lockstep_record::command;
use lockstep_record::{Body, PartTag, Policy, RECORD_HEADER_LENGTH};
use lockstep_wire::ouch::inbound::*;
use lockstep_wire::ouch::{
    APPENDAGE_LENGTH_MAX, Appendage, AppendageBuffer, COMMAND_RECORD_LENGTH_MAX,
    INBOUND_LENGTH_MAX, OPTIONS, OptionTag, OuchError, write_command,
};

fn bytes_of(encode: impl Fn(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = [0; INBOUND_LENGTH_MAX];
    let length = encode(&mut out);
    out[..length].to_vec()
}

/// The body that a message becomes; its record has no parts.
fn body_of<B: Body>(bytes: &[u8]) -> B {
    let message = Inbound::parse(bytes).expect("a legal message");
    let (buffer, length) = RecordBuffer::written(&message);
    let record = buffer.record(length);
    assert_eq!(length, RECORD_HEADER_LENGTH + B::LENGTH);
    assert_eq!(record.header().policy, B::POLICY);
    assert!(record.parts().is_empty());
    B::from_archived(record.body::<B>().expect("the message's body"))
}

fn enter_order(options: Appendage<'_>) -> Vec<u8> {
    let order = EnterOrder {
        user_ref_num: 7,
        side: b'B',
        quantity: 100,
        symbol: *b"AMZN    ",
        price: lockstep_record::Price(1_000_000),
        time_in_force: b'0',
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: *b"CLIENT-ORDER-1",
    };
    bytes_of(|out| order.encode(options, out))
}

/// From hand-written wire bytes to hand-written record bytes: nothing of ours on either side.
#[test]
fn enter_order_becomes_the_documented_record() {
    let wire = concat(&[
        b"O",
        &[0x01, 0x02, 0x03, 0x04],
        b"B",
        &[0x00, 0x00, 0x00, 0x64],
        b"AMZN    ",
        &[0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08],
        b"0YANN",
        b"CLIENT-ORDER-1",
        &[0x00, 0x09],
        &[0x05, 0x02, 0x4C, 0x49, 0x4D, 0x45],
        &[0x02, 0x1C, 0x04],
    ]);
    let message = Inbound::parse(&wire).unwrap();
    let (buffer, length) = RecordBuffer::written(&message);
    let expected = concat(&[
        // length 104, kind 16, version 1, policy reject
        &[104, 0, 0, 0, 16, 0, 1, 0],
        // session 3, epoch 9
        &[3, 0, 0, 0, 9, 0, 0, 0],
        // partition 0, gateway 1, body 48, reserved
        &[0, 0, 1, 0, 48, 0, 0, 0],
        // price, symbol, number, quantity
        &[8, 7, 6, 5, 4, 3, 2, 1],
        b"AMZN    ",
        &[4, 3, 2, 1],
        &[100, 0, 0, 0],
        b"B0YANN",
        b"CLIENT-ORDER-1",
        &[0, 0, 0, 0],
        // part 2, reject, 4 bytes
        &[2, 0, 0, 0, 4, 0, 0, 0],
        b"LIME\0\0\0\0",
        // part 28, reject, 1 byte
        &[28, 0, 0, 0, 1, 0, 0, 0],
        &[4, 0, 0, 0, 0, 0, 0, 0],
    ]);
    assert_eq!(&buffer.0[..length], expected);
}

#[test]
fn every_message_becomes_its_body_with_raw_values() {
    let enter = body_of::<command::EnterOrder>(&enter_order(Appendage::EMPTY));
    assert_eq!(
        enter,
        command::EnterOrder {
            price: 1_000_000,
            symbol: *b"AMZN    ",
            user_ref_num: 7,
            quantity: 100,
            side: b'B',
            time_in_force: b'0',
            display: b'Y',
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"CLIENT-ORDER-1",
            _reserved: [0; 4],
        }
    );
    let replace = ReplaceOrder {
        original_user_ref_num: 7,
        user_ref_num: 8,
        quantity: 9,
        price: lockstep_record::Price(u64::MAX),
        time_in_force: 0xFF,
        display: 0,
        intermarket_sweep: b'?',
        client_order_id: [0xC3; 14],
    };
    assert_eq!(
        body_of::<command::ReplaceOrder>(&bytes_of(|out| replace.encode(Appendage::EMPTY, out))),
        command::ReplaceOrder {
            price: u64::MAX,
            original_user_ref_num: 7,
            user_ref_num: 8,
            quantity: 9,
            time_in_force: 0xFF,
            display: 0,
            intermarket_sweep: b'?',
            client_order_id: [0xC3; 14],
            _reserved: [0; 3],
        }
    );
    let modify = ModifyOrder {
        user_ref_num: 7,
        side: b'T',
        quantity: u32::MAX,
    };
    assert_eq!(
        body_of::<command::ModifyOrder>(&bytes_of(|out| modify.encode(Appendage::ABSENT, out))),
        command::ModifyOrder {
            user_ref_num: 7,
            quantity: u32::MAX,
            side: b'T',
            _reserved: [0; 7],
        }
    );
    let cancel = MassCancel {
        user_ref_num: 7,
        firm: *b"ACME",
        symbol: *b"AMZN    ",
    };
    assert_eq!(
        body_of::<command::MassCancel>(&bytes_of(|out| cancel.encode(Appendage::EMPTY, out))),
        command::MassCancel {
            user_ref_num: 7,
            firm: *b"ACME",
            symbol: *b"AMZN    ",
        }
    );
    assert_eq!(
        body_of::<command::DisableEntry>(b"D\0\0\0\x07ACME\0\0"),
        command::DisableEntry {
            user_ref_num: 7,
            firm: *b"ACME",
        }
    );
    assert_eq!(
        body_of::<command::EnableEntry>(b"E\0\0\0\x08    \0\0"),
        command::EnableEntry {
            user_ref_num: 8,
            firm: *b"    ",
        }
    );
}

/// Both short forms mean the same: the record does not tell them apart.
#[test]
fn absent_and_empty_options_are_one_record() {
    let expected = command::CancelOrder {
        user_ref_num: 7,
        quantity: 50,
    };
    assert_eq!(
        body_of::<command::CancelOrder>(b"X\0\0\0\x07\0\0\0\x32"),
        expected
    );
    assert_eq!(
        body_of::<command::CancelOrder>(b"X\0\0\0\x07\0\0\0\x32\0\0"),
        expected
    );
    let expected = command::AccountQuery { _reserved: 0 };
    assert_eq!(body_of::<command::AccountQuery>(b"Q"), expected);
    assert_eq!(body_of::<command::AccountQuery>(b"Q\0\0"), expected);
}

/// The parts that these options become, in order.
fn parts_of(options: &AppendageBuffer) -> Vec<(PartTag, Policy, Vec<u8>)> {
    let bytes = enter_order(options.appendage());
    let message = Inbound::parse(&bytes).expect("a legal message");
    let (buffer, length) = RecordBuffer::written(&message);
    buffer
        .record(length)
        .parts()
        .map(|part| (part.tag, part.policy, part.value.to_vec()))
        .collect()
}

#[test]
fn integer_options_are_stored_little_endian_in_their_width() {
    let mut options = AppendageBuffer::new();
    options
        .push(OptionTag::MIN_QUANTITY, 0x0102_0304u32)
        .and_then(|options| options.push(OptionTag::GROUP_ID, 0x0102u16))
        .and_then(|options| options.push(OptionTag::DISCRETION_PRICE, 0x0102_0304_0506_0708u64))
        .and_then(|options| options.push(OptionTag::PEG_OFFSET, -2i32))
        .and_then(|options| options.push(OptionTag::USER_REF_IDX, 9u8))
        .unwrap();
    let parts = parts_of(&options);
    let values: Vec<_> = parts
        .iter()
        .map(|(tag, _, value)| (*tag, value.as_slice()))
        .collect();
    assert_eq!(
        values,
        [
            (PartTag::MIN_QUANTITY, &[4, 3, 2, 1][..]),
            (PartTag::GROUP_ID, &[2, 1]),
            (PartTag::DISCRETION_PRICE, &[8, 7, 6, 5, 4, 3, 2, 1]),
            (PartTag::PEG_OFFSET, &[0xFE, 0xFF, 0xFF, 0xFF]),
            (PartTag::USER_REF_IDX, &[9]),
        ]
    );
    assert!(parts.iter().all(|(_, policy, _)| *policy == Policy::Reject));
}

/// A known tag of another width crosses as sent, so that the state machine can reject it.
#[test]
fn known_tag_of_wrong_width_crosses_byte_for_byte() {
    for spec in OPTIONS {
        for width in (0..=12usize).filter(|width| *width != usize::from(spec.width)) {
            let value: Vec<u8> = (1..=width as u8).collect();
            let mut options = AppendageBuffer::new();
            options.push_bytes(spec.tag, &value).unwrap();
            assert_eq!(
                parts_of(&options),
                [(PartTag::from(spec.tag), Policy::Reject, value)],
                "{}",
                spec.name
            );
        }
    }
}

#[test]
fn unknown_tags_carry_what_a_reader_must_do() {
    let mut options = AppendageBuffer::new();
    for tag in [8, 29, 199, 205, 255, 0] {
        options.push_bytes(OptionTag(tag), b"abc").unwrap();
    }
    let policies: Vec<_> = parts_of(&options)
        .into_iter()
        .map(|(tag, policy, value)| {
            assert_eq!(value, b"abc");
            (tag.0, policy)
        })
        .collect();
    assert_eq!(
        policies,
        [
            (8, Policy::Ignore),
            (29, Policy::Ignore),
            (199, Policy::Ignore),
            (205, Policy::Reject),
            (255, Policy::Reject),
            (0, Policy::Reject),
        ]
    );
}

/// Order and repetition are the client's; what a repetition means is the state machine's.
#[test]
fn repeated_options_stay_in_order() {
    let mut options = AppendageBuffer::new();
    for value in [1u32, 2, 1] {
        options.push(OptionTag::MAX_FLOOR, value).unwrap();
    }
    let values: Vec<_> = parts_of(&options)
        .into_iter()
        .map(|(_, _, value)| value[0])
        .collect();
    assert_eq!(values, [1, 2, 1]);
}

/// The longest record is the one the bound names: an appendage of 512 bytes full of 1-byte options.
#[test]
fn densest_appendage_is_exactly_the_record_bound() {
    let mut options = AppendageBuffer::new();
    for _ in 0..170 {
        options.push(OptionTag::POST_ONLY, b'P').unwrap();
    }
    options.push_bytes(OptionTag::POST_ONLY, &[]).unwrap();
    assert_eq!(options.appendage().as_bytes().len(), APPENDAGE_LENGTH_MAX);
    let bytes = enter_order(options.appendage());
    assert_eq!(bytes.len(), INBOUND_LENGTH_MAX);
    let message = Inbound::parse(&bytes).unwrap();
    assert_eq!(message.record_length(), COMMAND_RECORD_LENGTH_MAX);
    let (buffer, length) = RecordBuffer::written(&message);
    assert_eq!(buffer.record(length).parts().count(), 171);
}

#[test]
fn write_command_is_parse_and_write() {
    let mut buffer = RecordBuffer([0; lockstep_record::RECORD_LENGTH_MAX]);
    let length = write_command(b"Q", source(), &mut buffer.0).unwrap();
    assert!(
        buffer
            .record(length)
            .body::<command::AccountQuery>()
            .is_some()
    );
    assert_eq!(
        write_command(b"!", source(), &mut buffer.0),
        Err(OuchError::UnknownType(b'!'))
    );
}
