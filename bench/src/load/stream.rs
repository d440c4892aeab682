//! The requests of one session of the load: a function of mix and seed alone, whatever is answered
//! when, so that two runs send the same.
//!
//! ```text
//! enter    day order at a price that never trades, or a bait: a bid at `price`
//! cancel   of the oldest or a random resting order that this session has sent
//! replace  of such an order, to another price that never trades
//! cross    IOC sell of a bait's size at the baits' price: trades with the oldest bait of any session
//! ```
//! Every request is answered: resting orders never trade, and a session crosses only what it has
//! baited, so there are never more crosses than baits in the book.

use crate::client::request::{LimitOrder, encode_cancel, encode_enter, encode_replace};
use crate::random::Random;
use lockstep_record::{Price, Side};
use serde::Serialize;
use std::collections::VecDeque;

/// Classes of requests, each with its own histogram.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// New order → Accepted.
    Enter,
    /// Cancel → Canceled.
    Cancel,
    /// Replace → Replaced.
    Replace,
    /// Aggressor → its Executed.
    Cross,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::Enter, Self::Cancel, Self::Replace, Self::Cross];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Cancel => "cancel",
            Self::Replace => "replace",
            Self::Cross => "cross",
        }
    }
}

/// Weights of the classes. A cross needs a bait, which is an enter: of the weight of `cross`, half
/// become enters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mix {
    pub enter: u32,
    pub cancel: u32,
    pub replace: u32,
    pub cross: u32,
}

impl Default for Mix {
    /// Near the proportions of the LOBSTER samples: 48 % new, 37 % cancelled, 10 to 16 % executed.
    fn default() -> Self {
        Self {
            enter: 430,
            cancel: 390,
            replace: 50,
            cross: 130,
        }
    }
}

impl Mix {
    /// New orders only.
    pub const ENTER_ONLY: Self = Self {
        enter: 1,
        cancel: 0,
        replace: 0,
        cross: 0,
    };
}

/// Where a session trades.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Market {
    pub symbol: [u8; 8],
    /// Of the baits; resting bids are below, resting asks above.
    pub price: u64,
    pub tick: u64,
    pub quantity: u32,
}

/// Ticks over which resting orders spread.
const SPREAD_TICKS: u64 = 50;

/// A request that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    pub class: Class,
    /// The number that its answer carries.
    pub user_ref: u32,
    pub length: usize,
}

/// The requests of one session.
#[derive(Debug)]
pub struct RequestStream {
    random: Random,
    weights: [u32; 4],
    market: Market,
    /// Own resting orders, oldest first.
    resting: VecDeque<(u32, Side)>,
    resting_max: usize,
    baits: u64,
    first_user_ref: u32,
    next_user_ref: u32,
    fingerprint: u64,
}

impl RequestStream {
    /// `resting_max`: own orders that rest at most; above it, enters become cancels.
    pub fn new(mix: Mix, market: Market, resting_max: usize, random: Random) -> Self {
        let resting_max = resting_max.max(1);
        Self {
            random,
            weights: [mix.enter, mix.cancel, mix.replace, mix.cross],
            market,
            resting: VecDeque::with_capacity(resting_max + 1),
            resting_max,
            baits: 0,
            first_user_ref: 1,
            next_user_ref: 1,
            fingerprint: 0,
        }
    }

    /// First number to use.
    pub fn begin_at(&mut self, user_ref: u32) {
        self.first_user_ref = user_ref;
        self.next_user_ref = user_ref;
    }

    /// Over every request written so far, numbers counted from the session's first.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Writes the next request.
    #[inline]
    pub fn next(&mut self, out: &mut [u8]) -> Written {
        let class = Class::ALL[self.random.weighted(&self.weights)];
        let written = match class {
            Class::Cross if self.baits > 0 => self.cross(out),
            Class::Cross => self.bait(out),
            Class::Cancel if !self.resting.is_empty() => self.cancel(out),
            Class::Replace if !self.resting.is_empty() => self.replace(out),
            _ if self.resting.len() >= self.resting_max => self.cancel(out),
            _ => self.enter(out),
        };
        let number = written.user_ref.wrapping_sub(self.first_user_ref);
        let said = u64::from(number) << 8 | written.class as u64;
        self.fingerprint =
            (self.fingerprint.rotate_left(5) ^ said).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        written
    }

    /// Writes the cancel of a resting order, until none is left.
    pub fn next_clean_up(&mut self, out: &mut [u8]) -> Option<Written> {
        let (user_ref, _) = self.resting.pop_front()?;
        Some(Written {
            class: Class::Cancel,
            user_ref,
            length: encode_cancel(user_ref, 0, out),
        })
    }

    fn take_user_ref(&mut self) -> u32 {
        let user_ref = self.next_user_ref;
        self.next_user_ref = user_ref.wrapping_add(1);
        user_ref
    }

    /// A price of `side` that never trades.
    fn resting_price(&mut self, side: Side) -> Price {
        let away = self.market.tick * (1 + self.random.below(SPREAD_TICKS));
        Price(match side {
            Side::Buy => self.market.price.saturating_sub(away).max(self.market.tick),
            Side::Sell => self.market.price + away,
        })
    }

    fn enter(&mut self, out: &mut [u8]) -> Written {
        let side = if self.random.chance(500) {
            Side::Buy
        } else {
            Side::Sell
        };
        let price = self.resting_price(side);
        let written = self.write_enter(side, price, false, out);
        self.resting.push_back((written.user_ref, side));
        written
    }

    fn bait(&mut self, out: &mut [u8]) -> Written {
        self.baits += 1;
        self.write_enter(Side::Buy, Price(self.market.price), false, out)
    }

