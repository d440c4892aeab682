//! What serving costs while it lasts: no allocation per order on any thread, and memory that stays.

use crate::common::{
    Fixture, PATIENCE, TWO_THREADS, from_environment, plan, segments, stop_in_order, wait_until,
};
use crate::flow::Flow;
use crate::venue::VenuePlan;
use lockstep_node::counters::CounterId;
use std::time::Duration;

/// Figures of the process are brought up to date ten times a second.
const COUNTED: Duration = Duration::from_millis(350);

/// Trades until so many more requests have been sent, and clears up.
fn trade(flow: &mut Flow, requests: u64) {
    let goal = flow.sums().requests + requests;
    flow.trade(Duration::from_secs(3600), 1_000_000, &mut |sums| {
        sums.requests < goal
    })
    .expect("flow");
    flow.settle(PATIENCE).expect("answers");
    std::thread::sleep(COUNTED);
}

#[test]
fn no_thread_of_serve_allocates_per_order() {
    // One segment holds the whole test: making a segment allocates, so the next one is waited for.
    let plan = VenuePlan {
        more: TWO_THREADS.to_owned(),
        segment_bytes: 16 << 20,
        log_buffer_bytes: 16 << 20,
        ..plan()
    };
    let (fixture, venue) = Fixture::serving(plan);
    let mut flow = Flow::new(&fixture.folder, 21).expect("clients");
    flow.connect(venue.address, PATIENCE).expect("sessions");
    trade(&mut flow, 20_000);
    wait_until("the next segment", || segments(&fixture.folder).len() >= 2);
    std::thread::sleep(COUNTED);
    let (before, records) = (
        fixture.counter(CounterId::Allocations),
        fixture.counter(CounterId::Records),
    );
    assert!(before > 0, "allocations are not counted");
    trade(&mut flow, 20_000);
    let records = fixture.counter(CounterId::Records) - records;
    let allocations = fixture.counter(CounterId::Allocations) - before;
    println!("{allocations} allocations over {records} records");
    assert!(records >= 20_000);
    assert_eq!(allocations, 0, "over {records} records");
    // The counter does count: a login's password is verified with fresh memory.
    drop(crate::raw::Raw::logged_in(
        venue.address,
        &fixture.folder,
        1,
        0,
    ));
    std::thread::sleep(COUNTED);
    assert!(fixture.counter(CounterId::Allocations) > before);
    stop_in_order(venue);
}

#[test]
fn resident_memory_stays_over_a_long_run() {
    let operations = from_environment("LOCKSTEP_OPERATIONS", 60_000);
    // A ring and two segments of a few MiB: mapped pages of the log reach their bound early.
    let plan = VenuePlan {
        policy: "local",
        more: format!(
            "{TWO_THREADS}\n[bounds]\nopen_orders_max = 4096\nprice_levels_max = 65536\n"
        ),
        segment_bytes: 4 << 20,
        log_buffer_bytes: 4 << 20,
        ..plan()
    };
    let (fixture, venue) = Fixture::serving(plan);
    let mut flow = Flow::new(&fixture.folder, 22).expect("clients");
    flow.connect(venue.address, PATIENCE).expect("sessions");
    trade(&mut flow, operations / 2);
    let before = fixture.counter(CounterId::ResidentBytes);
    trade(&mut flow, operations / 2);
    let after = fixture.counter(CounterId::ResidentBytes);
    let records = fixture.counter(CounterId::Records);
    println!("resident {before} bytes, {after} after {records} records");
    assert!(records >= operations && before > 1 << 20);
    // Live orders are bounded, so memory is; what an order left behind would be 30 bytes at the least.
    let bound = before + (2 << 20) + operations / 2;
    assert!(
        after <= bound,
        "{before} bytes became {after} over {operations} requests"
    );
    stop_in_order(venue);
}
