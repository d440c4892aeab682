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
use super::expected::{Fill, OrderKey, Role};
use super::levels::Level;
use super::lobster::Row;
use super::mismatch::{Mismatch, MismatchKind};
use super::plan::{Action, Comparison, Planner, Request, Step};
use crate::client::orders::{Cause, Change, OrderId, Orders};
use crate::client::request::{LimitOrder, encode_cancel, encode_enter};
use crate::measure::hash::ResultHash;
use lockstep_record::{MatchNumber, Price, Side};
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

#[derive(Debug)]
struct InFlight {
    request: Request,
    /// Shares executed and cancelled so far; of aggressors.
    settled: u32,
    /// Comparisons due when it is answered.
    comparisons: Vec<Comparison>,
}

/// One end of an execution that an aggressor's row expects.
#[derive(Clone, Copy, Debug)]
struct HalfTrade {
    match_number: MatchNumber,
    key: OrderKey,
    quantity: u32,
    price: Price,
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
    takers: Vec<HalfTrade>,
    makers: Vec<HalfTrade>,
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
            takers: Vec::new(),
            makers: Vec::new(),
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

    /// Writes the next request that may be sent now; returns its session and length.
    pub fn poll_request(&mut self, out: &mut [u8]) -> Option<(usize, usize)> {
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
        self.in_flight.push_back(InFlight {
            request,
            settled: 0,
            comparisons: Vec::new(),
        });
        self.take_comparisons();
        Some((session, length))
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

    /// Takes one answer (an OUCH message) of a session.
    pub fn handle_answer(&mut self, session: usize, payload: &[u8]) {
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

    /// Matches a change against the oldest request in flight.
    fn progress(&mut self, role: Role, change: &Change) {
        let Some(head) = self.in_flight.front_mut() else {
            if *change != Change::None {
                self.note(MismatchKind::Unexpected {
                    role,
                    change: *change,
                });
            }
            return;
        };
        let key = head.request.key;
        let is_own = |id: &OrderId| role == key.role && *id == OrderId::new(key.user_ref);
        let aggressor_quantity = match head.request.action {
            Action::Enter {
                quantity,
                immediate: true,
                ..
            } => Some(quantity),
            _ => None,
        };
        match (change, &head.request.action) {
            (Change::None, _) => return,
            (
                Change::Opened { id, order },
                Action::Enter {
                    side,
                    quantity,
                    price,
                    ..
                },
            ) if is_own(id) => {
                let is_same =
                    (order.side, order.quantity, order.price.0) == (*side, *quantity, *price);
                if is_same {
                    head.settled += u32::from(aggressor_quantity.is_none());
                    return;
                }
            }
            (
                Change::Reduced {
                    id,
                    by,
                    cause: Cause::Canceled(_),
                    ..
                },
                Action::Cancel { removes, .. },
            ) if is_own(id) && by == removes => {
                head.settled = 1;
                return;
            }
            (
                Change::Reduced {
                    id,
                    by,
                    order,
                    cause,
                },
                _,
            ) if aggressor_quantity.is_some() => {
                let key = OrderKey {
                    role,
                    user_ref: id.user_ref,
                };
                if let Cause::Executed {
                    price,
                    match_number,
                    ..
                } = *cause
                {
                    let half = HalfTrade {
                        match_number,
                        key,
                        quantity: *by,
                        price,
                    };
                    let halves = if is_own(id) {
                        &mut self.takers
                    } else {
                        &mut self.makers
                    };
                    halves.push(half);
                    head.settled += if is_own(id) { *by } else { 0 };
                    return;
                }
                if is_own(id) && order.open == 0 {
                    head.settled += *by;
                    return;
                }
            }
            (Change::Refused { id, reason }, _) if is_own(id) => {
                let reason = *reason;
                head.settled = aggressor_quantity.unwrap_or(1);
                return self.note(MismatchKind::Refused { key, reason });
            }
            _ => {}
        }
        self.note(MismatchKind::Unexpected {
            role,
            change: *change,
        });
    }

    /// Retires the oldest request once it is answered in full, and compares what waited for it.
    fn settle(&mut self) {
        let Some(head) = self.in_flight.front() else {
            return;
        };
        let is_answered = match head.request.action {
            Action::Enter {
                quantity,
                immediate: true,
                ..
            } => head.settled >= quantity && self.takers.len() == self.makers.len(),
            _ => head.settled > 0,
        };
        if !is_answered {
            return;
        }
        let Some(head) = self.in_flight.pop_front() else {
            return;
        };
        if head.request.key.role == Role::Taker {
            self.compare_fills(&head.request);
        }
        for comparison in &head.comparisons {
            self.compare(comparison);
        }
    }

    /// Holds an aggressor's executions against price-time priority, both ends of each.
    fn compare_fills(&mut self, request: &Request) {
        let Action::Enter { price, .. } = request.action else {
            return;
        };
        self.makers.sort_unstable_by_key(|half| half.match_number);
        self.takers.sort_unstable_by_key(|half| half.match_number);
        let are_paired = self.makers.iter().zip(&self.takers).all(|(maker, taker)| {
            (maker.match_number, maker.quantity) == (taker.match_number, taker.quantity)
                && maker.price.0 == price
                && taker.price.0 == price
        });
        let got: Vec<Fill> = self
            .makers
            .iter()
            .map(|half| Fill {
                key: half.key,
                quantity: half.quantity,
            })
            .collect();
        self.makers.clear();
        self.takers.clear();
        self.compared.fills += request.fills.len() as u64;
        if got != request.fills || !are_paired {
            self.mismatches.push(Mismatch {
                row: request.row,
                kind: MismatchKind::Fills {
                    want: request.fills.clone(),
                    got,
                    are_paired,
                },
            });
        }
    }

    fn compare(&mut self, comparison: &Comparison) {
        let mut is_in_full = true;
        for side in [Side::Buy, Side::Sell] {
            let extent = comparison.extent(side);
            is_in_full &= extent.is_complete;
            let shown = if extent.is_complete {
                self.depth
            } else {
                extent.levels
            };
            self.book.levels(side, shown, &mut self.levels);
            let file = comparison.want.side(side).as_slice();
            let want = if extent.is_complete {
                file
            } else {
                &file[..extent.levels]
            };
            self.compared.levels += want.len() as u64;
            self.compared.hash.number(comparison.row << 1 | side as u64);
            for level in &self.levels {
                self.compared.hash.number(level.price);
                self.compared.hash.number(level.quantity);
            }
            if self.levels != want {
                self.mismatches.push(Mismatch {
                    row: comparison.row,
                    kind: MismatchKind::Book {
                        side,
                        want: want.to_vec(),
                        got: self.levels.clone(),
                    },
                });
            }
        }
        if !comparison.is_whole_row() {
            self.compared.rows_one_side += 1;
            return;
        }
        self.compared.rows += 1;
        if is_in_full {
            self.compared.rows_in_full += 1;
        } else {
            self.compared.rows_but_last_level += 1;
        }
    }

    fn note(&mut self, kind: MismatchKind) {
        let row = self.waiting_for_row().unwrap_or(0);
        self.mismatches.push(Mismatch { row, kind });
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
