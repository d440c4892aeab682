//! `snapshot …`, `journal archive | restore`, and every journal command on a log whose begin was trimmed.

use crate::busy::{Busy, SECOND_DAY};
use crate::fixture::{Lies, Made, begin, fingerprint, hex, run_tool};
use lockstep_record::event::NullSink;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn tool(directory: &Path, arguments: &[&str]) -> (i32, Value) {
    let ran = run_tool(directory, arguments);
    let value = serde_json::from_str(&ran.out);
    (
        ran.code,
        value.unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err)),
    )
}

/// Two days of several segments with a snapshot in the first, taken beside the running log, and one at the end.
fn two_snapshots() -> Made {
    let mut making = begin(&mut NullSink);
    let mut busy = Busy::new(21);
    busy.batches(&mut making, 120, &mut NullSink);
    making.builder.drain().unwrap();
    let arguments = [
        "snapshot",
        "take",
        "{dir}",
        "--json",
        "--log-buffer",
        "{log}",
    ];
    let (code, seen) = tool(making.directory.path(), &arguments);
    assert_eq!(code, 0);
    let machine = &making.builder.machine;
    assert_eq!(seen["taken"]["state_hash"], hex(&machine.state_hash()));
    assert_eq!(seen["taken"]["sequence"], machine.last_sequence().0);
    busy.next_day(&mut making, &mut NullSink);
    busy.batches(&mut making, 120, &mut NullSink);
    let made = making.stop();
    let (code, seen) = tool(
        made.directory.path(),
        &["snapshot", "take", "{dir}", "--json"],
    );
    assert_eq!(code, 0);
    assert_eq!(seen["taken"]["state_hash"], hex(&made.machine.state_hash()));
    // There is nothing newer to take.
    let (code, seen) = tool(
        made.directory.path(),
        &["snapshot", "take", "{dir}", "--json"],
    );
    assert_eq!((code, &seen["taken"]), (0, &Value::Null));
    made
}

fn snapshot_indices(made: &Made) -> Vec<u64> {
    let (code, seen) = tool(
        made.directory.path(),
        &["snapshot", "list", "{dir}", "--json"],
    );
    assert_eq!(code, 0);
    let rows = seen["snapshots"].as_array().unwrap().iter();
    rows.map(|row| row["index"].as_u64().unwrap()).collect()
}

#[test]
fn snapshots_are_listed_shown_and_verified() {
    let made = two_snapshots();
    let folder = made.directory.path();
    let indices = snapshot_indices(&made);
    assert_eq!(indices.len(), 2);
    let (code, seen) = tool(
        folder,
        &["snapshot", "verify", "{dir}", "--json", "--replay"],
    );
    assert_eq!((code, &seen["bad"]), (0, &0.into()), "{seen}");
    let (code, seen) = tool(folder, &["snapshot", "show", "{dir}", "--json"]);
    assert_eq!((code, &seen["index"]), (0, &indices[1].into()));
    assert_eq!(seen["open_orders"], made.machine.open_order_count());
    let first = indices[0].to_string();
    let shown = run_tool(folder, &["snapshot", "show", "{dir}", "--index", &first]);
    assert!(
        shown.code == 0 && shown.out.contains("state_hash"),
        "{}",
        shown.out
    );
    let absent = run_tool(folder, &["snapshot", "show", "{dir}", "--index", "7"]);
    assert_eq!(absent.code, 1);
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    assert_eq!((code, &seen["snapshots"]), (0, &2.into()));
    // One bit, somewhere in the state.
    let path = made.journal().join(format!("{:016}.snapshot", indices[1]));
    crate::fixture::patch(&path, |bytes| {
        let at = bytes.len() / 2 / 4096 * 4096;
        bytes[at] ^= 1;
    });
    let (code, seen) = tool(folder, &["snapshot", "verify", "{dir}", "--json"]);
    assert_eq!((code, &seen["bad"]), (1, &1.into()), "{seen}");
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    assert_eq!(code, 1);
    let finding = &seen["findings"][0];
    assert_eq!(
        (&finding["kind"], &finding["index"]),
        (&"snapshot".into(), &indices[1].into())
    );
}

