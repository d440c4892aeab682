//! `journal diff`: the first difference of two journals, by header field, record and byte.

use crate::fixture::{Lies, Made, copy, forge, killed, stopped};
use lockstep_journal::{BATCH_HEADER_LENGTH, BatchHeader};
use lockstep_record::RECORD_HEADER_LENGTH;
use lockstep_record::command::EnterOrder;
use serde_json::Value;

/// Two copies of one journal, the second changed in one batch.
/// In a batch that begins with an order, whatever the flow sends.
fn changed(change: impl FnOnce(&mut BatchHeader, &mut [u8])) -> (Made, Made, Lies) {
    let made = stopped();
    let other = copy(&made);
    let batches = made.batches();
    let busy = |lies: &&Lies| {
        let file = std::fs::read(made.segment(lies.segment)).unwrap();
        let record = &file[lies.offset as usize + BATCH_HEADER_LENGTH..];
        let enter = RECORD_HEADER_LENGTH + size_of::<EnterOrder>();
        let begins_with_order = record[..4] == (enter as u32).to_le_bytes();
        lies.header.record_count > 3 && lies.header.index > 10 && begins_with_order
    };
    let at = *batches.iter().find(busy).unwrap();
    other.patch(at.segment, |file| forge(file, at, change));
    (made, other, at)
}

fn diff(a: &Made, b: &Made, more: &[&str]) -> (i32, Value) {
    let other = b.directory.path().to_str().unwrap();
    let mut arguments = vec!["diff", "{dir}", other, "--json"];
    arguments.extend(more);
    let (code, seen) = a.json(&arguments);
    (code, seen["difference"].clone())
}

#[test]
fn the_same_journal_is_the_same() {
    let made = stopped();
    let other = copy(&made);
    assert_eq!(diff(&made, &other, &[]), (0, Value::Null));
    let ran = made.run(&["diff", "{dir}", "{dir}"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let all = format!("{} batches", made.batches().len());
    assert!(
        ran.out.contains(&all) && ran.out.contains("none"),
        "{}",
        ran.out
    );
}

/// One field of one record: named, with its sequence, its time and the byte.
#[test]
fn a_changed_record_is_named_to_the_byte() {
    let quantity = 24 + 20;
    let (made, other, at) = changed(|_, body| body[quantity] ^= 1);
    let (code, found) = diff(&made, &other, &[]);
    assert_eq!(code, 1);
    assert_eq!(found["kind"], "record");
    assert_eq!(found["sequence"], at.header.first_sequence);
    assert_eq!(found["time_ns"], at.header.timestamp);
    assert_eq!(found["byte"], quantity);
    assert_eq!(found["fields"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["a"]["segment"], at.segment);
    assert_eq!(found["b"]["offset"], at.offset);
    let applied = diff(&made, &other, &["--applied"]);
    assert_eq!(applied, (1, found));
}

#[test]
fn a_changed_header_field_is_named() {
    let (made, other, at) = changed(|header, _| header.timestamp += 1);
    let (code, found) = diff(&made, &other, &[]);
    assert_eq!((code, &found["field"]), (1, &"timestamp".into()));
    assert_eq!(found["index"], at.header.index);
    let (made, other, at) = changed(|header, _| header.digest ^= 1);
    let (code, found) = diff(&made, &other, &[]);
    assert_eq!((code, &found["field"]), (1, &"digest".into()));
    assert_eq!(found["index"], at.header.index);
    // The chain breaks behind it, so the copy ends there for both ways of comparing.
    let (code, found) = diff(&made, &other, &["--applied"]);
    assert_eq!((code, &found["kind"]), (1, &"ends".into()));
    assert_eq!(found["index"], at.header.index + 1);
    assert_eq!(found["outcome"], "damaged");
}

#[test]
fn a_journal_that_goes_on_is_said_to() {
    let shorter = killed();
    let longer = copy(&shorter);
    let last = *shorter.batches().last().unwrap();
    shorter.patch(last.segment, |file| file[last.offset as usize..].fill(0));
    for (a, b, ends) in [(&shorter, &longer, "A"), (&longer, &shorter, "B")] {
        let (code, found) = diff(a, b, &[]);
        assert_eq!((code, &found["ends"]), (1, &ends.into()), "{found}");
        assert_eq!(found["index"], last.header.index);
        assert_eq!(found["sequence"], last.header.first_sequence);
    }
}

/// Two venues of one flow: other ids and checksums, but what is applied is the same.
#[test]
fn two_clusters_may_have_the_same_commands() {
    let (a, b) = (stopped(), stopped());
    assert_eq!(diff(&a, &b, &["--applied"]), (0, Value::Null));
    let (code, found) = diff(&a, &b, &[]);
    assert_eq!((code, &found["field"]), (1, &"cluster_id".into()));
    assert_eq!(found["index"], 1);
}
