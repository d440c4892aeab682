//! `journal inspect`: identity, segments, records and filters.

use crate::fixture::{Made, begin, fingerprint, run_on, stopped};
use lockstep_record::event::NullSink;
use serde_json::Value;
use std::collections::HashSet;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn a_stopped_journal_is_described_and_not_touched() {
    let made = stopped();
    let before = fingerprint(&made.journal());
    let (code, seen) = made.json(&["inspect", "{dir}", "--json"]);
    assert_eq!(code, 0);
    let meta = made.meta();
    assert_eq!(seen["journal_id"], meta.journal_id.to_string());
    assert_eq!(seen["cluster_id"], meta.cluster_id.to_string());
    assert_eq!(seen["outcome"], "clean_stop");
    assert_eq!(seen["holder"], Value::Null);
    assert_eq!(seen["last_sequence"], made.machine.last_sequence().0);
    assert_eq!(seen["last_index"], made.machine.last_index().0);
    assert_eq!(
        seen["hard_state"]["commit_index"],
        made.machine.last_index().0
    );
    let batches = made.batches();
    assert_eq!(seen["batches"], batches.len());
    let used: Vec<&Value> = seen["segments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|segment| segment["batches"] != 0)
        .collect();
    assert!(used.len() >= 3, "several segments: {seen}");
    for pair in used.windows(2) {
        let next = pair[0]["last_index"].as_u64().unwrap() + 1;
        assert_eq!(pair[1]["first_index"], next);
    }
    let of_kinds = seen["kinds"].as_object().unwrap().values();
    let total: u64 = of_kinds.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(seen["records"], total);
    // The journal folder itself will do as well, and people get the same facts.
    let nested = made.journal();
    let text = run_on(
        made.directory.path(),
        &["inspect", nested.to_str().unwrap()],
    );
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.contains(&meta.journal_id.to_string()));
    assert!(text.out.contains("stopped in order"));
    assert_eq!(fingerprint(&nested), before);
}

fn records(made: &Made, filter: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["inspect", "{dir}", "--records", "--json"];
    arguments.extend(filter);
    let ran = made.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines = ran.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn records_are_shown_whole_and_filtered() {
    let made = stopped();
    let all = records(&made, &[]);
    assert_eq!(all.len() as u64, made.machine.last_sequence().0);
    for (at, record) in all.iter().enumerate() {
        assert_eq!(record["sequence"], at + 1);
        assert!(record["fields"].is_object(), "{record}");
    }
    assert_eq!(all[0]["kind"], "set_bounds");
    let expect = |filter: &[&str], keep: &dyn Fn(&Value) -> bool| {
        let expected: Vec<&Value> = all.iter().filter(|record| keep(record)).collect();
        assert!(
            !expected.is_empty() && expected.len() < all.len(),
            "{filter:?} says nothing"
        );
        let found = records(&made, filter);
        assert!(found.iter().eq(expected), "{filter:?}");
    };
    let sequence = |record: &Value| record["sequence"].as_u64().unwrap();
    expect(&["--from", "1000", "--to", "1234"], &|r| {
        (1000..=1234).contains(&sequence(r))
    });
    expect(&["--session", "3"], &|r| r["session"] == 3);
    expect(&["--session", "0"], &|r| r["session"] == 0);
    expect(&["--kind", "cancel_order", "--kind", "login"], &|r| {
        r["kind"] == "cancel_order" || r["kind"] == "login"
    });
    let middle = all[all.len() / 2]["time_ns"].as_u64().unwrap();
    let time = all[all.len() / 2]["time"].as_str().unwrap().to_owned();
    expect(&["--time-from", &time], &|r| {
        r["time_ns"].as_u64().unwrap() >= middle
    });
    expect(&["--time-to", &middle.to_string()], &|r| {
        r["time_ns"].as_u64().unwrap() <= middle
    });
    expect(&["--limit", "10"], &|r| sequence(r) <= 10);
    let of_symbol = about(&all, "LKSA");
    expect(&["--symbol", "LKSA"], &|r| of_symbol.contains(&sequence(r)));
    expect(&["--symbol", "LKSA", "--from", "2000"], &|r| {
        of_symbol.contains(&sequence(r)) && sequence(r) >= 2000
    });
    // Lines for people: as many, and each begins with its sequence.
    let text = made.run(&["inspect", "{dir}", "--records", "--from", "500"]);
    let first = text.out.lines().next().unwrap();
    assert_eq!(first.split_whitespace().next(), Some("500"));
    assert_eq!(text.out.lines().count(), all.len() - 499);
}

/// Sequences of everything about a symbol, found by following user references.
fn about(all: &[Value], symbol: &str) -> HashSet<u64> {
    let mut orders = HashSet::new();
    let mut sequences = HashSet::new();
    for record in all {
        let (fields, session) = (&record["fields"], record["session"].clone());
        let number = |name: &str| (session.to_string(), fields[name].as_u64().unwrap());
        let is_about = match record["kind"].as_str().unwrap() {
            "enter_order" if fields["symbol"] == symbol => orders.insert(number("user_ref_num")),
            "replace_order" if orders.contains(&number("original_user_ref_num")) => {
                orders.insert(number("user_ref_num"))
            }
            "cancel_order" => orders.contains(&number("user_ref_num")),
            "define_instrument" => fields["symbol"] == symbol,
            _ => false,
        };
        if is_about {
            sequences.insert(record["sequence"].as_u64().unwrap());
        }
    }
    sequences
}

#[test]
fn a_live_journal_is_seen_up_to_what_is_published() {
    let mut making = begin(&mut NullSink);
    making.batches(30, &mut NullSink);
    making.builder.drain().unwrap();
    making.batches(5, &mut NullSink);
    let machine = &making.builder.machine;
    let before = fingerprint(making.builder.folder());
    let directory = making.directory.path();
    let ran = run_on(
        directory,
        &["inspect", "{dir}", "--json", "--log-buffer", "{log}"],
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let seen: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(seen["holder"], std::process::id());
    assert_eq!(seen["outcome"], "live");
    assert_eq!(seen["last_sequence"], machine.last_sequence().0);
    assert_eq!(seen["log_buffer_batches"], 5);
    assert_eq!(
        seen["log_buffer"]["published_index"],
        machine.last_index().0
    );
    assert_eq!(seen["log_buffer"]["process"], std::process::id());
    assert_eq!(seen["records"], machine.last_sequence().0);
    assert_eq!(fingerprint(making.builder.folder()), before);
    // The node goes on as if nobody had looked.
    making.batches(5, &mut NullSink);
    making.builder.drain().unwrap();
    let made = making.stop();
    assert_eq!(made.run(&["verify", "{dir}"]).code, 0);
}

/// `lockstep journal inspect … | head` is no failure.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let made = stopped();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["journal", "inspect", "--records"])
        .arg(made.directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 100];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn a_command_line_that_means_nothing_is_refused() {
    let made = stopped();
    for wrong in [
        ["inspect", "{dir}", "--kind", "entre_order"],
        ["inspect", "{dir}", "--symbol", "TOOLONGSYMBOL"],
        ["inspect", "{dir}", "--time-from", "yesterday"],
    ] {
        let ran = made.run(&wrong);
        assert_eq!(ran.code, 2, "{wrong:?}: {}", ran.err);
    }
}
