//! Every client message as bytes written by hand from the protocol sheet, both ways.

use crate::concat;
use lockstep_record::Price;
use lockstep_wire::ouch::inbound::*;
use lockstep_wire::ouch::{Appendage, AppendageBuffer, INBOUND_LENGTH_MAX, OptionTag};

/// The bytes are the message, and the message is the bytes.
fn check(bytes: &[u8], fixed: usize, encode: impl Fn(&mut [u8]) -> usize) -> Inbound<'_> {
    let mut out = [0xEE; INBOUND_LENGTH_MAX];
    let length = encode(&mut out);
    assert_eq!(&out[..length], bytes);
    assert!(out[length..].iter().all(|&byte| byte == 0xEE));
    assert!(Inbound::MESSAGES.contains(&(bytes[0], fixed)));
    let message = Inbound::parse(bytes).expect("a legal message");
    assert_eq!(message.length(), bytes.len());
    message
}

fn order() -> EnterOrder {
    EnterOrder {
        user_ref_num: 0x0102_0304,
        side: b'B',
        quantity: 0x0000_0064,
        symbol: *b"AMZN    ",
        price: Price(0x0000_0000_0001_86A0),
        time_in_force: b'0',
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: *b"CLIENT-ORDER-1",
    }
}

/// Fields of `order()`, without the appendage's length field.
fn order_fields() -> Vec<u8> {
    concat(&[
        b"O",
        &[0x01, 0x02, 0x03, 0x04],
        b"B",
        &[0x00, 0x00, 0x00, 0x64],
        b"AMZN    ",
        &[0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xA0],
        b"0",
        b"Y",
        b"A",
        b"N",
        b"N",
        b"CLIENT-ORDER-1",
    ])
}

#[test]
fn enter_order_without_options_is_47_bytes() {
    let bytes = concat(&[&order_fields(), &[0, 0]]);
    assert_eq!(bytes.len(), 47);
    let message = check(&bytes, 47, |out| order().encode(Appendage::EMPTY, out));
    let Inbound::EnterOrder(view) = message else {
        panic!("{message:?}")
    };
    assert_eq!(view.values(), order());
    assert!(view.appendage().is_empty() && view.appendage().is_present());
}

/// As the Nasdaq gateway's captures have it: 53 bytes, the Firm option `05 02 4C 49 4D 45`.
#[test]
fn enter_order_with_firm_is_the_53_bytes_of_the_captures() {
    let firm = [0x05, 0x02, 0x4C, 0x49, 0x4D, 0x45];
    let bytes = concat(&[&order_fields(), &[0x00, 0x06], &firm]);
    assert_eq!(bytes.len(), 53);
    let mut options = AppendageBuffer::new();
    options.push(OptionTag::FIRM, *b"LIME").unwrap();
    let message = check(&bytes, 47, |out| order().encode(options.appendage(), out));
    assert_eq!(message.appendage().as_bytes(), firm);
    assert_eq!(message.appendage().value(OptionTag::FIRM), Some(*b"LIME"));
    assert_eq!(message.appendage().value::<u16>(OptionTag::FIRM), None);
    assert_eq!(
        message.appendage().value::<u32>(OptionTag::MIN_QUANTITY),
        None
    );
}

#[test]
fn enter_order_with_several_options() {
    let bytes = concat(&[
        &order_fields(),
        &[0x00, 0x13],
        &[0x05, 0x03, 0x00, 0x00, 0x00, 0x64],
        &[0x05, 0x07, 0xFF, 0xFF, 0xFF, 0x9C],
        &[0x02, 0x0C, b'P'],
        // Unassigned, empty: of legal form.
        &[0x01, 0x08],
        &[0x01, 0x08],
    ]);
    let mut options = AppendageBuffer::new();
    options
        .push(OptionTag::MIN_QUANTITY, 100u32)
        .and_then(|options| options.push(OptionTag::PEG_OFFSET, -100i32))
        .and_then(|options| options.push(OptionTag::POST_ONLY, b'P'))
        .and_then(|options| options.push_bytes(OptionTag(8), &[]))
        .and_then(|options| options.push_bytes(OptionTag(8), &[]))
        .unwrap();
    let message = check(&bytes, 47, |out| order().encode(options.appendage(), out));
    let options = message.appendage();
    assert_eq!(options.value(OptionTag::MIN_QUANTITY), Some(100u32));
    assert_eq!(options.value(OptionTag::PEG_OFFSET), Some(-100i32));
    assert_eq!(options.value(OptionTag::POST_ONLY), Some(b'P'));
    assert_eq!(options.elements().count(), 5);
    assert_eq!(options.user_ref_idx(), 0);
}

