//! Scenarios that a person can read: a script of orders in, the events out, line for line.
//!
//! Script lines: `SESSION enter #N SIDE QUANTITY SYMBOL @PRICE [words]`, `SESSION replace #O #N QUANTITY
//! @PRICE [words]`, `SESSION cancel #N TOTAL`, `SESSION modify #N SIDE TOTAL`, `SESSION query`, `SESSION
//! cancel-all #N FIRM SYMBOL [words]`, `SESSION disable #N FIRM`, `SESSION enable #N FIRM`; `-` is a blank
//! firm or symbol. Words: `ioc`, `market`, `hidden`, `post`, and options as `name=value`. Prices are 1/10,000.

mod common;

use common::*;
use lockstep_record::PartTag;
use lockstep_record::command::{AccountQuery, DisableEntry, EnableEntry, MassCancel};

fn number<T: std::str::FromStr>(word: &str) -> T {
    let digits = word.trim_start_matches(['#', '@']);
    digits
        .parse()
        .unwrap_or_else(|_| panic!("not a number: {word}"))
}

/// A word padded with spaces; `-` is blank.
fn padded<const N: usize>(word: &str) -> [u8; N] {
    let mut padded = [b' '; N];
    if word != "-" {
        padded[..word.len()].copy_from_slice(word.as_bytes());
    }
    padded
}

fn with_words(mut command: Command, words: &[&str]) -> Command {
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        command = match name {
            "min" => command.option(PartTag::MIN_QUANTITY, number::<u32>(value).to_le_bytes()),
            "firm" => command.option(PartTag::FIRM, value),
            "channel" => command.option(PartTag::USER_REF_IDX, [number::<u8>(value)]),
            "side" => command.option(PartTag::SIDE, value),
            "group" => command.option(PartTag::GROUP_ID, number::<u16>(value).to_le_bytes()),
            "customer" => command.option(PartTag::CUSTOMER_TYPE, value),
            "shows" => command.option(PartTag::MAX_FLOOR, number::<u32>(value).to_le_bytes()),
            "stp" => command.option(PartTag::SELF_TRADE_PREVENTION, value),
            "post" => command.option(PartTag::POST_ONLY, "P"),
            "ioc" | "market" | "hidden" => command,
            other => panic!("unknown word {other}"),
        };
    }
    command
}

fn parse(line: &str) -> Command {
    let words: Vec<&str> = line.split_whitespace().collect();
    let session = number(words[0]);
    let ioc = if words.contains(&"ioc") { b'3' } else { b'0' };
    match words[1..] {
        ["enter", n, side, quantity, name, price, ref rest @ ..] => {
            let mut body = enter(
                number(n),
                side.as_bytes()[0],
                number(quantity),
                number(price),
            );
            body.symbol = padded(name);
            body.time_in_force = ioc;
            body.display = if rest.contains(&"hidden") { b'N' } else { b'Y' };
            with_words(command(session, 1, body), rest)
        }
        ["replace", original, n, quantity, price, ref rest @ ..] => {
            let mut body = replace(number(original), number(n), number(quantity), number(price));
            body.time_in_force = ioc;
            with_words(command(session, 1, body), rest)
        }
        ["cancel", n, total, ref rest @ ..] => {
            with_words(command(session, 1, cancel(number(n), number(total))), rest)
        }
        ["modify", n, side, total, ref rest @ ..] => {
            let body = modify(number(n), side.as_bytes()[0], number(total));
            with_words(command(session, 1, body), rest)
        }
        ["query", ref rest @ ..] => {
            with_words(command(session, 1, AccountQuery { _reserved: 0 }), rest)
        }
        ["cancel-all", n, firm, symbol, ref rest @ ..] => {
            let (firm, symbol) = (padded(firm), padded(symbol));
            let body = MassCancel {
                user_ref_num: number(n),
                firm,
                symbol,
            };
            with_words(command(session, 1, body), rest)
        }
        ["disable", n, firm] => {
            let body = DisableEntry {
                user_ref_num: number(n),
                firm: padded(firm),
            };
            command(session, 1, body)
        }
        ["enable", n, firm] => {
            let body = EnableEntry {
                user_ref_num: number(n),
                firm: padded(firm),
            };
            command(session, 1, body)
        }
        _ => panic!("cannot read {line}"),
    }
}

