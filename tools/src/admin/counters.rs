//! `lockstep counters`: a node's counters from its file, running or dead.

use clap::Args;
use lockstep_node::counters::read_counters;
use lockstep_node::fatal::{ExitCode, Fatal};
use std::path::PathBuf;

#[derive(Args)]
pub struct CountersArguments {
    /// The node's counters file (`counters` in its data directory)
    file: PathBuf,
    /// Print one JSON object, label to value
    #[arg(long)]
    json: bool,
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
