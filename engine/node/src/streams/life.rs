//! Whether the stream files are just what the process before this one left: then a start continues them.
//!
//! They are never synced, but what a killed process wrote is there until the machine goes down. The file
//! `streams.life` names the boot and the log buffer of the life that wrote them last, and counts only beside a
//! hard state that names the same: not after a restart of the machine, an orderly stop, an explicit cut, or with
//! a journal of another time put in its place. It is written when a start's replay is over, never before.

use crate::config::Config;
use lockstep_journal::folder::HardState;
use lockstep_journal::{BootId, LogBufferId};
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub struct StreamLife {
    path: PathBuf,
}

fn text(boot_id: BootId, log_buffer_id: LogBufferId) -> String {
    format!("boot {boot_id} log buffer {log_buffer_id}\n")
}

impl StreamLife {
    pub fn of(config: &Config) -> Self {
        Self {
            path: config.data.directory.join("streams.life"),
        }
    }

    /// Whether the life that `state` tells of wrote the stream files, in this boot.
    pub fn wrote_last(&self, state: &HardState) -> bool {
        let this_boot = BootId::current().is_ok_and(|boot_id| boot_id == state.boot_id);
        let known = std::fs::read_to_string(&self.path).unwrap_or_default();
        this_boot
            && state.log_buffer_id != LogBufferId::ZERO
            && known == text(state.boot_id, state.log_buffer_id)
    }

    /// From now on the files are this life's. Whoever does not find it written makes them again.
    pub fn begin(&self, log_buffer_id: LogBufferId) -> io::Result<()> {
        let preparing = self.path.with_extension("life.preparing");
        std::fs::write(&preparing, text(BootId::current()?, log_buffer_id))?;
        std::fs::rename(&preparing, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!life.wrote_last(&of(boot_id, mine)), "nothing is written");
        life.begin(mine).unwrap();
        assert!(life.wrote_last(&of(boot_id, mine)));
        assert!(!life.wrote_last(&of(boot_id, LogBufferId([8; 16]))));
        assert!(!life.wrote_last(&of(BootId([9; 16]), mine)));
        life.begin(LogBufferId::ZERO).unwrap();
        assert!(
            !life.wrote_last(&of(boot_id, LogBufferId::ZERO)),
            "an orderly stop"
        );
    }
}
