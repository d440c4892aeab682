//! Limits, throttle, market-maker protection, positions, broken trades, grace, tick tables and retirement,
//! one scenario a rule. Rows O23 and O24 of `docs/wire-protocol.md` are proven here.

mod common;

use common::*;
use lockstep_core::inspect::PositionView;
use lockstep_core::{Exposure, StateMachine};
use lockstep_record::command::*;
use lockstep_record::*;

const NO_LIMITS: SetLimits = SetLimits {
    order_notional_max: 0,
    open_notional_max: 0,
    long_max: 0,
    short_max: 0,
    gross_max: 0,
    order_quantity_max: 0,
    open_orders_max: 0,
    id: 0,
    scope: b'S',
    _reserved: [0; 3],
};

fn of_session(id: u32, limits: SetLimits) -> Command {
    let scope = b'S';
    operator(SetLimits {
        id,
        scope,
        ..limits
    })
}

fn of_firm(id: u32, limits: SetLimits) -> Command {
    let scope = b'F';
    operator(SetLimits {
        id,
        scope,
        ..limits
    })
}

/// The small venue with room for positions, trades and protections.
fn guarded() -> Driver {
    let mut driver = venue();
    driver.tell(&[risk_bounds(8, 4, 3)]);
    driver
}

fn say(driver: &mut Driver, session: u32, request: impl Into<Request>) -> Vec<String> {
    lines(&driver.tell(&[command(session, 1, request)]))
}

fn reason(driver: &mut Driver, session: u32, request: impl Into<Request>) -> Option<String> {
    let said = say(driver, session, request);
    let rejected = said.iter().find_map(|line| line.split_once("rejected "));
    rejected.map(|(_, rest)| rest.split_once(' ').unwrap().1.to_string())
}

fn position(machine: &StateMachine, firm: u32, instrument: u32) -> PositionView {
    let own = |p: &PositionView| p.firm.0 == firm && p.instrument.0 == instrument;
    machine.positions().find(own).unwrap()
}

#[test]
fn o24_each_limit_of_a_session_and_of_a_firm_has_its_reason() {
    let base = NO_LIMITS;
    let cases = [
        (
            SetLimits {
                order_quantity_max: 9,
                ..base
            },
            "0x31",
        ),
        (
            SetLimits {
                order_notional_max: 99_999,
                ..base
            },
            "0x30",
        ),
        (
            SetLimits {
                open_orders_max: 1,
                ..base
            },
            "0x20",
        ),
        (
            SetLimits {
                open_notional_max: 149_999,
                ..base
            },
            "0x1F",
        ),
    ];
    for (limits, wanted) in cases {
        for set in [of_session(1, limits), of_firm(1, limits)] {
            let mut driver = guarded();
            // Live before the limit: it stays and counts.
            driver.tell(&[command(1, 1, enter(1, b'B', 5, 10_000)), set.clone()]);
            let refused = reason(&mut driver, 1, enter(2, b'B', 10, 10_000));
            assert_eq!(refused.as_deref(), Some(wanted), "{set:?}");
            let other = reason(&mut driver, 2, enter(1, b'B', 10, 9_000));
            assert_eq!(other, None, "{set:?} is another's");
            // Adjusted while trading.
            driver.tell(&[of_session(1, base), of_firm(1, base)]);
            assert_eq!(reason(&mut driver, 1, enter(3, b'B', 10, 9_900)), None);
        }
    }
}

#[test]
fn a_limit_is_reached_exactly() {
    let mut driver = guarded();
    driver.tell(&[of_session(
        1,
        SetLimits {
            order_quantity_max: 10,
            order_notional_max: 100_000,
            open_orders_max: 2,
            open_notional_max: 150_000,
            ..NO_LIMITS
        },
    )]);
    assert_eq!(reason(&mut driver, 1, enter(1, b'B', 10, 10_000)), None);
    assert_eq!(
        reason(&mut driver, 1, enter(2, b'S', 5, 10_100)).as_deref(),
        Some("0x1F")
    );
    assert_eq!(reason(&mut driver, 1, enter(3, b'B', 5, 10_000)), None);
    // What may not rest is no open order.
    let ioc = EnterOrder {
        time_in_force: b'3',
        ..enter(4, b'B', 1, 10_000)
    };
    assert_eq!(reason(&mut driver, 1, ioc), None);
    assert_eq!(
        reason(&mut driver, 1, enter(5, b'B', 1, 100)).as_deref(),
        Some("0x20")
    );
    let exposure = Exposure {
        open_orders: 2,
        open_notional: 150_000,
    };
    assert_eq!(driver.machine.session_exposure(SessionId(1)), exposure);
    assert_eq!(driver.machine.firm_exposure(FirmId(1)), exposure);
    // A cancel makes room.
    say(&mut driver, 1, cancel(3, 0));
    assert_eq!(reason(&mut driver, 1, enter(6, b'B', 4, 10_000)), None);
}

