//! Configurations and commands as an operator meets them.

use crate::common::{Fixture, assert_end, plan, run, stop_in_order};
use crate::venue::{VenueFolder, VenuePlan};
use lockstep_node::config::Config;
use std::net::TcpListener;

#[test]
fn check_config_prints_the_effective_configuration_without_hashes() {
    let fixture = Fixture::new(plan());
    let config = fixture.folder.config();
    let output = run(&[
        "serve",
        "--check-config",
        "--config",
        config.to_str().expect("UTF-8"),
    ]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text.contains("connections_max = 1024"),
        "defaults are filled in: {text}"
    );
    assert!(!text.contains("argon2id$"), "a hash was printed: {text}");
    // What is printed is a configuration again, but for the hashes.
    let again: toml::Table = toml::from_str(&text).expect("TOML");
    assert_eq!(again["session"].as_array().map(Vec::len), Some(4));
    assert!(!fixture.folder.data().exists(), "checking makes nothing");
}

#[test]
fn wrong_configurations_are_exit_code_10_and_name_what_is_wrong() {
    let fixture = Fixture::new(plan());
    let config = fixture.folder.config();
    let good = std::fs::read_to_string(&config).expect("configuration");
    let cases = [
        ("speed = 1\n".to_owned() + &good, "speed"),
        (
            good.replace("[journal]", "[journal]\nsegment_byte = 1"),
            "segment_byte",
        ),
        (
            good.replace("\"DEMO\"\npassword", "\"NONE\"\npassword"),
            "NONE",
        ),
        (
            // The default batch with its header is more than a quarter of this ring.
            good.replace("log_buffer_bytes = 4194304", "log_buffer_bytes = 1048576"),
            "batch_bytes_max",
        ),
        (good.replace("127.0.0.1:0", "nowhere"), "socket address"),
        (good.replace("idle = \"park\"", "idle = \"sleep\""), "sleep"),
        ("[data".to_owned(), "venue.toml"),
    ];
    for (text, name) in cases {
        std::fs::write(&config, text).expect("write");
        assert_end(
            &fixture.serve_ends(),
            10,
            &[name, "venue.toml", "(exit code 10)"],
        );
    }
    std::fs::remove_file(&config).expect("remove");
    assert_end(
        &fixture.serve_ends(),
        10,
        &["venue.toml", "give a readable file"],
    );
    Config::parse(&good).expect("the good one is good");
}

#[test]
fn an_address_in_use_is_exit_code_22() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let fixture = Fixture::formatted(VenuePlan {
        listen: address.clone(),
        ..plan()
    });
    assert_end(&fixture.serve_ends(), 22, &[&address]);
    drop(taken);
    // Nothing was harmed: the same folder serves once the port is free.
    stop_in_order(fixture.start());
}

#[test]
fn an_unknown_command_is_exit_code_2() {
    for arguments in [
        &["trade"][..],
        &["serve"],
        &["serve", "--config"],
        &["demo", "--seconds", "0"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn counters_are_readable_while_running_and_after_the_end() {
    let (fixture, venue) = Fixture::serving(plan());
    let file = fixture.folder.counters();
    let file = file.to_str().expect("UTF-8");
    let labels = |text: &[u8]| String::from_utf8_lossy(text).contains("engine: applied sequence");
    let running = run(&["counters", file]);
    assert!(running.status.success() && labels(&running.stdout));
    let ended = stop_in_order(venue);
    let after = run(&["counters", "--json", file]);
    let object: serde_json::Value = serde_json::from_slice(&after.stdout).expect("JSON");
    let (_, sequence) = ended.state().expect("a state");
    assert_eq!(object["engine: applied sequence"].as_u64(), Some(sequence));
    assert_eq!(run(&["counters", "/nonexistent"]).status.code(), Some(15));
}

/// A load on an instrument that the venue does not have never ended: every order was refused, every cancel
/// answered by silence, and the open loop waited for room among them.
#[test]
fn a_load_that_the_venue_refuses_ends_and_says_why() {
    let (fixture, venue) = Fixture::serving(plan());
    let login = format!("{}:{}", VenueFolder::user(1), fixture.folder.password);
    let address = venue.address.to_string();
    let bench = |symbol: &str| {
        let fixed = ["bench", "order", "--warm-up", "0", "--duration", "0.2"];
        let rest = ["--idle", "park", "--rate", "2000", "--symbol", symbol];
        let named = ["--address", &address, "--login", &login];
        run(&[&fixed[..], &rest, &named].concat())
    };
    let refused = bench("NONE");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_ne!(refused.status.code(), Some(0), "{said}");
    assert!(said.contains("0x17") && said.contains("NONE"), "{said}");
    let served = bench(&fixture.folder.plan.symbols[0]);
    let said = String::from_utf8_lossy(&served.stdout).into_owned();
    assert!(said.contains("answered"), "{said}");
    stop_in_order(venue);
}
