//! Where the state machine's events go: encoded into the egress ring, in order, never dropped.
//!
//! One command can cause any number of events (a sweep, the end of the day). When the ring is full the
//! rest of the batch's frames go to a spill reserved at start, and no further batch is applied until the
//! spill has drained: back-pressure reaches the sequencer, then the clients.

use crate::admin::desk::FateSender;
use crate::egress::{self, MESSAGE_HEADER, TAG_CONTROL, TAG_MESSAGE};
use crate::ring::Producer;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};

/// Longest frame's payload.
pub const FRAME_MAX: usize = MESSAGE_HEADER + SEQUENCED_LENGTH_MAX;

#[derive(Debug)]
pub struct EgressSink {
    ring: Producer,
    /// `u32 tag · u32 length · payload` per frame.
    spill: Vec<u8>,
    spill_read: usize,
    events: u64,
    /// Times the ring was found full.
    full: u64,
    /// What became of operators' records goes to their thread, not to gateways.
    fates: Option<FateSender>,
}

impl EgressSink {
    /// `spill_bytes` is reserved, not touched: it costs address space until it is used.
    pub fn new(ring: Producer, spill_bytes: usize) -> Self {
        assert!(ring.payload_max() >= FRAME_MAX);
        Self {
            ring,
            spill: Vec::with_capacity(spill_bytes),
            spill_read: 0,
            events: 0,
            full: 0,
            fates: None,
        }
    }

    /// With somebody to tell what became of operators' records.
    pub fn with_fates(mut self, fates: FateSender) -> Self {
        self.fates = Some(fates);
        self
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn full(&self) -> u64 {
        self.full
    }

    /// Bytes that wait for room in the ring.
    pub fn spilled_length(&self) -> usize {
        self.spill.len() - self.spill_read
    }

    /// Moves spilled frames to the ring; true once none is left.
    #[inline]
    pub fn drain(&mut self) -> bool {
        if self.spill.is_empty() {
            return true;
        }
        self.drain_spill()
    }

    #[cold]
    fn drain_spill(&mut self) -> bool {
        while self.spill_read < self.spill.len() {
            let at = self.spill_read;
            let word = |at: usize| {
                u32::from_le_bytes([
                    self.spill[at],
                    self.spill[at + 1],
                    self.spill[at + 2],
                    self.spill[at + 3],
                ])
            };
            let (tag, length) = (word(at), word(at + 4) as usize);
            if !self.ring.push(tag, &self.spill[at + 8..at + 8 + length]) {
                return false;
            }
            self.spill_read += 8 + length;
        }
        self.spill.clear();
        self.spill_read = 0;
        true
    }

    #[cold]
    fn spill_frame(&mut self, tag: u32, payload: &[u8]) {
        self.full += 1;
        self.spill.extend_from_slice(&tag.to_le_bytes());
        self.spill
            .extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.spill.extend_from_slice(payload);
    }

    #[cold]
    fn spill_message(&mut self, to: &Delivery, event: &Event<'_>) {
        let mut frame = [0; FRAME_MAX];
        let length = encode_sequenced(to, event, &mut frame[MESSAGE_HEADER..]);
        egress::write_message_header(&mut frame, to.session, to.number, length);
        self.spill_frame(TAG_MESSAGE, &frame[..MESSAGE_HEADER + length]);
    }
}

impl EventSink for EgressSink {
    #[inline]
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        self.events += 1;
        if self.spill.is_empty()
            && let Some(space) = self.ring.claim(FRAME_MAX)
        {
            let length = encode_sequenced(to, &event, &mut space[MESSAGE_HEADER..]);
            egress::write_message_header(space, to.session, to.number, length);
            self.ring.commit(TAG_MESSAGE, MESSAGE_HEADER + length);
        } else {
            self.spill_message(to, &event);
        }
    }

    fn control(&mut self, control: &Control) {
        self.events += 1;
        if let Control::OperatorAnswered { .. } = control {
            if let Some(fates) = &mut self.fates {
                fates.send(control);
            }
            return;
        }
        let frame = egress::write_control(control);
        if !self.spill.is_empty() || !self.ring.push(TAG_CONTROL, &frame) {
            self.spill_frame(TAG_CONTROL, &frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring;
    use lockstep_record::event::SystemEventCode;
    use lockstep_record::{SessionId, StreamNumber};

    /// A day end that says a thousand things at once, with a ring that holds a few dozen: all of them
    /// arrive, in order, once.
    #[test]
    fn a_full_ring_spills_and_nothing_is_lost() {
        let (producer, mut consumers) = ring::create(4096, 1).unwrap();
        let mut consumer = consumers.pop().unwrap();
        let mut sink = EgressSink::new(producer, 1 << 20);
        for number in 1..=1000 {
            let to = Delivery {
                session: SessionId(1),
                number: StreamNumber(number),
                time_ns: 7,
            };
            sink.deliver(&to, Event::System(SystemEventCode::StartOfDay));
        }
        sink.control(&Control::DayClosed {
            session_name: *b"         1",
        });
        assert!(sink.full() > 0);
        let mut expected = 1;
        let mut closed = false;
        while !closed {
            sink.drain();
            while let Some(frame) = consumer.peek() {
                if frame.tag == TAG_CONTROL {
                    assert_eq!(expected, 1001);
                    closed = true;
                } else {
                    let message = egress::read_message(frame.payload).unwrap();
                    assert_eq!(message.number.0, expected);
                    expected += 1;
                }
                consumer.advance();
            }
            consumer.publish();
        }
        assert!(sink.drain());
    }
}
