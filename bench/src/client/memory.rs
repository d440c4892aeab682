//! What a client remembers of its stream: a fingerprint of every message by number, so that after any
//! crash it can say whether the venue still tells the same story, message by message.

use crate::measure::hash::ResultHash;
use thiserror::Error;

/// Fingerprints of one session's messages of the day, from number 1.
#[derive(Debug)]
pub struct StreamMemory {
    /// Number of the first message remembered.
    first: u64,
    fingerprints: Vec<u64>,
    messages_max: usize,
}

/// What a message is to one who remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The next one; remembered now.
    New,
    /// Heard before, and the same.
    Again,
}

/// A stream that does not fit what was heard before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StreamError {
    #[error("message {number} is not what it was when first heard")]
    Differs { number: u64 },
    #[error("message {number} came where {expected} was due")]
    Gap { number: u64, expected: u64 },
    #[error("message {number} is older than the first remembered, {first}")]
    BeforeFirst { number: u64, first: u64 },
    #[error("more than {messages_max} messages to remember; raise the client's `messages_max`")]
    Full { messages_max: usize },
}

impl StreamMemory {
    /// Remembers up to `messages_max` messages, 8 bytes each.
    pub fn new(messages_max: usize) -> Self {
        Self {
            first: 1,
            fingerprints: Vec::new(),
            messages_max,
        }
    }

    /// Number of the first message not heard yet.
    pub fn next_number(&self) -> u64 {
        self.first + self.fingerprints.len() as u64
    }

    pub fn count(&self) -> u64 {
        self.fingerprints.len() as u64
    }

    /// The stream begins at `number` for this client: what was before it was never asked for.
    /// Only before the first message.
    pub fn begin_at(&mut self, number: u64) {
        if self.fingerprints.is_empty() {
            self.first = number;
        }
    }

    /// Takes message `number`: remembers it, or compares it with what was remembered.
    pub fn handle_message(&mut self, number: u64, payload: &[u8]) -> Result<Seen, StreamError> {
        let mut fingerprint = ResultHash::default();
        fingerprint.bytes(payload);
        let first = self.first;
        let expected = self.next_number();
        if number < first {
            return Err(StreamError::BeforeFirst { number, first });
        }
        if number > expected {
            return Err(StreamError::Gap { number, expected });
        }
        if number < expected {
            let at = usize::try_from(number - first).unwrap_or(usize::MAX);
            let is_same = self.fingerprints.get(at) == Some(&fingerprint.value());
            return if is_same {
                Ok(Seen::Again)
            } else {
                Err(StreamError::Differs { number })
            };
        }
        if self.fingerprints.len() == self.messages_max {
            let messages_max = self.messages_max;
            return Err(StreamError::Full { messages_max });
        }
        self.fingerprints.push(fingerprint.value());
        Ok(Seen::New)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_story_may_be_told_again() {
        let mut memory = StreamMemory::new(10);
        for (number, text) in [(1, "a"), (2, "b"), (3, "c")] {
            assert_eq!(
                memory.handle_message(number, text.as_bytes()),
                Ok(Seen::New)
            );
        }
        assert_eq!(memory.handle_message(1, b"a"), Ok(Seen::Again));
        assert_eq!(memory.handle_message(3, b"c"), Ok(Seen::Again));
        assert_eq!((memory.next_number(), memory.count()), (4, 3));
    }

    #[test]
    fn another_story_a_gap_or_too_much_is_an_error() {
        let mut memory = StreamMemory::new(2);
        memory.begin_at(5);
        assert_eq!(memory.handle_message(5, b"a"), Ok(Seen::New));
        assert_eq!(
            memory.handle_message(5, b"x"),
            Err(StreamError::Differs { number: 5 })
        );
        let gap = StreamError::Gap {
            number: 7,
            expected: 6,
        };
        assert_eq!(memory.handle_message(7, b"b"), Err(gap));
        let before = StreamError::BeforeFirst {
            number: 4,
            first: 5,
        };
        assert_eq!(memory.handle_message(4, b"b"), Err(before));
        assert_eq!(memory.handle_message(6, b"b"), Ok(Seen::New));
        assert_eq!(
            memory.handle_message(7, b"c"),
            Err(StreamError::Full { messages_max: 2 })
        );
        memory.begin_at(9);
        assert_eq!(
            memory.next_number(),
            7,
            "a stream that has begun cannot begin elsewhere"
        );
    }
}
