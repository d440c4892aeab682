use super::*;
use crate::pace::CHUNK_LENGTH;
use crate::storage::{DirectStorage, Fault, FaultyStorage, MemoryStorage, WriteMode};
use crate::storage::{StorageError, StorageFile};
use crate::testing::disk_folder;

const CLUSTER: ClusterId = ClusterId([1; 16]);

fn facts(index: u64) -> SnapshotFacts {
    SnapshotFacts {
        cluster_id: CLUSTER,
        lineage: Lineage([3; 16]),
        tail: LogTail {
            position: LogPosition(640 * index),
            index,
            term: 4,
            next_sequence: 5 * index,
            timestamp: 77,
            header_checksum: Checksum([9; 16]),
        },
        digest: 0x1234,
        feature_set_version: 0,
        image_version: 2,
        state_hash: [8; 32],
        engine_version: "0.1.0".to_owned(),
        stream_index: 1,
    }
}

/// Three sections: short, empty, longer than a block.
fn contents() -> [(u32, Vec<u8>); 3] {
    let long = (0..5000u32).map(|at| (at * 7) as u8).collect();
    [(1, b"short".to_vec()), (2, Vec::new()), (16, long)]
}

fn write<S: Storage>(storage: &S, index: u64) -> Result<SnapshotHeader, StorageError> {
    let mut writer = SnapshotWriter::create(storage, index)?;
    for (tag, bytes) in contents() {
        writer.section(tag)?;
        for piece in bytes.chunks(999) {
            writer.bytes(piece)?;
        }
    }
    writer.finish(&facts(index))
}

fn assert_whole<S: Storage>(storage: &S, index: u64) {
    let file = SnapshotFile::open(storage, index, CLUSTER).unwrap();
    file.verify().unwrap();
    assert_eq!(file.header().facts, facts(index));
    for (tag, bytes) in contents() {
        assert_eq!(file.section(tag), Some(&bytes[..]));
    }
    assert_eq!(file.section(3), None);
}

#[test]
fn a_snapshot_reads_back_from_memory_and_from_a_disk() {
    let memory = MemoryStorage::new();
    let header = write(&memory, 42).unwrap();
    assert_eq!(header.file_length, 4096 * (1 + 1 + 2));
    assert_whole(&memory, 42);
    assert_eq!(list(&memory).unwrap(), [42]);
    let folder = disk_folder();
    let disk = DirectStorage::open(folder.path()).unwrap();
    write(&disk, 42).unwrap();
    assert_whole(&disk, 42);
    let (one, other) = (
        memory.get(&snapshot_name(42)).unwrap(),
        disk.map(&snapshot_name(42)),
    );
    assert_eq!(one, other.unwrap().to_vec(), "the same bytes everywhere");
}

/// A section that is exactly as long as the writer's buffer, and one byte to either side.
#[test]
fn sections_around_the_buffer_length_read_back() {
    for length in (CHUNK_LENGTH - 1..=CHUNK_LENGTH + 1).chain([5 * CHUNK_LENGTH + 7]) {
        let memory = MemoryStorage::new();
        let mut writer = SnapshotWriter::create(&memory, 1).unwrap();
        let content = vec![7; length];
        writer.section(1).unwrap();
        writer.bytes(&content).unwrap();
        writer.section(2).unwrap();
        writer.bytes(b"behind").unwrap();
        let header = writer.finish(&facts(1)).unwrap();
        read_back(&memory, &header).unwrap();
        let file = SnapshotFile::open(&memory, 1, CLUSTER).unwrap();
        file.verify().unwrap();
        assert_eq!(file.section(1).unwrap(), content);
        assert_eq!(file.section(2).unwrap(), b"behind");
    }
}

