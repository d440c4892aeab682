//! The operator's side of the node: puts definitions, day changes and (later) admin commands in order.
//!
//! It writes records into the operator ring like any gateway; it changes nothing by itself.

use crate::admin::{AdminServer, Office};
use crate::agent::Stop;
use crate::clock::{SystemClock, WallClock};
use crate::config::{DayConfig, DayOpening};
use crate::day::{self, VenueDay};
use crate::definitions::OPERATOR;
use crate::ring::Producer;
use crate::signals;
use lockstep_record::command::DayClose;
use lockstep_record::{
    Body, PartTag, Parts, Policy, RECORD_HEADER_LENGTH, RECORD_LENGTH_MAX, RecordWriter, Source,
    write_part,
};
use std::sync::Arc;
use std::time::Duration;

/// The schedule and signals are looked at so often; who comes to the admin socket is served at once.
const PERIOD: Duration = Duration::from_millis(100);

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

/// The same record in the name of `identity`, with a request number for its answer.
///
/// Panics if the record is none, or too long for both: callers made it.
pub fn signed(record: &[u8], identity: &str, request: u64) -> Vec<u8> {
    let body_end = RECORD_HEADER_LENGTH + usize::from(u16::from_le_bytes([record[20], record[21]]));
    let mut out = vec![0; RECORD_LENGTH_MAX];
    out[..body_end].copy_from_slice(&record[..body_end]);
    let mut length = body_end;
    let parts = Parts::parse(&record[body_end..]).unwrap_or(Parts::NONE);
    for part in parts.filter(|part| part.tag != PartTag::OPERATOR) {
        length += write_part(&mut out[length..], part.tag, part.policy, part.value);
    }
    let tail = &mut out[length..];
    length += write_part(tail, PartTag::OPERATOR, Policy::Ignore, identity.as_bytes());
    let request = request.to_le_bytes();
    let tail = &mut out[length..];
    length += write_part(tail, PartTag::OPERATOR_REQUEST, Policy::Ignore, &request);
    out[0..4].copy_from_slice(&(length as u32).to_le_bytes());
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

/// What the schedule has to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Open(VenueDay),
    Close,
}

/// The trading day as the operator thread has left it, and the clockwork that changes it.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: DayConfig,
    /// Midnight of the open day.
    open_midnight_ns: Option<u64>,
    /// YYYYMMDD of the last day opened; 0 = none yet.
    last_date: u32,
}

impl Schedule {
    pub fn new(config: DayConfig, open_midnight_ns: Option<u64>, last_date: u32) -> Self {
        Self {
            config,
            open_midnight_ns,
            last_date,
        }
    }

    /// The operator has opened a day.
    pub fn note_opened(&mut self, day: &VenueDay) {
        self.open_midnight_ns = Some(day.midnight_ns);
        self.last_date = self.last_date.max(day.date);
    }

    /// The operator has closed the day.
    pub fn note_closed(&mut self) {
        self.open_midnight_ns = None;
    }

    /// The records due at `now_ns`: a close, then perhaps an opening.
    pub fn due(&mut self, now_ns: u64) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some(due) = self.next(now_ns) {
            match due {
                Due::Close => {
                    self.open_midnight_ns = None;
                    records.push(record(&DayClose { _reserved: 0 }, &[], "schedule"));
                }
                Due::Open(today) => {
                    self.open_midnight_ns = Some(today.midnight_ns);
                    self.last_date = today.date;
                    records.push(record(
                        &day::day_open(&today),
                        &day::random_seed(),
                        "schedule",
                    ));
                }
            }
        }
        records
    }

    /// Automatic: a day of an earlier date is closed, today's is opened if it is new and not over yet.
    /// In either mode an open day is closed at its configured time.
    fn next(&self, now_ns: u64) -> Option<Due> {
        let today = day::venue_day(&self.config, now_ns)?;
        let automatic = self.config.opening == DayOpening::Automatic;
        match self.open_midnight_ns {
            Some(midnight) => {
                let close = day::venue_day(&self.config, midnight).and_then(|d| d.close_ns);
                let over = close.is_some_and(|at| now_ns >= at);
                let stale = automatic && today.midnight_ns > midnight;
                (over || stale).then_some(Due::Close)
            }
            None => {
                let over = today.close_ns.is_some_and(|at| now_ns >= at);
                let wanted = automatic && today.date > self.last_date && !over;
                wanted.then_some(Due::Open(today))
            }
        }
    }
}

/// Starts the thread that proposes `records`, opens and closes days as scheduled, and serves the admin
/// socket.
pub fn start(
    mut office: Office,
    mut server: Option<AdminServer>,
    records: Vec<Vec<u8>>,
    stop: Arc<Stop>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("operator".into())
        .spawn(move || {
            if !office.submitter.push_watched(&records, OPERATOR) {
                return;
            }
            drop(records);
            while !stop.is_requested() {
                let due = office.schedule.due(SystemClock.now_ns());
                if !office.submitter.push(&due) {
                    return;
                }
                office.submitter.report_late();
                if signals::take_reload_request() {
                    reload_on_signal(&mut office);
                }
                match &mut server {
                    Some(server) => server.poll(PERIOD, &mut office),
                    None => std::thread::sleep(PERIOD),
                }
            }
            office.submitter.report_late();
        })
}

