use super::*;
use crate::batch::BatchView;
use crate::position::batch_length;
use crate::{BatchError, Lineage};
use proptest::prelude::*;
use tempfile::TempDir;

const SEGMENT: u64 = 256 << 10;

fn options(folder: &TempDir) -> LogBufferOptions {
    LogBufferOptions {
        path: folder.path().join("buffer"),
        ring_length: RING_LENGTH_MIN,
        cluster_id: ClusterId([1; 16]),
        journal_id: JournalId([2; 16]),
        segment_data_length: SEGMENT,
    }
}

fn create() -> (TempDir, Arc<LogBuffer>) {
    let folder = tempfile::tempdir().unwrap();
    let buffer = LogBuffer::create(&options(&folder), &LogTail::EMPTY, &[]).unwrap();
    (folder, buffer)
}

/// The fields that continue the appender's tail.
fn next_fields(appender: &Appender) -> SealFields {
    let tail = appender.tail();
    SealFields {
        kind: 1,
        term: tail.term.max(1),
        index: tail.index + 1,
        first_sequence: tail.next_sequence,
        timestamp: tail.timestamp + 1,
        commit_index: tail.index,
        digest_index: 0,
        digest: 0,
        feature_set_version: 1,
    }
}

fn append(appender: &mut Appender, record: &[u8]) -> Published {
    appender.begin(record.len()).unwrap();
    appender.push(record).unwrap();
    let fields = next_fields(appender);
    appender.seal(&fields)
}

#[test]
fn a_batch_reads_back_verified_and_the_chain_holds() {
    let (_folder, buffer) = create();
    let mut reader = buffer.reader().unwrap();
    let mut appender = buffer.appender(Lineage([3; 16])).unwrap();
    let mut tail = LogTail::EMPTY;
    for n in 1..=10u8 {
        let published = append(&mut appender, &[n; 48]);
        assert_eq!(published.index, u64::from(n));
        assert!(reader.next_committed().is_none(), "not committed yet");
        buffer.publish_commit(published.index, published.end());
        let batch = reader.next_committed().unwrap();
        assert_eq!(batch.body(), [n; 48]);
        assert_eq!(batch.body().as_ptr() as usize % 8, 0);
        let verified = BatchView::verified(batch.bytes(), batch.position).unwrap();
        verified.header.follows(&tail, ClusterId([1; 16])).unwrap();
        tail = LogTail::after(&verified.header, batch.position);
    }
    assert_eq!(&tail, appender.tail());
    assert!(reader.next_published().is_none());
}

#[test]
fn an_erased_batch_leaves_no_trace() {
    let (folder, buffer) = create();
    let mut reader = buffer.reader().unwrap();
    let mut appender = buffer.appender(Lineage::ZERO).unwrap();
    let first = append(&mut appender, &[1; 8]);
    appender.begin(8192).unwrap();
    for _ in 0..1024 {
        appender.push(&[0xff; 8]).unwrap();
    }
    assert_eq!(
        (appender.record_count(), appender.body_length()),
        (1024, 8192)
    );
    assert_eq!(appender.push(&[0xff; 8]), Err(BatchFull));
    appender.erase();
    assert_eq!(appender.tail().index, 1);
    let file = std::fs::read(folder.path().join("buffer")).unwrap();
    let behind = 4096 + first.end().0 as usize;
    assert!(crate::bytes::all_zero(&file[behind..]));
    append(&mut appender, &[2; 8]);
    assert_eq!(reader.next_published().unwrap().body(), [1; 8]);
    assert_eq!(reader.next_published().unwrap().body(), [2; 8]);
}

#[test]
fn a_slow_consumer_or_disk_makes_it_full_and_never_overwrites() {
    let (_folder, buffer) = create();
    let mut reader = buffer.reader().unwrap();
    let mut appender = buffer.appender(Lineage::ZERO).unwrap();
    let record = [9; 4096];
    let mut appended = 0;
    while appender.begin(record.len()).is_ok() {
        appender.push(&record).unwrap();
        let fields = next_fields(&appender);
        appender.seal(&fields);
        appended += 1;
    }
    let per_segment = SEGMENT / batch_length(4096);
    assert_eq!(
        appended,
        RING_LENGTH_MIN / SEGMENT * per_segment,
        "fills the ring"
    );
    buffer.publish_durable(buffer.published_position());
    assert_eq!(
        appender.begin(record.len()),
        Err(Full),
        "the consumer still holds its bytes"
    );
    let mut read = 0;
    while let Some(batch) = reader.next_published() {
        BatchView::verified(batch.bytes(), batch.position).unwrap();
        read += 1;
    }
    assert_eq!(read, appended);
    appender.begin(record.len()).unwrap();
}

