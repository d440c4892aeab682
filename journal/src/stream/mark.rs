//! How far a stream had come when a snapshot was taken, and whether its file still has all that.
//!
//! Layout in docs/journal-format.md, "Snapshot", section 16.

use super::{INDEX_ENTRY_LENGTH, STREAM_INDEX_INTERVAL, STREAM_SESSIONS_MAX};
use super::{StreamError, index_name, stream_name};
use crate::bytes::{get_u32, get_u64};
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};

const HEAD_LENGTH: usize = 16;
const ENTRY_LENGTH: usize = 24;
/// Bytes read at a time when a file is checked.
const READ_LENGTH: usize = 1 << 20;

/// Everything that a session was sent since the day opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StreamMark {
    pub packets: u64,
    pub bytes: u64,
    /// CRC-32C of all packets.
    pub crc: u32,
}

impl StreamMark {
    #[inline]
    pub fn append(&mut self, packet: &[u8]) {
        self.packets += 1;
        self.bytes += packet.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, packet);
    }
}

/// The marks of all sessions that were sent anything this day.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct StreamMarks {
    /// Of the open day, or of the last one; zeros before the first.
    session_name: [u8; 10],
    /// By session id.
    marks: Vec<StreamMark>,
}

impl StreamMarks {
    /// The mark of `session`, made if it is not there; `None` beyond the bound of sessions.
    #[inline]
    pub fn of(&mut self, session: u32) -> Option<&mut StreamMark> {
        let at = session as usize;
        if at >= self.marks.len() {
            if at >= STREAM_SESSIONS_MAX {
                return None;
            }
            self.marks.resize(at + 1, StreamMark::default());
        }
        self.marks.get_mut(at)
    }

    /// A new day begins.
    pub fn begin_day(&mut self, session_name: &[u8; 10]) {
        self.marks.clear();
        self.session_name = *session_name;
    }

    pub fn session_name(&self) -> &[u8; 10] {
        &self.session_name
    }

    /// Sessions by id with their marks.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &StreamMark)> {
        let all = (0u32..).zip(&self.marks);
        all.filter(|(_, mark)| mark.packets != 0)
    }

    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_LENGTH];
        bytes[..10].copy_from_slice(&self.session_name);
        for (session, mark) in self.iter() {
            bytes.extend(session.to_le_bytes());
            bytes.extend(mark.crc.to_le_bytes());
            bytes.extend(mark.packets.to_le_bytes());
            bytes.extend(mark.bytes.to_le_bytes());
        }
        bytes
    }

    /// `None` if the bytes are not such a section.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, entries) = bytes.split_at_checked(HEAD_LENGTH)?;
        let entries = entries.chunks_exact(ENTRY_LENGTH);
        if !entries.remainder().is_empty() || head[10..] != [0; HEAD_LENGTH - 10] {
            return None;
        }
        let mut marks = Self::default();
        marks.session_name.copy_from_slice(&head[..10]);
        let mut least = 0;
        for entry in entries {
            let session = get_u32(entry, 0);
            let mark = StreamMark {
                crc: get_u32(entry, 4),
                packets: get_u64(entry, 8),
                bytes: get_u64(entry, 16),
            };
            if session < least || mark.packets == 0 || mark.bytes < 3 * mark.packets {
                return None;
            }
            least = session + 1;
            *marks.of(session)? = mark;
        }
        Some(marks)
    }
}

/// Whether the folder's file of `session` begins with just what the mark says. Without `content` only its
/// length is looked at: enough when the machine has not gone down since the file was written.
pub fn has_marked<S: Storage>(
    folder: &S,
    session: u32,
    mark: &StreamMark,
    content: bool,
) -> Result<bool, StreamError> {
    let file = match folder.open(&stream_name(session), WriteMode::Buffered) {
        Err(StorageError::NotFound { .. }) => return Ok(false),
        other => other?,
    };
    if file.length()? < mark.bytes {
        return Ok(false);
    }
    if !content {
        return Ok(true);
    }
    let mut buffer = vec![0; READ_LENGTH.min(mark.bytes as usize)];
    let (mut offset, mut crc) = (0, 0);
    while offset < mark.bytes {
        let length = buffer.len().min((mark.bytes - offset) as usize);
        if file.read_at(offset, &mut buffer[..length])? < length {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, &buffer[..length]);
        offset += length as u64;
    }
    Ok(crc == mark.crc)
}

/// Cuts both files of a session that [`has_marked`] to what the mark says: what follows may be anything after
/// a power cut. Before any reader exists.
pub fn cut_to_mark<S: Storage>(
    folder: &S,
    session: u32,
    mark: &StreamMark,
) -> Result<(), StreamError> {
    let stream = folder.open(&stream_name(session), WriteMode::Buffered)?;
    if stream.length()? > mark.bytes {
        stream.set_length(mark.bytes)?;
    }
    let index = match folder.open(&index_name(session), WriteMode::Buffered) {
        Err(StorageError::NotFound { .. }) => return Ok(()),
        other => other?,
    };
    let entries = mark.packets.div_ceil(STREAM_INDEX_INTERVAL) * INDEX_ENTRY_LENGTH;
    if index.length()? > entries {
        index.set_length(entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn marks_read_back_and_files_are_compared() {
        let mut marks = StreamMarks::default();
        marks.begin_day(b"20261121  ");
        let packets = [&b"\x00\x03Sab"[..], b"\x00\x02Sc"];
        for packet in packets {
            marks.of(7).unwrap().append(packet);
        }
        marks.of(9).unwrap().append(packets[0]);
        assert!(marks.of(STREAM_SESSIONS_MAX as u32).is_none());
        let bytes = marks.encode();
        assert_eq!(bytes.len(), HEAD_LENGTH + 2 * ENTRY_LENGTH);
        let read = StreamMarks::decode(&bytes).unwrap();
        assert_eq!(read.session_name(), b"20261121  ");
        assert!(read.iter().eq(marks.iter()));
        for length in 0..bytes.len() {
            let whole =
                length >= HEAD_LENGTH && (length - HEAD_LENGTH).is_multiple_of(ENTRY_LENGTH);
            assert_eq!(StreamMarks::decode(&bytes[..length]).is_some(), whole);
        }
        let (head, entries) = bytes.split_at(HEAD_LENGTH);
        let swapped = [head, &entries[ENTRY_LENGTH..], &entries[..ENTRY_LENGTH]].concat();
        assert_eq!(StreamMarks::decode(&swapped), None);

        let folder = MemoryStorage::new();
        let mark = *marks.of(7).unwrap();
        let has = |bytes: &[u8], content| {
            folder.put("7.stream", bytes);
            has_marked(&folder, 7, &mark, content).unwrap()
        };
        assert!(has(b"\x00\x03Sab\x00\x02Sc", true));
        assert!(has(b"\x00\x03Sab\x00\x02Sc and more", true));
        assert!(!has(b"\x00\x03Sab\x00\x02Sd", true));
        assert!(has(b"\x00\x03Sab\x00\x02Sd", false));
        assert!(!has(b"\x00\x03Sab", false));
        assert!(!has_marked(&folder, 8, &mark, false).unwrap());
    }
}
