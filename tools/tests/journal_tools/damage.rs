//! Journals damaged at chosen bytes: each kind of finding, where it is, and what the exit code says.

use crate::fixture::{Lies, Made, SEGMENT_DATA_LENGTH, forge, killed, patch, stopped};
use lockstep_journal::BatchHeader;
use serde_json::Value;
use std::fs;

/// Runs `verify` and gives its code and the first finding of that kind.
fn found(made: &Made, kind: &str) -> (i32, Value, Value) {
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    let findings = seen["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["kind"] == kind);
    let finding = finding
        .unwrap_or_else(|| panic!("no {kind}: {seen}"))
        .clone();
    (code, finding, seen)
}

fn assert_place(finding: &Value, at: &Lies) {
    assert_eq!(finding["segment"], at.segment, "{finding}");
    assert_eq!(finding["offset"], at.offset, "{finding}");
    assert_eq!(finding["index"], at.header.index, "{finding}");
    assert_eq!(finding["sequence"], at.header.first_sequence, "{finding}");
}

fn middle(made: &Made) -> Lies {
    let batches = made.batches();
    batches[batches.len() / 2]
}

/// One bit in the middle of the log: named to the batch, and everything else is still looked at.
#[test]
fn a_flipped_bit_is_named_and_hides_nothing_else() {
    for offset in [0, 8, 60, 130, 150, 170, 192, 200] {
        let made = stopped();
        let total = made.batches().len();
        let bad = middle(&made);
        made.patch(bad.segment, |file| file[bad.offset as usize + offset] ^= 4);
        let (code, finding, seen) = found(&made, "broken");
        assert_eq!(code, 1);
        assert_place(&finding, &bad);
        assert_eq!(seen["outcome"], "damaged");
        assert_eq!(
            seen["batches"],
            total - 1,
            "byte {offset} hid more than its batch"
        );
        let (_, refusal, _) = found(&made, "missing_batch");
        assert_place(&refusal, &bad);
        // A replay goes as far as it can, says so, and may be told to stop before.
        let replay = made.run(&["replay", "{dir}"]);
        assert_eq!(replay.code, 18, "{}", replay.err);
        let last = (bad.header.first_sequence - 1).to_string();
        assert!(replay.out.contains(&last));
        assert_eq!(made.run(&["replay", "{dir}", "--until", &last]).code, 0);
        // The records behind the break are shown, marked.
        let ran = made.run(&["inspect", "{dir}", "--records"]);
        assert!(ran.out.lines().last().unwrap().contains("[behind a break]"));
    }
}

#[test]
fn two_breaks_are_two_findings() {
    let made = stopped();
    let batches = made.batches();
    let bad = [batches[10], batches[batches.len() - 10]];
    for at in bad {
        made.patch(at.segment, |file| file[at.offset as usize + 200] ^= 1);
    }
    let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
    let findings = seen["findings"].as_array().unwrap();
    let broken: Vec<_> = findings.iter().filter(|f| f["kind"] == "broken").collect();
    assert_eq!((code, broken.len()), (1, 2), "{seen}");
    assert_place(broken[0], &bad[0]);
    assert_place(broken[1], &bad[1]);
    assert_eq!(seen["batches"], batches.len() - 2);
}

/// The last write of a killed node, torn: not damage, for nothing says that it was complete.
#[test]
fn a_torn_tail_is_no_damage() {
    let made = killed();
    let last = *made.batches().last().unwrap();
    made.patch(last.segment, |file| {
        let end = last.offset as usize + last.header.length() as usize;
        file[last.offset as usize + 100..end].fill(0);
    });
    let (code, finding, seen) = found(&made, "torn_tail");
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen["outcome"], "torn_tail");
    assert_eq!(finding["row"], "R4");
    assert_place(&finding, &last);
    let replay = made.run(&["replay", "{dir}"]);
    assert_eq!(replay.code, 0, "{}", replay.err);
    assert!(replay.out.contains("torn tail"));
    // With the log buffer, which says that the segments had it, its bytes were spoilt: damage that a start
    // mends, and a replay has all of it.
    let with_log = ["verify", "{dir}", "--json", "--log-buffer", "{log}"];
    let (code, seen) = made.json(&with_log);
    assert_eq!(code, 1, "{seen}");
    assert_eq!(seen["findings"][0]["row"], "R5");
    assert_eq!(seen["outcome"], "open");
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--log-buffer", "{log}"]);
    assert_eq!(
        (code, &seen["sequence"]),
        (0, &made.machine.last_sequence().0.into())
    );
}

