//! Bytes of a connection into command records.

use super::{Gateway, Out, StreamSource, Waiting, reason};
use lockstep_net::ConnectionId;
use lockstep_record::command::Logout;
use lockstep_record::{ConnectionEpoch, RECORD_LENGTH_MAX, RecordWriter, SessionId, Source};
use lockstep_wire::ouch::Inbound;
use lockstep_wire::soup::{self, Input, State};

/// Room in the ingress ring that a connection is let go on with: half the smallest ring that the
/// configuration allows, and more than the records of one turn of the driver (2 KiB of the shortest messages).
pub(super) const TURN_ROOM_BYTES: u64 = 32 << 10;

impl<S: StreamSource> Gateway<S> {
    /// Takes whole packets from the front of `bytes`; returns how many bytes it consumed. What it
    /// leaves comes again: half a packet, or everything while the connection is paused.
    pub fn handle_received(&mut self, id: ConnectionId, bytes: &[u8], out: &mut impl Out) -> usize {
        let consumed = self.take_packets(id, bytes, out);
        if let Some(connection) = self.connection(id) {
            connection.has_turn = false;
        }
        consumed
    }

    fn take_packets(&mut self, id: ConnectionId, bytes: &[u8], out: &mut impl Out) -> usize {
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
        // Room that comes free belongs to who has waited longest.
        let must_wait = !self.stalled.is_empty() && !connection.has_turn;
        let space = if must_wait {
            None
        } else {
            self.ingress.claim(RECORD_LENGTH_MAX)
        };
        let Some(space) = space else {
            self.counters.ingress_full.add(1);
            self.stalled.push_back(id);
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
        let Some(connection) = self.connection(id) else {
            return;
        };
        let (session, epoch) = (connection.session, connection.epoch);
        // In order behind what waits already. The state machine answers with ConnectionEnded; then the
        // connection is closed.
        if !self.waiting.is_empty() || !self.write_logout(id, session, epoch) {
            self.wait(Waiting::Logout(id, session, epoch));
        }
    }

    /// Puts a logout in order; false if the ring is full.
    pub(super) fn write_logout(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        epoch: ConnectionEpoch,
    ) -> bool {
        let source = Source {
            session,
            epoch,
            gateway: self.id,
        };
        let Some(space) = self.ingress.claim(64) else {
            return false;
        };
        let length = RecordWriter::new(space, source, &Logout { connection: id.0 }).finish();
        self.ingress.commit(0, length);
        true
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

    /// Lets connections that waited for the ingress ring go on, longest wait first, as many as there is
    /// room for all that each can bring in one turn: nobody's turn ends at once for lack of room.
    pub(super) fn resume_stalled(&mut self, out: &mut impl Out) {
        if self.stalled.is_empty() {
            return;
        }
        let mut room = self.ingress.room_bytes();
        while room >= TURN_ROOM_BYTES
            && let Some(id) = self.stalled.pop_front()
        {
            if let Some(connection) = self.connection(id).filter(|c| !c.ending) {
                room -= TURN_ROOM_BYTES;
                connection.has_turn = true;
                self.resume(id, out);
            }
        }
    }

    /// Queues a retry; the queue's bound is three entries a connection, which is all it can have.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }
}
