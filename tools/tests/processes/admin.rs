//! The admin socket of a running venue, through `lockstep admin` as an operator uses it.

use crate::common::{Fixture, LAYOUT, binary, plan, run, stop_in_order, wait_until};
use crate::raw::{Raw, Witness, bid};
use crate::venue::{VenueFolder, VenuePlan};
use lockstep_node::admin::client::AdminClient;
use lockstep_node::admin::protocol::{Command, InstrumentView, ShowOrders};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Output;

pub fn socket(folder: &VenueFolder) -> PathBuf {
    folder.data().join("admin.sock")
}

/// Runs `lockstep admin --config … ARGUMENTS`.
pub fn admin(folder: &VenueFolder, arguments: &[&str]) -> Output {
    let config = folder.config();
    let mut all = vec!["admin", "--config", config.to_str().expect("UTF-8")];
    all.extend(arguments);
    run(&all)
}

/// Standard output of a command that must succeed.
#[track_caller]
pub fn good(folder: &VenueFolder, arguments: &[&str]) -> String {
    let output = admin(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
pub fn json(folder: &VenueFolder, arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_str(&good(folder, &all)).expect("JSON")
}

#[track_caller]
pub fn bad(folder: &VenueFolder, arguments: &[&str], code: i32, names: &str) {
    let output = admin(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(names), "{error} should name {names:?}");
}

#[test]
fn an_operator_looks_at_a_running_venue() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    for user_ref in 1..=70 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    let status = json(folder, &["show", "status"]);
    assert_eq!(status["pid"], venue.id());
    assert_eq!(status["open_orders"], 70);
    assert_eq!(status["sessions_connected"], 1);
    assert_eq!(status["instruments"], 3);
    assert_eq!(status["day"]["open"], true);
    let book = json(folder, &["show", "book", "AAPL"]);
    assert_eq!(book["bids"][0]["price"], 10_000);
    assert_eq!(book["bids"][0]["quantity"], 7_000);
    assert_eq!(book["bids"][0]["orders"], 70);
    assert_eq!(book["asks"], Value::Array(vec![]));
    // More orders than the engine shows at once, and than one request asks for here.
    let orders = json(folder, &["show", "orders", "1"]);
    let orders = orders["orders"].as_array().expect("orders");
    let refs: Vec<u64> = orders
        .iter()
        .map(|o| o["user_ref"].as_u64().expect("a number"))
        .collect();
    assert_eq!(refs, (1..=70).collect::<Vec<u64>>());
    let few = json(folder, &["show", "orders", "1", "--count", "33"]);
    assert_eq!(few["orders"].as_array().expect("orders").len(), 33);
    let sessions = json(folder, &["show", "sessions"]);
    assert_eq!(sessions.as_array().expect("sessions").len(), 4);
    assert_eq!(sessions[0]["user"], "T1");
    assert_eq!(sessions[0]["connected"], true);
    assert_eq!(sessions[1]["connected"], false);
    for view in [
        "day",
        "bounds",
        "counters",
        "firms",
        "instruments",
        "sessions",
        "status",
    ] {
        assert!(good(folder, &["show", view]).lines().count() > 1, "{view}");
    }
    assert!(good(folder, &["show", "book", "AAPL"]).contains("1.0000"));
    bad(folder, &["show", "book", "NONE"], 1, "NONE");
    bad(folder, &["show", "orders", "9"], 1, "session 9");
    bad(
        folder,
        &["show", "book", "AAPL", "--levels", "0"],
        2,
        "levels",
    );
    stop_in_order(venue);
    assert!(!socket(folder).exists(), "the socket goes with the node");
}

/// A page must go on behind the order where it stopped, even if that order has gone meanwhile.
#[test]
fn pages_of_orders_survive_cancels_between_them() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    for user_ref in 1..=50 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    let mut operator = AdminClient::connect(&socket(folder)).expect("a socket");
    let mut page = |after| -> lockstep_node::admin::protocol::OrdersView {
        let ask = ShowOrders {
            session: 1,
            after,
            count: 20,
        };
        operator
            .ask(Command::ShowOrders(ask), None)
            .expect("orders")
    };
    let first = page(None);
    assert_eq!(first.orders.len(), 20);
    // The one it stopped at goes, and so does the next.
    for user_ref in [20, 21] {
        client.message(&crate::raw::cancel(user_ref));
        client.hear_of(b'C', user_ref);
    }
    let second = page(first.next);
    let refs: Vec<u32> = second.orders.iter().map(|o| o.user_ref).collect();
    assert_eq!(refs, (22..=41).collect::<Vec<u32>>());
    let third = page(second.next);
    assert_eq!(third.orders.len(), 9);
    assert_eq!(third.next, None);
    stop_in_order(venue);
}

