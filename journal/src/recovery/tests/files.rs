//! Rows R9 to R20: formats, files, the hard state.

use super::*;

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
