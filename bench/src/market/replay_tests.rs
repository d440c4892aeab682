use super::super::lobster::LobsterFiles;
use super::super::naive_venue::{Bug, NaiveVenue};
use super::super::report::{Ended, MarketReport};
use super::super::run::{RunLimits, run};
use super::*;
use crate::client::request::symbol;
use crate::market::counts::{NotCompared, Skip};
use std::path::PathBuf;
use std::time::Duration;

const LIMITS: RunLimits = RunLimits {
    answer_timeout: Duration::from_millis(50),
    rows_max: u64::MAX,
};

fn files(rows: &[(&str, &str)]) -> LobsterFiles {
    let column =
        |pick: fn(&(&str, &str)) -> String| rows.iter().map(pick).collect::<String>().into_bytes();
    LobsterFiles::from_bytes(
        ("m.csv".into(), column(|row| format!("1.0,{}\n", row.0))),
        ("b.csv".into(), column(|row| format!("{}\n", row.1))),
    )
}

fn replay(rows: &[(&str, &str)], bug: Bug) -> (MarketReport, NaiveVenue) {
    let mut venue = NaiveVenue::new(bug);
    let options = ReplayOptions::new(symbol("TEST").expect("symbol"));
    let report = run(&mut files(rows), &mut venue, options, LIMITS, &mut |_| {});
    (report.expect("files and link are sound"), venue)
}

/// Two levels a side. Row: message (type, id, size, price, direction), book (ask, bid, ask, bid).
const DAY: &[(&str, &str)] = &[
    // The first row only reveals.
    ("1,1,10,10000,1", "10500,5,10000,10,10600,6,9900,20"),
    // New at the best bid, then in front of it: 9900 leaves the view.
    ("1,2,7,10000,1", "10500,5,10000,17,10600,6,9900,20"),
    ("1,3,8,10100,1", "10500,5,10100,8,10600,6,10000,17"),
    // Execution of part and of the rest: 9900 comes back into view with another size.
    ("4,3,3,10100,1", "10500,5,10100,5,10600,6,10000,17"),
    ("4,3,5,10100,1", "10500,5,10000,17,10600,6,9900,30"),
    // The revealed 10 shares of order 1 trade before order 2's.
    ("4,1,4,10000,1", "10500,5,10000,13,10600,6,9900,30"),
    // A partial cancel of order 2; a delete of order 1, which only revealed liquidity stands for.
    ("2,2,3,10000,1", "10500,5,10000,10,10600,6,9900,30"),
    ("3,1,6,10000,1", "10500,5,10000,4,10600,6,9900,30"),
    // Order 3 is long gone; an order that never was in view; hidden, auction, halt.
    ("3,77,1,9800,1", "10500,5,10000,4,10600,6,9900,30"),
    ("5,0,9,10300,-1", "10500,5,10000,4,10600,6,9900,30"),
    ("6,0,9,10300,-1", "10500,5,10000,4,10600,6,9900,30"),
    ("7,0,0,-1,-1", "10500,5,10000,4,10600,6,9900,30"),
    // The best ask goes and another is revealed.
    ("3,50,5,10500,-1", "10600,6,10000,4,10700,1,9900,30"),
];

