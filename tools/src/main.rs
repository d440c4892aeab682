//! The one binary: `serve`, `format`, `demo`, `journal …`, `bench …`, `admin …`, `counters`.
//!
//! Every command ends with a code of `ExitCode`; a fatal condition is printed once, here.

mod admin;
mod allocation;
mod demo;
mod journal;
mod serve;

use clap::{Parser, Subcommand};
use lockstep_node::fatal::{ExitCode, Fatal};

#[derive(Parser)]
#[command(name = "lockstep", version, about = "A low-latency exchange engine", max_term_width = 100)]
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
    /// Show the whole thing: a venue on loopback, load, SIGKILL, recovery, proof, latencies
    Demo(demo::DemoArguments),
    /// Look at, check and replay a journal
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Load generator, floors, market replay
    #[command(subcommand)]
    Bench(lockstep_bench::cli::BenchCommand),
    /// Operator's small helps
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Print the counters of a running or dead node
    Counters(admin::CountersArguments),
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Serve(a) => serve::serve(&a),
        Command::Format(a) => serve::format(&a),
        Command::Demo(a) => demo::demo(&a),
        Command::Journal(c) => journal::run(&c),
        Command::Bench(c) => lockstep_bench::cli::run(&c)
            .map_err(|e| Fatal::new(ExitCode::CheckFailed, e.to_string())),
        Command::Admin(c) => admin::run(&c),
        Command::Counters(a) => admin::counters(&a),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("lockstep: {fatal}");
            std::process::ExitCode::from(fatal.code as u8)
        }
    }
}
