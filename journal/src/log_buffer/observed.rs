//! A log buffer seen from outside: for tools, without its lock, without a mapping, without a write.
//!
//! The owner may be running. Positions are read before bytes, and bytes are copied, so that what is looked
//! at stays still; what the owner overwrites meanwhile fails its checksum and counts as not there.

use super::layout::{COMMIT_INDEX, COMMIT_POSITION, DURABLE_POSITION, FREED_POSITION};
use super::layout::{CONSUMERS_MAX, IDENTITY_LENGTH, Identity, NO_CONSUMER, consumer};
use super::layout::{PUBLISHED_INDEX, PUBLISHED_POSITION};
use super::previous::check;
use super::{LogBufferError, LogBufferImage};
use crate::bytes::get_u64;
use crate::position::{BATCH_LENGTH_MAX, BLOCK_LENGTH};
use crate::{BatchError, BatchView, LogPosition};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes copied by one read.
const COPY_LENGTH: usize = 1 << 20;

/// What a log buffer's file held at one moment.
#[derive(Debug)]
pub struct ObservedLogBuffer {
    pub path: PathBuf,
    pub identity: Identity,
    pub published_position: LogPosition,
    pub published_index: u64,
    /// The segments hold everything before it. May lie within a batch.
    pub durable_position: LogPosition,
    pub commit_position: LogPosition,
    pub commit_index: u64,
    /// Everything before it may have been overwritten.
    pub freed_position: LogPosition,
    /// Of the consumers that there are.
    pub consumers: Vec<LogPosition>,
    /// The ring, then its first bytes once more: no batch wraps.
    bytes: Vec<u8>,
    /// Bytes before the ring, for its alignment.
    skip: usize,
}

impl ObservedLogBuffer {
    /// `None` if there is no file. Copies what the ring may still hold: at most its length.
    pub fn open(path: &Path) -> Result<Option<Self>, LogBufferError> {
        let Some((file, mut observed)) = Self::open_file(path)? else {
            return Ok(None);
        };
        let copied = observed.copy_ring(&file);
        copied.map_err(|error| LogBufferError::io("read", path, &error))?;
        Ok(Some(observed))
    }

    /// Positions and indices only: it holds no batch.
    pub fn open_positions(path: &Path) -> Result<Option<Self>, LogBufferError> {
        Ok(Self::open_file(path)?.map(|(_, observed)| observed))
    }

