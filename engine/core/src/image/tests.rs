//! Each field of the image moves the hash; what is not part of it does not.

use super::*;
use crate::Capacity;
use crate::extension::Extension;
use crate::risk::EntryState;
use crate::risk::position::Position;
use crate::risk::protection::Protection;
use crate::risk::trade::Trade;
use alloc::vec::Vec;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::*;
use lockstep_record::event::NullSink;
use lockstep_record::*;

#[repr(align(8))]
struct Aligned([u8; RECORD_LENGTH_MAX]);

fn apply<B: Body>(machine: &mut StateMachine, session: u32, body: &B, parts: &[(PartTag, &[u8])]) {
    let epoch = machine
        .sessions
        .find(SessionId(session))
        .map_or(0, |session| session.epoch.0);
    let source = Source {
        session: SessionId(session),
        epoch: ConnectionEpoch(epoch),
        gateway: Gateway(7),
    };
    let mut bytes = Aligned([0; RECORD_LENGTH_MAX]);
    let mut writer = RecordWriter::new(&mut bytes.0, source, body);
    for (tag, value) in parts {
        writer.part(*tag, Policy::Reject, value);
    }
    let length = writer.finish();
    let batch = BatchInfo {
        kind: BatchKind::Commands,
        term: Term(1),
        index: LogIndex(machine.position.index.0 + 1),
        first_sequence: Sequence(machine.position.sequence.0 + 1),
        record_count: 1,
        timestamp: Timestamp(machine.position.timestamp.0 + 1),
        feature_set_version: 0,
    };
    machine
        .apply(&batch, &bytes.0[..length], &mut NullSink)
        .unwrap();
    machine.check_invariants().unwrap();
}

fn order(number: u32, side: u8, quantity: u32, price: u64) -> EnterOrder {
    EnterOrder {
        price,
        symbol: *b"AAAA    ",
        user_ref_num: number,
        quantity,
        side,
        time_in_force: b'0',
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: *b"0123456789ABCD",
        _reserved: [0; 4],
    }
}

fn cancel(machine: &mut StateMachine, number: u32) {
    apply(
        machine,
        1,
        &CancelOrder {
            user_ref_num: number,
            quantity: 0,
        },
        &[],
    );
}

/// A venue with a session, an instrument, and no order.
fn empty() -> StateMachine {
    let mut machine = StateMachine::new(Capacity::default());
    let bounds = SetBounds {
        open_orders_max: 24,
        instruments_max: 2,
        sessions_max: 2,
        firms_max: 2,
        price_levels_max: 16,
        _reserved: [0; 12],
    };
    apply(&mut machine, 0, &bounds, &[]);
    apply(
        &mut machine,
        0,
        &DefineFirm {
            firm: 1,
            code: *b"ACME",
        },
        &[],
    );
    apply(
        &mut machine,
        0,
        &DefineFirm {
            firm: 2,
            code: *b"BEST",
        },
        &[],
    );
    let session = DefineSession {
        session: 1,
        firm: 1,
        user: *b"ALICE ",
        cancel_on_disconnect: 0,
        order_entry: 1,
        _reserved: [0; 8],
    };
    apply(
        &mut machine,
        0,
        &session,
        &[(PartTag::PERMITTED_FIRM, &2u32.to_le_bytes())],
    );
    let instrument = DefineInstrument {
        symbol: *b"AAAA    ",
        instrument: 1,
        tick_size: 100,
        lot_size: 1,
        _reserved: [0; 12],
    };
    // 200 from 100,000 up.
    let band: &[(PartTag, &[u8])] = &[(PartTag::TICK_BAND, &[0xA0, 0x86, 1, 0, 200, 0, 0, 0])];
    apply(&mut machine, 0, &instrument, band);
    let day = DayOpen {
        midnight: 0,
        date: 1,
        session_name: *b"       DAY",
        _reserved: [0; 10],
    };
    apply(&mut machine, 0, &day, &[]);
    let login = Login {
        connection: 5,
        requested_number: 0,
        peer_address: [0; 16],
        peer_port: 0,
        user: *b"ALICE ",
        requested_session: [b' '; 10],
        _reserved: [0; 14],
    };
    apply(&mut machine, 1, &login, &[]);
    machine
}

