use super::*;
use crate::storage::{DirectStorage, Fault, FaultyStorage, MemoryStorage};
use crate::{BootId, LogBufferId};
use std::path::Path;
use std::process::{Command, Stdio};

const LOCAL: OpenOptions = OpenOptions {
    policy: AcknowledgementPolicy::Local,
    allow_volatile: false,
};
const DURABLE: OpenOptions = OpenOptions {
    policy: AcknowledgementPolicy::Durable,
    allow_volatile: false,
};

fn options() -> FormatOptions {
    FormatOptions {
        segment_data_length: 8192,
        ..FormatOptions::new_cluster(7).unwrap()
    }
}

fn formatted() -> (MemoryStorage, JournalMeta) {
    let storage = MemoryStorage::new();
    let meta = format(&storage, &options()).unwrap();
    (storage, meta)
}

#[test]
fn format_makes_a_journal_once() {
    let (storage, meta) = formatted();
    assert_eq!(read_meta(&storage).unwrap(), meta);
    assert!(matches!(
        format(&storage, &options()),
        Err(FolderError::NotEmpty { .. })
    ));
    let folder = JournalFolder::open(storage.clone(), DURABLE).unwrap();
    assert_eq!(folder.meta(), &meta);
    let second = JournalFolder::open(storage.clone(), DURABLE);
    assert!(matches!(
        second,
        Err(FolderError::Storage(StorageError::Locked { .. }))
    ));
    drop(folder);
    JournalFolder::open(storage, DURABLE).unwrap();
    let bad = FormatOptions {
        segment_data_length: 5000,
        ..options()
    };
    let refused = format(&MemoryStorage::new(), &bad);
    assert_eq!(
        refused,
        Err(FolderError::SegmentDataLength { length: 5000 })
    );
}

#[test]
fn a_folder_that_is_no_journal_is_refused_by_name() {
    let none = JournalFolder::open(MemoryStorage::new(), LOCAL);
    assert!(matches!(none, Err(FolderError::NotAJournal { .. })));
    assert!(matches!(
        DirectStorage::open(Path::new("/nonexistent/journal")),
        Err(StorageError::NotFound { .. })
    ));
}

/// Row R13, and R9 for the meta file.
#[test]
fn a_damaged_or_newer_meta_file_is_refused() {
    let (storage, meta) = formatted();
    let good = storage.get(META_NAME).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        storage.put(META_NAME, &bad);
        assert!(
            matches!(read_meta(&storage), Err(FolderError::Meta { .. })),
            "byte {at}"
        );
    }
    let mut newer = meta.encode();
    newer[8] = 1;
    header_block_finish(&mut newer);
    storage.put(META_NAME, &newer);
    let source = HeaderBlockError::NewerFormat {
        version: 1,
        supported: 0,
    };
    let error = read_meta(&storage).unwrap_err();
    assert_eq!(
        error,
        FolderError::Meta {
            folder: "memory".to_owned(),
            source
        }
    );
    assert!(error.to_string().contains("newer"), "{error}");
}

fn header_block_finish(bytes: &mut [u8]) {
    bytes[112..128].fill(0);
    crate::header_block::finish(bytes);
}

