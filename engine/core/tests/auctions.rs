//! Trading states, auctions, collars and a day's prices: the worked examples of `docs/matching.md`.

mod common;

use common::*;
use lockstep_core::inspect::TradingState;
use lockstep_record::*;

const MS: u64 = 1_000_000;

fn limit(session: u32, number: u32, side: u8, quantity: u32, price: u64) -> Command {
    command(session, 1, enter(number, side, quantity, price))
}

fn for_auction(mut order: Command, cross_type: u8) -> Command {
    let Request::EnterOrder(body) = &mut order.request else {
        unreachable!()
    };
    body.cross_type = cross_type;
    order
}

/// Bids of session 1, asks of session 2, in pre-open.
fn called(reference: u64, bids: &[(u32, u64)], asks: &[(u32, u64)]) -> Driver {
    let mut driver = venue();
    let closed = [set_state(1, b'C'), set_state(1, b'P')];
    driver.tell(&closed);
    driver.tell(&[set_reference(1, reference)]);
    for (session, side, orders) in [(1, b'B', bids), (2, b'S', asks)] {
        for (number, (quantity, price)) in (1..).zip(orders) {
            let said = driver.tell(&[limit(session, number, side, *quantity, *price)]);
            assert_eq!(said.len(), 1, "{:?}", lines(&said));
        }
    }
    driver
}

/// Price, shares, shares left over, their side; the uncrossing must do what the indication says.
fn outcome(driver: &mut Driver) -> (u64, u64, u64, char) {
    let view = driver.machine.auction(InstrumentId(1)).unwrap();
    let outcome = view.outcome.unwrap();
    let said = driver.tell(&[set_state(1, b'O')]);
    assert_eq!(lines(&said)[0], "-: 1 is O");
    let (price, quantity) = (outcome.price.0, outcome.quantity);
    let side = outcome.imbalance_side as char;
    let indicated = format!(
        "-: 1 would trade {quantity} @{price}, {} {side} over",
        outcome.imbalance
    );
    assert_eq!(lines(&said)[1], indicated);
    let said = lines(&driver.tell(&[set_state(1, b'T')]));
    assert!(
        said.contains(&format!("-: 1 uncrossed {quantity} @{price} O")),
        "{said:?}"
    );
    (price, quantity, outcome.imbalance, side)
}

/// The naive venue looked for what was due before each record. With one record a batch that is before each
/// batch, as it must be; with several it ended a call of no length before the orders behind it in its batch,
/// which still take part.
#[test]
fn what_a_record_makes_due_at_once_waits_for_the_next_batch() {
    let mut driver = called(0, &[(100, 1_010_000)], &[(150, 1_000_000)]);
    let late_bid = limit(1, 2, b'B', 50, 1_000_000);
    let said = lines(&driver.tell(&[start_auction(1, b'O', 0, 0), late_bid]));
    assert_eq!(said[0], "-: 1 is O");
    assert!(
        !said.iter().any(|line| line.contains("uncrossed")),
        "{said:?}"
    );
    let due = driver.machine.next_deadline();
    assert_eq!(due, Some(Timestamp(driver.timestamp)));
    let said = lines(&driver.tell(&[]));
    let uncrossed = "-: 1 uncrossed 150 @1000000 O".to_string();
    assert!(said.contains(&uncrossed), "{said:?}");
}

#[test]
fn the_most_shares_trade() {
    let bids = [(100, 1_010_000), (50, 1_000_000)];
    let asks = [(80, 1_000_000), (70, 1_010_000)];
    let mut driver = called(0, &bids, &asks);
    assert_eq!(outcome(&mut driver), (1_010_000, 100, 50, 'S'));
}

#[test]
fn then_the_fewest_are_left_over() {
    let bids = [(100, 1_010_000), (60, 1_000_000)];
    let mut driver = called(1_000_000, &bids, &[(100, 1_000_000)]);
    assert_eq!(outcome(&mut driver), (1_000_100, 100, 0, 'N'));
}

#[test]
fn then_the_surplus_presses_the_price() {
    let mut driver = called(1_000_000, &[(150, 1_010_000)], &[(100, 1_000_000)]);
    assert_eq!(outcome(&mut driver), (1_010_000, 100, 50, 'B'));
    let mut driver = called(1_010_000, &[(100, 1_010_000)], &[(150, 1_000_000)]);
    assert_eq!(outcome(&mut driver), (1_000_000, 100, 50, 'S'));
}

#[test]
fn then_the_reference_decides() {
    for (reference, price) in [
        (1_003_000, 1_003_000),
        (1_050_000, 1_010_000),
        (900_000, 1_000_000),
        (0, 1_005_000),
    ] {
        let mut driver = called(reference, &[(100, 1_010_000)], &[(100, 1_000_000)]);
        assert_eq!(outcome(&mut driver), (price, 100, 0, 'N'), "{reference}");
    }
}

