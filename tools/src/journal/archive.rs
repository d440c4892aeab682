//! `lockstep journal archive | restore`: compressed copies of what is closed, in another folder, and back.

use super::folder::{self, Opened};
use super::output::{Failure, Progress, row};
use super::walk::{Break, Place, Visitor, walk};
use clap::Args;
use lockstep_journal::archive::retention::Retention;
use lockstep_journal::archive::{Archive, ArchiveEntry, ArchiveError, ArchiveKind, Keeper};
use lockstep_journal::batch::BATCH_MAGIC;
use lockstep_journal::folder::{
    AcknowledgementPolicy, HardStateError, JournalFolder, OpenOptions, remake as remake_folder,
};
use lockstep_journal::seal::{SealError, SealKind, read_seals};
use lockstep_journal::segment::{SegmentSource, segment_number};
use lockstep_journal::snapshot::snapshot_index;
use lockstep_journal::storage::{DirectStorage, Storage, StorageError};
use lockstep_journal::{BatchView, LogPosition};
use lockstep_node::fatal::ExitCode;
use lockstep_node::journal::{folder_fatal, storage_code};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub struct ArchiveArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// The archive's folder; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Remove from the journal what is archived and needed no more: not while a node is running
    #[arg(long)]
    trim: bool,
    /// With --trim: newest snapshots that stay
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct RestoreArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// The archive's folder
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Only this segment; repeatable; default: everything that is not in the journal
    #[arg(long, value_name = "NUMBER")]
    segment: Vec<u64>,
    /// Only this snapshot; repeatable
    #[arg(long, value_name = "INDEX")]
    snapshot: Vec<u64>,
    /// Put a named file in the place of one that is there and differs, which is kept as NAME.replaced
    #[arg(long)]
    replace: bool,
    /// Make journal.meta and hard.state anew where they are gone or damaged, from a segment that is there or in the
    /// archive; the folder itself too. The log then ends where its segments do
    #[arg(long)]
    remake: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn failure(error: &ArchiveError) -> Failure {
    let code = match error {
        ArchiveError::Storage(StorageError::Exists { .. }) => ExitCode::CheckFailed,
        ArchiveError::Storage(source) => storage_code(source),
        _ => ExitCode::CheckFailed,
    };
    Failure::new(code, error.to_string())
}

fn storage_failure(error: &StorageError) -> Failure {
    Failure::new(storage_code(error), error.to_string())
}

fn hold(opened: &Opened) -> Result<JournalFolder<DirectStorage>, Failure> {
    let options = OpenOptions {
        policy: AcknowledgementPolicy::Local,
        allow_volatile: true,
    };
    let held = JournalFolder::open(opened.storage.clone(), options);
    held.map_err(|error| folder_fatal(&error).into())
}

pub fn archive(arguments: &ArchiveArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, None)?;
    let held = arguments.trim.then(|| hold(&opened)).transpose()?;
    let closed = closed_segments(&opened)?;
    refuse_broken(&opened, &closed)?;
    let target = DirectStorage::create(&arguments.to).map_err(|e| storage_failure(&e))?;
    let mut archive = Archive::open(target).map_err(|e| failure(&e))?;
    let progress = Progress::new("archived");
    let segments = closed.iter().map(|number| (ArchiveKind::Segment, *number));
    let whole = opened.snapshots.iter().filter(|seen| seen.facts.is_some());
    let snapshots = whole.map(|seen| (ArchiveKind::Snapshot, seen.index));
    let before = archive.entries().len();
    for (kind, number) in segments.chain(snapshots) {
        archive
            .add(&opened.storage, kind, number)
            .map_err(|e| failure(&e))?;
    }
    let entries = archive.entries().len();
    let trimmed = if held.is_some() {
        trim(&opened, archive, arguments.keep)?
    } else {
        Vec::new()
    };
    let elapsed_ns = progress.elapsed().as_nanos() as u64;
    if arguments.json {
        let object = json!({
            "archive": arguments.to.display().to_string(),
            "entries": entries,
            "added": entries - before,
            "trimmed": trimmed,
            "elapsed_ns": elapsed_ns,
        });
        writeln!(out, "{object}")?;
    } else {
        row(out, "archive", arguments.to.display())?;
        row(
            out,
            "files in it",
            format!("{entries}, {} of them new", entries - before),
        )?;
        for name in &trimmed {
            row(out, "trimmed", name)?;
        }
    }
    Ok(())
}

