//! Limits, rates, market-maker protection, positions and trades in the naive venue: sums are taken anew
//! over all live orders each time.

use super::*;
use std::collections::BTreeSet;

/// One side of a trade as remembered.
#[derive(Clone)]
struct Side {
    session: u32,
    user_ref: UserRef,
    firm: u32,
    buy: bool,
    id: [u8; 14],
}

#[derive(Clone)]
struct Trade {
    number: u64,
    instrument: u32,
    quantity: u32,
    /// Resting, aggressor.
    sides: [Side; 2],
    counted: bool,
}

#[derive(Clone)]
struct Guard {
    body: SetProtection,
    start: u64,
    executions: u64,
    shares: u64,
    tripped: bool,
    pending: bool,
}

#[derive(Clone, Default)]
struct Throttle {
    window: u64,
    most: u32,
    start: u64,
    count: u64,
}

#[derive(Clone, Copy, Default)]
struct Position {
    carried: i128,
    bought: i128,
    sold: i128,
}

#[derive(Clone, Default)]
pub(in super::super) struct Risk {
    positions_max: u32,
    trades_max: u32,
    protections_max: u32,
    sessions: BTreeMap<u32, SetLimits>,
    firms: BTreeMap<u32, SetLimits>,
    positions: BTreeMap<(u32, u32), Position>,
    trades: Vec<Trade>,
    /// By session, then all orders (0) or group + 1.
    guards: BTreeMap<(u32, u32), Guard>,
    throttles: BTreeMap<u32, Throttle>,
    pub over_rate: bool,
    pub away: BTreeSet<u32>,
    grace: u64,
    pub deadline: u64,
}

impl Oracle {
    /// The operator's records about limits and the like.
    pub(super) fn limit(&mut self, request: &Request) {
        match request {
            Request::SetRiskBounds(body) => self.set_risk_bounds(body),
            Request::SetLimits(body) => self.set_limits(body),
            Request::SetThrottle(body) => self.set_throttle(body),
            Request::SetProtection(body) => self.set_protection(body),
            Request::ResetProtection(body) => {
                let by_group = body.by_group == 1;
                if self.sessions.contains_key(&body.session)
                    && (by_group || (body.by_group == 0 && body.group_id == 0))
                {
                    let whom = by_group.then(|| u32::from(body.group_id) + 1);
                    self.reset_protections(body.session, whom);
                }
            }
            Request::SetPosition(body) => {
                let pair = (body.firm, body.instrument);
                if self.firms.contains_key(&body.firm)
                    && self.instruments.contains_key(&body.instrument)
                    && self.has_room_for(pair)
                {
                    let risk = &mut self.protection.risk;
                    risk.positions.entry(pair).or_default().carried = body.position.into();
                }
            }
            Request::BreakTrade(body) => self.break_trade(body),
            Request::RetireInstrument(body) => self.retire(body.instrument),
            Request::SetGrace(body) => self.protection.risk.grace = body.grace,
            _ => {}
        }
    }

    fn set_risk_bounds(&mut self, body: &SetRiskBounds) {
        let pairs: BTreeSet<(u32, u32)> = self
            .orders
            .iter()
            .map(|order| (order.firm, order.terms.instrument))
            .collect();
        let risk = &mut self.protection.risk;
        if body.positions_max < risk.positions_max
            || body.trades_max < risk.trades_max
            || body.protections_max < risk.protections_max
        {
            return;
        }
        if risk.positions_max == 0 && body.positions_max != 0 {
            if pairs.len() > body.positions_max as usize {
                return;
            }
            risk.positions = pairs
                .into_iter()
                .map(|pair| (pair, Position::default()))
                .collect();
        }
        let (newest, kept) = (self.matches, u64::from(risk.trades_max));
        risk.trades.retain(|trade| trade.number + kept > newest);
        risk.positions_max = body.positions_max;
        risk.trades_max = body.trades_max;
        risk.protections_max = body.protections_max;
    }

