//! The batch header: 192 bytes before the records of one consensus entry.
//!
//! Layout in docs/journal-format.md, "Batch". This module encodes, decodes and checks; it never trusts a
//! length before the checksum that covers it holds. Kinds are opaque numbers here.

use crate::bytes::{get_array, get_u16, get_u32, get_u64, put};
use crate::checksum::CHECKSUM_ALGORITHM;
use crate::position::{BATCH_LENGTH_MAX, batch_length};
use crate::{Checksum, ClusterId, Lineage, LogPosition};
use thiserror::Error;

pub const BATCH_HEADER_LENGTH: usize = 192;
pub const BATCH_FORMAT_VERSION: u16 = 0;
pub const BATCH_MAGIC: [u8; 8] = *b"LKSBATCH";
/// Kind of the batch that an orderly stop writes last; the only kind that recovery must know.
pub const BATCH_KIND_CLEAN_STOP: u8 = 4;

const FORMAT_VERSION: usize = 8;
const KIND: usize = 10;
const ALGORITHM: usize = 11;
const HEADER_LENGTH: usize = 12;
const CLUSTER_ID: usize = 16;
const LINEAGE: usize = 32;
const TERM: usize = 48;
const INDEX: usize = 56;
const FIRST_SEQUENCE: usize = 64;
const RECORD_COUNT: usize = 72;
const BODY_LENGTH: usize = 76;
const TIMESTAMP: usize = 80;
const COMMIT_INDEX: usize = 88;
const DIGEST_INDEX: usize = 96;
const DIGEST: usize = 104;
const FEATURE_SET_VERSION: usize = 120;
const BODY_CHECKSUM: usize = 128;
const PREVIOUS_CHECKSUM: usize = 144;
pub(crate) const HEADER_CHECKSUM: usize = 160;
const RESERVED: usize = 176;

const _: () = assert!(RESERVED + 16 == BATCH_HEADER_LENGTH);

/// What is in a batch header beside magic, version and lengths that follow from the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub kind: u8,
    pub cluster_id: ClusterId,
    pub lineage: Lineage,
    pub term: u64,
    /// From 1, plus 1 a batch.
    pub index: u64,
    /// Of the first record; of the next to come if there is none.
    pub first_sequence: u64,
    pub record_count: u32,
    /// Bytes of all records, without padding.
    pub body_length: u32,
    /// ns since the Unix epoch, UTC; strictly increasing over the log.
    pub timestamp: u64,
    /// Highest index known committed when the batch was made.
    pub commit_index: u64,
    /// Index of the batch after which `digest` was taken; 0 = none.
    pub digest_index: u64,
    pub digest: u64,
    pub feature_set_version: u64,
    pub body_checksum: Checksum,
    /// `header_checksum` of the batch before; zero for index 1.
    pub previous_checksum: Checksum,
    pub header_checksum: Checksum,
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BatchError {
    #[error("no batch magic")]
    NotABatch,
    #[error("only {available} bytes are left")]
    Short { available: u64 },
    #[error("the header's checksum does not hold")]
    HeaderChecksum,
    #[error("the records' checksum does not hold")]
    BodyChecksum,
    #[error("format version {version} is newer than this build's ({BATCH_FORMAT_VERSION})")]
    NewerFormat { version: u16 },
    #[error("the header's checksum holds, but a fixed field has an impossible value")]
    Malformed,
}

/// Why a whole batch does not follow another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OrderError {
    #[error("it belongs to cluster {found}")]
    Cluster { found: ClusterId },
    #[error("its index is {found}, expected {expected}")]
    Index { expected: u64, found: u64 },
    #[error("it does not continue the chain of checksums")]
    Chain,
    #[error("its first sequence is {found}, expected {expected}")]
    Sequence { expected: u64, found: u64 },
    #[error("its term {found} is lower than {last}")]
    Term { last: u64, found: u64 },
    #[error("its timestamp {found} is not above {last}")]
    Timestamp { last: u64, found: u64 },
}

impl BatchHeader {
    /// Bytes the batch occupies in the log.
    pub fn length(&self) -> u64 {
        batch_length(u64::from(self.body_length))
    }

