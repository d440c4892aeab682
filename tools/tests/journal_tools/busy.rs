//! A day with everything that changes what a market sees: hidden and reserve orders, self-trades prevented,
//! reductions, modifications, expiries, halts, and a second day with orders of the first.

use super::fixture::{Making, begin};
use lockstep_bench::random::Random;
use lockstep_bench::replay::builder::Records;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{
    CancelOrder, DayClose, DayOpen, EnterOrder, Login, ModifyOrder, ReplaceOrder,
    SetInstrumentState,
};
use lockstep_record::event::EventSink;
use lockstep_record::{
    Body, ConnectionEpoch, Gateway, PartTag, Policy, RecordWriter, SessionId, Source,
};

pub const FIRST_DAY: u32 = 20_260_102;
pub const SECOND_DAY: u32 = 20_260_103;
const MIDNIGHT_NS: u64 = 1_767_312_000_000_000_000;
const SESSIONS: u32 = 4;

/// The flow and how far each session's numbers are.
pub struct Busy {
    random: Random,
    numbers: [u32; SESSIONS as usize],
    epoch: u32,
    records: Records,
}

impl Busy {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            numbers: [0; SESSIONS as usize],
            epoch: 1,
            records: Records::default(),
        }
    }

    fn source(&self, session: u32) -> Source {
        Source {
            session: SessionId(session),
            epoch: ConnectionEpoch(self.epoch),
            gateway: Gateway(1),
        }
    }

    fn put<B: Body>(&mut self, source: Source, body: &B, parts: &[(PartTag, &[u8])]) {
        self.records.push(|out| {
            let mut writer = RecordWriter::new(out, source, body);
            for (tag, value) in parts {
                writer.part(*tag, Policy::Reject, value);
            }
            writer.finish()
        });
    }

    fn append<S: EventSink>(&mut self, making: &mut Making, sink: &mut S) {
        let builder = &mut making.builder;
        builder
            .append(BatchKind::Commands, &self.records, sink)
            .unwrap();
        self.records.clear();
    }

    pub fn batches<S: EventSink>(&mut self, making: &mut Making, count: u32, sink: &mut S) {
        for _ in 0..count {
            for _ in 0..1 + self.random.below(20) {
                self.command();
            }
            self.append(making, sink);
        }
    }

    fn command(&mut self) {
        let session = 1 + self.random.below(u64::from(SESSIONS)) as u32;
        let old = self.old(session);
        match self.random.below(100) {
            0..55 => self.enter(session),
            55..70 => self.replace(session, old),
            70..85 => {
                let quantity = [0, 100, 300][self.random.below(3) as usize];
                let cancel = CancelOrder {
                    user_ref_num: old,
                    quantity,
                };
                self.put(self.source(session), &cancel, &[]);
            }
            85..98 => {
                let modify = ModifyOrder {
                    user_ref_num: old,
                    quantity: 100 * (1 + self.random.below(6) as u32),
                    side: [b'B', b'S', b'T', b'E'][self.random.below(4) as usize],
                    _reserved: [0; 7],
                };
                self.put(self.source(session), &modify, &[]);
            }
            _ => {
                let state = SetInstrumentState {
                    instrument: 1 + self.random.below(2) as u32,
                    state: if self.random.chance(300) { b'H' } else { b'T' },
                    _reserved: [0; 3],
                };
                self.put(Source::default(), &state, &[]);
            }
        }
    }

    /// A number of the session's that may still be live.
    fn old(&mut self, session: u32) -> u32 {
        let last = u64::from(self.numbers[session as usize - 1]);
        (last - self.random.below(last.clamp(1, 40)).min(last)).max(1) as u32
    }

    fn next(&mut self, session: u32) -> u32 {
        let number = &mut self.numbers[session as usize - 1];
        *number += 1;
        *number
    }

    fn price(&mut self) -> u64 {
        1_000_000 + 100 * self.random.below(12)
    }

    fn enter(&mut self, session: u32) {
        let good_till = self.random.chance(100);
        let immediate = !good_till && self.random.chance(120);
        let hidden = self.random.chance(200);
        let order = EnterOrder {
            price: self.price(),
            symbol: if self.random.chance(500) {
                *b"LKSA    "
            } else {
                *b"LKSB    "
            },
            user_ref_num: self.next(session),
            quantity: 100 * (1 + self.random.below(8) as u32),
            side: [b'B', b'B', b'S', b'T'][self.random.below(4) as usize],
            time_in_force: match (good_till, immediate) {
                (true, _) => b'6',
                (_, true) => b'3',
                _ => b'0',
            },
            display: if hidden { b'N' } else { b'Y' },
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"BUSY,\"DAY\"    ",
            _reserved: [0; 4],
        };
        let deadline = (MIDNIGHT_NS + 40 * 3_600_000_000_000).to_le_bytes();
        let mut parts: Vec<(PartTag, &[u8])> = Vec::new();
        if !immediate && !hidden && self.random.chance(250) {
            parts.push((PartTag::MAX_FLOOR, &[100, 0, 0, 0]));
        }
        let mode = [b"N", b"O", b"B", b"D"][self.random.below(4) as usize];
        if self.random.chance(500) {
            parts.push((PartTag::SELF_TRADE_PREVENTION, mode));
        }
        let stop_price = (1_000_000 + 100 * self.random.below(12)).to_le_bytes();
        let kind = [b"S", b"T"][self.random.below(2) as usize];
        if !immediate && self.random.chance(150) {
            parts.push((PartTag::STOP_PRICE, &stop_price));
            parts.push((PartTag::STOP_KIND, kind));
            if kind == b"T" {
                parts.push((PartTag::TRAIL_OFFSET, &[200, 0, 0, 0]));
            }
        }
        if good_till {
            parts.push((PartTag::EXPIRE_DATE_TIME, &deadline));
        }
        self.put(self.source(session), &order, &parts);
    }

    fn replace(&mut self, session: u32, original: u32) {
        let replace = ReplaceOrder {
            price: self.price(),
            original_user_ref_num: original,
            user_ref_num: self.next(session),
            quantity: 100 * (1 + self.random.below(8) as u32),
            time_in_force: b'0',
            display: if self.random.chance(150) { b'N' } else { b'Y' },
            intermarket_sweep: b'N',
            client_order_id: *b"BUSY          ",
            _reserved: [0; 3],
        };
        self.put(self.source(session), &replace, &[]);
    }

    /// The day's end and the next one's begin, with every session logged in again.
    pub fn next_day<S: EventSink>(&mut self, making: &mut Making, sink: &mut S) {
        self.put(Source::default(), &DayClose { _reserved: 0 }, &[]);
        self.append(making, sink);
        let day = DayOpen {
            // The log's time has not got that far; only the date must be later.
            midnight: MIDNIGHT_NS,
            date: SECOND_DAY,
            session_name: *b"  20260103",
            _reserved: [0; 10],
        };
        self.put(Source::default(), &day, &[]);
        for session in 1..=SESSIONS {
            let mut user = *b"FLOW00";
            user[5] += session as u8;
            let login = Login {
                connection: u64::from(session),
                requested_number: 1,
                peer_address: [0; 16],
                peer_port: 40_000,
                user,
                requested_session: [b' '; 10],
                _reserved: [0; 14],
            };
            self.put(self.source(session), &login, &[]);
        }
        self.append(making, sink);
        self.epoch += 1;
    }
}

/// One and a half days, still in the making.
pub fn two_days<S: EventSink>(seed: u64, sink: &mut S) -> Making {
    let mut making = begin(sink);
    let mut busy = Busy::new(seed);
    busy.batches(&mut making, 60, sink);
    busy.next_day(&mut making, sink);
    busy.batches(&mut making, 60, sink);
    making
}
