//! The io_uring driver.
//!
//! Every operation is single-shot and goes straight between the socket and the connection's own memory:
//! one receive armed behind the kept bytes, one send in flight from the out buffer, one accept per
//! listener. That is what bounds a duty cycle: per connection one turn in and one turn out, per listener
//! one connection, whatever a peer does; and a paused connection is simply not armed again. Connections that
//! always have more to bring make way for others (`turns`).
//! `docs/decisions/0005-…` says why not multishot receives with provided buffers.
//!
//! It must never free or reuse a slot's memory while an operation may use it: a slot is finished only
//! when no completion is outstanding.
#![allow(unsafe_code)]

mod operation;
mod ring;

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::accepts::Accepts;
use crate::connections::Connections;
use crate::delivery::Delivery;
use crate::error::NetError;
use crate::inbox::Inboxes;
use crate::limits::Limits;
use crate::probe;
use crate::seam::{ConnectionId, Driver, DriverStats, Handler, ListenerId};
use crate::slot::Phase;
use crate::socket::{self, Mode, RawAddress};
use crate::turns::{Turn, Turns};
use crate::waker::Waker;

use operation::{Kind, Outstanding, operations_max};
pub(crate) use ring::{Ring, SetupError};

#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    accepting: bool,
    /// Out of descriptors or memory: try again when something was freed, or after a while.
    stalled: bool,
    accepts: Accepts,
}

/// Polls between two looks at deadlines and stalled listeners.
const HOUSEKEEPING_POLLS: u32 = 256;
/// How long a driver that is dropped waits for the kernel to let go of its memory.
const DROP_WAITS_MAX: u32 = 100;
const DROP_WAIT: Duration = Duration::from_millis(10);
/// The memory that operations point to. Leaked rather than freed if the kernel does not let go.
#[derive(Debug)]
struct Memory {
    connections: Connections,
    inboxes: Inboxes,
    addresses: Box<[RawAddress]>,
}

/// The io_uring driver: `SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG`, Linux 6.1 or later.
///
/// An idle poll makes no system call: it reads the completion queue's tail and the TASKRUN flag.
/// It stays on the thread that made it:
///
/// ```compile_fail
/// fn sendable<T: Send>() {}
/// sendable::<lockstep_net::UringDriver>();
/// ```
#[derive(Debug)]
pub struct UringDriver {
    ring: Ring,
    memory: ManuallyDrop<Memory>,
    outstanding: Box<[Outstanding]>,
    turns: Turns,
    listeners: Vec<Listener>,
    attention: Vec<u32>,
    due: Vec<u32>,
    polls_to_housekeeping: u32,
    waker: Option<Waker>,
    /// The kernel looks at the bell.
    bell_armed: bool,
    /// The ring belongs to this thread.
    _not_send: PhantomData<*const ()>,
}

impl UringDriver {
    /// Makes a driver on the thread that will poll it.
    ///
    /// # Errors
    /// [`NetError::Limit`], [`NetError::Memory`], or [`NetError::IoUring`] with what the host lacks.
    pub fn new(limits: &Limits) -> Result<Self, NetError> {
        limits.check()?;
        let operations = operations_max(limits.connections_max, limits.listeners_max);
        let ring = Ring::new(
            operations.next_power_of_two(),
            operations.next_power_of_two(),
        )
        .map_err(|error| NetError::IoUring(probe::explain(&error)))?;
        let count = limits.connections_max as usize;
        let memory = Memory {
            connections: Connections::new(limits)?,
            inboxes: Inboxes::map(limits)?,
            addresses: vec![RawAddress::unset(); count].into_boxed_slice(),
        };
        Ok(Self {
            ring,
            memory: ManuallyDrop::new(memory),
            outstanding: vec![Outstanding::default(); count].into_boxed_slice(),
            turns: Turns::new(limits.connections_max),
            listeners: Vec::with_capacity(limits.listeners_max as usize),
            attention: Vec::with_capacity(count),
            due: Vec::with_capacity(count),
            polls_to_housekeeping: HOUSEKEEPING_POLLS,
            waker: None,
            bell_armed: false,
            _not_send: PhantomData,
        })
    }

