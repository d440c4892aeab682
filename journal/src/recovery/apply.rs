//! Carries out what recovery decided, and syncs it. May be interrupted and repeated at any point.

use super::ring::Ring;
use super::{Cut, Recovery};
use crate::folder::JournalMeta;
use crate::log_buffer::LogBufferImage;
use crate::position::BLOCK_LENGTH;
use crate::segment::{prepare_now, segment_file_length, segment_name};
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};
use crate::{LogPosition, segment::segment_number};

const COPY_LENGTH: u64 = 256 << 10;
/// Files of cut bytes kept for one position; further ones are not made.
const CUT_FILES_MAX: u32 = 16;

/// What carrying out has left for the log buffer to begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The log's bytes from the begin of the tail's block up to the tail.
    pub prefix: Vec<u8>,
    /// The file that keeps what was cut; `None` if nothing was, or if there was no space for it.
    pub cut_file: Option<String>,
    /// All segments below this number exist.
    pub prepared: u64,
}

impl Recovery {
    /// `log_buffer` is the same as [`super::recover`] was given.
    pub fn apply<S: Storage>(
        &self,
        storage: &S,
        meta: &JournalMeta,
        log_buffer: Option<LogBufferImage<'_>>,
    ) -> Result<Applied, StorageError> {
        self.mend_segments(storage, meta)?;
        let prepared = self.make_segments(storage, meta)?;
        self.rewrite(storage, meta, log_buffer)?;
        let cut_file = match &self.cut {
            Some(cut) => {
                let name = keep(storage, meta, cut)?;
                for_each_segment(storage, meta, cut.position, cut.length, zero)?;
                name
            }
            None => None,
        };
        storage.sync_folder()?;
        let prefix = self.prefix(storage, meta)?;
        Ok(Applied {
            prefix,
            cut_file,
            prepared,
        })
    }

    fn mend_segments<S: Storage>(
        &self,
        storage: &S,
        meta: &JournalMeta,
    ) -> Result<(), StorageError> {
        for &number in &self.mend {
            let file = storage.open(&segment_name(number), WriteMode::Buffered)?;
            file.set_length(segment_file_length(meta.segment_data_length))?;
            file.write_at(0, &meta.segment_header(number).encode())?;
            file.sync()?;
        }
        Ok(())
    }

    /// Makes segments that are missing up to the tail's; returns the count of all that exist from 0 on.
    fn make_segments<S: Storage>(
        &self,
        storage: &S,
        meta: &JournalMeta,
    ) -> Result<u64, StorageError> {
        let names = storage.list()?;
        let there: Vec<u64> = names
            .iter()
            .filter_map(|name| segment_number(name))
            .collect();
        let tail = self.tail.position.segment(meta.segment_data_length);
        let first = self
            .rewrites
            .first()
            .map_or(tail, |r| r.position.segment(meta.segment_data_length));
        for number in (first..=tail).filter(|number| !there.contains(number)) {
            prepare_now(storage, meta, number)?;
        }
        Ok(there.into_iter().max().unwrap_or(0).max(tail) + 1)
    }

    fn rewrite<S: Storage>(
        &self,
        storage: &S,
        meta: &JournalMeta,
        log_buffer: Option<LogBufferImage<'_>>,
    ) -> Result<(), StorageError> {
        let Some(image) = log_buffer else {
            return Ok(());
        };
        let ring = Ring { image };
        for rewrite in &self.rewrites {
            for_each_segment(
                storage,
                meta,
                rewrite.position,
                rewrite.length,
                |file, piece| {
                    file.write_at(piece.offset, &ring.bytes(piece.position, piece.length))
                },
            )?;
        }
        Ok(())
    }

    fn prefix<S: Storage>(&self, storage: &S, meta: &JournalMeta) -> Result<Vec<u8>, StorageError> {
        let position = self.tail.position;
        let begin = position.block_floor();
        let mut prefix = vec![0; (position.0 - begin.0) as usize];
        if prefix.is_empty() {
            return Ok(prefix);
        }
        let name = segment_name(begin.segment(meta.segment_data_length));
        let file = storage.open(&name, WriteMode::Buffered)?;
        let offset = BLOCK_LENGTH + begin.offset_in_segment(meta.segment_data_length);
        file.read_at(offset, &mut prefix)?;
        Ok(prefix)
    }
}

/// A range of the log within one segment.
#[derive(Clone, Copy)]
struct Piece {
    position: LogPosition,
    /// In the segment's file.
    offset: u64,
    length: u64,
}

/// Calls `work` for pieces of at most [`COPY_LENGTH`], opening and syncing each segment that exists.
fn for_each_segment<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    position: LogPosition,
    length: u64,
    mut work: impl FnMut(&S::File, Piece) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let data_length = meta.segment_data_length;
    let end = position.plus(length);
    let mut at = position;
    while at < end {
        let segment_end = at.next_segment(data_length).min(end);
        match storage.open(&segment_name(at.segment(data_length)), WriteMode::Buffered) {
            // Behind the log's end a segment may be missing; there is nothing to do in it.
            Err(StorageError::NotFound { .. }) => at = segment_end,
            other => {
                let file = other?;
                while at < segment_end {
                    let length = COPY_LENGTH.min(segment_end.0 - at.0);
                    let offset = BLOCK_LENGTH + at.offset_in_segment(data_length);
                    work(
                        &file,
                        Piece {
                            position: at,
                            offset,
                            length,
                        },
                    )?;
                    at = at.plus(length);
                }
                file.sync()?;
            }
        }
    }
    Ok(())
}

fn zero<F: StorageFile>(file: &F, piece: Piece) -> Result<(), StorageError> {
    file.write_at(piece.offset, &vec![0; piece.length as usize])
}

/// Keeps the bytes that will be zeroed. A full disk must not keep a journal from recovering: then
/// nothing is kept, and the result says so.
fn keep<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    cut: &Cut,
) -> Result<Option<String>, StorageError> {
    for number in 0..CUT_FILES_MAX {
        let name = format!("{:020}.{number}.cut", cut.position.0);
        match storage.create(&name, WriteMode::Buffered) {
            Err(StorageError::Exists { .. }) => {}
            Err(StorageError::NoSpace { .. }) => return Ok(None),
            other => return copy_cut(storage, meta, cut, &other?, name),
        }
    }
    Ok(None)
}

fn copy_cut<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    cut: &Cut,
    target: &S::File,
    name: String,
) -> Result<Option<String>, StorageError> {
    let copied = for_each_segment(storage, meta, cut.position, cut.length, |file, piece| {
        let mut bytes = vec![0; piece.length as usize];
        file.read_at(piece.offset, &mut bytes)?;
        target.write_at(piece.position.0 - cut.position.0, &bytes)
    });
    match copied.and_then(|()| target.sync()) {
        Ok(()) => Ok(Some(name)),
        Err(StorageError::NoSpace { .. }) => {
            storage.delete(&name)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
