//! The loop of a load run, on the calling thread.
//!
//! Open loop: request *i* of a run is due at `start + i / rate`, whatever the venue does. Closed loop:
//! a session sends when fewer than `window` of its requests are unanswered, and is due when it sends.

use super::entry;
use super::idle::IdleSessions;
use super::neighbours::{self, NeighbourOptions, Neighbours};
use super::recorder::{Ready, Recorder, Span};
use super::report::{LoadOutcome, LoadReport, Observed};
use super::schedule::{Profile, Schedule};
use super::server::{ServerReport, ServerWatch};
use super::session::Pending;
use super::stream::{Market, Mix, RequestStream};
use super::threads::ThreadWatch;
use crate::client::connection::{Client, SESSIONS_MAX, SendError, SessionEnd};
use crate::client::request::REQUEST_LENGTH_MAX;
use crate::measure::clock::Clock;
use crate::measure::setting::Setting;
use crate::measure::thread::{Idle, PinError, describe, pin};
use crate::random::Random;
use lockstep_net::{AnyDriver, Driver, DriverKind, Limits, NetError};
use lockstep_wire::soup::Login;
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Requests sent before answers are looked at again: in a closed loop …
const SENDS_PER_TURN_MAX: usize = 32;
/// … and in an open one that has fallen behind: a turn costs as much for each session that sends as some ten
/// requests do, so with few requests a turn the generator, not the venue, would set the limit.
const OPEN_SENDS_PER_TURN_MAX: usize = 256;
/// How long a run waits for the last answers.
const DRAIN_NS_MAX: u64 = 5_000_000_000;
/// Between the last login and the first request.
const LEAD_IN_NS: u64 = 2_000_000;
/// The venue's threads are looked at this long before the measured span.
const LOOK_AHEAD_NS: u64 = 1_000_000;
/// Cancels in flight while cleaning up.
const CLEAN_UP_WINDOW: usize = 256;
/// Sleep of a parked generator at most.
const PARK_MAX: Duration = Duration::from_millis(1);
/// Bounds of the options.
pub const RATE_PER_S_MAX: u64 = 50_000_000;
pub const IN_FLIGHT_MAX: usize = 1 << 20;

/// When requests are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Open loop: so many requests a second over all sessions, spread by `LoadOptions::profile`.
    Rate { per_s: u64 },
    /// Closed loop: so many requests of each session unanswered.
    Window { requests: usize },
}

/// What to do.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    pub address: SocketAddr,
    pub driver: DriverKind,
    /// Sessions that send; at least one.
    pub logins: Vec<Login>,
    /// Sessions that are logged in and exchange heartbeats only.
    pub idle_logins: Vec<Login>,
    /// Session *i* trades in market *i* modulo their number; at least one.
    pub markets: Vec<Market>,
    pub pace: Pace,
    pub profile: Profile,
    pub mix: Mix,
    pub seed: u64,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Unanswered requests of a session at most.
    pub in_flight_max: usize,
    /// Own resting orders of a session at most.
    pub resting_max: usize,
    pub core: Option<usize>,
    pub idle: Idle,
    /// Of the venue, for the report.
    pub policy: String,
    /// Of the venue, for the report.
    pub server_layout: String,
    /// The venue's counters file, to say beside the figures what it did.
    pub counters: Option<PathBuf>,
    /// The venue's process, whose threads are looked at before and after the measured span.
    pub venue_pid: Option<u32>,
}

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{what} is {given}; choose {legal}")]
    Option {
        what: &'static str,
        given: u64,
        legal: &'static str,
    },
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("session {session} (user {user}) ended: {why:?}; see the venue's log")]
    Ended {
        session: usize,
        user: String,
        why: SessionEnd,
    },
    #[error("neighbour {session} ended: {why:?}; see the venue's log")]
    NeighbourEnded { session: usize, why: SessionEnd },
    #[error(
        "the venue refused the first request of session {session} (user {user}) with reason {reason:#04x}: \
         is {symbol} one of its instruments, its day open, and the price within its limits?"
    )]
    Refused {
        session: usize,
        user: String,
        reason: u16,
        symbol: String,
    },
    #[error("the venue's counters: {0}")]
    Counters(io::Error),
    #[error("the venue's threads: {0}")]
    Threads(io::Error),
    #[error("{waiting} of {sessions} sessions were not logged in after 20 s")]
    Login { waiting: usize, sessions: usize },
}

