//! A venue that is killed over and over, at any moment of its life, and what its clients and its journal
//! say after each death.
//!
//! `tests/processes/crash.rs` proves one long history at its end; here the journal is asked after every death,
//! before anything restarts: it verifies, it replays, and it has everything that any client was told. Lives
//! end under load, while clients hear what they missed, in the middle of a start, in the middle of an orderly
//! stop, and in order.
//!
//! `LOCKSTEP_CYCLES` sets the count of lives (default few), `LOCKSTEP_SEED` repeats a run; the seed is printed.

#[path = "../processes/common.rs"]
#[allow(dead_code)]
mod common;
#[path = "../../src/demo/flow.rs"]
#[allow(dead_code)]
mod flow;
#[path = "../../src/demo/proof.rs"]
#[allow(dead_code)]
mod proof;
#[path = "../../src/demo/venue.rs"]
#[allow(dead_code)]
mod venue;

mod journal;

use common::{Fixture, PATIENCE, TWO_THREADS, binary, from_environment, plan, stop_in_order};
use flow::{Flow, FlowError};
use journal::{Asked, ask, missing};
use lockstep_bench::random::Random;
use proof::{compare_hashes, compare_sessions, replay};
use std::time::{Duration, Instant};
use venue::{VenuePlan, VenueProcess};

const RATE_PER_S: u64 = 8_000;
/// Lives on one journal; then it is proved as a whole, and another begins. Bounds what a start replays.
const LIVES_PER_JOURNAL: u64 = 40;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Death {
    /// SIGKILL under load.
    Load,
    /// SIGKILL while sessions log in and hear what they missed.
    Login,
    /// SIGKILL before it listens.
    Start,
    /// SIGKILL in the middle of an orderly stop under load.
    Stop,
    /// SIGTERM, and the end it finds.
    Orderly,
}

/// Every kind of death in its turn, then drawn by weight: mostly under load.
fn death(cycle: u64, moments: &mut Random) -> Death {
    const ALL: [Death; 5] = [
        Death::Load,
        Death::Start,
        Death::Orderly,
        Death::Login,
        Death::Stop,
    ];
    match usize::try_from(cycle).ok().and_then(|c| ALL.get(c)) {
        Some(death) => *death,
        None => ALL[moments.weighted(&[50, 15, 10, 10, 15])],
    }
}

/// One venue, its clients, and what has been seen so far.
struct Loop {
    fixture: Fixture,
    flow: Flow,
    moments: Random,
    last: Asked,
    in_doubt: u64,
}

impl Loop {
    fn new(plan: VenuePlan, seed: u64) -> Self {
        let fixture = Fixture::formatted(plan);
        let flow = Flow::new(&fixture.folder, seed).expect("clients");
        Self {
            fixture,
            flow,
            moments: Random::new(seed),
            last: Asked::default(),
            in_doubt: 0,
        }
    }

