//! docs/wire-protocol.md says what is true here: its limits are the constants, the tests it names
//! exist, and every illegal form that has a test has a row.

use lockstep_wire::{ouch, soup};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn crate_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn document() -> String {
    let path = crate_folder().join("../../docs/wire-protocol.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of the tests in a source text.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[test]" {
            continue;
        }
        let name = lines
            .by_ref()
            .find_map(|line| line.trim().strip_prefix("fn ")?.split_once('('))
            .map(|(name, _)| name.to_string());
        tests.extend(name);
    }
    tests
}

fn tests_in(file: &str) -> BTreeSet<String> {
    let folders = ["tests/wire", "src/soup", "src/ouch"];
    let path = folders
        .iter()
        .map(|folder| crate_folder().join(folder).join(file).with_extension("rs"))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("the document names {file}, which is no file of this crate"));
    tests_of(&fs::read_to_string(path).unwrap())
}

/// (file, test) of every `wire: file::test` in the document.
fn named(document: &str) -> BTreeSet<(String, String)> {
    document
        .split("wire: ")
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let (file, test) = rest[..end.unwrap_or(rest.len())].split_once("::")?;
            Some((file.to_string(), test.to_string()))
        })
        .collect()
}

#[test]
fn every_named_test_exists() {
    let named = named(&document());
    // "wire: file::test" in the introduction is the pattern, not a name.
    let named: Vec<_> = named.iter().filter(|(file, _)| file != "file").collect();
    assert!(named.len() >= 45, "only {} names found", named.len());
    for (file, test) in named {
        assert!(
            tests_in(file).contains(test),
            "wire: {file}::{test} does not exist"
        );
    }
}

#[test]
fn every_illegal_form_has_a_row() {
    let named = named(&document());
    for file in ["violations", "illegal"] {
        for test in tests_in(file) {
            // The venue's own messages are not a client's to get wrong.
            let about_venue = test == "a_system_event_has_no_options";
            assert!(
                about_venue || named.contains(&(file.to_string(), test.clone())),
                "{file}::{test} has no row"
            );
        }
    }
}

#[test]
fn rows_are_numbered_once_and_in_order() {
    let document = document();
    let mut last = (String::new(), 0);
    let mut count = 0;
    for line in document.lines() {
        let Some(row) = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split(' ').next())
        else {
            continue;
        };
        let split = row.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let (letter, number) = row.split_at(split);
        let (true, Ok(number)) = (letter.len() == 1, number.parse::<u32>()) else {
            continue;
        };
        let expected = if last.0 == letter { last.1 + 1 } else { 1 };
        assert_eq!(number, expected, "row {row} after {}{}", last.0, last.1);
        assert!(line.contains("wire: ") || line.contains("core: ") || line.contains("node: "));
        last = (letter.to_string(), number);
        count += 1;
    }
    assert!(count >= 80, "only {count} rows read");
}

#[test]
fn limits_are_the_constants() {
    let limits = [
        ("CLIENT_FRAME_LENGTH_MAX", soup::CLIENT_FRAME_LENGTH_MAX),
        ("APPENDAGE_LENGTH_MAX", ouch::APPENDAGE_LENGTH_MAX),
        ("INBOUND_LENGTH_MAX", ouch::INBOUND_LENGTH_MAX),
        ("COMMAND_RECORD_LENGTH_MAX", ouch::COMMAND_RECORD_LENGTH_MAX),
        ("OUTBOUND_LENGTH_MAX", ouch::OUTBOUND_LENGTH_MAX),
        ("SEQUENCED_LENGTH_MAX", ouch::SEQUENCED_LENGTH_MAX),
        ("SERVER_FRAME_LENGTH_MAX", soup::SERVER_FRAME_LENGTH_MAX),
        ("DEBUG_TEXT_LENGTH_MAX", soup::DEBUG_TEXT_LENGTH_MAX),
    ];
    let document = document();
    for (name, value) in limits {
        let row = format!("| `{name}` | {value} |");
        assert!(document.contains(&row), "the document lacks: {row}");
    }
    let timing = soup::Timing::default();
    for (timer, value_ns) in [
        ("login", timing.login_timeout_ns),
        ("heartbeat", timing.heartbeat_interval_ns),
        ("idle", timing.idle_timeout_ns),
    ] {
        let row = format!("| {timer} | {} s |", value_ns / 1_000_000_000);
        assert!(document.contains(&row), "the document lacks: {row}");
    }
}
