use super::*;
use crate::batch::BATCH_KIND_CLEAN_STOP;
use crate::reader::{JournalReader, ReadOptions};
use crate::storage::{DirectStorage, Fault, FaultyStorage, MemoryStorage};
use crate::testing::{Bench, DATA_LENGTH, Random, disk_folder};

const POLICIES: [AcknowledgementPolicy; 3] = [
    AcknowledgementPolicy::Durable,
    AcknowledgementPolicy::Replicated,
    AcknowledgementPolicy::Local,
];

fn assert_reads_back<S: Storage>(storage: &S, bench: &Bench<S>) {
    let mut reader = JournalReader::new(storage.clone(), &bench.meta, ReadOptions::ALL);
    for (published, body) in &bench.appended {
        let batch = reader.next_batch().unwrap().expect("batch");
        assert_eq!(batch.position, published.position);
        assert_eq!(batch.header.header_checksum, published.header_checksum);
        assert_eq!(batch.body(), body);
        assert_eq!(batch.body().as_ptr() as usize % 8, 0);
    }
    assert!(reader.next_batch().unwrap().is_none());
}

/// Random sizes over many segments, written in whatever pieces the duty cycles make.
fn run<S: Storage>(bench: &mut Bench<S>, seed: u64, batches: u64) -> Result<(), JournalError> {
    let mut random = Random(seed);
    for _ in 0..batches {
        let lengths: Vec<usize> = (0..random.below(4))
            .map(|_| 8 * (1 + random.below(120)) as usize)
            .collect();
        let commit = bench.buffer.published_index();
        bench.append(1, &lengths, commit);
        for _ in 0..random.below(3) {
            bench.writer.do_work()?;
            bench.preparer.do_work();
        }
        if random.below(8) == 0 {
            bench.drain()?;
        }
    }
    bench.drain()
}

#[test]
fn everything_published_reads_back_under_every_policy() {
    for policy in POLICIES {
        let mut bench = Bench::new(MemoryStorage::new(), policy);
        run(&mut bench, 1, 300).unwrap();
        assert!(
            bench.buffer.durable_position().segment(DATA_LENGTH) > 5,
            "several segments"
        );
        assert_reads_back(&bench.storage, &bench);
        bench.writer.sync().unwrap();
        let after = bench.storage.power_cut(|| false);
        assert_reads_back(&after, &bench);
    }
}

#[test]
fn everything_published_reads_back_from_a_disk() {
    for policy in POLICIES {
        let folder = disk_folder();
        let storage = DirectStorage::open(folder.path()).unwrap();
        let mut bench = Bench::new(storage, policy);
        run(&mut bench, 2, 100).unwrap();
        bench.append(BATCH_KIND_CLEAN_STOP, &[], 100);
        bench.drain().unwrap();
        bench.writer.sync().unwrap();
        assert_reads_back(&bench.storage, &bench);
        println!(
            "driver: {:?}, {:?}",
            bench.writer.driver(),
            bench.writer.counts()
        );
    }
}

#[test]
fn what_is_durable_survives_a_power_cut_at_any_moment() {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    let mut random = Random(3);
    for round in 0..200 {
        bench.append(1, &[8 * (1 + random.below(200)) as usize], round);
        bench.writer.do_work().unwrap();
        bench.preparer.do_work();
        let durable = bench.buffer.durable_position();
        let after = bench.storage.power_cut(|| random.below(2) == 0);
        let mut reader = JournalReader::new(after, &bench.meta, ReadOptions::ALL);
        for (published, body) in bench.appended.iter().filter(|(p, _)| p.end() <= durable) {
            let batch = reader.next_batch().unwrap().expect("acknowledged");
            assert_eq!(
                (batch.position, batch.body()),
                (published.position, &body[..])
            );
        }
    }
    assert!(bench.buffer.durable_position().0 > 3 * DATA_LENGTH);
}

/// Trial: fsync failed once, was retried, and reported success.
#[test]
fn a_failure_is_final_and_the_durable_position_stays() {
    let count = || {
        let storage = FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0);
        let mut bench = Bench::new(storage, AcknowledgementPolicy::Durable);
        let before = bench.storage.operation_count();
        run(&mut bench, 4, 60).unwrap();
        (before, bench.storage.operation_count())
    };
    let (before, after) = count();
    assert!(after - before > 60);
    let mut failures = 0;
    for operation in before + 1..=after {
        for fault in [
            Fault::Fail,
            Fault::NoSpace,
            Fault::ShortWrite,
            Fault::PowerCut,
            Fault::Torn,
        ] {
            let storage = FaultyStorage::new(MemoryStorage::new(), fault, operation);
            let mut bench = Bench::new(storage, AcknowledgementPolicy::Durable);
            let Err(error) = run(&mut bench, 4, 60) else {
                continue;
            };
            failures += 1;
            let durable = bench.buffer.durable_position();
            for _ in 0..3 {
                assert_eq!(bench.writer.do_work(), Err(error.clone()), "never a retry");
            }
            assert_eq!(bench.buffer.durable_position(), durable);
            // What was said to be durable is there, whatever happened.
            let disk = bench.storage.inner().power_cut(|| false);
            let mut reader = JournalReader::new(disk, &bench.meta, ReadOptions::ALL);
            for (published, _) in bench.appended.iter().filter(|(p, _)| p.end() <= durable) {
                let batch = reader.next_batch().unwrap().expect("durable");
                assert_eq!(batch.header.index, published.index);
            }
        }
    }
    // Only faults of the segment after the last may pass unnoticed: nobody needed it.
    assert!(
        failures > 4 * (after - before),
        "{failures} of {}",
        5 * (after - before)
    );
}

