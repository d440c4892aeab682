//! The load generator against the echo server over real sockets, with both drivers: small, parked,
//! never a figure. What is proved here is that everything sent is answered and accounted for.

use lockstep_bench::echo::{EchoOptions, EchoServer};
use lockstep_bench::load::floor::{Turn, against_floor};
use lockstep_bench::load::run::{LoadError, LoadOptions, Pace, run};
use lockstep_bench::load::schedule::Profile;
use lockstep_bench::load::stream::{Class, Market, Mix};
use lockstep_bench::measure::thread::Idle;
use lockstep_net::{DriverKind, Limits, probe};
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::time::Duration;

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

fn echo_options(driver: DriverKind) -> EchoOptions {
    EchoOptions {
        address: "127.0.0.1:0".parse().expect("address"),
        driver,
        core: None,
        idle: Idle::Park,
        limits: Limits::default(),
    }
}

fn load_options(address: SocketAddr, driver: DriverKind, sessions: usize) -> LoadOptions {
    let login = |name: &str, number: usize| {
        Login::new(&format!("{name}{number}"), "SECRET", 0).expect("legal")
    };
    LoadOptions {
        address,
        driver,
        logins: (0..sessions).map(|number| login("LD", number)).collect(),
        idle_logins: (0..2).map(|number| login("ID", number)).collect(),
        markets: vec![Market {
            symbol: *b"TEST    ",
            price: 1_000_000,
            tick: 100,
            quantity: 100,
        }],
        pace: Pace::Rate { per_s: 2_000 },
        profile: Profile::Even,
        mix: Mix::default(),
        seed: 1,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(250),
        in_flight_max: 1_000,
        resting_max: 100,
        core: None,
        idle: Idle::Park,
        policy: "none".to_owned(),
        server_layout: "echo".to_owned(),
        counters: None,
        venue_pid: None,
    }
}

#[test]
fn an_open_loop_sends_at_its_rate_and_accounts_for_everything() {
    for driver in drivers() {
        let server = EchoServer::start(echo_options(driver)).expect("echo server");
        assert_eq!(server.driver(), driver);
        let outcome = run(&load_options(server.address(), driver, 3)).expect("run");
        let report = &outcome.report;
        // 300 ms at 2,000 a second: every due request is sent, late or not.
        assert_eq!(report.counts.sent, 600, "{report}");
        assert_eq!(report.counts.answered, 600, "{report}");
        assert_eq!(
            (report.counts.unanswered, report.counts.out_of_order),
            (0, 0),
            "{report}"
        );
        assert_eq!(
            (report.all.count, report.lateness.count),
            (500, 500),
            "{report}"
        );
        let classes: u64 = report.classes.values().map(|summary| summary.count).sum();
        assert_eq!(classes, 500);
        assert!(report.classes.contains_key(&Class::Cross) && report.all.p50 > 0);
        assert_eq!(report.setting.driver, driver.name());
        assert!(report.to_string().contains("open loop, 2000 requests/s"));
    }
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let server = EchoServer::start(echo_options(DriverKind::Auto)).expect("echo server");
    let hash = |seed| {
        let mut options = load_options(server.address(), DriverKind::Auto, 2);
        options.seed = seed;
        options.duration = Duration::from_millis(50);
        run(&options).expect("run").report.request_hash
    };
    let first = hash(5);
    assert_eq!(hash(5), first);
    assert_ne!(hash(6), first);
}

#[test]
fn a_closed_loop_keeps_its_window() {
    for driver in drivers() {
        let server = EchoServer::start(echo_options(driver)).expect("echo server");
        let mut options = load_options(server.address(), driver, 2);
        options.pace = Pace::Window { requests: 4 };
        options.idle = Idle::Yield;
        options.duration = Duration::from_millis(100);
        let report = run(&options).expect("run").report;
        assert!(report.is_valid(), "{report}");
        assert!(
            report.counts.sent > 16 && report.counts.sent == report.counts.answered,
            "{report}"
        );
    }
}

#[test]
fn venue_and_floor_take_turns() {
    let venue = EchoServer::start(echo_options(DriverKind::Auto)).expect("echo server");
    let mut options = load_options(venue.address(), DriverKind::Auto, 1);
    options.duration = Duration::from_millis(60);
    let mut turns = Vec::new();
    let mut turn = |turn| {
        turns.push(turn);
        Ok(())
    };
    let report =
        against_floor(&options, &echo_options(DriverKind::Auto), 2, &mut turn).expect("both run");
    assert_eq!(
        turns,
        [
            Turn::Venue,
            Turn::Floor,
            Turn::Venue,
            Turn::Floor,
            Turn::Venue
        ]
    );
    assert_eq!((report.venue.len(), report.floor.len()), (2, 2));
    assert_eq!(report.floor[0].setting.policy, "none (echo)");
    assert!(report.p50.floor_ns > 0 && report.p50.ratio_per_mille > 0);
    serde_json::to_value(&report)
        .expect("json")
        .get("p99_9")
        .expect("ratios");
}

