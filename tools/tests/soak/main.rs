//! Soak: three trading days of one venue, its processes killed again and again, connections cut, readers
//! that do not read; policy, layout and driver change from life to life. At the end of each day and of
//! everything the clients' own record must be exact.
//!
//! ```text
//! LOCKSTEP_SOAK_SECONDS  seconds of load over all days (20)
//! LOCKSTEP_SOAK_SEED     what happens when (random, printed)
//! ```
//! What is proved, each with its count:
//! - every acknowledged order is accounted for once: each day is heard again from number 1, and every message
//!   is the one that was heard first, no number missing or twice;
//! - a day's end leaves no order open, says End of Session, and cancels nothing twice;
//! - every trade of all days was told to one buyer and one seller alike, no match number used again;
//! - the state at the end is an independent replay's, `journal replay`'s and the clients'.

#[path = "../../src/demo/flow.rs"]
#[allow(dead_code)]
mod flow;
#[path = "../../src/demo/proof.rs"]
#[allow(dead_code)]
mod proof;
#[path = "../../src/demo/venue.rs"]
#[allow(dead_code)]
mod venue;

mod life;
mod slow;

use flow::Flow;
use life::{Life, Venues};
use lockstep_bench::client::connection::SessionEnd;
use lockstep_bench::client::trader::Trader;
use lockstep_bench::random::Random;
use proof::{compare_hashes, compare_traders, replay, replay_apart};
use slow::SlowReaders;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

const DAYS: u32 = 3;
const TRADERS: u32 = 4;
const SLOW: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);
const RATE_PER_S: u64 = 5_000;
/// Without so much of each, a run proves nothing.
const KILLS_MIN: u32 = 3;
const CUTS_MIN: u32 = 3;
const ORDERS_A_DAY_MIN: u64 = 500;

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lockstep"))
}

fn from_environment(name: &str, default: impl FnOnce() -> u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default(),
    }
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64 % 1_000_000)
}

/// What happened, over all days.
#[derive(Debug, Default)]
struct Happened {
    lives: u32,
    kills: u32,
    stops: u32,
    cuts: u32,
    /// Requests that were in doubt when a venue was killed.
    in_doubt: u64,
    messages: u64,
    verified: u64,
    orders: u64,
}

struct Soak {
    venues: Venues,
    flow: Flow,
    slow: SlowReaders,
    random: Random,
    happened: Happened,
}

#[test]
fn three_days_of_kills_cuts_and_slow_readers_leave_the_clients_record_exact() {
    let seconds = from_environment("LOCKSTEP_SOAK_SECONDS", || 20);
    let seed = from_environment("LOCKSTEP_SOAK_SEED", seed_of_now);
    println!("soak of {seconds} s, LOCKSTEP_SOAK_SEED={seed}");
    let venues = Venues::new(TRADERS + SLOW);
    let mut soak = Soak {
        flow: Flow::of_first(&venues.folder, TRADERS, seed).expect("clients"),
        slow: SlowReaders::new(&venues.folder, TRADERS + 1, SLOW),
        random: Random::part(seed, 1),
        happened: Happened::default(),
        venues,
    };
    for day in 1..=DAYS {
        soak.day(day, Duration::from_secs(seconds) / DAYS);
    }
    soak.prove();
}

impl Soak {
    /// One trading day: lives of the venue until the time is over; the last one ends the day, but for the
    /// last day, which stays open.
    fn day(&mut self, day: u32, load: Duration) {
        let begun = Instant::now();
        let mut life = self.venues.start(&mut self.random);
        self.happened.lives += 1;
        life.open_day(day);
        self.connect(&life);
        loop {
            let left = load.saturating_sub(begun.elapsed());
            let share = Duration::from_millis(700 + self.random.below(1_300));
            self.trade(&life, share.min(left));
            // The first days' kills may not be left to chance.
            if left <= share && (self.happened.kills >= KILLS_MIN.min(day) || left.is_zero()) {
                break;
            }
            self.end(life);
            life = self.venues.start(&mut self.random);
            self.happened.lives += 1;
            self.connect(&life);
        }
        self.settle();
        self.hear_again(&life);
        if day < DAYS {
            self.close_day(life, day);
        } else {
            self.log_out();
            self.venues.stop(life);
            self.happened.stops += 1;
        }
    }

    fn connect(&mut self, life: &Life) {
        let address = life.address();
        self.flow
            .connect(address, PATIENCE)
            .expect("sessions survive");
        self.slow.connect(address, PATIENCE);
    }

    /// Load with broken connections and clients that do not read.
    fn trade(&mut self, life: &Life, duration: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < duration {
            let slice = Duration::from_millis(20 + self.random.below(200));
            self.slow.send(&mut self.random);
            self.flow
                .trade(slice, RATE_PER_S, &mut |_| true)
                .expect("the venue tells nothing that cannot be");
            if self.random.chance(300) {
                let trader = self.random.below(u64::from(TRADERS)) as usize;
                self.flow
                    .cut(trader, PATIENCE)
                    .expect("a cut connection ends");
                self.happened.cuts += 1;
            }
            if self.random.chance(200) {
                let reader = self.random.below(u64::from(SLOW)) as usize;
                self.slow.cut(reader, PATIENCE);
                self.happened.cuts += 1;
            }
            if self.random.chance(500) {
                self.slow.read(Duration::from_millis(self.random.below(50)));
            }
            self.connect_without_waiting(life);
        }
    }

