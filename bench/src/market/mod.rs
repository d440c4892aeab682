//! Replays recorded order flow through the venue's front door and compares what comes back.
//!
//! ```text
//! lobster   rows of the files
//! levels    what a row and a message determine of the next row
//! plan      rows → orders and comparisons            (expected: the orders that rest)
//! replay    requests in flight, answers, comparisons (book: the book as the answers tell it)
//! run       the loop over a VenueLink                (link, report, mismatch, counts)
//! ```
//! Only `run` knows time; nothing here touches a socket.

pub mod book;
pub mod counts;
#[cfg(test)]
mod engine_tests;
pub mod expected;
mod in_flight;
pub mod levels;
pub mod link;
pub mod lobster;
pub mod mismatch;
#[cfg(test)]
mod naive_venue;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
pub mod sockets;
