//! A test a row of docs/journal-format.md, then every byte of a small journal damaged in turn.

use super::*;
use crate::batch::OrderError;
use crate::folder::{AcknowledgementPolicy, HardStateFile, META_NAME, read_meta};
use crate::reader::{JournalReader, ReadOptions};
use crate::segment::segment_name;
use crate::storage::MemoryStorage;
use crate::testing::Bench;
use crate::{LogBufferId, Published};

mod every_byte;
mod faults;

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

fn findings(recovery: &Recovery) -> Vec<String> {
    recovery.findings.iter().map(ToString::to_string).collect()
}

/// The log buffer's id is in the hard state; without its file that is worth a finding (R15).
fn forget_log_buffer(crashed: &Crashed) {
    let state = *HardStateFile::open(&crashed.storage, &crashed.meta)
        .unwrap()
        .state();
    crashed.store_hard_state(&HardState {
        log_buffer_id: LogBufferId::ZERO,
        ..state
    });
}

#[test]
fn r01_zeros_behind_the_last_batch_are_a_clean_end() {
    let crashed = Crashed::new(12, 0, 1, false);
    forget_log_buffer(&crashed);
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(recovery.tail.index, 12);
    assert_eq!(recovery.batch_count, 12);
    assert_eq!(recovery.record_count + 1, recovery.tail.next_sequence);
    assert_eq!(findings(&recovery), [""; 0]);
    assert!(
        recovery.tail.position.segment(DATA) >= 1,
        "the test spans segments"
    );
}

#[test]
fn r02_a_clean_stop_is_seen() {
    let crashed = Crashed::new(6, 0, 1, true);
    forget_log_buffer(&crashed);
    let recovery = crashed.recover_and_apply(None);
    assert!(recovery.is_clean_stop());
    assert_eq!(recovery.findings, [Finding::CleanStop]);
}

#[test]
fn r03_an_empty_journal_begins_at_zero() {
    let crashed = Crashed::new(0, 0, 1, false);
    forget_log_buffer(&crashed);
    let recovery = crashed.recover_and_apply(None);
    assert_eq!((recovery.tail, recovery.last), (LogTail::EMPTY, None));
    crashed.storage.delete(&segment_name(0)).unwrap();
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(recovery.tail, LogTail::EMPTY);
    assert!(crashed.storage.get(&segment_name(0)).is_some(), "made anew");
    assert_eq!(
        crashed.recover(Some(&crashed.ring)).unwrap().tail,
        LogTail::EMPTY
    );
}

#[test]
fn r04_a_torn_tail_without_a_witness_is_cut_and_kept() {
    let crashed = Crashed::new(9, 0, 1, false);
    let victim = crashed.position(9);
    crashed.damage(victim.plus(150), |byte| byte ^ 1);
    let name = segment_name(victim.segment(DATA));
    let before = crashed.storage.get(&name).unwrap();
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(recovery.tail.index, 8);
    let cut = *recovery.cut().unwrap();
    let offset = BLOCK_LENGTH + victim.offset_in_segment(DATA);
    assert_eq!(
        (cut.segment, cut.offset, cut.last_index),
        (victim.segment(DATA), offset, 8)
    );
    assert_eq!(cut.last_sequence, recovery.tail.next_sequence - 1);
    assert!(recovery.findings.contains(&Finding::TailCut(cut)));
    let kept = crashed
        .storage
        .get(&format!("{:020}.0.cut", victim.0))
        .unwrap();
    assert_eq!(kept, before[offset as usize..][..cut.length as usize]);
    let after = crashed.storage.get(&name).unwrap();
    assert!(crate::bytes::all_zero(&after[offset as usize..]));
}

/// One write carried batches 8 and 9; the medium kept 9 and tore 8. Nothing says that 8 was committed.
#[test]
fn r04_a_torn_batch_before_a_whole_one_of_the_same_write_is_cut_too() {
    let crashed = Crashed::new(9, 2, 2, false);
    let full = Crashed::new(9, 0, 2, false);
    for number in 0..3 {
        if let Some(bytes) = full.storage.get(&segment_name(number)) {
            crashed.storage.put(&segment_name(number), &bytes);
        }
    }
    crashed.damage(crashed.position(8).plus(20), |byte| !byte);
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(recovery.tail.index, 7);
    assert_eq!(recovery.cut().unwrap().whole_batches, 1);
}