/// Runs a scenario: lines that begin with `>` are what must be said after the command before them.
fn check(scenario: &str) {
    let mut driver = venue();
    let mut said: Vec<String> = Vec::new();
    let mut last = "";
    for line in scenario
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(wanted) = line.strip_prefix("> ") {
            assert!(
                !said.is_empty(),
                "after '{last}': nothing more was said, wanted '{wanted}'"
            );
            assert_eq!(said.remove(0), wanted, "after '{last}'");
        } else {
            assert!(said.is_empty(), "after '{last}': also said {said:?}");
            said = driver
                .tell(&[parse(line)])
                .iter()
                .map(ToString::to_string)
                .collect();
            last = line;
        }
    }
    assert!(said.is_empty(), "after '{last}': also said {said:?}");
}

#[test]
fn a_limit_order_rests_and_trades_at_its_own_price() {
    // A peer printed the aggressor's price.
    check(
        "1 enter #1 S 100 AAAA @10000
         > 1: accepted #1 S 100 AAAA @10000 tif 0 ref 1
         2 enter #1 B 40 AAAA @10500
         > 2: accepted #1 B 40 AAAA @10500 tif 0 ref 2
         > 1: executed #1 40 @10000 A match 1
         > 2: executed #1 40 @10000 R match 1
         1 cancel #1 0
         > 1: canceled #1 60 U",
    );
}

#[test]
fn a_partial_fill_keeps_its_priority() {
    check(
        "1 enter #1 S 100 AAAA @10000
         > 1: accepted #1 S 100 AAAA @10000 tif 0 ref 1
         3 enter #1 S 100 AAAA @10000
         > 3: accepted #1 S 100 AAAA @10000 tif 0 ref 2
         2 enter #1 B 40 AAAA @10000
         > 2: accepted #1 B 40 AAAA @10000 tif 0 ref 3
         > 1: executed #1 40 @10000 A match 1
         > 2: executed #1 40 @10000 R match 1
         2 enter #2 B 80 AAAA @10000
         > 2: accepted #2 B 80 AAAA @10000 tif 0 ref 4
         > 1: executed #1 60 @10000 A match 2
         > 2: executed #2 60 @10000 R match 2
         > 3: executed #1 20 @10000 A match 3
         > 2: executed #2 20 @10000 R match 3",
    );
}

#[test]
fn a_marketable_limit_stops_at_its_own_limit_and_rests_there() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @10200
         > 1: accepted #2 S 10 AAAA @10200 tif 0 ref 2
         2 enter #1 B 30 AAAA @10100
         > 2: accepted #1 B 30 AAAA @10100 tif 0 ref 3
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         3 enter #1 S 5 AAAA @10100
         > 3: accepted #1 S 5 AAAA @10100 tif 0 ref 4
         > 2: executed #1 5 @10100 A match 2
         > 3: executed #1 5 @10100 R match 2
         2 cancel #1 0
         > 2: canceled #1 15 U",
    );
}

#[test]
fn an_ioc_residual_never_rests() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         2 enter #1 B 30 AAAA @10000 ioc
         > 2: accepted #1 B 30 AAAA @10000 tif 3 ref 2
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         > 2: canceled #1 20 I
         2 enter #2 B 30 AAAA @10000 ioc
         > 2: accepted #2 B 30 AAAA @10000 tif 3 ref 3
         > 2: canceled #2 30 I
         2 cancel #1 0
         2 cancel #2 0",
    );
}

