//! Bounds, batches and records as a log holds them: what stops the node and what does not.

mod common;

use common::*;
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::batch::BatchKind;
use lockstep_record::event::*;
use lockstep_record::*;

#[test]
fn bounds_beyond_the_node_stop_it() {
    let capacity = Capacity {
        open_orders_max: 63,
        ..Capacity::default()
    };
    let mut driver = Driver {
        machine: StateMachine::new(capacity),
        ..Driver::default()
    };
    let mut records = Records::default();
    bounds(64, 32).write(&mut records);
    let error = driver.try_apply(BatchKind::Commands, &records).unwrap_err();
    let wanted = ApplyError::BoundsExceedNode {
        sequence: Sequence(1),
        bound: "open_orders_max",
        wanted: 64,
        held: 63,
    };
    assert_eq!(error, wanted);
    // The state is not to be used any more.
    let again = driver.try_apply(BatchKind::Commands, &Records::default());
    assert_eq!(again.unwrap_err(), ApplyError::Stopped);
}

#[test]
fn raised_bounds_keep_what_is_there() {
    let mut driver = venue();
    let commands: Vec<_> = (1..=64)
        .map(|n| command(1, 1, enter(n, b'B', n, 10_000 + u64::from(n % 20) * 100)))
        .collect();
    driver.tell(&commands);
    let orders: Vec<_> = driver
        .machine
        .book_orders(InstrumentId(1), Side::Buy)
        .collect();
    assert_eq!(orders.len(), 64);
    let said = driver.tell(&[command(1, 1, enter(65, b'B', 1, 10_000))]);
    assert_eq!(lines(&said), ["1: rejected #65 0x0F"]);
    driver.tell(&[bounds(1_000, 100)]);
    assert!(
        driver
            .machine
            .book_orders(InstrumentId(1), Side::Buy)
            .eq(orders)
    );
    let said = driver.tell(&[
        command(1, 1, enter(66, b'B', 1, 10_000)),
        command(1, 1, cancel(3, 0)),
    ]);
    assert_eq!(lines(&said)[1], "1: canceled #3 3 U");
}

#[test]
fn batches_must_continue_the_log() {
    let good = |driver: &mut Driver| driver.batch(BatchKind::Commands, 0);
    type Change = fn(&mut BatchInfo);
    let cases: &[(&str, Change)] = &[
        ("batch has index", |b| b.index.0 += 1),
        ("begins at record", |b| b.first_sequence.0 -= 1),
        ("begins at record", |b| b.record_count = u32::MAX),
        ("has term", |b| b.term.0 = 0),
        ("has time", |b| b.timestamp.0 -= 1),
        ("feature set", |b| b.feature_set_version = 1),
    ];
    for (what, change) in cases {
        let mut driver = venue();
        let mut batch = good(&mut driver);
        change(&mut batch);
        let error = driver
            .machine
            .apply(&batch, &[], &mut NullSink)
            .unwrap_err()
            .to_string();
        // u32::MAX records in no bytes: the first is missing.
        let short = batch.record_count != 0 && error.contains("record 13");
        assert!(error.contains(what) || short, "{what}: {error}");
    }
}

#[test]
fn unknown_records_follow_their_policy() {
    let mut driver = venue();
    let raw = |kind: u16, version: u8, policy: u8, body: usize| {
        let mut bytes = vec![0u8; 24 + body];
        let length = bytes.len() as u32;
        bytes[0..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..6].copy_from_slice(&kind.to_le_bytes());
        bytes[6] = version;
        bytes[7] = policy;
        bytes[20..22].copy_from_slice(&(body as u16).to_le_bytes());
        let mut records = Records::default();
        records.push(&bytes);
        records
    };
    let refused = driver.machine.counters().refused;
    driver
        .try_apply(BatchKind::Commands, &raw(999, 1, 1, 8))
        .unwrap();
    assert_eq!(driver.machine.counters().refused, refused);
    driver
        .try_apply(BatchKind::Commands, &raw(999, 1, 0, 8))
        .unwrap();
    driver
        .try_apply(BatchKind::Commands, &raw(Kind::ENTER_ORDER.0, 2, 0, 48))
        .unwrap();
    assert_eq!(driver.machine.counters().refused, refused + 2);
    let halted = |kind, version, body| {
        venue()
            .try_apply(BatchKind::Commands, &raw(kind, version, 2, body))
            .unwrap_err()
    };
    assert!(matches!(
        halted(999, 1, 8),
        ApplyError::HaltPolicy {
            kind: Kind(999),
            version: 1,
            ..
        }
    ));
    assert!(matches!(
        halted(68, 9, 32),
        ApplyError::HaltPolicy { version: 9, .. }
    ));
    // A known kind and version with another body is damage, not evolution.
    assert!(matches!(
        halted(68, 1, 40),
        ApplyError::BodyLength { length: 40, .. }
    ));
    let mut records = Records::default();
    let mut order = command(1, 1, enter(1, b'B', 1, 100));
    order.parts.push((500, Policy::Halt, vec![]));
    order.write(&mut records);
    let error = driver.try_apply(BatchKind::Commands, &records).unwrap_err();
    assert!(matches!(error, ApplyError::HaltPart { tag: 500, .. }));
}
