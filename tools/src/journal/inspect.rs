//! `lockstep journal inspect`: what a journal is and holds.

use super::fields::kind_name;
use super::filter::{Filter, FilterArguments};
use super::finding::Finding;
use super::folder::{self, Opened};
use super::output::{Failure, Progress, row};
use super::record_line::RecordLine;
use super::segment_table::SegmentRow;
use super::time::Utc;
use super::verdict::{self, Verdict};
use super::walk::{Break, Place, SegmentFile, Visitor, walk};
use clap::Args;
use lockstep_journal::segment::{SegmentSource, segment_file_length};
use lockstep_journal::{BatchHeader, BatchView, LogPosition};
use lockstep_record::{Kind, Record};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Breaks that the summary lists; more are only counted.
const BREAKS_MAX: usize = 1000;

#[derive(Args)]
pub struct InspectArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// Print JSON: one object, or with --records one object a line
    #[arg(long)]
    json: bool,
    /// Print the records, one a line, instead of the summary
    #[arg(long)]
    records: bool,
    /// Print at most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

pub fn run(arguments: &InspectArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let mut look = Look::new(&opened, arguments, out);
    let first = arguments
        .records
        .then(|| first_segment(&opened, &arguments.filter));
    let until = opened.is_live().then(|| opened.usable_log_buffer());
    let until = until.flatten().map(|buffer| buffer.durable_position);
    let end = walk(
        &opened,
        first.flatten().or(opened.trimmed_to()),
        until,
        &mut look,
    )?;
    if !look.wants_more() {
        return Ok(());
    }
    if look.breaks_seen == 0 {
        let verdict = verdict::judge(&opened, &end.tail, look.last.as_ref(), None)?;
        look.in_log_buffer = true;
        let last = verdict.tail.index;
        verdict::ahead(&opened, end.tail, last, |batch| {
            look.records_of(batch, false)
        })?;
        return look.conclude(&verdict);
    }
    let verdict = verdict::judge(
        &opened,
        &end.sound_tail,
        look.last.as_ref(),
        look.last_seen.as_ref(),
    )?;
    look.conclude(&verdict)
}

/// The last segment whose first batch is not behind what is wanted.
fn first_segment(opened: &Opened, filter: &FilterArguments) -> Option<u64> {
    let data_length = opened.meta.segment_data_length;
    let mut source = SegmentSource::new(opened.storage.clone(), data_length);
    for number in opened.segments.iter().rev() {
        let begin = LogPosition(number.checked_mul(data_length)?);
        let bytes = source.log(begin).ok()?;
        if let Ok(batch) = BatchView::verified(bytes, begin)
            && filter.may_begin_at(&batch.header)?
        {
            return Some(*number);
        }
    }
    None
}

struct Look<'a, W: Write> {
    opened: &'a Opened,
    arguments: &'a InspectArguments,
    filter: Filter<'a>,
    out: &'a mut W,
    segments: Vec<SegmentRow>,
    missing: Vec<(u64, u64)>,
    breaks: Vec<Break>,
    breaks_seen: u64,
    last: Option<BatchHeader>,
    last_seen: Option<BatchHeader>,
    batches: u64,
    records: u64,
    bytes: u64,
    matched: u64,
    /// Matching records by kind.
    kinds: BTreeMap<Kind, u64>,
    printed: u64,
    past: bool,
    in_log_buffer: bool,
    log_buffer_batches: u64,
    progress: Progress,
}

impl<'a, W: Write> Look<'a, W> {
    fn new(opened: &'a Opened, arguments: &'a InspectArguments, out: &'a mut W) -> Self {
        Self {
            opened,
            arguments,
            filter: Filter::new(&arguments.filter),
            out,
            segments: Vec::new(),
            missing: Vec::new(),
            breaks: Vec::new(),
            breaks_seen: 0,
            last: None,
            last_seen: None,
            batches: 0,
            records: 0,
            bytes: 0,
            matched: 0,
            kinds: BTreeMap::new(),
            printed: 0,
            past: false,
            in_log_buffer: false,
            log_buffer_batches: 0,
            progress: Progress::new("read"),
        }
    }

    fn records_of(&mut self, batch: &BatchView<'_>, behind_break: bool) -> Result<(), Failure> {
        self.batches += 1;
        self.records += u64::from(batch.header.record_count);
        self.bytes += batch.bytes().len() as u64;
        self.log_buffer_batches += u64::from(self.in_log_buffer);
        self.last_seen = Some(batch.header);
        if !behind_break {
            self.last = Some(batch.header);
        }
        self.past = self.arguments.records && self.arguments.filter.is_past(&batch.header);
        let mut rest = batch.body();
        for number in 0..batch.header.record_count {
            // A malformed record hides the rest of its batch; `verify` says where.
            let Ok((record, after)) = Record::parse(rest) else {
                break;
            };
            rest = after;
            let sequence = batch.header.first_sequence + u64::from(number);
            if self.filter.wants(&batch.header, sequence, &record)? {
                self.matched += 1;
                *self.kinds.entry(record.header().kind).or_default() += 1;
                self.print_record(&RecordLine {
                    batch: &batch.header,
                    sequence,
                    record: &record,
                    behind_break,
                    log_buffer: self.in_log_buffer,
                })?;
            }
        }
        Ok(())
    }

