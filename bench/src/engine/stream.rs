//! Commands for the whole state machine, encoded before the clock starts: many sessions on many
//! instruments.
//!
//! Each instrument is a small market of the book's generator; its orders belong to sessions drawn at
//! random. A machine applies each command as it is made, so that a replacement's total counts what its
//! chain has executed, as the protocol wants it. Where self-trade prevention keeps two orders of one
//! session apart, the market goes another way than its generator believed: later commands on such orders
//! are what a client would send who does not know yet, and are counted.

use super::EngineArgs;
use crate::random::Random;
use crate::workload::generate::{Generator, StreamShape};
use crate::workload::record::{Operation, WorkRecord};
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::Side;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    CancelOrder, DayOpen, DefineFirm, DefineInstrument, DefineSession, EnterOrder, Login,
    ReplaceOrder, SetBounds, SetLimits, SetRiskBounds, SetThrottle,
};
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::{
    BatchInfo, Body, ConnectionEpoch, LogIndex, PartTag, Policy, RECORD_LENGTH_MAX, RecordWriter,
    Sequence, SessionId, Source, Term, Timestamp,
};

const MIDNIGHT: u64 = 1_767_312_000_000_000_000;
const BEGIN: u64 = MIDNIGHT + 34_200_000_000_000;
/// Time between two batches, ns.
const BATCH_NS: u64 = 4_000;
const TICK: u64 = 100;

/// Records, one behind the other, 8-aligned, with where each ends.
#[derive(Clone, Debug)]
pub struct Records {
    bytes: Vec<u8>,
    skip: usize,
    ends: Vec<usize>,
}

impl Records {
    fn with_room(records: usize) -> Self {
        // An order without options has 72 bytes; nothing made here is longer than 128.
        let bytes = vec![0; records * 128 + RECORD_LENGTH_MAX + 8];
        let skip = bytes.as_ptr().align_offset(8);
        Self {
            bytes,
            skip,
            ends: Vec::with_capacity(records),
        }
    }

    fn push(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let begin = self.ends.last().copied().unwrap_or(0);
        let length = write(&mut self.bytes[self.skip + begin..]);
        self.ends.push(begin + length);
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of so many records from `first` on.
    #[inline]
    pub fn range(&self, first: usize, count: usize) -> &[u8] {
        let begin = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends[first + count - 1];
        &self.bytes[self.skip + begin..self.skip + end]
    }
}

/// A machine's place in its log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log {
    index: u64,
    sequence: u64,
}

impl Log {
    /// The next batch of so many records.
    #[inline]
    pub fn batch(&mut self, records: u32) -> BatchInfo {
        let first_sequence = Sequence(self.sequence + 1);
        self.index += 1;
        self.sequence += u64::from(records);
        BatchInfo {
            kind: BatchKind::Commands,
            term: Term(1),
            index: LogIndex(self.index),
            first_sequence,
            record_count: records,
            timestamp: Timestamp(BEGIN + self.index * BATCH_NS),
            feature_set_version: 0,
        }
    }
}

/// The stream: definitions and logins, orders that fill the books, and the commands to be timed.
#[derive(Clone, Debug)]
pub struct Stream {
    pub records: Records,
    /// Records before the timed ones.
    pub filling: usize,
    /// What the events of the timed ones were, by the machine that the stream was made with.
    pub counts: Counts,
}

/// Events of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Counts {
    pub accepted: u64,
    pub executed: u64,
    pub canceled: u64,
    pub replaced: u64,
    pub rejected: u64,
    pub self_trades_prevented: u64,
    /// Requests that the rules answer with silence.
    pub silent: u64,
}

/// What the maker of the stream hears.
#[derive(Default)]
struct Ears {
    counts: Counts,
    /// Executions of the command just applied: session and number of the order, shares.
    executed: Vec<(u32, u32, u32)>,
}

impl EventSink for Ears {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        match event {
            Event::Accepted(_) => self.counts.accepted += 1,
            Event::Executed(executed) => {
                self.counts.executed += 1;
                let number = executed.user_ref.number;
                self.executed
                    .push((to.session.0, number, executed.quantity));
            }
            Event::Canceled(_) => self.counts.canceled += 1,
            Event::Replaced(_) => self.counts.replaced += 1,
            Event::Rejected(_) => self.counts.rejected += 1,
            Event::SelfMatchCanceled(_) => self.counts.self_trades_prevented += 1,
            _ => {}
        }
    }

    fn control(&mut self, _: &Control) {}
}

/// An order as its client knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    session: u32,
    number: u32,
    executed: u32,
}

struct Market {
    generator: Generator,
    /// By the generator's id, which counts from 1.
    orders: Vec<Chain>,
}

