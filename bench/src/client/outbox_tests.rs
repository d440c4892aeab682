use super::*;
use crate::client::request::{
    LimitOrder, encode_account_query, encode_cancel, encode_enter, encode_replace,
};
use lockstep_record::{Price, Side};
use lockstep_wire::ouch::Appendage;
use lockstep_wire::ouch::outbound::{AccountQueryResponse, Canceled, Rejected};

fn push(outbox: &mut Outbox, encode: impl FnOnce(&mut [u8]) -> usize) {
    let mut message = [0; 64];
    let length = encode(&mut message);
    outbox.push(&message[..length]).expect("room");
}

fn enter(user_ref: u32) -> impl FnOnce(&mut [u8]) -> usize {
    move |out| {
        let order = LimitOrder {
            user_ref,
            side: Side::Buy,
            quantity: 1,
            symbol: *b"TEST    ",
            price: Price(100),
            is_immediate: false,
        };
        encode_enter(&order, out)
    }
}

fn answer(outbox: &mut Outbox, encode: impl FnOnce(&mut [u8]) -> usize) {
    let mut message = [0; 128];
    let length = encode(&mut message);
    outbox.handle_answer(&Outbound::parse(&message[..length]).expect("own encoding"));
}

fn rejected(user_ref_num: u32) -> impl FnOnce(&mut [u8]) -> usize {
    move |out| {
        let message = Rejected {
            timestamp: 1,
            user_ref_num,
            reason: 15,
            client_order_id: [b' '; 14],
        };
        message.encode(Appendage::ABSENT, out)
    }
}

fn canceled(user_ref_num: u32, reason: u8) -> impl FnOnce(&mut [u8]) -> usize {
    move |out| {
        let message = Canceled {
            timestamp: 1,
            user_ref_num,
            quantity: 1,
            reason,
        };
        message.encode(Appendage::ABSENT, out)
    }
}

#[test]
fn an_answer_settles_its_request_and_all_before_it() {
    let mut outbox = Outbox::new(10);
    push(&mut outbox, enter(1));
    push(&mut outbox, |out| encode_cancel(9, 0, out));
    push(&mut outbox, |out| encode_replace(1, 2, 5, Price(7), out));
    push(&mut outbox, enter(3));
    answer(&mut outbox, rejected(1));
    assert_eq!((outbox.len(), outbox.ignored_count()), (3, 0));
    // The cancel of 9 was ignored; an IOC rest answers no cancel; the replace is refused by a cancel.
    answer(&mut outbox, canceled(9, b'I'));
    assert_eq!(outbox.len(), 3);
    answer(&mut outbox, canceled(1, b'U'));
    assert_eq!((outbox.len(), outbox.ignored_count()), (1, 1));
    let in_doubt: Vec<_> = outbox.in_doubt().collect();
    assert_eq!(
        (in_doubt.len(), in_doubt[0].len(), in_doubt[0][0]),
        (1, 47, b'O')
    );
}

#[test]
fn a_query_settles_everything_before_it() {
    let mut outbox = Outbox::new(10);
    push(&mut outbox, |out| encode_cancel(9, 0, out));
    push(&mut outbox, encode_account_query);
    push(&mut outbox, enter(4));
    answer(&mut outbox, |out| {
        let message = AccountQueryResponse {
            timestamp: 1,
            next_user_ref_num: 4,
        };
        message.encode(Appendage::ABSENT, out)
    });
    assert_eq!((outbox.len(), outbox.ignored_count()), (1, 1));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut outbox = Outbox::new(1);
    assert_eq!(outbox.push(b"?"), Err(OutboxError::Kind));
    assert_eq!(outbox.push(&[b'O'; 65]), Err(OutboxError::Kind));
    push(&mut outbox, enter(1));
    let mut message = [0; 64];
    let length = enter(2)(&mut message);
    assert_eq!(
        outbox.push(&message[..length]),
        Err(OutboxError::Full { requests_max: 1 })
    );
}
