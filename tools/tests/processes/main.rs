//! End to end, with the shipped binary in processes of their own: what docs/testing.md lists.
//!
//! Each test has its own folder, ports chosen by the system, and children that are ended by their id even
//! when it fails. A test that this host cannot run prints SKIP and why.

#[path = "../../src/demo/flow.rs"]
#[allow(dead_code)]
mod flow;
#[path = "../../src/demo/proof.rs"]
#[allow(dead_code)]
mod proof;
#[path = "../../src/demo/venue.rs"]
#[allow(dead_code)]
mod venue;

mod admin;
mod command_line;
mod common;
mod crash;
mod damage;
mod demo;
mod folder;
mod full_disk;
mod logins;
mod operator;
mod packets;
mod proofs;
mod raw;
mod resources;
mod slow;
mod streams;