#[test]
fn a_halt_is_a_record_with_its_operator_and_clients_feel_it() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    let said = good(folder, &["--note", "news pending", "halt", "AAPL"]);
    assert!(said.starts_with("applied at sequence "), "{said}");
    client.message(&bid(1));
    let (_, reject) = client.hear_of(b'J', 1);
    assert_eq!(reject[13..15], [0, 0x07], "halted");
    let answer = json(folder, &["resume", "--all"]);
    let records = answer["records"].as_array().expect("records");
    assert_eq!(records.len(), 3, "every instrument");
    assert!(records.iter().all(|r| r["outcome"] == "applied"));
    client.message(&bid(2));
    client.hear_of(b'A', 2);
    bad(folder, &["halt", "NONE"], 1, "NONE");
    bad(folder, &["halt"], 2, "--all");
    stop_in_order(venue);
    // Who did it stands in the log, with why.
    let journal = folder.journal();
    let journal = journal.to_str().expect("UTF-8");
    let kind = ["--kind", "set_instrument_state"];
    let shown = run(&["journal", "inspect", journal, "--records", kind[0], kind[1]]);
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    assert_eq!(
        shown.lines().filter(|l| l.contains("uid ")).count(),
        4,
        "{shown}"
    );
    assert!(shown.contains("news pending"), "{shown}");
}

#[test]
fn the_operator_opens_and_closes_his_days_and_hears_why_not() {
    let (fixture, venue) = Fixture::serving(VenuePlan {
        more: format!("{LAYOUT}\n[day]\nopening = \"operator\"\n"),
        ..plan()
    });
    let folder = &fixture.folder;
    assert_eq!(json(folder, &["show", "day"])["open"], false);
    bad(folder, &["close-day"], 1, "1 were refused");
    assert!(good(folder, &["open-day"]).starts_with("applied"));
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    client.message(&bid(1));
    client.hear_of(b'A', 1);
    let again = admin(folder, &["open-day"]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stdout).expect("UTF-8");
    assert!(said.contains("a day is open"), "{said}");
    assert!(good(folder, &["close-day"]).starts_with("applied"));
    client.hear_of(b'C', 1);
    let reopened = admin(folder, &["open-day"]);
    let said = String::from_utf8(reopened.stdout).expect("UTF-8");
    assert!(
        said.contains("the date is not after the last day's"),
        "{said}"
    );
    stop_in_order(venue);
}

