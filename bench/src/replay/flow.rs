//! Order flow as records: sessions that enter, cancel, replace and cross around wandering prices.
//!
//! A pure function of its seed. Live orders stay bounded: a session that has enough cancels its oldest.

use super::builder::{BuildError, JournalBuilder, Records};
use crate::random::Random;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    CancelOrder, DayOpen, DefineFirm, DefineInstrument, DefineSession, EnterOrder, Login,
    ReplaceOrder, SetBounds,
};
use lockstep_record::event::EventSink;
use lockstep_record::{Body, ConnectionEpoch, Gateway, RecordWriter, SessionId, Source};
use std::collections::VecDeque;

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

#[derive(Clone, Copy, Debug)]
struct Resting {
    user_ref_num: u32,
    instrument: u32,
    buy: bool,
}

#[derive(Debug)]
struct Trader {
    session: SessionId,
    next_user_ref: u32,
    resting: VecDeque<Resting>,
}

/// The flow, batch after batch.
#[derive(Debug)]
pub struct Flow {
    options: FlowOptions,
    random: Random,
    traders: Vec<Trader>,
    /// Mid price by instrument, in 1/10,000.
    mids: Vec<u64>,
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
            ..options
        };
        let trader = |id| Trader {
            session: SessionId(id),
            next_user_ref: 1,
            resting: VecDeque::new(),
        };
        Self {
            random: Random::new(options.seed),
            traders: (1..=options.sessions).map(trader).collect(),
            mids: (0..options.instruments)
                .map(|i| 1_000_000 + u64::from(i) * 50_000)
                .collect(),
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
        for trader in &self.traders {
            let login = Login {
                connection: u64::from(trader.session.0),
                requested_number: 1,
                peer_address: [0; 16],
                peer_port: 40_000,
                user: user(trader.session),
                requested_session: [b' '; 10],
                _reserved: [0; 14],
            };
            let source = Source {
                session: trader.session,
                epoch: ConnectionEpoch(0),
                gateway: Gateway(1),
            };
            put(&mut self.records, source, &login);
        }
        builder.append(BatchKind::Commands, &self.records, sink)?;
        Ok(())
    }

    fn define(&mut self) {
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
        for trader in &self.traders {
            let session = DefineSession {
                session: trader.session.0,
                firm: 1,
                user: user(trader.session),
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

    fn command(&mut self) {
        let who = self.random.below(self.traders.len() as u64) as usize;
        let enough = (self.options.live_orders as usize / self.traders.len()).max(1);
        let resting = self.traders[who].resting.len();
        // One in ten crosses; the rest comes and goes in equal numbers.
        let choice = self.random.below(100);
        if choice < 10 {
            self.enter(who, true);
        } else if choice < 20 && resting > 0 {
            self.replace(who);
        } else if choice < 60 && resting >= enough / 2 && resting > 0 || resting > enough {
            self.cancel(who);
        } else {
            self.enter(who, false);
        }
    }

    fn source(&self, who: usize) -> Source {
        Source {
            session: self.traders[who].session,
            epoch: ConnectionEpoch(1),
            gateway: Gateway(1),
        }
    }

    fn enter(&mut self, who: usize, crossing: bool) {
        let instrument = self.random.below(self.mids.len() as u64) as usize;
        let buy = self.random.chance(500);
        if self.random.chance(20) {
            let mid = &mut self.mids[instrument];
            *mid = if self.random.chance(500) {
                *mid + TICK
            } else {
                *mid - TICK
            };
            *mid = (*mid).clamp(500_000, 2_000_000);
        }
        let away = TICK * (1 + self.random.below(if crossing { 3 } else { 20 }));
        let mid = self.mids[instrument];
        let price = if buy == crossing {
            mid + away
        } else {
            mid - away
        };
        let source = self.source(who);
        let trader = &mut self.traders[who];
        let user_ref_num = trader.next_user_ref;
        trader.next_user_ref += 1;
        let order = EnterOrder {
            price,
            symbol: symbol(instrument as u32),
            user_ref_num,
            quantity: 100 * (1 + self.random.below(5) as u32),
            side: if buy { b'B' } else { b'S' },
            time_in_force: if crossing { b'3' } else { b'0' },
            display: b'Y',
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"FLOW          ",
            _reserved: [0; 4],
        };
        put(&mut self.records, source, &order);
        if !crossing {
            trader.resting.push_back(Resting {
                user_ref_num,
                instrument: instrument as u32,
                buy,
            });
        }
    }

    fn cancel(&mut self, who: usize) {
        let source = self.source(who);
        let resting = &mut self.traders[who].resting;
        // Mostly young orders go; the oldest goes where too many rest.
        let at = if self.random.chance(700) {
            resting.len() - 1 - self.random.below(resting.len().min(8) as u64) as usize
        } else {
            0
        };
        if let Some(order) = resting.remove(at) {
            let cancel = CancelOrder {
                user_ref_num: order.user_ref_num,
                quantity: 0,
            };
            put(&mut self.records, source, &cancel);
        }
    }

    fn replace(&mut self, who: usize) {
        let source = self.source(who);
        let trader = &mut self.traders[who];
        let at = trader.resting.len() - 1 - self.random.below(trader.resting.len() as u64) as usize;
        let Some(order) = trader.resting.get_mut(at) else {
            return;
        };
        let user_ref_num = trader.next_user_ref;
        trader.next_user_ref += 1;
        let away = TICK * (1 + self.random.below(20));
        let mid = self.mids[order.instrument as usize];
        let replace = ReplaceOrder {
            price: if order.buy { mid - away } else { mid + away },
            original_user_ref_num: order.user_ref_num,
            user_ref_num,
            quantity: 100 * (1 + self.random.below(5) as u32),
            time_in_force: b'0',
            display: b'Y',
            intermarket_sweep: b'N',
            client_order_id: *b"FLOW          ",
            _reserved: [0; 3],
        };
        put(&mut self.records, source, &replace);
        order.user_ref_num = user_ref_num;
    }
}

fn user(session: SessionId) -> [u8; 6] {
    let mut user = *b"FLOW00";
    user[4] += (session.0 / 10) as u8;
    user[5] += (session.0 % 10) as u8;
    user
}
