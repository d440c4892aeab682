//! The node: agents on threads, rings between them, sequencer, consensus, recovery, configuration.
//!
//! Core decides, shell does: rules live in `lockstep-core` and in the plain state machines here
//! (`consensus`, `clock`, `sequencer`, `gateway`); sockets, files, threads and clocks stay in thin shells.

pub mod admin;
mod affinity;
pub mod agent;
pub mod auth;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod counters;
pub mod day;
pub mod definitions;
pub mod egress;
pub mod engine;
pub mod fatal;
pub mod gateway;
pub mod housekeeping;
pub mod journal;
pub mod keeper;
pub mod log;
pub mod node;
pub mod operator;
pub mod recovery;
pub mod replay;
pub mod residence;
pub mod ring;
pub mod sequencer;
pub mod signals;
pub mod sink;
pub mod snapshot;
pub mod status;
pub mod stream;
pub mod streams;
