//! Thousands of connections come and go; slots, descriptors and memory stay. One test in a process of
//! its own, because descriptors are counted per process.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use common::{Random, World, allowed, small_limits};
use lockstep_net::{Close, Driver, DriverKind};

const CYCLES: usize = 2_000;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Threads of the kernel's io_uring worker pool: an operation that is handed to one runs on whatever core
/// is free, tens of microseconds later. None of ours may be.
fn kernel_workers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
    names
        .filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("iou-")))
        .count()
}

/// One connection that ends in one of the ways there are.
fn cycle(world: &mut World, random: &mut Random) {
    let (mut stream, id) = world.peer();
    if random.below(2) == 0 {
        stream.write_all(&[1; 500]).unwrap();
        world.driver.send(id, &[2; 500]);
    }
    if random.below(4) == 0 {
        world.driver.pause(id);
    }
    for _ in 0..random.below(4) {
        world.turn();
    }
    match random.below(6) {
        0 => drop(stream),
        1 => {
            stream.shutdown(Shutdown::Write).unwrap();
            world.driver.resume(id);
            world.turn();
        }
        2 => world.driver.close(id, Close::Now),
        3 => {
            world.driver.close(id, Close::AfterFlush);
            drop(stream);
        }
        4 => {
            drop(stream);
            world.driver.close(id, Close::AfterFlush);
            world.driver.close(id, Close::Now);
        }
        _ => {
            world.driver.close(id, Close::AfterFlush);
            // Until our end went out: this one thread cannot wait for it in `read`.
            for _ in 0..10 {
                world.turn();
            }
            stream.read_to_end(&mut Vec::new()).unwrap_or(0);
            drop(stream);
        }
    }
    // A paused connection does not see its peer go: read again, as its owner would.
    world.driver.resume(id);
    world.until_closed(id);
    world.recorder.received.clear();
    world.recorder.told.clear();
}

#[test]
fn nothing_leaks() {
    for kind in [DriverKind::Epoll, DriverKind::IoUring] {
        if !allowed(kind) {
            continue;
        }
        let outside = descriptors();
        let mut world = World::new(kind, small_limits());
        let before = descriptors();
        let mut random = Random::new(3);
        for _ in 0..CYCLES {
            cycle(&mut world, &mut random);
        }
        world.assert_all_gone();
        assert_eq!(kernel_workers(), 0);
        assert_eq!(world.driver.stats().accepted, CYCLES as u64);
        assert_eq!(descriptors(), before, "{kind}: descriptors leak");
        // The slots went round: the next connection's generation shows how often.
        let (_stream, id) = world.peer();
        assert_eq!((id.slot(), id.generation() as usize), (0, CYCLES + 1));
        let address = world.address;
        drop((world, _stream));
        // io_uring ends a ring in the background; its listener's descriptor goes with it.
        let start = std::time::Instant::now();
        while TcpStream::connect(address).is_ok() || descriptors() != outside {
            assert!(
                start.elapsed().as_secs() < 5,
                "{kind}: the driver leaks descriptors"
            );
        }
    }
}
