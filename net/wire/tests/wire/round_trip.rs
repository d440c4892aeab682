//! Any message of legal form, any options: read, written again, the same bytes.

use crate::RecordBuffer;
use lockstep_record::event::{Accepted, Delivery, Event, OrderState, OrderTerms, UserRef};
use lockstep_record::{
    InstrumentId, OrderReference, Record, RecordHeader, SessionId, StreamNumber,
};
use lockstep_wire::ouch::{
    APPENDAGE_LENGTH_MAX, Appendage, AppendageBuffer, COMMAND_RECORD_LENGTH_MAX, Encoding,
    INBOUND_LENGTH_MAX, Inbound, OPTIONS, OUTBOUND_LENGTH_MAX, OptionTag, Outbound, encode_event,
};
use proptest::prelude::*;

/// Whether the appendage's length field may be absent, by direction and type (the size tables).
const INBOUND_SHORT: &[u8] = b"XMQ";
const OUTBOUND_SHORT: &[u8] = b"CDBJPITMQ";
/// Fixed parts, copied from the size tables: not from the code.
const INBOUND_SIZES: &[(u8, usize)] = &[
    (b'O', 47),
    (b'U', 40),
    (b'X', 9),
    (b'M', 10),
    (b'C', 19),
    (b'D', 11),
    (b'E', 11),
    (b'Q', 1),
];
const OUTBOUND_SIZES: &[(u8, usize)] = &[
    (b'S', 10),
    (b'A', 64),
    (b'U', 68),
    (b'C', 18),
    (b'D', 32),
    (b'E', 36),
    (b'B', 36),
    (b'J', 29),
    (b'P', 13),
    (b'I', 13),
    (b'T', 30),
    (b'M', 18),
    (b'R', 16),
    (b'X', 27),
    (b'G', 19),
    (b'K', 19),
    (b'Q', 13),
];

/// Elements of any tag and value that fit an appendage.
fn elements() -> impl Strategy<Value = AppendageBuffer> {
    let element = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..24));
    let known =
        (0..OPTIONS.len(), prop::collection::vec(any::<u8>(), 8)).prop_map(|(row, value)| {
            let spec = &OPTIONS[row];
            (spec.tag.0, value[..usize::from(spec.width)].to_vec())
        });
    prop::collection::vec(prop_oneof![element, known], 0..40).prop_map(|elements| {
        let mut buffer = AppendageBuffer::new();
        for (tag, value) in elements {
            if buffer.push_bytes(OptionTag(tag), &value).is_err() {
                break;
            }
        }
        buffer
    })
}

/// A message by its size table: type, random fields, and options in one of the legal forms.
fn message(sizes: &'static [(u8, usize)], short: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::vec(any::<u8>(), 68);
    (0..sizes.len(), fields, elements(), any::<bool>()).prop_map(
        move |(row, fields, options, absent)| {
            let (message, fixed) = sizes[row];
            let optional = short.contains(&message);
            let never = sizes.len() == OUTBOUND_SIZES.len() && message == b'S';
            let length = if optional || never { fixed } else { fixed - 2 };
            let mut bytes = vec![message];
            bytes.extend_from_slice(&fields[..length - 1]);
            if !(never || optional && absent) {
                let options = options.appendage().as_bytes();
                bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
                bytes.extend_from_slice(options);
            }
            bytes
        },
    )
}

#[test]
fn size_tables_are_the_sheets() {
    assert_eq!(Inbound::MESSAGES, INBOUND_SIZES);
    assert_eq!(Outbound::MESSAGES, OUTBOUND_SIZES);
}

/// What an option's bytes become in a record, said in another way than the code says it.
fn stored(tag: OptionTag, bytes: &[u8]) -> Vec<u8> {
    let swapped = OPTIONS.iter().any(|spec| {
        spec.tag == tag
            && spec.encoding == Encoding::Integer
            && usize::from(spec.width) == bytes.len()
    });
    if swapped {
        bytes.iter().rev().copied().collect()
    } else {
        bytes.to_vec()
    }
}

fn check_record(message: &Inbound<'_>) {
    let (buffer, length) = RecordBuffer::written(message);
    assert!(length <= COMMAND_RECORD_LENGTH_MAX);
    let record: Record<'_> = buffer.record(length);
    let RecordHeader { kind, version, .. } = *record.header();
    assert!(kind.name().is_some() && version == 1);
    let parts: Vec<_> = record
        .parts()
        .map(|part| (part.tag, part.policy, part.value.to_vec()))
        .collect();
    let expected: Vec<_> = message
        .appendage()
        .elements()
        .map(|element| {
            let value = stored(element.tag, element.bytes);
            (element.tag.into(), element.tag.policy(), value)
        })
        .collect();
    assert_eq!(parts, expected);
}

