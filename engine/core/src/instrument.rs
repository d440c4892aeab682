//! Firms and instruments: dense tables by id, and the way from a symbol to an instrument.

use crate::book::pool::{Book, Order};
use crate::book::share::Allocation;
use crate::phase::Phase;
use crate::state::TradingState;
use crate::statistics::Statistics;
use crate::{NONE, grown};
use alloc::vec::Vec;
use core::mem::offset_of;
use lockstep_prefetch::prefetch;
use lockstep_record::{FirmId, InstrumentId};

/// Orders for auctions only rest in books of their own, whose ids are the instrument's with a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum BookMark {
    /// The instrument's own book.
    Own = 0,
    /// Orders for the auction that is called, or next to be called, only.
    Call = 1 << 20,
    /// Orders for the closing auction only.
    Close = 2 << 20,
}
const MARKS: u32 = 3 << 20;
const _: () = assert!(crate::bounds::INSTRUMENTS_MAX < BookMark::Call as u32);

impl BookMark {
    pub const ALL: [Self; 3] = [Self::Own, Self::Call, Self::Close];

    pub const fn book_id(self, instrument: u32) -> u32 {
        instrument | self as u32
    }
}

impl Order {
    /// The instrument of a live order, whichever of its books it is in.
    #[inline(always)]
    pub fn instrument(&self) -> InstrumentId {
        InstrumentId(self.book() & !MARKS)
    }

    /// Which of its instrument's books a live order is in.
    #[inline(always)]
    pub fn mark(&self) -> BookMark {
        match self.book() & MARKS {
            0 => BookMark::Own,
            mark if mark == BookMark::Call as u32 => BookMark::Call,
            _ => BookMark::Close,
        }
    }
}

/// What every order looks at shares a cache line with the book's best prices.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Instrument {
    pub book: Book,
    /// 0: not defined.
    pub tick_size: u32,
    pub lot_size: u32,
    /// Of the last trade, in 1/10,000; 0 = none yet. Triggers stop orders.
    pub last_price: u32,
    pub symbol: [u8; 8],
    pub state: TradingState,
    /// Whether a collar bounds what orders take.
    pub collared: bool,
    /// Has a tick table (`tick.rs`).
    pub banded: bool,
    /// Out of trading; gone when the next day opens.
    pub retired: bool,
    pub allocation: Allocation,
    pub statistics: Statistics,
}
const _: () = {
    let (first, end) = (
        offset_of!(Instrument, book.best),
        offset_of!(Instrument, retired) + 1,
    );
    assert!(first.is_multiple_of(64) && end <= first + 64);
};

const UNDEFINED: Instrument = Instrument {
    symbol: [b' '; 8],
    tick_size: 0,
    lot_size: 0,
    state: TradingState::Trading,
    collared: false,
    last_price: 0,
    banded: false,
    retired: false,
    allocation: Allocation::PriceTime,
    book: Book::new(0),
    statistics: Statistics::NONE,
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
    /// The rarely used half, by instrument id.
    phases: Vec<Phase>,
    symbols: Vec<SymbolEntry>,
}

impl Instruments {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            phases: Vec::new(),
            symbols: Vec::new(),
        }
    }

    pub fn grow(&mut self, instruments_max: u32) {
        let from = self.table.len();
        grown(&mut self.table, instruments_max as usize + 1, UNDEFINED);
        grown(
            &mut self.phases,
            instruments_max as usize + 1,
            Phase::new(0),
        );
        for id in from..self.table.len() {
            self.table[id].book = Book::new(id as u32);
            self.phases[id] = Phase::new(id as u32);
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
        // Nowhere in a table without entries.
        ((product >> 64) as u64 ^ product as u64) as usize & self.symbols.len().wrapping_sub(1)
    }

    /// Asks for the line where a symbol is first looked for, and returns where that is; see [`crate::ahead`].
    #[inline(always)]
    pub fn warm_symbol(&self, symbol: [u8; 8]) -> u32 {
        let home = self.home(u64::from_le_bytes(symbol));
        prefetch(&self.symbols, home);
        home as u32
    }

    /// The instrument of the symbol that is there, whichever that is.
    #[inline(always)]
    pub fn glance(&self, home: u32) -> InstrumentId {
        let entry = self.symbols.get(home as usize);
        InstrumentId(entry.map_or(NONE, |entry| entry.instrument))
    }

    /// An instrument for whatever id, unless there are none.
    #[inline(always)]
    pub fn glance_at(&self, id: InstrumentId) -> Option<&Instrument> {
        let last = self.table.len().saturating_sub(1);
        self.table.get((id.0 as usize).min(last))
    }

    /// Asks for an instrument's lines of its best prices and of a ladder of its own book.
    #[inline(always)]
    pub fn warm(&self, id: InstrumentId, lane: usize) {
        if let Some(instrument) = self.glance_at(id) {
            instrument.book.warm(lane);
        }
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

    #[inline(always)]
    pub fn get(&self, id: InstrumentId) -> &Instrument {
        &self.table[id.0 as usize]
    }

    #[inline(always)]
    pub fn get_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        &mut self.table[id.0 as usize]
    }

    pub fn phase(&self, id: InstrumentId) -> &Phase {
        &self.phases[id.0 as usize]
    }

    pub fn phase_mut(&mut self, id: InstrumentId) -> &mut Phase {
        &mut self.phases[id.0 as usize]
    }

    pub fn is_defined(&self, id: InstrumentId) -> bool {
        self.in_bounds(id) && self.get(id).is_defined()
    }

    /// Whether it is defined and not retired.
    pub fn is_live(&self, id: InstrumentId) -> bool {
        self.is_defined(id) && !self.get(id).retired
    }

    #[inline(always)]
    pub fn book(&self, id: InstrumentId, mark: BookMark) -> &Book {
        match mark {
            BookMark::Own => &self.table[id.0 as usize].book,
            BookMark::Call => &self.phases[id.0 as usize].call,
            BookMark::Close => &self.phases[id.0 as usize].close,
        }
    }

    #[inline(always)]
    pub fn book_mut(&mut self, id: InstrumentId, mark: BookMark) -> &mut Book {
        match mark {
            BookMark::Own => &mut self.table[id.0 as usize].book,
            BookMark::Call => &mut self.phases[id.0 as usize].call,
            BookMark::Close => &mut self.phases[id.0 as usize].close,
        }
    }

    /// Whether no order rests in any of an instrument's books.
    pub fn is_empty(&self, id: InstrumentId) -> bool {
        BookMark::ALL
            .iter()
            .all(|&mark| self.book(id, mark).is_empty())
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
        self.phases[id.0 as usize] = Phase::new(id.0);
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
