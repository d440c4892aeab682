//! Stream files: every numbered message of a trading day per session, as sent, for replay to clients.
//!
//! Derived from the log and never synced: replay makes them again. One writer, off the commit path;
//! readers take whole packets only, up to the count that the writer has published. Memory is bounded:
//! one chunk a session that has said anything (docs/journal-format.md, "Stream files").

use crate::storage::StorageError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every so many packets the index names an offset.
pub const INDEX_INTERVAL: u64 = 64;
/// Bytes held in memory per session before they are written.
const CHUNK_LENGTH: usize = 16 << 10;
/// `u16 length` counts from the type on; a packet is 2 bytes longer.
const LENGTH_FIELD: usize = 2;
/// Longest packet a stream can hold.
pub const PACKET_LENGTH_MAX: usize = 1024;
/// What is read at once: a full interval to skip, and something to give.
const READ_LENGTH: usize = INDEX_INTERVAL as usize * PACKET_LENGTH_MAX;

/// Counts that the writer publishes and readers trust.
#[derive(Debug)]
struct Shared {
    /// Days begun; files of an earlier day are another generation's.
    generation: AtomicU64,
    /// Packets in the files, by session id.
    written: Box<[AtomicU64]>,
}

/// The day's folder below the root.
fn day_folder(root: &Path, session_name: &[u8; 10]) -> PathBuf {
    let name: String = session_name
        .iter()
        .map(|&b| char::from(b))
        .filter(char::is_ascii_alphanumeric)
        .collect();
    root.join(name)
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |error| StorageError::from_io(operation, path, &error)
}

#[derive(Debug)]
struct OpenStream {
    data: File,
    index: File,
    path: PathBuf,
    /// Bytes and packets in the file.
    bytes: u64,
    packets: u64,
    chunk: Vec<u8>,
    chunk_packets: u64,
    /// Listed in the writer's `dirty`.
    dirty: bool,
    /// Offsets not yet in the index file.
    offsets: Vec<u64>,
    offsets_written: u64,
}

impl OpenStream {
    fn create(folder: &Path, session: u32) -> Result<Self, StorageError> {
        let path = folder.join(format!("{session}.stream"));
        let index_path = folder.join(format!("{session}.index"));
        let data = File::create(&path).map_err(failed("create", &path))?;
        let index = File::create(&index_path).map_err(failed("create", &index_path))?;
        Ok(Self {
            data,
            index,
            path,
            bytes: 0,
            packets: 0,
            chunk: Vec::with_capacity(CHUNK_LENGTH),
            chunk_packets: 0,
            dirty: false,
            offsets: Vec::with_capacity(CHUNK_LENGTH / 4),
            offsets_written: 0,
        })
    }

    fn flush(&mut self, written: &AtomicU64) -> Result<(), StorageError> {
        self.data
            .write_all_at(&self.chunk, self.bytes)
            .map_err(failed("write", &self.path))?;
        for (offset, entry) in self.offsets.iter().zip(self.offsets_written..) {
            self.index
                .write_all_at(&offset.to_le_bytes(), entry * 8)
                .map_err(failed("write the index of", &self.path))?;
        }
        self.offsets_written += self.offsets.len() as u64;
        self.offsets.clear();
        self.bytes += self.chunk.len() as u64;
        self.packets += self.chunk_packets;
        self.chunk.clear();
        self.chunk_packets = 0;
        // Release: whoever sees the count finds the bytes in the files.
        written.store(self.packets, Ordering::Release);
        Ok(())
    }
}

/// The only writer of a folder of streams.
#[derive(Debug)]
pub struct StreamWriter {
    root: PathBuf,
    folder: Option<PathBuf>,
    streams: Vec<Option<Box<OpenStream>>>,
    /// Sessions with something in their chunk.
    dirty: Vec<u32>,
    shared: Arc<Shared>,
}

