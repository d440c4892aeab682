//! `lockstep journal verify`: every byte that a checksum or a rule covers.

use super::finding::{Finding, Severity};
use super::folder::{self, Opened};
use super::output::{Failure, Progress, per_second, row};
use super::proofs::{ProofArguments, Proofs};
use super::replay::Extent;
use super::start;
use super::verdict::{self, Outcome, Verdict};
use super::walk::{Break, Place, SegmentFile, Visitor, walk};
use clap::Args;
use lockstep_journal::reader::EndReason;
use lockstep_journal::segment::segment_file_length;
use lockstep_journal::{BLOCK_LENGTH, BatchHeader, BatchView, LogTail};
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::replay::Replayer;
use lockstep_record::Record;
use lockstep_record::batch::BatchKind;
use lockstep_record::event::NullSink;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Findings kept; more are only counted.
pub const FINDINGS_MAX: usize = 10_000;

#[derive(Args)]
pub struct VerifyArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Apply the log too, and compare every digest that it carries
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    proofs: ProofArguments,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

pub fn run(arguments: &VerifyArguments, out: &mut impl Write) -> Result<(), Failure> {
    let mut opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let mut check = Check::new(&opened);
    if arguments.replay {
        let begin = start::begin(&opened, &Extent::default())?;
        check.replay_from = begin.tail.index;
        check.replayer = Some(begin.replayer);
    }
    for finding in std::mem::take(&mut opened.findings) {
        check.find(finding);
    }
    let until = opened.is_live().then(|| opened.usable_log_buffer());
    let until = until.flatten().map(|buffer| buffer.durable_position);
    check.durable_known = until.is_some();
    let end = walk(&opened, opened.trimmed_to(), until, &mut check)?;
    let verdict = verdict::judge(
        &opened,
        &end.sound_tail,
        check.last_sound.as_ref(),
        check.last_seen.as_ref(),
    )?;
    // What lies behind a break was not applied, and is not.
    if check.breaks.is_empty() || verdict.outcome != Outcome::Damaged {
        let behind = |batch: &BatchView<'_>| check.examine(batch, 0, None);
        verdict::ahead(&opened, end.sound_tail, verdict.tail.index, behind)?;
    }
    check.conclude(&verdict);
    let mut proofs = Proofs::check(&opened, &arguments.proofs)?;
    for finding in std::mem::take(&mut proofs.findings) {
        check.find(finding);
    }
    check.proofs = proofs;
    check.print(&opened, &verdict, arguments.json, out)?;
    out.flush()?;
    check.result(&verdict).map_err(Failure::from)
}

/// Gathers everything that is wrong.
struct Check {
    segment_data_length: u64,
    total_bytes: u64,
    findings: Vec<Finding>,
    findings_dropped: u64,
    breaks: Vec<Break>,
    /// Last batch before the first break.
    last_sound: Option<BatchHeader>,
    /// Last batch anywhere.
    last_seen: Option<BatchHeader>,
    batches: u64,
    records: u64,
    bytes: u64,
    segments: u64,
    replayer: Option<Replayer>,
    /// Batches up to this index are in the state that the replay began with.
    replay_from: u64,
    diverged: bool,
    /// The walk ended where a running node's segments are known to end.
    durable_known: bool,
    meta: lockstep_journal::folder::JournalMeta,
    progress: Progress,
    proofs: Proofs,
}

impl Check {
    fn new(opened: &Opened) -> Self {
        let file = segment_file_length(opened.meta.segment_data_length);
        Self {
            segment_data_length: opened.meta.segment_data_length,
            total_bytes: file * opened.segments.len() as u64,
            findings: Vec::new(),
            findings_dropped: 0,
            breaks: Vec::new(),
            last_sound: None,
            last_seen: None,
            batches: 0,
            records: 0,
            bytes: 0,
            segments: 0,
            replayer: None,
            replay_from: 0,
            diverged: false,
            durable_known: false,
            meta: opened.meta,
            progress: Progress::new("verified"),
            proofs: Proofs::default(),
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_dropped += 1;
        }
    }

    /// A batch whose checksums hold: its records' form, its kind, and with `--replay` its effect.
    fn examine(
        &mut self,
        batch: &BatchView<'_>,
        segment: u64,
        place: Option<&Place>,
    ) -> Result<(), Failure> {
        self.batches += 1;
        self.records += u64::from(batch.header.record_count);
        self.bytes += batch.bytes().len() as u64;
        if let Some(what) = malformed(batch) {
            let header = &batch.header;
            let finding =
                Finding::damage("record", what).batch(header.index, header.first_sequence);
            self.find(match place {
                Some(place) => finding.at(segment, place.offset),
                None => finding,
            });
        }
        self.last_seen = Some(batch.header);
        let sound = place.is_none_or(|place| !place.behind_break);
        if sound {
            self.last_sound = Some(batch.header);
            self.replay(batch);
        }
        Ok(())
    }

