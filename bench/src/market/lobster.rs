//! Reader of LOBSTER message and order-book files, plain or `.xz`.
//!
//! ```text
//! message row     seconds after midnight, type, order id, size, price × 10,000, direction
//! order-book row  ask price, ask size, bid price, bid size per level, best level first
//! ```
//! Source: lobsterdata.com, "Output structure". Direction is that of the resting order: 1 buy, -1 sell.
//! A level that does not exist is printed as price ±9999999999 and size 0.
//!
//! It must never guess: a row that is not exactly this is an error that names file and row.

use super::levels::{BookRow, Level, Levels};
use lockstep_record::Side;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Largest file taken, after decompression. A whole day of one busy symbol with 50 levels is ~3 GB.
pub const FILE_BYTES_MAX: usize = 4 << 30;
/// Deepest order-book file taken; LOBSTER sells up to 200 levels.
pub const DEPTH_MAX: usize = 200;
/// Price that marks an empty level, with either sign.
const EMPTY_PRICE: i64 = 9_999_999_999;

/// What a message row reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EventKind {
    /// 1: a new limit order rests.
    New,
    /// 2: part of a resting order is cancelled.
    PartialCancel,
    /// 3: a resting order is deleted.
    Delete,
    /// 4: a visible resting order executes.
    Execution,
    /// 5: a hidden order executes; the visible book does not change.
    HiddenExecution,
    /// 6: trade in an auction; the visible book does not change.
    CrossTrade,
    /// 7: trading halts, or quoting or trading resumes.
    Halt,
}

impl EventKind {
    fn from_field(value: i64) -> Option<Self> {
        Some(match value {
            1 => Self::New,
            2 => Self::PartialCancel,
            3 => Self::Delete,
            4 => Self::Execution,
            5 => Self::HiddenExecution,
            6 => Self::CrossTrade,
            7 => Self::Halt,
            _ => return None,
        })
    }

    /// True for the rows that say something of the visible book.
    pub const fn is_visible(self) -> bool {
        matches!(
            self,
            Self::New | Self::PartialCancel | Self::Delete | Self::Execution
        )
    }
}

/// One message row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// ns after midnight.
    pub time_ns: u64,
    pub kind: EventKind,
    pub order_id: u64,
    /// Shares.
    pub size: u32,
    /// 1/10,000; 0 for rows of kinds without a price.
    pub price: u64,
    /// Side of the resting order.
    pub side: Side,
}

/// A message and the visible book after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// From 1, in the file's order.
    pub number: u64,
    pub message: Message,
    pub after: BookRow,
}

/// What is wrong with a pair of files.
#[derive(Debug, Error)]
pub enum LobsterError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not a valid .xz file: {reason}")]
    Compressed { path: PathBuf, reason: String },
    #[error("{path} is longer than {FILE_BYTES_MAX} bytes; split it by time")]
    TooLong { path: PathBuf },
    #[error("{path} row {row}: {what}: `{text}`")]
    Field {
        path: PathBuf,
        row: u64,
        what: &'static str,
        text: String,
    },
    #[error("{path} row {row}: {found} fields; expected {expected}")]
    FieldCount {
        path: PathBuf,
        row: u64,
        found: usize,
        expected: &'static str,
    },
    #[error("{path} row {row}: levels are not sorted from best to worst")]
    LevelOrder { path: PathBuf, row: u64 },
    #[error("{path} row {row}: time runs backwards")]
    TimeOrder { path: PathBuf, row: u64 },
    #[error(
        "{longer} goes on after row {rows}, where {shorter} ends; the two files must have as many rows"
    )]
    RowCount {
        longer: PathBuf,
        shorter: PathBuf,
        rows: u64,
    },
    #[error(
        "{path}: the name of a message file holds `message`; its order-book file has `orderbook` there"
    )]
    Name { path: PathBuf },
}

/// The order-book file that belongs to a message file: `…message…` → `…orderbook…`.
pub fn orderbook_path(message_path: &Path) -> Result<PathBuf, LobsterError> {
    let name = message_path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.rfind("message").map(|at| (name, at))) {
        Some((name, at)) => {
            let partner = format!("{}orderbook{}", &name[..at], &name[at + "message".len()..]);
            Ok(message_path.with_file_name(partner))
        }
        None => Err(LobsterError::Name {
            path: message_path.to_path_buf(),
        }),
    }
}

/// Symbol in a LOBSTER file name: what precedes the first `_`, at most 8 letters or digits.
pub fn symbol_of(message_path: &Path) -> Result<String, LobsterError> {
    let name = message_path.file_name().and_then(|name| name.to_str());
    let symbol = name.and_then(|name| name.split('_').next()).unwrap_or("");
    let legal = !symbol.is_empty()
        && symbol.len() <= 8
        && symbol.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if legal {
        Ok(symbol.to_ascii_uppercase())
    } else {
        Err(LobsterError::Name {
            path: message_path.to_path_buf(),
        })
    }
}

