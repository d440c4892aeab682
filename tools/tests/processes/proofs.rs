//! Snapshots and seals that a running node makes, as an operator asks for them and an auditor checks them.

use crate::common::{Fixture, LAYOUT, plan, run, stop_in_order, wait_until};
use crate::raw::{Raw, bid, cancel, packet};
use crate::venue::{VenueFolder, VenuePlan};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const SNAPSHOTS: &str = "[[thread]]\nidle = \"park\"\nagents = [\"snapshot\"]";

fn data(folder: &VenueFolder) -> String {
    folder.data().to_str().expect("UTF-8").to_owned()
}

/// `snapshot take`, of which the JSON is returned.
fn take(folder: &VenueFolder, more: &[&str]) -> (i32, Value, String) {
    let (data, log_buffer) = (data(folder), folder.log_buffer());
    let log_buffer = log_buffer.to_str().expect("UTF-8");
    let mut arguments = vec![
        "snapshot",
        "take",
        &data,
        "--json",
        "--log-buffer",
        log_buffer,
    ];
    arguments.extend(more);
    let output = run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let taken = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), taken, said)
}

/// Orders, each cancelled, `from` being the first number.
fn trade(client: &mut Raw, from: u32, count: u32) {
    for user_ref in from..from + count {
        client.send(&packet(&bid(user_ref)));
        client.send(&packet(&cancel(user_ref)));
        client.hear_of(b'C', user_ref);
    }
}

/// Orders of more than a segment of 2 MiB.
const ORDERS: u32 = 22_000;

/// The same for [`ORDERS`] orders, many at a time.
fn fill(client: &mut Raw, from: u32) {
    const BURST: u32 = 200;
    for first in (from..from + ORDERS).step_by(BURST as usize) {
        let mut bytes = Vec::new();
        for user_ref in first..first + BURST {
            bytes.extend(packet(&bid(user_ref)));
            bytes.extend(packet(&cancel(user_ref)));
        }
        client.send(&bytes);
        client.hear_of(b'C', first + BURST - 1);
    }
}

