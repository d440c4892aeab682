//! The order book in a harness of its own: plays a file of 24-byte records and prints what traded.
//!
//! `cargo run --release -p lockstep-core --example book_stream -- FILE`; the records are those of
//! `bench/src/workload`: operation u8, side u8, u16, quantity u32, order id u64, price i64 in ticks,
//! little-endian. Without a file it plays three orders.

use lockstep_core::book::{BookBounds, OrderBook, OrderKey, Side, Trade, TradeSink};

/// What a harness wants to know of trades; dispatched statically, so that it costs what it does.
#[derive(Default)]
struct Tape {
    trades: u64,
    quantity: u64,
}

impl TradeSink for Tape {
    fn traded(&mut self, trade: &Trade) {
        self.trades += 1;
        self.quantity += u64::from(trade.quantity);
    }
}

fn field<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    record[at..at + N].try_into().expect("within a record")
}

/// Plays one record; false if the book has no room or does not know the order.
fn play(book: &mut OrderBook, record: &[u8], tape: &mut Tape) -> bool {
    let key = OrderKey {
        owner: 1,
        number: u64::from_le_bytes(field(record, 8)) as u32,
    };
    let side = if record[1] == 0 {
        Side::Buy
    } else {
        Side::Sell
    };
    let quantity = u32::from_le_bytes(field(record, 4));
    let tick = i64::from_le_bytes(field(record, 16)) as u32;
    match record[0] {
        1 => book.cancel(key).is_some(),
        2 => book.replace(key, key, tick, quantity, tape).is_ok(),
        _ => book.add(key, side, tick, quantity, tape).is_ok(),
    }
}

fn record(operation: u8, side: u8, quantity: u32, id: u64, price: i64) -> Vec<u8> {
    let head = [operation, side, 0, 0];
    [
        &head[..],
        &quantity.to_le_bytes(),
        &id.to_le_bytes(),
        &price.to_le_bytes(),
    ]
    .concat()
}

fn main() {
    let stream = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path).expect("a file of 24-byte records"),
        None => [
            record(0, 1, 30, 1, 100),
            record(0, 1, 30, 2, 101),
            record(3, 0, 40, 3, 101),
        ]
        .concat(),
    };
    let bounds = BookBounds {
        orders_max: 1 << 16,
        levels_max: 1 << 12,
    };
    let mut book = OrderBook::new(bounds);
    let mut tape = Tape::default();
    let refused = stream
        .chunks_exact(24)
        .filter(|record| !play(&mut book, record, &mut tape))
        .count();
    println!(
        "{} trades of {} shares, {refused} refused",
        tape.trades, tape.quantity
    );
    let (bid, ask) = (book.best(Side::Buy), book.best(Side::Sell));
    println!("{} orders rest, bid {bid:?}, ask {ask:?}", book.len());
}