#[test]
fn r05_damage_is_repaired_from_the_log_buffer() {
    for index in 1..=12 {
        let crashed = Crashed::new(12, 0, 1, false);
        crashed.damage(crashed.position(index).plus(8), |byte| byte ^ 0x40);
        let recovery = crashed.recover_and_apply(Some(&crashed.ring));
        assert_eq!(recovery.tail.index, 12);
        assert!(matches!(
            recovery.findings[..],
            [Finding::Repaired { index: at, .. }, Finding::TakenFromLogBuffer { batches: 1, .. }]
            if at == index
        ));
    }
}

#[test]
fn r06_batches_that_only_the_log_buffer_has_are_taken() {
    let crashed = Crashed::new(12, 7, 3, false);
    let recovery = crashed.recover_and_apply(Some(&crashed.ring));
    assert_eq!((recovery.tail.index, recovery.pending_batches), (12, 7));
    let taken = Finding::TakenFromLogBuffer {
        first_index: 6,
        batches: 7,
    };
    assert_eq!(recovery.findings, [taken]);
}

#[test]
fn r07_damage_that_a_later_commit_index_proves_is_refused() {
    let crashed = Crashed::new(12, 0, 3, false);
    for index in 2..=9 {
        let victim = crashed.position(index).plus(30);
        crashed.damage(victim, |byte| byte ^ 2);
        let witness = crashed.assert_damaged(None, index);
        assert!(
            matches!(witness, Witness::LaterBatch { commit_index, .. } if commit_index >= index)
        );
        crashed.damage(victim, |byte| byte ^ 2);
    }
    crashed.damage(crashed.position(10).plus(30), |byte| byte ^ 2);
    assert_eq!(
        crashed.recover_and_apply(None).tail.index,
        9,
        "nothing said 10 was committed"
    );
}

#[test]
fn r07_every_other_witness_refuses_too() {
    let torn = |crashed: &Crashed, index| crashed.damage(crashed.position(index).plus(9), |b| !b);
    // The hard state, even if the bytes are simply not there.
    let crashed = Crashed::new(8, 0, 4, false);
    crashed.set_commit(8);
    crashed.zero_from(crashed.position(8));
    assert_eq!(
        crashed.assert_damaged(None, 8),
        Witness::HardState { commit_index: 8 }
    );
    // The log buffer's durable position, when the bytes themselves are gone from it.
    let crashed = Crashed::new(8, 0, 4, false);
    torn(&crashed, 8);
    let mut ring = crashed.ring.clone();
    ring[4096..].fill(0);
    let witness = crashed.assert_damaged(Some(&ring), 8);
    assert!(matches!(witness, Witness::LogBufferDurable { .. }));
    // Its commit index.
    ring[384..392].fill(0);
    ring[520..528].copy_from_slice(&8u64.to_le_bytes());
    assert_eq!(
        crashed.assert_damaged(Some(&ring), 8),
        Witness::LogBufferCommit { commit_index: 8 }
    );
    // A clean stop behind.
    let crashed = Crashed::new(8, 0, 20, true);
    let position = crashed.position(9);
    torn(&crashed, 8);
    // Its own commit index says as much; a clean stop without one does too.
    let index = 9;
    assert_eq!(
        crashed.assert_damaged(None, 8),
        Witness::CleanStop { position, index }
    );
    // A snapshot or a peer.
    let crashed = Crashed::new(8, 0, 4, false);
    torn(&crashed, 8);
    let options = RecoveryOptions {
        witness_index: 8,
        ..crashed.options(None)
    };
    let refused = recover(&crashed.storage, &crashed.meta, &options);
    assert!(matches!(refused, Err(RecoveryError::Damaged(damage))
        if damage.witness == Witness::Given { index: 8 }));
}

#[test]
fn r07_a_refusal_changes_nothing() {
    let crashed = Crashed::new(8, 0, 1, false);
    crashed.damage(crashed.position(3).plus(9), |byte| !byte);
    let before: Vec<_> = contents(&crashed.storage);
    crashed.assert_damaged(None, 3);
    assert_eq!(contents(&crashed.storage), before);
}

fn contents(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    let names = storage.list().unwrap();
    names
        .into_iter()
        .map(|name| (name.clone(), storage.get(&name).unwrap()))
        .collect()
}

