//! Storage in memory, with the two states that matter of a disk: what was written, what was synced.
//!
//! For tests and the simulator. [`MemoryStorage::power_cut`] gives the folder as a power failure leaves it:
//! every synced byte, and of the others any subset of 512-byte sectors.

use super::deferred::{DeferredLane, MemoryLane, SharedFile};
use super::lane::BlockingLane;
use super::{Storage, StorageBytes, StorageError, StorageFile, Volatility, WriteMode};
use crate::LogBuffer;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

type Entry = Arc<Mutex<Content>>;

#[derive(Clone, Default, Debug)]
struct Content {
    /// What reads see.
    written: Vec<u8>,
    /// What a power cut cannot take.
    synced: Vec<u8>,
}

#[derive(Default, Debug)]
struct Folder {
    entries: BTreeMap<String, Entry>,
    /// The entries as of the last [`Storage::sync_folder`].
    synced_entries: BTreeMap<String, Entry>,
    locks: std::collections::BTreeSet<String>,
    /// Of a lane whose operations end late and in any order.
    defer_seed: Option<u64>,
}

#[derive(Clone, Default, Debug)]
pub struct MemoryStorage {
    folder: Arc<Mutex<Folder>>,
}

impl MemoryStorage {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lanes of this folder end their operations late and in an order that the seed gives.
    pub fn deferring(self, seed: u64) -> Self {
        guard(&self.folder).defer_seed = Some(seed.max(1));
        self
    }

    pub(super) fn new_lane<F: SharedFile>(&self, driver: &'static str) -> MemoryLane<F> {
        match guard(&self.folder).defer_seed {
            Some(seed) => MemoryLane::Deferred(DeferredLane::new(seed)),
            None => MemoryLane::Blocking(BlockingLane::new(driver)),
        }
    }

    /// A separate folder with the same files, all synced.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for (name, entry) in &guard(&self.folder).entries {
            copy.put(name, &guard(entry).written);
        }
        copy
    }

    /// Puts a whole file there, synced.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let content = Content {
            written: bytes.to_vec(),
            synced: bytes.to_vec(),
        };
        let entry = Arc::new(Mutex::new(content));
        let mut folder = guard(&self.folder);
        folder.entries.insert(name.to_owned(), Arc::clone(&entry));
        folder.synced_entries.insert(name.to_owned(), entry);
    }

    /// The bytes that reads of `name` see.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        guard(&self.folder)
            .entries
            .get(name)
            .map(|entry| guard(entry).written.clone())
    }

    /// The folder after a power cut. `keep` is asked for each unsynced sector whether it had reached the
    /// medium; unsynced creations, renames and deletions had not.
    pub fn power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let after = Self::new();
        for (name, entry) in &guard(&self.folder).synced_entries {
            let content = guard(entry).clone();
            let mut bytes = content.synced;
            bytes.resize(bytes.len().max(content.written.len()), 0);
            for (at, sector) in content.written.chunks(SECTOR).enumerate() {
                let old = &mut bytes[at * SECTOR..at * SECTOR + sector.len()];
                if old != sector && keep() {
                    old.copy_from_slice(sector);
                }
            }
            after.put(name, &bytes);
        }
        after
    }

    fn entry(&self, name: &str) -> Result<Entry, StorageError> {
        let folder = guard(&self.folder);
        folder
            .entries
            .get(name)
            .cloned()
            .ok_or_else(|| StorageError::NotFound {
                path: name.to_owned(),
            })
    }
}

/// A poisoned lock only means that another test thread failed; the bytes are still bytes.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Released when dropped.
#[derive(Debug)]
pub struct MemoryLock {
    folder: Arc<Mutex<Folder>>,
    name: String,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        guard(&self.folder).locks.remove(&self.name);
    }
}

impl Storage for MemoryStorage {
    type File = MemoryFile;
    type Lane = MemoryLane<MemoryFile>;
    type Lock = MemoryLock;

    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn volatility(&self) -> Result<Volatility, StorageError> {
        Ok(Volatility::Durable)
    }

    fn list(&self) -> Result<Vec<String>, StorageError> {
        Ok(guard(&self.folder).entries.keys().cloned().collect())
    }

    fn create(&self, name: &str, mode: WriteMode) -> Result<MemoryFile, StorageError> {
        let mut folder = guard(&self.folder);
        if folder.entries.contains_key(name) {
            return Err(StorageError::Exists {
                path: name.to_owned(),
            });
        }
        let content = Entry::default();
        folder.entries.insert(name.to_owned(), Arc::clone(&content));
        Ok(MemoryFile {
            name: name.to_owned(),
            content,
            mode,
        })
    }

    fn open(&self, name: &str, mode: WriteMode) -> Result<MemoryFile, StorageError> {
        Ok(MemoryFile {
            name: name.to_owned(),
            content: self.entry(name)?,
            mode,
        })
    }

    fn open_to_read(&self, name: &str) -> Result<MemoryFile, StorageError> {
        self.open(name, WriteMode::Direct)
    }

    fn map(&self, name: &str) -> Result<StorageBytes, StorageError> {
        Ok(StorageBytes::copy_of(&guard(&*self.entry(name)?).written))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let entry = self.entry(from)?;
        let mut folder = guard(&self.folder);
        folder.entries.remove(from);
        folder.entries.insert(to.to_owned(), entry);
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.entry(name)?;
        guard(&self.folder).entries.remove(name);
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        let mut folder = guard(&self.folder);
        folder.synced_entries = folder.entries.clone();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<MemoryLock, StorageError> {
        if !guard(&self.folder).locks.insert(name.to_owned()) {
            return Err(StorageError::Locked {
                path: name.to_owned(),
                process: None,
            });
        }
        Ok(MemoryLock {
            folder: Arc::clone(&self.folder),
            name: name.to_owned(),
        })
    }

    fn settle(&self, _name: &str) -> Result<(), StorageError> {
        Ok(())
    }

    fn lane(&self, _source: Arc<LogBuffer>) -> Result<MemoryLane<MemoryFile>, StorageError> {
        Ok(self.new_lane("memory"))
    }
}

#[derive(Clone, Debug)]
pub struct MemoryFile {
    name: String,
    content: Entry,
    mode: WriteMode,
}

impl SharedFile for MemoryFile {
    fn name(&self) -> &str {
        &self.name
    }
}

impl StorageFile for MemoryFile {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(guard(&self.content).written.len() as u64)
    }

    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, StorageError> {
        let content = guard(&self.content);
        let rest = content.written.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if self.mode != WriteMode::Buffered && !(offset | bytes.len() as u64).is_multiple_of(4096) {
            // What the kernel answers to a direct write that is not of whole blocks.
            return Err(StorageError::from_code(
                "write",
                Path::new(&self.name),
                libc::EINVAL,
            ));
        }
        let mut content = guard(&self.content);
        write(&mut content.written, offset as usize, bytes);
        if self.mode == WriteMode::DirectSync {
            write(&mut content.synced, offset as usize, bytes);
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<(), StorageError> {
        guard(&self.content).written.resize(length as usize, 0);
        Ok(())
    }

    fn reserve(&self, length: u64) -> Result<(), StorageError> {
        let mut content = guard(&self.content);
        let length = content.written.len().max(length as usize);
        content.written.resize(length, 0);
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        let mut content = guard(&self.content);
        content.synced = content.written.clone();
        Ok(())
    }
}

fn write(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if target.len() < offset + bytes.len() {
        target.resize(offset + bytes.len(), 0);
    }
    target[offset..offset + bytes.len()].copy_from_slice(bytes);
}