    /// The header's bytes; `header_checksum` is computed, whatever the field says.
    pub fn encode(&self) -> [u8; BATCH_HEADER_LENGTH] {
        let mut bytes = [0; BATCH_HEADER_LENGTH];
        put(&mut bytes, 0, &BATCH_MAGIC);
        put(
            &mut bytes,
            FORMAT_VERSION,
            &BATCH_FORMAT_VERSION.to_le_bytes(),
        );
        bytes[KIND] = self.kind;
        bytes[ALGORITHM] = CHECKSUM_ALGORITHM;
        put(
            &mut bytes,
            HEADER_LENGTH,
            &(BATCH_HEADER_LENGTH as u32).to_le_bytes(),
        );
        put(&mut bytes, CLUSTER_ID, &self.cluster_id.0);
        put(&mut bytes, LINEAGE, &self.lineage.0);
        put(&mut bytes, TERM, &self.term.to_le_bytes());
        put(&mut bytes, INDEX, &self.index.to_le_bytes());
        put(
            &mut bytes,
            FIRST_SEQUENCE,
            &self.first_sequence.to_le_bytes(),
        );
        put(&mut bytes, RECORD_COUNT, &self.record_count.to_le_bytes());
        put(&mut bytes, BODY_LENGTH, &self.body_length.to_le_bytes());
        put(&mut bytes, TIMESTAMP, &self.timestamp.to_le_bytes());
        put(&mut bytes, COMMIT_INDEX, &self.commit_index.to_le_bytes());
        put(&mut bytes, DIGEST_INDEX, &self.digest_index.to_le_bytes());
        put(&mut bytes, DIGEST, &self.digest.to_le_bytes());
        put(
            &mut bytes,
            FEATURE_SET_VERSION,
            &self.feature_set_version.to_le_bytes(),
        );
        put(&mut bytes, BODY_CHECKSUM, &self.body_checksum.0);
        put(&mut bytes, PREVIOUS_CHECKSUM, &self.previous_checksum.0);
        // The field itself is still zero, as the rule wants it.
        let checksum = Checksum::of(&bytes);
        put(&mut bytes, HEADER_CHECKSUM, &checksum.0);
        bytes
    }

    /// The header at the start of `bytes`, its checksum and fixed fields verified; not the body.
    #[inline(always)]
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() < BATCH_HEADER_LENGTH {
            return Err(BatchError::Short {
                available: bytes.len() as u64,
            });
        }
        if bytes[..8] != BATCH_MAGIC {
            return Err(BatchError::NotABatch);
        }
        let mut copy: [u8; BATCH_HEADER_LENGTH] = get_array(bytes, 0);
        copy[HEADER_CHECKSUM..HEADER_CHECKSUM + 16].fill(0);
        let header = Self::parse(bytes);
        if Checksum::of(&copy) != header.header_checksum {
            return Err(BatchError::HeaderChecksum);
        }
        header.check_fixed_fields(bytes)
    }

    /// The header at the start of a batch that this process has published or verified before.
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let bytes = &bytes[..BATCH_HEADER_LENGTH];
        Self {
            kind: bytes[KIND],
            cluster_id: ClusterId(get_array(bytes, CLUSTER_ID)),
            lineage: Lineage(get_array(bytes, LINEAGE)),
            term: get_u64(bytes, TERM),
            index: get_u64(bytes, INDEX),
            first_sequence: get_u64(bytes, FIRST_SEQUENCE),
            record_count: get_u32(bytes, RECORD_COUNT),
            body_length: get_u32(bytes, BODY_LENGTH),
            timestamp: get_u64(bytes, TIMESTAMP),
            commit_index: get_u64(bytes, COMMIT_INDEX),
            digest_index: get_u64(bytes, DIGEST_INDEX),
            digest: get_u64(bytes, DIGEST),
            feature_set_version: get_u64(bytes, FEATURE_SET_VERSION),
            body_checksum: Checksum(get_array(bytes, BODY_CHECKSUM)),
            previous_checksum: Checksum(get_array(bytes, PREVIOUS_CHECKSUM)),
            header_checksum: Checksum(get_array(bytes, HEADER_CHECKSUM)),
        }
    }

    #[inline(always)]
    fn check_fixed_fields(self, bytes: &[u8]) -> Result<Self, BatchError> {
        let version = get_u16(bytes, FORMAT_VERSION);
        if version > BATCH_FORMAT_VERSION {
            return Err(BatchError::NewerFormat { version });
        }
        let fixed = bytes[ALGORITHM] == CHECKSUM_ALGORITHM
            && get_u32(bytes, HEADER_LENGTH) as usize == BATCH_HEADER_LENGTH
            && bytes[DIGEST + 8..DIGEST + 16] == [0; 8]
            && bytes[RESERVED..RESERVED + 16] == [0; 16];
        let bounded = self.length() <= BATCH_LENGTH_MAX
            && self.index > 0
            && self.index < u64::MAX
            && self
                .first_sequence
                .checked_add(u64::from(self.record_count))
                .is_some();
        if fixed && bounded {
            Ok(self)
        } else {
            Err(BatchError::Malformed)
        }
    }

    /// Whether `body` is what the header was made for.
    #[inline(always)]
    pub fn verify_body(&self, body: &[u8]) -> Result<(), BatchError> {
        let same_length = body.len() == self.body_length as usize;
        if same_length && Checksum::of(body) == self.body_checksum {
            Ok(())
        } else {
            Err(BatchError::BodyChecksum)
        }
    }

    /// Sequence of the first record of the next batch.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.record_count)
    }

    /// Whether this batch may stand directly behind `tail` in the log of `cluster_id`.
    #[inline(always)]
    pub fn follows(&self, tail: &LogTail, cluster_id: ClusterId) -> Result<(), OrderError> {
        if self.cluster_id != cluster_id {
            return Err(OrderError::Cluster {
                found: self.cluster_id,
            });
        }
        if self.index != tail.index + 1 {
            return Err(OrderError::Index {
                expected: tail.index + 1,
                found: self.index,
            });
        }
        if self.previous_checksum != tail.header_checksum {
            return Err(OrderError::Chain);
        }
        if self.first_sequence != tail.next_sequence {
            let (expected, found) = (tail.next_sequence, self.first_sequence);
            return Err(OrderError::Sequence { expected, found });
        }
        if self.term < tail.term {
            return Err(OrderError::Term {
                last: tail.term,
                found: self.term,
            });
        }
        if self.timestamp <= tail.timestamp {
            return Err(OrderError::Timestamp {
                last: tail.timestamp,
                found: self.timestamp,
            });
        }
        Ok(())
    }
}

