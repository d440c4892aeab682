//! Stop orders as scenarios that a person can read (`common/script.rs` explains the lines).

mod common;

use common::script::check;
use common::*;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::Disconnect;
use lockstep_record::*;

#[test]
fn a_stop_waits_unseen_and_acts_when_a_trade_reaches_it() {
    check(
        "1 enter #1 B 10 AAAA @9500 stop=9800
         > 1: accepted #1 B 10 AAAA @9500 tif 0 ref 1 +200=[72, 38, 0, 0, 0, 0, 0, 0]
         2 enter #1 S 5 AAAA @9500
         > 2: accepted #1 S 5 AAAA @9500 tif 0 ref 2
         3 enter #1 B 5 AAAA @9500
         > 3: accepted #1 B 5 AAAA @9500 tif 0 ref 3
         > 2: executed #1 5 @9500 A match 1
         > 3: executed #1 5 @9500 R match 1
         2 enter #2 S 20 AAAA @9400
         > 2: accepted #2 S 20 AAAA @9400 tif 0 ref 4
         2 enter #3 S 1 AAAA @9800
         > 2: accepted #3 S 1 AAAA @9800 tif 0 ref 5
         3 enter #2 B 21 AAAA @9800
         > 3: accepted #2 B 21 AAAA @9800 tif 0 ref 6
         > 2: executed #2 20 @9400 A match 2
         > 3: executed #2 20 @9400 R match 2
         > 2: executed #3 1 @9800 A match 3
         > 3: executed #2 1 @9800 R match 3
         > 1: active #1 @9500 Y ref 7
         2 enter #4 S 4 AAAA @9500
         > 2: accepted #4 S 4 AAAA @9500 tif 0 ref 8
         > 1: executed #1 4 @9500 A match 4
         > 2: executed #4 4 @9500 R match 4",
    );
}

/// A peer let stops that were triggered by a stop's trade act with the next message.
#[test]
fn chained_stops_act_in_the_same_record_nearest_trigger_first() {
    check(
        "1 enter #1 B 1 AAAA @10000
         > 1: accepted #1 B 1 AAAA @10000 tif 0 ref 1
         1 enter #2 B 2 AAAA @9900
         > 1: accepted #2 B 2 AAAA @9900 tif 0 ref 2
         1 enter #3 B 2 AAAA @9800
         > 1: accepted #3 B 2 AAAA @9800 tif 0 ref 3
         1 enter #4 B 9 AAAA @9700
         > 1: accepted #4 B 9 AAAA @9700 tif 0 ref 4
         2 enter #1 S 3 AAAA @2147483647 stop=9800
         > 2: accepted #1 S 3 AAAA @2147483647 tif 0 ref 5 +200=[72, 38, 0, 0, 0, 0, 0, 0]
         2 enter #2 S 2 AAAA @2147483647 stop=9900
         > 2: accepted #2 S 2 AAAA @2147483647 tif 0 ref 6 +200=[172, 38, 0, 0, 0, 0, 0, 0]
         2 enter #3 S 1 AAAA @2147483647 stop=10000
         > 2: accepted #3 S 1 AAAA @2147483647 tif 0 ref 7 +200=[16, 39, 0, 0, 0, 0, 0, 0]
         2 enter #4 S 1 AAAA @2147483647 stop=10000
         > 2: accepted #4 S 1 AAAA @2147483647 tif 0 ref 8 +200=[16, 39, 0, 0, 0, 0, 0, 0]
         3 enter #1 S 1 AAAA @10000
         > 3: accepted #1 S 1 AAAA @10000 tif 0 ref 9
         > 1: executed #1 1 @10000 A match 1
         > 3: executed #1 1 @10000 R match 1
         > 2: active #3 @2147483647 Y ref 10
         > 1: executed #2 1 @9900 A match 2
         > 2: executed #3 1 @9900 R match 2
         > 2: active #4 @2147483647 Y ref 11
         > 1: executed #2 1 @9900 A match 3
         > 2: executed #4 1 @9900 R match 3
         > 2: active #2 @2147483647 Y ref 12
         > 1: executed #3 2 @9800 A match 4
         > 2: executed #2 2 @9800 R match 4
         > 2: active #1 @2147483647 Y ref 13
         > 1: executed #4 3 @9700 A match 5
         > 2: executed #1 3 @9700 R match 5",
    );
}

