//! The journal's stream files as the stream agent and the gateway use them: a folder a trading day,
//! sessions by id.

mod life;

pub use life::StreamLife;

use crate::fatal::{ExitCode, Fatal};
use crate::gateway::StreamSource;
use crate::journal::{storage_code, storage_fatal};
use crate::stream::StreamStore;
use lockstep_journal::storage::{DirectStorage, Storage};
use lockstep_journal::stream::{
    Begin, STREAM_PACKET_LENGTH_MAX, STREAM_SESSIONS_MAX, StreamError, StreamMarks, StreamOptions,
    StreamProgress, StreamReader, StreamSlot, StreamWriter, cut_to_mark, has_marked,
};
use lockstep_record::SessionId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sessions whose files a reader keeps open; more are closed and opened again when needed.
const OPEN_READERS_MAX: usize = 128;

/// The folder of a trading day below the root.
pub fn day_folder(root: &Path, session_name: &[u8; 10]) -> PathBuf {
    let name = session_name.iter().map(|&b| char::from(b));
    root.join(name.filter(char::is_ascii_alphanumeric).collect::<String>())
}

fn stream_fatal(error: &StreamError) -> Fatal {
    let code = match error {
        StreamError::Storage(source) => storage_code(source),
        StreamError::Damaged { .. } => ExitCode::Io,
        _ => ExitCode::Setup,
    };
    Fatal::new(code, format!("stream files: {error}"))
}

/// Where each session's stream stands in the writer's table: slot plus 1, 0 = none.
type Slots = Arc<[AtomicU32]>;

/// The writing end.
#[derive(Debug)]
pub struct DayStreams {
    root: PathBuf,
    writer: StreamWriter<DirectStorage>,
    /// By session id.
    own_slots: Vec<Option<StreamSlot>>,
    slots: Slots,
    folder: Option<DirectStorage>,
    unwritten: bool,
    /// Until [`DayStreams::settle`]: files are what an earlier life of this boot wrote.
    continuing: bool,
    /// Days that were begun since then.
    begun: Vec<[u8; 10]>,
}

impl DayStreams {
    /// Streams below `root`, for as many sessions as stream files can hold.
    pub fn new(root: &Path) -> Result<Self, Fatal> {
        DirectStorage::create(root).map_err(|e| storage_fatal(&e))?;
        let options = StreamOptions {
            sessions_max: STREAM_SESSIONS_MAX,
            ..StreamOptions::default()
        };
        Ok(Self {
            root: root.to_owned(),
            writer: StreamWriter::new(options),
            own_slots: vec![None; STREAM_SESSIONS_MAX],
            slots: (0..STREAM_SESSIONS_MAX)
                .map(|_| AtomicU32::new(0))
                .collect(),
            folder: None,
            unwritten: false,
            continuing: false,
            begun: Vec::new(),
        })
    }

    /// Before a replay: what the files have is right, and only what they lack is made.
    pub fn continue_files(&mut self) {
        self.continuing = true;
    }

    pub fn is_continuing(&self) -> bool {
        self.continuing
    }

