//! Definitions by operators, and trading states.

mod common;

use common::*;
use lockstep_core::inspect::TradingState;
use lockstep_record::command::*;
use lockstep_record::*;

#[test]
fn contradictory_definitions_are_refused_and_counted() {
    let mut driver = venue();
    driver.tell(&[command(1, 1, enter(1, b'B', 5, 10_000))]);
    let firms = |session: u32, firms: &[u32]| {
        let define = define_session(session, 1, b"NEW   ");
        let tag = PartTag::PERMITTED_FIRM;
        firms.iter().fold(define, |define, firm| {
            define.option(tag, firm.to_le_bytes())
        })
    };
    let cases = [
        ("bounds may only rise", bounds(63, 32)),
        ("no bound is zero", bounds(64, 0)),
        ("firm 0", define_firm(0, b"ZERO")),
        ("firm beyond the bound", define_firm(9, b"NINE")),
        ("blank code", define_firm(3, b"    ")),
        ("code of another firm", define_firm(3, b"ACME")),
        ("session beyond the bound", define_session(9, 1, b"NINE  ")),
        ("session of no firm", define_session(4, 3, b"FOUR  ")),
        ("user of another session", define_session(4, 1, b"alice ")),
        ("blank user", define_session(4, 1, b"      ")),
        ("permitted firm that is not there", firms(4, &[3])),
        ("too many permitted firms", firms(4, &[1; 17])),
        (
            "self-trade mode",
            define_session(4, 1, b"FOUR  ").option(PartTag::SELF_TRADE_MODE, "X"),
        ),
        (
            "self-trade group",
            define_session(4, 1, b"FOUR  ").option(PartTag::SELF_TRADE_GROUP, [1]),
        ),
        ("instrument 0", define_instrument(0, b"ZERO    ", 1, 1)),
        (
            "instrument beyond the bound",
            define_instrument(9, b"NINE    ", 1, 1),
        ),
        (
            "symbol of another instrument",
            define_instrument(3, b"AAAA    ", 1, 1),
        ),
        ("blank symbol", define_instrument(3, b"        ", 1, 1)),
        ("tick 0", define_instrument(3, b"CCCC    ", 0, 1)),
        ("lot 0", define_instrument(3, b"CCCC    ", 1, 0)),
        (
            "lot above any order",
            define_instrument(3, b"CCCC    ", 1, 1_000_000),
        ),
        (
            "tick of a book with orders",
            define_instrument(1, b"AAAA    ", 50, 1),
        ),
        (
            "symbol of a book with orders",
            define_instrument(1, b"AAAB    ", 100, 1),
        ),
        ("state of no instrument", set_state(3, b'T')),
        ("unknown state", set_state(1, b'X')),
        (
            "operator's record from a session",
            command(1, 1, DayClose { _reserved: 0 }),
        ),
        ("unknown part", close_day().option(PartTag(300), [1])),
    ];
    let refused = driver.machine.counters().refused;
    for (count, (name, case)) in (1..).zip(cases) {
        let hash_before = driver.machine.state_hash();
        assert_eq!(driver.tell(&[case]), [], "{name}");
        assert_eq!(driver.machine.counters().refused, refused + count, "{name}");
        assert_ne!(
            driver.machine.state_hash(),
            hash_before,
            "the count is part of the state"
        );
    }
    assert_eq!(driver.machine.sessions().count(), 3);
    assert_eq!(driver.machine.instruments().count(), 2);
    // What is allowed: the lot of a book with orders; everything of an empty one.
    driver.tell(&[
        define_instrument(1, b"AAAA    ", 100, 5),
        define_instrument(2, b"DDDD    ", 1, 1),
    ]);
    assert_eq!(driver.machine.counters().refused, refused + 27);
    assert_eq!(
        driver.machine.find_instrument(*b"DDDD    "),
        Some(InstrumentId(2))
    );
    assert_eq!(driver.machine.find_instrument(*b"BBBB    "), None);
}

#[test]
fn sessions_of_one_group_do_not_trade_if_they_say_so() {
    let mut driver = venue();
    let grouped = |session: u32, mode: Option<&str>| {
        let user = USERS[session as usize - 1];
        let define = define_session(session, 2, &user);
        let define = define.option(PartTag::SELF_TRADE_GROUP, 7u32.to_le_bytes());
        mode.map_or(define.clone(), |mode| {
            define.option(PartTag::SELF_TRADE_MODE, mode)
        })
    };
    driver.tell(&[grouped(2, None), grouped(3, Some("B"))]);
    let said = driver.tell(&[
        command(2, 1, enter(1, b'S', 5, 10_000)),
        command(3, 1, enter(1, b'B', 5, 10_000)),
    ]);
    let prevented = [
        "2: self-match #1 loses 5 of 5 @10000 A B",
        "3: self-match #1 loses 5 of 5 @10000 R B",
    ];
    assert_eq!(lines(&said)[2..], prevented);
    // The mode is the aggressor's: session 2 has none.
    let said = driver.tell(&[
        command(3, 1, enter(2, b'S', 5, 10_000)),
        command(2, 1, enter(2, b'B', 5, 10_000)),
    ]);
    assert_eq!(lines(&said)[2], "3: executed #2 5 @10000 A match 1");
}

#[test]
fn cancels_work_while_an_instrument_is_halted_or_closed() {
    let mut driver = venue();
    driver.tell(&[
        command(1, 1, enter(1, b'S', 5, 10_000)),
        command(1, 1, enter(2, b'S', 5, 10_000)),
    ]);
    for (state, reason, view, number) in [
        (b'H', "07", TradingState::Halted, 3),
        (b'C', "02", TradingState::Closed, 4),
    ] {
        driver.tell(&[set_state(1, state)]);
        assert_eq!(driver.machine.instruments().next().unwrap().state, view);
        // A replacement cannot be done now: rejected, number consumed, original intact.
        let said = driver.tell(&[command(1, 1, replace(2, number, 5, 10_000))]);
        assert_eq!(lines(&said), [format!("1: rejected #{number} 0x{reason}")]);
        let said = driver.tell(&[command(1, 1, modify(2, b'S', 4 - (number - 3)))]);
        assert_eq!(lines(&said).len(), 1);
    }
    let said = driver.tell(&[command(1, 1, cancel(1, 0)), command(1, 1, cancel(2, 0))]);
    assert_eq!(lines(&said), ["1: canceled #1 5 U", "1: canceled #2 3 U"]);
}