    fn set_limits(&mut self, body: &SetLimits) {
        let of_position = body.long_max | body.short_max | body.gross_max != 0;
        let risk = &mut self.protection.risk;
        if of_position && (body.scope != b'F' || risk.positions_max == 0) {
            return;
        }
        match body.scope {
            b'S' if self.sessions.contains_key(&body.id) => {
                risk.sessions.insert(body.id, *body);
            }
            b'F' if self.firms.contains_key(&body.id) => {
                risk.firms.insert(body.id, *body);
            }
            _ => {}
        }
    }

    fn has_room_for(&self, pair: (u32, u32)) -> bool {
        let risk = &self.protection.risk;
        risk.positions.contains_key(&pair) || risk.positions.len() < risk.positions_max as usize
    }

    /// A firm has an order in an instrument from now on.
    pub(super) fn note_pair(&mut self, firm: u32, instrument: u32) {
        let risk = &mut self.protection.risk;
        if risk.positions_max != 0 {
            risk.positions.entry((firm, instrument)).or_default();
        }
    }

    /// All limits, for the worst that an order could do; `without`: the order that it replaces.
    pub(super) fn check_limits(
        &self,
        session: u32,
        firm: u32,
        terms: &Terms,
        waits: bool,
        without: Option<usize>,
    ) -> Result<(), RejectReason> {
        let state = self.instruments[&terms.instrument].state;
        let may_rest = waits || rests(terms, state);
        let risk = &self.protection.risk;
        let limits: Vec<(bool, &SetLimits)> = risk
            .sessions
            .get(&session)
            .map(|limits| (true, limits))
            .into_iter()
            .chain(risk.firms.get(&firm).map(|limits| (false, limits)))
            .collect();
        let over = |limit: u64, value: i128| limit != 0 && value > i128::from(limit);
        let any = |exceeded: &dyn Fn(bool, &SetLimits) -> bool| {
            limits
                .iter()
                .any(|(session, limits)| exceeded(*session, limits))
        };
        let price = i128::from(terms.price.min(1_999_999_900));
        let total = i128::from(terms.quantity);
        let executed = without.map_or(0, |at| i128::from(self.orders[at].executed));
        if any(&|_, l| over(l.order_quantity_max.into(), total)) {
            return Err(RejectReason::RiskMaxQuantity);
        }
        if any(&|_, l| over(l.order_notional_max, total * price)) {
            return Err(RejectReason::RiskSingleOrderNotional);
        }
        // The live orders of the session, or of the firm, without the one that goes.
        let others = |of_session: bool| {
            let orders = self.orders.iter().enumerate();
            orders.filter(move |(at, order)| {
                let own = if of_session {
                    order.session == session
                } else {
                    order.firm == firm
                };
                own && (Some(*at) != without || self.fault == Fault::ReplaceCountsTwice)
            })
        };
        let count = |of_session| others(of_session).count() as i128 + 1;
        let slack = i128::from(self.fault == Fault::OpenOrdersOffByOne);
        if may_rest && any(&|s, l| over(l.open_orders_max.into(), count(s) - slack)) {
            return Err(RejectReason::RiskAggregateExposure);
        }
        let open_notional = |of_session| {
            let worth = |order: &Order| {
                i128::from(order.terms.price.min(1_999_999_900)) * i128::from(order.open)
            };
            let sum: i128 = others(of_session).map(|(_, order)| worth(order)).sum();
            sum + (total - executed) * price
        };
        if may_rest && any(&|s, l| over(l.open_notional_max, open_notional(s))) {
            return Err(RejectReason::ExceedsMaxNotional);
        }
        self.check_position(firm, terms, total - executed, without)
    }