    fn arm_listener(&mut self, index: u32) {
        let listener = &mut self.listeners[index as usize];
        listener.accepting = true;
        listener.stalled = false;
        self.ring
            .push_accept(listener.socket.as_raw_fd(), Kind::Accept.tag(index));
    }

    fn socket_of(&self, index: u32) -> RawFd {
        let stream = self.memory.connections.slot(index).stream.as_ref();
        stream.expect("a live slot has a socket").as_raw_fd()
    }

    /// Queues what the slot needs next.
    fn drive(&mut self, index: u32) {
        let outstanding = self.outstanding[index as usize];
        match self.memory.connections.phase(index) {
            Phase::Free => {}
            Phase::Connecting if outstanding.connecting => {}
            Phase::Connecting => self.push_connect(index),
            Phase::Aborting => self.drive_abort(index),
            Phase::Open | Phase::Draining | Phase::Lingering => {
                self.drive_send(index);
                self.drive_receive(index);
                self.drive_close(index);
            }
        }
    }

    fn push_connect(&mut self, index: u32) {
        let socket = self.socket_of(index);
        self.outstanding[index as usize].connecting = true;
        let address = &self.memory.addresses[index as usize];
        let (pointer, length) = (address.pointer(), address.length());
        // SAFETY: the table of addresses never moves, and this entry is written only when the slot is
        // taken, which cannot be before `connecting` is cleared by the completion.
        unsafe {
            self.ring
                .push_connect(socket, pointer, length, Kind::Connect.tag(index))
        };
    }

    fn drive_send(&mut self, index: u32) {
        let connections = &self.memory.connections;
        if self.outstanding[index as usize].sending || !connections.slot(index).wants_send() {
            return;
        }
        let range = connections.out_front(index);
        let (pointer, length) = (connections.out_pool().pointer(index, &range), range.len());
        let socket = self.socket_of(index);
        self.outstanding[index as usize].sending = true;
        // SAFETY: `OutPosition` gives no queued byte out for writing until `sent` consumed it, and the
        // slot is not finished before `sending` is cleared; both happen at the completion.
        unsafe {
            self.ring
                .push_send(socket, pointer, length, Kind::Send.tag(index))
        };
    }

    fn drive_receive(&mut self, index: u32) {
        let outstanding = self.outstanding[index as usize];
        if outstanding.receiving || !self.memory.connections.slot(index).wants_bytes() {
            return;
        }
        let turn = self.turns.ask(index);
        if turn == Turn::Later {
            return;
        }
        let Some(mut range) = self.memory.inboxes.arm(index) else {
            return;
        };
        if turn == Turn::Short {
            let short = self.memory.connections.limits().short_turn_bytes as usize;
            range.end = range.end.min(range.start + short);
        }
        let (pointer, length) = (self.memory.inboxes.pointer(index, &range), range.len());
        let socket = self.socket_of(index);
        self.outstanding[index as usize].receiving = true;
        let (wait_first, tag) = (outstanding.drained, Kind::Receive.tag(index));
        // SAFETY: `Inboxes` shows nothing beyond the kept bytes and moves nothing outside `arm`, which
        // is not called again, nor the slot finished, before the completion clears `receiving`.
        unsafe {
            self.ring
                .push_receive(socket, pointer, length, wait_first, tag)
        };
    }

    fn drive_close(&mut self, index: u32) {
        let outstanding = self.outstanding[index as usize];
        if !outstanding.sending && self.memory.connections.settle(index) && !outstanding.uses_slot()
        {
            self.memory.connections.finish(index);
        }
    }

    fn drive_abort(&mut self, index: u32) {
        let outstanding = self.outstanding[index as usize];
        if !outstanding.uses_slot() {
            self.memory.connections.finish(index);
        } else if !outstanding.cancelling {
            let socket = self.socket_of(index);
            self.outstanding[index as usize].cancelling = true;
            self.ring.push_cancel(socket, Kind::Cancel.tag(index));
        }
    }

