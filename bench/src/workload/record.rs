//! The 24-byte record, its checked reader, and the hash that proves what a book did with it.

use lockstep_record::Side;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

pub const RECORD_LENGTH: usize = 24;
/// Records of a file at most: 24 GB.
pub const RECORDS_MAX: u64 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Operation {
    Add = 0,
    Cancel = 1,
    Replace = 2,
    Aggress = 3,
}

/// One operation on the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkRecord {
    pub operation: Operation,
    pub side: Side,
    pub quantity: u32,
    pub id: u64,
    /// Ticks.
    pub price: i64,
}

/// What is wrong with a workload file.
#[derive(Debug, Error)]
pub enum WorkloadError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path} has {length} bytes; a workload is a multiple of {RECORD_LENGTH}, at most {RECORDS_MAX} records"
    )]
    Length { path: PathBuf, length: u64 },
    #[error("{path} record {number}: {what} {value}")]
    Record {
        path: PathBuf,
        /// From 0.
        number: u64,
        what: &'static str,
        value: u64,
    },
}

impl WorkRecord {
    pub fn to_bytes(&self) -> [u8; RECORD_LENGTH] {
        let mut bytes = [0; RECORD_LENGTH];
        bytes[0] = self.operation as u8;
        bytes[1] = self.side as u8;
        bytes[4..8].copy_from_slice(&self.quantity.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.price.to_le_bytes());
        bytes
    }

    /// Reads a record; an error names the field and its value.
    pub fn from_bytes(bytes: &[u8; RECORD_LENGTH]) -> Result<Self, (&'static str, u64)> {
        let [
            operation,
            side,
            pad_low,
            pad_high,
            q0,
            q1,
            q2,
            q3,
            rest @ ..,
        ] = *bytes;
        let operation = match operation {
            0 => Operation::Add,
            1 => Operation::Cancel,
            2 => Operation::Replace,
            3 => Operation::Aggress,
            other => return Err(("operation is not 0 to 3:", u64::from(other))),
        };
        let side = match side {
            0 => Side::Buy,
            1 => Side::Sell,
            other => return Err(("side is not 0 or 1:", u64::from(other))),
        };
        let padding = u16::from_le_bytes([pad_low, pad_high]);
        if padding != 0 {
            return Err(("padding is not 0:", u64::from(padding)));
        }
        let quantity = u32::from_le_bytes([q0, q1, q2, q3]);
        if quantity == 0 {
            return Err(("quantity is", 0));
        }
        let [
            i0,
            i1,
            i2,
            i3,
            i4,
            i5,
            i6,
            i7,
            p0,
            p1,
            p2,
            p3,
            p4,
            p5,
            p6,
            p7,
        ] = rest;
        Ok(Self {
            operation,
            side,
            quantity,
            id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]),
            price: i64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]),
        })
    }
}

/// Reads a whole file: benches work from memory.
pub fn read_file(path: &Path) -> Result<Vec<WorkRecord>, WorkloadError> {
    let failed = |source| WorkloadError::Read {
        path: path.to_path_buf(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let count = length / RECORD_LENGTH as u64;
    if !length.is_multiple_of(RECORD_LENGTH as u64) || count > RECORDS_MAX {
        let path = path.to_path_buf();
        return Err(WorkloadError::Length { path, length });
    }
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for number in 0..count {
        let mut bytes = [0; RECORD_LENGTH];
        reader.read_exact(&mut bytes).map_err(failed)?;
        let record =
            WorkRecord::from_bytes(&bytes).map_err(|(what, value)| WorkloadError::Record {
                path: path.to_path_buf(),
                number,
                what,
                value,
            })?;
        records.push(record);
    }
    Ok(records)
}

/// Trades of a run, in order: their number, their shares and the hash that peers print too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TradeHash {
    pub trades: u64,
    pub quantity: u64,
    pub hash: u64,
}

impl Default for TradeHash {
    fn default() -> Self {
        Self {
            trades: 0,
            quantity: 0,
            hash: 1_469_598_103_934_665_603,
        }
    }
}

impl TradeHash {
    /// `price`: the maker's, in ticks.
    #[inline]
    pub fn trade(&mut self, taker: u64, maker: u64, quantity: u32, price: i64) {
        self.trades += 1;
        self.quantity += u64::from(quantity);
        let mixed = maker
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(u64::from(quantity))
            .wrapping_add((price as u64) << 20)
            .wrapping_add(taker);
        self.hash = (self.hash ^ mixed).wrapping_mul(1_099_511_628_211);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: WorkRecord = WorkRecord {
        operation: Operation::Aggress,
        side: Side::Sell,
        quantity: 0x0102_0304,
        id: 5,
        price: -2,
    };

    #[test]
    fn records_come_back_and_bad_ones_are_named() {
        let bytes = RECORD.to_bytes();
        assert_eq!(bytes[..8], [3, 1, 0, 0, 4, 3, 2, 1]);
        assert_eq!(WorkRecord::from_bytes(&bytes), Ok(RECORD));
        for (at, value, what) in [
            (0, 4, "operation"),
            (1, 2, "side"),
            (2, 1, "padding"),
            (3, 1, "padding"),
        ] {
            let mut bad = bytes;
            bad[at] = value;
            assert!(
                WorkRecord::from_bytes(&bad)
                    .expect_err(what)
                    .0
                    .starts_with(what)
            );
        }
        let empty = WorkRecord {
            quantity: 0,
            ..RECORD
        };
        assert_eq!(
            WorkRecord::from_bytes(&empty.to_bytes()),
            Err(("quantity is", 0))
        );
    }

    #[test]
    fn files_are_read_whole_or_refused_with_the_record() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("w.bin");
        let mut bytes = [RECORD.to_bytes(), RECORD.to_bytes()].concat();
        std::fs::write(&path, &bytes).expect("write");
        assert_eq!(read_file(&path).expect("sound"), [RECORD, RECORD]);
        bytes[24] = 9;
        std::fs::write(&path, &bytes).expect("write");
        let error = read_file(&path).expect_err("bad operation");
        assert!(error.to_string().contains("record 1: operation"), "{error}");
        std::fs::write(&path, &bytes[..40]).expect("write");
        assert!(matches!(
            read_file(&path),
            Err(WorkloadError::Length { length: 40, .. })
        ));
        assert!(matches!(
            read_file(&folder.path().join("none")),
            Err(WorkloadError::Read { .. })
        ));
    }
}