/// The same bytes after a clean stop are damage: the hard state says that they were complete.
#[test]
fn a_witness_makes_a_torn_tail_damage() {
    let made = stopped();
    let last = *made.batches().last().unwrap();
    made.patch(last.segment, |file| file[last.offset as usize + 100] ^= 1);
    let (code, finding, _) = found(&made, "missing_batch");
    assert_eq!(code, 1);
    assert_eq!(finding["row"], "R7");
    assert_place(&finding, &last);
    assert_eq!(made.run(&["replay", "{dir}"]).code, 18);
}

#[test]
fn segment_files_are_checked_as_files() {
    let made = stopped();
    made.patch(1, |file| file[70] ^= 1);
    let (code, finding, _) = found(&made, "segment_header");
    assert_eq!((code, &finding["segment"]), (1, &1.into()));

    let made = stopped();
    made.patch(1, |file| file.truncate(20_000));
    let (code, finding, _) = found(&made, "segment_length");
    assert_eq!((code, &finding["offset"]), (1, &20_000.into()));
    found(&made, "missing_batch");

    let made = stopped();
    fs::remove_file(made.segment(1)).unwrap();
    let (code, finding, seen) = found(&made, "segment_missing");
    assert_eq!((code, &finding["segment"]), (1, &1.into()));
    assert!(
        seen["batches"].as_u64().unwrap() > 20,
        "what is behind is read: {seen}"
    );
    let (_, shown) = made.json(&["inspect", "{dir}", "--json"]);
    assert_eq!(shown["missing_segments"], serde_json::json!([[1, 1]]));

    let made = stopped();
    fs::copy(made.segment(0), made.segment(1)).unwrap();
    let (code, finding, _) = found(&made, "segment_foreign");
    assert_eq!((code, &finding["row"]), (1, &"R20".into()));

    let made = stopped();
    let other = stopped();
    fs::copy(other.segment(1), made.segment(1)).unwrap();
    let (code, finding, _) = found(&made, "segment_foreign");
    assert_eq!((code, &finding["segment"]), (1, &1.into()));
}

/// Bytes that are not part of the log are reported and change nothing (R19).
#[test]
fn padding_and_gaps_are_noted() {
    let made = stopped();
    let batches = made.batches();
    let padded = |at: &&Lies| at.header.length() > 192 + u64::from(at.header.body_length);
    let at = *batches.iter().find(padded).expect("some batch has padding");
    made.patch(at.segment, |file| {
        file[at.offset as usize + at.header.length() as usize - 1] = 1;
    });
    let (code, finding, _) = found(&made, "padding");
    assert_eq!(code, 0);
    assert_place(&finding, &at);
    assert_eq!(made.run(&["replay", "{dir}"]).code, 0);

    let made = stopped();
    let batches = made.batches();
    let last = batches.iter().rfind(|at| at.segment == 0).unwrap();
    let gap = last.offset + last.header.length();
    assert!(
        gap < 4096 + SEGMENT_DATA_LENGTH,
        "segment 0 ends with a gap"
    );
    made.patch(0, |file| *file.last_mut().unwrap() = 1);
    let (code, finding, _) = found(&made, "gap");
    assert_eq!((code, &finding["offset"]), (0, &gap.into()));
    assert_eq!(finding["severity"], "note");
}