/// What a client sent with its order comes back in Accepted: through the record and through the event.
fn check_echo(message: &Inbound<'_>) {
    let Inbound::EnterOrder(order) = message else {
        return;
    };
    let (buffer, length) = RecordBuffer::written(message);
    let index = order.appendage().user_ref_idx();
    let accepted = Accepted {
        instrument: InstrumentId(1),
        terms: OrderTerms {
            user_ref: UserRef {
                number: order.user_ref_num(),
                index,
            },
            side: order.side(),
            quantity: order.quantity(),
            symbol: order.symbol(),
            price: order.price(),
            time_in_force: order.time_in_force(),
            display: order.display(),
            order_reference: OrderReference(1),
            capacity: order.capacity(),
            intermarket_sweep: order.intermarket_sweep(),
            cross_type: order.cross_type(),
            state: OrderState::Live,
            client_order_id: order.client_order_id(),
            options: buffer.record(length).parts(),
        },
    };
    let to = Delivery {
        session: SessionId(1),
        number: StreamNumber(1),
        time_ns: 5,
    };
    let mut out = [0; OUTBOUND_LENGTH_MAX];
    let length = encode_event(&to, &Event::Accepted(&accepted), &mut out);
    let Ok(Outbound::Accepted(answer)) = Outbound::parse(&out[..length]) else {
        panic!("not an Accepted");
    };
    assert_eq!(answer.timestamp(), 5);
    assert_eq!(answer.user_ref_num(), order.user_ref_num());
    assert_eq!(answer.price(), order.price());
    assert_eq!(answer.client_order_id(), order.client_order_id());
    assert_eq!(answer.appendage().user_ref_idx(), index);
    for element in answer.appendage().elements() {
        let spec = element.tag.spec().expect("only known options are echoed");
        assert!(!spec.venue_only);
        let sent = order
            .appendage()
            .elements()
            .find(|sent| sent.tag == element.tag && sent.bytes.len() == usize::from(spec.width));
        assert_eq!(sent.map(|sent| sent.bytes), Some(element.bytes));
    }
}

proptest! {
    #![proptest_config(crate::many_cases())]

    #[test]
    fn every_client_message_comes_back(bytes in message(INBOUND_SIZES, INBOUND_SHORT)) {
        let message = Inbound::parse(&bytes).expect("a legal message");
        prop_assert_eq!(message.length(), bytes.len());
        let mut out = [0; INBOUND_LENGTH_MAX];
        let length = message.encode(&mut out);
        prop_assert_eq!(&out[..length], &bytes[..]);
        check_record(&message);
        check_echo(&message);
    }

    #[test]
    fn every_venue_message_comes_back(bytes in message(OUTBOUND_SIZES, OUTBOUND_SHORT)) {
        let message = Outbound::parse(&bytes).expect("a legal message");
        prop_assert_eq!(message.length(), bytes.len());
        let mut out = [0; 68 + APPENDAGE_LENGTH_MAX];
        let length = message.encode(&mut out);
        prop_assert_eq!(&out[..length], &bytes[..]);
    }

    /// A built appendage holds what was pushed, in order.
    #[test]
    fn built_options_are_what_was_pushed(
        elements in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..255)), 0..8),
    ) {
        let mut buffer = AppendageBuffer::new();
        let mut pushed = Vec::new();
        for (tag, value) in &elements {
            let room = APPENDAGE_LENGTH_MAX - buffer.appendage().as_bytes().len();
            let fits = value.len() + 2 <= room;
            prop_assert_eq!(buffer.push_bytes(OptionTag(*tag), value).is_ok(), fits);
            if fits {
                pushed.push((OptionTag(*tag), value.as_slice()));
            }
        }
        let read: Vec<_> = buffer
            .appendage()
            .elements()
            .map(|element| (element.tag, element.bytes))
            .collect();
        prop_assert_eq!(read, pushed);
    }
}

#[test]
fn values_wider_than_an_element_are_refused() {
    let mut buffer = AppendageBuffer::new();
    assert!(buffer.push_bytes(OptionTag(1), &[0; 255]).is_err());
    assert!(buffer.push_bytes(OptionTag(1), &[0; 254]).is_ok());
    assert!(buffer.push_bytes(OptionTag(1), &[0; 254]).is_ok());
    assert!(buffer.push_bytes(OptionTag(1), &[]).is_err());
    assert_eq!(buffer.appendage().as_bytes().len(), APPENDAGE_LENGTH_MAX);
    buffer.clear();
    assert_eq!(buffer.appendage(), Appendage::EMPTY);
}
