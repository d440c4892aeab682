//! Clients' requests to the naive venue.

use super::*;

impl Oracle {
    pub(super) fn request(&mut self, session: u32, request: &Request, options: &Read) {
        self.count_request(session, request);
        match request {
            Request::Logout(_) => {
                self.end(session, ConnectionEnd::Logout);
                self.connection_lost(session);
            }
            Request::Disconnect(body) => {
                self.sessions.get_mut(&session).unwrap().connected = false;
                if body.reason == 5 {
                    self.protection.risk.away.insert(session);
                } else {
                    self.connection_lost(session);
                }
            }
            Request::EnterOrder(body) => self.enter(session, body, options),
            Request::ReplaceOrder(body) => self.replace(session, body, options),
            Request::CancelOrder(body) => self.cancel(session, body, options),
            Request::ModifyOrder(body) => self.modify(session, body, options),
            Request::AccountQuery(_) => {
                let index = options.channel();
                let number = self.last(session, index).wrapping_add(1);
                let response = AccountQueryResponse {
                    next: UserRef { number, index },
                };
                self.say(session, What::AccountQueryResponse(response));
            }
            Request::MassCancel(body) => self.mass_cancel(session, body, options),
            Request::DisableEntry(body) => {
                self.switch_entry(session, body.user_ref_num, body.firm, true, options);
            }
            Request::EnableEntry(body) => {
                self.switch_entry(session, body.user_ref_num, body.firm, false, options);
            }
            _ => {}
        }
    }

    pub(super) fn mass_cancel(&mut self, session: u32, body: &MassCancel, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        if !self.take_number(session, user_ref.index, user_ref.number) {
            return;
        }
        let blank = body.symbol == [b' '; 8];
        let instrument = self.instrument_of(&body.symbol);
        let side = options.values.get(&27).map(|value| value[0]);
        let group = options.values.get(&24).map(|_| options.integer(24));
        let firm = self.firm_named(session, &body.firm);
        let reason = if options.faulty {
            Some(RejectReason::Other)
        } else if firm.is_none() {
            Some(RejectReason::FirmNotAuthorized)
        } else if !blank && instrument.is_none() {
            Some(RejectReason::InvalidSymbol)
        } else if side.is_some_and(|side| !b"BSTE".contains(&side)) {
            Some(RejectReason::InvalidSide)
        } else {
            None
        };
        if let Some(reason) = reason {
            return self.reject(session, user_ref, reason, [b' '; 14]);
        }
        let (firm_code, symbol) = (body.firm, body.symbol);
        let response = MassCancelResponse {
            user_ref,
            firm: firm_code,
            symbol,
        };
        self.say(session, What::MassCancelResponse(response));
        let group_of = |order: &Order| {
            let option = order.terms.options.iter().find(|(tag, _)| *tag == 24);
            option.map_or(0, |(_, value)| {
                u64::from(u16::from_le_bytes([value[0], value[1]]))
            })
        };
        let mut meant: Vec<u64> = self
            .orders
            .iter()
            .filter(|order| order.session == session && Some(order.firm) == firm)
            .filter(|order| blank || Some(order.terms.instrument) == instrument)
            .filter(|order| side.is_none_or(|side| side == order.terms.side))
            .filter(|order| group.is_none_or(|group| group == group_of(order)))
            .map(|order| order.terms.order_reference)
            .collect();
        meant.sort_unstable();
        if self.fault == Fault::MassCancelNewestFirst {
            meant.reverse();
        }
        for reference in meant {
            let at = self
                .orders
                .iter()
                .position(|o| o.terms.order_reference == reference);
            self.cancel_at(at.unwrap(), CancelReason::User);
        }
    }

    pub(super) fn switch_entry(
        &mut self,
        session: u32,
        number: u32,
        code: [u8; 4],
        off: bool,
        options: &Read,
    ) {
        let user_ref = UserRef {
            number,
            index: options.channel(),
        };
        if !self.take_number(session, user_ref.index, number) {
            return;
        }
        let firm = self.firm_named(session, &code);
        let Some(firm) = firm.filter(|_| !options.faulty) else {
            let other = options.faulty;
            let reason = if other {
                RejectReason::Other
            } else {
                RejectReason::FirmNotAuthorized
            };
            return self.reject(session, user_ref, reason, [b' '; 14]);
        };
        let disabled = &mut self.sessions.get_mut(&session).unwrap().disabled;
        disabled.retain(|other| *other != firm);
        let response = EntryResponse {
            user_ref,
            firm: code,
        };
        if off {
            disabled.push(firm);
            self.say(session, What::DisableResponse(response));
        } else {
            self.reset_protections(session, None);
            self.say(session, What::EnableResponse(response));
        }
    }

