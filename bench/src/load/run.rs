//! The loop of a load run, on the calling thread.
//!
//! Open loop: request *i* of a run is due at `start + i / rate`, whatever the venue does. Closed loop:
//! a session sends when fewer than `window` of its requests are unanswered, and is due when it sends.

use super::recorder::{Ready, Recorder, Span};
use super::report::{LoadOutcome, LoadReport, Observed};
use super::schedule::{Profile, Schedule};
use super::server::{ServerReport, ServerWatch};
use super::session::Pending;
use super::stream::{Market, Mix, RequestStream};
use crate::client::connection::{Client, SESSIONS_MAX, SendError, SessionEnd};
use crate::client::request::{REQUEST_LENGTH_MAX, encode_account_query};
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

/// Requests sent before answers are looked at again.
const SENDS_PER_TURN_MAX: usize = 32;
/// How long a run waits for the last answers.
const DRAIN_NS_MAX: u64 = 5_000_000_000;
/// How long logins may take.
const LOGIN_NS_MAX: u64 = 20_000_000_000;
/// Between the last login and the first request.
const LEAD_IN_NS: u64 = 2_000_000;
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
    options.check()?;
    if let Some(core) = options.core {
        pin(core)?;
    }
    let limits = Limits {
        connections_max: (options.logins.len() + options.idle_logins.len()).max(1) as u32,
        ..Limits::default()
    };
    let driver = AnyDriver::new(options.driver, &limits)?;
    let driver_name = driver.kind().name();
    let mut load = Load::log_in(options, driver)?;
    let watch = options.counters.as_deref().map(ServerWatch::start);
    let watch = watch.transpose().map_err(LoadError::Counters)?;
    load.run(options)?;
    let server = watch.map(ServerWatch::finish).transpose();
    let server = server.map_err(LoadError::Counters)?;
    let layout = format!(
        "client {} · server {}",
        describe(options.core, options.idle),
        options.server_layout
    );
    let setting = Setting::new(driver_name, &options.policy, &layout);
    Ok(load.finish(options, setting, server))
}

struct Load {
    client: Client<AnyDriver>,
    recorder: Recorder,
    streams: Vec<RequestStream>,
    clock: Clock,
    /// Request that was written and could not be sent yet.
    held: Vec<Option<Held>>,
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
        let logins: Vec<_> = options.logins.iter().chain(&options.idle_logins).collect();
        let mut recorder =
            Recorder::new(logins.len(), options.in_flight_max, nanos(options.duration));
        for login in &logins {
            let session = client.add(**login);
            client.connect(session, options.address)?;
        }
        let deadline_ns = clock.now_ns() + LOGIN_NS_MAX;
        let mut asked = vec![false; logins.len()];
        loop {
            client.flush();
            let work = client.poll(&mut recorder);
            if let Some((session, why)) = recorder.ended() {
                let user = user_of(options, session);
                return Err(LoadError::Ended { session, user, why });
            }
            let waiting = ask_numbers(&mut client, &recorder, &mut asked);
            if waiting == 0 {
                break;
            }
            if clock.now_ns() > deadline_ns {
                let sessions = logins.len();
                return Err(LoadError::Login { waiting, sessions });
            }
            if work == 0 {
                client.wait(PARK_MAX);
            }
        }
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
        let to_ns = self.recorder.span().to_ns;
        let sessions = self.streams.len() as u64;
        loop {
            let mut sends = 0;
            let mut due_ns = start_ns + schedule.due_ns();
            let mut now_ns = self.clock.now_ns();
            while due_ns <= now_ns && due_ns < to_ns && sends < SENDS_PER_TURN_MAX {
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
            let ahead = Duration::from_nanos(due_ns.saturating_sub(now_ns));
            self.turn(options, sends, ahead.min(PARK_MAX))?;
        }
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
        loop {
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
        }
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
    ) -> LoadOutcome {
        for session in 0..self.client.session_count() {
            self.client.log_out(session);
        }
        self.client.flush();
        self.client.poll(&mut self.recorder);
        let fingerprints = self.streams.iter().map(RequestStream::fingerprint);
        let report = LoadReport::new(
            options,
            setting,
            &self.recorder,
            Observed {
                fingerprints: fingerprints.collect(),
                stats: *self.client.driver().stats(),
                server,
            },
        );
        LoadOutcome {
            report,
            recorder: self.recorder,
        }
    }
}

/// The user of a session, sending or idle.
fn user_of(options: &LoadOptions, session: usize) -> String {
    let login = options.logins.iter().chain(&options.idle_logins);
    let user = login
        .map(|login| String::from_utf8_lossy(login.user.as_bytes()))
        .nth(session);
    user.unwrap_or_default().into_owned()
}

/// Asks each logged-in session's next number once; returns how many sessions are not ready.
fn ask_numbers(client: &mut Client<AnyDriver>, recorder: &Recorder, asked: &mut [bool]) -> usize {
    let mut query = [0; 8];
    let length = encode_account_query(&mut query);
    let now_ns = client.clock().now_ns();
    let mut waiting = 0;
    for (session, asked) in asked.iter_mut().enumerate() {
        if recorder.ready[session] == Ready::LoggedIn && !*asked {
            *asked = client.send(session, &query[..length], now_ns).is_ok();
        }
        waiting += usize::from(!matches!(recorder.ready[session], Ready::At(_)));
    }
    waiting
}

fn new_stream(options: &LoadOptions, session: usize, ready: Ready) -> RequestStream {
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
