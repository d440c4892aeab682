//! `lockstep admin hash-password` and `lockstep counters`.

use clap::{Args, Subcommand};
use lockstep_node::auth::{HashCost, hash_password};
use lockstep_node::counters::read_counters;
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_wire::soup::Password;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Read a password from standard input, print the hash for `password_argon2id`
    HashPassword,
}

#[derive(Args)]
pub struct CountersArguments {
    /// The node's counters file (`counters` in its data directory)
    file: PathBuf,
    /// Print one JSON object, label to value
    #[arg(long)]
    json: bool,
}

pub fn run(command: &AdminCommand) -> Result<(), Fatal> {
    match command {
        AdminCommand::HashPassword => print_hash(),
    }
}

fn print_hash() -> Result<(), Fatal> {
    if std::io::stdin().is_terminal() {
        eprint!("password (up to 10 characters, case does not matter): ");
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| Fatal::new(ExitCode::Io, format!("standard input: {e}")))?;
    let usage = |e: String| Fatal::new(ExitCode::Usage, format!("password: {e}"));
    let password =
        Password::new(line.trim_end_matches(['\r', '\n'])).map_err(|e| usage(e.to_string()))?;
    println!(
        "{}",
        hash_password(&password, HashCost::DEFAULT).map_err(usage)?
    );
    Ok(())
}

pub fn counters(arguments: &CountersArguments) -> Result<(), Fatal> {
    let values = read_counters(&arguments.file).map_err(|e| {
        Fatal::new(
            ExitCode::Io,
            format!("counters {}: {e}", arguments.file.display()),
        )
    })?;
    if arguments.json {
        let object: serde_json::Map<_, _> = values
            .into_iter()
            .map(|c| (c.label, c.value.into()))
            .collect();
        println!("{}", serde_json::Value::Object(object));
    } else {
        for counter in values {
            println!("{:>20}  {}", counter.value, counter.label);
        }
    }
    Ok(())
}
