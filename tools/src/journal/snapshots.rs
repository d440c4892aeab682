//! `lockstep snapshot list | verify | show | take`: a journal's snapshots.

use super::folder::{self, Opened};
use super::output::{Failure, row};
use super::replay::{Extent, replay};
use super::replay_report::hex;
use super::time::Utc;
use clap::{Args, Subcommand};
use lockstep_core::Capacity;
use lockstep_journal::snapshot::{SnapshotFile, SnapshotHeader, snapshot_name};
use lockstep_node::admin::access::AdminConfig;
use lockstep_node::admin::client::{AdminClient, ClientError};
use lockstep_node::admin::protocol::{Command, ShowSnapshot, SnapshotState, SnapshotView};
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::snapshot::{LoadedSnapshot, Unusable, load, take};
use lockstep_record::event::NullSink;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks at what became of a snapshot.
const POLL: Duration = Duration::from_millis(20);

#[derive(Subcommand)]
pub enum SnapshotCommand {
    /// Every snapshot by its header
    List(FolderArguments),
    /// Load every snapshot, or one: each byte, the state hash, the place in the log
    Verify(VerifyArguments),
    /// What one snapshot holds
    Show(ShowArguments),
    /// Take a snapshot of all that is committed: by the running node's agent, if it has one and lets this user,
    /// else in this process; trading is not disturbed
    Take(TakeArguments),
}

#[derive(Args)]
pub struct FolderArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

#[derive(Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Only the snapshot behind this batch
    #[arg(long)]
    index: Option<u64>,
    /// Replay the log up to each, and compare the states' hashes
    #[arg(long)]
    replay: bool,
}

#[derive(Args)]
pub struct TakeArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// The node's admin socket, if not at its default place
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// In this process, whatever the node could do
    #[arg(long, conflicts_with = "socket")]
    here: bool,
}

#[derive(Args)]
pub struct ShowArguments {
    #[command(flatten)]
    folder: FolderArguments,
    /// Behind which batch; default: the newest
    #[arg(long)]
    index: Option<u64>,
}

pub fn run(command: &SnapshotCommand) -> Result<(), Fatal> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let result = match command {
        SnapshotCommand::List(arguments) => list(arguments, &mut out),
        SnapshotCommand::Verify(arguments) => verify(arguments, &mut out),
        SnapshotCommand::Show(arguments) => show(arguments, &mut out),
        SnapshotCommand::Take(arguments) => take_one(arguments, &mut out),
    };
    let flushed = out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => Ok(()),
        Err(failure) => failure.into_fatal(),
    }
}

fn open(arguments: &FolderArguments) -> Result<Opened, Failure> {
    folder::open(&arguments.directory, arguments.log_buffer.as_deref())
}

fn header_json(header: &SnapshotHeader) -> Value {
    let (facts, tail) = (&header.facts, &header.facts.tail);
    json!({
        "index": tail.index,
        "sequence": tail.next_sequence - 1,
        "term": tail.term,
        "time": Utc(tail.timestamp).to_string(),
        "time_ns": tail.timestamp,
        "bytes": header.file_length,
        "state_hash": hex(&facts.state_hash),
        "digest": format!("{:016x}", facts.digest),
        "engine_version": facts.engine_version,
        "image_version": facts.image_version,
        "feature_set_version": facts.feature_set_version,
        "day_opened_by": (facts.stream_index != 0).then_some(facts.stream_index),
        "position": tail.position.0,
    })
}

