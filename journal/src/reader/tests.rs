use super::*;
use crate::Published;
use crate::folder::AcknowledgementPolicy;
use crate::position::BATCH_LENGTH_MAX;
use crate::storage::{DirectStorage, MemoryStorage, StorageFile, WriteMode};
use crate::testing::{Bench, DATA_LENGTH, disk_folder};

fn journal(batches: u64) -> Bench<MemoryStorage> {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    for n in 0..batches {
        // Every third batch is empty: sequences do not move, indices do.
        let records = if n % 3 == 0 {
            vec![]
        } else {
            vec![40; (n % 7) as usize + 1]
        };
        bench.append(1, &records, n);
        bench.drain().unwrap();
    }
    bench
}

fn reader(bench: &Bench<MemoryStorage>, options: ReadOptions) -> JournalReader<MemoryStorage> {
    JournalReader::new(bench.storage.clone(), &bench.meta, options)
}

#[test]
fn a_live_journal_is_followed() {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    let mut reader = reader(&bench, ReadOptions::ALL);
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.end_reason(), Some(EndReason::Zeros));
    for n in 1..=100u64 {
        bench.append(1, &[800], n - 1);
        bench.drain().unwrap();
        assert_eq!(reader.next_batch().unwrap().unwrap().header.index, n);
        assert!(reader.next_batch().unwrap().is_none());
    }
    assert_eq!(reader.tail(), bench.appender.tail());
    assert!(reader.tail().position.0 > 4 * DATA_LENGTH);
}

#[test]
fn a_live_journal_on_disk_is_followed_through_its_mapping() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let mut bench = Bench::new(storage.clone(), AcknowledgementPolicy::Durable);
    let mut reader = JournalReader::new(storage, &bench.meta, ReadOptions::ALL);
    for n in 1..=60u64 {
        assert!(reader.next_batch().unwrap().is_none());
        bench.append(1, &[800], n - 1);
        bench.drain().unwrap();
        assert_eq!(reader.next_batch().unwrap().unwrap().header.index, n);
    }
}

#[test]
fn a_live_journal_is_followed_past_the_page_cache() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let data_length = BATCH_LENGTH_MAX;
    let policy = AcknowledgementPolicy::Durable;
    let mut bench = Bench::with_length(storage.clone(), policy, data_length);
    let mut reader = JournalReader::beside_writer(storage, &bench.meta, ReadOptions::ALL);
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.end_reason(), Some(EndReason::Zeros));
    let longest = bench.appender.body_length_max() / 8000;
    let counts = [1, longest, 8, 9, longest / 2, longest / 3, 2];
    for n in 1..=40u64 {
        let count = counts[n as usize % counts.len()];
        bench.append(1, &vec![8000; count], n - 1);
        bench.drain().unwrap();
        if n % 5 != 0 {
            continue;
        }
        for index in n - 4..=n {
            let batch = reader.next_batch().unwrap().unwrap();
            assert_eq!(batch.header.index, index);
            assert_eq!(batch.body(), bench.appended[index as usize - 1].1);
        }
        assert!(reader.next_batch().unwrap().is_none());
    }
    assert_eq!(reader.tail(), bench.appender.tail());
    assert!(reader.tail().position.0 > 3 * data_length);
}

/// The snapshot's shadow mapped the segment that was being written: every direct write then had to drop its pages, and
/// ended in a kernel worker on the matching thread's core.
#[test]
fn beside_a_writer_no_segment_is_mapped_that_may_be_written() {
    let folder = disk_folder();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let mut bench = Bench::new(storage.clone(), AcknowledgementPolicy::Durable);
    while bench.appender.tail().position.0 < 5 * DATA_LENGTH + BLOCK_LENGTH {
        bench.append(1, &[800], 0);
        bench.drain().unwrap();
    }
    let end = bench.appender.tail().position.segment(DATA_LENGTH);
    let mapped = |mut reader: JournalReader<DirectStorage>| {
        let mut seen = std::collections::BTreeSet::new();
        while reader.next_batch().unwrap().is_some() {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let ours = |number: &u64| {
                let path = folder.path().join(crate::segment::segment_name(*number));
                maps.contains(path.to_str().unwrap())
            };
            seen.extend((0..=end).filter(ours));
        }
        assert_eq!(reader.tail(), bench.appender.tail());
        seen.into_iter().collect::<Vec<_>>()
    };
    let options = ReadOptions::ALL;
    let all: Vec<u64> = (0..=end).collect();
    let alone = JournalReader::new(storage.clone(), &bench.meta, options);
    assert_eq!(mapped(alone), all);
    let beside = JournalReader::beside_writer(storage, &bench.meta, options);
    assert_eq!(mapped(beside), all[..end as usize]);
}

