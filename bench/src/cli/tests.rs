use super::*;
use crate::load::run::Pace;
use crate::measure::thread::Idle;
use clap::Parser;
use lockstep_net::DriverKind;
use lockstep_wire::soup::Login;
use std::time::Duration;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: BenchCommand,
}

fn parse(line: &str) -> Result<BenchCommand, String> {
    let words = std::iter::once("bench").chain(line.split_whitespace());
    Cli::try_parse_from(words)
        .map(|cli| cli.command)
        .map_err(|error| error.to_string())
}

#[test]
fn the_surface_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn an_order_run_is_described_by_its_options() {
    let line = "order --address 127.0.0.1:9000 --login a:pw --login b:pw --idle-login c:pw --rate 5000 \
                --mix 1:2:3:4 --warm-up 0.25 --duration 1.5 --core 1 --idle park --symbol A --symbol B --driver epoll";
    let Ok(BenchCommand::Order(args)) = parse(line) else {
        panic!("{:?}", parse(line));
    };
    let options = args
        .load
        .options(args.address, args.logins.clone(), args.idle_logins.clone());
    assert_eq!(
        (
            options.logins.len(),
            options.idle_logins.len(),
            options.markets.len()
        ),
        (2, 1, 2)
    );
    assert_eq!(options.pace, Pace::Rate { per_s: 5000 });
    assert_eq!((options.mix.enter, options.mix.cross), (1, 4));
    assert_eq!(options.warm_up, Duration::from_millis(250));
    assert_eq!(options.duration, Duration::from_millis(1500));
    assert_eq!(
        (options.core, options.idle, options.driver),
        (Some(1), Idle::Park, DriverKind::Epoll)
    );
    assert_eq!(options.markets[1].symbol, *b"B       ");
}

