//! Allocations other than price-time in the naive venue.

use super::*;

/// Letter, smallest share, per cent of the first; `None`: a definition that says nothing sensible.
pub(super) fn allocation(parts: &[(u16, Policy, Vec<u8>)]) -> Option<(u8, u32, u32)> {
    let value = |tag: u16| {
        parts
            .iter()
            .find(|part| part.0 == tag)
            .map(|part| &part.2[..])
    };
    let integer = |tag: u16| match value(tag) {
        None => Some(0),
        Some(bytes) => Some(u32::from_le_bytes(bytes.try_into().ok()?)),
    };
    let letter = match value(260) {
        None => b'F',
        Some([letter]) => *letter,
        Some(_) => return None,
    };
    let (minimum, percent) = (integer(261)?, integer(262)?);
    let right = match letter {
        b'F' => minimum == 0 && percent == 0,
        b'P' => percent == 0,
        b'T' => minimum == 0 && (1..=100).contains(&percent),
        _ => false,
    };
    right.then_some((letter, minimum, percent))
}

impl Oracle {
    pub(super) fn is_shared(&self, order: &Order) -> bool {
        self.instruments[&order.terms.instrument].allocation.0 != b'F'
    }

    /// Displayed orders at the price and side of one of them, first come first, by order reference.
    fn at_price_of(&self, at: usize) -> Vec<u64> {
        let one = &self.orders[at].terms;
        let together = |order: &&Order| {
            order.terms.instrument == one.instrument
                && is_buy(order.terms.side) == is_buy(one.side)
                && order.terms.price == one.price
                && !hidden(&order.terms)
                && !order.waits()
                && order.only == Only::Any
        };
        let orders = self.orders.iter().filter(together);
        orders.map(|order| order.terms.order_reference).collect()
    }

    fn at(&self, reference: u64) -> usize {
        let of = |order: &Order| order.terms.order_reference == reference;
        self.orders.iter().position(of).unwrap()
    }

    /// One round at a price.
    pub(super) fn take_round(&mut self, order: &mut Order, at: usize, mode: u8) {
        let party = order.session;
        let level = self.at_price_of(at);
        let own = |venue: &Self, reference: &u64| {
            venue.same_party(party, venue.orders[venue.at(*reference)].session)
        };
        let prevents = mode != 0 && self.fault != Fault::OwnPartyShares;
        if prevents && let Some(first) = level.iter().find(|reference| own(self, reference)) {
            // The next of them meets it when this price is looked at again.
            return self.prevent(order, self.at(*first), mode);
        }
        let shown: Vec<u32> = level
            .iter()
            .map(|reference| self.orders[self.at(*reference)].shown())
            .collect();
        let total: u32 = shown.iter().sum();
        let gives = if order.open >= total {
            shown
        } else {
            self.rounds += usize::from(shown.len() > 1);
            self.shares(order, &shown)
        };
        for (reference, quantity) in level.iter().zip(gives) {
            if quantity > 0 {
                self.fill_quantity(order, self.at(*reference), quantity);
            }
        }
    }

    /// What each gives, where less is wanted than is shown.
    fn shares(&self, order: &Order, shown: &[u32]) -> Vec<u32> {
        let instrument = &self.instruments[&order.terms.instrument];
        let (letter, minimum, percent) = instrument.allocation;
        let lot = match self.fault {
            Fault::SharesNotInLots => 1,
            _ => u64::from(instrument.lot_size),
        };
        let wanted = u64::from(order.open);
        let total: u64 = shown.iter().map(|shown| u64::from(*shown)).sum();
        let mut gives = vec![0; shown.len()];
        if letter == b'P' {
            for (gives, shown) in gives.iter_mut().zip(shown) {
                let share = u64::from(*shown) * wanted / total / lot * lot;
                let enough = share >= u64::from(minimum);
                if enough || self.fault == Fault::SmallestShareIgnored {
                    *gives = share as u32;
                }
            }
        } else if self.fault != Fault::NoTopShare {
            let exact = wanted * u64::from(percent);
            let lots = if self.fault == Fault::TopShareRoundedDown {
                exact / (100 * lot)
            } else {
                exact.div_ceil(100 * lot)
            };
            gives[0] = (lots * lot).min(wanted).min(u64::from(shown[0])) as u32;
        }
        let mut rest = order.open - gives.iter().sum::<u32>();
        let mut turns: Vec<usize> = (0..shown.len()).collect();
        if letter == b'T' {
            turns.rotate_left(1); // the first comes again, last
        }
        if self.fault == Fault::RestToTheLast {
            turns.reverse();
        }
        for turn in turns {
            let more = rest.min(shown[turn] - gives[turn]);
            gives[turn] += more;
            rest -= more;
        }
        gives
    }
}
