use super::*;
use crate::storage::{DirectStorage, Fault, FaultyStorage, MemoryStorage};
use crate::testing::Random;
use std::sync::Arc;

fn packet(session: u32, number: u64) -> Vec<u8> {
    let mut random = Random(u64::from(session) << 32 | number);
    let payload = 1 + random.below(120) as usize;
    let mut bytes = Vec::from(((payload + 1) as u16).to_be_bytes());
    bytes.push(SEQUENCED_DATA);
    bytes.extend((0..payload).map(|_| random.next() as u8));
    bytes
}

fn small() -> StreamOptions {
    StreamOptions {
        sessions_max: 8,
        chunk_length: 4096,
        open_sessions_max: 2,
    }
}

fn writer<S: Storage>(folder: &S, begin: Begin) -> StreamWriter<S> {
    let mut writer = StreamWriter::new(small());
    writer.begin_day(folder.clone(), begin).unwrap();
    writer
}

fn append<S: Storage>(writer: &mut StreamWriter<S>, session: u32, count: u64) {
    let slot = writer.add_session(session).unwrap();
    for _ in 0..count {
        let number = writer.next_number(slot);
        let appended = writer
            .append(slot, number, &packet(session, number))
            .unwrap();
        assert_eq!(appended, Appended::New);
    }
}

fn live<S: Storage>(writer: &StreamWriter<S>, folder: &S, session: u32) -> StreamReader<S> {
    let progress = Arc::clone(writer.progress());
    StreamReader::live(folder, session, writer.slot(session).unwrap(), progress).unwrap()
}

/// Reads from `number` to the end, checking every packet; returns the last number.
fn read_all<S: Storage>(reader: &mut StreamReader<S>, session: u32, mut number: u64) -> u64 {
    let mut target = vec![0; 9000];
    loop {
        let read = reader.read(number, &mut target).unwrap();
        if read.count == 0 {
            return number - 1;
        }
        let mut at = 0;
        for expected in read.first..read.first + read.count {
            let bytes = packet(session, expected);
            assert_eq!(target[at..at + bytes.len()], bytes, "packet {expected}");
            at += bytes.len();
        }
        assert_eq!(at, read.length);
        number += read.count;
    }
}

#[test]
fn any_number_of_the_day_reads_back() {
    let folder = MemoryStorage::new();
    let mut writer = writer(&folder, Begin::Fresh);
    for _ in 0..40 {
        for session in [7, 8, 9, 10] {
            append(&mut writer, session, u64::from(session));
        }
    }
    writer.flush_all().unwrap();
    for session in [7, 8, 9, 10] {
        let count = 40 * u64::from(session);
        let mut reader = live(&writer, &folder, session);
        for number in 1..=count {
            let mut target = vec![0; STREAM_PACKET_LENGTH_MAX];
            let read = reader.read(number, &mut target).unwrap();
            assert!(read.count > 0);
            let bytes = packet(session, number);
            assert_eq!(target[..bytes.len()], bytes);
        }
        assert_eq!(read_all(&mut reader, session, 1), count);
        assert_eq!(
            read_all(&mut reader, session, count + 5),
            count + 4,
            "not there yet"
        );
        let mut files = StreamReader::of_files(&folder, session).unwrap();
        assert_eq!(read_all(&mut files, session, 1), count);
        assert_eq!(read_all(&mut files, session, 100), count.max(99));
    }
}

#[test]
fn a_reader_sees_whole_packets_only_while_the_writer_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = DirectStorage::open(folder.path()).unwrap();
    let mut writer = writer(&folder, Begin::Fresh);
    writer.add_session(3).unwrap();
    let mut reader = live(&writer, &folder, 3);
    const COUNT: u64 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            append(&mut writer, 3, COUNT);
            writer.flush_all().unwrap();
        });
        let mut next = 1;
        while next <= COUNT {
            next = read_all(&mut reader, 3, next) + 1;
            std::thread::yield_now();
        }
    });
}

#[test]
fn what_is_not_flushed_is_not_visible_and_memory_is_bounded() {
    let folder = MemoryStorage::new();
    let mut writer = writer(&folder, Begin::Fresh);
    append(&mut writer, 5, 10);
    let mut reader = live(&writer, &folder, 5);
    assert_eq!(read_all(&mut reader, 5, 1), 0);
    assert_eq!(writer.do_work().unwrap(), 1);
    assert_eq!(read_all(&mut reader, 5, 1), 10);
    let slot = writer.slot(5).unwrap();
    let before = writer.capacity(slot);
    append(&mut writer, 5, 5000);
    assert_eq!(writer.capacity(slot), before, "never grown");
    assert_eq!(writer.do_work().unwrap() + writer.do_work().unwrap(), 1);
}

