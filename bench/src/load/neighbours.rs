//! Bad neighbours of the measured sessions: what they do to a venue while somebody else is measured.
//!
//! ```text
//! flooders         send as fast as the venue takes it, each with a deep window of unanswered requests
//! stalled readers  log in, send on, never read: first until the venue cannot send to them any more
//! login floods     connections that log in with a wrong password, again as soon as they are refused
//! ```
//! They share the generator's thread, for there may be no other core, so they must not blur what is
//! measured: a neighbour has a turn only while no measured request is unanswered or about to be due. A
//! flooder's window is deep enough to keep the venue busy meanwhile; if it runs low it is fed all the same, and
//! that is counted (`fed_beside`).

use super::entry;
use super::recorder::Recorder;
use super::run::{LoadError, LoadOptions, Pace, new_stream};
use super::session::Pending;
use super::stream::RequestStream;
use crate::client::connection::{Client, Listener, SessionEnd};
use crate::client::request::REQUEST_LENGTH_MAX;
use crate::measure::clock::Clock;
use lockstep_net::{AnyDriver, Limits};
use lockstep_record::StreamNumber;
use lockstep_wire::soup::Login;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A neighbour has no turn when a measured request is due earlier than this.
pub(super) const QUIET_NS: u64 = 40_000;
/// Requests of flooders in one turn.
const FLOOD_SENDS_MAX: usize = 32;
/// A flooder with fewer requests unanswered than this part of its window is fed at once.
const FLOOD_LOW_PART: usize = 4;
/// Requests that a stalled reader sends before the measured run: more answers than socket buffers hold.
pub const STALL_REQUESTS: usize = 150_000;
/// How long that may take.
const STALL_NS_MAX: u64 = 10_000_000_000;
/// Between two requests of a stalled reader after that.
const STALLED_INTERVAL_NS: u64 = 1_000_000;
/// How long the neighbours' last answers are waited for.
const LEAVE_NS_MAX: u64 = 10_000_000_000;
const WAIT: Duration = Duration::from_millis(1);

/// Who stands beside the measured sessions.
#[derive(Clone, Debug, Default)]
pub struct NeighbourOptions {
    pub flooders: Vec<Login>,
    /// Unanswered requests of each flooder.
    pub flood_window: usize,
    pub stalled_readers: Vec<Login>,
    /// Requests of each before anything is measured.
    pub stall_requests: usize,
    /// Connections that log in wrongly, at once.
    pub login_floods: usize,
    /// What they log in as.
    pub wrong_login: Option<Login>,
}

/// What the neighbours came to while they were beside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NeighbourCounts {
    pub flooders: usize,
    pub flood_window: usize,
    /// Answers to flooders a second, over the whole run.
    pub flood_answered_per_s: u64,
    pub stalled_readers: usize,
    pub stalled_sent: u64,
    pub login_floods: usize,
    /// Logins refused a second.
    pub logins_refused_per_s: u64,
    /// Turns of neighbours, and those of them while a measured request was unanswered.
    pub turns: u64,
    pub fed_beside: u64,
}

impl fmt::Display for NeighbourCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "beside:")?;
        if self.flooders > 0 {
            write!(
                f,
                " {} flooder(s) of window {}, {} answers/s ·",
                self.flooders, self.flood_window, self.flood_answered_per_s
            )?;
        }
        if self.stalled_readers > 0 {
            write!(
                f,
                " {} that never read, {} requests ·",
                self.stalled_readers, self.stalled_sent
            )?;
        }
        if self.login_floods > 0 {
            write!(
                f,
                " {} connections refused {} times/s ·",
                self.login_floods, self.logins_refused_per_s
            )?;
        }
        write!(
            f,
            " {} turns, {} of them while a measured request was unanswered",
            self.turns, self.fed_beside
        )
    }
}

impl NeighbourOptions {
    pub fn is_empty(&self) -> bool {
        self.flooders.is_empty() && self.stalled_readers.is_empty() && self.login_floods == 0
    }

    pub fn connections(&self) -> usize {
        self.flooders.len() + self.stalled_readers.len() + self.login_floods
    }
}

