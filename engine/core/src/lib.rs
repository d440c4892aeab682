//! The deterministic state machine of the venue.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod book;

use alloc::vec::Vec;

/// No order, level or slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Lengthens a table that is sized once per change of the bounds, and touches the new memory.
pub(crate) fn grown<T: Clone>(table: &mut Vec<T>, length: usize, value: T) {
    table.reserve_exact(length - table.len());
    table.resize(length, value);
}
