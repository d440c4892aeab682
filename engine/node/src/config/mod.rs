//! The configuration file: typed TOML, unknown keys refused.
//!
//! It holds addresses, cores, paths, keys, and the definitions (firms, sessions, instruments, bounds)
//! that the node *proposes*: what can change an outcome is what the log says, not what this file says.

mod check;
mod day;
mod instrument;
mod layout;
mod network;
mod participant;
mod storage;

pub use crate::admin::access::AdminConfig;
use crate::fatal::{ExitCode, Fatal};
pub use crate::gateway::LoginsConfig;
pub use day::{DayConfig, DayOpening};
pub use instrument::{
    AllocationConfig, CollarActionConfig, InstrumentConfig, ScheduleConfig, TickBandConfig,
    allocation_of,
};
pub use layout::{AgentName, Idle, MemoryConfig, ThreadConfig};
pub use network::{DriverChoice, NetworkConfig};
pub use participant::{FirmConfig, SelfTradeModeConfig, SessionConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
pub use storage::{
    AcknowledgeConfig, AcknowledgePolicy, ArchiveConfig, BoundsConfig, DataConfig, JournalConfig,
    SealConfig, SnapshotConfig,
};

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: DataConfig,
    #[serde(default)]
    pub acknowledge: AcknowledgeConfig,
    pub network: NetworkConfig,
    #[serde(default)]
    pub journal: JournalConfig,
    #[serde(default)]
    pub snapshot: SnapshotConfig,
    #[serde(default)]
    pub seal: SealConfig,
    #[serde(default)]
    pub archive: ArchiveConfig,
    #[serde(default)]
    pub bounds: BoundsConfig,
    #[serde(default)]
    pub day: DayConfig,
    #[serde(default)]
    pub admin: AdminConfig,
    #[serde(default)]
    pub logins: LoginsConfig,
    #[serde(default)]
    pub memory: MemoryConfig,
    /// Threads and the agents they run. Empty: one thread, all agents, `backoff`.
    #[serde(default, rename = "thread")]
    pub threads: Vec<ThreadConfig>,
    #[serde(default, rename = "firm")]
    pub firms: Vec<FirmConfig>,
    #[serde(default, rename = "session")]
    pub sessions: Vec<SessionConfig>,
    #[serde(default, rename = "instrument")]
    pub instruments: Vec<InstrumentConfig>,
    /// Where it was read from; a reload reads it again.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads, parses and checks a file. Relative paths in it are taken from the file's folder.
    pub fn load(path: &Path) -> Result<Self, Fatal> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let what = format!(
                "configuration {}: {e}; give a readable file",
                path.display()
            );
            Fatal::new(ExitCode::Configuration, what)
        })?;
        let mut config = Self::parse(&text).map_err(|e| {
            let what = format!("configuration {}: {e}", path.display());
            Fatal::new(ExitCode::Configuration, what)
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data.directory = base.join(&config.data.directory);
        config.data.log_buffer = config.data.log_buffer.map(|p| base.join(p));
        config.seal.key_file = config.seal.key_file.map(|p| base.join(p));
        config.archive.directory = config.archive.directory.map(|p| base.join(p));
        config.admin.socket = config.admin.socket.map(|p| base.join(p));
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// Parses and checks text. The error names the key or entry and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        let by_itself = config.snapshot.every_records != 0 || config.snapshot.every_seconds != 0;
        layout::complete(&mut config.threads, by_itself);
        config.check()?;
        Ok(config)
    }

    /// The effective configuration as TOML, defaults filled in, password hashes withheld.
    pub fn effective(&self) -> String {
        let mut shown = self.clone();
        for session in &mut shown.sessions {
            session.password_argon2id = "(withheld)".to_owned();
        }
        toml::to_string(&shown).unwrap_or_else(|e| format!("# cannot be printed: {e}\n"))
    }
}

#[cfg(test)]
mod tests;
