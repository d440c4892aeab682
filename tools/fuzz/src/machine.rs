//! The state machine: raw records, which it may refuse but never survive wrongly, and orders as clients
//! send them, which it must always apply.

use crate::bytes::{Aligned, Script};
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::*;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::*;
use lockstep_wire::ouch::{Inbound, Outbound, SEQUENCED_LENGTH_MAX, encode_sequenced};
use lockstep_wire::soup::split_server;
use std::collections::BTreeMap;

const SESSIONS: u32 = 3;
const SYMBOLS: [[u8; 8]; 2] = [*b"ACME    ", *b"ZINC    "];
const TICK: u32 = 100;
/// Small, so that every bound is reached.
pub const CAPACITY: Capacity = Capacity {
    open_orders_max: 48,
    instruments_max: 4,
    sessions_max: 4,
    firms_max: 4,
    price_levels_max: 24,
    positions_max: 6,
    trades_max: 8,
    protections_max: 4,
};

fn record<B: Body>(body: &B, source: Source) -> Vec<u8> {
    let mut out = vec![0; RECORD_LENGTH_MAX];
    let length = RecordWriter::new(&mut out, source, body).finish();
    out.truncate(length);
    out
}

fn source(session: u32, epoch: u32) -> Source {
    Source {
        session: SessionId(session),
        epoch: ConnectionEpoch(epoch),
        gateway: Gateway(1),
    }
}

fn user(session: u32) -> [u8; 6] {
    [b'U', b'0' + session as u8, b' ', b' ', b' ', b' ']
}

fn login(session: u32) -> Vec<u8> {
    let body = Login {
        connection: u64::from(session),
        requested_number: 0,
        peer_address: [0; 16],
        peer_port: 0,
        user: user(session),
        requested_session: [b' '; 10],
        _reserved: [0; 14],
    };
    record(&body, source(session, 0))
}

fn day_open(date: u32) -> Vec<u8> {
    let body = DayOpen {
        midnight: 1,
        date,
        session_name: *b"       DAY",
        _reserved: [0; 10],
    };
    record(&body, Source::default())
}

/// What every run begins with: bounds, firms, sessions, instruments, an open day, logins.
pub fn prelude_records() -> Vec<Vec<u8>> {
    let operator = Source::default();
    let mut all = vec![record(
        &SetBounds {
            open_orders_max: CAPACITY.open_orders_max,
            instruments_max: CAPACITY.instruments_max,
            sessions_max: CAPACITY.sessions_max,
            firms_max: CAPACITY.firms_max,
            price_levels_max: CAPACITY.price_levels_max,
            _reserved: [0; 12],
        },
        operator,
    )];
    for (firm, code) in [(1, *b"ALFA"), (2, *b"BRVO")] {
        all.push(record(&DefineFirm { firm, code }, operator));
    }
    for session in 1..=SESSIONS {
        let body = DefineSession {
            session,
            firm: 1 + session % 2,
            user: user(session),
            cancel_on_disconnect: u8::from(session == 3),
            order_entry: 1,
            _reserved: [0; 8],
        };
        all.push(record(&body, operator));
    }
    for (instrument, symbol) in (1..).zip(SYMBOLS) {
        let body = DefineInstrument {
            symbol,
            instrument,
            tick_size: TICK,
            lot_size: if instrument == 2 { 10 } else { 1 },
            _reserved: [0; 12],
        };
        let mut out = vec![0; RECORD_LENGTH_MAX];
        let mut writer = RecordWriter::new(&mut out, operator, &body);
        if instrument == 2 {
            // Its orders share by size.
            writer.part(PartTag::ALLOCATION, Policy::Halt, b"P");
            writer.part(PartTag::ALLOCATION_MINIMUM, Policy::Halt, &20u32.to_le_bytes());
        }
        let length = writer.finish();
        out.truncate(length);
        all.push(out);
    }
    let bounds = SetRiskBounds {
        positions_max: CAPACITY.positions_max,
        trades_max: CAPACITY.trades_max,
        protections_max: CAPACITY.protections_max,
        _reserved: [0; 4],
    };
    all.push(record(&bounds, operator));
    all.push(day_open(1));
    all.extend((1..=SESSIONS).map(login));
    all
}

