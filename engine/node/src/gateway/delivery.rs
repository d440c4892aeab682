//! Numbered messages and controls from the egress ring to connections; replay for those behind.

use super::login::AcceptedLogin;
use super::{Connection, Gateway, Out, StreamSource};
use crate::egress::{self, Message, TAG_CONTROL, TAG_MESSAGE};
use crate::fatal::Fatal;
use lockstep_net::ConnectionId;
use lockstep_record::SessionId;
use lockstep_record::event::{ConnectionEnd, Control};
use lockstep_wire::soup;
use std::sync::atomic::Ordering;

/// Room in a send buffer below which nothing is replayed: the longest packet a stream can hold.
const REPLAY_ROOM_MIN: usize = 4096;
/// Frames taken from the egress ring in one duty cycle, so that reading is never starved.
const EGRESS_FRAMES_MAX: usize = 512;

impl<S: StreamSource> Gateway<S> {
    pub(super) fn take_egress(&mut self, out: &mut impl Out) -> usize {
        let mut work = 0;
        while work < EGRESS_FRAMES_MAX {
            let Some(frame) = self.egress.peek() else {
                break;
            };
            match frame.tag {
                TAG_MESSAGE => {
                    if let Some(message) = egress::read_message(frame.payload) {
                        let sent = deliver(
                            &mut self.sessions,
                            &mut self.connections,
                            &mut self.behind,
                            self.now_ns,
                            &message,
                            out,
                        );
                        self.counters.messages_out.add(u64::from(sent));
                    }
                }
                TAG_CONTROL => {
                    if let Some(control) = egress::read_control(frame.payload) {
                        self.handle_control(&control, out);
                    }
                }
                other => unreachable!("the engine wrote egress tag {other}"),
            }
            self.egress.advance();
            work += 1;
        }
        self.egress.publish();
        work
    }

    fn handle_control(&mut self, control: &Control, out: &mut impl Out) {
        match *control {
            Control::LoginAccepted {
                gateway,
                connection,
                session,
                epoch,
                session_name,
                first_number,
                next_number,
            } if gateway == self.id => self.accept_login(
                &AcceptedLogin {
                    id: ConnectionId(connection),
                    session,
                    epoch,
                    first: first_number,
                    next: next_number,
                    session_name,
                },
                out,
            ),
            Control::LoginRejected {
                gateway,
                connection,
                reason,
            } if gateway == self.id => {
                self.reject_login(ConnectionId(connection), reason, out);
            }
            Control::ConnectionEnded {
                gateway,
                connection,
                why,
                ..
            } if gateway == self.id => {
                let goodbye = why == ConnectionEnd::Superseded;
                self.end_connection(ConnectionId(connection), goodbye, out);
            }
            Control::DayOpened { session_name, .. } => self.open_streams(&session_name, out),
            Control::DayClosed { .. } => self.close_streams(out),
            // Another gateway's connection.
            _ => {}
        }
    }