/// A market order has no price of its own to be worth.
#[test]
fn a_market_order_counts_at_the_highest_limit_price() {
    let mut driver = guarded();
    let order_notional_max = 1_999_999_900 * 3;
    driver.tell(&[of_session(
        1,
        SetLimits {
            order_notional_max,
            ..NO_LIMITS
        },
    )]);
    let market = |number, quantity| enter(number, b'B', quantity, 2_000_000_000);
    assert_eq!(
        reason(&mut driver, 1, market(1, 4)).as_deref(),
        Some("0x30")
    );
    assert_eq!(reason(&mut driver, 1, market(2, 3)), None);
}

#[test]
fn a_replacement_counts_instead_of_its_original_which_stays_when_it_is_too_much() {
    let mut driver = guarded();
    driver.tell(&[of_session(
        1,
        SetLimits {
            open_orders_max: 1,
            open_notional_max: 100_000,
            ..NO_LIMITS
        },
    )]);
    say(&mut driver, 1, enter(1, b'B', 10, 10_000));
    assert_eq!(
        say(&mut driver, 1, replace(1, 2, 11, 10_000)),
        ["1: rejected #2 0x1F"]
    );
    let replaced = say(&mut driver, 1, replace(1, 3, 20, 5_000));
    assert_eq!(
        replaced,
        ["1: replaced #1 by #3 B 20 AAAA @5000 tif 0 ref 2"]
    );
}

#[test]
fn open_sells_make_no_room_for_buys() {
    let mut driver = guarded();
    let limits = SetLimits {
        long_max: 100,
        short_max: 60,
        gross_max: 250,
        ..NO_LIMITS
    };
    driver.tell(&[of_firm(1, limits)]);
    // 60 bought, 40 open to buy: 100 long at worst.
    driver.tell(&[
        command(2, 1, enter(1, b'S', 60, 10_000)),
        command(1, 1, enter(1, b'B', 100, 10_000)),
    ]);
    let now = position(&driver.machine, 1, 1);
    assert_eq!(
        (now.net, now.bought, now.sold, now.open_buy, now.open_sell),
        (60, 60, 0, 40, 0)
    );
    assert_eq!(
        reason(&mut driver, 1, enter(2, b'B', 1, 9_000)).as_deref(),
        Some("0x1E")
    );
    // Sells: down to 60 short are 120 from 60 long, whatever the open buys.
    assert_eq!(
        reason(&mut driver, 1, enter(3, b'S', 121, 11_000)).as_deref(),
        Some("0x1E")
    );
    assert_eq!(reason(&mut driver, 1, enter(4, b'S', 120, 11_000)), None);
    assert_eq!(
        reason(&mut driver, 1, enter(5, b'B', 1, 9_000)).as_deref(),
        Some("0x1E")
    );
    // 60 + 40 + 120: gross has room for 30 more, another firm's position is its own.
    let other = position(&driver.machine, 2, 1);
    assert_eq!((other.net, other.sold), (-60, 60));
    // Another instrument is another position.
    let mut on_b = enter(6, b'B', 100, 10_000);
    on_b.symbol = *b"BBBB    ";
    assert_eq!(reason(&mut driver, 1, on_b), None);
}

#[test]
fn gross_counts_both_sides_of_the_day() {
    let mut driver = guarded();
    driver.tell(&[of_firm(
        1,
        SetLimits {
            gross_max: 100,
            ..NO_LIMITS
        },
    )]);
    driver.tell(&[
        command(2, 1, enter(1, b'S', 40, 10_000)),
        command(1, 1, enter(1, b'B', 40, 10_000)),
        command(1, 1, enter(2, b'S', 30, 10_500)),
    ]);
    assert_eq!(
        reason(&mut driver, 1, enter(3, b'B', 31, 9_000)).as_deref(),
        Some("0x1E")
    );
    assert_eq!(reason(&mut driver, 1, enter(4, b'B', 30, 9_000)), None);
}

