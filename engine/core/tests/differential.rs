//! The machine against the naive venue: every event, every stream number, the whole visible book and the
//! invariants, after each of a random stream's commands.
//!
//! `LOCKSTEP_OPERATIONS` sets how many commands are compared in each mix of orders (default 250,000: a
//! million over all); a failure shrinks to a short stream. `each_planted_fault_is_seen` proves that the comparison can fail: it plants
//! one wrong line at a time in the naive venue and demands a difference.

mod common;

use common::flow::{Mix, Step, allocated, step};
use common::oracle::Oracle;
use common::oracle::fault::{FAULTS, Fault};
use common::*;
use lockstep_record::Side;
use lockstep_record::event::Control;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

const STREAM_LENGTH: usize = 400;
/// Open orders and price levels; a stream has one of these, so that each bound is reached by some.
const BOUNDS: [(u32, u32); 2] = [(28, 40), (200, 15)];

fn operations() -> usize {
    let name = "LOCKSTEP_OPERATIONS";
    let set = std::env::var(name).ok();
    set.map_or(250_000, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number"))
    })
}

struct Pair {
    driver: Driver,
    oracle: Oracle,
    /// Auctions that traded, and orders that a collar stopped.
    uncrossed: usize,
    stopped: usize,
}

impl Pair {
    /// `allocation` 7 and above: price-time.
    fn new(fault: Fault, (orders_max, levels_max): (u32, u32), allocation: u16) -> Self {
        let mut pair = Self {
            driver: Driver::default(),
            oracle: Oracle::new(fault),
            uncrossed: 0,
            stopped: 0,
        };
        for mut command in small_venue() {
            if let Request::SetBounds(bounds) = &mut command.request {
                (bounds.open_orders_max, bounds.price_levels_max) = (orders_max, levels_max);
            }
            if matches!(command.request, Request::DefineInstrument(_)) {
                command = allocated(command, allocation.min(7));
            }
            pair.tell(&command).unwrap();
        }
        if orders_max == BOUNDS[0].0 {
            pair.tell(&risk_bounds(4, 8, 2)).unwrap();
            let grace = lockstep_record::command::SetGrace { grace: 2_000_000 };
            pair.tell(&operator(grace)).unwrap();
            let mut leaves = define_session(3, 2, &USERS[2]);
            if let Request::DefineSession(body) = &mut leaves.request {
                body.cancel_on_disconnect = 1;
            }
            pair.tell(&leaves).unwrap();
        }
        pair
    }

    /// Returns how many events it had, and how many of them triggered a stop.
    fn tell(&mut self, command: &Command) -> Result<(usize, usize), String> {
        let said = self.driver.tell(std::slice::from_ref(command));
        let wanted = self.oracle.tell(self.driver.timestamp, command);
        if said != wanted {
            return Err(difference(command, &said, &wanted));
        }
        for said in &said {
            let collar = lockstep_record::event::CancelReason::MarketCollar;
            match said {
                Said::Control(Control::Uncrossed { .. }) => self.uncrossed += 1,
                Said::Event { what, .. } => match what {
                    What::Canceled(canceled) if canceled.reason == collar => self.stopped += 1,
                    _ => {}
                },
                _ => {}
            }
        }
        let triggered = said.iter().filter(|said| {
            let Said::Event { what, .. } = said else {
                return false;
            };
            matches!(what, What::PriorityUpdate(_))
        });
        Ok((said.len(), triggered.count()))
    }

    fn compare_books(&self) -> Result<(), String> {
        let machine = &self.driver.machine;
        let view = |p: lockstep_core::inspect::PositionView| {
            let shares = [p.bought, p.sold, p.open_buy, p.open_sell].map(i128::from);
            let [bought, sold, bids, asks] = shares;
            (
                (p.firm.0, p.instrument.0),
                [p.net, bought, sold, bids, asks],
            )
        };
        let positions: Vec<_> = machine.positions().map(view).collect();
        let wanted = self.oracle.positions();
        if positions != wanted {
            return Err(format!("machine: {positions:?}\noracle: {wanted:?}"));
        }
        for instrument in 1..=3u32 {
            let id = lockstep_record::InstrumentId(instrument);
            self.compare_phase(id)?;
            for side in [Side::Buy, Side::Sell] {
                let view = |o: lockstep_core::inspect::OrderView| {
                    let (number, channel) = (o.user_ref.number, o.user_ref.index);
                    (
                        o.session.0,
                        number,
                        channel,
                        o.price.0,
                        (o.open, o.shown),
                        o.executed,
                        o.reference.0,
                    )
                };
                let orders: Vec<_> = machine.book_orders(id, side).map(view).collect();
                let wanted = self.oracle.side(instrument, side == Side::Buy);
                if orders != wanted {
                    return Err(format!(
                        "{id} {side:?}\nmachine: {orders:?}\noracle: {wanted:?}"
                    ));
                }
                let depth: u64 = machine.depth(id, side).map(|level| level.quantity).sum();
                let displayed = machine
                    .book_orders(id, side)
                    .filter(|order| order.display != b'N' && order.cross_type == b'N')
                    .filter(|order| order.price.0 < 2_000_000_000);
                let open: u64 = displayed.map(|order| u64::from(order.shown)).sum();
                if depth != open {
                    return Err(format!("{id} {side:?}: depth {depth}, orders {open}"));
                }
            }
        }
        Ok(())
    }
}