#[test]
fn wrong_numbers_and_packets_are_refused() {
    let folder = MemoryStorage::new();
    let mut writer = writer(&folder, Begin::Fresh);
    append(&mut writer, 1, 3);
    let slot = writer.slot(1).unwrap();
    let good = packet(1, 9);
    let gap = StreamError::Gap {
        session: 1,
        last: 3,
        number: 5,
    };
    assert_eq!(writer.append(slot, 5, &good), Err(gap));
    assert_eq!(writer.append(slot, 2, &good), Ok(Appended::Known));
    let refused = Err(StreamError::Packet { session: 1 });
    for bad in [&good[..good.len() - 1], &[0, 1, b'+'], &[0, 0], &[]] {
        assert_eq!(writer.append(slot, 4, bad), refused);
    }
    let long = [&(5000u16).to_be_bytes()[..], b"S", &[0; 4999]].concat();
    assert_eq!(writer.append(slot, 4, &long), refused);
    for session in 2..=8 {
        writer.add_session(session).unwrap();
    }
    assert_eq!(
        writer.add_session(9),
        Err(StreamError::TooManySessions { max: 8 })
    );
    let none = StreamWriter::<MemoryStorage>::new(small()).add_session(1);
    assert_eq!(none, Err(StreamError::NoDay));
}

#[test]
fn a_new_day_begins_at_number_one_and_ends_old_readers() {
    let (monday, tuesday) = (MemoryStorage::new(), MemoryStorage::new());
    let mut writer = writer(&monday, Begin::Fresh);
    append(&mut writer, 4, 100);
    let mut reader = live(&writer, &monday, 4);
    writer.begin_day(tuesday.clone(), Begin::Fresh).unwrap();
    let mut target = vec![0; STREAM_PACKET_LENGTH_MAX];
    assert_eq!(reader.read(1, &mut target), Err(StreamError::DayOver));
    assert_eq!(
        reader.read(1, &mut target[..100]),
        Err(StreamError::TargetTooSmall)
    );
    let slot = writer.add_session(4).unwrap();
    assert_eq!(writer.next_number(slot), 1);
    append(&mut writer, 4, 10);
    writer.flush_all().unwrap();
    assert_eq!(read_all(&mut live(&writer, &tuesday, 4), 4, 1), 10);
    // Monday was flushed before it ended, and can be read for as long as it is kept.
    assert_eq!(
        read_all(&mut StreamReader::of_files(&monday, 4).unwrap(), 4, 1),
        100
    );
}

/// A crash leaves any prefix of either file; the writer goes on from whole packets and replay fills the rest.
#[test]
fn every_length_of_the_files_resumes() {
    let folder = MemoryStorage::new();
    let mut first = writer(&folder, Begin::Fresh);
    append(&mut first, 2, 300);
    first.flush_all().unwrap();
    let (stream, index) = (
        folder.get("2.stream").unwrap(),
        folder.get("2.index").unwrap(),
    );
    assert_eq!(
        index.len() as u64,
        300u64.div_ceil(STREAM_INDEX_INTERVAL) * 8
    );
    let mut random = Random(5);
    for turn in 0..400 {
        let bytes = random.below(stream.len() as u64 + 1) as usize;
        let entries = random.below(index.len() as u64 + 1) as usize;
        let (bytes, entries) = match turn % 3 {
            0 => (bytes, entries),
            1 => (bytes, index.len()),
            _ => (stream.len(), entries),
        };
        let folder = MemoryStorage::new();
        folder.put("2.stream", &stream[..bytes]);
        folder.put("2.index", &index[..entries]);
        let mut writer = writer(&folder, Begin::Resume);
        let slot = writer.add_session(2).unwrap();
        for number in 1..=300 {
            writer.append(slot, number, &packet(2, number)).unwrap();
        }
        writer.flush_all().unwrap();
        assert_eq!(folder.get("2.stream").unwrap(), stream, "{bytes} {entries}");
        assert_eq!(folder.get("2.index").unwrap(), index, "{bytes} {entries}");
    }
}

