//! Ids, units, and the record types that every other crate shares.
//!
//! A *record* is one input of the state machine: a fixed header, the rkyv archive of one body type,
//! then zero or more extension parts. The bytes the gateway writes are the bytes in the journal, on the
//! replication wire and under replay. Layouts are normative in `docs/journal-format.md`.
//!
//! This crate must never read a clock, do I/O, or depend on another crate of the workspace.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;

pub mod batch;
pub mod command;
pub mod event;
pub mod ids;
pub mod record;

pub use batch::BatchInfo;
pub use ids::*;
pub use record::{
    Body, Gateway, Kind, PART_HEADER_LENGTH, Part, PartTag, Parts, Policy, RECORD_HEADER_LENGTH,
    RECORD_LENGTH_MAX, Record, RecordError, RecordHeader, RecordWriter, Source, write_part,
};