#[test]
fn every_kind_of_row_is_replayed_and_counted() {
    let (report, venue) = replay(DAY, Bug::None);
    assert!(report.is_clean(), "{report}");
    let plan = &report.plan;
    assert_eq!(plan.rows, 13);
    assert_eq!(
        (report.compared.rows, report.compared.rows_in_full),
        (12, 10)
    );
    assert_eq!(report.compared.rows_but_last_level, 2);
    assert_eq!(plan.rows_not_compared.get(&NotCompared::FirstRow), Some(&1));
    assert_eq!((plan.new_orders, plan.executions()), (2, 3));
    assert_eq!(
        (plan.executions_named_in_front, plan.executions_revealed),
        (2, 1)
    );
    assert_eq!(
        (
            plan.cancels_direct,
            plan.cancels_left_view,
            plan.cancels_born_before_file
        ),
        (1, 1, 1)
    );
    for skip in [
        Skip::OutsideView,
        Skip::HiddenExecution,
        Skip::CrossTrade,
        Skip::Halt,
        Skip::FirstRow,
    ] {
        assert_eq!(plan.messages_skipped.get(&skip), Some(&1), "{skip}");
    }
    assert_eq!(
        (
            plan.levels_revealed_first_row,
            plan.levels_revealed_into_view
        ),
        (4, 2)
    );
    assert_eq!((plan.levels_left_view, plan.orders_left_view), (1, 1));
    assert_eq!(report.compared.fills, 3);
    assert_eq!(venue.resting(), 0, "everything is cancelled at the end");
    let messages = plan.new_orders + plan.executions() + plan.cancels() + plan.skipped();
    assert_eq!(messages, plan.rows, "every message is in one count");
    let rows: u64 = plan.rows_not_compared.values().sum();
    assert_eq!(
        rows + report.compared.rows,
        plan.rows,
        "every row is in one count"
    );
}

#[test]
fn every_planted_bug_is_found() {
    use Bug::*;
    let bugs = [
        NewestFirst,
        CancelTakesMore,
        CancelLies,
        ImmediateRests,
        WrongPrice,
        AcceptsLess,
        OneSidedTrade,
        TradesLess,
        Garbage,
        Silent,
        AcceptsTwice,
        PartialCancelLosesPriority,
        Refuses,
    ];
    for bug in bugs {
        let rows: Vec<_> = match bug {
            // Needs a hundred orders.
            Refuses => many_orders(),
            // Needs a second order behind one that is cancelled in part.
            PartialCancelLosesPriority => PRIORITY.to_vec(),
            _ => DAY.to_vec(),
        };
        let (sound, _) = replay(&rows, None);
        assert!(sound.mismatches.is_empty(), "{bug:?}: {sound}");
        let (report, _) = replay(&rows, bug);
        assert!(!report.is_clean(), "{bug:?} was not found: {report}");
    }
}

const PRIORITY: &[(&str, &str)] = &[
    ("7,0,0,-1,1", "10500,5,10000,1"),
    ("1,1,10,10000,1", "10500,5,10000,11"),
    ("1,2,10,10000,1", "10500,5,10000,21"),
    ("2,1,4,10000,1", "10500,5,10000,17"),
    ("4,1,3,10000,1", "10500,5,10000,14"),
];

fn many_orders() -> Vec<(&'static str, &'static str)> {
    let mut rows = vec![("7,0,0,-1,1", "10500,5,10000,1")];
    for _ in 0..100 {
        rows.push(("1,1,1,10000,1", "10500,5,10000,2"));
        rows.push(("3,1,1,10000,1", "10500,5,10000,1"));
    }
    rows
}

#[test]
fn a_wrong_row_of_the_file_is_named_and_not_blamed_on_the_venue() {
    let mut rows = DAY.to_vec();
    rows[3].1 = "10500,5,10100,6,10600,6,10000,17";
    let (report, _) = replay(&rows, Bug::None);
    assert!(report.is_clean(), "{report}");
    // Row 4 disagrees with row 3; row 5's message agrees with neither.
    let contradictions = report
        .plan
        .rows_not_compared
        .get(&NotCompared::FileContradictsItself);
    assert_eq!(contradictions, Some(&2), "{report}");
    assert_eq!(report.plan.levels_revealed_grown, 1);
}

