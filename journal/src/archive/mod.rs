//! What leaves a journal folder: compressed copies in another one, with a manifest (docs/journal-format.md,
//! "Archive").
//!
//! A file is removed from the journal only when its copy is synced, read back, compared, and in the manifest.
//! What may be removed at all is decided by [`retention`], which never gives up what recovery or the day's
//! streams need.

mod keeper;
mod manifest;
pub mod retention;
mod store;

pub use keeper::{Keeper, Kept};
pub use manifest::{ArchiveEntry, ArchiveKind, MANIFEST_NAME};
pub use store::Archive;

use crate::storage::StorageError;
use thiserror::Error;

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ArchiveError {
    #[error("{MANIFEST_NAME}, line {line}: damaged; restore it from a copy")]
    Manifest { line: usize },
    #[error("{name} is not in the archive")]
    NotThere { name: String },
    #[error("{name}: its copy does not have the hash of the manifest")]
    Damaged { name: String },
    #[error("{name}: the copy just written does not read back as it was")]
    NotAsWritten { name: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[cfg(test)]
mod tests;