/// Everything of protection is in use.
fn guard(machine: &mut StateMachine) {
    let bounds = SetRiskBounds {
        positions_max: 4,
        trades_max: 4,
        protections_max: 2,
        _reserved: [0; 4],
    };
    apply(machine, 0, &bounds, &[]);
    let limits = SetLimits {
        order_notional_max: 1 << 40,
        open_notional_max: 1 << 41,
        long_max: 1_000,
        short_max: 1_000,
        gross_max: 5_000,
        order_quantity_max: 500,
        open_orders_max: 9,
        id: 1,
        scope: b'F',
        _reserved: [0; 3],
    };
    apply(machine, 0, &limits, &[]);
    let throttle = SetThrottle {
        window: 1_000,
        session: 1,
        messages_max: 40,
    };
    apply(machine, 0, &throttle, &[]);
    let protection = SetProtection {
        window: 1_000,
        quantity_max: 100,
        session: 1,
        executions_max: 9,
        group_id: 1,
        by_group: 1,
        _reserved: [0; 5],
    };
    apply(machine, 0, &protection, &[]);
    apply(machine, 0, &SetGrace { grace: 77 }, &[]);
}

fn busy() -> StateMachine {
    let mut machine = empty();
    guard(&mut machine);
    let group: &[(PartTag, &[u8])] = &[
        (PartTag::GROUP_ID, &[1, 0]),
        (PartTag::CUSTOMER_TYPE, b"R"),
        (PartTag::MAX_FLOOR, &[4, 0, 0, 0]),
    ];
    apply(&mut machine, 1, &order(1, b'B', 10, 10_000), group);
    apply(
        &mut machine,
        1,
        &order(2, b'B', 10, 10_000),
        &[(PartTag::USER_REF_IDX, &[9])],
    );
    apply(&mut machine, 1, &order(3, b'S', 4, 10_000), &[]);
    apply(&mut machine, 1, &order(4, b'S', 4, 10_200), &[]);
    let stop: &[(PartTag, &[u8])] = &[(PartTag::STOP_PRICE, &11_000u64.to_le_bytes())];
    apply(&mut machine, 1, &order(5, b'B', 3, 10_500), stop);
    let trails: &[(PartTag, &[u8])] = &[
        (PartTag::STOP_KIND, b"T"),
        (PartTag::TRAIL_OFFSET, &500i32.to_le_bytes()),
    ];
    apply(&mut machine, 1, &order(6, b'S', 3, 9_000), trails);
    let peg: &[(PartTag, &[u8])] = &[
        (PartTag::PRICE_TYPE, b"R"),
        (PartTag::PEG_OFFSET, &(-100i32).to_le_bytes()),
    ];
    let hidden = EnterOrder {
        display: b'N',
        ..order(7, b'B', 3, 10_100)
    };
    apply(&mut machine, 1, &hidden, peg);
    machine
}

fn peg(machine: &mut StateMachine) -> &mut Peg {
    let slot = machine.pool.find(1 << 8, 7);
    let index = machine.details[slot as usize].extension;
    machine.pegs.get_mut(index)
}

/// Extension and slot of the stop that does not trail, or of the one that does.
fn waiting(machine: &StateMachine, number: u32) -> (u32, u32) {
    let slot = machine.pool.find(1 << 8, number);
    (machine.details[slot as usize].extension, slot)
}

type Mutation = fn(&mut StateMachine);

/// The only bid that rests first.
fn first(machine: &StateMachine) -> u32 {
    machine.sessions.get(SessionId(1)).first_order
}

fn detail(machine: &mut StateMachine) -> &mut Detail {
    let slot = first(machine);
    &mut machine.details[slot as usize]
}

