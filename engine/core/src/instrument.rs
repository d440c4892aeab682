//! Firms and instruments: dense tables by id, and the way from a symbol to an instrument.

use crate::book::pool::Book;
use crate::book::share::Allocation;
use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::{FirmId, InstrumentId};

/// Trading state of an instrument; the value is the letter of `SetInstrumentState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TradingState {
    Trading = b'T',
    /// No entry or replacement; cancels work.
    Halted = b'H',
    /// The same, and said as "closed".
    Closed = b'C',
}

impl TradingState {
    pub(crate) fn from_u8(letter: u8) -> Option<Self> {
        match letter {
            b'T' => Some(Self::Trading),
            b'H' => Some(Self::Halted),
            b'C' => Some(Self::Closed),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Instrument {
    pub symbol: [u8; 8],
    /// 0: not defined.
    pub tick_size: u32,
    pub lot_size: u32,
    pub state: TradingState,
    /// Of the last trade, in 1/10,000; 0 = none yet. Triggers stop orders.
    pub last_price: u32,
    /// Has a tick table (`tick.rs`).
    pub banded: bool,
    /// Out of trading; gone when the next day opens.
    pub retired: bool,
    pub allocation: Allocation,
    pub book: Book,
}

const UNDEFINED: Instrument = Instrument {
    symbol: [b' '; 8],
    tick_size: 0,
    lot_size: 0,
    state: TradingState::Trading,
    last_price: 0,
    banded: false,
    retired: false,
    allocation: Allocation::PriceTime,
    book: Book::new(0),
};

impl Instrument {
    pub fn is_defined(&self) -> bool {
        self.tick_size != 0
    }
}

#[derive(Clone, Copy, Debug)]
struct SymbolEntry {
    symbol: u64,
    /// `NONE`: empty.
    instrument: u32,
}

/// Instruments and their books, by id, and the symbol table: open addressing, at most half full.
#[derive(Debug)]
pub(crate) struct Instruments {
    /// By instrument id; entry 0 is never used.
    table: Vec<Instrument>,
    symbols: Vec<SymbolEntry>,
}

impl Instruments {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            symbols: Vec::new(),
        }
    }

    pub fn grow(&mut self, instruments_max: u32) {
        let from = self.table.len();
        grown(&mut self.table, instruments_max as usize + 1, UNDEFINED);
        for id in from..self.table.len() {
            self.table[id].book = Book::new(id as u32);
        }
        let slots = (instruments_max as usize * 2 + 2).next_power_of_two();
        self.symbols.clear();
        grown(
            &mut self.symbols,
            slots,
            SymbolEntry {
                symbol: 0,
                instrument: NONE,
            },
        );
        for id in 1..self.table.len() {
            if self.table[id].is_defined() {
                self.add_symbol(self.table[id].symbol, id as u32);
            }
        }
    }

    #[inline(always)]
    fn home(&self, symbol: u64) -> usize {
        let product = u128::from(symbol ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F;
        ((product >> 64) as u64 ^ product as u64) as usize & (self.symbols.len() - 1)
    }

    /// The defined instrument of a symbol.
    #[inline(always)]
    pub fn find(&self, symbol: [u8; 8]) -> Option<InstrumentId> {
        if self.symbols.is_empty() {
            return None;
        }
        let symbol = u64::from_le_bytes(symbol);
        let mut at = self.home(symbol);
        loop {
            let entry = &self.symbols[at];
            if entry.instrument == NONE {
                return None;
            }
            if entry.symbol == symbol {
                return Some(InstrumentId(entry.instrument));
            }
            at = (at + 1) & (self.symbols.len() - 1);
        }
    }

    fn add_symbol(&mut self, symbol: [u8; 8], instrument: u32) {
        let symbol = u64::from_le_bytes(symbol);
        let mut at = self.home(symbol);
        while self.symbols[at].instrument != NONE {
            at = (at + 1) & (self.symbols.len() - 1);
        }
        self.symbols[at] = SymbolEntry { symbol, instrument };
    }

    pub fn in_bounds(&self, id: InstrumentId) -> bool {
        id.0 != 0 && (id.0 as usize) < self.table.len()
    }

    pub fn is_defined(&self, id: InstrumentId) -> bool {
        self.in_bounds(id) && self.get(id).is_defined()
    }

    #[inline(always)]
    pub fn get(&self, id: InstrumentId) -> &Instrument {
        &self.table[id.0 as usize]
    }

    #[inline(always)]
    pub fn get_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        &mut self.table[id.0 as usize]
    }

    /// Defines an instrument or changes it in place. The symbol is free or its own.
    pub fn define(&mut self, id: InstrumentId, symbol: [u8; 8], tick_size: u32, lot_size: u32) {
        let instrument = &mut self.table[id.0 as usize];
        let before = instrument.is_defined().then_some(instrument.symbol);
        instrument.symbol = symbol;
        if instrument.tick_size != tick_size {
            // It might lie between the new ticks.
            instrument.last_price = 0;
        }
        instrument.tick_size = tick_size;
        instrument.lot_size = lot_size;
        match before {
            Some(before) if before == symbol => {}
            // Rare: an operator renamed it.
            Some(_) => self.rebuild_symbols(),
            None => self.add_symbol(symbol, id.0),
        }
    }

    /// Makes an instrument undefined, whose book is empty; the caller rebuilds the symbols.
    pub fn undefine(&mut self, id: InstrumentId) {
        self.table[id.0 as usize] = Instrument {
            book: Book::new(id.0),
            ..UNDEFINED
        };
    }

    /// Leaves no tombstone.
    pub fn rebuild_symbols(&mut self) {
        self.symbols.fill(SymbolEntry {
            symbol: 0,
            instrument: NONE,
        });
        for id in 1..self.table.len() {
            if self.table[id].is_defined() {
                self.add_symbol(self.table[id].symbol, id as u32);
            }
        }
    }

    /// Ids of the defined instruments, ascending.
    pub fn defined(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        let table = self.table.iter().zip(0..);
        table
            .filter(|(instrument, _)| instrument.is_defined())
            .map(|(_, id)| InstrumentId(id))
    }

    /// Number of ids, 0 included.
    pub fn id_end(&self) -> u32 {
        self.table.len() as u32
    }
}

/// Codes of the firms, by id; spaces: not defined.
#[derive(Debug)]
pub(crate) struct Firms {
    codes: Vec<[u8; 4]>,
}

pub(crate) const BLANK_FIRM: [u8; 4] = [b' '; 4];

impl Firms {
    pub fn new() -> Self {
        Self { codes: Vec::new() }
    }

    pub fn grow(&mut self, firms_max: u32) {
        grown(&mut self.codes, firms_max as usize + 1, BLANK_FIRM);
    }

    pub fn in_bounds(&self, id: FirmId) -> bool {
        id.0 != 0 && (id.0 as usize) < self.codes.len()
    }

    pub fn is_defined(&self, id: FirmId) -> bool {
        self.in_bounds(id) && self.code(id) != BLANK_FIRM
    }

    pub fn code(&self, id: FirmId) -> [u8; 4] {
        self.codes[id.0 as usize]
    }

    pub fn code_mut(&mut self, id: FirmId) -> &mut [u8; 4] {
        &mut self.codes[id.0 as usize]
    }

    /// Defined firms, ascending.
    pub fn defined(&self) -> impl Iterator<Item = (FirmId, [u8; 4])> + '_ {
        let codes = self.codes.iter().zip(0..);
        codes
            .filter(|(code, _)| **code != BLANK_FIRM)
            .map(|(code, id)| (FirmId(id), *code))
    }
}
