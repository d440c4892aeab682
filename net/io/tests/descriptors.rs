//! Out of descriptors: the driver neither spins nor stops, and serves again once there are some.
//! One test in a process of its own, because the limit is the process's.
#![allow(unsafe_code)]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;

use common::{World, allowed, small_limits};
use lockstep_net::{Driver, DriverKind};

fn set_open_files_limit(soft: u64) {
    // SAFETY: all-zero bytes are a valid rlimit.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the struct lives through the call.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(got, 0);
    limit.rlim_cur = soft;
    // SAFETY: as above.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(set, 0);
}

#[test]
fn accepting_stalls_and_recovers() {
    set_open_files_limit(100);
    for kind in [DriverKind::Epoll, DriverKind::IoUring] {
        if !allowed(kind) {
            continue;
        }
        let mut world = World::new(kind, small_limits());
        let (mut served, served_id) = world.peer();
        // The client's end takes the last descriptor, so that there is none for ours.
        let mut hoard: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        hoard.pop();
        let mut waiting = TcpStream::connect(world.address).unwrap();
        world.until("the accept fails", |world| {
            world.driver.stats().accept_errors > 0
        });
        let before = *world.driver.stats();
        for _ in 0..2_000 {
            world.turn();
        }
        let after = *world.driver.stats();
        let tries = after.accept_errors - before.accept_errors;
        assert!(
            (1..=10).contains(&tries),
            "{kind}: {tries} tries in 2,000 polls"
        );
        served.write_all(b"still served").unwrap();
        world.until("the other", |world| {
            world.recorder.bytes_of(served_id) == b"still served"
        });
        drop(hoard);
        world.until("the accept", |world| world.driver.stats().accepted == 2);
        waiting.write_all(b"hello").unwrap();
        world.until("its bytes", |world| {
            world
                .recorder
                .received
                .iter()
                .any(|(_, bytes)| bytes == b"hello")
        });
        drop(world);
        assert_eq!(waiting.read(&mut [0]).unwrap_or(0), 0);
    }
}