/// Checks everything that is said: numbers without gap, packets that read back, trades with two sides.
#[derive(Default)]
struct Checker {
    numbers: BTreeMap<u32, u64>,
    /// Match number → sides heard, quantity, price.
    trades: BTreeMap<u64, (u32, u32, u64)>,
    epochs: [u32; SESSIONS as usize + 1],
}

impl EventSink for Checker {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let last = self.numbers.entry(to.session.0).or_default();
        assert_eq!(
            to.number.0,
            *last + 1,
            "a gap on the stream of {:?}",
            to.session
        );
        *last = to.number.0;
        if let Event::Executed(trade) = &event {
            let seen = (trade.quantity, trade.price.0);
            let entry = self.trades.entry(trade.match_number.0);
            let (sides, quantity, price) = entry.or_insert((0, seen.0, seen.1));
            *sides += 1;
            assert_eq!((*quantity, *price), seen, "two sides of one trade differ");
        }
        let mut out = [0; SEQUENCED_LENGTH_MAX];
        let length = encode_sequenced(to, &event, &mut out);
        let Ok(Some(frame)) = split_server(&out[..length]) else {
            panic!("an event that is no packet: {event:?}");
        };
        assert_eq!(frame.length(), length);
        assert!(
            Outbound::parse(frame.payload).is_ok(),
            "{event:?} does not parse"
        );
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::DayOpened { .. } => self.numbers.clear(),
            Control::LoginAccepted { session, epoch, .. } => {
                if let Some(known) = self.epochs.get_mut(session.0 as usize) {
                    *known = epoch.0;
                }
            }
            _ => {}
        }
    }
}

struct Run {
    machine: StateMachine,
    checker: Checker,
    index: u64,
    timestamp: u64,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            machine: StateMachine::new(CAPACITY),
            checker: Checker::default(),
            index: 0,
            timestamp: 0,
        };
        let records = prelude_records();
        let applied = run.apply(
            BatchKind::Commands,
            &records.concat(),
            records.len() as u32,
            1,
        );
        assert_eq!(applied, Ok(()));
        run
    }

    fn apply(
        &mut self,
        kind: BatchKind,
        records: &[u8],
        count: u32,
        later: u64,
    ) -> Result<(), ApplyError> {
        self.index += 1;
        self.timestamp += later;
        let batch = BatchInfo {
            kind,
            term: Term(1),
            index: LogIndex(self.index),
            first_sequence: Sequence(self.machine.last_sequence().0 + 1),
            record_count: count,
            timestamp: Timestamp(self.timestamp),
            feature_set_version: 0,
        };
        let aligned = Aligned::copy(records);
        let applied = self
            .machine
            .apply(&batch, aligned.bytes(), &mut self.checker);
        if applied.is_ok() {
            self.machine.check_invariants().expect("the invariants");
            let one_sided = self.checker.trades.iter().find(|(_, trade)| trade.0 != 2);
            assert_eq!(one_sided, None, "a trade without two sides");
            self.checker.trades.clear();
        }
        applied
    }
}

/// Records of any content: applied, or refused with an error after which nothing more is applied.
pub mod apply_raw {
    use super::*;

    const KINDS: &[u16] = &[
        1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 80, 81, 82, 83, 84, 85, 86, 87, 88,
        89, 90, 91, 99,
    ];

    fn body_length(kind: u16) -> usize {
        match kind {
            1 => Login::LENGTH,
            16 => EnterOrder::LENGTH,
            17 => ReplaceOrder::LENGTH,
            64 | 67 | 68 | 72 => SetBounds::LENGTH,
            66 => DefineSession::LENGTH,
            3 | 19 | 20 | 71 | 73 | 81 | 83 | 85 | 88 | 90 => ModifyOrder::LENGTH,
            82 => OperatorCancel::LENGTH,
            84 => SetLimits::LENGTH,
            86 => SetProtection::LENGTH,
            _ => 8,
        }
    }

