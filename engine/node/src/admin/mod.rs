//! Administration over a Unix socket: who may ask what, the answers, and the records that commands become.
//!
//! Everything here runs on the operator's helper thread, off pinned cores. It changes nothing by itself:
//! a command is a record in the total order like any other, and a view is a bounded question that the
//! engine answers between two batches (docs/decisions/0006). The protocol is docs/admin-protocol.md.

pub mod access;
mod asked;
mod auction;
pub mod client;
mod commands;
mod define;
pub mod desk;
pub mod frame;
mod os;
pub mod protocol;
mod reload;
pub mod server;
pub mod submit;
mod supervise;
pub mod translate;
mod views;

pub use server::{AdminServer, Office};

#[cfg(test)]
mod tests;
