//! Pegged orders in the naive venue: after each record every one of them is looked at.

use super::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peg {
    kind: u8,
    /// Added to what it follows, in 1/10,000.
    offset: i64,
    /// Where it rests; `None`: nowhere.
    pub at: Option<u64>,
}

impl Peg {
    /// A replacement that is silent on pegs says what the original follows.
    pub(super) fn said_by_a_replacement(&self, values: &mut BTreeMap<u16, Vec<u8>>) {
        values.insert(6, vec![self.kind]);
        values.insert(7, (self.offset as i32).to_le_bytes().to_vec());
    }
}

/// What the options ask for, whether or not it may be.
pub(super) fn peg_of(options: &Read) -> Option<Peg> {
    let kind = match options.letter(6, b'L') {
        b'L' => return None,
        b'm' => b'M',
        other => other,
    };
    let offset = i64::from(options.integer(7) as u32 as i32);
    Some(Peg {
        kind,
        offset,
        at: None,
    })
}

impl Oracle {
    pub(super) fn check_peg(&self, terms: &Terms, options: &Read) -> Result<(), RejectReason> {
        let Some(peg) = peg_of(options) else {
            return match options.integer(7) {
                0 => Ok(()),
                _ => Err(RejectReason::PeggingNotAllowed),
            };
        };
        let state = self.instruments[&terms.instrument].state;
        if state != b'T' || terms.cross_type != b'N' {
            return Err(RejectReason::PeggingNotAllowed);
        }
        if ![b'R', b'P', b'M'].contains(&peg.kind) {
            return Err(RejectReason::InvalidPegType);
        }
        let tick = self.instruments[&terms.instrument].tick_size as i64;
        let stop = stops::kind(options) != b'N';
        let post_only = options.letter(12, b'N') == b'P';
        let immediate = terms.time_in_force == b'3';
        if !hidden(terms) || immediate || post_only || stop || peg.offset % tick != 0 {
            return Err(RejectReason::PeggingNotAllowed);
        }
        Ok(())
    }

    /// Best displayed price of a side.
    fn quote(&self, instrument: u32, buy: bool) -> Option<i64> {
        let at = self.first_displayed(instrument, buy)?;
        Some(self.orders[at].terms.price as i64)
    }

    fn first_displayed(&self, instrument: u32, buy: bool) -> Option<usize> {
        let own = (0..self.orders.len()).filter(|at| {
            let order = &self.orders[*at];
            order.terms.instrument == instrument
                && is_buy(order.terms.side) == buy
                && !hidden(&order.terms)
                && !order.waits()
                && order.only == Only::Any
        });
        own.min_by_key(|at| {
            let price = self.orders[*at].terms.price as i64;
            if buy { -price } else { price }
        })
    }

    /// Where a pegged order belongs now.
    pub(super) fn peg_price(&self, order: &Order) -> Option<u64> {
        let peg = order.peg.unwrap();
        let instrument = order.terms.instrument;
        let buy = is_buy(order.terms.side);
        let tick = self.instruments[&instrument].tick_size as i64;
        let (own, other) = (self.quote(instrument, buy), self.quote(instrument, !buy));
        let follows = match peg.kind {
            b'R' => own?,
            b'P' => other?,
            _ => {
                let twice = own? + other?;
                // Off tick: away from the other side.
                let down = twice / (2 * tick) * tick;
                if !buy && twice % (2 * tick) != 0 && self.fault != Fault::MidpointRoundsDown {
                    down + tick
                } else {
                    down
                }
            }
        };
        let mut price = follows + peg.offset;
        if order.terms.price < MARKET && self.fault != Fault::PegThroughItsLimit {
            let limit = order.terms.price as i64;
            price = if buy {
                price.min(limit)
            } else {
                price.max(limit)
            };
        }
        if let Some(other) = other.filter(|_| self.fault != Fault::PegMeetsTheQuote) {
            price = if buy {
                price.min(other - tick)
            } else {
                price.max(other + tick)
            };
        }
        (1..=1_999_999_900).contains(&price).then_some(price as u64)
    }

    /// Pegged orders whose price is not what it should be leave, then come back, oldest reference first.
    pub(super) fn follow(&mut self, instrument: u32) {
        let mut moving: Vec<u64> = Vec::new();
        for order in self.orders.clone() {
            if order.peg.is_none() || order.terms.instrument != instrument {
                continue;
            }
            let at = order.peg.unwrap().at;
            if self.peg_price(&order) != at {
                moving.push(order.terms.order_reference);
            }
        }
        moving.sort_unstable();
        if self.fault == Fault::NewestPegFirst {
            moving.reverse();
        }
        for reference in &moving {
            let at = self.by_reference(*reference);
            let rested = self.orders[at].peg.as_mut().unwrap().at.take();
            let order = self.orders[at].clone();
            if self.peg_price(&order).is_none() && rested.is_some() {
                self.say_peg_price(&order, 0, None);
            }
        }
        for reference in moving {
            let at = self.by_reference(reference);
            if self.peg_price(&self.orders[at]).is_none() {
                continue;
            }
            let mut order = self.orders.remove(at);
            self.pegged += 1;
            self.references += 1;
            order.terms.order_reference = self.references;
            let price = self.peg_price(&order).unwrap();
            let reference = Some(OrderReference(order.terms.order_reference));
            self.say_peg_price(&order, price, reference);
            self.place_peg(order);
        }
    }

    fn by_reference(&self, reference: u64) -> usize {
        let of = |order: &Order| order.terms.order_reference == reference;
        self.orders.iter().position(of).unwrap()
    }

    fn say_peg_price(&mut self, order: &Order, price: u64, reference: Option<OrderReference>) {
        let restated = Restated {
            user_ref: order.terms.user_ref,
            reason: b'P',
            display_quantity: None,
            display_price: Some(Price(price)),
            secondary_reference: reference,
        };
        self.say(order.session, What::Restated(restated));
    }

    /// It trades what it can at its price, and rests there; without a price it waits.
    pub(super) fn place_peg(&mut self, mut order: Order) {
        let price = self.peg_price(&order);
        order.peg.as_mut().unwrap().at = price;
        let Some(price) = price else {
            self.orders.push(order);
            return;
        };
        self.take(&mut order, None);
        if order.open == 0 {
            return;
        }
        let mut terms = order.terms.clone();
        terms.price = price;
        if !self.level_free(&terms, None) {
            return self.cancel_entering(&order, CancelReason::System);
        }
        self.orders.push(order);
    }
}
