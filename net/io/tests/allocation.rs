//! After start-up a driver allocates nothing: not for bytes, splits, back-pressure, nor for connections
//! that come and go. A counting allocator over the whole process, which is why this is a program of one
//! thread without the test harness: the harness's own thread would count too.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId, probe,
};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Echoes whole 16-byte frames; pauses when the out buffer is full.
///
/// What fits of a frame goes out, and its rest is owed: once the rest was taken for the begin of a frame, and a
/// run whose last frame had been cut so waited for bytes that nobody would send, for ever (one run in six).
#[derive(Default)]
struct Frames {
    echoed: usize,
    last: Option<ConnectionId>,
    accepted: u64,
    closed: u64,
    sendable: u64,
}

const FRAME: usize = 16;

impl Handler for Frames {
    fn accepted(
        &mut self,
        _: &mut Connections,
        _: ListenerId,
        connection: ConnectionId,
        _: SocketAddr,
    ) {
        self.last = Some(connection);
        self.accepted += 1;
    }

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), ErrorKind>) {}

    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        let begun = self.echoed % FRAME;
        let whole = ((begun + bytes.len()) / FRAME * FRAME).saturating_sub(begun);
        let sent = connections.send(connection, &bytes[..whole]);
        self.echoed += sent;
        if sent < whole {
            connections.pause(connection);
        }
        sent
    }

    fn sendable(&mut self, connections: &mut Connections, connection: ConnectionId) {
        self.sendable += 1;
        connections.resume(connection);
    }

    fn closed(&mut self, _: &mut Connections, _: ConnectionId, _: CloseReason) {
        self.closed += 1;
    }
}

fn turn(driver: &mut AnyDriver, frames: &mut Frames) {
    driver.poll(frames);
    driver.flush();
}

fn peer(driver: &mut AnyDriver, frames: &mut Frames, address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let before = frames.accepted;
    while frames.accepted == before {
        turn(driver, frames);
    }
    stream
}

/// Pushes bytes in odd pieces until the kernels and the driver take no more, then reads some back.
fn exchange(driver: &mut AnyDriver, frames: &mut Frames, stream: &mut TcpStream, bytes: usize) {
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0u8; 4096];
    while received < bytes {
        let piece = (bytes - sent).min(1 + sent % 777);
        match stream.write(&buffer[..piece]) {
            Ok(count) if count > 0 => sent += count,
            _ => received += stream.read(&mut buffer).unwrap_or(0),
        }
        turn(driver, frames);
    }
}

fn open_and_close(driver: &mut AnyDriver, frames: &mut Frames, address: SocketAddr) {
    for how in [Close::AfterFlush, Close::Now] {
        let mut stream = peer(driver, frames, address);
        exchange(driver, frames, &mut stream, 10 * FRAME);
        let closed = frames.closed;
        driver.close(frames.last.unwrap(), how);
        turn(driver, frames);
        drop(stream);
        while frames.closed == closed {
            turn(driver, frames);
        }
    }
    let outgoing = driver.connect(address).unwrap();
    let accepted = frames.accepted;
    while frames.accepted == accepted || !driver.connections().is_open(outgoing) {
        turn(driver, frames);
    }
    driver.close(outgoing, Close::Now);
    while driver.connections().live() > 1 {
        turn(driver, frames);
    }
}

fn main() {
    let limits = Limits {
        connections_max: 8,
        send_buffer_bytes: 8 * 1024,
        receive_turn_bytes: 1024,
        accept_interval: Duration::ZERO,
        ..Limits::default()
    };
    for kind in [DriverKind::Epoll, DriverKind::IoUring] {
        if let (DriverKind::IoUring, Err(lack)) = (kind, probe().io_uring) {
            eprintln!("SKIP: no io_uring here: {lack}");
            continue;
        }
        let mut driver = AnyDriver::new(kind, &limits).unwrap();
        let (_, address) = driver.listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let mut frames = Frames::default();
        let mut stream = peer(&mut driver, &mut frames, address);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        exchange(&mut driver, &mut frames, &mut stream, 300_000 * FRAME);
        for _ in 0..200 {
            open_and_close(&mut driver, &mut frames, address);
        }
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(count, 0, "{kind} allocates");
        // It was a test of something: back-pressure happened, the counter counts.
        assert!(frames.sendable > 0, "{kind}: the out buffer never ran full");
        assert_eq!(frames.closed, 800);
        assert!(driver.stats().bytes_received > 4_000_000);
        drop(std::hint::black_box(Box::new(1u64)));
        assert!(ALLOCATIONS.load(Ordering::Relaxed) > before);
        println!("no allocation on {kind} ... ok");
    }
}