    fn print_record(&mut self, line: &RecordLine<'_>) -> Result<(), Failure> {
        let more = self
            .arguments
            .limit
            .is_none_or(|limit| self.printed < limit);
        if !self.arguments.records || !more {
            return Ok(());
        }
        self.printed += 1;
        if self.arguments.json {
            writeln!(self.out, "{}", line.to_json())?;
        } else {
            writeln!(self.out, "{}", line.to_text())?;
        }
        Ok(())
    }

    fn conclude(&mut self, verdict: &Verdict) -> Result<(), Failure> {
        if self.arguments.records {
            return Ok(());
        }
        if self.arguments.json {
            let object = self.to_json(verdict);
            writeln!(self.out, "{object}")?;
            return Ok(());
        }
        self.print_identity(verdict)?;
        self.print_log_buffer()?;
        self.print_segments()?;
        self.print_counts()?;
        let findings: Vec<Finding> = self.findings(verdict).cloned().collect();
        for finding in findings {
            writeln!(self.out, "{finding}")?;
        }
        for found in &self.breaks {
            writeln!(
                self.out,
                "break: segment {} offset {} batch {} sequence {}: {}",
                found.segment,
                found.offset,
                found.tail.index + 1,
                found.tail.next_sequence,
                found.reason
            )?;
        }
        Ok(())
    }

    fn findings<'b>(&'b self, verdict: &'b Verdict) -> impl Iterator<Item = &'b Finding> {
        self.opened.findings.iter().chain(&verdict.findings)
    }

    fn print_identity(&mut self, verdict: &Verdict) -> Result<(), Failure> {
        let (meta, out) = (&self.opened.meta, &mut self.out);
        row(out, "journal", self.opened.folder.display())?;
        row(out, "cluster id", meta.cluster_id)?;
        row(out, "journal id", meta.journal_id)?;
        row(out, "lineage", meta.lineage)?;
        row(out, "format version", 0)?;
        row(out, "created", Utc(meta.created))?;
        row(out, "segment bytes", meta.segment_data_length)?;
        if let Some(process) = self.opened.holder {
            row(out, "held by process", process)?;
        }
        if let Some(load) = &self.opened.hard_state {
            let state = &load.state;
            let text = format!(
                "generation {} term {} vote {} commit index {}",
                load.generation, state.term, state.vote, state.commit_index
            );
            row(out, "hard state", text)?;
        }
        row(out, "log", verdict.outcome.meaning())?;
        let last = verdict.tail.next_sequence - 1;
        let end = format!(
            "index {} sequence {last} term {}",
            verdict.tail.index, verdict.tail.term
        );
        row(out, "ends at", end)?;
        Ok(())
    }

    fn print_log_buffer(&mut self) -> Result<(), Failure> {
        let out = &mut self.out;
        let Some(buffer) = &self.opened.log_buffer else {
            row(out, "log buffer", "none")?;
            return Ok(());
        };
        row(out, "log buffer", buffer.path.display())?;
        let identity = &buffer.identity;
        let ids = format!(
            "id {} boot {} process {}",
            identity.log_buffer_id, identity.boot_id, identity.process
        );
        row(out, "", ids)?;
        let positions = format!(
            "base {} durable {} committed {} published {} (index {})",
            identity.base_position,
            buffer.durable_position,
            buffer.commit_position,
            buffer.published_position,
            buffer.published_index
        );
        row(out, "", positions)?;
        if let Some(why) = &self.opened.log_buffer_ignored {
            row(out, "", format!("not of this log: {why}"))?;
        }
        Ok(())
    }