#[test]
fn hundreds_of_idle_sessions_stay_logged_in_beside_a_busy_one() {
    for driver in drivers() {
        let server = EchoServer::start(echo_options(driver)).expect("echo server");
        let mut options = load_options(server.address(), driver, 1);
        let login = |number: usize| Login::new(&format!("I{number}"), "SECRET", 0).expect("legal");
        options.idle_logins = (0..300).map(login).collect();
        // Long enough for each of them to exchange a heartbeat.
        options.duration = Duration::from_millis(1_200);
        options.pace = Pace::Rate { per_s: 500 };
        let report = run(&options).expect("nobody is cut off").report;
        assert_eq!(
            (
                report.idle_sessions,
                report.counts.sent,
                report.counts.answered
            ),
            (300, 625, 625),
            "{report}"
        );
    }
}

#[test]
fn the_venue_is_never_left_stopped() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let options = load_options(nobody.local_addr().expect("address"), DriverKind::Auto, 1);
    drop(nobody);
    let mut turns = Vec::new();
    let mut turn = |turn| {
        turns.push(turn);
        Ok(())
    };
    against_floor(&options, &echo_options(DriverKind::Auto), 2, &mut turn)
        .expect_err("nobody listens");
    assert_eq!(turns.last(), Some(&Turn::Venue));
}

#[test]
fn histograms_are_written_to_files() {
    let server = EchoServer::start(echo_options(DriverKind::Auto)).expect("echo server");
    let mut options = load_options(server.address(), DriverKind::Auto, 1);
    options.mix = Mix::ENTER_ONLY;
    options.resting_max = 10_000;
    options.duration = Duration::from_millis(50);
    let outcome = run(&options).expect("run");
    let folder = tempfile::tempdir().expect("temporary folder");
    let paths = outcome
        .write_hgrm_files(&folder.path().join("run"))
        .expect("written");
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.file_name().expect("name").to_owned())
        .collect();
    assert_eq!(names, ["run-enter.hgrm", "run-all.hgrm"]);
    let text = std::fs::read_to_string(&paths[1]).expect("readable");
    assert!(
        text.contains(&format!(
            "Total count    = {:12}]",
            outcome.report.all.count
        )),
        "{text}"
    );
}

#[test]
fn what_cannot_work_is_a_typed_error() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let address = nobody.local_addr().expect("address");
    drop(nobody);
    let options = load_options(address, DriverKind::Auto, 1);
    assert!(matches!(
        run(&options),
        Err(LoadError::Ended { session: 0, .. })
    ));
    let spoils: [fn(&mut LoadOptions); 4] = [
        |options| options.pace = Pace::Rate { per_s: 0 },
        |options| options.pace = Pace::Window { requests: 1_001 },
        |options| options.logins.clear(),
        |options| options.markets.clear(),
    ];
    for spoil in spoils {
        let mut options = load_options(address, DriverKind::Auto, 1);
        spoil(&mut options);
        assert!(matches!(run(&options), Err(LoadError::Option { .. })));
    }
}

#[test]
fn half_of_the_throughput_is_run_behind_the_rounds() {
    let venue = EchoServer::start(echo_options(DriverKind::Auto)).expect("echo server");
    let mut options = load_options(venue.address(), DriverKind::Auto, 2);
    options.pace = Pace::Window { requests: 2 };
    options.idle = Idle::Yield;
    options.warm_up = Duration::ZERO;
    options.duration = Duration::from_millis(60);
    let echo = echo_options(DriverKind::Auto);
    let mut report = against_floor(&options, &echo, 1, &mut |_| Ok(())).expect("both run");
    assert!(report.half.is_none());
    report.add_half(&options, 2).expect("it runs");
    let half = report.half.as_ref().expect("it was asked for");
    assert_eq!(half.offered_per_s, report.throughput.venue_per_s / 2);
    assert!(half.offered_per_s > 0 && half.runs.len() == 2, "{report}");
    let paced = Pace::Rate {
        per_s: half.offered_per_s,
    };
    assert!(half.runs.iter().all(|run| run.pace == paced), "{report}");
    assert!(report.to_string().contains("half of it"), "{report}");
}
