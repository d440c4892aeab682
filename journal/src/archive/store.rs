//! The archive folder: adding, verifying, restoring.

use super::manifest::{MANIFEST_PREPARING_NAME, stored_name};
use super::{ArchiveEntry, ArchiveError, ArchiveKind, MANIFEST_NAME};
use crate::seal::Hash;
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

const CHUNK_LENGTH: usize = 1 << 20;

/// An open archive. One writer.
#[derive(Debug)]
pub struct Archive<A: Storage> {
    storage: A,
    entries: Vec<ArchiveEntry>,
}

impl<A: Storage> Archive<A> {
    /// Reads the manifest; an empty folder is an empty archive.
    pub fn open(storage: A) -> Result<Self, ArchiveError> {
        let text = match storage.map(MANIFEST_NAME) {
            Err(StorageError::NotFound { .. }) => Vec::new(),
            other => other?.to_vec(),
        };
        let mut entries = Vec::new();
        for (line, bytes) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            let whole = bytes.strip_suffix(b"\n");
            let entry = whole.and_then(|bytes| ArchiveEntry::parse(str::from_utf8(bytes).ok()?));
            entries.push(entry.ok_or(ArchiveError::Manifest { line })?);
        }
        Ok(Self { storage, entries })
    }

    /// Everything archived, in the order of archiving.
    pub fn entries(&self) -> &[ArchiveEntry] {
        &self.entries
    }

    pub fn entry(&self, kind: ArchiveKind, number: u64) -> Option<&ArchiveEntry> {
        let is_it = |entry: &&ArchiveEntry| entry.kind == kind && entry.number == number;
        self.entries.iter().find(is_it)
    }

    /// Copies a file of a journal folder. It is safe to remove there when this returns.
    pub fn add<S: Storage>(
        &mut self,
        journal: &S,
        kind: ArchiveKind,
        number: u64,
    ) -> Result<ArchiveEntry, ArchiveError> {
        let name = kind.name(number);
        let original = journal.map(&name)?;
        let hash = Sha256::digest(&original[..]).into();
        if let Some(known) = self.entry(kind, number).copied()
            && known.hash == hash
            && self.verify(&known).is_ok()
        {
            return Ok(known);
        }
        let stored = stored_name(kind, number);
        let (stored_length, stored_hash) = self.compress(&stored, &original)?;
        let entry = ArchiveEntry {
            kind,
            number,
            length: original.len() as u64,
            hash,
            stored_length,
            stored_hash,
        };
        if self.verify(&entry).is_err() {
            return Err(ArchiveError::NotAsWritten { name: stored });
        }
        let mut entries = self.entries.clone();
        entries.retain(|known| (known.kind, known.number) != (kind, number));
        entries.push(entry);
        self.write_manifest(&entries)?;
        self.entries = entries;
        Ok(entry)
    }

    fn compress(&self, stored: &str, original: &[u8]) -> Result<(u64, Hash), StorageError> {
        let preparing = format!("{stored}.preparing");
        remove(&self.storage, &preparing)?;
        let file = self.storage.create(&preparing, WriteMode::Buffered)?;
        let sink = FileWriter {
            file,
            offset: 0,
            hash: Sha256::new(),
            failure: None,
        };
        let info = FrameInfo::new()
            .block_size(BlockSize::Max1MB)
            .content_checksum(true)
            .content_size(Some(original.len() as u64));
        let mut encoder = FrameEncoder::with_frame_info(info, sink);
        let written = encoder.write_all(original);
        // A failure of the file shows below, with what and where.
        let finished = written.and_then(|()| encoder.try_finish().map_err(io::Error::from));
        let sink = encoder.into_inner();
        if let Some(failure) = sink.failure {
            return Err(failure);
        }
        finished.map_err(|error| {
            StorageError::from_io("compress", std::path::Path::new(stored), &error)
        })?;
        sink.file.sync()?;
        self.storage.rename(&preparing, stored)?;
        self.storage.sync_folder()?;
        Ok((sink.offset, sink.hash.finalize().into()))
    }

    fn write_manifest(&self, entries: &[ArchiveEntry]) -> Result<(), ArchiveError> {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        remove(&self.storage, MANIFEST_PREPARING_NAME)?;
        let file = self
            .storage
            .create(MANIFEST_PREPARING_NAME, WriteMode::Buffered)?;
        file.write_at(0, text.as_bytes())?;
        file.sync()?;
        drop(file);
        if self.storage.map(MANIFEST_PREPARING_NAME)?[..] != *text.as_bytes() {
            let name = MANIFEST_NAME.to_owned();
            return Err(ArchiveError::NotAsWritten { name });
        }
        self.storage
            .rename(MANIFEST_PREPARING_NAME, MANIFEST_NAME)?;
        Ok(self.storage.sync_folder()?)
    }

    /// Reads a copy back and compares both hashes.
    pub fn verify(&self, entry: &ArchiveEntry) -> Result<(), ArchiveError> {
        self.unpack(entry, &mut |_| Ok(()))
    }

    /// Puts a file back into a journal folder; one that is there already must be the same.
    pub fn restore<S: Storage>(
        &self,
        journal: &S,
        kind: ArchiveKind,
        number: u64,
    ) -> Result<(), ArchiveError> {
        let name = kind.name(number);
        let Some(entry) = self.entry(kind, number) else {
            return Err(ArchiveError::NotThere { name });
        };
        if journal.list()?.contains(&name) {
            let here: Hash = Sha256::digest(&journal.map(&name)?[..]).into();
            let same = here == entry.hash;
            let path = name.clone();
            return if same {
                Ok(())
            } else {
                Err(StorageError::Exists { path }.into())
            };
        }
        // A name that recovery removes if this is interrupted.
        let preparing = format!("{name}.preparing");
        remove(journal, &preparing)?;
        let file = journal.create(&preparing, WriteMode::Buffered)?;
        let mut offset = 0;
        let unpacked = self.unpack(entry, &mut |bytes| {
            file.write_at(offset, bytes)?;
            offset += bytes.len() as u64;
            Ok(())
        });
        if let Err(error) = unpacked {
            drop(file);
            remove(journal, &preparing)?;
            return Err(error);
        }
        file.sync()?;
        drop(file);
        journal.rename(&preparing, &name)?;
        Ok(journal.sync_folder()?)
    }

    fn unpack(
        &self,
        entry: &ArchiveEntry,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StorageError>,
    ) -> Result<(), ArchiveError> {
        let name = entry.stored_name();
        let stored = self.storage.map(&name)?;
        let damaged = || ArchiveError::Damaged { name: name.clone() };
        let stored_hash: Hash = Sha256::digest(&stored[..]).into();
        if stored_hash != entry.stored_hash {
            return Err(damaged());
        }
        let mut decoder = FrameDecoder::new(&stored[..]);
        let mut chunk = vec![0; CHUNK_LENGTH];
        let (mut hash, mut length) = (Sha256::new(), 0);
        loop {
            let read = decoder.read(&mut chunk).map_err(|_| damaged())?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if length > entry.length {
                return Err(damaged());
            }
            hash.update(&chunk[..read]);
            take(&chunk[..read])?;
        }
        let hash: Hash = hash.finalize().into();
        if hash == entry.hash && length == entry.length {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}

/// What is left of an interrupted earlier attempt, if anything.
fn remove<S: Storage>(storage: &S, name: &str) -> Result<(), StorageError> {
    match storage.delete(name) {
        Ok(()) | Err(StorageError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Appends to a file and hashes what it appends; keeps the failure that `io` cannot carry.
struct FileWriter<F> {
    file: F,
    offset: u64,
    hash: Sha256,
    failure: Option<StorageError>,
}

impl<F: StorageFile> Write for FileWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_at(self.offset, bytes) {
            self.failure.get_or_insert(error);
            return Err(io::Error::other("the file failed"));
        }
        self.offset += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
