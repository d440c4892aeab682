//! Segment files: a header block, then a fixed length of log (docs/journal-format.md).

mod open_end;
mod prepare;
mod source;

pub use prepare::{SegmentPreparer, SegmentSupply, prepare_now};
pub use source::SegmentSource;

use crate::bytes::{get_array, get_u64, put};
use crate::header_block::{self, HeaderBlockError};
use crate::position::BLOCK_LENGTH;
use crate::storage::{Storage, StorageBytes, StorageError};
use crate::writer::SEGMENTS_AHEAD;
use crate::{ClusterId, JournalId, Lineage, LogPosition};

const MAGIC: [u8; 8] = *b"LKSSEGMT";
const FORMAT_VERSION: u16 = 0;
const SUFFIX: &str = ".segment";
/// Of a segment that is still being filled with zeros.
const PREPARING_SUFFIX: &str = ".segment.preparing";

/// Name of segment `number`.
pub fn segment_name(number: u64) -> String {
    format!("{number:016}{SUFFIX}")
}

fn preparing_name(number: u64) -> String {
    format!("{number:016}{PREPARING_SUFFIX}")
}

/// Whether `name` is that of an unfinished segment.
pub fn is_preparing_name(name: &str) -> bool {
    name.ends_with(PREPARING_SUFFIX)
}

/// The number in a segment's name; `None` for any other name.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() < 16 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The whole file of segment `number`, where `last` is the highest number there is.
pub fn map_segment<S: Storage>(
    storage: &S,
    number: u64,
    last: u64,
) -> Result<StorageBytes, StorageError> {
    let mut bytes = storage.map(&segment_name(number))?;
    if is_full(number, last) {
        bytes.prefer_huge_pages();
    } else {
        bytes.leave_no_page();
    }
    Ok(bytes)
}

/// Nobody writes to it any more: segments are prepared only so far ahead of the one that is written.
fn is_full(number: u64, last: u64) -> bool {
    number.saturating_add(SEGMENTS_AHEAD) < last
}

/// Length of a whole segment file.
pub fn segment_file_length(data_length: u64) -> u64 {
    BLOCK_LENGTH + data_length
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    pub cluster_id: ClusterId,
    pub journal_id: JournalId,
    pub lineage: Lineage,
    pub number: u64,
    pub data_length: u64,
    /// Of its first batch; 0 if not known when it was prepared.
    pub first_term: u64,
    pub first_index: u64,
}

impl SegmentHeader {
    /// Log position of its first data byte.
    pub fn first_position(&self) -> LogPosition {
        LogPosition(self.number * self.data_length)
    }

    /// The same with what may differ between segments of one journal taken from `other`.
    pub(crate) fn with_first(self, other: &Self) -> Self {
        let (first_term, first_index, lineage) =
            (other.first_term, other.first_index, other.lineage);
        Self {
            first_term,
            first_index,
            lineage,
            ..self
        }
    }

    pub fn encode(&self) -> [u8; BLOCK_LENGTH as usize] {
        let mut bytes = [0; BLOCK_LENGTH as usize];
        header_block::start(
            &mut bytes,
            MAGIC,
            FORMAT_VERSION,
            self.cluster_id,
            self.journal_id,
        );
        put(&mut bytes, 48, &self.lineage.0);
        put(&mut bytes, 64, &self.number.to_le_bytes());
        put(&mut bytes, 72, &self.first_position().0.to_le_bytes());
        put(&mut bytes, 80, &self.data_length.to_le_bytes());
        put(&mut bytes, 88, &self.first_term.to_le_bytes());
        put(&mut bytes, 96, &self.first_index.to_le_bytes());
        header_block::finish(&mut bytes);
        bytes
    }

    /// `bytes` begin with the header block; fewer than a block count as no header.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderBlockError> {
        let block = bytes
            .get(..BLOCK_LENGTH as usize)
            .ok_or(HeaderBlockError::Empty)?;
        let (cluster_id, journal_id) = header_block::check(block, MAGIC, FORMAT_VERSION)?;
        let header = Self {
            cluster_id,
            journal_id,
            lineage: Lineage(get_array(block, 48)),
            number: get_u64(block, 64),
            data_length: get_u64(block, 80),
            first_term: get_u64(block, 88),
            first_index: get_u64(block, 96),
        };
        let first_position = header.number.checked_mul(header.data_length);
        if first_position == Some(get_u64(block, 72)) {
            Ok(header)
        } else {
            Err(HeaderBlockError::Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_numbers_and_sort() {
        assert_eq!(segment_name(7), "0000000000000007.segment");
        assert_eq!(segment_number("0000000000000007.segment"), Some(7));
        for name in [
            "7.segment",
            "000000000000000x.segment",
            "0000000000000007.segment.preparing",
        ] {
            assert_eq!(segment_number(name), None);
        }
        assert!(is_preparing_name(&preparing_name(7)));
    }

    #[test]
    fn a_header_reads_back_and_every_damaged_byte_is_found() {
        let header = SegmentHeader {
            cluster_id: ClusterId([1; 16]),
            journal_id: JournalId([2; 16]),
            lineage: Lineage([3; 16]),
            number: 5,
            data_length: 8192,
            first_term: 2,
            first_index: 77,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        assert_eq!(header.first_position(), LogPosition(5 * 8192));
        for at in 0..bytes.len() {
            let mut bad = bytes;
            bad[at] ^= 0x80;
            assert!(SegmentHeader::decode(&bad).is_err(), "byte {at}");
        }
        assert_eq!(
            SegmentHeader::decode(&bytes[..4095]),
            Err(HeaderBlockError::Empty)
        );
    }
}