#[test]
fn every_damaged_byte_is_found() {
    let storage = MemoryStorage::new();
    write(&storage, 7).unwrap();
    let name = snapshot_name(7);
    let good = storage.get(&name).unwrap();
    let header = SnapshotFile::open(&storage, 7, CLUSTER)
        .unwrap()
        .header()
        .clone();
    read_back(&storage, &header).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let damaged = MemoryStorage::new();
        damaged.put(&name, &bad);
        assert!(read_back(&damaged, &header).is_err(), "byte {at}");
        let file = SnapshotFile::open(&damaged, 7, CLUSTER);
        assert!(file.and_then(|file| file.verify()).is_err(), "byte {at}");
    }
    for length in [0, 1, 4095, 4096, 8192, good.len() - 1, good.len() + 1] {
        let mut bad = good.clone();
        bad.resize(length, 0);
        let damaged = MemoryStorage::new();
        damaged.put(&name, &bad);
        assert!(read_back(&damaged, &header).is_err(), "length {length}");
        assert!(
            SnapshotFile::open(&damaged, 7, CLUSTER).is_err(),
            "length {length}"
        );
    }
    storage.rename(&name, &snapshot_name(8)).unwrap();
    let other = SnapshotFile::open(&storage, 8, CLUSTER).unwrap_err();
    assert!(matches!(other, SnapshotError::OtherIndex { found: 7, .. }));
    let foreign = SnapshotFile::open(&storage, 8, ClusterId([2; 16])).unwrap_err();
    assert!(matches!(foreign, SnapshotError::OtherCluster { .. }));
}

/// Each operation of the writing fails, tears, flips or is lost in turn, and the power goes with any subset of
/// what was not synced: what has a snapshot's name is whole, or it is found out; an error leaves no name.
#[test]
fn faults_and_power_cuts_never_make_half_a_snapshot_a_whole_one() {
    let counting = FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0);
    write(&counting, 5).unwrap();
    let operations = counting.operation_count();
    assert!(operations > 8);
    let mut found_out = 0;
    for operation in 1..=operations {
        for fault in FAULTS {
            let storage = FaultyStorage::new(MemoryStorage::new(), fault, operation);
            let result = write(&storage, 5);
            for keep in [false, true] {
                let disk = storage.inner().power_cut(|| keep);
                if result.is_ok() {
                    assert_eq!(list(&disk).unwrap(), [5], "{fault:?} {operation}");
                }
                for index in list(&disk).unwrap() {
                    let file = SnapshotFile::open(&disk, index, CLUSTER);
                    match file.and_then(|file| file.verify()) {
                        Ok(()) => assert_whole(&disk, index),
                        Err(_) => found_out += 1,
                    }
                }
            }
            // The next one is not hindered by what is left.
            let again = storage.inner();
            write(again, 6).unwrap();
            assert_whole(again, 6);
        }
    }
    assert!(found_out > 0, "faults that claim success must have shown");
}

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

#[test]
fn one_writer_at_a_time_and_leftovers_go() {
    let storage = MemoryStorage::new();
    let first = SnapshotWriter::create(&storage, 1).unwrap();
    let second = SnapshotWriter::create(&storage, 2).unwrap_err();
    assert!(matches!(second, StorageError::Locked { .. }));
    drop(first);
    assert!(storage.list().unwrap().contains(&preparing_name(1)));
    assert_eq!(list(&storage).unwrap(), []);
    write(&storage, 2).unwrap();
    assert!(!storage.list().unwrap().contains(&preparing_name(1)));
    let file = storage
        .open(&snapshot_name(2), WriteMode::Buffered)
        .unwrap();
    assert!(file.length().unwrap() > 0);
}

#[test]
fn a_newer_format_says_so() {
    let mut header = SnapshotHeader {
        facts: facts(3),
        file_length: 4096 + 4096,
        sections: vec![SnapshotSection {
            tag: 1,
            offset: 4096,
            length: 1,
            checksum: Checksum::of(b"x"),
        }],
    }
    .encode();
    put(&mut header, 8, &7u16.to_le_bytes());
    header_block::finish(header_without_checksum(&mut header));
    let error = SnapshotHeader::decode(&header).unwrap_err();
    assert!(matches!(
        error,
        HeaderBlockError::NewerFormat { version: 7, .. }
    ));
}

fn header_without_checksum(header: &mut [u8; 4096]) -> &mut [u8; 4096] {
    put(header, 112, &[0; 16]);
    header
}
