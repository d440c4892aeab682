//! `lockstep journal trace`: the life of an order, every command and event, replacements both ways.
//!
//! Two replays: the first finds which lives the given name belongs to, the second prints them. A life is a
//! chain of orders, each replaced by the next; its name is the sequence of the record that entered the first.

use super::event_fields::{event_fields, event_name};
use super::fields;
use super::filter::key;
use super::folder;
use super::ledger::{Ledger, LiveOrder, OrderKey};
use super::output::Failure;
use super::record_line::{Price, RecordLine};
use super::replay::{Extent, LogSink, replay};
use super::time::Utc;
use clap::Args;
use lockstep_core::StateMachine;
use lockstep_journal::BatchHeader;
use lockstep_node::fatal::ExitCode;
use lockstep_record::command::{CancelOrder, EnterOrder, ModifyOrder, ReplaceOrder};
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::{Record, Sequence};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::PathBuf;

/// Lives that one name may have: a client may give every order the same id.
pub const LIVES_MAX: usize = 10_000;

#[derive(Args)]
pub struct TraceArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    /// Order reference (42), session and UserRefNum (3:17), with UserRefIdx (3:1:17), client order id
    /// (id:ABC), or match number (match:7)
    #[arg(value_name = "ORDER", value_parser = parse_name)]
    name: Name,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    extent: Extent,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

/// What an order may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    Reference(u64),
    /// Reused each day: one number may name many orders.
    Key(OrderKey),
    ClientOrderId([u8; 14]),
    Match(u64),
}

fn parse_name(text: &str) -> Result<Name, String> {
    let wrong = || {
        format!(
            "`{text}` names no order: give an order reference (42), SESSION:NUMBER (3:17), \
             SESSION:INDEX:NUMBER (3:1:17), id:CLIENT-ORDER-ID or match:NUMBER"
        )
    };
    if let Some(id) = text.strip_prefix("id:") {
        let mut padded = [b' '; 14];
        let bytes = id.as_bytes();
        if bytes.is_empty() || bytes.len() > padded.len() {
            return Err(wrong());
        }
        padded[..bytes.len()].copy_from_slice(bytes);
        return Ok(Name::ClientOrderId(padded));
    }
    if let Some(number) = text.strip_prefix("match:") {
        return number.parse().map(Name::Match).map_err(|_| wrong());
    }
    if !text.contains(':') {
        return text.parse().map(Name::Reference).map_err(|_| wrong());
    }
    OrderKey::parse(text).map(Name::Key).ok_or_else(wrong)
}

pub fn run(arguments: &TraceArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let search = Search {
        name: arguments.name,
        ledger: Ledger::default(),
        sequence: 0,
        entering: false,
        found: BTreeSet::new(),
        too_many: false,
    };
    let (replayed, search) = replay(&opened, &arguments.extent, search)?;
    let result = replayed.result(&arguments.extent);
    if search.too_many {
        let what = format!("more than {LIVES_MAX} orders have that name: give another");
        return Err(Failure::new(ExitCode::Usage, what));
    }
    if search.found.is_empty() {
        result?;
        let what = "the log knows no such order";
        return Err(Failure::new(ExitCode::CheckFailed, what));
    }
    let telling = Telling {
        lives: search.found,
        json: arguments.json,
        out,
        ledger: Ledger::default(),
        keys: HashMap::new(),
        matches: HashMap::new(),
        now: Now::default(),
        failure: None,
    };
    // A running node goes on in the meantime: what the search has not seen is not told.
    let last = replayed.machine.last_sequence().0;
    let extent = Extent {
        until: Some(last),
        ..arguments.extent
    };
    replay(&opened, &extent, telling)?;
    result.map_err(Failure::from)
}

/// Finds the lives that a name belongs to.
struct Search {
    name: Name,
    ledger: Ledger,
    sequence: u64,
    /// The record now being applied enters an order.
    entering: bool,
    found: BTreeSet<u64>,
    too_many: bool,
}

impl Search {
    fn find(&mut self, life: u64) {
        if self.found.len() < LIVES_MAX {
            self.found.insert(life);
        } else {
            self.too_many |= !self.found.contains(&life);
        }
    }

