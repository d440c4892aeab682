//! docs/configuration.md against the types: every key of either is in the other, and the defaults are right.

use lockstep_core::inspect::Allocation;
use lockstep_node::config::Config;
use lockstep_node::definitions::{InstrumentDefinition, SessionDefinition};
use std::collections::BTreeMap;

const MINIMAL: &str = r#"
    [data]
    directory = "d"
    [network]
    listen = "127.0.0.1:0"
"#;
/// No key of any section.
const UNKNOWN: &str = "no_such_key";

/// Keys that the type of a place knows, from its own refusal of one that it does not know.
fn known_keys(text: &str) -> Vec<String> {
    let error = Config::parse(text).expect_err("an unknown key was taken");
    let (_, list) = error
        .split_once("expected ")
        .unwrap_or_else(|| panic!("no list of keys in {error}"));
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// `section.key` of every key there is, by the types.
fn keys_of_types() -> Vec<String> {
    let sections = known_keys(&format!("{UNKNOWN} = 1"));
    assert!(sections.len() >= 10, "{sections:?}");
    let mut keys = Vec::new();
    for section in sections {
        let table = ["thread", "firm", "session", "instrument"].contains(&section.as_str());
        let header = if table {
            format!("[[{section}]]")
        } else {
            format!("[{section}]")
        };
        let found = known_keys(&format!("{header}\n{UNKNOWN} = 1"));
        keys.extend(found.iter().map(|key| format!("{section}.{key}")));
    }
    keys.sort();
    keys
}

/// Key and default of each row of the document's table.
fn rows() -> BTreeMap<String, String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let key = cells[1].trim_matches('`').to_owned();
        let default = cells[2].to_owned();
        assert!(rows.insert(key.clone(), default).is_none(), "{key} twice");
    }
    rows
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let documented: Vec<String> = rows().into_keys().collect();
    let known = keys_of_types();
    assert!(
        known.len() > 50,
        "the test no longer sees the keys: {known:?}"
    );
    for key in &known {
        assert!(
            documented.contains(key),
            "{key} has no row in docs/configuration.md"
        );
    }
    for key in &documented {
        assert!(
            known.contains(key),
            "{key} of docs/configuration.md does not exist"
        );
    }
}

#[test]
fn documented_defaults_are_those_that_count() {
    let hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo";
    let text = format!(
        "{MINIMAL}\n[[firm]]\nid = 1\ncode = \"A\"\n[[session]]\nid = 1\nuser = \"U\"\nfirm = \"A\"\n\
         password_argon2id = \"{hash}\"\n[[instrument]]\nid = 1\nsymbol = \"S\"\n"
    );
    let config = Config::parse(&text).expect("a configuration");
    let effective: toml::Table = config.effective().parse().expect("TOML");
    let value = |key: &str| {
        let (section, name) = key.split_once('.').expect("a section");
        let section = effective.get(section)?;
        let table = section.as_table().or_else(|| section.get(0)?.as_table());
        table?.get(name).map(ToString::to_string)
    };
    let mut compared = 0;
    for (key, default) in rows() {
        let is_code = default.starts_with('`') && default.ends_with('`');
        match value(&key) {
            Some(found) if is_code => {
                assert_eq!(default.trim_matches('`'), found, "{key}");
                compared += 1;
            }
            // Required, so this test has set it; or the layout that stands in for none.
            Some(_) => assert_eq!(default, "required", "{key}"),
            None => assert!(!is_code, "{key} has no default {default}"),
        }
    }
    assert!(compared > 35, "only {compared} defaults compared");
}

/// What the document says of a key that an entry leaves out: kept, or the value behind "new".
fn documented_new(key: &str) -> Option<String> {
    let default = rows().remove(key)?;
    let new = default.strip_prefix("kept; new: ")?;
    Some(new.trim_matches('`').to_owned())
}

#[test]
fn documented_values_of_new_entries_are_those_that_count() {
    let instrument = InstrumentDefinition::new(1, *b"S       ");
    let session = SessionDefinition::new(1, 1, *b"U     ");
    let rules = instrument.rules;
    let numbers = [
        ("instrument.tick_size", instrument.tick_size),
        ("instrument.lot_size", instrument.lot_size),
        ("instrument.static_collar", rules.static_collar),
        ("instrument.dynamic_collar", rules.dynamic_collar),
        ("instrument.auction_duration_ms", rules.duration_ms),
        ("instrument.auction_random_end_ms", rules.random_end_ms),
        (
            "instrument.indication_interval_ms",
            rules.indication_interval_ms,
        ),
        ("session.self_trade_group", session.self_trade_group),
    ];
    for (key, value) in numbers {
        assert_eq!(documented_new(key), Some(value.to_string()), "{key}");
    }
    let words = [
        ("instrument.tick_bands", "[]"),
        ("instrument.allocation", "\"price-time\""),
        ("instrument.collar_action", "\"reject\""),
        ("instrument.schedule", "none"),
        ("session.permitted_firms", "[]"),
        ("session.cancel_on_disconnect", "false"),
        ("session.order_entry", "true"),
        ("session.self_trade_mode", "\"none\""),
    ];
    for (key, value) in words {
        assert_eq!(documented_new(key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(instrument.used_bands().count(), 0);
    assert_eq!(instrument.allocation, Allocation::PriceTime);
    assert_eq!((rules.collar_action, session.self_trade_mode), (b'R', 0));
    assert_eq!(session.used_firms().count(), 0);
    assert!(session.order_entry && !session.cancel_on_disconnect);
    let kept = rows().into_values().filter(|d| d.starts_with("kept"));
    assert_eq!(kept.count(), numbers.len() + words.len());
}
