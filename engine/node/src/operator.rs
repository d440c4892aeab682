//! The operator's side of the node: puts definitions, day changes and (later) admin commands in order.
//!
//! It writes records into the operator ring like any gateway; it changes nothing by itself.

use crate::agent::Stop;
use crate::clock::{SystemClock, WallClock};
use crate::config::DayConfig;
use crate::day;
use crate::ring::Producer;
use lockstep_record::command::DayClose;
use lockstep_record::{Body, PartTag, Policy, RECORD_LENGTH_MAX, RecordWriter, Source};
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(50);

/// A record of the operator's with his identity.
pub fn record<B: Body>(body: &B, parts: &[(PartTag, Vec<u8>)], operator: &str) -> Vec<u8> {
    let mut out = vec![0; RECORD_LENGTH_MAX];
    let mut writer = RecordWriter::new(&mut out, Source::default(), body);
    for (tag, value) in parts {
        writer.part(*tag, Policy::Halt, value);
    }
    writer.part(PartTag::OPERATOR, Policy::Ignore, operator.as_bytes());
    let length = writer.finish();
    out.truncate(length);
    out
}

/// Pushes every record, waiting for room; false if the node stops first.
pub fn push_all(ring: &mut Producer, records: &[Vec<u8>], stop: &Stop) -> bool {
    for record in records {
        while !ring.push(0, record) {
            if stop.is_requested() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    true
}

/// Starts the thread that proposes `records` and closes the day when its time comes.
pub fn start(
    mut ring: Producer,
    records: Vec<Vec<u8>>,
    config: DayConfig,
    open_midnight_ns: Option<u64>,
    stop: Arc<Stop>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("operator".into())
        .spawn(move || {
            if !push_all(&mut ring, &records, &stop) {
                return;
            }
            drop(records);
            let close_ns = open_midnight_ns
                .and_then(|midnight| day::venue_day(&config, midnight))
                .and_then(|d| d.close_ns);
            let mut closed = close_ns.is_none();
            while !stop.is_requested() {
                if !closed && close_ns.is_some_and(|at| SystemClock.now_ns() >= at) {
                    let record = record(&DayClose { _reserved: 0 }, &[], "schedule");
                    closed = push_all(&mut ring, &[record], &stop);
                }
                std::thread::sleep(PERIOD);
            }
        })
}
