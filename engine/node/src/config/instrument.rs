//! Definitions of instruments.

use super::check;
use lockstep_core::inspect::{Allocation, AuctionRules, Schedule};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct InstrumentConfig {
    /// 1..=65535, also the ITCH stock locate.
    pub id: u32,
    /// Up to 8 printable characters.
    pub symbol: String,
    /// In 1/10,000 of the currency unit.
    #[serde(default = "defaults::tick_size")]
    pub tick_size: u32,
    #[serde(default = "defaults::lot_size")]
    pub lot_size: u32,
    /// Tick sizes from higher prices up, by price; `tick_size` holds below the first and divides all.
    #[serde(default)]
    pub tick_bands: Vec<TickBandConfig>,
    /// How the displayed orders of a price share what an aggressor takes.
    #[serde(default)]
    pub allocation: AllocationConfig,
    /// Smallest share in a pro-rata allocation.
    #[serde(default)]
    pub allocation_minimum: u32,
    /// Per cent that the first order of a price gives, 1 to 100, in a top-share allocation.
    #[serde(default)]
    pub top_share: u32,
    /// How far from the reference price an order may trade, in 1/10,000 of it; 0 = as far as it likes.
    #[serde(default)]
    pub static_collar: u32,
    /// How far from the last trade's price.
    #[serde(default)]
    pub dynamic_collar: u32,
    /// What an order that would trade beyond a collar causes.
    #[serde(default)]
    pub collar_action: CollarActionConfig,
    /// Of the volatility auction that a collar calls.
    #[serde(default)]
    pub auction_duration_ms: u32,
    /// It lasts up to so much longer.
    #[serde(default)]
    pub auction_random_end_ms: u32,
    /// Time between two indications of an auction's outcome; 0 = only at its begin.
    #[serde(default)]
    pub indication_interval_ms: u32,
    /// When it changes its trading state each day.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CollarActionConfig {
    #[default]
    Reject,
    Auction,
}

/// Times in ms after the venue's midnight; those left out do not happen by themselves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    #[serde(default)]
    pub pre_open_ms: Option<u32>,
    #[serde(default)]
    pub opening_auction_ms: Option<u32>,
    #[serde(default)]
    pub trading_ms: Option<u32>,
    #[serde(default)]
    pub closing_auction_ms: Option<u32>,
    #[serde(default)]
    pub closed_ms: Option<u32>,
    /// A call that the schedule ends lasts up to so much longer.
    #[serde(default)]
    pub random_end_ms: u32,
}

impl ScheduleConfig {
    fn schedule(&self) -> Schedule {
        let times = [
            self.pre_open_ms,
            self.opening_auction_ms,
            self.trading_ms,
            self.closing_auction_ms,
            self.closed_ms,
        ];
        Schedule {
            times_ms: times.map(|time| time.unwrap_or(u32::MAX)),
            random_end_ms: self.random_end_ms,
        }
    }
}

/// Highest limit price, in 1/10,000.
const PRICE_MAX: u32 = 1_999_999_900;

/// Prices and tick sizes in 1/10,000 of the currency unit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TickBandConfig {
    pub from_price: u32,
    pub tick_size: u32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationConfig {
    #[default]
    PriceTime,
    ProRata,
    TopShare,
}

impl InstrumentConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        let id = self.id;
        let ok = |b: u8| b.is_ascii_graphic();
        check::text("instrument", "symbol", &self.symbol, 8, ok)?;
        if self.allocation().is_none() {
            return Err(format!(
                "instrument {id}: allocation_minimum is for \"pro-rata\" alone, top_share (1 to 100) for \"top-share\" alone"
            ));
        }
        if self.tick_size == 0 || self.lot_size == 0 {
            return Err(format!(
                "instrument {id}: tick_size and lot_size must not be 0"
            ));
        }
        if !self.auction_rules().is_legal() || !self.schedule().is_legal() {
            return Err(format!(
                "instrument {id}: collars are at most 10000, random ends at most an hour, indications 10 ms apart or more, and the schedule's times ascend"
            ));
        }
        if !self.has_legal_ticks() {
            return Err(format!(
                "instrument {id}: tick_bands must ascend by from_price (1 to {PRICE_MAX}), at most {}, each tick_size a multiple of the instrument's",
                lockstep_core::TICK_BANDS_MAX
            ));
        }
        Ok(())
    }

    /// Whether the log would take the tick bands.
    fn has_legal_ticks(&self) -> bool {
        let ascend = self
            .tick_bands
            .windows(2)
            .all(|pair| pair[0].from_price < pair[1].from_price);
        let fits = |band: &TickBandConfig| {
            let divides = band.tick_size != 0 && band.tick_size.is_multiple_of(self.tick_size);
            divides && (1..=PRICE_MAX).contains(&band.from_price)
        };
        let few = self.tick_bands.len() <= lockstep_core::TICK_BANDS_MAX;
        few && ascend && self.tick_bands.iter().all(fits)
    }

    /// The schedule as the log has it.
    pub fn schedule(&self) -> Schedule {
        let none = ScheduleConfig::default();
        self.schedule.as_ref().unwrap_or(&none).schedule()
    }

    /// Collars and auctions as the log has them.
    pub fn auction_rules(&self) -> AuctionRules {
        AuctionRules {
            static_collar: self.static_collar,
            dynamic_collar: self.dynamic_collar,
            collar_action: match self.collar_action {
                CollarActionConfig::Reject => b'R',
                CollarActionConfig::Auction => b'V',
            },
            duration_ms: self.auction_duration_ms,
            random_end_ms: self.auction_random_end_ms,
            indication_interval_ms: self.indication_interval_ms,
        }
    }

    /// The allocation as the log has it; `None` if the values do not fit each other.
    pub fn allocation(&self) -> Option<Allocation> {
        let letter = match self.allocation {
            AllocationConfig::PriceTime => b'F',
            AllocationConfig::ProRata => b'P',
            AllocationConfig::TopShare => b'T',
        };
        Allocation::of(letter, self.allocation_minimum, self.top_share)
    }
}

mod defaults {
    pub fn tick_size() -> u32 {
        100
    }
    pub fn lot_size() -> u32 {
        1
    }
}
