//! Ten thousand instruments and a thousand sessions in one state, with limits, positions and protections,
//! while instruments come, change and go. Prints the memory that it takes.

mod common;

use common::*;
use lockstep_core::StateMachine;
use lockstep_core::image::{ImageSink, Section};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::*;
use lockstep_record::*;

const INSTRUMENTS: u32 = 10_000;
const SESSIONS: u32 = 1_000;
const FIRMS: u32 = 200;
/// Of each session, each in an instrument of its own.
const ORDERS: u32 = 40;

fn symbol(instrument: u32) -> [u8; 8] {
    format!("I{instrument:<7}").into_bytes().try_into().unwrap()
}

fn user(session: u32) -> [u8; 6] {
    format!("U{session:<5}").into_bytes().try_into().unwrap()
}

/// Resident memory of this process, in KiB; `None` where the system does not say.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Applies many commands in batches; the whole-state check runs once at the end.
fn tell_all(driver: &mut Driver, commands: &[Command]) -> Vec<Said> {
    let mut said = Vec::new();
    for chunk in commands.chunks(500) {
        let mut records = Records::default();
        for command in chunk {
            command.write(&mut records);
        }
        said.extend(driver.try_apply(BatchKind::Commands, &records).unwrap());
    }
    driver.machine.check_invariants().unwrap();
    said
}

fn definitions() -> Vec<Command> {
    let bounds = SetBounds {
        open_orders_max: 100_000,
        instruments_max: INSTRUMENTS + 10,
        sessions_max: SESSIONS,
        firms_max: FIRMS,
        price_levels_max: 100_000,
        _reserved: [0; 12],
    };
    let mut commands = vec![operator(bounds), risk_bounds(100_000, 50_000, SESSIONS)];
    for firm in 1..=FIRMS {
        commands.push(define_firm(
            firm,
            &format!("{firm:<4}").into_bytes().try_into().unwrap(),
        ));
        commands.push(operator(SetLimits {
            order_notional_max: 1 << 40,
            open_notional_max: 1 << 50,
            long_max: 1_000_000,
            short_max: 1_000_000,
            gross_max: 9_000_000,
            order_quantity_max: 10_000,
            open_orders_max: 1_000,
            id: firm,
            scope: b'F',
            _reserved: [0; 3],
        }));
    }
    for session in 1..=SESSIONS {
        commands.push(define_session(session, 1 + session % FIRMS, &user(session)));
        commands.push(operator(SetThrottle {
            window: 1_000,
            session,
            messages_max: 1_000,
        }));
        commands.push(operator(SetProtection {
            window: 1_000,
            quantity_max: 1_000_000,
            session,
            executions_max: 0,
            group_id: 0,
            by_group: 0,
            _reserved: [0; 5],
        }));
    }
    let instrument = |id| define_instrument(id, &symbol(id), 100, 1);
    commands.extend((1..=INSTRUMENTS).map(instrument));
    commands.push(open_day(20_250_101));
    commands.extend((1..=SESSIONS).map(|session| login(session, &user(session), 1)));
    commands
}

/// A bid in each of its instruments, away from everybody's asks.
fn bids(session: u32) -> impl Iterator<Item = Command> {
    (0..ORDERS).map(move |at| {
        let mut order = enter(at + 1, b'B', 10, 10_000 + u64::from(at) * 100);
        order.symbol = symbol(1 + (session * ORDERS + at * 7) % INSTRUMENTS);
        command(session, 1, order)
    })
}

#[derive(Default)]
struct Kept(Vec<(Section, Vec<u8>)>);

impl ImageSink for Kept {
    fn section(&mut self, section: Section) {
        self.0.push((section, Vec::new()));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.last_mut().unwrap().1.extend_from_slice(bytes);
    }
}

#[test]
fn ten_thousand_instruments_and_a_thousand_sessions_trade() {
    let before = resident_kib();
    let mut driver = Driver::default();
    tell_all(&mut driver, &definitions());
    assert_eq!(driver.machine.counters().refused, 0);
    assert_eq!(driver.machine.instruments().count(), INSTRUMENTS as usize);
    match (before, resident_kib()) {
        (Some(before), Some(after)) => println!(
            "resident: {} MiB for {INSTRUMENTS} instruments, {SESSIONS} sessions, 100,000 orders, \
             100,000 positions, 50,000 trades",
            (after - before) / 1024
        ),
        _ => println!("SKIP: /proc/self/status does not say how much memory is resident"),
    }
    let orders: Vec<Command> = (1..=SESSIONS).flat_map(bids).collect();
    let said = tell_all(&mut driver, &orders);
    assert_eq!(said.len(), orders.len());
    assert_eq!(driver.machine.open_order_count(), SESSIONS * ORDERS);
    assert_eq!(
        driver.machine.open_orders(SessionId(7)).count(),
        ORDERS as usize
    );
    trade_and_change(&mut driver);
    let mut image = Kept::default();
    driver.machine.write_image(&mut image);
    let sections: Vec<(Section, &[u8])> =
        image.0.iter().map(|(s, bytes)| (*s, &bytes[..])).collect();
    let loaded = StateMachine::load_image(lockstep_core::Capacity::default(), &sections).unwrap();
    assert_eq!(loaded.state_hash(), driver.machine.state_hash());
}

/// Sells into the bids of one instrument of each hundred; some come, some change, some go.
fn trade_and_change(driver: &mut Driver) {
    let mut number = ORDERS;
    let mut executions = 0;
    for round in 0..100 {
        number += 1;
        let mut sell = enter(number, b'S', 25, 10_000);
        sell.symbol = symbol(1 + round * 100);
        let seller = 1 + round * 3;
        let (old, new) = (2 + round * 100, INSTRUMENTS + 1 + round % 10);
        let said = tell_all(
            driver,
            &[
                command(seller, 1, sell),
                operator(RetireInstrument {
                    instrument: old,
                    _reserved: [0; 4],
                }),
                define_instrument(new, &symbol(new), 100 + round, 1),
                define_instrument(1 + round * 100, &symbol(1 + round * 100), 100, 1 + round),
            ],
        );
        let is = |said: &&Said, wanted: &str| said.to_string().contains(wanted);
        executions += said.iter().filter(|said| is(said, "executed")).count();
    }
    assert!(executions >= 200, "{executions} executions");
    let retired = driver.machine.instruments().filter(|i| i.retired).count();
    assert_eq!(retired, 100);
    assert!(driver.machine.positions().count() > 30_000);
    tell_all(driver, &[close_day(), open_day(20_250_102)]);
    assert_eq!(
        driver.machine.instruments().count(),
        INSTRUMENTS as usize + 10 - 100
    );
    // Only what was traded is carried.
    let carried = driver.machine.positions().count();
    assert!(
        (1..=2 * executions).contains(&carried),
        "{carried} positions"
    );
}