impl Pair {
    /// State, a day's prices, what an auction would do, and what happens next by itself.
    fn compare_phase(&self, id: lockstep_record::InstrumentId) -> Result<(), String> {
        let machine = &self.driver.machine;
        let view = machine.instruments().find(|view| view.instrument == id);
        let state = view.map(|view| view.state as u8);
        if state != self.oracle.state(id.0) {
            return Err(format!("{id}: {state:?}, {:?}", self.oracle.state(id.0)));
        }
        let Some(state) = state else { return Ok(()) };
        let (prices, wanted) = (machine.statistics(id), self.oracle.prices(id.0));
        if prices != wanted {
            return Err(format!("{id}\nmachine: {prices:?}\noracle: {wanted:?}"));
        }
        let outcome = machine.auction(id).and_then(|auction| auction.outcome);
        let outcome = outcome.map(|o| (o.price.0, o.quantity, o.imbalance, o.imbalance_side));
        let accumulates = b"POVL".contains(&state);
        let wanted = self.oracle.outcome(id.0, state).filter(|_| accumulates);
        if outcome != wanted {
            return Err(format!("{id} auction: {outcome:?}, oracle {wanted:?}"));
        }
        let (next, wanted) = (machine.next_deadline(), self.oracle.next_deadline());
        if next.map(|time| time.0) != wanted {
            return Err(format!("next deadline {next:?}, oracle {wanted:?}"));
        }
        Ok(())
    }
}

/// The first line on which they differ, with what came before it.
fn difference(command: &Command, said: &[Said], wanted: &[Said]) -> String {
    let same = said
        .iter()
        .zip(wanted)
        .take_while(|(said, wanted)| said == wanted)
        .count();
    let before: Vec<String> = said[..same].iter().map(ToString::to_string).collect();
    let (said, wanted) = (said.get(same), wanted.get(same));
    format!("{command:?}\nboth: {before:#?}\nmachine: {said:?}\noracle: {wanted:?}")
}

/// What a stream did, so that a test can demand that it did something.
#[derive(Default, Debug)]
struct Done {
    commands: usize,
    events: usize,
    live_max: usize,
    uncrossed: usize,
    stopped: usize,
    reloads: usize,
    /// Stops that were triggered, and of these the second and later ones of one record.
    triggered: usize,
    chained: usize,
    /// Prices at which more than one order gave its share.
    rounds: usize,
    /// Prices that pegged orders took when the quote changed.
    pegged: usize,
}

fn run(steps: &[Step], mix: Mix, fault: Fault) -> Result<Done, String> {
    let bounds = BOUNDS[usize::from(steps[0].pick % 2)];
    let allocation = match mix {
        Mix::All => steps[1].pick % 14,
        Mix::Shares => steps[1].pick % 5,
        Mix::Stops | Mix::Auctions | Mix::Pegs => 7,
    };
    let mut pair = Pair::new(fault, bounds, allocation);
    let mut done = Done::default();
    for (at, step) in steps.iter().enumerate() {
        if step.twist == 399 && step.what < 600 {
            let said = pair.driver.term_start();
            let wanted = pair.oracle.term_start(pair.driver.timestamp);
            if said != wanted {
                return Err(format!("term start: {said:?}, {wanted:?}"));
            }
        }
        if step.twist % 16 == 15 {
            // Time passes, so that orders expire.
            pair.driver.timestamp += u64::from(step.pick) * 100_000;
        }
        if step.twist % 64 == 9 {
            // A snapshot's image is taken and the stream goes on with the state that is loaded from it.
            pair.driver.reload()?;
            done.reloads += 1;
        }
        let command = step.command_of(&pair.oracle, mix);
        let (events, triggered) = pair.tell(&command)?;
        done.events += events;
        done.triggered += triggered;
        done.chained += triggered.saturating_sub(1);
        done.live_max = done.live_max.max(pair.oracle.live());
        done.commands += 1;
        if at % 8 == 0 || at + 1 == steps.len() {
            pair.compare_books()?;
        }
    }
    (done.uncrossed, done.stopped) = (pair.uncrossed, pair.stopped);
    done.rounds = pair.oracle.rounds;
    done.pegged = pair.oracle.pegged;
    Ok(done)
}

fn runner(cases: u32, seed: &[u8; 32]) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, seed))
}

#[test]
fn the_machine_says_what_the_naive_venue_says() {
    compare(Mix::All);
}

#[test]
fn the_machine_says_what_the_naive_venue_says_of_stops() {
    compare(Mix::Stops);
}

#[test]
fn the_machine_says_what_the_naive_venue_says_of_auctions() {
    compare(Mix::Auctions);
}

#[test]
fn the_machine_says_what_the_naive_venue_says_of_shares() {
    compare(Mix::Shares);
}

#[test]
fn the_machine_says_what_the_naive_venue_says_of_pegs() {
    compare(Mix::Pegs);
}

