//! Finds a journal from what the operator named, and reads what it says of itself. Read-only, no lock.

use super::finding::Finding;
use super::output::Failure;
use lockstep_journal::folder::{
    HardStateError, HardStateLoad, JournalMeta, LOCK_NAME, META_NAME, read_meta,
};
use lockstep_journal::log_buffer::ObservedLogBuffer;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::segment::{SegmentHeader, SegmentSource, segment_number};
use lockstep_journal::snapshot::{self, SnapshotFacts, SnapshotFile};
use lockstep_journal::storage::{DirectStorage, StorageError};
use lockstep_journal::{
    BatchHeader, BootId, HeaderBlockError, LogBuffer, LogPosition, LogTail,
    SEGMENT_DATA_LENGTH_MAX, SEGMENT_DATA_LENGTH_MIN,
};
use lockstep_node::fatal::ExitCode;
use lockstep_node::journal::{folder_fatal, storage_code};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A journal's folder and everything in it that is not the log itself.
#[derive(Debug)]
pub struct Opened {
    pub folder: PathBuf,
    pub storage: DirectStorage,
    pub meta: JournalMeta,
    pub hard_state: Option<HardStateLoad>,
    pub log_buffer: Option<ObservedLogBuffer>,
    /// Why the log buffer that is there does not belong to this log as it stands.
    pub log_buffer_ignored: Option<String>,
    /// Process that holds the journal for writing.
    pub holder: Option<u32>,
    /// Numbers of the segments that are there, ascending.
    pub segments: Vec<u64>,
    /// Snapshots, ascending; those whose header does not hold have no facts.
    pub snapshots: Vec<SnapshotSeen>,
    /// What was wrong with meta file, hard state or log buffer.
    pub findings: Vec<Finding>,
}

/// A snapshot by its header.
#[derive(Clone, Debug)]
pub struct SnapshotSeen {
    pub index: u64,
    pub facts: Option<SnapshotFacts>,
}

/// `directory` is the data directory or the journal folder in it. `log_buffer`: where the log buffer
/// lies, if not at its default place.
pub fn open(directory: &Path, log_buffer: Option<&Path>) -> Result<Opened, Failure> {
    let folder = locate(directory)?;
    let storage = DirectStorage::open(&folder)
        .map_err(|error| Failure::new(storage_code(&error), error.to_string()))?;
    let mut findings = Vec::new();
    let segments = numbers(&storage)?;
    let meta = meta(&storage, &segments, &mut findings)?;
    let hard_state = hard_state(&storage, &meta, &segments, &mut findings)?;
    let holder = holder(&folder);
    let snapshots = snapshots(&storage, &meta)?;
    let path = log_buffer.map_or_else(|| LogBuffer::default_path(meta.journal_id), Path::to_owned);
    let mut opened = Opened {
        folder,
        storage,
        meta,
        hard_state,
        log_buffer: None,
        log_buffer_ignored: None,
        holder,
        segments,
        snapshots,
        findings,
    };
    opened.observe(&path, log_buffer.is_some())?;
    Ok(opened)
}

impl Opened {
    /// A process is writing this journal now: its tail is in motion, not torn.
    pub fn is_live(&self) -> bool {
        self.holder.is_some()
    }

    /// Reads the log, unnoticed by a process that is writing it.
    pub fn reader(&self, options: ReadOptions) -> JournalReader<DirectStorage> {
        let storage = self.storage.clone();
        if self.is_live() {
            JournalReader::beside_writer(storage, &self.meta, options)
        } else {
            JournalReader::new(storage, &self.meta, options)
        }
    }

    /// The log buffer, if what it holds continues this journal.
    pub fn usable_log_buffer(&self) -> Option<&ObservedLogBuffer> {
        self.log_buffer
            .as_ref()
            .filter(|_| self.log_buffer_ignored.is_none())
    }

    /// Where the log that is there begins: what was before may have been trimmed behind a snapshot.
    pub fn first_tail(&self) -> LogTail {
        let first = match self.segments.first() {
            Some(first) if *first > 0 && self.is_trimmed(*first) => *first,
            _ => return LogTail::EMPTY,
        };
        let position = LogPosition(first.saturating_mul(self.meta.segment_data_length));
        let mut source = SegmentSource::new(self.storage.clone(), self.meta.segment_data_length);
        let bytes = source.log(position).unwrap_or_default();
        match BatchHeader::decode(bytes) {
            Ok(header) => LogTail {
                position,
                index: header.index - 1,
                term: header.term,
                next_sequence: header.first_sequence,
                timestamp: header.timestamp.saturating_sub(1),
                header_checksum: header.previous_checksum,
            },
            Err(_) => LogTail::EMPTY,
        }
    }

