//! Turns rows into orders and comparisons, row by row.
//!
//! Per row: the order that its message stands for; the comparison of the book after it; then what
//! brings our book back to what the file shows: orders that left the view are cancelled, liquidity that
//! the file only reveals is entered by the `reveal` session. So before each row our book holds exactly
//! the visible levels, and the next row is compared on what it really determines.
//!
//! A state machine without I/O. It plans from the file and from its own orders alone: what the venue
//! answers never changes the plan, so a wrong venue cannot talk the comparison into agreeing with it.

use super::counts::{NotCompared, PlanCounts, Skip};
use super::expected::{ExpectedBook, Fill, Found, OrderKey, Reduction, Resting, Role};
use super::levels::{BookRow, Effect, Unfit, determine, effect};
use super::lobster::{EventKind, Message, Row};
use lockstep_record::Side;
use std::collections::HashSet;

/// Largest order that OUCH takes; larger sizes are split.
pub const ORDER_QUANTITY_MAX: u32 = 999_999;

/// What one request asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Enter {
        side: Side,
        quantity: u32,
        price: u64,
        /// Immediate or cancel: an aggressor, never rests.
        immediate: bool,
    },
    Cancel {
        /// OUCH's quantity: the new total; 0 = all that is open.
        new_total: u32,
        /// Shares that must be reported as cancelled.
        removes: u32,
    },
}

/// One message to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The row it belongs to.
    pub row: u64,
    pub key: OrderKey,
    pub action: Action,
    /// Executions that must follow, in this order; of aggressors only.
    pub fills: Vec<Fill>,
}

/// How much of a side is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// This many levels from the best.
    pub levels: usize,
    /// The whole visible side: nothing more may show either.
    pub is_complete: bool,
}

impl Extent {
    /// At least one level, or the knowledge that there is none.
    pub const fn is_something(self) -> bool {
        self.levels > 0 || self.is_complete
    }
}

/// The book after a row, to be held against the one that the venue's answers make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    pub row: u64,
    /// As in the file.
    pub want: BookRow,
    pub bids: Extent,
    pub asks: Extent,
}

impl Comparison {
    pub const fn extent(&self, side: Side) -> Extent {
        match side {
            Side::Buy => self.bids,
            Side::Sell => self.asks,
        }
    }

    /// True if both sides have something to compare: only then the row counts as compared.
    pub const fn is_whole_row(&self) -> bool {
        self.bids.is_something() && self.asks.is_something()
    }
}

/// What to do next, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Send(Request),
    /// Once everything before it is answered.
    Compare(Comparison),
}

/// The planner of one symbol.
#[derive(Debug)]
pub struct Planner {
    depth: usize,
    book: ExpectedBook,
    before: Option<BookRow>,
    /// Our book shows exactly what the last row showed.
    in_step: bool,
    /// Ids of orders that the file reported as new.
    born: HashSet<u64>,
    /// Last number used by each session, by `Role::session`.
    user_refs: [u32; 3],
    counts: PlanCounts,
    row: u64,
}

impl Planner {
    /// `depth`: levels a side of the file. `last_user_refs`: the last UserRefNum that each session has
    /// used today, by `Role::session` (0 = none).
    pub fn new(depth: usize, last_user_refs: [u32; 3]) -> Self {
        Self {
            depth,
            book: ExpectedBook::default(),
            before: None,
            in_step: false,
            born: HashSet::new(),
            user_refs: last_user_refs,
            counts: PlanCounts::default(),
            row: 0,
        }
    }

    pub fn counts(&self) -> &PlanCounts {
        &self.counts
    }

    /// Plans one row; appends its steps.
    pub fn handle_row(&mut self, row: &Row, steps: &mut Vec<Step>) {
        self.row = row.number;
        self.counts.rows += 1;
        match self.before.take() {
            Some(before) => {
                let effect = effect(&before, &row.message, self.depth);
                self.plan_message(&row.message, effect, steps);
                self.plan_comparison(&before, row, effect, steps);
            }
            None => {
                // The first row's message is already in its levels, and nothing says what came before.
                self.note_birth(&row.message);
                self.counts.skip(Skip::FirstRow);
                self.counts.not_compared(NotCompared::FirstRow);
            }
        }
        self.follow_view(&row.after, steps);
        self.before = Some(row.after.clone());
    }

