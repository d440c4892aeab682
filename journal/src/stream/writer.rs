//! The one writer of stream files: bounded memory, bounded open files, off the commit path.

use super::{
    INDEX_ENTRY_LENGTH, STREAM_INDEX_INTERVAL, STREAM_PACKET_LENGTH_MAX, STREAM_SESSIONS_MAX,
    StreamError, StreamFiles, StreamProgress, Written, index_name, packet_length, stream_name,
};
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bounds; all memory is taken when a session is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamOptions {
    pub sessions_max: usize,
    /// Bytes of a session held back before they are written; at least a packet.
    pub chunk_length: usize,
    /// Sessions whose files are kept open (two descriptors each).
    pub open_sessions_max: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            sessions_max: 1024,
            chunk_length: 16 << 10,
            open_sessions_max: 128,
        }
    }
}

/// What to do with files that are already in a trading session's folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// Remove them: everything is regenerated.
    Fresh,
    /// Keep whole packets; what is appended again is compared by number and skipped. Only what follows the
    /// last index entry is looked at: damage before shows when it is read.
    Resume,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Appended {
    New,
    /// The file had this number already (regeneration after [`Begin::Resume`]).
    Known,
}

/// A stream of this writer; also its slot in [`StreamProgress`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StreamSlot(usize);

impl StreamSlot {
    /// The slot whose [`Self::index`] another thread was told.
    pub fn from_index(index: usize) -> Self {
        Self(index)
    }

    /// Index for [`StreamProgress::written`].
    pub fn index(self) -> usize {
        self.0
    }
}

#[derive(Debug)]
struct Stream<F> {
    session: u32,
    /// In the file.
    written: Written,
    /// Numbers appended, those in `chunk` included.
    count: u64,
    /// Whole packets not yet in the file. Never grows beyond its first capacity.
    chunk: Vec<u8>,
    /// Index entries of the packets in `chunk`.
    entries: Vec<u8>,
    files: Option<StreamFiles<F>>,
}

#[derive(Debug)]
pub struct StreamWriter<S: Storage> {
    options: StreamOptions,
    day: Option<S>,
    streams: Vec<Stream<S::File>>,
    slots: BTreeMap<u32, StreamSlot>,
    progress: Arc<StreamProgress>,
    open_count: usize,
    /// Next stream whose files are closed when too many are open.
    close_hand: usize,
    /// Next stream that an idle cycle looks at.
    flush_hand: usize,
}

impl<S: Storage> StreamWriter<S> {
    pub fn new(options: StreamOptions) -> Self {
        let options = StreamOptions {
            sessions_max: options.sessions_max.clamp(1, STREAM_SESSIONS_MAX),
            chunk_length: options.chunk_length.max(STREAM_PACKET_LENGTH_MAX),
            open_sessions_max: options.open_sessions_max.max(1),
        };
        Self {
            options,
            day: None,
            streams: Vec::with_capacity(options.sessions_max),
            slots: BTreeMap::new(),
            progress: StreamProgress::new(options.sessions_max),
            open_count: 0,
            close_hand: 0,
            flush_hand: 0,
        }
    }

    pub fn progress(&self) -> &Arc<StreamProgress> {
        &self.progress
    }

    /// Begins a trading session in `folder`, its own. Streams of the one before are flushed and forgotten.
    pub fn begin_day(&mut self, folder: S, begin: Begin) -> Result<(), StreamError> {
        if self.day.is_some() {
            self.flush_all()?;
        }
        self.progress.begin_day();
        self.streams.clear();
        self.slots.clear();
        self.open_count = 0;
        self.day = None;
        if begin == Begin::Fresh {
            for name in folder.list()? {
                if name.ends_with(".stream") || name.ends_with(".index") {
                    folder.delete(&name)?;
                }
            }
        }
        self.day = Some(folder);
        Ok(())
    }

