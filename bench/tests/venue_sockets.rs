//! Traders and the market replay over real sockets, against the state machine behind a test server
//! that dies in the middle of requests and keeps its streams, as a venue with a journal does.

mod common;

use common::{Durable, Server};
use lockstep_bench::client::orders::Change;
use lockstep_bench::client::trader::{Phase, Trader, TraderLimits};
use lockstep_bench::client::traders::{NewOrder, RequestError, Traders};
use lockstep_bench::load::beside::run_rounds;
use lockstep_bench::load::neighbours::NeighbourOptions;
use lockstep_bench::load::run::{LoadOptions, Pace, run as run_load, run_beside};
use lockstep_bench::load::schedule::Profile;
use lockstep_bench::load::stream::{Market, Mix};
use lockstep_bench::market::lobster::LobsterFiles;
use lockstep_bench::market::replay::ReplayOptions;
use lockstep_bench::market::run::{RunLimits, run};
use lockstep_bench::market::sockets::{SocketLink, SocketOptions};
use lockstep_bench::measure::thread::Idle;
use lockstep_bench::random::Random;
use lockstep_net::{AnyDriver, DriverKind, Limits, probe};
use lockstep_record::{Price, SessionId, Side};
use lockstep_wire::soup::Login;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

const SYMBOL: [u8; 8] = *b"TEST    ";
const USERS: [[u8; 6]; 3] = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];
const PATIENCE: Duration = Duration::from_secs(20);

fn drivers() -> Vec<DriverKind> {
    let report = probe();
    match &report.io_uring {
        Ok(()) => vec![DriverKind::Epoll, DriverKind::IoUring],
        Err(lack) => {
            println!("SKIP io_uring: {lack}");
            vec![DriverKind::Epoll]
        }
    }
}

fn login(user: [u8; 6]) -> Login {
    let user = std::str::from_utf8(&user).expect("text").trim();
    Login::new(user, "SECRET", 0).expect("legal")
}

fn traders(kind: DriverKind) -> Traders<AnyDriver> {
    let driver = AnyDriver::new(kind, &Limits::default()).expect("driver");
    let mut traders = Traders::new(driver, TraderLimits::default(), true);
    USERS.iter().for_each(|user| {
        traders.add(login(*user));
    });
    traders
}

fn poll_until(
    traders: &mut Traders<AnyDriver>,
    what: &str,
    done: impl Fn(&Traders<AnyDriver>) -> bool,
) {
    let started = Instant::now();
    while !done(traders) {
        let work = traders.poll(&mut |_, _| {}).expect("a sound venue");
        if work == 0 {
            traders.wait(Duration::from_millis(1));
        }
        let state = || -> Vec<_> {
            let told = |trader: &Trader| {
                (
                    trader.phase(),
                    trader.last_end(),
                    trader.memory().next_number(),
                )
            };
            traders.traders().iter().map(told).collect()
        };
        assert!(
            started.elapsed() < PATIENCE,
            "waited for {what}: {:?}",
            state()
        );
    }
}

/// One random request of one trader; what the venue lets it do is not this test's matter.
fn send_one(traders: &mut Traders<AnyDriver>, random: &mut Random) -> Result<(), RequestError> {
    let trader = random.below(3) as usize;
    let user_ref = 1 + random.below(u64::from(traders.traders()[trader].next_user_ref())) as u32;
    let price = Price(10_000 + random.below(10));
    match random.below(10) {
        0..6 => {
            let order = NewOrder {
                side: if random.chance(500) {
                    Side::Buy
                } else {
                    Side::Sell
                },
                quantity: 1 + random.below(100) as u32,
                symbol: SYMBOL,
                price,
                is_immediate: random.chance(200),
            };
            traders.enter(trader, &order).map(drop)
        }
        6..9 => traders.cancel(trader, user_ref, random.below(3) as u32),
        _ => traders.replace(trader, user_ref, 50, price).map(drop),
    }
}

