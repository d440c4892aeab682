//! The keeper's thread: seals what the log has left behind, archives and trims what nobody needs any more.
//!
//! Off the pinned cores, a piece at a time with pauses; it reads the disk that the journal writes to, so it
//! takes its time. Nothing that it fails at ends the node: it is reported, and that part of its work ends until
//! the next start.

use crate::clock::{SystemClock, WallClock};
use crate::config::Config;
use crate::fatal::{ExitCode, Fatal};
use crate::journal::storage_fatal;
use lockstep_journal::archive::retention::Retention;
use lockstep_journal::archive::{Archive, Keeper};
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::seal::{SealKey, Sealer};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{LogBuffer, LogPosition};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two pieces of hashing: a tenth of a core at most.
const PAUSE: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_millis(100);
/// Between two looks at what may be trimmed.
const TRIM_PERIOD: Duration = Duration::from_secs(10);

/// What the configuration asks for; both parts may be absent.
#[derive(Debug)]
pub struct KeeperWork {
    sealer: Option<Sealer<DirectStorage>>,
    keeper: Option<Keeper<DirectStorage, DirectStorage>>,
    seals: bool,
    buffer: Arc<LogBuffer>,
}

impl KeeperWork {
    /// `None` if the configuration asks for nothing.
    pub fn new(
        config: &Config,
        storage: &DirectStorage,
        meta: &JournalMeta,
        buffer: Arc<LogBuffer>,
    ) -> Result<Option<Self>, Fatal> {
        let sealer = match config.seal.enabled {
            true => Some(sealer(config, storage, meta)?),
            false => None,
        };
        let keeper = match &config.archive.directory {
            Some(directory) => Some(keeper(config, directory, storage, meta)?),
            None => None,
        };
        let work = Self {
            seals: sealer.is_some(),
            sealer,
            keeper,
            buffer,
        };
        Ok((work.sealer.is_some() || work.keeper.is_some()).then_some(work))
    }

    /// One piece of sealing; false if there was nothing to do.
    fn seal(&mut self) -> bool {
        let Some(sealer) = &mut self.sealer else {
            return false;
        };
        let committed = self.buffer.commit_position();
        let committed = committed.min(self.buffer.durable_position());
        match sealer.do_work(LogPosition(committed.0)) {
            Ok(work) => work != 0,
            Err(error) => {
                tracing::error!("sealing ends until the next start: {error}");
                self.sealer = None;
                false
            }
        }
    }

    /// Archives and removes one file; false if there was nothing to do.
    fn trim(&mut self) -> bool {
        let Some(keeper) = &mut self.keeper else {
            return false;
        };
        // Where seals are wanted, nothing leaves without one; a sealer that failed lets nothing go.
        let (segments, snapshots) = match (&self.sealer, self.seals) {
            (Some(sealer), _) => (sealer.sealed_segments(), sealer.sealed_snapshots()),
            (None, true) => (0, 0),
            (None, false) => (u64::MAX, u64::MAX),
        };
        match keeper.do_work(SystemClock.now_ns(), segments, snapshots) {
            Ok(Some(kept)) => {
                tracing::info!("archived {}", kept.kind.name(kept.number));
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::error!("archiving ends until the next start, nothing is trimmed: {error}");
                self.keeper = None;
                false
            }
        }
    }
}

fn sealer(
    config: &Config,
    storage: &DirectStorage,
    meta: &JournalMeta,
) -> Result<Sealer<DirectStorage>, Fatal> {
    let key = match &config.seal.key_file {
        Some(path) => Some(read_key(path)?),
        None => None,
    };
    Sealer::new(storage, meta, key)
        .map_err(|e| Fatal::new(ExitCode::JournalDamaged, format!("seals: {e}")))
}

/// The key of a file, for `serve` and for `journal verify`.
pub fn read_key(path: &Path) -> Result<SealKey, Fatal> {
    let wrong = |what: String| {
        let what = format!("seal key {}: {what}", path.display());
        Fatal::new(ExitCode::Configuration, what)
    };
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    SealKey::new(&bytes).map_err(|e| wrong(e.to_string()))
}

fn keeper(
    config: &Config,
    directory: &Path,
    storage: &DirectStorage,
    meta: &JournalMeta,
) -> Result<Keeper<DirectStorage, DirectStorage>, Fatal> {
    let folder = DirectStorage::create(directory).map_err(|e| storage_fatal(&e))?;
    let archive = Archive::open(folder)
        .map_err(|e| Fatal::new(ExitCode::JournalDamaged, format!("archive: {e}")))?;
    let retention = Retention {
        keep: config.snapshot.keep,
        keep_ns: config.snapshot.keep_seconds.saturating_mul(1_000_000_000),
    };
    Ok(Keeper::new(storage, meta, archive, retention))
}

/// Runs until `done`.
pub fn start(mut work: KeeperWork, done: Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("keeper".into())
        .spawn(move || {
            let mut next_trim = Instant::now();
            while !done.load(Ordering::Acquire) {
                if work.seal() {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                if Instant::now() >= next_trim && !work.trim() {
                    next_trim = Instant::now() + TRIM_PERIOD;
                }
                std::thread::sleep(IDLE);
            }
        })
}
