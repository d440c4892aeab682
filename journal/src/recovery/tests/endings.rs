//! Rows R1 to R8: how the log ends.

use super::*;

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
fn what_is_refused_can_be_cut_explicitly() {
    let crashed = Crashed::new(12, 0, 1, false);
    crashed.set_commit(12);
    crashed.damage(crashed.position(7).plus(70), |byte| !byte);
    let Err(RecoveryError::Damaged(damage)) = crashed.recover(None) else {
        panic!()
    };
    let cut = |position, witness| {
        cut_at(
            &crashed.storage,
            &crashed.meta,
            &LogTail::EMPTY,
            position,
            witness,
        )
    };
    let before = contents(&crashed.storage);
    let end = crashed.appended[5].0.end();
    let nearest = CutError::NotABoundary {
        position: end.plus(64),
        nearest: end,
    };
    assert_eq!(cut(end.plus(64), 0), Err(nearest));
    assert_eq!(
        cut(end, 9),
        Err(CutError::Proven {
            index: 6,
            witness_index: 9
        })
    );
    assert_eq!(
        contents(&crashed.storage),
        before,
        "a refused cut changes nothing"
    );
    assert_eq!(damage.position, end);
    let name = cut(end, 6).unwrap().unwrap();
    let kept = crashed.storage.get(&name).unwrap();
    let last = crashed.position(12);
    assert!(
        kept.len() as u64 >= last.0 - end.0,
        "everything behind is kept"
    );
    let recovery = crashed.recover_and_apply(None);
    assert_eq!(
        (recovery.tail.index, recovery.hard_state.commit_index),
        (6, 6)
    );
}

/// A run under `local` dies; what it left unsynced is committed for the next run, which may be `durable`.
#[test]
fn what_a_recovery_builds_on_survives_a_power_cut() {
    let mut bench = Bench::with_length(MemoryStorage::new(), AcknowledgementPolicy::Local, DATA);
    for index in 1..=20 {
        bench.append(COMMANDS, &[1800], index - 1);
        bench.drain().unwrap();
    }
    let meta = bench.meta;
    let lost = bench.storage.power_cut(|| false);
    let boot_id = BootId([7; 16]);
    let options = RecoveryOptions {
        from: LogTail::EMPTY,
        witness_index: 0,
        boot_id,
        log_buffer: None,
    };
    assert!(
        recover(&lost, &meta, &options).unwrap().tail.index < 20,
        "there was something to lose"
    );
    let recovery = recover(&bench.storage, &meta, &options).unwrap();
    recovery.apply(&bench.storage, &meta, None).unwrap();
    let after = bench.storage.power_cut(|| false);
    assert_eq!(recover(&after, &meta, &options).unwrap().tail.index, 20);
}