    /// A record that begins an order or replaces one, whatever comes of it.
    fn named_by(&self, record: &Record<'_>, number: u32, client_order_id: [u8; 14]) -> bool {
        match self.name {
            Name::Key(wanted) => key(record, number) == wanted,
            Name::ClientOrderId(wanted) => client_order_id == wanted,
            Name::Reference(_) | Name::Match(_) => false,
        }
    }
}

impl EventSink for Search {
    fn record(&mut self, sequence: Sequence, record: &Record<'_>) {
        self.ledger.record(sequence.0);
        self.sequence = sequence.0;
        self.entering = false;
        if let Some(order) = record.body::<EnterOrder>() {
            self.entering = true;
            if self.named_by(
                record,
                order.user_ref_num.to_native(),
                order.client_order_id,
            ) {
                self.find(sequence.0);
            }
        } else if let Some(replace) = record.body::<ReplaceOrder>() {
            let original = key(record, replace.original_user_ref_num.to_native());
            if self.named_by(
                record,
                replace.user_ref_num.to_native(),
                replace.client_order_id,
            ) && let Some(order) = self.ledger.get(&original)
            {
                self.find(order.life);
            }
        }
    }

    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let Some(touched) = self.ledger.event(to, &event) else {
            return;
        };
        let order = &touched.after;
        let found = match (self.name, &event) {
            (Name::Reference(wanted), _) => order.reference.0 == wanted,
            (Name::Match(wanted), Event::Executed(e)) => e.match_number.0 == wanted,
            _ => false,
        };
        if found {
            self.find(order.life);
        }
    }

    fn control(&mut self, _: &Control) {}
}

impl LogSink for Search {
    fn begin(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        self.ledger.begin(machine);
        Ok(())
    }
}

/// The batch and the record whose effects come now.
#[derive(Default)]
struct Now {
    batch: Option<BatchHeader>,
    sequence: u64,
    /// 0: time's doing, before the batch's first record.
    in_record: bool,
    kind: String,
    session: u32,
    /// Which of the lives the record is about.
    life: Option<u64>,
}

/// Tells the lives.
struct Telling<'a, W> {
    lives: BTreeSet<u64>,
    json: bool,
    out: &'a mut W,
    ledger: Ledger,
    /// What the orders of those lives were called last, also when they are no more.
    keys: HashMap<OrderKey, u64>,
    /// Matches that they took part in, by session.
    matches: HashMap<(u32, u64), u64>,
    now: Now,
    failure: Option<Failure>,
}