#[test]
fn a_market_order_takes_all_there_is_and_never_rests() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @1999999900
         > 1: accepted #2 S 10 AAAA @1999999900 tif 0 ref 2
         2 enter #1 B 30 AAAA @2147483647 market
         > 2: accepted #1 B 30 AAAA @2147483647 tif 0 ref 3
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         > 1: executed #2 10 @1999999900 A match 2
         > 2: executed #1 10 @1999999900 R match 2
         > 2: canceled #1 10 I
         3 enter #1 B 7 AAAA @100
         > 3: accepted #1 B 7 AAAA @100 tif 0 ref 4
         2 enter #2 S 8 AAAA @18446744073709551615 market
         > 2: accepted #2 S 8 AAAA @18446744073709551615 tif 0 ref 5
         > 3: executed #1 7 @100 A match 3
         > 2: executed #2 7 @100 R match 3
         > 2: canceled #2 1 I",
    );
}

#[test]
fn fill_or_kill_fills_whole_or_not_at_all() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @10100
         > 1: accepted #2 S 10 AAAA @10100 tif 0 ref 2
         2 enter #1 B 21 AAAA @10100 ioc min=21
         > 2: accepted #1 B 21 AAAA @10100 tif 3 ref 3 +3=[21, 0, 0, 0]
         > 2: canceled #1 21 I
         2 enter #2 B 20 AAAA @10000 ioc min=20
         > 2: accepted #2 B 20 AAAA @10000 tif 3 ref 4 +3=[20, 0, 0, 0]
         > 2: canceled #2 20 I
         2 enter #3 B 20 AAAA @10100 ioc min=20
         > 2: accepted #3 B 20 AAAA @10100 tif 3 ref 5 +3=[20, 0, 0, 0]
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #3 10 @10000 R match 1
         > 1: executed #2 10 @10100 A match 2
         > 2: executed #3 10 @10100 R match 2",
    );
}

#[test]
fn a_minimum_quantity_is_a_minimum_total() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @10000
         > 1: accepted #2 S 10 AAAA @10000 tif 0 ref 2
         2 enter #1 B 50 AAAA @10000 ioc min=15
         > 2: accepted #1 B 50 AAAA @10000 tif 3 ref 3 +3=[15, 0, 0, 0]
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         > 1: executed #2 10 @10000 A match 2
         > 2: executed #1 10 @10000 R match 2
         > 2: canceled #1 30 I",
    );
}

#[test]
fn a_replacement_loses_priority_even_if_nothing_changed() {
    check(
        "1 enter #1 B 10 AAAA @10000
         > 1: accepted #1 B 10 AAAA @10000 tif 0 ref 1
         3 enter #1 B 10 AAAA @10000
         > 3: accepted #1 B 10 AAAA @10000 tif 0 ref 2
         1 replace #1 #2 10 @10000
         > 1: replaced #1 by #2 B 10 AAAA @10000 tif 0 ref 3
         2 enter #1 S 15 AAAA @10000
         > 2: accepted #1 S 15 AAAA @10000 tif 0 ref 4
         > 3: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         > 1: executed #2 5 @10000 A match 2
         > 2: executed #1 5 @10000 R match 2",
    );
}

#[test]
fn a_replacement_counts_what_the_chain_has_executed() {
    // A peer replaced with the original's quantity; another corrupted its id map by modify, then match.
    check(
        "1 enter #1 S 100 AAAA @10000
         > 1: accepted #1 S 100 AAAA @10000 tif 0 ref 1
         2 enter #1 B 30 AAAA @10000
         > 2: accepted #1 B 30 AAAA @10000 tif 0 ref 2
         > 1: executed #1 30 @10000 A match 1
         > 2: executed #1 30 @10000 R match 1
         1 replace #1 #2 50 @10100
         > 1: replaced #1 by #2 S 20 AAAA @10100 tif 0 ref 3
         1 cancel #1 0
         2 enter #2 B 5 AAAA @10100
         > 2: accepted #2 B 5 AAAA @10100 tif 0 ref 4
         > 1: executed #2 5 @10100 A match 2
         > 2: executed #2 5 @10100 R match 2
         1 replace #2 #3 36 @10100
         > 1: replaced #2 by #3 S 1 AAAA @10100 tif 0 ref 5
         1 replace #3 #4 35 @10100
         > 1: canceled #3 1 U
         1 query
         > 1: next #4",
    );
}

