//! A venue in a child process: its folder, its start, its end. For the demo and for the tests.
//!
//! Whatever happens to the owner, the child is ended by its own id when the guard is dropped. It must never
//! signal any other process.

use lockstep_node::auth::{HashCost, hash_password};
use lockstep_node::signals;
use lockstep_wire::soup::{CredentialError, Login, Password};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long a start may take, recovery included.
pub const START_MAX: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
pub const STOP_MAX: Duration = Duration::from_secs(30);
/// Standard output kept: the last lines.
const LINES_MAX: usize = 4096;
/// Log text shown with an error, bytes from its end.
const LOG_TAIL_MAX: usize = 2000;
const PASSWORD_LENGTH: usize = 10;

/// What went wrong with the child.
#[derive(Debug, Error)]
pub enum VenueError {
    #[error("{what} {}: {error}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error("password: {0}")]
    Password(String),
    #[error("the venue ended with {status} before it listened; its log ends:\n{log}")]
    Ended { status: ExitStatus, log: String },
    #[error("the venue did not {what} within {} s; its log ends:\n{log}", at_most.as_secs())]
    TooSlow {
        what: &'static str,
        at_most: Duration,
        log: String,
    },
    #[error("the venue's process: {0}")]
    Process(#[from] io::Error),
}

/// What goes into the configuration.
#[derive(Clone, Debug)]
pub struct VenuePlan {
    /// `durable` or `local`.
    pub policy: &'static str,
    pub sessions: u32,
    pub symbols: Vec<String>,
    /// Tables of the configuration beside those written here: layout, bounds, day.
    pub more: String,
    /// Lines for `[network]`.
    pub network: String,
    pub allow_volatile: bool,
    pub segment_bytes: u64,
    pub log_buffer_bytes: u64,
    pub listen: String,
    /// Instead of a file `log-buffer` in the folder.
    pub log_buffer: Option<PathBuf>,
}

impl Default for VenuePlan {
    fn default() -> Self {
        Self {
            policy: "durable",
            sessions: 4,
            symbols: ["AAPL", "MSFT", "AMZN"].map(str::to_owned).into(),
            more: String::new(),
            network: String::new(),
            allow_volatile: false,
            segment_bytes: 8 << 20,
            log_buffer_bytes: 4 << 20,
            listen: "127.0.0.1:0".to_owned(),
            log_buffer: None,
        }
    }
}

/// A folder with a configuration. It is not removed here.
#[derive(Clone, Debug)]
pub struct VenueFolder {
    pub path: PathBuf,
    pub password: String,
    password_hash: String,
    pub plan: VenuePlan,
}

impl VenueFolder {
    /// Chooses a password and writes the configuration into the existing folder `path`.
    pub fn create(path: &Path, plan: VenuePlan) -> Result<Self, VenueError> {
        let password = random_password().map_err(file_error("/dev/urandom".as_ref(), "read"))?;
        let checked = Password::new(&password).map_err(|e| VenueError::Password(e.to_string()))?;
        let password_hash =
            hash_password(&checked, HashCost::CHEAP).map_err(VenueError::Password)?;
        let path = path.to_owned();
        let folder = Self {
            path,
            password,
            password_hash,
            plan,
        };
        folder.write_config()?;
        Ok(folder)
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("venue.toml")
    }

    /// `data.directory`.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }

    pub fn counters(&self) -> PathBuf {
        self.data().join("counters")
    }

    /// Standard error of every run, one behind the other.
    pub fn log(&self) -> PathBuf {
        self.path.join("serve.log")
    }

    /// Where the log buffer lies.
    pub fn log_buffer(&self) -> PathBuf {
        let log_buffer = self.plan.log_buffer.clone();
        log_buffer.unwrap_or_else(|| self.path.join("log-buffer"))
    }

    /// Writes the configuration as `plan` now is.
    pub fn write_config(&self) -> Result<(), VenueError> {
        fs::write(self.config(), self.text()).map_err(file_error(&self.config(), "write"))
    }

    pub fn user(session: u32) -> String {
        format!("T{session}")
    }

    /// Login of a session (from 1), from message `number`.
    pub fn login(&self, session: u32, number: u64) -> Result<Login, CredentialError> {
        Login::new(&Self::user(session), &self.password, number)
    }

    fn text(&self) -> String {
        let plan = &self.plan;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[data]\ndirectory = \"data\"\nlog_buffer = {log_buffer:?}\n\n\
             [acknowledge]\npolicy = \"{policy}\"\nallow_volatile = {volatile}\n\n\
             [network]\nlisten = \"{listen}\"\n{network}\n\n\
             [journal]\nsegment_bytes = {segment}\nlog_buffer_bytes = {ring}\n\n{more}\n\n\
             [[firm]]\nid = 1\ncode = \"DEMO\"\n",
            log_buffer = self.log_buffer().display().to_string(),
            policy = plan.policy,
            volatile = plan.allow_volatile,
            listen = plan.listen,
            network = plan.network,
            segment = plan.segment_bytes,
            ring = plan.log_buffer_bytes,
            more = plan.more,
        );
        for session in 1..=plan.sessions {
            let _ = write!(
                text,
                "\n[[session]]\nid = {session}\nuser = \"{user}\"\nfirm = \"DEMO\"\n\
                 password_argon2id = \"{hash}\"\n",
                user = Self::user(session),
                hash = self.password_hash,
            );
        }
        for (id, symbol) in (1..).zip(&plan.symbols) {
            let _ = write!(text, "\n[[instrument]]\nid = {id}\nsymbol = \"{symbol}\"\n");
        }
        text
    }
}

