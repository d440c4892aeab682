//! Protection by the operator in the naive venue: everything is searched and counted anew each time.

use super::risk::Risk;
use super::*;

#[derive(Clone, Default)]
pub(super) struct Protection {
    /// What the operator lets the venue enter; 0 = nothing was said.
    venue: u8,
    /// By firm, where something was said.
    firms: BTreeMap<u32, u8>,
    pub(super) risk: Risk,
}

impl Oracle {
    /// The operator's records that are not definitions.
    pub(super) fn protect(&mut self, request: &Request) {
        match request {
            Request::SetEntryState(body) => self.set_entry_state(body),
            Request::OperatorMassCancel(body) => self.operator_mass_cancel(body),
            Request::OperatorCancel(body) => self.operator_cancel(body),
            _ => self.limit(request),
        }
    }

    fn set_entry_state(&mut self, body: &SetEntryState) {
        if !b"EDK".contains(&body.state) {
            return;
        }
        match body.scope {
            b'S' if self.sessions.contains_key(&body.id) => {
                self.sessions.get_mut(&body.id).unwrap().entry = body.state;
            }
            b'F' if self.firms.contains_key(&body.id) => {
                self.protection.firms.insert(body.id, body.state);
            }
            b'V' if body.id == 0 => self.protection.venue = body.state,
            _ => return,
        }
        if self.day_open && self.fault != Fault::KillLeavesOrders {
            self.cancel_killed();
        }
    }

    fn states(&self, session: u32, firm: u32) -> [u8; 3] {
        let of_firm = self.protection.firms.get(&firm).copied();
        [
            self.protection.venue,
            self.sessions[&session].entry,
            of_firm.unwrap_or(b'E'),
        ]
    }

    /// Whether the operator keeps this firm's orders on this session out.
    pub(super) fn shut(&self, session: u32, firm: u32) -> bool {
        let shut = |state: &u8| *state == b'D' || *state == b'K';
        self.states(session, firm).iter().any(shut)
    }

    /// By session, oldest first.
    pub(super) fn cancel_killed(&mut self) {
        let killed = |order: &Order| self.states(order.session, order.firm).contains(&b'K');
        self.cancel_by_operator(self.orders.iter().filter(|o| killed(o)).cloned().collect());
    }

    pub(super) fn cancel_by_operator(&mut self, mut meant: Vec<Order>) {
        meant.sort_by_key(|order| (order.session, order.terms.order_reference));
        for order in meant {
            let UserRef { number, index } = order.terms.user_ref;
            let at = self.find(order.session, index, number).unwrap();
            self.cancel_at(at, CancelReason::Supervisory);
        }
    }

    fn operator_mass_cancel(&mut self, body: &OperatorMassCancel) {
        let known = |id: u32, there: bool| id == 0 || there;
        if !self.day_open
            || !known(body.session, self.sessions.contains_key(&body.session))
            || !known(body.firm, self.firms.contains_key(&body.firm))
            || !known(
                body.instrument,
                self.instruments.contains_key(&body.instrument),
            )
            || ![0, b'B', b'S', b'T', b'E'].contains(&body.side)
            || body.by_group > 1
            || (body.by_group == 0 && body.group_id != 0)
        {
            return;
        }
        let fits = |order: &&Order| {
            let group = order.terms.options.iter().find(|(tag, _)| *tag == 24);
            let group = group.map_or(0, |(_, value)| u16::from_le_bytes([value[0], value[1]]));
            (body.session == 0 || body.session == order.session)
                && (body.firm == 0
                    || body.firm == order.firm
                    || self.fault == Fault::FirmNotCompared)
                && (body.instrument == 0 || body.instrument == order.terms.instrument)
                && (body.side == 0 || body.side == order.terms.side)
                && (body.by_group == 0 || body.group_id == group)
        };
        self.cancel_by_operator(self.orders.iter().filter(fits).cloned().collect());
    }

    fn operator_cancel(&mut self, body: &OperatorCancel) {
        let found = self.find(body.session, body.user_ref_idx, body.user_ref_num);
        let Some(at) = found.filter(|_| self.day_open) else {
            return;
        };
        if body.reference == 0 || body.reference == self.orders[at].terms.order_reference {
            self.cancel_at(at, CancelReason::Supervisory);
        }
    }
}
