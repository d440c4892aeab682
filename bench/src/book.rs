//! `bench book`: the order book alone, on the stream by which engines of the field are compared.
//!
//! First a checked pass, untimed: the stream is one that the book can take, and its trades are those of the
//! generator. Then, by turns: an empty loop over the records, the book with nothing else, and the book with
//! the time-stamp counter read around each operation. Every pass must give the same hash. Then the shapes
//! that a book may suffer from (`shapes`).

pub mod drive;
pub mod report;
pub mod shapes;

use crate::measure::setting::Setting;
use crate::measure::thread::{Idle, PinError, describe, pin};
use crate::measure::ticks::{TickHistogram, Ticks};
use crate::workload::generate::{OPERATIONS_DEFAULT, SEED_DEFAULT, generate};
use crate::workload::record::{TradeHash, WorkRecord, WorkloadError, read_file};
use clap::Args;
use drive::{Driven, Many, One, StreamError, Trades, check};
use lockstep_core::book::{Ahead, BookBounds, OrderBook, Side};
use report::{BookReport, FinalBook, Run, ShapeReport, Stream};
use shapes::{Shape, Sizes, shapes};
use std::hint::black_box;
use std::path::PathBuf;
use thiserror::Error;

pub const ROUNDS_MAX: u16 = 1_000;
/// Records of a generated stream at most.
pub const STREAM_MAX: u64 = 100_000_000;
/// What the checked pass has room for; the timed ones have what it needed.
const CHECK_ORDERS_MAX: u32 = 1 << 24;
const CHECK_LEVELS_MAX: u32 = 1 << 20;

/// Measures the order book alone.
#[derive(Clone, Debug, Args)]
pub struct BookArgs {
    /// A stream of 24-byte records; without it one is generated.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "operations"])]
    pub workload: Option<PathBuf>,
    /// Seed of the generated stream.
    #[arg(long, default_value_t = SEED_DEFAULT, value_parser = clap::value_parser!(u64).range(1..))]
    pub seed: u64,
    /// Records of the generated stream.
    #[arg(long, default_value_t = OPERATIONS_DEFAULT as u64, value_parser = clap::value_parser!(u64).range(1..=STREAM_MAX))]
    pub operations: u64,
    /// Rounds of all passes; medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=ROUNDS_MAX as i64))]
    pub rounds: u16,
    /// Leave out the shapes that a book may suffer from, and the passes with announced operations.
    #[arg(long)]
    pub no_shapes: bool,
    /// Pin to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Error)]
pub enum BookBenchError {
    #[error(transparent)]
    File(#[from] WorkloadError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("the stream is empty")]
    Empty,
    #[error("{what}: {got:?}, expected {wanted:?}")]
    OtherTrades {
        what: &'static str,
        got: TradeHash,
        wanted: TradeHash,
    },
}

/// Runs it all.
pub fn run(arguments: &BookArgs) -> Result<BookReport, BookBenchError> {
    if let Some(core) = arguments.core {
        pin(core)?;
    }
    let (records, expected) = load(arguments)?;
    if records.is_empty() {
        return Err(BookBenchError::Empty);
    }
    let stream = look_at(&records, expected)?;
    let ticks = Ticks::calibrate();
    let mut measured = measure(&records, &stream, arguments.rounds, &ticks)?;
    let mut shape_reports = Vec::new();
    if !arguments.no_shapes {
        measured.announced = measure_announced(&records, &stream, arguments.rounds)?;
        for shape in shapes(&Sizes::default(), arguments.seed) {
            shape_reports.push(run_shape(&shape, arguments.rounds)?);
        }
    }
    let layout = describe(arguments.core, Idle::Spin);
    let setting = Setting::new("none", "none", &format!("one thread, {layout}"));
    Ok(BookReport::new(
        &measured,
        &stream,
        shape_reports,
        &ticks,
        setting,
    ))
}

/// The checked pass.
fn look_at(records: &[WorkRecord], expected: Option<TradeHash>) -> Result<Stream, BookBenchError> {
    let roomy = BookBounds {
        orders_max: CHECK_ORDERS_MAX.min(records.len() as u32),
        levels_max: CHECK_LEVELS_MAX,
    };
    let (book, checked) = check::<One>(records, roomy, 1)?;
    same(
        "the checked pass",
        checked.trades,
        expected.unwrap_or(checked.trades),
    )?;
    Ok(Stream {
        operations: records.len() as u64,
        checked,
        final_book: final_book(&book.0),
        bounds: BookBounds {
            orders_max: room(checked.live_max),
            levels_max: room(levels(&book.0)),
        },
    })
}

/// The stream, and its trades if the generator knows them.
fn load(arguments: &BookArgs) -> Result<(Vec<WorkRecord>, Option<TradeHash>), BookBenchError> {
    if let Some(path) = &arguments.workload {
        return Ok((read_file(path)?, None));
    }
    let made = generate(arguments.operations as usize, arguments.seed);
    Ok((made.records, Some(made.trades)))
}

fn same(what: &'static str, got: TradeHash, wanted: TradeHash) -> Result<(), BookBenchError> {
    if got == wanted {
        return Ok(());
    }
    Err(BookBenchError::OtherTrades { what, got, wanted })
}

/// A bound for what reaches `most` at a time.
fn room(most: u32) -> u32 {
    most.checked_next_power_of_two().unwrap_or(most).max(64)
}

/// Levels of a book that has seen its stream: twice those at the end, as it is not known when they were
/// most.
fn levels(book: &OrderBook) -> u32 {
    let count = |side| book.depth(side).count() as u32;
    2 * (count(Side::Buy) + count(Side::Sell))
}

fn final_book(book: &OrderBook) -> FinalBook {
    let shares = |side| book.depth(side).map(|level| level.1).sum::<u64>();
    FinalBook {
        orders: book.len(),
        quantity: shares(Side::Buy) + shares(Side::Sell),
        bid: book.best(Side::Buy),
        ask: book.best(Side::Sell),
    }
}

/// What the rounds of the default passes gave.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub empty: Vec<Run>,
    pub book: Vec<Run>,
    pub announced: Vec<Run>,
    pub latency: Vec<TickHistogram>,
}

fn measure(
    records: &[WorkRecord],
    stream: &Stream,
    rounds: u16,
    ticks: &Ticks,
) -> Result<Measured, BookBenchError> {
    let (bounds, expected) = (stream.bounds, stream.checked.trades);
    let mut measured = Measured::default();
    for _ in 0..rounds {
        measured.empty.push(Run::of(|| empty(records)));
        let (run, trades) = throughput::<One>(records, 0, bounds, 1, Pass::Alone);
        same("a timed pass", trades, expected)?;
        measured.book.push(run);
        let (histogram, trades) = latency(records, bounds, ticks);
        same("a latency pass", trades, expected)?;
        measured.latency.push(histogram);
    }
    Ok(measured)
}

/// Rounds of the default stream with each operation announced.
fn measure_announced(
    records: &[WorkRecord],
    stream: &Stream,
    rounds: u16,
) -> Result<Vec<Run>, BookBenchError> {
    let (bounds, expected) = (stream.bounds, stream.checked.trades);
    let round = |_| {
        let (run, trades) = throughput::<One>(records, 0, bounds, 1, Pass::Announced);
        same("an announced pass", trades, expected).map(|()| run)
    };
    (0..rounds).map(round).collect()
}

/// The loop over the records without a book.
#[inline(never)]
fn empty(records: &[WorkRecord]) {
    for record in records {
        black_box(record.operation);
        black_box(record.id);
    }
}

/// How a book is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    /// It knows of an operation when its turn has come.
    Alone,
    /// It is told of each some operations before, as one who has batches can.
    Announced,
}

