//! All connections of a driver, without the kernel: what callers ask of them and what is wanted next.
//!
//! This is the half of a driver that callbacks may touch. It must never make a system call on the
//! message path: it notes in two queues what the driver has to hand to the kernel (`attention`, drained
//! by `flush`) and what the handler has to be told (`due`, drained by `poll`).

use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::time::Instant;

use crate::closing::ClosingList;
use crate::error::NetError;
use crate::limits::Limits;
use crate::memory::Pool;
use crate::seam::{Close, CloseReason, ConnectionId, DriverStats};
use crate::slot::{Due, Phase, Slot};
use crate::socket;

/// Longest send that goes ahead of longer ones of the same flush: the answers to some five requests.
const SHORT_SEND_BYTES_MAX: usize = 512;

/// The connections of one driver: send, pause, resume, close. Asking anything of a stale or closing
/// connection is a no-op.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    slots: Box<[Slot]>,
    /// Last freed, first used: its memory is the warmest.
    free: Vec<u32>,
    attention: Vec<u32>,
    due: Vec<u32>,
    out: Pool,
    closing: ClosingList,
    pub(crate) stats: DriverStats,
}

impl Connections {
    pub(crate) fn new(limits: &Limits) -> Result<Self, NetError> {
        let count = limits.connections_max;
        Ok(Self {
            limits: *limits,
            slots: (0..count).map(|_| Slot::new()).collect(),
            free: (0..count).rev().collect(),
            attention: Vec::with_capacity(count as usize),
            due: Vec::with_capacity(count as usize),
            out: Pool::map(count, limits.send_buffer_bytes as usize)?,
            closing: ClosingList::new(),
            stats: DriverStats::default(),
        })
    }

    /// The bounds this driver was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Slots in use: connecting, open and closing connections.
    #[must_use]
    pub fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether the connection is open and not closing.
    #[must_use]
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.find(connection)
            .is_some_and(|index| self.slot(index).phase == Phase::Open)
    }

    /// Copies `bytes` into the connection's out buffer and returns how many fit, `0..=bytes.len()`.
    /// Nothing is written to the kernel before the next flush. After a short send the handler is told
    /// by `sendable` once half of the buffer is free. 0 if the connection is not open.
    pub fn send(&mut self, connection: ConnectionId, bytes: &[u8]) -> usize {
        let Some(index) = self.find_open(connection) else {
            return 0;
        };
        let capacity = self.out.piece_bytes();
        let slot = &mut self.slots[index as usize];
        let (first, second) = slot.out.append(capacity, bytes.len());
        let taken = first.len() + second.len();
        if taken < bytes.len() {
            slot.starved = true;
            self.stats.sends_short += 1;
        }
        if taken > 0 {
            let (head, rest) = bytes[..taken].split_at(first.len());
            self.out.bytes_mut(index, first).copy_from_slice(head);
            if !rest.is_empty() {
                self.out.bytes_mut(index, second).copy_from_slice(rest);
            }
            self.attend(index);
        }
        taken
    }

    /// Bytes that were taken by `send` and not yet by the kernel.
    #[must_use]
    pub fn send_pending(&self, connection: ConnectionId) -> usize {
        self.find(connection)
            .map_or(0, |index| self.slot(index).out.length())
    }

    /// Bytes that `send` would take now.
    #[must_use]
    pub fn send_room(&self, connection: ConnectionId) -> usize {
        let open = self.find_open(connection);
        open.map_or(0, |index| {
            self.out.piece_bytes() - self.slot(index).out.length()
        })
    }

    /// Stops reading from the connection. At most one more turn of bytes arrives and is kept; then the
    /// kernel's buffer fills and the peer's TCP window closes. No `received` until `resume`.
    pub fn pause(&mut self, connection: ConnectionId) {
        if let Some(index) = self.find_open(connection) {
            let slot = self.slot_mut(index);
            if !slot.paused {
                slot.paused = true;
                self.stats.pauses += 1;
            }
        }
    }

    /// Reads again; what was kept is offered by the next poll.
    pub fn resume(&mut self, connection: ConnectionId) {
        if let Some(index) = self.find_open(connection) {
            let slot = self.slot_mut(index);
            if slot.paused {
                slot.paused = false;
                slot.due.offer = true;
                self.enqueue_due(index);
            }
        }
    }

    /// Ends the connection; `closed` comes when it is gone. Nothing more is received from it.
    pub fn close(&mut self, connection: ConnectionId, how: Close) {
        let Some(index) = self.find(connection) else {
            return;
        };
        let slot = self.slot_mut(index);
        let reason = if slot.peer_finished {
            CloseReason::PeerClosed
        } else {
            CloseReason::Local
        };
        match (slot.phase, how) {
            (Phase::Free | Phase::Aborting, _) => {}
            (Phase::Draining | Phase::Lingering, Close::AfterFlush) => {}
            (Phase::Open, Close::AfterFlush) => {
                slot.phase = Phase::Draining;
                slot.reason = Some(reason);
                let by = Instant::now() + self.limits.close_wait_max;
                self.closing.push(&mut self.slots, index, by);
                self.attend(index);
            }
            (Phase::Connecting, _) | (_, Close::Now) => self.abort(index, reason),
        }
    }
}

/// For drivers and delivery.
impl Connections {
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    pub(crate) fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    pub(crate) fn phase(&self, index: u32) -> Phase {
        self.slot(index).phase
    }

    pub(crate) fn id(&self, index: u32) -> ConnectionId {
        ConnectionId::new(index, self.slot(index).generation)
    }

    fn find(&self, connection: ConnectionId) -> Option<u32> {
        let slot = self.slots.get(connection.slot() as usize)?;
        let live = slot.phase != Phase::Free && slot.generation == connection.generation();
        live.then_some(connection.slot())
    }

