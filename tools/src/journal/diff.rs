//! `lockstep journal diff`: the first place where two journals are not the same.

use super::cursor::Cursor;
use super::fields;
use super::folder::{self, Opened};
use super::output::{Failure, Progress, row};
use super::time::Utc;
use super::verdict::{self, Outcome};
use clap::Args;
use lockstep_journal::{BATCH_HEADER_LENGTH, BLOCK_LENGTH, BatchHeader, BatchView};
use lockstep_node::fatal::ExitCode;
use lockstep_record::Record;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Batches between two looks at the clock.
const BATCHES_A_TICK: u64 = 4096;

#[derive(Args)]
pub struct DiffArguments {
    /// The first data directory, or the journal folder in it
    a: PathBuf,
    /// The second
    b: PathBuf,
    /// Compare only what is applied: kind, term, time and records of each batch; not ids, commit indexes,
    /// digests and checksums
    #[arg(long)]
    applied: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where the first one's log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
    /// Where the second one's lies
    #[arg(long, value_name = "FILE")]
    log_buffer_b: Option<PathBuf>,
}

pub fn run(arguments: &DiffArguments, out: &mut impl Write) -> Result<(), Failure> {
    let a = folder::open(&arguments.a, arguments.log_buffer.as_deref())?;
    let b = folder::open(&arguments.b, arguments.log_buffer_b.as_deref())?;
    let compared = compare(&a, &b, arguments.applied)?;
    if arguments.json {
        writeln!(out, "{}", compared.to_json(&a, &b))?;
    } else {
        compared.print(&a, &b, out)?;
    }
    out.flush()?;
    match &compared.difference {
        None => Ok(()),
        Some(difference) => {
            let what = format!("the journals differ: {}", difference.what());
            Err(Failure::new(ExitCode::CheckFailed, what))
        }
    }
}

/// Where a batch lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    segment: u64,
    /// In the segment's file.
    offset: u64,
}

impl Place {
    fn of(opened: &Opened, batch: &BatchView<'_>) -> Self {
        let data_length = opened.meta.segment_data_length;
        Self {
            segment: batch.position.segment(data_length),
            offset: BLOCK_LENGTH + batch.position.offset_in_segment(data_length),
        }
    }

    fn to_json(self) -> Value {
        json!({ "segment": self.segment, "offset": self.offset })
    }
}

/// The first difference.
#[derive(Debug)]
enum Difference {
    /// One log ends, or cannot be read on, where the other has another batch.
    Ends {
        which: char,
        how: Outcome,
        next: Where,
    },
    Header {
        at: Where,
        field: &'static str,
        a: String,
        b: String,
    },
    Record {
        at: Where,
        sequence: u64,
        /// In the record; bytes.
        byte: usize,
        kinds: (String, String),
        /// Names of fields and parts that differ, with both values.
        fields: Vec<(String, Value, Value)>,
    },
    /// Behind the records; not part of the log.
    Padding { at: Where, byte: usize },
}

/// A batch in both journals, or in the one that has it.
#[derive(Clone, Copy, Debug)]
struct Where {
    index: u64,
    sequence: u64,
    timestamp: u64,
    a: Option<Place>,
    b: Option<Place>,
}

struct Compared {
    batches: u64,
    records: u64,
    last_sequence: u64,
    difference: Option<Difference>,
}

fn compare(a: &Opened, b: &Opened, applied: bool) -> Result<Compared, Failure> {
    let (mut left, mut right) = (Cursor::new(a), Cursor::new(b));
    let mut progress = Progress::new("compared");
    let total = a.segments.len() as u64 * a.meta.segment_data_length;
    let mut compared = Compared {
        batches: 0,
        records: 0,
        last_sequence: 0,
        difference: None,
    };
    while compared.difference.is_none() {
        let done = left.tail().position.0;
        let (end_a, end_b) = (*left.tail(), *right.tail());
        let (in_a, in_b) = (left.next_batch()?, right.next_batch()?);
        compared.difference = match (&in_a, &in_b) {
            (None, None) => break,
            (Some(batch), None) => Some(Difference::Ends {
                which: 'B',
                how: verdict::judge(b, &end_b, None, None)?.outcome,
                next: place(batch, Some(Place::of(a, batch)), None),
            }),
            (None, Some(batch)) => Some(Difference::Ends {
                which: 'A',
                how: verdict::judge(a, &end_a, None, None)?.outcome,
                next: place(batch, None, Some(Place::of(b, batch))),
            }),
            (Some(left), Some(right)) => {
                let at = place(left, Some(Place::of(a, left)), Some(Place::of(b, right)));
                difference(left, right, at, applied)
            }
        };
        if let (None, Some(batch)) = (&compared.difference, &in_a) {
            compared.batches += 1;
            compared.records += u64::from(batch.header.record_count);
            compared.last_sequence = batch.header.next_sequence() - 1;
        }
        if compared.batches.is_multiple_of(BATCHES_A_TICK) {
            progress.tick(done, total, compared.records);
        }
    }
    Ok(compared)
}