#[test]
fn r08_stale_remains_of_a_truncated_suffix_are_ignored() {
    // Batches 7 to 9 of term 1 were truncated; a shorter 7 of term 2 was written over the first.
    let old = Crashed::new(9, 0, 5, false);
    let mut bench = Bench::with_length(MemoryStorage::new(), AcknowledgementPolicy::Durable, DATA);
    for index in 1..=7u64 {
        bench.term = if index == 7 { 2 } else { 1 };
        let lengths: &[usize] = match index {
            7 => &[],
            _ => match index % 5 {
                0 => &[],
                1 => &[48, 72],
                2 => &[1000],
                3 => &[8; 9],
                _ => &[2200],
            },
        };
        bench.append(COMMANDS, lengths, index.saturating_sub(5));
        bench.drain().unwrap();
    }
    let end = bench.buffer.published_position();
    for number in 0..=old.position(9).segment(DATA) {
        let name = segment_name(number);
        let mut bytes = old.storage.get(&name).unwrap();
        let new = bench.storage.get(&name).unwrap_or_default();
        let kept = (end.0.saturating_sub(number * DATA)).min(DATA);
        let kept = (BLOCK_LENGTH + kept) as usize;
        bytes[..kept].copy_from_slice(&new[..kept]);
        bench.storage.put(&name, &bytes);
    }
    let new = Crashed {
        storage: bench.storage.copy(),
        meta: bench.meta,
        ring: Vec::new(),
        appended: std::mem::take(&mut bench.appended),
        boot_id: old.boot_id,
    };
    let recovery = new.recover_and_apply(None);
    assert_eq!((recovery.tail.index, recovery.tail.term), (7, 2));
    assert!(recovery.cut().unwrap().whole_batches >= 1);
}

#[test]
fn r08_a_whole_batch_that_does_not_follow_is_reported_as_such() {
    let crashed = Crashed::new(9, 0, 6, false);
    // Batch 8, whole, where 7 should be, as after a truncation at a batch boundary.
    let (seven, eight) = (crashed.position(7), crashed.position(8));
    let name = segment_name(eight.segment(DATA));
    let bytes = crashed.storage.get(&name).unwrap();
    let at = (BLOCK_LENGTH + eight.offset_in_segment(DATA)) as usize;
    let batch = bytes[at..at + crashed.appended[7].0.length as usize].to_vec();
    crashed.zero_from(seven);
    for (offset, byte) in batch.iter().enumerate() {
        crashed.damage(seven.plus(offset as u64), |_| *byte);
    }
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(recovery.tail.index, 6);
    let order = OrderError::Index {
        expected: 7,
        found: 8,
    };
    assert!(recovery.findings.contains(&Finding::StaleRemains {
        position: seven,
        order
    }));
}

#[test]
fn r09_a_newer_format_is_refused_not_cut() {
    let crashed = Crashed::new(5, 0, 1, false);
    let victim = crashed.position(5);
    let name = segment_name(victim.segment(DATA));
    let mut bytes = crashed.storage.get(&name).unwrap();
    let at = (BLOCK_LENGTH + victim.offset_in_segment(DATA)) as usize;
    bytes[at + 8] = 1;
    bytes[at + 160..at + 176].fill(0);
    let checksum = crate::Checksum::of(&bytes[at..at + 192]);
    bytes[at + 160..at + 176].copy_from_slice(&checksum.0);
    crashed.storage.put(&name, &bytes);
    let (segment, offset) = (victim.segment(DATA), at as u64);
    let refused = RecoveryError::NewerFormat {
        segment,
        offset,
        version: 1,
    };
    assert_eq!(crashed.recover(None), Err(refused));
}

#[test]
fn r09_a_segment_header_of_a_newer_format_is_refused() {
    let crashed = Crashed::new(5, 0, 1, false);
    let mut bytes = crashed.storage.get(&segment_name(1)).unwrap();
    bytes[8] = 7;
    bytes[112..128].fill(0);
    crate::header_block::finish(&mut bytes[..4096]);
    crashed.storage.put(&segment_name(1), &bytes);
    let refused = RecoveryError::NewerFormat {
        segment: 1,
        offset: 0,
        version: 7,
    };
    assert_eq!(crashed.recover(None), Err(refused));
}

