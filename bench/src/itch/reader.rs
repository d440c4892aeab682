//! Reader of ITCH 5.0 files in BinaryFILE framing: u16 big-endian length, then the message; a length of
//! zero, or the end of the file, ends it. Plain or `.gz`, read as a stream.
//!
//! Messages that change displayed orders are decoded; of the others the type is told. It must never
//! guess: a message of a known type with another length than the specification's is an error.

use flate2::read::MultiGzDecoder;
use lockstep_record::Side;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Type and length of every message of ITCH 5.0 (all published revisions).
const LENGTHS: [(u8, usize); 23] = [
    (b'S', 12),
    (b'R', 39),
    (b'H', 25),
    (b'Y', 20),
    (b'L', 26),
    (b'V', 35),
    (b'W', 12),
    (b'K', 28),
    (b'J', 35),
    (b'h', 21),
    (b'A', 36),
    (b'F', 40),
    (b'E', 31),
    (b'C', 36),
    (b'X', 23),
    (b'D', 19),
    (b'U', 35),
    (b'P', 44),
    (b'Q', 40),
    (b'B', 19),
    (b'I', 50),
    (b'N', 20),
    (b'O', 48),
];
const READ_BYTES: usize = 1 << 16;

/// One message, as far as it says something of displayed orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItchKind {
    /// `R`: the name of a stock.
    Stock { symbol: [u8; 8] },
    /// `A` and `F`.
    Add {
        order: u64,
        side: Side,
        shares: u32,
        symbol: [u8; 8],
        price: u64,
    },
    /// `E`, and `C` with the price that it printed.
    Execute {
        order: u64,
        shares: u32,
        printed: Option<u64>,
    },
    /// `X`: so many shares are taken out.
    Cancel { order: u64, shares: u32 },
    /// `D`: what is left is taken out.
    Delete { order: u64 },
    /// `U`
    Replace {
        original: u64,
        order: u64,
        shares: u32,
        price: u64,
    },
    /// Any other type, known or not.
    Other(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItchMessage {
    /// From 1, in the file's order.
    pub number: u64,
    pub locate: u16,
    /// ns after midnight.
    pub time_ns: u64,
    pub kind: ItchKind,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum ItchError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} message {number}: the file ends inside it")]
    Truncated { path: PathBuf, number: u64 },
    #[error("{path} message {number}: type `{kind}` has {found} bytes, must have {expected}")]
    Length {
        path: PathBuf,
        number: u64,
        kind: char,
        found: usize,
        expected: usize,
    },
    #[error("{path} message {number}: {what}")]
    Field {
        path: PathBuf,
        number: u64,
        what: &'static str,
    },
}

/// A file, read message by message.
pub struct ItchFile {
    path: PathBuf,
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    number: u64,
    is_over: bool,
}

impl std::fmt::Debug for ItchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ItchFile({} at {})", self.path.display(), self.number)
    }
}

/// True for names that a file of this format goes by.
pub fn is_itch(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.to_ascii_lowercase().contains("itch")
}

impl ItchFile {
    /// Opens a file; `.gz` is decompressed on the way.
    pub fn open(path: &Path) -> Result<Self, ItchError> {
        let file = File::open(path).map_err(|source| ItchError::Read {
            path: path.to_owned(),
            source,
        })?;
        let is_gz = path.extension().is_some_and(|extension| extension == "gz");
        let file = BufReader::with_capacity(READ_BYTES, file);
        let input: Box<dyn Read> = if is_gz {
            Box::new(BufReader::with_capacity(
                READ_BYTES,
                MultiGzDecoder::new(file),
            ))
        } else {
            Box::new(file)
        };
        Ok(Self::from_input(path, input))
    }

    /// Takes decompressed bytes; the path only names them in errors.
    pub fn from_input(path: &Path, input: Box<dyn Read>) -> Self {
        Self {
            path: path.to_owned(),
            input,
            buffer: Vec::with_capacity(64),
            number: 0,
            is_over: false,
        }
    }

