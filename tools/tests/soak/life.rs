//! Lives of one venue: a process each, with a policy, a layout and a driver of its own.

use crate::binary;
use crate::venue::{VenueFolder, VenuePlan, VenueProcess, format};
use lockstep_bench::random::Random;
use lockstep_net::probe;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Never spinning: tests share two cores.
const LAYOUTS: [(&str, &str); 4] = [
    (
        "one thread",
        "[[thread]]\nidle = \"park\"\n\
         agents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]",
    ),
    (
        "files apart",
        "[[thread]]\nidle = \"yield\"\nagents = [\"gateway\", \"sequencer\", \"consensus\", \"engine\"]\n\
         [[thread]]\nidle = \"park\"\nagents = [\"journal\", \"stream\"]",
    ),
    (
        "gateway apart",
        "[[thread]]\nidle = \"yield\"\nagents = [\"gateway\"]\n[[thread]]\nidle = \"park\"\n\
         agents = [\"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]",
    ),
    (
        "a thread each",
        "[[thread]]\nidle = \"park\"\nagents = [\"gateway\"]\n[[thread]]\nidle = \"park\"\nagents = [\"sequencer\"]\n\
         [[thread]]\nidle = \"park\"\nagents = [\"consensus\"]\n[[thread]]\nidle = \"park\"\nagents = [\"journal\"]\n\
         [[thread]]\nidle = \"park\"\nagents = [\"engine\"]\n[[thread]]\nidle = \"park\"\nagents = [\"stream\"]",
    ),
];
/// The operator opens and closes days; small segments, so that a soak crosses many.
const DAY: &str = "[day]\nopening = \"operator\"\n";
/// Dates of the days, in January of a year before any clock's; the log asks only that they rise.
const FIRST_DATE: u32 = 20_200_101;

/// A venue's folder, and what its lives were.
pub struct Venues {
    pub folder: VenueFolder,
    lives: Vec<String>,
    last_state: Option<(String, u64)>,
    has_io_uring: bool,
    _temporary: TempDir,
}

impl Venues {
    pub fn new(sessions: u32) -> Self {
        let temporary = tempfile::tempdir().expect("temporary folder");
        let plan = VenuePlan {
            allow_volatile: true,
            sessions,
            segment_bytes: 4 << 20,
            log_buffer_bytes: 4 << 20,
            more: format!("{}\n{DAY}", LAYOUTS[0].1),
            ..VenuePlan::default()
        };
        let folder = VenueFolder::create(temporary.path(), plan).expect("configuration");
        format(binary(), &folder).expect("format");
        Self {
            folder,
            lives: Vec::new(),
            last_state: None,
            has_io_uring: probe().io_uring.is_ok(),
            _temporary: temporary,
        }
    }

    /// Starts another life, as the random numbers have it.
    pub fn start(&mut self, random: &mut Random) -> Life {
        let policy = if random.chance(500) {
            "durable"
        } else {
            "local"
        };
        let (layout, threads) = LAYOUTS[random.below(LAYOUTS.len() as u64) as usize];
        let driver = if self.has_io_uring && random.chance(500) {
            "io_uring"
        } else {
            "epoll"
        };
        self.folder.plan.policy = policy;
        self.folder.plan.more = format!("{threads}\n{DAY}");
        self.folder.plan.network = format!("driver = \"{driver}\"\nsend_buffer_bytes = 16384");
        self.folder.write_config().expect("configuration");
        self.lives.push(format!("{policy} {layout} {driver}"));
        let process = VenueProcess::start(binary(), &self.folder).expect("the venue listens");
        Life {
            process,
            config: self.folder.config(),
        }
    }

    /// An orderly stop.
    pub fn stop(&mut self, life: Life) {
        let ended = life.process.stop().expect("an end");
        assert_eq!(ended.code(), Some(0), "log: {}", ended.log);
        self.last_state = ended.state();
    }

    /// Hash and sequence that the last orderly stop printed.
    pub fn last_state(&self) -> Option<(String, u64)> {
        self.last_state.clone()
    }

    pub fn described(&self) -> String {
        self.lives.join(", ")
    }
}

/// One process.
pub struct Life {
    process: VenueProcess,
    config: PathBuf,
}

impl Life {
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    pub fn kill(self) {
        self.process.kill().expect("an end");
    }

    pub fn open_day(&self, day: u32) {
        let date = (FIRST_DATE + day).to_string();
        self.admin(&["open-day", "--date", &date]);
    }

    pub fn close_day(&self) {
        self.admin(&["close-day"]);
    }

    fn admin(&self, arguments: &[&str]) {
        let output = Command::new(binary())
            .args(["admin", "--config"])
            .arg(&self.config)
            .args(arguments)
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