/// Segment files and their content.
fn segments(made: &Made) -> BTreeMap<String, Vec<u8>> {
    let files = fingerprint(&made.journal()).into_iter();
    let files = files.filter(|(name, ..)| name.ends_with(".segment"));
    files.map(|(name, bytes, _)| (name, bytes)).collect()
}

fn itch_of_the_second_day(made: &Made) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let day = SECOND_DAY.to_string();
    let ran = made.run(&[
        "export", "{dir}", "--format", "itch", "--day", &day, "--out", out,
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    fs::read(folder.path().join("20260103.itch")).unwrap()
}

/// What was trimmed behind a snapshot is in the archive; every command works on what is left, and says the
/// same; and everything comes back byte for byte.
#[test]
fn a_trimmed_log_says_the_same_and_comes_back_whole() {
    let made = two_snapshots();
    let before = segments(&made);
    let (hash, feed) = (
        hex(&made.machine.state_hash()),
        itch_of_the_second_day(&made),
    );
    let archive = TempDir::new().unwrap();
    let to = archive.path().to_str().unwrap();
    let arguments = [
        "archive", "{dir}", "--to", to, "--trim", "--keep", "1", "--json",
    ];
    let (code, seen) = made.json(&arguments);
    assert_eq!(code, 0, "{seen}");
    let trimmed = seen["trimmed"].as_array().unwrap().len();
    assert!(trimmed > 0, "{seen}");
    let left = segments(&made);
    assert_eq!(left.len() + trimmed, before.len());
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--replay"]);
    assert_eq!(
        (code, &seen["outcome"]),
        (0, &"clean_stop".into()),
        "{seen}"
    );
    assert_eq!(seen["findings"].as_array().unwrap().len(), 0, "{seen}");
    let (code, seen) = made.json(&["replay", "{dir}", "--json"]);
    assert_eq!((code, &seen["state_hash"]), (0, &hash.as_str().into()));
    assert!(
        itch_of_the_second_day(&made) == feed,
        "the feed is another than before"
    );
    let (code, seen) = made.json(&["inspect", "{dir}", "--json"]);
    assert_eq!(
        (code, seen["missing_segments"].as_array().unwrap().len()),
        (0, 0)
    );
    // What is asked for lies before the log that is there.
    assert_eq!(made.run(&["replay", "{dir}", "--until", "30"]).code, 18);
    let (code, seen) = made.json(&["restore", "{dir}", "--from", to, "--json"]);
    assert_eq!(
        (code, seen["restored"].as_array().unwrap().len()),
        (0, trimmed)
    );
    assert!(segments(&made) == before, "not byte for byte");
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--until", "30"]);
    assert_eq!((code, &seen["sequence"]), (0, &30.into()));
}

/// A damaged segment is named, replaced from the archive, and kept.
#[test]
fn a_damaged_segment_is_replaced_from_the_archive() {
    let made = two_snapshots();
    let archive = TempDir::new().unwrap();
    let to = archive.path().to_str().unwrap();
    let copy = ["archive", "{dir}", "--to", to, "--json"];
    let (code, seen) = made.json(&copy);
    assert!(code == 0 && seen["added"].as_u64().unwrap() > 3, "{seen}");
    assert_eq!(
        made.json(&copy).1["added"],
        0,
        "a second time there is nothing to do"
    );
    let bad: Lies = made.batches()[40];
    made.patch(bad.segment, |file| file[bad.offset as usize + 200] ^= 4);
    // A start begins behind the newest snapshot and does not look; verify does.
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    assert_eq!(
        (code, &seen["outcome"]),
        (1, &"clean_stop".into()),
        "{seen}"
    );
    let replay = made.run(&["replay", "{dir}"]);
    assert_eq!(replay.code, 18, "{}", replay.err);
    let newest = snapshot_indices(&made)[1].to_string();
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--from-snapshot", &newest]);
    assert_eq!(
        (code, &seen["state_hash"]),
        (0, &hex(&made.machine.state_hash()).into())
    );
    assert_eq!(made.run(&copy).code, 1, "damage must not be archived");
    let number = bad.segment.to_string();
    let restore = ["restore", "{dir}", "--from", to, "--segment", &number];
    assert_eq!(
        made.run(&restore).code,
        1,
        "what is there is not replaced unasked"
    );
    let mut replace = restore.to_vec();
    replace.push("--replace");
    let ran = made.run(&replace);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        made.segment(bad.segment)
            .with_extension("segment.replaced")
            .exists()
    );
    assert_eq!(made.run(&["verify", "{dir}", "--replay"]).code, 0);
}

