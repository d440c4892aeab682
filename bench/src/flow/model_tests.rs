use super::super::options::{Behaviour, SymbolOptions};
use super::*;
use crate::measure::hash::ResultHash;
use std::collections::BTreeSet;

fn options(seed: u64, symbols: usize) -> FlowOptions {
    FlowOptions {
        seed,
        events_per_s: 10_000,
        traders: 5,
        symbols: (0..symbols)
            .map(|index| {
                SymbolOptions::new([b'A' + index as u8; 8], 1_000_000 + 50_000 * index as u64)
            })
            .collect(),
        behaviour: Behaviour::default(),
    }
}

fn hash(seed: u64, events: usize) -> ResultHash {
    let mut flow = Flow::new(&options(seed, 3)).expect("legal");
    let mut hash = ResultHash::default();
    for _ in 0..events {
        hash.bytes(format!("{:?}", flow.next_event()).as_bytes());
    }
    hash
}

#[test]
fn the_seed_decides_everything() {
    assert_eq!(hash(1, 20_000), hash(1, 20_000));
    assert_ne!(hash(1, 20_000), hash(2, 20_000));
}

/// Follows a flow with books of its own and checks every rule of it.
#[test]
fn every_event_fits_the_orders_that_live() {
    let mut flow = Flow::new(&options(3, 2)).expect("legal");
    let mut live: Vec<Option<(Side, u64, u16)>> = vec![None; flow.slot_count() as usize];
    let mut last_ns = 0;
    let mut kinds = [0_u32; 4];
    for _ in 0..60_000 {
        let event = flow.next_event();
        assert!(event.at_ns >= last_ns && event.symbol < 2 && event.trader < 5);
        last_ns = event.at_ns;
        match event.action {
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            } => {
                kinds[0] += 1;
                assert!(price > 0 && price % 100 == 0 && (1..=999_999).contains(&quantity));
                live[slot.0 as usize] = Some((side, price, event.trader));
            }
            FlowAction::Aggress {
                price,
                quantity,
                fills,
                ..
            } => {
                kinds[1] += 1;
                assert!(price > 0 && price % 100 == 0 && quantity > 0 && fills > 0);
            }
            FlowAction::Cancel { slot, new_total } => {
                kinds[2] += 1;
                let order =
                    live[slot.0 as usize].expect("a cancel names an order that was entered");
                assert_eq!(order.2, event.trader, "a trader cancels what is his");
                if new_total == 0 {
                    live[slot.0 as usize] = None;
                }
            }
            FlowAction::Replace {
                slot, price, total, ..
            } => {
                kinds[3] += 1;
                let order = live[slot.0 as usize]
                    .as_mut()
                    .expect("a replace names an order that was entered");
                assert!(order.2 == event.trader && price > 0 && price % 100 == 0 && total > 0);
                order.1 = price;
            }
        }
        for symbol in 0..2 {
            let (bid, ask) = (flow.best(symbol, Side::Buy), flow.best(symbol, Side::Sell));
            assert!(
                bid.zip(ask).is_none_or(|(bid, ask)| bid < ask),
                "{bid:?} {ask:?}"
            );
        }
        assert!(flow.live_count() <= 800);
    }
    assert!(kinds.iter().all(|count| *count > 1_000), "{kinds:?}");
}

#[test]
fn prices_walk_and_stay_in_their_range() {
    let mut flow = Flow::new(&options(4, 1)).expect("legal");
    let mut prices = BTreeSet::new();
    for _ in 0..200_000 {
        flow.next_event();
        for side in [Side::Buy, Side::Sell] {
            prices.extend(flow.best(0, side));
        }
    }
    let (low, high) = (
        *prices.first().expect("prices"),
        *prices.last().expect("prices"),
    );
    assert!(
        low >= 1_000_000 - 912 * 100 && high <= 1_000_000 + 912 * 100,
        "{low} {high}"
    );
    assert!(prices.len() > 20, "{} prices", prices.len());
}

#[test]
fn options_that_cannot_be_followed_are_named() {
    type Spoil = fn(&mut FlowOptions);
    let spoils: [(Spoil, &str); 6] = [
        (|options| options.symbols.clear(), "number of symbols"),
        (|options| options.events_per_s = 0, "rate"),
        (|options| options.traders = 0, "number of traders"),
        (|options| options.symbols[0].live_orders = 0, "live orders"),
        (
            |options| options.symbols[0].price = 100,
            "price of a symbol",
        ),
        (
            |options| options.symbols[0].price += 1,
            "price off its tick",
        ),
    ];
    for (spoil, name) in spoils {
        let mut options = options(1, 2);
        spoil(&mut options);
        let error = Flow::new(&options).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
    }
}