    /// Who was cut comes back while the others trade on.
    fn connect_without_waiting(&mut self, life: &Life) {
        let address = life.address();
        self.flow.reconnect(address).expect("a socket");
        self.slow.reconnect(address);
    }

    /// The end of a life: mostly by SIGKILL in the middle of the load.
    fn end(&mut self, life: Life) {
        if self.random.chance(750) {
            life.kill();
            // On a quick host every answer may have been read: nine kills of a run once met no request of
            // the quick traders in doubt. The slow readers leave theirs unread.
            self.happened.kills += 1;
            self.happened.in_doubt += self.slow.unanswered();
            self.flow
                .wait_down(PATIENCE)
                .expect("connections end with the process");
            self.slow.wait_down(PATIENCE);
            self.happened.in_doubt += self.flow.sums().unanswered;
        } else {
            self.log_out();
            self.venues.stop(life);
            self.happened.stops += 1;
        }
    }

    fn log_out(&mut self) {
        self.flow.log_out(PATIENCE).expect("closed");
        self.slow.log_out(PATIENCE);
    }

    fn settle(&mut self) {
        // A trader that was cut a moment ago settles only when it is back.
        self.flow.wait_ready(PATIENCE).expect("sessions come back");
        self.flow.settle(PATIENCE).expect("answers");
        self.slow.settle(PATIENCE);
    }

    /// The whole day again, from number 1.
    fn hear_again(&mut self, life: &Life) {
        let remembered = self.flow.sums().acknowledgements;
        let same = self
            .flow
            .hear_again(life.address(), PATIENCE)
            .expect("the same day again");
        assert!(
            same >= remembered,
            "{same} of {remembered} messages were told again"
        );
        let (slow_remembered, slow_same) = self.slow.hear_again(life.address(), PATIENCE);
        assert!(slow_same >= slow_remembered);
        self.happened.messages += remembered + slow_remembered;
        self.happened.verified += same + slow_same;
        let orders = |trader: &Trader| trader.orders().tally().accepted;
        let sums: u64 = self.flow.traders().traders().iter().map(orders).sum();
        assert!(sums >= ORDERS_A_DAY_MIN, "only {sums} orders on this day");
        self.happened.orders += sums + self.slow.traders().iter().map(orders).sum::<u64>();
        self.flow.check_trades().expect("trades fit");
    }

    fn close_day(&mut self, life: Life, day: u32) {
        life.close_day();
        self.flow.wait_down(PATIENCE).expect("the day ends");
        self.slow.wait_down(PATIENCE);
        let ends = |trader: &Trader| trader.last_end();
        for trader in self
            .flow
            .traders()
            .traders()
            .iter()
            .chain(self.slow.traders())
        {
            assert_eq!(ends(trader), Some(SessionEnd::EndOfSession), "day {day}");
        }
        self.flow.check_trades().expect("trades fit");
        let left = self.flow.begin_day() + self.slow.begin_day();
        assert_eq!(left, 0, "day {day} ended with orders open");
        // Between two days: killed, or stopped in order.
        if self.random.chance(500) {
            life.kill();
            self.happened.kills += 1;
        } else {
            self.venues.stop(life);
            self.happened.stops += 1;
        }
    }

    /// The clients' record against the node's, a replay's, and a replay's in a process of its own.
    fn prove(&mut self) {
        let folder = &self.venues.folder;
        let replayed = replay(&folder.journal()).expect("whole");
        let ended = self
            .venues
            .last_state()
            .expect("the last life stopped in order");
        compare_hashes(Some(ended), &replayed).expect("one state");
        let apart = replay_apart(binary(), &folder.data()).expect("journal replay");
        compare_hashes(Some(apart), &replayed).expect("one state");
        let verified = Command::new(binary())
            .args(["journal", "verify"])
            .arg(folder.data())
            .output()
            .expect("the binary runs");
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        let machine = &replayed.machine;
        let fast = compare_traders(1, self.flow.traders().traders(), machine);
        let slow = compare_traders(TRADERS + 1, self.slow.traders(), machine);
        let (fast, slow) = (
            fast.expect("the clients' state"),
            slow.expect("the clients' state"),
        );
        assert!(fast.open_orders > 0, "{fast:?}");
        let trades = self.flow.check_trades().expect("trades fit");
        let happened = &self.happened;
        println!("{happened:?}; {trades} trades; at the end {fast:?}, slow {slow:?}");
        println!("lives: {}", self.venues.described());
        assert!(trades > 100, "{trades} trades");
        assert!(
            happened.kills >= KILLS_MIN && happened.cuts >= CUTS_MIN,
            "{happened:?}"
        );
        assert!(
            happened.in_doubt > 0,
            "no kill met an unanswered request: {happened:?}"
        );
        assert!(
            self.slow.fell_behind_max() > 0,
            "the slow readers read everything at once"
        );
    }
}
