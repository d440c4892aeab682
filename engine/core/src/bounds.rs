//! The bounds that can reject, which are in the log, and what a process can hold, which is not.

use crate::book::{LEVELS_MAX, ORDERS_MAX};
use lockstep_record::command::ArchivedSetBounds;

/// Highest instrument id: the ITCH stock locate is a u16.
pub const INSTRUMENTS_MAX: u32 = 65_535;
/// Highest session id: an order's owner holds it beside a channel of 8 bits.
pub const SESSIONS_MAX: u32 = (1 << 24) - 1;
/// Highest firm id: an order holds it in 16 bits.
pub const FIRMS_MAX: u32 = 65_535;

/// What this process can hold. A log with higher bounds is refused by the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Live orders over all books.
    pub open_orders_max: u32,
    pub instruments_max: u32,
    pub sessions_max: u32,
    pub firms_max: u32,
    /// Occupied price levels over all books.
    pub price_levels_max: u32,
    /// Positions of firms in instruments.
    pub positions_max: u32,
    /// Trades that can be broken.
    pub trades_max: u32,
    /// Market-maker protections over all sessions.
    pub protections_max: u32,
}

impl Default for Capacity {
    /// Nothing is allocated for it: memory goes by the log's bounds.
    fn default() -> Self {
        Self {
            open_orders_max: 1 << 26,
            instruments_max: INSTRUMENTS_MAX,
            sessions_max: 1 << 17,
            firms_max: FIRMS_MAX,
            price_levels_max: 1 << 22,
            positions_max: 1 << 22,
            trades_max: 1 << 24,
            protections_max: 1 << 17,
        }
    }
}

/// The log's bounds; all 0 before the first `SetBounds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    pub open_orders_max: u32,
    pub instruments_max: u32,
    pub sessions_max: u32,
    pub firms_max: u32,
    pub price_levels_max: u32,
}

impl Bounds {
    pub(crate) fn of(body: &ArchivedSetBounds) -> Self {
        Self {
            open_orders_max: body.open_orders_max.to_native(),
            instruments_max: body.instruments_max.to_native(),
            sessions_max: body.sessions_max.to_native(),
            firms_max: body.firms_max.to_native(),
            price_levels_max: body.price_levels_max.to_native(),
        }
    }

    /// Each bound with its name, its structural maximum and what the process can hold.
    fn rows(&self, capacity: &Capacity) -> [(&'static str, u32, u32, u32); 5] {
        [
            (
                "open_orders_max",
                self.open_orders_max,
                ORDERS_MAX,
                capacity.open_orders_max,
            ),
            (
                "instruments_max",
                self.instruments_max,
                INSTRUMENTS_MAX,
                capacity.instruments_max,
            ),
            (
                "sessions_max",
                self.sessions_max,
                SESSIONS_MAX,
                capacity.sessions_max,
            ),
            ("firms_max", self.firms_max, FIRMS_MAX, capacity.firms_max),
            (
                "price_levels_max",
                self.price_levels_max,
                LEVELS_MAX,
                capacity.price_levels_max,
            ),
        ]
    }

    /// Whether these bounds may follow `before`: none is 0, above its maximum, or lower.
    pub(crate) fn may_follow(&self, before: &Self) -> bool {
        let any = Capacity::default();
        let now = self.rows(&any);
        let then = before.rows(&any);
        now.iter()
            .zip(&then)
            .all(|(now, then)| (1..=now.2).contains(&now.1) && now.1 >= then.1)
    }

    /// The first bound that a process of this capacity cannot hold: (name, wanted, held).
    pub(crate) fn beyond(&self, capacity: &Capacity) -> Option<(&'static str, u32, u32)> {
        let row = self.rows(capacity).into_iter().find(|row| row.1 > row.3)?;
        Some((row.0, row.1, row.3))
    }
}
