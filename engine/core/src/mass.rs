//! Requests about many orders at once: Mass Cancel, Disable and Enable Order Entry.
//!
//! They reach only the orders and the entry of the session that sends them. The answer comes first, then
//! what follows from it.

use crate::NONE;
use crate::machine::StateMachine;
use crate::option::Options;
use crate::outbox::Outbox;
use crate::session::{owner, owner_ref};
use lockstep_record::command::{ArchivedDisableEntry, ArchivedEnableEntry, ArchivedMassCancel};
use lockstep_record::event::{
    CancelReason, EntryResponse, Event, EventSink, MassCancelResponse, RejectReason,
};
use lockstep_record::{FirmId, InstrumentId, PartTag, SessionId};

/// Which of a session's orders a mass cancel means; `None` = any.
pub(crate) struct Which {
    pub firm: Option<FirmId>,
    pub instrument: Option<InstrumentId>,
    /// The letter itself: `S` means neither `T` nor `E`.
    pub side: Option<u8>,
    /// 0 = orders without a group.
    pub group_id: Option<u16>,
}

impl StateMachine {
    pub(crate) fn mass_cancel<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedMassCancel,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let number = body.user_ref_num.to_native();
        if !self.take_number(session, number, options) {
            return;
        }
        let user_ref = owner_ref(owner(session, options.user_ref_idx), number);
        match self.which(session, body, options) {
            Ok(which) => {
                let (firm, symbol) = (body.firm, body.symbol);
                let response = MassCancelResponse {
                    user_ref,
                    firm,
                    symbol,
                };
                out.deliver(
                    &mut self.sessions,
                    session,
                    Event::MassCancelResponse(&response),
                );
                self.cancel_all(session, &which, CancelReason::User, out);
            }
            Err(reason) => self.reject_request(session, number, options, reason, out),
        }
    }

    fn which(
        &self,
        session: SessionId,
        body: &ArchivedMassCancel,
        options: &Options,
    ) -> Result<Which, RejectReason> {
        if options.faulty {
            return Err(RejectReason::Other);
        }
        let firm = self
            .named_firm(session, body.firm)
            .ok_or(RejectReason::FirmNotAuthorized)?;
        let instrument = match self.instruments.find(body.symbol) {
            _ if body.symbol == [b' '; 8] => None,
            None => return Err(RejectReason::InvalidSymbol),
            found => found,
        };
        let side = options.has(PartTag::SIDE).then_some(options.side);
        if side.is_some_and(|side| !matches!(side, b'B' | b'S' | b'T' | b'E')) {
            return Err(RejectReason::InvalidSide);
        }
        let group_id = options.has(PartTag::GROUP_ID).then_some(options.group_id);
        Ok(Which {
            firm: Some(firm),
            instrument,
            side,
            group_id,
        })
    }

    /// Oldest order reference first.
    pub(crate) fn cancel_all<S: EventSink>(
        &mut self,
        session: SessionId,
        which: &Which,
        reason: CancelReason,
        out: &mut Outbox<'_, S>,
    ) {
        let mut slot = self.sessions.get(session).first_order;
        while slot != NONE {
            let next = self.details[slot as usize].next;
            if self.is_meant(slot, which) {
                self.cancel_live(slot, reason, out);
            }
            slot = next;
        }
    }

    pub(crate) fn is_meant(&self, slot: u32, which: &Which) -> bool {
        let detail = &self.details[slot as usize];
        let instrument = self.pool.order(slot).instrument();
        which.firm.is_none_or(|wanted| wanted == detail.firm())
            && which.instrument.is_none_or(|wanted| wanted == instrument)
            && which.side.is_none_or(|wanted| wanted == detail.side)
            && which
                .group_id
                .is_none_or(|wanted| wanted == detail.group_id)
    }

    pub(crate) fn disable_entry<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedDisableEntry,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let number = body.user_ref_num.to_native();
        self.switch_entry(session, number, body.firm, true, options, out);
    }

    pub(crate) fn enable_entry<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedEnableEntry,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let number = body.user_ref_num.to_native();
        self.switch_entry(session, number, body.firm, false, options, out);
    }

    /// Entry and replacement of a firm's orders on this session; live orders stay.
    fn switch_entry<S: EventSink>(
        &mut self,
        session: SessionId,
        number: u32,
        firm: [u8; 4],
        disable: bool,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        if !self.take_number(session, number, options) {
            return;
        }
        let meant = self
            .named_firm(session, firm)
            .ok_or(RejectReason::FirmNotAuthorized);
        let meant = if options.faulty {
            Err(RejectReason::Other)
        } else {
            meant
        };
        let meant = match meant {
            Ok(meant) => meant,
            Err(reason) => return self.reject_request(session, number, options, reason, out),
        };
        let entry = self.sessions.get_mut(session);
        let mask = entry.mask_of(meant);
        let user_ref = owner_ref(owner(session, options.user_ref_idx), number);
        let response = EntryResponse { user_ref, firm };
        let event = if disable {
            entry.disabled |= mask;
            Event::DisableResponse(&response)
        } else {
            entry.disabled &= !mask;
            // A client that enables its entry is back in its senses: what had tripped is reset.
            let first = entry.first_protection;
            self.risk.protections.reset(first, |_| true);
            Event::EnableResponse(&response)
        };
        out.deliver(&mut self.sessions, session, event);
    }

    /// Whether a numbered request's number is new; uses it up.
    fn take_number(&mut self, session: SessionId, number: u32, options: &Options) -> bool {
        let owner = owner(session, options.user_ref_idx);
        let new = self.sessions.is_new(owner, number);
        if new {
            self.sessions.consume(owner, number);
        } else {
            self.counters.silent += 1;
        }
        new
    }

    fn reject_request<S: EventSink>(
        &mut self,
        session: SessionId,
        number: u32,
        options: &Options,
        reason: RejectReason,
        out: &mut Outbox<'_, S>,
    ) {
        self.reject(
            owner(session, options.user_ref_idx),
            number,
            reason,
            [b' '; 14],
            out,
        );
    }
}
