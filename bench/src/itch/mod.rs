//! Replays a NASDAQ ITCH 5.0 file through the venue's front door and compares what comes back, event by
//! event, for every stock of the file.
//!
//! ```text
//! reader   BinaryFILE frames, plain or .gz → messages
//! book     the orders that the file says live, in its own queues
//! survey   first look: which orders no price-time book could treat as the file does
//! plan     messages → OUCH requests, and what must be answered
//! replay   requests in flight, answers, comparisons
//! run      the loop over a VenueLink          report   counts and mismatches
//! ```
//! A venue's file is what its matching did, so every event can be had again: an add rests, an execution is
//! an aggressor that hits exactly that order, a replace is a replace. A file that is not (artificial ones,
//! books of which a part is missing) holds orders that would trade at once or execute out of turn. Those
//! are entered into *lanes*: instruments beside the stock's own, where their event is possible. How many were is
//! reported; nothing is left out silently.

pub mod book;
pub mod plan;
pub mod reader;
pub mod replay;
pub mod report;
pub mod run;
pub mod survey;
#[cfg(test)]
mod tests;