    /// Whether a snapshot stands for everything before this segment.
    fn is_trimmed(&self, first: u64) -> bool {
        let length = self.meta.segment_data_length;
        let mut facts = self.snapshots.iter().filter_map(|seen| seen.facts.as_ref());
        facts.any(|facts| facts.tail.position.segment(length) >= first)
    }

    /// The first segment, if those before it were trimmed.
    pub fn trimmed_to(&self) -> Option<u64> {
        let first = self.segments.first().copied()?;
        (first > 0 && self.is_trimmed(first)).then_some(first)
    }

    /// The newest snapshot by its header.
    pub fn newest_snapshot(&self) -> Option<&SnapshotFacts> {
        self.snapshots
            .iter()
            .rev()
            .find_map(|seen| seen.facts.as_ref())
    }

    fn observe(&mut self, path: &Path, named: bool) -> Result<(), Failure> {
        match ObservedLogBuffer::open(path) {
            Ok(Some(observed)) => {
                self.log_buffer_ignored = ignored(&observed, &self.meta);
                if let Some(why) = &self.log_buffer_ignored {
                    let what = format!("{}: {why}", path.display());
                    let finding = Finding::note("log_buffer_ignored", what).row("R14");
                    self.findings.push(finding);
                }
                self.log_buffer = Some(observed);
            }
            Ok(None) if named => {
                let what = format!("log buffer {} does not exist", path.display());
                return Err(Failure::new(ExitCode::JournalMissing, what));
            }
            Ok(None) => self.miss_log_buffer(),
            Err(error) => {
                let finding = Finding::note("log_buffer_ignored", error.to_string()).row("R14");
                self.findings.push(finding);
            }
        }
        Ok(())
    }

    fn miss_log_buffer(&mut self) {
        let Some(state) = self.hard_state.as_ref().map(|load| load.state) else {
            return;
        };
        let this_boot = BootId::current().is_ok_and(|boot| boot == state.boot_id);
        if state.log_buffer_id != lockstep_journal::LogBufferId::ZERO && this_boot {
            let what = format!(
                "the log buffer {} of the last run is not at its default place though the machine was \
                 not restarted: name it with --log-buffer, or what only it held is lost",
                state.log_buffer_id
            );
            let finding = Finding::note("log_buffer_missing", what).row("R15");
            self.findings.push(finding);
        }
    }
}

/// Why an observed log buffer does not continue this journal's log.
fn ignored(observed: &ObservedLogBuffer, meta: &JournalMeta) -> Option<String> {
    let identity = &observed.identity;
    if (identity.cluster_id, identity.journal_id) != (meta.cluster_id, meta.journal_id) {
        return Some(format!("it belongs to journal {}", identity.journal_id));
    }
    if !BootId::current().is_ok_and(|boot| boot == identity.boot_id) {
        return Some("it was made before the machine was restarted".to_owned());
    }
    let ordered = identity.base_position <= observed.durable_position
        && observed.durable_position <= observed.published_position
        && observed.published_position.0 < u64::MAX / 2;
    if identity.segment_data_length != meta.segment_data_length || !ordered {
        return Some("its header contradicts itself or the journal".to_owned());
    }
    None
}

fn locate(directory: &Path) -> Result<PathBuf, Failure> {
    let nested = directory.join("journal");
    for folder in [directory, &nested] {
        if folder.join(META_NAME).is_file() {
            return Ok(folder.to_owned());
        }
    }
    for folder in [directory, &nested] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        if names.any(|name| segment_number(&name).is_some()) {
            return Ok(folder.to_owned());
        }
    }
    let what = format!(
        "{} is not a journal: neither it nor its folder `journal` has {META_NAME} or a segment",
        directory.display()
    );
    Err(Failure::new(ExitCode::JournalMissing, what))
}

fn snapshots(storage: &DirectStorage, meta: &JournalMeta) -> Result<Vec<SnapshotSeen>, Failure> {
    let indices = snapshot::list(storage)
        .map_err(|error| Failure::new(storage_code(&error), error.to_string()))?;
    let seen = indices.into_iter().map(|index| {
        let file = SnapshotFile::open(storage, index, meta.cluster_id);
        SnapshotSeen {
            index,
            facts: file.ok().map(|file| file.header().facts.clone()),
        }
    });
    Ok(seen.collect())
}