fn resting(machine: &mut StateMachine) -> &mut Order {
    let slot = first(machine);
    machine.pool.order_mut(slot)
}

fn extension(machine: &mut StateMachine) -> &mut Extension {
    let index = detail(machine).extension;
    machine.extensions.get_mut(index)
}

fn protection(machine: &mut StateMachine) -> &mut Protection {
    let first = session(machine).first_protection;
    machine.risk.protections.get_mut(first)
}

fn position(machine: &mut StateMachine) -> &mut Position {
    let positions = &mut machine.risk.positions;
    positions.find_mut(FirmId(1), InstrumentId(1)).unwrap()
}

/// Changes the only trade there is.
fn with_trade(machine: &mut StateMachine, change: fn(&mut Trade)) {
    let mut trade = machine.risk.trades.take(1).unwrap();
    change(&mut trade);
    if trade.match_number != 0 {
        machine.risk.trades.keep(&trade);
    }
}

fn session(machine: &mut StateMachine) -> &mut Session {
    machine.sessions.get_mut(SessionId(1))
}

fn instrument(machine: &mut StateMachine) -> &mut Instrument {
    machine.instruments.get_mut(InstrumentId(1))
}

fn phase(machine: &mut StateMachine) -> &mut Phase {
    machine.instruments.phase_mut(InstrumentId(1))
}