impl<W: Write> Telling<'_, W> {
    /// Which of the lives a request is about.
    fn life_of(&mut self, sequence: u64, record: &Record<'_>) -> Option<u64> {
        if let Some(order) = record.body::<EnterOrder>() {
            let key = key(record, order.user_ref_num.to_native());
            // Until it is accepted the name may be an earlier order's.
            let ours = self.lives.contains(&sequence);
            if ours {
                self.keys.entry(key).or_insert(sequence);
            }
            return ours.then_some(sequence);
        }
        if let Some(replace) = record.body::<ReplaceOrder>() {
            let original = key(record, replace.original_user_ref_num.to_native());
            return self.keys.get(&original).copied();
        }
        let number = if let Some(cancel) = record.body::<CancelOrder>() {
            cancel.user_ref_num.to_native()
        } else {
            record.body::<ModifyOrder>()?.user_ref_num.to_native()
        };
        self.keys.get(&key(record, number)).copied()
    }

    fn tell_record(&mut self, life: u64, sequence: u64, record: &Record<'_>) {
        let Some(batch) = self.now.batch else {
            return;
        };
        let line = RecordLine {
            batch: &batch,
            sequence,
            record,
            behind_break: false,
            log_buffer: false,
        };
        let text = if self.json {
            let mut object = line.to_json();
            object["life"] = life.into();
            object["what"] = "command".into();
            object.to_string()
        } else {
            line.to_text()
        };
        self.say(&text);
    }

    fn tell_event(&mut self, life: u64, to: &Delivery, event: &Event<'_>, more: &Value) {
        let timestamp = self.now.batch.map_or(0, |batch| batch.timestamp);
        let named = event_fields(event);
        let text = if self.json {
            let object = json!({
                "what": "event",
                "life": life,
                "sequence": self.now.sequence,
                "time": Utc(timestamp).to_string(),
                "time_ns": timestamp,
                "event": event_name(event),
                "session": to.session.0,
                "number": to.number.0,
                "cause": self.now.in_record.then_some(&self.now.kind),
                "cause_session": self.now.in_record.then_some(self.now.session),
                "fields": fields::object(named),
                "order": more,
            });
            object.to_string()
        } else {
            self.event_text(timestamp, to, event, &named, more)
        };
        self.say(&text);
    }

    /// `sequence time → event s<session>#<number> field=value … by cause`
    fn event_text(
        &self,
        timestamp: u64,
        to: &Delivery,
        event: &Event<'_>,
        named: &fields::Fields,
        more: &Value,
    ) -> String {
        let mut line = format!(
            "{:>10} {}   {:<18} s{}#{}",
            self.now.sequence,
            Utc(timestamp),
            event_name(event),
            to.session.0,
            to.number.0
        );
        for (name, value) in named {
            line += &match (*name, value.as_u64()) {
                ("price" | "display_price", Some(price)) => format!(" {name}={}", Price(price)),
                _ => format!(" {name}={}", fields::word(value)),
            };
        }
        if let Some(open) = more["open"].as_u64() {
            line += &format!(" open={open}");
        }
        if !self.now.in_record {
            line += " by time";
        } else if self.now.session != to.session.0 {
            line += &format!(" by {} of s{}", self.now.kind, self.now.session);
        }
        line
    }

    fn say(&mut self, line: &str) {
        if self.failure.is_none()
            && let Err(error) = writeln!(self.out, "{line}")
        {
            self.failure = Some(error.into());
        }
    }
}

impl<W: Write> EventSink for Telling<'_, W> {
    fn record(&mut self, sequence: Sequence, record: &Record<'_>) {
        self.ledger.record(sequence.0);
        let header = record.header();
        self.now = Now {
            batch: self.now.batch,
            sequence: sequence.0,
            in_record: true,
            kind: fields::kind_name(header.kind),
            session: header.source.session.0,
            life: self.life_of(sequence.0, record),
        };
        if let Some(life) = self.now.life {
            self.tell_record(life, sequence.0, record);
        }
    }

    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let touched = self.ledger.event(to, &event);
        if let Some(touched) = &touched {
            let order = &touched.after;
            if !self.lives.contains(&order.life) {
                // A day later the same number is another order's.
                if touched.before.is_none() {
                    self.keys.remove(&order.key);
                }
                return;
            }
            self.keys.insert(order.key, order.life);
            if let Event::Executed(e) = &event {
                self.matches
                    .insert((to.session.0, e.match_number.0), order.life);
            }
            let more = json!({ "reference": order.reference.0, "open": order.open });
            return self.tell_event(order.life, to, &event, &more);
        }
        // About an order that lives no more, or about a request that came to nothing.
        let life = match &event {
            Event::Broken(e) => self.matches.get(&(to.session.0, e.match_number.0)).copied(),
            Event::Rejected(_) => self.now.life,
            _ => None,
        };
        if let Some(life) = life {
            self.tell_event(life, to, &event, &Value::Null);
        }
    }

    fn control(&mut self, _: &Control) {}
}

impl<W: Write> LogSink for Telling<'_, W> {
    fn begin(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        self.ledger.begin(machine);
        let ours = |order: &&LiveOrder| self.lives.contains(&order.life);
        let ours = self.ledger.live().filter(ours);
        self.keys = ours.map(|order| (order.key, order.life)).collect();
        Ok(())
    }

    fn batch(&mut self, header: &BatchHeader) {
        self.now.batch = Some(*header);
        self.now.in_record = false;
        // What time does is said at the place of the record that comes next.
        self.now.sequence = header.first_sequence;
    }

    fn batch_applied(&mut self, _: &StateMachine) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