/// Segments that the log has left behind: the next one begins with a batch.
fn closed_segments(opened: &Opened) -> Result<Vec<u64>, Failure> {
    let length = opened.meta.segment_data_length;
    let mut source = SegmentSource::new(opened.storage.clone(), length);
    let mut closed = Vec::new();
    for &number in &opened.segments {
        let next = LogPosition((number + 1).saturating_mul(length));
        let begun = source.log(next).map_err(|e| storage_failure(&e))?;
        if begun.starts_with(&BATCH_MAGIC) {
            closed.push(number);
        }
    }
    Ok(closed)
}

struct Broken(Option<(u64, u64)>);

impl Visitor for Broken {
    fn batch(&mut self, _: &BatchView<'_>, _: &Place) -> Result<(), Failure> {
        Ok(())
    }

    fn broken(&mut self, found: &Break) -> Result<(), Failure> {
        self.0.get_or_insert((found.segment, found.offset));
        Ok(())
    }
}

/// A copy of damage would look like a good one.
fn refuse_broken(opened: &Opened, closed: &[u64]) -> Result<(), Failure> {
    let Some(last) = closed.last() else {
        return Ok(());
    };
    let until = LogPosition((last + 1) * opened.meta.segment_data_length);
    let mut broken = Broken(None);
    walk(opened, opened.trimmed_to(), Some(until), &mut broken)?;
    match broken.0 {
        None => Ok(()),
        Some((segment, offset)) => {
            let what = format!(
                "segment {segment} is damaged at offset {offset}: nothing is archived; `journal verify` says more"
            );
            Err(Failure::new(ExitCode::CheckFailed, what))
        }
    }
}

/// Number behind the last that is sealed; everything, where nothing is.
fn sealed(opened: &Opened, kind: SealKind) -> Result<u64, Failure> {
    match read_seals(&opened.storage, kind) {
        Ok(seals) => Ok(seals.last().map_or(u64::MAX, |seal| match kind {
            SealKind::Segment => seal.number + 1,
            SealKind::Snapshot => seal.number,
        })),
        Err(SealError::Storage(error)) => Err(storage_failure(&error)),
        Err(error) => Err(Failure::new(ExitCode::CheckFailed, error.to_string())),
    }
}

