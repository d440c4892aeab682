//! Protection's section of the image: both ways, for each structure once.
//!
//! What is counted of live orders is no part of it: loading counts it again.

use super::load::Loaded;
use super::walk::{Reader, Walk, Writer};
use super::{LoadError, NONE};
use crate::machine::StateMachine;
use crate::risk::limit::Limits;
use crate::risk::position::{FREE_POSITION, Position};
use crate::risk::protection::{FREE_PROTECTION, Protection};
use crate::risk::throttle::Throttle;
use crate::risk::trade::{NO_TRADE, Trade, TradeSide};
use crate::risk::{Account, Firm, Grace, Risk, RiskBounds};
use crate::session::owner_session;
use alloc::vec::Vec;
use lockstep_record::{FirmId, InstrumentId, SessionId, Side};

/// Far beyond what trading can reach, and far from an overflow.
const CARRIED_MAX: i128 = 1 << 100;
const TRADED_MAX: u64 = 1 << 62;

impl StateMachine {
    pub(super) fn write_risk(&self, writer: &mut Writer<'_>) {
        let Risk {
            entry,
            bounds,
            tracking: _,  // what is not tracked has no limit
            over_rate: _, // within a record only
            grace,
            sessions: _, // by id, below
            firms: _,    // by id, below
            positions,
            trades,
            protections: _, // with the sessions
        } = &self.risk;
        walk_bounds(writer, &mut bounds.clone());
        entry.clone().walk(writer);
        walk_grace(writer, &mut grace.clone());
        for (id, _) in self.firms.defined() {
            walk_firm(writer, &mut self.risk.firm(id).clone());
        }
        for id in self.sessions.defined() {
            self.write_session_risk(id, writer);
        }
        writer.put(positions.live());
        for mut position in positions.sorted() {
            walk_position(writer, &mut position);
        }
        let known = trades.known(self.last_match);
        writer.put(known.clone().count() as u32);
        for trade in known {
            walk_trade(writer, &mut trade.clone());
        }
    }

    fn write_session_risk(&self, id: SessionId, writer: &mut Writer<'_>) {
        walk_account(writer, &mut self.risk.session(id).clone());
        walk_throttle(writer, &mut self.risk.throttle(id).clone());
        let first = self.sessions.get(id).first_protection;
        let list = self.risk.protections.list(first);
        writer.put(list.clone().count() as u32);
        for protection in list {
            walk_protection(writer, &mut protection.clone());
        }
    }

    pub(super) fn read_risk(&mut self, reader: &mut Reader<'_>) -> Loaded {
        let mut bounds = RiskBounds::default();
        walk_bounds(reader, &mut bounds);
        self.risk.entry.walk(reader);
        walk_grace(reader, &mut self.risk.grace);
        reader.check()?;
        self.take_risk_bounds(reader, &bounds)?;
        let firms: Vec<FirmId> = self.firms.defined().map(|(id, _)| id).collect();
        for id in firms {
            walk_firm(reader, self.risk.firm_mut(id));
        }
        let sessions: Vec<SessionId> = self.sessions.defined().collect();
        for id in sessions {
            self.read_session_risk(id, reader)?;
        }
        self.read_positions(reader)?;
        self.read_trades(reader)
    }

    fn take_risk_bounds(&mut self, reader: &Reader<'_>, bounds: &RiskBounds) -> Loaded {
        if !bounds.may_follow(&RiskBounds::default()) {
            return Err(reader.wrong("a bound of protection is above its maximum"));
        }
        if let Some((bound, wanted, held)) = bounds.beyond(&self.capacity) {
            return Err(LoadError::Capacity {
                bound,
                wanted,
                held,
            });
        }
        self.risk.positions.grow(bounds.positions_max);
        self.risk.trades.grow(bounds.trades_max);
        self.risk.protections.grow(bounds.protections_max);
        self.risk.bounds = *bounds;
        Ok(())
    }

    fn read_session_risk(&mut self, id: SessionId, reader: &mut Reader<'_>) -> Loaded {
        walk_account(reader, self.risk.session_mut(id));
        let throttle = self.risk.throttle_mut(id);
        walk_throttle(reader, throttle);
        let Throttle {
            window,
            messages_max,
            ..
        } = *throttle;
        if (window == 0) != (messages_max == 0) {
            return Err(reader.wrong("a throttle has no window"));
        }
        self.sessions.get_mut(id).throttled = messages_max != 0;
        let mut above = 0;
        for _ in 0..reader.get()? {
            let mut protection = FREE_PROTECTION;
            walk_protection(reader, &mut protection);
            reader.check()?;
            let Protection {
                window,
                whom,
                executions_max,
                quantity_max,
                ..
            } = protection;
            let limits = executions_max != 0 || quantity_max != 0;
            if whom < above || whom > 1 << 16 || window == 0 || !limits {
                return Err(reader.wrong("protections are not by group, with limits"));
            }
            above = whom + 1;
            protection.session = id;
            let first = &mut self.sessions.get_mut(id).first_protection;
            if self.risk.protections.set(first, &protection).is_none() {
                return Err(reader.wrong("there are more protections than their bound"));
            }
        }
        Ok(())
    }

