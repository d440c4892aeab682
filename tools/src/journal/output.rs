//! Standard output of the journal tools: it may be a pipe whose reader has gone, which is no failure.

use lockstep_node::fatal::{ExitCode, Fatal};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Why a tool ends early.
#[derive(Debug)]
pub enum Failure {
    Fatal(Fatal),
    Output(io::Error),
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self::Fatal(Fatal::new(code, message))
    }

    /// A reader that has seen enough (`… | head`) ends the tool without a complaint.
    pub fn into_fatal(self) -> Result<(), Fatal> {
        match self {
            Self::Fatal(fatal) => Err(fatal),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Output(error) => {
                let what = format!("cannot write the output: {error}");
                Err(Fatal::new(ExitCode::Io, what))
            }
        }
    }
}

/// A line on standard error now and then, so that a long run is seen to live.
#[derive(Debug)]
pub struct Progress {
    verb: &'static str,
    begun: Instant,
    due: Instant,
    terminal: bool,
    printed: bool,
}

const FIRST_AFTER: Duration = Duration::from_secs(1);

impl Progress {
    pub fn new(verb: &'static str) -> Self {
        let begun = Instant::now();
        let terminal = io::stderr().is_terminal();
        let due = begun + FIRST_AFTER;
        Self {
            verb,
            begun,
            due,
            terminal,
            printed: false,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Call once a segment or a few thousand batches. `done` of `total` bytes.
    pub fn tick(&mut self, done: u64, total: u64, records: u64) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + Duration::from_secs(if self.terminal { 1 } else { 10 });
        self.printed = true;
        let end = if self.terminal { '\r' } else { '\n' };
        let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
        eprint!(
            "{} {} of {} MiB ({percent} %), {records} records{end}",
            self.verb,
            done >> 20,
            total >> 20
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.printed && self.terminal {
            eprintln!();
        }
    }
}

/// `count` a second, in whole numbers; 0 where no time has passed.
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    let per_second = u128::from(count) * 1_000_000_000;
    per_second
        .checked_div(elapsed.as_nanos())
        .and_then(|rate| u64::try_from(rate).ok())
        .unwrap_or(0)
}

/// `name: value` lines of a report, aligned.
pub fn row(out: &mut impl io::Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<18} {value}")
}