#[test]
fn half_a_write_is_read_again() {
    let bench = journal(150);
    let name = crate::segment::segment_name(0);
    let whole = bench.storage.get(&name).unwrap();
    for cut in (64..=whole.len()).step_by(64) {
        let mut begun = vec![0; whole.len()];
        begun[..cut].copy_from_slice(&whole[..cut]);
        let storage = bench.storage.copy();
        let file = storage.open(&name, WriteMode::Buffered).unwrap();
        file.write_at(0, &begun).unwrap();
        // Nobody knows that the first segments are full.
        for number in 1..=bench.appender.tail().position.segment(DATA_LENGTH) + 1 {
            let _ = storage.delete(&crate::segment::segment_name(number));
        }
        let mut reader = JournalReader::beside_writer(storage, &bench.meta, ReadOptions::ALL);
        let mut count = 0;
        while reader.next_batch().unwrap().is_some() {
            count += 1;
        }
        file.write_at(0, &whole).unwrap();
        while let Some(batch) = reader.next_batch().unwrap() {
            count += 1;
            assert_eq!(batch.header.index, count);
        }
        let first_behind = |it: &&(Published, Vec<u8>)| it.0.position.0 >= DATA_LENGTH;
        let expected = bench.appended.iter().find(first_behind).unwrap().0.index - 1;
        assert_eq!(count, expected, "cut at {cut}");
    }
}

#[test]
fn seeking_finds_every_sequence_and_index() {
    let bench = journal(150);
    let mut sequence = 1;
    for (at, (published, body)) in bench.appended.iter().enumerate() {
        let mut found = reader(&bench, ReadOptions::ALL)
            .seek_index(published.index)
            .unwrap();
        let batch = found.next_batch().unwrap().unwrap();
        assert_eq!(batch.header.index, at as u64 + 1);
        for _ in 0..body.len() / 40 {
            let mut found = reader(&bench, ReadOptions::ALL)
                .seek_sequence(sequence)
                .unwrap();
            assert_eq!(
                found.next_batch().unwrap().unwrap().position,
                published.position
            );
            sequence += 1;
        }
    }
    let mut beyond = reader(&bench, ReadOptions::ALL)
        .seek_sequence(sequence + 10)
        .unwrap();
    assert!(beyond.next_batch().unwrap().is_none());
    assert!(bench.appender.tail().position.0 > 2 * DATA_LENGTH);
}

#[test]
fn short_of_a_known_end_is_damage_and_names_the_place() {
    let bench = journal(50);
    let end = bench.appender.tail().position;
    let options = ReadOptions {
        until: Some(end),
        ..ReadOptions::ALL
    };
    let mut whole = reader(&bench, options);
    let mut count = 0;
    while whole.next_batch().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 50);
    let victim = bench.appended[19].0.position;
    let name = crate::segment::segment_name(victim.segment(DATA_LENGTH));
    let mut bytes = bench.storage.get(&name).unwrap();
    let offset = BLOCK_LENGTH + victim.offset_in_segment(DATA_LENGTH);
    bytes[offset as usize + 100] ^= 1;
    bench.storage.put(&name, &bytes);
    for options in [options, ReadOptions::ALL] {
        let mut damaged = reader(&bench, options);
        for _ in 0..19 {
            damaged.next_batch().unwrap().unwrap();
        }
        let sequence = damaged.tail().next_sequence;
        let reason = EndReason::NotWhole(BatchError::HeaderChecksum);
        let segment = victim.segment(DATA_LENGTH);
        if options.until.is_some() {
            let error = ReadError::Damaged {
                segment,
                offset,
                sequence,
                reason,
            };
            assert_eq!(damaged.next_batch().unwrap_err(), error);
        } else {
            assert!(damaged.next_batch().unwrap().is_none());
            assert_eq!(damaged.end_reason(), Some(reason));
        }
    }
}

#[test]
fn another_clusters_batches_do_not_follow() {
    let bench = journal(3);
    let meta = JournalMeta {
        cluster_id: crate::ClusterId([8; 16]),
        ..bench.meta
    };
    let mut reader = JournalReader::new(bench.storage.clone(), &meta, ReadOptions::ALL);
    assert!(reader.next_batch().unwrap().is_none());
    let found = crate::ClusterId([1; 16]);
    let reason = EndReason::DoesNotFollow(OrderError::Cluster { found });
    assert_eq!(reader.end_reason(), Some(reason));
}
