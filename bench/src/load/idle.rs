//! Sessions that only stay logged in while others are measured.
//!
//! They have a driver of their own, and a turn only while no measured request is unanswered or about to be
//! due: what the generator does for them must not show as something that they cost the venue.

use super::entry;
use super::recorder::Recorder;
use super::run::{LoadError, LoadOptions};
use crate::client::connection::Client;
use crate::measure::clock::Clock;
use lockstep_net::{AnyDriver, Limits};

/// Between two turns.
const TURN_NS: u64 = 250_000;
/// They have no turn when a measured request is due earlier than this, …
const QUIET_NS: u64 = 25_000;
/// … unless they have waited for so long: under load without a quiet moment they must stay logged in.
const OVERDUE_NS: u64 = 10_000_000;
/// What the driver reports in a turn at most, so that a turn is short: signs of life of the venue.
const EVENTS_PER_TURN_MAX: u32 = 8;

pub(super) struct IdleSessions {
    client: Client<AnyDriver>,
    recorder: Recorder,
    due_ns: u64,
}

impl IdleSessions {
    /// Logs them in.
    pub(super) fn enter(options: &LoadOptions) -> Result<Self, LoadError> {
        let logins = &options.idle_logins;
        let limits = Limits {
            connections_max: logins.len().max(1) as u32,
            events_per_poll_max: EVENTS_PER_TURN_MAX,
            ..Limits::default()
        };
        let driver = AnyDriver::new(options.driver, &limits)?;
        let mut client = Client::new(driver, Clock::start());
        let mut recorder = Recorder::new(logins.len(), 1, 0);
        entry::enter(&mut client, &mut recorder, logins, options.address)?;
        Ok(Self {
            client,
            recorder,
            due_ns: 0,
        })
    }

    /// Called in every turn of the measured loop: `outstanding` measured requests, the next due in `ahead_ns`.
    #[inline]
    pub(super) fn turn(
        &mut self,
        options: &LoadOptions,
        now_ns: u64,
        outstanding: usize,
        ahead_ns: u64,
    ) -> Result<(), LoadError> {
        let is_quiet = outstanding == 0 && ahead_ns >= QUIET_NS;
        if now_ns < self.due_ns || !(is_quiet || now_ns >= self.due_ns + OVERDUE_NS) {
            return Ok(());
        }
        self.due_ns = now_ns + TURN_NS;
        self.client.flush();
        self.client.poll(&mut self.recorder);
        match self.recorder.ended() {
            Some((session, why)) => {
                let user = entry::user_name(&options.idle_logins[session]);
                Err(LoadError::Ended { session, user, why })
            }
            None => Ok(()),
        }
    }

    pub(super) fn leave(mut self) {
        self.client.log_out_all(&mut self.recorder);
    }
}
