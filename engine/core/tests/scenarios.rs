//! The scenario files: scripts of orders with all that the venue must say, in `scenarios/*.txt` (grammar in
//! `scenarios/README.md`). `LOCKSTEP_SCENARIO` runs only the scenarios whose title or file contains it.

mod common;

use common::scenario::{Scenario, run, scenarios};
use std::path::PathBuf;

/// Scenarios that must be there at least: a run that finds fewer reads the wrong folder.
const SCENARIOS_MIN: usize = 44;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "scenarios"]
        .iter()
        .collect()
}

/// All scenarios with the name of their file.
fn all() -> Vec<(String, Scenario)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = scenarios(&text).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert!(!read.is_empty(), "{name} has no scenario");
        found.extend(read.into_iter().map(|scenario| (name.clone(), scenario)));
    }
    found
}

#[test]
fn every_scenario_is_as_its_file_says() {
    let only = std::env::var("LOCKSTEP_SCENARIO").ok();
    let all = all();
    assert!(all.len() >= SCENARIOS_MIN, "only {} scenarios", all.len());
    let mut wrong = Vec::new();
    let mut ran = 0;
    for (file, scenario) in &all {
        let name = format!("{file}: {}", scenario.title);
        if only
            .as_ref()
            .is_some_and(|only| !name.contains(only.as_str()))
        {
            continue;
        }
        ran += 1;
        if let Err(what) = run(scenario) {
            wrong.push(format!("{name}\n  {file} {what}"));
        }
    }
    println!("{ran} scenarios of {}", all.len());
    assert!(
        wrong.is_empty(),
        "{} of {ran} fail:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Each demand counts: with any single demanded line changed, left out, or said once more, the scenario
/// fails.
#[test]
fn a_scenario_with_one_wrong_line_fails() {
    let mut planted = 0;
    for (file, scenario) in all().iter().step_by(4) {
        let demands: Vec<usize> = (0..scenario.lines.len())
            .filter(|&at| scenario.lines[at].1.starts_with('>'))
            .collect();
        for at in demands {
            let number = scenario.lines[at].0;
            let mut changed = scenario.clone();
            changed.lines[at].1 += "0";
            let mut missing = scenario.clone();
            missing.lines.remove(at);
            let mut twice = scenario.clone();
            twice.lines.insert(at, scenario.lines[at].clone());
            for other in [changed, missing, twice] {
                assert!(run(&other).is_err(), "{file} line {number}: nobody looks");
                planted += 1;
            }
        }
    }
    assert!(planted >= 100, "only {planted} wrong lines were tried");
}

#[test]
fn a_script_that_cannot_be_read_is_an_error() {
    for (script, wanted) in [
        ("1 enter #1 S 10 AAAA @10000 nonsense", "nonsense"),
        ("1 enter #1 S 10 AAAA @10000 shows=x", "shows=x"),
        ("1 enter #1 S 10 AAAA @10000 shows=4294967296", "shows="),
        ("1 enter #1 SELL 10 AAAA @10000", "SELL"),
        ("1 enter #1 S ten AAAA @10000", "ten"),
        ("1 replace #1 #2 10 @10000 capacity=A", "capacity"),
        ("1 jump", "not a request"),
        ("x cancel #1 0", "not a number: x"),
        ("operator jump", "operator"),
        ("later 5h", "5h"),
        ("book ZZZZ", "no instrument"),
    ] {
        let read = scenarios(&format!("== one\n{script}\n> never"));
        let wrong = run(&read.unwrap()[0]).unwrap_err();
        assert!(wrong.contains(wanted), "{script}: {wrong}");
    }
    for (text, wanted) in [
        ("1 query\n== one\n> 1: next #1", "before the first"),
        (
            "== one\n1 query\n> 1: next #1\n== one\n1 query\n> 1: next #1",
            "a second",
        ),
        ("== one\n1 query\n", "demands nothing"),
    ] {
        let wrong = scenarios(text).unwrap_err();
        assert!(wrong.contains(wanted), "{text}: {wrong}");
    }
}
