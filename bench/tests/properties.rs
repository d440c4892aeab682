//! Properties: any market that a book can hold replays clean; no bytes whatever make a reader panic.

use lockstep_bench::client::orders::Orders;
use lockstep_bench::client::request::symbol;
use lockstep_bench::flow::model::{Flow, FlowAction};
use lockstep_bench::flow::options::{Behaviour, FlowOptions, SymbolOptions};
use lockstep_bench::load::session::InFlight;
use lockstep_bench::local::{LocalLimits, LocalVenue};
use lockstep_bench::market::link::Conversation;
use lockstep_bench::market::lobster::LobsterFiles;
use lockstep_bench::market::replay::{Replay, ReplayOptions};
use lockstep_bench::market::run::{RunLimits, run};
use lockstep_bench::workload::record::WorkRecord;
use lockstep_record::Side;
use lockstep_wire::ouch::Outbound;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;

const USERS: [[u8; 6]; 3] = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];

/// A recorder of a flow: prints what a LOBSTER file of it would hold.
#[derive(Default)]
struct Recorder {
    /// (id, side, price, open), in time priority.
    orders: Vec<(u64, Side, u64, u32)>,
    /// Slot of the flow → id.
    ids: BTreeMap<u32, u64>,
    next_id: u64,
    messages: String,
    books: String,
    depth: usize,
}

impl Recorder {
    fn row(&mut self, kind: u8, id: u64, size: u32, price: u64, side: Side) {
        let direction = if side == Side::Buy { 1 } else { -1 };
        writeln!(self.messages, "1.0,{kind},{id},{size},{price},{direction}").expect("memory");
        let mut levels = [BTreeMap::<u64, u64>::new(), BTreeMap::new()];
        for (_, side, price, open) in &self.orders {
            *levels[*side as usize].entry(*price).or_default() += u64::from(*open);
        }
        let [bids, asks] = levels;
        let (mut bids, mut asks) = (bids.iter().rev(), asks.iter());
        for level in 0..self.depth {
            let (ask, ask_size) = asks
                .next()
                .map_or((9_999_999_999, 0), |(price, size)| (*price as i64, *size));
            let (bid, bid_size) = bids
                .next()
                .map_or((-9_999_999_999, 0), |(price, size)| (*price as i64, *size));
            let comma = if level == 0 { "" } else { "," };
            write!(self.books, "{comma}{ask},{ask_size},{bid},{bid_size}").expect("memory");
        }
        self.books.push('\n');
    }

    /// What does not trade at once rests: the flow believes in a book of its own, so it may trade.
    fn new_order(&mut self, slot: u32, side: Side, price: u64, quantity: u32) {
        let quantity = self.aggress(side, price, quantity);
        if quantity == 0 {
            return;
        }
        self.next_id += 1;
        self.ids.insert(slot, self.next_id);
        self.orders.push((self.next_id, side, price, quantity));
        self.row(1, self.next_id, quantity, price, side);
    }

    fn reduce(&mut self, slot: u32, keeps: u32) -> Option<(Side, u64)> {
        let id = *self.ids.get(&slot)?;
        let at = self.orders.iter().position(|order| order.0 == id)?;
        let (_, side, price, open) = self.orders[at];
        let removed = open.saturating_sub(keeps);
        if removed == open {
            self.orders.remove(at);
            self.row(3, id, removed, price, side);
        } else if removed > 0 {
            self.orders[at].3 = keeps;
            self.row(2, id, removed, price, side);
        }
        Some((side, price))
    }

    /// Returns the shares left.
    fn aggress(&mut self, side: Side, limit: u64, quantity: u32) -> u32 {
        let mut left = quantity;
        while left > 0 {
            let opposite = self.orders.iter().filter(|order| order.1 != side);
            let best = match side {
                Side::Buy => opposite
                    .map(|order| order.2)
                    .min()
                    .filter(|price| *price <= limit),
                Side::Sell => opposite
                    .map(|order| order.2)
                    .max()
                    .filter(|price| *price >= limit),
            };
            let Some(best) = best else {
                return left;
            };
            let is_front = |order: &(u64, Side, u64, u32)| order.1 != side && order.2 == best;
            let at = self
                .orders
                .iter()
                .position(is_front)
                .expect("the best level holds an order");
            let (id, maker, price, open) = self.orders[at];
            let traded = left.min(open);
            left -= traded;
            if traded == open {
                self.orders.remove(at);
            } else {
                self.orders[at].3 -= traded;
            }
            self.row(4, id, traded, price, maker);
        }
        0
    }
}

