//! Events as rows of the tables.

use super::super::event_fields::{event_name, event_user_ref};
use super::super::fields::{kind_name, text, trimmed};
use super::super::ledger::{LIFE_BEFORE, Ledger, LiveOrder};
use super::super::output::Failure;
use super::super::replay::LogSink;
use super::Written;
use super::table::{Cell, Table, Writers};
use lockstep_core::StateMachine;
use lockstep_journal::BatchHeader;
use lockstep_record::event::{Control, Delivery, Event, EventSink, Executed};
use lockstep_record::{Record, Sequence};
use serde_json::{Value, json};
use std::collections::HashMap;

/// One side of a match whose other side is still to come.
struct Half {
    session: u32,
    order: LiveOrder,
    executed: Executed,
}

/// Where in the log the events come from.
#[derive(Default)]
struct Now {
    index: u64,
    timestamp: u64,
    sequence: u64,
    cause: String,
    cause_session: Option<u32>,
}

pub struct Rows {
    writers: Writers,
    ledger: Ledger,
    halves: HashMap<u64, Half>,
    now: Now,
    failure: Option<Failure>,
}

impl Rows {
    pub fn new(writers: Writers) -> Self {
        Self {
            writers,
            ledger: Ledger::default(),
            halves: HashMap::new(),
            now: Now::default(),
            failure: None,
        }
    }

    /// Beside the files.
    pub fn report(&self) -> Value {
        json!({ "matches_with_one_side": self.halves.len() })
    }

    pub fn finish(self) -> Result<Vec<Written>, Failure> {
        let writers = self.writers.into_iter();
        writers.map(|(_, writer)| writer.finish()).collect()
    }

    fn wants(&self, table: Table) -> bool {
        self.writers.iter().any(|(written, _)| *written == table)
    }

    fn row(&mut self, table: Table, cells: &[Cell]) {
        let writer = self
            .writers
            .iter_mut()
            .find(|(written, _)| *written == table);
        if let (None, Some((_, writer))) = (&self.failure, writer) {
            self.failure = writer.row(cells).err();
        }
    }

    fn order_row(&mut self, to: &Delivery, event: &Event<'_>, order: Option<&LiveOrder>) {
        let Some(user_ref) = event_user_ref(event) else {
            return;
        };
        let letter = |byte: u8| text(&[byte]);
        let original = match event {
            Event::Replaced(e) => Some(e.original),
            _ => None,
        };
        let (price, quantity) = match event {
            Event::Executed(e) => (Some(e.price.0), Some(e.quantity)),
            Event::Canceled(e) => (order.map(|o| o.price.0), Some(e.quantity)),
            Event::SelfMatchCanceled(e) => (Some(e.price.0), Some(e.decrement)),
            Event::Restated(e) => (order.map(|o| o.price.0), e.display_quantity),
            _ => (order.map(|o| o.price.0), order.map(|o| o.open)),
        };
        let reason = match event {
            Event::Canceled(e) => Some(letter(e.reason as u8)),
            Event::SelfMatchCanceled(e) => Some(letter(e.strategy)),
            Event::Rejected(e) => Some(format!("0x{:02X}", e.reason as u16)),
            Event::Restated(e) => Some(letter(e.reason)),
            Event::Broken(e) => Some(letter(e.reason)),
            _ => None,
        };
        let match_number = match event {
            Event::Executed(e) => Some(e.match_number.0),
            Event::Broken(e) => Some(e.match_number.0),
            _ => None,
        };
        let client_order_id = match event {
            Event::Rejected(e) => Some(trimmed(&e.client_order_id)),
            Event::Broken(e) => Some(trimmed(&e.client_order_id)),
            _ => order.map(|o| trimmed(&o.client_order_id)),
        };
        let cells = [
            self.now.sequence.into(),
            self.now.index.into(),
            self.now.timestamp.into(),
            to.session.0.into(),
            to.number.0.into(),
            event_name(event).into(),
            self.now.cause.as_str().into(),
            self.now.cause_session.into(),
            order.map(|o| o.reference.0).into(),
            order
                .map(|o| o.life)
                .filter(|life| *life < LIFE_BEFORE)
                .into(),
            user_ref.number.into(),
            user_ref.index.into(),
            original.into(),
            order.map(|o| trimmed(&o.symbol)).into(),
            order.map(|o| letter(o.side)).into(),
            price.into(),
            quantity.into(),
            order.map(|o| o.open).into(),
            order.map(|o| letter(o.time_in_force)).into(),
            order.map(|o| letter(o.display)).into(),
            order.map(|o| letter(o.capacity)).into(),
            reason.into(),
            match_number.into(),
            client_order_id.into(),
        ];
        self.row(Table::Orders, &cells);
    }

