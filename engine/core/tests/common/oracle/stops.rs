//! Stop orders in the naive venue: each trade looks at every stop.

use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// The trade price that triggers it, now.
    price: i64,
    /// Of a trailing stop: how far it stays behind the trades; 0 = it does not trail.
    offset: i64,
    /// It has been triggered and will act.
    triggered: bool,
}

impl Stop {
    fn is_reached(&self, buy: bool, traded: i64) -> bool {
        if buy {
            traded >= self.price
        } else {
            traded <= self.price
        }
    }

    fn follow(&mut self, buy: bool, traded: i64) {
        if self.offset != 0 {
            self.price = if buy {
                self.price.min(traded + self.offset)
            } else {
                self.price.max(traded - self.offset)
            };
        }
    }

    /// A replacement that is silent on stops says what the original waits for now.
    pub(super) fn said_by_a_replacement(&self, values: &mut BTreeMap<u16, Vec<u8>>) {
        if (1..=1_999_999_900).contains(&self.price) {
            values.insert(200, self.price.to_le_bytes().to_vec());
        }
        values.insert(201, vec![if self.offset == 0 { b'S' } else { b'T' }]);
        if self.offset != 0 {
            values.insert(202, (self.offset as i32).to_le_bytes().to_vec());
        }
    }
}

fn offset(options: &Read) -> i64 {
    i64::from(options.integer(202) as u32 as i32)
}

/// `S` without a letter if there is a price.
pub(super) fn kind(options: &Read) -> u8 {
    let without = if options.integer(200) == 0 {
        b'N'
    } else {
        b'S'
    };
    options.letter(201, without)
}

impl Oracle {
    pub(super) fn stop_is_right(&self, terms: &Terms, options: &Read) -> bool {
        let instrument = &self.instruments[&terms.instrument];
        let (price, offset) = (options.integer(200), offset(options));
        let tick = instrument.tick_size;
        let legal = price != 0 && price <= 1_999_999_900 && price.is_multiple_of(tick);
        match kind(options) {
            b'N' => price == 0 && offset == 0,
            _ if terms.time_in_force == b'3' => false,
            b'S' => legal && offset == 0,
            _ => {
                let begins = legal || (price == 0 && instrument.last != 0);
                begins && offset > 0 && offset % tick as i64 == 0
            }
        }
    }

    /// The stop of an order whose values are right.
    pub(super) fn stop_of(&self, terms: &Terms, options: &Read) -> Option<Stop> {
        let buy = is_buy(terms.side);
        let last = self.instruments[&terms.instrument].last as i64;
        let far = if buy { i64::MAX } else { i64::MIN };
        let given = options.integer(200) as i64;
        let mut stop = Stop {
            price: if given == 0 { far } else { given },
            offset: 0,
            triggered: false,
        };
        match kind(options) {
            b'N' => return None,
            b'S' => {}
            _ => {
                stop.offset = offset(options);
                if last != 0 {
                    stop.follow(buy, last);
                }
            }
        }
        Some(stop)
    }

    /// An accepted order acts, unless it is a stop that no trade has reached.
    pub(super) fn act_or_wait(&mut self, mut order: Order, minimum: u32) {
        if let Some(stop) = order.stop {
            let last = self.instruments[&order.terms.instrument].last as i64;
            let reached = last != 0 && stop.is_reached(is_buy(order.terms.side), last);
            if !reached || self.fault == Fault::ReachedStopWaits {
                self.orders.push(order);
                return;
            }
        }
        order.stop = None;
        if order.peg.is_some() {
            return self.place_peg(order);
        }
        self.trade(order, minimum);
    }

