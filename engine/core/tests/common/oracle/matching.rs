//! Matching in the naive venue: one list of orders, searched from the front.

use super::*;

impl Oracle {
    /// The displayed or hidden order first in price and time.
    pub(super) fn first_of(&self, instrument: u32, buy: bool, is_hidden: bool) -> Option<usize> {
        let own = (0..self.orders.len()).filter(|at| {
            let terms = &self.orders[*at].terms;
            terms.instrument == instrument
                && is_buy(terms.side) == buy
                && hidden(terms) == is_hidden
                && self.orders[*at].only == Only::Any
                && !self.orders[*at].waits()
                && !self.orders[*at].by_date
        });
        own.min_by_key(|at| {
            let price = self.orders[*at].price();
            if buy { u64::MAX - price } else { price }
        })
    }

    /// The order first in price and time.
    pub(super) fn best(&self, instrument: u32, buy: bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (at, order) in self.orders.iter().enumerate() {
            let side = is_buy(order.terms.side) == buy && order.only == Only::Any;
            if order.terms.instrument != instrument || !side || order.waits() {
                continue;
            }
            let better = best.is_none_or(|best| {
                let (now, then) = (order.price(), self.orders[best].price());
                if now == then && self.fault != Fault::HiddenWithDisplayed {
                    let (now, then) = (hidden(&order.terms), hidden(&self.orders[best].terms));
                    if now != then {
                        return !now;
                    }
                }
                let later_first = self.fault == Fault::LastComeFirst && now == then;
                later_first || if buy { now > then } else { now < then }
            });
            if better {
                best = Some(at);
            }
        }
        best
    }

    pub(super) fn crosses(&self, order: &Order, price: u64) -> bool {
        let limit = order.price();
        let slack = match self.fault {
            Fault::ThroughOwnLimit => self.instruments[&order.terms.instrument].tick_size,
            _ => 0,
        };
        limit >= MARKET
            || if is_buy(order.terms.side) {
                price <= limit + slack
            } else {
                price + slack >= limit
            }
    }

    /// Shares that `order` would trade now: tried on a copy.
    pub(super) fn available(&self, order: &Order, collar: Option<u64>) -> u32 {
        let mut copy = Self {
            orders: self.orders.clone(),
            sessions: self.sessions.clone(),
            seed: self.seed,
            ..Self::new(self.fault)
        };
        copy.instruments = self.instruments.clone();
        let mut order = order.clone();
        let before = order.executed;
        copy.take(&mut order, collar);
        order.executed - before
    }

    pub(super) fn best_against(&self, order: &Order) -> Option<usize> {
        let against = self.best(order.terms.instrument, !is_buy(order.terms.side));
        against.filter(|at| self.crosses(order, self.orders[*at].price()))
    }

    pub(super) fn take(&mut self, order: &mut Order, collar: Option<u64>) {
        let buy = is_buy(order.terms.side);
        while order.open > 0
            && let Some(at) = self.best_against(order)
        {
            let price = self.orders[at].price();
            if collar.is_some_and(|collar| if buy { price > collar } else { price < collar }) {
                break;
            }
            let mode = self.self_trade_mode(order);
            let prevented = mode != 0 && self.fault != Fault::SelfTradeIgnored;
            if !hidden(&self.orders[at].terms) && self.is_shared(order) {
                self.take_round(order, at, if prevented { mode } else { 0 });
                continue;
            }
            if prevented && self.same_party(order.session, self.orders[at].session) {
                self.prevent(order, at, mode);
            } else {
                self.fill(order, at);
            }
        }
    }

    pub(super) fn trade(&mut self, mut order: Order, minimum: u32) {
        let id = order.terms.instrument;
        let state = self.instruments[&id].state;
        order.only = self.only(&order.terms);
        if state != b'T' || order.only != Only::Any {
            order.shown = order.open;
            return self.come_to_rest(order);
        }
        let collar = self.collar(id, is_buy(order.terms.side));
        let collar = collar.filter(|_| self.fault != Fault::CollarIgnored);
        let post_only = order.terms.options.contains(&(12, b"P".to_vec()));
        if post_only && self.best_against(&order).is_some() && self.fault != Fault::PostOnlyTakes {
            return self.cancel_entering(&order, CancelReason::PostOnlyContra);
        }
        let enough = minimum == 0 || self.available(&order, collar) >= minimum;
        if enough || self.fault == Fault::MinimumIgnored {
            self.take(&mut order, collar);
        }
        if order.open == 0 {
            return;
        }
        let stopped = collar.is_some() && enough && self.best_against(&order).is_some();
        if stopped && self.instruments[&id].rules.calls {
            if rests(&order.terms, state) {
                order.shown = order.floor.min(order.open);
                self.come_to_rest(order);
            } else {
                self.cancel_entering(&order, CancelReason::MarketCollar);
            }
            return self.call_volatility_auction(id);
        }
        if stopped {
            return self.cancel_entering(&order, CancelReason::MarketCollar);
        }
        let residual_rests = self.fault == Fault::IocResidualRests && order.terms.price < MARKET;
        if rests(&order.terms, state) || residual_rests {
            if !self.level_free(&order.terms, None) && self.fault != Fault::LevelBoundOffByOne {
                return self.cancel_entering(&order, CancelReason::System);
            }
            order.shown = order.floor.min(order.open);
            self.orders.push(order);
            return;
        }
        self.cancel_entering(&order, CancelReason::ImmediateOrCancel);
    }

