//! `journal verify` on journals that are whole, and on folders that are none.

use crate::fixture::{begin, fingerprint, killed, patch, run_on, stopped};
use lockstep_journal::Checksum;
use lockstep_record::event::NullSink;
use serde_json::Value;
use std::fs;

#[test]
fn a_whole_journal_is_clean_and_not_touched() {
    let made = stopped();
    let before = fingerprint(&made.journal());
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--replay"]);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen["outcome"], "clean_stop");
    assert_eq!(seen["damage"], 0);
    assert_eq!(seen["findings"], Value::Array(vec![]));
    assert_eq!(seen["records"], made.machine.last_sequence().0);
    assert_eq!(seen["last_index"], made.machine.last_index().0);
    assert!(seen["digests_compared"].as_u64().unwrap() > 50);
    assert_eq!(fingerprint(&made.journal()), before);
    assert_eq!(made.run(&["verify", "{dir}"]).code, 0);
}

#[test]
fn a_killed_journal_is_clean_with_and_without_its_log_buffer() {
    let made = killed();
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--log-buffer", "{log}"]);
    assert_eq!(
        (code, seen["outcome"].as_str()),
        (0, Some("open")),
        "{seen}"
    );
    assert_eq!(seen["findings"], Value::Array(vec![]));
    // Without it: nothing is damaged, but the operator is told what is missing.
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen["findings"][0]["row"], "R15");
}

#[test]
fn a_running_node_is_verified_up_to_what_is_published() {
    let mut making = begin(&mut NullSink);
    making.batches(25, &mut NullSink);
    making.builder.drain().unwrap();
    making.batches(6, &mut NullSink);
    let arguments = [
        "verify",
        "{dir}",
        "--json",
        "--replay",
        "--log-buffer",
        "{log}",
    ];
    let ran = run_on(making.directory.path(), &arguments);
    let seen: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, seen["outcome"].as_str()),
        (0, Some("live")),
        "{seen}"
    );
    assert_eq!(seen["last_index"], making.builder.machine.last_index().0);
    assert_eq!(seen["records"], making.builder.machine.last_sequence().0);
    // What it says is on disk and is not is damage, running or not.
    let segment = making.builder.folder().join("0000000000000000.segment");
    patch(&segment, |file| file[4096 + 900] ^= 1);
    let ran = run_on(making.directory.path(), &arguments);
    let seen: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, 1, "{seen}");
    assert_eq!(seen["findings"][0]["segment"], 0);
}

#[test]
fn what_is_no_journal_is_refused_with_its_own_code() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["inspect", "verify", "replay"] {
        let ran = run_on(empty.path(), &[command, "{dir}"]);
        assert_eq!(ran.code, 11, "{command}: {}", ran.err);
        let ran = run_on(empty.path(), &[command, "/nowhere/at/all"]);
        assert_eq!(ran.code, 11, "{command}: {}", ran.err);
    }
    let made = stopped();
    let ran = made.run(&["verify", "{dir}", "--log-buffer", "/nowhere/buffer"]);
    assert_eq!(ran.code, 11, "{}", ran.err);
}

/// A file of a newer format is told from a damaged one: its checksum holds.
#[test]
fn a_newer_format_has_its_own_code() {
    let newer = |bytes: &mut Vec<u8>| {
        bytes[8] = 9;
        let checksum = Checksum::of_without_field(&bytes[..4096], 112);
        bytes[112..128].copy_from_slice(&checksum.0);
    };
    for name in ["journal.meta", "hard.state"] {
        let made = stopped();
        patch(&made.journal().join(name), newer);
        for command in ["inspect", "verify", "replay"] {
            let ran = made.run(&[command, "{dir}"]);
            assert_eq!(ran.code, 17, "{name} {command}: {}", ran.err);
            assert!(ran.err.contains("newer"), "{}", ran.err);
        }
    }
}

/// Files of segment names with anything in them: an outcome, never a crash.
#[test]
fn garbage_is_an_outcome() {
    let mut random = lockstep_bench::random::Random::new(9);
    for length in [0, 1, 4095, 4096, 5000, 70_000] {
        let made = stopped();
        let garbage: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        for name in [
            "journal.meta",
            "hard.state",
            "0000000000000001.segment",
            "99999999999999999999.segment",
        ] {
            fs::write(made.journal().join(name), &garbage).unwrap();
        }
        fs::write(made.log_buffer(), &garbage).unwrap();
        for (command, expected) in [("inspect", 0), ("verify", 1), ("replay", 18)] {
            let ran = made.run(&[command, "{dir}", "--json", "--log-buffer", "{log}"]);
            assert_eq!(ran.code, expected, "{command} {length}: {}", ran.err);
        }
    }
}
