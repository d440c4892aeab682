//! Requests whose answer has not come: what is in doubt when a connection is lost.
//!
//! A session's answers come in its order, so an answer settles its request and every one before it
//! (those were answered by silence: OUCH ignores superfluous cancels and replaces of ended orders).
//! After a reconnect, and after everything missed was replayed, what is left was never processed; it
//! may be sent again as it was, for OUCH ignores numbers it has seen.

use lockstep_wire::ouch::{Inbound, Outbound};
use std::collections::VecDeque;
use thiserror::Error;

/// Longest request kept; all plain requests fit.
pub const MESSAGE_LENGTH_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Enter,
    Replace { original: u32 },
    Cancel,
    Query,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    kind: Kind,
    user_ref: u32,
    length: u8,
    message: [u8; MESSAGE_LENGTH_MAX],
}

impl Pending {
    fn bytes(&self) -> &[u8] {
        &self.message[..usize::from(self.length)]
    }
}

/// Why a request cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OutboxError {
    #[error("{requests_max} requests are unanswered; wait for answers")]
    Full { requests_max: usize },
    #[error(
        "only plain O, U, X and Q requests of at most {MESSAGE_LENGTH_MAX} bytes can be sent again"
    )]
    Kind,
}

/// Unanswered requests of one session, oldest first.
#[derive(Debug)]
pub struct Outbox {
    pending: VecDeque<Pending>,
    requests_max: usize,
    /// Requests that were answered by silence.
    unanswered: u64,
}

impl Outbox {
    pub fn new(requests_max: usize) -> Self {
        Self {
            pending: VecDeque::with_capacity(requests_max.min(1 << 16)),
            requests_max,
            unanswered: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Requests that a later answer showed to have been ignored.
    pub fn ignored_count(&self) -> u64 {
        self.unanswered
    }

    /// Keeps a request that is being sent.
    pub fn push(&mut self, message: &[u8]) -> Result<(), OutboxError> {
        if self.pending.len() >= self.requests_max {
            let requests_max = self.requests_max;
            return Err(OutboxError::Full { requests_max });
        }
        if message.len() > MESSAGE_LENGTH_MAX {
            return Err(OutboxError::Kind);
        }
        let (kind, user_ref) = match Inbound::parse(message) {
            Ok(Inbound::EnterOrder(order)) => (Kind::Enter, order.user_ref_num()),
            Ok(Inbound::ReplaceOrder(replace)) => {
                let original = replace.original_user_ref_num();
                (Kind::Replace { original }, replace.user_ref_num())
            }
            Ok(Inbound::CancelOrder(cancel)) => (Kind::Cancel, cancel.user_ref_num()),
            Ok(Inbound::AccountQuery(_)) => (Kind::Query, 0),
            _ => return Err(OutboxError::Kind),
        };
        let mut kept = [0; MESSAGE_LENGTH_MAX];
        kept[..message.len()].copy_from_slice(message);
        self.pending.push_back(Pending {
            kind,
            user_ref,
            length: message.len() as u8,
            message: kept,
        });
        Ok(())
    }

    /// Takes an answer: forgets the request it settles and all before it.
    pub fn handle_answer(&mut self, answer: &Outbound<'_>) {
        let Some(settles) = Settles::of(answer) else {
            return;
        };
        if let Some(at) = self
            .pending
            .iter()
            .position(|pending| settles.this(pending))
        {
            self.unanswered += at as u64;
            self.pending.drain(..=at);
        }
    }

    /// The requests in doubt, oldest first, as they were sent.
    pub fn in_doubt(&self) -> impl Iterator<Item = &[u8]> {
        self.pending.iter().map(Pending::bytes)
    }

    /// The request `at` places behind the oldest.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.pending.get(at).map(Pending::bytes)
    }
}

/// What kind of request an answer settles.
enum Settles {
    Number(u32),
    CancelOf(u32),
    Query,
}

impl Settles {
    fn of(answer: &Outbound<'_>) -> Option<Self> {
        Some(match answer {
            Outbound::Accepted(accepted) => Self::Number(accepted.user_ref_num()),
            Outbound::Rejected(rejected) => Self::Number(rejected.user_ref_num()),
            Outbound::Replaced(replaced) => Self::Number(replaced.user_ref_num()),
            // By the user: answers a cancel, or a replace whose new values were refused.
            Outbound::Canceled(canceled) if canceled.reason() == b'U' => {
                Self::CancelOf(canceled.user_ref_num())
            }
            Outbound::AccountQueryResponse(_) => Self::Query,
            _ => return None,
        })
    }

    fn this(&self, pending: &Pending) -> bool {
        match (self, pending.kind) {
            (Self::Number(number), Kind::Enter | Kind::Replace { .. }) => {
                pending.user_ref == *number
            }
            (Self::CancelOf(number), Kind::Cancel) => pending.user_ref == *number,
            (Self::CancelOf(number), Kind::Replace { original }) => original == *number,
            (Self::Query, Kind::Query) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
