//! The node: agents on threads, rings between them, sequencer, consensus, recovery, configuration.
//!
//! Core decides, shell does: rules live in `lockstep-core` and in the plain state machines here
//! (`consensus`, `clock`, `sequencer`, `gateway`); sockets, files, threads and clocks stay in thin shells.

pub mod agent;
pub mod auth;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod counters;
pub mod day;
pub mod egress;
pub mod fatal;
pub mod gateway;
pub mod housekeeping;
pub mod log;
pub mod operator;
pub mod ring;
pub mod sequencer;
pub mod signals;
pub mod sink;
pub mod status;