#[test]
fn a_replacement_may_trade_at_once() {
    check(
        "1 enter #1 S 10 AAAA @10100
         > 1: accepted #1 S 10 AAAA @10100 tif 0 ref 1
         2 enter #1 B 30 AAAA @10000
         > 2: accepted #1 B 30 AAAA @10000 tif 0 ref 2
         2 replace #1 #2 30 @10100 ioc
         > 2: replaced #1 by #2 B 30 AAAA @10100 tif 3 ref 3
         > 1: executed #1 10 @10100 A match 1
         > 2: executed #2 10 @10100 R match 1
         > 2: canceled #2 20 I",
    );
}

#[test]
fn the_four_answers_to_a_replacement() {
    check(
        "1 enter #5 S 10 AAAA @10000
         > 1: accepted #5 S 10 AAAA @10000 tif 0 ref 1
         1 replace #4 #6 10 @10000
         1 replace #5 #5 10 @10000
         1 replace #5 #6 10 @10001
         > 1: canceled #5 10 U
         1 enter #6 S 10 AAAA @10000
         > 1: accepted #6 S 10 AAAA @10000 tif 0 ref 2
         1 replace #6 #7 10 @10000 side=B
         > 1: canceled #6 10 U
         1 enter #7 S 10 AAAA @10000
         > 1: accepted #7 S 10 AAAA @10000 tif 0 ref 3
         1 replace #7 #8 10 @10000 side=T
         > 1: replaced #7 by #8 T 10 AAAA @10000 tif 0 ref 4 +27=[84]",
    );
}

#[test]
fn a_replacement_inherits_what_it_does_not_say() {
    check(
        "1 enter #1 S 10 AAAA @10000 firm=BEST group=7 customer=R
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1 +2=[66, 69, 83, 84] +4=[82] +24=[7, 0]
         1 replace #1 #2 10 @10000
         > 1: replaced #1 by #2 S 10 AAAA @10000 tif 0 ref 2 +2=[66, 69, 83, 84] +4=[82] +24=[7, 0]
         1 replace #2 #3 10 @10000 firm=ACME group=9 customer=N
         > 1: replaced #2 by #3 S 10 AAAA @10000 tif 0 ref 3 +2=[66, 69, 83, 84] +4=[78] +24=[7, 0]",
    );
}

#[test]
fn a_partial_cancel_keeps_priority_and_never_increases() {
    check(
        "1 enter #1 B 100 AAAA @10000
         > 1: accepted #1 B 100 AAAA @10000 tif 0 ref 1
         3 enter #1 B 100 AAAA @10000
         > 3: accepted #1 B 100 AAAA @10000 tif 0 ref 2
         1 cancel #1 100
         1 cancel #1 101
         1 cancel #1 60
         > 1: canceled #1 40 U
         2 enter #1 S 20 AAAA @10000
         > 2: accepted #1 S 20 AAAA @10000 tif 0 ref 3
         > 1: executed #1 20 @10000 A match 1
         > 2: executed #1 20 @10000 R match 1
         1 cancel #1 60
         1 cancel #1 59
         > 1: canceled #1 1 U
         1 cancel #1 20
         > 1: canceled #1 39 U
         1 cancel #1 0",
    );
}