#[test]
fn a_missing_next_segment_stalls_and_a_failed_one_is_fatal() {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    while bench.buffer.published_position().0 < 2 * DATA_LENGTH {
        bench.append(1, &[4000], 0);
    }
    for _ in 0..20 {
        bench.writer.do_work().unwrap();
    }
    assert_eq!(
        bench.buffer.durable_position().0,
        DATA_LENGTH,
        "no further without the segment"
    );
    assert!(bench.writer.counts().stalls > 0);
    bench.drain().unwrap();
    assert_eq!(
        bench.buffer.durable_position(),
        bench.buffer.published_position()
    );
}

/// The story: at 20,000 orders a second each answer waited some 20 µs for the submission of the write after its own.
#[test]
fn answers_go_before_a_short_write_and_not_before_a_long_one() {
    let mut bench = Bench::with_length(
        MemoryStorage::new(),
        AcknowledgementPolicy::Durable,
        4 << 20,
    );
    let long = GATHERED_LENGTH_MAX as usize / 2;
    for (length, batches, cycles) in [(64, 1, HELD_CYCLES), (long, 2, 0)] {
        bench.append(1, &[64], 0);
        bench.drain().unwrap();
        for _ in 0..HELD_CYCLES {
            bench.writer.do_work().unwrap();
        }
        bench.append(1, &[64], 0);
        bench.writer.do_work().unwrap();
        let (before, first) = (
            bench.writer.counts().writes,
            bench.buffer.published_position(),
        );
        for _ in 0..batches {
            bench.append(1, &[length], 0);
        }
        for _ in 0..cycles {
            bench.writer.do_work().unwrap();
            assert_eq!(bench.buffer.durable_position(), first, "told at once");
            assert_eq!(bench.writer.counts().writes, before, "held back");
        }
        bench.writer.do_work().unwrap();
        assert_eq!(bench.buffer.durable_position(), first);
        assert_eq!(bench.writer.counts().writes, before + 1);
    }
}

/// Under load each write's cost to the core kept it from the log: 5,000 small ones a second, a quarter of its time.
#[test]
fn writes_are_gathered_while_every_cycle_brings_much() {
    let mut bench = Bench::with_length(
        MemoryStorage::new(),
        AcknowledgementPolicy::Durable,
        4 << 20,
    );
    let much = GATHERING_LENGTH_MIN as usize;
    // As long as much comes, up to the bound.
    bench.append(1, &[2 * much], 0);
    while bench.buffer.published_position().0 < GATHERED_LENGTH_MAX {
        bench.writer.do_work().unwrap();
        assert_eq!(bench.writer.counts().writes, 0, "gathered");
        bench.append(1, &[much], 0);
    }
    bench.writer.do_work().unwrap();
    assert_eq!(bench.writer.counts().writes, 1);
    // A cycle that brings little, or nothing, ends it.
    for last in [0, 64] {
        bench.drain().unwrap();
        let before = bench.writer.counts().writes;
        for _ in 0..4 {
            bench.append(1, &[much], 0);
            bench.append(1, &[much], 0);
            bench.writer.do_work().unwrap();
            assert_eq!(bench.writer.counts().writes, before, "gathered");
        }
        if last > 0 {
            bench.append(1, &[last], 0);
        }
        bench.writer.do_work().unwrap();
        assert_eq!(bench.writer.counts().writes, before + 1);
    }
}

#[test]
fn no_write_leaves_its_segment_or_its_bound() {
    let mut bench = Bench::with_length(
        MemoryStorage::new(),
        AcknowledgementPolicy::Durable,
        4 << 20,
    );
    for _ in 0..3 {
        bench.append(1, &[240 << 10], 0);
    }
    bench.drain().unwrap();
    let counts = bench.writer.counts();
    assert_eq!(counts.writes, 1, "drained in one group commit");
    assert!(counts.bytes <= WRITE_LENGTH_MAX);
    for _ in 0..3 {
        bench.append(1, &[250 << 10], 0);
        bench.append(1, &[250 << 10], 0);
        bench.drain().unwrap();
    }
    assert_reads_back(&bench.storage, &bench);
}

