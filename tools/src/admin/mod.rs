//! `lockstep admin …`: the client of a node's admin socket; and `lockstep counters`.
//!
//! It prints tables for people or, with `--json`, what the node answered. A command that the state machine
//! refused ends with exit code 1.

mod auction;
mod command;
mod counters;
mod define;
mod password;
mod supervision;
mod table;

pub use counters::{CountersArguments, counters};

use clap::{Args, Subcommand};
use command::{Show, StateName};
use define::Define;
use lockstep_node::admin::client::{AdminClient, ClientError};
use lockstep_node::admin::protocol::{
    Command, Commanded, LEVELS_MAX, OpenDayOf, Problem, ProblemCode,
};
use lockstep_node::config::Config;
use lockstep_node::fatal::{ExitCode, Fatal};
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct AdminArguments {
    /// The node's configuration file, which says where its admin socket is
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The admin socket itself
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Print the node's answer as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Why; stands in the log beside your identity
    #[arg(long, value_name = "TEXT", global = true)]
    note: Option<String>,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Read a password from standard input, print the hash for `password_argon2id`
    HashPassword,
    /// Look at the node and its state
    #[command(subcommand)]
    Show(Show),
    /// Open today's trading day, or one that begins today and counts for another date
    OpenDay {
        /// YYYYMMDD, above the last day's
        #[arg(long)]
        date: Option<u32>,
    },
    /// Close the trading day: day orders are cancelled, streams end
    CloseDay,
    /// Halt an instrument, or all: no entry, no replacement; cancels work
    Halt(command::Which),
    /// Resume trading in an instrument, or all
    Resume(command::Which),
    /// Close an instrument, or all: as a halt, said as "closed"
    Close(command::Which),
    /// Set any trading state of an instrument, or of all; an auction's call then ends by a command
    SetState {
        state: StateName,
        #[command(flatten)]
        which: command::Which,
    },
    #[command(flatten)]
    Auction(auction::AuctionCommand),
    /// Define a firm, session or instrument, or change what is named of one
    #[command(subcommand)]
    Define(Box<Define>),
    #[command(flatten)]
    Supervise(supervision::Supervision),
    /// Compare the configuration file's definitions with the state; with --apply, put the difference through
    Reload {
        /// Put the difference through the log and take the passwords over
        #[arg(long)]
        apply: bool,
        /// Only show it (the default)
        #[arg(long, conflicts_with = "apply")]
        dry_run: bool,
    },
}

pub fn run(arguments: &AdminArguments) -> Result<(), Fatal> {
    let request = match &arguments.command {
        AdminCommand::HashPassword => return password::print_hash(),
        AdminCommand::Show(Show::Orders { session, count }) => {
            return show_orders(arguments, *session, *count);
        }
        AdminCommand::Show(Show::Book { symbol, levels }) if *levels > LEVELS_MAX => {
            return show_book(arguments, symbol, *levels);
        }
        AdminCommand::Show(show) => show.request(),
        AdminCommand::OpenDay { date: None } => Command::OpenDay,
        AdminCommand::OpenDay { date: Some(date) } => Command::OpenDayOf(OpenDayOf { date: *date }),
        AdminCommand::CloseDay => Command::CloseDay,
        AdminCommand::Halt(which) => which.request(command::HALTED)?,
        AdminCommand::Resume(which) => which.request(command::TRADING)?,
        AdminCommand::Close(which) => which.request(command::CLOSED)?,
        AdminCommand::SetState { state, which } => which.request(state.state())?,
        AdminCommand::Auction(auction) => auction.request()?,
        AdminCommand::Define(define) => define.request()?,
        AdminCommand::Supervise(supervision) => supervision.request()?,
        AdminCommand::Reload { apply, .. } => command::reload(*apply),
    };
    let is_view = matches!(arguments.command, AdminCommand::Show(_));
    let mut client = connect(arguments)?;
    let answer = ask(&mut client, request.clone(), arguments.note.as_deref())?;
    if is_view {
        return print(arguments, &answer, || table::view(&request, &answer));
    }
    let commanded: Commanded = read(&answer)?;
    print(arguments, &answer, || Ok(table::commanded(&commanded)))?;
    table::verdict(&commanded)
}

/// Page after page, so that no answer is large however many orders there are.
fn show_orders(arguments: &AdminArguments, session: u32, count: Option<u32>) -> Result<(), Fatal> {
    let mut client = connect(arguments)?;
    let orders = command::all_orders(session, count.unwrap_or(u32::MAX), |command| {
        read(&ask(&mut client, command, None)?)
    })?;
    let json = serde_json::json!({ "orders": orders });
    print(arguments, &json, || Ok(table::orders(&orders)))
}

/// Likewise: a book may have more levels than one answer holds.
fn show_book(arguments: &AdminArguments, symbol: &str, levels: u32) -> Result<(), Fatal> {
    let mut client = connect(arguments)?;
    let book = command::whole_book(symbol, levels, |command| {
        read(&ask(&mut client, command, None)?)
    })?;
    let json = serde_json::json!(book);
    print(arguments, &json, || Ok(table::book(&book)))
}

fn socket_path(arguments: &AdminArguments) -> Result<PathBuf, Fatal> {
    match (&arguments.socket, &arguments.config) {
        (Some(path), _) => Ok(path.clone()),
        (None, Some(file)) => {
            let config = Config::load(file)?;
            Ok(config.admin.socket_path(&config.data.directory))
        }
        (None, None) => {
            let what = "say which node: --config FILE or --socket PATH";
            Err(Fatal::new(ExitCode::Usage, what))
        }
    }
}

fn connect(arguments: &AdminArguments) -> Result<AdminClient, Fatal> {
    AdminClient::connect(&socket_path(arguments)?).map_err(|e| client_fatal(&e))
}

fn ask(
    client: &mut AdminClient,
    command: Command,
    note: Option<&str>,
) -> Result<serde_json::Value, Fatal> {
    client.ask_json(command, note).map_err(|e| client_fatal(&e))
}

fn read<T: serde::de::DeserializeOwned>(answer: &serde_json::Value) -> Result<T, Fatal> {
    serde::Deserialize::deserialize(answer)
        .map_err(|e| client_fatal(&ClientError::Answer(e.to_string())))
}

fn client_fatal(error: &ClientError) -> Fatal {
    let code = match error {
        ClientError::NoSocket(_) | ClientError::NotRunning(_) => ExitCode::NotRunning,
        ClientError::Forbidden(_) => ExitCode::NotPermitted,
        ClientError::Io { .. } => ExitCode::Io,
        ClientError::Answer(_) => ExitCode::NewerFormat,
        ClientError::Problem(problem) => problem_code(problem),
    };
    Fatal::new(code, format!("admin: {error}"))
}

fn problem_code(problem: &Problem) -> ExitCode {
    match problem.code {
        ProblemCode::NotPermitted => ExitCode::NotPermitted,
        ProblemCode::Malformed => ExitCode::Usage,
        ProblemCode::Version => ExitCode::NewerFormat,
        ProblemCode::Configuration => ExitCode::Configuration,
        ProblemCode::NotFound | ProblemCode::TimedOut | ProblemCode::Stopping => {
            ExitCode::CheckFailed
        }
    }
}

/// The answer as JSON, or as `human` makes it. A reader that has gone is no failure.
fn print(
    arguments: &AdminArguments,
    json: &serde_json::Value,
    human: impl FnOnce() -> Result<String, Fatal>,
) -> Result<(), Fatal> {
    let text = if arguments.json {
        format!("{json}\n")
    } else {
        human()?
    };
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}