#[test]
fn off_lot_totals_are_ignored() {
    check(
        "1 enter #1 B 100 BBBB @10005
         > 1: accepted #1 B 100 BBBB @10005 tif 0 ref 1
         1 cancel #1 55
         1 modify #1 B 55
         1 cancel #1 50
         > 1: canceled #1 50 U",
    );
}

#[test]
fn modify_changes_sells_among_themselves_and_lowers() {
    check(
        "1 enter #1 S 100 AAAA @10000
         > 1: accepted #1 S 100 AAAA @10000 tif 0 ref 1
         3 enter #1 S 100 AAAA @10000
         > 3: accepted #1 S 100 AAAA @10000 tif 0 ref 2
         1 modify #1 B 100
         1 modify #1 S 100
         1 modify #1 E 90
         > 1: modified #1 E 90
         1 modify #1 S 80
         1 modify #1 T 200
         > 1: modified #1 T 90
         1 modify #1 E 50
         1 modify #1 T 50
         > 1: modified #1 T 50
         2 enter #1 B 60 AAAA @10000
         > 2: accepted #1 B 60 AAAA @10000 tif 0 ref 3
         > 1: executed #1 50 @10000 A match 1
         > 2: executed #1 50 @10000 R match 1
         > 3: executed #1 10 @10000 A match 2
         > 2: executed #1 10 @10000 R match 2
         3 modify #1 T 10
         > 3: canceled #1 90 U",
    );
}

#[test]
fn a_filled_order_cannot_be_changed_any_more() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         2 enter #1 B 10 AAAA @10000
         > 2: accepted #1 B 10 AAAA @10000 tif 0 ref 2
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         1 modify #1 T 20
         1 cancel #1 0
         1 replace #1 #2 20 @10000
         1 query
         > 1: next #2",
    );
}

#[test]
fn the_best_price_is_never_that_of_a_removed_level() {
    // A peer's cached best pointed at a level that was gone.
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @10100
         > 1: accepted #2 S 10 AAAA @10100 tif 0 ref 2
         1 cancel #1 0
         > 1: canceled #1 10 U
         2 enter #1 B 10 AAAA @10000
         > 2: accepted #1 B 10 AAAA @10000 tif 0 ref 3
         2 enter #2 B 10 AAAA @10100
         > 2: accepted #2 B 10 AAAA @10100 tif 0 ref 4
         > 1: executed #2 10 @10100 A match 1
         > 2: executed #2 10 @10100 R match 1
         3 enter #1 S 10 AAAA @10000
         > 3: accepted #1 S 10 AAAA @10000 tif 0 ref 5
         > 2: executed #1 10 @10000 A match 2
         > 3: executed #1 10 @10000 R match 2",
    );
}

#[test]
fn numbers_are_per_channel_and_may_be_sparse() {
    check(
        "1 enter #4000000000 B 1 AAAA @100
         > 1: accepted #4000000000 B 1 AAAA @100 tif 0 ref 1
         1 enter #4000000000 B 2 AAAA @100
         1 enter #5 B 2 AAAA @100
         1 enter #5 B 3 AAAA @100 channel=9
         > 1: accepted #5/9 B 3 AAAA @100 tif 0 ref 2
         1 enter #0 B 3 AAAA @100 channel=10
         1 query
         > 1: next #4000000001
         1 query channel=9
         > 1: next #6/9
         1 query channel=10
         > 1: next #1/10
         1 cancel #5 0
         1 cancel #5 0 channel=9
         > 1: canceled #5/9 3 U
         1 enter #4294967295 B 1 AAAA @100
         > 1: accepted #4294967295 B 1 AAAA @100 tif 0 ref 3
         1 query
         > 1: next #0",
    );
}

