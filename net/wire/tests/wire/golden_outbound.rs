//! Every message of the venue as bytes written by hand from the protocol sheet, both ways.

use crate::concat;
use lockstep_record::{MatchNumber, OrderReference, Price};
use lockstep_wire::ouch::outbound::*;
use lockstep_wire::ouch::{Appendage, AppendageBuffer, OUTBOUND_LENGTH_MAX, OptionTag};

/// 09:30:00.000000001 after midnight.
const TIME: u64 = 0x0000_1F1A_CED9_F001;
const TIME_BYTES: [u8; 8] = [0x00, 0x00, 0x1F, 0x1A, 0xCE, 0xD9, 0xF0, 0x01];
const NUMBER: [u8; 4] = [0x00, 0x00, 0x00, 0x07];

/// The bytes are the message, and the message is the bytes.
fn check(bytes: &[u8], fixed: usize, encode: impl Fn(&mut [u8]) -> usize) -> Outbound<'_> {
    let mut out = [0xEE; OUTBOUND_LENGTH_MAX];
    let length = encode(&mut out);
    assert_eq!(&out[..length], bytes);
    assert!(out[length..].iter().all(|&byte| byte == 0xEE));
    assert!(Outbound::MESSAGES.contains(&(bytes[0], fixed)));
    let message = Outbound::parse(bytes).expect("a legal message");
    assert_eq!(message.length(), bytes.len());
    message
}

