//! The way out: numbers an event on its session's stream, digests it, and hands it to the sink.

use crate::digest::Digest;
use crate::session::Sessions;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::{SessionId, StreamNumber, Timestamp};

/// Lives for one batch.
#[derive(Debug)]
pub(crate) struct Outbox<'a, S> {
    pub sink: &'a mut S,
    pub digest: Digest,
    /// ns since the trading day's midnight.
    pub time_ns: u64,
    pub timestamp: Timestamp,
}

impl<S: EventSink> Outbox<'_, S> {
    /// Delivers a numbered event to a defined session, connected or not.
    #[inline(always)]
    pub fn deliver(&mut self, sessions: &mut Sessions, session: SessionId, event: Event<'_>) {
        let stream = &mut sessions.get_mut(session).next_outbound;
        let to = Delivery {
            session,
            number: StreamNumber(*stream),
            time_ns: self.time_ns,
        };
        *stream += 1;
        self.digest.event(&to, &event);
        self.sink.deliver(&to, event);
    }

    pub fn control(&mut self, control: &Control) {
        self.digest.control(control);
        self.sink.control(control);
    }

    /// Wire time counts from this midnight from now on.
    pub fn set_midnight(&mut self, midnight: u64) {
        self.time_ns = self.timestamp.0.saturating_sub(midnight);
    }
}