    fn check_position(
        &self,
        firm: u32,
        terms: &Terms,
        open: i128,
        without: Option<usize>,
    ) -> Result<(), RejectReason> {
        let risk = &self.protection.risk;
        let pair = (firm, terms.instrument);
        if risk.positions_max != 0 && !self.has_room_for(pair) {
            return Err(RejectReason::Other);
        }
        let Some(limits) = risk.firms.get(&firm) else {
            return Ok(());
        };
        let position = risk.positions.get(&pair).copied().unwrap_or_default();
        let net = position.carried + position.bought - position.sold;
        let open_on = |buy: bool| {
            let own = |(at, order): &(usize, &Order)| {
                Some(*at) != without
                    && (order.firm, order.terms.instrument) == pair
                    && is_buy(order.terms.side) == buy
            };
            let orders = self.orders.iter().enumerate().filter(own);
            orders
                .map(|(_, order)| i128::from(order.open))
                .sum::<i128>()
        };
        let buy = is_buy(terms.side);
        let (bids, asks) = (open_on(true), open_on(false));
        let (bids, asks) = if buy {
            (bids + open, asks)
        } else {
            (bids, asks + open)
        };
        let over = |limit: u64, value: i128| limit != 0 && value > i128::from(limit);
        let asks_too = match self.fault {
            Fault::LongNetsSells => asks,
            _ => 0,
        };
        let far = if buy {
            over(limits.long_max, net + bids - asks_too)
        } else {
            over(limits.short_max, asks - net)
        };
        let gross = position.bought + position.sold + bids + asks;
        if far || over(limits.gross_max, gross) {
            return Err(RejectReason::SharesExceedThreshold);
        }
        Ok(())
    }

    fn set_throttle(&mut self, body: &SetThrottle) {
        let fits = (body.window == 0) == (body.messages_max == 0);
        if self.sessions.contains_key(&body.session) && fits {
            let throttle = Throttle {
                window: body.window,
                most: body.messages_max,
                ..Throttle::default()
            };
            self.protection
                .risk
                .throttles
                .insert(body.session, throttle);
        }
    }

    /// Every request counts; ends of connections are no requests.
    pub(super) fn count_request(&mut self, session: u32, request: &Request) {
        let risk = &mut self.protection.risk;
        risk.over_rate = false;
        if matches!(request, Request::Logout(_) | Request::Disconnect(_)) {
            return;
        }
        let Some(throttle) = risk.throttles.get_mut(&session) else {
            return;
        };
        if throttle.most == 0 {
            return;
        }
        if self.now - throttle.start >= throttle.window {
            throttle.start = self.now;
            throttle.count = 0;
        }
        throttle.count += 1;
        let slack = u64::from(self.fault == Fault::ThrottleOffByOne);
        risk.over_rate = throttle.count > u64::from(throttle.most) + slack;
    }

    fn set_protection(&mut self, body: &SetProtection) {
        let ends = body.executions_max == 0 && body.quantity_max == 0;
        let grouped = body.by_group == 1 || (body.by_group == 0 && body.group_id == 0);
        if !self.sessions.contains_key(&body.session) || !grouped || (body.window == 0) != ends {
            return;
        }
        let whom = if body.by_group == 1 {
            u32::from(body.group_id) + 1
        } else {
            0
        };
        let key = (body.session, whom);
        let risk = &mut self.protection.risk;
        if ends {
            risk.guards.remove(&key);
        } else if risk.guards.contains_key(&key)
            || risk.guards.len() < risk.protections_max as usize
        {
            let guard = Guard {
                body: *body,
                start: 0,
                executions: 0,
                shares: 0,
                tripped: false,
                pending: false,
            };
            risk.guards.insert(key, guard);
        }
    }

    pub(super) fn reset_protections(&mut self, session: u32, whom: Option<u32>) {
        for ((of, which), guard) in &mut self.protection.risk.guards {
            if *of == session && whom.is_none_or(|whom| whom == *which) {
                (guard.start, guard.executions, guard.shares) = (0, 0, 0);
                guard.tripped = false;
            }
        }
    }

    pub(super) fn has_tripped(&self, session: u32, terms: &Terms) -> bool {
        let group = group_of(terms);
        let guards = self.protection.risk.guards.iter();
        let mut own = guards.filter(|((of, which), _)| {
            *of == session && (*which == 0 || *which == u32::from(group) + 1)
        });
        own.any(|(_, guard)| guard.tripped) && self.fault != Fault::TrippedEnters
    }