#[test]
fn wrong_options_say_what_is_right() {
    let cases = [
        ("order --address 127.0.0.1:9000", "--login"),
        ("order --address 127.0.0.1:9000 --login a", "USER:PASSWORD"),
        (
            "order --address 127.0.0.1:9000 --login toolong:pw",
            "toolong:pw",
        ),
        ("order --address nowhere --login a:b", "nowhere"),
        ("echo --mix 1:2:3", "four weights"),
        ("echo --mix 0:0:0:0", "not all 0"),
        ("echo --mix 1:2:3:x", "four weights"),
        ("echo --duration 1.2345", "three decimals"),
        ("echo --duration 86401", "at most 86400"),
        ("echo --driver kqueue", "choose auto, io_uring or epoll"),
        ("echo --symbol TOOLONGSYMBOL", "1 to 8"),
        ("echo --rate 1 --window 1", "cannot be used with"),
        ("echo --profile bursts:0", "bursts:N"),
        ("echo --sweep 5:4", "FROM:TO"),
        ("echo --sweep 1:2 --rate 5", "cannot be used with"),
        (
            "order --address 127.0.0.1:9000 --sessions 2",
            "--login-pattern",
        ),
        (
            "order --address 127.0.0.1:9000 --login-pattern A%:b",
            "--sessions",
        ),
        (
            "order --address 127.0.0.1:9000 --login a:b --beside-rounds 1 --floor-rounds 1",
            "cannot be used with",
        ),
        (
            "order --address 127.0.0.1:9000 --login a:b --flooders 1001",
            "0..=1000",
        ),
        ("jitter --seconds 0", "1..=86400"),
        ("compare a.json", "<AFTER>"),
        ("replay-market", "<FILES>"),
        ("replay-market --address 127.0.0.1:1 f", "--maker"),
        ("replay-market --window 0 f", "1..=1024"),
    ];
    for (line, expected) in cases {
        let error = parse(line).expect_err(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn a_login_pattern_names_every_session() {
    let senders = |line: &str| match parse(line) {
        Ok(BenchCommand::Order(args)) => args.senders(),
        other => panic!("{other:?}"),
    };
    let line = "order --address 127.0.0.1:9000 --sessions 3 --login-pattern T%:secret%";
    let users: Vec<_> = senders(line)
        .expect("legal")
        .iter()
        .map(|login| {
            String::from_utf8_lossy(login.user.as_bytes())
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(users, ["T1", "T2", "T3"]);
    let line = "order --address 127.0.0.1:9000 --sessions 2 --login-pattern T:secret";
    assert!(senders(line).is_err_and(|error| error.contains('%')));
}

/// Users are numbered on: senders, idle ones, flooders, those that never read.
#[test]
fn neighbours_are_named_by_the_same_pattern() {
    let line = "order --address 127.0.0.1:9000 --sessions 2 --login-pattern T%:pw --idle-sessions 3 \
                --flooders 1 --stalled-readers 2 --login-floods 4";
    let Ok(BenchCommand::Order(args)) = parse(line) else {
        panic!("{:?}", parse(line));
    };
    let names = |logins: &[Login]| -> Vec<String> {
        let name = |login: &Login| {
            String::from_utf8_lossy(login.user.as_bytes())
                .trim()
                .to_owned()
        };
        logins.iter().map(name).collect()
    };
    let neighbours = args.neighbours().expect("legal");
    assert_eq!(names(&args.idle().expect("legal")), ["T3", "T4", "T5"]);
    assert_eq!(names(&neighbours.flooders), ["T6"]);
    assert_eq!(names(&neighbours.stalled_readers), ["T7", "T8"]);
    assert_eq!((neighbours.connections(), neighbours.login_floods), (7, 4));
    let line = "order --address 127.0.0.1:9000 --login a:b --flooders 1";
    let Ok(BenchCommand::Order(args)) = parse(line) else {
        panic!("{:?}", parse(line));
    };
    let said = args.neighbours().expect_err("no pattern");
    assert!(said.contains("--login-pattern"), "{said}");
}

/// Files of a run, checked for what each must hold; whether the run was quiet enough is not this test's matter.
#[test]
fn a_run_writes_its_page_and_its_interval_log() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    let line = format!(
        "echo --sessions 3 --rate 2000 --profile bursts:10 --warm-up 0.02 --duration 0.2 --idle park \
         --server-idle park --html {} --hlog {}",
        path("run.html").display(),
        path("run.hlog").display()
    );
    run_to(&parse(&line).expect("legal"), &mut Vec::new()).expect("run");
    let log = std::fs::read_to_string(path("run.hlog")).expect("written");
    let lines = log.lines().filter(|line| line.contains("HISTFAAA"));
    assert_eq!(lines.count(), 20, "{log}");
    let page = std::fs::read_to_string(path("run.html")).expect("written");
    assert_page(&page);
    assert!(page.contains("in bursts of 10"), "{page}");
}

/// Whole, with four charts that show something, and nothing to be fetched or run.
fn assert_page(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert_eq!(page.matches("<svg ").count(), 4);
    for chart in page.split("<svg ").skip(1) {
        let marks = ["<polyline", "<circle", "<rect"].map(|mark| chart.matches(mark).count());
        assert!(marks.iter().sum::<usize>() > 0, "an empty chart: {chart}");
    }
    let foreign = page.replace("http://www.w3.org/2000/svg", "");
    for word in [
        "http", "<script", "<link", "<img", "src=", "url(", "@import",
    ] {
        assert!(!foreign.contains(word), "the page refers to {word}");
    }
}

/// On a busy machine a sweep over one echo server once ended in a reset: the server, made for one connection,
/// had not noticed yet that the last step's was gone. Each step has a server of its own now.
#[test]
fn a_sweep_and_a_comparison_from_the_command_line() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    let line = format!(
        "echo --sweep 200:450 --warm-up 0.02 --duration 0.1 --idle park --server-idle park --json --html {}",
        path("sweep.html").display()
    );
    let mut out = Vec::new();
    let verdict = run_to(&parse(&line).expect("legal"), &mut out).expect("run");
    let report: serde_json::Value = serde_json::from_slice(&out).expect("one JSON object");
    let offered = |at: usize| report["steps"][at]["offered_per_s"].as_u64();
    assert_eq!((offered(0), offered(1)), (Some(200), Some(300)));
    let knee = report["knee_per_s"].as_u64().expect("a number");
    assert_eq!(verdict, Verdict::of(knee > 0));
    assert_page(&std::fs::read_to_string(path("sweep.html")).expect("written"));
    std::fs::write(path("a.json"), &out).expect("written");
    let line = format!("compare {0} {0} --json", path("a.json").display());
    let mut out = Vec::new();
    let verdict = run_to(&parse(&line).expect("legal"), &mut out).expect("run");
    let report: serde_json::Value = serde_json::from_slice(&out).expect("one JSON object");
    assert_eq!(verdict, Verdict::Good);
    assert!(report["figures"].as_array().is_some_and(|f| f.len() > 10));
}

#[test]
fn an_echo_run_from_the_command_line_is_complete() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let prefix = folder.path().join("floor");
    let line = format!(
        "echo --sessions 2 --idle-sessions 1 --rate 1000 --warm-up 0.02 --duration 0.1 --idle park \
         --server-idle park --json --hgrm {}",
        prefix.display()
    );
    // Valid or not depends on what else the machine does; that it ran and wrote its files does not.
    let mut out = Vec::new();
    run_to(&parse(&line).expect("legal"), &mut out).expect("run");
    let report: serde_json::Value = serde_json::from_slice(&out).expect("one JSON object");
    assert_eq!(report["counts"]["sent"], 120);
    assert_eq!(report["idle_sessions"], 1);
    assert!(folder.path().join("floor-all.hgrm").exists());
}

#[test]
fn a_replay_from_the_command_line_judges_its_outcome() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write");
    write("X_message_1.csv", "1.0,7,0,0,-1,1\n2.0,1,5,10,10000,1\n");
    write("X_orderbook_1.csv", "10500,5,10000,1\n10500,5,10000,11\n");
    let verdict = |options: &str| {
        let line = format!(
            "replay-market {options} {}",
            folder.path().join("X_message_1.csv").display()
        );
        let mut out = Vec::new();
        let verdict = run_to(&parse(&line).expect("legal"), &mut out).expect("run");
        (verdict, String::from_utf8(out).expect("text"))
    };
    let (good, table) = verdict("");
    assert!(
        good == Verdict::Good && table.starts_with("X_message_1.csv (X, "),
        "{table}"
    );
    let (good, json) = verdict("--json --rows-min 1");
    let json: serde_json::Value = serde_json::from_str(&json).expect("one JSON object");
    assert!(
        good == Verdict::Good && json["files"][0]["report"]["compared"]["rows"] == 1,
        "{json}"
    );
    assert_eq!(verdict("--rows-min 2").0, Verdict::Bad);
    assert_eq!(verdict("--rows-max 1").0, Verdict::Bad);
    let missing = parse("replay-market absent_message.csv").expect("legal");
    assert!(matches!(
        run(&missing),
        Err(BenchError::Lobster(LobsterError::Read { .. }))
    ));
}

#[test]
fn a_venue_that_cannot_be_stopped_is_an_error() {
    assert!(signal_venue(None, Turn::Floor).is_ok());
    // Process ids end far below this one.
    assert!(signal_venue(Some(1 << 30), Turn::Floor).is_err());
}