/// `journal.meta` and `hard.state` are gone, and a segment: a start refuses; what the folder was is known from
/// the segments that are left or archived, and the operator may have both made anew.
#[test]
fn a_folder_without_meta_and_hard_state_is_made_whole() {
    let made = two_snapshots();
    let archive = TempDir::new().unwrap();
    let to = archive.path().to_str().unwrap();
    assert_eq!(made.run(&["archive", "{dir}", "--to", to]).code, 0);
    let before = segments(&made);
    let (meta, hard_state) = (
        made.journal().join("journal.meta"),
        made.journal().join("hard.state"),
    );
    for file in [&meta, &hard_state, &made.segment(1)] {
        fs::remove_file(file).unwrap();
    }
    let restore = ["restore", "{dir}", "--from", to, "--json"];
    assert_eq!(made.run(&restore).code, 11, "not unasked");
    let remake = [&restore[..], &["--remake"]].concat();
    let (code, seen) = made.json(&remake);
    let names = serde_json::json!(["hard.state", "journal.meta"]);
    assert_eq!((code, &seen["made"]), (0, &names), "{seen}");
    assert!(segments(&made) == before, "not byte for byte");
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--replay"]);
    assert_eq!(
        (code, &seen["outcome"]),
        (0, &"clean_stop".into()),
        "{seen}"
    );
    let (code, seen) = made.json(&["replay", "{dir}", "--json"]);
    let hash = hex(&made.machine.state_hash());
    assert_eq!((code, &seen["state_hash"]), (0, &hash.into()));
    // Damaged ones are kept beside the new ones; whole ones stay.
    for file in [&meta, &hard_state] {
        fs::write(file, [7; 8192]).unwrap();
    }
    let (code, seen) = made.json(&remake);
    assert_eq!((code, &seen["made"]), (0, &names), "{seen}");
    assert_eq!(
        fs::read(meta.with_extension("meta.replaced")).unwrap(),
        [7; 8192]
    );
    assert_eq!(
        fs::read(hard_state.with_extension("state.replaced")).unwrap(),
        [7; 8192]
    );
    let (code, seen) = made.json(&remake);
    assert_eq!((code, &seen["made"]), (0, &serde_json::json!([])), "{seen}");
    // A machine that has nothing but the archive.
    let other = TempDir::new().unwrap();
    let (code, seen) = tool(
        other.path(),
        &[
            "journal", "restore", "{dir}", "--from", to, "--remake", "--json",
        ],
    );
    assert_eq!((code, &seen["made"]), (0, &names), "{seen}");
    let restored = fingerprint(&other.path().join("journal")).into_iter();
    let restored: BTreeMap<_, _> = restored.map(|(name, bytes, _)| (name, bytes)).collect();
    let back = restored
        .iter()
        .filter(|(name, _)| name.ends_with(".segment"));
    // Behind the one in use there may be one that was made ahead.
    let is_used = |bytes: &&Vec<u8>| bytes[4096..].iter().any(|byte| *byte != 0);
    assert!(
        back.clone().count() + 1 >= before.values().filter(is_used).count(),
        "all but the one that was in use"
    );
    assert!(back.clone().all(|(name, bytes)| before[name] == *bytes));
    let until = ["journal", "replay", "{dir}", "--until", "500", "--json"];
    let (there, here) = (
        tool(made.directory.path(), &until),
        tool(other.path(), &until),
    );
    assert_eq!(
        (there.0, &there.1["state_hash"]),
        (here.0, &here.1["state_hash"])
    );
}