macro_rules! assert_values {
    ($message:expr, $name:ident, $expected:expr) => {
        match $message {
            Outbound::$name(view) => assert_eq!(view.values(), $expected),
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn time_of_the_examples_is_what_it_says() {
    assert_eq!(TIME, (9 * 3600 + 30 * 60) * 1_000_000_000 + 1);
}

#[test]
fn system_event_is_10_bytes() {
    let bytes = concat(&[b"S", &TIME_BYTES, b"E"]);
    let event = SystemEvent {
        timestamp: TIME,
        code: b'E',
    };
    let message = check(&bytes, 10, |out| event.encode(Appendage::ABSENT, out));
    assert_values!(message, SystemEvent, event);
}

fn accepted() -> Accepted {
    Accepted {
        timestamp: TIME,
        user_ref_num: 7,
        side: b'S',
        quantity: 100,
        symbol: *b"AMZN    ",
        price: Price(2_239_500),
        time_in_force: b'0',
        display: b'Y',
        order_reference: OrderReference(0x0102_0304_0506_0708),
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        state: b'L',
        client_order_id: *b"CLIENT-ORDER-1",
    }
}

fn accepted_fields() -> Vec<u8> {
    concat(&[
        b"A",
        &TIME_BYTES,
        &NUMBER,
        b"S",
        &[0x00, 0x00, 0x00, 0x64],
        b"AMZN    ",
        &[0x00, 0x00, 0x00, 0x00, 0x00, 0x22, 0x2C, 0x0C],
        b"0",
        b"Y",
        &[0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08],
        b"P",
        b"N",
        b"N",
        b"L",
        b"CLIENT-ORDER-1",
    ])
}

#[test]
fn accepted_is_64_bytes() {
    let bytes = concat(&[&accepted_fields(), &[0, 0]]);
    assert_eq!(bytes.len(), 64);
    let message = check(&bytes, 64, |out| accepted().encode(Appendage::EMPTY, out));
    assert_values!(message, Accepted, accepted());
}

/// As the captures have it: 73 bytes, Firm and BBO weight behind the 64.
#[test]
fn accepted_with_firm_and_weight_is_the_73_bytes_of_the_captures() {
    let options = [0x05, 0x02, 0x4C, 0x49, 0x4D, 0x45, 0x02, 0x12, b'0'];
    let bytes = concat(&[&accepted_fields(), &[0x00, 0x09], &options]);
    assert_eq!(bytes.len(), 73);
    let mut buffer = AppendageBuffer::new();
    buffer
        .push(OptionTag::FIRM, *b"LIME")
        .and_then(|buffer| buffer.push(OptionTag::BBO_WEIGHT, b'0'))
        .unwrap();
    let message = check(&bytes, 64, |out| accepted().encode(buffer.appendage(), out));
    assert_eq!(message.appendage().value(OptionTag::BBO_WEIGHT), Some(b'0'));
}

#[test]
fn replaced_is_68_bytes() {
    let bytes = concat(&[
        b"U",
        &TIME_BYTES,
        &NUMBER,
        &[0x00, 0x00, 0x00, 0x08],
        b"B",
        &[0x00, 0x0F, 0x42, 0x3F],
        b"AAPL    ",
        &[0x00, 0x00, 0x00, 0x00, 0x77, 0x35, 0x93, 0x9C],
        b"3",
        b"A",
        &[0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09],
        b"A",
        b"Y",
        b"O",
        b"D",
        b"              ",
        &[0, 0],
    ]);
    assert_eq!(bytes.len(), 68);
    let replaced = Replaced {
        timestamp: TIME,
        original_user_ref_num: 7,
        user_ref_num: 8,
        side: b'B',
        quantity: 999_999,
        symbol: *b"AAPL    ",
        price: Price(1_999_999_900),
        time_in_force: b'3',
        display: b'A',
        order_reference: OrderReference(9),
        capacity: b'A',
        intermarket_sweep: b'Y',
        cross_type: b'O',
        state: b'D',
        client_order_id: [b' '; 14],
    };
    let message = check(&bytes, 68, |out| replaced.encode(Appendage::EMPTY, out));
    assert_values!(message, Replaced, replaced);
}

/// As the captures have it: 18 bytes.
#[test]
fn canceled_is_18_bytes_or_20_or_23() {
    let fields = concat(&[b"C", &TIME_BYTES, &NUMBER, &[0, 0, 0, 50], b"U"]);
    assert_eq!(fields.len(), 18);
    let canceled = Canceled {
        timestamp: TIME,
        user_ref_num: 7,
        quantity: 50,
        reason: b'U',
    };
    let message = check(&fields, 18, |out| canceled.encode(Appendage::ABSENT, out));
    assert_values!(message, Canceled, canceled);
    let bytes = concat(&[&fields, &[0, 0]]);
    check(&bytes, 18, |out| canceled.encode(Appendage::EMPTY, out));
    let bytes = concat(&[&fields, &[0, 3, 2, 28, 5]]);
    let mut options = AppendageBuffer::new();
    options.push(OptionTag::USER_REF_IDX, 5u8).unwrap();
    let message = check(&bytes, 18, |out| canceled.encode(options.appendage(), out));
    assert_eq!(message.appendage().user_ref_idx(), 5);
}

#[test]
fn self_match_canceled_is_32_bytes() {
    let bytes = concat(&[
        b"D",
        &TIME_BYTES,
        &NUMBER,
        &[0, 0, 0, 50],
        b"Q",
        &[0, 0, 0, 60],
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"R",
        b"N",
    ]);
    assert_eq!(bytes.len(), 32);
    let canceled = SelfMatchCanceled {
        timestamp: TIME,
        user_ref_num: 7,
        decrement: 50,
        reason: b'Q',
        quantity_prevented: 60,
        price: Price(10_000),
        liquidity: b'R',
        strategy: b'N',
    };
    let message = check(&bytes, 32, |out| canceled.encode(Appendage::ABSENT, out));
    assert_values!(message, SelfMatchCanceled, canceled);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 32, |out| canceled.encode(Appendage::EMPTY, out));
}

#[test]
fn executed_is_36_bytes() {
    let bytes = concat(&[
        b"E",
        &TIME_BYTES,
        &NUMBER,
        &[0, 0, 0, 50],
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"A",
        &[0, 0, 0, 0, 0, 0, 1, 2],
        &[0, 0],
    ]);
    assert_eq!(bytes.len(), 36);
    let executed = Executed {
        timestamp: TIME,
        user_ref_num: 7,
        quantity: 50,
        price: Price(10_000),
        liquidity: b'A',
        match_number: MatchNumber(258),
    };
    let message = check(&bytes, 36, |out| executed.encode(Appendage::EMPTY, out));
    assert_values!(message, Executed, executed);
}

#[test]
fn broken_trade_is_36_bytes() {
    let bytes = concat(&[
        b"B",
        &TIME_BYTES,
        &NUMBER,
        &[0, 0, 0, 0, 0, 0, 1, 2],
        b"S",
        b"CLIENT-ORDER-1",
    ]);
    assert_eq!(bytes.len(), 36);
    let broken = BrokenTrade {
        timestamp: TIME,
        user_ref_num: 7,
        match_number: MatchNumber(258),
        reason: b'S',
        client_order_id: *b"CLIENT-ORDER-1",
    };
    let message = check(&bytes, 36, |out| broken.encode(Appendage::ABSENT, out));
    assert_values!(message, BrokenTrade, broken);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 36, |out| broken.encode(Appendage::EMPTY, out));
}

#[test]
fn rejected_is_29_bytes() {
    let bytes = concat(&[b"J", &TIME_BYTES, &NUMBER, &[0x00, 0x17], b"CLIENT-ORDER-1"]);
    assert_eq!(bytes.len(), 29);
    let rejected = Rejected {
        timestamp: TIME,
        user_ref_num: 7,
        reason: 0x17,
        client_order_id: *b"CLIENT-ORDER-1",
    };
    let message = check(&bytes, 29, |out| rejected.encode(Appendage::ABSENT, out));
    assert_values!(message, Rejected, rejected);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 29, |out| rejected.encode(Appendage::EMPTY, out));
}

