//! Call auctions, collars and a day's prices in the naive venue: every price is tried.

use super::*;

/// An auction's outcome: price, shares, shares left over at the price, their side.
pub type Outcome = (u64, u64, u64, u8);

/// Which auctions an order is for, if it is for auctions only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Only {
    Any,
    Call,
    Close,
}

pub(super) fn accumulates(state: u8) -> bool {
    b"POVL".contains(&state)
}

pub(super) fn is_call(state: u8) -> bool {
    b"OVL".contains(&state)
}

fn cross_type(state: u8) -> u8 {
    match state {
        b'L' => b'C',
        b'V' | b'H' => b'H',
        _ => b'O',
    }
}

impl Oracle {
    /// Orders that take part in an uncrossing at the end of a state.
    pub(super) fn takes_part(&self, id: u32, state: u8, order: &Order) -> bool {
        let own = order.terms.instrument == id && !order.waits();
        own && (order.only != Only::Close || state == b'L')
    }

    /// Shares of one side that would trade at a price.
    fn shares_at(&self, id: u32, state: u8, buy: bool, price: u64) -> u64 {
        let would = |order: &&Order| {
            let limit = order.price();
            self.takes_part(id, state, order)
                && is_buy(order.terms.side) == buy
                && (limit >= MARKET || if buy { limit >= price } else { limit <= price })
        };
        let shares = |order: &Order| match self.fault {
            Fault::AuctionWithoutReserves => u64::from(order.shown()),
            _ => u64::from(order.open),
        };
        self.orders.iter().filter(would).map(shares).sum()
    }

    /// Every price between the lowest and the highest limit; if these are far apart, those of orders and
    /// their neighbours, between which nothing changes.
    fn prices_to_try(&self, id: u32, state: u8) -> Vec<u64> {
        let tick = self.instruments[&id].tick_size;
        let limits: Vec<u64> = self
            .orders
            .iter()
            .filter(|order| self.takes_part(id, state, order) && order.price() < MARKET)
            .map(|order| order.price())
            .collect();
        let (Some(&low), Some(&high)) = (limits.iter().min(), limits.iter().max()) else {
            return Vec::new();
        };
        if (high - low) / tick < 200 {
            return (low..=high).step_by(tick as usize).collect();
        }
        let around = limits
            .iter()
            .flat_map(|price| [price - tick, *price, price + tick]);
        let mut prices: Vec<u64> = around
            .filter(|price| (low..=high).contains(price))
            .collect();
        prices.sort_unstable();
        prices.dedup();
        prices
    }

    pub fn outcome(&self, id: u32, state: u8) -> Option<Outcome> {
        let instrument = &self.instruments[&id];
        let at = |price: u64| {
            let bids = self.shares_at(id, state, true, price);
            let asks = self.shares_at(id, state, false, price);
            (price, bids, asks)
        };
        let mut tried: Vec<_> = self.prices_to_try(id, state).into_iter().map(at).collect();
        if tried.is_empty() && instrument.reference != 0 {
            // Only orders at the market.
            tried.push(at(instrument.reference));
        }
        let most = tried.iter().map(|(_, b, a)| *b.min(a)).max()?;
        if most == 0 {
            return None;
        }
        tried.retain(|(_, b, a)| *b.min(a) == most);
        if self.fault != Fault::AuctionIgnoresImbalance {
            let least = tried.iter().map(|(_, b, a)| b.abs_diff(*a)).min()?;
            tried.retain(|(_, b, a)| b.abs_diff(*a) == least);
        }
        let (low, high) = (tried[0], *tried.last()?);
        let pressure = self.fault != Fault::AuctionIgnoresPressure;
        let (price, bids, asks) = if pressure && tried.iter().all(|(_, b, a)| b > a) {
            high
        } else if pressure && tried.iter().all(|(_, b, a)| b < a) {
            low
        } else {
            let tick = instrument.tick_size;
            let middle = (low.0 / tick + (high.0 / tick - low.0 / tick) / 2) * tick;
            let wanted = match instrument.reference {
                0 => middle,
                reference => reference / tick * tick,
            };
            at(if self.fault == Fault::AuctionIgnoresReference {
                middle
            } else {
                wanted.clamp(low.0, high.0)
            })
        };
        let side = match bids.cmp(&asks) {
            std::cmp::Ordering::Less => b'S',
            std::cmp::Ordering::Equal => b'N',
            std::cmp::Ordering::Greater => b'B',
        };
        Some((price, bids.min(asks), bids.abs_diff(asks), side))
    }

    /// The order of a side that trades first in an auction.
    fn first_called(&self, id: u32, state: u8, buy: bool) -> usize {
        let own = (0..self.orders.len()).filter(|at| {
            let order = &self.orders[*at];
            self.takes_part(id, state, order) && is_buy(order.terms.side) == buy
        });
        let first = own.min_by_key(|at| {
            let order = &self.orders[*at];
            let price = match order.price() {
                MARKET.. if self.fault == Fault::AuctionMarketLast => u64::MAX,
                MARKET.. => 0,
                price if buy => u64::MAX - price,
                price => price,
            };
            (price, hidden(&order.terms), order.only, *at)
        });
        first.unwrap()
    }