    /// The next message; `None` at the end.
    pub fn next_message(&mut self) -> Result<Option<ItchMessage>, ItchError> {
        if self.is_over {
            return Ok(None);
        }
        let number = self.number + 1;
        let mut length = [0; 2];
        let got = self.fill_length(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        if got == 0 || (got == 2 && length == 0) {
            self.is_over = true;
            return Ok(None);
        }
        if got == 1 {
            return Err(self.truncated(number));
        }
        self.buffer.resize(length, 0);
        match self.input.read_exact(&mut self.buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(self.truncated(number));
            }
            Err(source) => return Err(self.unreadable(source)),
        }
        self.number = number;
        self.decode(number).map(Some)
    }

    fn truncated(&self, number: u64) -> ItchError {
        ItchError::Truncated {
            path: self.path.clone(),
            number,
        }
    }

    fn unreadable(&self, source: io::Error) -> ItchError {
        ItchError::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// Bytes of the length field that are there.
    fn fill_length(&mut self, length: &mut [u8; 2]) -> Result<usize, ItchError> {
        let mut got = 0;
        while got < 2 {
            match self.input.read(&mut length[got..]) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unreadable(source)),
            }
        }
        Ok(got)
    }

    fn decode(&self, number: u64) -> Result<ItchMessage, ItchError> {
        let bytes = self.buffer.as_slice();
        let kind = bytes.first().copied().unwrap_or(0);
        let known = LENGTHS.iter().find(|(known, _)| *known == kind);
        if let Some((_, expected)) = known
            && bytes.len() != *expected
        {
            return Err(ItchError::Length {
                path: self.path.clone(),
                number,
                kind: char::from(kind),
                found: bytes.len(),
                expected: *expected,
            });
        }
        let field = |what| ItchError::Field {
            path: self.path.clone(),
            number,
            what,
        };
        // An unknown type may be of any length; the common prefix is all of it that is looked at.
        let prefix = |from: usize, to: usize| bytes.get(from..to).map_or(0, big_endian);
        Ok(ItchMessage {
            number,
            locate: prefix(1, 3) as u16,
            time_ns: prefix(5, 11),
            kind: decode_kind(kind, bytes).map_err(field)?,
        })
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// `bytes` has the length of its type.
fn decode_kind(kind: u8, bytes: &[u8]) -> Result<ItchKind, &'static str> {
    let u64_at = |at: usize| big_endian(&bytes[at..at + 8]);
    let u32_at = |at: usize| big_endian(&bytes[at..at + 4]) as u32;
    let symbol_at = |at: usize| {
        let mut symbol = [b' '; 8];
        symbol.copy_from_slice(&bytes[at..at + 8]);
        symbol
    };
    let shares_at = |at: usize| match u32_at(at) {
        0 => Err("no shares"),
        shares => Ok(shares),
    };
    Ok(match kind {
        b'R' => ItchKind::Stock {
            symbol: symbol_at(11),
        },
        b'A' | b'F' => ItchKind::Add {
            order: u64_at(11),
            side: match bytes[19] {
                b'B' => Side::Buy,
                b'S' => Side::Sell,
                _ => return Err("a side that is neither B nor S"),
            },
            shares: shares_at(20)?,
            symbol: symbol_at(24),
            price: u64::from(u32_at(32)),
        },
        b'E' => ItchKind::Execute {
            order: u64_at(11),
            shares: shares_at(19)?,
            printed: None,
        },
        b'C' => ItchKind::Execute {
            order: u64_at(11),
            shares: shares_at(19)?,
            printed: Some(u64::from(u32_at(32))),
        },
        b'X' => ItchKind::Cancel {
            order: u64_at(11),
            shares: shares_at(19)?,
        },
        b'D' => ItchKind::Delete { order: u64_at(11) },
        b'U' => ItchKind::Replace {
            original: u64_at(11),
            order: u64_at(19),
            shares: shares_at(27)?,
            price: u64::from(u32_at(31)),
        },
        other => ItchKind::Other(other),
    })
}
