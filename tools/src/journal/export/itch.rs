//! Nasdaq TotalView-ITCH 5.0 messages, those that a day of this venue needs, in BinaryFILE framing.
//!
//! Layouts as in Nasdaq's specification; all integers big-endian. A BinaryFILE is `u16 length · message` one
//! behind the other; a length of zero ends it.

use super::NewFile;
use std::io::{self, Write};

/// Where a message belongs: locate code 0 = to no instrument. `time_ns`: since the day's midnight.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub locate: u16,
    pub time_ns: u64,
}

/// An order on the feed.
#[derive(Clone, Copy, Debug)]
pub struct Quote {
    pub reference: u64,
    /// `B` or `S`.
    pub side: u8,
    pub shares: u32,
    pub symbol: [u8; 8],
    /// In 1/10,000.
    pub price: u32,
}

/// Event codes of the System Event message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SystemCode {
    StartOfMessages = b'O',
    StartOfSystemHours = b'S',
    StartOfMarketHours = b'Q',
    EndOfMarketHours = b'M',
    EndOfSystemHours = b'E',
    EndOfMessages = b'C',
}

/// The longest message that is written.
const LENGTH_MAX: usize = 50;

struct Builder {
    bytes: [u8; LENGTH_MAX],
    length: usize,
}

impl Builder {
    /// The eleven bytes that every message begins with; the tracking number is 0.
    fn new(kind: u8, stamp: Stamp) -> Self {
        let builder = Self {
            bytes: [0; LENGTH_MAX],
            length: 0,
        };
        let time = stamp.time_ns.to_be_bytes();
        builder
            .put(&[kind])
            .put(&stamp.locate.to_be_bytes())
            .put(&[0, 0])
            .put(&time[2..])
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
        self
    }

    fn u32(self, value: u32) -> Self {
        self.put(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.put(&value.to_be_bytes())
    }
}

/// Writes messages, each of its exact length.
#[derive(Debug)]
pub struct ItchWriter<W> {
    out: W,
    pub messages: u64,
}

impl ItchWriter<NewFile> {
    /// Begins anew, with nothing written.
    pub fn restart(&mut self) -> io::Result<()> {
        self.messages = 0;
        self.out.restart()
    }
}

impl<W: Write> ItchWriter<W> {
    pub fn new(out: W) -> Self {
        Self { out, messages: 0 }
    }

    pub fn into_inner(self) -> W {
        self.out
    }

    fn message(&mut self, length: usize, message: &Builder) -> io::Result<()> {
        assert_eq!(
            message.length, length,
            "a message of another length than ITCH's"
        );
        self.messages += 1;
        self.out.write_all(&(length as u16).to_be_bytes())?;
        self.out.write_all(&message.bytes[..length])
    }

    /// Nothing comes behind this.
    pub fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&[0, 0])
    }

    pub fn system(&mut self, stamp: Stamp, code: SystemCode) -> io::Result<()> {
        self.message(12, &Builder::new(b'S', stamp).put(&[code as u8]))
    }

    /// What this venue does not know of an instrument is said as "not available".
    pub fn directory(&mut self, stamp: Stamp, symbol: [u8; 8], lot: u32) -> io::Result<()> {
        let message = Builder::new(b'R', stamp)
            .put(&symbol)
            // Market category and financial status.
            .put(b"  ")
            .u32(lot)
            // Round lots only; issue classification and sub-type.
            .put(if lot > 1 { b"Y" } else { b"N" })
            .put(b"   ")
            // Live; short sale threshold, IPO, LULD tier, ETP: not available.
            .put(b"P    ")
            // Not leveraged, not inverse.
            .u32(1)
            .put(b"N");
        self.message(39, &message)
    }

    pub fn trading_action(&mut self, stamp: Stamp, symbol: [u8; 8], state: u8) -> io::Result<()> {
        let message = Builder::new(b'H', stamp)
            .put(&symbol)
            .put(&[state, b' '])
            .put(b"    ");
        self.message(25, &message)
    }

    pub fn add(&mut self, stamp: Stamp, quote: &Quote) -> io::Result<()> {
        let message = Builder::new(b'A', stamp)
            .u64(quote.reference)
            .put(&[quote.side])
            .u32(quote.shares)
            .put(&quote.symbol)
            .u32(quote.price);
        self.message(36, &message)
    }

    pub fn executed(
        &mut self,
        stamp: Stamp,
        reference: u64,
        shares: u32,
        match_number: u64,
    ) -> io::Result<()> {
        let message = Builder::new(b'E', stamp)
            .u64(reference)
            .u32(shares)
            .u64(match_number);
        self.message(31, &message)
    }

    /// At another price than displayed. Not printable: volume comes with the Cross Trade message.
    pub fn executed_with_price(
        &mut self,
        stamp: Stamp,
        reference: u64,
        shares: u32,
        match_number: u64,
        printable: bool,
        price: u32,
    ) -> io::Result<()> {
        let message = Builder::new(b'C', stamp)
            .u64(reference)
            .u32(shares)
            .u64(match_number)
            .put(if printable { b"Y" } else { b"N" })
            .u32(price);
        self.message(36, &message)
    }

    pub fn cancel(&mut self, stamp: Stamp, reference: u64, shares: u32) -> io::Result<()> {
        self.message(23, &Builder::new(b'X', stamp).u64(reference).u32(shares))
    }

    pub fn delete(&mut self, stamp: Stamp, reference: u64) -> io::Result<()> {
        self.message(19, &Builder::new(b'D', stamp).u64(reference))
    }

    pub fn replace(
        &mut self,
        stamp: Stamp,
        original: u64,
        reference: u64,
        shares: u32,
        price: u32,
    ) -> io::Result<()> {
        let message = Builder::new(b'U', stamp)
            .u64(original)
            .u64(reference)
            .u32(shares)
            .u32(price);
        self.message(35, &message)
    }

    /// An execution of an order that is not displayed; the reference and side say nothing, as everywhere.
    pub fn trade(
        &mut self,
        stamp: Stamp,
        shares: u32,
        symbol: [u8; 8],
        price: u32,
        match_number: u64,
    ) -> io::Result<()> {
        let message = Builder::new(b'P', stamp)
            .u64(0)
            .put(b"B")
            .u32(shares)
            .put(&symbol)
            .u32(price)
            .u64(match_number);
        self.message(44, &message)
    }

    pub fn cross(
        &mut self,
        stamp: Stamp,
        shares: u64,
        symbol: [u8; 8],
        price: u32,
        match_number: u64,
        kind: u8,
    ) -> io::Result<()> {
        let message = Builder::new(b'Q', stamp)
            .u64(shares)
            .put(&symbol)
            .u32(price)
            .u64(match_number)
            .put(&[kind]);
        self.message(40, &message)
    }

    pub fn broken(&mut self, stamp: Stamp, match_number: u64) -> io::Result<()> {
        self.message(19, &Builder::new(b'B', stamp).u64(match_number))
    }
}