#[test]
fn the_disk_alone_holds_its_block_back() {
    let (_folder, buffer) = create();
    let mut appender = buffer.appender(Lineage::ZERO).unwrap();
    append(&mut appender, &[1; 8]);
    buffer.publish_durable(buffer.published_position());
    let mut last = LogPosition(0);
    while appender.begin(4096 - 192).is_ok() {
        let fields = next_fields(&appender);
        last = appender.seal(&fields).end();
    }
    // Block 0 is to be written again with what came behind the durable position: it must be intact.
    assert!(last.block_ceil().0 <= RING_LENGTH_MIN);
}

#[test]
fn one_owner_one_appender_readers_first() {
    let (folder, buffer) = create();
    let second = LogBuffer::create(&options(&folder), &LogTail::EMPTY, &[]);
    let own = std::process::id();
    assert!(matches!(second, Err(LogBufferError::Locked { process: Some(id), .. }) if id == own));
    let readers: Vec<_> = (0..CONSUMERS_MAX)
        .map(|_| buffer.reader().unwrap())
        .collect();
    assert!(matches!(
        buffer.reader(),
        Err(LogBufferError::TooManyConsumers)
    ));
    let appender = buffer.appender(Lineage::ZERO).unwrap();
    assert!(matches!(
        buffer.appender(Lineage::ZERO),
        Err(LogBufferError::AppenderTaken)
    ));
    assert!(matches!(
        buffer.reader(),
        Err(LogBufferError::AppenderTaken)
    ));
    drop((readers, appender, buffer));
    LogBuffer::create(&options(&folder), &LogTail::EMPTY, &[]).unwrap();
}

