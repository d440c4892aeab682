//! The book workload: a deterministic stream of 24-byte records for one symbol, and what a correct
//! price-time book must make of it.
//!
//! ```text
//!  0 u8  operation   0 add · 1 cancel · 2 cancel/replace, same id, loses priority · 3 aggressive limit
//!  1 u8  side        0 buy, 1 sell
//!  2 u16 0
//!  4 u32 quantity    of a cancel: information only
//!  8 u64 order id
//! 16 i64 price       ticks; of a cancel: information only
//! ```
//! Little-endian. Operations 0 and 2 never cross; 3 always does, and its residual rests.

pub mod generate;
pub mod record;
