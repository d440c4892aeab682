//! Requests in flight of one session, and the answers that end them.
//!
//! A session's answers come in the order of its requests, so the oldest one must be answered first; an
//! answer to any other is an error of the venue (or of this client) and makes the run invalid.

use super::stream::Class;
use lockstep_wire::ouch::Outbound;
use std::collections::VecDeque;

/// A request that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    pub class: Class,
    pub user_ref: u32,
    /// When it was meant to be sent, ns of the run's clock.
    pub due_ns: u64,
}

/// What an answer does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It ends the oldest request.
    Answered(Pending),
    /// … by refusing it, with OUCH's reason.
    Refused(Pending, u16),
    /// … an aggressor that found nothing to trade with.
    Unfilled(Pending),
    /// It says more of a request that waits on, or tells of a bait that traded.
    Aside,
    /// Nothing asked for it, or not yet.
    OutOfOrder,
    /// Not OUCH.
    Unreadable,
}

/// Requests in flight of one session.
#[derive(Debug)]
pub struct InFlight {
    pending: VecDeque<Pending>,
    max: usize,
}

impl InFlight {
    /// At most `max` requests, all room taken now.
    pub fn new(max: usize) -> Self {
        Self {
            pending: VecDeque::with_capacity(max),
            max,
        }
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.pending.len() < self.max
    }

    /// A request was sent. The caller has asked `has_room`.
    #[inline]
    pub fn push(&mut self, pending: Pending) {
        debug_assert!(self.has_room());
        self.pending.push_back(pending);
    }

    /// Takes one answer.
    #[inline]
    pub fn handle_answer(&mut self, payload: &[u8]) -> Outcome {
        let Ok(answer) = Outbound::parse(payload) else {
            return Outcome::Unreadable;
        };
        let head = self.pending.front().copied();
        let is = |class: Class, user_ref: u32| {
            head.is_some_and(|head| head.class == class && head.user_ref == user_ref)
        };
        match answer {
            Outbound::Accepted(accepted) if is(Class::Enter, accepted.user_ref_num()) => {
                self.end(Outcome::Answered)
            }
            // The aggressor's answer is its execution.
            Outbound::Accepted(accepted) if is(Class::Cross, accepted.user_ref_num()) => {
                Outcome::Aside
            }
            Outbound::Executed(executed) if is(Class::Cross, executed.user_ref_num()) => {
                self.end(Outcome::Answered)
            }
            Outbound::Executed(_) => Outcome::Aside,
            Outbound::Canceled(canceled) if is(Class::Cancel, canceled.user_ref_num()) => {
                self.end(Outcome::Answered)
            }
            Outbound::Canceled(canceled) if is(Class::Cross, canceled.user_ref_num()) => {
                self.end(Outcome::Unfilled)
            }
            Outbound::Replaced(replaced) if is(Class::Replace, replaced.user_ref_num()) => {
                self.end(Outcome::Answered)
            }
            Outbound::Rejected(rejected)
                if head.is_some_and(|head| head.user_ref == rejected.user_ref_num()) =>
            {
                self.end(|pending| Outcome::Refused(pending, rejected.reason()))
            }
            Outbound::SystemEvent(_) => Outcome::Aside,
            _ => Outcome::OutOfOrder,
        }
    }

    fn end(&mut self, how: impl FnOnce(Pending) -> Outcome) -> Outcome {
        self.pending.pop_front().map_or(Outcome::OutOfOrder, how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_record::{MatchNumber, Price};
    use lockstep_wire::ouch::Appendage;
    use lockstep_wire::ouch::outbound::{Canceled, Executed, Rejected};

    fn pending(class: Class, user_ref: u32) -> Pending {
        Pending {
            class,
            user_ref,
            due_ns: 5,
        }
    }

    fn canceled(user_ref_num: u32, reason: u8) -> Vec<u8> {
        let message = Canceled {
            timestamp: 1,
            user_ref_num,
            quantity: 1,
            reason,
        };
        let mut bytes = vec![0; 64];
        let length = message.encode(Appendage::ABSENT, &mut bytes);
        bytes.truncate(length);
        bytes
    }

    fn executed(user_ref_num: u32) -> Vec<u8> {
        let message = Executed {
            timestamp: 1,
            user_ref_num,
            quantity: 1,
            price: Price(1),
            liquidity: b'A',
            match_number: MatchNumber(1),
        };
        let mut bytes = vec![0; 64];
        let length = message.encode(Appendage::ABSENT, &mut bytes);
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn answers_end_requests_in_their_order() {
        let mut in_flight = InFlight::new(4);
        in_flight.push(pending(Class::Cancel, 1));
        in_flight.push(pending(Class::Cross, 2));
        in_flight.push(pending(Class::Cross, 3));
        assert_eq!(in_flight.handle_answer(&executed(2)), Outcome::Aside);
        assert_eq!(
            in_flight.handle_answer(&canceled(3, b'I')),
            Outcome::OutOfOrder
        );
        let first = pending(Class::Cancel, 1);
        assert_eq!(
            in_flight.handle_answer(&canceled(1, b'U')),
            Outcome::Answered(first)
        );
        let second = pending(Class::Cross, 2);
        assert_eq!(
            in_flight.handle_answer(&executed(2)),
            Outcome::Answered(second)
        );
        let third = pending(Class::Cross, 3);
        assert_eq!(
            in_flight.handle_answer(&canceled(3, b'I')),
            Outcome::Unfilled(third)
        );
        assert!(in_flight.is_empty());
        assert_eq!(
            in_flight.handle_answer(&canceled(3, b'I')),
            Outcome::OutOfOrder
        );
        assert_eq!(in_flight.handle_answer(b"?"), Outcome::Unreadable);
    }

    #[test]
    fn refusals_end_the_oldest_request_only() {
        let rejected = |user_ref_num| {
            let message = Rejected {
                timestamp: 1,
                user_ref_num,
                reason: 2,
                client_order_id: [b' '; 14],
            };
            let mut bytes = vec![0; 64];
            let length = message.encode(Appendage::ABSENT, &mut bytes);
            bytes.truncate(length);
            bytes
        };
        let mut in_flight = InFlight::new(1);
        in_flight.push(pending(Class::Enter, 9));
        assert!(!in_flight.has_room());
        assert_eq!(in_flight.handle_answer(&rejected(8)), Outcome::OutOfOrder);
        assert_eq!(
            in_flight.handle_answer(&rejected(9)),
            Outcome::Refused(pending(Class::Enter, 9), 2)
        );
    }
}
