//! Rules of matching and entry that a venue may choose or change, as one value in the state.
//!
//! They are never a build flag or a line of configuration: a replay across their change must reproduce
//! every digest. They change through the log alone (not yet built; the set version is 0).

/// The rules in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    /// Version of this set; a batch made under another is not applied.
    pub set_version: u64,
    /// Highest limit price, in 1/10,000.
    pub price_max: u64,
    /// A price from here on means market, in 1/10,000.
    pub market_price_min: u64,
    /// Most shares of one order.
    pub quantity_max: u32,
    /// Most times that a reserve order may have to be displayed: bounds what one aggressor can cause.
    pub displays_max: u32,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            set_version: 0,
            // OUCH 5.0: 199,999.9900, and 200,000.0000.
            price_max: 1_999_999_900,
            market_price_min: 2_000_000_000,
            quantity_max: 999_999,
            displays_max: 100,
        }
    }
}

const _: () = assert!(1_999_999_900 <= crate::book::TICK_MAX as u64);

impl Features {
    /// Whether arithmetic on ticks and quantities that these rules admit cannot overflow.
    pub(crate) fn are_legal(&self) -> bool {
        self.price_max <= u64::from(crate::book::TICK_MAX) && self.quantity_max <= 1 << 30
    }
}