    /// The stream of `session`, made if it is not there. Allocates: at start or when a session is defined.
    pub fn add_session(&mut self, session: u32) -> Result<StreamSlot, StreamError> {
        if let Some(slot) = self.slots.get(&session) {
            return Ok(*slot);
        }
        let max = self.options.sessions_max;
        if self.streams.len() >= max {
            return Err(StreamError::TooManySessions { max });
        }
        let folder = self.day.as_ref().ok_or(StreamError::NoDay)?;
        for name in [stream_name(session), index_name(session)] {
            match folder.create(&name, WriteMode::Buffered) {
                Ok(_) | Err(StorageError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let files = StreamFiles::open(folder, session)?;
        let written = whole(&files, session)?;
        let slot = StreamSlot(self.streams.len());
        let entries = self.options.chunk_length / (3 * STREAM_INDEX_INTERVAL as usize) + 1;
        self.streams.push(Stream {
            session,
            written,
            count: written.count,
            chunk: Vec::with_capacity(self.options.chunk_length),
            entries: Vec::with_capacity(entries * INDEX_ENTRY_LENGTH as usize),
            files: None,
        });
        self.progress.publish(slot.0, written);
        self.slots.insert(session, slot);
        Ok(slot)
    }

    /// The slot of a session that was added.
    pub fn slot(&self, session: u32) -> Option<StreamSlot> {
        self.slots.get(&session).copied()
    }

    /// Number of the next packet of a stream.
    pub fn next_number(&self, slot: StreamSlot) -> u64 {
        self.streams
            .get(slot.0)
            .map_or(1, |stream| stream.count + 1)
    }

    /// Offset behind packet `count` in the file, looked up; `None` if the file has fewer.
    pub fn end_of(&mut self, slot: StreamSlot, count: u64) -> Result<Option<u64>, StreamError> {
        let Some(stream) = self.streams.get(slot.0) else {
            return Err(StreamError::NoDay);
        };
        let (session, written) = (stream.session, stream.written);
        if count >= written.count {
            return Ok((count == written.count).then_some(written.bytes));
        }
        self.open_files(slot.0)?;
        let Some(files) = &self.streams[slot.0].files else {
            return Err(StreamError::NoDay);
        };
        let mut scratch = vec![0; 4 * STREAM_PACKET_LENGTH_MAX];
        files
            .locate(session, count + 1, written.bytes, &mut scratch)
            .map(Some)
    }

    /// Takes packet `number` as it is sent: length, `S`, payload. Writes only when the chunk is full.
    #[inline]
    pub fn append(
        &mut self,
        slot: StreamSlot,
        number: u64,
        packet: &[u8],
    ) -> Result<Appended, StreamError> {
        let stream = self.streams.get_mut(slot.0).ok_or(StreamError::NoDay)?;
        let session = stream.session;
        if packet_length(packet) != Ok(Some(packet.len())) {
            return Err(StreamError::Packet { session });
        }
        if number <= stream.count {
            return Ok(Appended::Known);
        }
        if number != stream.count + 1 {
            return Err(StreamError::Gap {
                session,
                last: stream.count,
                number,
            });
        }
        if stream.chunk.len() + packet.len() > self.options.chunk_length {
            self.flush(slot)?;
        }
        let Some(stream) = self.streams.get_mut(slot.0) else {
            return Err(StreamError::NoDay);
        };
        if stream.count.is_multiple_of(STREAM_INDEX_INTERVAL) {
            let offset = stream.written.bytes + stream.chunk.len() as u64;
            stream.entries.extend_from_slice(&offset.to_le_bytes());
        }
        stream.chunk.extend_from_slice(packet);
        stream.count = number;
        Ok(Appended::New)
    }

    /// Writes what one stream holds back.
    pub fn flush(&mut self, slot: StreamSlot) -> Result<(), StreamError> {
        let Some(stream) = self.streams.get(slot.0) else {
            return Err(StreamError::NoDay);
        };
        if stream.chunk.is_empty() {
            return Ok(());
        }
        self.open_files(slot.0)?;
        let stream = &mut self.streams[slot.0];
        let Some(files) = &stream.files else {
            return Err(StreamError::NoDay);
        };
        files.stream.write_at(stream.written.bytes, &stream.chunk)?;
        if !stream.entries.is_empty() {
            let entry = stream.written.count.div_ceil(STREAM_INDEX_INTERVAL);
            files
                .index
                .write_at(entry * INDEX_ENTRY_LENGTH, &stream.entries)?;
        }
        let bytes = stream.written.bytes + stream.chunk.len() as u64;
        stream.written = Written {
            count: stream.count,
            bytes,
        };
        stream.chunk.clear();
        stream.entries.clear();
        self.progress.publish(slot.0, stream.written);
        Ok(())
    }

    /// One idle cycle: writes what the next stream that has anything holds back. 0 if none has.
    pub fn do_work(&mut self) -> Result<usize, StreamError> {
        for _ in 0..self.streams.len() {
            let slot = self.flush_hand;
            self.flush_hand = (slot + 1) % self.streams.len();
            if !self.streams[slot].chunk.is_empty() {
                self.flush(StreamSlot(slot))?;
                return Ok(1);
            }
        }
        Ok(0)
    }

    pub fn flush_all(&mut self) -> Result<(), StreamError> {
        while self.do_work()? > 0 {}
        Ok(())
    }

    /// Keeps the first `count` packets: recovery from a snapshot cuts where the snapshot was taken, before
    /// any reader exists.
    pub fn cut(&mut self, slot: StreamSlot, count: u64) -> Result<(), StreamError> {
        self.flush(slot)?;
        self.open_files(slot.0)?;
        let stream = &mut self.streams[slot.0];
        if count >= stream.written.count {
            return Ok(());
        }
        let Some(files) = &stream.files else {
            return Err(StreamError::NoDay);
        };
        let mut scratch = vec![0; 4 * STREAM_PACKET_LENGTH_MAX];
        let bytes = files.locate(
            stream.session,
            count + 1,
            stream.written.bytes,
            &mut scratch,
        )?;
        files.stream.set_length(bytes)?;
        files
            .index
            .set_length(count.div_ceil(STREAM_INDEX_INTERVAL) * INDEX_ENTRY_LENGTH)?;
        stream.written = Written { count, bytes };
        stream.count = count;
        self.progress.publish(slot.0, stream.written);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self, slot: StreamSlot) -> (usize, usize) {
        let stream = &self.streams[slot.0];
        (stream.chunk.capacity(), stream.entries.capacity())
    }

    fn open_files(&mut self, slot: usize) -> Result<(), StreamError> {
        if self.streams[slot].files.is_some() {
            return Ok(());
        }
        while self.open_count >= self.options.open_sessions_max {
            let hand = self.close_hand;
            self.close_hand = (hand + 1) % self.streams.len();
            if self.streams[hand].files.take().is_some() {
                self.open_count -= 1;
            }
        }
        let folder = self.day.as_ref().ok_or(StreamError::NoDay)?;
        self.streams[slot].files = Some(StreamFiles::open(folder, self.streams[slot].session)?);
        self.open_count += 1;
        Ok(())
    }
}

/// What whole packets a file has; cuts half a packet, and index entries of packets that are not there.
fn whole<F: StorageFile>(files: &StreamFiles<F>, session: u32) -> Result<Written, StreamError> {
    let end = files.stream.length()?;
    let entries = files.index.length()? / INDEX_ENTRY_LENGTH;
    let mut scratch = vec![0; 16 * STREAM_PACKET_LENGTH_MAX];
    let mut written = Written::default();
    for entry in (0..entries).rev() {
        let mut bytes = [0; INDEX_ENTRY_LENGTH as usize];
        files
            .index
            .read_at(entry * INDEX_ENTRY_LENGTH, &mut bytes)?;
        let offset = u64::from_le_bytes(bytes);
        if offset <= end {
            written = Written {
                count: entry * STREAM_INDEX_INTERVAL,
                bytes: offset,
            };
            break;
        }
    }
    let (count, bytes) = match files.pass(session, written.bytes, end, u64::MAX, &mut scratch) {
        Ok(passed) => passed,
        // Not what this writer writes: begin anew rather than serve it.
        Err(StreamError::Damaged { .. }) => (0, 0),
        Err(error) => return Err(error),
    };
    let damaged = bytes < written.bytes;
    let count = if damaged { 0 } else { written.count + count };
    // An index that ends too early cannot be continued from here.
    let indexed = entries >= count.div_ceil(STREAM_INDEX_INTERVAL);
    let written = if indexed {
        Written { count, bytes }
    } else {
        Written::default()
    };
    files.stream.set_length(written.bytes)?;
    let entries = written.count.div_ceil(STREAM_INDEX_INTERVAL);
    files.index.set_length(entries * INDEX_ENTRY_LENGTH)?;
    Ok(written)
}