const DEEP_LENGTH: u64 = 1 << 20;

fn deep<S: Storage>(storage: S, policy: AcknowledgementPolicy, depth: usize) -> Bench<S> {
    let mut bench = Bench::with_length(storage, policy, DEEP_LENGTH);
    bench.writer = bench.writer.with_options(WriterOptions { depth });
    bench
}

/// Batches from small to 200 KiB, faster than they are written; returns the most writes seen in flight.
fn run_deep<S: Storage>(
    bench: &mut Bench<S>,
    seed: u64,
    batches: u64,
    mut look: impl FnMut(&Bench<S>),
) -> Result<usize, JournalError> {
    let mut random = Random(seed);
    let mut most = 0;
    for _ in 0..batches {
        let bound = 1 + random.below(25_000);
        let length = 8 * (1 + random.below(bound)) as usize;
        // As a sequencer would: what does not fit waits for the writer.
        while bench.appender.begin(length).is_err() {
            bench.writer.do_work()?;
            while bench.preparer.do_work() > 0 {}
        }
        bench.appender.erase();
        bench.append(1, &[length], 0);
        for _ in 0..random.below(4) {
            bench.writer.do_work()?;
            most = most.max(bench.writer.in_flight.len());
            look(bench);
        }
        bench.preparer.do_work();
    }
    bench.drain()?;
    Ok(most)
}

/// Writes that end in any order: the durable position moves over them in the log's, and a power cut at any
/// moment leaves everything before it.
#[test]
fn deep_writes_end_in_any_order_and_count_in_order() {
    for depth in 1..=LANE_DEPTH_MAX {
        for policy in POLICIES {
            let storage = MemoryStorage::new().deferring(depth as u64 * 77);
            let mut bench = deep(storage, policy, depth);
            let mut looks = 0;
            let most = run_deep(&mut bench, depth as u64, 80, |bench| {
                looks += 1;
                if policy != AcknowledgementPolicy::Durable || looks % 24 != 0 {
                    return;
                }
                let after = bench.storage.power_cut(|| false);
                let mut reader = JournalReader::new(after, &bench.meta, ReadOptions::ALL);
                let durable = bench.buffer.durable_position();
                for (published, _) in bench.appended.iter().filter(|(p, _)| p.end() <= durable) {
                    let batch = reader.next_batch().unwrap().expect("durable");
                    assert_eq!(batch.header.index, published.index);
                }
            });
            assert_eq!(most.unwrap(), depth, "the depth is used");
            assert!(bench.buffer.durable_position().0 > 3 * DEEP_LENGTH);
            bench.writer.sync().unwrap();
            assert_reads_back(&bench.storage.power_cut(|| false), &bench);
        }
    }
}

/// Trial: one of several writes in flight fails, and those behind it succeed.
#[test]
fn with_depth_a_failure_is_final_and_nothing_behind_it_counts() {
    let make = |fault, operation| {
        let memory = MemoryStorage::new().deferring(9);
        let storage = FaultyStorage::new(memory, fault, operation);
        deep(storage, AcknowledgementPolicy::Durable, 4)
    };
    let mut bench = make(Fault::Fail, 0);
    let before = bench.storage.operation_count();
    run_deep(&mut bench, 5, 24, |_| ()).unwrap();
    let after = bench.storage.operation_count();
    let mut failures = 0;
    for operation in before + 1..=after {
        for fault in [Fault::Fail, Fault::NoSpace, Fault::ShortWrite, Fault::Torn] {
            let mut bench = make(fault, operation);
            let Err(error) = run_deep(&mut bench, 5, 24, |_| ()) else {
                continue;
            };
            failures += 1;
            let durable = bench.buffer.durable_position();
            for _ in 0..8 {
                assert_eq!(bench.writer.do_work(), Err(error.clone()), "never a retry");
            }
            assert_eq!(bench.buffer.durable_position(), durable);
            let disk = bench.storage.inner().power_cut(|| false);
            let mut reader = JournalReader::new(disk, &bench.meta, ReadOptions::ALL);
            for (published, _) in bench.appended.iter().filter(|(p, _)| p.end() <= durable) {
                let batch = reader.next_batch().unwrap().expect("durable");
                assert_eq!(batch.header.index, published.index);
            }
        }
    }
    assert!(failures > 50, "{failures}");
}

#[test]
fn deep_writes_read_back_from_a_disk() {
    for depth in [2, 4] {
        let folder = disk_folder();
        let storage = DirectStorage::open(folder.path()).unwrap();
        let mut bench = deep(storage, AcknowledgementPolicy::Durable, depth);
        run_deep(&mut bench, 6, 60, |_| ()).unwrap();
        bench.writer.sync().unwrap();
        assert_reads_back(&bench.storage, &bench);
    }
}
