//! Views that are bounded by themselves.

mod common;

use common::*;
use lockstep_record::*;

#[test]
fn depth_behind_a_price_walks_no_more_orders_than_it_may() {
    let mut driver = venue();
    let mut number = 0;
    for (price, count) in [(10_000, 5), (9_900, 3), (9_800, 1)] {
        for _ in 0..count {
            number += 1;
            driver.tell(&[command(1, 1, enter(number, b'B', 7, price))]);
        }
    }
    let machine = &driver.machine;
    let look = |behind: Option<u64>, orders_max| -> Vec<(u64, u64, Option<u32>)> {
        let levels =
            machine.depth_behind(InstrumentId(1), Side::Buy, behind.map(Price), orders_max);
        levels
            .map(|level| (level.price.0, level.quantity, level.order_count))
            .collect()
    };
    let all = [
        (10_000, 35, Some(5)),
        (9_900, 21, Some(3)),
        (9_800, 7, Some(1)),
    ];
    assert_eq!(look(None, 9), all);
    assert_eq!(look(None, 8), all[..2], "all that may be walked are");
    assert_eq!(look(None, 7), all[..1], "a level is counted or left out");
    assert_eq!(look(None, 4), [(10_000, 35, None)], "but for the first");
    assert_eq!(look(None, 0), []);
    assert_eq!(look(Some(10_000), 9), all[1..]);
    assert_eq!(look(Some(9_950), 9), all[1..], "nobody is there");
    assert_eq!(look(Some(u64::MAX), 9), all);
    assert_eq!(look(Some(0), 9), []);
    let asks = |behind| machine.depth_behind(InstrumentId(1), Side::Sell, Some(Price(behind)), 9);
    assert_eq!(asks(0).count() + asks(u64::MAX).count(), 0);
    let nothing = machine.depth_behind(InstrumentId(99), Side::Buy, None, 9);
    assert_eq!(nothing.count(), 0, "no such instrument");
    assert_eq!(machine.position(FirmId(0), InstrumentId(0)), None);
}
