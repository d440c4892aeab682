//! Where the log ends and whether rightly, by the very function that decides it at a start.

use super::cursor::Cursor;
use super::finding::{Finding, Severity};
use super::folder::Opened;
use super::output::Failure;
use lockstep_journal::log_buffer::ObservedLogBuffer;
use lockstep_journal::recovery::{self, Recovery, RecoveryError, RecoveryOptions};
use lockstep_journal::{BatchHeader, BatchView, BootId, LogTail};
use lockstep_node::fatal::ExitCode;
use lockstep_node::journal::storage_code;

/// How the log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A process is writing it; what it has published is whole.
    Live,
    /// The last batch is a clean stop, and nothing is behind it.
    CleanStop,
    /// No clean stop; nothing is missing and nothing is to be cut.
    Open,
    /// A start would cut or ignore bytes that nobody was told of.
    TornTail,
    /// A start would refuse: something that was complete is not there.
    Damaged,
    /// A start would refuse: a newer build wrote it.
    NewerFormat,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CleanStop => "clean_stop",
            Self::Open => "open",
            Self::TornTail => "torn_tail",
            Self::Damaged => "damaged",
            Self::NewerFormat => "newer_format",
        }
    }

    /// For people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Live => "in use: a process is writing it",
            Self::CleanStop => "stopped in order",
            Self::Open => "ended without a clean stop; nothing is to be cut",
            Self::TornTail => "torn tail: the next start cuts what nobody was told of",
            Self::Damaged => "damaged: the next start refuses",
            Self::NewerFormat => "of a newer format: the next start refuses",
        }
    }
}

#[derive(Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Where the log ends, what only the log buffer holds included.
    pub tail: LogTail,
    /// A start reads the log from here on: what is before does not keep it from starting.
    pub judged_from: LogTail,
    pub findings: Vec<Finding>,
}

/// `from`: the log on disk is sound up to here; `last`: its last batch; `seen`: the last one anywhere.
pub fn judge(
    opened: &Opened,
    from: &LogTail,
    last: Option<&BatchHeader>,
    seen: Option<&BatchHeader>,
) -> Result<Verdict, Failure> {
    if opened.is_live() {
        return judge_live(opened, from);
    }
    let newest = opened.newest_snapshot().map(|facts| facts.tail);
    match judge_from(opened, from, last)? {
        // Row R26: a start begins behind the newest snapshot and does not read what is before.
        verdict if verdict.outcome == Outcome::Damaged => match newest {
            Some(tail) if tail.index > from.index => {
                let last = seen.filter(|header| header.index == tail.index);
                judge_from(opened, &tail, last)
            }
            _ => Ok(verdict),
        },
        verdict => Ok(verdict),
    }
}

fn judge_from(
    opened: &Opened,
    from: &LogTail,
    last: Option<&BatchHeader>,
) -> Result<Verdict, Failure> {
    let witness = opened.newest_snapshot().map(|facts| facts.tail.index);
    let boot_id = BootId::current()
        .map_err(|error| Failure::new(ExitCode::Setup, format!("this boot's id: {error}")))?;
    let options = RecoveryOptions {
        from: *from,
        witness_index: witness.unwrap_or(0),
        boot_id,
        log_buffer: opened.usable_log_buffer().map(ObservedLogBuffer::image),
    };
    match recovery::recover(&opened.storage, &opened.meta, &options) {
        Ok(recovery) => Ok(accepted(opened, &recovery, from, last)),
        Err(error) => refused(&error, from),
    }
}

fn accepted(
    opened: &Opened,
    recovery: &Recovery,
    from: &LogTail,
    last: Option<&BatchHeader>,
) -> Verdict {
    const CLEAN_STOP: u8 = lockstep_journal::batch::BATCH_KIND_CLEAN_STOP;
    let last = recovery.last.as_ref().or(last);
    let describe = |found: &recovery::Finding| describe(opened, found);
    let findings: Vec<Finding> = recovery.findings.iter().filter_map(describe).collect();
    let stale = |finding: &Finding| matches!(finding.kind, "torn_tail" | "stale_remains");
    let outcome = if findings.iter().any(stale) {
        Outcome::TornTail
    } else if last.is_some_and(|last| last.kind == CLEAN_STOP) {
        Outcome::CleanStop
    } else {
        Outcome::Open
    };
    Verdict {
        outcome,
        tail: recovery.tail,
        judged_from: *from,
        findings,
    }
}

