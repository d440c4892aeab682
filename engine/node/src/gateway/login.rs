//! Logins: password on the helper thread, record in the log, answer when it is committed.

use super::{Gateway, Out, StreamSource, Waiting, reason};
use crate::auth::Verdict;
use lockstep_net::ConnectionId;
use lockstep_record::command::Login;
use lockstep_record::event::LoginRejectReason;
use lockstep_record::{
    ConnectionEpoch, RECORD_LENGTH_MAX, RecordWriter, SessionId, Source, StreamNumber,
};
use lockstep_wire::soup::{self, LoginRequest};

impl<S: StreamSource> Gateway<S> {
    pub(super) fn begin_login(
        &mut self,
        id: ConnectionId,
        request: &LoginRequest<'_>,
        out: &mut impl Out,
    ) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let (peer, user) = (connection.peer, request.user());
        let body = request.to_command(id.0, peer);
        connection.login = Some((body, user, request.password()));
        self.pause(id, out);
        let now_ns = self.now_ns;
        if self.limits.allows(user.padded(), peer.ip(), now_ns) {
            self.unverified.push_back(id);
        } else {
            self.counters.logins_limited.add(1);
            self.reject_login(id, LoginRejectReason::NotAuthorized, out);
        }
    }

    /// Hands the password to the helper thread; false if its queue is full.
    pub(super) fn request_verdict(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self
            .connections
            .get(id.slot() as usize)
            .and_then(Option::as_ref)
        else {
            return true;
        };
        match &connection.login {
            Some((_, user, password)) if connection.id == id => {
                let address = connection.peer.ip();
                self.verifier.request(id.0, address, user, *password)
            }
            _ => true,
        }
    }

    pub(super) fn poll_verdicts(&mut self, out: &mut impl Out) -> usize {
        let mut work = 0;
        while let Some(verdict) = self.verifier.poll() {
            work += 1;
            let id = ConnectionId(verdict.connection);
            self.note_verdict(&verdict);
            match verdict.session {
                Some(session) => self.wait(Waiting::Login(id, SessionId(session))),
                None => self.reject_login(id, LoginRejectReason::NotAuthorized, out),
            }
        }
        work
    }

    fn note_verdict(&mut self, verdict: &Verdict) {
        let now_ns = self.now_ns;
        let (user, ip) = (*verdict.user.padded(), verdict.address);
        match verdict.session {
            Some(_) => self.limits.note_success(&user, ip, now_ns),
            None => self.limits.note_failure(&user, verdict.known, ip, now_ns),
        }
    }

    /// Puts a verified login in order; false if the ring is full.
    pub(super) fn write_login(&mut self, id: ConnectionId, session: SessionId) -> bool {
        let gateway = self.id;
        let Some(connection) = self.connection(id) else {
            return true;
        };
        let Some((body, ..)) = connection.login else {
            return true;
        };
        let source = Source {
            session,
            epoch: ConnectionEpoch(0),
            gateway,
        };
        let Some(space) = self.ingress.claim(RECORD_LENGTH_MAX) else {
            return false;
        };
        let length = RecordWriter::new::<Login>(space, source, &body).finish();
        self.ingress.commit(0, length);
        true
    }

    pub(super) fn reject_login(
        &mut self,
        id: ConnectionId,
        why: LoginRejectReason,
        out: &mut impl Out,
    ) {
        self.counters.logins_rejected.add(1);
        let Some(connection) = self.connection(id) else {
            return;
        };
        let mut answer = [0; soup::LOGIN_REJECTED_FRAME_LENGTH];
        if connection.soup.login_rejected(why, &mut answer).is_some() {
            out.send_all(id, &answer);
        }
        self.drop_connection(id, reason::PEER_CLOSED, true, out);
    }

    /// The login is committed: answer it, replay what the client lacks, read on.
    pub(super) fn accept_login(&mut self, accepted: &AcceptedLogin, out: &mut impl Out) {
        let AcceptedLogin {
            id,
            session,
            epoch,
            first,
            next,
            ref session_name,
        } = *accepted;
        if let Some(entry) = self.sessions.get_mut(session.0 as usize) {
            entry.next_number = next.0;
        }
        let now_ns = self.now_ns;
        let Some(connection) = self.connection(id) else {
            // It closed while its login was on the way: the state machine believes it connected.
            self.wait(Waiting::Disconnect(id, session, epoch, reason::PEER_CLOSED));
            return;
        };
        let mut answer = [0; soup::LOGIN_ACCEPTED_FRAME_LENGTH];
        if connection
            .soup
            .login_accepted(session_name, first, now_ns, &mut answer)
            .is_none()
        {
            self.wait(Waiting::Disconnect(id, session, epoch, reason::PEER_CLOSED));
            return;
        }
        connection.session = session;
        connection.epoch = epoch;
        connection.login = None;
        connection.next_to_send = first.0;
        connection.behind = first < next;
        let behind = connection.behind;
        if behind {
            self.behind.push(id.slot());
        }
        if self.day_over {
            self.read_closed_day(id, behind, &answer, out);
            return;
        }
        if let Some(entry) = self.sessions.get_mut(session.0 as usize) {
            entry.slot = Some(id.slot());
        }
        self.counters.logins_accepted.add(1);
        out.send_all(id, &answer);
        self.resume(id, out);
    }
}

impl<S: StreamSource> Gateway<S> {
    /// A login after the day's end: the rest of the stream, then `Z`. It is no connection of the session's, so
    /// nothing is read from it, and its end is nobody's business.
    fn read_closed_day(
        &mut self,
        id: ConnectionId,
        behind: bool,
        answer: &[u8],
        out: &mut impl Out,
    ) {
        self.counters.logins_accepted.add(1);
        out.send_all(id, answer);
        if let Some(connection) = self.connection(id) {
            connection.ending = true;
        }
        if !behind {
            self.end_connection(id, true, out);
        }
    }
}

/// `Control::LoginAccepted`, for this gateway.
#[derive(Debug)]
pub(super) struct AcceptedLogin {
    pub id: ConnectionId,
    pub session: SessionId,
    pub epoch: ConnectionEpoch,
    pub first: StreamNumber,
    pub next: StreamNumber,
    pub session_name: [u8; 10],
}