    fn complete<H: Handler>(&mut self, handler: &mut H, completion: (u64, i32, u32)) {
        let (user_data, result, flags) = completion;
        let (kind, index) = (Kind::of(user_data), user_data as u32);
        if kind == Kind::Wake {
            self.bell_armed = false;
            return;
        }
        let Memory {
            connections,
            inboxes,
            ..
        } = &mut *self.memory;
        let mut delivery = Delivery {
            connections,
            inboxes,
            handler,
        };
        if kind == Kind::Accept {
            let listener = &mut self.listeners[index as usize];
            return complete_accept(&mut delivery, listener, ListenerId(index), result);
        }
        // The other place where the invariant of `Outstanding` shows: memory was not given away early.
        let phase = delivery.connections.phase(index);
        assert!(
            phase != Phase::Free,
            "a slot was freed under the kernel's hands"
        );
        let outstanding = &mut self.outstanding[index as usize];
        outstanding.ended(kind);
        match kind {
            Kind::Accept | Kind::Cancel | Kind::Wake => {}
            Kind::Connect => {
                delivery.connected(index, if result < 0 { Err(-result) } else { Ok(()) });
            }
            Kind::Receive => {
                outstanding.drained = !Ring::socket_has_more(flags);
                if result > 0 {
                    let emptied = outstanding.drained;
                    self.turns.received(index, result as usize, emptied);
                }
                complete_receive(&mut delivery, index, result);
            }
            Kind::Send => complete_send(&mut delivery, index, result),
        }
        if connections.phase(index) == Phase::Aborting && !outstanding.uses_slot() {
            connections.finish(index);
        }
    }

    /// Work that can wait: deadlines of orderly closes, listeners that ran out of descriptors.
    fn housekeeping<H: Handler>(&mut self, handler: &mut H) {
        self.polls_to_housekeeping = HOUSEKEEPING_POLLS;
        let Memory {
            connections,
            inboxes,
            ..
        } = &mut *self.memory;
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
        self.rearm_listeners();
    }

    fn rearm_listeners(&mut self) {
        for index in 0..self.listeners.len() {
            let listener = &self.listeners[index];
            if !listener.accepting && !listener.stalled && listener.accepts.may_take() {
                self.arm_listener(index as u32);
            }
        }
    }