/// A finding of recovery's in the tools' form; `None` for what the tools find by themselves.
fn describe(opened: &Opened, found: &recovery::Finding) -> Option<Finding> {
    use recovery::Finding as Found;
    let what = found.to_string();
    Some(match found {
        Found::TailCut(cut) => Finding::note("torn_tail", what)
            .row("R4")
            .at(cut.segment, cut.offset)
            .batch(cut.last_index + 1, cut.last_sequence + 1),
        Found::Repaired {
            segment,
            offset,
            index,
            sequence,
            ..
        } => {
            let finding = if was_durable(opened, *segment, *offset) {
                Finding::damage("repairable", what)
            } else {
                Finding::note("repairable", what)
            };
            let finding = finding.row("R5").at(*segment, *offset);
            finding.batch(*index, *sequence)
        }
        Found::TakenFromLogBuffer { first_index, .. } => {
            let mut finding = Finding::note("log_buffer_ahead", what).row("R6");
            finding.index = Some(*first_index);
            finding
        }
        Found::StaleRemains { .. } => Finding::note("stale_remains", what).row("R8"),
        Found::HardStateBehind { .. } => Finding::note("hard_state_behind", what).row("R18"),
        _ => return None,
    })
}

/// Whether the log buffer says that the segments had this place whole: then its bytes were spoilt since.
fn was_durable(opened: &Opened, segment: u64, offset: u64) -> bool {
    let in_log = offset.saturating_sub(lockstep_journal::BLOCK_LENGTH);
    let position = segment * opened.meta.segment_data_length + in_log;
    let buffer = opened.usable_log_buffer();
    buffer.is_some_and(|buffer| position < buffer.durable_position.0)
}

fn refused(error: &RecoveryError, from: &LogTail) -> Result<Verdict, Failure> {
    let (outcome, finding) = match error {
        RecoveryError::Damaged(damage) => {
            let finding = Finding::damage("missing_batch", error.to_string())
                .row("R7")
                .at(damage.segment, damage.offset)
                .batch(damage.index, damage.sequence);
            (Outcome::Damaged, finding)
        }
        RecoveryError::NewerFormat {
            segment, offset, ..
        } => {
            let finding = Finding::damage("newer_format", error.to_string()).row("R9");
            (Outcome::NewerFormat, finding.at(*segment, *offset))
        }
        RecoveryError::SegmentMissing { number } => {
            let finding = Finding::damage("missing_segment", error.to_string()).row("R10");
            (Outcome::Damaged, finding.segment(*number))
        }
        RecoveryError::ForeignSegment { segment } => {
            let finding = Finding::damage("foreign_segment", error.to_string()).row("R20");
            (Outcome::Damaged, finding.segment(*segment))
        }
        RecoveryError::HardState(_) => {
            let finding = Finding::damage("hard_state", error.to_string()).row("R17");
            (Outcome::Damaged, finding)
        }
        RecoveryError::Storage(source) => {
            return Err(Failure::new(storage_code(source), error.to_string()));
        }
    };
    let (tail, findings) = (*from, vec![finding]);
    Ok(Verdict {
        outcome,
        tail,
        judged_from: *from,
        findings,
    })
}

/// Nothing is torn under a running node: what it has published must be there, on disk or in its buffer.
fn judge_live(opened: &Opened, from: &LogTail) -> Result<Verdict, Failure> {
    let published = opened.usable_log_buffer().map(|b| b.published_position);
    let tail = ahead(opened, *from, u64::MAX, |_| Ok(()))?;
    let mut findings = Vec::new();
    if published.is_none() {
        let what = "a process is writing this journal, but its log buffer was not found: the newest batches \
                    are not shown; name it with --log-buffer";
        findings.push(Finding::note("log_buffer_unknown", what));
    }
    if let Some(published) = published
        && tail.position < published
    {
        let data_length = opened.meta.segment_data_length;
        let what = format!(
            "the running node has published the log up to position {published}, but it can be read only \
             up to {}",
            tail.position
        );
        let finding = Finding::damage("missing_batch", what)
            .at(
                tail.position.segment(data_length),
                lockstep_journal::BLOCK_LENGTH + tail.position.offset_in_segment(data_length),
            )
            .batch(tail.index + 1, tail.next_sequence);
        findings.push(finding);
    }
    let damaged = findings.iter().any(|f| f.severity == Severity::Damage);
    let outcome = if damaged {
        Outcome::Damaged
    } else {
        Outcome::Live
    };
    Ok(Verdict {
        outcome,
        tail,
        judged_from: *from,
        findings,
    })
}

/// Gives every batch behind `tail` up to `last_index`, from disk or from the log buffer, whichever has it. Returns the
/// tail behind the last one given.
pub fn ahead(
    opened: &Opened,
    tail: LogTail,
    last_index: u64,
    mut each: impl FnMut(&BatchView<'_>) -> Result<(), Failure>,
) -> Result<LogTail, Failure> {
    let mut cursor = Cursor::behind(opened, tail);
    while cursor.tail().index < last_index {
        let Some(batch) = cursor.next_batch()? else {
            break;
        };
        each(&batch)?;
    }
    Ok(*cursor.tail())
}