/// SIGHUP: as `lockstep admin reload --apply`, with the outcome in the log.
fn reload_on_signal(office: &mut Office) {
    match office.reload(true, "SIGHUP") {
        Ok(done) => {
            for record in &done.records {
                tracing::info!(kind = %record.kind, sequence = record.sequence,
                    outcome = ?record.outcome, reason = record.reason.as_deref(), "reload");
            }
            let changed = done.restart_needed.join(", ");
            tracing::info!(records = done.records.len(), restart_needed = %changed, "reloaded");
        }
        Err(problem) => tracing::error!(problem = %problem.message, "reload failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_record::{Kind, Record};

    const HOUR: u64 = 3_600_000_000_000;
    const MIDNIGHT: u64 = 1_795_219_200_000_000_000;

    fn kinds(schedule: &mut Schedule, now_ns: u64) -> Vec<Kind> {
        let kind = |bytes: &Vec<u8>| Kind(u16::from_le_bytes([bytes[4], bytes[5]]));
        schedule.due(now_ns).iter().map(kind).collect()
    }

    fn schedule(opening: DayOpening, close_at_minutes: Option<u32>) -> Schedule {
        let config = DayConfig {
            opening,
            close_at_minutes,
            ..DayConfig::default()
        };
        Schedule::new(config, None, 0)
    }

    #[test]
    fn automatic_days_open_once_a_date_and_roll_over() {
        let mut s = schedule(DayOpening::Automatic, None);
        assert_eq!(kinds(&mut s, MIDNIGHT + HOUR), [Kind::DAY_OPEN]);
        assert!(kinds(&mut s, MIDNIGHT + 23 * HOUR).is_empty());
        assert_eq!(
            kinds(&mut s, MIDNIGHT + 25 * HOUR),
            [Kind::DAY_CLOSE, Kind::DAY_OPEN]
        );
    }

    #[test]
    fn a_day_closes_at_its_time_and_is_not_opened_again() {
        let mut s = schedule(DayOpening::Automatic, Some(17 * 60));
        assert_eq!(kinds(&mut s, MIDNIGHT + HOUR), [Kind::DAY_OPEN]);
        assert_eq!(kinds(&mut s, MIDNIGHT + 17 * HOUR), [Kind::DAY_CLOSE]);
        assert!(kinds(&mut s, MIDNIGHT + 18 * HOUR).is_empty());
        assert_eq!(kinds(&mut s, MIDNIGHT + 25 * HOUR), [Kind::DAY_OPEN]);
        let mut late = schedule(DayOpening::Automatic, Some(17 * 60));
        assert!(
            kinds(&mut late, MIDNIGHT + 18 * HOUR).is_empty(),
            "started after the close"
        );
    }

    #[test]
    fn the_operator_opens_his_own_days() {
        let mut s = schedule(DayOpening::Operator, Some(17 * 60));
        assert!(kinds(&mut s, MIDNIGHT + HOUR).is_empty());
        s.open_midnight_ns = Some(MIDNIGHT);
        assert!(kinds(&mut s, MIDNIGHT + 16 * HOUR).is_empty());
        assert_eq!(kinds(&mut s, MIDNIGHT + 17 * HOUR), [Kind::DAY_CLOSE]);
    }

    #[test]
    fn the_operator_s_own_days_are_known_to_the_schedule() {
        let mut s = schedule(DayOpening::Operator, Some(17 * 60));
        let today = day::venue_day(&s.config, MIDNIGHT + HOUR).unwrap();
        s.note_opened(&today);
        assert!(kinds(&mut s, MIDNIGHT + 16 * HOUR).is_empty());
        assert_eq!(kinds(&mut s, MIDNIGHT + 17 * HOUR), [Kind::DAY_CLOSE]);
        let mut s = schedule(DayOpening::Automatic, Some(17 * 60));
        assert_eq!(kinds(&mut s, MIDNIGHT + HOUR), [Kind::DAY_OPEN]);
        s.note_closed();
        assert!(
            kinds(&mut s, MIDNIGHT + 17 * HOUR).is_empty(),
            "closed by hand: neither closed again nor opened again today"
        );
    }

    /// Parts stay, the identity is replaced, and the whole is a record again.
    #[test]
    fn a_signed_record_keeps_its_body_and_parts() {
        let firm = 9u32.to_le_bytes().to_vec();
        let parts = [(PartTag::PERMITTED_FIRM, firm)];
        let plain = record(&DayClose { _reserved: 0 }, &parts, "configuration");
        let bytes = signed(&plain, "uid 7", 41);
        let (mut ring, mut out) = crate::ring::create(4096, 1).unwrap();
        assert!(ring.push(0, &bytes));
        let frame = out[0].peek().unwrap();
        let (parsed, rest) = Record::parse(frame.payload).unwrap();
        assert!(rest.is_empty());
        assert!(parsed.body::<DayClose>().is_some());
        let found: Vec<_> = parsed.parts().map(|p| (p.tag, p.value.to_vec())).collect();
        assert_eq!(
            found,
            [
                (PartTag::PERMITTED_FIRM, 9u32.to_le_bytes().to_vec()),
                (PartTag::OPERATOR, b"uid 7".to_vec()),
                (PartTag::OPERATOR_REQUEST, 41u64.to_le_bytes().to_vec()),
            ]
        );
    }

    #[test]
    fn operator_records_are_records() {
        let bytes = record(&DayClose { _reserved: 0 }, &[], "somebody");
        // The parser wants 8-aligned memory: a ring gives it.
        let (mut ring, mut out) = crate::ring::create(4096, 1).unwrap();
        assert!(ring.push(0, &bytes));
        let frame = out[0].peek().unwrap();
        let (parsed, rest) = Record::parse(frame.payload).unwrap();
        assert!(rest.is_empty());
        let operator = parsed.parts().find(PartTag::OPERATOR).unwrap();
        assert_eq!(operator.value, b"somebody");
    }
}
