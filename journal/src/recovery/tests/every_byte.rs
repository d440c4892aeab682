//! Trial 2: damage at every byte of a small journal, with and without each witness. The outcome is
//! always one of the table's, never a wrong state, never a lost batch that a witness proves.

use super::*;
use std::collections::BTreeMap;

/// How a journal may have ended, and what is left to testify.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Left {
    Nothing,
    LogBuffer,
    HardState,
    CleanStop,
}

const BATCHES: u64 = 8;

/// A byte that a disk could hand back instead; every kind of change comes at every kind of field.
fn damaged(byte: u8, at: u64, turn: u64) -> u8 {
    match (at + turn) % 5 {
        0 => byte ^ 0x01,
        1 => 0,
        2 => byte ^ 0x80,
        3 => 0xff,
        _ => !byte,
    }
}

fn crashed(left: Left, lag: u64) -> Crashed {
    let crashed = Crashed::new(BATCHES, 0, lag, left == Left::CleanStop);
    if left == Left::HardState {
        crashed.set_commit(BATCHES);
    }
    crashed
}

/// The batch that the byte at `position` belongs to, padding excluded.
fn owner(crashed: &Crashed, position: LogPosition) -> Option<u64> {
    let found = crashed.appended.iter().find(|(published, body)| {
        let end = published.position.plus((192 + body.len()) as u64);
        (published.position..end).contains(&position)
    });
    found.map(|(published, _)| published.index)
}

/// Highest index that something else than the damaged batch proves.
fn proven(crashed: &Crashed, left: Left, lag: u64, damaged: u64) -> u64 {
    let count = crashed.appended.len() as u64;
    let by_commit = (1..=count)
        .filter(|index| *index != damaged)
        .map(|index| {
            if index > BATCHES {
                BATCHES
            } else {
                index.saturating_sub(lag)
            }
        })
        .max()
        .unwrap_or(0);
    match left {
        Left::Nothing => by_commit,
        Left::LogBuffer => count,
        Left::HardState => by_commit.max(BATCHES),
        // The stop is proof of everything before it, unless it is the one that is damaged.
        Left::CleanStop if damaged == count => by_commit,
        Left::CleanStop => by_commit.max(count),
    }
}

