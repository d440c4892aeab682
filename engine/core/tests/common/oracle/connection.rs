//! Logins and the ends of connections in the naive venue.

use super::*;

impl Oracle {
    pub(super) fn login(&mut self, id: u32, body: &Login) {
        let gateway = Gateway(GATEWAY);
        let connection = body.connection;
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let name = self.session_name;
        let wanted = trimmed(&body.requested_session);
        let named = !wanted.is_empty() && wanted == trimmed(&name);
        let available = named || wanted.is_empty() && self.day_open;
        let reason = match self
            .sessions
            .get(&id)
            .filter(|session| session.user == user)
        {
            None => Some(LoginRejectReason::NotAuthorized),
            Some(session) if !available || body.requested_number > session.next_outbound => {
                Some(LoginRejectReason::SessionNotAvailable)
            }
            Some(_) => None,
        };
        if let Some(reason) = reason {
            self.said.push(Said::Control(Control::LoginRejected {
                gateway,
                connection,
                reason,
            }));
            return;
        }
        if self.day_open {
            if self.sessions[&id].connected {
                self.end(id, ConnectionEnd::Superseded);
            }
            self.protection.risk.away.remove(&id);
            let session = self.sessions.get_mut(&id).unwrap();
            session.epoch += 1;
            session.connected = true;
            session.connection = connection;
        }
        let session = &self.sessions[&id];
        let next = session.next_outbound;
        let first = if body.requested_number == 0 {
            next
        } else {
            body.requested_number
        };
        let control = Control::LoginAccepted {
            gateway,
            connection,
            session: SessionId(id),
            epoch: ConnectionEpoch(session.epoch),
            session_name: name,
            first_number: StreamNumber(first),
            next_number: StreamNumber(next),
        };
        self.said.push(Said::Control(control));
    }

    pub(super) fn end(&mut self, id: u32, why: ConnectionEnd) {
        let session = self.sessions.get_mut(&id).unwrap();
        session.connected = false;
        let control = Control::ConnectionEnded {
            gateway: Gateway(GATEWAY),
            connection: session.connection,
            session: SessionId(id),
            epoch: ConnectionEpoch(session.epoch),
            why,
        };
        self.said.push(Said::Control(control));
    }

    pub(super) fn connection_lost(&mut self, id: u32) {
        if self.sessions[&id].cancel_on_disconnect {
            // Oldest reference first.
            while let Some(at) = self.oldest_of(id) {
                self.cancel_at(at, CancelReason::System);
            }
        }
    }

    pub(super) fn oldest_of(&self, session: u32) -> Option<usize> {
        let own = (0..self.orders.len()).filter(|at| self.orders[*at].session == session);
        own.min_by_key(|at| self.orders[*at].terms.order_reference)
    }
}