    fn open_file(path: &Path) -> Result<Option<(File, Self)>, LogBufferError> {
        let failed = |operation, error| LogBufferError::io(operation, path, &error);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| failed("open", error))?,
        };
        let length = file.metadata().map_err(|e| failed("examine", e))?.len();
        let mut header = [0; BLOCK_LENGTH as usize];
        if length >= BLOCK_LENGTH {
            let read = file.read_exact_at(&mut header, 0);
            read.map_err(|error| failed("read", error))?;
        }
        let identity = Identity::decode(&header[..IDENTITY_LENGTH])
            .and_then(|found| check(found, length))
            .map_err(|source| LogBufferError::Header {
                path: path.to_owned(),
                source,
            })?;
        Ok(Some((file, Self::of_header(path, identity, &header))))
    }

    fn of_header(path: &Path, identity: Identity, header: &[u8]) -> Self {
        let position = |at| LogPosition(get_u64(header, at));
        let consumers = (0..CONSUMERS_MAX)
            .map(|slot| get_u64(header, consumer(slot)))
            .filter(|position| *position != NO_CONSUMER)
            .map(LogPosition)
            .collect();
        Self {
            path: path.to_owned(),
            identity,
            published_position: position(PUBLISHED_POSITION),
            published_index: get_u64(header, PUBLISHED_INDEX),
            durable_position: position(DURABLE_POSITION),
            commit_position: position(COMMIT_POSITION),
            commit_index: get_u64(header, COMMIT_INDEX),
            freed_position: position(FREED_POSITION),
            consumers,
            bytes: Vec::new(),
            skip: 0,
        }
    }

    /// Newest bytes first: they are what the segments may lack, and what is overwritten last.
    fn copy_ring(&mut self, file: &File) -> io::Result<()> {
        let ring = self.identity.ring_length as usize;
        // Zeroed by the allocator: pages that are not copied into cost nothing.
        self.bytes = vec![0; ring + BATCH_LENGTH_MAX as usize + BLOCK_LENGTH as usize];
        self.skip = self.bytes.as_ptr().align_offset(BLOCK_LENGTH as usize);
        let first = self.first_position().0;
        let mut end = self.published_position.0;
        while end > first {
            let ring_at = ((end - 1) % ring as u64) as usize + 1;
            let length = COPY_LENGTH.min(ring_at).min((end - first) as usize);
            let begin = self.skip + ring_at - length;
            let offset = u64::from(self.identity.ring_offset) + (ring_at - length) as u64;
            file.read_exact_at(&mut self.bytes[begin..begin + length], offset)?;
            end -= length as u64;
        }
        let (begin, mirror) = (self.skip, BATCH_LENGTH_MAX as usize);
        self.bytes.copy_within(begin..begin + mirror, begin + ring);
        Ok(())
    }

    /// The ring may hold batches that begin at or behind it.
    pub fn first_position(&self) -> LogPosition {
        let retained = self
            .published_position
            .0
            .saturating_sub(self.identity.ring_length);
        LogPosition(retained.max(self.identity.base_position.block_floor().0))
    }

    /// The batch that begins at `position`, if it is published, still there and whole.
    pub fn batch_at(&self, position: LogPosition) -> Result<BatchView<'_>, BatchError> {
        let (first, end) = (self.first_position(), self.published_position);
        if position < first || position >= end {
            return Err(BatchError::Short { available: 0 });
        }
        let segment_end = position.next_segment(self.identity.segment_data_length);
        let room = (end.min(segment_end).0 - position.0).min(BATCH_LENGTH_MAX);
        let begin = self.skip + (position.0 % self.identity.ring_length) as usize;
        BatchView::verified(&self.bytes[begin..begin + room as usize], position)
    }

    /// As recovery wants it.
    pub fn image(&self) -> LogBufferImage<'_> {
        let ring = self.identity.ring_length as usize;
        LogBufferImage {
            identity: self.identity,
            published_position: self.published_position,
            durable_position: self.durable_position,
            commit_index: self.commit_index,
            ring: &self.bytes[self.skip..self.skip + ring],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::AcknowledgementPolicy;
    use crate::storage::MemoryStorage;
    use crate::testing::Bench;

    /// A tool looks at the buffer of a node that is running: every batch the ring still holds is seen, also
    /// around its end, and the owner's lock is not needed.
    #[test]
    fn a_live_ring_is_seen_whole_and_undisturbed() {
        let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Local);
        let path = bench.buffer.path().to_owned();
        let mut wrapped = 0;
        for round in 0..400u64 {
            bench.append(1, &[4000, 4000], round);
            bench.drain().unwrap();
            let observed = ObservedLogBuffer::open(&path).unwrap().unwrap();
            let (published, _) = bench.appended.last().unwrap();
            assert_eq!(observed.published_index, published.index);
            assert_eq!(observed.published_position, published.end());
            let mut seen = 0;
            for (published, body) in bench.appended.iter().rev() {
                let Ok(view) = observed.batch_at(published.position) else {
                    break;
                };
                assert_eq!(view.header.header_checksum, published.header_checksum);
                assert_eq!(view.body(), &body[..]);
                assert!(view.body().as_ptr().addr().is_multiple_of(8));
                seen += 1;
            }
            assert!(seen >= bench.appended.len().min(60), "{seen} in {round}");
            let ring = observed.identity.ring_length;
            wrapped += u64::from(published.position.0 / ring != published.end().0 / ring);
        }
        assert!(
            wrapped > 0,
            "no batch of this test lay around the ring's end"
        );
        assert_eq!(
            ObservedLogBuffer::open(Path::new("/nowhere"))
                .map(|o| o.is_none())
                .ok(),
            Some(true)
        );
    }

    #[test]
    fn bytes_that_are_no_log_buffer_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buffer");
        for bytes in [vec![], vec![0; 4096], vec![7; 70_000]] {
            std::fs::write(&path, bytes).unwrap();
            let error = ObservedLogBuffer::open(&path).unwrap_err();
            assert!(matches!(error, LogBufferError::Header { .. }), "{error}");
        }
    }
}