impl LoadOptions {
    fn check(&self) -> Result<(), LoadError> {
        let (rate, window) = match self.pace {
            Pace::Rate { per_s } => (per_s, 1),
            Pace::Window { requests } => (1, requests),
        };
        let sessions = self.logins.len() + self.idle_logins.len();
        let in_flight = self.in_flight_max;
        let checks = [
            (
                "rate",
                rate,
                (1..=RATE_PER_S_MAX).contains(&rate),
                "1 to 50,000,000 a second",
            ),
            (
                "window",
                window as u64,
                (1..=in_flight).contains(&window),
                "1 up to the in-flight bound",
            ),
            (
                "in-flight bound",
                in_flight as u64,
                (1..=IN_FLIGHT_MAX).contains(&in_flight),
                "1 to 1,048,576",
            ),
            (
                "number of sessions",
                sessions as u64,
                sessions <= SESSIONS_MAX,
                "at most 10,000",
            ),
            (
                "number of sending sessions",
                self.logins.len() as u64,
                !self.logins.is_empty(),
                "at least 1",
            ),
            (
                "number of markets",
                self.markets.len() as u64,
                !self.markets.is_empty(),
                "at least 1",
            ),
        ];
        match checks.iter().find(|(_, _, is_legal, _)| !is_legal) {
            Some((what, given, _, legal)) => Err(LoadError::Option {
                what,
                given: *given,
                legal,
            }),
            None => Ok(()),
        }
    }
}

/// Runs the load on the calling thread and reports.
pub fn run(options: &LoadOptions) -> Result<LoadOutcome, LoadError> {
    run_beside(options, &NeighbourOptions::default())
}

/// As `run`, with neighbours of the measured sessions.
pub fn run_beside(
    options: &LoadOptions,
    beside: &NeighbourOptions,
) -> Result<LoadOutcome, LoadError> {
    options.check()?;
    if !beside.is_empty() {
        neighbours::check(options)?;
    }
    if let Some(core) = options.core {
        pin(core)?;
    }
    let limits = Limits {
        connections_max: options.logins.len().max(1) as u32,
        ..Limits::default()
    };
    let driver = AnyDriver::new(options.driver, &limits)?;
    let driver_name = driver.kind().name();
    let mut load = Load::log_in(options, driver)?;
    if !options.idle_logins.is_empty() {
        load.idle = Some(IdleSessions::enter(options)?);
    }
    if !beside.is_empty() {
        load.neighbours = Some(Neighbours::enter(options, beside)?);
    }
    let watch = options.counters.as_deref().map(ServerWatch::start);
    load.server = watch.transpose().map_err(LoadError::Counters)?;
    load.run(options)?;
    let server = load.server.take().map(ServerWatch::finish);
    let layout = format!(
        "client {} · server {}",
        describe(options.core, options.idle),
        options.server_layout
    );
    let setting = Setting::new(driver_name, &options.policy, &layout);
    load.finish(options, setting, server)
}

struct Load {
    client: Client<AnyDriver>,
    recorder: Recorder,
    streams: Vec<RequestStream>,
    clock: Clock,
    /// Request that was written and could not be sent yet.
    held: Vec<Option<Held>>,
    idle: Option<IdleSessions>,
    neighbours: Option<Neighbours>,
    server: Option<ServerWatch>,
    threads: ThreadWatch,
    own_threads: ThreadWatch,
}

#[derive(Clone, Copy)]
struct Held {
    pending: Pending,
    length: usize,
    message: [u8; REQUEST_LENGTH_MAX],
}

impl Load {
    fn log_in(options: &LoadOptions, driver: AnyDriver) -> Result<Self, LoadError> {
        let clock = Clock::start();
        let mut client = Client::new(driver, clock);
        let logins = &options.logins;
        let mut recorder =
            Recorder::new(logins.len(), options.in_flight_max, nanos(options.duration));
        entry::enter(&mut client, &mut recorder, logins, options.address)?;
        let streams = (0..options.logins.len())
            .map(|session| new_stream(options, session, recorder.ready[session]))
            .collect();
        let held = vec![None; options.logins.len()];
        Ok(Self {
            client,
            recorder,
            streams,
            clock,
            held,
            idle: None,
            neighbours: None,
            server: None,
            threads: ThreadWatch::new(options.venue_pid, options.counters.as_deref()),
            own_threads: ThreadWatch::new(options.core.map(|_| std::process::id()), None),
        })
    }

    fn run(&mut self, options: &LoadOptions) -> Result<(), LoadError> {
        let start_ns = self.clock.now_ns() + LEAD_IN_NS;
        let from_ns = start_ns + nanos(options.warm_up);
        let to_ns = from_ns + nanos(options.duration);
        self.recorder.begin(Span { from_ns, to_ns });
        match options.pace {
            Pace::Rate { per_s } => self.run_open(options, start_ns, per_s)?,
            Pace::Window { requests } => self.run_closed(options, start_ns, requests)?,
        }
        self.threads.look_after().map_err(LoadError::Threads)?;
        self.own_threads.look_after().map_err(LoadError::Threads)?;
        self.drain(options)?;
        self.recorder.counts.unanswered = self.recorder.outstanding() as u64;
        let counts = self.recorder.counts;
        if counts.unanswered == 0 {
            self.clean_up(options)?;
        }
        self.recorder.counts = counts;
        Ok(())
    }

