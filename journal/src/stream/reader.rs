//! A reader of one stream: contiguous whole packets from any number, for replay to a client.

use super::{
    STREAM_PACKET_LENGTH_MAX, StreamError, StreamFiles, StreamProgress, StreamSlot, Written,
    whole_packets,
};
use crate::storage::{Storage, StorageFile};
use std::sync::Arc;

/// Whole packets at the begin of the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamRead {
    /// Number of the first packet.
    pub first: u64,
    pub count: u64,
    /// Bytes.
    pub length: usize,
}

#[derive(Debug)]
enum Extent {
    /// Of a writer in this process.
    Live {
        progress: Arc<StreamProgress>,
        slot: StreamSlot,
        day: u64,
    },
    /// Of files alone: whole packets to the end.
    Files,
}

/// Holds two descriptors; make one per client that needs old numbers, and drop it when it has caught up.
#[derive(Debug)]
pub struct StreamReader<S: Storage> {
    session: u32,
    files: StreamFiles<S::File>,
    extent: Extent,
    /// The number after the last packet read, and its offset.
    next: (u64, u64),
}

impl<S: Storage> StreamReader<S> {
    /// Follows what a writer has written so far.
    pub fn live(
        folder: &S,
        session: u32,
        slot: StreamSlot,
        progress: Arc<StreamProgress>,
    ) -> Result<Self, StreamError> {
        let day = progress.day();
        let extent = Extent::Live {
            progress,
            slot,
            day,
        };
        Ok(Self {
            session,
            files: StreamFiles::open(folder, session)?,
            extent,
            next: (1, 0),
        })
    }

    /// Reads files that nobody need be writing.
    pub fn of_files(folder: &S, session: u32) -> Result<Self, StreamError> {
        let files = StreamFiles::open(folder, session)?;
        Ok(Self {
            session,
            files,
            extent: Extent::Files,
            next: (1, 0),
        })
    }

    /// Packets that can be read; for files alone, `count` is not known and given as the greatest.
    pub fn written(&self) -> Result<Written, StreamError> {
        match &self.extent {
            Extent::Live {
                progress,
                slot,
                day,
            } => progress
                .written(slot.index(), *day)
                .ok_or(StreamError::DayOver),
            Extent::Files => Ok(Written {
                count: u64::MAX,
                bytes: self.files.stream.length()?,
            }),
        }
    }

    /// Fills `target` with as many whole packets from `number` (from 1) as there are and fit.
    ///
    /// `count` 0: there is no such number yet. `target` holds at least [`STREAM_PACKET_LENGTH_MAX`] bytes.
    pub fn read(&mut self, number: u64, target: &mut [u8]) -> Result<StreamRead, StreamError> {
        if target.len() < STREAM_PACKET_LENGTH_MAX {
            return Err(StreamError::TargetTooSmall);
        }
        let written = self.written()?;
        let number = number.max(1);
        let nothing = StreamRead {
            first: number,
            count: 0,
            length: 0,
        };
        if number > written.count || written.bytes == 0 {
            return Ok(nothing);
        }
        let offset = if number == self.next.0 {
            self.next.1
        } else {
            match (
                self.files
                    .locate(self.session, number, written.bytes, target),
                &self.extent,
            ) {
                // Files alone do not say how many numbers they have.
                (Err(StreamError::Damaged { .. }), Extent::Files) => return Ok(nothing),
                (located, _) => located?,
            }
        };
        let room = target
            .len()
            .min(written.bytes.saturating_sub(offset) as usize);
        let read = self.files.stream.read_at(offset, &mut target[..room])?;
        let most = written.count - number + 1;
        let (count, length) = whole_packets(self.session, offset, &target[..read], most)?;
        self.next = (number + count, offset + length as u64);
        Ok(StreamRead {
            first: number,
            count,
            length,
        })
    }
}
