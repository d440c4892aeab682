use super::retention::Retention;
use super::*;
use crate::folder::AcknowledgementPolicy;
use crate::segment::segment_name;
use crate::snapshot::{SnapshotFacts, SnapshotWriter, snapshot_name};
use crate::storage::{DirectStorage, Fault, FaultyStorage, MemoryStorage, Storage};
use crate::testing::{Bench, DATA_LENGTH, disk_folder};
use crate::{Lineage, LogTail};

const ONE: Retention = Retention {
    keep: 1,
    keep_ns: 0,
};

/// Four segments and three snapshots, behind batches in segments 0, 1 and 2.
fn journal() -> Bench<MemoryStorage> {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    for segment in 0..3 {
        while bench.buffer.published_position().0 < segment * DATA_LENGTH + 5000 {
            bench.append(1, &[2000], 0);
            bench.drain().unwrap();
        }
        let tail = *bench.appender.tail();
        snapshot(&bench.storage, &tail);
    }
    bench
}

fn snapshot(storage: &MemoryStorage, tail: &LogTail) {
    let mut writer = SnapshotWriter::create(storage, tail.index).unwrap();
    writer.section(1).unwrap();
    writer.bytes(&tail.index.to_le_bytes()).unwrap();
    let facts = SnapshotFacts {
        cluster_id: crate::ClusterId([1; 16]),
        lineage: Lineage([3; 16]),
        tail: *tail,
        digest: 0,
        feature_set_version: 0,
        image_version: 1,
        state_hash: [0; 32],
        engine_version: "test".to_owned(),
        stream_index: 0,
    };
    writer.finish(&facts).unwrap();
}

fn files(storage: &MemoryStorage) -> Vec<String> {
    let names = storage.list().unwrap().into_iter();
    names
        .filter(|name| name.ends_with(".segment") || name.ends_with(".snapshot"))
        .collect()
}

fn keep<S: Storage, A: Storage>(storage: &S, archive: A) -> Result<Vec<Kept>, ArchiveError> {
    let meta = crate::folder::read_meta(storage).expect("a journal");
    let mut keeper = Keeper::new(storage, &meta, Archive::open(archive)?, ONE);
    let mut gone = Vec::new();
    while let Some(kept) = keeper.do_work(u64::MAX, u64::MAX, u64::MAX)? {
        gone.push(kept);
    }
    Ok(gone)
}

#[test]
fn what_is_not_needed_goes_oldest_first_and_comes_back_as_it_was() {
    let bench = journal();
    let before = bench.storage.copy();
    let archive = MemoryStorage::new();
    let gone = keep(&bench.storage, archive.clone()).unwrap();
    let kinds: Vec<_> = gone.iter().map(|kept| kept.kind).collect();
    use ArchiveKind::{Segment, Snapshot};
    assert_eq!(kinds, [Snapshot, Snapshot, Segment, Segment]);
    assert!(
        gone.iter().all(|kept| kept.stored_length < DATA_LENGTH),
        "compressed"
    );
    assert_eq!(files(&bench.storage).len(), files(&before).len() - 4);
    assert!(!files(&bench.storage).contains(&segment_name(1)));
    assert!(files(&bench.storage).contains(&segment_name(2)));
    let archive = Archive::open(archive).unwrap();
    for entry in archive.entries() {
        archive.verify(entry).unwrap();
        archive
            .restore(&bench.storage, entry.kind, entry.number)
            .unwrap();
        archive
            .restore(&bench.storage, entry.kind, entry.number)
            .unwrap();
    }
    for name in files(&before) {
        assert_eq!(bench.storage.get(&name), before.get(&name), "{name}");
    }
    let missing = archive.restore(&bench.storage, Segment, 99).unwrap_err();
    assert!(matches!(missing, ArchiveError::NotThere { .. }));
}

#[test]
fn a_damaged_snapshot_is_neither_trimmed_nor_counted() {
    let bench = journal();
    let newest = *crate::snapshot::list(&bench.storage)
        .unwrap()
        .last()
        .unwrap();
    let mut bytes = bench.storage.get(&snapshot_name(newest)).unwrap();
    let last = bytes.len() - 4096;
    bytes[last] ^= 1;
    bench.storage.put(&snapshot_name(newest), &bytes);
    let gone = keep(&bench.storage, MemoryStorage::new()).unwrap();
    assert!(gone.iter().all(|kept| kept.number != newest));
    let segments = gone.iter().filter(|kept| kept.kind == ArchiveKind::Segment);
    assert_eq!(segments.count(), 1, "segment 1 is needed by the older one");
}