#[test]
fn every_failure_while_formatting_is_reported_and_leaves_no_journal_or_a_whole_one() {
    let count = FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0);
    format(&count, &options()).unwrap();
    for operation in 1..=count.operation_count() {
        let storage = FaultyStorage::new(MemoryStorage::new(), Fault::PowerCut, operation);
        format(&storage, &options()).unwrap_err();
        let after = storage.inner().power_cut(|| operation % 2 == 0);
        match read_meta(&after) {
            Err(FolderError::NotAJournal { .. }) => {}
            other => {
                other.unwrap();
                HardStateLoad::read(&after, &read_meta(&after).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn durable_on_a_volatile_file_system_is_refused_unless_allowed() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        println!("SKIP: no /dev/shm");
        return;
    };
    let storage = DirectStorage::open(folder.path()).unwrap();
    format(&storage, &options()).unwrap();
    let refused = JournalFolder::open(storage.clone(), DURABLE);
    assert!(matches!(
        refused,
        Err(FolderError::Volatile {
            file_system: "tmpfs",
            ..
        })
    ));
    JournalFolder::open(storage.clone(), LOCAL).unwrap();
    JournalFolder::open(
        storage,
        OpenOptions {
            allow_volatile: true,
            ..DURABLE
        },
    )
    .unwrap();
}

const CHILD_FOLDER: &str = "LOCKSTEP_TEST_LOCK_FOLDER";

/// Not a test by itself: the other process of the next test.
#[test]
#[ignore = "run as a child process by two_processes_contend_for_the_lock"]
fn lock_holder_child() {
    let folder = std::env::var_os(CHILD_FOLDER).expect("run by the parent test");
    let storage = DirectStorage::open(Path::new(&folder)).unwrap();
    let _held = JournalFolder::open(storage, LOCAL).unwrap();
    println!("held");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn two_processes_contend_for_the_lock() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let storage = DirectStorage::open(folder.path()).unwrap();
    format(&storage, &options()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "folder::tests::lock_holder_child",
        ])
        .env(CHILD_FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("held")),
        "child holds the lock"
    );
    match JournalFolder::open(storage.clone(), LOCAL) {
        Err(FolderError::Storage(StorageError::Locked { process, .. })) => {
            assert_eq!(process, Some(child.id()));
        }
        other => panic!("{other:?}"),
    }
    // SIGKILL: the lock goes with the process, whatever the file says.
    child.kill().unwrap();
    child.wait().unwrap();
    JournalFolder::open(storage, LOCAL).unwrap();
}

#[test]
fn hard_state_alternates_and_survives_every_damaged_byte_of_one_slot() {
    let (storage, meta) = formatted();
    let mut file = HardStateFile::open(&storage, &meta).unwrap();
    let state = |term| HardState {
        term,
        vote: 1,
        commit_index: term * 10,
        log_buffer_id: LogBufferId([term as u8; 16]),
        boot_id: BootId([9; 16]),
    };
    for term in 1..=5 {
        file.store(&state(term)).unwrap();
        assert_eq!(
            HardStateFile::open(&storage, &meta).unwrap().state(),
            &state(term)
        );
    }
    let good = storage.get(HARD_STATE_NAME).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        storage.put(HARD_STATE_NAME, &bad);
        let load = HardStateLoad::read(&storage, &meta).unwrap();
        assert!(load.slot_damaged.is_some(), "byte {at}");
        assert!([4, 5].contains(&load.state.term));
        assert_eq!(load.state, state(load.state.term));
    }
    let mut both = good;
    both[100] ^= 1;
    both[4196] ^= 1;
    storage.put(HARD_STATE_NAME, &both);
    let damaged = HardStateLoad::read(&storage, &meta);
    assert!(matches!(damaged, Err(HardStateError::Damaged { .. })));
}

#[test]
fn hard_state_torn_by_a_power_cut_is_the_old_or_the_new_one() {
    let (storage, meta) = formatted();
    let mut file = HardStateFile::open(&storage, &meta).unwrap();
    file.store(&HardState {
        term: 1,
        ..HardState::default()
    })
    .unwrap();
    for seed in 0u32..16 {
        let faulty = FaultyStorage::new(storage.copy(), Fault::PowerCut, 4);
        let mut file = HardStateFile::open(&faulty, &meta).unwrap();
        // Operations: read, open, write, sync.
        file.store(&HardState {
            term: 2,
            ..HardState::default()
        })
        .unwrap_err();
        let mut sector = 0;
        let after = faulty.inner().power_cut(|| {
            sector += 1;
            seed >> (sector - 1) & 1 == 1
        });
        let load = HardStateLoad::read(&after, &meta).unwrap();
        assert!([1, 2].contains(&load.state.term), "{load:?}");
    }
}

#[test]
fn another_journals_hard_state_is_refused() {
    let (storage, _) = formatted();
    let (_, other) = formatted();
    let refused = HardStateLoad::read(&storage, &other);
    assert_eq!(
        refused,
        Err(HardStateError::Unusable(HeaderBlockError::OtherJournal))
    );
}

#[test]
fn errors_name_what_to_do() {
    for (code, part) in [
        (libc::ENOSPC, "no space"),
        (libc::EROFS, "read-only"),
        (libc::EACCES, "read-only or not permitted"),
        (libc::ENOENT, "does not exist"),
        (libc::EIO, "Input/output error"),
    ] {
        let error = StorageError::from_code("write", Path::new("/j/x.segment"), code);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.to_string().contains("/j/x.segment"), "{error}");
    }
}
