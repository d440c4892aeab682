//! The admin protocol's messages: JSON, typed, unknown members refused. docs/admin-protocol.md is normative.

mod command;
mod view;

pub use command::*;
use serde::{Deserialize, Serialize};
pub use view::*;

/// Of the protocol; a request of another version is refused.
pub const VERSION: u32 = 0;
/// Longest note that a request may carry, bytes.
pub const NOTE_LENGTH_MAX: usize = 120;
/// Price levels of a side that `show_book` may ask for.
pub const LEVELS_MAX: u32 = 1000;
/// Orders that one answer may hold.
pub const ORDERS_MAX: u32 = 1000;

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    /// Echoed in the answer.
    #[serde(default)]
    pub id: u64,
    /// Why, in the operator's words; stands in the log beside his identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub command: Command,
}

impl Request {
    /// Reads the content of a frame; the error comes with the request's id where that could be read.
    pub fn parse(content: &[u8]) -> Result<Self, (u64, Problem)> {
        let malformed = |e| Problem::new(ProblemCode::Malformed, format!("request: {e}"));
        let request: Self = serde_json::from_slice(content).map_err(|e| (0, malformed(e)))?;
        if request.version != VERSION {
            let what = format!("version {}; this node speaks {VERSION}", request.version);
            return Err((request.id, Problem::new(ProblemCode::Version, what)));
        }
        Ok(request)
    }

    /// What a frame carries.
    pub fn content(&self) -> Vec<u8> {
        // Numbers, text and names of members: nothing that JSON cannot say.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Answer {
    pub version: u32,
    pub id: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok(serde_json::Value),
    Error(Problem),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Problem {
    pub code: ProblemCode,
    pub message: String,
}

impl Problem {
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// Not JSON, not a request, or a member is missing, unknown or out of range.
    Malformed,
    /// Of another version of the protocol.
    Version,
    /// The peer may not do that.
    NotPermitted,
    /// Nothing of that name.
    NotFound,
    /// The configuration file cannot be read or is wrong.
    Configuration,
    /// The engine or the log did not come to it in time; a command may still take effect.
    TimedOut,
    /// The node is stopping.
    Stopping,
}

/// What a command's record came to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Applied {
    /// The record's kind.
    pub kind: String,
    /// Its place in the total order; 0 if that is not known.
    pub sequence: u64,
    pub outcome: Fate,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a reload: what it changes of an entry that is defined, `static_collar 500 -> 600`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The record's bytes in hexadecimal (journal-format.md).
    pub record: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Committed and applied.
    Applied,
    /// Committed, and refused by the state machine as a whole.
    Refused,
    /// Not known: no answer came in time. The journal tells.
    Unknown,
    /// Only proposed; nothing was put in the log.
    Proposed,
}

/// The answer to every command that is not a view, and to `reload`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
pub struct Commanded {
    pub records: Vec<Applied>,
    /// Sections of the file that differ and count only after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<String>,
}

#[cfg(test)]
mod tests;