#[test]
fn a_position_is_carried_over_days_and_set_by_the_operator() {
    let mut driver = guarded();
    let set = |position| {
        operator(SetPosition {
            position,
            firm: 1,
            instrument: 1,
        })
    };
    driver.tell(&[
        set(-500),
        of_firm(
            1,
            SetLimits {
                short_max: 510,
                ..NO_LIMITS
            },
        ),
        command(2, 1, enter(1, b'B', 10, 10_000)),
        command(1, 1, enter(1, b'S', 10, 10_000)),
    ]);
    assert_eq!(position(&driver.machine, 1, 1).net, -510);
    assert_eq!(
        reason(&mut driver, 1, enter(2, b'S', 1, 10_000)).as_deref(),
        Some("0x1E")
    );
    driver.tell(&[close_day(), open_day(20_250_102), login(1, &USERS[0], 0)]);
    let now = position(&driver.machine, 1, 1);
    assert_eq!((now.net, now.bought, now.sold), (-510, 0, 0));
    driver.tell(&[set(0)]);
    let said = driver.tell(&[command(1, 2, enter(1, b'S', 1, 10_000))]);
    assert_eq!(lines(&said), ["1: accepted #1 S 1 AAAA @10000 tif 0 ref 3"]);
    // Extremes are positions like others.
    driver.tell(&[set(i64::MIN), set(i64::MAX)]);
    assert_eq!(position(&driver.machine, 1, 1).net, i128::from(i64::MAX));
    driver.tell(&[
        command(1, 2, enter(2, b'B', 9, 9_000)),
        close_day(),
        open_day(20_250_103),
    ]);
}

#[test]
fn a_new_pair_of_firm_and_instrument_needs_room() {
    let mut driver = venue();
    driver.tell(&[
        risk_bounds(1, 0, 0),
        command(1, 1, enter(1, b'B', 5, 10_000)),
    ]);
    assert_eq!(
        reason(&mut driver, 2, enter(1, b'B', 5, 10_000)).as_deref(),
        Some("0x0F")
    );
    assert_eq!(reason(&mut driver, 1, enter(2, b'B', 5, 10_000)), None);
    driver.tell(&[risk_bounds(2, 0, 0)]);
    assert_eq!(reason(&mut driver, 2, enter(2, b'B', 5, 10_000)), None);
    // Live orders of two pairs do not fit into one.
    let mut driver = venue();
    driver.tell(&[
        command(1, 1, enter(1, b'B', 5, 10_000)),
        command(2, 1, enter(1, b'B', 5, 10_000)),
    ]);
    let before = driver.machine.counters().refused;
    driver.tell(&[risk_bounds(1, 0, 0)]);
    assert_eq!(driver.machine.counters().refused, before + 1);
    driver.tell(&[risk_bounds(2, 0, 0)]);
    assert_eq!(position(&driver.machine, 2, 1).open_buy, 5);
}

#[test]
fn o23_a_throttle_refuses_orders_and_lets_cancels_through() {
    let mut driver = guarded();
    let throttle = SetThrottle {
        window: 1_000,
        session: 1,
        messages_max: 3,
    };
    driver.tell(&[operator(throttle)]);
    assert_eq!(reason(&mut driver, 1, enter(1, b'B', 5, 10_000)), None);
    assert_eq!(reason(&mut driver, 1, enter(2, b'B', 5, 10_000)), None);
    say(&mut driver, 1, AccountQuery { _reserved: 0 });
    assert_eq!(
        reason(&mut driver, 1, enter(3, b'B', 5, 10_000)).as_deref(),
        Some("0x29")
    );
    assert_eq!(
        say(&mut driver, 1, replace(2, 4, 9, 10_000)),
        ["1: rejected #4 0x29"]
    );
    assert_eq!(say(&mut driver, 1, cancel(2, 0)), ["1: canceled #2 5 U"]);
    let used = driver.machine.throttle(SessionId(1)).unwrap();
    assert_eq!((used.count, used.messages_max), (6, 3));
    // Silence comes before it, and another session is not held.
    assert_eq!(say(&mut driver, 1, enter(3, b'B', 5, 10_000)), [""; 0]);
    assert_eq!(reason(&mut driver, 2, enter(1, b'B', 5, 9_000)), None);
    driver.timestamp += 1_000;
    assert_eq!(reason(&mut driver, 1, enter(5, b'B', 5, 10_000)), None);
    driver.tell(&[operator(SetThrottle {
        window: 0,
        session: 1,
        messages_max: 0,
    })]);
    assert_eq!(driver.machine.throttle(SessionId(1)), None);
}

