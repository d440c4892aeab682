//! Seals segments and snapshots behind the log, a bounded piece a duty cycle.

use super::{SealChain, SealError, SealKey, SealKind};
use crate::LogPosition;
use crate::folder::JournalMeta;
use crate::position::BLOCK_LENGTH;
use crate::segment::{segment_name, segment_number};
use crate::snapshot::{self, snapshot_name};
use crate::storage::{Storage, StorageFile, WriteMode};
use sha2::{Digest, Sha256};

/// Bytes hashed in one duty cycle: some 200 µs.
const CHUNK_LENGTH: usize = 256 << 10;

/// A file half hashed.
#[derive(Debug)]
struct Hashing<F> {
    kind: SealKind,
    number: u64,
    file: F,
    offset: u64,
    end: u64,
    begin: u64,
    hash: Sha256,
}

/// An agent without a thread; its reads block.
#[derive(Debug)]
pub struct Sealer<S: Storage> {
    storage: S,
    data_length: u64,
    segments: SealChain<S>,
    snapshots: SealChain<S>,
    hashing: Option<Hashing<S::File>>,
    buffer: Vec<u8>,
}

impl<S: Storage> Sealer<S> {
    pub fn new(storage: &S, meta: &JournalMeta, key: Option<SealKey>) -> Result<Self, SealError> {
        Ok(Self {
            storage: storage.clone(),
            data_length: meta.segment_data_length,
            segments: SealChain::open(storage, meta, SealKind::Segment, key.clone())?,
            snapshots: SealChain::open(storage, meta, SealKind::Snapshot, key)?,
            hashing: None,
            buffer: vec![0; CHUNK_LENGTH],
        })
    }

    /// Segments below this number are sealed.
    pub fn sealed_segments(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.number + 1)
    }

    /// Snapshots up to this index are sealed.
    pub fn sealed_snapshots(&self) -> u64 {
        self.snapshots.last().map_or(0, |last| last.number)
    }

    /// One piece of work; 0 if all is sealed. Everything before `committed` is committed and in the segments.
    pub fn do_work(&mut self, committed: LogPosition) -> Result<usize, SealError> {
        match self.hashing.take() {
            Some(hashing) => self.hash(hashing)?,
            None => match self.next(committed)? {
                Some(hashing) => self.hashing = Some(hashing),
                None => return Ok(0),
            },
        }
        Ok(1)
    }

    fn next(&self, committed: LogPosition) -> Result<Option<Hashing<S::File>>, SealError> {
        let names = self.storage.list()?;
        let finished = committed.segment(self.data_length);
        let wanted = self.segments.last().map(|last| last.number + 1);
        let first = names.iter().filter_map(|name| segment_number(name)).min();
        // A chain that begins late begins with what is there; one that has begun leaves nothing out.
        if let Some(number) = wanted.or(first).filter(|number| *number < finished) {
            let end = BLOCK_LENGTH + self.data_length;
            let (kind, name) = (SealKind::Segment, segment_name(number));
            return Ok(Some(self.begin(kind, number, &name, BLOCK_LENGTH, end)?));
        }
        let last = self.snapshots.last().map_or(0, |last| last.number);
        let mut snapshots = snapshot::list(&self.storage)?.into_iter();
        let Some(index) = snapshots.find(|index| *index > last) else {
            return Ok(None);
        };
        let name = snapshot_name(index);
        let end = self.storage.open(&name, WriteMode::Buffered)?.length()?;
        Ok(Some(self.begin(
            SealKind::Snapshot,
            index,
            &name,
            0,
            end,
        )?))
    }

    fn begin(
        &self,
        kind: SealKind,
        number: u64,
        name: &str,
        begin: u64,
        end: u64,
    ) -> Result<Hashing<S::File>, SealError> {
        Ok(Hashing {
            kind,
            number,
            file: self.storage.open(name, WriteMode::Buffered)?,
            offset: begin,
            end,
            begin,
            hash: Sha256::new(),
        })
    }

    fn hash(&mut self, mut hashing: Hashing<S::File>) -> Result<(), SealError> {
        let length = CHUNK_LENGTH.min((hashing.end - hashing.offset) as usize);
        let chunk = &mut self.buffer[..length];
        let read = hashing.file.read_at(hashing.offset, chunk)?;
        // What a short file lacks counts as zeros, as in recovery.
        chunk[read..].fill(0);
        hashing.hash.update(chunk);
        hashing.offset += length as u64;
        if hashing.offset < hashing.end {
            self.hashing = Some(hashing);
            return Ok(());
        }
        let content = hashing.hash.finalize().into();
        let length = hashing.end - hashing.begin;
        let chain = match hashing.kind {
            SealKind::Segment => &mut self.segments,
            SealKind::Snapshot => &mut self.snapshots,
        };
        chain.append(hashing.number, content, length)?;
        Ok(())
    }
}
