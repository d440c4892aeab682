//! Snapshots: files of any bytes, and state images whose checksums hold but whose fields say anything.

use crate::bytes::{Aligned, Script};
use crate::machine::{CAPACITY, prelude_records};
use lockstep_core::image::{ImageSink, Section};
use lockstep_core::StateMachine;
use lockstep_journal::ClusterId;
use lockstep_journal::snapshot::{SnapshotFile, SnapshotHeader, snapshot_name};
use lockstep_journal::storage::MemoryStorage;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::*;
use lockstep_record::event::NullSink;
use lockstep_record::*;

/// An image in memory.
#[derive(Default, Clone, PartialEq)]
struct Image(Vec<(Section, Vec<u8>)>);

impl ImageSink for Image {
    fn section(&mut self, section: Section) {
        self.0.push((section, Vec::new()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some((_, section)) = self.0.last_mut() {
            section.extend_from_slice(bytes);
        }
    }
}

impl Image {
    fn of(machine: &StateMachine) -> Self {
        let mut image = Self::default();
        machine.write_image(&mut image);
        image
    }
}

/// One batch of one record behind whatever the machine's place in the log is; false if it refuses.
fn apply(machine: &mut StateMachine, record: &[u8]) -> bool {
    let (Some(index), Some(sequence), Some(timestamp)) = (
        machine.last_index().0.checked_add(1),
        machine.last_sequence().0.checked_add(1),
        machine.last_timestamp().0.checked_add(1),
    ) else {
        return false;
    };
    let batch = BatchInfo {
        kind: BatchKind::Commands,
        term: machine.last_term(),
        index: LogIndex(index),
        first_sequence: Sequence(sequence),
        record_count: 1,
        timestamp: Timestamp(timestamp),
        feature_set_version: machine.features().set_version,
    };
    let bytes = Aligned::copy(record);
    machine.apply(&batch, bytes.bytes(), &mut NullSink).is_ok()
}

fn order(number: u32, side: u8, price: u64, options: &[(PartTag, &[u8])]) -> Vec<u8> {
    let timed = options.iter().any(|(tag, _)| *tag == PartTag::EXPIRE_TIME);
    let body = EnterOrder {
        price,
        symbol: *b"ACME    ",
        user_ref_num: number,
        quantity: 10,
        side,
        time_in_force: if timed { b'6' } else { b'0' },
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: [b' '; 14],
        _reserved: [0; 4],
    };
    let source = Source {
        session: SessionId(1),
        epoch: ConnectionEpoch(1),
        gateway: Gateway(1),
    };
    let mut out = vec![0; RECORD_LENGTH_MAX];
    let mut writer = RecordWriter::new(&mut out, source, &body);
    for (tag, value) in options {
        writer.part(*tag, Policy::Reject, value);
    }
    let length = writer.finish();
    out.truncate(length);
    out
}

/// A state with resting orders of several kinds on both sides.
fn base() -> StateMachine {
    let mut machine = StateMachine::new(CAPACITY);
    for record in prelude_records() {
        assert!(apply(&mut machine, &record));
    }
    let reserve: &[(PartTag, &[u8])] = &[(PartTag::MAX_FLOOR, &[4, 0, 0, 0])];
    let timed: &[(PartTag, &[u8])] = &[(PartTag::EXPIRE_TIME, &[9, 0, 0, 0])];
    for (number, side, price, options) in [
        (1, b'B', 10_000, &[][..]),
        (2, b'B', 10_000, reserve),
        (3, b'B', 9_000, timed),
        (4, b'S', 11_000, &[][..]),
        (5, b'S', 12_000, reserve),
    ] {
        assert!(apply(&mut machine, &order(number, side, price, options)));
    }
    assert_eq!(machine.open_order_count(), 5);
    machine
}

/// An image with edited fields: refused, or a state whose invariants hold, that is written again with the same
/// bytes, and that takes what comes next without a panic.
pub mod snapshot_image {
    use super::*;

    pub fn run(data: &[u8]) {
        let mut script = Script(data);
        let mut image = Image::of(&base());
        while !script.is_empty() {
            let (which, at) = (usize::from(script.u8()), usize::from(script.u16()));
            let (how, value) = (script.u8(), script.u8());
            let at_section = which % image.0.len();
            let section = &mut image.0[at_section].1;
            let at = at % section.len().max(1);
            match how % 8 {
                0 => section.truncate(at),
                1 => section.insert(at.min(section.len()), value),
                2 => section.extend([value; 4]),
                3 => {
                    image.0.remove(at_section);
                    if image.0.is_empty() {
                        return;
                    }
                }
                _ => {
                    if let Some(byte) = section.get_mut(at) {
                        *byte = value;
                    }
                }
            }
        }
        let sections: Vec<_> = image.0.iter().map(|(tag, bytes)| (*tag, &bytes[..])).collect();
        let Ok(mut machine) = StateMachine::load_image(CAPACITY, &sections) else {
            return;
        };
        machine.check_invariants().expect("a loaded state is whole");
        assert!(Image::of(&machine) == image, "written again differently");
        let sweep = order(900, b'S', 8_000, &[]);
        let lift = order(901, b'B', 20_000, &[]);
        for record in [&sweep, &lift] {
            if apply(&mut machine, record) {
                machine.check_invariants().expect("and stays whole");
            }
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        for section in 0..4u8 {
            for at in [0u16, 4, 9, 17, 33, 60, 120] {
                let at = at.to_le_bytes();
                all.push(vec![section, at[0], at[1], 4, 1]);
                all.push(vec![section, at[0], at[1], 0, 0]);
                all.push(vec![section, at[0], at[1], 7, 0xFF, 3, at[0], at[1], 5, 0x7F]);
            }
        }
        all
    }
}

/// Files of any bytes under a snapshot's name: refused, or sections within the file.
pub mod snapshot_file {
    use super::*;

    pub fn run(data: &[u8]) {
        if let Ok(header) = SnapshotHeader::decode(data) {
            let encoded = header.encode();
            assert_eq!(SnapshotHeader::decode(&encoded).as_ref(), Ok(&header));
        }
        let storage = MemoryStorage::new();
        storage.put(&snapshot_name(5), data);
        if let Ok(file) = SnapshotFile::open(&storage, 5, ClusterId([1; 16])) {
            let _ = file.verify();
            for (_, bytes) in file.sections() {
                assert!(bytes.len() < data.len());
            }
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        use lockstep_journal::snapshot::{SnapshotFacts, SnapshotWriter};
        use lockstep_journal::{Lineage, LogTail};
        let storage = MemoryStorage::new();
        let mut writer = SnapshotWriter::create(&storage, 5).expect("memory");
        writer.section(1).expect("memory");
        writer.bytes(&[7; 100]).expect("memory");
        let facts = SnapshotFacts {
            cluster_id: ClusterId([1; 16]),
            lineage: Lineage([3; 16]),
            tail: LogTail {
                index: 5,
                ..LogTail::EMPTY
            },
            digest: 0,
            feature_set_version: 0,
            image_version: 1,
            state_hash: [0; 32],
            engine_version: String::new(),
            stream_index: 0,
        };
        writer.finish(&facts).expect("memory");
        let whole = storage.get(&snapshot_name(5)).expect("written");
        vec![whole[..4096].to_vec(), whole]
    }
}
