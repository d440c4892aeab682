//! Each field of the image moves the hash; what is not part of it does not.

use super::*;
use crate::Capacity;
use crate::extension::Extension;
use crate::state::TradingState;
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
        open_orders_max: 16,
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
    apply(&mut machine, 0, &instrument, &[]);
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

fn busy() -> StateMachine {
    let mut machine = empty();
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
    machine
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

fn session(machine: &mut StateMachine) -> &mut Session {
    machine.sessions.get_mut(SessionId(1))
}

fn instrument(machine: &mut StateMachine) -> &mut Instrument {
    machine.instruments.get_mut(InstrumentId(1))
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
        |m| instrument(m).state = TradingState::Halted,
        |m| instrument(m).book.ladders.swap(0, 1),
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
        |m| extension(m).reserve += 1,
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

fn content(machine: &StateMachine) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.write_content(&mut Image {
        put: &mut |part| bytes.extend_from_slice(part),
    });
    bytes
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
