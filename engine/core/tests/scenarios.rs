//! Orders, executions, replacements, cancels and modifications, as scenarios that a person can read
//! (`common/script.rs` explains the lines). Each bug that peers had is one of them.

mod common;

use common::script::check;

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
