//! What the state machine is told of a batch beside its records.

use crate::{LogIndex, Sequence, Term, Timestamp};

/// Kind of a batch (journal-format.md, "Batch header", offset 10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BatchKind {
    /// Records of clients, operators and the system; may be empty (an idle leader's deadline tick).
    Commands = 1,
    /// A leader begins its term; all connections of earlier terms are gone.
    TermStart = 2,
    /// Change of the group's membership. Not written by a solo node.
    Membership = 3,
    /// An orderly stop: everything before it was complete. Carries no records.
    CleanStop = 4,
}

impl BatchKind {
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Commands),
            2 => Some(Self::TermStart),
            3 => Some(Self::Membership),
            4 => Some(Self::CleanStop),
            _ => None,
        }
    }
}

/// The part of a batch header that may influence an outcome. The same on every node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchInfo {
    pub kind: BatchKind,
    pub term: Term,
    pub index: LogIndex,
    /// Sequence of the first record; if the batch is empty, of the next record to come.
    pub first_sequence: Sequence,
    pub record_count: u32,
    /// The only time the state machine knows. Strictly increasing over the log.
    pub timestamp: Timestamp,
    pub feature_set_version: u64,
}
