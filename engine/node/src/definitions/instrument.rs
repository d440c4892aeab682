//! An instrument's definition as one value: what its record says, and what a change leaves as it is.
//!
//! A record of a definition replaces all of it, so whoever changes one rule must repeat the others.

use super::trimmed;
use crate::operator;
use lockstep_core::inspect::{Allocation, AuctionRules};
use lockstep_core::{StateMachine, TICK_BANDS_MAX};
use lockstep_record::command::DefineInstrument;
use lockstep_record::{InstrumentId, PartTag};

/// From a price up another tick size, both in 1/10,000, by price; what is not used is 0.
pub type TickBands = [(u32, u32); TICK_BANDS_MAX];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstrumentDefinition {
    pub id: u32,
    pub symbol: [u8; 8],
    /// In 1/10,000.
    pub tick_size: u32,
    pub lot_size: u32,
    pub tick_bands: TickBands,
    pub allocation: Allocation,
    pub rules: AuctionRules,
}

/// What is said of an instrument; what is `None` stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InstrumentChange {
    pub symbol: Option<[u8; 8]>,
    pub tick_size: Option<u32>,
    pub lot_size: Option<u32>,
    pub tick_bands: Option<TickBands>,
    pub allocation: Option<Allocation>,
    pub static_collar: Option<u32>,
    pub dynamic_collar: Option<u32>,
    /// `R` or `V`.
    pub collar_action: Option<u8>,
    pub auction_duration_ms: Option<u32>,
    pub auction_random_end_ms: Option<u32>,
    pub indication_interval_ms: Option<u32>,
}

impl InstrumentDefinition {
    /// What counts for a new one where nothing is said.
    pub const fn new(id: u32, symbol: [u8; 8]) -> Self {
        Self {
            id,
            symbol,
            tick_size: 100,
            lot_size: 1,
            tick_bands: [(0, 0); TICK_BANDS_MAX],
            allocation: Allocation::PriceTime,
            rules: AuctionRules::NONE,
        }
    }

    pub fn changed(self, change: &InstrumentChange) -> Self {
        let rules = self.rules;
        Self {
            id: self.id,
            symbol: change.symbol.unwrap_or(self.symbol),
            tick_size: change.tick_size.unwrap_or(self.tick_size),
            lot_size: change.lot_size.unwrap_or(self.lot_size),
            tick_bands: change.tick_bands.unwrap_or(self.tick_bands),
            allocation: change.allocation.unwrap_or(self.allocation),
            rules: AuctionRules {
                static_collar: change.static_collar.unwrap_or(rules.static_collar),
                dynamic_collar: change.dynamic_collar.unwrap_or(rules.dynamic_collar),
                collar_action: change.collar_action.unwrap_or(rules.collar_action),
                duration_ms: change.auction_duration_ms.unwrap_or(rules.duration_ms),
                random_end_ms: change.auction_random_end_ms.unwrap_or(rules.random_end_ms),
                indication_interval_ms: change
                    .indication_interval_ms
                    .unwrap_or(rules.indication_interval_ms),
            },
        }
    }

    /// The record that defines it so; parts that say the default are left out.
    pub fn record(&self, operator: &str) -> Vec<u8> {
        let body = DefineInstrument {
            symbol: self.symbol,
            instrument: self.id,
            tick_size: self.tick_size,
            lot_size: self.lot_size,
            _reserved: [0; 12],
        };
        operator::record(&body, &self.parts(), operator)
    }

    fn parts(&self) -> Vec<(PartTag, Vec<u8>)> {
        let mut parts = allocation_parts(self.allocation);
        for (from_price, tick_size) in self.used_bands() {
            let value = [from_price.to_le_bytes(), tick_size.to_le_bytes()].concat();
            parts.push((PartTag::TICK_BAND, value));
        }
        let rules = &self.rules;
        let numbers = [
            (PartTag::STATIC_COLLAR, rules.static_collar),
            (PartTag::DYNAMIC_COLLAR, rules.dynamic_collar),
            (PartTag::AUCTION_DURATION, rules.duration_ms),
            (PartTag::AUCTION_RANDOM_END, rules.random_end_ms),
            (PartTag::INDICATION_INTERVAL, rules.indication_interval_ms),
        ];
        for (tag, value) in numbers.into_iter().filter(|(_, value)| *value != 0) {
            parts.push((tag, value.to_le_bytes().to_vec()));
        }
        if rules.collar_action != AuctionRules::NONE.collar_action {
            parts.push((PartTag::COLLAR_ACTION, vec![rules.collar_action]));
        }
        parts
    }

    /// Its members by the configuration's keys, as text.
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        let bands: Vec<String> = self
            .used_bands()
            .map(|(from_price, tick_size)| format!("{from_price}:{tick_size}"))
            .collect();
        let allocation = match self.allocation {
            Allocation::PriceTime => "price-time".to_owned(),
            Allocation::ProRata { minimum } => format!("pro-rata({minimum})"),
            Allocation::TopShare { percent } => format!("top-share({percent})"),
        };
        let rules = &self.rules;
        let action = match rules.collar_action {
            b'V' => "auction",
            _ => "reject",
        };
        vec![
            ("symbol", trimmed(&self.symbol)),
            ("tick_size", self.tick_size.to_string()),
            ("lot_size", self.lot_size.to_string()),
            ("tick_bands", format!("[{}]", bands.join(","))),
            ("allocation", allocation),
            ("static_collar", rules.static_collar.to_string()),
            ("dynamic_collar", rules.dynamic_collar.to_string()),
            ("collar_action", action.to_owned()),
            ("auction_duration_ms", rules.duration_ms.to_string()),
            ("auction_random_end_ms", rules.random_end_ms.to_string()),
            (
                "indication_interval_ms",
                rules.indication_interval_ms.to_string(),
            ),
        ]
    }

    /// Its tick bands, by price.
    pub fn used_bands(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let used = self.tick_bands.iter().filter(|band| **band != (0, 0));
        used.copied()
    }

    /// As the state has it. Allocates nothing: the engine's thread may run it.
    pub fn of(machine: &StateMachine, id: u32) -> Option<Self> {
        let id = InstrumentId(id);
        let instrument = machine.instrument(id)?;
        let mut tick_bands = [(0, 0); TICK_BANDS_MAX];
        for (to, band) in tick_bands.iter_mut().zip(machine.tick_bands(id)) {
            *to = (band.from_price, band.tick_size);
        }
        Some(Self {
            id: id.0,
            symbol: instrument.symbol,
            tick_size: instrument.tick_size,
            lot_size: instrument.lot_size,
            tick_bands,
            allocation: instrument.allocation,
            rules: machine.auction_rules(id)?,
        })
    }
}

/// Bands as a definition holds them; `None` if they are too many, or one is of price and tick 0.
pub fn tick_bands(bands: impl IntoIterator<Item = (u32, u32)>) -> Option<TickBands> {
    let mut table = [(0, 0); TICK_BANDS_MAX];
    let mut places = table.iter_mut();
    for band in bands {
        *places.next().filter(|_| band != (0, 0))? = band;
    }
    Some(table)
}

fn allocation_parts(allocation: Allocation) -> Vec<(PartTag, Vec<u8>)> {
    let (letter, minimum, percent) = allocation.parts();
    if allocation == Allocation::PriceTime {
        return Vec::new();
    }
    vec![
        (PartTag::ALLOCATION, vec![letter]),
        (PartTag::ALLOCATION_MINIMUM, minimum.to_le_bytes().to_vec()),
        (PartTag::TOP_SHARE, percent.to_le_bytes().to_vec()),
    ]
}
