//! From events of the state machine to the bytes that are sent, stored and replayed.

use crate::{RecordBuffer, concat, source};
use lockstep_record::event::*;
use lockstep_record::{
    InstrumentId, MatchNumber, OrderReference, PartTag, Parts, Policy, Price, RecordWriter,
    SessionId, StreamNumber, command,
};
use lockstep_wire::ouch::{
    OPTIONS, OUTBOUND_LENGTH_MAX, OptionTag, Outbound, SEQUENCED_LENGTH_MAX, encode_event,
    encode_sequenced,
};
use lockstep_wire::soup::{ServerPacket, split_server};

const TO: Delivery = Delivery {
    session: SessionId(3),
    number: StreamNumber(42),
    time_ns: 0x0102_0304_0506_0708,
};
const TIME: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const NUMBER: [u8; 4] = [0, 0, 0, 7];
const INDEX: u8 = 9;

fn user_ref(index: u8) -> UserRef {
    UserRef { number: 7, index }
}

/// The bytes of an event, which are a legal message and, with a header, a legal packet.
fn encoded(event: &Event<'_>) -> Vec<u8> {
    let mut out = [0xEE; OUTBOUND_LENGTH_MAX];
    let length = encode_event(&TO, event, &mut out);
    assert!(out[length..].iter().all(|&byte| byte == 0xEE));
    let bytes = out[..length].to_vec();
    let message = Outbound::parse(&bytes).expect("a legal message");
    assert_eq!(message.length(), length);

    let mut packet = [0xEE; SEQUENCED_LENGTH_MAX];
    let length = encode_sequenced(&TO, event, &mut packet);
    let frame = split_server(&packet[..length])
        .unwrap()
        .expect("a whole packet");
    assert_eq!(frame.length(), length);
    assert_eq!(
        ServerPacket::from_frame(&frame),
        Ok(ServerPacket::Sequenced(&bytes))
    );
    bytes
}

/// `event(0)` is `fields` with an empty length field or, if `optional`, without it; `event(INDEX)` has
/// the channel as its only option.
fn check(fields: &[&[u8]], optional: bool, event: impl Fn(UserRef) -> Vec<u8>) {
    let fields = concat(fields);
    let empty: &[u8] = if optional { &[] } else { &[0, 0] };
    assert_eq!(event(user_ref(0)), concat(&[&fields, empty]));
    assert_eq!(
        event(user_ref(INDEX)),
        concat(&[&fields, &[0, 3, 2, 28, INDEX]])
    );
}

#[test]
fn system_event() {
    assert_eq!(
        encoded(&Event::System(SystemEventCode::StartOfDay)),
        concat(&[b"S", &TIME, b"S"])
    );
    assert_eq!(
        encoded(&Event::System(SystemEventCode::EndOfDay)),
        concat(&[b"S", &TIME, b"E"])
    );
}

