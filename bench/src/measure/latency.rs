//! A latency histogram with a bound, and its summary.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart, ns: one minute. Longer ones count as this.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Significant decimal digits kept: at most 0.1 % off.
const DIGITS: u8 = 3;

/// Latencies of one class of messages. Recording allocates nothing.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    saturated: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
            .unwrap_or_else(|_| unreachable!("constant bounds are legal"));
        Self {
            histogram,
            saturated: 0,
        }
    }

    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.saturated += u64::from(ns > LATENCY_NS_MAX);
        self.histogram.saturating_record(ns);
    }

    pub fn add(&mut self, other: &Self) {
        // Same bounds, so it always fits.
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok());
        self.saturated += other.saturated;
    }

    pub fn clear(&mut self) {
        self.histogram.reset();
        self.saturated = 0;
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Latency that this share of all values does not exceed, in parts per million.
    pub fn at_ppm(&self, ppm: u32) -> u64 {
        self.histogram.value_at_quantile(f64::from(ppm) / 1e6)
    }

    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Latency against the share of requests that exceed it, from all of them to one in the number
    /// recorded.
    pub fn curve(&self) -> Vec<CurvePoint> {
        let decades = (0..7_u32).flat_map(|power| {
            [10, 15, 20, 30, 50, 70].map(|tenths: u64| tenths * 10_u64.pow(power) / 10)
        });
        decades
            .take_while(|one_in| *one_in <= self.count())
            .map(|one_in| CurvePoint {
                one_in,
                ns: self.histogram.value_at_quantile(1.0 - 1.0 / one_in as f64),
            })
            .collect()
    }

    /// Counts by latency, in pieces of equal length on a logarithmic scale.
    pub fn bars(&self) -> Vec<Bar> {
        let mut from_ns = 0;
        let mut bars = Vec::new();
        for step in self.histogram.iter_log(BAR_NS_MIN, BAR_FACTOR) {
            let to_ns = step.value_iterated_to();
            bars.push(Bar {
                from_ns,
                to_ns,
                count: step.count_since_last_iteration(),
            });
            from_ns = to_ns + 1;
        }
        let first = bars
            .iter()
            .position(|bar| bar.count > 0)
            .unwrap_or(bars.len());
        bars.split_off(first)
    }

    pub fn summary(&self) -> Summary {
        if self.histogram.is_empty() {
            return Summary::default();
        }
        Summary {
            count: self.count(),
            min: self.histogram.min(),
            mean: self.histogram.mean().round() as u64,
            p50: self.at_ppm(500_000),
            p90: self.at_ppm(900_000),
            p99: self.at_ppm(990_000),
            p99_9: self.at_ppm(999_000),
            p99_99: self.at_ppm(999_900),
            max: self.histogram.max(),
            saturated: self.saturated,
        }
    }
}

/// One point of a percentile curve: one in so many took longer than `ns`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CurvePoint {
    pub one_in: u64,
    pub ns: u64,
}

/// One bar of a histogram, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Bar {
    pub from_ns: u64,
    pub to_ns: u64,
    pub count: u64,
}

/// First bar's end, and what each is longer than the one before.
const BAR_NS_MIN: u64 = 500;
const BAR_FACTOR: f64 = 1.2;

/// Percentiles, ns. All zero if nothing was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    pub count: u64,
    pub min: u64,
    pub mean: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
    /// Values beyond `LATENCY_NS_MAX`, recorded as that.
    pub saturated: u64,
}

/// Heading of `Summary::row`.
pub const SUMMARY_HEADING: &str = "              µs     count       min       p50       p90       p99     p99.9    p99.99       max";

impl Summary {
    /// One line of a table, in µs.
    pub fn row(&self, name: &str) -> String {
        let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
        format!(
            "{name:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            self.count,
            us(self.min),
            us(self.p50),
            us(self.p90),
            us(self.p99),
            us(self.p99_9),
            us(self.p99_99),
            us(self.max),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_the_promised_error() {
        let mut latency = Latency::new();
        for ns in 1..=100_000 {
            latency.record(ns);
        }
        let summary = latency.summary();
        for (got, exact) in [
            (summary.p50, 50_000_u64),
            (summary.p90, 90_000),
            (summary.p99, 99_000),
            (summary.p99_9, 99_900),
            (summary.p99_99, 99_990),
            (summary.max, 100_000),
        ] {
            assert!(got.abs_diff(exact) <= exact / 1000, "{got} for {exact}");
        }
        assert_eq!(
            (summary.count, summary.min, summary.saturated),
            (100_000, 1, 0)
        );
    }

    #[test]
    fn curve_and_bars_say_the_same_as_the_values() {
        let mut latency = Latency::new();
        for ns in 1..=100_000 {
            latency.record(ns);
        }
        let curve = latency.curve();
        let at = |one_in| curve.iter().find(|p| p.one_in == one_in).map(|p| p.ns);
        assert!(
            at(2).is_some_and(|ns| ns.abs_diff(50_000) <= 50),
            "{curve:?}"
        );
        assert!(
            at(1000).is_some_and(|ns| ns.abs_diff(99_900) <= 100),
            "{curve:?}"
        );
        assert_eq!(curve.last().map(|point| point.one_in), Some(100_000));
        let bars = latency.bars();
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 100_000);
        assert!(
            bars.windows(2)
                .all(|pair| pair[0].to_ns + 1 == pair[1].from_ns)
        );
        assert!(Latency::new().curve().is_empty() && Latency::new().bars().is_empty());
    }

    #[test]
    fn beyond_the_bound_is_counted_not_lost() {
        let mut latency = Latency::new();
        latency.record(LATENCY_NS_MAX * 2);
        let mut sum = Latency::new();
        sum.record(5);
        sum.add(&latency);
        assert_eq!((sum.count(), sum.summary().saturated), (2, 1));
        assert!(sum.summary().max >= LATENCY_NS_MAX);
        sum.clear();
        assert_eq!(sum.summary(), Summary::default());
    }
}