#[test]
fn a_stop_that_was_reached_before_acts_at_once() {
    check(
        "1 enter #1 B 9 AAAA @10000
         > 1: accepted #1 B 9 AAAA @10000 tif 0 ref 1
         2 enter #1 S 1 AAAA @10000
         > 2: accepted #1 S 1 AAAA @10000 tif 0 ref 2
         > 1: executed #1 1 @10000 A match 1
         > 2: executed #1 1 @10000 R match 1
         3 enter #1 S 1 AAAA @9000 stop=10000
         > 3: accepted #1 S 1 AAAA @9000 tif 0 ref 3 +200=[16, 39, 0, 0, 0, 0, 0, 0]
         > 1: executed #1 1 @10000 A match 2
         > 3: executed #1 1 @10000 R match 2
         3 enter #2 S 1 AAAA @9000 stop=9900
         > 3: accepted #2 S 1 AAAA @9000 tif 0 ref 4 +200=[172, 38, 0, 0, 0, 0, 0, 0]",
    );
}

#[test]
fn a_trailing_stop_follows_the_trades_and_never_goes_back() {
    check(
        "1 enter #1 B 9 AAAA @10000
         > 1: accepted #1 B 9 AAAA @10000 tif 0 ref 1
         2 enter #1 S 1 AAAA @10000
         > 2: accepted #1 S 1 AAAA @10000 tif 0 ref 2
         > 1: executed #1 1 @10000 A match 1
         > 2: executed #1 1 @10000 R match 1
         3 enter #1 S 2 AAAA @9000 kind=T trail=200
         > 3: accepted #1 S 2 AAAA @9000 tif 0 ref 3 +201=[84] +202=[200, 0, 0, 0]
         2 enter #2 S 1 AAAA @10300
         > 2: accepted #2 S 1 AAAA @10300 tif 0 ref 4
         1 enter #2 B 1 AAAA @10300
         > 1: accepted #2 B 1 AAAA @10300 tif 0 ref 5
         > 2: executed #2 1 @10300 A match 2
         > 1: executed #2 1 @10300 R match 2
         2 enter #3 S 1 AAAA @10200
         > 2: accepted #3 S 1 AAAA @10200 tif 0 ref 6
         1 enter #3 B 1 AAAA @10200
         > 1: accepted #3 B 1 AAAA @10200 tif 0 ref 7
         > 2: executed #3 1 @10200 A match 3
         > 1: executed #3 1 @10200 R match 3
         2 enter #4 S 1 AAAA @10100
         > 2: accepted #4 S 1 AAAA @10100 tif 0 ref 8
         1 enter #4 B 1 AAAA @10100
         > 1: accepted #4 B 1 AAAA @10100 tif 0 ref 9
         > 2: executed #4 1 @10100 A match 4
         > 1: executed #4 1 @10100 R match 4
         > 3: active #1 @9000 Y ref 10
         > 1: executed #1 2 @10000 A match 5
         > 3: executed #1 2 @10000 R match 5",
    );
}

#[test]
fn cancel_modify_and_mass_cancel_reach_waiting_stops() {
    check(
        "1 enter #1 S 10 AAAA @9500 stop=9600
         > 1: accepted #1 S 10 AAAA @9500 tif 0 ref 1 +200=[128, 37, 0, 0, 0, 0, 0, 0]
         1 enter #2 B 10 AAAA @9500 stop=9600
         > 1: accepted #2 B 10 AAAA @9500 tif 0 ref 2 +200=[128, 37, 0, 0, 0, 0, 0, 0]
         1 cancel #1 7
         > 1: canceled #1 3 U
         1 modify #1 T 5
         > 1: modified #1 T 5
         1 cancel #2 0
         > 1: canceled #2 10 U
         1 cancel-all #3 - AAAA side=T
         > 1: mass cancel #3  AAAA
         > 1: canceled #1 5 U",
    );
}