#[test]
fn a_mass_cancel_takes_what_it_names_oldest_first() {
    check(
        "1 enter #1 B 10 AAAA @10000
         > 1: accepted #1 B 10 AAAA @10000 tif 0 ref 1
         1 enter #2 S 10 AAAA @10100
         > 1: accepted #2 S 10 AAAA @10100 tif 0 ref 2
         1 enter #3 T 10 BBBB @10100
         > 1: accepted #3 T 10 BBBB @10100 tif 0 ref 3
         1 enter #4 B 10 AAAA @10000 firm=BEST
         > 1: accepted #4 B 10 AAAA @10000 tif 0 ref 4 +2=[66, 69, 83, 84]
         1 enter #5 B 10 AAAA @10000 group=7
         > 1: accepted #5 B 10 AAAA @10000 tif 0 ref 5 +24=[7, 0]
         2 enter #1 B 10 AAAA @10000
         > 2: accepted #1 B 10 AAAA @10000 tif 0 ref 6
         1 cancel-all #5 - -
         1 cancel-all #6 - ZZZZ
         > 1: rejected #6 0x17
         1 cancel-all #7 NONE -
         > 1: rejected #7 0x0C
         1 cancel-all #8 - - side=X
         > 1: rejected #8 0x09
         1 cancel-all #9 - - group=7
         > 1: mass cancel #9
         > 1: canceled #5 10 U
         1 cancel-all #10 - - side=S
         > 1: mass cancel #10
         > 1: canceled #2 10 U
         1 cancel-all #11 BEST AAAA
         > 1: mass cancel #11 BEST AAAA
         > 1: canceled #4 10 U
         1 cancel-all #12 - -
         > 1: mass cancel #12
         > 1: canceled #1 10 U
         > 1: canceled #3 10 U
         1 cancel-all #13 - -
         > 1: mass cancel #13",
    );
}

#[test]
fn disabled_entry_stops_a_firms_entries_and_replacements_only() {
    check(
        "1 enter #1 B 10 AAAA @10000
         > 1: accepted #1 B 10 AAAA @10000 tif 0 ref 1
         1 disable #2 -
         > 1: entry disabled #2
         1 enter #3 B 10 AAAA @10000
         > 1: rejected #3 0x0F
         1 replace #1 #4 10 @10100
         > 1: rejected #4 0x0F
         1 enter #5 B 10 AAAA @10000 firm=BEST
         > 1: accepted #5 B 10 AAAA @10000 tif 0 ref 2 +2=[66, 69, 83, 84]
         1 cancel #1 5
         > 1: canceled #1 5 U
         1 enable #6 NONE
         > 1: rejected #6 0x0C
         1 enable #7 ACME
         > 1: entry enabled #7 ACME
         1 replace #1 #8 10 @10100
         > 1: replaced #1 by #8 B 10 AAAA @10100 tif 0 ref 3",
    );
}

#[test]
fn a_hidden_order_trades_after_all_displayed_ones_of_its_price() {
    check(
        "1 enter #1 S 10 AAAA @10000 hidden
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         3 enter #1 S 10 AAAA @10000
         > 3: accepted #1 S 10 AAAA @10000 tif 0 ref 2
         1 enter #2 S 10 AAAA @9900 hidden
         > 1: accepted #2 S 10 AAAA @9900 tif 0 ref 3
         2 enter #1 B 25 AAAA @10000
         > 2: accepted #1 B 25 AAAA @10000 tif 0 ref 4
         > 1: executed #2 10 @9900 J match 1
         > 2: executed #1 10 @9900 R match 1
         > 3: executed #1 10 @10000 A match 2
         > 2: executed #1 10 @10000 R match 2
         > 1: executed #1 5 @10000 J match 3
         > 2: executed #1 5 @10000 R match 3",
    );
}

#[test]
fn a_post_only_order_never_takes() {
    check(
        "1 enter #1 S 10 AAAA @10000 hidden
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         2 enter #1 B 10 AAAA @10000 post
         > 2: accepted #1 B 10 AAAA @10000 tif 0 ref 2 +12=[80]
         > 2: canceled #1 10 G
         2 enter #2 B 10 AAAA @9900 post
         > 2: accepted #2 B 10 AAAA @9900 tif 0 ref 3 +12=[80]
         2 replace #2 #3 10 @10000
         > 2: replaced #2 by #3 B 10 AAAA @10000 tif 0 ref 4 +12=[80]
         > 2: canceled #3 10 G",
    );
}