    fn find_open(&self, connection: ConnectionId) -> Option<u32> {
        self.find(connection)
            .filter(|&index| self.slot(index).phase == Phase::Open)
    }

    /// A slot for a new connection, or the socket back if all are in use.
    pub(crate) fn admit(&mut self, phase: Phase, stream: TcpStream) -> Result<u32, TcpStream> {
        let Some(index) = self.free.pop() else {
            return Err(stream);
        };
        self.slot_mut(index)
            .occupy(phase, stream, phase == Phase::Open);
        self.attend(index);
        Ok(index)
    }

    /// Queues the slot for the next flush, once.
    pub(crate) fn attend(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.attended {
            slot.attended = true;
            debug_assert!(self.attention.len() < self.attention.capacity());
            self.attention.push(index);
        }
    }

    /// Swaps this flush's queue into `spare`, which must be empty and of the same capacity.
    pub(crate) fn take_attention(&mut self, spare: &mut Vec<u32>) {
        debug_assert!(spare.is_empty());
        std::mem::swap(&mut self.attention, spare);
        for &index in spare.iter() {
            self.slots[index as usize].attended = false;
        }
    }

    /// What is queued for the connection takes the kernel long.
    pub(crate) fn sends_long(&self, index: u32) -> bool {
        self.slot(index).out.length() > SHORT_SEND_BYTES_MAX
    }

    pub(crate) fn needs_flush(&self) -> bool {
        !self.attention.is_empty()
    }

    /// Queues the slot for the next delivery, once; call after setting a flag of `due`.
    fn enqueue_due(&mut self, index: u32) {
        if !self.slot(index).due_queued {
            self.slot_mut(index).due_queued = true;
            debug_assert!(self.due.len() < self.due.capacity());
            self.due.push(index);
        }
    }

    pub(crate) fn take_due(&mut self, spare: &mut Vec<u32>) {
        debug_assert!(spare.is_empty());
        std::mem::swap(&mut self.due, spare);
        for &index in spare.iter() {
            self.slots[index as usize].due_queued = false;
        }
    }

    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The kernel took `count` bytes from the front of the out buffer.
    pub(crate) fn sent(&mut self, index: u32, count: usize) {
        self.stats.sends += 1;
        self.stats.bytes_sent += count as u64;
        let capacity = self.out.piece_bytes();
        let slot = &mut self.slots[index as usize];
        slot.out.consume(capacity, count);
        let (length, phase) = (slot.out.length(), slot.phase);
        if slot.starved && length <= capacity / 2 {
            slot.starved = false;
            slot.due.sendable = true;
            self.enqueue_due(index);
        }
        if length > 0 || phase != Phase::Open {
            self.attend(index);
        }
    }

    /// The next bytes to send: slot range and memory.
    pub(crate) fn out_front(&self, index: u32) -> Range<usize> {
        let turn = self.limits.send_turn_bytes as usize;
        self.slot(index).out.front(self.out.piece_bytes(), turn)
    }

    pub(crate) fn out_pool(&self) -> &Pool {
        &self.out
    }

    /// Ends the connection without regard to what is queued. The first reason given stays.
    pub(crate) fn abort(&mut self, index: u32, reason: CloseReason) {
        self.closing.remove(&mut self.slots, index);
        let slot = self.slot_mut(index);
        debug_assert!(slot.phase != Phase::Free);
        slot.phase = Phase::Aborting;
        slot.reason.get_or_insert(reason);
        if let Some(stream) = &slot.stream {
            socket::reset_on_close(stream);
        }
        self.attend(index);
    }

    /// An outgoing connection could not be made; the handler is told when the slot is free.
    pub(crate) fn connect_failed(&mut self, index: u32, errno: i32) {
        let kind = io::Error::from_raw_os_error(errno).kind();
        self.slot_mut(index).connect_error = kind;
        self.abort(index, CloseReason::Error(errno));
    }

    /// Moves an orderly close on, if nothing is in flight outwards: ends our side once all is sent,
    /// and says whether both sides are ended and the slot can go.
    pub(crate) fn settle(&mut self, index: u32) -> bool {
        let slot = self.slot_mut(index);
        if slot.phase == Phase::Draining && slot.out.length() == 0 {
            slot.phase = Phase::Lingering;
            if !slot.peer_finished
                && let Some(stream) = &slot.stream
            {
                socket::finish_sending(stream);
            }
        }
        slot.phase == Phase::Lingering && slot.peer_finished
    }

    /// No operation uses the slot any more: the next delivery frees it and tells the handler.
    pub(crate) fn finish(&mut self, index: u32) {
        self.closing.remove(&mut self.slots, index);
        let slot = self.slot_mut(index);
        slot.phase = Phase::Aborting;
        slot.due.finished = true;
        self.enqueue_due(index);
    }

    /// Closes the socket and frees the slot; its id is dead from here on.
    pub(crate) fn release(&mut self, index: u32) {
        let slot = self.slot_mut(index);
        debug_assert!(slot.phase == Phase::Aborting && slot.closes_by.is_none());
        slot.phase = Phase::Free;
        slot.due = Due::default();
        slot.stream = None;
        // A slot whose generations are used up is retired: reuse would repeat an id.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(index);
        }
    }

    pub(crate) fn closing_in_order(&self) -> bool {
        !self.closing.is_empty()
    }

    /// Resets the connections whose peers did not follow an orderly close in time.
    pub(crate) fn cut_overdue_closes(&mut self, now: Instant) {
        while let Some(index) = self.closing.expired(&self.slots, now) {
            self.stats.closes_cut += 1;
            self.abort(index, CloseReason::Local);
        }
    }
}