fn list(arguments: &FolderArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = open(arguments)?;
    let mut rows = Vec::new();
    for seen in &opened.snapshots {
        let file = SnapshotFile::open(&opened.storage, seen.index, opened.meta.cluster_id);
        rows.push((seen.index, file.map(|file| file.header().clone())));
    }
    if arguments.json {
        let rows = rows.iter().map(|(index, header)| match header {
            Ok(header) => header_json(header),
            Err(error) => json!({ "index": index, "unusable": error.to_string() }),
        });
        writeln!(out, "{}", json!({ "snapshots": rows.collect::<Vec<_>>() }))?;
        return Ok(());
    }
    writeln!(
        out,
        "{:>12} {:>12} {:<30} {:>12} {:<10} state hash",
        "index", "sequence", "time", "bytes", "version"
    )?;
    for (index, header) in &rows {
        match header {
            Ok(header) => writeln!(
                out,
                "{:>12} {:>12} {:<30} {:>12} {:<10} {}",
                index,
                header.facts.tail.next_sequence - 1,
                Utc(header.facts.tail.timestamp).to_string(),
                header.file_length,
                header.facts.engine_version,
                hex(&header.facts.state_hash)
            )?,
            Err(error) => writeln!(out, "{index:>12} unusable: {error}")?,
        }
    }
    Ok(())
}

fn load_one(opened: &Opened, index: u64) -> Result<LoadedSnapshot, Unusable> {
    let file = SnapshotFile::open(&opened.storage, index, opened.meta.cluster_id)?;
    load(&file, Capacity::default())
}

fn verify(arguments: &VerifyArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = open(&arguments.folder)?;
    let chosen = |index: &u64| arguments.index.is_none_or(|wanted| wanted == *index);
    let indices: Vec<u64> = opened.snapshots.iter().map(|seen| seen.index).collect();
    let indices: Vec<u64> = indices.into_iter().filter(chosen).collect();
    if let (Some(wanted), true) = (arguments.index, indices.is_empty()) {
        return Err(not_there(wanted));
    }
    let (mut rows, mut bad) = (Vec::new(), 0u64);
    for index in indices {
        let wrong = match load_one(&opened, index) {
            Err(unusable) => Some(unusable.to_string()),
            Ok(loaded) if arguments.replay => disagreement(&opened, &loaded)?,
            Ok(_) => None,
        };
        bad += u64::from(wrong.is_some());
        rows.push((index, wrong));
    }
    if arguments.folder.json {
        let rows = rows
            .iter()
            .map(|(index, wrong)| json!({ "index": index, "wrong": wrong }));
        writeln!(
            out,
            "{}",
            json!({ "snapshots": rows.collect::<Vec<_>>(), "bad": bad })
        )?;
    } else {
        for (index, wrong) in &rows {
            row(
                out,
                &snapshot_name(*index),
                wrong.as_deref().unwrap_or("good"),
            )?;
        }
    }
    match bad {
        0 => Ok(()),
        bad => {
            let what = format!("{bad} of {} snapshots do not serve", rows.len());
            Err(Failure::new(ExitCode::CheckFailed, what))
        }
    }
}

fn not_there(index: u64) -> Failure {
    let what = format!("there is no snapshot behind batch {index}");
    Failure::new(ExitCode::CheckFailed, what)
}

/// How the log's own state at that batch differs, if it does.
fn disagreement(opened: &Opened, loaded: &LoadedSnapshot) -> Result<Option<String>, Failure> {
    let extent = Extent {
        until_index: Some(loaded.header.facts.tail.index),
        ..Extent::default()
    };
    let (replayed, _) = replay(opened, &extent, NullSink)?;
    replayed.result(&extent)?;
    let hash = replayed.machine.state_hash();
    let same = hash == loaded.header.facts.state_hash
        && replayed.machine.last_index() == loaded.machine.last_index();
    Ok((!same).then(|| {
        format!(
            "a replay gives the state hash {} behind batch {}",
            hex(&hash),
            replayed.machine.last_index()
        )
    }))
}

