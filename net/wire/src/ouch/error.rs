//! Why a payload is not an OUCH message.

use thiserror::Error;

/// What is wrong with a payload. From a client each is answered with a debug packet that says it, then
/// close (`docs/wire-protocol.md`, "Messages").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OuchError {
    #[error("empty message; an OUCH message has at least its type")]
    Empty,
    #[error("unknown OUCH message type {0:#04x}")]
    UnknownType(u8),
    /// Shorter than the fixed part, or bytes after it where an appendage cannot be.
    #[error("OUCH message '{}' of {length} bytes; its fixed part has {fixed}", char::from(*.message))]
    Length {
        message: u8,
        length: usize,
        /// As in the size table, with the appendage's length field where that is always there.
        fixed: usize,
    },
    #[error(
        "OUCH message '{}' announces {announced} bytes of options and has {present}",
        char::from(*.message)
    )]
    AppendageLength {
        message: u8,
        announced: usize,
        present: usize,
    },
    #[error(
        "OUCH message '{}' has {length} bytes of options; at most {length_max} are taken",
        char::from(*.message)
    )]
    AppendageTooLong {
        message: u8,
        length: usize,
        length_max: usize,
    },
    #[error(
        "OUCH message '{}': the option at byte {offset} of the options has impossible length {length}",
        char::from(*.message)
    )]
    Element {
        message: u8,
        offset: usize,
        length: u8,
    },
}