/// The neighbours of one run.
pub(super) struct Neighbours {
    crowds: Vec<Box<dyn Crowd>>,
    counts: NeighbourCounts,
    clock: Clock,
    began_ns: u64,
    next: usize,
}

/// One kind of neighbour.
trait Crowd {
    /// A short turn.
    fn turn(&mut self, now_ns: u64) -> Result<(), LoadError>;
    /// Cannot wait for a quiet moment.
    fn is_low(&self) -> bool {
        false
    }
    /// Leaves the venue as it was found, as far as that can be done.
    fn leave(&mut self) -> Result<(), LoadError>;
    fn count(&self, counts: &mut NeighbourCounts, elapsed_ns: u64);
}

impl Neighbours {
    /// Lets them in: when this returns flooders are logged in and stalled readers are stalled.
    pub(super) fn enter(
        options: &LoadOptions,
        neighbours: &NeighbourOptions,
    ) -> Result<Self, LoadError> {
        let mut crowds: Vec<Box<dyn Crowd>> = Vec::new();
        // In the order in which they would keep each other out.
        if !neighbours.stalled_readers.is_empty() {
            let set = Senders::enter(options, &neighbours.stalled_readers, 1 << 20)?;
            crowds.push(Box::new(Stalled::stall(set, neighbours.stall_requests)?));
        }
        if !neighbours.flooders.is_empty() {
            let window = neighbours.flood_window.max(1);
            let set = Senders::enter(options, &neighbours.flooders, window)?;
            crowds.push(Box::new(Flood {
                set,
                window,
                next: 0,
            }));
        }
        if neighbours.login_floods > 0 {
            let login = neighbours.wrong_login.ok_or(LoadError::Option {
                what: "login of a login flood",
                given: 0,
                legal: "one that the venue refuses",
            })?;
            let flood = LoginFlood::new(options, login, neighbours.login_floods)?;
            crowds.push(Box::new(flood));
        }
        let clock = Clock::start();
        Ok(Self {
            crowds,
            counts: NeighbourCounts {
                flooders: neighbours.flooders.len(),
                flood_window: neighbours.flood_window,
                stalled_readers: neighbours.stalled_readers.len(),
                login_floods: neighbours.login_floods,
                ..NeighbourCounts::default()
            },
            clock,
            began_ns: clock.now_ns(),
            next: 0,
        })
    }

    /// Called in every turn of the measured loop: `outstanding` measured requests, the next due in `ahead_ns`.
    #[inline]
    pub(super) fn turn(&mut self, outstanding: usize, ahead_ns: u64) -> Result<(), LoadError> {
        if ahead_ns < QUIET_NS {
            return Ok(());
        }
        self.next = (self.next + 1) % self.crowds.len().max(1);
        let Some(crowd) = self.crowds.get_mut(self.next) else {
            return Ok(());
        };
        if outstanding > 0 {
            if !crowd.is_low() {
                return Ok(());
            }
            self.counts.fed_beside += 1;
        }
        self.counts.turns += 1;
        crowd.turn(self.clock.now_ns())
    }

    pub(super) fn leave(mut self) -> Result<NeighbourCounts, LoadError> {
        let elapsed_ns = (self.clock.now_ns() - self.began_ns).max(1);
        for crowd in &self.crowds {
            crowd.count(&mut self.counts, elapsed_ns);
        }
        // Who keeps others out goes first.
        for crowd in self.crowds.iter_mut().rev() {
            crowd.leave()?;
        }
        Ok(self.counts)
    }
}

