//! Latency over time: the measured span in pieces of equal length, each with its histogram.
//!
//! Every histogram is made and touched before the run: recording allocates nothing and takes no page
//! fault. A request counts in the piece in which it was due.

use super::recorder::Span;
use crate::measure::latency::{Latency, Summary};
use serde::Serialize;

/// Pieces at most; 0.2 MB each.
pub const INTERVALS_MAX: u64 = 100;
/// Shortest piece.
const INTERVAL_NS_MIN: u64 = 10_000_000;

/// The pieces.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    from_ns: u64,
    length_ns: u64,
    latencies: Vec<Latency>,
}

/// One piece's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IntervalSummary {
    /// Since the measured span began.
    pub from_ns: u64,
    pub length_ns: u64,
    pub summary: Summary,
}

impl Intervals {
    /// For a measured span of this length.
    pub fn new(duration_ns: u64) -> Self {
        let length_ns = duration_ns.div_ceil(INTERVALS_MAX).max(INTERVAL_NS_MIN);
        let count = duration_ns.div_ceil(length_ns).max(1);
        let touched = || {
            let mut latency = Latency::new();
            latency.clear();
            latency
        };
        Self {
            from_ns: 0,
            length_ns,
            latencies: (0..count).map(|_| touched()).collect(),
        }
    }

    pub(super) fn begin(&mut self, span: &Span) {
        self.from_ns = span.from_ns;
    }

    /// A latency of a request that was due within the span.
    #[inline]
    pub(super) fn record(&mut self, due_ns: u64, latency_ns: u64) {
        let at = due_ns.saturating_sub(self.from_ns) / self.length_ns.max(1);
        if let Some(latency) = self.latencies.get_mut(at as usize) {
            latency.record(latency_ns);
        }
    }

    pub fn length_ns(&self) -> u64 {
        self.length_ns
    }

    /// Start since the span began, ns, and latencies of each piece.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Latency)> {
        (0..)
            .map(|i: u64| i * self.length_ns)
            .zip(self.latencies.iter())
    }

    pub fn summaries(&self) -> Vec<IntervalSummary> {
        self.iter()
            .map(|(from_ns, latency)| IntervalSummary {
                from_ns,
                length_ns: self.length_ns,
                summary: latency.summary(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_counts_where_it_was_due() {
        let mut intervals = Intervals::new(1_000_000_000);
        intervals.begin(&Span {
            from_ns: 500,
            to_ns: 1_000_000_500,
        });
        intervals.record(500, 7);
        intervals.record(500 + 9_999_999, 8);
        intervals.record(500 + 10_000_000, 9);
        intervals.record(500 + 999_999_999, 10);
        intervals.record(u64::MAX, 11);
        let summaries = intervals.summaries();
        let counts: Vec<_> = summaries.iter().map(|s| s.summary.count).collect();
        assert_eq!(
            (counts.len(), counts[0], counts[1], counts[99]),
            (100, 2, 1, 1)
        );
        assert_eq!(counts.iter().sum::<u64>(), 4);
        assert_eq!(summaries[1].from_ns, 10_000_000);
    }

    #[test]
    fn short_and_long_spans_have_a_sensible_number_of_pieces() {
        assert_eq!(Intervals::new(0).latencies.len(), 1);
        assert_eq!(Intervals::new(25_000_000).latencies.len(), 3);
        assert_eq!(Intervals::new(3_600_000_000_000).latencies.len(), 100);
    }
}
