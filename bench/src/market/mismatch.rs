//! What a wrong venue, or a wrong file, looks like.

use super::expected::{Fill, OrderKey, Role};
use super::levels::Level;
use crate::client::orders::{AccountError, Change};
use lockstep_record::Side;
use lockstep_wire::ouch::OuchError;
use std::fmt;

/// One disagreement, at a row of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Row of the oldest request in flight; 0 if none was.
    pub row: u64,
    pub kind: MismatchKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MismatchKind {
    /// The book that the answers make is not the file's.
    Book {
        side: Side,
        want: Vec<Level>,
        got: Vec<Level>,
    },
    /// An aggressor hit other orders, other sizes or another order of them than price-time priority
    /// says; or the two ends of an execution differ; or it traded at another price.
    Fills {
        want: Vec<Fill>,
        got: Vec<Fill>,
        are_paired: bool,
    },
    /// An answer that nothing asked for.
    Unexpected { role: Role, change: Change },
    /// The venue refused an order; `None`: accepted dead.
    Refused { key: OrderKey, reason: Option<u16> },
    /// An answer that cannot follow the answers before it.
    Account { role: Role, error: AccountError },
    /// An answer that is not OUCH.
    Unreadable { role: Role, error: OuchError },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: ", self.row)?;
        match &self.kind {
            MismatchKind::Book { side, want, got } => {
                let side = match side {
                    Side::Buy => "bids",
                    Side::Sell => "asks",
                };
                write!(
                    f,
                    "{side}: the file shows {}, the venue made {}",
                    Shown(want),
                    Shown(got)
                )
            }
            MismatchKind::Fills {
                want,
                got,
                are_paired,
            } => {
                let paired = if *are_paired {
                    ""
                } else {
                    "; price or ends differ"
                };
                write!(f, "executions: expected {want:?}, answered {got:?}{paired}")
            }
            MismatchKind::Unexpected { role, change } => {
                write!(f, "session {}: nothing asked for {change:?}", role.name())
            }
            MismatchKind::Refused { key, reason } => {
                let role = key.role.name();
                write!(
                    f,
                    "session {role}: order {} refused, reason {reason:?}",
                    key.user_ref
                )
            }
            MismatchKind::Account { role, error } => write!(f, "session {}: {error}", role.name()),
            MismatchKind::Unreadable { role, error } => {
                write!(f, "session {}: unreadable answer: {error}", role.name())
            }
        }
    }
}

struct Shown<'a>(&'a [Level]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, level) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}×{}", level.price, level.quantity)?;
        }
        Ok(())
    }
}
