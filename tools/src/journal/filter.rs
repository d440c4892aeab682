//! Which records an operator wants to see.

use super::ledger::OrderKey;
use super::output::Failure;
use super::time::{self, Utc};
use clap::Args;
use lockstep_journal::BatchHeader;
use lockstep_node::fatal::ExitCode;
use lockstep_record::command::{
    CancelOrder, DefineInstrument, EnterOrder, MassCancel, ModifyOrder, OperatorCancel,
    OperatorMassCancel, ReplaceOrder, RetireInstrument, SetInstrumentState, SetPosition,
    SetReferencePrice, SetSchedule, StartAuction,
};
use lockstep_record::{Kind, PartTag, Record};
use std::collections::HashSet;

/// Orders that one `--symbol` may follow; beyond, the filter says so and stops.
pub const ORDERS_FOLLOWED_MAX: usize = 1 << 24;

#[derive(Args, Default)]
pub struct FilterArguments {
    /// First sequence
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// Last sequence
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Only records of this session (0: operator and system)
    #[arg(long, value_name = "ID")]
    session: Option<u32>,
    /// Only records of this kind, by name (enter_order) or number; repeatable
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Vec<Kind>,
    /// Only records about this instrument: orders, what follows of them, definitions, what operators do with it
    #[arg(long, value_parser = parse_symbol)]
    symbol: Option<[u8; 8]>,
    /// Only requests about this order and what replaced it: SESSION:NUMBER or SESSION:USER-REF-IDX:NUMBER
    #[arg(long, value_name = "ORDER", value_parser = parse_order)]
    order: Option<OrderKey>,
    /// Not earlier: UTC as 2026-01-02T09:30:00.5Z, or ns since the Unix epoch
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    time_from: Option<Utc>,
    /// Not later
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    time_to: Option<Utc>,
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    if let Ok(number) = text.parse() {
        return Ok(Kind(number));
    }
    let mut kinds = (0..=u16::MAX).map(Kind);
    kinds.find(|kind| kind.name() == Some(text)).ok_or_else(|| {
        let names: Vec<&str> = (0..=u16::MAX)
            .filter_map(|number| Kind(number).name())
            .collect();
        format!(
            "no record kind is called `{text}`; there are {}",
            names.join(", ")
        )
    })
}

fn parse_order(text: &str) -> Result<OrderKey, String> {
    let wrong = || format!("`{text}` is no order: SESSION:NUMBER or SESSION:USER-REF-IDX:NUMBER");
    OrderKey::parse(text).ok_or_else(wrong)
}

fn parse_symbol(text: &str) -> Result<[u8; 8], String> {
    let mut symbol = [b' '; 8];
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > symbol.len() || !text.is_ascii() {
        return Err(format!("`{text}` is no symbol: 1 to 8 ASCII letters"));
    }
    symbol[..bytes.len()].copy_from_slice(bytes);
    Ok(symbol)
}

impl FilterArguments {
    /// Whether nothing that is wanted can be at or behind this batch.
    pub fn is_past(&self, header: &BatchHeader) -> bool {
        self.to.is_some_and(|to| header.first_sequence > to)
            || self.time_to.is_some_and(|to| header.timestamp > to.0)
    }

    /// Whether everything that is wanted is at or behind this batch, the first of a segment; `None` if
    /// the beginning cannot be skipped.
    pub fn may_begin_at(&self, header: &BatchHeader) -> Option<bool> {
        // What an order is about is known from its beginning only.
        if self.symbol.is_some()
            || self.order.is_some()
            || (self.from.is_none() && self.time_from.is_none())
        {
            return None;
        }
        let sequence = self.from.is_some_and(|from| header.first_sequence <= from);
        let time = self
            .time_from
            .is_some_and(|from| header.timestamp <= from.0);
        Some(sequence || time)
    }

    /// Whether any record may be left out.
    pub fn is_set(&self) -> bool {
        let Self {
            from,
            to,
            session,
            kind,
            symbol,
            order,
            time_from,
            time_to,
        } = self;
        from.is_some()
            || to.is_some()
            || session.is_some()
            || !kind.is_empty()
            || symbol.is_some()
            || order.is_some()
            || time_from.is_some()
            || time_to.is_some()
    }
}

/// The arguments, and what following an instrument has taught.
#[derive(Default)]
pub struct Filter<'a> {
    arguments: Option<&'a FilterArguments>,
    orders: HashSet<OrderKey>,
    /// What the wanted order has been called since.
    names: HashSet<OrderKey>,
    /// Ids that the symbol was defined with.
    instruments: Vec<u32>,
}

impl<'a> Filter<'a> {
    pub fn new(arguments: &'a FilterArguments) -> Self {
        Self {
            arguments: Some(arguments),
            ..Self::default()
        }
    }

