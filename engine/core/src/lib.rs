//! The deterministic state machine of the venue: days, sessions, books, matching.
//!
//! Committed batches of records go in, events come out to a statically dispatched sink; the same batches
//! give the same events, the same digest and the same state hash on every node, in every build, for
//! ever. The rules are in `docs/matching.md`.
//!
//! This crate must never read a clock, do I/O, draw a random number, use a float, iterate over an
//! unordered map or start a thread. It allocates only when the bounds change.
//!
//! ```
//! use lockstep_core::{Capacity, StateMachine};
//! use lockstep_record::event::NullSink;
//! use lockstep_record::{BatchInfo, LogIndex, Sequence, Term, Timestamp, batch::BatchKind};
//!
//! let mut machine = StateMachine::new(Capacity::default());
//! let tick = BatchInfo {
//!     kind: BatchKind::Commands,
//!     term: Term(1),
//!     index: LogIndex(1),
//!     first_sequence: Sequence(1),
//!     record_count: 0,
//!     timestamp: Timestamp(1),
//!     feature_set_version: 0,
//! };
//! machine.apply(&tick, &[], &mut NullSink).unwrap();
//! assert_eq!(machine.last_index(), LogIndex(1));
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod ahead;
mod auction;
pub mod book;
mod bounds;
mod change;
mod collar;
mod day;
mod definition;
mod digest;
mod entry;
mod error;
mod execution;
mod extension;
mod features;
pub mod image;
pub mod inspect;
mod instrument;
mod invariant;
mod machine;
mod mass;
mod option;
mod order;
mod outbox;
mod peg;
mod pegged;
mod phase;
mod random;
mod replace;
mod retire;
mod risk;
mod session;
mod state;
mod statistics;
mod stop;
mod supervision;
mod tick;
mod trigger;

pub use bounds::{Bounds, Capacity};
pub use error::{ApplyError, InvariantError};
pub use features::Features;
pub use invariant::{Counted, Part};
pub use machine::{Counters, StateMachine};
pub use risk::command::{POSITIONS_MAX, PROTECTIONS_MAX, TRADES_MAX};
pub use risk::limit::Limits;
pub use risk::{EntryState, Exposure, RiskBounds, Scope};
pub use session::PERMITTED_FIRMS_MAX;
pub use tick::{TICK_BANDS_MAX, TickBand};

use alloc::vec::Vec;

/// No order, level or slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Lengthens a table that is sized once per change of the bounds, and touches the new memory.
pub(crate) fn grown<T: Clone>(table: &mut Vec<T>, length: usize, value: T) {
    table.reserve_exact(length - table.len());
    table.resize(length, value);
}
