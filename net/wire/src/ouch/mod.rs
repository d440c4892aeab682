//! OUCH 5.0: every message both ways as checked views, and the bridge to commands and events.
//!
//! ```text
//! message:   u8 type | fixed fields | u16 appendage length | appendage
//! appendage: elements of  u8 length (of tag and value) | u8 tag | value
//! ```
//! Integers big-endian, text padded right with spaces, prices in 1/10,000. Length field and appendage
//! may be absent together from `X`, `M`, `Q` requests and from most responses.
//!
//! A view is of known type and legal length, no more: what its values mean is the state machine's.

mod appendage;
mod command;
mod error;
mod event;
mod message;
mod option;

pub mod inbound;
pub mod outbound;

pub use appendage::{
    APPENDAGE_LENGTH_MAX, Appendage, AppendageBuffer, AppendageFull, Element, Elements,
};
pub use command::{COMMAND_RECORD_LENGTH_MAX, write_command};
pub use error::OuchError;
pub use event::{OUTBOUND_LENGTH_MAX, SEQUENCED_LENGTH_MAX, encode_event, encode_sequenced};
pub use inbound::{INBOUND_LENGTH_MAX, Inbound};
pub use option::{Encoding, OPTIONS, OptionSpec, OptionTag};
pub use outbound::Outbound;
