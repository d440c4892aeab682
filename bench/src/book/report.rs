//! What `bench book` prints.

use super::Measured;
use super::drive::Checked;
use super::shapes::Shape;
use crate::measure::cost::Cost;
use crate::measure::setting::Setting;
use crate::measure::ticks::{TickHistogram, Ticks};
use lockstep_core::book::{BookBounds, OrderBook};
use serde::Serialize;
use std::fmt;
use std::time::Instant;

/// The middle value; of an even number the upper of the two.
pub fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Operations a second.
pub fn rate(operations: u64, wall_ns: u64) -> u64 {
    let scaled = u128::from(operations) * 1_000_000_000;
    scaled.checked_div(u128::from(wall_ns)).unwrap_or(0) as u64
}

/// A timed pass and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub wall_ns: u64,
    pub cost: Cost,
}

impl Run {
    pub fn of(pass: impl FnOnce()) -> Self {
        let idle = Cost::of_reading();
        let before = Cost::now();
        let begun = Instant::now();
        pass();
        let wall_ns = begun.elapsed().as_nanos() as u64;
        let cost = Cost::now().since(&before, &idle);
        Self { wall_ns, cost }
    }
}

/// Percentiles, ns, with two readings of the timer included. Medians of the rounds, each on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LatencyNs {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub p9999: u64,
    pub max: u64,
}

impl LatencyNs {
    pub fn of(rounds: &[TickHistogram], ticks: &Ticks) -> Self {
        let at = |ppm| ticks.ns(median(rounds.iter().map(|round| round.at_ppm(ppm))));
        Self {
            p50: at(500_000),
            p90: at(900_000),
            p99: at(990_000),
            p999: at(999_000),
            p9999: at(999_900),
            max: ticks.ns(median(rounds.iter().map(TickHistogram::max))),
        }
    }
}

impl fmt::Display for LatencyNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {} · p90 {} · p99 {} · p99.9 {} · p99.99 {} · max {}",
            self.p50, self.p90, self.p99, self.p999, self.p9999, self.max
        )
    }
}

/// The book after its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FinalBook {
    pub orders: u32,
    pub quantity: u64,
    /// Ticks.
    pub bid: Option<u32>,
    pub ask: Option<u32>,
}

/// What is known of a stream before it is timed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub operations: u64,
    pub checked: Checked,
    pub final_book: FinalBook,
    pub bounds: BookBounds,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShapeReport {
    pub name: &'static str,
    pub what: &'static str,
    pub operations: u64,
    pub operations_per_s: u64,
    pub ns_per_operation: f64,
    /// Of the default stream's rate in the same run, each known to the book when its turn has come.
    pub share_per_cent: u64,
    /// With each operation announced some operations before its turn.
    pub announced_operations_per_s: u64,
    pub announced_ns_per_operation: f64,
    /// Of the default stream's rate in the same run, announced or not, whichever is faster.
    pub announced_share_per_cent: u64,
}

