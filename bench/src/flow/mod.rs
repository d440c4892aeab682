//! Order flow of a market that never was: several symbols, bursts, a walking price, cancels and
//! replaces, aggressors that come in runs. The same seed gives the same flow on every machine.
//!
//! ```text
//! options     what a flow is asked to be
//! model       options → events, in time order, over all symbols
//! book        the market as the flow believes it to be: which of its orders live
//! statistics  of a flow, in the terms of market data
//! recorded    … of recorded files          compare  both in one table, with the model's bands
//! records     a flow as the records of a log
//! ```
//! Integers only. The flow believes that every event is applied in its order; sent over several
//! sessions it may be overtaken, and then a few of its cancels name orders that are gone, as happens
//! in any market.

mod book;
pub mod compare;
pub mod model;
pub mod options;
pub mod recorded;
pub mod records;
pub mod statistics;

pub use model::quantile_mean;
