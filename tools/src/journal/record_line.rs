//! One record as a line: for people, or as a JSON object.

use super::fields;
use super::time::Utc;
use lockstep_journal::BatchHeader;
use lockstep_record::Record;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A record with its place in the log.
pub struct RecordLine<'a> {
    pub batch: &'a BatchHeader,
    pub sequence: u64,
    pub record: &'a Record<'a>,
    /// The log has broken before it.
    pub behind_break: bool,
    /// Only the log buffer holds it yet.
    pub log_buffer: bool,
}

impl RecordLine<'_> {
    pub fn to_json(&self) -> Value {
        let header = self.record.header();
        let known = fields::body(self.record);
        let body = known.is_none().then(|| self.body_hex());
        let parts: Vec<Value> = self
            .record
            .parts()
            .map(|part| {
                json!({
                    "tag": part.tag.0,
                    "name": fields::part_name(part.tag),
                    "policy": fields::policy_name(part.policy),
                    "value": fields::part_value(&part),
                })
            })
            .collect();
        json!({
            "sequence": self.sequence,
            "time": Utc(self.batch.timestamp).to_string(),
            "time_ns": self.batch.timestamp,
            "index": self.batch.index,
            "term": self.batch.term,
            "kind": fields::kind_name(header.kind),
            "version": header.version,
            "policy": fields::policy_name(header.policy),
            "session": header.source.session.0,
            "epoch": header.source.epoch.0,
            "gateway": header.source.gateway.0,
            "partition": header.partition.0,
            "fields": known.map(fields::object),
            "body": body,
            "parts": parts,
            "behind_break": self.behind_break,
            "log_buffer": self.log_buffer,
        })
    }

    /// `sequence time kind session.epoch field=value … +part=value …`
    pub fn to_text(&self) -> String {
        let header = self.record.header();
        let mut line = format!(
            "{:>10} {} {:<20} s{}.{}",
            self.sequence,
            Utc(self.batch.timestamp),
            fields::kind_name(header.kind),
            header.source.session.0,
            header.source.epoch.0
        );
        // Writing to a String cannot fail.
        match fields::body(self.record) {
            Some(named) => {
                for (name, value) in named {
                    let _ = match (name, value.as_u64()) {
                        ("price", Some(price)) => write!(line, " price={}", Price(price)),
                        _ => write!(line, " {name}={}", fields::word(&value)),
                    };
                }
            }
            None => {
                let _ = write!(line, " version={} body={}", header.version, self.body_hex());
            }
        }
        for part in self.record.parts() {
            let value = fields::word(&fields::part_value(&part));
            let _ = write!(line, " +{}={value}", fields::part_name(part.tag));
        }
        if self.behind_break {
            line += " [behind a break]";
        }
        if self.log_buffer {
            line += " [log buffer]";
        }
        line
    }

    fn body_hex(&self) -> String {
        let length = usize::from(self.record.header().body_length);
        let bytes = self.record.bytes();
        let body = &bytes[lockstep_record::RECORD_HEADER_LENGTH..];
        body[..length]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// In 1/10,000; prints as a decimal.
pub struct Price(pub u64);

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        f.pad(&text)
    }
}
