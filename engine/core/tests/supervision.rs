//! The operator's hand on orders: entry switched off and on, kills, cancels of many orders and of one.

mod common;

use common::*;
use lockstep_core::inspect::EntryState;
use lockstep_record::command::*;
use lockstep_record::*;

fn mass_cancel(session: u32, firm: u32, instrument: u32, side: u8) -> OperatorMassCancel {
    OperatorMassCancel {
        session,
        firm,
        instrument,
        group_id: 0,
        by_group: 0,
        side,
    }
}

fn one(session: u32, user_ref_num: u32, reference: u64) -> Command {
    operator(OperatorCancel {
        reference,
        session,
        user_ref_num,
        user_ref_idx: 0,
        _reserved: [0; 7],
    })
}

/// Session 1 has an order for its own firm and one for firm 2, session 2 one for firm 2.
fn three_orders() -> Driver {
    let mut driver = venue();
    driver.tell(&[
        command(1, 1, enter(1, b'B', 5, 10_000)),
        command(1, 1, enter(2, b'B', 6, 9_900)).option(PartTag::FIRM, "BEST"),
        command(2, 1, enter(1, b'S', 7, 10_100)),
    ]);
    driver
}

#[test]
fn a_killed_session_loses_its_orders_and_enters_nothing_until_it_is_released() {
    let mut driver = three_orders();
    let said = driver.tell(&[set_entry_state(b'S', 1, b'K')]);
    assert_eq!(lines(&said), ["1: canceled #1 5 S", "1: canceled #2 6 S"]);
    let said = driver.tell(&[
        command(1, 1, enter(3, b'B', 5, 10_000)),
        command(2, 1, enter(2, b'S', 1, 10_200)),
    ]);
    let other = "2: accepted #2 S 1 AAAA @10200 tif 0 ref 4";
    assert_eq!(lines(&said), ["1: rejected #3 0x0F", other]);
    let view = driver.machine.session(SessionId(1)).unwrap();
    assert_eq!(view.entry, EntryState::Killed);
    // A new login changes nothing; the operator does.
    driver.tell(&[login(1, &USERS[0], 0)]);
    let said = driver.tell(&[command(1, 2, enter(4, b'B', 5, 10_000))]);
    assert_eq!(lines(&said), ["1: rejected #4 0x0F"]);
    driver.tell(&[set_entry_state(b'S', 1, b'E')]);
    let said = driver.tell(&[command(1, 2, enter(5, b'B', 5, 10_000))]);
    let accepted = "1: accepted #5 B 5 AAAA @10000 tif 0 ref 5";
    assert_eq!(lines(&said), [accepted]);
}

#[test]
fn a_killed_firm_loses_its_orders_on_every_session() {
    let mut driver = three_orders();
    let said = driver.tell(&[set_entry_state(b'F', 2, b'K')]);
    assert_eq!(lines(&said), ["1: canceled #2 6 S", "2: canceled #1 7 S"]);
    let own = command(1, 1, enter(3, b'B', 5, 10_000));
    let other = command(1, 1, enter(4, b'B', 5, 10_000)).option(PartTag::FIRM, "BEST");
    let said = driver.tell(&[own, other]);
    let accepted = "1: accepted #3 B 5 AAAA @10000 tif 0 ref 4";
    assert_eq!(lines(&said), [accepted, "1: rejected #4 0x0F"]);
}

#[test]
fn a_killed_venue_is_quiet() {
    let mut driver = three_orders();
    let said = driver.tell(&[set_entry_state(b'V', 0, b'K')]);
    let all = [
        "1: canceled #1 5 S",
        "1: canceled #2 6 S",
        "2: canceled #1 7 S",
    ];
    assert_eq!(lines(&said), all);
    assert_eq!(driver.machine.venue_entry(), EntryState::Killed);
    let said = driver.tell(&[command(3, 1, enter(1, b'B', 5, 10_000))]);
    assert_eq!(lines(&said), ["3: rejected #1 0x0F"]);
}

#[test]
fn disabled_entry_leaves_orders_which_can_be_cancelled_but_not_replaced() {
    let mut driver = three_orders();
    assert_eq!(driver.tell(&[set_entry_state(b'S', 1, b'D')]), []);
    let said = driver.tell(&[
        command(1, 1, replace(1, 3, 5, 10_000)),
        command(1, 1, cancel(1, 3)),
        command(2, 1, enter(2, b'S', 3, 10_000)),
    ]);
    let wanted = [
        "1: rejected #3 0x0F",
        "1: canceled #1 2 U",
        "2: accepted #2 S 3 AAAA @10000 tif 0 ref 4",
        "1: executed #1 3 @10000 A match 1",
        "2: executed #2 3 @10000 R match 1",
    ];
    assert_eq!(lines(&said), wanted);
}

