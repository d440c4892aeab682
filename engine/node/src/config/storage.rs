//! Sections on what is kept: data, acknowledgement, journal, snapshots, seals, archive; and the log's bounds.

use super::check::power_of_two;
use lockstep_journal::storage::LANE_DEPTH_MAX;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of journal, stream files and counters. Relative paths start at the configuration file.
    pub directory: PathBuf,
    /// Log buffer file; by default one under /dev/shm named after the journal's id.
    #[serde(default)]
    pub log_buffer: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AcknowledgePolicy {
    /// On stable storage before anybody is told.
    Durable,
    /// In this machine's log buffer; the disk follows right behind. Survives the process, not the machine.
    Local,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeConfig {
    pub policy: AcknowledgePolicy,
    /// Allow `durable` on a file system in memory (tests, demonstrations).
    #[serde(default)]
    pub allow_volatile: bool,
}

impl Default for AcknowledgeConfig {
    fn default() -> Self {
        Self {
            policy: AcknowledgePolicy::Durable,
            allow_volatile: false,
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Data bytes of a segment file; a power of two.
    pub segment_bytes: u64,
    /// Bytes of the log buffer; a power of two, at most a segment.
    pub log_buffer_bytes: u64,
    /// Records and bytes after which a batch is closed even if input is waiting.
    pub batch_records_max: u32,
    pub batch_bytes_max: u32,
    /// Journal writes in flight, 1 to 4.
    pub writes_in_flight: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            log_buffer_bytes: 64 << 20,
            batch_records_max: 4096,
            batch_bytes_max: 256 << 10,
            writes_in_flight: 1,
        }
    }
}

/// Snapshots by the agent `snapshot`; without either interval they are taken on demand only.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotConfig {
    /// One after so many records; 0 = not by records.
    pub every_records: u64,
    /// One after so many seconds, if anything happened; 0 = not by time.
    pub every_seconds: u64,
    /// Newest ones that are never trimmed.
    pub keep: u32,
    /// Younger ones are never trimmed.
    pub keep_seconds: u64,
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            every_records: 0,
            every_seconds: 0,
            keep: 3,
            keep_seconds: 0,
        }
    }
}

/// Proof against alteration of segments and snapshots.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SealConfig {
    pub enabled: bool,
    /// 16 bytes or more, all of which count; without one a seal proves only what was exported.
    pub key_file: Option<PathBuf>,
}

/// Where segments and snapshots go that nobody needs any more; without a folder they stay.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveConfig {
    pub directory: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsConfig {
    pub open_orders_max: u32,
    pub instruments_max: u32,
    pub sessions_max: u32,
    pub firms_max: u32,
    pub price_levels_max: u32,
    /// Positions of firms in instruments; 0 = none are kept, and no position can be limited.
    pub positions_max: u32,
    /// Latest trades of the day that can be broken; 0 = none.
    pub trades_max: u32,
    /// Market-maker protections over all sessions; 0 = none.
    pub protections_max: u32,
}

impl Default for BoundsConfig {
    fn default() -> Self {
        Self {
            open_orders_max: 1 << 20,
            instruments_max: 1024,
            sessions_max: 1024,
            firms_max: 256,
            price_levels_max: 1 << 18,
            positions_max: 0,
            trades_max: 0,
            protections_max: 0,
        }
    }
}

impl JournalConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        power_of_two("journal.segment_bytes", self.segment_bytes, 1 << 20)?;
        power_of_two("journal.log_buffer_bytes", self.log_buffer_bytes, 1 << 20)?;
        let depth = self.writes_in_flight;
        if !(1..=LANE_DEPTH_MAX as u32).contains(&depth) {
            return Err(format!(
                "journal.writes_in_flight = {depth}: must be 1 to {LANE_DEPTH_MAX}"
            ));
        }
        let batch = u64::from(self.batch_bytes_max);
        // With its header: a quarter of the ring to the byte once passed here and failed at the first batch.
        let length = lockstep_journal::batch_length(batch);
        if batch < 8192
            || length > lockstep_journal::BATCH_LENGTH_MAX
            || length * 4 > self.log_buffer_bytes
            || length * 4 > self.segment_bytes
        {
            return Err(format!(
                "journal.batch_bytes_max = {batch}: must be at least 8192 and, with a batch's header, at \
                 most {} and a quarter of log_buffer_bytes and of segment_bytes",
                lockstep_journal::BATCH_LENGTH_MAX
            ));
        }
        if self.batch_records_max == 0 {
            return Err("journal.batch_records_max = 0: must be at least 1".into());
        }
        Ok(())
    }
}

impl BoundsConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        // One stream file a session; id 0 is nobody's.
        if self.sessions_max as usize >= lockstep_journal::stream::STREAM_SESSIONS_MAX {
            return Err("bounds.sessions_max: must be below 4096".into());
        }
        Ok(())
    }
}