    pub(super) fn uncross(&mut self, id: u32, state: u8) {
        let Some((price, quantity, ..)) = self.outcome(id, state) else {
            return;
        };
        let mut left = quantity;
        while left > 0 {
            let mut pair = [true, false].map(|buy| self.first_called(id, state, buy));
            let shares = pair
                .iter()
                .map(|at| u64::from(self.orders[*at].open))
                .min()
                .unwrap()
                .min(left);
            left -= shares;
            self.matches += 1;
            let [bid, ask] = pair;
            let buyer = self.orders[bid].clone();
            self.remember(ask, &buyer, shares as u32);
            for at in pair {
                let order = &mut self.orders[at];
                order.open -= shares as u32;
                order.shown = order.shown.saturating_sub(shares as u32);
                order.executed += shares as u32;
                let executed = Executed {
                    user_ref: order.terms.user_ref,
                    quantity: shares as u32,
                    price: Price(price),
                    liquidity: cross_type(state),
                    match_number: MatchNumber(self.matches),
                };
                let session = order.session;
                self.say(session, What::Executed(executed));
            }
            pair.sort_unstable();
            for at in pair.into_iter().rev() {
                if self.orders[at].open == 0 {
                    self.orders.remove(at);
                }
            }
            self.traded(id, price, shares);
        }
        self.printed(id, price);
        let instrument = self.instruments.get_mut(&id).unwrap();
        instrument.reference = price;
        if state == b'L' {
            instrument.prices.closing_price = price as u32;
        }
        self.said.push(Said::Control(Control::Uncrossed {
            instrument: InstrumentId(id),
            price: Price(price),
            quantity,
            cross_type: cross_type(state),
        }));
    }

    /// A trade in a day's prices.
    pub(super) fn traded(&mut self, id: u32, price: u64, shares: u64) {
        let prices = &mut self.instruments.get_mut(&id).unwrap().prices;
        let price = price as u32;
        if prices.trade_count == 0 {
            prices.open_price = price;
            prices.low_price = price;
        }
        prices.trade_count += 1;
        prices.volume += shares;
        prices.last_price = price;
        prices.high_price = prices.high_price.max(price);
        prices.low_price = prices.low_price.min(price);
    }

    /// Reserve orders take part whole.
    pub(super) fn unfold(&mut self, id: u32) {
        for order in &mut self.orders {
            if order.terms.instrument == id && order.floor != 0 && !order.waits() {
                order.shown = order.open;
            }
        }
    }

    pub(super) fn fold(&mut self, id: u32) {
        let own =
            |order: &Order| order.terms.instrument == id && order.floor != 0 && !order.waits();
        let mut restated = Vec::new();
        for order in self.orders.iter_mut().filter(|order| own(order)) {
            order.shown = order.floor.min(order.open);
            restated.push(order.clone());
        }
        restated.sort_by_key(|order| order.terms.order_reference);
        if !self.day_open {
            return;
        }
        for order in restated {
            let restated = Restated {
                user_ref: order.terms.user_ref,
                reason: b'R',
                display_quantity: Some(order.shown),
                display_price: None,
                secondary_reference: None,
            };
            self.say(order.session, What::Restated(restated));
        }
    }

    pub(super) fn cancel_only(&mut self, id: u32, only: Only, reason: CancelReason) {
        for (is_hidden, buy) in [(false, true), (false, false), (true, true), (true, false)] {
            loop {
                let own = (0..self.orders.len()).filter(|at| {
                    let order = &self.orders[*at];
                    order.terms.instrument == id
                        && order.only == only
                        && hidden(&order.terms) == is_hidden
                        && is_buy(order.terms.side) == buy
                });
                let first = own.min_by_key(|at| match self.orders[*at].terms.price {
                    MARKET.. => 0,
                    price if buy => u64::MAX - price,
                    price => price,
                });
                let Some(at) = first else { break };
                self.cancel_at(at, reason);
            }
        }
    }

    /// The worst price at which an order of a side may take; `None` = any.
    pub(super) fn collar(&self, id: u32, buy: bool) -> Option<u64> {
        let instrument = &self.instruments[&id];
        let last = u64::from(instrument.prices.last_price);
        let last = if last == 0 {
            instrument.reference
        } else {
            last
        };
        let around = [
            (instrument.reference, instrument.rules.static_collar),
            (last, instrument.rules.dynamic_collar),
        ];
        let bounds = around
            .into_iter()
            .filter(|(price, width)| *price != 0 && *width != 0)
            .map(|(price, width)| {
                let distance = price * u64::from(width) / 10_000;
                if buy {
                    price + distance
                } else {
                    price - distance
                }
            });
        if buy { bounds.min() } else { bounds.max() }
    }

    pub(super) fn beyond_collar(&self, id: u32, buy: bool, price: u64) -> bool {
        let collar = self.collar(id, buy);
        self.fault != Fault::CollarIgnored
            && collar.is_some_and(|collar| if buy { price > collar } else { price < collar })
    }
}
