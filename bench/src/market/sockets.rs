//! The replay's three sessions over real sockets.

use super::expected::Role;
use super::link::{LinkError, VenueLink};
use crate::client::connection::{Client, Listener, SendError, SessionEnd};
use crate::client::request::{REQUEST_LENGTH_MAX, encode_account_query};
use crate::measure::clock::Clock;
use crate::measure::thread::Idle;
use lockstep_net::{AnyDriver, DriverKind, Limits, NetError};
use lockstep_record::StreamNumber;
use lockstep_wire::ouch::Outbound;
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::time::Duration;

/// How long logins may take, ns.
const LOGIN_NS_MAX: u64 = 20_000_000_000;

/// Where and as whom to connect.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    pub address: SocketAddr,
    /// By `Role::session`: maker, taker, reveal. Three different users.
    pub logins: [Login; 3],
    pub driver: DriverKind,
    pub idle: Idle,
}

/// Three logged-in sessions.
#[allow(missing_debug_implementations)]
pub struct SocketLink {
    client: Client<AnyDriver>,
    idle: Idle,
    last_user_refs: [u32; 3],
    driver: DriverKind,
}

impl From<NetError> for LinkError {
    fn from(error: NetError) -> Self {
        Self::Other(error.to_string())
    }
}

impl SocketLink {
    /// Connects, logs in for new messages only, and asks each session's next number.
    pub fn connect(options: &SocketOptions) -> Result<Self, LinkError> {
        let driver = AnyDriver::new(options.driver, &Limits::default())?;
        let kind = driver.kind();
        let mut link = Self {
            client: Client::new(driver, Clock::start()),
            idle: options.idle,
            last_user_refs: [0; 3],
            driver: kind,
        };
        for login in options.logins {
            let session = link.client.add(Login { number: 0, ..login });
            link.client.connect(session, options.address)?;
        }
        link.log_in()?;
        Ok(link)
    }

    /// The driver that was chosen.
    pub fn driver(&self) -> DriverKind {
        self.driver
    }

    /// Last UserRefNum that each session has used today, for `ReplayOptions`.
    pub fn last_user_refs(&self) -> [u32; 3] {
        self.last_user_refs
    }

    /// Says goodbye.
    pub fn log_out(mut self) {
        Role::ALL
            .iter()
            .for_each(|role| self.client.log_out(role.session()));
        self.client.flush();
    }

    fn log_in(&mut self) -> Result<(), LinkError> {
        let mut query = [0; REQUEST_LENGTH_MAX];
        let length = encode_account_query(&mut query);
        let mut asked = [false; 3];
        let mut next: [Option<u32>; 3] = [None; 3];
        let clock = self.client.clock();
        let deadline_ns = clock.now_ns() + LOGIN_NS_MAX;
        while next.contains(&None) {
            if clock.now_ns() > deadline_ns {
                return Err(LinkError::Other(
                    "the logins were not answered within 20 s".to_owned(),
                ));
            }
            for (session, asked) in asked.iter_mut().enumerate() {
                if self.client.is_logged_in(session) && !*asked {
                    self.client
                        .send(session, &query[..length], clock.now_ns())
                        .map_err(refused)?;
                    *asked = true;
                }
            }
            let work = self.poll(&mut |session, payload| {
                if let Ok(Outbound::AccountQueryResponse(response)) = Outbound::parse(payload) {
                    next[session] = Some(response.next_user_ref_num());
                }
            })?;
            if work == 0 {
                self.client.wait(Duration::from_millis(1));
            }
        }
        self.last_user_refs = next.map(|next| next.map_or(0, |next| next.saturating_sub(1)));
        Ok(())
    }
}

fn refused(error: SendError) -> LinkError {
    let (SendError::NotLoggedIn { session }
    | SendError::Full { session }
    | SendError::TooLong { session, .. }) = error;
    LinkError::Refused {
        session,
        reason: error.to_string(),
    }
}

impl VenueLink for SocketLink {
    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError> {
        // The window bounds what is unanswered far below the send buffer: it has room.
        let now_ns = self.client.clock().now_ns();
        self.client.send(session, message, now_ns).map_err(refused)
    }

    fn poll(&mut self, answer: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError> {
        self.client.flush();
        let mut forward = Forward {
            answer,
            answers: 0,
            ended: None,
        };
        self.client.poll(&mut forward);
        let Forward { answers, ended, .. } = forward;
        match ended {
            Some((session, why)) => Err(LinkError::Closed {
                session,
                reason: format!("{why:?}"),
            }),
            None => Ok(answers),
        }
    }

    fn wait(&mut self, at_most: Duration) {
        match self.idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park => self.client.wait(at_most),
        }
    }
}

struct Forward<'a> {
    answer: &'a mut dyn FnMut(usize, &[u8]),
    answers: usize,
    ended: Option<(usize, SessionEnd)>,
}

impl Listener for Forward<'_> {
    fn logged_in(&mut self, _: usize, _: StreamNumber) {}

    fn answer(&mut self, session: usize, _: StreamNumber, payload: &[u8], _: u64) {
        self.answers += 1;
        (self.answer)(session, payload);
    }

    fn ended(&mut self, session: usize, why: SessionEnd) {
        self.ended.get_or_insert((session, why));
    }
}