    /// Whether this record is wanted. Records are given in the order of the log.
    pub fn wants(
        &mut self,
        header: &BatchHeader,
        sequence: u64,
        record: &Record<'_>,
    ) -> Result<bool, Failure> {
        let Some(wanted) = self.arguments else {
            return Ok(true);
        };
        // First, for it learns from every record.
        if let Some(symbol) = wanted.symbol
            && !self.is_about(symbol, record)?
        {
            return Ok(false);
        }
        if let Some(order) = wanted.order
            && !self.is_of(order, record)
        {
            return Ok(false);
        }
        let source = record.header().source.session.0;
        let (kind, time) = (record.header().kind, Utc(header.timestamp));
        Ok(wanted.from.is_none_or(|from| sequence >= from)
            && wanted.to.is_none_or(|to| sequence <= to)
            && wanted.session.is_none_or(|session| source == session)
            && (wanted.kind.is_empty() || wanted.kind.contains(&kind))
            && wanted.time_from.is_none_or(|from| time >= from)
            && wanted.time_to.is_none_or(|to| time <= to))
    }

    /// Whether a request is about the order or one that replaced it.
    fn is_of(&mut self, order: OrderKey, record: &Record<'_>) -> bool {
        let key = |number: u32| key(record, number);
        if let Some(entered) = record.body::<EnterOrder>() {
            let key = key(entered.user_ref_num.to_native());
            // The name of a replacement may be another order's on another day.
            self.names.remove(&key);
            return key == order;
        }
        let named = |key: OrderKey, names: &HashSet<OrderKey>| key == order || names.contains(&key);
        if let Some(replace) = record.body::<ReplaceOrder>() {
            let ours = named(key(replace.original_user_ref_num.to_native()), &self.names);
            if ours {
                self.names.insert(key(replace.user_ref_num.to_native()));
            }
            return ours;
        }
        let number = if let Some(cancel) = record.body::<CancelOrder>() {
            cancel.user_ref_num.to_native()
        } else if let Some(modify) = record.body::<ModifyOrder>() {
            modify.user_ref_num.to_native()
        } else {
            return false;
        };
        named(key(number), &self.names)
    }

    fn is_about(&mut self, symbol: [u8; 8], record: &Record<'_>) -> Result<bool, Failure> {
        let key = |number: u32| key(record, number);
        if let Some(order) = record.body::<EnterOrder>() {
            let key = key(order.user_ref_num.to_native());
            if order.symbol != symbol {
                self.orders.remove(&key);
                return Ok(false);
            }
            return self.follow(key).map(|()| true);
        }
        if let Some(replace) = record.body::<ReplaceOrder>() {
            if !self
                .orders
                .contains(&key(replace.original_user_ref_num.to_native()))
            {
                return Ok(false);
            }
            return self
                .follow(key(replace.user_ref_num.to_native()))
                .map(|()| true);
        }
        if let Some(cancel) = record.body::<CancelOrder>() {
            return Ok(self.orders.contains(&key(cancel.user_ref_num.to_native())));
        }
        if let Some(modify) = record.body::<ModifyOrder>() {
            return Ok(self.orders.contains(&key(modify.user_ref_num.to_native())));
        }
        if let Some(mass) = record.body::<MassCancel>() {
            return Ok(mass.symbol == symbol || mass.symbol == [b' '; 8]);
        }
        if let Some(defined) = record.body::<DefineInstrument>() {
            if defined.symbol == symbol {
                self.instruments.push(defined.instrument.to_native());
                self.instruments.dedup();
            }
            return Ok(defined.symbol == symbol);
        }
        if let Some(cancel) = record.body::<OperatorCancel>() {
            return Ok(self.orders.contains(&OrderKey {
                session: cancel.session.to_native(),
                index: cancel.user_ref_idx,
                number: cancel.user_ref_num.to_native(),
            }));
        }
        // What chooses no instrument is about all of them.
        Ok(instrument_of(record).is_some_and(|id| id == 0 || self.instruments.contains(&id)))
    }

    fn follow(&mut self, key: OrderKey) -> Result<(), Failure> {
        if self.orders.len() >= ORDERS_FOLLOWED_MAX && !self.orders.contains(&key) {
            let what = format!(
                "--symbol follows at most {ORDERS_FOLLOWED_MAX} orders: leave it out, or look at fewer \
                 records"
            );
            return Err(Failure::new(ExitCode::Usage, what));
        }
        self.orders.insert(key);
        Ok(())
    }
}

/// The instrument that an operator's record names; 0 = all.
fn instrument_of(record: &Record<'_>) -> Option<u32> {
    macro_rules! of {
        ($($body:ident)*) => {
            None$( .or_else(|| Some(record.body::<$body>()?.instrument.to_native())) )*
        };
    }
    of!(SetInstrumentState StartAuction SetSchedule SetReferencePrice RetireInstrument SetPosition
        OperatorMassCancel)
}

/// The order that a client's record calls `number`.
pub fn key(record: &Record<'_>, number: u32) -> OrderKey {
    let channel = record.parts().find(PartTag::USER_REF_IDX);
    OrderKey {
        session: record.header().source.session.0,
        index: channel.and_then(|part| part.u8()).unwrap_or(0),
        number,
    }
}
