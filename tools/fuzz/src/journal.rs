//! The journal: batch headers, header blocks, recovery of a damaged folder, stream files.

use crate::bytes::Script;
use lockstep_journal::folder::{
    self, AcknowledgementPolicy, FormatOptions, HARD_STATE_NAME, HardState, HardStateFile,
    HardStateLoad, JournalFolder, JournalMeta, META_NAME, OpenOptions,
};
use lockstep_journal::log_buffer::{LogBufferImage, PreviousLogBuffer};
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::recovery::{RecoveryOptions, recover};
use lockstep_journal::segment::{
    SegmentHeader, SegmentPreparer, SegmentSupply, prepare_now, segment_name,
};
use lockstep_journal::storage::MemoryStorage;
use lockstep_journal::writer::JournalWriter;
use lockstep_journal::{
    BATCH_HEADER_LENGTH, BatchHeader, BatchView, BootId, Checksum, ClusterId, JournalId, Lineage,
    LogBuffer, LogBufferOptions, LogPosition, LogTail, RING_LENGTH_MIN, SealFields,
};
use std::sync::{Arc, OnceLock};

const DATA_LENGTH: u64 = 8192;
const BATCHES: u64 = 16;
/// Of them, the last are only in the log buffer.
const UNDRAINED: u64 = 3;
/// Batch *i* says that *i − lag* is committed.
const LAG: u64 = 2;
/// What the log buffer and the hard state say is committed.
const COMMITTED: u64 = BATCHES - 1;
const COMMITTED_ON_DISK: u64 = 8;

/// A small journal as a crash leaves it.
struct Crashed {
    storage: MemoryStorage,
    meta: JournalMeta,
    boot_id: BootId,
    image: LogBufferImage<'static>,
    /// Header checksums of all batches, in order.
    checksums: Vec<Checksum>,
}

fn crashed() -> &'static Crashed {
    static CRASHED: OnceLock<Crashed> = OnceLock::new();
    CRASHED.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("lockstep-fuzz-{}.log", std::process::id()));
        let made = make(&path);
        // Mapped for the life of the process; the name is not needed any more.
        let _ = std::fs::remove_file(&path);
        made
    })
}

fn make(path: &std::path::Path) -> Crashed {
    let storage = MemoryStorage::new();
    let format = FormatOptions {
        cluster_id: ClusterId([1; 16]),
        journal_id: JournalId([2; 16]),
        lineage: Lineage([3; 16]),
        segment_data_length: DATA_LENGTH,
        created: 4,
    };
    folder::format(&storage, &format).expect("a new journal");
    let policy = AcknowledgementPolicy::Local;
    let options = OpenOptions {
        policy,
        allow_volatile: true,
    };
    let folder = JournalFolder::open(storage.clone(), options).expect("the new journal");
    let meta = *folder.meta();
    prepare_now(&storage, &meta, 0).expect("a first segment");
    let options = LogBufferOptions {
        path: path.to_owned(),
        ring_length: RING_LENGTH_MIN,
        cluster_id: meta.cluster_id,
        journal_id: meta.journal_id,
        segment_data_length: meta.segment_data_length,
    };
    let buffer = LogBuffer::create(&options, &LogTail::EMPTY, &[]).expect("a log buffer");
    let mut appender = buffer.appender(meta.lineage).expect("its appender");
    let supply = SegmentSupply::new(1);
    let mut writer = JournalWriter::new(&folder, Arc::clone(&buffer), policy, Arc::clone(&supply));
    let mut preparer = SegmentPreparer::new(storage.clone(), meta, supply);
    let mut checksums = Vec::new();
    for index in 1..=BATCHES {
        let length = [0, 48, 1000, 72, 2200][index as usize % 5];
        appender.begin(length).expect("room");
        if length > 0 {
            appender.push(&vec![index as u8; length]).expect("room");
        }
        let tail = *appender.tail();
        let published = appender.seal(&SealFields {
            kind: 1,
            term: 1,
            index,
            first_sequence: tail.next_sequence,
            timestamp: index,
            commit_index: index.saturating_sub(LAG),
            digest_index: 0,
            digest: 0,
            feature_set_version: 0,
        });
        checksums.push(published.header_checksum);
        if index == COMMITTED {
            buffer.publish_commit(index, appender.tail().position);
        }
        while index + UNDRAINED <= BATCHES && !writer.is_drained() {
            preparer.do_work();
            writer.do_work().expect("a write to memory");
        }
    }
    let copy = storage.copy();
    let boot_id = buffer.identity().boot_id;
    let state = HardState {
        term: 1,
        commit_index: COMMITTED_ON_DISK,
        log_buffer_id: buffer.identity().log_buffer_id,
        boot_id,
        ..HardState::default()
    };
    let mut hard_state = HardStateFile::open(&copy, &meta).expect("the new hard state");
    hard_state.store(&state).expect("a write to memory");
    drop((writer, appender, buffer, folder));
    // Leaked: the image is looked at for the life of the process.
    let previous = PreviousLogBuffer::open(path).expect("the log buffer's file");
    let previous = Box::leak(Box::new(previous.expect("the log buffer's file")));
    let image = previous.image().expect("a whole log buffer");
    Crashed {
        storage: copy,
        meta,
        boot_id,
        image,
        checksums,
    }
}