    /// A record whose frame is mostly right and whose values are the input's.
    fn framed(script: &mut Script<'_>) -> Vec<u8> {
        let shape = script.u8();
        let kind = script.pick(KINDS);
        let body = match shape & 7 {
            7 => 8 * usize::from(script.u8() % 9),
            _ => body_length(kind),
        };
        let mut out = vec![0; RECORD_HEADER_LENGTH];
        let mut body_bytes = script.take(body).to_vec();
        body_bytes.resize(body, 0);
        out.extend_from_slice(&body_bytes);
        for _ in 0..shape >> 6 {
            let (tag, value) = (u16::from(script.u8()), script.u8() % 10);
            let mut part = [0; 32];
            let policy = script.pick(&[Policy::Ignore, Policy::Reject, Policy::Halt]);
            let value = script.take(usize::from(value));
            let length = write_part(&mut part, PartTag(tag), policy, value);
            out.extend_from_slice(&part[..length]);
        }
        let length = out.len() as u32;
        out[0..4].copy_from_slice(&length.to_le_bytes());
        out[4..6].copy_from_slice(&kind.to_le_bytes());
        out[6] = if shape & 8 == 0 { 1 } else { script.u8() };
        out[7] = script.u8() % 4;
        let session = u32::from(if kind < 64 {
            script.u8() % 5
        } else {
            shape >> 4 & 1
        });
        out[8..12].copy_from_slice(&session.to_le_bytes());
        out[12..16].copy_from_slice(&u32::from(script.u8() % 3).to_le_bytes());
        out[20..22].copy_from_slice(&(body as u16).to_le_bytes());
        out
    }

    pub fn run(data: &[u8]) {
        let (mut run, mut script) = (Run::new(), Script(data));
        while !script.is_empty() {
            let (mut records, mut count) = (Vec::new(), 0);
            let batch = script.u8();
            for _ in 0..=batch & 3 {
                records.extend_from_slice(&framed(&mut script));
                count += 1;
            }
            if batch & 4 != 0 && batch & 8 != 0 {
                records.extend_from_slice(script.take(24));
            }
            let kind = if batch >= 0xf0 {
                BatchKind::TermStart
            } else {
                BatchKind::Commands
            };
            if let Err(error) = run.apply(kind, &records, count, 1 + u64::from(batch >> 4)) {
                assert_ne!(error, ApplyError::Stopped);
                let again = run.apply(BatchKind::Commands, &[], 0, 1);
                assert_eq!(again, Err(ApplyError::Stopped));
                return;
            }
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut all = vec![vec![0; 64], (0..=255).collect(), vec![0, 7, 16]];
        for kind in 0..KINDS.len() as u8 {
            let mut seed = vec![0, 0, kind];
            seed.extend((0..64).map(|at: u8| u8::from(at.is_multiple_of(4))));
            seed.extend([1, 3, 0]);
            all.push(seed.repeat(3));
        }
        all
    }
}

/// Orders, cancels, replaces, logins and operator's commands of legal form: always applied, whatever
/// their values, with every invariant and every promise of the streams kept.
pub mod apply_orders {
    use super::*;
    use lockstep_wire::ouch::inbound;
    use lockstep_wire::ouch::{Appendage, AppendageBuffer, OptionTag};

    const SIDES: &[u8] = b"BSBSBSTEQ";
    const QUANTITIES: &[u32] = &[1, 10, 10, 20, 50, 100, 999_990, 0, 1_000_000, u32::MAX];
    const MARKET: u64 = 2_000_000_000;

    fn price(script: &mut Script<'_>) -> u64 {
        match script.u8() {
            choice @ 0..=239 => 1_000_000 + u64::from(TICK) * u64::from(choice % 24),
            240..=245 => MARKET,
            246..=250 => u64::from(script.u32()),
            251 => MARKET - u64::from(TICK),
            252 => u64::from(TICK),
            _ => script.u64(),
        }
    }

