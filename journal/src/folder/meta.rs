//! `journal.meta`: what a journal is, written once.

use crate::bytes::{get_array, get_u64, put};
use crate::header_block::{self, HeaderBlockError};
use crate::position::{BLOCK_LENGTH, SEGMENT_DATA_LENGTH_DEFAULT};
use crate::position::{SEGMENT_DATA_LENGTH_MAX, SEGMENT_DATA_LENGTH_MIN};
use crate::segment::SegmentHeader;
use crate::{ClusterId, JournalId, Lineage};
use std::io;

const MAGIC: [u8; 8] = *b"LKSJMETA";
const FORMAT_VERSION: u16 = 0;

/// What `format` decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormatOptions {
    pub cluster_id: ClusterId,
    pub journal_id: JournalId,
    pub lineage: Lineage,
    pub segment_data_length: u64,
    /// ns since the Unix epoch; for people.
    pub created: u64,
}

impl FormatOptions {
    /// A new cluster's first journal, with ids from the operating system's generator.
    pub fn new_cluster(created: u64) -> io::Result<Self> {
        Ok(Self {
            cluster_id: ClusterId(crate::ids::random_id()?),
            journal_id: JournalId(crate::ids::random_id()?),
            lineage: Lineage(crate::ids::random_id()?),
            segment_data_length: SEGMENT_DATA_LENGTH_DEFAULT,
            created,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalMeta {
    pub cluster_id: ClusterId,
    pub journal_id: JournalId,
    /// Of the log's first batch.
    pub lineage: Lineage,
    pub segment_data_length: u64,
    pub created: u64,
}

impl JournalMeta {
    pub(super) fn new(options: &FormatOptions) -> Self {
        Self {
            cluster_id: options.cluster_id,
            journal_id: options.journal_id,
            lineage: options.lineage,
            segment_data_length: options.segment_data_length,
            created: options.created,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(segment_data_length: u64) -> Self {
        Self {
            cluster_id: ClusterId([1; 16]),
            journal_id: JournalId([2; 16]),
            lineage: Lineage([3; 16]),
            segment_data_length,
            created: 4,
        }
    }

    /// The header that segment `number` has when it is prepared.
    pub fn segment_header(&self, number: u64) -> SegmentHeader {
        SegmentHeader {
            cluster_id: self.cluster_id,
            journal_id: self.journal_id,
            lineage: self.lineage,
            number,
            data_length: self.segment_data_length,
            first_term: 0,
            first_index: 0,
        }
    }

    pub(super) fn encode(&self) -> [u8; BLOCK_LENGTH as usize] {
        let mut bytes = [0; BLOCK_LENGTH as usize];
        header_block::start(
            &mut bytes,
            MAGIC,
            FORMAT_VERSION,
            self.cluster_id,
            self.journal_id,
        );
        put(&mut bytes, 48, &self.lineage.0);
        put(&mut bytes, 64, &self.segment_data_length.to_le_bytes());
        put(&mut bytes, 72, &self.created.to_le_bytes());
        header_block::finish(&mut bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderBlockError> {
        let block = bytes
            .get(..BLOCK_LENGTH as usize)
            .ok_or(HeaderBlockError::Checksum)?;
        let (cluster_id, journal_id) = header_block::check(block, MAGIC, FORMAT_VERSION)?;
        let segment_data_length = get_u64(block, 64);
        let bounds = SEGMENT_DATA_LENGTH_MIN..=SEGMENT_DATA_LENGTH_MAX;
        if !segment_data_length.is_multiple_of(BLOCK_LENGTH)
            || !bounds.contains(&segment_data_length)
        {
            return Err(HeaderBlockError::Malformed);
        }
        Ok(Self {
            cluster_id,
            journal_id,
            lineage: Lineage(get_array(block, 48)),
            segment_data_length,
            created: get_u64(block, 72),
        })
    }
}
