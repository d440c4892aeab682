//! The one binary: `serve`, `format`, `demo`, `journal …`, `bench …`, `admin …`, `counters`.
//!
//! Every command ends with a code of `ExitCode`; a fatal condition is printed once, here.

mod admin;
mod allocation;
mod journal;
mod serve;

use clap::{Parser, Subcommand};

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
    /// Look at a journal: inspect, verify, replay; never writes to it
    #[command(subcommand)]
    Journal(journal::JournalCommand),
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
        Command::Journal(c) => journal::run(&c),
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