fn trim(
    opened: &Opened,
    archive: Archive<DirectStorage>,
    keep: u32,
) -> Result<Vec<String>, Failure> {
    let retention = Retention { keep, keep_ns: 0 };
    let mut keeper = Keeper::new(&opened.storage, &opened.meta, archive, retention);
    let (segments, snapshots) = (
        sealed(opened, SealKind::Segment)?,
        sealed(opened, SealKind::Snapshot)?,
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ns = now.map_or(0, |now| now.as_nanos() as u64);
    let mut trimmed = Vec::new();
    while let Some(kept) = keeper
        .do_work(now_ns, segments, snapshots)
        .map_err(|e| failure(&e))?
    {
        trimmed.push(kept.kind.name(kept.number));
    }
    Ok(trimmed)
}

pub fn restore(arguments: &RestoreArguments, out: &mut impl Write) -> Result<(), Failure> {
    let source = DirectStorage::open(&arguments.from).map_err(|e| storage_failure(&e))?;
    let archive = Archive::open(source).map_err(|e| failure(&e))?;
    let made = match arguments.remake {
        true => remake(arguments, &archive)?,
        false => Vec::new(),
    };
    let opened = folder::open(&arguments.directory, None)?;
    let _held = hold(&opened)?;
    let names = opened.storage.list().map_err(|e| storage_failure(&e))?;
    let mut restored = Vec::new();
    for (kind, number) in wanted(arguments, &archive) {
        let name = kind.name(number);
        let there = names.contains(&name);
        let named = !arguments.segment.is_empty() || !arguments.snapshot.is_empty();
        if there && !named {
            continue;
        }
        let mut result = archive.restore(&opened.storage, kind, number);
        if let (Err(ArchiveError::Storage(StorageError::Exists { .. })), true) =
            (&result, arguments.replace)
        {
            put_aside(&opened.storage, &archive, kind, number)?;
            result = archive.restore(&opened.storage, kind, number);
        }
        result.map_err(|error| failure(&error))?;
        restored.push(name);
    }
    if arguments.json {
        writeln!(out, "{}", json!({ "restored": restored, "made": made }))?;
    } else {
        for name in &made {
            row(out, "made anew", name)?;
        }
        row(out, "restored", restored.len())?;
        for name in &restored {
            row(out, "", name)?;
        }
    }
    Ok(())
}

/// What the folder has lost of itself; names of what was made.
fn remake(
    arguments: &RestoreArguments,
    archive: &Archive<DirectStorage>,
) -> Result<Vec<&'static str>, Failure> {
    let directory = &arguments.directory;
    let opened = match folder::open(directory, None) {
        Err(Failure::Fatal(fatal)) if fatal.code == ExitCode::JournalMissing => {
            begin_folder(directory, archive)?;
            folder::open(directory, None)?
        }
        other => other?,
    };
    if let Some(process) = opened.holder {
        let what = format!("process {process} holds this journal: stop it first");
        return Err(Failure::new(ExitCode::JournalLocked, what));
    }
    remake_folder(&opened.storage, &opened.meta).map_err(|error| match error {
        HardStateError::Storage(source) => storage_failure(&source),
        other => Failure::new(ExitCode::JournalDamaged, other.to_string()),
    })
}

/// A folder with the archive's first segment, which says of which journal it is.
fn begin_folder(directory: &Path, archive: &Archive<DirectStorage>) -> Result<(), Failure> {
    let is_segment = |entry: &&ArchiveEntry| entry.kind == ArchiveKind::Segment;
    let segments = archive.entries().iter().filter(is_segment);
    let Some(first) = segments.min_by_key(|entry| entry.number) else {
        let what = "neither folder nor archive has a segment: nothing says which journal it was";
        return Err(Failure::new(ExitCode::JournalMissing, what));
    };
    let is_journal = directory.file_name().is_some_and(|name| name == "journal");
    let folder = match is_journal {
        true => directory.to_owned(),
        false => directory.join("journal"),
    };
    let storage = DirectStorage::create(&folder).map_err(|e| storage_failure(&e))?;
    let restored = archive.restore(&storage, first.kind, first.number);
    restored.map_err(|e| failure(&e))
}

fn wanted(
    arguments: &RestoreArguments,
    archive: &Archive<DirectStorage>,
) -> Vec<(ArchiveKind, u64)> {
    if arguments.segment.is_empty() && arguments.snapshot.is_empty() {
        let entries = archive.entries().iter();
        return entries.map(|entry| (entry.kind, entry.number)).collect();
    }
    let segments = arguments.segment.iter().map(|n| (ArchiveKind::Segment, *n));
    let snapshots = arguments
        .snapshot
        .iter()
        .map(|n| (ArchiveKind::Snapshot, *n));
    segments.chain(snapshots).collect()
}

/// Only for a copy that is good.
fn put_aside(
    storage: &DirectStorage,
    archive: &Archive<DirectStorage>,
    kind: ArchiveKind,
    number: u64,
) -> Result<(), Failure> {
    if let Some(entry) = archive.entry(kind, number) {
        archive.verify(entry).map_err(|e| failure(&e))?;
    }
    let name = kind.name(number);
    let aside = format!("{name}.replaced");
    debug_assert!(segment_number(&aside).is_none() && snapshot_index(&aside).is_none());
    storage
        .rename(&name, &aside)
        .map_err(|e| storage_failure(&e))?;
    storage.sync_folder().map_err(|e| storage_failure(&e))
}
