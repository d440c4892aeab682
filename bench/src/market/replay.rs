//! Drives a plan against a venue and holds the venue's answers against the file.
//!
//! Requests of one session may be in flight together, up to the window, because a session's answers
//! come in its order: the comparison of a row is made when the last request before it is answered and
//! before any later answer is looked at. Requests of different sessions wait for one another, for only
//! answers order them; an aggressor travels alone, for its executions are told to two sessions.
//!
//! A state machine without I/O or time. It must never let an answer pass that it did not expect.

use super::book::AnsweredBook;
use super::counts::PlanCounts;
use super::expected::{OrderKey, Role};
use super::in_flight::{Heard, InFlight};
use super::levels::Level;
use super::link::Conversation;
use super::lobster::Row;
use super::mismatch::{Mismatch, MismatchKind};
use super::plan::{Action, Comparison, Planner, Request, Step};
use crate::client::orders::{Change, Orders};
use crate::client::request::{LimitOrder, REQUEST_LENGTH_MAX, encode_cancel, encode_enter};
use crate::measure::hash::ResultHash;
use lockstep_record::{Price, Side};
use lockstep_wire::ouch::Outbound;
use serde::Serialize;
use std::collections::VecDeque;

/// Steps planned ahead at most, about: a row plans a few, of a deep file up to twice its depth.
const STEPS_AHEAD_MAX: usize = 4096;
/// Live orders of one session at most: a file's visible book never comes near it.
const ORDERS_MAX: usize = 1 << 20;
/// Bounds of `ReplayOptions`.
pub const WINDOW_MAX: usize = 1024;
pub const MISMATCHES_MAX: usize = 10_000;

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    /// As on the wire.
    pub symbol: [u8; 8],
    /// Last UserRefNum that each session has used today, by `Role::session`.
    pub last_user_refs: [u32; 3],
    /// Requests in flight at most; 1..=`WINDOW_MAX`.
    pub window: usize,
    /// Give up after so many mismatches; 1..=`MISMATCHES_MAX`.
    pub mismatches_max: usize,
    /// Cancel what rests when the file ends.
    pub cancels_at_end: bool,
}

impl ReplayOptions {
    pub fn new(symbol: [u8; 8]) -> Self {
        Self {
            symbol,
            last_user_refs: [0; 3],
            window: 64,
            mismatches_max: 20,
            cancels_at_end: true,
        }
    }
}

/// What was compared. A row counts once; in full if every visible level of both sides was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Compared {
    pub rows: u64,
    pub rows_in_full: u64,
    /// All but the last level of one side, which the file only revealed.
    pub rows_but_last_level: u64,
    /// Rows of which only one side could be compared; not among `rows`.
    pub rows_one_side: u64,
    pub levels: u64,
    /// Executions held against price-time priority.
    pub fills: u64,
    /// Over (row, side, price, quantity) of every level compared, as the answers told it.
    pub hash: ResultHash,
}

/// A replay of one symbol.
#[derive(Debug)]
pub struct Replay {
    options: ReplayOptions,
    depth: usize,
    planner: Planner,
    steps: VecDeque<Step>,
    in_flight: VecDeque<InFlight>,
    orders: [Orders; 3],
    book: AnsweredBook,
    compared: Compared,
    mismatches: Vec<Mismatch>,
    requests: u64,
    answers: u64,
    planned: Vec<Step>,
    levels: Vec<Level>,
}

