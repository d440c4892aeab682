//! Trading states, schedules and the times at which they change in the naive venue.

use super::auction::{Only, accumulates, is_call};
use super::*;

const MS: u64 = 1_000_000;

/// What an instrument's definition says of collars and auctions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub static_collar: u32,
    pub dynamic_collar: u32,
    pub calls: bool,
    pub duration_ms: u32,
    pub random_end_ms: u32,
    pub interval_ms: u32,
}

impl Rules {
    pub(super) fn of(parts: &[(u16, Policy, Vec<u8>)]) -> Option<Self> {
        let part = |tag: u16| parts.iter().find(|part| part.0 == tag).map(|part| &part.2);
        let number = |tag: u16, most: u32| match part(tag) {
            None => Some(0),
            Some(value) => {
                let value = u32::from_le_bytes(value.as_slice().try_into().ok()?);
                (value <= most).then_some(value)
            }
        };
        let action = part(272).map_or(&b"R"[..], |value| value.as_slice());
        let interval_ms = number(275, 3_600_000)?;
        let rules = Self {
            static_collar: number(270, 10_000)?,
            dynamic_collar: number(271, 10_000)?,
            calls: action == b"V",
            duration_ms: number(273, 86_400_000)?,
            random_end_ms: number(274, 3_600_000)?,
            interval_ms,
        };
        let legal = (action == b"R" || action == b"V") && (interval_ms == 0 || interval_ms >= 10);
        legal.then_some(rules)
    }
}

/// From each state to which others.
fn may_follow(from: u8, to: u8) -> bool {
    let next: &[u8] = match from {
        b'C' => b"PTHO",
        b'P' => b"CTHO",
        b'O' => b"CTH",
        b'T' => b"CHVL",
        b'H' => b"CPOTVL",
        b'V' => b"CTHL",
        _ => b"CTH",
    };
    from == to || next.contains(&to)
}

impl Oracle {
    pub(super) fn set_state(&mut self, id: u32, to: u8) {
        if self.may_enter_state(id, to) {
            self.enter_state(id, to);
        }
    }

    fn may_enter_state(&self, id: u32, to: u8) -> bool {
        let there = self.instruments.get(&id).filter(|there| !there.retired);
        let from = there.map(|instrument| instrument.state);
        b"CPOTHVL".contains(&to)
            && from.is_some_and(|from| may_follow(from, to))
            && (self.day_open || !is_call(to))
    }

    pub(super) fn start_auction(&mut self, body: &StartAuction) {
        let legal = is_call(body.state)
            && b"TC".contains(&body.next_state)
            && body.duration_ms <= 86_400_000
            && body.random_end_ms <= 3_600_000;
        if legal && self.may_enter_state(body.instrument, body.state) {
            self.enter_state(body.instrument, body.state);
            let at = self.now + u64::from(body.duration_ms) * MS;
            self.end_call_after(body.instrument, at, body.random_end_ms, body.next_state);
        }
    }