#[test]
fn it_survives_its_owner() {
    let (folder, buffer) = create();
    let id = buffer.identity().log_buffer_id;
    let mut appender = buffer.appender(Lineage([3; 16])).unwrap();
    let end = append(&mut appender, &[7; 40]).end();
    drop((appender, buffer));
    let mut previous = PreviousLogBuffer::open(&folder.path().join("buffer"))
        .unwrap()
        .unwrap();
    let image = previous.image().unwrap();
    assert_eq!(image.identity.log_buffer_id, id);
    assert_eq!(image.identity.boot_id, BootId::current().unwrap());
    assert_eq!(image.published_position, end);
    let batch = BatchView::verified(image.ring, LogPosition(0)).unwrap();
    assert_eq!(batch.body(), [7; 40]);
    assert!(
        PreviousLogBuffer::open(&folder.path().join("none"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn another_journals_buffer_is_not_taken() {
    let (folder, buffer) = create();
    drop(buffer);
    let other = LogBufferOptions {
        journal_id: JournalId([9; 16]),
        ..options(&folder)
    };
    let refused = LogBuffer::create(&other, &LogTail::EMPTY, &[]);
    assert!(
        matches!(refused, Err(LogBufferError::OtherJournal { journal_id, .. })
        if journal_id == JournalId([2; 16]))
    );
}

#[test]
fn impossible_lengths_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (ring_length, segment_data_length) in [
        (RING_LENGTH_MIN - 1, SEGMENT),
        (RING_LENGTH_MIN / 2, SEGMENT),
        (RING_LENGTH_MIN, 4096),
    ] {
        let options = LogBufferOptions {
            ring_length,
            segment_data_length,
            ..options(&folder)
        };
        assert!(LogBuffer::create(&options, &LogTail::EMPTY, &[]).is_err());
    }
}

#[test]
fn a_damaged_header_is_not_a_batch() {
    let (_folder, buffer) = create();
    let mut reader = buffer.reader().unwrap();
    let mut appender = buffer.appender(Lineage::ZERO).unwrap();
    append(&mut appender, &[5; 16]);
    let bytes = reader.next_published().unwrap().bytes().to_vec();
    // Magic, all of the header, and the records; not the padding.
    for at in 0..192 + 16 {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let error = BatchView::verified(&bad, LogPosition(0)).unwrap_err();
        let expected = match at {
            0..8 => BatchError::NotABatch,
            8..192 => BatchError::HeaderChecksum,
            _ => BatchError::BodyChecksum,
        };
        assert_eq!(error, expected, "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(matches!(
            BatchView::verified(&bytes[..length], LogPosition(0)),
            Err(BatchError::Short { .. })
        ));
    }
}

/// One step of the ring's life, drawn at random.
#[derive(Clone, Debug)]
enum Step {
    Append { bodies: Vec<usize> },
    Erase { body: usize },
    Read { batches: usize },
    Durable,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let body = prop_oneof![6 => 1usize..40, 2 => 40usize..2000, 1 => 2000usize..8_000];
    let step = prop_oneof![
        8 => prop::collection::vec(body.clone(), 0..4).prop_map(|bodies| Step::Append { bodies }),
        1 => body.prop_map(|body| Step::Erase { body }),
        4 => (1usize..8).prop_map(|batches| Step::Read { batches }),
        3 => Just(Step::Durable),
    ];
    prop::collection::vec(step, 200..600)
}

fn record(number: u64, words: usize) -> Vec<u8> {
    (0..words as u64)
        .flat_map(|word| (number * 31 + word).to_le_bytes())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Many laps with jumps at segment ends, against a queue of what was appended.
    #[test]
    fn the_ring_is_a_queue(steps in steps()) {
        let (folder, buffer) = create();
        let mut reader = buffer.reader().unwrap();
        let mut appender = buffer.appender(Lineage::ZERO).unwrap();
        let mut model = std::collections::VecDeque::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Append { bodies } => {
                    let total: usize = bodies.iter().map(|words| words * 8).sum();
                    if appender.begin(total).is_err() {
                        prop_assert!(!model.is_empty() || buffer.durable_position() < buffer.published_position());
                        continue;
                    }
                    let mut body = Vec::new();
                    for words in bodies {
                        number += 1;
                        let bytes = record(number, words);
                        appender.push(&bytes).unwrap();
                        body.extend(bytes);
                    }
                    let fields = next_fields(&appender);
                    let published = appender.seal(&fields);
                    prop_assert_eq!(published.position.segment(SEGMENT), LogPosition(published.end().0 - 1).segment(SEGMENT));
                    prop_assert_eq!(published.position.0 % 64, 0);
                    model.push_back((published, body));
                }
                Step::Erase { body } => {
                    if appender.begin(body * 8).is_ok() {
                        appender.push(&record(77, body)).unwrap();
                        appender.erase();
                    }
                }
                Step::Read { batches } => for _ in 0..batches {
                    match (reader.next_published(), model.pop_front()) {
                        (None, None) => break,
                        (Some(batch), Some((published, body))) => {
                            prop_assert_eq!(batch.position, published.position);
                            prop_assert_eq!(batch.end(), published.end());
                            prop_assert_eq!(batch.body(), &body[..]);
                            prop_assert!(BatchView::verified(batch.bytes(), batch.position).is_ok());
                        }
                        (read, modelled) => prop_assert!(false, "{read:?} {modelled:?}"),
                    }
                },
                Step::Durable => buffer.publish_durable(buffer.published_position()),
            }
            // What lies behind the last batch in its block is zero: it may be written at any time.
            let end = buffer.published_position();
            let ring = File::open(folder.path().join("buffer")).unwrap();
            let mut rest = vec![0xee; (end.block_ceil().0 - end.0) as usize];
            let at = 4096 + end.0 % RING_LENGTH_MIN;
            std::os::unix::fs::FileExt::read_exact_at(&ring, &mut rest, at).unwrap();
            prop_assert!(crate::bytes::all_zero(&rest));
        }
    }
}

