//! Storage on a real file system: direct writes where it can, mapped reads.

use super::lane::{BlockingLane, Completion, LogBytes, WriteLane};
use super::uring::UringLane;
use super::{Storage, StorageBytes, StorageError, StorageFile, Volatility, WriteMode};
use crate::LogBuffer;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for writes that a killed predecessor left in flight.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(30);
const CREATE: &str = "create";

#[derive(Clone, Debug)]
pub struct DirectStorage {
    folder: PathBuf,
}

impl DirectStorage {
    /// An existing folder.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let failed = |error| StorageError::from_io("open folder", folder, &error);
        if !fs::metadata(folder).map_err(failed)?.is_dir() {
            return Err(StorageError::from_code(
                "open folder",
                folder,
                libc::ENOTDIR,
            ));
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// A folder that is made, with its parents, if it is not there.
    pub fn create(folder: &Path) -> Result<Self, StorageError> {
        let failed = |error| StorageError::from_io("create folder", folder, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        // The folder's own name must survive as well as what is in it.
        if let Some(parent) = folder.canonicalize().map_err(failed)?.parent() {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(failed)?;
        }
        Self::open(folder)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn open_with(
        &self,
        operation: &'static str,
        name: &str,
        mode: WriteMode,
        options: &mut OpenOptions,
    ) -> Result<DirectFile, StorageError> {
        let path = self.path(name);
        let sync = if mode == WriteMode::DirectSync {
            libc::O_DSYNC
        } else {
            0
        };
        let direct = if mode == WriteMode::Buffered {
            0
        } else {
            libc::O_DIRECT
        };
        let mut open = |flags| {
            options
                .read(true)
                .mode(0o640)
                .custom_flags(flags)
                .open(&path)
        };
        let opened = match open(direct | sync) {
            // A file system without direct writes: as durable without, only slower. The kernel has made
            // the file all the same.
            Err(error) if direct != 0 && error.raw_os_error() == Some(libc::EINVAL) => {
                if operation == CREATE {
                    let _ = fs::remove_file(&path);
                }
                open(sync)
            }
            other => other,
        };
        let file = opened.map_err(|error| StorageError::from_io(operation, &path, &error))?;
        Ok(DirectFile {
            file,
            path: path.into(),
        })
    }
}

/// Holds the `flock` of a lock file.
#[derive(Debug)]
pub struct DirectLock {
    _file: File,
}

impl Storage for DirectStorage {
    type File = DirectFile;
    type Lane = DirectLane;
    type Lock = DirectLock;

    fn describe(&self) -> String {
        self.folder.display().to_string()
    }

    fn volatility(&self) -> Result<Volatility, StorageError> {
        Volatility::of(&self.folder)
            .map_err(|error| StorageError::from_io("examine", &self.folder, &error))
    }

    fn list(&self) -> Result<Vec<String>, StorageError> {
        let failed = |error| StorageError::from_io("list", &self.folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            names.push(
                entry
                    .map_err(failed)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str, mode: WriteMode) -> Result<DirectFile, StorageError> {
        let mut options = OpenOptions::new();
        self.open_with(CREATE, name, mode, options.write(true).create_new(true))
    }

    fn open(&self, name: &str, mode: WriteMode) -> Result<DirectFile, StorageError> {
        let file = self.open_with("open", name, mode, OpenOptions::new().write(true))?;
        if mode != WriteMode::Buffered {
            file.lock_for_writes()?;
        }
        Ok(file)
    }

    fn open_to_read(&self, name: &str) -> Result<DirectFile, StorageError> {
        self.open_with("open", name, WriteMode::Direct, &mut OpenOptions::new())
    }

    fn map(&self, name: &str) -> Result<StorageBytes, StorageError> {
        let path = self.path(name);
        File::open(&path)
            .and_then(StorageBytes::map)
            .map_err(|error| StorageError::from_io("map", &path, &error))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let path = self.path(from);
        fs::rename(&path, self.path(to))
            .map_err(|error| StorageError::from_io("rename", &path, &error))
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| StorageError::from_io("delete", &path, &error))
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| StorageError::from_io("sync folder", &self.folder, &error))
    }

    fn lock(&self, name: &str) -> Result<DirectLock, StorageError> {
        let path = self.path(name);
        let failed = |error| StorageError::from_io("lock", &path, &error);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640);
        let file = options.open(&path).map_err(failed)?;
        if !crate::os::try_lock(&file).map_err(failed)? {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let process = text.trim().parse().ok();
            return Err(StorageError::Locked {
                path: path.display().to_string(),
                process,
            });
        }
        file.set_len(0).map_err(failed)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
            .map_err(failed)?;
        Ok(DirectLock { _file: file })
    }

    /// Segments are locked by the open file that is written to; an operation in flight holds that open
    /// after its process is gone, so that the lock can be taken only when the last one has ended.
    fn settle(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path(name);
        let failed = |error| StorageError::from_io("settle", &path, &error);
        let file = File::open(&path).map_err(failed)?;
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        while !crate::os::try_lock(&file).map_err(failed)? {
            if Instant::now() > deadline {
                return Err(StorageError::from_code("settle", &path, libc::ETIMEDOUT));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn lane(&self, source: Arc<LogBuffer>) -> Result<DirectLane, StorageError> {
        Ok(match UringLane::new(source) {
            Ok(lane) => DirectLane::Uring(Box::new(lane)),
            // Forbidden (containers), or a kernel without it: slower, as durable.
            Err(_) => DirectLane::Blocking(BlockingLane::new("pwrite")),
        })
    }
}

#[derive(Debug)]
pub struct DirectFile {
    file: File,
    path: Arc<Path>,
}

impl DirectFile {
    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    fn check<T>(&self, operation: &'static str, result: io::Result<T>) -> Result<T, StorageError> {
        result.map_err(|error| StorageError::from_io(operation, &self.path, &error))
    }

    /// Marks this open file as the one that the journal's writer writes through; see `settle`.
    fn lock_for_writes(&self) -> Result<(), StorageError> {
        if self.check("lock", crate::os::try_lock(&self.file))? {
            return Ok(());
        }
        Err(StorageError::Locked {
            path: self.path.display().to_string(),
            process: None,
        })
    }
}

impl StorageFile for DirectFile {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(self.check("examine", self.file.metadata())?.len())
    }

    fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<usize, StorageError> {
        let mut count = 0;
        while count < target.len() {
            match self
                .file
                .read_at(&mut target[count..], offset + count as u64)
            {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.check("read", Err(error)),
            }
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.check("write", self.file.write_at(bytes, offset))?;
        if written < bytes.len() {
            self.refuse_if_full(offset + written as u64, &bytes[written..])?;
        }
        self.whole(offset, bytes.len(), written)
    }

    fn write_log(&self, offset: u64, bytes: LogBytes<'_>) -> Result<(), StorageError> {
        let result = crate::os::write_memory(&self.file, bytes.pointer(), bytes.length(), offset);
        let written = self.check("write", result)?;
        self.whole(offset, bytes.length() as usize, written)
    }

    fn set_length(&self, length: u64) -> Result<(), StorageError> {
        self.check("resize", self.file.set_len(length))
    }

    fn reserve(&self, length: u64) -> Result<(), StorageError> {
        self.check(
            "reserve space for",
            crate::os::reserve(&self.file, 0, length),
        )
    }

    fn sync(&self) -> Result<(), StorageError> {
        // Not the times: of them alone there is nothing to commit in the file system's own journal, and as long as that is
        // being done, a write that changes its file's time waits.
        self.check("sync", self.file.sync_data())
    }
}

impl DirectFile {
    /// A disk that fills up within a write says so only to the next one. Whatever this one does, the
    /// short write stays an error.
    fn refuse_if_full(&self, offset: u64, rest: &[u8]) -> Result<(), StorageError> {
        match self.check("write", self.file.write_at(rest, offset)) {
            Err(full @ StorageError::NoSpace { .. }) => Err(full),
            _ => Ok(()),
        }
    }

    fn whole(&self, offset: u64, expected: usize, written: usize) -> Result<(), StorageError> {
        if written == expected {
            return Ok(());
        }
        let path = self.path.display().to_string();
        let (expected, written) = (expected as u64, written as u64);
        Err(StorageError::ShortWrite {
            path,
            offset,
            expected,
            written,
        })
    }
}

/// io_uring, or blocking writes where that is forbidden.
#[derive(Debug)]
pub enum DirectLane {
    Uring(Box<UringLane>),
    Blocking(BlockingLane<DirectFile>),
}

impl WriteLane for DirectLane {
    type File = DirectFile;

    fn driver(&self) -> &'static str {
        match self {
            Self::Uring(lane) => lane.driver(),
            Self::Blocking(lane) => lane.driver(),
        }
    }

    fn submit_write(
        &mut self,
        file: &DirectFile,
        offset: u64,
        bytes: LogBytes<'_>,
        token: u64,
    ) -> Result<(), StorageError> {
        match self {
            Self::Uring(lane) => lane.submit_write(file, offset, bytes, token),
            Self::Blocking(lane) => lane.submit_write(file, offset, bytes, token),
        }
    }

    fn submit_sync(&mut self, file: &DirectFile, token: u64) -> Result<(), StorageError> {
        match self {
            Self::Uring(lane) => lane.submit_sync(file, token),
            Self::Blocking(lane) => lane.submit_sync(file, token),
        }
    }

    fn poll(&mut self) -> Result<Option<Completion>, StorageError> {
        match self {
            Self::Uring(lane) => lane.poll(),
            Self::Blocking(lane) => lane.poll(),
        }
    }
}