#[test]
fn every_field_moves_the_hash() {
    let mutations: &[Mutation] = &[
        |m| m.bounds.open_orders_max += 1,
        |m| m.bounds.instruments_max += 1,
        |m| m.bounds.sessions_max += 1,
        |m| m.bounds.firms_max += 1,
        |m| m.bounds.price_levels_max += 1,
        |m| m.features.set_version += 1,
        |m| m.features.price_max += 1,
        |m| m.features.market_price_min += 1,
        |m| m.features.quantity_max += 1,
        |m| m.features.displays_max += 1,
        |m| m.position.term.0 += 1,
        |m| m.position.index.0 += 1,
        |m| m.position.sequence.0 += 1,
        |m| m.position.timestamp.0 += 1,
        |m| m.digest.0 += 1,
        |m| m.day.open = false,
        |m| m.day.date += 1,
        |m| m.day.midnight += 1,
        |m| m.day.session_name[9] += 1,
        |m| m.last_reference += 1,
        |m| m.last_match += 1,
        |m| m.counters.stale += 1,
        |m| m.counters.refused += 1,
        |m| m.counters.silent += 1,
        |m| m.firms.code_mut(FirmId(1))[0] += 1,
        |m| *m.firms.code_mut(FirmId(2)) = *b"    ",
        |m| session(m).defined = false,
        |m| session(m).connected = false,
        |m| session(m).cancel_on_disconnect = true,
        |m| session(m).order_entry = false,
        |m| session(m).entry = EntryState::Disabled,
        |m| session(m).away = true,
        |m| m.risk.bounds.positions_max += 1,
        |m| m.risk.bounds.trades_max += 1,
        |m| m.risk.bounds.protections_max += 1,
        |m| m.risk.grace.period += 1,
        |m| m.risk.grace.deadline.0 += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.order_quantity_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.open_orders_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.order_notional_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.open_notional_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.long_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.short_max += 1,
        |m| m.risk.session_mut(SessionId(1)).limits.gross_max += 1,
        |m| m.risk.firm_mut(FirmId(1)).account.limits.gross_max += 1,
        |m| m.risk.firm_mut(FirmId(2)).account.limits.gross_max += 1,
        |m| m.risk.throttle_mut(SessionId(1)).window += 1,
        |m| m.risk.throttle_mut(SessionId(1)).messages_max += 1,
        |m| m.risk.throttle_mut(SessionId(1)).count += 1,
        |m| m.risk.throttle_mut(SessionId(1)).start.0 += 1,
        |m| protection(m).window += 1,
        |m| protection(m).quantity_max += 1,
        |m| protection(m).executions_max += 1,
        |m| protection(m).whom += 1,
        |m| protection(m).executions += 1,
        |m| protection(m).quantity += 1,
        |m| protection(m).start.0 += 1,
        |m| protection(m).tripped = true,
        |m| position(m).carried += 1,
        |m| position(m).bought += 1,
        |m| position(m).sold += 1,
        |m| position(m).firm += 1,
        |m| position(m).instrument += 1,
        |m| with_trade(m, |trade| trade.match_number = 0),
        |m| with_trade(m, |trade| trade.instrument.0 += 1),
        |m| with_trade(m, |trade| trade.quantity += 1),
        |m| with_trade(m, |trade| trade.side = trade.side.opposite()),
        |m| with_trade(m, |trade| trade.counted = !trade.counted),
        |m| with_trade(m, |trade| trade.resting.owner += 1),
        |m| with_trade(m, |trade| trade.resting.number += 1),
        |m| with_trade(m, |trade| trade.resting.firm.0 += 1),
        |m| with_trade(m, |trade| trade.resting.client_order_id[0] += 1),
        |m| with_trade(m, |trade| trade.aggressor.owner += 1),
        |m| with_trade(m, |trade| trade.aggressor.number += 1),
        |m| with_trade(m, |trade| trade.aggressor.firm.0 += 1),
        |m| with_trade(m, |trade| trade.aggressor.client_order_id[0] += 1),
        |m| m.risk.entry = EntryState::Killed,
        |m| m.risk.firm_mut(FirmId(2)).entry = EntryState::Disabled,
        |m| session(m).gateway.0 += 1,
        |m| session(m).epoch.0 += 1,
        |m| session(m).connection += 1,
        |m| session(m).next_outbound += 1,
        |m| session(m).firm.0 += 1,
        |m| session(m).user[0] += 1,
        |m| session(m).permitted[0].0 += 1,
        |m| session(m).permitted_count -= 1,
        |m| session(m).disabled += 1,
        |m| session(m).self_trade_group += 1,
        |m| session(m).self_trade_mode += 1,
        |m| m.sessions.consume(1 << 8, 5),
        |m| m.sessions.consume(1 << 8 | 9, 5),
        |m| m.sessions.consume(1 << 8 | 255, 5),
        |m| instrument(m).symbol[0] += 1,
        |m| instrument(m).tick_size += 1,
        |m| instrument(m).lot_size += 1,
        |m| instrument(m).retired = true,
        |m| m.ticks.get_mut(InstrumentId(1)).count += 1,
        |m| m.ticks.get_mut(InstrumentId(1)).bands[0].from_price += 1,
        |m| m.ticks.get_mut(InstrumentId(1)).bands[0].tick_size += 1,
        |m| instrument(m).state = TradingState::Halted,
        |m| instrument(m).last_price += 1,
        |m| instrument(m).allocation = Allocation::ProRata { minimum: 0 },
        |m| instrument(m).allocation = Allocation::ProRata { minimum: 1 },
        |m| instrument(m).allocation = Allocation::TopShare { percent: 1 },
        |m| {
            instrument(m).book.ladders.swap(0, 1);
            instrument(m).book.best.swap(0, 1);
        },
        |m| {
            phase(m).call.ladders[0] = instrument(m).book.ladders[1];
            phase(m).call.best[0] = instrument(m).book.best[1];
        },
        |m| {
            phase(m).close.ladders[0] = instrument(m).book.ladders[1];
            phase(m).close.best[0] = instrument(m).book.best[1];
        },
        |m| instrument(m).statistics.open_price += 1,
        |m| instrument(m).statistics.high_price += 1,
        |m| instrument(m).statistics.low_price += 1,
        |m| instrument(m).statistics.last_price += 1,
        |m| instrument(m).statistics.closing_price += 1,
        |m| instrument(m).statistics.previous_close_price += 1,
        |m| instrument(m).statistics.trade_count += 1,
        |m| instrument(m).statistics.volume += 1,
        |m| phase(m).schedule.times_ms[0] -= 1,
        |m| phase(m).schedule.times_ms[4] -= 1,
        |m| phase(m).schedule.random_end_ms += 1,
        |m| phase(m).next_scheduled -= 1,
        |m| phase(m).call_ends.0 += 1,
        |m| phase(m).next_state = TradingState::Closed,
        |m| phase(m).indicates.0 += 1,
        |m| phase(m).rules.static_collar += 1,
        |m| phase(m).rules.dynamic_collar += 1,
        |m| phase(m).rules.collar_action = b'V',
        |m| phase(m).rules.duration_ms += 1,
        |m| phase(m).rules.random_end_ms += 1,
        |m| phase(m).rules.indication_interval_ms += 1,
        |m| phase(m).reference_price += 1,
        |m| m.random.0 += 1,
        |m| resting(m).open += 1,
        |m| resting(m).executed += 1,
        |m| resting(m).number += 1,
        |m| resting(m).owner += 1,
        |m| detail(m).reference += 100,
        |m| detail(m).client_order_id[13] += 1,
        |m| detail(m).firm += 1,
        |m| detail(m).group_id += 1,
        |m| detail(m).kept += 1,
        |m| detail(m).side += 1,
        |m| detail(m).time_in_force += 1,
        |m| detail(m).display += 1,
        |m| detail(m).capacity += 1,
        |m| detail(m).cross_type += 1,
        |m| detail(m).customer_type += 1,
        |m| detail(m).trade_now += 1,
        |m| detail(m).post_only += 1,
        |m| detail(m).self_trade += 1,
        |m| extension(m).deadline.0 += 1,
        |m| extension(m).expire_time += 1,
        |m| extension(m).max_floor += 1,
        |m| extension(m).random += 1,
        |m| extension(m).refreshed += 1,
        |m| m.random_seed += 1,
        |m| extension(m).reserve += 1,
        |m| m.stops.get_mut(waiting(m, 5).0).0.price += 1,
        |m| m.stops.get_mut(waiting(m, 5).0).1.fixed += 1,
        |m| m.stops.get_mut(waiting(m, 6).0).1.extreme += 1,
        |m| m.stops.get_mut(waiting(m, 6).0).1.offset += 1,
        |m| m.pool.order_mut(waiting(m, 6).1).open += 1,
        |m| {
            let slot = waiting(m, 6).1;
            m.details[slot as usize].reference += 100;
        },
        |m| peg(m).kind = PegKind::Midpoint,
        |m| peg(m).offset += 1,
        |m| peg(m).price += 1,
        |m| m.stops.traded(1, 9_500),
        |m| m.stops.traded(1, 11_000),
    ];
    let mut hashes = alloc::vec![busy().state_hash()];
    for (at, mutate) in mutations.iter().enumerate() {
        let mut machine = busy();
        mutate(&mut machine);
        let hash = machine.state_hash();
        assert!(
            !hashes.contains(&hash),
            "mutation {at} does not have a hash of its own"
        );
        hashes.push(hash);
    }
}

