//! The admin socket: connections, roles, frames. One thread, nothing blocks, everything is bounded.
//!
//! One request is carried out at a time: commands of two operators never interleave. A peer that does not
//! read gets no further request looked at, and a silent one is closed.

use super::access::{AdminConfig, Peer, Role, SOCKET_PATH_MAX};
use super::desk::Inquiries;
use super::frame::{ANSWER_LENGTH_MAX, FrameReader, REQUEST_LENGTH_MAX, write_frame};
use super::os::{self, Interests};
use super::protocol::{Answer, NOTE_LENGTH_MAX, Outcome, Problem, ProblemCode, Request, VERSION};
use super::submit::Submitter;
use crate::auth::Passwords;
use crate::config::Config;
use crate::fatal::{ExitCode, Fatal};
use crate::operator::Schedule;
use crate::snapshot::SnapshotRequest;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections at once; more wait in the listener's queue.
pub const CONNECTIONS_MAX: usize = 8;
/// A connection without a request for so long is closed, so that nobody is kept out.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Bytes read from a connection at once.
const READ_BYTES: usize = 16 << 10;

/// What commands are carried out with. Owned by the operator's thread.
#[derive(Debug)]
pub struct Office {
    pub config: Config,
    pub inquiries: Arc<Inquiries>,
    pub submitter: Submitter,
    pub schedule: Schedule,
    pub passwords: Passwords,
    /// `None`: no agent takes snapshots.
    pub snapshots: Option<Arc<SnapshotRequest>>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    peer: Peer,
    role: Option<Role>,
    reader: FrameReader,
    out: Vec<u8>,
    sent: usize,
    /// Nothing more is read; closed once `out` has been sent.
    ending: bool,
    last_active: Instant,
}

/// The listener and its connections.
#[derive(Debug)]
pub struct AdminServer {
    listener: UnixListener,
    path: PathBuf,
    access: AdminConfig,
    owner: u32,
    connections: Vec<Connection>,
    interests: Interests,
}

fn setup(path: &Path, what: impl std::fmt::Display) -> Fatal {
    Fatal::new(
        ExitCode::Setup,
        format!("admin socket {}: {what}", path.display()),
    )
}

impl AdminServer {
    /// Binds the socket of a configuration, if it is to be served. `Err` of a text: not served, and why.
    pub fn bind(config: &Config) -> Result<Result<Self, String>, Fatal> {
        let access = config.admin.clone();
        let path = access.socket_path(&config.data.directory);
        if !access.enabled {
            return Ok(Err("admin socket: disabled by the configuration".into()));
        }
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            let what = format!(
                "admin socket {}: longer than {SOCKET_PATH_MAX} bytes; set `admin.socket` to a shorter path",
                path.display()
            );
            return match access.socket {
                Some(_) => Err(Fatal::new(ExitCode::Configuration, what)),
                None => Ok(Err(what)),
            };
        }
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path).map_err(|e| setup(&path, e))?;
        listener
            .set_nonblocking(true)
            .map_err(|e| setup(&path, e))?;
        // Who connects is checked in any case; a private socket is not even to be connected to.
        let mode = if access.is_private() { 0o600 } else { 0o666 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(|e| setup(&path, e))?;
        Ok(Ok(Self {
            listener,
            path,
            access,
            owner: os::own_uid(),
            connections: Vec::with_capacity(CONNECTIONS_MAX),
            interests: Interests::with_capacity(CONNECTIONS_MAX + 1),
        }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for something to do, at most `timeout`, and does it.
    pub fn poll(&mut self, timeout: Duration, office: &mut Office) {
        self.interests.clear();
        for c in &self.connections {
            self.interests
                .push(c.stream.as_raw_fd(), c.sent < c.out.len());
        }
        if self.connections.len() < CONNECTIONS_MAX {
            self.interests.push(self.listener.as_raw_fd(), false);
        }
        self.interests.wait(timeout);
        for (i, connection) in self.connections.iter_mut().enumerate() {
            if self.interests.is_ready(i) && !connection.serve(office) {
                connection.ending = true;
                connection.out.clear();
                connection.sent = 0;
            }
        }
        let now = Instant::now();
        self.connections.retain(|c| !c.is_over(now));
        self.accept();
    }

    fn accept(&mut self) {
        while self.connections.len() < CONNECTIONS_MAX {
            // Errors are of this one connection, or pass: the next round tries again.
            let Ok((stream, _)) = self.listener.accept() else {
                return;
            };
            let Ok(peer) = os::peer_of(&stream) else {
                continue;
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let role = self.access.role(&peer, self.owner);
            self.connections.push(Connection {
                stream,
                peer,
                role,
                reader: FrameReader::new(REQUEST_LENGTH_MAX),
                out: Vec::new(),
                sent: 0,
                ending: false,
                last_active: Instant::now(),
            });
        }
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        // The next start would find it stale and remove it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket that no process listens on any more; refuses anything else that is in the way.
fn remove_stale(path: &Path) -> Result<(), Fatal> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(setup(path, "something that is no socket is in its place"));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(setup(path, "another process listens on it"));
    }
    fs::remove_file(path).map_err(|e| setup(path, e))
}

impl Connection {
    fn is_over(&self, now: Instant) -> bool {
        let sent = self.sent == self.out.len();
        self.ending && sent || now.duration_since(self.last_active) > IDLE_MAX
    }

    /// Sends what waits, then takes what came; false: it is gone. At most one read: the schedule and the
    /// other peers have their turn.
    fn serve(&mut self, office: &mut Office) -> bool {
        if !self.send() {
            return false;
        }
        // What was left while the peer did not read.
        self.take_requests(office);
        if self.out.is_empty() && !self.ending {
            let mut bytes = [0; READ_BYTES];
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(length) => self.reader.push(&bytes[..length]),
                Err(e) if is_passing(&e) => {}
                Err(_) => return false,
            }
            self.last_active = Instant::now();
            self.take_requests(office);
        }
        self.send()
    }

    /// Carries out whole requests, one after another, until an answer waits to be read.
    fn take_requests(&mut self, office: &mut Office) {
        while !self.ending && self.send() && self.out.is_empty() {
            let content = match self.reader.next_frame() {
                Ok(Some(content)) => content,
                Ok(None) => return,
                Err(too_long) => {
                    let problem = Problem::new(ProblemCode::Malformed, too_long.to_string());
                    self.answer(0, Outcome::Error(problem));
                    self.ending = true;
                    return;
                }
            };
            let (id, outcome) = match self.admit(&content) {
                Ok((request, identity)) => {
                    (request.id, office.execute(&request.command, &identity))
                }
                Err((id, problem)) => (id, Outcome::Error(problem)),
            };
            self.answer(id, outcome);
            self.last_active = Instant::now();
        }
    }

    /// The request and who gives it, if he may.
    fn admit(&self, content: &[u8]) -> Result<(Request, String), (u64, Problem)> {
        let malformed = |what: String| Problem::new(ProblemCode::Malformed, what);
        let request = Request::parse(content)?;
        let allowed = match self.role {
            None => false,
            Some(Role::View) => request.command.is_view(),
            Some(Role::Operate) => true,
        };
        if !allowed {
            let what = format!(
                "user {} may not do that; `[admin]` of the configuration lists who may",
                self.peer.uid
            );
            return Err((request.id, Problem::new(ProblemCode::NotPermitted, what)));
        }
        let identity = identity(&self.peer, request.note.as_deref())
            .map_err(|what| (request.id, malformed(what)))?;
        Ok((request, identity))
    }

    fn answer(&mut self, id: u64, outcome: Outcome) {
        let answer = |outcome| Answer {
            version: VERSION,
            id,
            outcome,
        };
        let mut content = serde_json::to_vec(&answer(outcome)).unwrap_or_default();
        if content.is_empty() || content.len() > ANSWER_LENGTH_MAX {
            let what = format!("the answer is longer than {ANSWER_LENGTH_MAX} bytes");
            let problem = Problem::new(ProblemCode::Malformed, what);
            content = serde_json::to_vec(&answer(Outcome::Error(problem))).unwrap_or_default();
        }
        write_frame(&mut self.out, &content);
    }

    /// False if the peer is gone.
    fn send(&mut self) -> bool {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return false,
                Ok(length) => self.sent += length,
                Err(e) if is_passing(&e) => return true,
                Err(_) => return false,
            }
        }
        self.out.clear();
        self.sent = 0;
        true
    }
}