fn throughput<B: Driven>(
    records: &[WorkRecord],
    filling: usize,
    bounds: BookBounds,
    books: u32,
    pass: Pass,
) -> (Run, TradeHash) {
    let mut book = B::new(bounds, books);
    let mut trades = Trades::default();
    let (first, timed) = records.split_at(filling);
    play_all(&mut book, 0, first, &mut trades);
    let run = Run::of(|| match pass {
        Pass::Alone => play_all(&mut book, filling, timed, &mut trades),
        Pass::Announced => play_announced(&mut book, filling, timed, &mut trades),
    });
    (run, trades.0)
}

#[inline(never)]
fn play_all<B: Driven>(book: &mut B, begin: usize, records: &[WorkRecord], trades: &mut Trades) {
    for (at, record) in records.iter().enumerate() {
        book.play(begin + at, record, trades);
    }
}

#[inline(never)]
fn play_announced<B: Driven>(
    book: &mut B,
    begin: usize,
    records: &[WorkRecord],
    trades: &mut Trades,
) {
    let mut ahead = Ahead::default();
    for (at, record) in records.iter().enumerate() {
        let coming = at + Ahead::DISTANCE;
        if let Some(record) = records.get(coming) {
            book.announce(&mut ahead, begin + coming, record);
        }
        book.play(begin + at, record, trades);
    }
}

#[inline(never)]
fn latency(
    records: &[WorkRecord],
    bounds: BookBounds,
    ticks: &Ticks,
) -> (TickHistogram, TradeHash) {
    let mut book = One::new(bounds, 1);
    let mut trades = Trades::default();
    let mut histogram = TickHistogram::new();
    for (at, record) in records.iter().enumerate() {
        let begin = ticks.begin();
        book.play(at, record, &mut trades);
        histogram.record(ticks.end().saturating_sub(begin));
    }
    (histogram, trades.0)
}

fn run_shape(shape: &Shape, rounds: u16) -> Result<ShapeReport, BookBenchError> {
    let play = |pass| -> Result<Run, BookBenchError> {
        let (records, filling, bounds) = (&shape.records, shape.filling, shape.bounds);
        let (run, trades) = if shape.books == 1 {
            throughput::<One>(records, filling, bounds, 1, pass)
        } else {
            throughput::<Many>(records, filling, bounds, shape.books, pass)
        };
        let got = TradeHash {
            // Trades of many books come in another order than those of one after the other.
            hash: if shape.books == 1 {
                trades.hash
            } else {
                shape.trades.hash
            },
            ..trades
        };
        same(shape.name, got, shape.trades)?;
        Ok(run)
    };
    let (mut alone, mut announced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(play(Pass::Alone)?);
        announced.push(play(Pass::Announced)?);
    }
    Ok(ShapeReport::new(shape, &alone, &announced))
}

/// Runs a shape once and compares its trades; for tests of small sizes.
pub fn check_shape(shape: &Shape) -> Result<(), BookBenchError> {
    if shape.books == 1 {
        let checked = check::<One>(&shape.records, shape.bounds, 1)?.1;
        same(shape.name, checked.trades, shape.trades)?;
    } else {
        check::<Many>(&shape.records, shape.bounds, shape.books)?;
    }
    run_shape(shape, 1).map(drop)
}

#[cfg(test)]
mod tests;
