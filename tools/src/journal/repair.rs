//! `lockstep journal repair --cut-at SEQ`: the operator's explicit cut of a log that a start refuses.
//!
//! The only journal command that writes in the folder. It keeps a copy of every byte that it cuts, and never
//! cuts what a snapshot or an orderly stop proves.

use super::folder::{self, Opened};
use super::output::{Failure, row};
use super::time::Utc;
use super::verdict;
use super::walk::{Place, Visitor, walk};
use clap::Args;
use lockstep_journal::batch::BATCH_KIND_CLEAN_STOP;
use lockstep_journal::folder::{AcknowledgementPolicy, JournalFolder, OpenOptions};
use lockstep_journal::log_buffer::ObservedLogBuffer;
use lockstep_journal::reader::{EndReason, JournalReader, ReadOptions};
use lockstep_journal::recovery::{CutError, cut_at};
use lockstep_journal::{BLOCK_LENGTH, BatchView, LogTail};
use lockstep_node::fatal::ExitCode;
use lockstep_node::journal::{folder_fatal, read_fatal, storage_code};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct RepairArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// The first sequence to lose, as a refused start or `verify` names it: the begin of a batch
    #[arg(long, value_name = "SEQ")]
    cut_at: u64,
    /// Say what would be cut, and cut nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

pub fn run(arguments: &RepairArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let options = OpenOptions {
        policy: AcknowledgementPolicy::Local,
        allow_volatile: true,
    };
    // Held to the end: no node may start meanwhile, and none may be running. To look is allowed always.
    let held = if arguments.dry_run {
        None
    } else {
        let held = JournalFolder::open(opened.storage.clone(), options);
        Some(held.map_err(|error| folder_fatal(&error))?)
    };
    let tail = tail_before(&opened, arguments.cut_at)?;
    let behind = look_behind(&opened, &tail)?;
    refuse_proven(arguments.cut_at, &tail, &behind)?;
    let mut report = Report {
        tail,
        behind,
        cut_file: None,
        log_buffer_copy: None,
        done: !arguments.dry_run,
    };
    if !arguments.dry_run {
        cut(&opened, &tail, &mut report)?;
    }
    drop(held);
    report.print(arguments, &opened, out)
}

/// The end of the log if its next record were `sequence`: behind the last batch before, empty ones included.
fn tail_before(opened: &Opened, sequence: u64) -> Result<LogTail, Failure> {
    let refuse = |what: String| Failure::new(ExitCode::CheckFailed, what);
    let options = ReadOptions {
        from: opened.first_tail(),
        ..ReadOptions::ALL
    };
    let mut reader = JournalReader::new(opened.storage.clone(), &opened.meta, options);
    loop {
        let tail = *reader.tail();
        let next = reader.peek().map_err(|error| read_fatal(&error))?;
        let Some(header) = next else {
            if tail.next_sequence == sequence {
                return Ok(tail);
            }
            let why = reader.end_reason().unwrap_or(EndReason::Zeros);
            let what = format!(
                "the segments can be read only up to sequence {} (then: {why}): there is no batch before {sequence} \
                 to end the log with",
                tail.next_sequence - 1
            );
            return Err(refuse(what));
        };
        if header.next_sequence() > sequence {
            if tail.next_sequence == sequence {
                return Ok(tail);
            }
            let what = format!(
                "sequence {sequence} is in the middle of a batch, {} to {}: give {0} or {}",
                header.first_sequence,
                header.next_sequence() - 1,
                header.next_sequence()
            );
            return Err(refuse(what));
        }
        reader.next_batch().map_err(|error| read_fatal(&error))?;
    }
}

/// What is known of the log behind the cut.
#[derive(Clone, Copy, Debug, Default)]
struct Behind {
    /// Whole batches, their records, and the last of those.
    batches: u64,
    records: u64,
    last_sequence: u64,
    last_timestamp: u64,
    /// Index of an orderly stop.
    clean_stop: Option<u64>,
    /// Highest index of a snapshot, and its file.
    snapshot: Option<u64>,
    /// Bytes that are not zero, or damaged batches, are there too.
    broken: bool,
}

struct Looking {
    tail: LogTail,
    behind: Behind,
}

impl Visitor for Looking {
    fn batch(&mut self, batch: &BatchView<'_>, _: &Place) -> Result<(), Failure> {
        let header = &batch.header;
        if header.index <= self.tail.index {
            return Ok(());
        }
        let behind = &mut self.behind;
        behind.batches += 1;
        behind.records += u64::from(header.record_count);
        behind.last_sequence = header.next_sequence() - 1;
        behind.last_timestamp = header.timestamp;
        if header.kind == BATCH_KIND_CLEAN_STOP {
            behind.clean_stop = Some(header.index);
        }
        Ok(())
    }

    fn broken(&mut self, _: &super::walk::Break) -> Result<(), Failure> {
        self.behind.broken = true;
        Ok(())
    }
}

fn look_behind(opened: &Opened, tail: &LogTail) -> Result<Behind, Failure> {
    let mut looking = Looking {
        tail: *tail,
        behind: Behind {
            snapshot: opened.newest_snapshot().map(|facts| facts.tail.index),
            ..Behind::default()
        },
    };
    let end = walk(opened, opened.trimmed_to(), None, &mut looking)?;
    // What only the log buffer holds goes too.
    verdict::ahead(opened, end.sound_tail, u64::MAX, |batch| {
        if batch.header.index <= end.tail.index {
            return Ok(());
        }
        looking.batch(batch, &Place::NOWHERE)
    })?;
    Ok(looking.behind)
}