    /// Mostly a few ticks either way.
    fn offset(script: &mut Script<'_>) -> i32 {
        match script.u8() {
            choice @ 0..=239 => (i32::from(choice % 9) - 4) * TICK as i32,
            _ => script.u32().cast_signed(),
        }
    }

    fn options(script: &mut Script<'_>, quantity: u32) -> AppendageBuffer {
        let mut buffer = AppendageBuffer::new();
        for _ in 0..script.u8() / 48 {
            let pushed = match script.u8() % 13 {
                0 => buffer.push(OptionTag(3), script.pick(&[quantity, 1, 10])),
                1 => buffer.push(OptionTag(28), script.u8() % 3),
                2 => buffer.push_bytes(OptionTag(2), script.pick(&[b"ALFA", b"BRVO", b"NONE"])),
                3 => buffer.push(OptionTag(12), b'N'),
                4 => buffer.push(OptionTag(27), script.pick(SIDES)),
                // Stops: price, kind, offset.
                5 => buffer.push_bytes(OptionTag(200), &price(script).to_be_bytes()),
                6 => buffer.push(OptionTag(201), script.pick(b"SSTTTNX")),
                7 => buffer.push_bytes(OptionTag(202), &offset(script).to_be_bytes()),
                // Pegs: kind, offset.
                8 => buffer.push(OptionTag(6), script.pick(b"RPMmRPQL")),
                9 => buffer.push_bytes(OptionTag(7), &offset(script).to_be_bytes()),
                // Reserves: what is displayed, and how it varies.
                10 => buffer.push(OptionTag(5), script.pick(&[1, 2, 10, 20, quantity])),
                11 => buffer.push(OptionTag(13), script.pick(&[1u32, 10, 5, 0])),
                _ => {
                    let (tag, length) = (script.u8(), script.u8() % 9);
                    buffer.push_bytes(OptionTag(tag), script.take(usize::from(length)))
                }
            };
            if pushed.is_err() {
                break;
            }
        }
        buffer
    }

    /// Mostly small, sometimes an extreme.
    fn amount(script: &mut Script<'_>) -> u64 {
        match script.u8() {
            choice @ 0..=199 => u64::from(choice % 50),
            200..=239 => u64::from(script.u32()),
            240..=247 => script.u64(),
            _ => u64::MAX,
        }
    }

    fn small(script: &mut Script<'_>) -> u32 {
        amount(script).try_into().unwrap_or(u32::MAX)
    }

    /// A record of the operator that protects the venue, with any values.
    fn protection(session: u32, script: &mut Script<'_>) -> Vec<u8> {
        let operator = Source::default();
        let session = if script.u8() < 8 { small(script) } else { session };
        let (firm, instrument) = (u32::from(script.u8() % 4), u32::from(script.u8() % 5));
        let (by_group, group_id) = (script.pick(&[0, 0, 1, 2]), script.pick(&[0, 0, 1, 7]));
        let choice = script.u8();
        match choice % 11 {
            0 => {
                let scope = script.pick(b"SSFV");
                let id = [session, firm, 0][usize::from(choice / 11 % 3)];
                let state = script.pick(b"EEEDK");
                let body = SetEntryState { id, scope, state, _reserved: [0; 2] };
                record(&body, operator)
            }
            1 => {
                let side = script.pick(b"\0\0BSTX");
                let body = OperatorMassCancel { session, firm, instrument, group_id, by_group, side };
                record(&body, operator)
            }
            2 => {
                let body = OperatorCancel {
                    reference: amount(script) % 4,
                    session,
                    user_ref_num: small(script),
                    user_ref_idx: script.u8() % 3,
                    _reserved: [0; 7],
                };
                record(&body, operator)
            }
            3 => {
                let (match_number, reason) = (amount(script), script.pick(b"ECSX?"));
                record(&BreakTrade { match_number, reason, _reserved: [0; 7] }, operator)
            }
            4 | 5 => {
                let scope = script.pick(b"SF");
                let body = SetLimits {
                    order_notional_max: amount(script).saturating_mul(1_000_000),
                    open_notional_max: amount(script).saturating_mul(1_000_000),
                    long_max: amount(script),
                    short_max: amount(script),
                    gross_max: amount(script),
                    order_quantity_max: small(script),
                    open_orders_max: small(script),
                    id: if scope == b'S' { session } else { firm },
                    scope,
                    _reserved: [0; 3],
                };
                record(&body, operator)
            }
            6 => {
                let (window, messages_max) = (amount(script), small(script));
                record(&SetThrottle { window, session, messages_max }, operator)
            }
            7 => {
                let body = SetProtection {
                    window: amount(script),
                    quantity_max: amount(script),
                    session,
                    executions_max: small(script),
                    group_id,
                    by_group,
                    _reserved: [0; 5],
                };
                record(&body, operator)
            }
            8 => {
                let body = ResetProtection { session, group_id, by_group, _reserved: 0 };
                record(&body, operator)
            }
            9 => {
                let position = amount(script).cast_signed().wrapping_neg();
                record(&SetPosition { position, firm, instrument }, operator)
            }
            _ if choice < 40 => record(&RetireInstrument { instrument, _reserved: [0; 4] }, operator),
            _ => record(&SetGrace { grace: amount(script) }, operator),
        }
    }

