//! Orders and replacements entering the naive venue.

use super::*;

impl Oracle {
    pub(super) fn enter(&mut self, session: u32, body: &EnterOrder, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        let before = self.last(session, user_ref.index);
        if !self.take_number(session, user_ref.index, user_ref.number) {
            return;
        }
        let terms = Terms {
            instrument: self.instrument_of(&body.symbol).unwrap_or(0),
            user_ref,
            side: body.side,
            quantity: body.quantity,
            symbol: body.symbol,
            price: body.price,
            time_in_force: body.time_in_force,
            display: body.display,
            order_reference: 0,
            capacity: body.capacity,
            intermarket_sweep: body.intermarket_sweep,
            cross_type: body.cross_type,
            state: OrderState::Live,
            client_order_id: body.client_order_id,
            options: options.echo(),
        };
        match self.may_enter(session, &terms, options) {
            Ok(firm) => {
                let deadline = self.deadline(&terms, options, None).unwrap();
                let stop = self.stop_of(&terms, options);
                let peg = pegs::peg_of(options);
                let mut order = Order {
                    terms,
                    session,
                    firm,
                    open: body.quantity,
                    executed: 0,
                    floor: options.integer(5) as u32,
                    random: options.integer(13) as u32,
                    refreshed: 0,
                    shown: 0,
                    deadline,
                    by_date: options.integer(204) != 0,
                    only: Only::Any,
                    stop,
                    peg,
                };
                self.note_pair(order.firm, order.terms.instrument);
                self.references += 1;
                order.terms.order_reference = self.references;
                self.say(session, What::Accepted(order.terms.clone()));
                self.act_or_wait(order, options.integer(3) as u32);
            }
            Err(reason) => {
                if self.fault == Fault::RejectConsumesNothing {
                    self.numbers
                        .insert(self.key(session, user_ref.index), before);
                }
                self.reject(session, user_ref, reason, body.client_order_id);
            }
        }
    }

    pub(super) fn may_enter(
        &self,
        session: u32,
        terms: &Terms,
        options: &Read,
    ) -> Result<u32, RejectReason> {
        if self.protection.risk.over_rate {
            return Err(RejectReason::RiskPortMessageRate);
        }
        let instrument = self.instruments.get(&terms.instrument);
        if instrument.is_some_and(|i| i.retired) {
            return Err(RejectReason::DestinationClosed);
        }
        if !self.day_open || instrument.is_some_and(|i| i.state == b'C') {
            return Err(RejectReason::DestinationClosed);
        }
        let who = &self.sessions[&session];
        if !who.order_entry {
            return Err(RejectReason::Other);
        }
        if options.faulty || options.values.contains_key(&27) || options.not_built() {
            return Err(RejectReason::Other);
        }
        let code = options.values.get(&2).map_or(&b"    "[..], |code| code);
        let firm = self
            .firm_named(session, code)
            .ok_or(RejectReason::FirmNotAuthorized)?;
        if who.disabled.contains(&firm) && self.fault != Fault::DisableIgnored {
            return Err(RejectReason::Other);
        }
        if self.shut(session, firm) || self.has_tripped(session, terms) {
            return Err(RejectReason::Other);
        }
        let instrument = instrument.ok_or(RejectReason::InvalidSymbol)?;
        if instrument.state == b'H' {
            return Err(RejectReason::Halted);
        }
        self.check_values(terms, options, None, false)?;
        let waits = self.stop_of(terms, options).is_some() || pegs::peg_of(options).is_some();
        self.check_limits(session, firm, terms, waits, None)?;
        let slack = usize::from(self.fault == Fault::BoundOffByOne);
        if waits {
            let full = self.orders.len() >= self.bounds[0] as usize + slack;
            if full || self.extended() >= self.bounds[0].div_ceil(4) {
                return Err(RejectReason::Other);
            }
        } else if rests(terms, instrument.state) {
            let full = self.orders.len() >= self.bounds[0] as usize + slack;
            let extended = options.integer(5) != 0 || terms.time_in_force == b'6';
            let full = full || (extended && self.extended() >= self.bounds[0].div_ceil(4));
            if full || !self.level_free(terms, None) {
                return Err(RejectReason::Other);
            }
        }
        Ok(firm)
    }

