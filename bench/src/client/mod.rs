//! An OUCH client: sessions that survive their connections, and exact books of what was answered.
//!
//! It believes nothing but the venue's answers. It must never count an order that the venue did not
//! acknowledge, nor forget one that it did.

pub mod orders;
pub mod request;
