//! Definitions of instruments. What an entry does not say stays as the log has it.

use super::check;
use crate::definitions::{self, InstrumentChange, InstrumentDefinition, padded};
use lockstep_core::inspect::{Allocation, Schedule};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct InstrumentConfig {
    /// 1..=65535, also the ITCH stock locate.
    pub id: u32,
    /// Up to 8 printable characters.
    pub symbol: String,
    /// In 1/10,000 of the currency unit.
    #[serde(default)]
    pub tick_size: Option<u32>,
    #[serde(default)]
    pub lot_size: Option<u32>,
    /// Tick sizes from higher prices up, by price; `tick_size` holds below the first and divides all.
    #[serde(default)]
    pub tick_bands: Option<Vec<TickBandConfig>>,
    /// How the displayed orders of a price share what an aggressor takes.
    #[serde(default)]
    pub allocation: Option<AllocationConfig>,
    /// Smallest share in a pro-rata allocation.
    #[serde(default)]
    pub allocation_minimum: Option<u32>,
    /// Per cent that the first order of a price gives, 1 to 100, in a top-share allocation.
    #[serde(default)]
    pub top_share: Option<u32>,
    /// How far from the reference price an order may trade, in 1/10,000 of it; 0 = as far as it likes.
    #[serde(default)]
    pub static_collar: Option<u32>,
    /// How far from the last trade's price.
    #[serde(default)]
    pub dynamic_collar: Option<u32>,
    /// What an order that would trade beyond a collar causes.
    #[serde(default)]
    pub collar_action: Option<CollarActionConfig>,
    /// Of the volatility auction that a collar calls.
    #[serde(default)]
    pub auction_duration_ms: Option<u32>,
    /// It lasts up to so much longer.
    #[serde(default)]
    pub auction_random_end_ms: Option<u32>,
    /// Time between two indications of an auction's outcome; 0 = only at its begin.
    #[serde(default)]
    pub indication_interval_ms: Option<u32>,
    /// When it changes its trading state each day.
    #[serde(default)]
    pub schedule: Option<ScheduleConfig>,
    /// It is taken out of trading, and not defined again.
    #[serde(default)]
    pub retired: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CollarActionConfig {
    Reject,
    Auction,
}

impl CollarActionConfig {
    /// As the log has it.
    pub fn letter(self) -> u8 {
        match self {
            Self::Reject => b'R',
            Self::Auction => b'V',
        }
    }
}

/// Times in ms after the venue's midnight; those left out do not happen by themselves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_open_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening_auction_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trading_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing_auction_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u32>,
    /// A call that the schedule ends lasts up to so much longer.
    #[serde(default)]
    pub random_end_ms: u32,
}

impl ScheduleConfig {
    /// As the log has it.
    pub fn schedule(&self) -> Schedule {
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

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationConfig {
    PriceTime,
    ProRata,
    TopShare,
}

impl AllocationConfig {
    /// As the log has it; `None` if the values do not fit each other.
    pub fn with(self, minimum: Option<u32>, top_share: Option<u32>) -> Option<Allocation> {
        let letter = match self {
            Self::PriceTime => b'F',
            Self::ProRata => b'P',
            Self::TopShare => b'T',
        };
        Allocation::of(letter, minimum.unwrap_or(0), top_share.unwrap_or(0))
    }
}

/// An allocation that is said in parts: the outer `None` if they do not fit each other, the inner if nothing
/// is said of it.
pub fn allocation_of(
    kind: Option<AllocationConfig>,
    minimum: Option<u32>,
    top_share: Option<u32>,
) -> Option<Option<Allocation>> {
    match kind {
        Some(kind) => kind.with(minimum, top_share).map(Some),
        None => (minimum.is_none() && top_share.is_none()).then_some(None),
    }
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
        if self.tick_size == Some(0) || self.lot_size == Some(0) {
            return Err(format!(
                "instrument {id}: tick_size and lot_size must not be 0"
            ));
        }
        let whole = InstrumentDefinition::new(id, padded(&self.symbol)).changed(&self.change());
        let schedule = self.schedule().unwrap_or(Schedule::NONE);
        if !whole.rules.is_legal() || !schedule.is_legal() {
            return Err(format!(
                "instrument {id}: collars are at most 10000, random ends at most an hour, indications 10 ms apart or more, and the schedule's times ascend"
            ));
        }
        if !self.has_legal_ticks(whole.tick_size) {
            return Err(format!(
                "instrument {id}: tick_bands must ascend by from_price (1 to {PRICE_MAX}), at most {}, each tick_size a multiple of the instrument's",
                lockstep_core::TICK_BANDS_MAX
            ));
        }
        Ok(())
    }

    /// Whether the log would take the tick bands of an instrument with this tick size.
    fn has_legal_ticks(&self, tick_size: u32) -> bool {
        let bands = self.tick_bands.as_deref().unwrap_or_default();
        let ascend = bands
            .windows(2)
            .all(|pair| pair[0].from_price < pair[1].from_price);
        let fits = |band: &TickBandConfig| {
            let divides = band.tick_size != 0 && band.tick_size.is_multiple_of(tick_size);
            divides && (1..=PRICE_MAX).contains(&band.from_price)
        };
        let few = bands.len() <= lockstep_core::TICK_BANDS_MAX;
        few && ascend && bands.iter().all(fits)
    }

    /// The schedule as the log has it, if the entry says one.
    pub fn schedule(&self) -> Option<Schedule> {
        self.schedule.as_ref().map(ScheduleConfig::schedule)
    }

    fn allocation(&self) -> Option<Option<Allocation>> {
        allocation_of(self.allocation, self.allocation_minimum, self.top_share)
    }

    /// What the entry says, once it was checked.
    pub fn change(&self) -> InstrumentChange {
        let bands = self.tick_bands.as_ref().map(|bands| {
            let bands = bands.iter().map(|band| (band.from_price, band.tick_size));
            definitions::tick_bands(bands)
        });
        InstrumentChange {
            symbol: Some(padded(&self.symbol)),
            tick_size: self.tick_size,
            lot_size: self.lot_size,
            tick_bands: bands.flatten(),
            allocation: self.allocation().flatten(),
            static_collar: self.static_collar,
            dynamic_collar: self.dynamic_collar,
            collar_action: self.collar_action.map(CollarActionConfig::letter),
            auction_duration_ms: self.auction_duration_ms,
            auction_random_end_ms: self.auction_random_end_ms,
            indication_interval_ms: self.indication_interval_ms,
        }
    }
}
