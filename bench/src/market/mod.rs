//! Replays recorded order flow through the venue's front door and compares what comes back.
//!
//! `lobster` reads the files, `levels` says what a row determines, `plan` turns rows into orders,
//! `book` is the book as the venue's answers tell it, `replay` drives one against the other.
//! Only `replay::run` touches time; nothing here touches a socket.

pub mod levels;
pub mod lobster;
