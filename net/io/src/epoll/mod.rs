//! The epoll driver, for hosts that forbid io_uring.
//!
//! Every connection is registered once, for edges; what is ready is remembered here, so that the only
//! calls are one `epoll_wait` a poll, one `recv` a turn and one `send` a flush. An idle poll costs that
//! one `epoll_wait`: there is nothing in shared memory to look at instead.
//!
//! It must never read a paused connection, nor one connection twice in a poll.

mod selector;

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::accepts::Accepts;
use crate::connections::Connections;
use crate::delivery::Delivery;
use crate::error::NetError;
use crate::inbox::Inboxes;
use crate::limits::Limits;
use crate::seam::{CloseReason, ConnectionId, Driver, DriverStats, Handler, ListenerId};
use crate::slot::Phase;
use crate::socket::{self, Mode, RawAddress};
use crate::turns::{Turn, Turns};
use crate::waker::Waker;

use selector::{Event, Selector};

/// What is known of a slot's socket since its last edge.
#[derive(Copy, Clone, Default, Debug)]
struct Readiness {
    registered: bool,
    readable: bool,
    writable: bool,
    /// An end or error is pending: a short read does not mean that the socket is empty.
    ended: bool,
    /// In the queue of sockets to read in the next poll.
    queued: bool,
}

#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    readable: bool,
    /// Out of descriptors or memory: try again after a while.
    stalled: bool,
    accepts: Accepts,
}

impl Listener {
    fn may_accept(&self) -> bool {
        self.readable && !self.stalled && self.accepts.may_take()
    }
}

/// Polls between two looks at deadlines and stalled listeners.
const HOUSEKEEPING_POLLS: u32 = 256;

/// A listener's token; a connection's has a generation of at least 1 in its upper half.
const fn listener_token(index: u32) -> u64 {
    index as u64
}

/// The epoll driver.
#[derive(Debug)]
pub struct EpollDriver {
    selector: Selector,
    connections: Connections,
    inboxes: Inboxes,
    addresses: Box<[RawAddress]>,
    readiness: Box<[Readiness]>,
    turns: Turns,
    listeners: Vec<Listener>,
    /// Sockets to read in the next poll, each once.
    ready: Vec<u32>,
    /// Empty between calls; swapped with `ready`, `attention` and `due` while those are worked off.
    spare_ready: Vec<u32>,
    attention: Vec<u32>,
    due: Vec<u32>,
    polls_to_housekeeping: u32,
    waker: Option<Waker>,
    /// As the io_uring driver: belongs to the thread that made it.
    _not_send: PhantomData<*const ()>,
}

impl EpollDriver {
    /// Makes a driver on the thread that will poll it.
    ///
    /// # Errors
    /// [`NetError::Limit`], [`NetError::Memory`] or [`NetError::Epoll`].
    pub fn new(limits: &Limits) -> Result<Self, NetError> {
        limits.check()?;
        let count = limits.connections_max as usize;
        Ok(Self {
            selector: Selector::new(limits.events_per_poll_max as usize)
                .map_err(NetError::Epoll)?,
            connections: Connections::new(limits)?,
            inboxes: Inboxes::map(limits)?,
            addresses: vec![RawAddress::unset(); count].into_boxed_slice(),
            readiness: vec![Readiness::default(); count].into_boxed_slice(),
            turns: Turns::new(limits.connections_max),
            listeners: Vec::with_capacity(limits.listeners_max as usize),
            ready: Vec::with_capacity(count),
            spare_ready: Vec::with_capacity(count),
            attention: Vec::with_capacity(count),
            due: Vec::with_capacity(count),
            polls_to_housekeeping: HOUSEKEEPING_POLLS,
            waker: None,
            _not_send: PhantomData,
        })
    }

    /// Notes an event, unless it is about a connection that is gone.
    fn note<H: Handler>(&mut self, handler: &mut H, event: Event) {
        if event.token >> 32 == 0 {
            self.listeners[event.token as usize].readable = true;
            return;
        }
        let index = event.token as u32;
        if self.connections.id(index) != ConnectionId(event.token) {
            return;
        }
        let readiness = &mut self.readiness[index as usize];
        readiness.ended |= event.ended;
        readiness.writable |= event.writable;
        readiness.readable |= event.readable;
        if event.writable {
            self.connections.attend(index);
        }
        if self.connections.phase(index) == Phase::Connecting && event.writable {
            self.finish_connecting(handler, index);
        }
        if event.readable {
            self.queue_read(index);
        }
    }

    fn finish_connecting<H: Handler>(&mut self, handler: &mut H, index: u32) {
        let pending = self
            .stream(index)
            .and_then(|stream| stream.take_error().transpose());
        let result = match pending {
            None => Ok(()),
            Some(Ok(error) | Err(error)) => Err(errno_of(&error)),
        };
        let (connections, inboxes) = (&mut self.connections, &mut self.inboxes);
        Delivery {
            connections,
            inboxes,
            handler,
        }
        .connected(index, result);
    }

