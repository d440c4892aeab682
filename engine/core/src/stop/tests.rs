//! The tree against a list that is searched from the front for each trade.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Plain {
    index: u32,
    side: Side,
    /// Trigger price of a stop that does not trail, or where a trailing one is now.
    price: i64,
    /// 0 = does not trail.
    offset: i64,
    reference: u64,
}

impl Plain {
    fn follow(&mut self, traded: i64) {
        match (self.offset, self.side) {
            (0, _) => {}
            (offset, Side::Sell) => self.price = self.price.max(traded - offset),
            (offset, Side::Buy) => self.price = self.price.min(traded + offset),
        }
    }

    fn is_reached(&self, traded: i64) -> bool {
        match self.side {
            Side::Sell => traded <= self.price,
            Side::Buy => traded >= self.price,
        }
    }
}

/// Those a trade reaches leave the list: buys first, the nearest trigger first, then by reference.
fn trade(list: &mut Vec<Plain>, traded: i64) -> Vec<u32> {
    list.iter_mut().for_each(|stop| stop.follow(traded));
    let mut reached: Vec<Plain> = list
        .iter()
        .copied()
        .filter(|s| s.is_reached(traded))
        .collect();
    list.retain(|stop| !stop.is_reached(traded));
    reached.sort_by_key(|stop| match stop.side {
        Side::Buy => (0, stop.price, stop.reference),
        Side::Sell => (1, -stop.price, stop.reference),
    });
    reached.iter().map(|stop| stop.index).collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add { buy: bool, price: u32, offset: u32 },
    Remove(u16),
    Trade(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let add = (any::<bool>(), 1_000..1_200u32, 0..12u32);
    prop_oneof![
        4 => add.prop_map(|(buy, price, offset)| Step::Add { buy, price, offset }),
        1 => any::<u16>().prop_map(Step::Remove),
        3 => (1_050..1_150u32).prop_map(Step::Trade),
    ]
}

fn trigger_of(side: Side, price: u32, offset: u32, last: u32) -> Trigger {
    if offset == 0 {
        Trigger::fixed(side, price)
    } else {
        Trigger::trailing(side, offset, price, last)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trades_trigger_what_a_search_would(steps in proptest::collection::vec(step(), 1..300)) {
        let mut stops = Stops::new();
        stops.grow(400, 2, 77);
        let (mut list, mut last) = (Vec::new(), 1_100u32);
        for (reference, step) in (1..).zip(steps) {
            let index = reference as u32;
            match step {
                Step::Add { buy, price, offset } => {
                    let side = if buy { Side::Buy } else { Side::Sell };
                    let trigger = trigger_of(side, price, offset, last);
                    if trigger.is_reached(side, last) {
                        continue;
                    }
                    let slot = index;
                    let waiting = Waiting { slot, reference, side, price: 0 };
                    stops.add(index, 1, trigger, waiting);
                    let (price, offset) = (i64::from(price), i64::from(offset));
                    let mut plain = Plain { index, side, price, offset, reference };
                    plain.follow(i64::from(last));
                    list.push(plain);
                }
                Step::Remove(pick) => {
                    if !list.is_empty() {
                        let gone = list.remove(usize::from(pick) % list.len());
                        stops.remove(gone.index, 1);
                    }
                }
                Step::Trade(price) => {
                    last = price;
                    stops.traded(1, price);
                    let wanted = trade(&mut list, i64::from(price));
                    let triggered: Vec<u32> = stops.triggered(1).collect();
                    prop_assert_eq!(&triggered, &wanted);
                    for index in triggered {
                        stops.remove(index, 1);
                    }
                }
            }
            prop_assert_eq!(stops.check(), Ok(list.len() as u32));
            for plain in &list {
                prop_assert_eq!(i64::from(stops.trigger(plain.index).price(plain.side)), plain.price);
            }
        }
    }
}

/// A hundred thousand trailing stops, and trades that each move all of them: a walk a trade, not a scan.
/// (At a scan each, this would be ten thousand million visits.)
#[test]
fn a_trade_does_not_visit_every_stop() {
    let count = 100_000;
    let mut stops = Stops::new();
    stops.grow(count, 1, 5);
    for index in 0..count {
        let side = Side::Sell;
        let trigger = Trigger::trailing(side, 500_000 + index % 1_000, 0, 1_000_000);
        let reference = u64::from(index) + 1;
        let waiting = Waiting {
            slot: index,
            reference,
            side,
            price: 0,
        };
        stops.add(index, 1, trigger, waiting);
    }
    for price in 0..100_000 {
        stops.traded(1, 1_000_001 + price);
    }
    assert!(!stops.any_triggered());
    assert_eq!(stops.trigger(0).price(Side::Sell), 1_100_000 - 500_000);
    stops.traded(1, 600_000);
    // One offset, a hundred stops: by reference.
    let triggered: Vec<u32> = stops.triggered(1).collect();
    let wanted: Vec<u32> = (0..count).step_by(1_000).collect();
    assert_eq!(triggered, wanted);
}