fn numbers(storage: &DirectStorage) -> Result<Vec<u64>, Failure> {
    // Any length will do: only names are looked at.
    SegmentSource::new(storage.clone(), SEGMENT_DATA_LENGTH_MIN)
        .numbers()
        .map_err(|error| Failure::new(storage_code(&error), error.to_string()))
}

/// The journal's identity; from a segment's header block where its own file does not give it.
fn meta(
    storage: &DirectStorage,
    segments: &[u64],
    findings: &mut Vec<Finding>,
) -> Result<JournalMeta, Failure> {
    let error = match read_meta(storage) {
        Ok(meta) => return Ok(meta),
        Err(error) => error,
    };
    let fatal = folder_fatal(&error);
    if fatal.code == ExitCode::NewerFormat {
        return Err(fatal.into());
    }
    let mut source = SegmentSource::new(storage.clone(), SEGMENT_DATA_LENGTH_MIN);
    let bounds = SEGMENT_DATA_LENGTH_MIN..=SEGMENT_DATA_LENGTH_MAX;
    for &number in segments {
        let file = source.file(number).ok().flatten().unwrap_or_default();
        if let Ok(header) = SegmentHeader::decode(file)
            && bounds.contains(&header.data_length)
            && header.data_length.is_multiple_of(4096)
        {
            let what = format!("{error}; the identity is taken from segment {number}");
            findings.push(Finding::damage("meta", what).row("R13"));
            return Ok(JournalMeta {
                cluster_id: header.cluster_id,
                journal_id: header.journal_id,
                lineage: header.lineage,
                segment_data_length: header.data_length,
                created: 0,
            });
        }
    }
    Err(fatal.into())
}

fn hard_state(
    storage: &DirectStorage,
    meta: &JournalMeta,
    segments: &[u64],
    findings: &mut Vec<Finding>,
) -> Result<Option<HardStateLoad>, Failure> {
    match HardStateLoad::read(storage, meta) {
        Ok(load) => {
            if let Some(error) = load.slot_damaged {
                let what =
                    format!("one slot of the hard state is damaged ({error}); the other counts");
                findings.push(Finding::note("hard_state_slot", what).row("R16"));
            }
            Ok(Some(load))
        }
        // Written before the meta file: only a journal that has lost it lacks it.
        Err(HardStateError::Storage(StorageError::NotFound { path })) => {
            let what = format!("{path} does not exist");
            let finding = match segments {
                [] => Finding::note("hard_state", what),
                _ => Finding::damage("hard_state", what).row("R17"),
            };
            findings.push(finding);
            Ok(None)
        }
        Err(error @ HardStateError::Unusable(HeaderBlockError::NewerFormat { .. })) => {
            Err(Failure::new(ExitCode::NewerFormat, error.to_string()))
        }
        Err(error) => {
            findings.push(Finding::damage("hard_state", error.to_string()).row("R17"));
            Ok(None)
        }
    }
}

/// The process that holds the journal's lock, learnt without touching the lock: `journal.lock` names
/// it, and `/proc/locks` says whether the lock is still held.
fn holder(folder: &Path) -> Option<u32> {
    let path = folder.join(LOCK_NAME);
    let process = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let inode = std::fs::metadata(&path).ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks
        .lines()
        .any(|line| names_lock(line, process, inode))
        .then_some(process)
}

/// Whether a line as `1: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF` is that lock.
fn names_lock(line: &str, process: u32, inode: u64) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let (kind, holder, file) = (words.next(), words.nth(2), words.next());
    kind == Some("FLOCK")
        && holder.and_then(|holder| holder.parse().ok()) == Some(process)
        && file
            .and_then(|file| file.rsplit(':').next()?.parse().ok())
            .is_some_and(|found: u64| found == inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_known_by_process_and_file() {
        let line = "4: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF";
        assert!(names_lock(line, 4242, 131));
        assert!(!names_lock(line, 4243, 131));
        assert!(!names_lock(line, 4242, 132));
        assert!(!names_lock(
            "4: -> FLOCK ADVISORY WRITE 4242 08:01:131 0 EOF",
            4242,
            131
        ));
        assert!(!names_lock(
            "4: POSIX  ADVISORY  WRITE 4242 08:01:131 0 EOF",
            4242,
            131
        ));
        assert!(!names_lock("", 4242, 131));
    }
}