fn watch(
    session: u32,
    by_group: u8,
    group_id: u16,
    executions_max: u32,
    quantity_max: u64,
) -> Command {
    operator(SetProtection {
        window: 1_000,
        quantity_max,
        session,
        executions_max,
        group_id,
        by_group,
        _reserved: [0; 5],
    })
}

/// Session 1 quotes both sides of AAAA in group 7 and one order without a group.
fn quoting(protection: Command) -> Driver {
    let mut driver = guarded();
    let grouped = |order| command(1, 1, order).option(PartTag::GROUP_ID, 7u16.to_le_bytes());
    driver.tell(&[
        protection,
        grouped(enter(1, b'B', 50, 9_900)),
        grouped(enter(2, b'S', 50, 10_100)),
        command(1, 1, enter(3, b'S', 50, 10_500)),
    ]);
    driver
}

#[test]
fn a_protection_pulls_its_group_when_it_trades_too_often() {
    let mut driver = quoting(watch(1, 1, 7, 2, 0));
    say(&mut driver, 2, enter(1, b'B', 5, 10_100));
    let said = say(&mut driver, 2, enter(2, b'B', 5, 10_100));
    assert_eq!(
        said[1..],
        [
            "1: executed #2 5 @10100 A match 2",
            "2: executed #2 5 @10100 R match 2",
            "1: canceled #1 50 Z",
            "1: canceled #2 40 Z",
        ]
    );
    let view = driver.machine.protections(SessionId(1)).next().unwrap();
    assert_eq!(
        (view.group_id, view.executions, view.tripped),
        (Some(7), 2, true)
    );
    let grouped = |number| {
        command(1, 1, enter(number, b'B', 5, 9_000)).option(PartTag::GROUP_ID, 7u16.to_le_bytes())
    };
    assert_eq!(lines(&driver.tell(&[grouped(4)])), ["1: rejected #4 0x0F"]);
    // Others of the session go on; the client's Enable resets.
    assert_eq!(reason(&mut driver, 1, enter(5, b'B', 5, 9_000)), None);
    let enable = EnableEntry {
        user_ref_num: 6,
        firm: *b"    ",
    };
    assert_eq!(say(&mut driver, 1, enable), ["1: entry enabled #6"]);
    let said = lines(&driver.tell(&[grouped(7)]));
    assert!(said[0].starts_with("1: accepted #7"), "{said:?}");
}

#[test]
fn a_protection_of_all_orders_counts_shares_in_a_window() {
    let mut driver = quoting(watch(1, 0, 0, 0, 60));
    say(&mut driver, 2, enter(1, b'B', 40, 10_100));
    driver.timestamp += 1_000;
    // The window is over: 59 more are not 99.
    assert_eq!(say(&mut driver, 2, enter(2, b'S', 50, 9_900)).len(), 3);
    // An aggressor trades to its end first; the own side as aggressor counts, too.
    let said = say(&mut driver, 1, enter(4, b'B', 3, 9_000));
    assert_eq!(said.len(), 1);
    let said = say(&mut driver, 2, enter(3, b'B', 30, 10_500));
    assert_eq!(
        said[1..],
        [
            "1: executed #2 10 @10100 A match 3",
            "2: executed #3 10 @10100 R match 3",
            "1: executed #3 20 @10500 A match 4",
            "2: executed #3 20 @10500 R match 4",
            "1: canceled #3 30 Z",
            "1: canceled #4 3 Z",
        ]
    );
    assert_eq!(
        reason(&mut driver, 1, enter(5, b'B', 5, 9_000)).as_deref(),
        Some("0x0F")
    );
    let reset = ResetProtection {
        session: 1,
        group_id: 0,
        by_group: 0,
        _reserved: 0,
    };
    driver.tell(&[operator(reset)]);
    assert_eq!(reason(&mut driver, 1, enter(6, b'B', 5, 9_000)), None);
}

