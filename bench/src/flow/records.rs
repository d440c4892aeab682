//! The flow as the records of a log: definitions, logins, and then its events as sessions would send them.
//!
//! A pure function of its seed. Live orders stay bounded.

use super::model::{Flow as Model, FlowAction, FlowEvent};
use super::options::{FlowOptions as ModelOptions, LIVE_ORDERS_MAX, SymbolOptions};
use crate::random::Random;
use crate::replay::builder::{BuildError, JournalBuilder, Records};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    CancelOrder, DayOpen, DefineFirm, DefineInstrument, DefineSession, EnterOrder, Login,
    ReplaceOrder, SetBounds,
};
use lockstep_record::event::EventSink;
use lockstep_record::{Body, ConnectionEpoch, Gateway, RecordWriter, SessionId, Side, Source};

pub const SESSIONS_MAX: u32 = 64;
pub const INSTRUMENTS_MAX: u32 = 16;
/// Records of the longest batch.
const BATCH_RECORDS_MAX: u64 = 512;
const TICK: u64 = 100;
const MIDNIGHT_NS: u64 = 1_767_312_000_000_000_000;

/// What the flow is made of.
#[derive(Clone, Copy, Debug)]
pub struct FlowOptions {
    pub seed: u64,
    /// 1..=[`SESSIONS_MAX`]
    pub sessions: u32,
    /// 1..=[`INSTRUMENTS_MAX`]
    pub instruments: u32,
    /// Orders that all sessions together keep in the books, about.
    pub live_orders: u32,
    /// The log's bound on them; memory is taken for all of it. As in the configuration by default.
    pub open_orders_max: u32,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            sessions: 16,
            instruments: 8,
            live_orders: 10_000,
            open_orders_max: 1 << 20,
        }
    }
}

/// The flow, batch after batch.
#[derive(Debug)]
pub struct Flow {
    options: FlowOptions,
    model: Model,
    /// Lengths of the batches.
    random: Random,
    /// Last number used, by session from 0.
    last_user_refs: Vec<u32>,
    /// Number of the order in a slot of the model's.
    user_refs: Vec<u32>,
    records: Records,
}

fn put<B: Body>(records: &mut Records, source: Source, body: &B) {
    records.push(|out| RecordWriter::new(out, source, body).finish());
}

fn symbol(instrument: u32) -> [u8; 8] {
    let mut symbol = *b"LKS     ";
    symbol[3] = b'A' + (instrument % 26) as u8;
    symbol
}

impl Flow {
    pub fn new(options: FlowOptions) -> Self {
        let options = FlowOptions {
            sessions: options.sessions.clamp(1, SESSIONS_MAX),
            instruments: options.instruments.clamp(1, INSTRUMENTS_MAX),
            live_orders: options.live_orders.min(LIVE_ORDERS_MAX),
            ..options
        };
        let live_orders = (options.live_orders / options.instruments).max(1);
        let symbols = (0..options.instruments).map(|instrument| SymbolOptions {
            live_orders,
            ..SymbolOptions::new(
                symbol(instrument),
                1_000_000 + u64::from(instrument) * 50_000,
            )
        });
        let mut wanted = ModelOptions::new(options.seed, symbols.collect());
        wanted.traders = options.sessions as u16;
        let model =
            Model::new(&wanted).unwrap_or_else(|_| unreachable!("clamped options are legal"));
        Self {
            random: Random::part(options.seed, 1),
            last_user_refs: vec![0; options.sessions as usize],
            user_refs: vec![0; model.slot_count() as usize],
            model,
            records: Records::default(),
            options,
        }
    }

    /// Definitions, the day's opening, and every session's login: the log's first records.
    pub fn open<S: EventSink>(
        &mut self,
        builder: &mut JournalBuilder,
        sink: &mut S,
    ) -> Result<(), BuildError> {
        self.define();
        builder.append(BatchKind::Commands, &self.records, sink)?;
        self.records.clear();
        for session in self.sessions() {
            let login = Login {
                connection: u64::from(session.0),
                requested_number: 1,
                peer_address: [0; 16],
                peer_port: 40_000,
                user: user(session),
                requested_session: [b' '; 10],
                _reserved: [0; 14],
            };
            let source = Source {
                session,
                epoch: ConnectionEpoch(0),
                gateway: Gateway(1),
            };
            put(&mut self.records, source, &login);
        }
        builder.append(BatchKind::Commands, &self.records, sink)?;
        Ok(())
    }

