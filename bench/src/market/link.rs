//! What the replay needs of a venue: somewhere to send messages and something that answers.
//!
//! Over sockets it is three logged-in OUCH clients; in tests it is the state machine in this process,
//! or a venue with a planted bug.

use crate::client::request::REQUEST_LENGTH_MAX;
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

/// What a venue is asked, and who hears what it answers.
pub trait Conversation {
    /// The next request that may be sent now, put into `message`: its session and length.
    fn poll_request(&mut self, message: &mut [u8; REQUEST_LENGTH_MAX]) -> Option<(usize, usize)>;

    fn handle_answer(&mut self, session: usize, payload: &[u8]);
}

/// Sends what may be sent and takes what has arrived; true if there was anything.
pub fn exchange(
    conversation: &mut impl Conversation,
    link: &mut impl VenueLink,
) -> Result<bool, LinkError> {
    let mut message = [0; REQUEST_LENGTH_MAX];
    let mut is_busy = false;
    while let Some((session, length)) = conversation.poll_request(&mut message) {
        link.send(session, &message[..length])?;
        is_busy = true;
    }
    let answers =
        link.poll(&mut |session, payload| conversation.handle_answer(session, payload))?;
    Ok(is_busy || answers > 0)
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
