//! `journal repair`: an explicit cut, what it keeps, and what it refuses.

use crate::fixture::{
    Lies, Made, begin, fingerprint, hex, killed, patch, run_on, run_tool, stopped,
};
use lockstep_record::event::NullSink;
use std::fs;
use std::path::Path;

/// Everything but who held the lock last.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fingerprint(folder).into_iter();
    let kept = files.filter(|(name, ..)| name != "journal.lock");
    kept.map(|(name, bytes, _)| (name, bytes)).collect()
}

/// A killed journal with a damaged batch in its middle, that a start refuses.
fn damaged() -> (Made, Lies) {
    let made = killed();
    let batches = made.batches();
    let bad = batches[batches.len() / 2];
    made.patch(bad.segment, |file| file[bad.offset as usize + 200] ^= 4);
    assert_eq!(made.json(&["verify", "{dir}", "--json"]).0, 1);
    (made, bad)
}

#[test]
fn a_refused_log_is_cut_where_the_operator_says_and_every_byte_is_kept() {
    let (made, bad) = damaged();
    let at = bad.header.first_sequence.to_string();
    let segment = fs::read(made.segment(bad.segment)).unwrap();
    let before = files(&made.journal());
    let arguments = ["repair", "{dir}", "--cut-at", &at, "--json"];
    let mut dry = arguments.to_vec();
    dry.push("--dry-run");
    let (code, seen) = made.json(&dry);
    assert_eq!((code, &seen["done"]), (0, &false.into()));
    assert!(
        files(&made.journal()) == before,
        "a dry run touched something"
    );
    let last = made.batches().last().map(|l| l.header.index);
    assert_eq!(last, Some(bad.header.index - 1));
    let (code, seen) = made.json(&arguments);
    assert_eq!((code, &seen["done"]), (0, &true.into()), "{seen}");
    assert_eq!(seen["last_sequence"], bad.header.first_sequence - 1);
    assert!(seen["cut_batches"].as_u64().unwrap() > 20, "{seen}");
    let kept = fs::read(seen["kept_in"].as_str().unwrap()).unwrap();
    let from = bad.offset as usize;
    assert_eq!(kept[..64], segment[from..from + 64]);
    // The journal is whole again and leads to the state before the damage.
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--replay"]);
    assert_eq!((code, &seen["outcome"]), (0, &"open".into()), "{seen}");
    assert_eq!(seen["findings"].as_array().unwrap().len(), 0);
    let (code, seen) = made.json(&["replay", "{dir}", "--json"]);
    assert_eq!((code, &seen["index"]), (0, &(bad.header.index - 1).into()));
    // There is nothing left to do.
    let again = made.run(&arguments);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("nothing to cut"), "{}", again.err);
}

/// What an orderly stop proves is restored from a copy, never cut.
#[test]
fn a_clean_stop_is_never_cut() {
    let made = stopped();
    let bad = made.batches()[30];
    made.patch(bad.segment, |file| file[bad.offset as usize + 200] ^= 4);
    let before = files(&made.journal());
    let at = bad.header.first_sequence.to_string();
    let ran = made.run(&["repair", "{dir}", "--cut-at", &at]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("orderly stop") && ran.err.contains("copy"),
        "{}",
        ran.err
    );
    assert!(files(&made.journal()) == before, "something was touched");
}

#[test]
fn a_cut_is_at_a_batch_s_begin_that_can_be_read() {
    let (made, bad) = damaged();
    let before = files(&made.journal());
    let busy = |l: &&Lies| l.header.record_count > 2;
    let batches = made.batches();
    let inside = batches.iter().find(busy).unwrap().header;
    let refused = |at: u64, names: &[String]| {
        let ran = made.run(&["repair", "{dir}", "--cut-at", &at.to_string()]);
        assert_eq!(ran.code, 1);
        for name in names {
            assert!(ran.err.contains(name), "{name}: {}", ran.err);
        }
    };
    refused(
        inside.first_sequence + 1,
        &[
            inside.first_sequence.to_string(),
            inside.next_sequence().to_string(),
        ],
    );
    refused(
        bad.header.next_sequence(),
        &[format!(
            "only up to sequence {}",
            bad.header.first_sequence - 1
        )],
    );
    assert!(files(&made.journal()) == before, "something was touched");
}

#[test]
fn a_running_node_s_journal_is_left_alone() {
    let mut making = begin(&mut NullSink);
    making.batches(10, &mut NullSink);
    making.builder.drain().unwrap();
    let before = hex(&making.builder.machine.state_hash());
    let ran = run_on(
        making.directory.path(),
        &["repair", "{dir}", "--cut-at", "20"],
    );
    assert_eq!(ran.code, 12, "{}", ran.err);
    assert!(
        ran.err.contains(&std::process::id().to_string()),
        "{}",
        ran.err
    );
    // It goes on as if nothing had been.
    making.batches(10, &mut NullSink);
    let made = making.stop();
    assert_ne!(hex(&made.machine.state_hash()), before);
    assert_eq!(made.run(&["verify", "{dir}", "--replay"]).code, 0);
}