#[test]
fn a_kill_switch_cancels_and_blocks_until_it_is_released() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    for user_ref in 1..=3 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    good(folder, &["cancel-order", "1", "2"]);
    let (_, canceled) = client.hear_of(b'C', 2);
    assert_eq!(canceled.last(), Some(&b'S'), "supervisory: {canceled:?}");
    good(folder, &["kill", "--session", "1"]);
    client.hear_of(b'C', 1);
    client.hear_of(b'C', 3);
    client.message(&bid(4));
    client.hear_of(b'J', 4);
    witness.is_served();
    assert_eq!(json(folder, &["show", "sessions"])[0]["entry"], "killed");
    good(folder, &["enable", "--session", "1"]);
    client.message(&bid(5));
    client.hear_of(b'A', 5);
    good(
        folder,
        &["mass-cancel", "--symbol", "AAPL", "--session", "1"],
    );
    client.hear_of(b'C', 5);
    assert_eq!(
        json(folder, &["show", "status"])["open_orders"],
        1,
        "the witness's"
    );
    bad(folder, &["mass-cancel"], 2, "choose what to cancel");
    bad(folder, &["kill"], 2, "--venue");
    let nobody = admin(folder, &["cancel-order", "1", "77"]);
    let said = String::from_utf8(nobody.stdout).expect("UTF-8");
    assert!(said.contains("no such order is live"), "{said}");
    stop_in_order(venue);
}

fn more_definitions(folder: &VenueFolder) -> String {
    let text = std::fs::read_to_string(folder.config()).expect("read");
    let hash_line = text
        .lines()
        .find(|line| line.starts_with("password_argon2id"))
        .expect("a session")
        .to_owned();
    format!(
        "{text}\n[[firm]]\nid = 2\ncode = \"NEWF\"\n[[session]]\nid = 9\nuser = \"T9\"\nfirm = \"NEWF\"\n\
         {hash_line}\n[[instrument]]\nid = 9\nsymbol = \"NEWI\"\n"
    )
}

#[test]
fn a_reload_shows_the_difference_then_applies_it_and_the_new_user_logs_in() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    assert_eq!(good(folder, &["reload"]), "nothing differs\n");
    std::fs::write(folder.config(), more_definitions(folder)).expect("write");
    let shown = good(folder, &["reload", "--dry-run"]);
    let kinds: Vec<_> = shown
        .lines()
        .map(|line| line.split_whitespace().nth(1).expect("a kind"))
        .collect();
    assert_eq!(
        kinds,
        ["define_firm", "define_session", "define_instrument"]
    );
    assert!(shown.contains("symbol=NEWI"), "{shown}");
    assert_eq!(
        json(folder, &["show", "instruments"])
            .as_array()
            .expect("all")
            .len(),
        3
    );
    let applied = good(folder, &["reload", "--apply"]);
    assert_eq!(
        applied.matches("applied at sequence").count(),
        3,
        "{applied}"
    );
    let mut operator = AdminClient::connect(&socket(folder)).expect("a socket");
    let all: Vec<InstrumentView> = operator.ask(Command::ShowInstruments, None).expect("all");
    assert_eq!(all.last().map(|i| i.symbol.as_str()), Some("NEWI"));
    let mut client = Raw::logged_in(venue.address, folder, 9, 1);
    client.message(&bid(1));
    client.hear_of(b'A', 1);
    witness.is_served();
    // A file that is wrong changes nothing.
    std::fs::write(folder.config(), "speed = 1").expect("write");
    let path = socket(folder);
    let output = run(&[
        "admin",
        "--socket",
        path.to_str().expect("UTF-8"),
        "reload",
        "--apply",
    ]);
    assert_eq!(output.status.code(), Some(10));
    witness.is_served();
    stop_in_order(venue);
}

#[test]
fn sighup_is_a_reload() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    std::fs::write(folder.config(), more_definitions(folder)).expect("write");
    let hung_up = std::process::Command::new("kill")
        .args(["-HUP", &venue.id().to_string()])
        .status();
    if !hung_up.is_ok_and(|status| status.success()) {
        println!("SKIP: no kill command here");
        return;
    }
    wait_until("the reload", || {
        json(folder, &["show", "instruments"])
            .as_array()
            .expect("all")
            .len()
            == 4
    });
    drop(Raw::logged_in(venue.address, folder, 9, 1));
    stop_in_order(venue);
}