#[test]
fn a_replacement_keeps_the_trigger_changes_it_or_drops_it() {
    check(
        "1 enter #1 B 1 AAAA @10000
         > 1: accepted #1 B 1 AAAA @10000 tif 0 ref 1
         2 enter #1 S 1 AAAA @10000
         > 2: accepted #1 S 1 AAAA @10000 tif 0 ref 2
         > 1: executed #1 1 @10000 A match 1
         > 2: executed #1 1 @10000 R match 1
         3 enter #1 B 5 AAAA @10600 kind=T trail=300
         > 3: accepted #1 B 5 AAAA @10600 tif 0 ref 3 +201=[84] +202=[44, 1, 0, 0]
         3 replace #1 #2 6 @10600
         > 3: replaced #1 by #2 B 6 AAAA @10600 tif 0 ref 4 +200=[60, 40, 0, 0, 0, 0, 0, 0] +201=[84] +202=[44, 1, 0, 0]
         3 replace #2 #3 6 @10600 stop=10500
         > 3: replaced #2 by #3 B 6 AAAA @10600 tif 0 ref 5 +200=[4, 41, 0, 0, 0, 0, 0, 0]
         3 replace #3 #4 6 @10600 kind=N
         > 3: replaced #3 by #4 B 6 AAAA @10600 tif 0 ref 6 +201=[78]
         3 replace #4 #5 6 @10600 stop=10600
         > 3: replaced #4 by #5 B 6 AAAA @10600 tif 0 ref 7 +200=[104, 41, 0, 0, 0, 0, 0, 0]
         3 replace #5 #6 6 @10600 stop=10601
         > 3: canceled #5 6 U",
    );
}

/// A waiting stop needs no price level; if none is free when it acts, what is left is cancelled.
#[test]
fn a_triggered_stop_without_a_price_level_is_cancelled() {
    let mut driver = Driver::default();
    let mut commands = small_venue();
    commands[0] = bounds(10, 2);
    driver.tell(&commands);
    let trigger = 9_900u64.to_le_bytes();
    driver.tell(&[
        command(1, 1, enter(1, b'B', 9, 9_900)),
        command(1, 1, enter(2, b'B', 9, 9_800)),
        command(3, 1, enter(1, b'S', 5, 10_000)).option(PartTag::STOP_PRICE, trigger),
    ]);
    let said = driver.tell(&[command(2, 1, enter(1, b'S', 1, 9_900))]);
    let wanted = ["2: rejected #1 0x0F"];
    assert_eq!(lines(&said), wanted);
    let mut immediate = enter(2, b'S', 1, 9_900);
    immediate.time_in_force = b'3';
    let said = driver.tell(&[command(2, 1, immediate)]);
    let wanted = [
        "2: accepted #2 S 1 AAAA @9900 tif 3 ref 4",
        "1: executed #1 1 @9900 A match 1",
        "2: executed #2 1 @9900 R match 1",
        "3: active #1 @10000 Y ref 5",
        "3: canceled #1 5 Z",
    ];
    assert_eq!(lines(&said), wanted);
}

#[test]
fn stops_expire_end_with_the_day_or_outlive_it() {
    let mut driver = venue();
    let stop = |number, price: u64| {
        command(1, 1, enter(number, b'S', 5, 9_000))
            .option(PartTag::STOP_PRICE, price.to_le_bytes())
    };
    let until = |number, time: u64| {
        let mut command = stop(number, 9_100).option(PartTag::EXPIRE_DATE_TIME, time.to_le_bytes());
        if let Request::EnterOrder(body) = &mut command.request {
            body.time_in_force = b'6';
        }
        command
    };
    driver.tell(&[
        stop(1, 9_200),
        until(2, 5_000),
        until(3, 1_000_000),
        stop(4, 9_300),
    ]);
    driver.timestamp = 6_000;
    assert_eq!(lines(&driver.tell(&[])), ["1: canceled #2 5 T"]);
    let said = driver.tell(&[close_day()]);
    assert_eq!(
        lines(&said)[..2],
        ["1: canceled #1 5 E", "1: canceled #4 5 E"]
    );
    let said = driver.tell(&[open_day(20_250_102)]);
    assert_eq!(lines(&said)[4], "1: restated #3 R shows 0 @9000 ref 3");
    // It still waits, and acts on the new day's trades.
    driver.tell(&[login(2, &USERS[1], 0), login(3, &USERS[2], 0)]);
    let said = driver.tell(&[
        command(2, 2, enter(1, b'B', 9, 9_100)),
        command(3, 2, enter(1, b'S', 1, 9_100)),
    ]);
    assert_eq!(lines(&said)[4], "1: active #3 @9000 Y ref 7");
}