/// A log buffer that still has what is cut would bring it back at the next start: it is kept, and goes.
#[test]
fn a_log_buffer_that_would_bring_it_back_is_kept_and_removed() {
    let mut making = begin(&mut NullSink);
    making.batches(40, &mut NullSink);
    making.builder.drain().unwrap();
    making.batches(5, &mut NullSink);
    let made = making.kill();
    let at = made.batches()[20].header.first_sequence.to_string();
    let buffer = fs::read(made.log_buffer()).unwrap();
    let (code, seen) = made.json(&[
        "repair",
        "{dir}",
        "--cut-at",
        &at,
        "--json",
        "--log-buffer",
        "{log}",
    ]);
    assert_eq!(code, 0, "{seen}");
    assert!(!made.log_buffer().exists());
    let kept = fs::read(seen["log_buffer_kept_in"].as_str().unwrap()).unwrap();
    assert_eq!(kept.len(), buffer.len());
    let last = made.machine.last_sequence().0;
    assert_eq!(
        seen["cut_last_sequence"], last,
        "what only the log buffer held counts too"
    );
    let (code, seen) = made.json(&["replay", "{dir}", "--json"]);
    assert_eq!(
        (code, seen["sequence"].as_u64().unwrap() + 1),
        (0, at.parse().unwrap())
    );
}

/// A killed journal with a snapshot in its middle; the snapshot's index.
fn with_snapshot() -> (Made, u64) {
    let mut making = begin(&mut NullSink);
    making.batches(60, &mut NullSink);
    making.builder.drain().unwrap();
    let arguments = [
        "snapshot",
        "take",
        "{dir}",
        "--json",
        "--log-buffer",
        "{log}",
    ];
    let taken = run_tool(making.directory.path(), &arguments);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let index = making.builder.machine.last_index().0;
    making.batches(60, &mut NullSink);
    making.builder.drain().unwrap();
    let made = making.kill();
    fs::remove_file(made.log_buffer()).unwrap();
    (made, index)
}

/// A snapshot is of a log that was whole up to it: what it proves is restored from a copy, never cut, whatever
/// else has become of the log.
#[test]
fn what_a_snapshot_proves_is_never_cut() {
    let (made, index) = with_snapshot();
    let batches = made.batches();
    let proven = |l: &&Lies| l.header.index <= index && l.header.record_count > 0;
    let bad = *batches.iter().rfind(proven).unwrap();
    made.patch(bad.segment, |file| file[bad.offset as usize + 200] ^= 4);
    let before = files(&made.journal());
    for at in [batches[20].header.first_sequence, bad.header.first_sequence] {
        let ran = made.run(&["repair", "{dir}", "--cut-at", &at.to_string()]);
        assert_eq!(ran.code, 1, "{at}: {}", ran.out);
        let proof = format!("a snapshot proves batch {index}");
        assert!(ran.err.contains(&proof), "{at}: {}", ran.err);
    }
    assert!(files(&made.journal()) == before, "something was touched");
    // A snapshot of which only the header is whole proves as much.
    let snapshot = made.journal().join(format!("{index:016}.snapshot"));
    patch(&snapshot, |bytes| bytes[5000] ^= 1);
    let at = bad.header.first_sequence.to_string();
    assert_eq!(made.run(&["repair", "{dir}", "--cut-at", &at]).code, 1);
    // Without it, and without an orderly stop, the operator may.
    fs::remove_file(snapshot).unwrap();
    let ran = made.run(&["repair", "{dir}", "--cut-at", &at]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// The log's begin had been trimmed, and the cut's batch was looked for from position 0: no trimmed log could
/// be cut at all.
#[test]
fn a_trimmed_log_can_be_cut_behind_its_snapshot() {
    let (made, index) = with_snapshot();
    let batches = made.batches();
    let last = batches.iter().rfind(|l| l.header.index <= index).unwrap();
    assert!(last.segment > 1, "something to trim");
    for number in 0..last.segment {
        fs::remove_file(made.segment(number)).unwrap();
    }
    let bad = *batches.iter().rev().nth(10).unwrap();
    assert!(bad.header.index > index + 10);
    made.patch(bad.segment, |file| file[bad.offset as usize + 200] ^= 4);
    let at = bad.header.first_sequence.to_string();
    let (code, seen) = made.json(&["repair", "{dir}", "--cut-at", &at, "--json"]);
    assert_eq!((code, &seen["done"]), (0, &true.into()), "{seen}");
    assert_eq!(seen["last_index"], bad.header.index - 1);
    let (code, seen) = made.json(&["verify", "{dir}", "--json", "--replay"]);
    assert_eq!((code, &seen["outcome"]), (0, &"open".into()), "{seen}");
}
