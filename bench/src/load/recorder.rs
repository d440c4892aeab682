//! What the answers say while a run goes on. Nothing here allocates or reads a clock.

use super::intervals::Intervals;
use super::session::{InFlight, Outcome, Pending};
use super::stream::Class;
use crate::client::connection::{Listener, SessionEnd};
use crate::measure::latency::Latency;
use lockstep_record::StreamNumber;
use lockstep_wire::ouch::Outbound;
use serde::Serialize;

/// Counts of a run, warm-up included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    pub sent: u64,
    pub answered: u64,
    pub refused: u64,
    /// Aggressors that found nothing to trade with.
    pub unfilled: u64,
    /// Answers that no request in flight explains.
    pub out_of_order: u64,
    pub unreadable: u64,
    /// Requests without an answer when the run ended.
    pub unanswered: u64,
    /// Turns in which a due request could not be sent: window or send buffer full.
    pub stalls: u64,
}

/// Times between which requests are measured, by their due time, ns of the run's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    pub from_ns: u64,
    pub to_ns: u64,
}

impl Span {
    #[inline]
    pub fn holds(&self, due_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&due_ns)
    }
}

/// State of a session's login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    No,
    LoggedIn,
    /// The venue has told the next usable number.
    At(u32),
    Ended(SessionEnd),
}

/// Listener of a load run.
#[derive(Debug)]
pub struct Recorder {
    pub(super) in_flight: Vec<InFlight>,
    pub(super) ready: Vec<Ready>,
    latencies: [Latency; 4],
    lateness: Latency,
    intervals: Intervals,
    pub(super) counts: Counts,
    span: Span,
    /// Requests in flight over all sessions.
    outstanding: usize,
    ended: Option<(usize, SessionEnd)>,
    refused: Option<(usize, u16)>,
}

impl Recorder {
    /// For `sessions` sessions of at most `in_flight_max` requests each, measured for so long.
    pub fn new(sessions: usize, in_flight_max: usize, duration_ns: u64) -> Self {
        Self {
            in_flight: (0..sessions)
                .map(|_| InFlight::new(in_flight_max))
                .collect(),
            ready: vec![Ready::No; sessions],
            latencies: [(); 4].map(|()| Latency::new()),
            lateness: Latency::new(),
            intervals: Intervals::new(duration_ns),
            counts: Counts::default(),
            span: Span::default(),
            outstanding: 0,
            ended: None,
            refused: None,
        }
    }

    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The first session that lost its connection.
    pub fn ended(&self) -> Option<(usize, SessionEnd)> {
        self.ended
    }

    /// Session and reason of a refusal before the venue has taken anything at all: it will take nothing.
    pub fn refused(&self) -> Option<(usize, u16)> {
        self.refused
    }

    pub fn latency(&self, class: Class) -> &Latency {
        &self.latencies[class as usize]
    }

    /// All classes together, over time.
    pub fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    pub fn span(&self) -> Span {
        self.span
    }

    /// Before the first request.
    pub(super) fn begin(&mut self, span: Span) {
        self.intervals.begin(&span);
        self.span = span;
    }

    /// From now on nothing is measured.
    pub(super) fn end_measuring(&mut self) {
        self.span = Span::default();
    }

    pub fn lateness(&self) -> &Latency {
        &self.lateness
    }

    /// A request was handed to the driver at `now_ns`.
    #[inline]
    pub(super) fn handle_sent(&mut self, session: usize, pending: Pending, now_ns: u64) {
        self.counts.sent += 1;
        self.outstanding += 1;
        self.in_flight[session].push(pending);
        if self.span.holds(pending.due_ns) {
            self.lateness.record(now_ns.saturating_sub(pending.due_ns));
        }
    }

    #[inline]
    fn end(&mut self, pending: Pending, now_ns: u64) {
        self.outstanding -= 1;
        if self.span.holds(pending.due_ns) {
            let latency = &mut self.latencies[pending.class as usize];
            let latency_ns = now_ns.saturating_sub(pending.due_ns);
            latency.record(latency_ns);
            self.intervals.record(pending.due_ns, latency_ns);
        }
    }

    /// Before the run: waits for the answer to the account query.
    #[cold]
    fn handle_early(&mut self, session: usize, payload: &[u8]) {
        if let Ok(Outbound::AccountQueryResponse(response)) = Outbound::parse(payload) {
            self.ready[session] = Ready::At(response.next_user_ref_num());
        }
    }
}

impl Listener for Recorder {
    fn logged_in(&mut self, session: usize, _: StreamNumber) {
        self.ready[session] = Ready::LoggedIn;
    }

    #[inline]
    fn answer(&mut self, session: usize, _: StreamNumber, payload: &[u8], now_ns: u64) {
        if !matches!(self.ready[session], Ready::At(_)) {
            return self.handle_early(session, payload);
        }
        match self.in_flight[session].handle_answer(payload) {
            Outcome::Answered(pending) => {
                self.counts.answered += 1;
                self.end(pending, now_ns);
            }
            Outcome::Aside => {}
            Outcome::Refused(pending, reason) => {
                self.counts.refused += 1;
                if self.counts.answered == 0 {
                    self.refused.get_or_insert((session, reason));
                }
                self.end(pending, now_ns);
            }
            Outcome::Unfilled(pending) => {
                self.counts.unfilled += 1;
                self.end(pending, now_ns);
            }
            Outcome::OutOfOrder => self.counts.out_of_order += 1,
            Outcome::Unreadable => self.counts.unreadable += 1,
        }
    }

    fn ended(&mut self, session: usize, why: SessionEnd) {
        self.ready[session] = Ready::Ended(why);
        self.ended.get_or_insert((session, why));
    }
}