/// A resting order's price and priority are part of the image, too.
#[test]
fn price_and_priority_move_the_hash() {
    let with = |orders: &[(u32, u64)]| {
        let mut machine = empty();
        for (number, price) in orders {
            apply(&mut machine, 1, &order(*number, b'B', 10, *price), &[]);
        }
        content(&machine)
    };
    let base = with(&[(1, 10_000), (2, 10_000)]);
    assert_eq!(base, with(&[(1, 10_000), (2, 10_000)]));
    assert_ne!(base, with(&[(1, 10_000), (2, 10_100)]));
    assert_ne!(base, with(&[(1, 10_100), (2, 10_000)]));
}

/// An image in memory.
#[derive(Default, Clone, PartialEq, Debug)]
struct Kept {
    tags: Vec<Section>,
    sections: Vec<Vec<u8>>,
}

impl ImageSink for Kept {
    fn section(&mut self, section: Section) {
        self.tags.push(section);
        self.sections.push(Vec::new());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(last) = self.sections.last_mut() {
            last.extend_from_slice(bytes);
        }
    }
}

impl Kept {
    fn of(machine: &StateMachine) -> Self {
        let mut kept = Self::default();
        machine.write_image(&mut kept);
        kept
    }

    fn load(&self) -> Result<StateMachine, LoadError> {
        let sections = self.tags.iter().zip(&self.sections);
        let sections: Vec<_> = sections.map(|(tag, bytes)| (*tag, &bytes[..])).collect();
        StateMachine::load_image(Capacity::default(), &sections)
    }
}

