//! What the state machine says of an operator's record that asks for an answer.

mod common;

use common::*;
use lockstep_record::event::{Control, Refusal};
use lockstep_record::*;

fn asking(command: Command, request: u64) -> Command {
    command.option(PartTag::OPERATOR_REQUEST, request.to_le_bytes())
}

fn answer(driver: &mut Driver, command: Command) -> Option<Refusal> {
    let sequence = Sequence(driver.machine.last_sequence().0 + 1);
    let said = driver.tell(&[asking(command, 77)]);
    let Some(Said::Control(Control::OperatorAnswered {
        request,
        sequence: at,
        refusal,
    })) = said.last()
    else {
        panic!("no answer among {said:?}");
    };
    assert_eq!((*request, *at), (77, sequence));
    *refusal
}

/// An operator must learn the fate of his own record, not infer it from a counter that others move too.
#[test]
fn each_refusal_says_why() {
    let mut driver = venue();
    driver.tell(&[command(1, 1, enter(1, b'B', 5, 10_000))]);
    let cases = [
        (bounds(63, 32), Some(Refusal::BoundLowered)),
        (bounds(64, 32), None),
        (define_firm(9, b"NINE"), Some(Refusal::OutOfBounds)),
        (define_firm(3, b"    "), Some(Refusal::Value)),
        (define_firm(3, b"ACME"), Some(Refusal::Taken)),
        (define_firm(3, b"GOOD"), None),
        (define_session(9, 1, b"NINE  "), Some(Refusal::OutOfBounds)),
        (define_session(4, 8, b"FOUR  "), Some(Refusal::Undefined)),
        (define_session(4, 1, b"      "), Some(Refusal::Value)),
        (define_session(4, 1, b"alice "), Some(Refusal::Taken)),
        (define_session(4, 1, b"FOUR  "), None),
        (
            define_instrument(9, b"NINE    ", 1, 1),
            Some(Refusal::OutOfBounds),
        ),
        (
            define_instrument(3, b"CCCC    ", 0, 1),
            Some(Refusal::Value),
        ),
        (
            define_instrument(3, b"AAAA    ", 1, 1),
            Some(Refusal::Taken),
        ),
        (
            define_instrument(1, b"AAAA    ", 50, 1),
            Some(Refusal::LiveOrders),
        ),
        (define_instrument(3, b"CCCC    ", 1, 1), None),
        (set_state(7, b'H'), Some(Refusal::Undefined)),
        (set_state(1, b'X'), Some(Refusal::Value)),
        (set_state(1, b'H'), None),
        (
            command(1, 1, command::DayClose { _reserved: 0 }),
            Some(Refusal::NotOperator),
        ),
        (
            close_day().option(PartTag(399), [1]),
            Some(Refusal::UnknownPart),
        ),
        (open_day(20_250_102), Some(Refusal::DayOpen)),
        (close_day(), None),
        (close_day(), Some(Refusal::NoDay)),
        (open_day(20_250_101), Some(Refusal::Date)),
        (open_day(20_250_102), None),
    ];
    for (case, expected) in cases {
        let text = format!("{case:?}");
        let refused = driver.machine.counters().refused;
        assert_eq!(answer(&mut driver, case), expected, "{text}");
        let counted = driver.machine.counters().refused - refused;
        assert_eq!(counted, u64::from(expected.is_some()), "{text}");
    }
}

#[test]
fn nobody_is_told_who_did_not_ask_and_the_answer_is_digested() {
    let mut silent = venue();
    let mut asked = venue();
    let mut other = venue();
    // The state changes, and nobody is answered.
    assert_eq!(silent.tell(&[set_state(1, b'H')]).len(), 1);
    let zero = set_state(1, b'H').option(PartTag::OPERATOR_REQUEST, 0u64.to_le_bytes());
    let odd = set_state(1, b'H').option(PartTag::OPERATOR_REQUEST, [7]);
    assert_eq!(silent.tell(&[zero, odd]), []);
    asked.tell(&[asking(set_state(1, b'H'), 1)]);
    other.tell(&[asking(set_state(1, b'H'), 2)]);
    assert_ne!(asked.machine.digest(), other.machine.digest());
}

#[test]
fn refusals_keep_their_numbers() {
    for (i, refusal) in Refusal::ALL.iter().enumerate() {
        assert_eq!(*refusal as usize, i + 1);
        assert_eq!(Refusal::from_u16(*refusal as u16), Some(*refusal));
    }
    assert_eq!(Refusal::from_u16(0), None);
}
