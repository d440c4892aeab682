//! What a flow looks like, in terms that a recorded file has too, so that one can be held against the
//! other.

use super::model::{Flow, FlowAction};
use super::options::{FlowError, FlowOptions};
use lockstep_record::Side;
use serde::Serialize;
use std::collections::VecDeque;

/// Quantiles that are reported: 5, 25, 50, 75, 95 and 99 %.
pub const QUANTILES: [usize; 6] = [5, 25, 50, 75, 95, 99];
/// The mid price's move is looked at over so many events.
const MOVE_EVENTS: usize = 100;

/// What happened, as a market-data reader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    New {
        size: u32,
        /// Ticks from the best price of its side before it: above 0 improves, below 0 is behind. `None`: the side
        /// was empty.
        towards: Option<i64>,
    },
    Cancel {
        is_partial: bool,
    },
    /// One resting order's execution.
    Execution {
        size: u32,
        side: Side,
        is_first: bool,
    },
}

/// Best bid and ask in ticks; `None` if a side shows nothing or the book is crossed.
pub type Touch = Option<(u64, u64)>;

/// Collects.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    last_ns: Option<u64>,
    gaps_ns: Vec<u64>,
    sizes: Vec<u64>,
    execution_sizes: Vec<u64>,
    spreads: Vec<u64>,
    /// Twice the mid price, of the last events.
    mids: VecDeque<u64>,
    moves: Vec<u64>,
    new: u64,
    placed: u64,
    cancel: u64,
    partial: u64,
    replace: Option<u64>,
    execution: u64,
    aggressors: u64,
    improving: u64,
    joining: u64,
    last_side: Option<Side>,
    same_side: u64,
    side_pairs: u64,
}

/// Numbers of a flow. Sizes in shares, prices in ticks. A replace counts as a cancel and a new order, which is
/// how market data without replaces shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Statistics {
    pub events: u64,
    pub new_per_mille: u64,
    pub cancel_per_mille: u64,
    pub execution_per_mille: u64,
    /// Of the cancels, those that leave a part open.
    pub partial_per_mille: u64,
    /// Of the cancels, those that are half of a replace; `None` where the data cannot tell.
    pub replace_per_mille: Option<u64>,
    /// Executions of an aggressor on average, in thousandths.
    pub fills_per_mille: u64,
    /// Of the new orders on a side that shows something.
    pub improving_per_mille: u64,
    pub joining_per_mille: u64,
    /// Aggressors on the side of the one before.
    pub same_side_per_mille: u64,
    /// Of the time between events, in thousandths of its mean.
    pub gap_per_mille_of_mean: [u64; 6],
    pub gap_mean_ns: u64,
    /// Gaps below a hundredth of the mean.
    pub short_gaps_per_mille: u64,
    pub size: [u64; 6],
    pub size_mean: u64,
    pub execution_size: [u64; 6],
    pub spread_ticks: [u64; 6],
    /// Move of the mid price over 100 events, either way, in half ticks.
    pub move_half_ticks: [u64; 6],
}

impl Collector {
    /// For data that shows replaces as such.
    pub fn telling_replaces() -> Self {
        Self {
            replace: Some(0),
            ..Self::default()
        }
    }

    /// One event and the touch after it.
    pub fn event(&mut self, at_ns: u64, seen: Seen, touch: Touch) {
        if let Some(last_ns) = self.last_ns.replace(at_ns) {
            self.gaps_ns.push(at_ns.saturating_sub(last_ns));
        }
        if let Some((bid, ask)) = touch {
            self.touch(bid, ask);
        }
        match seen {
            Seen::New { size, towards } => {
                self.new += 1;
                self.sizes.push(u64::from(size));
                if let Some(towards) = towards {
                    self.placed += 1;
                    self.improving += u64::from(towards > 0);
                    self.joining += u64::from(towards == 0);
                }
            }
            Seen::Cancel { is_partial } => {
                self.cancel += 1;
                self.partial += u64::from(is_partial);
            }
            Seen::Execution {
                size,
                side,
                is_first,
            } => {
                self.execution += 1;
                self.execution_sizes.push(u64::from(size));
                if is_first {
                    self.aggressor(side);
                }
            }
        }
    }

    /// A replace: a cancel and a new order at one time.
    pub fn replace(&mut self, at_ns: u64, size: u32, towards: Option<i64>, touch: Touch) {
        self.event(at_ns, Seen::Cancel { is_partial: false }, None);
        self.event(at_ns, Seen::New { size, towards }, touch);
        self.replace = self.replace.map(|count| count + 1);
    }

