//! What an operator does with instruments, sessions and auctions of a running venue, and what he sees of it.

use crate::admin::{admin, bad, good, json, socket};
use crate::common::{Fixture, LAYOUT, plan, run, stop_in_order};
use crate::raw::{Raw, bid, order};
use crate::venue::{VenueFolder, VenuePlan};
use lockstep_node::admin::client::AdminClient;
use lockstep_node::admin::protocol::{BookView, Command, ShowBook};
use lockstep_record::Side;
use serde_json::Value;

/// With positions, trades and protections kept.
fn guarded() -> VenuePlan {
    let bounds = "[bounds]\npositions_max = 64\ntrades_max = 64\nprotections_max = 8";
    VenuePlan {
        more: format!("{LAYOUT}\n{bounds}\n"),
        ..plan()
    }
}

/// A command that the state machine refuses with these words.
#[track_caller]
fn refused(folder: &VenueFolder, arguments: &[&str], why: &str) {
    let output = admin(folder, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains(why), "{said} should say {why:?}");
}

#[test]
fn an_operator_calls_auctions_and_sees_what_comes_of_them() {
    let (fixture, venue) = Fixture::serving(guarded());
    let folder = &fixture.folder;
    let mut buyer = Raw::logged_in(venue.address, folder, 1, 1);
    let mut seller = Raw::logged_in(venue.address, folder, 2, 1);
    good(folder, &["set-reference-price", "AAPL", "10000"]);
    let called = [
        "start-auction",
        "AAPL",
        "volatility",
        "--duration-ms",
        "3600000",
    ];
    assert!(good(folder, &called).contains("state=V"));
    buyer.message(&bid(1));
    buyer.hear_of(b'A', 1);
    let orders = json(folder, &["show", "orders", "1"]);
    assert_eq!(orders["orders"][0]["cross_type"], "N");
    seller.message(&order(1, Side::Sell, 9_900));
    seller.hear_of(b'A', 1);
    let shown = json(folder, &["show", "instrument", "AAPL"]);
    assert_eq!(shown["state"], "volatility_auction");
    assert!(shown["call_ends"].as_u64().expect("a time") > 0);
    assert_eq!(shown["outcome"]["price"], 10_000);
    assert_eq!(shown["outcome"]["quantity"], 100);
    assert!(good(folder, &["show", "instrument", "AAPL"]).contains("100 at 1.0000"));
    let opening = ["start-auction", "AAPL", "opening", "--duration-ms", "5"];
    refused(folder, &opening, "may not follow the present one");
    refused(
        folder,
        &["set-reference-price", "AAPL", "10050"],
        "a value is not allowed",
    );
    let late = [
        "set-schedule",
        "AAPL",
        "--closed",
        "10:00",
        "--trading",
        "11:00",
    ];
    refused(folder, &late, "a value is not allowed");
    bad(folder, &["set-schedule", "AAPL"], 2, "--none");
    bad(
        folder,
        &["set-schedule", "AAPL", "--closed", "25"],
        2,
        "no time",
    );
    bad(
        folder,
        &["start-auction", "NONE", "closing", "--duration-ms", "5"],
        1,
        "NONE",
    );
    good(
        folder,
        &["set-schedule", "AAPL", "--closed", "47:59:59.999"],
    );
    assert!(good(folder, &["show", "instrument", "AAPL"]).contains("closed 47:59:59.999"));
    // The operator ends the call: it trades.
    good(folder, &["set-state", "trading", "AAPL"]);
    buyer.hear_of(b'E', 1);
    seller.hear_of(b'E', 1);
    let day = json(folder, &["show", "statistics", "AAPL"]);
    assert_eq!(
        (&day[0]["open_price"], &day[0]["volume"]),
        (&10_000.into(), &100.into())
    );
    assert_eq!(
        json(folder, &["show", "statistics"])
            .as_array()
            .expect("all")
            .len(),
        3
    );
    assert!(good(folder, &["show", "statistics"]).contains("1.0000"));
    // One firm on both sides: flat, and both sides are seen.
    let positions = json(folder, &["show", "positions", "--firm", "1"]);
    assert_eq!(positions[0]["net"], "0");
    assert_eq!(
        (&positions[0]["bought"], &positions[0]["sold"]),
        (&100.into(), &100.into())
    );
    assert_eq!(
        positions,
        json(folder, &["show", "positions", "--symbol", "AAPL"])
    );
    good(folder, &["set-position", "1", "AAPL", "-300"]);
    assert!(
        good(
            folder,
            &["show", "positions", "--firm", "1", "--symbol", "AAPL"]
        )
        .contains("-300")
    );
    bad(folder, &["show", "positions"], 2, "--firm");
    bad(folder, &["show", "positions", "--firm", "7"], 1, "firm 7");
    stop_in_order(venue);
    in_the_journal(folder);
}