fn compare(mix: Mix) {
    let cases = operations().div_ceil(STREAM_LENGTH) as u32;
    let steps = proptest::collection::vec(step(), STREAM_LENGTH);
    let done = std::cell::RefCell::new(Done::default());
    let outcome = runner(cases, b"lockstep differential stream 001").run(&steps, |steps| {
        let one = run(&steps, mix, Fault::None).map_err(TestCaseError::fail)?;
        let mut done = done.borrow_mut();
        done.commands += one.commands;
        done.events += one.events;
        done.live_max = done.live_max.max(one.live_max);
        done.uncrossed += one.uncrossed;
        done.stopped += one.stopped;
        done.reloads += one.reloads;
        done.triggered += one.triggered;
        done.chained += one.chained;
        done.rounds += one.rounds;
        done.pegged += one.pegged;
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let done = done.into_inner();
    println!("{mix:?}: {done:?}");
    let commands = done.commands;
    let pegged = match mix {
        Mix::All => commands / 1_000,
        Mix::Pegs => commands / 20,
        _ => 0,
    };
    assert!(done.pegged >= pegged, "pegged orders hardly moved");
    let (triggered, rounds) = match mix {
        Mix::All => (commands / 400, commands / 3_000),
        Mix::Stops => (commands / 100, 0),
        Mix::Pegs => (0, 0),
        Mix::Shares => (0, commands / 160),
        Mix::Auctions => (commands / 2_000, 0),
    };
    assert!(
        done.triggered >= triggered && done.chained >= triggered / 20 && done.rounds >= rounds,
        "hardly a stop was triggered, or a price shared"
    );
    assert!(done.commands >= operations());
    assert!(done.reloads * 200 > done.commands, "{}", done.reloads);
    assert!(
        done.events * 2 > done.commands,
        "a stream that says little proves little"
    );
    let (auctions, collars) = match mix {
        Mix::All => (commands / 1_000, commands / 4_000),
        Mix::Auctions => (commands / 300, commands / 1_200),
        Mix::Stops | Mix::Shares | Mix::Pegs => (0, 0),
    };
    assert!(
        done.uncrossed >= auctions && done.stopped >= collars,
        "hardly an auction traded, or an order met a collar"
    );
    assert!(
        mix != Mix::All || done.live_max >= BOUNDS[0].0 as usize,
        "the open-order bound was never reached"
    );
}

/// Each fault is a one-line patch of the naive venue; a comparison that misses one would also miss that
/// bug in the machine.
#[test]
fn each_planted_fault_is_seen() {
    for fault in FAULTS {
        let steps = proptest::collection::vec(step(), STREAM_LENGTH);
        let config = Config {
            cases: 200,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"lockstep differential stream 002");
        let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
            run(&steps, Mix::All, fault)
                .map(|_| ())
                .map_err(TestCaseError::fail)
        });
        assert!(
            matches!(outcome, Err(TestError::Fail(..))),
            "{fault:?} was not seen"
        );
    }
}

proptest! {
    #![proptest_config(Config { cases: 40, failure_persistence: None, ..Config::default() })]

    /// The same records again: the same events, digest and state hash.
    #[test]
    fn two_runs_are_the_same(steps in proptest::collection::vec(step(), 200)) {
        let play = || {
            let mut pair = Pair::new(Fault::None, BOUNDS[0], steps[0].pick % 14);
            for step in &steps {
                let command = step.command(&pair.oracle);
                pair.tell(&command).map_err(TestCaseError::fail)?;
            }
            Ok::<_, TestCaseError>((pair.driver.machine.digest(), pair.driver.machine.state_hash()))
        };
        prop_assert_eq!(play()?, play()?);
    }

    /// In a venue with room for many orders all of a batch's records are looked at long before their turn, in
    /// a smaller one the two next: whatever stands there and whatever comes between, both say the same.
    #[test]
    fn looking_ahead_changes_nothing(
        steps in proptest::collection::vec(step(), 400),
        sizes in proptest::collection::vec(1..60usize, 8),
    ) {
        let levels_max = BOUNDS[usize::from(steps[0].pick % 2)].1;
        let allocation = steps[0].pick % 14;
        let pair = |orders_max| Pair::new(Fault::None, (orders_max, levels_max), allocation);
        let mut alone = pair(200);
        let mut commands = Vec::new();
        for step in &steps {
            let command = step.command(&alone.oracle);
            alone.tell(&command).map_err(TestCaseError::fail)?;
            commands.push(command);
        }
        let (mut far, mut near) = (pair(1 << 17), pair((1 << 17) - 1));
        let mut rest = &commands[..];
        let mut events = 0;
        for size in sizes.iter().cycle() {
            let (batch, after) = rest.split_at(rest.len().min(*size));
            if batch.is_empty() {
                break;
            }
            rest = after;
            let said = far.driver.tell(batch);
            events += said.len();
            prop_assert_eq!(said, near.driver.tell(batch));
        }
        prop_assert_eq!(far.driver.machine.digest(), near.driver.machine.digest());
        prop_assert!(events > 40, "a stream that says little proves little");
    }
}
