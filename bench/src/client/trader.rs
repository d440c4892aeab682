//! One session that survives its connections and knows exactly what it was told.
//!
//! After a reconnect it hears what it missed, asks for its next number, sends again what is in doubt,
//! and is ready. Every message is compared with what was heard before under its number; every new one
//! must fit the order accounts. Sans I/O.
//!
//! ```text
//! Down ──logged in: Q──▶ CatchingUp ──answer to Q──▶ Resending ──all in doubt sent again──▶ Ready
//!  ▲────────────────────────────────── ended ───────────────────────────────────────────────┘
//! ```

use super::connection::SessionEnd;
use super::memory::{Seen, StreamError, StreamMemory};
use super::orders::{AccountError, Change, Orders};
use super::outbox::{Outbox, OutboxError};
use lockstep_wire::ouch::{OuchError, Outbound};
use thiserror::Error;

/// Bounds of a trader's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraderLimits {
    /// Orders remembered, ended ones included; some 80 bytes each.
    pub orders_max: usize,
    /// Messages remembered, 8 bytes each.
    pub messages_max: usize,
    /// Requests unanswered.
    pub requests_max: usize,
}

impl Default for TraderLimits {
    fn default() -> Self {
        Self {
            orders_max: 4_000_000,
            messages_max: 32_000_000,
            requests_max: 65_536,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Down,
    CatchingUp,
    /// Sends again what is in doubt, as the connection takes it; nothing new may pass it.
    Resending,
    Ready,
}

/// The venue told something that cannot be, or the trader ran into a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TraderError {
    #[error("message {number}: {error}")]
    Stream { number: u64, error: StreamError },
    #[error("message {number}: {error}")]
    Account { number: u64, error: AccountError },
    #[error("message {number} cannot be read: {error}")]
    Unreadable { number: u64, error: OuchError },
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// One session.
#[derive(Debug)]
pub struct Trader {
    limits: TraderLimits,
    remembers_ended: bool,
    orders: Orders,
    memory: StreamMemory,
    outbox: Outbox,
    phase: Phase,
    next_user_ref: u32,
    /// Messages that were heard again and were the same.
    verified: u64,
    resent: u64,
    /// The youngest so many requests in doubt are still to be sent again.
    resend_left: usize,
    last_end: Option<SessionEnd>,
}

impl Trader {
    /// Remembers ended orders too if `remembers_ended`.
    pub fn new(limits: TraderLimits, remembers_ended: bool) -> Self {
        Self {
            limits,
            remembers_ended,
            orders: new_orders(limits, remembers_ended),
            memory: StreamMemory::new(limits.messages_max),
            outbox: Outbox::new(limits.requests_max),
            phase: Phase::Down,
            next_user_ref: 1,
            verified: 0,
            resent: 0,
            resend_left: 0,
            last_end: None,
        }
    }

    /// A new trading day: streams and numbers begin at 1, and what the venue kept over night it will
    /// tell again. Returns the orders of the old day that were still open: day orders should be none.
    pub fn begin_day(&mut self) -> usize {
        let open = self.orders.live_count();
        self.orders = new_orders(self.limits, self.remembers_ended);
        self.memory = StreamMemory::new(self.limits.messages_max);
        self.outbox = Outbox::new(self.limits.requests_max);
        self.phase = Phase::Down;
        self.next_user_ref = 1;
        open
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    pub fn memory(&self) -> &StreamMemory {
        &self.memory
    }

    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Messages that the venue told again, identical to the first time.
    pub fn verified_count(&self) -> u64 {
        self.verified
    }

    /// Requests sent again after a reconnect.
    pub fn resent_count(&self) -> u64 {
        self.resent
    }

    /// Why the last connection ended.
    pub fn last_end(&self) -> Option<SessionEnd> {
        self.last_end
    }

    /// Number for the next request that takes one.
    pub fn next_user_ref(&self) -> u32 {
        self.next_user_ref
    }

    /// Uses up a number.
    pub fn take_user_ref(&mut self) -> u32 {
        let user_ref = self.next_user_ref;
        self.next_user_ref = user_ref.wrapping_add(1);
        user_ref
    }

    /// A request is being sent: it is in doubt until answered.
    pub fn handle_request(&mut self, message: &[u8]) -> Result<(), TraderError> {
        Ok(self.outbox.push(message)?)
    }

    /// The login was accepted; the stream goes on at `number`. The shell now sends an account query.
    pub fn handle_logged_in(&mut self, number: u64) {
        self.memory.begin_at(number);
        self.phase = Phase::CatchingUp;
    }

    pub fn handle_ended(&mut self, why: SessionEnd) {
        self.phase = Phase::Down;
        self.last_end = Some(why);
    }

    /// Takes message `number` of the stream. What was heard before changes nothing.
    /// In phase `Resending` the shell sends `next_resend` again until there is none.
    pub fn handle_message(&mut self, number: u64, payload: &[u8]) -> Result<Change, TraderError> {
        let seen = self.memory.handle_message(number, payload);
        let seen = seen.map_err(|error| TraderError::Stream { number, error })?;
        let answer =
            Outbound::parse(payload).map_err(|error| TraderError::Unreadable { number, error })?;
        if seen == Seen::Again {
            self.verified += 1;
            return Ok(Change::None);
        }
        self.outbox.handle_answer(&answer);
        if let Outbound::AccountQueryResponse(response) = answer
            && self.phase == Phase::CatchingUp
        {
            // A replayed answer to an older query may come first. Resending too early is harmless:
            // what was processed is ignored by its number, and its answer is still to come.
            self.next_user_ref = self.next_user_ref.max(response.next_user_ref_num());
            self.phase = Phase::Resending;
            self.resend_left = self.outbox.len();
        }
        self.settle_resends();
        self.orders
            .handle_answer(&answer)
            .map_err(|error| TraderError::Account { number, error })
    }

    /// Requests that the venue may not have seen, oldest first.
    pub fn in_doubt(&self) -> impl Iterator<Item = &[u8]> {
        self.outbox.in_doubt()
    }

    /// The oldest request to send again now.
    pub fn next_resend(&self) -> Option<&[u8]> {
        let at = self.outbox.len().checked_sub(self.resend_left)?;
        (self.phase == Phase::Resending).then(|| self.outbox.get(at))?
    }

    /// `next_resend` was sent.
    pub fn handle_resent(&mut self) {
        self.resent += 1;
        self.resend_left = self.resend_left.saturating_sub(1);
        self.settle_resends();
    }

    /// Answers may settle what was to be sent again.
    fn settle_resends(&mut self) {
        self.resend_left = self.resend_left.min(self.outbox.len());
        if self.phase == Phase::Resending && self.resend_left == 0 {
            self.phase = Phase::Ready;
        }
    }
}

fn new_orders(limits: TraderLimits, remembers_ended: bool) -> Orders {
    if remembers_ended {
        Orders::remembering_ended(limits.orders_max)
    } else {
        Orders::new(limits.orders_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::request::{encode_account_query, encode_cancel};
    use lockstep_net::CloseReason;
    use lockstep_wire::ouch::Appendage;
    use lockstep_wire::ouch::outbound::{AccountQueryResponse, Canceled, SystemEvent};

    fn query_response(next_user_ref_num: u32) -> Vec<u8> {
        let message = AccountQueryResponse {
            timestamp: 1,
            next_user_ref_num,
        };
        let mut bytes = vec![0; 32];
        let length = message.encode(Appendage::ABSENT, &mut bytes);
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn a_session_goes_down_catches_up_and_is_ready_again() {
        let mut trader = Trader::new(TraderLimits::default(), false);
        assert_eq!(trader.phase(), Phase::Down);
        trader.handle_logged_in(1);
        assert_eq!(trader.phase(), Phase::CatchingUp);
        trader.handle_message(1, &query_response(5)).expect("fits");
        assert_eq!(
            (
                trader.phase(),
                trader.take_user_ref(),
                trader.next_user_ref()
            ),
            (Phase::Ready, 5, 6)
        );
        let mut query = [0; 8];
        let length = encode_account_query(&mut query);
        trader.handle_request(&query[..length]).expect("room");
        trader.handle_ended(SessionEnd::Closed(CloseReason::Reset));
        assert_eq!(
            (trader.phase(), trader.in_doubt().count()),
            (Phase::Down, 1)
        );
        trader.handle_logged_in(2);
        // The answer that was missed comes first; then nothing is in doubt.
        trader.handle_message(2, &query_response(6)).expect("fits");
        assert_eq!((trader.phase(), trader.resent_count()), (Phase::Ready, 0));
    }

    #[test]
    fn what_is_in_doubt_is_sent_again_before_anything_new() {
        let mut trader = Trader::new(TraderLimits::default(), false);
        trader.handle_logged_in(1);
        trader.handle_message(1, &query_response(1)).expect("fits");
        for user_ref in 1..=3 {
            let mut message = [0; 16];
            let length = encode_cancel(user_ref, 0, &mut message);
            trader.handle_request(&message[..length]).expect("room");
        }
        assert_eq!(
            trader.next_resend(),
            None,
            "a live session sends nothing again"
        );
        trader.handle_ended(SessionEnd::TimedOut);
        trader.handle_logged_in(2);
        trader.handle_message(2, &query_response(1)).expect("fits");
        let user_ref = |trader: &Trader| trader.next_resend().map(|message| message[4]);
        assert_eq!(
            (trader.phase(), user_ref(&trader)),
            (Phase::Resending, Some(1))
        );
        trader.handle_resent();
        assert_eq!(user_ref(&trader), Some(2));
        trader.handle_resent();
        trader.handle_resent();
        assert_eq!(
            (trader.phase(), trader.resent_count(), user_ref(&trader)),
            (Phase::Ready, 3, None)
        );
    }

    #[test]
    fn a_message_that_cannot_be_is_an_error_with_its_number() {
        let mut trader = Trader::new(TraderLimits::default(), false);
        trader.handle_logged_in(1);
        let gap = trader
            .handle_message(2, &query_response(1))
            .expect_err("gap");
        assert!(
            matches!(gap, TraderError::Stream { number: 2, .. }),
            "{gap}"
        );
        let unreadable = trader.handle_message(1, b"?").expect_err("no OUCH");
        assert!(
            matches!(unreadable, TraderError::Unreadable { number: 1, .. }),
            "{unreadable}"
        );
        let canceled = Canceled {
            timestamp: 1,
            user_ref_num: 9,
            quantity: 1,
            reason: b'U',
        };
        let mut bytes = [0; 32];
        let length = canceled.encode(Appendage::ABSENT, &mut bytes);
        let unknown = trader
            .handle_message(2, &bytes[..length])
            .expect_err("no such order");
        assert!(
            matches!(unknown, TraderError::Account { number: 2, .. }),
            "{unknown}"
        );
    }

    #[test]
    fn a_new_day_begins_at_number_one() {
        let mut trader = Trader::new(TraderLimits::default(), true);
        trader.handle_logged_in(1);
        trader.handle_message(1, &query_response(7)).expect("fits");
        assert_eq!(trader.begin_day(), 0);
        assert_eq!(
            (trader.memory().next_number(), trader.next_user_ref()),
            (1, 1)
        );
        trader.handle_logged_in(1);
        let event = SystemEvent {
            timestamp: 1,
            code: b'S',
        };
        let mut bytes = [0; 32];
        let length = event.encode(Appendage::ABSENT, &mut bytes);
        trader
            .handle_message(1, &bytes[..length])
            .expect("another story, another day");
    }
}