/// Overwrites, cuts and deletes as the input says. Returns the names that were touched.
fn damage(storage: &MemoryStorage, ring: &mut [u8], script: &mut Script<'_>) -> Vec<String> {
    let names = [
        segment_name(0),
        segment_name(1),
        segment_name(2),
        HARD_STATE_NAME.to_owned(),
    ];
    let mut touched = Vec::new();
    for _ in 0..script.u8() % 8 {
        let which = usize::from(script.u8() % 5);
        let (offset, length) = (usize::from(script.u16()), usize::from(script.u8()));
        let how = script.u8() % 8;
        let Some(name) = names.get(which) else {
            if how < 6 {
                overwrite(ring, offset, script.take(length));
            } else {
                let end = (offset + length * 64).min(ring.len());
                ring[offset.min(end)..end].fill(0);
            }
            continue;
        };
        let Some(mut bytes) = storage.get(name) else {
            continue;
        };
        match how {
            0..=4 => overwrite(&mut bytes, offset, script.take(length)),
            5 => bytes.truncate(offset),
            6 => {
                let end = (offset + length * 64).min(bytes.len());
                bytes[offset.min(end)..end].fill(0);
            }
            _ => {
                // A block from elsewhere in the same file: whole batches at wrong places.
                let block: Vec<u8> = bytes
                    .iter()
                    .copied()
                    .skip(offset)
                    .take(length * 64)
                    .collect();
                overwrite(&mut bytes, usize::from(script.u16()), &block);
            }
        }
        storage.put(name, &bytes);
        touched.push(name.clone());
    }
    touched
}

fn overwrite(bytes: &mut [u8], offset: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(offset).zip(with) {
        *byte = *new;
    }
}

/// Batches that a reader finds are the first of those that were written, byte for byte.
fn check_prefix(storage: &MemoryStorage, meta: &JournalMeta, options: ReadOptions) -> u64 {
    let mut reader = JournalReader::new(storage.clone(), meta, options);
    let mut count = 0;
    while let Ok(Some(batch)) = reader.next_batch() {
        assert_eq!(
            Some(&batch.header.header_checksum),
            crashed().checksums.get(count as usize)
        );
        count += 1;
    }
    assert_eq!(reader.tail().index, count);
    count
}

/// Any bytes as a batch; any fields as a header.
pub mod batch {
    use super::*;

    fn header(script: &mut Script<'_>) -> BatchHeader {
        let id = |script: &mut Script<'_>| [script.u8(); 16];
        BatchHeader {
            kind: script.u8() % 6,
            cluster_id: ClusterId(id(script)),
            lineage: Lineage(id(script)),
            term: script.u64(),
            index: script.u64(),
            first_sequence: script.u64(),
            record_count: script.u32(),
            body_length: script.u32(),
            timestamp: script.u64(),
            commit_index: script.u64(),
            digest_index: script.u64(),
            digest: script.u64(),
            feature_set_version: script.u64(),
            body_checksum: Checksum::of(&[script.u8()]),
            previous_checksum: Checksum(id(script)),
            header_checksum: Checksum::ZERO,
        }
    }

    pub fn run(data: &[u8]) {
        if let Ok(header) = BatchHeader::decode(data) {
            assert_eq!(header.encode(), data[..BATCH_HEADER_LENGTH]);
        }
        if let Ok(view) = BatchView::verified(data, LogPosition(0)) {
            assert_eq!(view.bytes().len() as u64, view.header.length());
            let _ = (view.body(), view.end());
        }
        let mut script = Script(data);
        let header = header(&mut script);
        let mut bytes = header.encode().to_vec();
        if let Ok(again) = BatchHeader::decode(&bytes) {
            assert_eq!(again.encode().as_slice(), bytes);
            assert_eq!(again.index, header.index);
            let _ = (
                again.follows(&LogTail::EMPTY, again.cluster_id),
                again.length(),
            );
            let _ = (
                again.next_sequence(),
                LogTail::after(&again, LogPosition(0)),
            );
        }
        bytes.extend_from_slice(script.0);
        let _ = BatchView::verified(&bytes, LogPosition(0));
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut all = vec![vec![1; 128]];
        let crashed = crashed();
        let mut reader =
            JournalReader::new(crashed.storage.clone(), &crashed.meta, ReadOptions::ALL);
        while let Ok(Some(batch)) = reader.next_batch() {
            all.push(batch.bytes().to_vec());
        }
        assert!(all.len() > 10);
        all
    }
}

/// Any bytes as `journal.meta`, hard state or a segment's header.
pub mod headers {
    use super::*;

