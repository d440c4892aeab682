//! What a flow is asked to be, within which bounds.

use std::ops::RangeInclusive;
use thiserror::Error;

/// Bounds of `FlowOptions`.
pub const SYMBOLS_MAX: usize = 1024;
pub const LIVE_ORDERS_MAX: u32 = 1_000_000;
pub const EVENTS_PER_S_MAX: u64 = 100_000_000;
/// Largest order, in shares: OUCH's bound.
pub(super) const QUANTITY_MAX: u64 = 999_999;
/// Rarely does an order stay this many ticks behind the best.
pub(super) const BEHIND_TICKS_MAX: u64 = 200;

/// How a symbol's traders behave. The default is near the LOBSTER samples of 2012-06-21: AMZN for
/// times and sizes, AAPL (ten levels) for where orders are placed.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// Weights of what comes next when the book holds what it should.
    pub new: u32,
    pub cancel: u32,
    pub replace: u32,
    pub aggress: u32,
    /// Of a thousand cancels, how many leave a part open.
    pub partial_cancel_per_mille: u64,
    /// Of a thousand new orders, how many improve the best price, and how many join it; the rest is
    /// behind it.
    pub improve_per_mille: u64,
    pub join_per_mille: u64,
    /// Of a thousand steps behind the best, how many are followed by another.
    pub behind_per_mille: u64,
    /// Of a thousand aggressors, how many come on the side of the last one.
    pub persist_per_mille: u64,
    /// Of a thousand cancels and replaces, how many strike the best price of a side, and how many one
    /// of the youngest orders; the rest any.
    pub best_per_mille: u64,
    pub young_per_mille: u64,
    /// Of a thousand requests, how many move the price that the traders of a symbol believe in, and of a
    /// thousand ticks of such a move, how many are followed by another.
    pub walk_per_mille: u64,
    pub walk_on_per_mille: u64,
    /// Of a thousand aggressors, how many take whole orders, and of these orders, how many are followed by
    /// another; the other aggressors have a size of their own.
    pub whole_per_mille: u64,
    pub whole_on_per_mille: u64,
    /// Of a thousand cancels and replaces while one side's best price lies where the market has gone, how many
    /// strike that price.
    pub stale_per_mille: u64,
    /// Quantiles, equally spaced, of the time between events, in millionths of its mean.
    pub gaps_ppm: &'static [u64],
    /// Quantiles of the size of new orders and of aggressors, in shares.
    pub sizes: &'static [u64],
    pub aggressor_sizes: &'static [u64],
}

const GAPS_PPM: &[u64] = &[
    83, 104, 129, 151, 162, 171, 179, 188, 196, 204, 213, 223, 236, 255, 280, 318, 366, 413, 454,
    488, 531, 586, 660, 753, 854, 1_001, 1_161, 1_332, 1_522, 1_786, 2_048, 2_360, 2_731, 3_156,
    3_534, 4_113, 4_827, 5_766, 6_937, 8_407, 10_296, 12_710, 15_118, 18_356, 21_125, 24_751,
    31_068, 39_901, 49_330, 56_883, 69_674, 85_393, 107_248, 136_964, 176_514, 221_550, 279_618,
    351_225, 429_788, 519_433, 622_574, 726_563, 838_160, 960_072, 1_065_423, 1_138_342, 1_202_605,
    1_393_358, 1_591_632, 1_821_626, 2_093_280, 2_351_473, 2_752_701, 3_182_056, 3_778_388,
    4_527_141, 5_444_728, 6_818_451, 8_777_588, 12_730_497, 27_993_858,
];
const SIZES: &[u64] = &[
    1, 3, 5, 6, 8, 10, 10, 10, 14, 16, 18, 19, 20, 21, 27, 87, 100, 100, 100, 100, 100, 100, 100,
    100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 200, 200, 297, 376, 2_550,
];
const AGGRESSOR_SIZES: &[u64] = &[
    1, 2, 2, 4, 5, 6, 7, 8, 10, 12, 14, 15, 17, 19, 20, 21, 27, 35, 40, 50, 60, 70, 80, 90, 98,
    100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 183, 200, 1_000,
];

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            new: 480,
            cancel: 310,
            replace: 60,
            aggress: 110,
            partial_cancel_per_mille: 5,
            improve_per_mille: 560,
            join_per_mille: 130,
            behind_per_mille: 750,
            persist_per_mille: 720,
            walk_per_mille: 220,
            walk_on_per_mille: 700,
            whole_per_mille: 650,
            whole_on_per_mille: 250,
            stale_per_mille: 800,
            best_per_mille: 600,
            young_per_mille: 300,
            gaps_ppm: GAPS_PPM,
            sizes: SIZES,
            aggressor_sizes: AGGRESSOR_SIZES,
        }
    }
}

