//! Storage that fails, tears, flips, loses and misdirects at every operation of a scripted run.

use super::*;
use crate::storage::{Fault, FaultyStorage};
use crate::testing::Random;
use crate::writer::{JournalError, WriterOptions};

const FAULTS: [Fault; 8] = [
    Fault::Fail,
    Fault::NoSpace,
    Fault::ShortWrite,
    Fault::PowerCut,
    Fault::Torn,
    Fault::Flip,
    Fault::Misdirect,
    Fault::Lost,
];

/// A run of some 30 batches with a crash at its end, sometimes with work left in the log buffer.
fn script(bench: &mut Bench<FaultyStorage>) -> Result<(), JournalError> {
    let mut random = Random(11);
    for _ in 0..30u64 {
        let records = vec![8 * (1 + random.below(60)) as usize; random.below(4) as usize];
        let durable = bench.buffer.durable_position();
        let committed = bench
            .appended
            .iter()
            .filter(|(p, _)| p.end() <= durable)
            .count();
        bench.append(COMMANDS, &records, committed as u64);
        // A short write is held back for some duty cycles.
        for _ in 0..random.below(9) {
            bench.writer.do_work()?;
            bench.preparer.do_work();
        }
    }
    Ok(())
}

/// Fewer and longer batches, so that up to four writes are in flight and end in any order. All of them fit into
/// the log buffer.
fn deep_script(bench: &mut Bench<FaultyStorage>) -> Result<usize, JournalError> {
    let (mut random, mut most) = (Random(3), 0);
    for _ in 0..12u64 {
        let durable = bench.buffer.durable_position();
        let done = bench.appended.iter().filter(|(p, _)| p.end() <= durable);
        let committed = done.count() as u64;
        // Long enough to be written while another write is in flight.
        let length = 8 * (8_400 + random.below(1_000)) as usize;
        bench.append(COMMANDS, &[length], committed);
        for _ in 0..random.below(2) {
            bench.writer.do_work()?;
            bench.preparer.do_work();
            most = most.max(bench.writer.in_flight_count());
        }
    }
    Ok(most)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Script {
    Small,
    Deep,
}

fn run(script_of: Script, fault: Fault, operation: u64) -> (Bench<FaultyStorage>, u64) {
    let (memory, data_length) = match script_of {
        Script::Small => (MemoryStorage::new(), DATA),
        Script::Deep => (MemoryStorage::new().deferring(7), 512 << 10),
    };
    let storage = FaultyStorage::new(memory, fault, operation);
    let mut bench = Bench::with_length(storage, AcknowledgementPolicy::Durable, data_length);
    let before = bench.storage.operation_count();
    // A failed run ends here; so does a crash.
    match script_of {
        Script::Small => drop(script(&mut bench)),
        Script::Deep => {
            bench.writer = bench.writer.with_options(WriterOptions { depth: 4 });
            let most = deep_script(&mut bench);
            assert!(
                operation != 0 || most == Ok(4),
                "the depth is used: {most:?}"
            );
        }
    }
    (bench, before)
}

fn crash(bench: &mut Bench<FaultyStorage>, storage: MemoryStorage) -> Crashed {
    Crashed {
        storage,
        meta: bench.meta,
        ring: bench.ring_file(),
        appended: std::mem::take(&mut bench.appended),
        boot_id: bench.buffer.identity().boot_id,
    }
}

#[test]
fn a_fault_at_any_operation_never_loses_what_a_witness_proves() {
    let outcomes = fail_each_operation(Script::Small, 40);
    assert!(outcomes["kept"] > 100 && outcomes.contains_key("refused"));
}

#[test]
fn a_fault_with_four_writes_in_flight_never_loses_what_a_witness_proves() {
    let outcomes = fail_each_operation(Script::Deep, 12);
    assert!(outcomes["kept"] > 60, "{outcomes:?}");
}

fn fail_each_operation(
    script_of: Script,
    operations_min: u64,
) -> std::collections::BTreeMap<&'static str, u64> {
    let (bench, before) = run(script_of, Fault::Fail, 0);
    let after = bench.storage.operation_count();
    assert!(after - before > operations_min, "{before} {after}");
    let mut outcomes = std::collections::BTreeMap::new();
    for operation in before + 1..=after {
        for (turn, fault) in FAULTS.into_iter().enumerate() {
            let (mut bench, _) = run(script_of, fault, operation);
            let durable = bench.buffer.durable_position();
            let lies = matches!(fault, Fault::Flip | Fault::Misdirect | Fault::Lost);
            let acknowledged = bench
                .appended
                .iter()
                .filter(|(p, _)| p.end() <= durable)
                .count() as u64;
            // The process dies: the log buffer has everything.
            let disk = bench.storage.inner().copy();
            let crashed = crash(&mut bench, disk);
            let all = crashed.appended.len() as u64;
            let recovery = crashed.recover_and_apply(Some(&crashed.ring));
            assert_eq!(recovery.tail.index, all, "{fault:?} at {operation}");
            // The machine dies: only what reached the medium.
            let mut random = Random(operation * 8 + turn as u64);
            let disk = bench.storage.inner().power_cut(|| random.below(2) == 0);
            let crashed = Crashed {
                storage: disk,
                ..crashed
            };
            let outcome = match crashed.recover(None) {
                Ok(recovery) => {
                    crashed.recover_and_apply(None);
                    let kept = recovery.tail.index >= acknowledged;
                    assert!(
                        kept || lies,
                        "{fault:?} at {operation}: acknowledged batch lost"
                    );
                    if kept {
                        "kept"
                    } else {
                        "lost by a lying disk, no witness"
                    }
                }
                Err(RecoveryError::Damaged(_)) if lies => "refused",
                Err(error) => panic!("{fault:?} at {operation}: {error}"),
            };
            *outcomes.entry(outcome).or_insert(0u64) += 1;
        }
    }
    println!("{script_of:?}: {outcomes:?}");
    outcomes
}