#[test]
fn self_trade_prevention_cancels_the_newest() {
    check(
        "1 enter #1 S 5 AAAA @9900
         > 1: accepted #1 S 5 AAAA @9900 tif 0 ref 1
         2 enter #1 S 30 AAAA @10000
         > 2: accepted #1 S 30 AAAA @10000 tif 0 ref 2
         2 enter #2 B 20 AAAA @10000 stp=N
         > 2: accepted #2 B 20 AAAA @10000 tif 0 ref 3 +203=[78]
         > 1: executed #1 5 @9900 A match 1
         > 2: executed #2 5 @9900 R match 1
         > 2: self-match #2 loses 15 of 15 @10000 R N",
    );
}

#[test]
fn self_trade_prevention_cancels_the_oldest_and_trades_on() {
    // A peer left the residual of a prevented order resting.
    check(
        "2 enter #1 S 30 AAAA @10000
         > 2: accepted #1 S 30 AAAA @10000 tif 0 ref 1
         1 enter #1 S 5 AAAA @10000
         > 1: accepted #1 S 5 AAAA @10000 tif 0 ref 2
         2 enter #2 B 20 AAAA @10000 stp=O ioc
         > 2: accepted #2 B 20 AAAA @10000 tif 3 ref 3 +203=[79]
         > 2: self-match #1 loses 30 of 20 @10000 A O
         > 1: executed #1 5 @10000 A match 1
         > 2: executed #2 5 @10000 R match 1
         > 2: canceled #2 15 I
         2 cancel #1 0
         2 cancel #2 0",
    );
}

#[test]
fn self_trade_prevention_cancels_both() {
    check(
        "2 enter #1 S 30 AAAA @10000
         > 2: accepted #1 S 30 AAAA @10000 tif 0 ref 1
         2 enter #2 B 20 AAAA @10000 stp=B
         > 2: accepted #2 B 20 AAAA @10000 tif 0 ref 2 +203=[66]
         > 2: self-match #1 loses 30 of 20 @10000 A B
         > 2: self-match #2 loses 20 of 20 @10000 R B
         2 cancel #1 0",
    );
}

#[test]
fn self_trade_prevention_decrements_both_and_keeps_the_rest() {
    check(
        "2 enter #1 S 30 AAAA @10000
         > 2: accepted #1 S 30 AAAA @10000 tif 0 ref 1
         2 enter #2 B 20 AAAA @10000 stp=D
         > 2: accepted #2 B 20 AAAA @10000 tif 0 ref 2 +203=[68]
         > 2: self-match #1 loses 20 of 20 @10000 A D
         > 2: self-match #2 loses 20 of 20 @10000 R D
         2 enter #3 B 15 AAAA @10000 stp=D
         > 2: accepted #3 B 15 AAAA @10000 tif 0 ref 3 +203=[68]
         > 2: self-match #1 loses 10 of 10 @10000 A D
         > 2: self-match #3 loses 10 of 10 @10000 R D
         2 cancel #3 2
         > 2: canceled #3 3 U",
    );
}

