//! The operator's hand on orders: entry switched off and on, the kill switch, cancels of many orders and
//! of one.
//!
//! A kill is entry switched off and all live orders cancelled by one record; it ends when entry is enabled
//! again. Nothing is cancelled between days, when no stream could say so: what a kill meets then is
//! cancelled when the next day opens.

use crate::NONE;
use crate::machine::{Done, StateMachine};
use crate::mass::Which;
use crate::outbox::Outbox;
use crate::risk::{EntryState, Scope};
use crate::session::owner;
use lockstep_record::command::{
    ArchivedOperatorCancel, ArchivedOperatorMassCancel, ArchivedSetEntryState,
};
use lockstep_record::event::{CancelReason, EventSink, Refusal};
use lockstep_record::{FirmId, InstrumentId, Record, SessionId};

impl StateMachine {
    pub(crate) fn set_entry_state<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetEntryState,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let scope = Scope::read(body.scope, body.id.to_native());
        let (Some(scope), Some(state)) = (scope, EntryState::from_u8(body.state)) else {
            return Done::RefusedFor(Refusal::Value);
        };
        match scope {
            Scope::Session(id) if self.sessions.find(id).is_some() => {
                self.sessions.get_mut(id).entry = state;
            }
            Scope::Firm(id) if self.firms.is_defined(id) => self.risk.firm_mut(id).entry = state,
            Scope::Venue => self.risk.entry = state,
            _ => return Done::RefusedFor(Refusal::Undefined),
        }
        if state == EntryState::Killed && self.day.open {
            self.cancel_killed(out);
        }
        Done::Yes
    }

    /// Cancels every live order that a kill means, by session, oldest order reference first.
    pub(crate) fn cancel_killed<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        for id in (1..self.sessions.id_end()).map(SessionId) {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let detail = &self.details[slot as usize];
                let next = detail.next;
                let states = [
                    self.risk.entry,
                    self.sessions.get(id).entry,
                    self.risk.firm(detail.firm()).entry,
                ];
                if states.contains(&EntryState::Killed) {
                    self.cancel_live(slot, CancelReason::Supervisory, out);
                }
                slot = next;
            }
        }
    }

    /// Whether the operator, and the session's protections, let this firm's orders of this group in.
    #[inline(always)]
    pub(crate) fn lets_in(&self, session: SessionId, firm: FirmId, group_id: u16) -> bool {
        let who = self.sessions.get(session);
        self.risk.entry == EntryState::Enabled
            && who.entry == EntryState::Enabled
            && self.risk.firm(firm).entry == EntryState::Enabled
            && (who.first_protection == NONE
                || !self
                    .risk
                    .protections
                    .refuses(who.first_protection, group_id))
    }

    pub(crate) fn operator_mass_cancel<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedOperatorMassCancel,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let session = SessionId(body.session.to_native());
        if !self.day.open {
            return Done::RefusedFor(Refusal::NoDay);
        }
        let which = match self.meant_by_operator(body) {
            Ok(which) => which,
            Err(why) => return Done::RefusedFor(why),
        };
        if session != SessionId::NONE {
            if self.sessions.find(session).is_none() {
                return Done::RefusedFor(Refusal::Undefined);
            }
            self.cancel_all(session, &which, CancelReason::Supervisory, out);
            return Done::Yes;
        }
        for id in (1..self.sessions.id_end()).map(SessionId) {
            self.cancel_all(id, &which, CancelReason::Supervisory, out);
        }
        Done::Yes
    }

    fn meant_by_operator(&self, body: &ArchivedOperatorMassCancel) -> Result<Which, Refusal> {
        let firm = FirmId(body.firm.to_native());
        let instrument = InstrumentId(body.instrument.to_native());
        let group_id = body.group_id.to_native();
        let firm_known = firm.0 == 0 || self.firms.is_defined(firm);
        let instrument_known = instrument.0 == 0 || self.instruments.is_defined(instrument);
        let side_known = matches!(body.side, 0 | b'B' | b'S' | b'T' | b'E');
        let group_known = body.by_group == 1 || (body.by_group == 0 && group_id == 0);
        if !firm_known || !instrument_known {
            return Err(Refusal::Undefined);
        }
        if !side_known || !group_known {
            return Err(Refusal::Value);
        }
        Ok(Which {
            firm: (firm.0 != 0).then_some(firm),
            instrument: (instrument.0 != 0).then_some(instrument),
            side: (body.side != 0).then_some(body.side),
            group_id: (body.by_group == 1).then_some(group_id),
        })
    }

    pub(crate) fn operator_cancel<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedOperatorCancel,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let session = SessionId(body.session.to_native());
        if !self.day.open {
            return Done::RefusedFor(Refusal::NoDay);
        }
        if self.sessions.find(session).is_none() {
            return Done::RefusedFor(Refusal::Undefined);
        }
        let owner = owner(session, body.user_ref_idx);
        let slot = self.pool.find(owner, body.user_ref_num.to_native());
        if slot == NONE {
            return Done::RefusedFor(Refusal::NotLive);
        }
        let wanted = body.reference.to_native();
        if wanted != 0 && wanted != self.details[slot as usize].reference {
            return Done::RefusedFor(Refusal::NotLive);
        }
        self.cancel_live(slot, CancelReason::Supervisory, out);
        Done::Yes
    }
}