/// The node's own agent takes it, of the moment it was asked, and what it took holds against the log.
#[test]
fn a_snapshot_is_taken_by_the_running_node_when_asked() {
    let (fixture, venue) = Fixture::serving(VenuePlan {
        more: format!("{LAYOUT}\n{SNAPSHOTS}\n"),
        ..plan()
    });
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    trade(&mut client, 1, 20);
    let (code, first, said) = take(folder, &[]);
    assert_eq!((code, &first["by"]), (0, &"node".into()), "{first} {said}");
    trade(&mut client, 21, 20);
    let (code, second, said) = take(folder, &[]);
    assert_eq!(
        (code, &second["by"]),
        (0, &"node".into()),
        "{second} {said}"
    );
    let sequence = |seen: &Value| seen["taken"]["sequence"].as_u64().expect("a snapshot");
    assert!(
        sequence(&second) >= sequence(&first) + 40,
        "{first} {second}"
    );
    // Another process can as well, with the same result; it is the newest already.
    let (code, third, said) = take(folder, &["--here"]);
    assert_eq!((code, &third["by"]), (0, &"this process".into()), "{said}");
    client.message(&bid(41));
    client.hear_of(b'A', 41);
    stop_in_order(venue);
    let verified = run(&["snapshot", "verify", &data(folder), "--replay"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    // The next start begins there.
    let venue = fixture.start();
    stop_in_order(venue);
}

/// Without the agent this process takes it; a socket that was named must answer.
#[test]
fn without_an_agent_a_snapshot_is_taken_beside_the_node() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    trade(&mut client, 1, 5);
    let socket = folder.data().join("admin.sock");
    let socket = socket.to_str().expect("UTF-8");
    let (code, _, said) = take(folder, &["--socket", socket]);
    assert_eq!(code, 1);
    assert!(said.contains("agent `snapshot`"), "{said}");
    let (code, seen, said) = take(folder, &[]);
    assert_eq!((code, &seen["by"]), (0, &"this process".into()), "{said}");
    assert!(seen["taken"]["sequence"].as_u64() > Some(10), "{seen}");
    stop_in_order(venue);
    let verified = run(&["snapshot", "verify", &data(folder), "--replay"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

struct Sealed {
    fixture: Fixture,
    key: PathBuf,
    wrong_key: PathBuf,
    /// As a node's operator keeps it elsewhere.
    anchors: PathBuf,
}

impl Sealed {
    /// `journal verify` with these of key and anchors; exit code and report.
    fn verify(&self, key: Option<&PathBuf>, anchored: bool) -> (i32, Value) {
        let data = data(&self.fixture.folder);
        let mut arguments = vec!["journal", "verify", &data, "--json"];
        if let Some(key) = key {
            arguments.extend(["--key", key.to_str().expect("UTF-8")]);
        }
        if anchored {
            arguments.extend(["--anchors", self.anchors.to_str().expect("UTF-8")]);
        }
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let seen = serde_json::from_slice(&output.stdout);
        let seen = seen.unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.code().unwrap_or(-1), seen)
    }

    fn seal_files(&self) -> PathBuf {
        self.fixture.folder.journal().join("segments.seals")
    }
}

fn seals(seen: &Value) -> u64 {
    let all = seen["seals"].as_array().expect("seals").iter();
    let of_segments = all.filter(|chain| chain["kind"] == "segment");
    of_segments
        .map(|chain| chain["count"].as_u64().expect("a count"))
        .sum()
}

/// A venue with small segments that has sealed some, its anchors kept, and more sealed behind them; stopped.
fn sealed() -> Sealed {
    let fixture = Fixture::new(VenuePlan {
        more: format!("{LAYOUT}\n[seal]\nenabled = true\nkey_file = \"seal.key\"\n"),
        segment_bytes: 2 << 20,
        ..plan()
    });
    let folder = fixture.folder.path.clone();
    let (key, wrong_key) = (folder.join("seal.key"), folder.join("wrong.key"));
    fs::write(&key, b"sixteen bytes and a few more").expect("key");
    fs::write(&wrong_key, b"another key of sixteen bytes").expect("key");
    crate::venue::format(crate::common::binary(), &fixture.folder).expect("format");
    let sealed = Sealed {
        fixture,
        key,
        wrong_key,
        anchors: folder.join("anchors"),
    };
    let venue = sealed.fixture.start();
    let mut client = Raw::logged_in(venue.address, &sealed.fixture.folder, 1, 1);
    fill(&mut client, 1);
    fill(&mut client, 1 + ORDERS);
    let mut seen = Value::Null;
    wait_until("two seals of a running node", || {
        (_, seen) = sealed.verify(Some(&sealed.key), false);
        seals(&seen) >= 2
    });
    let chains = seen["seals"].as_array().expect("seals");
    let of_segments = chains.iter().find(|chain| chain["kind"] == "segment");
    let last = of_segments.expect("a chain")["last"]
        .as_str()
        .expect("a line")
        .to_owned();
    fs::write(&sealed.anchors, format!("{last}\n")).expect("anchors");
    let before = seals(&seen);
    fill(&mut client, 1 + 2 * ORDERS);
    wait_until("more seals", || {
        seals(&sealed.verify(None, false).1) > before
    });
    stop_in_order(venue);
    sealed
}

/// A running node's seals hold with their key and with what was noted of them earlier, and not with another
/// key; what no checksum covers is still proven by them.
#[test]
fn seals_of_a_node_prove_its_journal_to_who_has_key_and_anchors() {
    let sealed = sealed();
    let (code, seen) = sealed.verify(Some(&sealed.key), true);
    assert_eq!(
        (code, &seen["findings"]),
        (0, &Value::Array(vec![])),
        "{seen}"
    );
    assert_eq!(sealed.verify(None, true).0, 0, "anchors need no key");
    let (code, seen) = sealed.verify(Some(&sealed.wrong_key), false);
    assert_eq!(code, 1, "{seen}");
    // A byte behind the last batch of the first segment: in no batch, so that every checksum holds.
    let segment = sealed
        .fixture
        .folder
        .journal()
        .join("0000000000000000.segment");
    let good = fs::read(&segment).expect("segment");
    let mut bytes = good.clone();
    let end = bytes.len() - 1;
    assert_eq!(bytes[end], 0, "a gap");
    bytes[end] = 1;
    fs::write(&segment, &bytes).expect("segment");
    let (code, seen) = sealed.verify(Some(&sealed.key), true);
    assert_eq!(code, 1, "{seen}");
    let all = seen["findings"].as_array().expect("findings");
    let found = all.iter().find(|finding| finding["kind"] == "seal");
    assert_eq!(found.expect("a seal's")["segment"], 0, "{seen}");
    fs::write(&segment, &good).expect("segment");
    assert_eq!(sealed.verify(Some(&sealed.key), true).0, 0);
}

/// Whoever takes the newest seals away, or all of them, is found out by an anchor, and by nothing else.
#[test]
fn seals_that_were_taken_away_are_missed_by_an_anchor() {
    let sealed = sealed();
    let path = sealed.seal_files();
    let good = fs::read(&path).expect("seals");
    fs::write(&path, &good[..256]).expect("seals");
    assert_eq!(sealed.verify(Some(&sealed.key), false).0, 0);
    let (code, seen) = sealed.verify(Some(&sealed.key), true);
    assert_eq!(code, 1, "{seen}");
    fs::remove_file(&path).expect("seals");
    assert_eq!(sealed.verify(Some(&sealed.key), true).0, 1);
    fs::write(&path, &good).expect("seals");
    assert_eq!(sealed.verify(Some(&sealed.key), true).0, 0);
    // A node that finds its seals short goes on where they end: the segments are still there to be sealed.
    fs::write(&path, &good[..256]).expect("seals");
    let venue = sealed.fixture.start();
    wait_until("all seals again", || {
        let again = fs::read(&path).expect("seals");
        again.len() >= good.len()
    });
    stop_in_order(venue);
    assert_eq!(sealed.verify(Some(&sealed.key), true).0, 0);
}