/// A file of a flow of `events` events, `depth` levels a side.
fn record(seed: u64, events: usize, depth: usize) -> Recorder {
    let mut flow = Flow::new(&FlowOptions {
        seed,
        events_per_s: 1_000,
        traders: 3,
        symbols: vec![SymbolOptions {
            live_orders: 30,
            ..SymbolOptions::new(*b"TEST    ", 1_000_000)
        }],
        behaviour: Behaviour {
            partial_cancel_per_mille: 200,
            ..Behaviour::default()
        },
    })
    .expect("legal");
    let mut recorder = Recorder {
        depth,
        ..Recorder::default()
    };
    for _ in 0..events {
        match flow.next_event().action {
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            } => recorder.new_order(slot.0, side, price, quantity),
            FlowAction::Aggress {
                side,
                price,
                quantity,
                ..
            } => {
                recorder.aggress(side, price, quantity);
            }
            FlowAction::Cancel { slot, new_total: 0 } => drop(recorder.reduce(slot.0, 0)),
            // What the chain has executed is the flow's to know; any part will do here.
            FlowAction::Cancel { slot, new_total } => drop(recorder.reduce(slot.0, new_total)),
            // A replace is a delete and a new order in market data.
            FlowAction::Replace {
                slot, price, total, ..
            } => {
                if let Some((side, _)) = recorder.reduce(slot.0, 0) {
                    recorder.new_order(slot.0, side, price, total);
                }
            }
        }
    }
    recorder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_recorded_market_replays_clean(seed: u64, events in 50_usize..400, depth in 1_usize..12, window in 1_usize..200) {
        let recorder = record(seed, events, depth);
        let rows = recorder.messages.lines().count() as u64;
        let mut files = LobsterFiles::from_bytes(
            ("m.csv".into(), recorder.messages.into_bytes()),
            ("b.csv".into(), recorder.books.into_bytes()),
        );
        let symbol = symbol("TEST").expect("legal");
        let mut venue = LocalVenue::new(&USERS, &[symbol], LocalLimits::default()).expect("definitions");
        let mut options = ReplayOptions::new(symbol);
        options.window = window;
        let report = run(&mut files, &mut venue, options, RunLimits::default(), &mut |_| {}).expect("sound");
        prop_assert!(report.is_clean(), "{report}");
        prop_assert_eq!(report.plan.rows, rows);
        let not_compared: u64 = report.plan.rows_not_compared.values().sum();
        prop_assert_eq!(report.compared.rows + not_compared, rows);
        // With more than one level, every row but the first has something to compare on both sides.
        prop_assert!(depth == 1 || report.compared.rows == rows - 1, "{report}");
        prop_assert_eq!(venue.machine().open_order_count(), 0);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_file_reader_panic(messages in "[0-9,.\\-\nx]{0,200}", books in "[0-9,\\-\n]{0,200}") {
        let mut files = LobsterFiles::from_bytes(
            ("m.csv".into(), messages.into_bytes()),
            ("b.csv".into(), books.into_bytes()),
        );
        while let Ok(Some(_)) = files.next_row() {}
    }

    #[test]
    fn no_answer_makes_a_client_panic(payload in prop::collection::vec(any::<u8>(), 0..100), session in 0_usize..5) {
        let mut replay = Replay::new(3, ReplayOptions::new(*b"TEST    "));
        replay.handle_answer(session, &payload);
        InFlight::new(1).handle_answer(&payload);
        if let Ok(answer) = Outbound::parse(&payload) {
            let _ = Orders::new(1).handle_answer(&answer);
        }
    }

    #[test]
    fn records_round_trip_or_are_refused(bytes: [u8; 24]) {
        if let Ok(record) = WorkRecord::from_bytes(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }
}
