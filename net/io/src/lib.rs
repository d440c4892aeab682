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
//! # Unsafe
//! Denied everywhere but in `memory`, `socket`, `host`, `uring` and `epoll::selector`.

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
mod outbound;
mod probe;
mod seam;
mod slot;
mod socket;
mod uring;

pub use any::{AnyDriver, DriverKind, UnknownDriver};
pub use connections::Connections;
pub use epoll::EpollDriver;
pub use error::NetError;
pub use limits::Limits;
pub use probe::{Lack, ProbeReport, probe};
pub use seam::{Close, CloseReason, ConnectionId, Driver, DriverStats, Handler, ListenerId};
pub use uring::UringDriver;