impl StreamWriter {
    /// Streams below `root` for session ids below `sessions_end`.
    pub fn new(root: &Path, sessions_end: usize) -> Result<Self, StorageError> {
        fs::create_dir_all(root).map_err(failed("create folder", root))?;
        let written = (0..sessions_end).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            written,
        });
        Ok(Self {
            root: root.to_owned(),
            folder: None,
            streams: (0..sessions_end).map(|_| None).collect(),
            dirty: Vec::with_capacity(sessions_end),
            shared,
        })
    }

    /// A reader of the same streams, for one thread. Take it before any day begins, or between days.
    pub fn reader(&self) -> StreamReader {
        StreamReader {
            root: self.root.clone(),
            folder: self.folder.clone(),
            generation: self.shared.generation.load(Ordering::Acquire),
            cursors: self.streams.iter().map(|_| None).collect(),
            scratch: vec![0; READ_LENGTH].into_boxed_slice(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Begins the streams of a day at number 1, replacing what an earlier run left of the same day.
    pub fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), StorageError> {
        self.flush()?;
        let folder = day_folder(&self.root, session_name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("clear folder", &folder)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&folder).map_err(failed("create folder", &folder))?;
        self.streams.iter_mut().for_each(|stream| *stream = None);
        self.shared
            .written
            .iter()
            .for_each(|count| count.store(0, Ordering::Relaxed));
        self.shared.generation.fetch_add(1, Ordering::Release);
        self.folder = Some(folder);
        Ok(())
    }

    /// Appends packet `number` (from 1, without gaps) of a session.
    ///
    /// A packet before the first day, or of a session beyond the bound, is the caller's bug.
    pub fn append(&mut self, session: u32, number: u64, packet: &[u8]) -> Result<(), StorageError> {
        assert!(packet.len() <= PACKET_LENGTH_MAX && packet.len() > LENGTH_FIELD);
        let slot = &mut self.streams[session as usize];
        let stream = match slot {
            Some(stream) => stream,
            None => {
                let Some(folder) = &self.folder else {
                    panic!("no day has begun")
                };
                slot.insert(Box::new(OpenStream::create(folder, session)?))
            }
        };
        let next = stream.packets + stream.chunk_packets + 1;
        assert_eq!(number, next, "session {session}: the stream has a gap");
        if stream.chunk.len() + packet.len() > CHUNK_LENGTH {
            stream.flush(&self.shared.written[session as usize])?;
        }
        if !stream.dirty {
            stream.dirty = true;
            self.dirty.push(session);
        }
        if (number - 1).is_multiple_of(INDEX_INTERVAL) {
            stream
                .offsets
                .push(stream.bytes + stream.chunk.len() as u64);
        }
        stream.chunk.extend_from_slice(packet);
        stream.chunk_packets += 1;
        Ok(())
    }

    /// Whether something is in memory only.
    pub fn holds_unwritten(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Writes everything held in memory and publishes the counts.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        while let Some(session) = self.dirty.pop() {
            if let Some(stream) = &mut self.streams[session as usize] {
                stream.dirty = false;
                stream.flush(&self.shared.written[session as usize])?;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Cursor {
    data: File,
    index: File,
    /// Offset of packet `number`, where the last read ended.
    number: u64,
    offset: u64,
}

/// Reads packets that the writer has published. One per thread.
#[derive(Debug)]
pub struct StreamReader {
    root: PathBuf,
    folder: Option<PathBuf>,
    generation: u64,
    cursors: Vec<Option<Box<Cursor>>>,
    scratch: Box<[u8]>,
    shared: Arc<Shared>,
}

impl StreamReader {
    /// The caller has learned that a day began: what is read from now on is that day's.
    pub fn begin_day(&mut self, session_name: &[u8; 10]) {
        self.folder = Some(day_folder(&self.root, session_name));
        self.generation += 1;
        self.cursors.iter_mut().for_each(|cursor| *cursor = None);
    }

    /// Packets of a session that can be read now.
    pub fn available(&self, session: u32) -> u64 {
        if self.shared.generation.load(Ordering::Acquire) != self.generation {
            return 0;
        }
        let written = self.shared.written.get(session as usize);
        written.map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Copies whole packets from number `from` on into `out`; returns (bytes, packets). (0, 0) if
    /// packet `from` is not written yet or `out` has no room for it.
    pub fn read(
        &mut self,
        session: u32,
        from: u64,
        out: &mut [u8],
    ) -> Result<(usize, u64), StorageError> {
        let available = self.available(session);
        if from == 0 || from > available {
            return Ok((0, 0));
        }
        let Some(folder) = &self.folder else {
            return Ok((0, 0));
        };
        let slot = &mut self.cursors[session as usize];
        let cursor = match slot {
            Some(cursor) => cursor,
            None => slot.insert(Box::new(Cursor::open(folder, session)?)),
        };
        let mut skip = cursor.seek(from)?;
        let scratch = &mut self.scratch;
        let held =
            read_some(&cursor.data, scratch, cursor.offset).map_err(failed("read", folder))?;
        let (mut at, mut bytes, mut packets) = (0, 0, 0);
        while cursor.number <= available {
            let Some(length) = packet_length(&scratch[at..held]) else {
                break;
            };
            if skip > 0 {
                skip -= 1;
            } else if bytes + length <= out.len() {
                out[bytes..bytes + length].copy_from_slice(&scratch[at..at + length]);
                bytes += length;
                packets += 1;
            } else {
                break;
            }
            at += length;
            cursor.offset += length as u64;
            cursor.number += 1;
        }
        Ok((bytes, packets))
    }
}

impl Cursor {
    fn open(folder: &Path, session: u32) -> Result<Self, StorageError> {
        let path = folder.join(format!("{session}.stream"));
        let index_path = folder.join(format!("{session}.index"));
        Ok(Self {
            data: File::open(&path).map_err(failed("open", &path))?,
            index: File::open(&index_path).map_err(failed("open", &index_path))?,
            number: 1,
            offset: 0,
        })
    }

    /// Goes to the last indexed packet at or before `number`, unless it is there already; returns how
    /// many packets are to be skipped.
    fn seek(&mut self, number: u64) -> Result<u64, StorageError> {
        if self.number != number {
            let entry = (number - 1) / INDEX_INTERVAL;
            let mut offset = [0; 8];
            self.index
                .read_exact_at(&mut offset, entry * 8)
                .map_err(failed("read", Path::new("stream index")))?;
            self.offset = u64::from_le_bytes(offset);
            self.number = 1 + entry * INDEX_INTERVAL;
        }
        Ok(number - self.number)
    }
}

/// Reads as much as there is, up to the buffer's length.
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut held = 0;
    while held < buffer.len() {
        match file.read_at(&mut buffer[held..], offset + held as u64)? {
            0 => break,
            n => held += n,
        }
    }
    Ok(held)
}

/// Length of the packet at the start of `bytes` if all of it is there.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let field = bytes.first_chunk::<LENGTH_FIELD>()?;
    let length = LENGTH_FIELD + usize::from(u16::from_be_bytes(*field));
    (length <= bytes.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: [u8; 10] = *b"  20261121";

    fn packet(session: u32, number: u64) -> Vec<u8> {
        let length = 20 + (number * 7 + u64::from(session)) % 170;
        let mut packet = vec![0, (length - 2) as u8, b'S'];
        packet.resize(length as usize, number as u8);
        packet
    }

    fn read_all(reader: &mut StreamReader, session: u32, from: u64, room: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut next = from;
        let mut out = vec![0; room];
        loop {
            let (bytes, packets) = reader.read(session, next, &mut out).unwrap();
            if packets == 0 {
                return all;
            }
            all.extend_from_slice(&out[..bytes]);
            next += packets;
        }
    }

    fn expected(session: u32, numbers: std::ops::RangeInclusive<u64>) -> Vec<u8> {
        numbers.flat_map(|number| packet(session, number)).collect()
    }

    #[test]
    fn any_number_of_the_day_can_be_read_once_written() {
        let root = tempfile::tempdir().unwrap();
        let mut writer = StreamWriter::new(root.path(), 4).unwrap();
        let mut reader = writer.reader();
        writer.begin_day(&DAY).unwrap();
        reader.begin_day(&DAY);
        for number in 1..=5000 {
            for session in [1, 3] {
                writer
                    .append(session, number, &packet(session, number))
                    .unwrap();
            }
        }
        let before = reader.available(3);
        assert!(
            before < 5000,
            "the last chunk is in memory until it is flushed"
        );
        assert_eq!(read_all(&mut reader, 3, 1, 4096), expected(3, 1..=before));
        assert!(writer.holds_unwritten());
        writer.flush().unwrap();
        assert!(!writer.holds_unwritten());
        for from in [1, 2, 63, 64, 65, 66, 128, 129, 2500, 4999, 5000] {
            for room in [200, 333, 32 << 10] {
                assert_eq!(
                    read_all(&mut reader, 1, from, room),
                    expected(1, from..=5000)
                );
            }
        }
        assert_eq!(reader.read(1, 5001, &mut [0; 999]).unwrap(), (0, 0));
        assert_eq!(
            reader.read(2, 1, &mut [0; 999]).unwrap(),
            (0, 0),
            "a session that said nothing"
        );
        assert_eq!(
            reader.read(1, 9, &mut [0; 10]).unwrap(),
            (0, 0),
            "no room for one packet"
        );
    }

    /// A gateway that has heard of the new day before the stream store has must not be given the old
    /// day's packets under the new day's numbers, nor the reverse.
    #[test]
    fn days_are_never_mixed() {
        let root = tempfile::tempdir().unwrap();
        let mut writer = StreamWriter::new(root.path(), 2).unwrap();
        let mut reader = writer.reader();
        writer.begin_day(&DAY).unwrap();
        assert_eq!(
            reader.available(1),
            0,
            "the reader has not heard of the day"
        );
        reader.begin_day(&DAY);
        writer.append(1, 1, &packet(1, 1)).unwrap();
        writer.flush().unwrap();
        assert_eq!(reader.available(1), 1);
        reader.begin_day(b"  20261122");
        assert_eq!(
            reader.available(1),
            0,
            "the writer has not begun the new day yet"
        );
        writer.begin_day(b"  20261122").unwrap();
        assert_eq!(reader.available(1), 0);
        writer.append(1, 1, &packet(1, 77)).unwrap();
        writer.flush().unwrap();
        assert_eq!(read_all(&mut reader, 1, 1, 999), packet(1, 77));
    }

    #[test]
    fn a_day_begun_again_replaces_what_was_left_of_it() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let mut writer = StreamWriter::new(root.path(), 2).unwrap();
            writer.begin_day(&DAY).unwrap();
            for number in 1..=100 {
                writer.append(1, number, &packet(1, number)).unwrap();
            }
            writer.flush().unwrap();
            let stream = fs::read(root.path().join("20261121/1.stream")).unwrap();
            assert_eq!(stream, expected(1, 1..=100));
            let index = fs::read(root.path().join("20261121/1.index")).unwrap();
            assert_eq!(index.len(), 16, "two entries for a hundred packets");
        }
    }

    /// Writer and reader on two threads: the reader sees whole packets only, in order, all of them.
    #[test]
    fn a_reader_beside_the_writer_sees_whole_packets() {
        const PACKETS: u64 = 20_000;
        let root = tempfile::tempdir().unwrap();
        let mut writer = StreamWriter::new(root.path(), 2).unwrap();
        let mut reader = writer.reader();
        writer.begin_day(&DAY).unwrap();
        reader.begin_day(&DAY);
        let thread = std::thread::spawn(move || {
            let (mut next, mut out) = (1, vec![0; 1000]);
            while next <= PACKETS {
                let (bytes, packets) = reader.read(1, next, &mut out).unwrap();
                assert_eq!(&out[..bytes], expected(1, next..=next + packets - 1));
                next += packets;
                if packets == 0 {
                    std::thread::yield_now();
                }
            }
        });
        for number in 1..=PACKETS {
            writer.append(1, number, &packet(1, number)).unwrap();
            if number % 501 == 0 {
                writer.flush().unwrap();
            }
        }
        writer.flush().unwrap();
        thread.join().unwrap();
    }
}