    fn touch(&mut self, bid: u64, ask: u64) {
        self.spreads.push(ask - bid);
        let mid = bid + ask;
        self.mids.push_back(mid);
        if self.mids.len() > MOVE_EVENTS
            && let Some(before) = self.mids.pop_front()
        {
            self.moves.push(mid.abs_diff(before));
        }
    }

    fn aggressor(&mut self, side: Side) {
        self.aggressors += 1;
        if let Some(last) = self.last_side.replace(side) {
            self.side_pairs += 1;
            self.same_side += u64::from(last == side);
        }
    }

    pub fn finish(mut self) -> Statistics {
        let events = self.new + self.cancel + self.execution;
        let per_mille = |part: u64, whole: u64| part * 1000 / whole.max(1);
        let gap_mean_ns = mean(&self.gaps_ns);
        let is_short = |gap: &&u64| **gap * 100 < gap_mean_ns;
        let short = self.gaps_ns.iter().filter(is_short).count() as u64;
        Statistics {
            events,
            new_per_mille: per_mille(self.new, events),
            cancel_per_mille: per_mille(self.cancel, events),
            execution_per_mille: per_mille(self.execution, events),
            partial_per_mille: per_mille(self.partial, self.cancel),
            replace_per_mille: self.replace.map(|count| per_mille(count, self.cancel)),
            fills_per_mille: per_mille(self.execution, self.aggressors),
            improving_per_mille: per_mille(self.improving, self.placed),
            joining_per_mille: per_mille(self.joining, self.placed),
            same_side_per_mille: per_mille(self.same_side, self.side_pairs),
            short_gaps_per_mille: per_mille(short, self.gaps_ns.len() as u64),
            gap_per_mille_of_mean: quantiles(&mut self.gaps_ns)
                .map(|gap| per_mille(gap, gap_mean_ns)),
            gap_mean_ns,
            size_mean: mean(&self.sizes),
            size: quantiles(&mut self.sizes),
            execution_size: quantiles(&mut self.execution_sizes),
            spread_ticks: quantiles(&mut self.spreads),
            move_half_ticks: quantiles(&mut self.moves),
        }
    }
}

fn mean(values: &[u64]) -> u64 {
    let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
    u64::try_from(sum / values.len().max(1) as u128).unwrap_or(u64::MAX)
}

fn quantiles(values: &mut [u64]) -> [u64; 6] {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    QUANTILES.map(|percent| values.get(last * percent / 100).copied().unwrap_or(0))
}

/// Of so many events of a flow with one symbol, after as many as fill its book.
pub fn of_flow(options: &FlowOptions, events: usize) -> Result<Statistics, FlowError> {
    let mut flow = Flow::new(options)?;
    let symbol = options.symbols[0];
    let tick = symbol.tick;
    for _ in 0..4 * symbol.live_orders {
        flow.next_event();
    }
    let mut collector = Collector::telling_replaces();
    for _ in 0..events {
        observe(&mut flow, tick, &mut collector);
    }
    Ok(collector.finish())
}

fn observe(flow: &mut Flow, tick: u64, collector: &mut Collector) {
    let before = [Side::Buy, Side::Sell].map(|side| flow.best(0, side));
    let event = flow.next_event();
    let touch = flow
        .best(0, Side::Buy)
        .zip(flow.best(0, Side::Sell))
        .map(|(bid, ask)| (bid / tick, ask / tick));
    let at_ns = event.at_ns;
    let towards = |side: Side, price: u64| {
        let best = before[side as usize]?;
        Some(towards(side, price, best, tick))
    };
    match event.action {
        FlowAction::Enter {
            side,
            price,
            quantity,
            ..
        } => {
            let towards = towards(side, price);
            let size = quantity;
            collector.event(at_ns, Seen::New { size, towards }, touch);
        }
        FlowAction::Aggress { side, .. } => {
            for (at, size) in flow.last_fills().iter().enumerate() {
                let seen = Seen::Execution {
                    size: *size,
                    side: side.opposite(),
                    is_first: at == 0,
                };
                collector.event(at_ns, seen, touch);
            }
        }
        FlowAction::Cancel { new_total, .. } => {
            let is_partial = new_total > 0;
            collector.event(at_ns, Seen::Cancel { is_partial }, touch);
        }
        FlowAction::Replace {
            side, price, open, ..
        } => collector.replace(at_ns, open, towards(side, price), touch),
    }
}

/// Ticks from `best` of its side to `price`: above 0 improves.
pub(super) fn towards(side: Side, price: u64, best: u64, tick: u64) -> i64 {
    let ticks = (price as i64 - best as i64) / tick.max(1) as i64;
    match side {
        Side::Buy => ticks,
        Side::Sell => -ticks,
    }
}
