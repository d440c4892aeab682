//! From what the kernel reported to what the handler is told: the rules that both drivers share.
//!
//! It must never call back about a connection that is closing, nor offer bytes to a paused one.

use std::net::TcpStream;
use std::time::Instant;

use crate::connections::Connections;
use crate::inbox::Inboxes;
use crate::seam::{CloseReason, Handler, ListenerId};
use crate::slot::Phase;

/// The borrows of one poll: connections for the callbacks, inboxes for the bytes they are shown.
pub(crate) struct Delivery<'a, H> {
    pub(crate) connections: &'a mut Connections,
    pub(crate) inboxes: &'a mut Inboxes,
    pub(crate) handler: &'a mut H,
}

impl<H: Handler> Delivery<'_, H> {
    /// A listener accepted `stream`.
    pub(crate) fn accepted(&mut self, listener: ListenerId, stream: TcpStream) {
        let Ok(peer) = stream.peer_addr() else {
            // Reset before we could look: nobody to serve.
            self.connections.stats.accept_errors += 1;
            return;
        };
        // When all slots are taken, dropping the stream closes it at once.
        let Ok(index) = self.connections.admit(Phase::Open, stream) else {
            self.connections.stats.refused_full += 1;
            return;
        };
        self.inboxes.clear(index);
        self.connections.stats.accepted += 1;
        let id = self.connections.id(index);
        self.handler.accepted(self.connections, listener, id, peer);
    }

    /// An outgoing connection stands, or failed with an errno.
    pub(crate) fn connected(&mut self, index: u32, result: Result<(), i32>) {
        if self.connections.phase(index) != Phase::Connecting {
            return;
        }
        match result {
            Ok(()) => {
                self.inboxes.clear(index);
                self.connections.stats.connected += 1;
                let slot = self.connections.slot_mut(index);
                slot.phase = Phase::Open;
                slot.announced = true;
                self.connections.attend(index);
                let id = self.connections.id(index);
                self.handler.connected(self.connections, id, Ok(()));
            }
            Err(errno) => self.connections.connect_failed(index, errno),
        }
    }

    /// `count` bytes (more than 0) arrived in the inbox.
    pub(crate) fn received(&mut self, index: u32, count: usize) {
        let stats = &mut self.connections.stats;
        stats.receives += 1;
        stats.bytes_received += count as u64;
        self.inboxes.grow(index, count);
        let slot = self.connections.slot(index);
        match slot.phase {
            Phase::Open if slot.paused || slot.due.offer => {}
            Phase::Open => self.offer(index),
            _ => self.inboxes.clear(index),
        }
        self.connections.attend(index);
    }

    /// The peer ended its side.
    pub(crate) fn peer_finished(&mut self, index: u32) {
        self.connections.slot_mut(index).peer_finished = true;
        self.connections.attend(index);
        self.tell_finish(index);
    }

    /// Sending or receiving failed for good.
    pub(crate) fn failed(&mut self, index: u32, errno: i32) {
        match self.connections.phase(index) {
            Phase::Free | Phase::Aborting => self.connections.attend(index),
            _ => self.connections.abort(index, CloseReason::of_errno(errno)),
        }
    }

    /// Delivers what became due outside of kernel events: resumed bytes, room, ends. Returns how many.
    #[inline]
    pub(crate) fn run_due(&mut self, spare: &mut Vec<u32>) -> usize {
        if self.connections.has_due() {
            self.run_all_due(spare)
        } else {
            0
        }
    }

    fn run_all_due(&mut self, spare: &mut Vec<u32>) -> usize {
        self.connections.take_due(spare);
        let count = spare.len();
        for index in spare.drain(..) {
            self.run_due_of(index);
        }
        count
    }

    fn run_due_of(&mut self, index: u32) {
        let slot = self.connections.slot_mut(index);
        let due = std::mem::take(&mut slot.due);
        if due.finished {
            return self.finish(index);
        }
        if due.offer && self.open_and_reading(index) {
            if self.inboxes.kept_bytes(index) > 0 {
                self.offer(index);
            }
            self.tell_finish(index);
            self.connections.attend(index);
        }
        if due.sendable && self.connections.phase(index) == Phase::Open {
            let id = self.connections.id(index);
            self.handler.sendable(self.connections, id);
        }
    }

    /// Resets what did not close in time. Reads the clock only if something is closing.
    pub(crate) fn cut_overdue_closes(&mut self) {
        if self.connections.closing_in_order() {
            self.connections.cut_overdue_closes(Instant::now());
        }
    }

    fn open_and_reading(&self, index: u32) -> bool {
        let slot = self.connections.slot(index);
        slot.phase == Phase::Open && !slot.paused
    }

    /// Shows the handler all that is kept, once.
    fn offer(&mut self, index: u32) {
        let id = self.connections.id(index);
        let bytes = self.inboxes.offer(index);
        let consumed = self.handler.received(self.connections, id, bytes);
        self.inboxes.consume(index, consumed);
        if self.open_and_reading(index) && self.inboxes.tail_overflows(index) {
            self.connections.stats.tail_overflows += 1;
            self.connections.abort(index, CloseReason::TailOverflow);
        }
    }

    /// Tells once that the peer ended its side, when every byte before that was offered.
    fn tell_finish(&mut self, index: u32) {
        let reading = self.open_and_reading(index);
        let slot = self.connections.slot_mut(index);
        if reading && slot.peer_finished && !slot.finish_told && !slot.due.offer {
            slot.finish_told = true;
            let id = self.connections.id(index);
            self.handler.peer_finished(self.connections, id);
        }
    }

    /// The slot is nobody's any more: frees it and tells the handler.
    fn finish(&mut self, index: u32) {
        let id = self.connections.id(index);
        let slot = self.connections.slot(index);
        let (announced, error) = (slot.announced, slot.connect_error);
        let reason = slot.reason.unwrap_or(CloseReason::Local);
        self.connections.release(index);
        if announced {
            self.connections.stats.closed += 1;
            self.handler.closed(self.connections, id, reason);
        } else {
            self.handler.connected(self.connections, id, Err(error));
        }
    }
}
