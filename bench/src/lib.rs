//! Client side and measurement: market replay (LOBSTER, ITCH), OUCH client, load generator, echo floor, flow model,
//! histograms and reports.
//!
//! Everything here stands outside the venue: it speaks OUCH over sockets like any client and learns
//! only what the venue answers. It must never reach into the engine's memory or files to make a figure
//! or a comparison come out.

mod bed;
pub mod book;
pub mod cli;
pub mod client;
pub mod compare;
pub mod echo;
pub mod engine;
pub mod flow;
pub mod html;
pub mod itch;
pub mod jitter;
pub mod journal;
pub mod layout;
pub mod load;
pub mod local;
pub mod market;
pub mod measure;
pub mod micro;
pub mod random;
pub mod replay;
pub mod snapshots;
pub mod workload;