#[test]
fn traders_hear_everything_exactly_once_across_crashes() {
    for kind in drivers() {
        let durable = Durable::new(&USERS, &[SYMBOL]);
        let mut traders = traders(kind);
        let mut random = Random::new(42);
        for round in 0..6 {
            // Every other server dies early: while what is in doubt is sent again, if much is.
            let lives = if round % 2 == 0 { 400 + 37 * round } else { 40 };
            let died_at = durable.lock().expect("lock").requests + lives;
            durable.lock().expect("lock").dies_after = died_at;
            let server = Server::start(&durable, kind);
            traders.connect(server.address).expect("connect");
            // Sends until the server is gone, in small bursts, so that much is in doubt when it dies.
            while !server.is_dead() || !traders.are_down() {
                for _ in 0..20 {
                    match send_one(&mut traders, &mut random) {
                        Ok(()) | Err(RequestError::NotReady { .. } | RequestError::Send(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                traders.poll(&mut |_, _| {}).expect("a sound venue");
                std::thread::yield_now();
            }
        }
        durable.lock().expect("lock").dies_after = u64::MAX;
        let heard: u64 = traders
            .traders()
            .iter()
            .map(|trader| trader.memory().count())
            .sum();
        // The last server replays the whole day to everybody.
        let server = Server::start(&durable, kind);
        traders.rewind();
        traders.connect(server.address).expect("connect");
        poll_until(&mut traders, "ready", Traders::are_ready);
        (0..USERS.len()).for_each(|trader| traders.settle(trader).expect("sent"));
        poll_until(&mut traders, "the answers", |traders| {
            traders.unanswered_count() == 0
        });
        // Executions by the last requests of others may still be on the way.
        let told: Vec<u64> = durable
            .lock()
            .expect("lock")
            .streams
            .iter()
            .map(|stream| stream.len() as u64)
            .collect();
        poll_until(&mut traders, "the end", |traders| {
            traders
                .traders()
                .iter()
                .zip(&told)
                .all(|(trader, told)| trader.memory().count() >= *told)
        });
        let verified: u64 = traders
            .traders()
            .iter()
            .map(|trader| trader.verified_count())
            .sum();
        let resent: u64 = traders
            .traders()
            .iter()
            .map(|trader| trader.resent_count())
            .sum();
        assert_eq!(
            verified, heard,
            "every message remembered was told again, identical"
        );
        assert!(resent > 50, "{resent} requests were in doubt");
        check_accounts(&traders, &durable.lock().expect("lock"));
    }
}

/// The traders' accounts against the venue's own streams and books.
fn check_accounts(traders: &Traders<AnyDriver>, durable: &Durable) {
    let machine = durable.venue.machine();
    machine.check_invariants().expect("sound books");
    for (session, trader) in traders.traders().iter().enumerate() {
        assert_eq!(trader.phase(), Phase::Ready);
        assert_eq!(
            trader.memory().count(),
            durable.streams[session].len() as u64
        );
        // No number was taken twice, and the venue knows none that the trader did not use.
        let tally = trader.orders().tally();
        let used = u64::from(trader.next_user_ref()) - 1;
        assert!(
            tally.accepted > 20 && tally.accepted + tally.replaced + tally.rejected <= used,
            "{tally:?}"
        );
        let id = SessionId(session as u32 + 1);
        assert!(u64::from(machine.last_user_ref(id, 0)) <= used);
        let believed: BTreeMap<u32, u32> = trader
            .orders()
            .iter()
            .filter(|(_, order)| order.open > 0)
            .map(|(id, order)| (id.user_ref, order.open))
            .collect();
        let resting: BTreeMap<u32, u32> = machine
            .open_orders(id)
            .map(|order| (order.user_ref.number, order.open))
            .collect();
        assert_eq!(
            believed, resting,
            "what the trader believes open is what rests"
        );
    }
}

#[test]
fn requests_before_the_trader_is_ready_are_refused() {
    let mut traders = traders(DriverKind::Auto);
    let error = traders.cancel(0, 1, 0).expect_err("nobody is connected");
    assert!(
        matches!(
            error,
            RequestError::NotReady {
                trader: 0,
                phase: Phase::Down
            }
        ),
        "{error}"
    );
}

#[test]
fn changes_are_observed_as_they_are_told() {
    let durable = Durable::new(&USERS, &[SYMBOL]);
    let server = Server::start(&durable, DriverKind::Auto);
    let mut traders = traders(DriverKind::Auto);
    traders.connect(server.address).expect("connect");
    poll_until(&mut traders, "ready", Traders::are_ready);
    let order = |side| NewOrder {
        side,
        quantity: 10,
        symbol: SYMBOL,
        price: Price(100),
        is_immediate: false,
    };
    traders.enter(0, &order(Side::Buy)).expect("sent");
    poll_until(&mut traders, "the answer", |traders| {
        traders.unanswered_count() == 0
    });
    traders.enter(1, &order(Side::Sell)).expect("sent");
    let mut executed = [0; 3];
    let started = Instant::now();
    while executed != [10, 10, 0] {
        let mut observe = |trader: usize, change: &Change| {
            if let Change::Reduced { by, .. } = change {
                executed[trader] += by;
            }
        };
        traders.poll(&mut observe).expect("a sound venue");
        assert!(started.elapsed() < PATIENCE, "{executed:?}");
    }
    traders.log_out();
    poll_until(&mut traders, "the goodbye", Traders::are_down);
}

fn link(server: &Server, driver: DriverKind) -> SocketLink {
    let options = SocketOptions {
        address: server.address,
        logins: USERS.map(login),
        driver,
        idle: Idle::Yield,
    };
    SocketLink::connect(&options).expect("logged in")
}

/// A walk of a two-level book that holds every kind of row.
fn small_files() -> LobsterFiles {
    let rows = [
        ("1.0,1,1,10,10000,1", "10500,5,10000,10,10600,6,9900,20"),
        ("1.0,1,2,7,10000,1", "10500,5,10000,17,10600,6,9900,20"),
        ("1.0,1,3,8,10100,1", "10500,5,10100,8,10600,6,10000,17"),
        ("1.0,4,3,3,10100,1", "10500,5,10100,5,10600,6,10000,17"),
        ("1.0,4,3,5,10100,1", "10500,5,10000,17,10600,6,9900,30"),
        ("1.0,2,2,3,10000,1", "10500,5,10000,14,10600,6,9900,30"),
        ("1.0,5,0,9,10300,-1", "10500,5,10000,14,10600,6,9900,30"),
        ("1.0,3,50,5,10500,-1", "10600,6,10000,14,10700,1,9900,30"),
    ];
    let column =
        |pick: fn(&(&str, &str)) -> String| rows.iter().map(pick).collect::<String>().into_bytes();
    LobsterFiles::from_bytes(
        ("m.csv".into(), column(|row| format!("{}\n", row.0))),
        ("b.csv".into(), column(|row| format!("{}\n", row.1))),
    )
}

#[test]
fn the_replay_runs_over_sockets_and_again_on_the_same_day() {
    for kind in drivers() {
        let durable = Durable::new(&USERS, &[SYMBOL]);
        let server = Server::start(&durable, kind);
        let mut hashes = Vec::new();
        for _ in 0..2 {
            let mut link = link(&server, kind);
            let mut options = ReplayOptions::new(SYMBOL);
            options.last_user_refs = link.last_user_refs();
            let report = run(
                &mut small_files(),
                &mut link,
                options,
                RunLimits::default(),
                &mut |_| {},
            )
            .expect("link");
            assert!(report.is_clean() && report.compared.rows == 7, "{report}");
            hashes.push(report.compared.hash);
            link.log_out();
        }
        assert_eq!(hashes[0], hashes[1]);
    }
}

#[test]
fn a_real_file_runs_over_sockets() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let path = Path::new(folder).join("AAPL_2012-06-21_34200000_57600000_message_10_head.csv.xz");
    if !path.exists() {
        println!("SKIP: {} is absent", path.display());
        return;
    }
    let symbol = *b"AAPL    ";
    let durable = Durable::new(&USERS, &[symbol]);
    let server = Server::start(&durable, DriverKind::Auto);
    let mut link = link(&server, DriverKind::Auto);
    let options = ReplayOptions::new(symbol);
    let mut files = LobsterFiles::open(&path).expect("readable");
    let report = run(
        &mut files,
        &mut link,
        options,
        RunLimits::default(),
        &mut |_| {},
    )
    .expect("link");
    assert!(report.is_clean() && report.compared.rows >= 950, "{report}");
}

fn load_options(address: SocketAddr, driver: DriverKind, logins: Vec<Login>) -> LoadOptions {
    LoadOptions {
        address,
        driver,
        logins,
        idle_logins: Vec::new(),
        markets: vec![Market {
            symbol: SYMBOL,
            price: 1_000_000,
            tick: 100,
            quantity: 100,
        }],
        pace: Pace::Rate { per_s: 4_000 },
        profile: Profile::Even,
        mix: Mix::default(),
        seed: 3,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(450),
        in_flight_max: 4_000,
        resting_max: 50,
        core: None,
        idle: Idle::Park,
        policy: "none".to_owned(),
        server_layout: "test server".to_owned(),
        counters: None,
        venue_pid: None,
    }
}

#[test]
fn the_load_generator_trades_with_a_matching_engine() {
    for kind in drivers() {
        let durable = Durable::new(&USERS, &[SYMBOL]);
        let server = Server::start(&durable, kind);
        let options = load_options(server.address, kind, USERS.map(login).to_vec());
        let report = run_load(&options).expect("run").report;
        let counts = report.counts;
        assert_eq!((counts.sent, counts.answered), (2_000, 2_000), "{report}");
        assert_eq!(
            (counts.unfilled, counts.refused, counts.out_of_order),
            (0, 0, 0),
            "{report}"
        );
        assert_eq!(report.classes.len(), 4, "{report}");
        // What rested is cancelled; at most a bait a session is left.
        let left = durable
            .lock()
            .expect("lock")
            .venue
            .machine()
            .open_order_count();
        assert!(left <= 3, "{left} orders left");
        let again = run_load(&options).expect("run").report;
        assert_eq!(
            (again.counts.sent, again.counts.answered),
            (2_000, 2_000),
            "{again}"
        );
        assert_eq!(
            again.request_hash, report.request_hash,
            "the same requests, under other numbers"
        );
    }
}

/// Bad neighbours do what they are for, and the measured session's account is exact all the same.
#[test]
fn neighbours_flood_stall_and_are_refused_beside_a_measured_session() {
    for kind in drivers() {
        let durable = Durable::new(&USERS, &[SYMBOL]);
        let server = Server::start(&durable, kind);
        let [maker, taker, reveal] = USERS.map(login);
        let mut options = load_options(server.address, kind, vec![maker]);
        options.pace = Pace::Rate { per_s: 500 };
        options.idle = Idle::Yield;
        let neighbours = NeighbourOptions {
            flooders: vec![taker],
            flood_window: 64,
            stalled_readers: vec![reveal],
            stall_requests: 500,
            login_floods: 2,
            wrong_login: Some(Login::new("NOBODY", "WRONG", 0).expect("legal")),
        };
        let report = run_rounds(&options, &neighbours, 1).expect("run");
        let (alone, beside) = (&report.alone[0], &report.beside[0]);
        for run in [alone, beside] {
            let counts = run.counts;
            assert_eq!((counts.sent, counts.answered), (250, 250), "{run}");
            assert_eq!((counts.refused, counts.out_of_order), (0, 0), "{run}");
        }
        assert_eq!(alone.neighbours, None);
        let counts = beside.neighbours.expect("they were there");
        assert!(counts.flood_answered_per_s > 500, "{beside}");
        assert!(counts.stalled_sent > 500, "{beside}");
        assert!(counts.logins_refused_per_s > 10, "{beside}");
        assert!(counts.turns > 100, "{beside}");
        assert!(beside.to_string().contains("that never read"), "{beside}");
    }
}

#[test]
fn neighbours_need_an_open_loop() {
    let mut options = load_options(
        SocketAddr::from(([127, 0, 0, 1], 1)),
        DriverKind::Epoll,
        vec![login(USERS[0])],
    );
    options.pace = Pace::Window { requests: 5 };
    let neighbours = NeighbourOptions {
        login_floods: 1,
        ..NeighbourOptions::default()
    };
    let said = run_beside(&options, &neighbours)
        .expect_err("closed")
        .to_string();
    assert!(said.contains("open loop"), "{said}");
}
