//! A small journal and its snapshot of this format, as a build once wrote them: opened, verified, replayed and
//! hashed for ever.
//!
//! While the format is version 0 it may change; then, and only then, make the files anew and say so in the
//! changelog:
//!
//! ```sh
//! cargo test -p lockstep --test golden -- --ignored regenerate
//! ```
//!
//! From version 1 on the files of a version are never made again: a new version gets a folder of its own.

#[path = "journal_tools/busy.rs"]
#[allow(dead_code)]
mod busy;
#[path = "journal_tools/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use busy::Busy;
use fixture::{Made, begin_with, hex, run_tool};
use lockstep_record::event::NullSink;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const REGENERATE: &str = "if the format or the state changed on purpose: \
    cargo test -p lockstep --test golden -- --ignored regenerate";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/version-0")
}

fn tool(directory: &Path, arguments: &[&str]) -> Value {
    let ran = run_tool(directory, arguments);
    assert_eq!(
        ran.code, 0,
        "{arguments:?}: {} {}\n{REGENERATE}",
        ran.out, ran.err
    );
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

/// Nothing is done in the folder that is checked in: not even a lock file may appear there.
fn copy_of_golden() -> TempDir {
    let directory = TempDir::new().unwrap();
    let journal = directory.path().join("journal");
    fs::create_dir(&journal).unwrap();
    for entry in fs::read_dir(golden().join("journal")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), journal.join(entry.file_name())).unwrap();
    }
    directory
}

/// What must come out, whoever reads it.
fn facts(directory: &Path) -> Value {
    let replayed = tool(
        directory,
        &["journal", "replay", "{dir}", "--json", "--streams"],
    );
    let snapshots = tool(directory, &["snapshot", "list", "{dir}", "--json"]);
    let snapshot = &snapshots["snapshots"][0];
    json!({
        "batches": replayed["batches"],
        "records": replayed["records"],
        "digests_compared": replayed["digests_compared"],
        "digest": replayed["digest"],
        "state_hash": replayed["state_hash"],
        "open_orders": replayed["open_orders"],
        "streams": replayed["streams"],
        "snapshot_index": snapshot["index"],
        "snapshot_state_hash": snapshot["state_hash"],
    })
}

#[test]
fn the_golden_journal_leads_to_what_it_led_to() {
    let directory = copy_of_golden();
    let text = fs::read_to_string(golden().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let found = facts(directory.path());
    assert!(expected["records"].as_u64().unwrap() > 300);
    assert!(expected["digests_compared"].as_u64().unwrap() > 30);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[name], value, "{name}: {REGENERATE}");
    }
    // Its checksums, its chain, and its snapshot against the replay.
    let verified = tool(
        directory.path(),
        &["journal", "verify", "{dir}", "--replay", "--json"],
    );
    assert_eq!(
        (&verified["outcome"], &verified["snapshots"]),
        (&"clean_stop".into(), &1.into())
    );
    assert_eq!(
        verified["findings"].as_array().unwrap().len(),
        0,
        "{verified}"
    );
    tool(
        directory.path(),
        &["snapshot", "verify", "{dir}", "--replay", "--json"],
    );
}

/// A replay from the snapshot comes to the same end as one from the begin.
#[test]
fn the_golden_snapshot_continues_where_the_journal_does() {
    let directory = copy_of_golden();
    let whole = tool(directory.path(), &["journal", "replay", "{dir}", "--json"]);
    let snapshots = tool(directory.path(), &["snapshot", "list", "{dir}", "--json"]);
    let index = snapshots["snapshots"][0]["index"].to_string();
    let arguments = [
        "journal",
        "replay",
        "{dir}",
        "--json",
        "--from-snapshot",
        &index,
    ];
    let behind = tool(directory.path(), &arguments);
    assert!(behind["batches"].as_u64() < whole["batches"].as_u64());
    assert_eq!(behind["state_hash"], whole["state_hash"]);
    assert_eq!(behind["digest"], whole["digest"]);
}

/// A build of this version must not touch what a newer one wrote, and must say which it needs.
#[test]
fn a_newer_format_is_refused_by_name() {
    use lockstep_journal::Checksum;
    const CHECKSUM: usize = 112;
    for (name, code, commands) in [
        ("journal.meta", 17, &["verify", "replay", "inspect"][..]),
        ("0000000000000000.segment", 1, &["verify"][..]),
    ] {
        let directory = copy_of_golden();
        fixture::patch(&directory.path().join("journal").join(name), |bytes| {
            bytes[8..10].copy_from_slice(&1u16.to_le_bytes());
            let checksum = Checksum::of_without_field(&bytes[..4096], CHECKSUM);
            bytes[CHECKSUM..CHECKSUM + 16].copy_from_slice(&checksum.0);
        });
        for command in commands {
            let ran = run_tool(directory.path(), &["journal", command, "{dir}"]);
            assert!(
                [code, 17].contains(&ran.code),
                "{name} {command}: {}",
                ran.err
            );
            let said = ran.out + &ran.err;
            assert!(said.contains("version 1"), "{name} {command}: {said}");
        }
    }
}

/// Writes the golden files anew: one and a half days with a snapshot in the second, stopped in order.
#[test]
#[ignore = "changes files that are checked in"]
fn regenerate() {
    let made = make();
    let target = golden();
    let _ = fs::remove_dir_all(&target);
    let journal = target.join("journal");
    fs::create_dir_all(&journal).unwrap();
    for entry in fs::read_dir(made.journal()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".lock") && !name.ends_with(".preparing") {
            fs::copy(entry.path(), journal.join(name)).unwrap();
        }
    }
    let expected = serde_json::to_string_pretty(&facts(made.directory.path())).unwrap();
    fs::write(target.join("expected.json"), expected + "\n").unwrap();
}

fn make() -> Made {
    let mut making = begin_with(8 << 10, &mut NullSink);
    let mut busy = Busy::new(1);
    busy.batches(&mut making, 20, &mut NullSink);
    busy.next_day(&mut making, &mut NullSink);
    busy.batches(&mut making, 10, &mut NullSink);
    making.builder.drain().unwrap();
    let arguments = [
        "snapshot",
        "take",
        "{dir}",
        "--json",
        "--log-buffer",
        "{log}",
    ];
    tool(making.directory.path(), &arguments);
    busy.batches(&mut making, 10, &mut NullSink);
    let hash = hex(&making.builder.machine.state_hash());
    let made = making.stop();
    assert_ne!(
        hex(&made.machine.state_hash()),
        hash,
        "the clean stop has a place in the state"
    );
    made
}