#[test]
fn a_minimum_quantity_does_not_count_on_ones_own_orders() {
    check(
        "1 enter #1 S 10 AAAA @10000
         > 1: accepted #1 S 10 AAAA @10000 tif 0 ref 1
         2 enter #1 S 10 AAAA @10000
         > 2: accepted #1 S 10 AAAA @10000 tif 0 ref 2
         3 enter #1 S 10 AAAA @10000
         > 3: accepted #1 S 10 AAAA @10000 tif 0 ref 3
         2 enter #2 B 20 AAAA @10000 ioc min=20 stp=N
         > 2: accepted #2 B 20 AAAA @10000 tif 3 ref 4 +3=[20, 0, 0, 0] +203=[78]
         > 2: canceled #2 20 I
         2 enter #3 B 20 AAAA @10000 ioc min=20 stp=O
         > 2: accepted #3 B 20 AAAA @10000 tif 3 ref 5 +3=[20, 0, 0, 0] +203=[79]
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #3 10 @10000 R match 1
         > 2: self-match #1 loses 10 of 10 @10000 A O
         > 3: executed #1 10 @10000 A match 2
         > 2: executed #3 10 @10000 R match 2",
    );
}

#[test]
fn a_reserve_order_displays_part_and_goes_back_each_time() {
    check(
        "1 enter #1 S 25 AAAA @10000 shows=10
         > 1: accepted #1 S 25 AAAA @10000 tif 0 ref 1 +5=[10, 0, 0, 0]
         3 enter #1 S 10 AAAA @10000
         > 3: accepted #1 S 10 AAAA @10000 tif 0 ref 2
         2 enter #1 B 12 AAAA @10000
         > 2: accepted #1 B 12 AAAA @10000 tif 0 ref 3
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #1 10 @10000 R match 1
         > 1: restated #1 R shows 10
         > 3: executed #1 2 @10000 A match 2
         > 2: executed #1 2 @10000 R match 2
         2 enter #2 B 20 AAAA @10000
         > 2: accepted #2 B 20 AAAA @10000 tif 0 ref 4
         > 3: executed #1 8 @10000 A match 3
         > 2: executed #2 8 @10000 R match 3
         > 1: executed #1 10 @10000 A match 4
         > 2: executed #2 10 @10000 R match 4
         > 1: restated #1 R shows 5
         > 1: executed #1 2 @10000 A match 5
         > 2: executed #2 2 @10000 R match 5
         1 cancel #1 0
         > 1: canceled #1 3 U",
    );
}

#[test]
fn a_partial_cancel_takes_from_the_reserve_first() {
    check(
        "1 enter #1 S 25 AAAA @10000 shows=10
         > 1: accepted #1 S 25 AAAA @10000 tif 0 ref 1 +5=[10, 0, 0, 0]
         3 enter #1 S 10 AAAA @10000
         > 3: accepted #1 S 10 AAAA @10000 tif 0 ref 2
         1 cancel #1 8
         > 1: canceled #1 17 U
         2 enter #1 B 9 AAAA @10000
         > 2: accepted #1 B 9 AAAA @10000 tif 0 ref 3
         > 1: executed #1 8 @10000 A match 1
         > 2: executed #1 8 @10000 R match 1
         > 3: executed #1 1 @10000 A match 2
         > 2: executed #1 1 @10000 R match 2",
    );
}

#[test]
fn fill_or_kill_counts_reserves() {
    check(
        "1 enter #1 S 25 AAAA @10000 shows=10
         > 1: accepted #1 S 25 AAAA @10000 tif 0 ref 1 +5=[10, 0, 0, 0]
         2 enter #1 B 26 AAAA @10000 ioc min=26
         > 2: accepted #1 B 26 AAAA @10000 tif 3 ref 2 +3=[26, 0, 0, 0]
         > 2: canceled #1 26 I
         2 enter #2 B 25 AAAA @10000 ioc min=25
         > 2: accepted #2 B 25 AAAA @10000 tif 3 ref 3 +3=[25, 0, 0, 0]
         > 1: executed #1 10 @10000 A match 1
         > 2: executed #2 10 @10000 R match 1
         > 1: restated #1 R shows 10
         > 1: executed #1 10 @10000 A match 2
         > 2: executed #2 10 @10000 R match 2
         > 1: restated #1 R shows 5
         > 1: executed #1 5 @10000 A match 3
         > 2: executed #2 5 @10000 R match 3",
    );
}