#[test]
fn a_lost_connection_cancels_waiting_stops() {
    let mut driver = venue();
    let mut session = match define_session(1, 1, &USERS[0]).request {
        Request::DefineSession(body) => body,
        _ => unreachable!(),
    };
    session.cancel_on_disconnect = 1;
    let trigger = 9_000u64.to_le_bytes();
    driver.tell(&[
        operator(session),
        command(1, 1, enter(1, b'S', 5, 9_000)).option(PartTag::STOP_PRICE, trigger),
    ]);
    let lost = Disconnect {
        connection: 1,
        reason: 1,
        _reserved: [0; 7],
    };
    let said = driver.tell(&[command(1, 1, lost)]);
    assert_eq!(lines(&said), ["1: canceled #1 5 Z"]);
}

/// A trade in a record triggers before the next record of the same batch, not after the batch.
#[test]
fn stops_act_between_the_records_of_a_batch() {
    let mut driver = venue();
    let trigger = 10_000u64.to_le_bytes();
    driver.tell(&[
        command(1, 1, enter(1, b'B', 9, 10_000)),
        command(3, 1, enter(1, b'S', 3, 10_000)).option(PartTag::STOP_PRICE, trigger),
    ]);
    let said = driver.tell(&[
        command(2, 1, enter(1, b'S', 1, 10_000)),
        command(2, 1, enter(2, b'S', 9, 10_000)),
    ]);
    let wanted = [
        "2: accepted #1 S 1 AAAA @10000 tif 0 ref 3",
        "1: executed #1 1 @10000 A match 1",
        "2: executed #1 1 @10000 R match 1",
        "3: active #1 @10000 Y ref 4",
        "1: executed #1 3 @10000 A match 2",
        "3: executed #1 3 @10000 R match 2",
        "2: accepted #2 S 9 AAAA @10000 tif 0 ref 5",
        "1: executed #1 5 @10000 A match 3",
        "2: executed #2 5 @10000 R match 3",
    ];
    assert_eq!(lines(&said), wanted);
}

/// One trade, thousands of stops each of which triggers the next: a list, worked off.
#[test]
fn a_long_chain_of_stops_is_worked_off() {
    const LENGTH: u32 = 2_000;
    let mut driver = Driver::default();
    let mut commands = small_venue();
    commands[0] = bounds(16 * LENGTH, 4 * LENGTH);
    driver.tell(&commands);
    let mut chain = Vec::new();
    for at in 0..LENGTH {
        let price = 1_000_000 - u64::from(at) * 100;
        chain.push(command(1, 1, enter(at + 1, b'B', 1, price)));
        let body = enter(at + 1, b'S', 1, 100);
        chain.push(command(3, 1, body).option(PartTag::STOP_PRICE, price.to_le_bytes()));
    }
    let mut records = Records::default();
    chain.iter().for_each(|command| command.write(&mut records));
    driver.try_apply(BatchKind::Commands, &records).unwrap();
    let said = driver.tell(&[command(2, 1, enter(1, b'S', 1, 1_000_000))]);
    let active = |said: &&Said| said.to_string().contains("active");
    // The last one finds no bid left, rests, and is triggered all the same.
    assert_eq!(said.iter().filter(active).count(), LENGTH as usize);
    assert_eq!(driver.machine.open_order_count(), 1);
}
