//! Mass requests, hidden, post-only and reserve orders, and self-trade prevention, as scenarios that a
//! person can read (`common/script.rs` explains the lines).

mod common;

use common::script::check;

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