/// What was done with the instrument is found in the journal by its symbol, each part by its name.
fn in_the_journal(folder: &VenueFolder) {
    let journal = folder.journal();
    let journal = journal.to_str().expect("UTF-8");
    let kinds = |symbol: &str| -> Vec<String> {
        let shown = run(&[
            "journal",
            "inspect",
            journal,
            "--records",
            "--json",
            "--symbol",
            symbol,
        ]);
        let shown = String::from_utf8(shown.stdout).expect("UTF-8");
        let record = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        let kind = |line| record(line)["kind"].as_str().expect("a kind").to_owned();
        shown.lines().map(kind).collect()
    };
    let (about, other) = (kinds("AAPL"), kinds("MSFT"));
    for (kind, count) in [
        ("start_auction", 2),
        ("set_schedule", 2),
        ("set_reference_price", 2),
        ("set_instrument_state", 1),
        ("set_position", 1),
    ] {
        let found = about.iter().filter(|found| *found == kind).count();
        assert_eq!(found, count, "{kind} in {about:?}");
        assert!(
            !other.iter().any(|found| found == kind),
            "{kind} in {other:?}"
        );
    }
}

/// The story: a change of one rule by an operator defined the instrument without all the others.
#[test]
fn a_change_names_one_rule_and_keeps_the_rest() {
    let (fixture, venue) = Fixture::serving(guarded());
    let folder = &fixture.folder;
    let all = [
        "define",
        "instrument",
        "--id",
        "1",
        "--tick-size",
        "50",
        "--lot-size",
        "10",
        "--tick-bands",
        "100000:500,500000:1000",
        "--allocation",
        "pro-rata",
        "--allocation-minimum",
        "20",
        "--static-collar",
        "1000",
        "--dynamic-collar",
        "300",
        "--collar-action",
        "auction",
        "--auction-duration-ms",
        "5000",
        "--auction-random-end-ms",
        "100",
        "--indication-interval-ms",
        "500",
    ];
    let said = good(folder, &all);
    for part in [
        "+tick_band=100000:500",
        "+static_collar=1000",
        "+collar_action=V",
    ] {
        assert!(said.contains(part), "{said} should name {part}");
    }
    let definition = |folder| json(folder, &["show", "instrument", "AAPL"])["definition"].clone();
    let mut wanted = definition(folder);
    assert_eq!(wanted["tick_bands"][1]["tick_size"], 1_000);
    assert_eq!(wanted["allocation_minimum"], 20);
    good(
        folder,
        &[
            "define",
            "instrument",
            "--id",
            "1",
            "--static-collar",
            "1500",
        ],
    );
    wanted["static_collar"] = 1_500.into();
    assert_eq!(definition(folder), wanted);
    // The file says none of it: neither a reload nor a start takes it away.
    assert_eq!(good(folder, &["reload"]), "nothing differs\n");
    bad(
        folder,
        &["define", "instrument", "--id", "1"],
        2,
        "what to define",
    );
    // What the file does say is shown as what it changes.
    let text = std::fs::read_to_string(folder.config()).expect("read");
    let more = "symbol = \"AAPL\"\nstatic_collar = 700";
    let said = text.replace("symbol = \"AAPL\"", more);
    std::fs::write(folder.config(), said).expect("write");
    let shown = good(folder, &["reload"]);
    assert!(
        shown.ends_with("\n    static_collar 1500 -> 700\n"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 2, "{shown}");
    std::fs::write(folder.config(), text).expect("write");
    let session = ["define", "session", "--id", "2", "--self-trade-group", "5"];
    good(folder, &session);
    good(
        folder,
        &[
            "define",
            "session",
            "--id",
            "2",
            "--self-trade-mode",
            "oldest",
        ],
    );
    good(
        folder,
        &["define", "session", "--id", "2", "--cancel-on-disconnect"],
    );
    let shown = |folder| json(folder, &["show", "session", "2"])["session"].clone();
    assert_eq!(shown(folder)["self_trade_group"], 5);
    assert_eq!(shown(folder)["self_trade_mode"], "oldest");
    assert_eq!(shown(folder)["cancel_on_disconnect"], true);
    let before = shown(folder);
    stop_in_order(venue);
    let venue = fixture.start();
    assert_eq!(definition(folder), wanted);
    assert_eq!(shown(folder), before);
    stop_in_order(venue);
}

/// What stands behind a name in a table.
#[track_caller]
fn row(text: &str, name: &str) -> Vec<String> {
    let mut rows = text.lines().map(|line| line.split_whitespace());
    let row = rows.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    row.unwrap_or_else(|| panic!("no {name} in {text}"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn limits_throttles_and_protections_are_seen_with_what_is_used() {
    let (fixture, venue) = Fixture::serving(guarded());
    let folder = &fixture.folder;
    good(
        folder,
        &[
            "set-limits",
            "--firm",
            "1",
            "--open-orders-max",
            "9",
            "--long-max",
            "5000",
        ],
    );
    good(
        folder,
        &["set-limits", "--firm", "1", "--order-quantity-max", "500"],
    );
    good(
        folder,
        &[
            "set-limits",
            "--session",
            "1",
            "--open-notional-max",
            "5000000",
        ],
    );
    good(
        folder,
        &["set-throttle", "1", "100", "--window-ms", "60000"],
    );
    good(folder, &["set-protection", "1", "--executions-max", "3"]);
    good(
        folder,
        &[
            "set-protection",
            "1",
            "--group-id",
            "7",
            "--quantity-max",
            "900",
        ],
    );
    good(folder, &["set-grace", "5000"]);
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    for user_ref in 1..=4 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    let firm = json(folder, &["show", "firm", "1"]);
    let limits = &firm["limits"];
    assert_eq!(limits["open_orders_max"], 9, "named first, and kept");
    assert_eq!(
        (&limits["long_max"], &limits["order_quantity_max"]),
        (&5_000.into(), &500.into())
    );
    assert_eq!(limits["used"]["open_orders"], 4);
    assert_eq!(limits["used"]["open_notional"], "4000000");
    let session = json(folder, &["show", "session", "1"]);
    assert_eq!(session["throttle"]["messages"], 4);
    assert_eq!(session["throttle"]["window_ns"], 60_000_000_000u64);
    let protections = session["protections"].as_array().expect("a list");
    assert_eq!(protections.len(), 2);
    assert_eq!(protections[0]["group_id"], Value::Null);
    assert_eq!(protections[1]["group_id"], 7);
    assert_eq!(protections[1]["tripped"], false);
    // One more bid passes the session's notional.
    client.message(&bid(5));
    client.hear_of(b'A', 5);
    client.message(&bid(6));
    client.hear_of(b'J', 6);
    let text = good(folder, &["show", "session", "1"]);
    assert_eq!(row(&text, "open_notional_max"), ["5000000", "5000000"]);
    assert_eq!(row(&text, "open_orders_max"), ["-", "5"]);
    for words in ["100 messages in 60000 ms, 6 used", "group 7"] {
        assert!(text.contains(words), "{text} should say {words:?}");
    }
    let text = good(folder, &["show", "firm", "1"]);
    assert_eq!(row(&text, "order_quantity_max"), ["500"]);
    assert_eq!(
        json(folder, &["show", "status"])["grace_ns"],
        5_000_000_000u64
    );
    assert_eq!(json(folder, &["show", "bounds"])["positions_max"], 64);
    bad(folder, &["show", "session", "99"], 1, "session 99");
    stop_in_order(venue);
}

/// Deeper than one answer, and than one question to the engine.
#[test]
fn a_book_is_seen_to_its_last_level() {
    const LEVELS: u32 = 1_150;
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut client = Raw::logged_in(venue.address, folder, 1, 1);
    let price = |level: u32| 200_000 - u64::from(level) * 100;
    for level in 0..LEVELS {
        client.message(&order(level + 1, Side::Buy, price(level)));
    }
    // Many at one price: counted up to a bound only.
    for more in 0..600 {
        client.message(&order(LEVELS + more + 1, Side::Sell, 300_000));
    }
    client.message(&order(LEVELS + 601, Side::Sell, 310_000));
    client.hear_of(b'A', LEVELS + 601);
    let book = json(folder, &["show", "book", "AAPL", "--levels", "5000"]);
    let bids = book["bids"].as_array().expect("bids");
    let prices: Vec<u64> = bids
        .iter()
        .map(|b| b["price"].as_u64().expect("a price"))
        .collect();
    assert_eq!(prices, (0..LEVELS).map(price).collect::<Vec<u64>>());
    assert!(
        bids.iter()
            .all(|b| b["orders"] == 1 && b["quantity"] == 100)
    );
    let asks = book["asks"].as_array().expect("asks");
    assert_eq!(asks.len(), 2);
    assert_eq!(
        (&asks[0]["orders"], &asks[0]["quantity"]),
        (&Value::Null, &60_000.into())
    );
    assert_eq!(
        (&asks[1]["orders"], &asks[1]["quantity"]),
        (&1.into(), &100.into())
    );
    assert!(good(folder, &["show", "book", "AAPL"]).contains("many"));
    let mut operator = AdminClient::connect(&socket(folder)).expect("a socket");
    let mut ask = |bids_behind, asks_behind| -> BookView {
        let show = ShowBook {
            symbol: "AAPL".to_owned(),
            levels: 3,
            bids_behind,
            asks_behind,
        };
        operator.ask(Command::ShowBook(show), None).expect("a book")
    };
    let prices = |levels: &[lockstep_node::admin::protocol::LevelView]| -> Vec<u64> {
        levels.iter().map(|level| level.price).collect()
    };
    // Behind a price at which nobody is, and behind the last.
    let book = ask(Some(price(1_147) - 50), Some(305_000));
    assert_eq!(prices(&book.bids), [price(1_148), price(1_149)]);
    assert_eq!(prices(&book.asks), [310_000]);
    for lowest in [0, 1] {
        let book = ask(Some(lowest), Some(u64::MAX));
        assert_eq!((book.bids.len(), book.asks.len()), (0, 0));
    }
    let book = ask(Some(u64::MAX), Some(0));
    assert_eq!(prices(&book.bids), [price(0), price(1), price(2)]);
    assert_eq!(prices(&book.asks), [300_000, 310_000]);
    stop_in_order(venue);
}

/// What the file proposed at a start and the state machine refused was seen in a counter only.
#[test]
fn a_start_says_which_definitions_were_refused() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    stop_in_order(venue);
    let text = std::fs::read_to_string(folder.config()).expect("read");
    // The file forgets MSFT, and gives its symbol to a new instrument.
    let changed = text.replace("id = 2\nsymbol = \"MSFT\"", "id = 9\nsymbol = \"MSFT\"");
    assert_ne!(changed, text);
    std::fs::write(folder.config(), changed).expect("write");
    let venue = fixture.start();
    assert_eq!(
        json(folder, &["show", "instruments"])
            .as_array()
            .expect("all")
            .len(),
        3
    );
    let ended = stop_in_order(venue);
    assert!(
        ended.log.contains("a definition was refused"),
        "{}",
        ended.log
    );
    assert!(
        ended.log.contains("another entry has that name"),
        "{}",
        ended.log
    );
}
