//! Whatever bytes a batch holds, the outcome is typed: no panic, and the invariants hold while the state
//! is in use.

mod common;

use common::flow::step;
use common::oracle::Oracle;
use common::oracle::fault::Fault;
use common::*;
use lockstep_record::batch::BatchKind;
use proptest::prelude::*;

/// Bodies of the right length with any content: legal form, nonsense values.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![
        4 => Just((16u16, 48usize)),
        2 => Just((17, 40)),
        2 => Just((18, 8)),
        2 => Just((19, 16)),
        1 => Just((20, 16)),
        1 => Just((21, 8)),
        1 => Just((22, 8)),
        1 => Just((23, 8)),
        1 => Just((1, 64)),
        1 => Just((2, 8)),
        1 => Just((3, 16)),
        1 => Just((65, 8)),
        1 => Just((66, 24)),
        1 => Just((67, 32)),
        1 => Just((68, 32)),
        1 => Just((69, 8)),
        3 => Just((70, 8)),
        2 => Just((71, 16)),
        2 => Just((72, 32)),
        1 => Just((73, 16)),
        1 => Just((80, 8)),
        1 => Just((81, 16)),
        1 => Just((82, 24)),
        1 => Just((83, 16)),
        1 => Just((84, 56)),
        1 => Just((85, 16)),
        1 => Just((86, 32)),
        1 => Just((87, 8)),
        1 => Just((88, 16)),
        1 => Just((89, 8)),
        1 => Just((91, 8)),
        1 => Just((999, 16)),
    ];
    let part = (
        0..300u16,
        0..3u8,
        proptest::collection::vec(any::<u8>(), 0..12),
    );
    let parts = proptest::collection::vec(part, 0..3);
    (
        kinds,
        proptest::collection::vec(0..8u8, 64),
        any::<[u8; 4]>(),
        parts,
        0..4u32,
        0..3u32,
    )
        .prop_map(|((kind, length), small, wild, parts, session, epoch)| {
            let mut record = vec![0u8; 24];
            record[4..6].copy_from_slice(&kind.to_le_bytes());
            record[6] = 1;
            record[8..12].copy_from_slice(&session.to_le_bytes());
            record[12..16].copy_from_slice(&epoch.to_le_bytes());
            record[20..22].copy_from_slice(&(length as u16).to_le_bytes());
            record.extend(&small[..length]);
            // One field is anything at all.
            let at = 24 + usize::from(wild[0]) % length;
            record[at] = wild[1];
            let at = 24 + usize::from(wild[2]) % length;
            record[at] = wild[3];
            for (tag, policy, value) in parts {
                let mut part = vec![0u8; 8];
                part[0..2].copy_from_slice(&tag.to_le_bytes());
                part[2] = policy;
                part[4..8].copy_from_slice(&(value.len() as u32).to_le_bytes());
                part.extend(&value);
                part.resize(part.len().next_multiple_of(8), 0);
                record.extend(part);
            }
            let length = record.len() as u32;
            record[0..4].copy_from_slice(&length.to_le_bytes());
            record
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_in_legal_form_never_panics(records in proptest::collection::vec(any_record(), 1..40)) {
        let mut driver = venue();
        for record in records {
            let mut one = Records::default();
            one.push(&record);
            if driver.try_apply(BatchKind::Commands, &one).is_err() {
                // A part or kind that asks to halt; the node would stop here.
                driver = venue();
            }
            prop_assert_eq!(driver.machine.check_invariants(), Ok(()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        record_count in 0..4u32,
    ) {
        let mut driver = venue();
        let mut records = Records::default();
        let whole = bytes.len() / 8 * 8;
        records.push(&bytes[..whole]);
        records.count = record_count;
        let outcome = driver.try_apply(BatchKind::Commands, &records);
        prop_assert!(outcome.is_ok() == (whole == 0 && record_count == 0));
    }

    /// A good stream with bytes changed anywhere in it: applied, refused or an error, never a panic.
    #[test]
    fn damaged_streams_never_panic(
        steps in proptest::collection::vec(step(), 1..40),
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
    ) {
        let mut oracle = Oracle::new(Fault::None);
        let mut driver = venue();
        for command in small_venue() {
            oracle.tell(1, &command);
        }
        let mut records = Records::default();
        for step in &steps {
            let command = step.command(&oracle);
            oracle.tell(driver.timestamp + 1, &command);
            command.write(&mut records);
        }
        let mut bytes = records.with(<[u8]>::to_vec);
        for (at, value) in damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        let mut damaged = Records::default();
        damaged.push(&bytes);
        damaged.count = records.count;
        if driver.try_apply(BatchKind::Commands, &damaged).is_ok() {
            prop_assert_eq!(driver.machine.check_invariants(), Ok(()));
        }
    }
}