    fn print_segments(&mut self) -> Result<(), Failure> {
        writeln!(self.out)?;
        SegmentRow::print_heading(self.out)?;
        for segment in &self.segments {
            segment.print(self.out)?;
        }
        for (from, to) in &self.missing {
            writeln!(self.out, "missing: segments {from} to {}", to - 1)?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    fn print_counts(&mut self) -> Result<(), Failure> {
        let out = &mut self.out;
        row(out, "batches", self.batches)?;
        row(out, "records", self.records)?;
        row(out, "bytes", self.bytes)?;
        if self.log_buffer_batches > 0 {
            row(
                out,
                "only in log buffer",
                format!("{} batches", self.log_buffer_batches),
            )?;
        }
        if self.arguments.filter.is_set() {
            row(out, "matching records", self.matched)?;
        }
        for (kind, count) in &self.kinds {
            row(out, &format!("  {}", kind_name(*kind)), count)?;
        }
        Ok(())
    }

    fn to_json(&self, verdict: &Verdict) -> Value {
        let meta = &self.opened.meta;
        let kinds: Map<String, Value> = self
            .kinds
            .iter()
            .map(|(kind, count)| (kind_name(*kind), (*count).into()))
            .collect();
        let breaks = self.breaks.iter().map(|found| {
            json!({
                "segment": found.segment,
                "offset": found.offset,
                "index": found.tail.index + 1,
                "sequence": found.tail.next_sequence,
                "reason": found.reason.to_string(),
                "resumed_index": found.resumed.map(|header| header.index),
            })
        });
        json!({
            "journal": self.opened.folder.display().to_string(),
            "cluster_id": meta.cluster_id.to_string(),
            "journal_id": meta.journal_id.to_string(),
            "lineage": meta.lineage.to_string(),
            "format_version": 0,
            "created_ns": meta.created,
            "segment_data_length": meta.segment_data_length,
            "holder": self.opened.holder,
            "hard_state": self.hard_state_json(),
            "log_buffer": self.log_buffer_json(),
            "segments": self.segments.iter().map(SegmentRow::to_json).collect::<Vec<_>>(),
            "missing_segments": self.missing.iter().map(|(from, to)| json!([from, to - 1])).collect::<Vec<_>>(),
            "outcome": verdict.outcome.name(),
            "last_index": verdict.tail.index,
            "last_sequence": verdict.tail.next_sequence - 1,
            "last_term": verdict.tail.term,
            "batches": self.batches,
            "records": self.records,
            "bytes": self.bytes,
            "log_buffer_batches": self.log_buffer_batches,
            "matched": self.matched,
            "kinds": kinds,
            "breaks": breaks.collect::<Vec<_>>(),
            "breaks_total": self.breaks_seen,
            "findings": self.findings(verdict).map(Finding::to_json).collect::<Vec<_>>(),
        })
    }

    fn hard_state_json(&self) -> Value {
        let Some(load) = &self.opened.hard_state else {
            return Value::Null;
        };
        json!({
            "generation": load.generation,
            "term": load.state.term,
            "vote": load.state.vote,
            "commit_index": load.state.commit_index,
            "log_buffer_id": load.state.log_buffer_id.to_string(),
            "boot_id": load.state.boot_id.to_string(),
            "slot_damaged": load.slot_damaged.map(|error| error.to_string()),
        })
    }

    fn log_buffer_json(&self) -> Value {
        let Some(buffer) = &self.opened.log_buffer else {
            return Value::Null;
        };
        let identity = &buffer.identity;
        json!({
            "path": buffer.path.display().to_string(),
            "log_buffer_id": identity.log_buffer_id.to_string(),
            "journal_id": identity.journal_id.to_string(),
            "boot_id": identity.boot_id.to_string(),
            "process": identity.process,
            "ring_length": identity.ring_length,
            "base_position": identity.base_position.0,
            "published_position": buffer.published_position.0,
            "published_index": buffer.published_index,
            "durable_position": buffer.durable_position.0,
            "commit_position": buffer.commit_position.0,
            "commit_index": buffer.commit_index,
            "freed_position": buffer.freed_position.0,
            "consumers": buffer.consumers.iter().map(|position| position.0).collect::<Vec<_>>(),
            "ignored": self.opened.log_buffer_ignored,
        })
    }
}

impl<W: Write> Visitor for Look<'_, W> {
    fn segment(&mut self, file: &SegmentFile) -> Result<(), Failure> {
        self.segments.push(SegmentRow::new(file));
        Ok(())
    }

    fn segment_end(&mut self, number: u64, used: u64) -> Result<(), Failure> {
        if let Some(row) = self.segments.last_mut() {
            row.end(used);
        }
        let file = segment_file_length(self.opened.meta.segment_data_length);
        let total = file * self.opened.segments.len() as u64;
        self.progress.tick((number + 1) * file, total, self.records);
        Ok(())
    }

    fn missing(&mut self, from: u64, to: u64) -> Result<(), Failure> {
        self.missing.push((from, to));
        Ok(())
    }

    fn batch(&mut self, batch: &BatchView<'_>, place: &Place) -> Result<(), Failure> {
        if let Some(row) = self.segments.last_mut() {
            row.add(&batch.header);
        }
        self.records_of(batch, place.behind_break)
    }

    fn broken(&mut self, found: &Break) -> Result<(), Failure> {
        self.breaks_seen += 1;
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(*found);
        }
        Ok(())
    }

    fn wants_more(&self) -> bool {
        let limited = self.arguments.records
            && self
                .arguments
                .limit
                .is_some_and(|limit| self.printed >= limit);
        !limited && !self.past
    }
}
