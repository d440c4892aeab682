//! Orders that expire, by time or with the day, and those that outlive it.

mod common;

use common::*;
use lockstep_record::*;

const SECOND: u64 = 1_000_000_000;

/// A bid that expires at an absolute time, or after so many seconds.
fn timed(number: u32, price: u64, tag: PartTag, value: &[u8]) -> Command {
    let mut body = enter(number, b'B', 5, price);
    body.time_in_force = b'6';
    command(1, 1, body).option(tag, value)
}

#[test]
fn orders_expire_by_deadline_then_by_reference_before_the_batch() {
    let mut driver = venue();
    let at = |time: u64| (PartTag::EXPIRE_DATE_TIME, time.to_le_bytes());
    let (tag, late) = at(5 * SECOND);
    driver.tell(&[timed(1, 10_000, tag, &late)]);
    let (tag, soon) = at(3 * SECOND);
    driver.tell(&[timed(2, 10_100, tag, &soon), timed(3, 10_200, tag, &soon)]);
    let secs = 4u32.to_le_bytes();
    driver.tell(&[timed(4, 10_300, PartTag::EXPIRE_TIME, &secs)]);
    assert_eq!(driver.machine.next_deadline(), Some(Timestamp(3 * SECOND)));
    driver.timestamp = 3 * SECOND - 2;
    assert_eq!(driver.tell(&[]), []);
    // An empty batch is enough; a sell in the batch comes too late for what is due.
    let sell = command(2, 1, enter(1, b'S', 5, 10_100));
    let said = driver.tell(&[sell]);
    let wanted = [
        "1: canceled #2 5 T",
        "1: canceled #3 5 T",
        "2: accepted #1 S 5 AAAA @10100 tif 0 ref 5",
        "1: executed #4 5 @10300 A match 1",
        "2: executed #1 5 @10300 R match 1",
    ];
    assert_eq!(lines(&said), wanted);
    assert_eq!(driver.machine.next_deadline(), Some(Timestamp(5 * SECOND)));
    driver.timestamp = 9 * SECOND;
    assert_eq!(lines(&driver.tell(&[])), ["1: canceled #1 5 T"]);
    assert_eq!(driver.machine.next_deadline(), None);
}

#[test]
fn orders_good_till_a_date_outlive_the_day_and_are_restated() {
    let mut driver = venue();
    let far = (100 * SECOND).to_le_bytes();
    let soon = (50 * SECOND).to_le_bytes();
    let tag = PartTag::EXPIRE_DATE_TIME;
    driver.tell(&[
        timed(7, 10_000, tag, &far),
        timed(8, 10_100, tag, &soon),
        timed(9, 10_200, PartTag::EXPIRE_TIME, &80_000u32.to_le_bytes()),
        command(1, 1, enter(10, b'B', 5, 10_000)),
    ]);
    let said = driver.tell(&[close_day()]);
    // Good till a time ends with the day, like day orders.
    assert_eq!(
        lines(&said)[..3],
        ["1: canceled #9 5 E", "1: canceled #10 5 E", "1: system E"]
    );
    // Between days nothing is said and nothing falls due.
    assert_eq!(driver.machine.next_deadline(), None);
    driver.timestamp = 60 * SECOND;
    assert_eq!(driver.tell(&[]), []);
    let said = driver.tell(&[open_day(20_250_102)]);
    let wanted = [
        "1: system S",
        "2: system S",
        "3: system S",
        "1: canceled #8 5 T",
        "1: restated #7 R shows 5 @10000 ref 1",
    ];
    assert_eq!(lines(&said)[1..], wanted);
    assert_eq!(numbers(&said, 1), [1, 2, 3]);
    // Its number is used on this day, too.
    assert_eq!(driver.machine.last_user_ref(SessionId(1), 0), 7);
    driver.tell(&[login(1, &USERS[0], 0)]);
    assert_eq!(driver.tell(&[command(1, 2, enter(7, b'B', 1, 10_000))]), []);
    let said = driver.tell(&[
        command(2, 1, enter(1, b'S', 5, 10_000)),
        command(1, 2, cancel(7, 3)),
    ]);
    assert_eq!(lines(&said), ["1: canceled #7 2 U"]);
}

#[test]
fn a_replacement_keeps_its_deadline_unless_it_says_otherwise() {
    let mut driver = venue();
    let secs = 10u32.to_le_bytes();
    driver.tell(&[timed(1, 10_000, PartTag::EXPIRE_TIME, &secs)]);
    let due = driver.machine.next_deadline();
    driver.timestamp += SECOND;
    let mut body = replace(1, 2, 5, 10_100);
    body.time_in_force = b'6';
    let said = driver.tell(&[command(1, 1, body)]);
    assert!(
        lines(&said)[0].ends_with(" seconds=10"),
        "{:?}",
        lines(&said)
    );
    assert_eq!(driver.machine.next_deadline(), due);
    let mut body = replace(2, 3, 5, 10_100);
    body.time_in_force = b'6';
    let again = command(1, 1, body).option(PartTag::EXPIRE_TIME, 20u32.to_le_bytes());
    driver.tell(&[again]);
    assert_eq!(
        driver.machine.next_deadline(),
        Some(Timestamp(driver.timestamp + 20 * SECOND))
    );
    driver.tell(&[command(1, 1, replace(3, 4, 5, 10_100))]);
    assert_eq!(driver.machine.next_deadline(), None);
}