    /// Plans the cancellation of everything that still rests.
    pub fn finish(&mut self, steps: &mut Vec<Step>) {
        for side in [Side::Buy, Side::Sell] {
            for price in self.book.prices(side) {
                for reduction in self.book.remove_level(side, price) {
                    self.counts.orders_cancelled_at_end += 1;
                    self.push_cancel(&reduction, steps);
                }
            }
        }
    }

    fn note_birth(&mut self, message: &Message) {
        if message.kind == EventKind::New {
            self.born.insert(message.order_id);
        }
    }

    fn plan_message(&mut self, message: &Message, effect: Effect, steps: &mut Vec<Step>) {
        self.note_birth(message);
        match effect {
            Effect::None => self.counts.skip(match message.kind {
                EventKind::HiddenExecution => Skip::HiddenExecution,
                EventKind::CrossTrade => Skip::CrossTrade,
                _ => Skip::Halt,
            }),
            Effect::Unfit(why) => self.counts.skip(match why {
                Unfit::OutsideView => Skip::OutsideView,
                Unfit::NotInBook => Skip::NotInBook,
                Unfit::NotAtBest => Skip::NotAtBest,
                Unfit::Crossing => Skip::Crossing,
            }),
            Effect::Adds | Effect::Takes if !self.in_step => self.counts.skip(Skip::OutOfStep),
            Effect::Adds => {
                self.counts.new_orders += 1;
                let Message {
                    side,
                    price,
                    size,
                    order_id,
                    ..
                } = *message;
                self.enter(
                    Role::Maker,
                    side,
                    price,
                    u64::from(size),
                    Some(order_id),
                    steps,
                );
            }
            Effect::Takes if message.kind == EventKind::Execution => self.execute(message, steps),
            Effect::Takes => self.cancel(message, steps),
        }
    }

    /// A visible execution: an aggressor of that size on the other side at that price.
    fn execute(&mut self, message: &Message, steps: &mut Vec<Step>) {
        let Message {
            side,
            price,
            size,
            order_id,
            ..
        } = *message;
        let front = self.book.front_id(side, price).flatten();
        let is_held = self.book.holds(side, price, order_id);
        self.counts
            .execution(front == Some(order_id), is_held, front.is_none());
        let mut left = size;
        while left > 0 {
            let quantity = left.min(ORDER_QUANTITY_MAX);
            left -= quantity;
            let fills = self.book.execute(side, price, quantity);
            let request = Request {
                row: self.row,
                key: self.next_key(Role::Taker),
                action: Action::Enter {
                    side: side.opposite(),
                    quantity,
                    price,
                    immediate: true,
                },
                fills,
            };
            steps.push(Step::Send(request));
        }
    }

    /// A partial or whole cancel, of the named order or of what stands for it.
    fn cancel(&mut self, message: &Message, steps: &mut Vec<Step>) {
        let Message {
            side,
            price,
            size,
            order_id,
            ..
        } = *message;
        let reductions = self.book.reduce(side, price, Some(order_id), size);
        let is_named = reductions.iter().all(|one| one.found == Found::Named);
        let has_other = reductions.iter().any(|one| one.found == Found::Other);
        let is_born = self.born.contains(&order_id);
        self.counts.cancel(is_named, is_born, has_other);
        for reduction in &reductions {
            self.push_cancel(reduction, steps);
        }
    }