    struct Clients {
        /// Highest number used by session; the next order takes the next.
        refs: [u32; SESSIONS as usize + 1],
        date: u32,
    }

    impl Clients {
        /// Often a live order's number, sometimes any.
        fn known(&self, session: u32, script: &mut Script<'_>) -> u32 {
            self.refs[session as usize].wrapping_sub(u32::from(script.u8() % 12))
        }

        fn next(&mut self, session: u32, script: &mut Script<'_>) -> u32 {
            let next = &mut self.refs[session as usize];
            *next = next.saturating_add(u32::from(!script.u8().is_multiple_of(8)));
            *next
        }

        fn message(&mut self, session: u32, kind: u8, script: &mut Script<'_>) -> Vec<u8> {
            let mut out = vec![0; 1024];
            let quantity = script.pick(QUANTITIES);
            let length = match kind {
                0..=5 => {
                    let order = inbound::EnterOrder {
                        user_ref_num: self.next(session, script),
                        side: script.pick(SIDES),
                        quantity,
                        symbol: script.pick(&[SYMBOLS[0], SYMBOLS[0], SYMBOLS[1], *b"NONE    "]),
                        price: Price(price(script)),
                        time_in_force: script.pick(b"000000336"),
                        display: script.pick(b"YYYYYANNN"),
                        capacity: script.pick(b"PPPAROX"),
                        intermarket_sweep: script.pick(b"NNNNNNY"),
                        cross_type: script.pick(b"NNNNNNNNOCHZ"),
                        client_order_id: [b'c'; 14],
                    };
                    order.encode(options(script, quantity).appendage(), &mut out)
                }
                6 | 7 => {
                    let order = inbound::ReplaceOrder {
                        original_user_ref_num: self.known(session, script),
                        user_ref_num: self.next(session, script),
                        quantity,
                        price: Price(price(script)),
                        time_in_force: script.pick(b"0003"),
                        display: b'Y',
                        intermarket_sweep: b'N',
                        client_order_id: [b'r'; 14],
                    };
                    order.encode(options(script, quantity).appendage(), &mut out)
                }
                8 | 9 => {
                    let user_ref_num = self.known(session, script);
                    let cancel = inbound::CancelOrder {
                        user_ref_num,
                        quantity: quantity / 2,
                    };
                    cancel.encode(options(script, 1).appendage(), &mut out)
                }
                10 => {
                    let user_ref_num = self.known(session, script);
                    let side = script.pick(SIDES);
                    let modify = inbound::ModifyOrder {
                        user_ref_num,
                        quantity,
                        side,
                    };
                    modify.encode(Appendage::ABSENT, &mut out)
                }
                _ => {
                    let length = usize::from(script.u8());
                    let payload = script.take(length);
                    return if Inbound::parse(payload).is_ok() {
                        payload.to_vec()
                    } else {
                        vec![b'Q']
                    };
                }
            };
            out.truncate(length);
            out
        }

