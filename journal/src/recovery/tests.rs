//! A test a row of docs/journal-format.md, then every byte of a small journal damaged in turn.

use super::*;
use crate::batch::OrderError;
use crate::folder::{AcknowledgementPolicy, HardStateFile, META_NAME, read_meta};
use crate::reader::{JournalReader, ReadOptions};
use crate::segment::segment_name;
use crate::storage::MemoryStorage;
use crate::testing::Bench;
use crate::{LogBufferId, Published};

mod endings;
mod every_byte;
mod faults;
mod files;
mod garbage;

pub(super) const DATA: u64 = 8192;
/// Smaller than any batch here, so every cut test sees where it is.
const COMMANDS: u8 = 1;

/// A journal on disk and its log buffer, as a crash leaves them.
pub(super) struct Crashed {
    pub storage: MemoryStorage,
    pub meta: JournalMeta,
    pub ring: Vec<u8>,
    pub appended: Vec<(Published, Vec<u8>)>,
    pub boot_id: BootId,
}

impl Crashed {
    /// `count` batches, the last `undrained` of them only in the log buffer; batch *i* says that *i − lag* is
    /// committed; with an orderly stop if asked.
    pub fn new(count: u64, undrained: u64, lag: u64, clean_stop: bool) -> Self {
        let mut bench =
            Bench::with_length(MemoryStorage::new(), AcknowledgementPolicy::Durable, DATA);
        for index in 1..=count {
            let lengths: &[usize] = match index % 5 {
                0 => &[],
                1 => &[48, 72],
                2 => &[1000],
                3 => &[8; 9],
                _ => &[2200],
            };
            bench.append(COMMANDS, lengths, index.saturating_sub(lag));
            if index + undrained <= count {
                bench.drain().unwrap();
            }
        }
        if clean_stop {
            bench.append(BATCH_KIND_CLEAN_STOP, &[], count);
            bench.drain().unwrap();
        }
        let crashed = Self {
            storage: bench.storage.copy(),
            meta: bench.meta,
            ring: bench.ring_file(),
            appended: std::mem::take(&mut bench.appended),
            boot_id: bench.buffer.identity().boot_id,
        };
        let state = HardState {
            term: 1,
            log_buffer_id: bench.buffer.identity().log_buffer_id,
            boot_id: crashed.boot_id,
            ..HardState::default()
        };
        crashed.store_hard_state(&state);
        crashed
    }

    pub fn store_hard_state(&self, state: &HardState) {
        HardStateFile::open(&self.storage, &self.meta)
            .unwrap()
            .store(state)
            .unwrap();
    }

    pub fn set_commit(&self, commit_index: u64) {
        let state = *HardStateFile::open(&self.storage, &self.meta)
            .unwrap()
            .state();
        self.store_hard_state(&HardState {
            commit_index,
            ..state
        });
    }