fn terms(user_ref: UserRef, options: Parts<'_>) -> OrderTerms<'_> {
    OrderTerms {
        user_ref,
        side: b'T',
        quantity: 100,
        symbol: *b"AMZN    ",
        price: Price(10_000),
        time_in_force: b'3',
        display: b'Y',
        order_reference: OrderReference(258),
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        state: OrderState::Dead,
        client_order_id: *b"CLIENT-ORDER-1",
        options,
    }
}

fn accepted(user_ref: UserRef, options: Parts<'_>) -> Vec<u8> {
    encoded(&Event::Accepted(&Accepted {
        instrument: InstrumentId(5),
        terms: terms(user_ref, options),
    }))
}

fn accepted_fields() -> Vec<u8> {
    concat(&[
        b"A",
        &TIME,
        &NUMBER,
        b"T",
        &[0, 0, 0, 100],
        b"AMZN    ",
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"3Y",
        &[0, 0, 0, 0, 0, 0, 1, 2],
        b"PNND",
        b"CLIENT-ORDER-1",
    ])
}

#[test]
fn accepted_and_replaced() {
    check(&[&accepted_fields()], false, |user_ref| {
        accepted(user_ref, Parts::NONE)
    });
    let fields: [&[u8]; 11] = [
        b"U",
        &TIME,
        &[0, 0, 0, 6],
        &NUMBER,
        b"T",
        &[0, 0, 0, 100],
        b"AMZN    ",
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"3Y",
        &[0, 0, 0, 0, 0, 0, 1, 2],
        b"PNNDCLIENT-ORDER-1",
    ];
    check(&fields, false, |user_ref| {
        encoded(&Event::Replaced(&Replaced {
            instrument: InstrumentId(5),
            original: 6,
            terms: terms(user_ref, Parts::NONE),
        }))
    });
}

#[test]
fn canceled_by_user_and_by_self_match() {
    check(
        &[b"C", &TIME, &NUMBER, &[0, 0, 0, 50], b"I"],
        true,
        |user_ref| {
            encoded(&Event::Canceled(&Canceled {
                user_ref,
                quantity: 50,
                reason: CancelReason::ImmediateOrCancel,
            }))
        },
    );
    let fields: [&[u8]; 8] = [
        b"D",
        &TIME,
        &NUMBER,
        &[0, 0, 0, 50],
        b"Q",
        &[0, 0, 0, 60],
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"RN",
    ];
    check(&fields, true, |user_ref| {
        encoded(&Event::SelfMatchCanceled(&SelfMatchCanceled {
            user_ref,
            decrement: 50,
            quantity_prevented: 60,
            price: Price(10_000),
            liquidity: b'R',
            strategy: b'N',
        }))
    });
}

#[test]
fn executed_and_broken() {
    let fields: [&[u8]; 7] = [
        b"E",
        &TIME,
        &NUMBER,
        &[0, 0, 0, 50],
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"A",
        &[0, 0, 0, 0, 0, 0, 1, 2],
    ];
    check(&fields, false, |user_ref| {
        encoded(&Event::Executed(&Executed {
            user_ref,
            quantity: 50,
            price: Price(10_000),
            liquidity: b'A',
            match_number: MatchNumber(258),
        }))
    });
    let fields: [&[u8]; 5] = [
        b"B",
        &TIME,
        &NUMBER,
        &[0, 0, 0, 0, 0, 0, 1, 2],
        b"ECLIENT-ORDER-1",
    ];
    check(&fields, true, |user_ref| {
        encoded(&Event::Broken(&Broken {
            user_ref,
            match_number: MatchNumber(258),
            reason: b'E',
            client_order_id: *b"CLIENT-ORDER-1",
        }))
    });
}

#[test]
fn rejected_and_both_answers_around_a_cross() {
    let fields: [&[u8]; 5] = [b"J", &TIME, &NUMBER, &[0x00, 0x31], b"CLIENT-ORDER-1"];
    check(&fields, true, |user_ref| {
        encoded(&Event::Rejected(&Rejected {
            user_ref,
            reason: RejectReason::RiskMaxQuantity,
            client_order_id: *b"CLIENT-ORDER-1",
        }))
    });
    check(&[b"P", &TIME, &NUMBER], true, |user_ref| {
        encoded(&Event::CancelPending(user_ref))
    });
    check(&[b"I", &TIME, &NUMBER], true, |user_ref| {
        encoded(&Event::CancelReject(user_ref))
    });
}

#[test]
fn priority_update_and_modified() {
    let fields: [&[u8]; 6] = [
        b"T",
        &TIME,
        &NUMBER,
        &[0, 0, 0, 0, 0, 0, 0x27, 0x10],
        b"Y",
        &[0, 0, 0, 0, 0, 0, 1, 2],
    ];
    check(&fields, true, |user_ref| {
        encoded(&Event::PriorityUpdate(&PriorityUpdate {
            user_ref,
            price: Price(10_000),
            display: b'Y',
            order_reference: OrderReference(258),
        }))
    });
    let fields: [&[u8]; 5] = [b"M", &TIME, &NUMBER, b"E", &[0, 0, 0, 50]];
    check(&fields, true, |user_ref| {
        encoded(&Event::Modified(&Modified {
            user_ref,
            side: b'E',
            quantity: 50,
        }))
    });
}

#[test]
fn restated_carries_what_changed() {
    let restated = |user_ref, quantity, price, reference| {
        encoded(&Event::Restated(&Restated {
            user_ref,
            reason: b'R',
            display_quantity: quantity,
            display_price: price,
            secondary_reference: reference,
        }))
    };
    let fields: [&[u8]; 4] = [b"R", &TIME, &NUMBER, b"R"];
    check(&fields, false, |user_ref| {
        restated(user_ref, None, None, None)
    });
    let all = concat(&[
        &concat(&fields),
        &[0, 29],
        &[5, 22, 0, 0, 0, 50],
        &[9, 23, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
        &[9, 1, 0, 0, 0, 0, 0, 0, 1, 2],
        &[2, 28, INDEX],
    ]);
    assert_eq!(
        restated(
            user_ref(INDEX),
            Some(50),
            Some(Price(10_000)),
            Some(OrderReference(258))
        ),
        all
    );
}

#[test]
fn mass_cancel_entry_and_query_responses() {
    let fields: [&[u8]; 5] = [b"X", &TIME, &NUMBER, b"ACME", b"AMZN    "];
    check(&fields, false, |user_ref| {
        encoded(&Event::MassCancelResponse(&MassCancelResponse {
            user_ref,
            firm: *b"ACME",
            symbol: *b"AMZN    ",
        }))
    });
    let response = |user_ref| EntryResponse {
        user_ref,
        firm: *b"ACME",
    };
    check(&[b"G", &TIME, &NUMBER, b"ACME"], false, |user_ref| {
        encoded(&Event::DisableResponse(&response(user_ref)))
    });
    check(&[b"K", &TIME, &NUMBER, b"ACME"], false, |user_ref| {
        encoded(&Event::EnableResponse(&response(user_ref)))
    });
    check(&[b"Q", &TIME, &NUMBER], true, |next| {
        encoded(&Event::AccountQueryResponse(&AccountQueryResponse { next }))
    });
}

/// Accepted with the parts of a record that carries these.
fn accepted_with(user_ref: UserRef, parts: &[(u16, Policy, &[u8])]) -> Vec<u8> {
    let mut buffer = RecordBuffer([0; lockstep_record::RECORD_LENGTH_MAX]);
    let body = command::AccountQuery { _reserved: 0 };
    let mut writer = RecordWriter::new(&mut buffer.0, source(), &body);
    for (tag, policy, value) in parts {
        writer.part(PartTag(*tag), *policy, value);
    }
    let length = writer.finish();
    accepted(user_ref, buffer.record(length).parts())
}

#[test]
fn options_are_echoed_big_endian_and_the_channel_comes_last() {
    let bytes = accepted_with(
        user_ref(INDEX),
        &[
            (28, Policy::Reject, &[INDEX]),
            (2, Policy::Reject, b"LIME"),
            (3, Policy::Reject, &[1, 2, 3, 4]),
            (204, Policy::Reject, &[1, 2, 3, 4, 5, 6, 7, 8]),
        ],
    );
    let expected = concat(&[
        &accepted_fields(),
        &[0, 25],
        &[5, 2],
        b"LIME",
        &[5, 3, 4, 3, 2, 1],
        &[9, 204, 8, 7, 6, 5, 4, 3, 2, 1],
        &[2, 28, INDEX],
    ]);
    assert_eq!(bytes, expected);
}

/// What was ignored, what is no client's to say and what is not OUCH's is not repeated to the client;
/// nor is a second value of one tag, since the first decided.
#[test]
fn only_a_clients_options_are_echoed_and_each_once() {
    let bytes = accepted_with(
        user_ref(0),
        &[
            (8, Policy::Ignore, b"abcd"),
            (18, Policy::Reject, b"0"),
            (22, Policy::Reject, &[0; 4]),
            (3, Policy::Reject, &[1, 2, 3]),
            (256, Policy::Reject, b"operator"),
            (12, Policy::Reject, b"P"),
            (12, Policy::Reject, b"N"),
            (28, Policy::Reject, &[0]),
        ],
    );
    assert_eq!(
        bytes,
        concat(&[&accepted_fields(), &[0, 3], &[2, 12], b"P"])
    );
}

/// Every option that a client can send, many times over: the bound holds and is reached.
#[test]
fn longest_message_is_exactly_the_outbound_bound() {
    let mut buffer = RecordBuffer([0; lockstep_record::RECORD_LENGTH_MAX]);
    let body = command::AccountQuery { _reserved: 0 };
    let mut writer = RecordWriter::new(&mut buffer.0, source(), &body);
    for _ in 0..4 {
        for spec in OPTIONS {
            writer.part(
                spec.tag.into(),
                Policy::Reject,
                &[1; 8][..usize::from(spec.width)],
            );
        }
    }
    let length = writer.finish();
    let options = buffer.record(length).parts();
    let replaced = Replaced {
        instrument: InstrumentId(5),
        original: 6,
        terms: terms(user_ref(INDEX), options),
    };
    let bytes = encoded(&Event::Replaced(&replaced));
    assert_eq!(bytes.len(), OUTBOUND_LENGTH_MAX);
    let message = Outbound::parse(&bytes).unwrap();
    let echoed: Vec<_> = message
        .appendage()
        .elements()
        .map(|element| element.tag)
        .collect();
    let client: Vec<_> = OPTIONS
        .iter()
        .filter(|spec| !spec.venue_only && spec.tag != OptionTag::USER_REF_IDX)
        .map(|spec| spec.tag)
        .chain([OptionTag::USER_REF_IDX])
        .collect();
    assert_eq!(echoed, client);
}
