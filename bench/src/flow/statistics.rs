//! What a flow looks like, in terms that a recorded file has too, so that one can be held against the
//! other.

use crate::market::lobster::{EventKind, Row};
use lockstep_record::Side;
use serde::Serialize;
use std::fmt;

/// Quantiles that are reported: 5, 25, 50, 75, 95 and 99 %.
const QUANTILES: [usize; 6] = [5, 25, 50, 75, 95, 99];

/// What happened, as a market-data reader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    New {
        size: u32,
        /// Ticks from the best price of its side before it: above 0 improves, below 0 is behind.
        towards: i64,
    },
    Cancel,
    /// One resting order's execution.
    Execution {
        size: u32,
        side: Side,
        is_first: bool,
    },
}

/// Collects.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    last_ns: Option<u64>,
    gaps_ns: Vec<u64>,
    sizes: Vec<u64>,
    execution_sizes: Vec<u64>,
    spreads: Vec<u64>,
    new: u64,
    cancel: u64,
    execution: u64,
    aggressors: u64,
    improving: u64,
    joining: u64,
    last_side: Option<Side>,
    same_side: u64,
    side_pairs: u64,
}

/// Numbers of a flow. Times in ns, sizes in shares, spreads in ticks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Statistics {
    pub events: u64,
    pub new_per_mille: u64,
    pub cancel_per_mille: u64,
    pub execution_per_mille: u64,
    /// Executions of an aggressor on average, in thousandths.
    pub fills_per_mille: u64,
    pub improving_per_mille: u64,
    pub joining_per_mille: u64,
    /// Aggressors on the side of the one before.
    pub same_side_per_mille: u64,
    pub gap_ns: [u64; 6],
    pub gap_mean_ns: u64,
    pub size: [u64; 6],
    pub execution_size: [u64; 6],
    pub spread_ticks: [u64; 6],
}

impl Collector {
    /// One event and, after it, the spread in ticks if both sides show something.
    pub fn event(&mut self, at_ns: u64, seen: Seen, spread_ticks: Option<u64>) {
        if let Some(last_ns) = self.last_ns.replace(at_ns) {
            self.gaps_ns.push(at_ns.saturating_sub(last_ns));
        }
        self.spreads.extend(spread_ticks);
        match seen {
            Seen::New { size, towards } => {
                self.new += 1;
                self.sizes.push(u64::from(size));
                self.improving += u64::from(towards > 0);
                self.joining += u64::from(towards == 0);
            }
            Seen::Cancel => self.cancel += 1,
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

    fn aggressor(&mut self, side: Side) {
        self.aggressors += 1;
        if let Some(last) = self.last_side.replace(side) {
            self.side_pairs += 1;
            self.same_side += u64::from(last == side);
        }
    }

    /// Of a recorded file's rows; `tick` in 1/10,000.
    pub fn of_rows<'a>(rows: impl Iterator<Item = &'a Row>, tick: u64) -> Statistics {
        let mut collector = Self::default();
        let mut before: Option<&Row> = None;
        let mut last_execution_ns = None;
        for row in rows {
            let message = &row.message;
            let spread = match (row.after.bids.best(), row.after.asks.best()) {
                (Some(bid), Some(ask)) if ask.price > bid.price => {
                    Some((ask.price - bid.price) / tick)
                }
                _ => None,
            };
            let seen = match message.kind {
                EventKind::New => before
                    .and_then(|before| before.after.side(message.side).best())
                    .map(|best| {
                        let step = message.price as i64 - best.price as i64;
                        let towards = if message.side == Side::Buy {
                            step
                        } else {
                            -step
                        };
                        Seen::New {
                            size: message.size,
                            towards: towards / tick as i64,
                        }
                    }),
                EventKind::PartialCancel | EventKind::Delete => Some(Seen::Cancel),
                EventKind::Execution => {
                    let is_first =
                        last_execution_ns.replace(message.time_ns) != Some(message.time_ns);
                    Some(Seen::Execution {
                        size: message.size,
                        side: message.side,
                        is_first,
                    })
                }
                _ => None,
            };
            if let Some(seen) = seen {
                collector.event(message.time_ns, seen, spread);
            }
            before = Some(row);
        }
        collector.finish()
    }

    pub fn finish(mut self) -> Statistics {
        let events = self.new + self.cancel + self.execution;
        let per_mille = |part: u64, whole: u64| part * 1000 / whole.max(1);
        let gap_sum: u128 = self.gaps_ns.iter().map(|gap| u128::from(*gap)).sum();
        let gap_mean = gap_sum / self.gaps_ns.len().max(1) as u128;
        Statistics {
            events,
            new_per_mille: per_mille(self.new, events),
            cancel_per_mille: per_mille(self.cancel, events),
            execution_per_mille: per_mille(self.execution, events),
            fills_per_mille: per_mille(self.execution, self.aggressors),
            improving_per_mille: per_mille(self.improving, self.new),
            joining_per_mille: per_mille(self.joining, self.new),
            same_side_per_mille: per_mille(self.same_side, self.side_pairs),
            gap_ns: quantiles(&mut self.gaps_ns),
            gap_mean_ns: u64::try_from(gap_mean).unwrap_or(u64::MAX),
            size: quantiles(&mut self.sizes),
            execution_size: quantiles(&mut self.execution_sizes),
            spread_ticks: quantiles(&mut self.spreads),
        }
    }
}

fn quantiles(values: &mut [u64]) -> [u64; 6] {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    QUANTILES.map(|percent| values.get(last * percent / 100).copied().unwrap_or(0))
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, ‰: new {} cancel {} execution {} · improving {} joining {} · same side {} · fills/aggressor {}",
            self.events,
            self.new_per_mille,
            self.cancel_per_mille,
            self.execution_per_mille,
            self.improving_per_mille,
            self.joining_per_mille,
            self.same_side_per_mille,
            self.fills_per_mille
        )?;
        writeln!(f, "quantiles 5 25 50 75 95 99 %")?;
        writeln!(f, "  gap ns {:?} mean {}", self.gap_ns, self.gap_mean_ns)?;
        writeln!(
            f,
            "  size {:?} execution {:?}",
            self.size, self.execution_size
        )?;
        write!(f, "  spread ticks {:?}", self.spread_ticks)
    }
}
