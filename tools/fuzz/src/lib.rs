//! Fuzz targets: one function per decoder and one for recovery, each a function of bytes that must
//! return whatever the bytes are.
//!
//! A target panics on what must not be: a decoder that panics, that reads what it cannot write again, or
//! that depends on where bytes were cut; a state that breaks its invariants; a recovery that gives up
//! what was proven. It must never depend on anything but its bytes, so that a finding can be repeated.
#![forbid(unsafe_code)]

pub mod admin;
pub mod bytes;
pub mod journal;
pub mod machine;
pub mod node;
pub mod record;
pub mod snapshot;
pub mod wire;

use std::path::Path;

/// One target: its name, what it does with bytes, and inputs that are worth starting from.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($room:ident::$name:ident)*) => {
        pub const TARGETS: &[Target] = &[$(
            Target { name: stringify!($name), run: $room::$name::run, seeds: $room::$name::seeds },
        )*];
    };
}

targets! {
    wire::soup_split
    wire::soup_server
    wire::soup_client
    wire::ouch_inbound
    wire::ouch_outbound
    record::record
    machine::apply_raw
    machine::apply_orders
    journal::batch
    journal::headers
    journal::recovery
    journal::stream
    snapshot::snapshot_file
    snapshot::snapshot_image
    node::config
    node::egress
    admin::admin_request
}

pub fn print_names() {
    for target in TARGETS {
        println!("{}", target.name);
    }
}

/// Writes a target's seeds as files, for a driver that begins with a folder of inputs.
pub fn write_seeds(target: &Target, folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder that can be made");
    for (at, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{at:02}")), seed).expect("a writable folder");
    }
}

pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