fn content(machine: &StateMachine) -> Vec<u8> {
    let mut kept = Kept::default();
    machine.write_content(&mut Writer::new(&mut kept));
    kept.sections.concat()
}

/// The same live orders in other slots, leaves and index lines: the same image.
#[test]
fn the_image_does_not_depend_on_where_things_lie() {
    let mut straight = empty();
    let mut crooked = empty();
    for machine in [&mut straight, &mut crooked] {
        // Both use up the same numbers; only `crooked` shuffles slots and levels while doing so.
        for number in 1..=6u32 {
            apply(
                machine,
                1,
                &order(number, b'B', 1, 9_000 + u64::from(number) * 100),
                &[],
            );
            if machine.pool.live() == 6 {
                break;
            }
        }
    }
    for number in 1..=6 {
        cancel(&mut straight, number);
    }
    for number in [3, 1, 6, 2, 5, 4] {
        cancel(&mut crooked, number);
    }
    for machine in [&mut straight, &mut crooked] {
        apply(machine, 1, &order(7, b'B', 5, 9_000), &[]);
        apply(machine, 1, &order(8, b'S', 6, 11_000), &[]);
    }
    // The events differed in order, so outbound streams are equally long and the digests are not.
    assert_ne!(straight.pool.find(1 << 8, 7), crooked.pool.find(1 << 8, 7));
    assert_ne!(straight.digest, crooked.digest);
    assert_eq!(content(&straight), content(&crooked));
}

/// However the same records are cut into batches, the content is the same; only the place in the log and
/// what carries the time differ.
#[test]
fn content_does_not_depend_on_batching() {
    let records = |machine: &StateMachine| {
        let epoch = machine.sessions.get(SessionId(1)).epoch;
        let source = Source {
            session: SessionId(1),
            epoch,
            gateway: Gateway(7),
        };
        let mut all = Vec::new();
        for number in 1..=12u32 {
            let side = if number.is_multiple_of(3) { b'S' } else { b'B' };
            let mut bytes = Aligned([0; RECORD_LENGTH_MAX]);
            let body = order(number, side, number, 10_000 + u64::from(number % 2) * 100);
            let length = RecordWriter::new(&mut bytes.0, source, &body).finish();
            all.push((bytes, length));
        }
        all
    };
    let play = |sizes: &[usize]| {
        let mut machine = empty();
        let all = records(&machine);
        let mut at = 0;
        for &size in sizes {
            let mut bytes = Aligned([0; RECORD_LENGTH_MAX]);
            let mut length = 0;
            for (record, record_length) in &all[at..at + size] {
                bytes.0[length..length + record_length]
                    .copy_from_slice(&record.0[..*record_length]);
                length += record_length;
            }
            at += size;
            let batch = BatchInfo {
                kind: BatchKind::Commands,
                term: Term(1),
                index: LogIndex(machine.position.index.0 + 1),
                first_sequence: Sequence(machine.position.sequence.0 + 1),
                record_count: size as u32,
                timestamp: Timestamp(machine.position.timestamp.0 + 1),
                feature_set_version: 0,
            };
            machine
                .apply(&batch, &bytes.0[..length], &mut NullSink)
                .unwrap();
        }
        (machine.position.sequence, content(&machine))
    };
    let one = play(&[12]);
    for sizes in [&[1; 12][..], &[6, 6], &[1, 0, 11], &[5, 4, 3]] {
        assert_eq!(play(sizes), one, "{sizes:?}");
    }
}