fn refuse_proven(sequence: u64, tail: &LogTail, behind: &Behind) -> Result<(), Failure> {
    let index = tail.index;
    let what = if let Some(proof) = behind.clean_stop {
        format!(
            "the orderly stop of batch {proof} proves that everything before it was complete; only {index} batches \
             would be left: restore the damaged segment from a copy"
        )
    } else if let Some(proof) = behind.snapshot.filter(|proof| *proof > index) {
        format!(
            "a snapshot proves batch {proof}; only {index} would be left: restore the damaged segment from a copy"
        )
    } else if behind.batches == 0 && !behind.broken {
        format!("the log ends before sequence {sequence}: there is nothing to cut")
    } else {
        return Ok(());
    };
    Err(Failure::new(ExitCode::CheckFailed, what))
}

fn cut(opened: &Opened, tail: &LogTail, report: &mut Report) -> Result<(), Failure> {
    // First of all the copies: a log buffer that is left would bring back what is cut.
    if let Some(buffer) = opened.usable_log_buffer() {
        report.log_buffer_copy = Some(keep_log_buffer(&opened.folder, buffer)?);
    }
    let witness_index = report.behind.snapshot.unwrap_or(0);
    let name = cut_at(
        &opened.storage,
        &opened.meta,
        &opened.first_tail(),
        tail.position,
        witness_index,
    );
    report.cut_file = name.map_err(|error| cut_failure(&error))?;
    if let Some(buffer) = opened.usable_log_buffer() {
        let removed = fs::remove_file(&buffer.path);
        removed.map_err(|error| io_failure(&buffer.path, &error))?;
    }
    Ok(())
}

fn keep_log_buffer(folder: &Path, buffer: &ObservedLogBuffer) -> Result<PathBuf, Failure> {
    let name = format!("log-buffer-{}.cut", buffer.identity.log_buffer_id);
    let path = folder.join(name);
    fs::copy(&buffer.path, &path).map_err(|error| io_failure(&path, &error))?;
    let file = fs::File::open(&path).and_then(|file| file.sync_all());
    file.map_err(|error| io_failure(&path, &error))?;
    Ok(path)
}

fn io_failure(path: &Path, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => ExitCode::DiskFull,
        _ => ExitCode::Io,
    };
    Failure::new(code, format!("{}: {error}", path.display()))
}

fn cut_failure(error: &CutError) -> Failure {
    let code = match error {
        CutError::NotABoundary { .. } | CutError::Proven { .. } => ExitCode::CheckFailed,
        CutError::NotKept => ExitCode::DiskFull,
        CutError::HardState(_) => ExitCode::JournalDamaged,
        CutError::Storage(source) => storage_code(source),
    };
    Failure::new(code, error.to_string())
}

struct Report {
    tail: LogTail,
    behind: Behind,
    cut_file: Option<String>,
    log_buffer_copy: Option<PathBuf>,
    done: bool,
}

impl Report {
    fn print(
        &self,
        arguments: &RepairArguments,
        opened: &Opened,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        if arguments.json {
            writeln!(out, "{}", self.to_json(opened))?;
            return Ok(());
        }
        let (tail, behind) = (&self.tail, &self.behind);
        let data_length = opened.meta.segment_data_length;
        row(out, "journal", opened.folder.display())?;
        let end = format!(
            "index {} sequence {} (segment {} offset {})",
            tail.index,
            tail.next_sequence - 1,
            tail.position.segment(data_length),
            BLOCK_LENGTH + tail.position.offset_in_segment(data_length)
        );
        row(
            out,
            if self.done {
                "ends now at"
            } else {
                "would end at"
            },
            end,
        )?;
        let lost = match behind.batches {
            0 => "no whole batch".to_owned(),
            count => format!(
                "{count} whole batches, {} records, the last of sequence {} at {}",
                behind.records,
                behind.last_sequence,
                Utc(behind.last_timestamp)
            ),
        };
        row(out, if self.done { "cut" } else { "would be cut" }, lost)?;
        if let Some(name) = &self.cut_file {
            row(out, "kept in", opened.folder.join(name).display())?;
        }
        if let Some(path) = &self.log_buffer_copy {
            row(out, "log buffer kept", path.display())?;
        }
        if self.done {
            row(
                out,
                "next",
                "verify the journal, then start; what was cut is lost to clients",
            )?;
        }
        Ok(())
    }

    fn to_json(&self, opened: &Opened) -> Value {
        let behind = &self.behind;
        json!({
            "journal": opened.folder.display().to_string(),
            "done": self.done,
            "last_index": self.tail.index,
            "last_sequence": self.tail.next_sequence - 1,
            "cut_batches": behind.batches,
            "cut_records": behind.records,
            "cut_last_sequence": (behind.batches > 0).then_some(behind.last_sequence),
            "kept_in": self.cut_file.as_ref().map(|name| opened.folder.join(name).display().to_string()),
            "log_buffer_kept_in": self.log_buffer_copy.as_ref().map(|path| path.display().to_string()),
        })
    }
}
