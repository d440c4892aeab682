//! What each segment holds: ranges of index, sequence and time, and how much of it is used.

use super::time::Utc;
use super::walk::SegmentFile;
use lockstep_journal::BatchHeader;
use lockstep_journal::segment::segment_name;
use serde_json::{Value, json};
use std::io::{self, Write};

/// One segment's row.
pub struct SegmentRow {
    file: SegmentFile,
    first: Option<BatchHeader>,
    last: Option<BatchHeader>,
    batches: u64,
    records: u64,
    /// End of its last batch in the file; bytes.
    used: u64,
}

impl SegmentRow {
    pub fn new(file: &SegmentFile) -> Self {
        Self {
            file: *file,
            first: None,
            last: None,
            batches: 0,
            records: 0,
            used: 0,
        }
    }

    pub fn add(&mut self, header: &BatchHeader) {
        self.first.get_or_insert(*header);
        self.last = Some(*header);
        self.batches += 1;
        self.records += u64::from(header.record_count);
    }

    pub fn end(&mut self, used: u64) {
        self.used = used;
    }

    fn header_state(&self) -> String {
        match self.file.header {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    pub fn to_json(&self) -> Value {
        let last_sequence = self.last.map(|last| last.next_sequence() - 1);
        json!({
            "number": self.file.number,
            "name": segment_name(self.file.number),
            "length": self.file.length,
            "header": self.header_state(),
            "used_bytes": self.used,
            "batches": self.batches,
            "records": self.records,
            "first_index": self.first.map(|first| first.index),
            "last_index": self.last.map(|last| last.index),
            "first_sequence": self.first.map(|first| first.first_sequence),
            "last_sequence": last_sequence,
            "first_time_ns": self.first.map(|first| first.timestamp),
            "last_time_ns": self.last.map(|last| last.timestamp),
        })
    }

    pub fn print_heading(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:>8} {:>12} {:>22} {:>22} {:<63} header",
            "segment", "used bytes", "index", "sequence", "time"
        )
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let range = |of: fn(&BatchHeader) -> u64| match (self.first, self.last) {
            (Some(first), Some(last)) => format!("{}..{}", of(&first), of(&last)),
            _ => "-".to_owned(),
        };
        let sequences = match (self.first, self.last) {
            // Batches without records give the next number, not one of theirs.
            (Some(first), Some(last)) if self.records > 0 => {
                format!("{}..{}", first.first_sequence, last.next_sequence() - 1)
            }
            _ => "-".to_owned(),
        };
        let times = match (self.first, self.last) {
            (Some(first), Some(last)) => {
                format!("{} .. {}", Utc(first.timestamp), Utc(last.timestamp))
            }
            _ => "-".to_owned(),
        };
        writeln!(
            out,
            "{:>8} {:>12} {:>22} {:>22} {:<63} {}",
            self.file.number,
            self.used,
            range(|header| header.index),
            sequences,
            times,
            self.header_state()
        )
    }
}