fn place(batch: &BatchView<'_>, a: Option<Place>, b: Option<Place>) -> Where {
    Where {
        index: batch.header.index,
        sequence: batch.header.first_sequence,
        timestamp: batch.header.timestamp,
        a,
        b,
    }
}

fn difference(
    a: &BatchView<'_>,
    b: &BatchView<'_>,
    at: Where,
    applied: bool,
) -> Option<Difference> {
    // The same bytes are the common case.
    if a.bytes() == b.bytes() {
        return None;
    }
    let header = |field, (a, b)| Difference::Header { at, field, a, b };
    header_difference(&a.header, &b.header, FIELDS_APPLIED)
        .map(|(field, values)| header(field, values))
        .or_else(|| record_difference(a, b, at))
        .or_else(|| {
            if applied {
                return None;
            }
            let found = header_difference(&a.header, &b.header, FIELDS_OTHER);
            found
                .map(|(field, values)| header(field, values))
                .or_else(|| padding_difference(a, b, at))
        })
}

/// A header field and how it is shown.
type Field = (&'static str, fn(&BatchHeader) -> String);

/// What decides what a batch does.
const FIELDS_APPLIED: &[Field] = &[
    ("kind", |h| h.kind.to_string()),
    ("term", |h| h.term.to_string()),
    ("index", |h| h.index.to_string()),
    ("first_sequence", |h| h.first_sequence.to_string()),
    ("timestamp", |h| Utc(h.timestamp).to_string()),
    ("feature_set_version", |h| h.feature_set_version.to_string()),
];

/// The rest; checksums last, for they differ where anything else does. The count of records comes behind
/// them: which record is missing says more.
const FIELDS_OTHER: &[Field] = &[
    ("record_count", |h| h.record_count.to_string()),
    ("body_length", |h| h.body_length.to_string()),
    ("cluster_id", |h| h.cluster_id.to_string()),
    ("lineage", |h| h.lineage.to_string()),
    ("commit_index", |h| h.commit_index.to_string()),
    ("digest_index", |h| h.digest_index.to_string()),
    ("digest", |h| format!("{:016x}", h.digest)),
    ("body_checksum", |h| format!("{:02x?}", h.body_checksum.0)),
    ("previous_checksum", |h| {
        format!("{:02x?}", h.previous_checksum.0)
    }),
    ("header_checksum", |h| {
        format!("{:02x?}", h.header_checksum.0)
    }),
];

fn header_difference(
    a: &BatchHeader,
    b: &BatchHeader,
    fields: &[Field],
) -> Option<(&'static str, (String, String))> {
    fields.iter().find_map(|(name, show)| {
        let (a, b) = (show(a), show(b));
        (a != b).then_some((*name, (a, b)))
    })
}

fn record_difference(a: &BatchView<'_>, b: &BatchView<'_>, at: Where) -> Option<Difference> {
    if a.body() == b.body() {
        return None;
    }
    let (mut rest_a, mut rest_b) = (a.body(), b.body());
    let mut sequence = a.header.first_sequence;
    loop {
        let (parsed_a, parsed_b) = (Record::parse(rest_a).ok(), Record::parse(rest_b).ok());
        let bytes = |parsed: &Option<(Record<'_>, &[u8])>, rest: &[u8]| match parsed {
            Some((record, _)) => record.bytes().to_vec(),
            None => rest.to_vec(),
        };
        let (record_a, record_b) = (bytes(&parsed_a, rest_a), bytes(&parsed_b, rest_b));
        if record_a != record_b || parsed_a.is_none() || parsed_b.is_none() {
            let kind = |parsed: &Option<(Record<'_>, &[u8])>, rest: &[u8]| match parsed {
                Some((record, _)) => fields::kind_name(record.header().kind),
                None if rest.is_empty() => "none".to_owned(),
                None => "malformed".to_owned(),
            };
            return Some(Difference::Record {
                at,
                sequence,
                byte: first_byte(&record_a, &record_b),
                kinds: (kind(&parsed_a, rest_a), kind(&parsed_b, rest_b)),
                fields: match (&parsed_a, &parsed_b) {
                    (Some((a, _)), Some((b, _))) => differing(a, b),
                    _ => Vec::new(),
                },
            });
        }
        let (Some((_, more_a)), Some((_, more_b))) = (parsed_a, parsed_b) else {
            return None;
        };
        (rest_a, rest_b) = (more_a, more_b);
        sequence += 1;
    }
}

fn first_byte(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b);
    same.count()
}

/// Header fields, body fields and parts of two records that are not the same.
fn differing(a: &Record<'_>, b: &Record<'_>) -> Vec<(String, Value, Value)> {
    let (a, b) = (named(a), named(b));
    let mut names: Vec<&String> = a.keys().collect();
    names.extend(b.keys().filter(|name| !a.contains_key(*name)));
    let value = |map: &serde_json::Map<String, Value>, name: &String| {
        map.get(name).cloned().unwrap_or(Value::Null)
    };
    names
        .into_iter()
        .map(|name| (name.clone(), value(&a, name), value(&b, name)))
        .filter(|(_, a, b)| a != b)
        .collect()
}

