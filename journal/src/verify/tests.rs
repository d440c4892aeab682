use super::*;
use crate::batch::BatchError;
use crate::folder::AcknowledgementPolicy;
use crate::segment::segment_name;
use crate::storage::MemoryStorage;
use crate::testing::{Bench, DATA_LENGTH};

const BATCHES: u64 = 60;

fn journal() -> Bench<MemoryStorage> {
    let mut bench = Bench::new(MemoryStorage::new(), AcknowledgementPolicy::Durable);
    for index in 1..=BATCHES {
        bench.append(1, &[8 * (1 + index as usize % 9 * 20), 40], index - 1);
    }
    bench.drain().unwrap();
    bench
}

fn faults(bench: &Bench<MemoryStorage>) -> Vec<Fault> {
    let report = verify(&bench.storage, &bench.meta).unwrap();
    report
        .findings
        .into_iter()
        .map(|finding| finding.fault)
        .collect()
}

fn flip(bench: &Bench<MemoryStorage>, position: LogPosition) {
    let name = segment_name(position.segment(DATA_LENGTH));
    let mut bytes = bench.storage.get(&name).unwrap();
    bytes[(BLOCK_LENGTH + position.offset_in_segment(DATA_LENGTH)) as usize] ^= 0x10;
    bench.storage.put(&name, &bytes);
}

#[test]
fn a_sound_journal_has_no_findings() {
    let bench = journal();
    let report = verify(&bench.storage, &bench.meta).unwrap();
    assert!(report.is_sound());
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.batch_count, report.record_count),
        (BATCHES, 2 * BATCHES)
    );
    assert_eq!(&report.tail, bench.appender.tail());
    assert!(report.segment_count >= 3);
    let lengths = bench.appended.iter().map(|(published, _)| published.length);
    assert_eq!(report.byte_count, lengths.sum::<u64>());
}

#[test]
fn every_damaged_batch_is_reported_with_its_place_and_the_rest_is_read() {
    let bench = journal();
    let mut sequence = 1;
    for (at, (published, body)) in bench.appended.iter().enumerate() {
        let last = at + 1 == bench.appended.len();
        for offset in [3, 60, 192, 191 + body.len() as u64] {
            let position = published.position.plus(offset);
            flip(&bench, position);
            let report = verify(&bench.storage, &bench.meta).unwrap();
            assert_eq!(report.batch_count, BATCHES - 1);
            let [finding] = &report.findings[..] else {
                panic!("{:?}", report.findings)
            };
            assert_eq!(finding.sequence, sequence);
            assert_eq!(report.is_sound(), last, "only the tail may be torn");
            match &finding.fault {
                Fault::Missing {
                    first_index,
                    last_index,
                    ..
                } if !last => {
                    assert_eq!([*first_index, *last_index], [published.index; 2]);
                }
                Fault::Tail { .. } if last => {
                    assert_eq!(finding.segment, published.position.segment(DATA_LENGTH));
                }
                fault => panic!("{fault}"),
            }
            flip(&bench, position);
        }
        sequence += 2;
    }
    assert_eq!(faults(&bench), []);
}

#[test]
fn several_damages_are_all_reported() {
    let bench = journal();
    for index in [3, 20, 21, 45] {
        flip(&bench, bench.appended[index].0.position.plus(100));
    }
    let missing: Vec<_> = faults(&bench)
        .into_iter()
        .map(|fault| match fault {
            Fault::Missing {
                first_index,
                last_index,
                ..
            } => (first_index, last_index),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(missing, [(4, 4), (21, 22), (46, 46)]);
}

#[test]
fn files_are_checked_as_well() {
    let bench = journal();
    let good = bench.storage.get(&segment_name(1)).unwrap();
    let put = |bytes: &[u8]| bench.storage.put(&segment_name(1), bytes);
    let mut bytes = good.clone();
    bytes[40] ^= 1;
    put(&bytes);
    assert_eq!(
        faults(&bench),
        [Fault::SegmentHeader(HeaderBlockError::Checksum)]
    );
    bytes[..4096].copy_from_slice(&bench.meta.segment_header(9).encode());
    put(&bytes);
    assert_eq!(faults(&bench), [Fault::ForeignSegment]);
    put(&good[..good.len() - 4096]);
    assert!(matches!(
        faults(&bench)[..],
        [Fault::SegmentLength { .. }, ..]
    ));
    bench.storage.delete(&segment_name(1)).unwrap();
    assert!(matches!(
        faults(&bench)[..],
        [
            Fault::SegmentMissing,
            Fault::Missing {
                reason: EndReason::Zeros | EndReason::NoSegment,
                ..
            }
        ]
    ));
}

#[test]
fn a_lost_tail_that_was_committed_is_damage() {
    let bench = journal();
    let mut file = crate::folder::HardStateFile::open(&bench.storage, &bench.meta).unwrap();
    let commit_index = BATCHES;
    file.store(&crate::folder::HardState {
        commit_index,
        ..Default::default()
    })
    .unwrap();
    flip(
        &bench,
        bench.appended[BATCHES as usize - 1].0.position.plus(50),
    );
    let reason = EndReason::NotWhole(BatchError::HeaderChecksum);
    let found = faults(&bench);
    assert_eq!(
        found[1..],
        [Fault::Lost {
            reason,
            commit_index
        }]
    );
    assert!(!verify(&bench.storage, &bench.meta).unwrap().is_sound());
}

#[test]
fn dirty_padding_is_worth_knowing() {
    let bench = journal();
    let (first, body) = &bench.appended[0];
    let padding = first.position.plus(192 + body.len() as u64);
    assert!(padding < first.end());
    flip(&bench, padding);
    assert_eq!(faults(&bench), [Fault::Padding]);
    assert!(verify(&bench.storage, &bench.meta).unwrap().is_sound());
}