    /// Cancels what rests, so that a next run finds the book as this one did (but for a bait a session,
    /// which the next crosses take). Counts in no figure.
    fn clean_up(&mut self, options: &LoadOptions) -> Result<(), LoadError> {
        self.recorder.end_measuring();
        let mut message = [0; REQUEST_LENGTH_MAX];
        for session in 0..self.streams.len() {
            while let Some(written) = self.streams[session].next_clean_up(&mut message) {
                if !self.recorder.in_flight[session].has_room() {
                    self.drain(options)?;
                }
                let now_ns = self.clock.now_ns();
                let pending = Pending {
                    class: written.class,
                    user_ref: written.user_ref,
                    due_ns: now_ns,
                };
                if self
                    .client
                    .send(session, &message[..written.length], now_ns)
                    .is_err()
                {
                    return self.drain(options);
                }
                self.recorder.handle_sent(session, pending, now_ns);
                if self.recorder.outstanding() >= CLEAN_UP_WINDOW {
                    self.drain(options)?;
                }
            }
        }
        self.drain(options)
    }

    fn run_open(
        &mut self,
        options: &LoadOptions,
        start_ns: u64,
        per_s: u64,
    ) -> Result<(), LoadError> {
        let mut schedule = Schedule::new(options.profile, per_s, options.seed);
        let Span { from_ns, to_ns } = self.recorder.span();
        let sessions = self.streams.len() as u64;
        loop {
            self.look_before(from_ns)?;
            let mut sends = 0;
            let mut due_ns = start_ns + schedule.due_ns();
            let mut now_ns = self.clock.now_ns();
            while due_ns <= now_ns && due_ns < to_ns && sends < OPEN_SENDS_PER_TURN_MAX {
                let session = (schedule.number() % sessions) as usize;
                if !self.send(session, due_ns, now_ns)? {
                    self.recorder.counts.stalls += 1;
                    break;
                }
                sends += 1;
                schedule.advance();
                due_ns = start_ns + schedule.due_ns();
                now_ns = self.clock.now_ns();
            }
            // A venue that has stopped answering takes nothing any more either.
            if due_ns >= to_ns || now_ns >= to_ns.saturating_add(DRAIN_NS_MAX) {
                return Ok(());
            }
            let ahead_ns = due_ns.saturating_sub(now_ns);
            self.turn(options, sends, Duration::from_nanos(ahead_ns).min(PARK_MAX))?;
            self.turn_of_others(options, ahead_ns)?;
        }
    }

    /// Counts the venue's threads shortly before the measured span, once: it takes some 0.1 ms.
    #[inline]
    fn look_before(&mut self, from_ns: u64) -> Result<(), LoadError> {
        let is_waiting = self.threads.is_waiting() || self.own_threads.is_waiting();
        if is_waiting && self.clock.now_ns() + LOOK_AHEAD_NS >= from_ns {
            self.threads.look_before().map_err(LoadError::Threads)?;
            self.own_threads.look_before().map_err(LoadError::Threads)?;
        }
        Ok(())
    }

    fn run_closed(
        &mut self,
        options: &LoadOptions,
        start_ns: u64,
        window: usize,
    ) -> Result<(), LoadError> {
        while self.clock.now_ns() < start_ns {
            self.turn(options, 0, PARK_MAX)?;
        }
        let from_ns = self.recorder.span().from_ns;
        loop {
            self.look_before(from_ns)?;
            let mut sends = 0;
            for session in 0..self.streams.len() {
                while self.recorder.in_flight[session].len() < window && sends < SENDS_PER_TURN_MAX
                {
                    let now_ns = self.clock.now_ns();
                    if now_ns >= self.recorder.span().to_ns {
                        return Ok(());
                    }
                    if !self.send(session, now_ns, now_ns)? {
                        self.recorder.counts.stalls += 1;
                        break;
                    }
                    sends += 1;
                }
            }
            if sends == 0 && self.clock.now_ns() >= self.recorder.span().to_ns {
                return Ok(());
            }
            self.turn(options, sends, PARK_MAX)?;
            self.turn_of_others(options, 0)?;
        }
    }