    /// Live orders with a display size, a deadline or a trigger.
    pub(super) fn extended(&self) -> u32 {
        let extended = |order: &&Order| is_extended(order);
        self.orders.iter().filter(extended).count() as u32
    }

    /// When an order expires, 0 = it does not; `None` if its time in force and options do not fit.
    pub(super) fn deadline(
        &self,
        terms: &Terms,
        options: &Read,
        inherited: Option<u64>,
    ) -> Option<u64> {
        let (seconds, date) = (options.integer(15), options.integer(204));
        match terms.time_in_force {
            b'0' | b'3' if seconds == 0 && date == 0 => Some(0),
            b'6' if inherited.is_some() => inherited,
            b'6' if (1..86_400).contains(&seconds) && date == 0 => {
                Some(self.now + seconds * 1_000_000_000)
            }
            b'6' if seconds == 0 && date > self.now => Some(date),
            _ => None,
        }
    }

    /// Which auctions an order entered now is for, if it is for auctions only.
    pub(super) fn only(&self, terms: &Terms) -> Only {
        let state = self.instruments[&terms.instrument].state;
        match terms.cross_type {
            b'C' => Only::Close,
            b'O' | b'H' => Only::Call,
            _ if terms.price < MARKET || !accumulates(state) => Only::Any,
            _ if state == b'L' => Only::Close,
            _ => Only::Call,
        }
    }

    /// Whether there is a price level for these terms once the order at `without` is gone.
    pub(super) fn level_free(&self, terms: &Terms, without: Option<usize>) -> bool {
        let place = |terms: &Terms| {
            (
                terms.instrument,
                is_buy(terms.side),
                terms.price.min(MARKET),
                terms.display == b'N',
                self.only(terms),
            )
        };
        let others = self
            .orders
            .iter()
            .enumerate()
            .filter(|(at, order)| Some(*at) != without && !order.waits());
        let levels: std::collections::BTreeSet<_> = others
            .map(|(_, order)| {
                let (instrument, buy, _, hidden, _) = place(&order.terms);
                (
                    instrument,
                    buy,
                    order.price().min(MARKET),
                    hidden,
                    order.only,
                )
            })
            .collect();
        let slack = usize::from(self.fault == Fault::LevelBoundOffByOne);
        levels.len() < self.bounds[4] as usize + slack || levels.contains(&place(terms))
    }

