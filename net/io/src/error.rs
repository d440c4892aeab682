//! What can go wrong when a driver, a listener or a connection is made. After that, trouble is a
//! [`crate::CloseReason`] of one connection or a counter.

use std::io;
use std::net::SocketAddr;

use crate::probe::Lack;

/// An error of start-up or of a command; none of them comes out of a duty cycle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A bound of [`crate::Limits`] is out of range.
    #[error("{what} is {given}; choose a value from {min} to {max}")]
    Limit {
        /// The field's name.
        what: &'static str,
        /// What was given.
        given: u32,
        /// Least allowed.
        min: u32,
        /// Most allowed.
        max: u32,
    },
    /// The address space for the buffers could not be mapped.
    #[error(
        "cannot map {bytes} bytes for connection buffers ({source}); lower connections_max or \
         send_buffer_bytes, or raise the limit on address space (ulimit -v)"
    )]
    Memory {
        /// How much was asked for.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
    },
    /// io_uring was asked for and the host does not allow or have it.
    #[error("io_uring: {0}")]
    IoUring(Lack),
    /// epoll could not be set up.
    #[error("cannot set up epoll ({0}); check the open files limit (ulimit -n)")]
    Epoll(io::Error),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address} ({source}); choose another address or stop what uses it \
         (ss -ltnp shows what does)"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// `listeners_max` listeners exist.
    #[error("all {max} listeners are in use; raise listeners_max")]
    ListenersFull {
        /// The bound.
        max: u32,
    },
    /// `connections_max` connections live.
    #[error("all {max} connections are in use; raise connections_max or close some")]
    ConnectionsFull {
        /// The bound.
        max: u32,
    },
    /// A socket could not be made.
    #[error("cannot make a socket to {address} ({source}); check the open files limit (ulimit -n)")]
    Socket {
        /// Where to.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}