fn check(crashed: &Crashed, left: Left, lag: u64, position: LogPosition) -> &'static str {
    let ring = (left == Left::LogBuffer).then_some(&crashed.ring[..]);
    let count = crashed.appended.len() as u64;
    let Some(damaged) = owner(crashed, position) else {
        let recovery = crashed.recover(ring).unwrap();
        assert_eq!(
            recovery.tail.index, count,
            "padding and gaps are not part of the log"
        );
        return "padding";
    };
    let proven = proven(crashed, left, lag, damaged);
    match crashed.recover(ring) {
        Ok(recovery) => {
            assert!(
                recovery.tail.index >= proven,
                "lost {damaged}, {proven} is proven"
            );
            assert!([damaged - 1, count].contains(&recovery.tail.index));
            assert_eq!(recovery.cut().is_some(), recovery.tail.index < count);
            if recovery.tail.index == count {
                "repaired"
            } else {
                "cut"
            }
        }
        Err(RecoveryError::Damaged(damage)) => {
            assert!(
                damaged <= proven,
                "refused {damaged}, only {proven} is proven"
            );
            assert_eq!((damage.index, left == Left::LogBuffer), (damaged, false));
            "refused"
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_damaged_byte_has_an_outcome_of_the_table() {
    let runs = [
        (Left::Nothing, 1, 0),
        (Left::Nothing, 3, 1),
        (Left::LogBuffer, 1, 2),
        (Left::HardState, 3, 3),
        (Left::CleanStop, 3, 4),
    ];
    for (left, lag, turn) in runs {
        let outcomes = damage_every_byte(left, lag, turn);
        println!("{left:?}, lag {lag}: {outcomes:?}");
        let expected = match left {
            Left::Nothing | Left::CleanStop => &["cut", "padding", "refused"][..],
            Left::LogBuffer => &["padding", "repaired"],
            Left::HardState => &["padding", "refused"],
        };
        assert!(outcomes.keys().eq(expected), "{left:?} {lag}: {outcomes:?}");
    }
}

fn damage_every_byte(left: Left, lag: u64, turn: u64) -> BTreeMap<&'static str, u64> {
    let crashed = crashed(left, lag);
    let mut outcomes = BTreeMap::new();
    let end = crashed.appended.last().unwrap().0.end();
    let mut count = 0;
    for at in 0..end.0 {
        let position = LogPosition(at);
        let name = segment_name(position.segment(DATA));
        let good = crashed.storage.get(&name).unwrap();
        let byte = good[(BLOCK_LENGTH + position.offset_in_segment(DATA)) as usize];
        let bad = [turn, turn + 1].map(|turn| damaged(byte, at, turn));
        let Some(bad) = bad.into_iter().find(|bad| *bad != byte) else {
            continue;
        };
        crashed.damage(position, |_| bad);
        let outcome = check(&crashed, left, lag, position);
        *outcomes.entry(outcome).or_insert(0) += 1;
        count += 1;
        // Carrying out every decision would take too long; a sample does.
        if at % 97 == 0 && outcome != "refused" && outcome != "padding" {
            apply_on_a_copy(&crashed, left);
        }
        crashed.storage.put(&name, &good);
    }
    assert_eq!(count, end.0, "no byte left out");
    outcomes
}

fn apply_on_a_copy(crashed: &Crashed, left: Left) {
    let copy = Crashed {
        storage: crashed.storage.copy(),
        meta: crashed.meta,
        ring: crashed.ring.clone(),
        appended: crashed.appended.clone(),
        boot_id: crashed.boot_id,
    };
    let ring = (left == Left::LogBuffer).then_some(&copy.ring[..]);
    copy.recover_and_apply(ring);
}

/// The other files' bytes: header blocks of segments, meta, hard state.
#[test]
fn every_damaged_byte_of_the_other_files_too() {
    let crashed = crashed(Left::Nothing, 1);
    for name in crashed.storage.list().unwrap() {
        let good = crashed.storage.get(&name).unwrap();
        let length = if name.ends_with(".segment") {
            4096
        } else {
            good.len()
        };
        for at in 0..length {
            crashed.damage_file(&name, at, |byte| byte ^ 0x04);
            match (read_meta(&crashed.storage), name.as_str()) {
                (Err(_), META_NAME) => {}
                (Ok(meta), _) => {
                    assert_eq!(meta, crashed.meta);
                    let recovery = crashed.recover(None).unwrap();
                    assert_eq!(recovery.tail.index, BATCHES);
                }
                (Err(error), _) => panic!("{name} {at}: {error}"),
            }
            crashed.storage.put(&name, &good);
        }
    }
}

/// The tail's begin and everything behind it, cut off at every byte: what a crash may leave of a write.
#[test]
fn every_length_of_a_torn_last_write() {
    let crashed = Crashed::new(BATCHES, 0, 1, false);
    let end = crashed.appended.last().unwrap().0.end();
    let begin = crashed.position(BATCHES - 1);
    let files = contents(&crashed.storage);
    for at in begin.0..end.0 {
        crashed.zero_from(LogPosition(at));
        let position = LogPosition(at);
        let whole = crashed.appended.iter().take_while(|(published, body)| {
            published.position.plus((192 + body.len()) as u64) <= position
            // Records and magic end in bytes that are not zero, so less is never whole.
        });
        let recovery = crashed.recover(None).unwrap();
        assert_eq!(recovery.tail.index, whole.count() as u64, "cut at {at}");
        let recovery = crashed.recover(Some(&crashed.ring)).unwrap();
        assert_eq!(recovery.tail.index, BATCHES);
        for (name, bytes) in &files {
            crashed.storage.put(name, bytes);
        }
    }
}