    fn execution_row(&mut self, to: &Delivery, executed: &Executed, order: &LiveOrder) {
        let cells = [
            self.now.sequence.into(),
            self.now.index.into(),
            self.now.timestamp.into(),
            to.session.0.into(),
            to.number.0.into(),
            executed.match_number.0.into(),
            order.reference.0.into(),
            order.key.number.into(),
            order.key.index.into(),
            trimmed(&order.symbol).into(),
            text(&[order.side]).into(),
            executed.price.0.into(),
            executed.quantity.into(),
            text(&[executed.liquidity]).into(),
            order.open.into(),
            trimmed(&order.client_order_id).into(),
        ];
        self.row(Table::Executions, &cells);
    }

    /// A trade is written when its second side is heard.
    fn trade(&mut self, to: &Delivery, executed: &Executed, order: &LiveOrder) {
        let half = Half {
            session: to.session.0,
            order: *order,
            executed: *executed,
        };
        let Some(other) = self.halves.remove(&executed.match_number.0) else {
            self.halves.insert(executed.match_number.0, half);
            return;
        };
        let bought = half.order.side == b'B';
        let aggressor = [&half, &other]
            .into_iter()
            .find(|h| h.executed.liquidity == b'R');
        let aggressor = aggressor.map(|h| if h.order.side == b'B' { "B" } else { "S" });
        let (buy, sell) = if bought {
            (&half, &other)
        } else {
            (&other, &half)
        };
        let cells = [
            self.now.sequence.into(),
            self.now.index.into(),
            self.now.timestamp.into(),
            executed.match_number.0.into(),
            trimmed(&order.symbol).into(),
            executed.price.0.into(),
            executed.quantity.into(),
            aggressor.into(),
            buy.session.into(),
            buy.order.reference.0.into(),
            sell.session.into(),
            sell.order.reference.0.into(),
        ];
        self.row(Table::Trades, &cells);
    }
}

impl EventSink for Rows {
    fn record(&mut self, sequence: Sequence, record: &Record<'_>) {
        self.ledger.record(sequence.0);
        let header = record.header();
        self.now.sequence = sequence.0;
        self.now.cause = kind_name(header.kind);
        self.now.cause_session = Some(header.source.session.0);
    }

    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let touched = self.ledger.event(to, &event);
        let order = touched.map(|touched| touched.after);
        if self.wants(Table::Orders) && is_of_an_order(&event) {
            self.order_row(to, &event, order.as_ref());
        }
        if let (Event::Executed(executed), Some(order)) = (&event, &order) {
            self.execution_row(to, executed, order);
            if self.wants(Table::Trades) {
                self.trade(to, executed, order);
            }
        }
    }

    fn control(&mut self, _: &Control) {}
}

/// Answers to requests about no order in particular are left out.
fn is_of_an_order(event: &Event<'_>) -> bool {
    !matches!(
        event,
        Event::System(_)
            | Event::MassCancelResponse(_)
            | Event::DisableResponse(_)
            | Event::EnableResponse(_)
            | Event::AccountQueryResponse(_)
    )
}

impl LogSink for Rows {
    fn begin(&mut self, machine: &StateMachine) -> Result<(), Failure> {
        self.ledger.begin(machine);
        Ok(())
    }

    fn batch(&mut self, header: &BatchHeader) {
        self.now = Now {
            index: header.index,
            timestamp: header.timestamp,
            sequence: header.first_sequence,
            cause: "time".to_owned(),
            cause_session: None,
        };
    }

    fn batch_applied(&mut self, _: &StateMachine) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
