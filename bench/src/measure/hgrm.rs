//! Percentile distribution files (`.hgrm`), as HdrHistogram's tools and plotters read them.
//!
//! ```text
//!        Value     Percentile TotalCount 1/(1-Percentile)
//! (empty line)
//!        1.234 0.500000000000       1000           2.00
//! #[Mean    =        1.300, StdDeviation   =        0.100]
//! #[Max     =        9.900, Total count    =         2000]
//! #[Buckets =           26, SubBuckets     =         2048]
//! ```
//! Values in µs with three decimals, that is exact ns. Source: HdrHistogram
//! `outputPercentileDistribution`.

use super::latency::Latency;
use std::io::{self, Write};

/// Lines per halving of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Of `Latency`'s histogram; stated for readers, used by none.
const BUCKETS: u32 = 26;
const SUB_BUCKETS: u32 = 2048;

/// Writes the distribution of `latency`.
pub fn write_hgrm(latency: &Latency, out: &mut dyn Write) -> io::Result<()> {
    let histogram = latency.histogram();
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        if quantile < 1.0 {
            let inverse = 1.0 / (1.0 - quantile);
            writeln!(
                out,
                "{value:12.3} {quantile:14.12} {total:10} {inverse:14.2}"
            )?;
        } else {
            writeln!(out, "{value:12.3} {quantile:14.12} {total:10}")?;
        }
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    let (max, count) = (histogram.max() as f64 / 1e3, latency.count());
    writeln!(
        out,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
    )?;
    writeln!(out, "#[Max     = {max:12.3}, Total count    = {count:12}]")?;
    writeln!(
        out,
        "#[Buckets = {BUCKETS:12}, SubBuckets     = {SUB_BUCKETS:12}]"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second reader: knows the format only from its description, and nothing of the histogram.
    struct Read {
        /// (value ns, percentile, total count)
        rows: Vec<(u64, f64, u64)>,
        max_ns: u64,
        count: u64,
    }

    fn ns(text: &str) -> u64 {
        let (whole, decimals) = text.split_once('.').expect("three decimals");
        assert_eq!(decimals.len(), 3);
        whole.parse::<u64>().expect("µs") * 1000 + decimals.parse::<u64>().expect("ns")
    }

    fn read(text: &str) -> Read {
        let mut read = Read {
            rows: Vec::new(),
            max_ns: 0,
            count: 0,
        };
        for (number, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split_whitespace().collect();
            match (number, words.as_slice()) {
                (0, [a, b, c, d]) => {
                    assert_eq!(
                        [*a, *b, *c, *d],
                        ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
                    );
                }
                (1, []) => {}
                (_, ["#[Max", "=", max, "Total", "count", "=", count]) => {
                    read.max_ns = ns(max.trim_end_matches(','));
                    read.count = count.trim_end_matches(']').parse().expect("count");
                }
                (_, [first, ..]) if first.starts_with("#[") => {}
                (_, [value, percentile, total, rest @ ..]) => {
                    let percentile: f64 = percentile.parse().expect("percentile");
                    if let [inverse] = rest {
                        let inverse: f64 = inverse.parse().expect("inverse");
                        assert!(
                            (inverse - 1.0 / (1.0 - percentile)).abs() <= inverse * 1e-2 + 0.01
                        );
                    } else {
                        assert!(percentile == 1.0 && rest.is_empty());
                    }
                    read.rows
                        .push((ns(value), percentile, total.parse().expect("total")));
                }
                other => panic!("unreadable line {other:?}"),
            }
        }
        read
    }

    #[test]
    fn what_is_written_says_what_was_recorded() {
        let mut values: Vec<u64> = (0..10_000_u64).map(|i| 500 + i * i % 70_001).collect();
        let mut latency = Latency::new();
        values.iter().for_each(|value| latency.record(*value));
        values.sort_unstable();
        let mut text = Vec::new();
        write_hgrm(&latency, &mut text).expect("memory");
        let read = read(std::str::from_utf8(&text).expect("text"));
        assert_eq!(read.count, 10_000);
        assert_eq!(read.rows.last().map(|row| row.2), Some(10_000));
        assert!(read.max_ns.abs_diff(values[9_999]) <= values[9_999] / 1000);
        assert!(read.rows.len() > 30);
        for (value, percentile, total) in &read.rows {
            // As many recorded values as the file says are at most `value`, within its precision.
            let at_most = |bound: u64| values.partition_point(|v| *v <= bound) as u64;
            assert!(
                at_most(value - value / 1000 - 1) <= *total
                    && *total <= at_most(value + value / 1000 + 1)
            );
            assert!(*total as f64 >= percentile * 10_000.0 - 1.0);
        }
        assert!(read.rows.is_sorted());
    }

    #[test]
    fn an_empty_histogram_is_an_empty_file_that_reads() {
        let mut text = Vec::new();
        write_hgrm(&Latency::new(), &mut text).expect("memory");
        assert_eq!(read(std::str::from_utf8(&text).expect("text")).count, 0);
    }
}
