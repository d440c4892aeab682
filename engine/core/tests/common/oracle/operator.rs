//! What operators do to the naive venue: definitions and the day.

use super::*;

impl Oracle {
    pub(super) fn operate(&mut self, command: &Command) {
        let known =
            |tag: u16| (256..=263).contains(&tag) || (270..=275).contains(&tag) || tag == 280;
        let unknown = |part: &&(u16, Policy, Vec<u8>)| !known(part.0) && part.1 == Policy::Reject;
        if command.parts.iter().any(|part| unknown(&part)) {
            return;
        }
        match &command.request {
            Request::SetBounds(body) => self.set_bounds(body),
            Request::DefineFirm(body) => self.define_firm(body),
            Request::DefineSession(body) => self.define_session(body, &command.parts),
            Request::DefineInstrument(body) => self.define_instrument(body, &command.parts),
            Request::SetInstrumentState(body) => {
                self.set_state(body.instrument, body.state);
            }
            Request::StartAuction(body) => self.start_auction(body),
            Request::SetSchedule(body) => self.set_schedule(body),
            Request::SetReferencePrice(body) => self.set_reference(body),
            Request::DayOpen(body) => self.open_day(body, &command.parts),
            Request::DayClose(_) => self.close_day(),
            _ => self.protect(&command.request),
        }
    }

    pub(super) fn set_bounds(&mut self, b: &SetBounds) {
        let new = [
            b.open_orders_max,
            b.instruments_max,
            b.sessions_max,
            b.firms_max,
            b.price_levels_max,
        ];
        if new
            .iter()
            .zip(&self.bounds)
            .all(|(new, old)| *new > 0 && new >= old)
        {
            self.bounds = new;
        }
    }

    pub(super) fn define_firm(&mut self, body: &DefineFirm) {
        let taken = self
            .firms
            .iter()
            .any(|(id, code)| *id != body.firm && *code == body.code);
        if (1..=self.bounds[3]).contains(&body.firm) && body.code != *b"    " && !taken {
            self.firms.insert(body.firm, body.code);
        }
    }

    pub(super) fn define_session(
        &mut self,
        body: &DefineSession,
        parts: &[(u16, Policy, Vec<u8>)],
    ) {
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let others = self.sessions.iter().filter(|(id, _)| **id != body.session);
        if !(1..=self.bounds[2]).contains(&body.session)
            || !self.firms.contains_key(&body.firm)
            || user == [b' '; 6]
            || body.cancel_on_disconnect > 1
            || body.order_entry > 1
            || others.into_iter().any(|(_, session)| session.user == user)
        {
            return;
        }
        let mut permitted = Vec::new();
        for (_, _, value) in parts.iter().filter(|part| part.0 == 257) {
            let Ok(firm) = <[u8; 4]>::try_from(value.as_slice()).map(u32::from_le_bytes) else {
                return;
            };
            if !self.firms.contains_key(&firm) || permitted.len() == 16 {
                return;
            }
            permitted.push(firm);
        }
        let part = |tag: u16| {
            parts
                .iter()
                .find(|part| part.0 == tag)
                .map(|part| &part.2[..])
        };
        let (group, mode) = (part(258), part(259));
        if group.is_some_and(|group| group.len() != 4)
            || mode.is_some_and(|mode| mode.len() != 1 || !b"NOBD".contains(&mode[0]))
        {
            return;
        }
        let group = group.map_or(0, |group| u32::from_le_bytes(group.try_into().unwrap()));
        let mode = mode.map_or(0, |mode| mode[0]);
        let fresh = Session {
            firm: 0,
            user,
            permitted: Vec::new(),
            order_entry: false,
            cancel_on_disconnect: false,
            connected: false,
            epoch: 0,
            connection: 0,
            next_outbound: 1,
            disabled: Vec::new(),
            self_trade_group: 0,
            self_trade_mode: 0,
            entry: b'E',
        };
        let is_new = !self.sessions.contains_key(&body.session);
        let session = self.sessions.entry(body.session).or_insert(fresh);
        session.firm = body.firm;
        session.user = user;
        session
            .disabled
            .retain(|firm| *firm == body.firm || permitted.contains(firm));
        session.permitted = permitted;
        session.order_entry = body.order_entry == 1;
        session.self_trade_group = group;
        session.self_trade_mode = mode;
        session.cancel_on_disconnect = body.cancel_on_disconnect == 1;
        if is_new && self.day_open {
            self.say(body.session, What::System(SystemEventCode::StartOfDay));
        }
    }

