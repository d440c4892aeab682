//! What the tools find in a journal, in one form for people and for programs.

use serde_json::{Map, Value};
use std::fmt;

/// What a finding means for the journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing; nothing that was acknowledged is in doubt.
    Note,
    /// Bytes that should be there are not, or not as they were written.
    Damage,
}

/// One finding. `kind` is stable: programs may compare it.
#[derive(Clone, Debug)]
pub struct Finding {
    pub severity: Severity,
    pub kind: &'static str,
    /// Row of the decision table in docs/journal-format.md.
    pub row: Option<&'static str>,
    pub segment: Option<u64>,
    /// In the segment's file, bytes.
    pub offset: Option<u64>,
    /// Of the first record concerned.
    pub sequence: Option<u64>,
    /// Of the batch concerned.
    pub index: Option<u64>,
    pub what: String,
}

impl Finding {
    pub fn damage(kind: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Damage, kind, what.into())
    }

    pub fn note(kind: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Note, kind, what.into())
    }

    fn new(severity: Severity, kind: &'static str, what: String) -> Self {
        Self {
            severity,
            kind,
            row: None,
            segment: None,
            offset: None,
            sequence: None,
            index: None,
            what,
        }
    }

    pub fn row(mut self, row: &'static str) -> Self {
        self.row = Some(row);
        self
    }

    pub fn at(mut self, segment: u64, offset: u64) -> Self {
        self.segment = Some(segment);
        self.offset = Some(offset);
        self
    }

    pub fn segment(mut self, segment: u64) -> Self {
        self.segment = Some(segment);
        self
    }

    pub fn batch(mut self, index: u64, sequence: u64) -> Self {
        self.index = Some(index);
        self.sequence = Some(sequence);
        self
    }

    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("severity", self.severity.to_string().into());
        put("kind", self.kind.into());
        put("row", self.row.into());
        put("segment", self.segment.into());
        put("offset", self.offset.into());
        put("sequence", self.sequence.into());
        put("index", self.index.into());
        put("what", self.what.clone().into());
        Value::Object(object)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Damage => "damage",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.kind)?;
        for (name, value) in [
            ("segment", self.segment),
            ("offset", self.offset),
            ("batch", self.index),
            ("sequence", self.sequence),
        ] {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        write!(f, ": {}", self.what)?;
        match self.row {
            Some(row) => write!(f, " ({row})"),
            None => Ok(()),
        }
    }
}
