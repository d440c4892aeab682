//! Why an operation on a journal's files failed: what, where, and what to do.

use std::io;
use std::path::Path;
use thiserror::Error;

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StorageError {
    #[error("cannot {operation} {path}: no space left; free or add space and start again")]
    NoSpace {
        operation: &'static str,
        path: String,
    },
    #[error(
        "cannot {operation} {path}: read-only or not permitted; mount it writable, or run as its owner"
    )]
    ReadOnly {
        operation: &'static str,
        path: String,
    },
    #[error("{path} does not exist")]
    NotFound { path: String },
    #[error("{path} exists already")]
    Exists { path: String },
    #[error(
        "{path} is locked by {}; stop it first",
        process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
    )]
    Locked { path: String, process: Option<u32> },
    #[error("short write to {path} at offset {offset}: {written} of {expected} bytes")]
    ShortWrite {
        path: String,
        offset: u64,
        expected: u64,
        written: u64,
    },
    #[error("cannot {operation} {path}: {}", io::Error::from_raw_os_error(*code))]
    Io {
        operation: &'static str,
        path: String,
        code: i32,
    },
}

impl StorageError {
    /// From what the operating system said of `operation` on `path`.
    pub fn from_io(operation: &'static str, path: &Path, error: &io::Error) -> Self {
        let code = error.raw_os_error().unwrap_or(match error.kind() {
            io::ErrorKind::NotFound => libc::ENOENT,
            io::ErrorKind::AlreadyExists => libc::EEXIST,
            _ => libc::EIO,
        });
        Self::from_code(operation, path, code)
    }

    /// From an errno.
    pub fn from_code(operation: &'static str, path: &Path, code: i32) -> Self {
        let path = path.display().to_string();
        match code {
            libc::ENOSPC | libc::EDQUOT => Self::NoSpace { operation, path },
            libc::EROFS | libc::EACCES | libc::EPERM => Self::ReadOnly { operation, path },
            libc::ENOENT => Self::NotFound { path },
            libc::EEXIST => Self::Exists { path },
            code => Self::Io {
                operation,
                path,
                code,
            },
        }
    }
}
