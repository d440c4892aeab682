//! Byte offsets of a log buffer's header block (docs/journal-format.md, "Log buffer").

use crate::bytes::{get_array, get_u32, get_u64, put};
use crate::header_block::{self, HeaderBlockError};
use crate::position::BLOCK_LENGTH;
use crate::{BootId, ClusterId, JournalId, LogBufferId, LogPosition};

pub const MAGIC: [u8; 8] = *b"LKSLOGBF";
pub const FORMAT_VERSION: u16 = 0;
/// Only these bytes are checksummed; counters follow.
pub const IDENTITY_LENGTH: usize = 256;
/// Agents that read the ring and hold its bytes: engine, replication, and a few to come.
pub const CONSUMERS_MAX: usize = 8;

pub const PUBLISHED_POSITION: usize = 256;
pub const PUBLISHED_INDEX: usize = 264;
pub const DURABLE_POSITION: usize = 384;
pub const COMMIT_POSITION: usize = 512;
pub const COMMIT_INDEX: usize = 520;
pub const FREED_POSITION: usize = 640;
const CONSUMERS: usize = 768;
/// Two cache lines: the processor fetches them in pairs.
const COUNTER_STRIDE: usize = 128;

pub use crate::os::HUGE_PAGE_LENGTH;

/// Where the ring begins in the file, bytes: in a huge page of its own if it is as long as one, so that a long
/// write is a few pieces of memory and not one a page. What lies between the header block and it is a hole.
pub const fn ring_offset(ring_length: u64) -> u64 {
    if ring_length < HUGE_PAGE_LENGTH {
        BLOCK_LENGTH
    } else {
        HUGE_PAGE_LENGTH
    }
}

/// Value of a consumer slot that nobody uses: it holds nothing back.
pub const NO_CONSUMER: u64 = u64::MAX;

const _: () = assert!(CONSUMERS + CONSUMERS_MAX * COUNTER_STRIDE <= BLOCK_LENGTH as usize);

pub const fn consumer(slot: usize) -> usize {
    CONSUMERS + slot * COUNTER_STRIDE
}

/// What tells one log buffer from another; written once per initialisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub cluster_id: ClusterId,
    pub journal_id: JournalId,
    pub log_buffer_id: LogBufferId,
    pub boot_id: BootId,
    pub ring_length: u64,
    pub segment_data_length: u64,
    /// End of the log when it was initialised.
    pub base_position: LogPosition,
    pub process: u32,
    /// Where the ring begins in the file, bytes; see [`ring_offset`].
    pub ring_offset: u32,
}

impl Identity {
    pub fn encode(&self) -> [u8; IDENTITY_LENGTH] {
        let mut bytes = [0; IDENTITY_LENGTH];
        header_block::start(
            &mut bytes,
            MAGIC,
            FORMAT_VERSION,
            self.cluster_id,
            self.journal_id,
        );
        put(&mut bytes, 48, &self.log_buffer_id.0);
        put(&mut bytes, 64, &self.boot_id.0);
        put(&mut bytes, 80, &self.ring_length.to_le_bytes());
        put(&mut bytes, 88, &self.segment_data_length.to_le_bytes());
        put(&mut bytes, 96, &self.base_position.0.to_le_bytes());
        put(&mut bytes, 104, &self.process.to_le_bytes());
        put(&mut bytes, 108, &self.ring_offset.to_le_bytes());
        header_block::finish(&mut bytes);
        bytes
    }

    /// `bytes` are the first [`IDENTITY_LENGTH`] of the file.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderBlockError> {
        let (cluster_id, journal_id) = header_block::check(bytes, MAGIC, FORMAT_VERSION)?;
        Ok(Self {
            cluster_id,
            journal_id,
            log_buffer_id: LogBufferId(get_array(bytes, 48)),
            boot_id: BootId(get_array(bytes, 64)),
            ring_length: get_u64(bytes, 80),
            segment_data_length: get_u64(bytes, 88),
            base_position: LogPosition(get_u64(bytes, 96)),
            process: get_u32(bytes, 104),
            ring_offset: get_u32(bytes, 108),
        })
    }
}