fn show(arguments: &ShowArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = open(&arguments.folder)?;
    let newest = opened.snapshots.last().map(|seen| seen.index);
    let Some(index) = arguments.index.or(newest) else {
        let what = "the journal has no snapshot";
        return Err(Failure::new(ExitCode::CheckFailed, what));
    };
    if !opened.snapshots.iter().any(|seen| seen.index == index) {
        return Err(not_there(index));
    }
    let loaded = load_one(&opened, index)
        .map_err(|unusable| Failure::new(ExitCode::CheckFailed, unusable.to_string()))?;
    let (header, machine) = (&loaded.header, &loaded.machine);
    let sections = header.sections.iter().map(
        |section| json!({ "tag": section.tag, "offset": section.offset, "length": section.length }),
    );
    let mut object = header_json(header);
    object["sections"] = sections.collect::<Vec<_>>().into();
    object["open_orders"] = machine.open_order_count().into();
    object["sessions"] = machine.sessions().count().into();
    object["firms"] = machine.firms().count().into();
    object["instruments"] = machine.instruments().count().into();
    if arguments.folder.json {
        writeln!(out, "{object}")?;
        return Ok(());
    }
    let plain = object.as_object().into_iter().flatten();
    for (name, value) in plain.filter(|(name, _)| *name != "sections") {
        row(out, name, super::fields::word(value))?;
    }
    for section in &header.sections {
        let text = format!("offset {} length {}", section.offset, section.length);
        row(out, &format!("section {}", section.tag), text)?;
    }
    Ok(())
}

fn take_one(arguments: &TakeArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = open(&arguments.folder)?;
    let (header, by) = match by_the_node(&opened, arguments)? {
        Some(index) => {
            let file = SnapshotFile::open(&opened.storage, index, opened.meta.cluster_id);
            let file = file.map_err(|error| Failure::new(ExitCode::Io, error.to_string()))?;
            let new = opened.snapshots.iter().all(|seen| seen.index != index);
            (new.then(|| file.header().clone()), "node")
        }
        None => {
            let mut report = |line: &str| eprintln!("{line}");
            let log_buffer = arguments.folder.log_buffer.clone();
            let taken = take(&opened.storage, log_buffer, &mut report)?;
            (taken, "this process")
        }
    };
    if arguments.folder.json {
        let taken = header.as_ref().map(header_json);
        writeln!(out, "{}", json!({ "taken": taken, "by": by }))?;
        return Ok(());
    }
    match header {
        Some(header) => {
            let tail = &header.facts.tail;
            row(out, "taken", snapshot_name(tail.index))?;
            row(out, "by", by)?;
            row(out, "sequence", tail.next_sequence - 1)?;
            row(out, "bytes", header.file_length)?;
            row(out, "state hash", hex(&header.facts.state_hash))?;
        }
        None => row(out, "taken", "none: the newest one is of this moment")?,
    }
    Ok(())
}

/// Asks a running node's agent and waits for it; the index of its snapshot. `None`: nobody there to ask.
fn by_the_node(opened: &Opened, arguments: &TakeArguments) -> Result<Option<u64>, Failure> {
    if arguments.here || !opened.is_live() {
        return Ok(None);
    }
    let data = opened.folder.parent().unwrap_or(&opened.folder);
    let beside = || AdminConfig::default().socket_path(data);
    let path = arguments.socket.clone().unwrap_or_else(beside);
    let refused = |error: ClientError| Failure::new(ExitCode::CheckFailed, error.to_string());
    let named = arguments.socket.is_some();
    let mut client = match AdminClient::connect(&path) {
        Ok(client) => client,
        Err(error) if named => return Err(refused(error)),
        Err(_) => return Ok(None),
    };
    let mut view: SnapshotView = match client.ask(Command::TakeSnapshot, Some("snapshot take")) {
        Ok(view) => view,
        // It has no such agent, or this user may only read its files.
        Err(ClientError::Problem(_)) if !named => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    let ticket = view.ticket;
    loop {
        match view.state {
            SnapshotState::Taken => return Ok(Some(view.index)),
            SnapshotState::Failed => {
                let what = "the node's snapshot failed: its log says why";
                return Err(Failure::new(ExitCode::CheckFailed, what));
            }
            SnapshotState::Waiting => std::thread::sleep(POLL),
        }
        view = client
            .ask(Command::ShowSnapshot(ShowSnapshot { ticket }), None)
            .map_err(refused)?;
    }
}