#[test]
fn protections_are_bounded_and_end() {
    let mut driver = guarded();
    let before = driver.machine.counters().refused;
    driver.tell(&[
        watch(1, 0, 0, 1, 0),
        watch(1, 1, 7, 1, 0),
        watch(2, 0, 0, 1, 0),
    ]);
    assert_eq!(driver.machine.counters().refused, before);
    driver.tell(&[watch(3, 0, 0, 1, 0)]);
    assert_eq!(driver.machine.counters().refused, before + 1);
    // In the place of another; and one that ends makes room.
    let ends = SetProtection {
        window: 0,
        quantity_max: 0,
        session: 2,
        executions_max: 0,
        group_id: 0,
        by_group: 0,
        _reserved: [0; 5],
    };
    driver.tell(&[watch(1, 1, 7, 3, 0), operator(ends), watch(3, 0, 0, 1, 0)]);
    assert_eq!(driver.machine.counters().refused, before + 1);
    let groups: Vec<_> = driver
        .machine
        .protections(SessionId(1))
        .map(|p| p.group_id)
        .collect();
    assert_eq!(groups, [None, Some(7)]);
    assert_eq!(driver.machine.protections(SessionId(2)).count(), 0);
}

fn break_trade(match_number: u64) -> Command {
    operator(BreakTrade {
        match_number,
        reason: b'E',
        _reserved: [0; 7],
    })
}

#[test]
fn a_broken_trade_is_said_to_both_sides_and_taken_from_their_positions() {
    let mut driver = guarded();
    driver.tell(&[
        command(2, 1, enter(1, b'S', 60, 10_000)),
        command(1, 1, enter(1, b'B', 100, 10_000)),
    ]);
    let said = lines(&driver.tell(&[break_trade(1)]));
    assert_eq!(said, ["2: broken #1 match 1 E", "1: broken #1 match 1 E"]);
    let now = position(&driver.machine, 1, 1);
    assert_eq!((now.net, now.bought, now.open_buy), (0, 0, 40));
    // Once; and no order got its shares back.
    let before = driver.machine.counters().refused;
    assert_eq!(
        driver.tell(&[
            break_trade(1),
            break_trade(2),
            break_trade(0),
            break_trade(u64::MAX)
        ]),
        []
    );
    assert_eq!(driver.machine.counters().refused, before + 4);
}

#[test]
fn only_the_latest_trades_of_the_day_can_be_broken() {
    let mut driver = guarded();
    for number in 1..=6 {
        driver.tell(&[
            command(2, 1, enter(number, b'S', 1, 10_000)),
            command(1, 1, enter(number, b'B', 1, 10_000)),
        ]);
    }
    let known: Vec<u64> = driver
        .machine
        .known_trades()
        .map(|number| number.0)
        .collect();
    assert_eq!(known, [3, 4, 5, 6]);
    assert_eq!(driver.tell(&[break_trade(2)]), []);
    assert_eq!(driver.tell(&[break_trade(3)]).len(), 2);
    driver.tell(&[close_day(), break_trade(4), open_day(20_250_102)]);
    assert_eq!(driver.machine.known_trades().count(), 0);
    assert_eq!(driver.tell(&[break_trade(5)]), []);
    assert_eq!(position(&driver.machine, 1, 1).net, 5);
}

fn leaves(session: u32) -> Command {
    let mut define = define_session(
        session,
        1 + u32::from(session != 1),
        &USERS[session as usize - 1],
    );
    if let Request::DefineSession(body) = &mut define.request {
        body.cancel_on_disconnect = 1;
    }
    define
}

#[test]
fn who_does_not_come_back_after_a_change_of_leader_loses_its_orders() {
    let mut driver = guarded();
    driver.tell(&[
        operator(SetGrace { grace: 1_000 }),
        leaves(1),
        leaves(2),
        command(1, 1, enter(1, b'B', 5, 9_000)),
        command(2, 1, enter(1, b'B', 6, 9_000)),
        command(3, 1, enter(1, b'B', 7, 9_000)),
    ]);
    assert_eq!(driver.term_start(), []);
    let deadline = driver.timestamp + 1_000;
    assert_eq!(driver.machine.next_deadline(), Some(Timestamp(deadline)));
    driver.tell(&[login(2, &USERS[1], 0)]);
    driver.timestamp = deadline - 2;
    assert_eq!(driver.tell(&[]), []);
    // Session 3 did not ask for it, session 2 is back.
    assert_eq!(lines(&driver.tell(&[])), ["1: canceled #1 5 Z"]);
    assert_eq!(driver.machine.next_deadline(), None);
}