    /// A trade sets the last price; trailing stops follow it, and those that it reaches are triggered: buys
    /// first, then the nearest trigger first, then by order reference.
    pub(super) fn printed(&mut self, instrument: u32, price: u64) {
        self.instruments.get_mut(&instrument).unwrap().last = price;
        let traded = price as i64;
        let mut reached = Vec::new();
        for order in &mut self.orders {
            let buy = is_buy(order.terms.side);
            let Some(stop) = order.stop.as_mut() else {
                continue;
            };
            if order.terms.instrument != instrument || stop.triggered {
                continue;
            }
            match self.fault {
                Fault::TrailingStaysBehind => {}
                Fault::TrailingGoesBack if stop.offset != 0 => {
                    let behind = if buy { stop.offset } else { -stop.offset };
                    stop.price = traded + behind;
                }
                _ => stop.follow(buy, traded),
            }
            let late = self.fault == Fault::StopBeyondItsPrice && traded == stop.price;
            if stop.is_reached(buy, traded) && !late {
                stop.triggered = true;
                let distance = if buy { stop.price } else { -stop.price };
                reached.push((!buy, distance, order.terms.order_reference));
            }
        }
        reached.sort_unstable();
        if self.fault == Fault::StopsByReference {
            reached.sort_unstable_by_key(|(_, _, reference)| *reference);
        }
        let references = reached.iter().map(|(_, _, reference)| *reference);
        self.triggered.extend(references);
    }

    /// What is left to do, instrument by instrument: triggered stops act, then pegged orders follow, as long
    /// as that triggers others.
    pub(super) fn settle(&mut self) {
        for instrument in self.instruments.keys().copied().collect::<Vec<_>>() {
            while self.day_open && self.instruments[&instrument].state == b'T' {
                let late = self.act_on_triggered(instrument);
                if self.instruments[&instrument].state != b'T' {
                    break;
                }
                self.follow(instrument);
                if late || self.first_triggered(instrument).is_none() {
                    break;
                }
            }
        }
    }

    /// Triggered stops act, first triggered first; whether some are left for later.
    fn act_on_triggered(&mut self, instrument: u32) -> bool {
        let late = self.fault == Fault::ChainedStopsLate;
        let mut left = if late {
            self.triggered.len()
        } else {
            usize::MAX
        };
        while left > 0
            && let Some(reference) = self.next_triggered(instrument)
        {
            left -= 1;
            let of = |order: &Order| order.terms.order_reference == reference;
            // Only a planted fault lets one go before it acts.
            if let Some(at) = self.orders.iter().position(of) {
                self.activate(at);
            }
        }
        late
    }

    /// The first of an instrument.
    fn first_triggered(&self, instrument: u32) -> Option<usize> {
        let own = |reference: &u64| {
            let of = |order: &&Order| order.terms.order_reference == *reference;
            let order = self.orders.iter().find(of);
            order.is_none_or(|order| order.terms.instrument == instrument)
        };
        self.triggered.iter().position(own)
    }

    fn next_triggered(&mut self, instrument: u32) -> Option<u64> {
        if self.instruments[&instrument].state != b'T' {
            return None;
        }
        let at = self.first_triggered(instrument)?;
        self.triggered.remove(at)
    }

    fn activate(&mut self, at: usize) {
        let mut order = self.orders.remove(at);
        order.stop = None;
        if self.fault != Fault::TriggeredKeepsReference {
            self.references += 1;
            order.terms.order_reference = self.references;
        }
        let update = PriorityUpdate {
            user_ref: order.terms.user_ref,
            price: Price(order.terms.price),
            display: order.terms.display,
            order_reference: OrderReference(order.terms.order_reference),
        };
        self.say(order.session, What::PriorityUpdate(update));
        self.trade(order, 0);
    }

    /// At the day's end: what waits out of the book, by session, oldest reference first.
    pub(super) fn close_waiting(&mut self) {
        let waits = |order: &&Order| order.waits() && !order.by_date;
        let mut waiting: Vec<(u32, u64)> = self
            .orders
            .iter()
            .filter(waits)
            .map(|order| (order.session, order.terms.order_reference))
            .collect();
        waiting.sort_unstable();
        for (_, reference) in waiting {
            let of = |order: &Order| order.terms.order_reference == reference;
            let at = self.orders.iter().position(of).unwrap();
            self.cancel_at(at, CancelReason::Closed);
        }
    }
}