fn named(record: &Record<'_>) -> serde_json::Map<String, Value> {
    let header = record.header();
    let mut map = fields::object(fields::body(record).unwrap_or_default());
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("kind", fields::kind_name(header.kind).into());
    put("version", header.version.into());
    put("policy", fields::policy_name(header.policy).into());
    put("session", header.source.session.0.into());
    put("epoch", header.source.epoch.0.into());
    put("gateway", header.source.gateway.0.into());
    put("partition", header.partition.0.into());
    for part in record.parts() {
        let name = format!("+{}", fields::part_name(part.tag));
        map.insert(name, fields::part_value(&part));
    }
    map
}

fn padding_difference(a: &BatchView<'_>, b: &BatchView<'_>, at: Where) -> Option<Difference> {
    let behind = BATCH_HEADER_LENGTH + a.header.body_length as usize;
    let byte = first_byte(a.bytes(), b.bytes());
    (byte >= behind).then_some(Difference::Padding { at, byte })
}

impl Difference {
    fn at(&self) -> &Where {
        match self {
            Self::Ends { next: at, .. }
            | Self::Header { at, .. }
            | Self::Record { at, .. }
            | Self::Padding { at, .. } => at,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Ends { .. } => "ends",
            Self::Header { .. } => "header",
            Self::Record { .. } => "record",
            Self::Padding { .. } => "padding",
        }
    }

    fn sequence(&self) -> u64 {
        match self {
            Self::Record { sequence, .. } => *sequence,
            _ => self.at().sequence,
        }
    }

    fn what(&self) -> String {
        let at = self.at();
        let batch = format!("batch {} at {}", at.index, Utc(at.timestamp));
        match self {
            Self::Ends { which, how, .. } => {
                let other = if *which == 'A' { 'B' } else { 'A' };
                let (sequence, how) = (at.sequence, how.meaning());
                format!(
                    "{which} ends before sequence {sequence} ({how}); {other} goes on with {batch}"
                )
            }
            Self::Header { field, a, b, .. } => {
                format!(
                    "{batch}, sequence {}: {field} is {a} in A, {b} in B",
                    at.sequence
                )
            }
            Self::Record {
                sequence,
                byte,
                kinds,
                fields,
                ..
            } => {
                let mut what = format!("{batch}: record of sequence {sequence}, byte {byte}");
                if kinds.0 == kinds.1 {
                    what += &format!(", {}", kinds.0);
                } else {
                    what += &format!(", {} in A, {} in B", kinds.0, kinds.1);
                }
                for (name, a, b) in fields.iter().filter(|(name, ..)| name != "kind") {
                    what += &format!(
                        "; {name} is {} in A, {} in B",
                        fields::word(a),
                        fields::word(b)
                    );
                }
                what
            }
            Self::Padding { byte, .. } => {
                format!("{batch}: byte {byte}, behind its records; not part of the log")
            }
        }
    }

    fn to_json(&self) -> Value {
        let at = self.at();
        let mut object = json!({
            "kind": self.kind(),
            "index": at.index,
            "sequence": self.sequence(),
            "time": Utc(at.timestamp).to_string(),
            "time_ns": at.timestamp,
            "a": at.a.map(Place::to_json),
            "b": at.b.map(Place::to_json),
            "what": self.what(),
        });
        match self {
            Self::Ends { which, how, .. } => {
                object["ends"] = which.to_string().into();
                object["outcome"] = how.name().into();
            }
            Self::Header { field, .. } => object["field"] = (*field).into(),
            Self::Record { byte, fields, .. } => {
                object["byte"] = (*byte).into();
                let names = fields.iter().map(|(name, ..)| name.clone());
                object["fields"] = names.collect::<Vec<_>>().into();
            }
            Self::Padding { byte, .. } => object["byte"] = (*byte).into(),
        }
        object
    }
}

impl Compared {
    fn print(&self, a: &Opened, b: &Opened, out: &mut impl Write) -> Result<(), Failure> {
        row(out, "A", a.folder.display())?;
        row(out, "B", b.folder.display())?;
        let same = format!(
            "{} batches, {} records (last sequence {})",
            self.batches, self.records, self.last_sequence
        );
        row(out, "the same", same)?;
        match &self.difference {
            None => row(out, "difference", "none")?,
            Some(difference) => {
                row(out, "difference", difference.what())?;
                let at = difference.at();
                for (name, place) in [("in A", at.a), ("in B", at.b)] {
                    if let Some(Place { segment, offset }) = place {
                        row(out, name, format!("segment {segment} offset {offset}"))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn to_json(&self, a: &Opened, b: &Opened) -> Value {
        json!({
            "a": a.folder.display().to_string(),
            "b": b.folder.display().to_string(),
            "batches": self.batches,
            "records": self.records,
            "last_sequence": self.last_sequence,
            "difference": self.difference.as_ref().map(Difference::to_json),
        })
    }
}