    pub(super) fn check_values(
        &self,
        terms: &Terms,
        options: &Read,
        inherited: Option<u64>,
        replaces: bool,
    ) -> Result<(), RejectReason> {
        let instrument = &self.instruments[&terms.instrument];
        let fail = |bad: bool, reason| if bad { Err(reason) } else { Ok(()) };
        fail(!b"BSTE".contains(&terms.side), RejectReason::InvalidSide)?;
        let lot = instrument.lot_size;
        let quantity = terms.quantity;
        let odd = quantity == 0 || quantity > 999_999 || !quantity.is_multiple_of(lot);
        fail(odd, RejectReason::InvalidQuantity)?;
        let state = instrument.state;
        let immediate = terms.time_in_force == b'3';
        fail(immediate && accumulates(state), RejectReason::Other)?;
        let deadline = self.deadline(terms, options, inherited);
        fail(deadline.is_none(), RejectReason::Other)?;
        fail(!b"APRO".contains(&terms.capacity), RejectReason::Other)?;
        let cross = terms.cross_type != b'N';
        let may_cross = match terms.cross_type {
            b'O' => b"PO".contains(&state),
            b'H' => state == b'V',
            b'C' => true,
            _ => false,
        };
        let waits = self.stop_of(terms, options).is_some();
        let may_cross = (may_cross || replaces) && terms.time_in_force == b'0' && !waits;
        fail(cross && !may_cross, RejectReason::InvalidCrossOrder)?;
        fail(
            !b"YAN".contains(&terms.display),
            RejectReason::InvalidDisplay,
        )?;
        let (floor, random) = (options.integer(5), options.integer(13));
        let bad = terms.time_in_force == b'3'
            || hidden(terms)
            || cross
            || terms.price >= MARKET
            || !floor.is_multiple_of(u64::from(lot))
            || floor.saturating_sub(random) * 100 < u64::from(quantity);
        let odd = random != 0 && (random >= floor || !random.is_multiple_of(u64::from(lot)));
        fail((floor != 0 && bad) || odd, RejectReason::InvalidMaxFloor)?;
        self.check_peg(terms, options)?;
        fail(
            options.values.contains_key(&14),
            RejectReason::RoutingNotAllowed,
        )?;
        fail(terms.intermarket_sweep != b'N', RejectReason::IsoNotAllowed)?;
        let post_only = options.letter(12, b'N') == b'P';
        fail(
            post_only && (terms.time_in_force == b'3' || cross),
            RejectReason::Other,
        )?;
        let min = options.integer(3) as u32;
        let bad = terms.time_in_force != b'3' || min > quantity || !min.is_multiple_of(lot);
        fail(min != 0 && bad, RejectReason::InvalidMinQuantity)?;
        let price = terms.price;
        let bad = price == 0 || price > 1_999_999_900 || !self.on_tick(instrument, price);
        fail(
            (price < MARKET || post_only) && bad,
            RejectReason::InvalidPrice,
        )?;
        fail(
            !self.stop_is_right(terms, options),
            RejectReason::InvalidPrice,
        )?;
        let takes = state == b'T' && !cross && price < MARKET && !instrument.rules.calls;
        let stop = self.stop_of(terms, options).is_some();
        let beyond = takes && self.beyond_collar(terms.instrument, is_buy(terms.side), price);
        let plain = !stop && pegs::peg_of(options).is_none();
        fail(beyond && plain, RejectReason::InvalidPrice)
    }