#[test]
fn r10_a_missing_segment_is_refused_or_made_from_the_log_buffer() {
    for number in 0..2 {
        let crashed = Crashed::new(12, 0, 20, false);
        crashed.storage.delete(&segment_name(number)).unwrap();
        let refused = RecoveryError::SegmentMissing { number };
        assert_eq!(crashed.recover(None), Err(refused));
        let recovery = crashed.recover_and_apply(Some(&crashed.ring));
        assert_eq!(recovery.tail.index, 12);
    }
    // With a witness the refusal says which batch is missing.
    let crashed = Crashed::new(12, 0, 1, false);
    crashed.storage.delete(&segment_name(0)).unwrap();
    let Err(RecoveryError::Damaged(damage)) = crashed.recover(None) else {
        panic!()
    };
    assert_eq!((damage.segment, damage.index), (0, 1));
    assert_eq!(damage.reason, EndReason::NoSegment);
}

#[test]
fn r11_a_damaged_segment_header_is_rewritten() {
    let crashed = Crashed::new(4, 0, 1, false);
    let good = crashed.storage.get(&segment_name(0)).unwrap();
    for at in 0..4096 {
        crashed.damage_file(&segment_name(0), at, |byte| byte ^ 0x11);
        let recovery = crashed.recover(None).unwrap();
        assert_eq!(recovery.tail.index, 4);
        assert!(matches!(
            recovery.findings[..],
            [
                Finding::LogBufferMissing { .. },
                Finding::SegmentHeaderDamaged { segment: 0, .. }
            ]
        ));
        if at % 64 == 0 {
            crashed.recover_and_apply(None);
            assert_eq!(crashed.storage.get(&segment_name(0)).unwrap(), good);
        }
        crashed.storage.put(&segment_name(0), &good);
    }
}

#[test]
fn r12_a_segment_of_another_length_is_mended() {
    let crashed = Crashed::new(12, 0, 20, false);
    let last = crashed.position(12).segment(DATA);
    let whole = crashed.storage.get(&segment_name(last)).unwrap();
    let mut longer = whole.clone();
    longer.extend([7; 100]);
    crashed.storage.put(&segment_name(last), &longer);
    assert_eq!(crashed.recover_and_apply(None).tail.index, 12);
    // Cut within the last batch: torn; and within the header block.
    let end = (BLOCK_LENGTH + crashed.position(12).offset_in_segment(DATA)) as usize;
    for length in [end + 100, end, 4096, 100, 0] {
        crashed.storage.put(&segment_name(last), &whole[..length]);
        let recovery = crashed.recover_and_apply(None);
        assert_eq!(recovery.tail.index < 12, length != whole.len());
        assert!(
            recovery
                .findings
                .iter()
                .any(|f| matches!(f, Finding::SegmentLength { .. }))
        );
        assert_eq!(
            crashed.storage.get(&segment_name(last)).unwrap().len(),
            whole.len()
        );
    }
}

#[test]
fn r13_a_missing_meta_file_is_no_journal() {
    let crashed = Crashed::new(3, 0, 1, false);
    crashed.storage.delete(META_NAME).unwrap();
    assert!(read_meta(&crashed.storage).is_err());
}