    fn replay(&mut self, batch: &BatchView<'_>) {
        let Some(replayer) = &mut self.replayer else {
            return;
        };
        if batch.header.index <= self.replay_from {
            return;
        }
        if let Err(fatal) = replayer.apply(batch, &mut NullSink) {
            self.replayer = None;
            self.diverged = fatal.code == ExitCode::Diverged;
            let header = &batch.header;
            let finding = Finding::damage("replay", fatal.message);
            self.find(finding.batch(header.index, header.first_sequence));
        }
    }

    /// What the breaks are is known only now: behind a torn tail nothing was promised.
    fn conclude(&mut self, verdict: &Verdict) {
        for finding in &verdict.findings {
            self.find(finding.clone());
        }
        let refused = matches!(verdict.outcome, Outcome::Damaged | Outcome::NewerFormat);
        for found in std::mem::take(&mut self.breaks) {
            // Before a running node's durable position nothing is in motion; without its log buffer the
            // end may be.
            let torn = match verdict.outcome {
                Outcome::Live => !self.durable_known && found.resumed.is_none(),
                _ => !refused && found.tail.index >= verdict.judged_from.index,
            };
            let finding = describe(&found, torn);
            self.find(finding);
        }
    }

    fn damage_count(&self) -> u64 {
        let damage = |finding: &&Finding| finding.severity == Severity::Damage;
        self.findings.iter().filter(damage).count() as u64 + self.findings_dropped
    }

    fn result(&self, verdict: &Verdict) -> Result<(), Fatal> {
        if verdict.outcome == Outcome::NewerFormat {
            let what = "the journal is of a newer format: use the build that wrote it";
            return Err(Fatal::new(ExitCode::NewerFormat, what));
        }
        if self.diverged {
            let what =
                "replay disagrees with a digest in the log: do not trade on it, keep it, report it";
            return Err(Fatal::new(ExitCode::Diverged, what));
        }
        match self.damage_count() {
            0 => Ok(()),
            count => {
                let what = format!("{count} findings of damage");
                Err(Fatal::new(ExitCode::CheckFailed, what))
            }
        }
    }

    fn print(
        &self,
        opened: &Opened,
        verdict: &Verdict,
        json: bool,
        out: &mut impl Write,
    ) -> Result<(), Failure> {
        let elapsed = self.progress.elapsed();
        if json {
            let object = self.to_json(opened, verdict, elapsed.as_nanos() as u64);
            writeln!(out, "{object}")?;
            return Ok(());
        }
        row(out, "journal", opened.folder.display())?;
        row(out, "outcome", verdict.outcome.meaning())?;
        row(out, "segments", self.segments)?;
        row(
            out,
            "batches",
            format!("{} (last index {})", self.batches, verdict.tail.index),
        )?;
        let last = verdict.tail.next_sequence - 1;
        row(
            out,
            "records",
            format!("{} (last sequence {last})", self.records),
        )?;
        if let Some(replayer) = &self.replayer {
            let compared = replayer.digests_compared;
            row(out, "digests compared", compared)?;
        }
        row(out, "snapshots", self.proofs.snapshots)?;
        let seals: u64 = self.proofs.seals.iter().map(|s| s.seal_count).sum();
        row(out, "seals", seals)?;
        for seal in self.proofs.last_seals() {
            row(out, "last seal", seal)?;
        }
        let speed = per_second(self.bytes, elapsed) >> 20;
        row(out, "speed", format!("{speed} MiB/s"))?;
        row(out, "damage", self.damage_count())?;
        for finding in &self.findings {
            writeln!(out, "{finding}")?;
        }
        if self.findings_dropped > 0 {
            writeln!(out, "… and {} more findings", self.findings_dropped)?;
        }
        Ok(())
    }

    fn to_json(&self, opened: &Opened, verdict: &Verdict, elapsed_ns: u64) -> Value {
        json!({
            "journal": opened.folder.display().to_string(),
            "outcome": verdict.outcome.name(),
            "segments": self.segments,
            "batches": self.batches,
            "records": self.records,
            "bytes": self.bytes,
            "last_index": verdict.tail.index,
            "last_sequence": verdict.tail.next_sequence - 1,
            "digests_compared": self.replayer.as_ref().map(|r| r.digests_compared),
            "digests_too_old": self.replayer.as_ref().map(|r| r.digests_too_old),
            "snapshots": self.proofs.snapshots,
            "seals": self.proofs.to_json(),
            "damage": self.damage_count(),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "findings_dropped": self.findings_dropped,
            "elapsed_ns": elapsed_ns,
        })
    }
}