/// Our own stop is no client's doing, but a client that does not come back after it is away.
#[test]
fn the_nodes_own_stop_cancels_nothing_until_the_grace_after_it_is_over() {
    let mut driver = guarded();
    let stop = Disconnect {
        connection: 1,
        reason: 5,
        _reserved: [0; 7],
    };
    let grace = operator(SetGrace { grace: 1_000 });
    driver.tell(&[grace, leaves(1), command(1, 1, enter(1, b'B', 5, 9_000))]);
    assert_eq!(say(&mut driver, 1, stop), [""; 0]);
    driver.timestamp += 10_000;
    assert_eq!(driver.tell(&[]), []);
    driver.term_start();
    driver.timestamp += 1_000;
    assert_eq!(lines(&driver.tell(&[])), ["1: canceled #1 5 Z"]);
    // Without a grace period: never.
    let mut driver = guarded();
    driver.tell(&[leaves(1), command(1, 1, enter(1, b'B', 5, 9_000))]);
    driver.term_start();
    driver.timestamp += 1 << 60;
    assert_eq!(driver.tell(&[]), []);
}

fn banded(bands: &[(u32, u32)]) -> Command {
    bands.iter().fold(
        define_instrument(1, b"AAAA    ", 100, 1),
        |define, (from, tick)| {
            define.option(
                PartTag::TICK_BAND,
                [from.to_le_bytes(), tick.to_le_bytes()].concat(),
            )
        },
    )
}

#[test]
fn a_price_must_be_on_the_tick_of_its_band() {
    let mut driver = guarded();
    driver.tell(&[banded(&[(20_000, 500), (50_000, 1_000)])]);
    let cases = [
        (19_900, None),
        (20_000, None),
        (20_100, Some("0x1D")),
        (49_500, None),
        (50_000, None),
        (50_500, Some("0x1D")),
        (1_999_999_000, None),
        (1_999_999_900, Some("0x1D")),
        (2_000_000_000, None),
    ];
    for (number, (price, wanted)) in (1..).zip(cases) {
        let said = reason(&mut driver, 1, enter(number, b'B', 1, price));
        assert_eq!(said.as_deref(), wanted, "{price}");
    }
    // Another table leaves what rests; its replacement needs a price that is allowed now.
    driver.tell(&[banded(&[(10_000, 5_000)])]);
    assert_eq!(driver.machine.open_order_count(), 5);
    assert_eq!(
        say(&mut driver, 1, replace(1, 20, 2, 19_900)),
        ["1: canceled #1 1 U"]
    );
    assert_eq!(driver.machine.tick_bands(InstrumentId(1)).len(), 1);
    let before = driver.machine.counters().refused;
    let wrong: [&[(u32, u32)]; 6] = [
        &[(20_000, 150)],
        &[(20_000, 0)],
        &[(0, 100)],
        &[(20_000, 500), (20_000, 1_000)],
        &[(2_000_000_000, 500)],
        &[(1, 100); 21],
    ];
    for bands in wrong {
        driver.tell(&[banded(bands)]);
    }
    assert_eq!(driver.machine.counters().refused, before + 6);
    assert_eq!(driver.machine.tick_bands(InstrumentId(1)).len(), 1);
}

fn retire(instrument: u32) -> Command {
    operator(RetireInstrument {
        instrument,
        _reserved: [0; 4],
    })
}