/// A pair of files, held in memory, read row by row.
#[derive(Debug)]
pub struct LobsterFiles {
    messages: Text,
    books: Text,
    rows: u64,
    depth: Option<usize>,
    time_ns: u64,
}

impl LobsterFiles {
    /// Opens a message file and its order-book file (`orderbook_path`).
    pub fn open(message_path: &Path) -> Result<Self, LobsterError> {
        let book_path = orderbook_path(message_path)?;
        Ok(Self::from_bytes(
            (message_path.to_path_buf(), read_file(message_path)?),
            (book_path.clone(), read_file(&book_path)?),
        ))
    }

    /// Takes decompressed bytes; the paths only name the files in errors.
    pub fn from_bytes(messages: (PathBuf, Vec<u8>), books: (PathBuf, Vec<u8>)) -> Self {
        Self {
            messages: Text::new(messages),
            books: Text::new(books),
            rows: 0,
            depth: None,
            time_ns: 0,
        }
    }

    /// Levels a side of the order-book file; `None` until a row was read.
    pub fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// The next row; `None` at the end of both files.
    pub fn next_row(&mut self) -> Result<Option<Row>, LobsterError> {
        let (message, book) = match (self.messages.next_line(), self.books.next_line()) {
            (Some(message), Some(book)) => (message, book),
            (None, None) => return Ok(None),
            (message, _) => return Err(self.row_count_error(message.is_some())),
        };
        let number = self.rows + 1;
        let message = parse_message(
            &At::new(&self.messages, number),
            &self.messages.bytes[message],
        )?;
        let at = At::new(&self.books, number);
        let after = parse_book(&at, &self.books.bytes[book], self.depth)?;
        if message.time_ns < self.time_ns {
            let path = self.messages.path.clone();
            return Err(LobsterError::TimeOrder { path, row: number });
        }
        self.depth = Some(after.depth);
        self.rows = number;
        self.time_ns = message.time_ns;
        Ok(Some(Row {
            number,
            message,
            after: after.row,
        }))
    }

    fn row_count_error(&self, messages_longer: bool) -> LobsterError {
        let (longer, shorter) = if messages_longer {
            (&self.messages, &self.books)
        } else {
            (&self.books, &self.messages)
        };
        LobsterError::RowCount {
            longer: longer.path.clone(),
            shorter: shorter.path.clone(),
            rows: self.rows,
        }
    }
}

#[derive(Debug)]
struct Text {
    path: PathBuf,
    bytes: Vec<u8>,
    position: usize,
}

impl Text {
    fn new((path, bytes): (PathBuf, Vec<u8>)) -> Self {
        Self {
            path,
            bytes,
            position: 0,
        }
    }

    /// Range of the next line without its end; a trailing newline does not begin a line.
    fn next_line(&mut self) -> Option<std::ops::Range<usize>> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|byte| *byte == b'\n');
        let start = self.position;
        let mut end = start + length.unwrap_or(rest.len());
        self.position = end + usize::from(length.is_some());
        if end > start && self.bytes[end - 1] == b'\r' {
            end -= 1;
        }
        Some(start..end)
    }
}

/// Where a field stands, for errors.
struct At<'a> {
    path: &'a Path,
    row: u64,
}

impl<'a> At<'a> {
    fn new(text: &'a Text, row: u64) -> Self {
        Self {
            path: &text.path,
            row,
        }
    }

    fn bad(&self, what: &'static str, text: &[u8]) -> LobsterError {
        LobsterError::Field {
            path: self.path.to_path_buf(),
            row: self.row,
            what,
            text: String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned(),
        }
    }

    fn integer(&self, what: &'static str, text: &[u8]) -> Result<i64, LobsterError> {
        parse_integer(text).ok_or_else(|| self.bad(what, text))
    }
}

fn parse_message(at: &At<'_>, line: &[u8]) -> Result<Message, LobsterError> {
    let mut fields = [&line[..0]; 6];
    let mut found = 0;
    for field in line.split(|byte| *byte == b',') {
        if found < fields.len() {
            fields[found] = field;
        }
        found += 1;
    }
    // Newer files carry a seventh, empty or textual, column (the attributed participant).
    if found != 6 && found != 7 {
        return Err(LobsterError::FieldCount {
            path: at.path.to_path_buf(),
            row: at.row,
            found,
            expected: "6, or 7 with a participant",
        });
    }
    let [time, kind, order_id, size, price, direction] = fields;
    let code = at.integer("not a type", kind)?;
    let kind_known =
        EventKind::from_field(code).ok_or_else(|| at.bad("not a type of 1 to 7", kind))?;
    let order_id = u64::try_from(at.integer("not an order id", order_id)?)
        .map_err(|_| at.bad("negative order id", order_id))?;
    let (size, price) = parse_amounts(at, kind_known, size, price)?;
    let side = match at.integer("not a direction", direction)? {
        1 => Side::Buy,
        -1 => Side::Sell,
        _ => return Err(at.bad("not a direction of 1 or -1", direction)),
    };
    Ok(Message {
        time_ns: parse_time(time).ok_or_else(|| at.bad("not seconds after midnight", time))?,
        kind: kind_known,
        order_id,
        size,
        price,
        side,
    })
}