impl ShapeReport {
    pub fn new(shape: &Shape, alone: &[Run], announced: &[Run]) -> Self {
        let operations = (shape.records.len() - shape.filling) as u64;
        let wall_ns = |runs: &[Run]| median(runs.iter().map(|run| run.wall_ns));
        let (alone, announced) = (wall_ns(alone), wall_ns(announced));
        let each = |wall_ns| wall_ns as f64 / operations.max(1) as f64;
        Self {
            name: shape.name,
            what: shape.what,
            operations,
            operations_per_s: rate(operations, alone),
            ns_per_operation: each(alone),
            share_per_cent: 0,
            announced_operations_per_s: rate(operations, announced),
            announced_ns_per_operation: each(announced),
            announced_share_per_cent: 0,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct BookReport {
    pub operations: u64,
    pub trade_count: u64,
    pub trade_quantity: u64,
    pub trade_hash: String,
    pub final_book: FinalBook,
    /// Median of the rounds.
    pub operations_per_s: u64,
    pub ns_per_operation: f64,
    pub rounds_ns: Vec<u64>,
    /// The same with each operation announced some operations before its turn; none without shapes.
    pub announced_operations_per_s: Option<u64>,
    pub announced_ns_per_operation: Option<f64>,
    /// The loop over the records without a book.
    pub empty_ns_per_operation: f64,
    pub latency_ns: LatencyNs,
    /// Of two readings with nothing between them; part of `latency_ns`.
    pub timer_ns: LatencyNs,
    /// Most of any timed pass.
    pub page_faults: u64,
    /// Most of any timed pass; none if the binary does not count.
    pub allocations: Option<u64>,
    pub live_orders_max: u32,
    pub orders_bound: u32,
    pub levels_bound: u32,
    /// For each order that the book has room for: its order and its share of the index.
    pub bytes_per_order: usize,
    pub shapes: Vec<ShapeReport>,
    pub setting: Setting,
}

impl BookReport {
    pub(super) fn new(
        measured: &Measured,
        stream: &Stream,
        mut shapes: Vec<ShapeReport>,
        ticks: &Ticks,
        setting: Setting,
    ) -> Self {
        let Stream {
            operations,
            checked,
            final_book,
            bounds,
        } = *stream;
        let wall_ns = median(measured.book.iter().map(|run| run.wall_ns));
        let empty_ns = median(measured.empty.iter().map(|run| run.wall_ns));
        let each = |ns: u64| ns as f64 / operations.max(1) as f64;
        let operations_per_s = rate(operations, wall_ns);
        let announced_ns = median(measured.announced.iter().map(|run| run.wall_ns));
        let announced_per_s = rate(operations, announced_ns);
        let announced = measured.announced.first();
        let share = |part: u64, whole: u64| {
            let hundredfold = u128::from(part) * 100;
            hundredfold.checked_div(u128::from(whole)).unwrap_or(0) as u64
        };
        for shape in &mut shapes {
            shape.share_per_cent = share(shape.operations_per_s, operations_per_s);
            shape.announced_share_per_cent = share(
                shape.announced_operations_per_s,
                operations_per_s.max(announced_per_s),
            );
        }
        let runs = measured.book.iter().chain(&measured.announced);
        let most = Cost::most(runs.map(|run| run.cost));
        Self {
            operations,
            trade_count: checked.trades.trades,
            trade_quantity: checked.trades.quantity,
            trade_hash: format!("{:016x}", checked.trades.hash),
            final_book,
            operations_per_s,
            ns_per_operation: each(wall_ns),
            rounds_ns: measured.book.iter().map(|run| run.wall_ns).collect(),
            announced_operations_per_s: announced.map(|_| announced_per_s),
            announced_ns_per_operation: announced.map(|_| each(announced_ns)),
            empty_ns_per_operation: each(empty_ns),
            latency_ns: LatencyNs::of(&measured.latency, ticks),
            timer_ns: LatencyNs::of(&[ticks.own_cost()], ticks),
            page_faults: most.page_faults,
            allocations: most.allocations,
            live_orders_max: checked.live_max,
            orders_bound: bounds.orders_max,
            levels_bound: bounds.levels_max,
            bytes_per_order: OrderBook::bytes_per_order(),
            shapes,
            setting,
        }
    }
}

fn price(tick: Option<u32>) -> String {
    tick.map_or("none".to_owned(), |tick| tick.to_string())
}

impl fmt::Display for BookReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FinalBook {
            orders,
            quantity,
            bid,
            ask,
        } = self.final_book;
        writeln!(
            f,
            "{} operations: {} trades, quantity {}, hash {}",
            self.operations, self.trade_count, self.trade_quantity, self.trade_hash
        )?;
        writeln!(
            f,
            "final book: {orders} orders, quantity {quantity}, bid {}, ask {}",
            price(bid),
            price(ask)
        )?;
        let rounds: Vec<String> = self
            .rounds_ns
            .iter()
            .map(|ns| format!("{:.2}", *ns as f64 / self.operations.max(1) as f64))
            .collect();
        writeln!(
            f,
            "book     {:>12} operations/s, {:.2} ns each (rounds {}); empty loop {:.2} ns",
            self.operations_per_s,
            self.ns_per_operation,
            rounds.join(" "),
            self.empty_ns_per_operation
        )?;
        if let (Some(rate), Some(ns)) = (
            self.announced_operations_per_s,
            self.announced_ns_per_operation,
        ) {
            writeln!(f, "announced{rate:>12} operations/s, {ns:.2} ns each")?;
        }
        writeln!(f, "latency  ns: {}", self.latency_ns)?;
        writeln!(f, "timer    ns: {} (part of every latency)", self.timer_ns)?;
        let allocations = self
            .allocations
            .map_or("not counted".to_owned(), |count| count.to_string());
        writeln!(
            f,
            "memory   {} bytes an order with its index ({} at most, room for {}, {} levels); page faults \
             {}, allocations {allocations}",
            self.bytes_per_order,
            self.live_orders_max,
            self.orders_bound,
            self.levels_bound,
            self.page_faults
        )?;
        for shape in &self.shapes {
            writeln!(
                f,
                "{:<17}{:>12} operations/s, {:.2} ns each, {} % of the default; announced {:>12}, {:.2} ns, {} %: {}",
                shape.name,
                shape.operations_per_s,
                shape.ns_per_operation,
                shape.share_per_cent,
                shape.announced_operations_per_s,
                shape.announced_ns_per_operation,
                shape.announced_share_per_cent,
                shape.what
            )?;
        }
        write!(f, "{}", self.setting)
    }
}
