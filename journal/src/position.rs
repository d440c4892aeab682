//! Log positions and the bounds that every file of the journal shares.
//!
//! Pure arithmetic (docs/journal-format.md, "Log position"); no file and no memory is touched here.

use std::fmt;

/// Unit of writing. Every write covers whole blocks of this many bytes.
pub const BLOCK_LENGTH: u64 = 4096;
/// A batch begins at, and is padded to, a multiple of this many bytes.
pub const BATCH_ALIGNMENT: u64 = 64;
/// Longest batch, header and padding included.
pub const BATCH_LENGTH_MAX: u64 = 1 << 20;
pub const SEGMENT_DATA_LENGTH_DEFAULT: u64 = 64 << 20;
pub const SEGMENT_DATA_LENGTH_MIN: u64 = 2 * BLOCK_LENGTH;
pub const SEGMENT_DATA_LENGTH_MAX: u64 = 1 << 30;
pub const RING_LENGTH_DEFAULT: u64 = 64 << 20;
pub const RING_LENGTH_MIN: u64 = 1 << 20;
pub const RING_LENGTH_MAX: u64 = 16 << 30;

const _: () = assert!(BLOCK_LENGTH.is_multiple_of(BATCH_ALIGNMENT));
const _: () = assert!(BATCH_LENGTH_MAX.is_multiple_of(BLOCK_LENGTH));
const _: () = assert!(SEGMENT_DATA_LENGTH_DEFAULT.is_multiple_of(BLOCK_LENGTH));
const _: () = assert!(RING_LENGTH_MIN.is_power_of_two() && RING_LENGTH_MIN >= 4 * BLOCK_LENGTH);

/// Byte offset in the log, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct LogPosition(pub u64);

impl LogPosition {
    /// Begin of the block that holds this position.
    pub const fn block_floor(self) -> Self {
        Self(self.0 & !(BLOCK_LENGTH - 1))
    }

    /// Begin of the first block that does not begin before this position.
    pub const fn block_ceil(self) -> Self {
        Self((self.0 + BLOCK_LENGTH - 1) & !(BLOCK_LENGTH - 1))
    }

    /// Number of the segment that holds this position.
    pub const fn segment(self, segment_data_length: u64) -> u64 {
        self.0 / segment_data_length
    }

    /// Offset of this position in its segment's data (add the header block for the offset in the file).
    pub const fn offset_in_segment(self, segment_data_length: u64) -> u64 {
        self.0 % segment_data_length
    }

    /// First position of the segment after the one that holds this position.
    pub const fn next_segment(self, segment_data_length: u64) -> Self {
        Self((self.segment(segment_data_length) + 1) * segment_data_length)
    }

    pub const fn plus(self, length: u64) -> Self {
        Self(self.0 + length)
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes a batch occupies in the log: header, records, and padding to [`BATCH_ALIGNMENT`].
pub const fn batch_length(body_length: u64) -> u64 {
    let unpadded = crate::batch::BATCH_HEADER_LENGTH as u64 + body_length;
    (unpadded + BATCH_ALIGNMENT - 1) & !(BATCH_ALIGNMENT - 1)
}

/// Longest body of a batch that fits into segments and a ring of these lengths.
///
/// A quarter of the ring, so that the writer, a batch being built and a slow consumer can coexist.
pub const fn body_length_max(segment_data_length: u64, ring_length: u64) -> u64 {
    let mut batch = BATCH_LENGTH_MAX;
    if batch > segment_data_length {
        batch = segment_data_length;
    }
    if batch > ring_length / 4 {
        batch = ring_length / 4;
    }
    batch - crate::batch::BATCH_HEADER_LENGTH as u64
}

/// Where the batch begins that is to follow one ending at `position`: there, or at the next segment.
pub const fn batch_start(
    position: LogPosition,
    length: u64,
    segment_data_length: u64,
) -> LogPosition {
    if position.offset_in_segment(segment_data_length) + length > segment_data_length {
        position.next_segment(segment_data_length)
    } else {
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_would_straddle_begins_at_the_next_segment() {
        let s = 8192;
        assert_eq!(batch_start(LogPosition(0), 8192, s), LogPosition(0));
        assert_eq!(batch_start(LogPosition(64), 8192, s), LogPosition(8192));
        assert_eq!(
            batch_start(LogPosition(8192 - 192), 192, s),
            LogPosition(8192 - 192)
        );
        assert_eq!(
            batch_start(LogPosition(8192 - 128), 192, s),
            LogPosition(8192)
        );
        assert_eq!(batch_start(LogPosition(8192), 192, s), LogPosition(8192));
    }

    #[test]
    fn blocks_and_lengths() {
        assert_eq!(LogPosition(4096).block_floor(), LogPosition(4096));
        assert_eq!(LogPosition(4097).block_floor(), LogPosition(4096));
        assert_eq!(LogPosition(4097).block_ceil(), LogPosition(8192));
        assert_eq!(LogPosition(4096).block_ceil(), LogPosition(4096));
        assert_eq!(batch_length(0), 192);
        assert_eq!(batch_length(8), 256);
        assert_eq!(batch_length(64), 256);
    }
}
