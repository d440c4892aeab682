//! Tells the crate which commit it is built from (`unknown` without git) and for which processor.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The processor that rustc was told to build for; `baseline` without one.
fn target_cpu() -> String {
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut flags = flags.split('\u{1f}').rev();
    let named = flags.find_map(|flag| flag.trim_start_matches("-C").strip_prefix("target-cpu="));
    named.unwrap_or("baseline").to_owned()
}

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=LOCKSTEP_COMMIT={commit}");
    println!("cargo::rustc-env=LOCKSTEP_TARGET_CPU={}", target_cpu());
}