    /// What a trade between the order at `at` and an aggressor leaves behind, beside events.
    pub(super) fn remember(&mut self, at: usize, aggressor: &Order, quantity: u32) {
        let resting = self.orders[at].clone();
        let (instrument, number) = (aggressor.terms.instrument, self.matches);
        let sides = [&resting, aggressor].map(|order| Side {
            session: order.session,
            user_ref: order.terms.user_ref,
            firm: order.firm,
            buy: is_buy(order.terms.side),
            id: order.terms.client_order_id,
        });
        let now = self.now;
        let risk = &mut self.protection.risk;
        let counted = risk.positions_max != 0;
        for side in sides.iter().filter(|_| counted) {
            let position = risk.positions.entry((side.firm, instrument)).or_default();
            if side.buy {
                position.bought += i128::from(quantity);
            } else {
                position.sold += i128::from(quantity);
            }
        }
        if risk.trades_max != 0 {
            risk.trades.push(Trade {
                number,
                instrument,
                quantity,
                sides,
                counted,
            });
        }
        for order in [&resting, aggressor] {
            let group = group_of(&order.terms);
            for ((session, which), guard) in &mut risk.guards {
                let covers = *which == 0 || *which == u32::from(group) + 1;
                if *session != order.session || !covers || guard.tripped {
                    continue;
                }
                if now - guard.start >= guard.body.window {
                    (guard.start, guard.executions, guard.shares) = (now, 0, 0);
                }
                guard.executions += 1;
                guard.shares += u64::from(quantity);
                let GuardLimits { many, much } = guard.limits();
                guard.tripped = many || much;
                guard.pending = guard.tripped;
            }
        }
    }

    /// By session, then all orders before groups, then by group.
    pub(super) fn pull_tripped(&mut self) {
        let guards = self.protection.risk.guards.iter_mut();
        let mut pending = Vec::new();
        for (key, guard) in guards.filter(|(_, guard)| guard.pending) {
            guard.pending = false;
            pending.push(*key);
        }
        if self.fault == Fault::TrippedStays {
            return;
        }
        for (session, whom) in pending {
            let mut meant: Vec<Order> = self
                .orders
                .iter()
                .filter(|order| order.session == session)
                .filter(|order| whom == 0 || whom == u32::from(group_of(&order.terms)) + 1)
                .cloned()
                .collect();
            meant.sort_by_key(|order| order.terms.order_reference);
            for order in meant {
                let UserRef { number, index } = order.terms.user_ref;
                let at = self.find(session, index, number).unwrap();
                self.cancel_at(at, CancelReason::System);
            }
        }
    }

    /// Only today's latest trades are known, each until it is broken.
    fn break_trade(&mut self, body: &BreakTrade) {
        let newest = self.matches;
        let fault = self.fault;
        let risk = &mut self.protection.risk;
        let kept = u64::from(risk.trades_max);
        let known =
            |trade: &Trade| trade.number == body.match_number && trade.number + kept > newest;
        let Some(at) = risk.trades.iter().position(known) else {
            return;
        };
        if !self.day_open || !b"ECSX".contains(&body.reason) {
            return;
        }
        let trade = risk.trades.remove(at);
        let counted = trade.counted && fault != Fault::BustKeepsPosition;
        for side in trade.sides {
            let position = risk.positions.get_mut(&(side.firm, trade.instrument));
            if let Some(position) = position.filter(|_| counted) {
                if side.buy {
                    position.bought -= i128::from(trade.quantity);
                } else {
                    position.sold -= i128::from(trade.quantity);
                }
            }
            let broken = Broken {
                user_ref: side.user_ref,
                match_number: MatchNumber(trade.number),
                reason: body.reason,
                client_order_id: side.id,
            };
            let stream = side.session;
            let what = What::Broken(broken);
            let number = self.sessions[&stream].next_outbound;
            self.sessions.get_mut(&stream).unwrap().next_outbound += 1;
            self.said.push(Said::Event {
                session: stream,
                number,
                time_ns: self.now - self.midnight,
                what,
            });
        }
    }

    /// Orders go now, the instrument when the next day opens.
    fn retire(&mut self, id: u32) {
        let live = self.orders.iter().any(|order| order.terms.instrument == id);
        let day_open = self.day_open;
        match self.instruments.get_mut(&id) {
            Some(instrument) if !instrument.retired && (day_open || !live) => {
                instrument.retired = true;
            }
            _ => return,
        }
        if self.fault == Fault::RetiredKeepsOrders {
            return;
        }
        let own = |order: &&Order| order.terms.instrument == id;
        self.cancel_by_operator(self.orders.iter().filter(own).cloned().collect());
        self.enter_state(id, b'C');
        self.instruments.get_mut(&id).unwrap().planned.clear();
    }