    pub(super) fn define_instrument(
        &mut self,
        body: &DefineInstrument,
        parts: &[(u16, Policy, Vec<u8>)],
    ) {
        let Some(rules) = Rules::of(parts) else {
            return;
        };
        let id = body.instrument;
        let mut others = self.instruments.iter().filter(|(other, _)| **other != id);
        if !(1..=self.bounds[1]).contains(&id)
            || body.symbol == [b' '; 8]
            || body.tick_size == 0
            || body.tick_size >= 1 << 31
            || body.lot_size == 0
            || body.lot_size > 999_999
            || others.any(|(_, instrument)| instrument.symbol == body.symbol)
        {
            return;
        }
        let mut bands: Vec<(u32, u32)> = Vec::new();
        for (_, _, value) in parts.iter().filter(|part| part.0 == 280) {
            let Ok(value) = <[u8; 8]>::try_from(value.as_slice()) else {
                return;
            };
            let (from, tick) = value.split_at(4);
            let [from, tick] =
                [from, tick].map(|half| u32::from_le_bytes(half.try_into().unwrap()));
            let last = bands.last().map_or(0, |band| band.0);
            let wrong = from <= last || from > 1_999_999_900 || tick == 0;
            if wrong || !tick.is_multiple_of(body.tick_size) || bands.len() == 20 {
                return;
            }
            bands.push((from, tick));
        }
        if self.instruments.get(&id).is_some_and(|now| now.retired) {
            return;
        }
        let tick_size = u64::from(body.tick_size);
        if let Some(now) = self.instruments.get(&id) {
            let live = self.orders.iter().any(|order| order.terms.instrument == id);
            if live && (now.tick_size != tick_size || now.symbol != body.symbol) {
                return;
            }
        }
        let Some(allocation) = sharing::allocation(parts) else {
            return;
        };
        if let Some(now) = self.instruments.get(&id) {
            let live = self.orders.iter().any(|order| order.terms.instrument == id);
            let free = self.fault == Fault::AllocationChangesAnyTime;
            if live && self.day_open && now.allocation != allocation && !free {
                return;
            }
        }
        // A trade at another tick is forgotten.
        let last = match self.instruments.get(&id) {
            Some(now) if now.tick_size == tick_size => now.last,
            _ => 0,
        };
        let fresh = Instrument {
            symbol: body.symbol,
            tick_size,
            lot_size: 0,
            state: b'T',
            schedule: Vec::new(),
            schedule_random_end_ms: 0,
            planned: Vec::new(),
            call_ends: None,
            indicates: None,
            rules,
            reference: 0,
            prices: Prices::default(),
            last,
            allocation,
            bands: Vec::new(),
            retired: false,
        };
        let instrument = self.instruments.entry(id).or_insert(fresh);
        instrument.symbol = body.symbol;
        instrument.tick_size = tick_size;
        instrument.lot_size = body.lot_size;
        instrument.rules = rules;
        instrument.last = last;
        instrument.allocation = allocation;
        instrument.bands = bands;
    }

    pub(super) fn open_day(&mut self, body: &DayOpen, parts: &[(u16, Policy, Vec<u8>)]) {
        let blank = trimmed(&body.session_name).is_empty();
        if self.day_open || body.date <= self.date || body.midnight > self.now || blank {
            return;
        }
        if let Some((_, _, seed)) = parts.iter().find(|part| part.0 == 263) {
            let Ok(seed) = <[u8; 8]>::try_from(&seed[..]) else {
                return;
            };
            self.seed = u64::from_le_bytes(seed);
        }
        self.day_open = true;
        self.date = body.date;
        self.midnight = body.midnight;
        self.session_name = body.session_name;
        self.numbers.clear();
        self.random ^= self.now;
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.begin_risk_day();
        for session in self.sessions.values_mut() {
            session.disabled.clear();
        }
        if self.fault != Fault::StreamGoesOn {
            for session in self.sessions.values_mut() {
                session.next_outbound = 1;
            }
        }
        self.said.push(Said::Control(Control::DayOpened {
            date: body.date,
            midnight: body.midnight,
            session_name: body.session_name,
        }));
        self.say_all(SystemEventCode::StartOfDay);
        self.expire_orders();
        self.cancel_killed();
        self.carry();
        self.begin_instruments_day();
    }

    /// Orders that outlived the last day, by session and order reference.
    pub(super) fn carry(&mut self) {
        let mut carried = self.orders.clone();
        carried.sort_by_key(|order| (order.session, order.terms.order_reference));
        for order in carried {
            let UserRef { number, index } = order.terms.user_ref;
            self.take_number(order.session, index, number);
            let called = accumulates(self.instruments[&order.terms.instrument].state);
            let restated = Restated {
                user_ref: order.terms.user_ref,
                reason: b'R',
                display_quantity: Some(match order.floor {
                    _ if hidden(&order.terms) || order.waits() => 0,
                    0 => order.open,
                    floor if called => order.open.min(floor),
                    _ => order.shown(),
                }),
                display_price: Some(Price(order.price())),
                secondary_reference: Some(OrderReference(order.terms.order_reference)),
            };
            self.say(order.session, What::Restated(restated));
        }
    }

    pub(super) fn close_day(&mut self) {
        if !self.day_open {
            return;
        }
        self.end_instruments_day();
        self.pull_tripped();
        if self.fault != Fault::DayOrdersSurvive {
            for instrument in self.instruments.keys().copied().collect::<Vec<_>>() {
                // Displayed before hidden orders; bids before asks; best price first; then time.
                for (hidden, buy) in [(false, true), (false, false), (true, true), (true, false)] {
                    while let Some(at) = self.first_of(instrument, buy, hidden) {
                        self.cancel_at(at, CancelReason::Closed);
                    }
                }
                self.cancel_only(instrument, Only::Call, CancelReason::Closed);
                self.cancel_only(instrument, Only::Close, CancelReason::Closed);
            }
        }
        if self.fault != Fault::DayOrdersSurvive {
            self.close_waiting();
        }
        self.say_all(SystemEventCode::EndOfDay);
        self.day_open = false;
        self.disconnect_all();
        self.protection.risk.away.clear();
        self.protection.risk.deadline = 0;
        let session_name = self.session_name;
        self.said
            .push(Said::Control(Control::DayClosed { session_name }));
    }
}
