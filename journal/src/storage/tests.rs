use super::*;
use crate::{ClusterId, JournalId, LogBufferOptions, LogPosition, LogTail, RING_LENGTH_MIN};

/// What every kind of storage must do alike.
fn check_folder<S: Storage>(storage: &S) {
    let file = storage.create("a", WriteMode::Buffered).unwrap();
    assert!(matches!(
        storage.create("a", WriteMode::Buffered),
        Err(StorageError::Exists { .. })
    ));
    assert!(matches!(
        storage.open("b", WriteMode::Buffered),
        Err(StorageError::NotFound { .. })
    ));
    assert!(matches!(
        storage.map("b"),
        Err(StorageError::NotFound { .. })
    ));
    file.write_at(3, b"xyz").unwrap();
    file.sync().unwrap();
    assert_eq!(file.length().unwrap(), 6);
    let mut target = [9; 10];
    assert_eq!(file.read_at(2, &mut target).unwrap(), 4);
    assert_eq!(&target[..4], b"\0xyz");
    file.set_length(5).unwrap();
    storage.rename("a", "c").unwrap();
    storage.sync_folder().unwrap();
    assert_eq!(&storage.map("c").unwrap()[..], b"\0\0\0xy");
    assert_eq!(storage.list().unwrap(), ["c"]);
    storage.delete("c").unwrap();
    let lock = storage.lock("lock").unwrap();
    assert!(matches!(
        storage.lock("lock"),
        Err(StorageError::Locked { .. })
    ));
    drop(lock);
    drop(storage.lock("lock").unwrap());
}

fn log_buffer(folder: &tempfile::TempDir) -> Arc<LogBuffer> {
    let options = LogBufferOptions {
        path: folder.path().join("buffer"),
        ring_length: RING_LENGTH_MIN,
        cluster_id: ClusterId([1; 16]),
        journal_id: JournalId([2; 16]),
        segment_data_length: 1 << 20,
    };
    LogBuffer::create(&options, &LogTail::EMPTY, &[]).unwrap()
}

/// Ring bytes to a file, through whatever lane the storage has.
fn check_lane<S: Storage>(storage: &S, mode: WriteMode) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let buffer = log_buffer(&folder);
    let mut appender = buffer.appender(crate::Lineage::ZERO).unwrap();
    appender.begin(10_000).unwrap();
    for n in 0..1250u64 {
        appender.push(&n.to_le_bytes()).unwrap();
    }
    let mut lane = storage.lane(Arc::clone(&buffer)).unwrap();
    let file = storage.create("data", WriteMode::Buffered).unwrap();
    file.reserve(16 << 10).unwrap();
    file.sync().unwrap();
    drop(file);
    let file = storage.open("data", mode).unwrap();
    let bytes = LogBytes::new(&buffer, LogPosition(0), 12 << 10);
    lane.submit_write(&file, 4096, bytes, 7).unwrap();
    let wait = |lane: &mut S::Lane| {
        loop {
            if let Some(completion) = lane.poll().unwrap() {
                return completion;
            }
            std::thread::yield_now();
        }
    };
    assert_eq!(
        wait(&mut lane),
        Completion {
            token: 7,
            result: Ok(())
        }
    );
    lane.submit_sync(&file, 8).unwrap();
    assert_eq!(
        wait(&mut lane),
        Completion {
            token: 8,
            result: Ok(())
        }
    );
    assert_eq!(lane.poll().unwrap(), None);
    let data = storage.map("data").unwrap();
    let body: Vec<u8> = (0..1250u64).flat_map(u64::to_le_bytes).collect();
    assert_eq!(&data[4096 + 192..][..body.len()], body);
    assert_eq!(data.len(), 16 << 10);
    lane.driver()
}

/// A folder on the file system that the build writes to, which is a disk where /tmp may be memory.
fn disk_folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

#[test]
fn memory_and_direct_folders_behave_alike() {
    check_folder(&MemoryStorage::new());
    check_folder(&FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0));
    let folder = tempfile::tempdir().unwrap();
    check_folder(&DirectStorage::create(&folder.path().join("new/folder")).unwrap());
    assert!(DirectStorage::open(&folder.path().join("none")).is_err());
}

#[test]
fn every_lane_and_mode_writes_the_same_bytes() {
    for mode in [
        WriteMode::Buffered,
        WriteMode::Direct,
        WriteMode::DirectSync,
    ] {
        assert_eq!(check_lane(&MemoryStorage::new(), mode), "memory");
        let folder = disk_folder();
        let driver = check_lane(&DirectStorage::open(folder.path()).unwrap(), mode);
        println!("{mode:?}: {driver}");
    }
    if std::path::Path::new("/dev/shm").is_dir() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        check_lane(
            &DirectStorage::open(folder.path()).unwrap(),
            WriteMode::DirectSync,
        );
    }
}