    /// The state machine ended the connection, which needs no Disconnect record; with `Z` if it was not
    /// the client's own wish.
    pub(super) fn end_connection(
        &mut self,
        id: ConnectionId,
        say_goodbye: bool,
        out: &mut impl Out,
    ) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let session = std::mem::replace(&mut connection.session, SessionId::NONE);
        let mut goodbye = [0; soup::END_OF_SESSION.len()];
        if say_goodbye && connection.soup.end_of_session(&mut goodbye).is_some() {
            out.send_all(id, &goodbye);
        }
        connection.soup.end();
        if let Some(entry) = self.sessions.get_mut(session.0 as usize)
            && entry.slot == Some(id.slot())
        {
            entry.slot = None;
        }
        out.close_after_flush(id);
    }

    /// New streams begin at 1. A connection still reading the old day's stream can read no further.
    fn open_streams(&mut self, session_name: &[u8; 10], out: &mut impl Out) {
        self.streams.begin_day(session_name);
        self.day_over = false;
        for slot in 0..self.connections.len() {
            if let Some(id) = self.connections[slot]
                .as_ref()
                .filter(|c| c.ending)
                .map(|c| c.id)
            {
                self.end_connection(id, false, out);
            }
        }
        for entry in &mut self.sessions {
            *entry = super::SessionEntry {
                slot: None,
                next_number: 1,
            };
        }
    }

    /// The day's last message has been numbered: whoever has it gets `Z`, others when they do.
    fn close_streams(&mut self, out: &mut impl Out) {
        self.day_over = true;
        for slot in 0..self.connections.len() {
            let Some(connection) = self.connections[slot].as_mut() else {
                continue;
            };
            if connection.session == SessionId::NONE {
                continue;
            }
            connection.ending = true;
            let (id, behind) = (connection.id, connection.behind);
            self.pause(id, out);
            if !behind {
                self.end_connection(id, true, out);
            }
        }
    }

    /// Sends stored messages to connections that are behind, as far as their buffers have room.
    pub(super) fn serve_behind(&mut self, out: &mut impl Out) -> Result<usize, Fatal> {
        if self.behind.is_empty() {
            return Ok(0);
        }
        let mut work = 0;
        let mut i = 0;
        while i < self.behind.len() {
            let slot = self.behind[i] as usize;
            match self.replay_to(slot, out)? {
                Replay::Done => {
                    self.behind.swap_remove(i);
                    work += 1;
                }
                Replay::Sent => {
                    work += 1;
                    i += 1;
                }
                Replay::Waits => i += 1,
            }
        }
        self.counters.behind.set(self.behind.len() as u64);
        Ok(work)
    }

    fn replay_to(&mut self, slot: usize, out: &mut impl Out) -> Result<Replay, Fatal> {
        let now_ns = self.now_ns;
        let Some(connection) = self.connections[slot].as_mut().filter(|c| c.behind) else {
            return Ok(Replay::Done);
        };
        let (id, session) = (connection.id, connection.session);
        let Some(entry) = self.sessions.get(session.0 as usize) else {
            return Ok(Replay::Done);
        };
        if session == SessionId::NONE {
            return Ok(Replay::Done);
        }
        if connection.next_to_send >= entry.next_number {
            connection.behind = false;
            if connection.ending {
                self.end_connection(id, true, out);
            }
            return Ok(Replay::Done);
        }
        let room = out.send_room(id).min(self.scratch.len());
        if room < REPLAY_ROOM_MIN {
            return Ok(Replay::Waits);
        }
        let from = connection.next_to_send;
        let (bytes, packets) = self
            .streams
            .read(session, from, &mut self.scratch[..room])?;
        if packets == 0 {
            self.flush_wanted.store(true, Ordering::Release);
            return Ok(Replay::Waits);
        }
        let sent = out.send_all(id, &self.scratch[..bytes]);
        assert!(sent, "the driver took less than the room it stated");
        connection.next_to_send += packets;
        connection.soup.handle_sent(now_ns);
        self.counters.replayed.add(bytes as u64);
        Ok(Replay::Sent)
    }
}

/// Outcome of one replay step.
enum Replay {
    /// Caught up, or gone.
    Done,
    Sent,
    /// No room, or the stream store has not written the messages yet.
    Waits,
}

/// Hands a live message to its session's connection; true if it was taken.
#[inline]
fn deliver(
    sessions: &mut [super::SessionEntry],
    connections: &mut [Option<Connection>],
    behind: &mut Vec<u32>,
    now_ns: u64,
    message: &Message<'_>,
    out: &mut impl Out,
) -> bool {
    let Some(entry) = sessions.get_mut(message.session.0 as usize) else {
        return false;
    };
    entry.next_number = message.number.0 + 1;
    let Some(slot) = entry.slot else { return false };
    let Some(connection) = connections[slot as usize].as_mut() else {
        return false;
    };
    if connection.behind || connection.next_to_send != message.number.0 {
        return false;
    }
    if out.send_all(connection.id, message.packet) {
        connection.next_to_send += 1;
        connection.soup.handle_sent(now_ns);
        return true;
    }
    connection.behind = true;
    behind.push(slot);
    false
}
