//! What each command does: a view of the state, or records put in order and their fates.

use super::asked::AskedState;
use super::protocol::{
    Applied, Command, Commanded, CounterView, Fate, Outcome, Problem, ProblemCode, SnapshotState,
    SnapshotView, StatusView,
};
use super::server::Office;
use super::{desk, reload, translate, views};
use crate::clock::{SystemClock, WallClock};
use crate::config::AcknowledgePolicy;
use crate::snapshot::SnapshotRequest;
use crate::{counters, day, node, operator};
use lockstep_core::StateMachine;
use lockstep_core::inspect;
use lockstep_record::Kind;
use lockstep_record::command as body;
use serde::Serialize;

pub type Reply = Result<serde_json::Value, Problem>;

fn json(value: &impl Serialize) -> Reply {
    serde_json::to_value(value)
        .map_err(|e| Problem::new(ProblemCode::Malformed, format!("answer: {e}")))
}

impl Office {
    /// Carries out one command of an operator with this identity.
    pub fn execute(&mut self, command: &Command, identity: &str) -> Outcome {
        match self.reply(command, identity) {
            Ok(value) => Outcome::Ok(value),
            Err(problem) => Outcome::Error(problem),
        }
    }

    fn reply(&mut self, command: &Command, identity: &str) -> Reply {
        let inquiries = &self.inquiries;
        match command {
            Command::ShowStatus => json(&self.status()?),
            Command::ShowDay => json(&views::day(inquiries, &self.config.day)?),
            Command::ShowBounds => json(&views::bounds(inquiries)?),
            Command::ShowCounters => json(&self.counters()?),
            Command::ShowFirms => json(&views::firms(inquiries)?),
            Command::ShowSessions => json(&views::sessions(inquiries)?),
            Command::ShowInstruments => json(&views::instruments(inquiries)?),
            Command::ShowBook(asked) => json(&views::book(inquiries, asked)?),
            Command::ShowOrders(asked) => json(&views::orders(inquiries, asked)?),
            Command::ShowFirm(asked) => json(&views::firm(inquiries, asked.id)?),
            Command::ShowSession(asked) => json(&views::session(inquiries, asked.id)?),
            Command::ShowInstrument(asked) => json(&views::instrument(inquiries, &asked.symbol)?),
            Command::ShowPositions(asked) => json(&views::positions(inquiries, asked)?),
            Command::ShowStatistics(asked) => json(&views::statistics(inquiries, asked)?),
            Command::OpenDay => self.open_day(None, identity),
            Command::OpenDayOf(day) => self.open_day(Some(day.date), identity),
            Command::CloseDay => self.close_day(identity),
            Command::Reload(asked) => json(&self.reload(asked.apply, identity)?),
            Command::TakeSnapshot => {
                let ticket = self.snapshots()?.ask();
                tracing::info!(ticket, identity, "a snapshot was asked for");
                json(&self.snapshot(ticket)?)
            }
            Command::ShowSnapshot(asked) => json(&self.snapshot(asked.ticket)?),
            other => self.carry_out(other, identity),
        }
    }

    /// Puts the records of a command in order.
    fn carry_out(&mut self, command: &Command, identity: &str) -> Reply {
        let state = AskedState::new(&self.inquiries);
        let records = translate::records(command, &state);
        if state.has_failed() {
            return Err(views::timed_out());
        }
        let records = records?.unwrap_or_default();
        self.put(&records, identity)
    }

