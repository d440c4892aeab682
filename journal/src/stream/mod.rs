//! Outbound streams of a trading session as files: what replays to a client any number of the day.
//!
//! Derived data: regenerated from the log by replay, so never synced, and never needed for recovery of the
//! journal. Layout in docs/journal-format.md, "Stream files". One writer; a reader never sees half a packet.

mod mark;
mod progress;
mod reader;
mod writer;

pub use mark::{StreamMark, StreamMarks, cut_to_mark, has_marked};
pub use progress::{StreamProgress, Written};
pub use reader::{StreamRead, StreamReader};
pub use writer::{Appended, Begin, StreamOptions, StreamSlot, StreamWriter};

use crate::storage::{Storage, StorageError, StorageFile, WriteMode};
use thiserror::Error;

/// Longest packet: length field, type and payload.
pub const STREAM_PACKET_LENGTH_MAX: usize = 4096;
/// Every so many packets the index has an entry.
pub const STREAM_INDEX_INTERVAL: u64 = 64;
/// Most sessions of one trading session.
pub const STREAM_SESSIONS_MAX: usize = 4096;
const INDEX_ENTRY_LENGTH: u64 = 8;
/// Length field and packet type.
const PACKET_OVERHEAD: usize = 3;
const SEQUENCED_DATA: u8 = b'S';

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StreamError {
    #[error("no trading session is open for streams")]
    NoDay,
    #[error("session {session} has no stream")]
    UnknownSession { session: u32 },
    #[error("all {max} streams are in use; raise the bound of sessions")]
    TooManySessions { max: usize },
    #[error("stream of session {session}: packet {number} follows {last}: a gap")]
    Gap {
        session: u32,
        last: u64,
        number: u64,
    },
    #[error("stream of session {session}: not a sequenced data packet of at most 4096 bytes")]
    Packet { session: u32 },
    #[error("stream of session {session} is damaged at offset {offset}; rebuild it from the log")]
    Damaged { session: u32, offset: u64 },
    #[error("the trading session that this reader was made for is over")]
    DayOver,
    #[error("the target of a stream read holds fewer than {STREAM_PACKET_LENGTH_MAX} bytes")]
    TargetTooSmall,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn stream_name(session: u32) -> String {
    format!("{session}.stream")
}

fn index_name(session: u32) -> String {
    format!("{session}.index")
}

/// Length of the whole packet at the begin of `bytes`; `None` if the bytes end before it does.
fn packet_length(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some(prefix) = bytes.get(..PACKET_OVERHEAD) else {
        return Ok(None);
    };
    let length = 2 + usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
    let legal = (PACKET_OVERHEAD..=STREAM_PACKET_LENGTH_MAX).contains(&length);
    if !legal || prefix[2] != SEQUENCED_DATA {
        return Err(());
    }
    Ok((bytes.len() >= length).then_some(length))
}

/// A session's two open files.
#[derive(Debug)]
struct StreamFiles<F> {
    stream: F,
    index: F,
}

impl<F: StorageFile> StreamFiles<F> {
    fn open<S: Storage<File = F>>(storage: &S, session: u32) -> Result<Self, StorageError> {
        Ok(Self {
            stream: storage.open(&stream_name(session), WriteMode::Buffered)?,
            index: storage.open(&index_name(session), WriteMode::Buffered)?,
        })
    }

    /// Offset of packet `number`, found from the index and at most 63 steps, within `end`. `scratch` holds a
    /// packet at least.
    fn locate(
        &self,
        session: u32,
        number: u64,
        end: u64,
        scratch: &mut [u8],
    ) -> Result<u64, StreamError> {
        let entry = (number - 1) / STREAM_INDEX_INTERVAL;
        let mut bytes = [0; INDEX_ENTRY_LENGTH as usize];
        let found = self.index.read_at(entry * INDEX_ENTRY_LENGTH, &mut bytes)?;
        let offset = u64::from_le_bytes(bytes);
        if found < bytes.len() || offset > end {
            return Err(StreamError::Damaged {
                session,
                offset: end,
            });
        }
        let steps = (number - 1) % STREAM_INDEX_INTERVAL;
        let (passed, offset) = self.pass(session, offset, end, steps, scratch)?;
        if passed == steps {
            Ok(offset)
        } else {
            Err(StreamError::Damaged { session, offset })
        }
    }

    /// Passes up to `count` whole packets from `offset`; returns how many there were, and the offset behind.
    fn pass(
        &self,
        session: u32,
        mut offset: u64,
        end: u64,
        count: u64,
        scratch: &mut [u8],
    ) -> Result<(u64, u64), StreamError> {
        let mut passed = 0;
        while passed < count && offset < end {
            let room = scratch.len().min((end - offset) as usize);
            let read = self.stream.read_at(offset, &mut scratch[..room])?;
            let (packets, length) =
                whole_packets(session, offset, &scratch[..read], count - passed)?;
            if packets == 0 {
                break;
            }
            passed += packets;
            offset += length as u64;
        }
        Ok((passed, offset))
    }
}

/// How many whole packets, at most `count`, `bytes` begin with, and their length.
fn whole_packets(
    session: u32,
    offset: u64,
    bytes: &[u8],
    count: u64,
) -> Result<(u64, usize), StreamError> {
    let (mut packets, mut length) = (0, 0);
    while packets < count {
        match packet_length(&bytes[length..]) {
            Ok(Some(packet)) => {
                packets += 1;
                length += packet;
            }
            Ok(None) => break,
            Err(()) => {
                return Err(StreamError::Damaged {
                    session,
                    offset: offset + length as u64,
                });
            }
        }
    }
    Ok((packets, length))
}

#[cfg(test)]
mod tests;