    /// A stop may find no price level when it acts.
    fn come_to_rest(&mut self, order: Order) {
        if !self.level_free(&order.terms, None) && self.fault != Fault::LevelBoundOffByOne {
            return self.cancel_entering(&order, CancelReason::System);
        }
        self.orders.push(order);
    }

    pub(super) fn cancel_entering(&mut self, order: &Order, reason: CancelReason) {
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

    pub(super) fn self_trade_mode(&self, order: &Order) -> u8 {
        let own = order.terms.options.iter().find(|(tag, _)| *tag == 203);
        own.map_or(
            self.sessions[&order.session].self_trade_mode,
            |(_, mode)| mode[0],
        )
    }

    pub(super) fn same_party(&self, one: u32, other: u32) -> bool {
        let group = |session: u32| self.sessions[&session].self_trade_group;
        one == other || (group(one) != 0 && group(one) == group(other))
    }

    /// Two orders of one party meet: nothing trades.
    pub(super) fn prevent(&mut self, order: &mut Order, at: usize, strategy: u8) {
        let resting = &mut self.orders[at];
        let quantity_prevented = order.open.min(resting.shown());
        let (resting_loss, own_loss) = match strategy {
            b'N' => (0, order.open),
            b'O' => (resting.open, 0),
            b'B' => (resting.open, order.open),
            _ if self.fault == Fault::DecrementCancels => (resting.open, quantity_prevented),
            _ => (quantity_prevented, quantity_prevented),
        };
        resting.open -= resting_loss;
        resting.shown = resting.shown.saturating_sub(resting_loss);
        order.open -= own_loss;
        let price = Price(resting.price());
        let (session, resting_ref, left) = (resting.session, resting.terms.user_ref, resting.open);
        let sides = [
            (session, resting_ref, resting_loss, b'A'),
            (order.session, order.terms.user_ref, own_loss, b'R'),
        ];
        for (session, user_ref, decrement, liquidity) in sides {
            if decrement != 0 {
                let canceled = SelfMatchCanceled {
                    user_ref,
                    decrement,
                    quantity_prevented,
                    price,
                    liquidity,
                    strategy,
                };
                self.say(session, What::SelfMatchCanceled(canceled));
            }
        }
        if left == 0 {
            self.orders.remove(at);
        } else {
            self.refresh(at);
        }
    }

    /// A reserve order that displays nothing any more displays the next shares, behind all others.
    pub(super) fn refresh(&mut self, at: usize) {
        let order = &mut self.orders[at];
        if order.floor == 0 || order.shown != 0 {
            return;
        }
        order.refreshed += 1;
        let lot = u64::from(self.instruments[&order.terms.instrument].lot_size);
        let size = match order.random {
            0 => order.floor,
            _ if self.fault == Fault::RandomIsNot => order.floor,
            random => {
                let lots = u64::from(random) / lot;
                let drawn = drawn(self.seed, order.terms.order_reference, order.refreshed);
                let above = (u128::from(drawn) * u128::from(2 * lots + 1)) >> 64;
                (u64::from(order.floor) - lots * lot + above as u64 * lot) as u32
            }
        };
        order.shown = size.min(order.open);
        let restated = Restated {
            user_ref: order.terms.user_ref,
            reason: b'R',
            display_quantity: Some(order.shown),
            display_price: None,
            secondary_reference: None,
        };
        let session = order.session;
        if self.fault != Fault::RefreshKeepsPriority {
            let moved = self.orders.remove(at);
            self.orders.push(moved);
        }
        self.say(session, What::Restated(restated));
    }

    /// One trade: the resting side hears first.
    pub(super) fn fill(&mut self, order: &mut Order, at: usize) {
        let quantity = order.open.min(self.orders[at].shown());
        self.fill_quantity(order, at, quantity);
    }

    pub(super) fn fill_quantity(&mut self, order: &mut Order, at: usize, quantity: u32) {
        let resting = &mut self.orders[at];
        resting.open -= quantity;
        resting.shown = resting.shown.saturating_sub(quantity);
        resting.executed += quantity;
        order.open -= quantity;
        order.executed += quantity;
        self.matches += 1;
        let printed = match self.fault {
            Fault::AggressorPrice if order.terms.price < MARKET => order.terms.price,
            _ => resting.price(),
        };
        let mut executed = Executed {
            user_ref: resting.terms.user_ref,
            quantity,
            price: Price(printed),
            liquidity: if hidden(&resting.terms) { b'J' } else { b'A' },
            match_number: MatchNumber(self.matches),
        };
        let (session, left) = (resting.session, resting.open);
        let (instrument, price) = (resting.terms.instrument, resting.price());
        self.traded(instrument, price, u64::from(quantity));
        self.say(session, What::Executed(executed));
        executed.user_ref = order.terms.user_ref;
        executed.liquidity = b'R';
        self.say(order.session, What::Executed(executed));
        self.remember(at, order, quantity);
        self.printed(instrument, price);
        if left == 0 {
            self.orders.remove(at);
        } else if self.orders[at].floor != 0 {
            self.refresh(at);
        } else if self.fault == Fault::PartialFillLosesPriority {
            let moved = self.orders.remove(at);
            self.orders.push(moved);
        }
    }
}

/// 64 bits of the day's seed, an order and the number of its display.
fn drawn(seed: u64, reference: u64, number: u64) -> u64 {
    let mut x = seed
        ^ reference.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