/// One symbol of the flow.
#[derive(Clone, Copy, Debug)]
pub struct SymbolOptions {
    pub symbol: [u8; 8],
    /// Where its price begins, a multiple of `tick`, 1/10,000.
    pub price: u64,
    pub tick: u64,
    /// Traders quote this far from where they believe the price to be, on average; at least 1.
    pub half_spread_ticks: u64,
    /// Prices stay within this many ticks of `price`.
    pub range_ticks: u64,
    /// Its share of all events, as a weight.
    pub weight: u32,
    /// Orders that rest when the book holds what it should; the bound is twice that.
    pub live_orders: u32,
}

impl SymbolOptions {
    pub const fn new(symbol: [u8; 8], price: u64) -> Self {
        Self {
            symbol,
            price,
            tick: 100,
            half_spread_ticks: 8,
            range_ticks: 500,
            weight: 1,
            live_orders: 200,
        }
    }
}

/// A whole flow.
#[derive(Clone, Debug)]
pub struct FlowOptions {
    pub seed: u64,
    /// Over all symbols, on average.
    pub events_per_s: u64,
    pub traders: u16,
    pub symbols: Vec<SymbolOptions>,
    pub behaviour: Behaviour,
}

impl FlowOptions {
    /// Five traders, ten thousand events a second, the default behaviour.
    pub fn new(seed: u64, symbols: Vec<SymbolOptions>) -> Self {
        Self {
            seed,
            events_per_s: 10_000,
            traders: 5,
            symbols,
            behaviour: Behaviour::default(),
        }
    }
}

/// Options that no flow can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("flow: {what} is {given}; choose {legal}")]
pub struct FlowError {
    pub what: &'static str,
    pub given: u64,
    pub legal: &'static str,
}

/// What each option must be: name, given, legal range, the range in words.
type Check = (&'static str, u64, RangeInclusive<u64>, &'static str);

pub(super) fn check(options: &FlowOptions) -> Result<(), FlowError> {
    let symbols = options.symbols.len() as u64;
    let traders = u64::from(options.traders);
    let mut checks: Vec<Check> = vec![
        (
            "number of symbols",
            symbols,
            1..=SYMBOLS_MAX as u64,
            "1 to 1024",
        ),
        (
            "rate",
            options.events_per_s,
            1..=EVENTS_PER_S_MAX,
            "1 to 100,000,000 a second",
        ),
        ("number of traders", traders, 1..=65_535, "1 to 65,535"),
    ];
    options
        .symbols
        .iter()
        .for_each(|symbol| checks.extend(symbol_checks(symbol)));
    match checks
        .into_iter()
        .find(|(_, given, legal, _)| !legal.contains(given))
    {
        Some((what, given, _, legal)) => Err(FlowError { what, given, legal }),
        None => Ok(()),
    }
}

fn symbol_checks(symbol: &SymbolOptions) -> [Check; 6] {
    let SymbolOptions {
        tick,
        range_ticks,
        half_spread_ticks,
        ..
    } = *symbol;
    let live = u64::from(symbol.live_orders);
    // The farthest that a price can go below, so that none reaches 0; far below OUCH's highest above.
    let reach_ticks = half_spread_ticks
        .saturating_mul(2)
        .saturating_add(range_ticks + 2 * BEHIND_TICKS_MAX);
    let low = reach_ticks.saturating_mul(tick);
    [
        (
            "live orders of a symbol",
            live,
            1..=u64::from(LIVE_ORDERS_MAX),
            "1 to 1,000,000",
        ),
        (
            "weight of a symbol",
            u64::from(symbol.weight),
            1..=1_000_000,
            "1 to 1,000,000",
        ),
        (
            "half spread",
            half_spread_ticks,
            1..=1_000,
            "1 to 1000 ticks",
        ),
        ("tick", tick, 1..=1_000_000, "1 to 1,000,000"),
        (
            "price of a symbol",
            symbol.price,
            low..=1_000_000_000,
            "above its range, at most 1,000,000,000",
        ),
        (
            "price off its tick",
            symbol.price % tick.max(1),
            0..=0,
            "a multiple of the tick",
        ),
    ]
}