    fn stream(&self, index: u32) -> Option<&TcpStream> {
        self.connections.slot(index).stream.as_ref()
    }

    fn queue_read(&mut self, index: u32) {
        let readiness = &mut self.readiness[index as usize];
        if !readiness.queued {
            readiness.queued = true;
            debug_assert!(self.ready.len() < self.ready.capacity());
            self.ready.push(index);
        }
    }

    /// Takes at most one connection from each listener, so that a flood of them costs the others one
    /// accept a poll.
    fn accept<H: Handler>(&mut self, handler: &mut H) -> usize {
        let mut work = 0;
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !listener.may_accept() {
                continue;
            }
            work += 1;
            let (connections, inboxes) = (&mut self.connections, &mut self.inboxes);
            let mut delivery = Delivery {
                connections,
                inboxes,
                handler,
            };
            match socket::accept(&listener.socket) {
                Ok(stream) => {
                    listener.accepts.taken(Instant::now());
                    delivery.accepted(ListenerId(index as u32), stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.readable = false;
                }
                Err(error) => {
                    delivery.connections.stats.accept_errors += 1;
                    listener.stalled = socket::accept_should_wait(errno_of(&error));
                }
            }
        }
        work
    }

    /// One turn for each readable socket.
    fn read_ready<H: Handler>(&mut self, handler: &mut H) -> usize {
        self.turns.begin_cycle();
        let mut count = 0;
        while let Some(index) = self.turns.next() {
            count += 1;
            self.read(handler, index);
        }
        let mut ready = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare_ready));
        count += ready.len();
        for index in ready.drain(..) {
            self.readiness[index as usize].queued = false;
            self.read(handler, index);
        }
        self.spare_ready = ready;
        count
    }

    fn read<H: Handler>(&mut self, handler: &mut H, index: u32) {
        let (connections, inboxes) = (&mut self.connections, &mut self.inboxes);
        let slot = connections.slot(index);
        if !slot.wants_bytes() || !self.readiness[index as usize].readable {
            return;
        }
        let turn = self.turns.ask(index);
        if turn == Turn::Later {
            return;
        }
        let (Some(mut range), Some(stream)) = (inboxes.arm(index), &slot.stream) else {
            return;
        };
        if turn == Turn::Short {
            let short = connections.limits().short_turn_bytes as usize;
            range.end = range.end.min(range.start + short);
        }
        let room = range.len();
        let result = (&*stream).read(inboxes.armed(index, range));
        let mut delivery = Delivery {
            connections,
            inboxes,
            handler,
        };
        let readiness = &mut self.readiness[index as usize];
        match result {
            Ok(0) => {
                readiness.readable = false;
                delivery.peer_finished(index);
            }
            Ok(count) => {
                readiness.readable = count == room || readiness.ended;
                self.turns.received(index, count, count < room);
                delivery.received(index, count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => readiness.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => delivery.failed(index, errno_of(&error)),
        }
        if readiness.readable {
            self.queue_read(index);
        }
    }

    /// Does what the slot needs next.
    fn drive(&mut self, index: u32) {
        match self.connections.phase(index) {
            Phase::Free => {}
            Phase::Connecting => self.start_connecting(index),
            Phase::Aborting => self.finish(index),
            Phase::Open | Phase::Draining | Phase::Lingering => {
                if !self.readiness[index as usize].registered && !self.register(index) {
                    return;
                }
                self.drive_send(index);
                let wants_bytes = self.connections.slot(index).wants_bytes();
                if wants_bytes && self.readiness[index as usize].readable {
                    self.queue_read(index);
                }
                if self.connections.settle(index) {
                    self.finish(index);
                }
            }
        }
    }

    fn start_connecting(&mut self, index: u32) {
        if self.readiness[index as usize].registered {
            return;
        }
        let Some(stream) = self.stream(index) else {
            return;
        };
        // Whether it stands at once or later, the first edge after registering says so.
        match socket::connect(stream, &self.addresses[index as usize]) {
            Ok(()) => drop(self.register(index)),
            Err(error) => self.connections.connect_failed(index, errno_of(&error)),
        }
    }

    /// Registers the socket, or ends the connection with the reason why it cannot be.
    fn register(&mut self, index: u32) -> bool {
        let token = self.connections.id(index).0;
        let stream = self.connections.slot(index).stream.as_ref();
        let socket = stream.expect("a live slot has a socket").as_raw_fd();
        if let Err(error) = self.selector.add_connection(socket, token) {
            let reason = CloseReason::Error(errno_of(&error));
            self.connections.abort(index, reason);
            return false;
        }
        let readiness = &mut self.readiness[index as usize];
        readiness.registered = true;
        // An accepted socket has room, whatever the first edge will say: try without waiting for it.
        readiness.writable = self.connections.phase(index) == Phase::Open;
        true
    }

    fn drive_send(&mut self, index: u32) {
        let slot = self.connections.slot(index);
        if !slot.wants_send() || !self.readiness[index as usize].writable {
            return;
        }
        let Some(mut stream) = slot.stream.as_ref() else {
            return;
        };
        let range = self.connections.out_front(index);
        let length = range.len();
        match stream.write(self.connections.out_pool().bytes(index, range)) {
            Ok(count) => {
                self.readiness[index as usize].writable = count == length;
                self.connections.sent(index, count);
            }
            Err(error) => self.send_failed(index, &error),
        }
    }

    fn send_failed(&mut self, index: u32, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.readiness[index as usize].writable = false,
            io::ErrorKind::Interrupted => self.connections.attend(index),
            _ => self
                .connections
                .abort(index, CloseReason::of_errno(errno_of(error))),
        }
    }

    fn finish(&mut self, index: u32) {
        let readiness = &mut self.readiness[index as usize];
        *readiness = Readiness {
            queued: readiness.queued,
            ..Readiness::default()
        };
        self.connections.finish(index);
    }

    /// Work that can wait: deadlines of orderly closes, listeners that ran out of descriptors.
    fn housekeeping<H: Handler>(&mut self, handler: &mut H) {
        self.polls_to_housekeeping = HOUSEKEEPING_POLLS;
        let (connections, inboxes) = (&mut self.connections, &mut self.inboxes);
        Delivery {
            connections,
            inboxes,
            handler,
        }
        .cut_overdue_closes();
        for listener in &mut self.listeners {
            listener.stalled = false;
            if !listener.accepts.may_take() {
                listener.accepts.refill(Instant::now());
            }
        }
    }

    fn has_work(&self) -> bool {
        let accepts = self.listeners.iter().any(Listener::may_accept);
        accepts || !self.ready.is_empty() || self.turns.has_waiting() || self.connections.has_due()
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

impl Driver for EpollDriver {
    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
    ) -> Result<(ListenerId, SocketAddr), NetError> {
        let limits = *self.connections.limits();
        let max = limits.listeners_max;
        if self.listeners.len() >= max as usize {
            return Err(NetError::ListenersFull { max });
        }
        let (socket, bound) = socket::listen(address, backlog, Mode::NonBlocking)
            .map_err(|source| NetError::Listen { address, source })?;
        let index = self.listeners.len() as u32;
        self.selector
            .add_listener(socket.as_raw_fd(), listener_token(index))
            .map_err(NetError::Epoll)?;
        self.listeners.push(Listener {
            socket,
            readable: false,
            stalled: false,
            accepts: Accepts::new(limits.accept_burst, limits.accept_interval, Instant::now()),
        });
        Ok((ListenerId(index), bound))
    }

    fn connect(&mut self, address: SocketAddr) -> Result<ConnectionId, NetError> {
        let stream = socket::stream(address, Mode::NonBlocking)
            .map_err(|source| NetError::Socket { address, source })?;
        let max = self.connections.limits().connections_max;
        let admitted = self.connections.admit(Phase::Connecting, stream);
        let index = admitted.map_err(|_| NetError::ConnectionsFull { max })?;
        self.addresses[index as usize] = RawAddress::new(address);
        Ok(self.connections.id(index))
    }

    fn poll<H: Handler>(&mut self, handler: &mut H) -> usize {
        self.selector.fetch();
        while let Some(event) = self.selector.next() {
            self.note(handler, event);
        }
        let mut work = self.read_ready(handler) + self.accept(handler);
        let (connections, inboxes) = (&mut self.connections, &mut self.inboxes);
        work += Delivery {
            connections,
            inboxes,
            handler,
        }
        .run_due(&mut self.due);
        self.polls_to_housekeeping -= 1;
        if self.polls_to_housekeeping == 0 {
            self.housekeeping(handler);
        }
        self.connections.stats.polls += 1;
        self.connections.stats.enters += 1;
        work
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    fn wait(&mut self, timeout: Duration) {
        self.flush();
        if !self.has_work() {
            let bell = self.waker.as_ref().map(Waker::descriptor);
            self.selector.wait(bell, timeout);
        }
        self.polls_to_housekeeping = 1;
    }

    fn flush(&mut self) {
        if !self.connections.needs_flush() {
            return;
        }
        let mut attention = std::mem::take(&mut self.attention);
        self.connections.take_attention(&mut attention);
        // As the io_uring driver: who is sent little does not wait for who is sent much.
        attention.retain(|&index| {
            let is_long = self.connections.sends_long(index);
            if !is_long {
                self.drive(index);
            }
            is_long
        });
        for index in attention.drain(..) {
            self.drive(index);
        }
        self.attention = attention;
    }

    fn connections(&mut self) -> &mut Connections {
        &mut self.connections
    }

    fn stats(&self) -> &DriverStats {
        &self.connections.stats
    }
}