#[test]
fn a_retired_instrument_loses_its_orders_and_its_name_with_the_day() {
    let mut driver = guarded();
    driver.tell(&[
        command(2, 1, enter(1, b'S', 5, 10_000)),
        command(1, 1, enter(1, b'B', 9, 10_000)),
    ]);
    assert_eq!(
        lines(&driver.tell(&[retire(1)])),
        ["1: canceled #1 4 S", "-: 1 is C"]
    );
    assert_eq!(
        say(&mut driver, 1, enter(2, b'B', 9, 10_000)),
        ["1: rejected #2 0x02"]
    );
    // Neither its symbol nor its id can be used again today, nor its state be set.
    let before = driver.machine.counters().refused;
    let again = define_instrument(1, b"AAAA    ", 100, 1);
    let symbol = define_instrument(3, b"AAAA    ", 100, 1);
    driver.tell(&[
        again.clone(),
        symbol.clone(),
        set_state(1, b'T'),
        retire(1),
        retire(9),
    ]);
    assert_eq!(driver.machine.counters().refused, before + 5);
    // A trade of the day can still be broken; then the day ends, and it is gone with its positions.
    assert_eq!(driver.tell(&[break_trade(1)]).len(), 2);
    driver.tell(&[close_day()]);
    driver.tell(&[open_day(20_250_102), login(1, &USERS[0], 0)]);
    assert_eq!(driver.machine.find_instrument(*b"AAAA    "), None);
    assert_eq!(driver.machine.positions().count(), 0);
    let said = driver.tell(&[command(1, 2, enter(1, b'B', 9, 10_000))]);
    assert_eq!(lines(&said), ["1: rejected #1 0x17"]);
    driver.tell(&[symbol]);
    let said = driver.tell(&[command(1, 2, enter(2, b'B', 9, 10_000))]);
    assert_eq!(lines(&said), ["1: accepted #2 B 9 AAAA @10000 tif 0 ref 3"]);
}

/// Between days no stream could say that its orders are cancelled.
#[test]
fn an_instrument_with_orders_is_not_retired_between_days() {
    let mut driver = guarded();
    let till = EnterOrder {
        time_in_force: b'6',
        ..enter(1, b'B', 5, 9_000)
    };
    let till = command(1, 1, till).option(PartTag::EXPIRE_DATE_TIME, (1u64 << 60).to_le_bytes());
    driver.tell(&[till, close_day(), retire(1), retire(2)]);
    let views: Vec<_> = driver.machine.instruments().map(|i| i.retired).collect();
    assert_eq!(views, [false, true]);
}

#[test]
fn what_names_nothing_or_contradicts_itself_is_refused() {
    let limits = |limits: SetLimits| operator(limits);
    let protection = |window, executions_max, by_group, group_id| {
        operator(SetProtection {
            window,
            quantity_max: 0,
            session: 1,
            executions_max,
            group_id,
            by_group,
            _reserved: [0; 5],
        })
    };
    let throttle = |session, window, messages_max| {
        operator(SetThrottle {
            window,
            session,
            messages_max,
        })
    };
    let reset = |session, by_group, group_id| {
        operator(ResetProtection {
            session,
            group_id,
            by_group,
            _reserved: 0,
        })
    };
    let max = u32::MAX;
    let cases = [
        limits(SetLimits { id: 9, ..NO_LIMITS }),
        limits(SetLimits {
            id: max,
            ..NO_LIMITS
        }),
        limits(SetLimits {
            id: max,
            scope: b'F',
            ..NO_LIMITS
        }),
        limits(SetLimits {
            id: 0,
            scope: b'V',
            ..NO_LIMITS
        }),
        // Positions are firms'.
        limits(SetLimits {
            id: 1,
            long_max: 1,
            ..NO_LIMITS
        }),
        throttle(9, 1, 1),
        throttle(max, 1, 1),
        throttle(1, 0, 1),
        throttle(1, 1, 0),
        protection(0, 1, 0, 0),
        protection(1, 0, 0, 0),
        protection(1, 1, 2, 0),
        protection(1, 1, 0, 1),
        reset(9, 0, 0),
        reset(1, 1, 1),
        reset(1, 0, 1),
        operator(SetPosition {
            position: 1,
            firm: 9,
            instrument: 1,
        }),
        operator(SetPosition {
            position: 1,
            firm: 1,
            instrument: max,
        }),
        risk_bounds(7, 4, 3),
        risk_bounds(8, max, 3),
        retire(0),
        retire(max),
    ];
    for case in cases {
        let mut driver = guarded();
        let hash = |driver: &Driver| driver.machine.counters().refused;
        let before = hash(&driver);
        assert_eq!(driver.tell(std::slice::from_ref(&case)), [], "{case:?}");
        assert_eq!(hash(&driver), before + 1, "{case:?}");
    }
    // Position limits need positions to be kept.
    let mut driver = venue();
    driver.tell(&[of_firm(
        1,
        SetLimits {
            long_max: 1,
            ..NO_LIMITS
        },
    )]);
    assert_eq!(
        driver.machine.firm_limits(FirmId(1)),
        Some(Default::default())
    );
}
