//! SoupBinTCP 3.00 and OUCH 5.0: codecs and session state machines.
//!
//! Everything here is a function of bytes and of a time that the caller passes in. This crate must
//! never open a socket, read a clock, allocate, or decide anything about trading: it turns legal bytes
//! into command records, events into legal bytes, and names what is illegal. What is answered to what
//! is written in `docs/wire-protocol.md`, a test a row.
//!
//! One function per decoder, callable on any bytes whatever:
//! [`soup::split_client`], [`soup::split_server`], [`ouch::Inbound::parse`], [`ouch::Outbound::parse`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod field;
pub mod ouch;
pub mod soup;

pub use field::Field;