/// Between days no stream could say Canceled.
#[test]
fn a_kill_between_days_cancels_when_the_next_day_opens() {
    let mut driver = venue();
    let date = 1u64 << 60;
    let mut order = enter(1, b'B', 5, 10_000);
    order.time_in_force = b'6';
    let order = command(1, 1, order).option(PartTag::EXPIRE_DATE_TIME, date.to_le_bytes());
    driver.tell(&[order, close_day()]);
    assert_eq!(driver.tell(&[set_entry_state(b'S', 1, b'K')]), []);
    assert_eq!(driver.machine.open_order_count(), 1);
    let said = lines(&driver.tell(&[open_day(20_250_102)]));
    assert_eq!(
        said[1..],
        [
            "1: system S",
            "2: system S",
            "3: system S",
            "1: canceled #1 5 S"
        ]
    );
}

#[test]
fn the_operator_cancels_by_session_firm_symbol_side_and_group() {
    let cases: [(OperatorMassCancel, &[&str]); 6] = [
        (
            mass_cancel(1, 0, 0, 0),
            &["1: canceled #1 5 S", "1: canceled #2 6 S"],
        ),
        (
            mass_cancel(0, 2, 0, 0),
            &["1: canceled #2 6 S", "2: canceled #1 7 S"],
        ),
        (mass_cancel(0, 0, 2, 0), &[]),
        (mass_cancel(0, 0, 1, b'S'), &["2: canceled #1 7 S"]),
        (mass_cancel(1, 2, 1, b'B'), &["1: canceled #2 6 S"]),
        (
            mass_cancel(0, 0, 0, 0),
            &[
                "1: canceled #1 5 S",
                "1: canceled #2 6 S",
                "2: canceled #1 7 S",
            ],
        ),
    ];
    for (body, wanted) in cases {
        assert_eq!(
            lines(&three_orders().tell(&[operator(body)])),
            wanted,
            "{body:?}"
        );
    }
    let mut driver = venue();
    let grouped = command(1, 1, enter(1, b'B', 5, 10_000));
    let grouped = grouped.option(PartTag::GROUP_ID, 9u16.to_le_bytes());
    driver.tell(&[grouped, command(1, 1, enter(2, b'B', 6, 10_000))]);
    let of_group = |group_id| OperatorMassCancel {
        group_id,
        by_group: 1,
        ..mass_cancel(0, 0, 0, 0)
    };
    let said = driver.tell(&[operator(of_group(8)), operator(of_group(9))]);
    assert_eq!(lines(&said), ["1: canceled #1 5 S"]);
    let said = driver.tell(&[operator(of_group(0))]);
    assert_eq!(lines(&said), ["1: canceled #2 6 S"]);
}

#[test]
fn the_operator_cancels_one_order() {
    let mut driver = three_orders();
    let refused = driver.machine.counters().refused;
    // Another order's reference, no such order, no such session.
    assert_eq!(driver.tell(&[one(1, 2, 1), one(1, 9, 0), one(9, 1, 0)]), []);
    assert_eq!(driver.machine.counters().refused, refused + 3);
    let said = driver.tell(&[one(1, 2, 2), one(2, 1, 0)]);
    assert_eq!(lines(&said), ["1: canceled #2 6 S", "2: canceled #1 7 S"]);
}

#[test]
fn what_names_nothing_is_refused_as_a_whole() {
    let entry = set_entry_state;
    let grouped = |by_group, group_id| OperatorMassCancel {
        by_group,
        group_id,
        ..mass_cancel(0, 0, 0, 0)
    };
    let cases = [
        entry(b'S', 0, b'K'),
        entry(b'S', 4, b'K'),
        entry(b'S', u32::MAX, b'K'),
        entry(b'F', 3, b'K'),
        entry(b'F', u32::MAX, b'K'),
        entry(b'V', 1, b'K'),
        entry(b'X', 0, b'K'),
        entry(b'S', 1, b'X'),
        operator(mass_cancel(4, 0, 0, 0)),
        operator(mass_cancel(0, 3, 0, 0)),
        operator(mass_cancel(0, 0, 3, 0)),
        operator(mass_cancel(0, u32::MAX, 0, 0)),
        operator(mass_cancel(0, 0, u32::MAX, 0)),
        operator(mass_cancel(u32::MAX, 0, 0, 0)),
        operator(mass_cancel(0, 0, 0, b'X')),
        operator(grouped(2, 1)),
        operator(grouped(0, 1)),
    ];
    for case in cases {
        let mut driver = three_orders();
        let before = driver.machine.counters().refused;
        assert_eq!(driver.tell(std::slice::from_ref(&case)), [], "{case:?}");
        assert_eq!(driver.machine.counters().refused, before + 1, "{case:?}");
        assert_eq!(driver.machine.open_order_count(), 3);
    }
    // And whatever a client's session is the source of.
    let mut driver = three_orders();
    let mut forged = set_entry_state(b'V', 0, b'K');
    (forged.session, forged.epoch) = (1, 1);
    assert_eq!(driver.tell(&[forged]), []);
    assert_eq!(driver.machine.open_order_count(), 3);
}
