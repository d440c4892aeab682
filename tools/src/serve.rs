//! `lockstep serve` and `lockstep format`.

use clap::Args;
use lockstep_node::config::Config;
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::node::{self, Node, NodeOptions};
use lockstep_node::signals;
use lockstep_node::status::hash_text;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
pub struct ServeArguments {
    /// Configuration file (TOML; docs/configuration.md lists every key)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration, print it with all defaults, and exit
    #[arg(long)]
    check_config: bool,
    /// Make the journal folder if it does not exist (never in an existing one)
    #[arg(long)]
    format: bool,
    /// End at once, as by SIGKILL, when the process that started this one ends
    #[arg(long)]
    end_with_parent: bool,
}

#[derive(Args)]
pub struct FormatArguments {
    /// Configuration file that names the folder and the segment length
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Standard output may be a pipe whose reader has gone; that must not stop a venue.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// As release builds do by themselves: a failed assertion is our bug, and a venue that has lost a thread
/// must not go on half alive.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

pub fn format(arguments: &FormatArguments) -> Result<(), Fatal> {
    let config = Config::load(&arguments.config)?;
    let folder = node::format_journal(&config)?;
    say(&format!("made the journal {}", folder.display()));
    Ok(())
}

pub fn serve(arguments: &ServeArguments) -> Result<(), Fatal> {
    let config = Config::load(&arguments.config)?;
    say(&format!(
        "# effective configuration\n{}",
        config.effective()
    ));
    if arguments.check_config {
        return Ok(());
    }
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second initialisation cannot happen in a process that serves once.
    let _ = log.try_init();
    abort_on_panic();
    signals::install().map_err(|e| Fatal::new(ExitCode::Setup, format!("signal handlers: {e}")))?;
    if arguments.end_with_parent {
        signals::end_with_parent()
            .map_err(|e| Fatal::new(ExitCode::Setup, format!("parent's end: {e}")))?;
    }
    if arguments.format && !node::journal_folder(&config).exists() {
        node::format_journal(&config)?;
    }
    let options = NodeOptions {
        allocation_count: Some(crate::allocation::count),
        report: say,
    };
    let node = Node::start(&config, &options)?;
    let mut listening = false;
    while !signals::stop_requested() && !node.has_stopped() {
        if !listening && let Some((address, driver)) = node.listening() {
            listening = true;
            say(&format!("listening on {address} driver {driver}"));
        }
        std::thread::sleep(Duration::from_millis(if listening { 20 } else { 1 }));
    }
    if let Some(state) = node.stop()? {
        say(&format!(
            "state hash {} sequence {}",
            hash_text(&state.hash),
            state.sequence.0
        ));
    }
    say("stopped in order");
    Ok(())
}