    /// A session whose file does not have what the marks say was sent, if there is one. Of files that are
    /// continued only the length is looked at.
    pub fn lacking(&self, marks: &StreamMarks) -> Result<Option<u32>, Fatal> {
        let folder = self.day(marks)?;
        for (session, mark) in marks.iter() {
            let has = has_marked(&folder, session, mark, !self.continuing);
            if !has.map_err(|e| stream_fatal(&e))? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    fn day(&self, marks: &StreamMarks) -> Result<DirectStorage, Fatal> {
        let path = day_folder(&self.root, marks.session_name());
        DirectStorage::create(&path).map_err(|e| storage_fatal(&e))
    }

    /// Continues a day behind a snapshot: nothing is lacking. Unless the files are continued, just what its
    /// marks say was sent is kept of them. The session whose file cannot be continued all the same, if there is
    /// one.
    pub fn resume(&mut self, marks: &StreamMarks) -> Result<Option<u32>, Fatal> {
        let folder = self.day(marks)?;
        if !self.continuing {
            self.remove_unmarked(&folder, marks)?;
        }
        self.forget_sessions();
        self.folder = Some(folder.clone());
        self.writer
            .begin_day(folder.clone(), Begin::Resume)
            .map_err(|e| stream_fatal(&e))?;
        for (session, mark) in marks.iter() {
            if !self.continuing {
                cut_to_mark(&folder, session, mark).map_err(|e| stream_fatal(&e))?;
            }
            // A damaged index shows here: then the file is emptied.
            let slot = self.add_session(SessionId(session))?;
            let end = self.writer.end_of(slot, mark.packets);
            if end.map_err(|e| stream_fatal(&e))? != Some(mark.bytes) {
                // They are not what they should be: from here on nothing of them counts unread.
                self.continuing = false;
                return Ok(Some(session));
            }
        }
        self.begun.push(*marks.session_name());
        Ok(None)
    }

    /// Ends a replay: each session's file has as many packets as the state says it was sent, and no more.
    pub fn settle(&mut self, sent: impl Iterator<Item = (u32, u64)>) -> Result<(), Fatal> {
        self.continuing = false;
        self.begun.clear();
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        StreamStore::flush(self)?;
        let sent: BTreeMap<u32, u64> = sent.filter(|(_, count)| *count != 0).collect();
        for name in folder.list().map_err(|e| storage_fatal(&e))? {
            let Some((session, "stream" | "index")) = name.split_once('.') else {
                continue;
            };
            let known = |session: u32| sent.contains_key(&session) || self.slot(session).is_some();
            if !session.parse().is_ok_and(known) {
                folder.delete(&name).map_err(|e| storage_fatal(&e))?;
            }
        }
        let unsent = (0..STREAM_SESSIONS_MAX as u32)
            .filter(|session| self.slot(*session).is_some() && !sent.contains_key(session));
        let unsent: Vec<_> = unsent.map(|session| (session, 0)).collect();
        unsent
            .into_iter()
            .chain(sent)
            .try_for_each(|(session, count)| self.settle_session(session, count))
    }

    fn settle_session(&mut self, session: u32, count: u64) -> Result<(), Fatal> {
        let slot = match self.slot(session) {
            Some(slot) => slot,
            None => self.add_session(SessionId(session))?,
        };
        self.writer.cut(slot, count).map_err(|e| stream_fatal(&e))?;
        let has = self.writer.next_number(slot) - 1;
        if has == count {
            return Ok(());
        }
        let what = format!(
            "stream files: session {session} was sent {count} packets, its file has {has}; remove the folder of \
             the day and start again: it is made from the log"
        );
        Err(Fatal::new(ExitCode::Io, what))
    }

    fn slot(&self, session: u32) -> Option<StreamSlot> {
        self.own_slots.get(session as usize).copied().flatten()
    }

    /// Sessions that were sent nothing yet when the snapshot was taken begin anew.
    fn remove_unmarked(&self, folder: &DirectStorage, marks: &StreamMarks) -> Result<(), Fatal> {
        for name in folder.list().map_err(|e| storage_fatal(&e))? {
            let Some((session, "stream" | "index")) = name.split_once('.') else {
                continue;
            };
            let marked = |session: u32| marks.iter().any(|(id, _)| id == session);
            if !session.parse().is_ok_and(marked) {
                folder.delete(&name).map_err(|e| storage_fatal(&e))?;
            }
        }
        Ok(())
    }

    fn forget_sessions(&mut self) {
        self.slots
            .iter()
            .for_each(|slot| slot.store(0, Ordering::Release));
        self.own_slots.fill(None);
    }

    /// The reading end of the gateway; taken between days or while none is being begun.
    pub fn readers(&self) -> DayReaders {
        let progress = Arc::clone(self.writer.progress());
        DayReaders {
            root: self.root.clone(),
            day_path: None,
            folder: self.folder.clone(),
            expected_day: progress.day(),
            readers: (0..STREAM_SESSIONS_MAX).map(|_| None).collect(),
            open: Vec::with_capacity(OPEN_READERS_MAX),
            slots: Arc::clone(&self.slots),
            progress,
        }
    }

    #[cold]
    fn add_session(&mut self, session: SessionId) -> Result<StreamSlot, Fatal> {
        let slot = self
            .writer
            .add_session(session.0)
            .map_err(|e| stream_fatal(&e))?;
        self.own_slots[session.0 as usize] = Some(slot);
        self.slots[session.0 as usize].store(slot.index() as u32 + 1, Ordering::Release);
        Ok(slot)
    }
}

impl StreamStore for DayStreams {
    fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), Fatal> {
        let folder = DirectStorage::create(&day_folder(&self.root, session_name))
            .map_err(|e| storage_fatal(&e))?;
        self.forget_sessions();
        self.folder = Some(folder.clone());
        // A name that comes twice: what is there is the later day's, at best.
        let begin = if self.continuing && !self.begun.contains(session_name) {
            self.begun.push(*session_name);
            Begin::Resume
        } else {
            Begin::Fresh
        };
        self.writer
            .begin_day(folder, begin)
            .map_err(|e| stream_fatal(&e))
    }

    #[inline]
    fn holds(&mut self, session: SessionId, number: u64) -> Result<bool, Fatal> {
        if !self.continuing {
            return Ok(false);
        }
        let slot = match self.slot(session.0) {
            Some(slot) => slot,
            // Beyond what files can hold: `append` says so.
            None if session.0 as usize >= STREAM_SESSIONS_MAX => return Ok(false),
            None => self.add_session(session)?,
        };
        Ok(number < self.writer.next_number(slot))
    }

    #[inline]
    fn append(&mut self, session: SessionId, number: u64, packet: &[u8]) -> Result<(), Fatal> {
        let slot = match self.own_slots.get(session.0 as usize) {
            Some(Some(slot)) => *slot,
            Some(None) => self.add_session(session)?,
            None => {
                let error = StreamError::TooManySessions {
                    max: STREAM_SESSIONS_MAX,
                };
                return Err(stream_fatal(&error));
            }
        };
        self.unwritten = true;
        self.writer
            .append(slot, number, packet)
            .map(drop)
            .map_err(|e| stream_fatal(&e))
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        if self.folder.is_some() {
            self.writer.flush_all().map_err(|e| stream_fatal(&e))?;
        }
        self.unwritten = false;
        Ok(())
    }

    fn holds_unwritten(&self) -> bool {
        self.unwritten
    }
}

/// The reading end of one thread.
#[derive(Debug)]
pub struct DayReaders {
    root: PathBuf,
    /// Of the day; opened when the writer has begun it.
    day_path: Option<PathBuf>,
    folder: Option<DirectStorage>,
    /// The writer's day that this end has heard of. A day that only one of the two has begun gives
    /// nothing: numbers of one day are never answered with packets of another.
    expected_day: u64,
    readers: Vec<Option<Box<StreamReader<DirectStorage>>>>,
    /// Sessions with an open reader, oldest first.
    open: Vec<u32>,
    slots: Slots,
    progress: Arc<StreamProgress>,
}

/// The writer counts a day when it begins to begin it and once more when it has.
const DAY_STEP: u64 = 2;

impl DayReaders {
    fn open_folder(&mut self) -> Result<(), Fatal> {
        if self.folder.is_none()
            && let Some(path) = &self.day_path
        {
            self.folder = Some(DirectStorage::open(path).map_err(|e| storage_fatal(&e))?);
        }
        Ok(())
    }