#[test]
fn without_a_node_the_client_says_what_is_missing() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    good(folder, &["show", "day"]);
    venue.kill().expect("an end");
    bad(folder, &["show", "day"], 24, "nobody listens");
    std::fs::remove_file(socket(folder)).expect("it was left behind");
    bad(folder, &["show", "day"], 24, "no socket");
    assert_eq!(run(&["admin", "show", "day"]).status.code(), Some(2));
    // A socket that a killed node left behind is in nobody's way.
    let venue = fixture.start();
    good(folder, &["show", "day"]);
    venue.kill().expect("an end");
    let venue = fixture.start();
    good(folder, &["show", "day"]);
    stop_in_order(venue);
}

#[test]
fn roles_are_the_kernel_s_word() {
    let probe = std::process::Command::new("true").uid(65_534).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("SKIP: only root may run a process as another user");
        return;
    }
    let open = tempfile::tempdir().expect("folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(open.path(), mode).expect("permissions");
    let path = open.path().join("venue.sock");
    let path = path.to_str().expect("UTF-8");
    let admin_section = |more: &str| format!("{LAYOUT}\n[admin]\nsocket = \"{path}\"\n{more}\n");
    let stranger = |arguments: &[&str]| {
        let mut all = vec!["admin", "--socket", path];
        all.extend(arguments);
        std::process::Command::new(binary())
            .args(all)
            .uid(65_534)
            .gid(65_534)
            .output()
    };
    let (mut fixture, venue) = Fixture::serving(VenuePlan {
        more: admin_section(""),
        ..plan()
    });
    let Ok(refused) = stranger(&["show", "day"]) else {
        println!("SKIP: another user may not run the binary where it stands");
        return;
    };
    assert_eq!(refused.status.code(), Some(25), "nobody but the owner");
    stop_in_order(venue);
    fixture.folder.plan.more = admin_section("view_gids = [65534]");
    fixture.folder.write_config().expect("write");
    let venue = fixture.start();
    let looked = stranger(&["show", "day"]).expect("a process");
    assert_eq!(looked.status.code(), Some(0));
    let dry = stranger(&["reload"]).expect("a process");
    assert_eq!(
        dry.status.code(),
        Some(0),
        "showing a difference is looking"
    );
    for command in [
        &["halt", "--all"][..],
        &["close-day"],
        &["reload", "--apply"],
    ] {
        let refused = stranger(command).expect("a process");
        assert_eq!(refused.status.code(), Some(25), "{command:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("user 65534 may not"), "{said}");
    }
    assert_eq!(json(&fixture.folder, &["show", "day"])["open"], true);
    stop_in_order(venue);
}

/// Whatever comes over the socket costs its sender his connection at most.
#[test]
fn garbage_on_the_admin_socket_harms_nobody() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    let path = socket(folder);
    let cases: [&[u8]; 6] = [
        &[0xFF; 64],
        &[4, 0, 0, 0, b'n', b'u', b'l', b'l'],
        &[0, 0, 0, 0],
        &[2, 0, 0, 0, 0xC3, 0x28],
        &[9, 0],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for case in cases {
        let mut stream = UnixStream::connect(&path).expect("connect");
        stream.write_all(case).expect("write");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("shutdown");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.windows(9).any(|w| w == b"malformed"),
            "{case:?}"
        );
        witness.is_served();
    }
    // More silent connections than are served at once, and one that asks without ever reading.
    let silent: Vec<_> = (0..12)
        .map(|_| UnixStream::connect(&path).expect("connect"))
        .collect();
    witness.is_served();
    drop(silent);
    let mut greedy = UnixStream::connect(&path).expect("connect");
    greedy.set_nonblocking(true).expect("option");
    let request = br#"{"version":0,"command":"show_counters"}"#;
    let frame = [&(request.len() as u32).to_le_bytes()[..], request].concat();
    for _ in 0..20_000 {
        if greedy.write(&frame).is_err() {
            break;
        }
    }
    good(folder, &["show", "day"]);
    witness.is_served();
    stop_in_order(venue);
}