/// An error that says "later".
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Who gave a command, as it stands in the log: what the kernel says, then what he says.
fn identity(peer: &Peer, note: Option<&str>) -> Result<String, String> {
    let mut identity = format!("uid {} pid {}", peer.uid, peer.pid);
    if let Some(note) = note {
        if note.len() > NOTE_LENGTH_MAX || note.chars().any(char::is_control) {
            return Err(format!(
                "note: at most {NOTE_LENGTH_MAX} bytes, no control characters"
            ));
        }
        identity.push_str(": ");
        identity.push_str(note);
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path, more: &str) -> Config {
        let text = format!(
            "[data]\ndirectory = {:?}\n[network]\nlisten = \"127.0.0.1:0\"\n{more}",
            folder
        );
        Config::parse(&text).unwrap()
    }

    #[test]
    fn a_stale_socket_is_replaced_and_anything_else_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "");
        let path = config.admin.socket_path(folder.path());
        drop(UnixListener::bind(&path).unwrap());
        let server = AdminServer::bind(&config).unwrap().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let taken = AdminServer::bind(&config).unwrap_err();
        assert!(taken.message.contains("another process"), "{taken}");
        drop(server);
        assert!(!path.exists(), "it goes with its server");
        fs::write(&path, "mine").unwrap();
        let refused = AdminServer::bind(&config).unwrap_err();
        assert!(refused.message.contains("no socket"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    /// A deep data directory must not keep a venue from starting; a path somebody asked for must not be
    /// ignored.
    #[test]
    fn a_path_too_long_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        assert!(AdminServer::bind(&config(&deep, "")).unwrap().is_err());
        let asked = format!("[admin]\nsocket = {deep:?}");
        let refused = AdminServer::bind(&config(folder.path(), &asked)).unwrap_err();
        assert_eq!(refused.code, ExitCode::Configuration);
        let off = config(folder.path(), "[admin]\nenabled = false");
        assert!(AdminServer::bind(&off).unwrap().is_err());
    }

    #[test]
    fn who_says_what_stands_in_one_line() {
        let peer = Peer {
            pid: 3,
            uid: 4,
            gids: vec![],
        };
        assert_eq!(identity(&peer, None).unwrap(), "uid 4 pid 3");
        assert_eq!(
            identity(&peer, Some("fat finger")).unwrap(),
            "uid 4 pid 3: fat finger"
        );
        assert!(identity(&peer, Some("two\nlines")).is_err());
        assert!(identity(&peer, Some(&"x".repeat(NOTE_LENGTH_MAX + 1))).is_err());
    }
}