/// Live orders of every sort: plain, with a reserve, good till a time, hidden, on another channel, stops.
fn varied() -> StateMachine {
    let mut machine = busy();
    let timed = EnterOrder {
        time_in_force: b'6',
        ..order(15, b'B', 3, 9_000)
    };
    let till: &[(PartTag, &[u8])] = &[(PartTag::EXPIRE_TIME, &9u32.to_le_bytes())];
    apply(&mut machine, 1, &timed, till);
    let hidden = EnterOrder {
        display: b'N',
        ..order(16, b'S', 3, 10_300)
    };
    apply(&mut machine, 1, &hidden, &[]);
    // And a pegged order that waits: no price is so low.
    let market = EnterOrder {
        display: b'N',
        ..order(17, b'B', 3, 10_100)
    };
    let follows: &[(PartTag, &[u8])] = &[
        (PartTag::PRICE_TYPE, b"P"),
        (PartTag::PEG_OFFSET, &(-20_000i32).to_le_bytes()),
        (PartTag::USER_REF_IDX, &[4]),
    ];
    apply(&mut machine, 1, &market, follows);
    assert_eq!(machine.extensions.live(), 6);
    machine
}

/// Stops that were triggered and cannot act while the instrument is halted.
fn triggered() -> StateMachine {
    let mut machine = varied();
    set_state(&mut machine, b'H');
    instrument(&mut machine).last_price = 11_000;
    machine.stops.traded(1, 11_000);
    machine.check_invariants().unwrap();
    assert!(machine.stops.any_triggered());
    machine
}

/// A closing auction is called: orders for it, at the market too, whole reserve orders, a schedule, collars
/// and a day's prices.
fn called() -> StateMachine {
    let mut machine = varied();
    let schedule = SetSchedule {
        instrument: 1,
        pre_open_ms: u32::MAX,
        opening_auction_ms: u32::MAX,
        trading_ms: 1_000,
        closing_auction_ms: u32::MAX,
        closed_ms: 2_000,
        random_end_ms: 10,
        _reserved: 0,
    };
    apply(&mut machine, 0, &schedule, &[]);
    let instrument = DefineInstrument {
        symbol: *b"AAAA    ",
        instrument: 1,
        tick_size: 100,
        lot_size: 1,
        _reserved: [0; 12],
    };
    let rules: &[(PartTag, &[u8])] = &[
        (PartTag::STATIC_COLLAR, &1_000u32.to_le_bytes()),
        (PartTag::DYNAMIC_COLLAR, &500u32.to_le_bytes()),
        (PartTag::COLLAR_ACTION, b"V"),
        (PartTag::AUCTION_DURATION, &7u32.to_le_bytes()),
        (PartTag::INDICATION_INTERVAL, &10u32.to_le_bytes()),
    ];
    apply(&mut machine, 0, &instrument, rules);
    let close = |number, side, price| EnterOrder {
        cross_type: b'C',
        ..order(number, side, 6, price)
    };
    apply(&mut machine, 1, &close(17, b'B', 10_500), &[]);
    apply(&mut machine, 1, &close(18, b'S', 2_000_000_000), &[]);
    let auction = StartAuction {
        instrument: 1,
        duration_ms: 5,
        random_end_ms: 5,
        state: b'L',
        next_state: b'T',
        _reserved: [0; 2],
    };
    apply(&mut machine, 0, &auction, &[]);
    apply(&mut machine, 1, &order(19, b'S', 3, 2_000_000_000), &[]);
    assert!(machine.next_deadline().is_some());
    machine
}

