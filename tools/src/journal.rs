//! `lockstep journal …`: what a journal says, whether it is whole, what it leads to, and what to do with it.
//!
//! Every command works on the folder of a running node and on a damaged one as far as bytes permit. None but
//! `repair`, `archive --trim` and `restore` takes a lock or writes a byte in the folder.

mod ahead;
mod archive;
mod cursor;
mod diff;
mod event_fields;
mod export;
pub mod fields;
mod filter;
mod finding;
mod folder;
mod inspect;
mod ledger;
mod output;
mod proofs;
mod record_line;
mod repair;
mod replay;
mod replay_report;
mod segment_table;
pub mod snapshots;
mod start;
mod stream_hash;
mod time;
mod trace;
mod verdict;
mod verify;
mod walk;

use clap::Subcommand;
use lockstep_node::fatal::Fatal;
use output::Failure;
use std::io::Write;

#[derive(Subcommand)]
pub enum JournalCommand {
    /// Show what a journal is and holds: identity, hard state, segments, log buffer, records
    Inspect(inspect::InspectArguments),
    /// Check every byte that has a checksum or a rule; exit code 1 if anything is damaged
    Verify(verify::VerifyArguments),
    /// Apply the log to a fresh state machine and print the state it leads to
    Replay(replay::ReplayArguments),
    /// Find the first place where two journals are not the same; exit code 1 if there is one
    Diff(diff::DiffArguments),
    /// Write what happened for other programs: tables as CSV or Parquet, a day as ITCH 5.0
    Export(export::ExportArguments),
    /// Cut a log that a start refuses, explicitly; keeps a copy of what it cuts
    Repair(repair::RepairArguments),
    /// Copy closed segments and snapshots, compressed, to another folder; --trim removes what is needed no more
    Archive(archive::ArchiveArguments),
    /// Bring back from an archive what is not in the journal, or a named file
    Restore(archive::RestoreArguments),
    /// Tell the life of an order: every command and event, replacements both ways
    Trace(trace::TraceArguments),
}

/// What the last line of a session tells the operator goes to standard error by way of `main`.
pub fn run(command: &JournalCommand) -> Result<(), Fatal> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let result = match command {
        JournalCommand::Inspect(arguments) => inspect::run(arguments, &mut out),
        JournalCommand::Verify(arguments) => verify::run(arguments, &mut out),
        JournalCommand::Replay(arguments) => replay::run(arguments, &mut out),
        JournalCommand::Diff(arguments) => diff::run(arguments, &mut out),
        JournalCommand::Export(arguments) => export::run(arguments, &mut out),
        JournalCommand::Repair(arguments) => repair::run(arguments, &mut out),
        JournalCommand::Archive(arguments) => archive::archive(arguments, &mut out),
        JournalCommand::Restore(arguments) => archive::restore(arguments, &mut out),
        JournalCommand::Trace(arguments) => trace::run(arguments, &mut out),
    };
    // What was found out is printed before the reason to stop.
    let flushed = out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => Ok(()),
        Err(failure) => failure.into_fatal(),
    }
}