    /// A turn for those who are beside, if the next request is due in `ahead_ns` or later.
    #[inline]
    fn turn_of_others(&mut self, options: &LoadOptions, ahead_ns: u64) -> Result<(), LoadError> {
        let outstanding = self.recorder.outstanding();
        if let Some(idle) = &mut self.idle {
            idle.turn(options, self.clock.now_ns(), outstanding, ahead_ns)?;
        }
        if let Some(neighbours) = &mut self.neighbours {
            neighbours.turn(outstanding, ahead_ns)?;
        }
        Ok(())
    }

    /// Waits for the answers that are still due.
    fn drain(&mut self, options: &LoadOptions) -> Result<(), LoadError> {
        let deadline_ns = self.clock.now_ns() + DRAIN_NS_MAX;
        while self.recorder.outstanding() > 0 && self.clock.now_ns() < deadline_ns {
            self.turn(options, 0, PARK_MAX)?;
        }
        Ok(())
    }

    /// Flushes, takes answers, idles if there was nothing to do.
    #[inline]
    fn turn(
        &mut self,
        options: &LoadOptions,
        sends: usize,
        park: Duration,
    ) -> Result<(), LoadError> {
        self.client.flush();
        let work = self.client.poll(&mut self.recorder);
        if let Some(server) = &mut self.server {
            server.turn(self.clock.now_ns());
        }
        if let Some((session, why)) = self.recorder.ended() {
            let user = user_of(options, session);
            return Err(LoadError::Ended { session, user, why });
        }
        if let Some((session, reason)) = self.recorder.refused() {
            let market = options.markets[session % options.markets.len()];
            return Err(LoadError::Refused {
                session,
                user: user_of(options, session),
                reason,
                symbol: String::from_utf8_lossy(&market.symbol)
                    .trim_end()
                    .to_owned(),
            });
        }
        if work == 0 && sends == 0 {
            match options.idle {
                Idle::Spin => std::hint::spin_loop(),
                Idle::Yield => std::thread::yield_now(),
                Idle::Park => self.client.wait(park),
            }
        }
        Ok(())
    }

    /// Sends the session's next request, due at `due_ns`; false if there is no room for it now.
    #[inline]
    fn send(&mut self, session: usize, due_ns: u64, now_ns: u64) -> Result<bool, LoadError> {
        if !self.recorder.in_flight[session].has_room() {
            return Ok(false);
        }
        let stream = &mut self.streams[session];
        let mut held = self.held[session].take().unwrap_or_else(|| {
            let mut message = [0; REQUEST_LENGTH_MAX];
            let written = stream.next(&mut message);
            let pending = Pending {
                class: written.class,
                user_ref: written.user_ref,
                due_ns,
            };
            Held {
                pending,
                length: written.length,
                message,
            }
        });
        held.pending.due_ns = due_ns;
        match self
            .client
            .send(session, &held.message[..held.length], now_ns)
        {
            Ok(()) => {
                self.recorder.handle_sent(session, held.pending, now_ns);
                Ok(true)
            }
            Err(SendError::Full { .. } | SendError::NotLoggedIn { .. }) => {
                // Not logged in: the end of the session is told by the next turn.
                self.held[session] = Some(held);
                Ok(false)
            }
            Err(SendError::TooLong { length, .. }) => unreachable!("own request of {length} bytes"),
        }
    }

    fn finish(
        mut self,
        options: &LoadOptions,
        setting: Setting,
        server: Option<ServerReport>,
    ) -> Result<LoadOutcome, LoadError> {
        let neighbours = self.neighbours.take().map(Neighbours::leave).transpose()?;
        if let Some(idle) = self.idle.take() {
            idle.leave();
        }
        self.client.log_out_all(&mut self.recorder);
        let fingerprints = self.streams.iter().map(RequestStream::fingerprint);
        let report = LoadReport::new(
            options,
            setting,
            &self.recorder,
            Observed {
                fingerprints: fingerprints.collect(),
                stats: *self.client.driver().stats(),
                server,
                neighbours,
                threads: self.threads.finish(),
                own_threads: self.own_threads.finish(),
            },
        );
        Ok(LoadOutcome {
            report,
            recorder: self.recorder,
        })
    }
}

/// The user of a session that sends.
fn user_of(options: &LoadOptions, session: usize) -> String {
    let login = options.logins.get(session);
    login.map(entry::user_name).unwrap_or_default()
}

pub(super) fn new_stream(options: &LoadOptions, session: usize, ready: Ready) -> RequestStream {
    let market = options.markets[session % options.markets.len()];
    let random = Random::part(options.seed, session as u64);
    let mut stream = RequestStream::new(options.mix, market, options.resting_max, random);
    if let Ready::At(user_ref) = ready {
        stream.begin_at(user_ref);
    }
    stream
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}
