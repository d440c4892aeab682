//! The bench on small inputs, so that it cannot rot, and the book against the generators.

use super::*;
use crate::workload::generate::generate_shape;
use crate::workload::record::Operation;
use std::path::Path;
use std::process::Command;

fn arguments(seed: u64, operations: u64) -> BookArgs {
    BookArgs {
        workload: None,
        seed,
        operations,
        rounds: 1,
        no_shapes: true,
        core: None,
        json: false,
    }
}

/// The hash is the generator's for any seed: `run` fails if one of its passes gives another.
#[test]
fn the_book_gives_the_generators_trades_for_many_seeds() {
    for seed in [SEED_DEFAULT, 1, 42, 7_777_777, u64::MAX] {
        let report = run(&arguments(seed, 60_000)).expect("a sound stream");
        let made = generate(60_000, seed);
        assert_eq!(report.trade_hash, format!("{:016x}", made.trades.hash));
        assert!(report.trade_count > 4_000, "{report}");
        let last = report.final_book;
        let wanted = (made.live_orders, made.live_quantity, made.bid, made.ask);
        let price = |tick: Option<u32>| tick.map(i64::from);
        let got = (
            last.orders as usize,
            last.quantity,
            price(last.bid),
            price(last.ask),
        );
        assert_eq!(got, wanted);
    }
}

/// Against the published generator itself, from its file: trades, quantity, hash and the last book.
#[test]
fn files_of_the_published_generator_give_what_it_prints() {
    let source = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/workload/generate.cpp"
    ));
    if !source.exists() {
        println!("SKIP: {} is absent", source.display());
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let binary = folder.path().join("generate");
    let compiled = Command::new("g++")
        .arg("-O1")
        .arg("-o")
        .arg(&binary)
        .arg(source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("SKIP: no g++ that compiles the published generator");
        return;
    }
    for seed in ["11400714819323198485", "3", "99"] {
        let file = folder.path().join("stream");
        let output = Command::new(&binary)
            .arg(&file)
            .args(["40000", seed])
            .output();
        let printed = String::from_utf8(output.expect("runs").stdout).expect("text");
        let report = run(&BookArgs {
            workload: Some(file),
            ..arguments(1, 1)
        })
        .expect("a sound file");
        let trades = format!(
            "trades {} qty {} hash {}\n",
            report.trade_count, report.trade_quantity, report.trade_hash
        );
        assert!(
            printed.contains(&trades),
            "seed {seed}: {trades} in {printed}"
        );
        let FinalBook {
            orders,
            quantity,
            bid,
            ask,
        } = report.final_book;
        let (bid, ask) = (bid.expect("bids"), ask.expect("asks"));
        let last = format!("final live {orders} liveqty {quantity} bid {bid} ask {ask} ");
        assert!(printed.contains(&last), "seed {seed}: {last} in {printed}");
    }
}

#[test]
fn shapes_are_played_right() {
    let sizes = Sizes {
        operations: 20_000,
        wide_ticks: 200_000,
        level_orders: 2_000,
        live_orders: 5_000,
        instruments: 100,
    };
    let mut names = Vec::new();
    for shape in shapes(&sizes, 5) {
        check_shape(&shape).unwrap_or_else(|error| panic!("{}: {error}", shape.name));
        assert!(shape.trades.trades > 500, "{}", shape.name);
        names.push(shape.name);
    }
    assert_eq!(
        names,
        ["wide", "one level", "many orders", "many instruments"]
    );
}

#[test]
fn streams_that_cannot_be_played_are_named() {
    let good = generate_shape(100, 1, Default::default()).records;
    let bounds = BookBounds {
        orders_max: 1_000,
        levels_max: 1_000,
    };
    let error = |at: usize, change: &dyn Fn(&mut WorkRecord)| {
        let mut records = good.clone();
        change(&mut records[at]);
        check::<One>(&records, bounds, 1).expect_err("changed")
    };
    let (number, id) = (7, 3);
    assert_eq!(error(7, &|r| r.id = 3), StreamError::Live { number, id });
    let id = 1 << 33;
    assert_eq!(
        error(7, &|r| r.id = 1 << 33),
        StreamError::Id { number, id }
    );
    let cancel = |r: &mut WorkRecord| (r.operation, r.id) = (Operation::Cancel, 999);
    let id = 999;
    assert_eq!(error(7, &cancel), StreamError::NotLive { number, id });
    for price in [-1, 1 << 31, i64::MAX] {
        assert_eq!(
            error(7, &|r| r.price = price),
            StreamError::Price { number, price }
        );
    }
    // Ids beyond u32 are orders of their own.
    let mut records = good.clone();
    records.iter_mut().for_each(|record| record.id += 7 << 32);
    assert!(check::<One>(&records, bounds, 1).is_ok());
}

#[test]
fn a_report_has_its_fields() {
    let report = run(&arguments(1, 30_000)).expect("runs");
    assert!(report.bytes_per_order <= 96, "{}", report.bytes_per_order);
    let json = serde_json::to_value(&report).expect("json");
    for field in [
        "operations_per_s",
        "trade_hash",
        "page_faults",
        "bytes_per_order",
        "setting",
    ] {
        assert!(!json[field].is_null(), "{field}");
    }
    for field in ["p50", "p99", "p999", "p9999", "max"] {
        assert!(json["latency_ns"][field].as_u64() > Some(0), "{field}");
    }
}