    /// The session's own firm if blank, or one that it may enter for.
    pub(super) fn firm_named(&self, session: u32, code: &[u8]) -> Option<u32> {
        let who = &self.sessions[&session];
        if code == b"    " {
            return Some(who.firm);
        }
        let firms = std::iter::once(&who.firm).chain(&who.permitted);
        firms.copied().find(|firm| self.firms[firm][..] == *code)
    }

    pub(super) fn key(&self, session: u32, channel: u8) -> (u32, u8) {
        (
            session,
            if self.fault == Fault::ChannelsShareNumbers {
                0
            } else {
                channel
            },
        )
    }

    pub(super) fn last(&self, session: u32, channel: u8) -> u32 {
        self.numbers
            .get(&self.key(session, channel))
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn take_number(&mut self, session: u32, channel: u8, number: u32) -> bool {
        let new = number > self.last(session, channel);
        if new {
            self.numbers.insert(self.key(session, channel), number);
        }
        new
    }

    pub(super) fn reject(
        &mut self,
        session: u32,
        user_ref: UserRef,
        reason: RejectReason,
        id: [u8; 14],
    ) {
        self.say(
            session,
            What::Rejected(Rejected {
                user_ref,
                reason,
                client_order_id: id,
            }),
        );
    }

    pub(super) fn instrument_of(&self, symbol: &[u8; 8]) -> Option<u32> {
        self.instruments
            .iter()
            .find(|(_, i)| i.symbol == *symbol)
            .map(|(id, _)| *id)
    }

    pub(super) fn find(&self, session: u32, channel: u8, number: u32) -> Option<usize> {
        let wanted = UserRef {
            number,
            index: channel,
        };
        self.orders
            .iter()
            .position(|o| o.session == session && o.terms.user_ref == wanted)
    }

    /// What is open when the chain's total becomes `total`; `None` if the request is superfluous.
    pub(super) fn lowered(&self, at: usize, total: u32) -> Option<u32> {
        let order = &self.orders[at];
        let open = total.saturating_sub(order.executed);
        let lot = self.instruments[&order.terms.instrument].lot_size;
        let increases = self.fault == Fault::CancelIncreases && open > order.open;
        if open == 0 {
            Some(0)
        } else if (open < order.open || increases) && total.is_multiple_of(lot) {
            Some(open)
        } else {
            None
        }
    }

    pub(super) fn cancel(&mut self, session: u32, body: &CancelOrder, options: &Read) {
        let Some(at) = self.find(session, options.channel(), body.user_ref_num) else {
            return;
        };
        if options.faulty {
            return;
        }
        match self.lowered(at, body.quantity) {
            Some(0) => self.cancel_at(at, CancelReason::User),
            Some(open) => {
                let order = &mut self.orders[at];
                let quantity = order.open.wrapping_sub(open);
                order.open = open;
                order.shown = order.shown.min(open);
                let user_ref = order.terms.user_ref;
                let reason = CancelReason::User;
                self.say(
                    session,
                    What::Canceled(Canceled {
                        user_ref,
                        quantity,
                        reason,
                    }),
                );
            }
            None => {}
        }
    }

    pub(super) fn modify(&mut self, session: u32, body: &ModifyOrder, options: &Read) {
        let Some(at) = self.find(session, options.channel(), body.user_ref_num) else {
            return;
        };
        let side = self.orders[at].terms.side;
        let changes = [(b'S', b'E'), (b'S', b'T'), (b'E', b'T')].contains(&(side, body.side));
        if options.faulty || !(changes || side == body.side) {
            return;
        }
        match self.lowered(at, body.quantity) {
            Some(0) => return self.cancel_at(at, CancelReason::User),
            Some(open) => {
                self.orders[at].open = open;
                self.orders[at].shown = self.orders[at].shown.min(open);
            }
            None if changes => {}
            None => return,
        }
        let order = &mut self.orders[at];
        order.terms.side = body.side;
        let (user_ref, quantity) = (order.terms.user_ref, order.open);
        self.say(
            session,
            What::Modified(Modified {
                user_ref,
                side: body.side,
                quantity,
            }),
        );
    }

    pub(super) fn cancel_at(&mut self, at: usize, reason: CancelReason) {
        let order = self.orders.remove(at);
        let (user_ref, quantity) = (order.terms.user_ref, order.open);
        self.say(
            order.session,
            What::Canceled(Canceled {
                user_ref,
                quantity,
                reason,
            }),
        );
    }
}
