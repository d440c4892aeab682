//! One connection's state, the same for every driver.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use crate::outbound::OutPosition;
use crate::seam::CloseReason;

/// Where a connection is in its life. Slots only ever go downwards, and from the last to the first.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Phase {
    /// Nobody's.
    Free,
    /// Ours, on the way out; no bytes yet.
    Connecting,
    /// In use.
    Open,
    /// Closing in order: queued bytes still go out, what comes in is discarded.
    Draining,
    /// Our side is ended; what comes in is discarded until the peer ends its side.
    Lingering,
    /// Ending now: waits only for the kernel to let go of the slot's memory.
    Aborting,
}

/// What the handler is still to be told, delivered by the next poll.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Due {
    pub(crate) offer: bool,
    pub(crate) sendable: bool,
    pub(crate) finished: bool,
}

/// Invariant: a slot is in the free list iff `Free`; in the closing list iff `closes_by` is some.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) out: OutPosition,
    pub(crate) paused: bool,
    /// A send was short: tell the handler when there is room.
    pub(crate) starved: bool,
    /// The peer ended its side; nothing more comes.
    pub(crate) peer_finished: bool,
    /// The handler knows that.
    pub(crate) finish_told: bool,
    /// The handler knows of this connection, so it is owed a `closed`.
    pub(crate) announced: bool,
    /// In the queue of what the driver must look at in its next flush.
    pub(crate) attended: bool,
    pub(crate) due: Due,
    /// In the queue of what the next poll must tell.
    pub(crate) due_queued: bool,
    pub(crate) reason: Option<CloseReason>,
    /// Why it never came to be (outgoing only).
    pub(crate) connect_error: io::ErrorKind,
    pub(crate) stream: Option<TcpStream>,
    pub(crate) closes_by: Option<Instant>,
    pub(crate) closing_previous: u32,
    pub(crate) closing_next: u32,
}

pub(crate) const NONE: u32 = u32::MAX;

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            generation: 1,
            phase: Phase::Free,
            out: OutPosition::default(),
            paused: false,
            starved: false,
            peer_finished: false,
            finish_told: false,
            announced: false,
            attended: false,
            due: Due::default(),
            due_queued: false,
            reason: None,
            connect_error: io::ErrorKind::ConnectionAborted,
            stream: None,
            closes_by: None,
            closing_previous: NONE,
            closing_next: NONE,
        }
    }

    /// Takes the free slot for a new connection.
    pub(crate) fn occupy(&mut self, phase: Phase, stream: TcpStream, announced: bool) {
        debug_assert!(self.phase == Phase::Free && self.stream.is_none());
        self.phase = phase;
        self.out = OutPosition::default();
        self.paused = false;
        self.starved = false;
        self.peer_finished = false;
        self.finish_told = false;
        self.announced = announced;
        self.reason = None;
        self.connect_error = io::ErrorKind::ConnectionAborted;
        self.stream = Some(stream);
    }

    /// Incoming bytes are read only to be dropped.
    pub(crate) fn discards(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Lingering)
    }

    /// A receive should be armed.
    pub(crate) fn wants_bytes(&self) -> bool {
        let open = self.phase == Phase::Open && !self.paused && !self.due.offer;
        !self.peer_finished && (open || self.discards())
    }

    /// Bytes should go out.
    pub(crate) fn wants_send(&self) -> bool {
        self.out.length() > 0 && matches!(self.phase, Phase::Open | Phase::Draining)
    }
}