impl Replay {
    /// `depth`: levels a side of the file.
    pub fn new(depth: usize, mut options: ReplayOptions) -> Self {
        options.window = options.window.clamp(1, WINDOW_MAX);
        options.mismatches_max = options.mismatches_max.clamp(1, MISMATCHES_MAX);
        Self {
            options,
            depth,
            planner: Planner::new(depth, options.last_user_refs),
            steps: VecDeque::new(),
            in_flight: VecDeque::new(),
            orders: [(); 3].map(|()| Orders::new(ORDERS_MAX)),
            book: AnsweredBook::default(),
            compared: Compared::default(),
            mismatches: Vec::new(),
            requests: 0,
            answers: 0,
            planned: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// True while rows may be handed in.
    pub fn wants_rows(&self) -> bool {
        self.steps.len() < STEPS_AHEAD_MAX
    }

    /// True when everything handed in is sent, answered and compared.
    pub fn is_idle(&self) -> bool {
        self.steps.is_empty() && self.in_flight.is_empty()
    }

    /// True when there is no point in going on.
    pub fn has_given_up(&self) -> bool {
        self.mismatches.len() >= self.options.mismatches_max
    }

    /// Row of the oldest request that is not answered.
    pub fn waiting_for_row(&self) -> Option<u64> {
        self.in_flight.front().map(|head| head.request.row)
    }

    pub fn counts(&self) -> &PlanCounts {
        self.planner.counts()
    }

    pub fn compared(&self) -> &Compared {
        &self.compared
    }

    pub fn mismatches(&self) -> &[Mismatch] {
        &self.mismatches
    }

    pub fn requests(&self) -> u64 {
        self.requests
    }

    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Plans a row.
    pub fn handle_row(&mut self, row: &Row) {
        self.planner.handle_row(row, &mut self.planned);
        self.steps.extend(self.planned.drain(..));
    }

    /// The file has ended.
    pub fn handle_end(&mut self) {
        if self.options.cancels_at_end {
            self.planner.finish(&mut self.planned);
            self.steps.extend(self.planned.drain(..));
        }
    }

    fn may_send(&self, request: &Request) -> bool {
        match self.in_flight.back() {
            None => true,
            Some(last) => {
                let role = request.key.role;
                let is_full = self.in_flight.len() >= self.options.window;
                role == last.request.key.role && role != Role::Taker && !is_full
            }
        }
    }

    /// Makes the comparisons that are due, or ties them to the request they wait for.
    fn take_comparisons(&mut self) {
        while let Some(Step::Compare(_)) = self.steps.front() {
            let Some(Step::Compare(comparison)) = self.steps.pop_front() else {
                return;
            };
            match self.in_flight.back_mut() {
                Some(last) => last.comparisons.push(comparison),
                None => self.compare(&comparison),
            }
        }
    }

    fn encode(&self, request: &Request, out: &mut [u8]) -> usize {
        let user_ref = request.key.user_ref;
        match request.action {
            Action::Cancel { new_total, .. } => encode_cancel(user_ref, new_total, out),
            Action::Enter {
                side,
                quantity,
                price,
                immediate,
            } => {
                let order = LimitOrder {
                    user_ref,
                    side,
                    quantity,
                    symbol: self.options.symbol,
                    price: Price(price),
                    is_immediate: immediate,
                };
                encode_enter(&order, out)
            }
        }
    }

    /// Matches a change against the oldest request in flight.
    fn progress(&mut self, role: Role, change: &Change) {
        let change = *change;
        let heard = match self.in_flight.front_mut() {
            Some(head) => head.handle_change(role, &change),
            None if change == Change::None => Heard::Fits,
            None => Heard::Stranger,
        };
        match (heard, change) {
            (Heard::Fits, _) => {}
            (Heard::Refused(reason), Change::Refused { id, .. }) => {
                let user_ref = id.user_ref;
                let key = OrderKey { role, user_ref };
                self.note(MismatchKind::Refused { key, reason });
            }
            (Heard::Refused(_) | Heard::Stranger, _) => {
                self.note(MismatchKind::Unexpected { role, change });
            }
        }
    }

    /// Retires the oldest request once it is answered in full, and compares what waited for it.
    fn settle(&mut self) {
        if !self.in_flight.front().is_some_and(InFlight::is_answered) {
            return;
        }
        let Some(mut head) = self.in_flight.pop_front() else {
            return;
        };
        if head.is_aggressor() {
            self.compare_fills(&mut head);
        }
        for comparison in &head.comparisons {
            self.compare(comparison);
        }
    }

    /// Holds an aggressor's executions against price-time priority.
    fn compare_fills(&mut self, head: &mut InFlight) {
        let (got, are_paired) = head.take_fills();
        let want = &head.request.fills;
        self.compared.fills += want.len() as u64;
        if got != *want || !are_paired {
            let want = want.clone();
            self.mismatches.push(Mismatch {
                row: head.request.row,
                kind: MismatchKind::Fills {
                    want,
                    got,
                    are_paired,
                },
            });
        }
    }

    fn compare(&mut self, comparison: &Comparison) {
        for side in [Side::Buy, Side::Sell] {
            self.compare_side(comparison, side);
        }
        let is_in_full = comparison.bids.is_complete && comparison.asks.is_complete;
        let count = match (comparison.is_whole_row(), is_in_full) {
            (false, _) => &mut self.compared.rows_one_side,
            (true, true) => &mut self.compared.rows_in_full,
            (true, false) => &mut self.compared.rows_but_last_level,
        };
        *count += 1;
        self.compared.rows += u64::from(comparison.is_whole_row());
    }

    fn compare_side(&mut self, comparison: &Comparison, side: Side) {
        let extent = comparison.extent(side);
        let file = comparison.want.side(side).as_slice();
        let (want, shown) = if extent.is_complete {
            (file, self.depth)
        } else {
            (&file[..extent.levels], extent.levels)
        };
        self.book.levels(side, shown, &mut self.levels);
        self.compared.levels += want.len() as u64;
        self.compared.hash.number(comparison.row << 1 | side as u64);
        for level in &self.levels {
            self.compared.hash.number(level.price);
            self.compared.hash.number(level.quantity);
        }
        if self.levels != want {
            let (want, got) = (want.to_vec(), self.levels.clone());
            self.mismatches.push(Mismatch {
                row: comparison.row,
                kind: MismatchKind::Book { side, want, got },
            });
        }
    }

    fn note(&mut self, kind: MismatchKind) {
        let row = self.waiting_for_row().unwrap_or(0);
        self.mismatches.push(Mismatch { row, kind });
    }
}

impl Conversation for Replay {
    fn poll_request(&mut self, out: &mut [u8; REQUEST_LENGTH_MAX]) -> Option<(usize, usize)> {
        self.take_comparisons();
        let Some(Step::Send(request)) = self.steps.front() else {
            return None;
        };
        if !self.may_send(request) {
            return None;
        }
        let Some(Step::Send(request)) = self.steps.pop_front() else {
            return None;
        };
        let session = request.key.role.session();
        let length = self.encode(&request, out);
        self.requests += 1;
        self.in_flight.push_back(InFlight::new(request));
        self.take_comparisons();
        Some((session, length))
    }

    fn handle_answer(&mut self, session: usize, payload: &[u8]) {
        self.answers += 1;
        let Some(role) = Role::of_session(session) else {
            return;
        };
        let answer = match Outbound::parse(payload) {
            Ok(answer) => answer,
            Err(error) => return self.note(MismatchKind::Unreadable { role, error }),
        };
        let change = match self.orders[session].handle_answer(&answer) {
            Ok(change) => change,
            Err(error) => return self.note(MismatchKind::Account { role, error }),
        };
        self.book.handle_change(&change);
        self.progress(role, &change);
        self.settle();
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