    fn cross(&mut self, out: &mut [u8]) -> Written {
        self.baits -= 1;
        let written = self.write_enter(Side::Sell, Price(self.market.price), true, out);
        Written {
            class: Class::Cross,
            ..written
        }
    }

    fn write_enter(
        &mut self,
        side: Side,
        price: Price,
        is_immediate: bool,
        out: &mut [u8],
    ) -> Written {
        let user_ref = self.take_user_ref();
        let order = LimitOrder {
            user_ref,
            side,
            quantity: self.market.quantity,
            symbol: self.market.symbol,
            price,
            is_immediate,
        };
        Written {
            class: Class::Enter,
            user_ref,
            length: encode_enter(&order, out),
        }
    }

    fn cancel(&mut self, out: &mut [u8]) -> Written {
        let user_ref = self.pick().map_or(0, |(user_ref, _)| user_ref);
        Written {
            class: Class::Cancel,
            user_ref,
            length: encode_cancel(user_ref, 0, out),
        }
    }

    fn replace(&mut self, out: &mut [u8]) -> Written {
        let (original, side) = self.pick().unwrap_or((0, Side::Buy));
        let price = self.resting_price(side);
        let user_ref = self.take_user_ref();
        self.resting.push_back((user_ref, side));
        Written {
            class: Class::Replace,
            user_ref,
            length: encode_replace(original, user_ref, self.market.quantity, price, out),
        }
    }

    /// Takes out a random resting order: half of the time among the youngest four, which is where
    /// real cancels fall.
    fn pick(&mut self) -> Option<(u32, Side)> {
        let count = self.resting.len();
        let span = if self.random.chance(500) {
            count.min(4)
        } else {
            count
        };
        let back = self.random.below(span.max(1) as u64) as usize;
        self.resting.swap_remove_back(count.checked_sub(1 + back)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_wire::ouch::Inbound;
    use std::collections::BTreeSet;

    const MARKET: Market = Market {
        symbol: *b"TEST    ",
        price: 1_000_000,
        tick: 100,
        quantity: 100,
    };

    fn stream(seed: u64) -> RequestStream {
        RequestStream::new(Mix::default(), MARKET, 100, Random::part(seed, 0))
    }

    #[test]
    fn every_request_is_one_that_is_answered() {
        let mut stream = stream(1);
        let mut open = BTreeSet::new();
        let mut baits = BTreeSet::new();
        let mut last = 0;
        let mut out = [0; 64];
        for _ in 0..20_000 {
            let written = stream.next(&mut out);
            let number = written.user_ref;
            match Inbound::parse(&out[..written.length]).expect("own encoding") {
                Inbound::EnterOrder(order) => {
                    assert_eq!((order.user_ref_num(), number), (last + 1, last + 1));
                    last = number;
                    let price = order.price().0;
                    match (order.time_in_force(), order.side(), price) {
                        (b'3', b'S', 1_000_000) => {
                            assert_eq!(written.class, Class::Cross);
                            assert!(baits.pop_first().is_some(), "a cross without a bait");
                        }
                        (b'0', b'B', 1_000_000) => assert!(baits.insert(number)),
                        (b'0', b'B', _) => assert!(price < 1_000_000 && open.insert(number)),
                        (b'0', b'S', _) => assert!(price > 1_000_000 && open.insert(number)),
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(price % 100, 0);
                }
                Inbound::CancelOrder(cancel) => {
                    assert_eq!(written.class, Class::Cancel);
                    assert!(
                        open.remove(&cancel.user_ref_num()),
                        "cancel of an order that is not open"
                    );
                }
                Inbound::ReplaceOrder(replace) => {
                    assert!(open.remove(&replace.original_user_ref_num()));
                    assert!(open.insert(replace.user_ref_num()));
                    assert_eq!((replace.user_ref_num(), number), (last + 1, last + 1));
                    last = number;
                }
                other => panic!("{other:?}"),
            }
            assert!(open.len() <= 101);
        }
    }

    #[test]
    fn cleaning_up_cancels_everything_that_rests() {
        let mut stream = stream(2);
        let mut open = BTreeSet::new();
        let mut out = [0; 64];
        for _ in 0..500 {
            let written = stream.next(&mut out);
            match Inbound::parse(&out[..written.length]).expect("own encoding") {
                Inbound::EnterOrder(order) if order.price().0 != 1_000_000 => {
                    open.insert(written.user_ref);
                }
                Inbound::CancelOrder(_) => assert!(open.remove(&written.user_ref)),
                Inbound::ReplaceOrder(replace) => {
                    assert!(
                        open.remove(&replace.original_user_ref_num())
                            && open.insert(written.user_ref)
                    );
                }
                _ => {}
            }
        }
        assert!(!open.is_empty());
        while let Some(written) = stream.next_clean_up(&mut out) {
            assert!(open.remove(&written.user_ref));
        }
        assert!(open.is_empty());
    }

    #[test]
    fn the_mix_is_met_and_the_seed_decides() {
        let run = |seed| {
            let mut stream = stream(seed);
            let mut counts = [0_u32; 4];
            for _ in 0..20_000 {
                counts[stream.next(&mut [0; 64]).class as usize] += 1;
            }
            (counts, stream.fingerprint())
        };
        let (counts, fingerprint) = run(7);
        assert_eq!(run(7), (counts, fingerprint));
        assert_ne!(run(8).1, fingerprint);
        let per_mille = counts.map(|count| count / 20);
        assert!(per_mille[0].abs_diff(475) < 40, "{per_mille:?}");
        assert!(per_mille[1].abs_diff(400) < 40, "{per_mille:?}");
        assert!(per_mille[2].abs_diff(50) < 10, "{per_mille:?}");
        assert!(per_mille[3].abs_diff(65) < 10, "{per_mille:?}");
    }
}
