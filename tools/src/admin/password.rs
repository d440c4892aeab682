//! `lockstep admin hash-password`.

use lockstep_node::auth::{HashCost, hash_password};
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_wire::soup::Password;
use std::io::{BufRead, IsTerminal};

pub fn print_hash() -> Result<(), Fatal> {
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