fn file_error(path: &Path, what: &'static str) -> impl Fn(io::Error) -> VenueError + use<> {
    let path = path.to_owned();
    move |error| VenueError::File {
        what,
        path: path.clone(),
        error,
    }
}

/// Letters and digits from the kernel; 32 of them, so that a byte gives each alike.
fn random_password() -> io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; PASSWORD_LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect())
}

/// What the child says on standard output.
type Lines = Arc<Mutex<Vec<String>>>;

fn lock(lines: &Lines) -> MutexGuard<'_, Vec<String>> {
    // A reader that panicked left whole lines behind.
    lines.lock().unwrap_or_else(|e| e.into_inner())
}

/// How a child ended, and what it had said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// Standard output of this run.
    pub lines: Vec<String>,
    /// Standard error of this run.
    pub log: String,
}

impl Ended {
    /// Exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Hash and sequence of the line `state hash … sequence …`.
    pub fn state(&self) -> Option<(String, u64)> {
        self.lines.iter().find_map(|line| {
            let (hash, sequence) = line.strip_prefix("state hash ")?.split_once(" sequence ")?;
            Some((hash.to_owned(), sequence.parse().ok()?))
        })
    }
}

/// The child.
#[derive(Debug)]
pub struct VenueProcess {
    child: Child,
    lines: Lines,
    reader: Option<JoinHandle<()>>,
    log: PathBuf,
    /// Where this run's part of the log begins.
    log_from: u64,
    /// `127.0.0.1:0` until it listens.
    pub address: SocketAddr,
    pub driver: String,
}

impl Drop for VenueProcess {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl VenueProcess {
    /// Runs `binary serve` and waits until it listens.
    pub fn start(binary: &Path, folder: &VenueFolder) -> Result<Self, VenueError> {
        let mut process = Self::spawn(binary, folder, &[])?;
        process.wait_listening()?;
        Ok(process)
    }

    /// Runs `binary serve` and does not wait.
    pub fn spawn(
        binary: &Path,
        folder: &VenueFolder,
        arguments: &[&str],
    ) -> Result<Self, VenueError> {
        let log = folder.log();
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.map_err(file_error(&log, "open"))?;
        let log_from = file.metadata().map_err(file_error(&log, "look at"))?.len();
        let mut child = Command::new(binary)
            .args(["serve", "--end-with-parent", "--config"])
            .arg(folder.config())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()?;
        let lines = Lines::default();
        let reader = child.stdout.take().map(|out| {
            let sink = Arc::clone(&lines);
            std::thread::spawn(move || collect(out, &sink))
        });
        Ok(Self {
            child,
            lines,
            reader,
            log,
            log_from,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            driver: String::new(),
        })
    }

    /// Waits for `listening on ADDRESS driver DRIVER`.
    pub fn wait_listening(&mut self) -> Result<(), VenueError> {
        let until = Instant::now() + START_MAX;
        loop {
            if let Some((address, driver)) = self.lines().iter().find_map(|l| listening(l)) {
                (self.address, self.driver) = (address, driver);
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(VenueError::Ended {
                    status,
                    log: self.log_tail(),
                });
            }
            if Instant::now() >= until {
                return Err(self.too_slow("listen", START_MAX));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// SIGKILL, in the middle of whatever it does, and waits for its end.
    pub fn kill(mut self) -> Result<Ended, VenueError> {
        self.child.kill()?;
        self.wait_end(STOP_MAX)
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn stop(mut self) -> Result<Ended, VenueError> {
        signals::terminate(self.child.id())?;
        self.wait_end(STOP_MAX)
    }

    /// Waits for an end that it finds by itself.
    pub fn ended(mut self, at_most: Duration) -> Result<Ended, VenueError> {
        self.wait_end(at_most)
    }

    pub fn is_running(&mut self) -> Result<bool, VenueError> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn wait_end(&mut self, at_most: Duration) -> Result<Ended, VenueError> {
        let until = Instant::now() + at_most;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= until {
                return Err(self.too_slow("end", at_most));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // The pipe ends with the process; then all lines are there.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        Ok(Ended {
            status,
            lines: self.lines(),
            log: self.log_tail(),
        })
    }

    fn too_slow(&self, what: &'static str, at_most: Duration) -> VenueError {
        VenueError::TooSlow {
            what,
            at_most,
            log: self.log_tail(),
        }
    }

    /// This run's standard error, from its end.
    pub fn log_tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(0).min(bytes.len());
        let from = from.max(bytes.len().saturating_sub(LOG_TAIL_MAX));
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }
}

fn collect(out: impl Read, lines: &Lines) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let mut lines = lock(lines);
        if lines.len() == LINES_MAX {
            lines.remove(0);
        }
        lines.push(line);
    }
}

fn listening(line: &str) -> Option<(SocketAddr, String)> {
    let (address, driver) = line.strip_prefix("listening on ")?.split_once(" driver ")?;
    Some((address.parse().ok()?, driver.to_owned()))
}

/// `binary format` for a folder's configuration.
pub fn format(binary: &Path, folder: &VenueFolder) -> Result<(), VenueError> {
    let output = Command::new(binary)
        .args(["format", "--config"])
        .arg(folder.config())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(VenueError::Ended {
        status: output.status,
        log,
    })
}