#[test]
fn replace_order_is_40_bytes() {
    let bytes = concat(&[
        b"U",
        &[0x00, 0x00, 0x00, 0x07],
        &[0x00, 0x00, 0x00, 0x08],
        &[0x00, 0x00, 0x01, 0x2C],
        &[0x00, 0x00, 0x00, 0x00, 0x77, 0x35, 0x93, 0x9C],
        b"3",
        b"N",
        b"Y",
        b"R             ",
        &[0, 0],
    ]);
    assert_eq!(bytes.len(), 40);
    let replace = ReplaceOrder {
        original_user_ref_num: 7,
        user_ref_num: 8,
        quantity: 300,
        price: Price(1_999_999_900),
        time_in_force: b'3',
        display: b'N',
        intermarket_sweep: b'Y',
        client_order_id: *b"R             ",
    };
    // The length field is always there: absent options are an empty appendage.
    let message = check(&bytes, 40, |out| replace.encode(Appendage::ABSENT, out));
    let Inbound::ReplaceOrder(view) = message else {
        panic!("{message:?}")
    };
    assert_eq!(view.values(), replace);
}

/// As the captures have it: 9 bytes.
#[test]
fn cancel_order_is_9_bytes_or_11_or_14() {
    let fields = concat(&[b"X", &[0, 0, 0, 7], &[0, 0, 0, 50]]);
    let cancel = CancelOrder {
        user_ref_num: 7,
        quantity: 50,
    };
    let message = check(&fields, 9, |out| cancel.encode(Appendage::ABSENT, out));
    assert_eq!(message.appendage(), Appendage::ABSENT);

    let bytes = concat(&[&fields, &[0, 0]]);
    let message = check(&bytes, 9, |out| cancel.encode(Appendage::EMPTY, out));
    assert_eq!(message.appendage(), Appendage::EMPTY);

    let bytes = concat(&[&fields, &[0, 3], &[0x02, 0x1C, 0x04]]);
    let mut options = AppendageBuffer::new();
    options.push(OptionTag::USER_REF_IDX, 4u8).unwrap();
    let message = check(&bytes, 9, |out| cancel.encode(options.appendage(), out));
    assert_eq!(message.appendage().user_ref_idx(), 4);
    let Inbound::CancelOrder(view) = message else {
        panic!("{message:?}")
    };
    assert_eq!(view.values(), cancel);
}

#[test]
fn modify_order_is_10_bytes_or_12() {
    let fields = concat(&[b"M", &[0, 0, 0, 7], b"T", &[0, 0, 0, 50]]);
    let modify = ModifyOrder {
        user_ref_num: 7,
        side: b'T',
        quantity: 50,
    };
    check(&fields, 10, |out| modify.encode(Appendage::ABSENT, out));
    let bytes = concat(&[&fields, &[0, 0]]);
    let message = check(&bytes, 10, |out| modify.encode(Appendage::EMPTY, out));
    let Inbound::ModifyOrder(view) = message else {
        panic!("{message:?}")
    };
    assert_eq!(view.values(), modify);
}

#[test]
fn mass_cancel_is_19_bytes() {
    let bytes = concat(&[b"C", &[0, 0, 0, 7], b"ACME", b"AMZN    ", &[0, 0]]);
    assert_eq!(bytes.len(), 19);
    let cancel = MassCancel {
        user_ref_num: 7,
        firm: *b"ACME",
        symbol: *b"AMZN    ",
    };
    let message = check(&bytes, 19, |out| cancel.encode(Appendage::EMPTY, out));
    let Inbound::MassCancel(view) = message else {
        panic!("{message:?}")
    };
    assert_eq!(view.values(), cancel);
}

#[test]
fn disable_and_enable_entry_are_11_bytes() {
    let bytes = concat(&[b"D", &[0, 0, 0, 7], b"ACME", &[0, 0]]);
    assert_eq!(bytes.len(), 11);
    let disable = DisableEntry {
        user_ref_num: 7,
        firm: *b"ACME",
    };
    let message = check(&bytes, 11, |out| disable.encode(Appendage::EMPTY, out));
    assert!(matches!(message, Inbound::DisableEntry(view) if view.values() == disable));

    let bytes = concat(&[b"E", &[0, 0, 0, 8], b"    ", &[0, 0]]);
    let enable = EnableEntry {
        user_ref_num: 8,
        firm: *b"    ",
    };
    let message = check(&bytes, 11, |out| enable.encode(Appendage::EMPTY, out));
    assert!(matches!(message, Inbound::EnableEntry(view) if view.values() == enable));
}

#[test]
fn account_query_is_1_byte_or_3_or_6() {
    check(b"Q", 1, |out| {
        AccountQuery {}.encode(Appendage::ABSENT, out)
    });
    check(b"Q\0\0", 1, |out| {
        AccountQuery {}.encode(Appendage::EMPTY, out)
    });
    let mut options = AppendageBuffer::new();
    options.push(OptionTag::USER_REF_IDX, 9u8).unwrap();
    let message = check(b"Q\x00\x03\x02\x1C\x09", 1, |out| {
        AccountQuery {}.encode(options.appendage(), out)
    });
    assert_eq!(message.appendage().user_ref_idx(), 9);
}
