//! Socket drivers behind one seam: io_uring first, epoll where the host forbids it.
//!
//! What is here: [`Driver`] (listeners, connections, one duty cycle), [`Handler`] (what a driver
//! tells), [`Connections`] (what may be asked of a connection, also from inside a callback), two
//! drivers that pass the same tests, and [`probe`], which says in words which one this host allows.
//!
//! What this crate must never do: show a descriptor or a ring above the seam, know a protocol, block
//! in [`Driver::poll`], allocate or take a lock after start-up, let one connection take more than one
//! turn in a duty cycle, or keep an unbounded byte for anybody.
//!
//! # One duty cycle
//! ```text
//! driver.poll(&mut handler)      completions → handler callbacks; callbacks may send, pause, close
//! … the rest of the pipeline …   driver.send(…) for what became ready
//! driver.flush()                 everything queued goes to the kernel: at most one `enter`
//! ```
//! Callbacks never re-enter the driver: each gets `&mut Connections`, the sans-I/O half of it, which
//! only notes what is wanted. The other half (ring, receive memory) is borrowed by the loop that calls.
//!
//! # An echo server
//! ```
//! use lockstep_net::*;
//! use std::{io::ErrorKind, net::SocketAddr};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn accepted(&mut self, _: &mut Connections, _: ListenerId, _: ConnectionId, _: SocketAddr) {}
//!     fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), ErrorKind>) {}
//!     fn received(&mut self, to: &mut Connections, id: ConnectionId, bytes: &[u8]) -> usize {
//!         let sent = to.send(id, bytes);
//!         if sent < bytes.len() {
//!             to.pause(id);
//!         }
//!         sent
//!     }
//!     fn sendable(&mut self, to: &mut Connections, id: ConnectionId) {
//!         to.resume(id);
//!     }
//!     fn closed(&mut self, _: &mut Connections, _: ConnectionId, _: CloseReason) {}
//! }
//!
//! # fn main() -> Result<(), NetError> {
//! let mut driver = AnyDriver::new(DriverKind::Auto, &Limits::default())?;
//! let (_, address) = driver.listen("127.0.0.1:0".parse().unwrap(), 128)?;
//! # let mut client = std::net::TcpStream::connect(address).unwrap();
//! # std::io::Write::write_all(&mut client, b"hello").unwrap();
//! # let mut rounds = 0..1_000_000;
//! # while driver.stats().bytes_sent < 5 && rounds.next().is_some() {
//! driver.poll(&mut Echo); // … in a loop
//! driver.flush();
//! # }
//! # assert_eq!(driver.stats().bytes_sent, 5);
//! # Ok(())
//! # }
//! ```
//!
//! # Unsafe
//! Denied everywhere but in `memory`, `socket`, `host`, `uring`, `waker` and `epoll::selector`.

mod accepts;
mod any;
mod closing;
mod connections;
mod delivery;
mod epoll;
mod error;
mod host;
mod inbox;
mod limits;
mod memory;
mod nic;
mod outbound;
mod probe;
mod seam;
mod slot;
mod socket;
mod turns;
mod uring;
mod waker;

pub use any::{AnyDriver, DriverKind, UnknownDriver};
pub use connections::Connections;
pub use epoll::EpollDriver;
pub use error::NetError;
pub use limits::Limits;
pub use nic::NicSettings;
pub use probe::{Lack, ProbeReport, probe};
pub use seam::{Close, CloseReason, ConnectionId, Driver, DriverStats, Handler, ListenerId};
pub use uring::UringDriver;
pub use waker::Waker;