/// Orders at the market go first, at one price with all others, and their rest goes.
#[test]
fn an_opening_auction_fills_the_market_first() {
    let mut driver = called(0, &[(10, 10_100)], &[(30, 10_000)]);
    let market = for_auction(limit(3, 1, b'B', 25, 2_000_000_000), b'O');
    let late = for_auction(limit(3, 2, b'B', 5, 10_000), b'O');
    driver.tell(&[market, late]);
    driver.tell(&[set_state(1, b'O')]);
    let said = driver.tell(&[set_state(1, b'T')]);
    let wanted = [
        "3: executed #1 25 @10100 O match 1",
        "2: executed #1 25 @10100 O match 1",
        "1: executed #1 5 @10100 O match 2",
        "2: executed #1 5 @10100 O match 2",
        "-: 1 uncrossed 30 @10100 O",
        "3: canceled #2 5 I",
        "-: 1 is T",
    ];
    assert_eq!(lines(&said), wanted);
    let prices = driver.machine.statistics(InstrumentId(1)).unwrap();
    let all = (prices.open_price, prices.high_price, prices.low_price);
    assert_eq!(all, (10_100, 10_100, 10_100));
    assert_eq!((prices.volume, prices.trade_count), (30, 2));
}

/// A whole reserve order takes part, and displays its size again afterwards.
#[test]
fn reserves_take_part_whole() {
    let mut driver = venue();
    let floor = (PartTag::MAX_FLOOR, 5u32.to_le_bytes());
    driver.tell(&[limit(1, 1, b'S', 40, 10_000).option(floor.0, floor.1)]);
    driver.tell(&[set_state(1, b'V'), limit(2, 1, b'B', 28, 10_000)]);
    let said = driver.tell(&[set_state(1, b'T')]);
    let wanted = [
        "2: executed #1 28 @10000 H match 1",
        "1: executed #1 28 @10000 H match 1",
        "-: 1 uncrossed 28 @10000 H",
        "1: restated #1 R shows 5",
        "-: 1 is T",
    ];
    assert_eq!(lines(&said), wanted);
}

#[test]
fn each_state_takes_its_orders() {
    // By state: a day order, an immediate one, and one for each auction; 0 = accepted.
    let table: [(u8, [u16; 5]); 7] = [
        (b'C', [0x02, 0x02, 0x02, 0x02, 0x02]),
        (b'P', [0, 0x0F, 0, 0x14, 0]),
        (b'O', [0, 0x0F, 0, 0x14, 0]),
        (b'T', [0, 0, 0x14, 0x14, 0]),
        (b'H', [0x07, 0x07, 0x07, 0x07, 0x07]),
        (b'V', [0, 0x0F, 0x14, 0, 0]),
        (b'L', [0, 0x0F, 0x14, 0x14, 0]),
    ];
    for (state, wanted) in table {
        let mut driver = venue();
        let way: &[u8] = match state {
            b'P' | b'O' => &[b'C', state],
            _ => &[state],
        };
        for step in way {
            driver.tell(&[set_state(1, *step)]);
        }
        let view = driver.machine.auction(InstrumentId(1)).unwrap();
        assert_eq!(view.state as u8, state);
        let mut immediate = enter(2, b'B', 5, 10_000);
        immediate.time_in_force = b'3';
        let orders = [
            limit(1, 1, b'B', 5, 10_000),
            command(1, 1, immediate),
            for_auction(limit(1, 3, b'B', 5, 10_000), b'O'),
            for_auction(limit(1, 4, b'B', 5, 10_000), b'H'),
            for_auction(limit(1, 5, b'B', 5, 10_000), b'C'),
        ];
        for (order, wanted) in orders.into_iter().zip(wanted) {
            let said = lines(&driver.tell(&[order]));
            let state = state as char;
            match wanted {
                0 => assert!(said[0].contains("accepted"), "{state}: {said:?}"),
                why => assert!(
                    said[0].ends_with(&format!("0x{why:02X}")),
                    "{state}: {said:?}"
                ),
            }
        }
    }
}

/// From pre-open to the close by the schedule alone; the random end is within its bound, and the same again.
#[test]
fn a_day_by_its_schedule() {
    let play = || {
        let mut driver = venue();
        driver.tell(&[set_schedule(1, [10, 20, 30, 40, 50], 5), set_state(1, b'C')]);
        let mut seen = Vec::new();
        while let Some(next) = driver.machine.next_deadline() {
            assert!(next.0 > driver.timestamp);
            driver.timestamp = next.0 - 1;
            let said = driver.tell(&[]);
            let state = driver.machine.auction(InstrumentId(1)).unwrap().state;
            seen.push((next.0, state, said.len()));
        }
        (seen, driver.machine.digest())
    };
    let (seen, digest) = play();
    let states: Vec<TradingState> = seen.iter().map(|(_, state, _)| *state).collect();
    use TradingState::*;
    let wanted = [
        PreOpen,
        OpeningAuction,
        OpeningAuction,
        Trading,
        ClosingAuction,
        ClosingAuction,
        Closed,
    ];
    assert_eq!(states, wanted);
    assert!((30 * MS..=35 * MS).contains(&seen[3].0), "{seen:?}");
    assert!((50 * MS..=55 * MS).contains(&seen[6].0), "{seen:?}");
    assert_eq!(play(), (seen, digest));
}