#[test]
fn meta_file_and_hard_state_are_checked() {
    for change in [
        |bytes: &mut Vec<u8>| bytes[20] ^= 1,
        |bytes: &mut Vec<u8>| bytes.clear(),
    ] {
        let made = stopped();
        patch(&made.journal().join("journal.meta"), change);
        let (code, finding, seen) = found(&made, "meta");
        assert_eq!((code, &finding["row"]), (1, &"R13".into()));
        // The log itself is still read, by the identity that the segments have.
        assert_eq!(seen["records"], made.machine.last_sequence().0);
    }
    let made = stopped();
    fs::remove_file(made.journal().join("journal.meta")).unwrap();
    assert_eq!(found(&made, "meta").0, 1);

    let made = stopped();
    patch(&made.journal().join("hard.state"), |bytes| bytes[60] ^= 1);
    let (code, finding, _) = found(&made, "hard_state_slot");
    assert_eq!((code, &finding["severity"]), (0, &"note".into()));
    patch(&made.journal().join("hard.state"), |bytes| {
        bytes[4096 + 60] ^= 1
    });
    let (code, finding, _) = found(&made, "hard_state");
    assert_eq!((code, &finding["row"]), (1, &"R17".into()));
    fs::remove_file(made.journal().join("hard.state")).unwrap();
    assert_eq!(found(&made, "hard_state").0, 1);
}

/// What a bug could write with valid checksums is found by looking into the batch.
#[test]
fn malformed_records_are_found_behind_valid_checksums() {
    let forged = |words: &str, change: &dyn Fn(&mut BatchHeader, &mut [u8])| {
        let made = killed();
        let last = *made.batches().last().unwrap();
        assert!(
            last.header.record_count > 1,
            "the flow's last batch has records"
        );
        made.patch(last.segment, |file| forge(file, last, change));
        let (code, finding, _) = found(&made, "record");
        assert_eq!(code, 1);
        assert_place(&finding, &last);
        assert!(
            finding["what"].as_str().unwrap().contains(words),
            "{finding}"
        );
    };
    forged("reserved", &|_, body| body[22] = 1);
    forged("behind its", &|header, _| header.record_count -= 1);
    forged("kind 9", &|header, _| header.kind = 9);
}

/// A whole batch that does not continue the chain is no part of the log, whatever its checksums say.
#[test]
fn a_batch_out_of_order_breaks_the_log() {
    let made = stopped();
    let batches = made.batches();
    let (bad, next) = (batches[30], batches[31]);
    made.patch(bad.segment, |file| {
        forge(file, bad, |header, _| header.timestamp += 1)
    });
    // The forged batch is whole and in order, but the next one covers the checksum of the one before.
    let (code, finding, seen) = found(&made, "broken");
    assert_eq!(code, 1);
    assert_place(&finding, &next);
    assert!(
        finding["what"].as_str().unwrap().contains("chain"),
        "{finding}"
    );
    assert_eq!(seen["batches"], batches.len(), "all are whole: {seen}");
}

/// Bytes all over a small journal, one at a time: always an outcome of the table, and never "clean" for a
/// byte of a batch's header or records.
#[test]
fn a_damaged_byte_anywhere_is_an_outcome() {
    let made = stopped();
    let batches = made.batches();
    let mut random = lockstep_bench::random::Random::new(5);
    let mut damaged = 0;
    for _ in 0..60 {
        let at = batches[random.below(batches.len() as u64) as usize];
        let covered = 192 + u64::from(at.header.body_length);
        let byte = (at.offset + random.below(covered)) as usize;
        let whole = fs::read(made.segment(at.segment)).unwrap();
        made.patch(at.segment, |file| file[byte] ^= 1 << random.below(8));
        let (code, seen) = made.json(&["verify", "{dir}", "--json"]);
        assert_eq!(code, 1, "segment {} byte {byte}: {seen}", at.segment);
        fs::write(made.segment(at.segment), whole).unwrap();
        damaged += 1;
    }
    assert_eq!((damaged, made.run(&["verify", "{dir}"]).code), (60, 0));
}