#[test]
fn r14_a_log_buffer_that_is_not_ours_is_ignored() {
    let crashed = Crashed::new(12, 4, 4, false);
    let reason = |recovery: &Recovery| match recovery.findings[..] {
        [Finding::LogBufferIgnored { why }] => why,
        _ => panic!("{:?}", recovery.findings),
    };
    let mut other_boot = crashed.options(Some(&crashed.ring));
    other_boot.boot_id = BootId([9; 16]);
    let recovery = recover(&crashed.storage, &crashed.meta, &other_boot).unwrap();
    assert_eq!((recovery.tail.index, recovery.pending_batches), (8, 0));
    assert!(reason(&recovery).contains("restarted"));
    let identity = |change: fn(&mut Vec<u8>)| {
        let mut ring = crashed.ring.clone();
        change(&mut ring);
        ring[112..128].fill(0);
        crate::header_block::finish(&mut ring[..256]);
        ring
    };
    let other_journal = identity(|ring| ring[32] ^= 1);
    assert!(reason(&crashed.recover(Some(&other_journal)).unwrap()).contains("another journal"));
    let other_segments = identity(|ring| ring[88] ^= 1);
    assert!(reason(&crashed.recover(Some(&other_segments)).unwrap()).contains("contradicts"));
    let mut backwards = crashed.ring.clone();
    backwards[384..392].fill(0xff);
    assert!(reason(&crashed.recover(Some(&backwards)).unwrap()).contains("contradicts"));
    // Half initialised, or damaged in its identity: it has no image at all.
    for at in 0..256 {
        let mut damaged = crashed.ring.clone();
        damaged[at] ^= 1;
        assert!(LogBufferImage::of_file(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn r15_a_log_buffer_that_should_be_there_is_reported() {
    let crashed = Crashed::new(5, 0, 1, false);
    let recovery = crashed.recover_and_apply(None);
    assert!(matches!(
        recovery.findings[..],
        [Finding::LogBufferMissing { .. }]
    ));
}

#[test]
fn r16_one_damaged_hard_state_slot_is_reported() {
    let crashed = Crashed::new(5, 0, 1, false);
    crashed.damage_file(HARD_STATE_NAME, 20, |byte| !byte);
    let recovery = crashed.recover_and_apply(Some(&crashed.ring));
    assert!(matches!(
        recovery.findings[0],
        Finding::HardStateSlotDamaged { .. }
    ));
}

#[test]
fn r17_a_lost_hard_state_is_refused_unless_the_journal_is_empty() {
    let crashed = Crashed::new(5, 0, 1, false);
    let good = crashed.storage.get(HARD_STATE_NAME).unwrap();
    crashed.damage_file(HARD_STATE_NAME, 20, |byte| !byte);
    crashed.damage_file(HARD_STATE_NAME, 4196, |byte| !byte);
    let refused = crashed.recover(Some(&crashed.ring));
    assert!(matches!(
        refused,
        Err(RecoveryError::HardState(HardStateError::Damaged { .. }))
    ));
    crashed.storage.put(HARD_STATE_NAME, &good[..100]);
    assert!(matches!(
        crashed.recover(None),
        Err(RecoveryError::HardState(_))
    ));
    crashed.storage.delete(HARD_STATE_NAME).unwrap();
    assert!(matches!(
        crashed.recover(None),
        Err(RecoveryError::HardState(_))
    ));
    let empty = Crashed::new(0, 0, 1, false);
    empty.storage.delete(HARD_STATE_NAME).unwrap();
    assert_eq!(
        empty.recover_and_apply(None).hard_state,
        HardState::default()
    );
}

#[test]
fn r18_a_hard_state_behind_the_log_is_reported() {
    let crashed = Crashed::new(5, 0, 1, false);
    crashed.store_hard_state(&HardState::default());
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(
        recovery.findings,
        [Finding::HardStateBehind { stored: 0, log: 1 }]
    );
}

#[test]
fn r19_bytes_in_a_gap_are_not_part_of_the_log() {
    let crashed = Crashed::new(12, 0, 1, false);
    let (at, _) = crashed
        .appended
        .windows(2)
        .map(|pair| (pair[0].0.end(), pair[1].0.position))
        .find(|(end, next)| end < next)
        .expect("a gap");
    for byte in [b'L', 1] {
        crashed.damage(at, |_| byte);
        assert_eq!(crashed.recover(None).unwrap().tail.index, 12);
        assert_eq!(crashed.recover(None).unwrap().cut(), None);
    }
}

#[test]
fn r20_a_segment_of_another_journal_is_refused() {
    let crashed = Crashed::new(5, 0, 1, false);
    let other = JournalMeta {
        journal_id: crate::JournalId([8; 16]),
        ..crashed.meta
    };
    let good = crashed.storage.get(&segment_name(1)).unwrap();
    for header in [other.segment_header(1), crashed.meta.segment_header(2)] {
        let mut bytes = good.clone();
        bytes[..4096].copy_from_slice(&header.encode());
        crashed.storage.put(&segment_name(1), &bytes);
        assert_eq!(
            crashed.recover(None),
            Err(RecoveryError::ForeignSegment { segment: 1 })
        );
    }
}

#[test]
fn recovery_may_begin_behind_a_snapshot() {
    let crashed = Crashed::new(12, 0, 1, false);
    let header = crashed.header(10).unwrap();
    let from = LogTail::after(&header, crashed.position(10));
    // What lies before is not looked at: its segment may have been archived.
    let first = from.position.segment(DATA);
    assert!(first > 0);
    crashed.storage.delete(&segment_name(0)).unwrap();
    let options = RecoveryOptions {
        from,
        ..crashed.options(None)
    };
    let recovery = recover(&crashed.storage, &crashed.meta, &options).unwrap();
    assert_eq!((recovery.tail.index, recovery.batch_count), (12, 2));
}