/// Recovery itself is interrupted at every operation; the next one ends where it would have ended.
#[test]
fn an_interrupted_recovery_is_repeated() {
    let prepare = || {
        let crashed = Crashed::new(12, 3, 6, false);
        // Damage for a repair, a header to mend, and in the second turn a torn tail to cut.
        crashed.damage(crashed.position(4).plus(40), |byte| !byte);
        crashed.damage_file(&segment_name(1), 70, |byte| !byte);
        crashed
    };
    for with_ring in [true, false] {
        let crashed = prepare();
        let ring = with_ring.then_some(&crashed.ring[..]);
        let image = ring.map(|file| LogBufferImage::of_file(file).unwrap());
        let options = crashed.options(ring);
        if !with_ring {
            crashed.zero_from(crashed.position(5));
        }
        let expected = recover(&crashed.storage, &crashed.meta, &options).unwrap();
        assert_eq!(expected.tail.index, if with_ring { 12 } else { 3 });
        let count = FaultyStorage::new(crashed.storage.copy(), Fault::Fail, 0);
        let work = |storage: &FaultyStorage| {
            let recovery = recover(storage, &crashed.meta, &options)?;
            recovery
                .apply(storage, &crashed.meta, image)
                .map_err(RecoveryError::from)
        };
        work(&count).unwrap();
        for operation in 1..=count.operation_count() {
            for fault in [Fault::PowerCut, Fault::Torn, Fault::Fail, Fault::ShortWrite] {
                let storage = FaultyStorage::new(crashed.storage.copy(), fault, operation);
                work(&storage).unwrap_err();
                let mut random = Random(operation);
                let disk = storage.inner().power_cut(|| random.below(2) == 0);
                let again = Crashed {
                    storage: disk,
                    meta: crashed.meta,
                    ring: crashed.ring.clone(),
                    appended: crashed.appended.clone(),
                    boot_id: crashed.boot_id,
                };
                let recovery = again.recover_and_apply(ring);
                assert_eq!(recovery.tail, expected.tail, "{fault:?} at {operation}");
            }
        }
    }
}

/// A full disk must not keep a journal from recovering: the cut bytes are then not kept.
#[test]
fn a_torn_tail_is_cut_on_a_full_disk_too() {
    let crashed = Crashed::new(4, 0, 6, false);
    crashed.damage(crashed.position(4).plus(5), |byte| !byte);
    let recovery = crashed.recover(None).unwrap();
    let mut seen = 0;
    for operation in 1..20 {
        let storage = FaultyStorage::new(crashed.storage.copy(), Fault::NoSpace, operation);
        if let Ok(applied) = recovery.apply(&storage, &crashed.meta, None)
            && applied.cut_file.is_none()
        {
            seen += 1;
            let after = Crashed {
                storage: storage.inner().clone(),
                ..Crashed::new(4, 0, 6, false)
            };
            assert_eq!(after.recover_and_apply(None).tail.index, 3);
        }
    }
    assert!(seen >= 2, "creating and writing the copy");
}
