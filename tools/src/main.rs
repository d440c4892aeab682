//! The one binary: `serve`, `format`, `demo`, `journal …`, `bench …`, `admin …`, `doctor`,
//! `counters`.
//!
//! Every command ends with a code of `ExitCode`; a fatal condition is printed once, here.

mod admin;
mod allocation;
mod demo;
mod doctor;
mod journal;
mod serve;
mod snapshotter;

use clap::{Parser, Subcommand};
use lockstep_node::fatal::{ExitCode, Fatal};

#[derive(Parser)]
#[command(
    name = "lockstep",
    version,
    about = "A low-latency exchange engine",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a venue from a configuration file; SIGTERM stops it in order
    Serve(serve::ServeArguments),
    /// Make the journal folder that a configuration names, once
    Format(serve::FormatArguments),
    /// Load generator, floors, market replay
    #[command(subcommand)]
    Bench(Box<lockstep_bench::cli::BenchCommand>),
    /// Show it all: trade, kill the venue under load, restart, prove that nothing was lost
    Demo(demo::DemoArguments),
    /// Look at a journal, check it, take it apart, mend it
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// A journal's snapshots: list, verify, show, take
    #[command(subcommand)]
    Snapshot(journal::snapshots::SnapshotCommand),
    /// Look at a running node and command it, over its admin socket; hash passwords
    Admin(Box<admin::AdminArguments>),
    /// Is this host fit for low latency? Pass, warning or failure, and the command that mends it
    Doctor(doctor::DoctorArguments),
    /// Print the counters of a running or dead node
    Counters(admin::CountersArguments),
    /// Follow a journal and take snapshots of it, in a process of its own
    Snapshotter(snapshotter::SnapshotterArguments),
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve(a) => serve::serve(&a),
        Command::Format(a) => serve::format(&a),
        Command::Bench(c) => bench(&c),
        Command::Demo(a) => demo::run(&a),
        Command::Journal(c) => journal::run(&c),
        Command::Snapshot(c) => journal::snapshots::run(&c),
        Command::Admin(c) => admin::run(&c),
        Command::Doctor(a) => doctor::run(&a),
        Command::Counters(a) => admin::counters(&a),
        Command::Snapshotter(a) => snapshotter::run(&a),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("lockstep: {fatal}");
            std::process::ExitCode::from(fatal.code as u8)
        }
    }
}

fn bench(command: &lockstep_bench::cli::BenchCommand) -> Result<(), Fatal> {
    lockstep_bench::measure::cost::count_allocations_with(allocation::count);
    let failed = |what: String| Fatal::new(ExitCode::CheckFailed, what);
    match lockstep_bench::cli::run(command).map_err(|e| failed(format!("bench: {e}")))? {
        lockstep_bench::cli::Verdict::Good => Ok(()),
        lockstep_bench::cli::Verdict::Bad => {
            Err(failed("bench: the outcome is not good; see above".into()))
        }
    }
}