    pub fn run(data: &[u8]) {
        let storage = MemoryStorage::new();
        storage.put(META_NAME, data);
        storage.put(HARD_STATE_NAME, data);
        let meta = folder::read_meta(&storage).unwrap_or(crashed().meta);
        let _ = HardStateLoad::read(&storage, &meta);
        if let Ok(header) = SegmentHeader::decode(data) {
            let _ = header.first_position();
            let encoded = header.encode();
            assert_eq!(SegmentHeader::decode(&encoded).as_ref(), Ok(&header));
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let storage = &crashed().storage;
        let names = [
            META_NAME.to_owned(),
            HARD_STATE_NAME.to_owned(),
            segment_name(0),
        ];
        let file = |name: &String| storage.get(name).expect("a file of a journal");
        names
            .iter()
            .map(|name| file(name)[..4096.min(file(name).len())].to_vec())
            .collect()
    }
}

/// A damaged journal, with and without its log buffer: refused, or recovered to a prefix of what was
/// written that holds everything proven; and once recovered, it recovers to the same again.
pub mod recovery {
    use super::*;

    pub fn run(data: &[u8]) {
        let (base, mut script) = (crashed(), Script(data));
        let storage = base.storage.copy();
        let mut ring = base.image.ring.to_vec();
        let with_ring = script.u8() % 2 == 0;
        let touched = damage(&storage, &mut ring, &mut script);
        check_prefix(&storage, &base.meta, ReadOptions::ALL);
        let image = LogBufferImage {
            ring: &ring,
            ..base.image
        };
        let log_buffer = with_ring.then_some(image);
        let options = |log_buffer| RecoveryOptions {
            from: LogTail::EMPTY,
            witness_index: 0,
            boot_id: base.boot_id,
            log_buffer,
        };
        let Ok(recovery) = recover(&storage, &base.meta, &options(log_buffer)) else {
            assert!(
                !touched.is_empty() || ring != base.image.ring,
                "refused without damage"
            );
            return;
        };
        if with_ring {
            // What only the log buffer has and nobody was told of may be torn in it.
            let proven = if ring == base.image.ring {
                BATCHES
            } else {
                COMMITTED
            };
            assert!(
                recovery.tail.index >= proven,
                "the log buffer proves {proven} batches"
            );
        }
        if !touched.iter().any(|name| name == HARD_STATE_NAME) {
            assert!(
                recovery.tail.index >= COMMITTED_ON_DISK,
                "the hard state proves them"
            );
        }
        let applied = recovery
            .apply(&storage, &base.meta, log_buffer)
            .expect("writes to memory");
        let position = recovery.tail.position;
        assert_eq!(
            applied.prefix.len() as u64,
            position.0 - position.block_floor().0
        );
        let until = ReadOptions {
            until: Some(position),
            ..ReadOptions::ALL
        };
        assert_eq!(
            check_prefix(&storage, &base.meta, until),
            recovery.tail.index
        );
        let again = recover(&storage, &base.meta, &options(None)).expect("recovered already");
        assert_eq!(again.tail, recovery.tail);
        assert_eq!((again.pending_batches, again.cut()), (0, None));
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut all = vec![vec![0, 0], vec![1, 0]];
        for file in 0..5u8 {
            for how in [0, 5, 6, 7] {
                for ring in 0..2 {
                    all.push(vec![ring, 1, file, 0, 17, 4, how, 9, 9, 9, 9, 0, 18]);
                    all.push(vec![ring, 2, file, 64, 16, 2, how, 1, 1, file, 0, 30, 8, 6]);
                }
            }
        }
        all
    }
}

/// Stream files of any content: whole packets from any number, or an error; never half a packet.
pub mod stream {
    use super::*;
    use lockstep_journal::stream::{STREAM_PACKET_LENGTH_MAX, StreamReader};

    pub fn run(data: &[u8]) {
        let mut script = Script(data);
        let number = script.u64() % 300;
        let index = usize::from(script.u16());
        let storage = MemoryStorage::new();
        storage.put("1.index", script.take(index));
        storage.put("1.stream", script.0);
        let Ok(mut reader) = StreamReader::of_files(&storage, 1) else {
            return;
        };
        let mut target = vec![0; 2 * STREAM_PACKET_LENGTH_MAX];
        for number in [number, 1] {
            if let Ok(read) = reader.read(number, &mut target) {
                let mut rest = &target[..read.length];
                for _ in 0..read.count {
                    let length = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    assert_eq!(rest[2], b'S');
                    rest = &rest[length..];
                }
                assert!(rest.is_empty(), "half a packet");
            }
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let packets: Vec<u8> = (0..130u8).flat_map(|at| [0, 3, b'S', at, at]).collect();
        let mut seed = vec![70, 0, 0, 0, 0, 0, 0, 0, 24, 0];
        for offset in [0u64, 64 * 5, 128 * 5] {
            seed.extend_from_slice(&offset.to_le_bytes());
        }
        seed.extend_from_slice(&packets);
        vec![seed]
    }
}
