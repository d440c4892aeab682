//! A log buffer as an earlier process left it: what recovery looks at before it is initialised anew.

use super::layout::{CONSUMERS_MAX, IDENTITY_LENGTH, Identity, ring_offset};
use super::mapping::Mapping;
use super::{COMMIT_INDEX, DURABLE_POSITION, LogBufferError, PUBLISHED_POSITION};
use crate::header_block::HeaderBlockError;
use crate::position::{BLOCK_LENGTH, RING_LENGTH_MAX, RING_LENGTH_MIN};
use crate::{BootId, JournalId, LogPosition};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

const _: () = assert!(CONSUMERS_MAX > 0);

/// An existing log buffer, locked by this process, not written to.
#[derive(Debug)]
pub struct PreviousLogBuffer {
    file: File,
    path: PathBuf,
    identity: Result<Identity, HeaderBlockError>,
    mapping: Option<Mapping>,
}

/// What an earlier owner's ring says, as recovery wants it. Bytes may be anything at all.
#[derive(Clone, Copy, Debug)]
pub struct LogBufferImage<'a> {
    pub identity: Identity,
    pub published_position: LogPosition,
    pub durable_position: LogPosition,
    pub commit_index: u64,
    /// `identity.ring_length` bytes.
    pub ring: &'a [u8],
}

#[cfg(test)]
impl<'a> LogBufferImage<'a> {
    /// Of a log buffer's whole file, for tests that damage it.
    pub(crate) fn of_file(file: &'a [u8]) -> Result<Self, HeaderBlockError> {
        let counter = |offset| crate::bytes::get_u64(file, offset);
        let identity = Identity::decode(&file[..IDENTITY_LENGTH])?;
        let identity = check(identity, file.len() as u64)?;
        Ok(Self {
            identity,
            published_position: LogPosition(counter(PUBLISHED_POSITION)),
            durable_position: LogPosition(counter(DURABLE_POSITION)),
            commit_index: counter(COMMIT_INDEX),
            ring: &file[identity.ring_offset as usize..],
        })
    }
}

impl PreviousLogBuffer {
    /// `None` if there is no file. Locks it; the lock is kept until this value is dropped or re-used.
    pub fn open(path: &Path) -> Result<Option<Self>, LogBufferError> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::lock(file, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogBufferError::io("open", path, &error)),
        }
    }

    pub(super) fn open_or_create(path: &Path) -> Result<Self, LogBufferError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options
            .open(path)
            .map_err(|error| LogBufferError::io("create", path, &error))?;
        Self::lock(file, path)
    }

    fn lock(file: File, path: &Path) -> Result<Self, LogBufferError> {
        let failed = |operation, error| LogBufferError::io(operation, path, &error);
        let mut identity_bytes = [0; IDENTITY_LENGTH];
        let length = file
            .metadata()
            .map_err(|error| failed("open", error))?
            .len();
        if length >= BLOCK_LENGTH {
            file.read_exact_at(&mut identity_bytes, 0)
                .map_err(|error| failed("read", error))?;
        }
        let identity = Identity::decode(&identity_bytes).and_then(|found| check(found, length));
        if !crate::os::try_lock(&file).map_err(|error| failed("lock", error))? {
            let process = identity.ok().map(|identity| identity.process);
            return Err(LogBufferError::Locked {
                path: path.to_owned(),
                process,
            });
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            identity,
            mapping: None,
        })
    }

    /// What the file says of itself.
    pub fn identity(&self) -> Result<Identity, HeaderBlockError> {
        self.identity
    }

    /// The bytes for recovery; maps the file on first use.
    pub fn image(&mut self) -> Result<LogBufferImage<'_>, LogBufferError> {
        let identity = self.identity.map_err(|source| LogBufferError::Header {
            path: self.path.clone(),
            source,
        })?;
        let mapping = match &mut self.mapping {
            Some(mapping) => mapping,
            empty => {
                let mapped = Mapping::new(&self.file, &identity);
                empty.insert(mapped.map_err(|e| LogBufferError::io("map", &self.path, &e))?)
            }
        };
        let counter = |offset| mapping.counter(offset).load(Ordering::Acquire);
        let (published, durable) = (counter(PUBLISHED_POSITION), counter(DURABLE_POSITION));
        let commit_index = counter(COMMIT_INDEX);
        Ok(LogBufferImage {
            identity,
            published_position: LogPosition(published),
            durable_position: LogPosition(durable),
            commit_index,
            ring: mapping.ring_bytes(),
        })
    }

    pub(crate) fn refuse_foreign(&self, journal_id: JournalId) -> Result<(), LogBufferError> {
        let Ok(identity) = self.identity else {
            return Ok(());
        };
        let failed = |error| LogBufferError::io("name", &self.path, &error);
        let this_boot = identity.boot_id == BootId::current().map_err(failed)?;
        if this_boot && identity.journal_id != journal_id {
            let (path, journal_id) = (self.path.clone(), identity.journal_id);
            return Err(LogBufferError::OtherJournal { path, journal_id });
        }
        Ok(())
    }

    pub(super) fn into_file(self) -> (File, PathBuf) {
        (self.file, self.path)
    }
}

pub(super) fn check(identity: Identity, file_length: u64) -> Result<Identity, HeaderBlockError> {
    let (ring, offset) = (identity.ring_length, u64::from(identity.ring_offset));
    let bounded = (RING_LENGTH_MIN..=RING_LENGTH_MAX).contains(&ring) && ring.is_power_of_two();
    let placed = offset == ring_offset(ring);
    if bounded && placed && file_length >= offset + ring {
        Ok(identity)
    } else {
        Err(HeaderBlockError::Malformed)
    }
}
