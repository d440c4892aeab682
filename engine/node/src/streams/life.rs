//! Whether the stream files are just what the process before this one left: then a start continues them.
//!
//! They are never synced, but what a process wrote is there until the machine goes down. The file
//! `streams.life` names the boot and the life that wrote them last: while it runs, by its log buffer, which counts
//! only beside a hard state that names the same; after its orderly stop, by the log's last batch and that batch's
//! checksum, which counts only if the log still ends a clean stop there. So not after a restart of the machine, an
//! explicit cut, or with a journal of another time put in its place. It is written when a start's replay is over and
//! when a stop has come to its end, never before.

use crate::config::Config;
use lockstep_journal::folder::{HardState, JournalMeta};
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::Storage;
use lockstep_journal::{BootId, Checksum, LogBufferId};
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub struct StreamLife {
    path: PathBuf,
}

fn running(boot_id: BootId, log_buffer_id: LogBufferId) -> String {
    format!("boot {boot_id} log buffer {log_buffer_id}\n")
}

fn stopped(boot_id: BootId, index: u64, checksum: Checksum) -> String {
    format!("boot {boot_id} stopped behind batch {index} {checksum}\n")
}

/// Header checksum of a batch of the log on disk: it covers, by the chain, all that lies before it.
fn checksum_of<S: Storage>(storage: &S, meta: &JournalMeta, index: u64) -> Option<Checksum> {
    let options = ReadOptions {
        verify: false,
        ..ReadOptions::ALL
    };
    let reader = JournalReader::new(storage.clone(), meta, options);
    let mut reader = reader.seek_index(index).ok()?;
    let header = reader.peek().ok()??;
    (header.index == index).then_some(header.header_checksum)
}

impl StreamLife {
    pub fn of(config: &Config) -> Self {
        Self {
            path: config.data.directory.join("streams.life"),
        }
    }

    /// Whether the life that `state` tells of wrote the stream files, in this boot.
    pub fn wrote_last<S: Storage>(
        &self,
        state: &HardState,
        storage: &S,
        meta: &JournalMeta,
    ) -> bool {
        let this_boot = BootId::current().is_ok_and(|boot_id| boot_id == state.boot_id);
        let known = std::fs::read_to_string(&self.path).unwrap_or_default();
        if !this_boot || known.is_empty() {
            return false;
        }
        if state.log_buffer_id != LogBufferId::ZERO {
            return known == running(state.boot_id, state.log_buffer_id);
        }
        let index = state.commit_index;
        let last = checksum_of(storage, meta, index);
        last.is_some_and(|checksum| known == stopped(state.boot_id, index, checksum))
    }

    /// From now on the files are this life's. Whoever does not find it written makes them again.
    pub fn begin(&self, log_buffer_id: LogBufferId) -> io::Result<()> {
        self.write(&running(BootId::current()?, log_buffer_id))
    }

    /// The files have all that follows from the log up to its clean stop, batch `index`.
    pub fn end<S: Storage>(&self, storage: &S, meta: &JournalMeta, index: u64) -> io::Result<()> {
        let checksum = checksum_of(storage, meta, index).ok_or(io::ErrorKind::NotFound)?;
        self.write(&stopped(BootId::current()?, index, checksum))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let preparing = self.path.with_extension("life.preparing");
        std::fs::write(&preparing, text)?;
        std::fs::rename(&preparing, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_journal::folder::{FormatOptions, format, read_meta};
    use lockstep_journal::storage::MemoryStorage;

    /// After an orderly stop see `recovery/tests.rs`.
    #[test]
    fn only_the_life_that_began_last_wrote_last() {
        let folder = tempfile::tempdir().unwrap();
        let life = StreamLife {
            path: folder.path().join("streams.life"),
        };
        let of = |boot_id, log_buffer_id| HardState {
            boot_id,
            log_buffer_id,
            ..HardState::default()
        };
        let (boot_id, mine) = (BootId::current().unwrap(), LogBufferId([7; 16]));
        let storage = MemoryStorage::new();
        format(&storage, &FormatOptions::new_cluster(0).unwrap()).unwrap();
        let meta = read_meta(&storage).unwrap();
        let wrote_last = |state: HardState| life.wrote_last(&state, &storage, &meta);
        assert!(!wrote_last(of(boot_id, mine)), "nothing is written");
        life.begin(mine).unwrap();
        assert!(wrote_last(of(boot_id, mine)));
        assert!(!wrote_last(of(boot_id, LogBufferId([8; 16]))));
        assert!(!wrote_last(of(BootId([9; 16]), mine)));
        // A stop whose end nobody wrote down, of a log that has no batch.
        life.begin(LogBufferId::ZERO).unwrap();
        assert!(!wrote_last(of(boot_id, LogBufferId::ZERO)));
        assert!(life.end(&storage, &meta, 0).is_err());
    }
}