    /// Whether an instrument allows a price: the last band that begins at or below it decides.
    pub(super) fn on_tick(&self, instrument: &Instrument, price: u64) -> bool {
        let mut bands = instrument.bands.iter();
        let here = bands.rfind(|band| u64::from(band.0) <= price);
        let tick = here.map_or(instrument.tick_size, |band| u64::from(band.1));
        match self.fault {
            Fault::BandsIgnored => price.is_multiple_of(instrument.tick_size),
            _ => price.is_multiple_of(tick) && price.is_multiple_of(instrument.tick_size),
        }
    }

    pub(super) fn begin_risk_day(&mut self) {
        self.instruments.retain(|_, instrument| !instrument.retired);
        let there = &self.instruments;
        let positions = &mut self.protection.risk.positions;
        positions.retain(|pair, _| there.contains_key(&pair.1));
        let with_orders: BTreeSet<(u32, u32)> = self
            .orders
            .iter()
            .map(|order| (order.firm, order.terms.instrument))
            .collect();
        let risk = &mut self.protection.risk;
        risk.trades.clear();
        for position in risk.positions.values_mut() {
            position.carried += position.bought - position.sold;
            (position.bought, position.sold) = (0, 0);
        }
        risk.positions
            .retain(|pair, position| position.carried != 0 || with_orders.contains(pair));
        for guard in risk.guards.values_mut() {
            (guard.start, guard.executions, guard.shares) = (0, 0, 0);
            guard.tripped = false;
        }
    }

    /// A new leader: who was connected is away.
    pub(super) fn begin_grace(&mut self) {
        let connected: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.connected)
            .map(|(id, _)| *id)
            .collect();
        self.disconnect_all();
        let risk = &mut self.protection.risk;
        risk.away.extend(connected);
        if risk.grace != 0 && !risk.away.is_empty() && self.day_open {
            risk.deadline = self.now.saturating_add(risk.grace);
        }
    }

    pub(super) fn end_grace(&mut self) {
        let risk = &mut self.protection.risk;
        if risk.deadline == 0 || risk.deadline > self.now || !self.day_open {
            return;
        }
        risk.deadline = 0;
        let away = std::mem::take(&mut risk.away);
        if self.fault == Fault::GraceForgotten {
            return;
        }
        for session in away {
            self.connection_lost(session);
        }
    }

    /// What is in use, for comparison: (firm, instrument) with net, bought, sold and open on both sides.
    pub fn positions(&self) -> Vec<((u32, u32), [i128; 5])> {
        let open = |pair: (u32, u32), buy: bool| {
            let own = |order: &&Order| {
                (order.firm, order.terms.instrument) == pair && is_buy(order.terms.side) == buy
            };
            let orders = self.orders.iter().filter(own);
            orders.map(|order| i128::from(order.open)).sum::<i128>()
        };
        let positions = self.protection.risk.positions.iter();
        positions
            .map(|(pair, p)| {
                let net = p.carried + p.bought - p.sold;
                let (bids, asks) = (open(*pair, true), open(*pair, false));
                (*pair, [net, p.bought, p.sold, bids, asks])
            })
            .collect()
    }

    /// Numbers of the latest matches, for a generator that wants to break them.
    pub fn last_match(&self) -> u64 {
        self.matches
    }
}

struct GuardLimits {
    many: bool,
    much: bool,
}

impl Guard {
    fn limits(&self) -> GuardLimits {
        let (most, shares) = (u64::from(self.body.executions_max), self.body.quantity_max);
        GuardLimits {
            many: most != 0 && self.executions >= most,
            much: shares != 0 && self.shares >= shares,
        }
    }
}

fn group_of(terms: &Terms) -> u16 {
    let group = terms.options.iter().find(|(tag, _)| *tag == 24);
    group.map_or(0, |(_, value)| u16::from_le_bytes([value[0], value[1]]))
}