    pub fn options<'a>(&self, ring: Option<&'a [u8]>) -> RecoveryOptions<'a> {
        let log_buffer = ring.and_then(|file| LogBufferImage::of_file(file).ok());
        RecoveryOptions {
            from: LogTail::EMPTY,
            witness_index: 0,
            boot_id: self.boot_id,
            log_buffer,
        }
    }

    pub fn recover(&self, ring: Option<&[u8]>) -> Result<Recovery, RecoveryError> {
        recover(&self.storage, &self.meta, &self.options(ring))
    }

    /// Recovers, carries out, and checks what every successful recovery must have brought about.
    pub fn recover_and_apply(&self, ring: Option<&[u8]>) -> Recovery {
        let recovery = self.recover(ring).unwrap();
        let image = ring.and_then(|file| LogBufferImage::of_file(file).ok());
        let applied = recovery.apply(&self.storage, &self.meta, image).unwrap();
        self.assert_recovered(&recovery, &applied);
        recovery
    }

    fn assert_recovered(&self, recovery: &Recovery, applied: &Applied) {
        let kept = recovery.tail.index as usize;
        let options = ReadOptions {
            until: Some(recovery.tail.position),
            ..ReadOptions::ALL
        };
        let mut reader = JournalReader::new(self.storage.clone(), &self.meta, options);
        for (published, body) in &self.appended[..kept] {
            let batch = reader.next_batch().unwrap().unwrap();
            assert_eq!(batch.header.header_checksum, published.header_checksum);
            assert_eq!(batch.body(), body);
        }
        assert!(reader.next_batch().unwrap().is_none());
        assert_eq!(reader.tail(), &recovery.tail);
        let position = recovery.tail.position;
        assert_eq!(
            applied.prefix.len() as u64,
            position.0 - position.block_floor().0
        );
        // A second recovery, without the log buffer, finds nothing left to do.
        let again = self.recover(None).unwrap();
        assert_eq!((again.tail, again.pending_batches), (recovery.tail, 0));
        assert_eq!((again.cut(), &again.mend), (None, &vec![]));
    }

    pub fn position(&self, index: u64) -> LogPosition {
        self.appended[index as usize - 1].0.position
    }

    /// Applies `change` to the byte of the log at `position`.
    pub fn damage(&self, position: LogPosition, change: impl Fn(u8) -> u8) {
        let name = segment_name(position.segment(DATA));
        let offset = BLOCK_LENGTH + position.offset_in_segment(DATA);
        self.damage_file(&name, offset as usize, change);
    }

    pub fn damage_file(&self, name: &str, at: usize, change: impl Fn(u8) -> u8) {
        let mut bytes = self.storage.get(name).unwrap();
        bytes[at] = change(bytes[at]);
        self.storage.put(name, &bytes);
    }

    pub fn zero_from(&self, position: LogPosition) {
        let last = self.storage.list().unwrap();
        for number in last
            .iter()
            .filter_map(|name| crate::segment::segment_number(name))
        {
            let mut bytes = self.storage.get(&segment_name(number)).unwrap();
            let begin = position.0.max(number * DATA).min((number + 1) * DATA) - number * DATA;
            bytes[(BLOCK_LENGTH + begin) as usize..].fill(0);
            self.storage.put(&segment_name(number), &bytes);
        }
    }

    fn assert_damaged(&self, ring: Option<&[u8]>, index: u64) -> Witness {
        match self.recover(ring) {
            Err(RecoveryError::Damaged(damage)) => {
                assert_eq!(damage.index, index);
                assert_eq!(damage.position, self.position(index));
                let (segment, offset) = place(damage.position, &self.meta);
                assert_eq!((damage.segment, damage.offset), (segment, offset));
                let before = self.header(index - 1).unwrap();
                assert_eq!(damage.sequence, before.next_sequence());
                damage.witness
            }
            other => panic!("{other:?}"),
        }
    }

    fn header(&self, index: u64) -> Option<BatchHeader> {
        let position = self.position(index);
        let bytes = self.storage.get(&segment_name(position.segment(DATA)))?;
        let offset = (BLOCK_LENGTH + position.offset_in_segment(DATA)) as usize;
        BatchHeader::decode(&bytes[offset..]).ok()
    }
}

pub(super) fn findings(recovery: &Recovery) -> Vec<String> {
    recovery.findings.iter().map(ToString::to_string).collect()
}

/// The log buffer's id is in the hard state; without its file that is worth a finding (R15).
pub(super) fn forget_log_buffer(crashed: &Crashed) {
    let state = *HardStateFile::open(&crashed.storage, &crashed.meta)
        .unwrap()
        .state();
    crashed.store_hard_state(&HardState {
        log_buffer_id: LogBufferId::ZERO,
        ..state
    });
}

pub(super) fn contents(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let names = storage.list().unwrap();
    names
        .into_iter()
        .map(|name| (name.clone(), storage.get(&name).unwrap()))
        .collect()
}