#[test]
fn the_blocking_lane_writes_ring_memory_without_a_copy_too() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let buffer = log_buffer(&folder);
    let mut appender = buffer.appender(crate::Lineage::ZERO).unwrap();
    appender.begin(8).unwrap();
    appender.push(&[5; 8]).unwrap();
    let file = storage.create("data", WriteMode::DirectSync).unwrap();
    let mut lane = BlockingLane::new("pwrite");
    lane.submit_write(&file, 0, LogBytes::new(&buffer, LogPosition(0), 4096), 1)
        .unwrap();
    assert_eq!(
        lane.poll().unwrap(),
        Some(Completion {
            token: 1,
            result: Ok(())
        })
    );
    assert_eq!(storage.map("data").unwrap()[192..200], [5; 8]);
}

#[test]
fn an_abandoned_write_is_waited_for() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let buffer = log_buffer(&folder);
    let mut lane = storage.lane(Arc::clone(&buffer)).unwrap();
    let file = storage.create("data", WriteMode::DirectSync).unwrap();
    lane.submit_write(&file, 0, LogBytes::new(&buffer, LogPosition(0), 1 << 20), 1)
        .unwrap();
    drop((lane, file));
    storage.settle("data").unwrap();
    assert_eq!(storage.map("data").unwrap().len(), 1 << 20);
}

#[test]
fn a_file_open_for_direct_writes_is_locked() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    drop(storage.create("data", WriteMode::Buffered).unwrap());
    let file = storage.open("data", WriteMode::Direct).unwrap();
    let second = storage.open("data", WriteMode::Direct);
    assert!(matches!(second, Err(StorageError::Locked { .. })));
    drop(file);
    storage.settle("data").unwrap();
    storage.open("data", WriteMode::Direct).unwrap();
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_of_the_rest() {
    let storage = MemoryStorage::new();
    let file = storage.create("kept", WriteMode::Buffered).unwrap();
    file.write_at(0, &[1; 2048]).unwrap();
    file.sync().unwrap();
    storage.sync_folder().unwrap();
    file.write_at(512, &[2; 1024]).unwrap();
    storage
        .create("lost", WriteMode::Buffered)
        .unwrap()
        .write_at(0, &[3; 512])
        .unwrap();
    let none = storage.power_cut(|| false);
    assert_eq!(none.get("kept").unwrap(), [1; 2048]);
    assert_eq!(none.get("lost"), None);
    let mut turn = false;
    let half = storage.power_cut(|| {
        turn = !turn;
        turn
    });
    assert_eq!(half.get("kept").unwrap()[512..1024], [2; 512]);
    assert_eq!(half.get("kept").unwrap()[1024..1536], [1; 512]);
}

#[test]
fn faults_hit_the_operation_they_are_planned_for() {
    let script = |storage: &FaultyStorage| {
        let file = storage.create("f", WriteMode::Buffered)?;
        file.write_at(0, &[7; 16384])?;
        file.sync()
    };
    let run = |fault, operation| {
        let storage = FaultyStorage::new(MemoryStorage::new(), fault, operation);
        let result = script(&storage);
        (
            result,
            storage.inner().get("f").unwrap_or_default(),
            storage,
        )
    };
    assert_eq!(run(Fault::Fail, 0).2.operation_count(), 3);
    assert!(matches!(
        run(Fault::Fail, 1).0,
        Err(StorageError::Io {
            operation: "create",
            ..
        })
    ));
    assert!(matches!(
        run(Fault::NoSpace, 2).0,
        Err(StorageError::NoSpace { .. })
    ));
    let (short, bytes, _) = run(Fault::ShortWrite, 2);
    assert!(matches!(
        short,
        Err(StorageError::ShortWrite {
            written: 8192,
            expected: 16384,
            ..
        })
    ));
    assert_eq!(bytes, [7; 8192]);
    let (torn, bytes, storage) = run(Fault::Torn, 2);
    assert!(torn.is_err() && bytes[..512] == [0; 512] && bytes[512..1024] == [7; 512]);
    assert!(storage.list().is_err(), "dead from then on");
    let (flipped, bytes, _) = run(Fault::Flip, 2);
    assert!(flipped.is_ok() && bytes.iter().filter(|byte| **byte != 7).count() == 1);
    let (misdirected, bytes, _) = run(Fault::Misdirect, 2);
    assert!(misdirected.is_ok() && bytes[..4096] == [0; 4096] && bytes.len() == 20480);
    assert!(matches!(run(Fault::Lost, 2), (Ok(()), bytes, _) if bytes.is_empty()));
    assert!(run(Fault::Lost, 3).0.is_err(), "a sync that fails says so");
}
