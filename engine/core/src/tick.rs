//! Tick tables: which prices an instrument allows, by price band.
//!
//! Below the first band the instrument's own tick size holds; it is the smallest, divides every band's, and
//! is the unit of the ladder: a price off its band's tick is refused at entry, and the book knows nothing of
//! bands. A new table does not touch orders that rest.

use crate::grown;
use alloc::vec::Vec;
use lockstep_record::{InstrumentId, PartTag, Record};

/// Bands beside the lowest; the widest tables in use have 19.
pub const TICK_BANDS_MAX: usize = 20;

/// From this price up, until the next band.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TickBand {
    /// In 1/10,000.
    pub from_price: u32,
    pub tick_size: u32,
}

/// By price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TickTable {
    pub bands: [TickBand; TICK_BANDS_MAX],
    pub count: u8,
}

impl TickTable {
    pub fn bands(&self) -> &[TickBand] {
        &self.bands[..usize::from(self.count)]
    }

    /// The table of an instrument's definition; `None` if there is none like it.
    pub fn read(record: &Record<'_>, tick_size: u32, price_max: u64) -> Option<Self> {
        let mut table = Self::default();
        for part in record.parts().filter(|part| part.tag == PartTag::TICK_BAND) {
            let value = part.u64()?;
            let band = TickBand {
                from_price: value as u32,
                tick_size: (value >> 32) as u32,
            };
            *table.bands.get_mut(usize::from(table.count))? = band;
            table.count += 1;
        }
        table.is_legal(tick_size, price_max).then_some(table)
    }

    /// Bands begin at ascending prices that there are, and the smallest tick divides theirs.
    pub fn is_legal(&self, tick_size: u32, price_max: u64) -> bool {
        let mut last = 0;
        self.bands().iter().all(|band| {
            let ascends = band.from_price > last && u64::from(band.from_price) <= price_max;
            last = band.from_price;
            ascends && band.tick_size != 0 && band.tick_size.is_multiple_of(tick_size)
        })
    }

    /// Whether a price that is on the smallest tick is on its band's.
    pub fn allows(&self, price: u64) -> bool {
        let band = self
            .bands()
            .iter()
            .rfind(|band| price >= u64::from(band.from_price));
        band.is_none_or(|band| price.is_multiple_of(u64::from(band.tick_size)))
    }
}

/// By instrument id.
#[derive(Debug)]
pub(crate) struct TickTables {
    tables: Vec<TickTable>,
}

impl TickTables {
    pub fn new() -> Self {
        Self { tables: Vec::new() }
    }

    pub fn grow(&mut self, instruments_max: u32) {
        let length = instruments_max as usize + 1;
        grown(&mut self.tables, length, TickTable::default());
    }

    pub fn get(&self, id: InstrumentId) -> &TickTable {
        &self.tables[id.0 as usize]
    }

    pub fn get_mut(&mut self, id: InstrumentId) -> &mut TickTable {
        &mut self.tables[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_band_at_or_below_a_price_decides() {
        let mut table = TickTable::default();
        let bands = [(10_000, 100), (50_000, 500)];
        for (band, (from_price, tick_size)) in table.bands.iter_mut().zip(bands) {
            *band = TickBand {
                from_price,
                tick_size,
            };
        }
        table.count = 2;
        let cases = [
            (1, true),
            (9_999, true),
            (10_000, true),
            (10_050, false),
            (49_900, true),
            (50_000, true),
            (50_100, false),
            (1_999_999_500, true),
            (1_999_999_900, false),
        ];
        for (price, allowed) in cases {
            assert_eq!(table.allows(price), allowed, "{price}");
        }
        assert!(table.is_legal(1, 2_000_000_000) && table.is_legal(100, 2_000_000_000));
        assert!(!table.is_legal(200, 2_000_000_000) && !table.is_legal(1, 49_999));
        table.bands.swap(0, 1);
        assert!(!table.is_legal(1, 2_000_000_000));
    }
}
