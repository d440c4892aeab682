//! Load on a venue, open or closed loop, and what it cost each request.
//!
//! ```text
//! stream    the requests of a session, from mix and seed alone
//! session   requests in flight and their answers
//! recorder  histograms, counts, lateness
//! schedule  when requests are due
//! run       the loop: due times, sending, answers
//! intervals latency over time
//! server    the venue's counters beside
//! report    figures, their setting, and whether they are valid
//! floor     a venue against the echo server, interleaved
//! sweep     one rate after another, up to the knee
//! ```
//! Latency runs from when a request was *meant* to be sent, so a stalled venue or a stalled generator
//! cannot hide its queue (no coordinated omission). The generator measures its own lateness and calls
//! a run invalid when that may have shaped the figures.

pub mod floor;
pub mod intervals;
pub mod recorder;
pub mod report;
pub mod run;
pub mod schedule;
pub mod server;
pub mod session;
pub mod stream;
pub mod sweep;
