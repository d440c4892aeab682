//! `lockstep snapshotter`: follows a journal from outside the node and takes snapshots of it.

use clap::Args;
use lockstep_journal::folder::META_NAME;
use lockstep_journal::storage::DirectStorage;
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::journal::storage_fatal;
use lockstep_node::signals;
use lockstep_node::snapshot::{FollowOptions, follow};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
pub struct SnapshotterArguments {
    /// The data directory, or the journal folder in it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// One after so many records; 0 = not by records
    #[arg(long, default_value_t = 0)]
    every_records: u64,
    /// One after so many seconds, if anything happened; 0 = not by time
    #[arg(long, default_value_t = 300)]
    every_seconds: u64,
    /// The log buffer, if the node's is not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(arguments: &SnapshotterArguments) -> Result<(), Fatal> {
    signals::install().map_err(|e| Fatal::new(ExitCode::Setup, format!("signal handlers: {e}")))?;
    let nested = arguments.directory.join("journal");
    let folder = if nested.join(META_NAME).is_file() {
        &nested
    } else {
        &arguments.directory
    };
    let storage = DirectStorage::open(folder).map_err(|e| storage_fatal(&e))?;
    let options = FollowOptions {
        every_records: arguments.every_records,
        every: Duration::from_secs(arguments.every_seconds),
        log_buffer: arguments.log_buffer.clone(),
    };
    let mut report = |line: &str| {
        // A reader that has gone must not end it.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    };
    follow(&storage, &options, &mut report, &signals::stop_requested)
}