#[test]
fn cancel_pending_and_cancel_reject_are_13_bytes() {
    let bytes = concat(&[b"P", &TIME_BYTES, &NUMBER]);
    let pending = CancelPending {
        timestamp: TIME,
        user_ref_num: 7,
    };
    let message = check(&bytes, 13, |out| pending.encode(Appendage::ABSENT, out));
    assert_values!(message, CancelPending, pending);

    let bytes = concat(&[b"I", &TIME_BYTES, &NUMBER, &[0, 0]]);
    let reject = CancelReject {
        timestamp: TIME,
        user_ref_num: 7,
    };
    let message = check(&bytes, 13, |out| reject.encode(Appendage::EMPTY, out));
    assert_values!(message, CancelReject, reject);
}

#[test]
fn priority_update_is_30_bytes() {
    let bytes = concat(&[
        b"T",
        &TIME_BYTES,
        &NUMBER,
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"Y",
        &[0, 0, 0, 0, 0, 0, 1, 2],
    ]);
    assert_eq!(bytes.len(), 30);
    let update = PriorityUpdate {
        timestamp: TIME,
        user_ref_num: 7,
        price: Price(10_000),
        display: b'Y',
        order_reference: OrderReference(258),
    };
    let message = check(&bytes, 30, |out| update.encode(Appendage::ABSENT, out));
    assert_values!(message, PriorityUpdate, update);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 30, |out| update.encode(Appendage::EMPTY, out));
}

#[test]
fn modified_is_18_bytes() {
    let bytes = concat(&[b"M", &TIME_BYTES, &NUMBER, b"E", &[0, 0, 0, 50]]);
    assert_eq!(bytes.len(), 18);
    let modified = Modified {
        timestamp: TIME,
        user_ref_num: 7,
        side: b'E',
        quantity: 50,
    };
    let message = check(&bytes, 18, |out| modified.encode(Appendage::ABSENT, out));
    assert_values!(message, Modified, modified);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 18, |out| modified.encode(Appendage::EMPTY, out));
}

#[test]
fn restated_is_16_bytes_and_its_options() {
    let fields = concat(&[b"R", &TIME_BYTES, &NUMBER, b"R"]);
    let restated = Restated {
        timestamp: TIME,
        user_ref_num: 7,
        reason: b'R',
    };
    let bytes = concat(&[&fields, &[0, 0]]);
    assert_eq!(bytes.len(), 16);
    let message = check(&bytes, 16, |out| restated.encode(Appendage::EMPTY, out));
    assert_values!(message, Restated, restated);
}

#[test]
fn mass_cancel_response_is_27_bytes() {
    let bytes = concat(&[b"X", &TIME_BYTES, &NUMBER, b"ACME", b"AMZN    ", &[0, 0]]);
    assert_eq!(bytes.len(), 27);
    let response = MassCancelResponse {
        timestamp: TIME,
        user_ref_num: 7,
        firm: *b"ACME",
        symbol: *b"AMZN    ",
    };
    let message = check(&bytes, 27, |out| response.encode(Appendage::EMPTY, out));
    assert_values!(message, MassCancelResponse, response);
}

#[test]
fn disable_and_enable_responses_are_19_bytes() {
    let bytes = concat(&[b"G", &TIME_BYTES, &NUMBER, b"ACME", &[0, 0]]);
    assert_eq!(bytes.len(), 19);
    let disabled = DisableResponse {
        timestamp: TIME,
        user_ref_num: 7,
        firm: *b"ACME",
    };
    let message = check(&bytes, 19, |out| disabled.encode(Appendage::EMPTY, out));
    assert_values!(message, DisableResponse, disabled);

    let bytes = concat(&[b"K", &TIME_BYTES, &NUMBER, b"ACME", &[0, 0]]);
    let enabled = EnableResponse {
        timestamp: TIME,
        user_ref_num: 7,
        firm: *b"ACME",
    };
    let message = check(&bytes, 19, |out| enabled.encode(Appendage::EMPTY, out));
    assert_values!(message, EnableResponse, enabled);
}

#[test]
fn account_query_response_is_13_bytes() {
    let bytes = concat(&[b"Q", &TIME_BYTES, &[0xFF, 0xFF, 0xFF, 0xFE]]);
    assert_eq!(bytes.len(), 13);
    let response = AccountQueryResponse {
        timestamp: TIME,
        next_user_ref_num: 0xFFFF_FFFE,
    };
    let message = check(&bytes, 13, |out| response.encode(Appendage::ABSENT, out));
    assert_values!(message, AccountQueryResponse, response);
    let bytes = concat(&[&bytes, &[0, 0]]);
    check(&bytes, 13, |out| response.encode(Appendage::EMPTY, out));
}
