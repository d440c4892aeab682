//! Consensus: decides which batches of the log are committed.
//!
//! A plain state machine: it is told what was appended and persisted, and says what is committed and
//! whether this node may append at all. It sees references (index, position), never payloads.
//! `Solo` is a group of one; a Raft group implements the same trait later.

use crate::config::AcknowledgePolicy;
use lockstep_record::{LogIndex, Term};

/// End of a batch in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogEnd {
    pub index: LogIndex,
    /// Log position after the batch.
    pub position: u64,
}

pub trait Consensus: Send {
    /// The term in which this node may append, or `None` while it does not lead.
    fn leadership(&self) -> Option<Term>;
    /// A batch is in the log buffer.
    fn handle_appended(&mut self, end: LogEnd);
    /// All bytes before `position` are on stable storage.
    fn handle_persisted(&mut self, position: u64);
    /// End of the committed log; never goes back.
    fn poll_commit(&mut self) -> LogEnd;
}

/// Batches appended and not yet known persisted; bounds memory, not correctness: a solo node merges
/// the newest two when it overflows, which only delays an index, never a position.
const IN_FLIGHT_MAX: usize = 4096;

/// A group of one: committed is what its acknowledgement policy calls stored.
#[derive(Debug)]
pub struct Solo {
    term: Term,
    policy: AcknowledgePolicy,
    in_flight: std::collections::VecDeque<LogEnd>,
    persisted: u64,
    committed: LogEnd,
}

impl Solo {
    /// `committed`: end of the recovered log, all of which is on stable storage.
    pub fn new(term: Term, policy: AcknowledgePolicy, committed: LogEnd) -> Self {
        Self {
            term,
            policy,
            in_flight: std::collections::VecDeque::with_capacity(IN_FLIGHT_MAX),
            persisted: committed.position,
            committed,
        }
    }
}

impl Consensus for Solo {
    fn leadership(&self) -> Option<Term> {
        Some(self.term)
    }

    fn handle_appended(&mut self, end: LogEnd) {
        assert!(end.index.0 > self.committed.index.0 && end.position > self.committed.position);
        match self.policy {
            AcknowledgePolicy::Local => self.committed = end,
            AcknowledgePolicy::Durable => {
                if self.in_flight.len() == IN_FLIGHT_MAX {
                    self.in_flight.pop_back();
                }
                self.in_flight.push_back(end);
            }
        }
    }

    fn handle_persisted(&mut self, position: u64) {
        assert!(position >= self.persisted, "stable storage went backwards");
        self.persisted = position;
    }

    fn poll_commit(&mut self) -> LogEnd {
        while let Some(end) = self.in_flight.front() {
            if end.position > self.persisted {
                break;
            }
            self.committed = *end;
            self.in_flight.pop_front();
        }
        self.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(index: u64, position: u64) -> LogEnd {
        LogEnd {
            index: LogIndex(index),
            position,
        }
    }

    #[test]
    fn durable_commits_what_is_persisted_whole() {
        let mut solo = Solo::new(Term(3), AcknowledgePolicy::Durable, end(7, 1000));
        assert_eq!(solo.leadership(), Some(Term(3)));
        solo.handle_appended(end(8, 1320));
        solo.handle_appended(end(9, 1640));
        assert_eq!(solo.poll_commit(), end(7, 1000));
        solo.handle_persisted(1319);
        assert_eq!(
            solo.poll_commit(),
            end(7, 1000),
            "half a batch is not committed"
        );
        solo.handle_persisted(1400);
        assert_eq!(solo.poll_commit(), end(8, 1320));
        solo.handle_persisted(1640);
        assert_eq!(solo.poll_commit(), end(9, 1640));
    }

    #[test]
    fn local_commits_what_is_appended() {
        let mut solo = Solo::new(Term(1), AcknowledgePolicy::Local, end(0, 0));
        solo.handle_appended(end(1, 320));
        assert_eq!(solo.poll_commit(), end(1, 320));
    }

    /// More batches in flight than are remembered: commits come later, never wrong.
    #[test]
    fn overflow_only_merges() {
        let mut solo = Solo::new(Term(1), AcknowledgePolicy::Durable, end(0, 0));
        let last = IN_FLIGHT_MAX as u64 + 10;
        for i in 1..=last {
            solo.handle_appended(end(i, i * 64));
        }
        solo.handle_persisted(last * 64);
        assert_eq!(solo.poll_commit(), end(last, last * 64));
    }
}
