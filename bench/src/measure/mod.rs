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
