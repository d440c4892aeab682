use super::*;
use crate::folder::{AcknowledgementPolicy, JournalMeta};
use crate::segment::segment_name;
use crate::storage::{Fault, FaultyStorage, MemoryStorage, Storage};
use crate::testing::{Bench, DATA_LENGTH};

const KEY: &[u8] = b"sixteen bytes or more";

fn key() -> SealKey {
    SealKey::new(KEY).unwrap()
}

/// A journal of several finished segments.
fn journal() -> Bench<MemoryStorage> {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    while bench.buffer.published_position().0 < 3 * DATA_LENGTH + 100 {
        bench.append(1, &[2000], 0);
        bench.drain().unwrap();
    }
    bench
}

fn seal_all<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    committed: u64,
    key: Option<SealKey>,
) -> Result<Sealer<S>, SealError> {
    let mut sealer = Sealer::new(storage, meta, key)?;
    while sealer.do_work(crate::LogPosition(committed))? > 0 {}
    Ok(sealer)
}

fn faults(storage: &MemoryStorage, meta: &JournalMeta, key: Option<&SealKey>) -> Vec<SealFault> {
    let report = verify_seals(storage, meta, SealKind::Segment, key, None).unwrap();
    report
        .findings
        .into_iter()
        .map(|found| found.fault)
        .collect()
}

#[test]
fn finished_segments_are_sealed_once_and_verify() {
    let bench = journal();
    let (storage, meta) = (&bench.storage, &bench.meta);
    let sealer = seal_all(storage, meta, 2 * DATA_LENGTH - 1, Some(key())).unwrap();
    assert_eq!(
        sealer.sealed_segments(),
        1,
        "only what the log has left behind"
    );
    drop(sealer);
    let sealer = seal_all(storage, meta, 3 * DATA_LENGTH + 100, Some(key())).unwrap();
    assert_eq!(sealer.sealed_segments(), 3);
    let report = verify_seals(storage, meta, SealKind::Segment, Some(&key()), None).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.seal_count, report.content_count), (3, 3));
    let exported = report.last.unwrap().to_string();
    let (kind, ordinal, number, chain, _) = Seal::parse_line(&exported).unwrap();
    assert_eq!((kind, ordinal, number), (SealKind::Segment, 2, 2));
    let anchored = |anchor| {
        let report = verify_seals(storage, meta, SealKind::Segment, None, Some(anchor));
        report.unwrap().is_sound()
    };
    assert!(anchored((ordinal, chain)));
    assert!(!anchored((ordinal, [1; 32])));
    assert!(!anchored((3, chain)), "a chain that was cut");
}

/// A forger who mends every checksum, and even recomputes the chain, is found out by the key.
#[test]
fn alteration_is_found_and_recomputing_the_chain_does_not_hide_it() {
    let bench = journal();
    let (storage, meta) = (&bench.storage, &bench.meta);
    seal_all(storage, meta, 3 * DATA_LENGTH, Some(key())).unwrap();
    let mut altered = storage.get(&segment_name(1)).unwrap();
    altered[5000] ^= 1;
    storage.put(&segment_name(1), &altered);
    assert_eq!(faults(storage, meta, Some(&key())), [SealFault::Altered]);
    storage.delete(SealKind::Segment.file_name()).unwrap();
    let other = SealKey::new(b"the forger's own key").unwrap();
    seal_all(storage, meta, 3 * DATA_LENGTH, Some(other)).unwrap();
    let found = faults(storage, meta, Some(&key()));
    assert!(
        matches!(found[..], [SealFault::OtherKey { .. }, ..]),
        "{found:?}"
    );
    storage.delete(SealKind::Segment.file_name()).unwrap();
    seal_all(storage, meta, 3 * DATA_LENGTH, None).unwrap();
    assert_eq!(
        faults(storage, meta, Some(&key())),
        vec![SealFault::NotKeyed; 3]
    );
    assert_eq!(faults(storage, meta, None), []);
}

#[test]
fn what_is_removed_or_reordered_is_found() {
    let bench = journal();
    let (storage, meta) = (&bench.storage, &bench.meta);
    seal_all(storage, meta, 3 * DATA_LENGTH, Some(key())).unwrap();
    let name = SealKind::Segment.file_name();
    let good = storage.get(name).unwrap();
    storage.delete(&segment_name(0)).unwrap();
    assert_eq!(faults(storage, meta, Some(&key())), [SealFault::Absent]);
    // The middle entry taken out, its follower renumbered with a fresh CRC.
    let mut last = read_seals(storage, SealKind::Segment).unwrap()[2];
    last.ordinal = 1;
    let mut forged = good[..SEAL_LENGTH].to_vec();
    forged.extend(last.encode());
    storage.put(name, &forged);
    let found = faults(storage, meta, Some(&key()));
    for wanted in [
        SealFault::Entry,
        SealFault::Chain,
        SealFault::Gap { before: 0 },
    ] {
        assert!(found.contains(&wanted), "{wanted:?} in {found:?}");
    }
}

#[test]
fn every_damaged_byte_of_the_chain_is_found() {
    let bench = journal();
    let (storage, meta) = (&bench.storage, &bench.meta);
    seal_all(storage, meta, 2 * DATA_LENGTH, Some(key())).unwrap();
    let name = SealKind::Segment.file_name();
    let good = storage.get(name).unwrap();
    assert_eq!(good.len(), 2 * SEAL_LENGTH);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        storage.put(name, &bad);
        let result = read_seals(storage, SealKind::Segment);
        if at < SEAL_LENGTH {
            let error = SealError::Damaged {
                file: name,
                ordinal: 0,
            };
            assert_eq!(result, Err(error), "byte {at}");
        } else {
            assert_eq!(result.unwrap().len(), 1, "byte {at}: taken for torn");
        }
    }
    storage.put(name, &good);
    assert_eq!(faults(storage, meta, Some(&key())), []);
}

/// A fault at any operation: an error, or a chain that goes on where it was; never a seal that is wrong and
/// verifies.
#[test]
fn faults_while_sealing_leave_a_chain_that_can_be_continued() {
    let bench = journal();
    let meta = &bench.meta;
    let all = [
        Fault::Fail,
        Fault::PowerCut,
        Fault::Torn,
        Fault::ShortWrite,
        Fault::Lost,
    ];
    let counting = FaultyStorage::new(bench.storage.copy(), Fault::Fail, 0);
    seal_all(&counting, meta, 3 * DATA_LENGTH, Some(key())).unwrap();
    let mut errors = 0;
    for operation in 1..=counting.operation_count() {
        for fault in all {
            let storage = FaultyStorage::new(bench.storage.copy(), fault, operation);
            let result = seal_all(&storage, meta, 3 * DATA_LENGTH, Some(key()));
            errors += u32::from(result.is_err());
            let disk = storage.inner().power_cut(|| true);
            if seal_all(&disk, meta, 3 * DATA_LENGTH, Some(key())).is_ok() {
                assert_eq!(
                    faults(&disk, meta, Some(&key())),
                    [],
                    "{fault:?} {operation}"
                );
            }
        }
    }
    assert!(errors > 20);
}
