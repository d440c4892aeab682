//! Load on a venue, open or closed loop, and what it cost each request.
//!
//! ```text
//! stream    the requests of a session, from mix and seed alone
//! session   requests in flight and their answers
//! recorder  histograms, counts, lateness
//! schedule  when requests are due
//! entry     sessions on their way in
//! run       the loop: due times, sending, answers
//! idle      sessions beside that only stay logged in      neighbours  … that behave badly
//! intervals latency over time
//! server    the venue's counters beside      threads  what its threads cost the kernel
//! report    figures, their setting, and whether they are valid
//! floor     a venue against the echo server, interleaved
//! beside    a session alone and beside its neighbours, interleaved
//! sweep     one rate after another, up to the knee
//! ```
//! Latency runs from when a request was *meant* to be sent, so a stalled venue or a stalled generator
//! cannot hide its queue (no coordinated omission). The generator measures its own lateness and calls
//! a run invalid when that may have shaped the figures.

pub mod beside;
mod entry;
pub mod floor;
mod idle;
pub mod intervals;
pub mod neighbours;
pub mod recorder;
pub mod report;
pub mod run;
pub mod schedule;
pub mod server;
pub mod session;
pub mod stream;
pub mod sweep;
pub mod threads;
