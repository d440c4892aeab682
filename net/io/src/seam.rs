//! The seam: ids, callbacks, the driver's verbs. No descriptor, ring or address of memory crosses it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connections::Connections;
use crate::error::NetError;
use crate::waker::Waker;

/// One connection, for ever: `generation: u32 << 32 | slot: u32`, generation from 1.
///
/// A slot's generation rises each time it is freed and a slot whose generations are used up is
/// retired, so an id is never reused: whatever is asked with a stale id is a no-op.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// The slot, `0..connections_max`: an index for the caller's own per-connection table.
    /// Unique among live connections only; compare the whole id before trusting a table entry.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// How often the slot was taken before, plus one.
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A listening socket of one driver; ids count up from 0 in the order of [`Driver::listen`].
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub struct ListenerId(pub u32);

/// How to end a connection.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Close {
    /// Send what is queued, then end our side, then discard what the peer still sends until it ends
    /// its side, so that an unread byte of its never turns our last words into a reset. Cut off
    /// (with a reset) after [`crate::Limits::close_wait_max`].
    AfterFlush,
    /// Drop what is queued and reset the connection: for a peer that is owed nothing.
    Now,
}

/// Why a connection ended.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum CloseReason {
    /// The peer ended its side first, in order.
    PeerClosed,
    /// The peer, or the network, reset the connection.
    Reset,
    /// We asked for it.
    Local,
    /// The handler left more than `receive_tail_max` bytes unconsumed while not paused: a frame
    /// longer than any that the protocol allows should have been refused by its header.
    TailOverflow,
    /// Any other error, as an errno.
    Error(i32),
}

impl CloseReason {
    pub(crate) fn of_errno(errno: i32) -> Self {
        match errno {
            libc::ECONNRESET | libc::EPIPE => Self::Reset,
            errno => Self::Error(errno),
        }
    }
}

/// What a driver tells, always from inside [`Driver::poll`].
///
/// Every callback may use `connections` to send, pause, resume or close this or any connection.
pub trait Handler {
    /// A peer connected. Exactly one [`Handler::closed`] follows.
    fn accepted(
        &mut self,
        connections: &mut Connections,
        listener: ListenerId,
        connection: ConnectionId,
        peer: SocketAddr,
    );

    /// The outcome of [`Driver::connect`]. After `Ok`, exactly one [`Handler::closed`] follows; after
    /// an error the id is dead and nothing follows.
    fn connected(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        result: Result<(), io::ErrorKind>,
    );

    /// Bytes in order; returns how many were consumed (at most `bytes.len()`).
    ///
    /// Consume as many whole frames as there are. The rest is kept, at most `receive_tail_max`, and
    /// offered again, contiguous with what follows, once more arrived: the bytes are parsed where the
    /// kernel put them, and a split frame costs one small move. A handler that stops early for any
    /// other reason than a missing byte must [`Connections::pause`]; the rest is offered again after
    /// [`Connections::resume`].
    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize;

    /// The peer ended its side and every byte of it was offered; ours still works until it is closed.
    ///
    /// The default ends ours as well, after what is queued. A handler that replaces this must close
    /// the connection itself, sooner or later: nothing else may tell it that the peer is gone.
    fn peer_finished(&mut self, connections: &mut Connections, connection: ConnectionId) {
        connections.close(connection, Close::AfterFlush);
    }

    /// After a [`Connections::send`] that took less than it was given: at least half of the out
    /// buffer is free again.
    fn sendable(&mut self, connections: &mut Connections, connection: ConnectionId);

    /// The connection is gone and its id is dead. Exactly once per accepted or connected connection.
    fn closed(&mut self, connections: &mut Connections, connection: ConnectionId, why: CloseReason);
}