    fn read_positions(&mut self, reader: &mut Reader<'_>) -> Loaded {
        let mut last = (0, 0);
        for _ in 0..reader.get()? {
            let mut read = FREE_POSITION;
            walk_position(reader, &mut read);
            reader.check()?;
            let pair = (read.firm, read.instrument);
            let (firm, instrument) = (FirmId(read.firm), InstrumentId(read.instrument));
            let known = self.firms.is_defined(firm) && self.instruments.is_defined(instrument);
            let sane = (-CARRIED_MAX..=CARRIED_MAX).contains(&read.carried)
                && read.bought <= TRADED_MAX
                && read.sold <= TRADED_MAX;
            if pair <= last || !known || !sane {
                return Err(reader.wrong("positions are not by firm and instrument, in range"));
            }
            last = pair;
            match self.risk.positions.claim(firm, instrument) {
                Some(position) => *position = read,
                None => return Err(reader.wrong("there are more positions than their bound")),
            }
        }
        Ok(())
    }

    fn read_trades(&mut self, reader: &mut Reader<'_>) -> Loaded {
        let kept = u64::from(self.risk.bounds.trades_max);
        let mut last = self.last_match.saturating_sub(kept);
        for _ in 0..reader.get()? {
            let mut trade = NO_TRADE;
            walk_trade(reader, &mut trade);
            reader.check()?;
            if trade.match_number <= last || trade.match_number > self.last_match {
                return Err(reader.wrong("trades are not by match number, among the latest"));
            }
            last = trade.match_number;
            let defined = |side: &TradeSide| {
                let session = self.sessions.find(owner_session(side.owner));
                session.is_some() && self.firms.is_defined(side.firm)
            };
            let sides = defined(&trade.resting) && defined(&trade.aggressor);
            if !sides || !self.instruments.is_defined(trade.instrument) {
                return Err(reader.wrong("a trade is of what is not defined"));
            }
            self.risk.trades.keep(&trade);
        }
        Ok(())
    }

    /// Counts what all live orders amount to, if somebody needs it.
    pub(super) fn count_loaded(&mut self, reader: &Reader<'_>) -> Loaded {
        let limited = |account: &Account| account.limits != Limits::default();
        let kept = self.risk.positions.are_kept();
        let any_session = self
            .sessions
            .defined()
            .any(|id| limited(self.risk.session(id)));
        let any_firm = self
            .firms
            .defined()
            .any(|(id, _)| limited(&self.risk.firm(id).account));
        if kept && !self.orders_have_positions() {
            return Err(reader.wrong("a live order's firm has no position"));
        }
        if kept || any_session || any_firm {
            self.track();
        }
        Ok(())
    }

    fn orders_have_positions(&self) -> bool {
        self.sessions.defined().all(|id| {
            let mut slot = self.sessions.get(id).first_order;
            let mut all = true;
            while slot != NONE {
                let order = self.counted(slot);
                let position = self.risk.positions.find(order.firm, order.instrument);
                all &= position.is_some();
                slot = self.details[slot as usize].next;
            }
            all
        })
    }
}

fn walk_bounds(walk: &mut impl Walk, bounds: &mut RiskBounds) {
    let RiskBounds {
        positions_max,
        trades_max,
        protections_max,
    } = bounds;
    walk.u32(positions_max);
    walk.u32(trades_max);
    walk.u32(protections_max);
}

fn walk_grace(walk: &mut impl Walk, grace: &mut Grace) {
    let Grace { period, deadline } = grace;
    walk.u64(period);
    walk.u64(&mut deadline.0);
}

fn walk_firm(walk: &mut impl Walk, firm: &mut Firm) {
    let Firm { entry, account } = firm;
    entry.walk(walk);
    walk_account(walk, account);
}

fn walk_account(walk: &mut impl Walk, account: &mut Account) {
    let Account {
        limits,
        exposure: _, // a function of the live orders
    } = account;
    limits.walk(walk);
}

fn walk_throttle(walk: &mut impl Walk, throttle: &mut Throttle) {
    let Throttle {
        window,
        messages_max,
        count,
        start,
    } = throttle;
    walk.u64(window);
    walk.u32(messages_max);
    walk.u32(count);
    walk.u64(&mut start.0);
}

fn walk_protection(walk: &mut impl Walk, protection: &mut Protection) {
    let Protection {
        window,
        quantity_max,
        executions_max,
        whom,
        executions,
        quantity,
        start,
        tripped,
        session: _, // it is written under its session
        next: _,    // in the list's order
    } = protection;
    walk.u32(whom);
    walk.u64(window);
    walk.u64(quantity_max);
    walk.u32(executions_max);
    walk.u32(executions);
    walk.u64(quantity);
    walk.u64(&mut start.0);
    walk.flag(tripped);
}

fn walk_position(walk: &mut impl Walk, position: &mut Position) {
    let Position {
        carried,
        bought,
        sold,
        open_buy: _, // a function of the live orders
        open_sell: _,
        firm,
        instrument,
    } = position;
    walk.u32(firm);
    walk.u32(instrument);
    walk.i128(carried);
    walk.u64(bought);
    walk.u64(sold);
}

fn walk_trade(walk: &mut impl Walk, trade: &mut Trade) {
    let Trade {
        match_number,
        instrument,
        quantity,
        side,
        counted,
        resting,
        aggressor,
    } = trade;
    walk.u64(match_number);
    walk.u32(&mut instrument.0);
    walk.u32(quantity);
    let mut sell = *side == Side::Sell;
    walk.flag(&mut sell);
    *side = if sell { Side::Sell } else { Side::Buy };
    walk.flag(counted);
    for side in [resting, aggressor] {
        let TradeSide {
            owner,
            number,
            firm,
            client_order_id,
        } = side;
        walk.u32(owner);
        walk.u32(number);
        walk.u32(&mut firm.0);
        walk.bytes(client_order_id);
    }
}