#[test]
fn a_halt_outlasts_the_schedule_and_ends_through_an_auction() {
    let mut driver = venue();
    driver.tell(&[set_schedule(1, [0, 0, 0, 40, 50], 0), set_state(1, b'H')]);
    driver.timestamp = 45 * MS;
    assert_eq!(driver.tell(&[]), []);
    driver.tell(&[start_auction(1, b'V', 1, 0), limit(1, 1, b'B', 5, 10_000)]);
    driver.tell(&[limit(2, 1, b'S', 5, 10_000)]);
    driver.timestamp += MS;
    let said = driver.tell(&[]);
    assert_eq!(lines(&said)[0], "1: executed #1 5 @10000 H match 1");
    assert_eq!(lines(&said)[3], "-: 1 is T");
    driver.timestamp = 50 * MS;
    assert_eq!(lines(&driver.tell(&[])), ["-: 1 is C"]);
}

fn collared(action: &str) -> Driver {
    let mut driver = venue();
    let define = define_instrument(1, b"AAAA    ", 100, 1)
        .option(PartTag::STATIC_COLLAR, 1_000u32.to_le_bytes())
        .option(PartTag::COLLAR_ACTION, action)
        .option(PartTag::AUCTION_DURATION, 3u32.to_le_bytes());
    driver.tell(&[define, set_reference(1, 10_000)]);
    driver.tell(&[limit(1, 1, b'S', 5, 11_000), limit(1, 2, b'S', 5, 11_100)]);
    driver
}

#[test]
fn a_collar_rejects_limits_and_stops_the_market() {
    let mut driver = collared("R");
    let said = driver.tell(&[limit(2, 1, b'B', 10, 11_100)]);
    assert_eq!(lines(&said), ["2: rejected #1 0x1D"]);
    let said = driver.tell(&[limit(2, 2, b'B', 10, 2_000_000_000)]);
    assert_eq!(lines(&said)[1], "1: executed #1 5 @11000 A match 1");
    assert_eq!(lines(&said)[3..], ["2: canceled #2 5 K"]);
}

#[test]
fn a_collar_calls_an_auction() {
    let mut driver = collared("V");
    let said = driver.tell(&[limit(2, 1, b'B', 10, 11_100)]);
    assert_eq!(
        lines(&said)[3..],
        ["-: 1 is V", "-: 1 would trade 5 @11100, 0 N over"]
    );
    driver.timestamp += 3 * MS;
    let said = driver.tell(&[]);
    assert_eq!(lines(&said)[0], "2: executed #1 5 @11100 H match 2");
}

/// Official prices, and yesterday's close as the next day's reference.
#[test]
fn the_close_is_the_next_days_reference() {
    let mut driver = venue();
    driver.tell(&[
        limit(1, 1, b'S', 5, 10_300),
        limit(2, 1, b'B', 5, 10_300),
        for_auction(limit(1, 2, b'S', 7, 10_000), b'C'),
        for_auction(limit(2, 2, b'B', 7, 10_000), b'C'),
    ]);
    driver.tell(&[set_state(1, b'L')]);
    // The day's close ends the call.
    let said = driver.tell(&[close_day()]);
    assert_eq!(lines(&said)[0], "2: executed #2 7 @10000 C match 2");
    let prices = driver.machine.statistics(InstrumentId(1)).unwrap();
    assert_eq!((prices.last_price, prices.closing_price), (10_000, 10_000));
    assert_eq!((prices.open_price, prices.high_price), (10_300, 10_300));
    driver.tell(&[open_day(20_250_102)]);
    let prices = driver.machine.statistics(InstrumentId(1)).unwrap();
    assert_eq!((prices.volume, prices.previous_close_price), (0, 10_000));
    let view = driver.machine.auction(InstrumentId(1)).unwrap();
    assert_eq!(view.reference_price, Price(10_000));
    assert_eq!(view.state, TradingState::Closed);
}

#[test]
fn illegal_changes_are_refused_and_counted() {
    let mut driver = venue();
    let refused = driver.machine.counters().refused;
    let cases = [
        set_state(1, b'P'),
        set_state(1, b'O'),
        set_state(1, b'X'),
        set_state(9, b'H'),
        start_auction(1, b'T', 1, 0),
        start_auction(1, b'V', 86_400_001, 0),
        start_auction(1, b'V', 1, 3_600_001),
        set_schedule(1, [20, 10, 0, 0, 0], 0),
        set_schedule(1, [1, 2, 3, 4, 5], 3_600_001),
        set_reference(1, 10_050),
    ];
    let count = cases.len() as u64;
    for case in cases {
        assert_eq!(driver.tell(std::slice::from_ref(&case)), [], "{case:?}");
    }
    assert_eq!(driver.machine.counters().refused, refused + count);
}
