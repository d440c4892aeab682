//! Bytes of a connection into command records.

use super::{Gateway, Out, StreamSource, Waiting, reason};
use lockstep_net::ConnectionId;
use lockstep_record::command::Logout;
use lockstep_record::{RECORD_LENGTH_MAX, RecordWriter, Source};
use lockstep_wire::ouch::Inbound;
use lockstep_wire::soup::{self, Input, State};

impl<S: StreamSource> Gateway<S> {
    /// Takes whole packets from the front of `bytes`; returns how many bytes it consumed. What it
    /// leaves comes again: half a packet, or everything while the connection is paused.
    pub fn handle_received(&mut self, id: ConnectionId, bytes: &[u8], out: &mut impl Out) -> usize {
        let mut consumed = 0;
        loop {
            let now_ns = self.now_ns;
            let accepting = self.accepting;
            let Some(connection) = self.connection(id) else {
                return bytes.len();
            };
            if !accepting || connection.paused {
                self.pause(id, out);
                return consumed;
            }
            let before = connection.soup.state();
            let taken = match connection.soup.handle_bytes(&bytes[consumed..], now_ns) {
                Ok(taken) => taken,
                Err(violation) => {
                    let mut answer = [0; soup::DEBUG_PACKET_LENGTH_MAX];
                    let length = violation.encode_answer(&mut answer);
                    self.violate(id, &answer[..length], out);
                    return bytes.len();
                }
            };
            let passed = match taken.input {
                None => true,
                Some(Input::Data(payload)) => match self.take_message(id, payload, out) {
                    Some(passed) => passed,
                    None => return bytes.len(),
                },
                Some(Input::Login(request)) => {
                    self.begin_login(id, &request, out);
                    true
                }
                Some(Input::Logout) => {
                    self.log_out(id, before, out);
                    return bytes.len();
                }
            };
            if !passed {
                return consumed;
            }
            if taken.consumed == 0 {
                return consumed;
            }
            consumed += taken.consumed;
        }
    }

    /// Writes an order-entry message as a record. `Some(false)`: no room now, offer it again.
    /// `None`: the message was illegal and the connection ends.
    #[inline]
    fn take_message(
        &mut self,
        id: ConnectionId,
        payload: &[u8],
        out: &mut impl Out,
    ) -> Option<bool> {
        let message = match Inbound::parse(payload) {
            Ok(message) => message,
            Err(error) => {
                let mut answer = [0; soup::DEBUG_PACKET_LENGTH_MAX];
                let length = soup::encode_debug(&error, &mut answer);
                self.violate(id, &answer[..length], out);
                return None;
            }
        };
        let connection = self.connections[id.slot() as usize].as_ref()?;
        let source = Source {
            session: connection.session,
            epoch: connection.epoch,
            gateway: self.id,
        };
        let Some(space) = self.ingress.claim(RECORD_LENGTH_MAX) else {
            self.counters.ingress_full.add(1);
            self.stalled.push(id);
            self.pause(id, out);
            return Some(false);
        };
        let length = message.write_record(source, space);
        self.ingress.commit(0, length);
        self.counters.messages_in.add(1);
        Some(true)
    }

    /// A client that breaks the protocol: say why, put the disconnect in order, close.
    #[cold]
    fn violate(&mut self, id: ConnectionId, answer: &[u8], out: &mut impl Out) {
        self.counters.violations.add(1);
        if !answer.is_empty() {
            out.send_all(id, answer);
        }
        self.drop_connection(id, reason::VIOLATION, true, out);
    }

    fn log_out(&mut self, id: ConnectionId, before: State, out: &mut impl Out) {
        if before != State::LoggedIn {
            self.drop_connection(id, reason::PEER_CLOSED, false, out);
            return;
        }
        let gateway = self.id;
        let Some(connection) = self.connection(id) else {
            return;
        };
        let source = Source {
            session: connection.session,
            epoch: connection.epoch,
            gateway,
        };
        let logged = self
            .ingress
            .claim(64)
            .map(|space| RecordWriter::new(space, source, &Logout { connection: id.0 }).finish());
        match logged {
            // The state machine answers with ConnectionEnded; then the connection is closed.
            Some(length) => self.ingress.commit(0, length),
            None => self.drop_connection(id, reason::PEER_CLOSED, false, out),
        }
    }

    pub(super) fn pause(&mut self, id: ConnectionId, out: &mut impl Out) {
        if let Some(connection) = self.connection(id)
            && !connection.paused
        {
            connection.paused = true;
            connection.soup.handle_reading_paused();
            out.pause(id);
        }
    }

    pub(super) fn resume(&mut self, id: ConnectionId, out: &mut impl Out) {
        let now_ns = self.now_ns;
        if let Some(connection) = self.connection(id)
            && connection.paused
        {
            connection.paused = false;
            connection.soup.handle_reading_resumed(now_ns);
            out.resume(id);
        }
    }

    /// Reads on from every connection that found the ingress ring full, once it has room again.
    pub(super) fn resume_stalled(&mut self, out: &mut impl Out) {
        if self.stalled.is_empty() || self.ingress.claim(RECORD_LENGTH_MAX).is_none() {
            return;
        }
        while let Some(id) = self.stalled.pop() {
            self.resume(id, out);
        }
    }

    /// Queues a retry; the queue's bound is three entries a connection, which is all it can have.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }
}
