//! Stop orders where bounds, days, batches and long chains come in; the rest is in `scenarios/stops.txt`.

mod common;

use common::*;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::Disconnect;
use lockstep_record::*;

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

/// The closing auction of a day triggered a stop that outlives it, and an operator let the instrument trade
/// again before the next day: the stop had not acted when that day opened, and would not have before another
/// trade triggered another stop.
#[test]
fn a_stop_that_the_last_close_triggered_acts_when_the_day_opens() {
    let mut driver = venue();
    let mut waits = enter(1, b'S', 5, 9_000);
    waits.time_in_force = b'6';
    let close = |side, session| {
        let mut body = enter(1, side, 7, 10_000);
        body.cross_type = b'C';
        command(session, 1, body)
    };
    driver.tell(&[
        command(1, 1, waits)
            .option(PartTag::STOP_PRICE, 10_000u64.to_le_bytes())
            .option(PartTag::EXPIRE_DATE_TIME, 1_000_000u64.to_le_bytes()),
        close(b'B', 2),
        close(b'S', 3),
        set_state(1, b'L'),
    ]);
    let said = driver.tell(&[close_day()]);
    assert_eq!(lines(&said)[0], "2: executed #1 7 @10000 C match 1");
    // Between the days nothing acts.
    let said = driver.tell(&[set_state(1, b'T')]);
    assert_eq!(lines(&said), ["-: 1 is T"]);
    let said = driver.tell(&[open_day(20_250_102)]);
    assert_eq!(lines(&said).last().unwrap(), "1: active #1 @9000 Y ref 4");
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