#[test]
fn a_cut_at_every_number_can_be_continued() {
    let folder = MemoryStorage::new();
    let mut writer = writer(&folder, Begin::Fresh);
    append(&mut writer, 6, 200);
    writer.flush_all().unwrap();
    let stream = folder.get("6.stream").unwrap();
    let slot = writer.slot(6).unwrap();
    for count in (0..=200).rev() {
        writer.cut(slot, count).unwrap();
        assert_eq!(writer.next_number(slot), count + 1);
        assert_eq!(read_all(&mut live(&writer, &folder, 6), 6, 1), count);
    }
    for kept in [130, 64, 65, 1] {
        append(&mut writer, 6, 200);
        writer.cut(slot, kept).unwrap();
        append(&mut writer, 6, 200 - kept);
        writer.flush_all().unwrap();
        assert_eq!(folder.get("6.stream").unwrap(), stream);
        writer.cut(slot, 0).unwrap();
    }
    append(&mut writer, 6, 200);
    writer.flush_all().unwrap();
    assert_eq!(folder.get("6.stream").unwrap(), stream);
}

#[test]
fn damaged_framing_is_reported_not_served() {
    let folder = MemoryStorage::new();
    let mut writer = writer(&folder, Begin::Fresh);
    append(&mut writer, 2, 100);
    writer.flush_all().unwrap();
    let good = folder.get("2.stream").unwrap();
    let at = packet(2, 1).len();
    let mut bad = good.clone();
    bad[at + 2] = b'X';
    folder.put("2.stream", &bad);
    let mut reader = live(&writer, &folder, 2);
    let mut target = vec![0; STREAM_PACKET_LENGTH_MAX];
    let damaged = StreamError::Damaged {
        session: 2,
        offset: at as u64,
    };
    assert_eq!(reader.read(1, &mut target), Err(damaged));
    // Resuming looks at what follows the last index entry, and throws a file away that is damaged there;
    // elsewhere the reader reports it, and beginning afresh mends it.
    let mut bad = good.clone();
    let last = bad.len() - packet(2, 100).len();
    bad[last + 2] = b'X';
    folder.put("2.stream", &bad);
    let mut again = writer_resumed(&folder);
    let slot = again.add_session(2).unwrap();
    for number in 1..=100 {
        again.append(slot, number, &packet(2, number)).unwrap();
    }
    again.flush_all().unwrap();
    assert_eq!(read_all(&mut live(&again, &folder, 2), 2, 1), 100);
}

fn writer_resumed(folder: &MemoryStorage) -> StreamWriter<MemoryStorage> {
    writer(folder, Begin::Resume)
}

#[test]
fn failures_are_reported_and_nothing_unwritten_is_published() {
    let run = |storage: &FaultyStorage| -> Result<(), StreamError> {
        let mut writer = StreamWriter::new(small());
        writer.begin_day(storage.clone(), Begin::Fresh)?;
        for session in [1, 2, 3] {
            let slot = writer.add_session(session)?;
            let result = (1..=150).try_for_each(|number| {
                writer
                    .append(slot, number, &packet(session, number))
                    .map(|_| ())
            });
            let day = writer.progress().day();
            let written = writer.progress().written(slot.index(), day).unwrap();
            let mut reader = StreamReader::of_files(storage.inner(), session)?;
            assert!(read_all(&mut reader, session, 1) >= written.count);
            result?;
        }
        writer.flush_all()
    };
    let count = FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0);
    run(&count).unwrap();
    for operation in 1..=count.operation_count() {
        for fault in [
            Fault::Fail,
            Fault::NoSpace,
            Fault::ShortWrite,
            Fault::PowerCut,
        ] {
            let storage = FaultyStorage::new(MemoryStorage::new(), fault, operation);
            assert!(run(&storage).is_err(), "{fault:?} at {operation}");
        }
    }
}

#[test]
fn a_thousand_sessions_with_few_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DirectStorage::open(folder.path()).unwrap();
    let options = StreamOptions {
        sessions_max: 1000,
        chunk_length: 4096,
        open_sessions_max: 16,
    };
    let mut writer = StreamWriter::new(options);
    writer.begin_day(storage.clone(), Begin::Fresh).unwrap();
    for session in 1..=1000 {
        append(&mut writer, session, 70);
    }
    writer.flush_all().unwrap();
    for session in (1..=1000).step_by(37) {
        assert_eq!(
            read_all(&mut live(&writer, &storage, session), session, 60),
            70
        );
    }
}