    fn define(&mut self) {
        let sessions = self.sessions();
        let (records, system) = (&mut self.records, Source::default());
        records.clear();
        let bounds = SetBounds {
            open_orders_max: self.options.open_orders_max,
            instruments_max: INSTRUMENTS_MAX,
            sessions_max: SESSIONS_MAX,
            firms_max: 4,
            price_levels_max: (self.options.open_orders_max / 4).max(1),
            _reserved: [0; 12],
        };
        put(records, system, &bounds);
        let firm = DefineFirm {
            firm: 1,
            code: *b"LKST",
        };
        put(records, system, &firm);
        for session in sessions {
            let session = DefineSession {
                session: session.0,
                firm: 1,
                user: user(session),
                cancel_on_disconnect: 0,
                order_entry: 1,
                _reserved: [0; 8],
            };
            put(records, system, &session);
        }
        for instrument in 0..self.options.instruments {
            let defined = DefineInstrument {
                symbol: symbol(instrument),
                instrument: instrument + 1,
                tick_size: TICK as u32,
                lot_size: 1,
                _reserved: [0; 12],
            };
            put(records, system, &defined);
        }
        let day = DayOpen {
            midnight: MIDNIGHT_NS,
            date: 20_260_102,
            session_name: *b"  20260102",
            _reserved: [0; 10],
        };
        put(records, system, &day);
    }

    /// Appends one batch of at most `records_max` records; its length varies as a busy node's does.
    pub fn batch<S: EventSink>(
        &mut self,
        builder: &mut JournalBuilder,
        records_max: u64,
        sink: &mut S,
    ) -> Result<u64, BuildError> {
        let count = match self.random.below(10) {
            0..5 => 1 + self.random.below(8),
            5..8 => 1 + self.random.below(64),
            _ => 1 + self.random.below(BATCH_RECORDS_MAX),
        };
        self.records.clear();
        for _ in 0..count.min(records_max) {
            self.command();
        }
        builder.append(BatchKind::Commands, &self.records, sink)?;
        Ok(self.records.count() as u64)
    }

    fn sessions(&self) -> impl Iterator<Item = SessionId> + use<> {
        (1..=self.options.sessions).map(SessionId)
    }

    fn command(&mut self) {
        let FlowEvent {
            symbol: instrument,
            trader,
            action,
            ..
        } = self.model.next_event();
        let source = Source {
            session: SessionId(u32::from(trader) + 1),
            epoch: ConnectionEpoch(1),
            gateway: Gateway(1),
        };
        let user_ref_num = self.last_user_refs[usize::from(trader)] + 1;
        let mut takes_number = true;
        match action {
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            } => {
                self.user_refs[slot.0 as usize] = user_ref_num;
                let terms = (side, price, quantity);
                self.put_enter(source, user_ref_num, instrument, terms, b'0');
            }
            FlowAction::Aggress {
                side,
                price,
                quantity,
                ..
            } => {
                let terms = (side, price, quantity);
                self.put_enter(source, user_ref_num, instrument, terms, b'3');
            }
            FlowAction::Cancel { slot, new_total } => {
                takes_number = false;
                let cancel = CancelOrder {
                    user_ref_num: self.user_refs[slot.0 as usize],
                    quantity: new_total,
                };
                put(&mut self.records, source, &cancel);
            }
            FlowAction::Replace {
                slot, price, total, ..
            } => {
                let original = &mut self.user_refs[slot.0 as usize];
                let replace = ReplaceOrder {
                    price,
                    original_user_ref_num: *original,
                    user_ref_num,
                    quantity: total,
                    time_in_force: b'0',
                    display: b'Y',
                    intermarket_sweep: b'N',
                    client_order_id: *b"FLOW          ",
                    _reserved: [0; 3],
                };
                *original = user_ref_num;
                put(&mut self.records, source, &replace);
            }
        }
        self.last_user_refs[usize::from(trader)] += u32::from(takes_number);
    }

    fn put_enter(
        &mut self,
        source: Source,
        user_ref_num: u32,
        instrument: u16,
        (side, price, quantity): (Side, u64, u32),
        time_in_force: u8,
    ) {
        let order = EnterOrder {
            price,
            symbol: symbol(u32::from(instrument)),
            user_ref_num,
            quantity,
            side: if side == Side::Buy { b'B' } else { b'S' },
            time_in_force,
            display: b'Y',
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"FLOW          ",
            _reserved: [0; 4],
        };
        put(&mut self.records, source, &order);
    }
}

fn user(session: SessionId) -> [u8; 6] {
    let mut user = *b"FLOW00";
    user[4] += (session.0 / 10) as u8;
    user[5] += (session.0 % 10) as u8;
    user
}
