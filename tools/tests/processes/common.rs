//! A venue for one test, and counters of it.

use crate::venue::{Ended, VenueFolder, VenuePlan, VenueProcess, format};
use lockstep_node::counters::{CounterId, read_counter};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// One sleeping thread: tests share two cores with each other.
pub const LAYOUT: &str = "[[thread]]\nidle = \"park\"\n\
    agents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]";

/// Two yielding threads, as a latency layout cuts the agents.
pub const TWO_THREADS: &str = "[[thread]]\nidle = \"yield\"\n\
    agents = [\"gateway\", \"sequencer\", \"consensus\", \"engine\"]\n\
    [[thread]]\nidle = \"park\"\nagents = [\"journal\", \"stream\"]";

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lockstep"))
}

/// Small bounds, so that a start costs little.
pub fn plan() -> VenuePlan {
    VenuePlan {
        // A temporary folder may be in memory; what needs a real disk says so itself.
        allow_volatile: true,
        more: LAYOUT.to_owned(),
        ..VenuePlan::default()
    }
}

/// A folder that goes with the test.
pub struct Fixture {
    _temporary: TempDir,
    pub folder: VenueFolder,
}

impl Fixture {
    /// A folder with a configuration and no journal.
    pub fn new(plan: VenuePlan) -> Self {
        let temporary = tempfile::tempdir().expect("temporary folder");
        Self::in_folder(temporary, plan)
    }

    pub fn in_folder(temporary: TempDir, plan: VenuePlan) -> Self {
        let folder = VenueFolder::create(temporary.path(), plan).expect("configuration");
        Self {
            _temporary: temporary,
            folder,
        }
    }

    /// With a new journal.
    pub fn formatted(plan: VenuePlan) -> Self {
        let fixture = Self::new(plan);
        format(binary(), &fixture.folder).expect("format");
        fixture
    }

    /// With a new journal and a venue that serves from it.
    pub fn serving(plan: VenuePlan) -> (Self, VenueProcess) {
        let fixture = Self::formatted(plan);
        let venue = fixture.start();
        (fixture, venue)
    }

    pub fn start(&self) -> VenueProcess {
        VenueProcess::start(binary(), &self.folder).expect("the venue listens")
    }

    /// Runs `serve`, which is to end by itself.
    pub fn serve_ends(&self) -> Ended {
        self.serve_ends_by(binary())
    }

    pub fn serve_ends_by(&self, binary: &Path) -> Ended {
        let venue = VenueProcess::spawn(binary, &self.folder, &[]).expect("a process");
        venue.ended(PATIENCE).expect("an end")
    }

    pub fn counter(&self, id: CounterId) -> u64 {
        read_counter(&self.folder.counters(), id).expect("counters file")
    }
}

/// Ended in order, with the clean stop in the journal.
pub fn stop_in_order(venue: VenueProcess) -> Ended {
    let ended = venue.stop().expect("an end");
    assert_eq!(ended.code(), Some(0), "log: {}", ended.log);
    assert!(
        ended.state().is_some(),
        "no state hash in {:?}",
        ended.lines
    );
    assert_eq!(
        ended.lines.last().map(String::as_str),
        Some("stopped in order")
    );
    ended
}

/// The end has this exit code, and its message names what an operator must know.
#[track_caller]
pub fn assert_end(ended: &Ended, code: i32, names: &[&str]) {
    assert_eq!(
        ended.code(),
        Some(code),
        "log: {} lines: {:?}",
        ended.log,
        ended.lines
    );
    for name in names {
        assert!(
            ended.log.contains(name),
            "the message should name {name:?}: {}",
            ended.log
        );
    }
}

pub fn run(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Waits until `done`, looking again and again.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number from the environment, for longer runs.
pub fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// A venue's segments that hold or will hold the log, in their order.
pub fn segments(folder: &VenueFolder) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder.journal()).expect("journal folder");
    let mut segments: Vec<_> = names
        .map(|entry| entry.expect("entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "segment")
        })
        .collect();
    segments.sort();
    segments
}