struct Maker {
    random: Random,
    records: Records,
    machine: StateMachine,
    log: Log,
    ears: Ears,
    markets: Vec<Market>,
    /// Next user reference number by session; entry 0 is never used.
    numbers: Vec<u32>,
    /// By session and number: market and generator's id of the order.
    places: Vec<Vec<(u32, u32)>>,
}

/// Makes the stream.
pub fn make(arguments: &EngineArgs) -> Result<Stream, ApplyError> {
    let (sessions, instruments) = (arguments.sessions, arguments.instruments);
    let shape = StreamShape {
        live_orders: (arguments.live_orders / instruments).max(1) as usize,
        ..StreamShape::default()
    };
    let fill = shape.live_orders * instruments as usize;
    let markets = (0..instruments).map(|at| Market {
        generator: Generator::new(
            Random::part(arguments.seed, u64::from(at)).next() | 1,
            shape,
        ),
        orders: vec![Chain::default()],
    });
    let total = (sessions * 4 + instruments * 2) as usize + fill + arguments.commands as usize + 64;
    let mut maker = Maker {
        random: Random::new(arguments.seed),
        records: Records::with_room(total),
        machine: StateMachine::new(Capacity::default()),
        log: Log::default(),
        ears: Ears::default(),
        markets: markets.collect(),
        numbers: vec![1; sessions as usize + 1],
        places: vec![vec![(0, 0)]; sessions as usize + 1],
    };
    maker.define(arguments)?;
    for at in 0..fill {
        maker.command(at % instruments as usize)?;
    }
    let filling = maker.records.len();
    maker.ears.counts = Counts::default();
    let silent = maker.machine.counters().silent;
    for _ in 0..arguments.commands {
        let market = maker.random.below(u64::from(instruments)) as usize;
        maker.command(market)?;
    }
    maker.ears.counts.silent = maker.machine.counters().silent - silent;
    Ok(Stream {
        counts: maker.ears.counts,
        records: maker.records,
        filling,
    })
}

fn symbol(instrument: u32) -> [u8; 8] {
    let mut symbol = *b"E0000   ";
    let digits = [1000, 100, 10, 1].map(|unit| b'0' + (instrument / unit % 10) as u8);
    symbol[1..5].copy_from_slice(&digits);
    symbol
}

fn user(session: u32) -> [u8; 6] {
    let mut user = *b"S00000";
    let digits = [10_000, 1000, 100, 10, 1].map(|unit| b'0' + (session / unit % 10) as u8);
    user[1..].copy_from_slice(&digits);
    user
}

impl Maker {
    /// Writes a record and applies it as a batch of its own.
    fn put<B: Body>(
        &mut self,
        source: Source,
        body: &B,
        parts: &[(PartTag, &[u8])],
    ) -> Result<(), ApplyError> {
        self.records.push(|out| {
            let mut writer = RecordWriter::new(out, source, body);
            for (tag, value) in parts {
                writer.part(*tag, Policy::Reject, value);
            }
            writer.finish()
        });
        let batch = self.log.batch(1);
        let record = self.records.range(self.records.len() - 1, 1);
        self.machine.apply(&batch, record, &mut self.ears)
    }

    fn define(&mut self, arguments: &EngineArgs) -> Result<(), ApplyError> {
        let system = Source::default();
        let bounds = SetBounds {
            open_orders_max: arguments.live_orders * 2,
            instruments_max: arguments.instruments,
            sessions_max: arguments.sessions,
            firms_max: arguments.firms(),
            price_levels_max: arguments.live_orders * 2,
            _reserved: [0; 12],
        };
        self.put(system, &bounds, &[])?;
        for firm in 1..=arguments.firms() {
            let mut code = *b"F   ";
            code[1..].copy_from_slice(&user(firm)[3..]);
            self.put(system, &DefineFirm { firm, code }, &[])?;
        }
        for instrument in 1..=arguments.instruments {
            let defined = DefineInstrument {
                symbol: symbol(instrument),
                instrument,
                tick_size: TICK as u32,
                lot_size: 1,
                _reserved: [0; 12],
            };
            self.put(system, &defined, &[])?;
        }
        for session in 1..=arguments.sessions {
            self.define_session(session, arguments)?;
        }
        if arguments.protections {
            self.protect(arguments)?;
        }
        let day = DayOpen {
            midnight: MIDNIGHT,
            date: 20_260_102,
            session_name: *b"    ENGINE",
            _reserved: [0; 10],
        };
        self.put(system, &day, &[])?;
        for session in 1..=arguments.sessions {
            self.log_in(session)?;
        }
        Ok(())
    }

    fn define_session(&mut self, session: u32, arguments: &EngineArgs) -> Result<(), ApplyError> {
        let defined = DefineSession {
            session,
            firm: arguments.firm_of(session),
            user: user(session),
            cancel_on_disconnect: 0,
            order_entry: 1,
            _reserved: [0; 8],
        };
        let newest: &[u8] = b"N";
        self.put(
            Source::default(),
            &defined,
            &[(PartTag::SELF_TRADE_MODE, newest)],
        )
    }