    fn status(&self) -> Result<StatusView, Problem> {
        struct Seen {
            term: u64,
            index: u64,
            sequence: u64,
            timestamp: u64,
            digest: u64,
            open_orders: u32,
            counters: lockstep_core::Counters,
            entry: inspect::EntryState,
            grace_ns: u64,
            day: inspect::DayView,
        }
        let seen = self.inquiries.ask(None, |machine: &StateMachine, seen| {
            *seen = Some(Seen {
                term: machine.last_term().0,
                index: machine.last_index().0,
                sequence: machine.last_sequence().0,
                timestamp: machine.last_timestamp().0,
                digest: machine.digest(),
                open_orders: machine.open_order_count(),
                counters: machine.counters(),
                entry: machine.venue_entry(),
                grace_ns: machine.grace_period(),
                day: machine.day(),
            });
        });
        let seen = seen.flatten().ok_or_else(views::timed_out)?;
        let sessions = views::sessions(&self.inquiries)?;
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            data_directory: self.config.data.directory.display().to_string(),
            policy: match self.config.acknowledge.policy {
                AcknowledgePolicy::Durable => "durable".to_owned(),
                AcknowledgePolicy::Local => "local".to_owned(),
            },
            term: seen.term,
            index: seen.index,
            sequence: seen.sequence,
            timestamp: seen.timestamp,
            digest: format!("{:016x}", seen.digest),
            open_orders: seen.open_orders,
            firms: views::firms(&self.inquiries)?.len() as u32,
            sessions: sessions.len() as u32,
            sessions_connected: sessions.iter().filter(|s| s.connected).count() as u32,
            instruments: views::instruments(&self.inquiries)?.len() as u32,
            stale: seen.counters.stale,
            refused: seen.counters.refused,
            silent: seen.counters.silent,
            entry: views::lower(seen.entry),
            grace_ns: seen.grace_ns,
            day: views::day_view(&seen.day, &self.config.day),
        })
    }

    fn snapshots(&self) -> Result<&SnapshotRequest, Problem> {
        let none = || views::not_found("this node runs no agent `snapshot`".to_owned());
        self.snapshots.as_deref().ok_or_else(none)
    }

    /// Nobody waits for a snapshot here: whoever asked for it asks again.
    fn snapshot(&self, ticket: u64) -> Result<SnapshotView, Problem> {
        let request = self.snapshots()?;
        let (state, index) = match request.fate(ticket) {
            None => (SnapshotState::Waiting, 0),
            Some(Some(index)) => (SnapshotState::Taken, index),
            Some(None) => (SnapshotState::Failed, 0),
        };
        Ok(SnapshotView {
            ticket,
            state,
            index,
        })
    }

    fn counters(&self) -> Result<Vec<CounterView>, Problem> {
        let path = node::counters_file(&self.config);
        let values = counters::read_counters(&path)
            .map_err(|e| views::not_found(format!("{}: {e}", path.display())))?;
        let view = |c: counters::CounterValue| CounterView {
            id: c.id,
            label: c.label,
            value: c.value,
        };
        Ok(values.into_iter().map(view).collect())
    }

    /// Puts records in order and says what became of each.
    pub(super) fn put(&mut self, records: &[Vec<u8>], identity: &str) -> Reply {
        json(&Commanded {
            records: self.apply(records, identity),
            restart_needed: Vec::new(),
        })
    }

    pub(super) fn apply(&mut self, records: &[Vec<u8>], identity: &str) -> Vec<Applied> {
        let fates = self.submitter.submit(records, identity);
        fates
            .iter()
            .map(|(record, fate)| applied(record, *fate))
            .collect()
    }

    /// Opens today's day, or one that begins today and counts for another date.
    fn open_day(&mut self, date: Option<u32>, identity: &str) -> Reply {
        let mut today = day::venue_day(&self.config.day, SystemClock.now_ns())
            .ok_or_else(|| Problem::new(ProblemCode::Malformed, "the clock is out of range"))?;
        if let Some(date) = date {
            let (month, day) = (date / 100 % 100, date % 100);
            let is_date = (1970..=9999).contains(&(date / 10_000))
                && (1..=12).contains(&month)
                && (1..=31).contains(&day);
            if !is_date {
                let what = format!("{date} is no date YYYYMMDD");
                return Err(Problem::new(ProblemCode::Malformed, what));
            }
            today.date = date;
        }
        let record = operator::record(&day::day_open(&today), &day::random_seed(), identity);
        let records = self.apply(&[record], identity);
        if records.iter().all(|r| r.outcome == Fate::Applied) {
            self.schedule.note_opened(&today);
        }
        commanded(records)
    }

    fn close_day(&mut self, identity: &str) -> Reply {
        let record = operator::record(&body::DayClose { _reserved: 0 }, &[], identity);
        let records = self.apply(&[record], identity);
        if records.iter().all(|r| r.outcome == Fate::Applied) {
            self.schedule.note_closed();
        }
        commanded(records)
    }
}

fn commanded(records: Vec<Applied>) -> Reply {
    json(&Commanded {
        records,
        restart_needed: Vec::new(),
    })
}

/// A record and its fate, as told to the operator.
pub(super) fn applied(record: &[u8], fate: Option<desk::Fate>) -> Applied {
    let refusal = fate.and_then(|fate| fate.refusal);
    Applied {
        kind: kind_name(record),
        sequence: fate.map_or(0, |fate| fate.sequence.0),
        outcome: match (fate, refusal) {
            (None, _) => Fate::Unknown,
            (Some(_), None) => Fate::Applied,
            (Some(_), Some(_)) => Fate::Refused,
        },
        reason: refusal.map(|why| why.text().to_owned()),
        changes: Vec::new(),
        record: reload::hex(record),
    }
}

pub(super) fn kind_of(record: &[u8]) -> Kind {
    match record {
        [_, _, _, _, low, high, ..] => Kind(u16::from_le_bytes([*low, *high])),
        _ => Kind(0),
    }
}

pub(super) fn kind_name(record: &[u8]) -> String {
    let kind = kind_of(record);
    kind.name()
        .map_or_else(|| format!("kind_{}", kind.0), str::to_owned)
}