fn per_second(count: u64, elapsed_ns: u64) -> u64 {
    let scaled = u128::from(count) * 1_000_000_000 / u128::from(elapsed_ns);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Sessions that send requests of the run's mix.
struct Senders {
    client: Client<AnyDriver>,
    recorder: Recorder,
    streams: Vec<RequestStream>,
    held: Vec<Option<(Pending, [u8; REQUEST_LENGTH_MAX], usize)>>,
    sent: u64,
}

impl Senders {
    fn enter(options: &LoadOptions, logins: &[Login], window: usize) -> Result<Self, LoadError> {
        let mut client = new_client(options, logins.len())?;
        let mut recorder = Recorder::new(logins.len(), window, 0);
        entry::enter(&mut client, &mut recorder, logins, options.address)?;
        // Other seeds than the measured sessions'.
        let others = LoadOptions {
            seed: options.seed ^ 0x5EED_0F07,
            ..options.clone()
        };
        let streams = (0..logins.len())
            .map(|session| new_stream(&others, session, recorder.ready[session]))
            .collect();
        Ok(Self {
            client,
            recorder,
            streams,
            held: vec![None; logins.len()],
            sent: 0,
        })
    }

    /// Sends the session's next request; false if it cannot be sent now.
    fn send(&mut self, session: usize, now_ns: u64) -> bool {
        let stream = &mut self.streams[session];
        let (pending, message, length) = self.held[session].take().unwrap_or_else(|| {
            let mut message = [0; REQUEST_LENGTH_MAX];
            let written = stream.next(&mut message);
            let pending = Pending {
                class: written.class,
                user_ref: written.user_ref,
                due_ns: now_ns,
            };
            (pending, message, written.length)
        });
        if self
            .client
            .send(session, &message[..length], now_ns)
            .is_err()
        {
            self.held[session] = Some((pending, message, length));
            return false;
        }
        self.sent += 1;
        self.recorder.handle_sent(session, pending, now_ns);
        true
    }

    fn poll(&mut self) -> Result<usize, LoadError> {
        self.client.flush();
        let work = self.client.poll(&mut self.recorder);
        match self.recorder.ended() {
            Some((session, why)) => Err(LoadError::NeighbourEnded { session, why }),
            None => Ok(work),
        }
    }

    /// Cancels what rests. With `answered`, waits for every answer.
    fn clean_up(&mut self, answered: bool) -> Result<(), LoadError> {
        let clock = self.client.clock();
        let deadline_ns = clock.now_ns() + LEAVE_NS_MAX;
        let waits = |set: &Self| answered && set.recorder.outstanding() > 0;
        let mut message = [0; REQUEST_LENGTH_MAX];
        for session in 0..self.streams.len() {
            // A request that was written and never sent leaves an order that does not exist.
            self.held[session] = None;
            while clock.now_ns() < deadline_ns
                && let Some(written) = self.streams[session].next_clean_up(&mut message)
            {
                while waits(self) && clock.now_ns() < deadline_ns {
                    self.wait()?;
                }
                let now_ns = clock.now_ns();
                let sent = self
                    .client
                    .send(session, &message[..written.length], now_ns);
                if sent.is_err() {
                    self.wait()?;
                } else if answered {
                    let pending = Pending {
                        class: written.class,
                        user_ref: written.user_ref,
                        due_ns: now_ns,
                    };
                    self.recorder.handle_sent(session, pending, now_ns);
                }
            }
        }
        while waits(self) && clock.now_ns() < deadline_ns {
            self.wait()?;
        }
        for session in 0..self.streams.len() {
            self.client.log_out(session);
        }
        self.poll().map(drop)
    }

    fn wait(&mut self) -> Result<(), LoadError> {
        if self.poll()? == 0 {
            self.client.wait(WAIT);
        }
        Ok(())
    }
}

fn new_client(options: &LoadOptions, connections: usize) -> Result<Client<AnyDriver>, LoadError> {
    let limits = Limits {
        connections_max: connections.max(1) as u32,
        ..Limits::default()
    };
    let driver = AnyDriver::new(options.driver, &limits)?;
    Ok(Client::new(driver, Clock::start()))
}

/// Flooders.
struct Flood {
    set: Senders,
    window: usize,
    next: usize,
}

impl Crowd for Flood {
    fn turn(&mut self, _: u64) -> Result<(), LoadError> {
        let session = self.next;
        self.next = (session + 1) % self.set.streams.len();
        let now_ns = self.set.client.clock().now_ns();
        for _ in 0..FLOOD_SENDS_MAX {
            if !self.set.recorder.in_flight[session].has_room() || !self.set.send(session, now_ns) {
                break;
            }
        }
        self.set.poll().map(drop)
    }

    fn is_low(&self) -> bool {
        let all = self.window * self.set.streams.len();
        self.set.recorder.outstanding() < all / FLOOD_LOW_PART
    }

    fn leave(&mut self) -> Result<(), LoadError> {
        self.set.clean_up(true)
    }

    fn count(&self, counts: &mut NeighbourCounts, elapsed_ns: u64) {
        counts.flood_answered_per_s = per_second(self.set.recorder.counts.answered, elapsed_ns);
    }
}

/// Sessions that do not read.
struct Stalled {
    set: Senders,
    due_ns: u64,
}

impl Stalled {
    fn stall(mut set: Senders, requests: usize) -> Result<Self, LoadError> {
        let clock = set.client.clock();
        let deadline_ns = clock.now_ns() + STALL_NS_MAX;
        for session in 0..set.streams.len() {
            set.client.pause_reading(session);
        }
        for session in 0..set.streams.len() {
            let mut left = requests;
            while left > 0 && clock.now_ns() < deadline_ns {
                if set.send(session, clock.now_ns()) {
                    left -= 1;
                } else {
                    set.wait()?;
                }
            }
        }
        Ok(Self { set, due_ns: 0 })
    }
}

impl Crowd for Stalled {
    fn turn(&mut self, _: u64) -> Result<(), LoadError> {
        let now_ns = self.set.client.clock().now_ns();
        if now_ns < self.due_ns {
            return Ok(());
        }
        self.due_ns = now_ns + STALLED_INTERVAL_NS;
        for session in 0..self.set.streams.len() {
            self.set.send(session, now_ns);
        }
        self.set.poll().map(drop)
    }

    fn leave(&mut self) -> Result<(), LoadError> {
        self.set.clean_up(false)
    }

    fn count(&self, counts: &mut NeighbourCounts, _: u64) {
        counts.stalled_sent = self.set.sent;
    }
}

/// Connections that are refused again and again.
struct LoginFlood {
    client: Client<AnyDriver>,
    address: SocketAddr,
    refused: Refused,
}

#[derive(Default)]
struct Refused {
    /// Sessions to connect again.
    again: Vec<usize>,
    count: u64,
}

impl Listener for Refused {
    fn logged_in(&mut self, _: usize, _: StreamNumber) {}

    fn answer(&mut self, _: usize, _: StreamNumber, _: &[u8], _: u64) {}

    fn ended(&mut self, session: usize, why: SessionEnd) {
        self.count += u64::from(matches!(why, SessionEnd::LoginRejected(_)));
        self.again.push(session);
    }
}

impl LoginFlood {
    fn new(options: &LoadOptions, login: Login, connections: usize) -> Result<Self, LoadError> {
        let mut client = new_client(options, connections)?;
        let again = (0..connections).map(|_| client.add(login)).collect();
        Ok(Self {
            client,
            address: options.address,
            refused: Refused { again, count: 0 },
        })
    }
}

impl Crowd for LoginFlood {
    /// One connection at most: making it is the dearest thing that a neighbour does.
    fn turn(&mut self, _: u64) -> Result<(), LoadError> {
        if let Some(session) = self.refused.again.pop() {
            self.client.connect(session, self.address)?;
        }
        self.client.flush();
        self.client.poll(&mut self.refused);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), LoadError> {
        for session in 0..self.client.session_count() {
            self.client.cut(session);
        }
        self.client.flush();
        self.client.poll(&mut self.refused);
        Ok(())
    }

    fn count(&self, counts: &mut NeighbourCounts, elapsed_ns: u64) {
        counts.logins_refused_per_s = per_second(self.refused.count, elapsed_ns);
    }
}

/// What the options may not be beside neighbours.
pub(super) fn check(options: &LoadOptions) -> Result<(), LoadError> {
    match options.pace {
        Pace::Rate { .. } => Ok(()),
        Pace::Window { requests } => Err(LoadError::Option {
            what: "window beside neighbours",
            given: requests as u64,
            legal: "an open loop (--rate)",
        }),
    }
}