/// The end of a log: what the next batch must continue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTail {
    /// End of the last batch. The next one begins here, or at the next segment's first position.
    pub position: LogPosition,
    /// Of the last batch; 0 in an empty log.
    pub index: u64,
    pub term: u64,
    pub next_sequence: u64,
    pub timestamp: u64,
    /// Of the last batch; zero in an empty log.
    pub header_checksum: Checksum,
}

impl LogTail {
    /// Of an empty log. Sequences begin at 1.
    pub const EMPTY: Self = Self {
        position: LogPosition(0),
        index: 0,
        term: 0,
        next_sequence: 1,
        timestamp: 0,
        header_checksum: Checksum::ZERO,
    };

    /// The tail behind a batch that begins at `position`.
    pub fn after(header: &BatchHeader, position: LogPosition) -> Self {
        Self {
            position: position.plus(header.length()),
            index: header.index,
            term: header.term,
            next_sequence: header.next_sequence(),
            timestamp: header.timestamp,
            header_checksum: header.header_checksum,
        }
    }
}

/// A batch in place: its header decoded, its bytes where they lie.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    pub header: BatchHeader,
    pub position: LogPosition,
    bytes: &'a [u8],
    behind: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`, both checksums verified.
    #[inline(always)]
    pub fn verified(bytes: &'a [u8], position: LogPosition) -> Result<Self, BatchError> {
        let header = BatchHeader::decode(bytes)?;
        let available = bytes.len() as u64;
        if header.length() > available {
            return Err(BatchError::Short { available });
        }
        let view = Self::in_segment(header, bytes, position);
        header.verify_body(view.body())?;
        Ok(view)
    }

    /// The batch at the start of `bytes`, whose body this process has verified before: only the header is
    /// verified now.
    pub fn verified_before(bytes: &'a [u8], position: LogPosition) -> Result<Self, BatchError> {
        let header = BatchHeader::decode(bytes)?;
        let available = bytes.len() as u64;
        if header.length() > available {
            return Err(BatchError::Short { available });
        }
        Ok(Self::in_segment(header, bytes, position))
    }

    /// `bytes` begin with the batch that `header` was decoded from, whole, and go on with what lies behind it.
    pub(crate) fn in_segment(header: BatchHeader, bytes: &'a [u8], position: LogPosition) -> Self {
        let (bytes, behind) = bytes.split_at(header.length() as usize);
        Self {
            header,
            position,
            bytes,
            behind,
        }
    }

    /// `bytes` are exactly one batch, known to be whole.
    pub(crate) fn trusted(bytes: &'a [u8], position: LogPosition) -> Self {
        Self {
            header: BatchHeader::parse(bytes),
            position,
            bytes,
            behind: &[],
        }
    }

    /// Where the records of the next batch are if there is one behind this in its segment: not checked, and
    /// good for looking ahead only.
    #[inline(always)]
    pub fn coming(&self) -> &'a [u8] {
        self.behind.get(BATCH_HEADER_LENGTH..).unwrap_or(&[])
    }

    /// The records, without gaps; 8-aligned where the log is.
    pub fn body(&self) -> &'a [u8] {
        let end = BATCH_HEADER_LENGTH + self.header.body_length as usize;
        &self.bytes[BATCH_HEADER_LENGTH..end]
    }

    /// Header, records and padding: what goes on the replication wire.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Position behind the batch and its padding.
    pub fn end(&self) -> LogPosition {
        self.position.plus(self.bytes.len() as u64)
    }
}
