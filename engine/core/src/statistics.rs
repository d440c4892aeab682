//! What an instrument did on a trading day: official prices, volume and number of trades.

/// Prices in 1/10,000; 0 = none. A limit price is below 2^32 (features.rs).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Of the day's first trade; the opening auction is before all others.
    pub open_price: u32,
    pub high_price: u32,
    pub low_price: u32,
    pub last_price: u32,
    /// Of the closing auction, if it traded.
    pub closing_price: u32,
    /// Official close of the last day that had one.
    pub previous_close_price: u32,
    /// Trades of the day.
    pub trade_count: u32,
    /// Shares traded on the day.
    pub volume: u64,
}

impl Statistics {
    pub(crate) const NONE: Self = Self {
        open_price: 0,
        high_price: 0,
        low_price: 0,
        last_price: 0,
        closing_price: 0,
        previous_close_price: 0,
        trade_count: 0,
        volume: 0,
    };

    /// Official close of the day so far: the closing auction's price, else the last trade's, else the day
    /// before's.
    pub fn close_price(&self) -> u32 {
        match (self.closing_price, self.last_price) {
            (0, 0) => self.previous_close_price,
            (0, last) => last,
            (closing, _) => closing,
        }
    }

    /// Trades of one order or of one uncrossing, between its first and its last price.
    #[inline(always)]
    pub(crate) fn traded(&mut self, first: u32, last: u32, quantity: u64, trades: u32) {
        if self.trade_count == 0 {
            self.open_price = first;
            self.low_price = first;
        }
        let (low, high) = (first.min(last), first.max(last));
        self.low_price = self.low_price.min(low);
        self.high_price = self.high_price.max(high);
        self.last_price = last;
        self.volume = self.volume.saturating_add(quantity);
        self.trade_count = self.trade_count.saturating_add(trades);
    }

    pub(crate) fn begin_day(&mut self) {
        *self = Self {
            previous_close_price: self.previous_close_price,
            ..Self::NONE
        };
    }

    /// The close becomes the next day's reference.
    pub(crate) fn close_day(&mut self) {
        self.previous_close_price = self.close_price();
    }
}