    fn plan_comparison(
        &mut self,
        before: &BookRow,
        row: &Row,
        effect: Effect,
        steps: &mut Vec<Step>,
    ) {
        if !self.in_step {
            self.counts.not_compared(NotCompared::OutOfStep);
            return;
        }
        let determined = [Side::Buy, Side::Sell]
            .map(|side| determine(before, &row.message, effect, side, self.depth));
        let [bids, asks] = &determined;
        if !bids.agrees_with(row.after.bids.as_slice())
            || !asks.agrees_with(row.after.asks.as_slice())
        {
            self.counts.not_compared(NotCompared::FileContradictsItself);
            return;
        }
        let [bids, asks] = determined.map(|side| Extent {
            levels: side.levels.as_slice().len(),
            is_complete: side.is_complete,
        });
        let comparison = Comparison {
            row: row.number,
            want: row.after.clone(),
            bids,
            asks,
        };
        if comparison.is_whole_row() {
            self.counts.rows_planned += 1;
        } else {
            self.counts.not_compared(NotCompared::OnlyLevelRevealed);
        }
        steps.push(Step::Compare(comparison));
    }

    /// Brings our book to what the file shows.
    fn follow_view(&mut self, view: &BookRow, steps: &mut Vec<Step>) {
        for side in [Side::Buy, Side::Sell] {
            self.leave_view(view, side, steps);
        }
        self.in_step = true;
        for side in [Side::Buy, Side::Sell] {
            self.reveal(view, side, steps);
        }
    }

    fn leave_view(&mut self, view: &BookRow, side: Side, steps: &mut Vec<Step>) {
        for level in self.book.levels(side) {
            let shown = view.side(side).quantity_at(level.price);
            let reductions = if shown == 0 {
                self.counts.levels_left_view += 1;
                self.book.remove_level(side, level.price)
            } else if shown < level.quantity {
                self.counts.levels_trimmed += 1;
                let surplus = u32::try_from(level.quantity - shown).unwrap_or(u32::MAX);
                self.book.reduce(side, level.price, None, surplus)
            } else {
                continue;
            };
            self.counts.orders_left_view += reductions.len() as u64;
            for reduction in &reductions {
                self.push_cancel(reduction, steps);
            }
        }
    }

    fn reveal(&mut self, view: &BookRow, side: Side, steps: &mut Vec<Step>) {
        for level in view.side(side).as_slice() {
            let held = self.book.quantity_at(side, level.price);
            let missing = level.quantity.saturating_sub(held);
            if missing == 0 {
                continue;
            }
            if self.book.would_trade(side, level.price) {
                self.in_step = false;
                self.counts.levels_not_revealed_crossed += 1;
                continue;
            }
            self.counts.revealed(self.row == 1, held == 0, missing);
            self.enter(Role::Reveal, side, level.price, missing, None, steps);
        }
    }

    fn enter(
        &mut self,
        role: Role,
        side: Side,
        price: u64,
        quantity: u64,
        file_id: Option<u64>,
        steps: &mut Vec<Step>,
    ) {
        let mut left = quantity;
        while left > 0 {
            let part = u32::try_from(left)
                .unwrap_or(u32::MAX)
                .min(ORDER_QUANTITY_MAX);
            left -= u64::from(part);
            let key = self.next_key(role);
            let order = Resting {
                key,
                file_id,
                total: part,
                open: part,
            };
            self.book.add(side, price, order);
            let action = Action::Enter {
                side,
                quantity: part,
                price,
                immediate: false,
            };
            self.push(key, action, steps);
        }
    }

    fn push_cancel(&self, reduction: &Reduction, steps: &mut Vec<Step>) {
        let action = Action::Cancel {
            new_total: reduction.new_total,
            removes: reduction.removes,
        };
        self.push(reduction.key, action, steps);
    }

    fn push(&self, key: OrderKey, action: Action, steps: &mut Vec<Step>) {
        steps.push(Step::Send(Request {
            row: self.row,
            key,
            action,
            fills: Vec::new(),
        }));
    }

    fn next_key(&mut self, role: Role) -> OrderKey {
        let last = &mut self.user_refs[role.session()];
        *last += 1;
        OrderKey {
            role,
            user_ref: *last,
        }
    }
}
