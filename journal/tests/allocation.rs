//! The hot path makes no allocation: append, seal, read, write to disk, with a counting global allocator.

use lockstep_journal::folder::{AcknowledgementPolicy, FormatOptions, OpenOptions, format};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{Journal, LogTail, RING_LENGTH_MIN, SealFields, StartOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[allow(unsafe_code)]
// SAFETY: passes every call on to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn append_read_and_write_allocate_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let ring = tempfile::tempdir().unwrap();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let length = 8 << 20;
    let options = FormatOptions {
        segment_data_length: length,
        ..FormatOptions::new_cluster(0).unwrap()
    };
    format(&storage, &options).unwrap();
    let policy = AcknowledgementPolicy::Local;
    let options = StartOptions {
        open: OpenOptions {
            policy,
            allow_volatile: true,
        },
        log_buffer_path: Some(ring.path().join("log")),
        ring_length: RING_LENGTH_MIN,
        from: LogTail::EMPTY,
        witness_index: 0,
    };
    let journal = Journal::open(&storage, &options).unwrap();
    let mut reader = journal.buffer.reader().unwrap();
    let mut appender = journal
        .buffer
        .appender(journal.folder.meta().lineage)
        .unwrap();
    let (mut writer, mut preparer) = (journal.writer(), journal.preparer());
    while preparer.do_work() > 0 {}
    let mut cycle = |records: usize, drain: bool| {
        while appender.begin(64 * records).is_err() {
            writer.do_work().unwrap();
        }
        for _ in 0..records {
            appender.push(&[7; 64]).unwrap();
        }
        let tail = *appender.tail();
        let published = appender.seal(&SealFields {
            kind: 1,
            term: 1,
            index: tail.index + 1,
            first_sequence: tail.next_sequence,
            timestamp: tail.timestamp + 1,
            commit_index: tail.index,
            digest_index: 0,
            digest: 0,
            feature_set_version: 0,
        });
        while writer.do_work().unwrap() > 0 || (drain && !writer.is_drained()) {}
        journal
            .buffer
            .publish_commit(published.index, published.end());
        let batch = reader.next_committed().unwrap();
        assert_eq!(batch.header.record_count as usize, records);
    };
    // Warm: the ring of completions is made, and an idle cycle has opened the next segment.
    (0..100).for_each(|_| cycle(3, true));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for round in 0..1000 {
        cycle(round % 50, false);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
    assert!(
        journal.buffer.published_position().0 > RING_LENGTH_MIN,
        "more than a lap"
    );
    assert!(
        journal.buffer.published_position().0 < length,
        "no rotation: that may allocate"
    );
}