        /// One record, of a client or of the operator.
        fn record(&mut self, run: &Run, script: &mut Script<'_>) -> Vec<u8> {
            let kind = script.u8() % 24;
            let session = 1 + u32::from(script.u8()) % SESSIONS;
            let from = source(session, run.checker.epochs[session as usize]);
            let connection = u64::from(session);
            match kind {
                12 | 13 => login(session),
                14 => record(&Logout { connection }, from),
                15 => record(
                    &Disconnect {
                        connection,
                        reason: 1,
                        _reserved: [0; 7],
                    },
                    from,
                ),
                16 => {
                    let state = script.pick(b"TTTHCPOVLX");
                    let instrument = u32::from(script.u8() % 4);
                    let body = SetInstrumentState {
                        instrument,
                        state,
                        _reserved: [0; 3],
                    };
                    record(&body, Source::default())
                }
                19 => {
                    let instrument = u32::from(script.u8() % 4);
                    match script.u8() % 3 {
                        0 => {
                            let body = StartAuction {
                                instrument,
                                duration_ms: script.pick(&[0, 1, 86_400_000, u32::MAX]),
                                random_end_ms: script.pick(&[0, 1, 3_600_000, u32::MAX]),
                                state: script.pick(b"OVLVLT"),
                                next_state: script.pick(b"TTCX"),
                                _reserved: [0; 2],
                            };
                            record(&body, Source::default())
                        }
                        1 => {
                            let times = [0, 1, 2, 1_000, 172_799_999, u32::MAX];
                            let body = SetSchedule {
                                instrument,
                                pre_open_ms: script.pick(&times),
                                opening_auction_ms: script.pick(&times),
                                trading_ms: script.pick(&times),
                                closing_auction_ms: script.pick(&times),
                                closed_ms: script.pick(&times),
                                random_end_ms: script.pick(&[0, 5, 3_600_000]),
                                _reserved: 0,
                            };
                            record(&body, Source::default())
                        }
                        _ => {
                            let body = SetReferencePrice {
                                price: price(script),
                                instrument,
                                _reserved: 0,
                            };
                            record(&body, Source::default())
                        }
                    }
                }
                17 if script.u8().is_multiple_of(4) => {
                    self.refs = [0; SESSIONS as usize + 1];
                    record(&DayClose { _reserved: 0 }, Source::default())
                }
                18 => {
                    self.date += 1;
                    day_open(self.date)
                }
                20..=23 => protection(session, script),
                _ => {
                    let message = self.message(session, kind, script);
                    let parsed = Inbound::parse(&message).expect("our own message");
                    let mut out = vec![0; RECORD_LENGTH_MAX];
                    let length = parsed.write_record(from, &mut out);
                    out.truncate(length);
                    out
                }
            }
        }
    }

    pub fn run(data: &[u8]) {
        let (mut run, mut script) = (Run::new(), Script(data));
        let mut clients = Clients {
            refs: [0; SESSIONS as usize + 1],
            date: 1,
        };
        while !script.is_empty() {
            let (mut records, mut count) = (Vec::new(), 0);
            let batch = script.u8();
            for _ in 0..=batch & 3 {
                records.extend_from_slice(&clients.record(&run, &mut script));
                count += 1;
            }
            let kind = if batch >= 0xfc {
                BatchKind::TermStart
            } else {
                BatchKind::Commands
            };
            let applied = run.apply(kind, &records, count, 1 + u64::from(batch));
            assert_eq!(applied, Ok(()), "a client or operator stopped the venue");
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut random = crate::bytes::Random(7);
        let mut seed = |length: usize| (0..length).map(|_| random.draw() as u8).collect();
        vec![vec![0; 40], seed(64), seed(256), seed(1024), seed(2048)]
    }
}
