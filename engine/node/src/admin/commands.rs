//! What each command does: a view of the state, or records put in order and their fates.

use super::protocol::{
    Applied, Command, Commanded, CounterView, DefineFirm, DefineInstrument, DefineSession, Fate,
    Outcome, Problem, ProblemCode, SetState, SnapshotState, SnapshotView, StatusView,
};
use super::server::Office;
use super::{desk, reload, views};
use crate::clock::{SystemClock, WallClock};
use crate::config::AcknowledgePolicy;
use crate::definitions::{Known, padded};
use crate::snapshot::SnapshotRequest;
use crate::{counters, day, node, operator};
use lockstep_core::StateMachine;
use lockstep_core::inspect;
use lockstep_record::command as body;
use lockstep_record::{Kind, PartTag};
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
        if let Some(reply) = self.supervise(command, identity) {
            return reply;
        }
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
            Command::OpenDay => self.open_day(None, identity),
            Command::OpenDayOf(day) => self.open_day(Some(day.date), identity),
            Command::CloseDay => self.close_day(identity),
            Command::SetState(set) => self.set_state(set, identity),
            Command::DefineFirm(define) => self.put(&[define_firm(define)?], identity),
            Command::DefineSession(define) => self.put(&[define_session(define)?], identity),
            Command::DefineInstrument(define) => self.define_instrument(define, identity),
            Command::Reload(asked) => json(&self.reload(asked.apply, identity)?),
            Command::TakeSnapshot => {
                let ticket = self.snapshots()?.ask();
                tracing::info!(ticket, identity, "a snapshot was asked for");
                json(&self.snapshot(ticket)?)
            }
            Command::ShowSnapshot(asked) => json(&self.snapshot(asked.ticket)?),
            Command::SetEntry(_)
            | Command::MassCancel(_)
            | Command::CancelOrder(_)
            | Command::BreakTrade(_)
            | Command::SetLimits(_)
            | Command::SetThrottle(_)
            | Command::SetProtection(_)
            | Command::ResetProtection(_)
            | Command::SetPosition(_)
            | Command::RetireInstrument(_) => unreachable!("supervision has answered"),
        }
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

    fn set_state(&mut self, set: &SetState, identity: &str) -> Reply {
        let ids: Vec<u32> = match &set.symbol {
            Some(symbol) => {
                let found = views::find_instrument(&self.inquiries, symbol)?;
                vec![found.instrument.0]
            }
            None => {
                let all = views::instruments(&self.inquiries)?;
                all.iter().map(|i| i.id).collect()
            }
        };
        let state = set.state.letter();
        let record = |id: &u32| {
            let body = body::SetInstrumentState {
                instrument: *id,
                state,
                _reserved: [0; 3],
            };
            operator::record(&body, &[], identity)
        };
        let records: Vec<_> = ids.iter().map(record).collect();
        self.put(&records, identity)
    }
}

impl Office {
    /// What the command does not say (an allocation, say) stays as it is.
    fn define_instrument(&mut self, define: &DefineInstrument, identity: &str) -> Reply {
        let body = body::DefineInstrument {
            symbol: field("symbol", &define.symbol)?,
            instrument: define.id,
            tick_size: define.tick_size,
            lot_size: define.lot_size,
            _reserved: [0; 12],
        };
        let id = define.id;
        let parts = self.inquiries.ask(Vec::new(), move |machine, parts| {
            *parts = Known::instrument_parts(machine, id);
        });
        let parts = parts.ok_or_else(views::timed_out)?;
        self.put(&[operator::record(&body, &parts, identity)], identity)
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

/// A text that fits its field; the state machine judges the rest.
fn field<const N: usize>(name: &str, value: &str) -> Result<[u8; N], Problem> {
    let graphic = value.bytes().all(|b| b.is_ascii_graphic());
    if value.is_empty() || value.len() > N || !graphic {
        let what = format!("{name} {value:?}: must be 1 to {N} printable characters");
        return Err(Problem::new(ProblemCode::Malformed, what));
    }
    Ok(padded(value))
}

fn define_firm(define: &DefineFirm) -> Result<Vec<u8>, Problem> {
    let body = body::DefineFirm {
        firm: define.id,
        code: field("code", &define.code)?,
    };
    Ok(operator::record(&body, &[], ""))
}

fn define_session(define: &DefineSession) -> Result<Vec<u8>, Problem> {
    let body = body::DefineSession {
        session: define.id,
        firm: define.firm,
        user: field("user", &define.user.to_ascii_uppercase())?,
        cancel_on_disconnect: u8::from(define.cancel_on_disconnect),
        order_entry: u8::from(define.order_entry),
        _reserved: [0; 8],
    };
    let firms = &define.permitted_firms;
    // More than the state machine takes, and as many as a record surely holds.
    if firms.len() > 64 {
        let what = format!("permitted_firms: {} are too many", firms.len());
        return Err(Problem::new(ProblemCode::Malformed, what));
    }
    let part = |firm: &u32| (PartTag::PERMITTED_FIRM, firm.to_le_bytes().to_vec());
    let parts: Vec<_> = firms.iter().map(part).collect();
    Ok(operator::record(&body, &parts, ""))
}