impl Visitor for Check {
    fn segment(&mut self, file: &SegmentFile) -> Result<(), Failure> {
        self.segments += 1;
        if file.length != file.expected_length {
            let what = format!(
                "the file is {} bytes long instead of {}",
                file.length, file.expected_length
            );
            let finding = Finding::damage("segment_length", what).row("R12");
            self.find(finding.at(file.number, file.length.min(file.expected_length)));
        }
        let expected = self.meta.segment_header(file.number);
        match file.header {
            Ok(header) => {
                let ours = (
                    header.cluster_id,
                    header.journal_id,
                    header.number,
                    header.data_length,
                ) == (
                    expected.cluster_id,
                    expected.journal_id,
                    expected.number,
                    expected.data_length,
                );
                if !ours {
                    let what = format!(
                        "its header block is of segment {} of journal {}",
                        header.number, header.journal_id
                    );
                    let finding = Finding::damage("segment_foreign", what).row("R20");
                    self.find(finding.at(file.number, 0));
                }
            }
            Err(error) => {
                let what = format!("header block: {error}");
                let finding = Finding::damage("segment_header", what).row("R11");
                self.find(finding.at(file.number, 0));
            }
        }
        Ok(())
    }

    fn segment_end(&mut self, number: u64, _used: u64) -> Result<(), Failure> {
        let done = (number + 1) * segment_file_length(self.segment_data_length);
        self.progress.tick(done, self.total_bytes, self.records);
        Ok(())
    }

    fn missing(&mut self, from: u64, to: u64) -> Result<(), Failure> {
        let what = match to - from {
            1 => format!("segment {from} is not there, though later ones are"),
            _ => format!(
                "segments {from} to {} are not there, though later ones are",
                to - 1
            ),
        };
        self.find(
            Finding::damage("segment_missing", what)
                .row("R10")
                .segment(from),
        );
        Ok(())
    }

    fn batch(&mut self, batch: &BatchView<'_>, place: &Place) -> Result<(), Failure> {
        self.examine(batch, place.segment, Some(place))
    }

    fn not_zero(&mut self, place: &Place, tail: &LogTail, padding: bool) -> Result<(), Failure> {
        let (kind, what) = if padding {
            ("padding", "padding behind the batch's records is not zero")
        } else {
            ("gap", "the gap before the next segment is not zero")
        };
        let finding = Finding::note(kind, what).row("R19");
        let index = tail.index + u64::from(padding);
        self.find(
            finding
                .at(place.segment, place.offset)
                .batch(index, tail.next_sequence),
        );
        Ok(())
    }

    fn broken(&mut self, found: &Break) -> Result<(), Failure> {
        if self.breaks.len() < FINDINGS_MAX {
            self.breaks.push(*found);
        } else {
            self.findings_dropped += 1;
        }
        Ok(())
    }
}

/// A stretch without batches in order, in words.
fn describe(found: &Break, torn: bool) -> Finding {
    let mut what = match found.reason {
        EndReason::Zeros => "zeros where the next batch should be, and more behind".to_owned(),
        reason => reason.to_string(),
    };
    if found.stale_batches > 0 {
        what += &format!("; {} whole batches of an older log", found.stale_batches);
    }
    what += &match found.resumed {
        Some(header) => format!(
            "; goes on with batch {}, sequence {}",
            header.index, header.first_sequence
        ),
        None => "; nothing whole is behind".to_owned(),
    };
    let finding = if torn {
        Finding::note("remains", what)
    } else {
        Finding::damage("broken", what)
    };
    finding
        .at(found.segment, found.offset.max(BLOCK_LENGTH))
        .batch(found.tail.index + 1, found.tail.next_sequence)
}

/// What is wrong with the form of a batch's records, if anything.
fn malformed(batch: &BatchView<'_>) -> Option<String> {
    let header = &batch.header;
    if BatchKind::from_u8(header.kind).is_none() {
        return Some(format!(
            "batch kind {} is not known to this build",
            header.kind
        ));
    }
    let mut rest = batch.body();
    for number in 0..header.record_count {
        match Record::parse(rest) {
            Ok((_, after)) => rest = after,
            Err(error) => {
                let sequence = header.first_sequence + u64::from(number);
                return Some(format!("record of sequence {sequence}: {error}"));
            }
        }
    }
    let count = header.record_count;
    (!rest.is_empty()).then(|| format!("{} bytes behind its {count} records", rest.len()))
}
