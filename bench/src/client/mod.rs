//! An OUCH client: sessions that survive their connections, and exact books of what was answered.
//!
//! ```text
//! connection  sessions over a driver: login, framing, heartbeats, numbers
//! request     the plain requests
//! orders      what the answers say of a session's orders
//! memory      what was heard, by number        outbox  what is in doubt
//! trader      orders + memory + outbox: a session that survives kills, with exact accounts
//! traders     many of them over sockets
//! ```
//! It believes nothing but the venue's answers. It must never count an order that the venue did not
//! acknowledge, nor forget one that it did.

pub mod connection;
pub mod memory;
pub mod orders;
pub mod outbox;
pub mod request;
pub mod trader;
pub mod traders;