    fn draw_ms(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.moments.below(below * 1000))
    }

    /// One life and death, and what the journal says then.
    fn live(&mut self, death: Death) {
        let node = match death {
            Death::Start => self.killed_in_start(),
            Death::Login => self.killed_in_login(),
            Death::Load => self.killed_under_load(),
            Death::Stop => self.killed_in_stop(),
            Death::Orderly => Some(self.orderly()),
        };
        self.in_doubt += self.flow.sums().unanswered;
        let asked = ask(&self.fixture.folder).expect("the journal of a dead venue is whole");
        assert!(
            asked.sequence >= self.last.sequence,
            "the log went back: {asked:?} after {:?}",
            self.last
        );
        if let Some(node) = node {
            assert_eq!(node, (asked.hash.clone(), asked.sequence), "{death:?}");
        }
        if let Some(what) = missing(&self.flow, &asked) {
            panic!("{death:?}: {what}");
        }
        self.last = asked;
    }

    /// A start that gets no chance to listen. The clients do not notice.
    fn killed_in_start(&mut self) -> Option<(String, u64)> {
        let folder = &self.fixture.folder;
        let venue = VenueProcess::spawn(binary(), folder, &[]).expect("a process");
        std::thread::sleep(self.draw_ms(80));
        venue.kill().expect("an end");
        None
    }

    fn killed_in_login(&mut self) -> Option<(String, u64)> {
        let venue = self.fixture.start();
        // It hears nothing, or a part, or all of what it lacks.
        let patience = self.draw_ms(40);
        match self.flow.connect(venue.address, patience) {
            Ok(()) | Err(FlowError::TooSlow { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        venue.kill().expect("an end");
        self.wait_down();
        None
    }

    fn killed_under_load(&mut self) -> Option<(String, u64)> {
        let venue = self.trading();
        venue.kill().expect("an end");
        self.wait_down();
        None
    }

    fn killed_in_stop(&mut self) -> Option<(String, u64)> {
        let venue = self.trading();
        lockstep_node::signals::terminate(venue.id()).expect("a signal");
        std::thread::sleep(self.draw_ms(40));
        // It may have come to its end by itself: then this is an orderly stop.
        let ended = venue.kill().expect("an end");
        self.wait_down();
        ended.state()
    }

    fn orderly(&mut self) -> (String, u64) {
        let venue = self.trading();
        let ended = stop_in_order(venue);
        self.wait_down();
        ended.state().expect("a state")
    }

    /// A venue in the middle of the load.
    fn trading(&mut self) -> VenueProcess {
        let venue = self.fixture.start();
        let connected = self.flow.connect(venue.address, PATIENCE);
        connected.expect("sessions survive: nothing missing, nothing twice");
        let at_most = self.draw_ms(400) + Duration::from_millis(20);
        let (begun, before) = (Instant::now(), self.flow.sums().acknowledgements);
        self.flow
            .trade(PATIENCE, RATE_PER_S, &mut |sums| {
                begun.elapsed() < at_most || sums.acknowledgements == before
            })
            .expect("the venue tells nothing that cannot be");
        venue
    }

    fn wait_down(&mut self) {
        self.flow
            .wait_down(PATIENCE)
            .expect("connections end with the process");
    }

    /// The journal as a whole: the day heard again, message by message; one state everywhere.
    fn prove(mut self) {
        let venue = self.fixture.start();
        let flow = &mut self.flow;
        flow.connect(venue.address, PATIENCE).expect("sessions");
        flow.settle(PATIENCE).expect("answers");
        let remembered = flow.sums().acknowledgements;
        let same = flow.hear_again(venue.address, PATIENCE);
        let same = same.expect("the same day again");
        assert!(same >= remembered, "{same} of {remembered} were told again");
        let trades = flow.check_trades().expect("trades fit");
        flow.log_out(PATIENCE).expect("closed");
        let ended = stop_in_order(venue);
        let replayed = replay(&self.fixture.folder.journal()).expect("whole");
        compare_hashes(ended.state(), &replayed).expect("one state");
        let compared = compare_sessions(&self.flow, &replayed.machine);
        let compared = compared.expect("the clients' state");
        assert!(remembered > 500 && trades > 20, "{remembered} {trades}");
        println!(
            "{compared:?}, {trades} trades, {} resent, {} in doubt over all deaths",
            self.flow.sums().resent,
            self.in_doubt
        );
    }
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).expect("a clock");
    from_environment("LOCKSTEP_SEED", now.as_nanos() as u64 & 0xffff_ffff)
}

/// Returns the most snapshots that a journal had.
fn run(plan: &VenuePlan) -> u64 {
    let cycles = from_environment("LOCKSTEP_CYCLES", 7);
    let seed = seed();
    println!("LOCKSTEP_SEED={seed} LOCKSTEP_CYCLES={cycles}");
    let mut choices = Random::new(seed);
    let (mut done, mut snapshots) = (0, 0);
    while done < cycles {
        let mut lives = Loop::new(plan.clone(), seed + done);
        for _ in 0..LIVES_PER_JOURNAL.min(cycles - done) {
            lives.live(death(done, &mut choices));
            done += 1;
        }
        snapshots = snapshots.max(lives.last.snapshots);
        lives.prove();
    }
    snapshots
}

#[test]
fn lives_under_durable() {
    run(&plan());
}

#[test]
fn lives_under_local() {
    // With snapshots often enough that deaths meet them half written, and starts begin behind them.
    let more = format!(
        "{TWO_THREADS}\n[[thread]]\nidle = \"park\"\nagents = [\"snapshot\"]\n\
         [snapshot]\nevery_records = 700\n"
    );
    let plan = VenuePlan {
        policy: "local",
        more,
        ..plan()
    };
    let snapshots = run(&plan);
    assert!(snapshots > 0, "no start could begin behind a snapshot");
}

/// The oracle's own proof: a journal that lost what clients were told is found out, before any restart and by
/// the clients after it.
#[test]
fn a_journal_that_lost_its_end_is_found_out() {
    let mut lives = Loop::new(plan(), 5);
    lives.live(Death::Load);
    let (asked, folder) = (lives.last.clone(), &lives.fixture.folder);
    assert_eq!(missing(&lives.flow, &asked), None);
    journal::lose_the_end(folder, asked.sequence);
    let shorter = ask(folder).expect("whole in itself");
    assert!(shorter.sequence < asked.sequence);
    assert!(missing(&lives.flow, &shorter).is_some());
    let venue = lives.fixture.start();
    let found = lives.flow.connect(venue.address, Duration::from_secs(2));
    assert!(
        found.is_err(),
        "a client went on with a stream that has lost its end"
    );
}
