//! The trading day and the connections within it.

use crate::NONE;
use crate::book::pool::LANES;
use crate::instrument::BookMark;
use crate::machine::{Day, Done, StateMachine};
use crate::outbox::Outbox;
use crate::session::owner_ref;
use lockstep_record::command::{
    ArchivedDayClose, ArchivedDayOpen, ArchivedDisconnect, ArchivedLogin, ArchivedLogout,
};
use lockstep_record::event::{
    CancelReason, ConnectionEnd, Control, Event, EventSink, LoginRejectReason, Refusal, Restated,
    SystemEventCode,
};
use lockstep_record::{
    ConnectionEpoch, Gateway, InstrumentId, OrderReference, PartTag, Price, Record, SessionId,
    StreamNumber, Timestamp,
};

/// `Disconnect.reason` of a node that stops: no client's doing, so nothing is cancelled for it.
const NODE_STOP: u8 = 5;

impl StateMachine {
    pub(crate) fn open_day<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        body: &ArchivedDayOpen,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let (date, midnight) = (body.date.to_native(), body.midnight.to_native());
        let blank = trim(&body.session_name).is_empty();
        if self.day.open {
            return Done::RefusedFor(Refusal::DayOpen);
        }
        if date <= self.day.date || midnight > out.timestamp.0 {
            return Done::RefusedFor(Refusal::Date);
        }
        if blank {
            return Done::RefusedFor(Refusal::Value);
        }
        if let Some(part) = record.parts().find(PartTag::RANDOM_SEED) {
            let Some(seed) = part.u64() else {
                return Done::RefusedFor(Refusal::Value);
            };
            self.random_seed = seed;
        }
        self.day = Day {
            open: true,
            date,
            midnight,
            session_name: body.session_name,
        };
        self.sessions.begin_day();
        self.random.stir(out.timestamp.0);
        self.begin_risk_day();
        out.set_midnight(midnight);
        out.control(&Control::DayOpened {
            date,
            midnight,
            session_name: body.session_name,
        });
        self.tell_all(SystemEventCode::StartOfDay, out);
        self.expire(out);
        self.cancel_killed(out);
        self.carry_orders(out);
        self.begin_instruments_day(out);
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            self.touch(id);
            if self.stops.first_triggered(id.0).is_some() {
                // Its instrument began to trade between the days, when nothing acts.
                self.touched.add(id.0);
            }
        }
        Done::Yes
    }

    pub(crate) fn close_day<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        _: &ArchivedDayClose,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        if !self.day.open {
            return Done::RefusedFor(Refusal::NoDay);
        }
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            if self.instruments.get(id).is_defined() {
                self.end_instrument_day(id, out);
            }
        }
        // Nothing is said after the day.
        self.pull_if_tripped(out);
        self.expire_day_orders(out);
        self.expire_waiting(out);
        self.tell_all(SystemEventCode::EndOfDay, out);
        self.day.open = false;
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            self.arm(id);
        }
        self.sessions.disconnect_all();
        self.risk.grace.deadline = Timestamp(0);
        out.control(&Control::DayClosed {
            session_name: self.day.session_name,
        });
        Done::Yes
    }

    /// One system event on every stream, by session id.
    fn tell_all<S: EventSink>(&mut self, code: SystemEventCode, out: &mut Outbox<'_, S>) {
        for id in 1..self.sessions.id_end() {
            if self.sessions.get(SessionId(id)).defined {
                out.deliver(&mut self.sessions, SessionId(id), Event::System(code));
            }
        }
    }

    /// By instrument id; displayed bids, displayed asks, hidden bids, hidden asks; best price first, then
    /// first come; then orders for auctions only. Orders good till a date stay.
    fn expire_day_orders<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            for lane in 0..LANES {
                let mut at = self
                    .pool
                    .next_level(&self.instruments.get(id).book, lane, None);
                while let Some((level, tick)) = at {
                    self.expire_level(level, out);
                    at = self
                        .pool
                        .level_behind(&self.instruments.get(id).book, lane, tick);
                }
            }
            // No auction outlives its day.
            self.cancel_book(id, BookMark::Call, CancelReason::Closed, out);
            self.cancel_book(id, BookMark::Close, CancelReason::Closed, out);
        }
    }

    /// The day of the instruments, by id.
    fn begin_instruments_day<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            if self.instruments.get(id).is_defined() {
                let statistics = &mut self.instruments.get_mut(id).statistics;
                statistics.begin_day();
                if statistics.previous_close_price != 0 {
                    let close = statistics.previous_close_price;
                    self.instruments.phase_mut(id).reference_price = close;
                }
                self.begin_instrument_day(id, out);
            }
        }
    }

    fn expire_level<S: EventSink>(&mut self, level: u32, out: &mut Outbox<'_, S>) {
        let mut slot = self.pool.level(level).head;
        while slot != NONE {
            let next = self.pool.order(slot).next;
            if !self
                .extensions
                .of(self.details[slot as usize].extension)
                .is_good_till_date()
            {
                self.cancel_live(slot, CancelReason::Closed, out);
            }
            slot = next;
        }
    }

    /// Carries out what is due, earliest first: at one time orders expire, lowest order reference first, then
    /// instruments change, lowest id first, then the grace of those that are away ends. Streams end with the
    /// day, so what falls due between days is due when the next one opens.
    pub(crate) fn expire<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        while self.day.open {
            let order = self.extensions.first();
            let instrument = self.timers.first();
            let Some(first) = self.next_deadline().filter(|first| *first <= out.timestamp) else {
                return;
            };
            match (order, instrument) {
                (Some((deadline, slot)), _) if deadline == first => {
                    self.cancel_live(slot, CancelReason::Timeout, out);
                }
                (_, Some((time, id))) if time == first => self.fire(id, out),
                _ => self.end_grace(out),
            }
        }
    }

    /// Orders that outlived the last day: their numbers are used, and their clients hear of them again, by
    /// session, oldest order reference first.
    fn carry_orders<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        for id in (1..self.sessions.id_end()).map(SessionId) {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let order = *self.pool.order(slot);
                if self.sessions.is_new(order.owner, order.number) {
                    self.sessions.consume(order.owner, order.number);
                }
                let price = self.price_of(slot);
                let detail = &self.details[slot as usize];
                let next = detail.next;
                // A reserve order is whole while a call accumulates.
                let called = self.instruments.get(order.instrument()).state.accumulates();
                let shown = match self.extensions.of(detail.extension).max_floor {
                    floor if floor != 0 && called => order.open.min(floor),
                    _ => order.open,
                };
                let restated = Restated {
                    user_ref: owner_ref(order.owner, order.number),
                    reason: b'R',
                    display_quantity: Some(if order.is_hidden() || order.is_held() {
                        0
                    } else {
                        shown
                    }),
                    display_price: Some(Price(price)),
                    secondary_reference: Some(OrderReference(detail.reference)),
                };
                out.deliver(&mut self.sessions, id, Event::Restated(&restated));
                slot = next;
            }
        }
    }

    pub(crate) fn login<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        body: &ArchivedLogin,
        out: &mut Outbox<'_, S>,
    ) {
        let source = record.header().source;
        let (gateway, connection) = (source.gateway, body.connection.to_native());
        let number = body.requested_number.to_native();
        let id = source.session;
        if let Err(reason) = self.check_login(id, body, number) {
            out.control(&Control::LoginRejected {
                gateway,
                connection,
                reason,
            });
            return;
        }
        // An ended day's stream can only be read: that is no connection of the session's.
        if self.day.open {
            self.connect(id, gateway, connection, out);
        }
        let session = self.sessions.get(id);
        let next = session.next_outbound;
        out.control(&Control::LoginAccepted {
            gateway,
            connection,
            session: id,
            epoch: session.epoch,
            session_name: self.day.session_name,
            first_number: StreamNumber(if number == 0 { next } else { number }),
            next_number: StreamNumber(next),
        });
    }

    /// The newest login wins: a connection that the session still has ends first.
    fn connect<S: EventSink>(
        &mut self,
        id: SessionId,
        gateway: Gateway,
        connection: u64,
        out: &mut Outbox<'_, S>,
    ) {
        if self.sessions.get(id).connected {
            self.end_connection(id, ConnectionEnd::Superseded, out);
        }
        let session = self.sessions.get_mut(id);
        session.epoch = ConnectionEpoch(session.epoch.0.wrapping_add(1));
        session.connected = true;
        session.away = false;
        session.gateway = gateway;
        session.connection = connection;
    }

    fn check_login(
        &self,
        id: SessionId,
        body: &ArchivedLogin,
        number: u64,
    ) -> Result<(), LoginRejectReason> {
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let session = self
            .sessions
            .find(id)
            .filter(|session| session.user == user);
        let Some(session) = session else {
            return Err(LoginRejectReason::NotAuthorized);
        };
        let wanted = trim(&body.requested_session);
        let other_day = !wanted.is_empty() && wanted != trim(&self.day.session_name);
        // A day that is over is given to who names it: a client that names none wants to trade.
        let over = !self.day.open && wanted.is_empty();
        if over || other_day || number > session.next_outbound {
            return Err(LoginRejectReason::SessionNotAvailable);
        }
        Ok(())
    }

    pub(crate) fn logout<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        _: &ArchivedLogout,
        out: &mut Outbox<'_, S>,
    ) {
        let Some(id) = self.current(record) else {
            return;
        };
        self.end_connection(id, ConnectionEnd::Logout, out);
        self.cancel_on_disconnect(id, out);
    }

    pub(crate) fn disconnect<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        body: &ArchivedDisconnect,
        out: &mut Outbox<'_, S>,
    ) {
        let Some(id) = self.current(record) else {
            return;
        };
        self.sessions.get_mut(id).connected = false;
        if body.reason == NODE_STOP {
            self.sessions.get_mut(id).away = true;
        } else {
            self.cancel_on_disconnect(id, out);
        }
    }

    /// The session whose current connection a record is about; counts the record as stale otherwise.
    fn current(&mut self, record: &Record<'_>) -> Option<SessionId> {
        let source = record.header().source;
        let session = self.sessions.find(source.session);
        if session.is_some_and(|session| session.connected && session.epoch == source.epoch) {
            return Some(source.session);
        }
        self.counters.stale += 1;
        None
    }

    fn end_connection<S: EventSink>(
        &mut self,
        id: SessionId,
        why: ConnectionEnd,
        out: &mut Outbox<'_, S>,
    ) {
        let session = self.sessions.get_mut(id);
        session.connected = false;
        let (gateway, connection, epoch) = (session.gateway, session.connection, session.epoch);
        out.control(&Control::ConnectionEnded {
            gateway,
            connection,
            session: id,
            epoch,
            why,
        });
    }

    /// The session's orders, oldest order reference first.
    pub(crate) fn cancel_on_disconnect<S: EventSink>(
        &mut self,
        id: SessionId,
        out: &mut Outbox<'_, S>,
    ) {
        if !self.sessions.get(id).cancel_on_disconnect {
            return;
        }
        while self.sessions.get(id).open_orders != 0 {
            let first = self.sessions.get(id).first_order;
            self.cancel_live(first, CancelReason::System, out);
        }
    }
}

/// Without spaces and NULs on either side.
fn trim(text: &[u8; 10]) -> &[u8] {
    let padding = |&letter: &u8| letter == b' ' || letter == 0;
    let start = text
        .iter()
        .position(|letter| !padding(letter))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|letter| !padding(letter))
        .map_or(start, |last| last + 1);
    &text[start..end]
}