#[test]
fn rows_that_no_book_can_hold_are_left_out_until_it_can() {
    let rows = [
        ("7,0,0,-1,1", "10500,5,10000,4"),
        // Crossed; then a message on it; then sound again.
        ("7,0,0,-1,1", "10500,5,10600,4"),
        ("3,9,1,10600,1", "10500,5,10600,3"),
        ("3,9,1,10600,1", "10500,5,10000,4"),
        ("1,10,1,10000,1", "10500,5,10000,5"),
    ];
    let (report, _) = replay(&rows, Bug::None);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.compared.rows, 1, "{report}");
    assert_eq!(
        report.plan.rows_not_compared.get(&NotCompared::OutOfStep),
        Some(&2),
        "{report}"
    );
    assert_eq!(report.plan.levels_not_revealed_crossed, 2, "{report}");
}

#[test]
fn unfit_messages_are_skipped_with_their_reason() {
    let book = "10500,5,10000,4,10600,5,9900,4";
    let rows = [
        ("7,0,0,-1,1", book),
        ("1,1,1,10500,1", book),
        ("3,2,5,10000,1", book),
        ("4,3,1,9900,1", book),
        ("1,4,1,9800,1", book),
    ];
    let (report, _) = replay(&rows, Bug::None);
    assert!(report.is_clean(), "{report}");
    for skip in [
        Skip::Crossing,
        Skip::NotInBook,
        Skip::NotAtBest,
        Skip::OutsideView,
    ] {
        assert_eq!(report.plan.messages_skipped.get(&skip), Some(&1), "{skip}");
    }
}

#[test]
fn sizes_beyond_one_order_are_split() {
    let rows = [
        ("7,0,0,-1,1", "10500,2500000,10000,4"),
        ("1,1,1000001,10000,1", "10500,2500000,10000,1000005"),
        ("4,9,1500000,10500,-1", "10500,1000000,10000,1000005"),
        ("3,1,1000001,10000,1", "10500,1000000,10000,4"),
    ];
    let (report, venue) = replay(&rows, Bug::None);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.compared.rows, 3);
    assert_eq!(venue.resting(), 0);
}

#[test]
fn the_window_changes_nothing_but_the_pace() {
    let outcome = |window| {
        let mut options = ReplayOptions::new(symbol("TEST").expect("symbol"));
        options.window = window;
        let mut venue = NaiveVenue::new(Bug::None);
        let report = run(&mut files(DAY), &mut venue, options, LIMITS, &mut |_| {}).expect("sound");
        assert!(report.is_clean(), "{report}");
        (report.compared, report.plan)
    };
    assert_eq!(outcome(1), outcome(WINDOW_MAX));
}

#[test]
fn a_silent_venue_is_named_with_its_row() {
    let (report, _) = replay(DAY, Bug::Silent);
    assert!(matches!(report.ended, Ended::Silent { row: 3 }), "{report}");
}

#[test]
fn an_empty_file_is_an_empty_report() {
    let (report, _) = replay(&[], Bug::None);
    assert!(report.is_clean() && report.plan.rows == 0);
}

/// The real files, where they are: (file, rows compared at least).
#[test]
fn the_real_files_agree_with_a_naive_venue() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let targets = [
        ("AMZN_message_kv6003.csv.xz", "AMZN", 43_500),
        (
            "AAPL_2012-06-21_34200000_57600000_message_10_head.csv.xz",
            "AAPL",
            950,
        ),
    ];
    for (name, ticker, rows_min) in targets {
        let path = folder.join(name);
        if !path.exists() {
            println!("SKIP {name}: {} is absent", folder.display());
            continue;
        }
        let mut files = LobsterFiles::open(&path).expect("readable files");
        let mut venue = NaiveVenue::new(Bug::None);
        let options = ReplayOptions::new(symbol(ticker).expect("symbol"));
        let report = run(&mut files, &mut venue, options, LIMITS, &mut |_| {}).expect("sound");
        println!("{report}");
        assert!(report.is_clean(), "{report}");
        assert!(report.compared.rows >= rows_min, "{report}");
        assert_eq!(venue.resting(), 0);
        let plan = &report.plan;
        let messages = plan.new_orders + plan.executions() + plan.cancels() + plan.skipped();
        assert_eq!(messages, plan.rows);
    }
}
