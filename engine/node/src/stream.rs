//! The stream agent: keeps every numbered message of the day per session, as sent, off the commit path.

use crate::agent::{Agent, Now};
use crate::counters::{Counter, CounterId, Counters};
use crate::egress::{self, TAG_CONTROL, TAG_MESSAGE};
use crate::fatal::Fatal;
use crate::ring::Consumer;
use lockstep_record::SessionId;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Frames taken in one duty cycle.
const FRAMES_MAX: usize = 1024;
/// Messages reach the files at least this often while some are held in memory.
const FLUSH_PERIOD_NS: u64 = 100_000_000;

/// The stream files; `lockstep-journal` implements it.
pub trait StreamStore {
    fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), Fatal>;
    fn append(&mut self, session: SessionId, number: u64, packet: &[u8]) -> Result<(), Fatal>;
    /// Whether it has this packet already, so that a replay need not make it again.
    fn holds(&mut self, session: SessionId, number: u64) -> Result<bool, Fatal>;
    /// Writes what is held in memory.
    fn flush(&mut self) -> Result<(), Fatal>;
    fn holds_unwritten(&self) -> bool;
}

#[derive(Debug)]
pub struct StreamAgent<T> {
    egress: Consumer,
    store: T,
    flush_wanted: Arc<AtomicBool>,
    flush_due_ns: u64,
    bytes: Counter,
}

impl<T: StreamStore> StreamAgent<T> {
    pub fn new(
        egress: Consumer,
        store: T,
        flush_wanted: Arc<AtomicBool>,
        counters: &Counters,
    ) -> Self {
        let bytes = counters.counter(CounterId::StreamBytes);
        Self {
            egress,
            store,
            flush_wanted,
            flush_due_ns: 0,
            bytes,
        }
    }

    fn take_frame(&mut self) -> Result<bool, Fatal> {
        let Some(frame) = self.egress.peek() else {
            return Ok(false);
        };
        match frame.tag {
            TAG_MESSAGE => {
                if let Some(message) = egress::read_message(frame.payload) {
                    self.bytes.add(message.packet.len() as u64);
                    self.store
                        .append(message.session, message.number.0, message.packet)?;
                }
            }
            TAG_CONTROL => {
                if let Some(Control::DayOpened { session_name, .. }) =
                    egress::read_control(frame.payload)
                {
                    self.store.begin_day(&session_name)?;
                }
            }
            other => unreachable!("the engine wrote egress tag {other}"),
        }
        self.egress.advance();
        Ok(true)
    }
}

impl<T: StreamStore> Agent for StreamAgent<T> {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        let mut work = 0;
        while work < FRAMES_MAX && self.take_frame()? {
            work += 1;
        }
        self.egress.publish();
        let wanted = self.flush_wanted.load(Ordering::Relaxed);
        if wanted || now.monotonic_ns >= self.flush_due_ns {
            self.flush_due_ns = now.monotonic_ns + FLUSH_PERIOD_NS;
            if wanted {
                self.flush_wanted.store(false, Ordering::Release);
            }
            if self.store.holds_unwritten() {
                self.store.flush()?;
                work += 1;
            }
        }
        Ok(work)
    }

    fn on_stop(&mut self, _: Now) -> Result<bool, Fatal> {
        if self.egress.peek().is_some() {
            return Ok(false);
        }
        self.store.flush()?;
        Ok(true)
    }

    fn awaits(&self) -> String {
        "messages on their way to the stream files".to_owned()
    }
}

/// Makes what the day's stream files lack while the log is replayed.
#[derive(Debug)]
pub struct StreamSink<'a, T> {
    store: &'a mut T,
    /// The first failure; events cannot fail, so it is looked at after each batch.
    pub failure: Option<Fatal>,
}

impl<'a, T: StreamStore> StreamSink<'a, T> {
    pub fn new(store: &'a mut T) -> Self {
        Self {
            store,
            failure: None,
        }
    }

    /// Writes what is held in memory.
    pub fn flush(&mut self) -> Result<(), Fatal> {
        self.store.flush()
    }

    fn note(&mut self, result: Result<(), Fatal>) {
        if let Err(fatal) = result {
            self.failure.get_or_insert(fatal);
        }
    }
}

impl<T: StreamStore> EventSink for StreamSink<'_, T> {
    #[inline]
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        match self.store.holds(to.session, to.number.0) {
            Ok(false) => {}
            Ok(true) => return,
            Err(fatal) => return self.note(Err(fatal)),
        }
        let mut packet = [0; SEQUENCED_LENGTH_MAX];
        let length = encode_sequenced(to, &event, &mut packet);
        let result = self
            .store
            .append(to.session, to.number.0, &packet[..length]);
        self.note(result);
    }

    fn control(&mut self, control: &Control) {
        if let Control::DayOpened { session_name, .. } = control {
            let result = self.store.begin_day(session_name);
            self.note(result);
        }
    }
}
