//! Storage that misbehaves on its n-th operation: the fake that tests of every caller share.
//!
//! Operations are counted over all handles and files of one folder, reads and syncs included. A fault hits
//! once; [`Fault::PowerCut`] and [`Fault::Torn`] fail everything behind it too, as a dead machine would.

use super::deferred::{MemoryLane, SharedFile};
use super::{
    MemoryStorage, Storage, StorageBytes, StorageError, StorageFile, Volatility, WriteMode,
};
use crate::LogBuffer;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the n-th operation does instead of its work. On an operation that is not a write, those that
/// need one act as [`Fault::Fail`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// EIO, nothing done.
    Fail,
    /// ENOSPC, nothing done.
    NoSpace,
    /// Half is written, and said so.
    ShortWrite,
    /// Everything up to here is as it is; this and all later operations fail.
    PowerCut,
    /// Every other sector of the write lands; this and all later operations fail.
    Torn,
    /// One bit of the write lands flipped; success is claimed.
    Flip,
    /// The write lands one block further on; success is claimed.
    Misdirect,
    /// Nothing is written; success is claimed.
    Lost,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    operation: u64,
    count: AtomicU64,
    dead: AtomicBool,
}

impl Plan {
    /// Counts one operation; the fault, if it is this one's turn.
    fn next(&self, operation: &'static str, name: &str) -> Result<Option<Fault>, StorageError> {
        let number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if self.dead.load(Ordering::Acquire) {
            return Err(failed(operation, name, libc::EIO));
        }
        Ok((number == self.operation).then_some(self.fault))
    }

    /// For operations that are not writes of bytes.
    fn pass(&self, operation: &'static str, name: &str) -> Result<(), StorageError> {
        match self.next(operation, name)? {
            None => Ok(()),
            Some(Fault::NoSpace) => Err(failed(operation, name, libc::ENOSPC)),
            Some(fault) => {
                self.dead.store(
                    matches!(fault, Fault::PowerCut | Fault::Torn),
                    Ordering::Release,
                );
                Err(failed(operation, name, libc::EIO))
            }
        }
    }
}

fn failed(operation: &'static str, name: &str, code: i32) -> StorageError {
    StorageError::from_code(operation, Path::new(name), code)
}

/// Memory storage with one planned fault.
#[derive(Clone, Debug)]
pub struct FaultyStorage {
    inner: MemoryStorage,
    plan: Arc<Plan>,
}

impl FaultyStorage {
    /// `operation` counts from 1; 0 never comes, which serves to count a script's operations.
    pub fn new(inner: MemoryStorage, fault: Fault, operation: u64) -> Self {
        let (count, dead) = (AtomicU64::new(0), AtomicBool::new(false));
        Self {
            inner,
            plan: Arc::new(Plan {
                fault,
                operation,
                count,
                dead,
            }),
        }
    }

    pub fn operation_count(&self) -> u64 {
        self.plan.count.load(Ordering::Acquire)
    }

    /// What is below, without faults.
    pub fn inner(&self) -> &MemoryStorage {
        &self.inner
    }

    fn wrap(&self, name: &str, file: super::MemoryFile) -> FaultyFile {
        FaultyFile {
            inner: file,
            name: name.to_owned(),
            plan: Arc::clone(&self.plan),
        }
    }
}

impl Storage for FaultyStorage {
    type File = FaultyFile;
    type Lane = MemoryLane<FaultyFile>;
    type Lock = <MemoryStorage as Storage>::Lock;

    fn describe(&self) -> String {
        "faulty memory".to_owned()
    }

    fn volatility(&self) -> Result<Volatility, StorageError> {
        self.inner.volatility()
    }

    fn list(&self) -> Result<Vec<String>, StorageError> {
        self.plan.pass("list", "folder")?;
        self.inner.list()
    }

    fn create(&self, name: &str, mode: WriteMode) -> Result<FaultyFile, StorageError> {
        self.plan.pass("create", name)?;
        Ok(self.wrap(name, self.inner.create(name, mode)?))
    }