fn set_state(machine: &mut StateMachine, state: u8) {
    let body = SetInstrumentState {
        instrument: 1,
        state,
        _reserved: [0; 3],
    };
    apply(machine, 0, &body, &[]);
}

#[test]
fn a_loaded_image_is_the_same_state_and_goes_on_alike() {
    for mut machine in [
        StateMachine::new(Capacity::default()),
        empty(),
        busy(),
        varied(),
        triggered(),
        called(),
    ] {
        let image = Kept::of(&machine);
        let mut loaded = image.load().unwrap();
        loaded.check_invariants().unwrap();
        assert_eq!(Kept::of(&loaded), image);
        assert_eq!(loaded.state_hash(), machine.state_hash());
        if machine.pool.live() == 0 {
            continue;
        }
        for machine in [&mut machine, &mut loaded] {
            apply(machine, 1, &order(20, b'S', 30, 9_000), &[]);
            apply(machine, 1, &order(21, b'B', 30, 10_400), &[]);
            cancel(machine, 21);
            set_state(machine, b'T');
            assert!(!machine.stops.any_triggered());
        }
        assert_eq!(loaded.digest, machine.digest);
        assert_eq!(Kept::of(&loaded), Kept::of(&machine));
    }
}

/// Every byte of every section, with several wrong values: refused, or a legal state that is written again
/// with just these bytes. Nothing panics.
#[test]
fn a_damaged_image_is_refused_or_is_a_state_of_its_own() {
    for machine in [triggered(), called()] {
        damage(&Kept::of(&machine));
    }
}

fn damage(image: &Kept) {
    let (mut refused, mut other) = (0, 0);
    for section in 0..image.sections.len() {
        for at in 0..image.sections[section].len() {
            for change in [1u8, 0x80, 0xFF] {
                let mut damaged = image.clone();
                damaged.sections[section][at] ^= change;
                if is_bound(section, at) {
                    continue; // would take much memory; see below
                }
                match damaged.load() {
                    Err(_) => refused += 1,
                    Ok(machine) => {
                        assert_eq!(Kept::of(&machine), damaged, "section {section} byte {at}");
                        other += 1;
                    }
                }
            }
        }
        for length in 0..image.sections[section].len() {
            let mut cut = image.clone();
            cut.sections[section].truncate(length);
            assert!(cut.load().is_err(), "section {section} cut to {length}");
        }
        let mut longer = image.clone();
        longer.sections[section].push(0);
        assert!(matches!(longer.load(), Err(LoadError::Trailing { .. })));
    }
    assert!(refused > 500 && other > 300, "{refused} {other}");
}

fn is_bound(section: usize, at: usize) -> bool {
    (section == 1 && at < 20) || (section == 4 && at < 12)
}

#[test]
fn bounds_beyond_the_node_and_sections_out_of_place_are_refused() {
    let image = Kept::of(&varied());
    let mut huge = image.clone();
    huge.sections[1][..4].copy_from_slice(&(1u32 << 26).to_le_bytes());
    huge.sections[1][3] = 5;
    let capacity = LoadError::Capacity {
        bound: "open_orders_max",
        wanted: 5 << 24,
        held: 1 << 26,
    };
    assert_eq!(huge.load().unwrap_err(), capacity);
    let mut newer = image.clone();
    newer.sections[0][0] += 1;
    let found = IMAGE_VERSION + 1;
    assert_eq!(newer.load().unwrap_err(), LoadError::Version { found });
    let mut swapped = image.clone();
    swapped.tags.swap(2, 3);
    assert!(matches!(swapped.load(), Err(LoadError::Section { .. })));
    let mut short = image.clone();
    short.tags.pop();
    let last = *Section::ALL.last().unwrap();
    let missing = LoadError::Section {
        wanted: last,
        found: None,
    };
    assert_eq!(short.load().unwrap_err(), missing);
    let mut double = image;
    double.tags.push(last);
    double.sections.push(Vec::new());
    let section = last;
    assert_eq!(double.load().unwrap_err(), LoadError::Unknown { section });
}