    fn drive_attention(&mut self) {
        self.turns.begin_cycle();
        while let Some(index) = self.turns.next() {
            self.drive(index);
        }
        if !self.memory.connections.needs_flush() {
            return;
        }
        let mut attention = std::mem::take(&mut self.attention);
        self.memory.connections.take_attention(&mut attention);
        // The kernel sends in this order: who is sent little does not wait for who is sent much.
        attention.retain(|&index| {
            let is_long = self.memory.connections.sends_long(index);
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
}

fn complete_accept<H: Handler>(
    delivery: &mut Delivery<'_, H>,
    listener: &mut Listener,
    id: ListenerId,
    result: i32,
) {
    listener.accepting = false;
    if result >= 0 {
        // SAFETY: the kernel just installed this descriptor for our accept.
        let stream = unsafe { socket::adopt(result) };
        listener.accepts.taken(Instant::now());
        return delivery.accepted(id, stream);
    }
    delivery.connections.stats.accept_errors += 1;
    listener.stalled = socket::accept_should_wait(-result);
}

fn complete_receive<H: Handler>(delivery: &mut Delivery<'_, H>, index: u32, result: i32) {
    match result {
        1.. => delivery.received(index, result as usize),
        0 => delivery.peer_finished(index),
        _ if socket::is_transient(-result) => delivery.connections.attend(index),
        _ => delivery.failed(index, -result),
    }
}

fn complete_send<H: Handler>(delivery: &mut Delivery<'_, H>, index: u32, result: i32) {
    match result {
        0.. => delivery.connections.sent(index, result as usize),
        _ if socket::is_transient(-result) => delivery.connections.attend(index),
        _ => delivery.failed(index, -result),
    }
}

impl Driver for UringDriver {
    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
    ) -> Result<(ListenerId, SocketAddr), NetError> {
        let limits = *self.memory.connections.limits();
        let max = limits.listeners_max;
        if self.listeners.len() >= max as usize {
            return Err(NetError::ListenersFull { max });
        }
        let (socket, bound) = socket::listen(address, backlog, Mode::Blocking)
            .map_err(|source| NetError::Listen { address, source })?;
        let id = ListenerId(self.listeners.len() as u32);
        self.listeners.push(Listener {
            socket,
            accepting: false,
            stalled: false,
            accepts: Accepts::new(limits.accept_burst, limits.accept_interval, Instant::now()),
        });
        self.arm_listener(id.0);
        Ok((id, bound))
    }

    fn connect(&mut self, address: SocketAddr) -> Result<ConnectionId, NetError> {
        let stream = socket::stream(address, Mode::Blocking)
            .map_err(|source| NetError::Socket { address, source })?;
        let memory = &mut *self.memory;
        let max = memory.connections.limits().connections_max;
        let admitted = memory.connections.admit(Phase::Connecting, stream);
        let index = admitted.map_err(|_: TcpStream| NetError::ConnectionsFull { max })?;
        memory.addresses[index as usize] = RawAddress::new(address);
        Ok(memory.connections.id(index))
    }

    fn poll<H: Handler>(&mut self, handler: &mut H) -> usize {
        if !self.ring.has_completions() && self.ring.should_enter() {
            self.ring.enter();
        }
        let events_max = self.memory.connections.limits().events_per_poll_max as usize;
        let mut work = 0;
        while work < events_max
            && let Some(completion) = self.ring.next_completion()
        {
            self.complete(handler, completion);
            work += 1;
        }
        if work > 0 {
            self.rearm_listeners();
        }
        let Memory {
            connections,
            inboxes,
            ..
        } = &mut *self.memory;
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
        let stats = &mut self.memory.connections.stats;
        stats.polls += 1;
        stats.enters = self.ring.enters;
        work
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    fn wait(&mut self, timeout: Duration) {
        self.drive_attention();
        if !self.bell_armed
            && let Some(waker) = &self.waker
        {
            self.bell_armed = true;
            self.ring
                .push_poll(waker.descriptor(), Kind::Wake.tag(u32::MAX));
        }
        if !self.ring.has_completions() && !self.memory.connections.has_due() {
            self.ring.enter_and_wait(timeout);
        }
        self.polls_to_housekeeping = 1;
    }

    fn flush(&mut self) {
        self.drive_attention();
        if self.ring.is_urgent() {
            self.ring.enter();
            self.memory.connections.stats.enters = self.ring.enters;
        }
    }

    fn connections(&mut self) -> &mut Connections {
        &mut self.memory.connections
    }

    fn stats(&self) -> &DriverStats {
        &self.memory.connections.stats
    }
}

impl UringDriver {
    fn outstanding_any(&self) -> bool {
        self.outstanding
            .iter()
            .any(|outstanding| outstanding.uses_slot())
    }

    /// Cancels everything and waits until the kernel holds none of our memory. False if it does not
    /// let go in time.
    fn quiesce(&mut self) -> bool {
        self.ring.push_cancel_all(Kind::Cancel.tag(u32::MAX));
        self.ring.enter();
        for _ in 0..DROP_WAITS_MAX {
            while let Some((user_data, result, _)) = self.ring.next_completion() {
                if Kind::of(user_data) == Kind::Accept && result >= 0 {
                    // SAFETY: the kernel just installed this descriptor for our accept.
                    drop(unsafe { socket::adopt(result) });
                }
                if let Some(outstanding) = self.outstanding.get_mut(user_data as u32 as usize) {
                    outstanding.ended(Kind::of(user_data));
                }
            }
            if !self.outstanding_any() {
                return true;
            }
            self.ring.enter_and_wait(DROP_WAIT);
        }
        false
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        if self.quiesce() {
            // SAFETY: dropped once, here; no operation points into it any more.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}
