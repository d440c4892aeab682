//! What the replay needs of a venue: somewhere to send messages and something that answers.
//!
//! Over sockets it is three logged-in OUCH clients; in tests it is the state machine in this process,
//! or a venue with a planted bug.

use std::time::Duration;
use thiserror::Error;

/// Three OUCH sessions of one venue, by `Role::session`.
pub trait VenueLink {
    /// Sends one OUCH message (without framing). May queue it, must not drop it.
    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError>;

    /// Hands over every answer that has arrived, each session's in its order; returns how many.
    fn poll(&mut self, answer: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError>;

    /// Nothing to send and nothing arrived: may block until something may have, at most this long.
    fn wait(&mut self, _at_most: Duration) {}
}

/// Why the link to the venue is of no use any more.
#[derive(Debug, Error)]
pub enum LinkError {
    #[error("session {session}: the venue closed the connection ({reason})")]
    Closed { session: usize, reason: String },
    #[error("session {session}: {reason}")]
    Refused { session: usize, reason: String },
    #[error("{0}")]
    Other(String),
}
