//! What a replay did, could not do, and why. Every row and every message is in exactly one count.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Why the book after a row was not compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCompared {
    /// No row before it says what the book was.
    FirstRow,
    /// The only visible level of a side emptied: the file alone knows the next one.
    OnlyLevelRevealed,
    /// The row disagrees with the row before it and its own message.
    FileContradictsItself,
    /// An earlier row could not be entered (a crossed book), so our book is not the file's.
    OutOfStep,
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstRow => "first row: no row before it",
            Self::OnlyLevelRevealed => {
                "a side's only visible level emptied: the next is only revealed"
            }
            Self::FileContradictsItself => "the file contradicts itself",
            Self::OutOfStep => "an earlier row could not be entered",
        })
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    HiddenExecution,
    CrossTrade,
    Halt,
    OutsideView,
    NotInBook,
    NotAtBest,
    Crossing,
    OutOfStep,
    FirstRow,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HiddenExecution => "type 5: execution of a hidden order",
            Self::CrossTrade => "type 6: trade in an auction",
            Self::Halt => "type 7: halt or resumption",
            Self::OutsideView => "outside the visible levels",
            Self::NotInBook => "names more than its level shows",
            Self::NotAtBest => "execution away from the best price",
            Self::Crossing => "new order that would trade with the visible book",
            Self::OutOfStep => "an earlier row could not be entered",
            Self::FirstRow => "first row: its levels hold it already",
        })
    }
}

/// Counts of a plan. Units: rows, messages, orders, levels; shares where the name says so.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PlanCounts {
    pub rows: u64,
    /// Rows whose comparison was planned on both sides.
    pub rows_planned: u64,
    pub rows_not_compared: BTreeMap<NotCompared, u64>,
    /// Type 1, entered by the maker.
    pub new_orders: u64,
    /// Types 2 and 3 that cancelled the order they name.
    pub cancels_direct: u64,
    /// … that cancelled revealed liquidity, because the order was born before the file.
    pub cancels_born_before_file: u64,
    /// … because the order had left the view and came back as revealed liquidity.
    pub cancels_left_view: u64,
    /// … that touched another order, because the queues had parted.
    pub cancels_queue_parted: u64,
    /// Type 4 whose named order is in front of the queue.
    pub executions_named_in_front: u64,
    /// … whose named order stands behind another.
    pub executions_named_behind: u64,
    /// … whose order is part of revealed liquidity, in front.
    pub executions_revealed: u64,
    /// … whose order is part of revealed liquidity, behind another order.
    pub executions_revealed_behind: u64,
    pub messages_skipped: BTreeMap<Skip, u64>,
    /// Levels entered by the reveal session: of the first row, come into view, grown unexplained.
    pub levels_revealed_first_row: u64,
    pub levels_revealed_into_view: u64,
    pub levels_revealed_grown: u64,
    pub shares_revealed: u64,
    /// Levels of a crossed row, which no book can hold.
    pub levels_not_revealed_crossed: u64,
    pub levels_left_view: u64,
    pub orders_left_view: u64,
    /// Levels larger than the file shows, trimmed.
    pub levels_trimmed: u64,
    pub orders_cancelled_at_end: u64,
}

impl PlanCounts {
    pub(super) fn not_compared(&mut self, why: NotCompared) {
        *self.rows_not_compared.entry(why).or_default() += 1;
    }

    pub(super) fn skip(&mut self, why: Skip) {
        *self.messages_skipped.entry(why).or_default() += 1;
    }

    pub(super) fn cancel(&mut self, is_named: bool, is_born: bool, has_other: bool) {
        let count = match (is_named, has_other, is_born) {
            (true, _, _) => &mut self.cancels_direct,
            (false, true, _) => &mut self.cancels_queue_parted,
            (false, false, true) => &mut self.cancels_left_view,
            (false, false, false) => &mut self.cancels_born_before_file,
        };
        *count += 1;
    }

    pub(super) fn execution(&mut self, is_front: bool, is_held: bool, front_is_revealed: bool) {
        let count = match (is_front, is_held, front_is_revealed) {
            (true, _, _) => &mut self.executions_named_in_front,
            (false, true, _) => &mut self.executions_named_behind,
            (false, false, true) => &mut self.executions_revealed,
            (false, false, false) => &mut self.executions_revealed_behind,
        };
        *count += 1;
    }

    pub(super) fn revealed(&mut self, is_first_row: bool, is_new_level: bool, shares: u64) {
        let count = match (is_first_row, is_new_level) {
            (true, _) => &mut self.levels_revealed_first_row,
            (false, true) => &mut self.levels_revealed_into_view,
            (false, false) => &mut self.levels_revealed_grown,
        };
        *count += 1;
        self.shares_revealed += shares;
    }

    pub fn executions(&self) -> u64 {
        self.executions_named_in_front
            + self.executions_named_behind
            + self.executions_revealed
            + self.executions_revealed_behind
    }

    pub fn cancels(&self) -> u64 {
        self.cancels_direct
            + self.cancels_born_before_file
            + self.cancels_left_view
            + self.cancels_queue_parted
    }

    pub fn skipped(&self) -> u64 {
        self.messages_skipped.values().sum()
    }

    pub fn levels_revealed(&self) -> u64 {
        self.levels_revealed_first_row + self.levels_revealed_into_view + self.levels_revealed_grown
    }
}