    /// Limits that every order is held against and none reaches.
    fn protect(&mut self, arguments: &EngineArgs) -> Result<(), ApplyError> {
        let system = Source::default();
        let bounds = SetRiskBounds {
            positions_max: arguments.firms() * arguments.instruments,
            trades_max: 1,
            protections_max: 1,
            _reserved: [0; 4],
        };
        self.put(system, &bounds, &[])?;
        let limits = |scope, id| SetLimits {
            order_notional_max: 1 << 50,
            open_notional_max: 1 << 60,
            long_max: if scope == b'F' { 1 << 40 } else { 0 },
            short_max: if scope == b'F' { 1 << 40 } else { 0 },
            gross_max: if scope == b'F' { 1 << 50 } else { 0 },
            order_quantity_max: 999_999,
            open_orders_max: 1 << 30,
            id,
            scope,
            _reserved: [0; 3],
        };
        for firm in 1..=arguments.firms() {
            self.put(system, &limits(b'F', firm), &[])?;
        }
        for session in 1..=arguments.sessions {
            self.put(system, &limits(b'S', session), &[])?;
            let throttle = SetThrottle {
                window: 1_000_000_000,
                session,
                messages_max: 1 << 30,
            };
            self.put(system, &throttle, &[])?;
        }
        Ok(())
    }

    fn log_in(&mut self, session: u32) -> Result<(), ApplyError> {
        let login = Login {
            connection: u64::from(session),
            requested_number: 0,
            peer_address: [0; 16],
            peer_port: 0,
            user: user(session),
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        };
        let source = Source {
            session: SessionId(session),
            ..Source::default()
        };
        self.put(source, &login, &[])
    }

    /// The next command of a market.
    fn command(&mut self, market: usize) -> Result<(), ApplyError> {
        let record = self.markets[market].generator.next_record();
        match record.operation {
            Operation::Add | Operation::Aggress => self.enter(market, &record)?,
            Operation::Cancel => self.cancel(market, &record)?,
            Operation::Replace => self.replace(market, &record)?,
        }
        for (session, number, quantity) in std::mem::take(&mut self.ears.executed) {
            let (market, id) = self.places[session as usize][number as usize];
            self.markets[market as usize].orders[id as usize].executed += quantity;
        }
        Ok(())
    }

    fn source(session: u32) -> Source {
        Source {
            session: SessionId(session),
            epoch: ConnectionEpoch(1),
            ..Source::default()
        }
    }

    /// Takes a session's next number for an order of a market.
    fn number(&mut self, session: u32, market: usize, id: u64) -> u32 {
        let number = &mut self.numbers[session as usize];
        self.places[session as usize].push((market as u32, id as u32));
        *number += 1;
        *number - 1
    }

    fn enter(&mut self, market: usize, record: &WorkRecord) -> Result<(), ApplyError> {
        let session = 1 + self.random.below(self.numbers.len() as u64 - 1) as u32;
        let user_ref_num = self.number(session, market, record.id);
        // Ids are dense, so the order's is the next.
        self.markets[market].orders.push(Chain {
            session,
            number: user_ref_num,
            executed: 0,
        });
        let order = EnterOrder {
            price: record.price as u64 * TICK,
            symbol: symbol(market as u32 + 1),
            user_ref_num,
            quantity: record.quantity,
            side: if record.side == Side::Buy { b'B' } else { b'S' },
            time_in_force: b'0',
            display: b'Y',
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"BENCH ENGINE  ",
            _reserved: [0; 4],
        };
        self.put(Self::source(session), &order, &[])
    }

    fn cancel(&mut self, market: usize, record: &WorkRecord) -> Result<(), ApplyError> {
        let chain = self.markets[market].orders[record.id as usize];
        let cancel = CancelOrder {
            user_ref_num: chain.number,
            quantity: 0,
        };
        self.put(Self::source(chain.session), &cancel, &[])
    }

    fn replace(&mut self, market: usize, record: &WorkRecord) -> Result<(), ApplyError> {
        let chain = self.markets[market].orders[record.id as usize];
        let user_ref_num = self.number(chain.session, market, record.id);
        self.markets[market].orders[record.id as usize].number = user_ref_num;
        let replace = ReplaceOrder {
            price: record.price as u64 * TICK,
            original_user_ref_num: chain.number,
            user_ref_num,
            quantity: chain.executed + record.quantity,
            time_in_force: b'0',
            display: b'Y',
            intermarket_sweep: b'N',
            client_order_id: *b"BENCH ENGINE  ",
            _reserved: [0; 3],
        };
        self.put(Self::source(chain.session), &replace, &[])
    }
}