/// The shape of production: sequencer, disk and engine on threads of their own, many laps.
#[test]
fn threads_pass_batches_through_many_laps() {
    let (_folder, buffer) = create();
    let mut reader = buffer.reader().unwrap();
    let mut appender = buffer.appender(Lineage::ZERO).unwrap();
    const BATCHES: u64 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=BATCHES {
                let record = record(n, (n % 97) as usize + 1);
                while appender.begin(record.len()).is_err() {
                    std::thread::yield_now();
                }
                appender.push(&record).unwrap();
                let fields = next_fields(&appender);
                appender.seal(&fields);
            }
        });
        scope.spawn(|| {
            while buffer.published_index() < BATCHES
                || buffer.durable_position() < buffer.published_position()
            {
                buffer.publish_durable(buffer.published_position());
                std::thread::yield_now();
            }
        });
        let mut expected = 1;
        while expected <= BATCHES {
            match reader.next_published() {
                None => std::thread::yield_now(),
                Some(batch) => {
                    assert_eq!(batch.header.index, expected);
                    assert_eq!(batch.body(), record(expected, (expected % 97) as usize + 1));
                    BatchView::verified(batch.bytes(), batch.position).unwrap();
                    expected += 1;
                }
            }
        }
    });
    assert!(
        buffer.published_position().0 > 8 * RING_LENGTH_MIN,
        "several laps"
    );
}

/// Bytes of this process's mappings of `path` that are mapped as huge pages.
fn huge_bytes(path: &Path) -> u64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut kib) = (false, 0);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("ShmemPmdMapped:") if ours => {
                kib += words.next().unwrap().parse::<u64>().unwrap();
            }
            Some(word) if !word.ends_with(':') => ours = line.ends_with(path.to_str().unwrap()),
            _ => {}
        }
    }
    kib << 10
}

/// A megabyte from pages of 4 KiB is 256 pieces for the disk: long writes took twice as long as those from
/// other memory. Both halves of the doubled ring are in huge pages now, a later life keeps them, and what the
/// ring holds is there for whoever comes after a kill.
#[test]
fn a_ring_in_shared_memory_lies_in_huge_pages() {
    let shm = Path::new("/dev/shm");
    let Ok(folder) = tempfile::tempdir_in(shm) else {
        println!("SKIP no /dev/shm to write to");
        return;
    };
    let options = LogBufferOptions {
        ring_length: 4 << 20,
        ..options(&folder)
    };
    for life in 0..3u8 {
        let buffer = LogBuffer::create(&options, &LogTail::EMPTY, &[]).unwrap();
        if let RingMemory::SmallPages { code } = buffer.memory() {
            assert_ne!(code, 0, "long enough for huge pages");
            println!("SKIP this kernel: {}", buffer.memory());
            return;
        }
        assert_eq!(huge_bytes(&options.path), 2 * options.ring_length);
        let mut appender = buffer.appender(Lineage([3; 16])).unwrap();
        let last = (0..100)
            .map(|_| append(&mut appender, &[life; 60_000]))
            .find(|published| published.end().0 > 3 << 20)
            .unwrap();
        drop((appender, buffer));
        let mut previous = PreviousLogBuffer::open(&options.path).unwrap().unwrap();
        let image = previous.image().unwrap();
        assert_eq!(image.published_position, last.end());
        let at = last.position.0 as usize;
        let batch = BatchView::verified(&image.ring[at..], last.position).unwrap();
        assert_eq!(batch.body(), [life; 60_000]);
    }
}

#[test]
fn a_ring_on_a_disk_or_shorter_than_a_huge_page_does_without() {
    let folder = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let short = LogBuffer::create(&options(&folder), &LogTail::EMPTY, &[]).unwrap();
    assert_eq!(short.memory(), RingMemory::SmallPages { code: 0 });
    assert_eq!(short.identity().ring_offset, 4096);
    drop(short);
    let options = LogBufferOptions {
        ring_length: 4 << 20,
        ..options(&folder)
    };
    let long = LogBuffer::create(&options, &LogTail::EMPTY, &[]).unwrap();
    assert_eq!(u64::from(long.identity().ring_offset), 2 << 20);
    let mut appender = long.appender(Lineage([3; 16])).unwrap();
    append(&mut appender, &[7; 60_000]);
    let said = long.memory().to_string();
    assert!(said.contains("huge"), "{said}");
}