    fn open(&self, name: &str, mode: WriteMode) -> Result<FaultyFile, StorageError> {
        self.plan.pass("open", name)?;
        Ok(self.wrap(name, self.inner.open(name, mode)?))
    }

    fn open_to_read(&self, name: &str) -> Result<FaultyFile, StorageError> {
        self.plan.pass("open", name)?;
        Ok(self.wrap(name, self.inner.open_to_read(name)?))
    }

    fn map(&self, name: &str) -> Result<StorageBytes, StorageError> {
        self.plan.pass("read", name)?;
        self.inner.map(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.plan.pass("rename", from)?;
        self.inner.rename(from, to)
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.plan.pass("delete", name)?;
        self.inner.delete(name)
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        self.plan.pass("sync", "folder")?;
        self.inner.sync_folder()
    }

    fn lock(&self, name: &str) -> Result<Self::Lock, StorageError> {
        self.plan.pass("lock", name)?;
        self.inner.lock(name)
    }

    fn settle(&self, _name: &str) -> Result<(), StorageError> {
        Ok(())
    }

    fn lane(&self, _source: Arc<LogBuffer>) -> Result<MemoryLane<FaultyFile>, StorageError> {
        Ok(self.inner.new_lane("faulty memory"))
    }
}

#[derive(Clone, Debug)]
pub struct FaultyFile {
    inner: super::MemoryFile,
    name: String,
    plan: Arc<Plan>,
}

impl FaultyFile {
    fn write_faulty(&self, fault: Fault, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let error = Err(failed("write", &self.name, libc::EIO));
        match fault {
            Fault::Fail => error,
            Fault::NoSpace => Err(failed("write", &self.name, libc::ENOSPC)),
            Fault::ShortWrite => self.write_half(offset, bytes),
            Fault::PowerCut => {
                self.plan.dead.store(true, Ordering::Release);
                error
            }
            Fault::Torn => {
                self.plan.dead.store(true, Ordering::Release);
                self.write_every_other_sector(offset, bytes)?;
                error
            }
            Fault::Flip => {
                let mut flipped = bytes.to_vec();
                if let Some(byte) = flipped.get_mut(bytes.len() / 3) {
                    *byte ^= 4;
                }
                self.inner.write_at(offset, &flipped)
            }
            Fault::Misdirect => self.inner.write_at(offset + 4096, bytes),
            Fault::Lost => Ok(()),
        }
    }

    fn write_half(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let half = bytes.len() / 2 / 4096 * 4096;
        self.inner.write_at(offset, &bytes[..half])?;
        let (expected, written) = (bytes.len() as u64, half as u64);
        Err(StorageError::ShortWrite {
            path: self.name.clone(),
            offset,
            expected,
            written,
        })
    }

    fn write_every_other_sector(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut torn = vec![0; bytes.len()];
        self.inner.read_at(offset, &mut torn)?;
        for (at, sector) in bytes.chunks(512).enumerate().filter(|(at, _)| at % 2 == 1) {
            torn[at * 512..at * 512 + sector.len()].copy_from_slice(sector);
        }
        self.inner.write_at(offset, &torn)
    }
}

impl SharedFile for FaultyFile {
    fn name(&self) -> &str {
        &self.name
    }
}

impl StorageFile for FaultyFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, StorageError> {
        self.plan.pass("read", &self.name)?;
        self.inner.read_at(offset, target)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        match self.plan.next("write", &self.name)? {
            None => self.inner.write_at(offset, bytes),
            Some(fault) => self.write_faulty(fault, offset, bytes),
        }
    }

    fn set_length(&self, length: u64) -> Result<(), StorageError> {
        self.plan.pass("resize", &self.name)?;
        self.inner.set_length(length)
    }

    fn reserve(&self, length: u64) -> Result<(), StorageError> {
        self.plan.pass("reserve", &self.name)?;
        self.inner.reserve(length)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.plan.pass("sync", &self.name)?;
        self.inner.sync()
    }
}