    pub(super) fn replace(&mut self, session: u32, body: &ReplaceOrder, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        let Some(at) = self.find(session, user_ref.index, body.original_user_ref_num) else {
            return;
        };
        if user_ref.number <= self.last(session, user_ref.index) {
            return;
        }
        let original = self.orders[at].clone();
        let state = self.instruments[&original.terms.instrument].state;
        let blocked = match state {
            _ if self.protection.risk.over_rate => Some(RejectReason::RiskPortMessageRate),
            b'C' => Some(RejectReason::DestinationClosed),
            _ if !self.sessions[&session].order_entry => Some(RejectReason::Other),
            _ if self.sessions[&session].disabled.contains(&original.firm) => {
                Some(RejectReason::Other)
            }
            _ if self.shut(session, original.firm) => Some(RejectReason::Other),
            _ if self.has_tripped(session, &original.terms) => Some(RejectReason::Other),
            b'H' => Some(RejectReason::Halted),
            _ => None,
        };
        if let Some(reason) = blocked {
            self.take_number(session, user_ref.index, user_ref.number);
            self.reject(session, user_ref, reason, body.client_order_id);
            return;
        }
        // Absent options keep the original's value; firm and group are always the original's.
        let mut merged = options.values.clone();
        for tag in [2, 4, 12, 16, 24, 203] {
            let kept = original.terms.options.iter().find(|(kept, _)| *kept == tag);
            if tag == 2 || tag == 24 {
                merged.remove(&tag);
            }
            if let Some((_, value)) = kept {
                // The firm is the original's, said by the code it has now.
                let value = if tag == 2 {
                    self.firms[&original.firm].to_vec()
                } else {
                    value.clone()
                };
                merged.entry(tag).or_insert(value);
            }
        }
        let displayed = body.time_in_force != b'3' && body.display != b'N';
        if original.floor != 0 && displayed && !merged.contains_key(&5) {
            merged.insert(5, original.floor.to_le_bytes().to_vec());
            if original.random != 0 {
                let random = original.random.to_le_bytes().to_vec();
                merged.entry(13).or_insert(random);
            }
        }
        let mut inherited = None;
        let given = merged.contains_key(&15) || merged.contains_key(&204);
        if body.time_in_force == b'6' && original.deadline != 0 && !given {
            inherited = Some(original.deadline);
            let said = original
                .terms
                .options
                .iter()
                .find(|(tag, value)| [15, 204].contains(tag) && value.iter().any(|b| *b != 0));
            let (tag, value) = said.unwrap().clone();
            merged.insert(tag, value);
        }
        let silent = !(200..=202).any(|tag| merged.contains_key(&tag));
        let silent = silent && self.fault != Fault::ReplaceForgetsStop;
        if let Some(stop) = original
            .stop
            .filter(|_| silent && body.time_in_force != b'3')
        {
            stop.said_by_a_replacement(&mut merged);
        }
        let silent = !(6..=7).any(|tag| merged.contains_key(&tag));
        let plain = body.time_in_force == b'3' || body.display != b'N';
        if let Some(peg) = original.peg.filter(|_| silent && !plain) {
            peg.said_by_a_replacement(&mut merged);
        }
        let merged = Read {
            values: merged,
            faulty: options.faulty,
        };
        let mut terms = original.terms.clone();
        terms.user_ref = user_ref;
        terms.side = merged.letter(27, original.terms.side);
        terms.quantity = body.quantity;
        terms.price = body.price;
        terms.time_in_force = body.time_in_force;
        terms.display = body.display;
        terms.intermarket_sweep = body.intermarket_sweep;
        terms.client_order_id = body.client_order_id;
        terms.options = merged.echo();
        let valid = !merged.faulty
            && !merged.not_built()
            && body.quantity > original.executed
            && self.check_values(&terms, &merged, inherited, true).is_ok()
            && is_buy(terms.side) == is_buy(original.terms.side)
            && merged.integer(3) as u32 <= body.quantity - original.executed;
        if !valid {
            self.cancel_at(at, CancelReason::User);
            return;
        }
        self.take_number(session, user_ref.index, user_ref.number);
        let stop = self.stop_of(&terms, &merged);
        let peg = pegs::peg_of(&merged);
        let waits = stop.is_some() || peg.is_some();
        let extends = merged.integer(5) != 0 || terms.time_in_force == b'6' || waits;
        let full =
            extends && !is_extended(&original) && self.extended() >= self.bounds[0].div_ceil(4);
        let no_level = !waits && !self.level_free(&terms, Some(at));
        if (rests(&terms, state) || waits) && (full || no_level) {
            self.reject(session, user_ref, RejectReason::Other, body.client_order_id);
            return;
        }
        let limits = self.check_limits(session, original.firm, &terms, waits, Some(at));
        if let Err(reason) = limits {
            self.reject(session, user_ref, reason, body.client_order_id);
            return;
        }
        self.orders.remove(at);
        let executed = if self.fault == Fault::ReplaceForgetsExecuted {
            0
        } else {
            original.executed
        };
        let open = body.quantity - executed;
        self.references += 1;
        terms.order_reference = self.references;
        let said = Terms {
            quantity: open,
            ..terms.clone()
        };
        self.say(
            session,
            What::Replaced(original.terms.user_ref.number, said),
        );
        let deadline = self.deadline(&terms, &merged, inherited).unwrap();
        let order = Order {
            terms,
            session,
            firm: original.firm,
            open,
            executed,
            floor: merged.integer(5) as u32,
            random: merged.integer(13) as u32,
            refreshed: 0,
            shown: 0,
            deadline,
            by_date: merged.integer(204) != 0,
            only: Only::Any,
            stop,
            peg,
        };
        self.act_or_wait(order, merged.integer(3) as u32);
        if self.fault == Fault::ReplaceKeepsPriority && self.orders.len() > at {
            let last = self.orders.pop().unwrap();
            self.orders.insert(at, last);
        }
    }
}

fn is_extended(order: &Order) -> bool {
    order.floor != 0 || order.deadline != 0 || order.stop.is_some() || order.peg.is_some()
}