    fn open_reader(&mut self, session: SessionId) -> Result<bool, Fatal> {
        let (Some(folder), Some(slot)) = (&self.folder, self.slots.get(session.0 as usize)) else {
            return Ok(false);
        };
        let Some(slot) = slot.load(Ordering::Acquire).checked_sub(1) else {
            return Ok(false);
        };
        let slot = StreamSlot::from_index(slot as usize);
        let progress = Arc::clone(&self.progress);
        let reader =
            StreamReader::live(folder, session.0, slot, progress).map_err(|e| stream_fatal(&e))?;
        if self.open.len() == OPEN_READERS_MAX {
            let oldest = self.open.remove(0);
            self.readers[oldest as usize] = None;
        }
        self.open.push(session.0);
        self.readers[session.0 as usize] = Some(Box::new(reader));
        Ok(true)
    }
}

impl StreamSource for DayReaders {
    fn begin_day(&mut self, session_name: &[u8; 10]) {
        self.day_path = Some(day_folder(&self.root, session_name));
        self.folder = None;
        self.expected_day += DAY_STEP;
        self.readers.iter_mut().for_each(|reader| *reader = None);
        self.open.clear();
    }

    fn read(
        &mut self,
        session: SessionId,
        from: u64,
        out: &mut [u8],
    ) -> Result<(usize, u64), Fatal> {
        if self.progress.day() != self.expected_day || out.len() < STREAM_PACKET_LENGTH_MAX {
            return Ok((0, 0));
        }
        self.open_folder()?;
        let known = self
            .readers
            .get(session.0 as usize)
            .is_some_and(Option::is_some);
        if !known && !self.open_reader(session)? {
            return Ok((0, 0));
        }
        let Some(reader) = &mut self.readers[session.0 as usize] else {
            return Ok((0, 0));
        };
        match reader.read(from, out) {
            Ok(read) => Ok((read.length, read.count)),
            // The writer has begun the next day meanwhile; this end will hear of it.
            Err(StreamError::DayOver) => Ok((0, 0)),
            Err(error) => Err(stream_fatal(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64) -> Vec<u8> {
        let mut packet = vec![0, 61, b'S'];
        packet.resize(63, number as u8);
        packet
    }

    /// A gateway that has heard of a new day before the stream store has must not be given the old
    /// day's packets under the new day's numbers, nor the reverse.
    #[test]
    fn days_are_never_mixed() {
        let root = tempfile::tempdir().unwrap();
        let mut streams = DayStreams::new(root.path()).unwrap();
        let mut readers = streams.readers();
        let mut out = vec![0; 8192];
        let session = SessionId(7);
        streams.begin_day(b"  20261121").unwrap();
        for number in 1..=3 {
            streams.append(session, number, &packet(number)).unwrap();
        }
        streams.flush().unwrap();
        assert_eq!(
            readers.read(session, 1, &mut out).unwrap(),
            (0, 0),
            "it has not heard of the day"
        );
        readers.begin_day(b"  20261121");
        assert_eq!(readers.read(session, 2, &mut out).unwrap(), (126, 2));
        assert_eq!(&out[..63], packet(2));
        assert_eq!(
            readers.read(SessionId(8), 1, &mut out).unwrap(),
            (0, 0),
            "said nothing"
        );
        readers.begin_day(b"  20261122");
        assert_eq!(
            readers.read(session, 1, &mut out).unwrap(),
            (0, 0),
            "the store is behind"
        );
        streams.begin_day(b"  20261122").unwrap();
        assert_eq!(
            readers.read(session, 1, &mut out).unwrap(),
            (0, 0),
            "nothing said yet"
        );
        streams.append(session, 1, &packet(77)).unwrap();
        streams.flush().unwrap();
        assert_eq!(readers.read(session, 1, &mut out).unwrap(), (63, 1));
        assert_eq!(&out[..63], packet(77));
    }

    /// More sessions read than files may be open: each still gets its own bytes.
    #[test]
    fn readers_are_bounded() {
        let root = tempfile::tempdir().unwrap();
        let mut streams = DayStreams::new(root.path()).unwrap();
        streams.begin_day(b"  20261121").unwrap();
        for id in 1..=300 {
            streams
                .append(SessionId(id), 1, &packet(u64::from(id)))
                .unwrap();
        }
        streams.flush().unwrap();
        let mut readers = streams.readers();
        let mut out = vec![0; 4096];
        for round in 0..2 {
            for id in 1..=300 {
                assert_eq!(
                    readers.read(SessionId(id), 1, &mut out).unwrap(),
                    (63, 1),
                    "{round}"
                );
                assert_eq!(&out[..63], packet(u64::from(id)));
                assert!(readers.open.len() <= OPEN_READERS_MAX);
            }
        }
    }
}