    fn draw(&mut self, most: u64) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        ((u128::from(word) * (u128::from(most) + 1)) >> 64) as u64
    }

    pub(super) fn end_call_after(&mut self, id: u32, at: u64, random_end_ms: u32, next: u8) {
        let mut later = 0;
        if random_end_ms != 0 {
            later = self.draw(u64::from(random_end_ms) * MS);
        }
        if self.fault == Fault::RandomEndIgnored {
            later = 0;
        }
        let instrument = self.instruments.get_mut(&id).unwrap();
        instrument.call_ends = Some((at + later, next));
    }

    pub(super) fn set_schedule(&mut self, body: &SetSchedule) {
        let times = [
            (body.pre_open_ms, b'P'),
            (body.opening_auction_ms, b'O'),
            (body.trading_ms, b'T'),
            (body.closing_auction_ms, b'L'),
            (body.closed_ms, b'C'),
        ];
        let times: Vec<_> = times
            .into_iter()
            .filter(|(time, _)| *time != u32::MAX)
            .collect();
        let ascends = times.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let bounded = times.iter().all(|(time, _)| *time < 2 * 86_400_000);
        let (now, midnight) = (self.now, self.midnight);
        if let Some(instrument) = self.instruments.get_mut(&body.instrument)
            && !instrument.retired
            && ascends
            && bounded
            && body.random_end_ms <= 3_600_000
        {
            instrument.schedule = times;
            instrument.schedule_random_end_ms = body.random_end_ms;
            instrument.plan(midnight);
            instrument.planned.retain(|(time, _)| *time > now);
        }
    }

    pub(super) fn set_reference(&mut self, body: &SetReferencePrice) {
        if let Some(instrument) = self.instruments.get_mut(&body.instrument)
            && !instrument.retired
            && body.price <= 1_999_999_900
            && body.price.is_multiple_of(instrument.tick_size)
        {
            instrument.reference = body.price;
        }
    }

    pub(super) fn enter_state(&mut self, id: u32, to: u8) {
        let from = self.instruments[&id].state;
        if from == to {
            return;
        }
        let uncrosses = (to == b'T' || (to == b'C' && is_call(from)))
            && self.day_open
            && self.crossed(id, from);
        if (uncrosses || accumulates(to)) && self.fault != Fault::AuctionWithoutReserves {
            self.unfold(id);
        }
        if uncrosses {
            self.uncross(id, from);
        }
        let reason = |traded: bool| {
            if traded {
                CancelReason::ImmediateOrCancel
            } else {
                CancelReason::Closed
            }
        };
        if (to == b'T' || to == b'C') && self.fault != Fault::AuctionOrdersStay {
            self.cancel_only(id, Only::Call, reason(to == b'T' || is_call(from)));
        }
        if to == b'C' || (to == b'T' && from == b'L') {
            self.cancel_only(id, Only::Close, reason(from == b'L'));
        }
        if !accumulates(to) && (uncrosses || accumulates(from)) {
            self.fold(id);
        }
        let instrument = self.instruments.get_mut(&id).unwrap();
        instrument.state = to;
        instrument.call_ends = None;
        instrument.indicates = None;
        self.said.push(Said::Control(Control::InstrumentState {
            instrument: InstrumentId(id),
            state: to,
        }));
        if is_call(to) {
            self.plan_indication(id, self.now);
            self.indicate(id);
        }
    }

    /// Whether a bid would trade with an ask of those that take part.
    pub(super) fn crossed(&self, id: u32, state: u8) -> bool {
        let own = |order: &&Order| self.takes_part(id, state, order);
        let bid = |order: &Order| order.price();
        let ask = |order: &Order| match order.price() {
            MARKET.. => 0,
            price => price,
        };
        let side = |buy: bool| {
            let orders = self.orders.iter().filter(own);
            orders.filter(move |order| is_buy(order.terms.side) == buy)
        };
        side(true).any(|one| side(false).any(|other| bid(one) >= ask(other)))
    }

    fn plan_indication(&mut self, id: u32, from: u64) {
        let now = self.now;
        let instrument = self.instruments.get_mut(&id).unwrap();
        let interval = u64::from(instrument.rules.interval_ms) * MS;
        instrument.indicates = None;
        if interval != 0 {
            let mut next = from + interval;
            while next <= now {
                next += interval;
            }
            instrument.indicates = Some(next);
        }
    }

    fn indicate(&mut self, id: u32) {
        let state = self.instruments[&id].state;
        let outcome = self.outcome(id, state).unwrap_or((0, 0, 0, b'N'));
        let (price, quantity, imbalance, imbalance_side) = outcome;
        self.said.push(Said::Control(Control::Indication {
            instrument: InstrumentId(id),
            price: Price(price),
            quantity,
            imbalance,
            imbalance_side,
        }));
    }

    /// The next time at which something happens by itself, and what: an order's expiry (by reference), or an
    /// instrument's end of call, schedule or indication.
    pub(super) fn next_due(&self) -> Option<(u64, u8, u64, u8)> {
        if !self.day_open {
            return None;
        }
        let instruments = self.instruments.iter().flat_map(|(id, instrument)| {
            let id = u64::from(*id);
            let call = instrument.call_ends.map(|(time, _)| (time, 1, id, 0));
            let planned = instrument
                .planned
                .first()
                .map(|(time, _)| (*time, 1, id, 1));
            let indicates = instrument.indicates.map(|time| (time, 1, id, 2));
            [call, planned, indicates].into_iter().flatten()
        });
        let grace = self.protection.risk.deadline;
        let grace = (grace != 0).then_some((grace, 2, 0, 0));
        let all = self.next_order_due().into_iter().chain(instruments);
        all.chain(grace).min()
    }

    pub(super) fn next_order_due(&self) -> Option<(u64, u8, u64, u8)> {
        let orders = self.orders.iter().filter(|order| order.deadline != 0);
        let orders = orders.map(|order| {
            let reference = order.terms.order_reference;
            (order.deadline, 0, reference, 0)
        });
        orders.min()
    }

    pub(super) fn fire(&mut self, id: u32, what: u8) {
        let instrument = self.instruments.get_mut(&id).unwrap();
        match what {
            0 => {
                let (_, next) = instrument.call_ends.unwrap();
                self.enter_state(id, next);
            }
            1 => {
                let (time, to) = instrument.planned.remove(0);
                self.enter_planned(id, time, to);
            }
            _ => {
                let time = instrument.indicates.unwrap();
                self.plan_indication(id, time);
                self.indicate(id);
            }
        }
    }

    fn enter_planned(&mut self, id: u32, time: u64, to: u8) {
        let from = self.instruments[&id].state;
        let halted = from == b'H' && to != b'C' && self.fault != Fault::ScheduleEndsHalt;
        let called = from == b'V' && to == b'T';
        if halted || called || !may_follow(from, to) {
            return;
        }
        if is_call(from) && !is_call(to) {
            let random_end_ms = self.instruments[&id].schedule_random_end_ms;
            self.end_call_after(id, time, random_end_ms, to);
        } else {
            self.enter_state(id, to);
        }
    }

    pub(super) fn begin_instruments_day(&mut self) {
        for id in self.instruments.keys().copied().collect::<Vec<_>>() {
            let (now, midnight) = (self.now, self.midnight);
            let instrument = self.instruments.get_mut(&id).unwrap();
            let close = instrument.prices.previous_close_price;
            if self.fault != Fault::PricesGoOn {
                instrument.prices = Prices {
                    previous_close_price: close,
                    ..Prices::default()
                };
            }
            if close != 0 {
                instrument.reference = u64::from(close);
            }
            instrument.plan(midnight);
            let passed = instrument.planned.iter().rfind(|(time, _)| *time <= now);
            let passed = passed.map_or(b'C', |(_, state)| *state);
            instrument.planned.retain(|(time, _)| *time > now);
            let state = instrument.state;
            if !instrument.schedule.is_empty() && state != b'H' {
                self.enter_state(id, b'C');
                self.enter_state(id, passed);
            } else if state == b'T' && self.crossed(id, state) {
                self.unfold(id);
                self.uncross(id, state);
                self.fold(id);
            }
        }
    }

    pub(super) fn end_instruments_day(&mut self) {
        for id in self.instruments.keys().copied().collect::<Vec<_>>() {
            match self.instruments[&id].state {
                b'L' => self.enter_state(id, b'C'),
                b'O' | b'V' => self.enter_state(id, b'P'),
                _ => {}
            }
            let prices = &mut self.instruments.get_mut(&id).unwrap().prices;
            let close = [prices.closing_price, prices.last_price];
            if let Some(close) = close.into_iter().find(|price| *price != 0) {
                prices.previous_close_price = close;
            }
        }
    }

    /// A collar stopped an order.
    pub(super) fn call_volatility_auction(&mut self, id: u32) {
        self.enter_state(id, b'V');
        let rules = self.instruments[&id].rules;
        let at = self.now + u64::from(rules.duration_ms) * MS;
        self.end_call_after(id, at, rules.random_end_ms, b'T');
    }
}

impl Instrument {
    /// The day's schedule.
    fn plan(&mut self, midnight: u64) {
        let plan = |(time, state): &(u32, u8)| (midnight + u64::from(*time) * MS, *state);
        self.planned = self.schedule.iter().map(plan).collect();
    }
}