/// Size and price. Rows about the visible book need both; the others may carry markers (-1, 0).
fn parse_amounts(
    at: &At<'_>,
    kind: EventKind,
    size: &[u8],
    price: &[u8],
) -> Result<(u32, u64), LobsterError> {
    let size_value = at.integer("not a size", size)?;
    let price_value = at.integer("not a price", price)?;
    if kind.is_visible() && size_value == 0 {
        return Err(at.bad("size of zero", size));
    }
    if kind.is_visible() && price_value <= 0 {
        return Err(at.bad("price not above zero", price));
    }
    let size_value = u32::try_from(size_value).map_err(|_| at.bad("size not within u32", size))?;
    Ok((size_value, u64::try_from(price_value).unwrap_or(0)))
}

struct ParsedBook {
    depth: usize,
    row: BookRow,
}

fn parse_book(at: &At<'_>, line: &[u8], depth: Option<usize>) -> Result<ParsedBook, LobsterError> {
    let found = line.split(|byte| *byte == b',').count();
    let levels = found / 4;
    if found % 4 != 0 || levels > DEPTH_MAX || depth.is_some_and(|depth| depth != levels) {
        return Err(LobsterError::FieldCount {
            path: at.path.to_path_buf(),
            row: at.row,
            found,
            expected: "four a level, at most 200 levels, the same in every row",
        });
    }
    let mut row = BookRow::default();
    let mut fields = line.split(|byte| *byte == b',');
    for _ in 0..levels {
        for side in [Side::Sell, Side::Buy] {
            let price = fields.next().unwrap_or_default();
            let size = fields.next().unwrap_or_default();
            push_level(at, row.side_mut(side), side, price, size)?;
        }
    }
    Ok(ParsedBook { depth: levels, row })
}

fn push_level(
    at: &At<'_>,
    levels: &mut Levels,
    side: Side,
    price: &[u8],
    size: &[u8],
) -> Result<(), LobsterError> {
    let price_value = at.integer("not a price", price)?;
    let quantity = u64::try_from(at.integer("not a size", size)?)
        .map_err(|_| at.bad("negative size", size))?;
    if quantity == 0 && (price_value == 0 || price_value.abs() == EMPTY_PRICE) {
        return Ok(());
    }
    if quantity == 0 {
        return Err(at.bad("size of zero", size));
    }
    let level = Level {
        price: u64::try_from(price_value).map_err(|_| at.bad("negative price", price))?,
        quantity,
    };
    if !levels.push_worst(side, level) {
        let path = at.path.to_path_buf();
        return Err(LobsterError::LevelOrder { path, row: at.row });
    }
    Ok(())
}

/// Decimal integer, optional leading `-`, nothing else, within i64.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let magnitude = i64::try_from(parse_digits(digits)?).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `seconds[.fraction]`, below 24 hours, at most nine digits of fraction, as ns.
fn parse_time(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = parse_digits(parts.next()?)?;
    let fraction_ns = match parts.next() {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => {
            parse_digits(digits)? * 10_u64.pow(9 - u32::try_from(digits.len()).ok()?)
        }
        Some(_) => return None,
    };
    (seconds < 86_400).then(|| seconds * 1_000_000_000 + fraction_ns)
}

/// Whole file, decompressed if its name ends in `.xz`.
fn read_file(path: &Path) -> Result<Vec<u8>, LobsterError> {
    let read = |source| LobsterError::Read {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    let mut bytes = Bounded::default();
    if path.extension().is_some_and(|extension| extension == "xz") {
        let result = lzma_rs::xz_decompress(&mut BufReader::new(file), &mut bytes);
        if !bytes.overflowed {
            result.map_err(|error| LobsterError::Compressed {
                path: path.to_path_buf(),
                reason: error.to_string(),
            })?;
        }
    } else {
        let limit = FILE_BYTES_MAX as u64 + 1;
        file.take(limit)
            .read_to_end(&mut bytes.bytes)
            .map_err(read)?;
        bytes.overflowed = bytes.bytes.len() > FILE_BYTES_MAX;
    }
    if bytes.overflowed {
        let path = path.to_path_buf();
        return Err(LobsterError::TooLong { path });
    }
    Ok(bytes.bytes)
}

/// A sink that refuses to grow beyond `FILE_BYTES_MAX`: a few bytes of `.xz` can stand for terabytes.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + part.len() > FILE_BYTES_MAX {
            self.overflowed = true;
            return Err(std::io::Error::other("file too long"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "lobster_tests.rs"]
mod tests;
