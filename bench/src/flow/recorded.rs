//! Statistics of recorded files: LOBSTER and ITCH 5.0.

use super::statistics::{Collector, Seen, Statistics, Touch, towards};
use crate::itch::book::{FileBook, FileOrder};
use crate::itch::reader::{ItchError, ItchFile, ItchKind, ItchMessage, is_itch};
use crate::market::levels::BookRow;
use crate::market::lobster::{EventKind, LobsterError, LobsterFiles, Message};
use lockstep_record::Side;
use std::collections::HashMap;
use std::path::Path;
use thiserror::Error;

/// Of the recorded stocks, 1/10,000.
const TICK: u64 = 100;

/// A file that cannot be described.
#[derive(Debug, Error)]
pub enum RecordedError {
    #[error(transparent)]
    Lobster(#[from] LobsterError),
    #[error(transparent)]
    Itch(#[from] ItchError),
}

/// Statistics of one file: of LOBSTER's one symbol, of the stock with the most events in an ITCH file.
pub fn of_file(path: &Path) -> Result<Statistics, RecordedError> {
    if is_itch(path) {
        Ok(of_itch(&mut ItchFile::open(path)?)?)
    } else {
        Ok(of_lobster(&mut LobsterFiles::open(path)?)?)
    }
}

fn touch_of_row(row: &BookRow) -> Touch {
    let (bid, ask) = (row.bids.best()?, row.asks.best()?);
    (ask.price > bid.price).then_some((bid.price / TICK, ask.price / TICK))
}

pub fn of_lobster(files: &mut LobsterFiles) -> Result<Statistics, LobsterError> {
    let mut collector = Collector::default();
    let mut before: Option<BookRow> = None;
    let mut last_execution_ns = None;
    while let Some(row) = files.next_row()? {
        if let Some(before) = &before
            && let Some(seen) = seen_in_row(&row.message, before, &mut last_execution_ns)
        {
            collector.event(row.message.time_ns, seen, touch_of_row(&row.after));
        }
        before = Some(row.after);
    }
    Ok(collector.finish())
}

fn seen_in_row(message: &Message, before: &BookRow, last_ns: &mut Option<u64>) -> Option<Seen> {
    let Message {
        side, size, price, ..
    } = *message;
    match message.kind {
        EventKind::New => {
            let best = before.side(side).best();
            let towards = best.map(|best| towards(side, price, best.price, TICK));
            Some(Seen::New { size, towards })
        }
        EventKind::PartialCancel => Some(Seen::Cancel { is_partial: true }),
        EventKind::Delete => Some(Seen::Cancel { is_partial: false }),
        EventKind::Execution => Some(Seen::Execution {
            size,
            side,
            // One aggressor's executions carry one time.
            is_first: last_ns.replace(message.time_ns) != Some(message.time_ns),
        }),
        _ => None,
    }
}

#[derive(Debug)]
struct Stock {
    collector: Collector,
    last_execution_ns: Option<u64>,
    events: u64,
}

pub fn of_itch(file: &mut ItchFile) -> Result<Statistics, ItchError> {
    let mut book = FileBook::default();
    let mut stocks: HashMap<u16, Stock> = HashMap::new();
    while let Some(message) = file.next_message()? {
        let stock = stocks.entry(message.locate).or_insert_with(|| Stock {
            collector: Collector::telling_replaces(),
            last_execution_ns: None,
            events: 0,
        });
        follow(&message, &mut book, stock);
    }
    let busiest = stocks.into_values().max_by_key(|stock| stock.events);
    Ok(busiest.map_or_else(Statistics::default, |stock| stock.collector.finish()))
}

/// Takes one message into book and statistics; what does not fit the book is left out.
fn follow(message: &ItchMessage, book: &mut FileBook, stock: &mut Stock) {
    let (at_ns, locate) = (message.time_ns, message.locate);
    let touch = |book: &FileBook| {
        let bid = book.best(locate, 0, Side::Buy)?;
        let ask = book.best(locate, 0, Side::Sell)?;
        (ask > bid).then_some((bid / TICK, ask / TICK))
    };
    let best = |book: &FileBook, side, price| {
        let best = book.best(locate, 0, side)?;
        Some(towards(side, price, best, TICK))
    };
    match message.kind {
        ItchKind::Add {
            order,
            side,
            shares,
            price,
            ..
        } => {
            let towards = best(book, side, price);
            let terms = FileOrder {
                locate,
                lane: 0,
                side,
                price,
                open: shares,
                root: order,
            };
            if book.add(order, terms).is_ok() {
                let size = shares;
                let seen = Seen::New { size, towards };
                stock.collector.event(at_ns, seen, touch(book));
            }
        }
        ItchKind::Execute { order, shares, .. } => {
            if let Ok(terms) = book.take(order, shares) {
                let is_first = stock.last_execution_ns.replace(at_ns) != Some(at_ns);
                let seen = Seen::Execution {
                    size: shares,
                    side: terms.side,
                    is_first,
                };
                stock.collector.event(at_ns, seen, touch(book));
            }
        }
        ItchKind::Cancel { order, shares } => {
            if book.take(order, shares).is_ok() {
                let is_partial = book.get(order).is_some();
                let seen = Seen::Cancel { is_partial };
                stock.collector.event(at_ns, seen, touch(book));
            }
        }
        ItchKind::Delete { order } => {
            if book.remove(order).is_ok() {
                let seen = Seen::Cancel { is_partial: false };
                stock.collector.event(at_ns, seen, touch(book));
            }
        }
        ItchKind::Replace {
            original,
            order,
            shares,
            price,
        } => {
            if let Ok(terms) = book.remove(original) {
                let towards = best(book, terms.side, price);
                let terms = FileOrder {
                    price,
                    open: shares,
                    ..terms
                };
                // A reference that lives already: the original is gone all the same.
                let _ = book.add(order, terms);
                stock.collector.replace(at_ns, shares, towards, touch(book));
            }
        }
        ItchKind::Stock { .. } | ItchKind::Other(_) => return,
    }
    stock.events += 1;
}
