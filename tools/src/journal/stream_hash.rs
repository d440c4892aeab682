//! The outbound streams that a replay regenerates, as counts and hashes: what a client was sent today.
//!
//! The hash is of the packets as sent, which is what a stream file holds, so that it can be compared with
//! `sha256sum streams/<day>/<session>.stream`.

use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One session's stream of the trading day.
#[derive(Clone, Default, Debug)]
pub struct StreamOfDay {
    /// Number of the last message.
    pub last_number: u64,
    pub bytes: u64,
    hash: Sha256,
}

impl StreamOfDay {
    pub fn sha256(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

/// Collects what the state machine says.
#[derive(Default, Debug)]
pub struct StreamHashes {
    pub sessions: BTreeMap<u32, StreamOfDay>,
    pub session_name: Option<[u8; 10]>,
}

impl EventSink for StreamHashes {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let mut packet = [0; SEQUENCED_LENGTH_MAX];
        let length = encode_sequenced(to, &event, &mut packet);
        let stream = self.sessions.entry(to.session.0).or_default();
        stream.last_number = to.number.0;
        stream.bytes += length as u64;
        stream.hash.update(&packet[..length]);
    }

    fn control(&mut self, control: &Control) {
        // New streams begin at number 1.
        if let Control::DayOpened { session_name, .. } = control {
            self.sessions.clear();
            self.session_name = Some(*session_name);
        }
    }
}
