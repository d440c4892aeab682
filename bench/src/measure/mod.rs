//! Clock, latency histograms, the machine's description, and the report around every figure.

pub mod clock;
pub mod cost;
pub mod hash;
pub mod hgrm;
pub mod hlog;
pub mod latency;
pub mod setting;
pub mod thread;
pub mod ticks;

/// The median; of an even number the upper one. Panics if there is none.
pub(crate) fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values[values.len() / 2]
}