/// A socket driver: one thread's listeners and connections.
///
/// Not `Send`: an io_uring ring belongs to the thread that made it, so a driver is made on the thread
/// that polls it.
pub trait Driver {
    /// Listens on `address` (port 0: the system chooses) with a queue of `backlog` connections.
    /// Returns the id and the bound address.
    ///
    /// # Errors
    /// [`NetError::ListenersFull`], or [`NetError::Listen`] with the address and the system's reason.
    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
    ) -> Result<(ListenerId, SocketAddr), NetError>;

    /// Starts a connection to `address`; the outcome comes by [`Handler::connected`].
    ///
    /// # Errors
    /// [`NetError::ConnectionsFull`] or [`NetError::Socket`].
    fn connect(&mut self, address: SocketAddr) -> Result<ConnectionId, NetError>;

    /// One duty cycle: takes what the kernel has, calls `handler`, never blocks. Returns how many
    /// things it did; 0 means idle. A connection gets at most one `received` per call out of new
    /// bytes, of at most `receive_turn_bytes` of them.
    fn poll<H: Handler>(&mut self, handler: &mut H) -> usize;

    /// From now on `wait` also ends when this is rung. Once a driver.
    fn set_waker(&mut self, waker: &Waker);

    /// Flushes, then blocks until there may be work or `timeout` passed (idle strategies that park).
    fn wait(&mut self, timeout: Duration);

    /// Hands everything that was asked since the last call to the kernel: at most one `enter` for
    /// io_uring, one `send` per connection that has bytes for epoll. Never blocks.
    fn flush(&mut self);

    /// The connections' verbs, outside callbacks.
    fn connections(&mut self) -> &mut Connections;

    /// Counters since the driver was made.
    fn stats(&self) -> &DriverStats;

    /// See [`Connections::send`].
    fn send(&mut self, connection: ConnectionId, bytes: &[u8]) -> usize {
        self.connections().send(connection, bytes)
    }

    /// See [`Connections::send_pending`].
    fn send_pending(&mut self, connection: ConnectionId) -> usize {
        self.connections().send_pending(connection)
    }

    /// See [`Connections::send_room`].
    fn send_room(&mut self, connection: ConnectionId) -> usize {
        self.connections().send_room(connection)
    }

    /// See [`Connections::pause`].
    fn pause(&mut self, connection: ConnectionId) {
        self.connections().pause(connection);
    }

    /// See [`Connections::resume`].
    fn resume(&mut self, connection: ConnectionId) {
        self.connections().resume(connection);
    }

    /// See [`Connections::close`].
    fn close(&mut self, connection: ConnectionId, how: Close) {
        self.connections().close(connection, how);
    }
}

/// What a driver did since it was made. Plain counters, written by its thread alone.
#[derive(Copy, Clone, Default, Eq, PartialEq, Debug)]
#[non_exhaustive]
pub struct DriverStats {
    /// Duty cycles.
    pub polls: u64,
    /// `io_uring_enter`, or `epoll_wait`, calls.
    pub enters: u64,
    /// Connections accepted and served.
    pub accepted: u64,
    /// Connections accepted and closed at once because `connections_max` were live.
    pub refused_full: u64,
    /// Accepts that failed (out of descriptors, peer gone already).
    pub accept_errors: u64,
    /// Outgoing connections established.
    pub connected: u64,
    /// Connections ended, of those that were accepted or connected.
    pub closed: u64,
    /// Receives that brought bytes.
    pub receives: u64,
    /// Bytes received, discarded ones included.
    pub bytes_received: u64,
    /// Sends that the kernel took at least a byte of.
    pub sends: u64,
    /// Bytes that the kernel took.
    pub bytes_sent: u64,
    /// `send` calls that took less than they were given.
    pub sends_short: u64,
    /// `pause` calls that changed something.
    pub pauses: u64,
    /// Connections ended by [`CloseReason::TailOverflow`].
    pub tail_overflows: u64,
    /// Orderly closes cut off because the peer did not follow within `close_wait_max`.
    pub closes_cut: u64,
}