#[test]
fn what_is_not_sealed_stays() {
    let bench = journal();
    let archive = Archive::open(MemoryStorage::new()).unwrap();
    let mut keeper = Keeper::new(&bench.storage, &bench.meta, archive, ONE);
    assert_eq!(keeper.do_work(u64::MAX, 0, 0).unwrap(), None);
    let kept = keeper.do_work(u64::MAX, 1, 0).unwrap().unwrap();
    assert_eq!((kept.kind, kept.number), (ArchiveKind::Segment, 0));
    assert_eq!(keeper.do_work(u64::MAX, 1, 0).unwrap(), None);
}

#[test]
fn a_damaged_copy_or_manifest_is_found() {
    let bench = journal();
    let folder = MemoryStorage::new();
    keep(&bench.storage, folder.clone()).unwrap();
    let text = folder.get(MANIFEST_NAME).unwrap();
    for at in 0..text.len() {
        let mut bad = text.clone();
        bad[at] ^= 1;
        folder.put(MANIFEST_NAME, &bad);
        let result = Archive::open(folder.clone());
        assert!(
            matches!(result, Err(ArchiveError::Manifest { .. })),
            "byte {at}"
        );
    }
    folder.put(MANIFEST_NAME, &text);
    let archive = Archive::open(folder.clone()).unwrap();
    let entry = archive.entries()[2];
    let good = folder.get(&entry.stored_name()).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        folder.put(&entry.stored_name(), &bad);
        let damaged = archive.restore(&bench.storage, entry.kind, entry.number);
        assert!(
            matches!(damaged, Err(ArchiveError::Damaged { .. })),
            "byte {at}"
        );
        assert!(!files(&bench.storage).contains(&entry.name()));
    }
}

/// A fault at any operation of either folder, and the power goes: each file is whole in one of the two.
#[test]
fn nothing_is_lost_between_the_two_folders() {
    let bench = journal();
    let wanted = files(&bench.storage);
    let run = |fault, in_journal: u64, in_archive: u64| {
        let journal = FaultyStorage::new(bench.storage.copy(), fault, in_journal);
        let archive = FaultyStorage::new(MemoryStorage::new(), fault, in_archive);
        let result = keep(&journal, archive.clone());
        (journal, archive, result)
    };
    let (journal, archive, _) = run(Fault::Fail, 0, 0);
    let counts = (journal.operation_count(), archive.operation_count());
    let meta_reads = 1;
    let plans = (meta_reads + 1..=counts.0)
        .map(|at| (at, 0))
        .chain((1..=counts.1).map(|at| (0, at)));
    let mut failures = 0;
    for (in_journal, in_archive) in plans {
        for fault in [
            Fault::Fail,
            Fault::PowerCut,
            Fault::Torn,
            Fault::ShortWrite,
            Fault::Flip,
            Fault::Misdirect,
            Fault::Lost,
        ] {
            let (journal, archive, result) = run(fault, in_journal, in_archive);
            failures += u32::from(result.is_err());
            let journal = journal.inner().power_cut(|| false);
            let archive = archive.inner().power_cut(|| false);
            let archive = Archive::open(archive);
            for name in &wanted {
                if files(&journal).contains(name) {
                    assert_eq!(journal.get(name), bench.storage.get(name));
                    continue;
                }
                let archive = archive.as_ref().expect("a whole manifest");
                let entry = archive.entries().iter().find(|entry| entry.name() == *name);
                archive
                    .verify(entry.expect("in the manifest"))
                    .expect("whole");
            }
        }
    }
    assert!(failures > 100, "{failures}");
}

#[test]
fn it_works_on_disks() {
    let (journal, archive) = (disk_folder(), disk_folder());
    let storage = DirectStorage::open(journal.path()).unwrap();
    let mut bench = Bench::new(storage, AcknowledgementPolicy::Local);
    while bench.buffer.published_position().0 < DATA_LENGTH + 5000 {
        bench.append(1, &[2000], 0);
        bench.drain().unwrap();
    }
    let mut archive = Archive::open(DirectStorage::open(archive.path()).unwrap()).unwrap();
    let entry = archive
        .add(&bench.storage, ArchiveKind::Segment, 0)
        .unwrap();
    assert_eq!(
        archive
            .add(&bench.storage, ArchiveKind::Segment, 0)
            .unwrap(),
        entry
    );
    let before = bench.storage.map(&segment_name(0)).unwrap().to_vec();
    bench.storage.delete(&segment_name(0)).unwrap();
    archive
        .restore(&bench.storage, ArchiveKind::Segment, 0)
        .unwrap();
    assert_eq!(
        bench.storage.map(&segment_name(0)).unwrap().to_vec(),
        before
    );
}
