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

/// The helper was kept from its core by work of a better nice value, until the journal stood still for seconds.
#[test]
fn the_helper_that_makes_segments_has_the_journal_s_nice_value() {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let allowed = status
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list:"));
    let digits = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .find_map(|n| n.parse::<u32>().ok())
    };
    let core = allowed.and_then(digits).expect("a core");
    let cores = std::thread::available_parallelism().expect("cores").get();
    let own = nice_in(&std::fs::read_to_string("/proc/self/stat").expect("stat")).expect("nice");
    // One's own may be lowered without a privilege.
    let lower = (own + 3).min(19);
    let plan = VenuePlan {
        more: format!(
            "[[thread]]\ncore = {core}\nnice = {lower}\nidle = \"park\"\nagents = [\"journal\"]\n\
             [[thread]]\nidle = \"park\"\n\
             agents = [\"gateway\", \"sequencer\", \"consensus\", \"engine\", \"stream\"]"
        ),
        ..plan()
    };
    let (_fixture, venue) = Fixture::serving(plan);
    // Without another core the helper shares that of the journal, and keeps the process's.
    let expected = if cores > 1 { lower } else { own };
    wait_until("the helper's nice value", || {
        nice_of(venue.id(), "segments") == Some(expected)
    });
    assert_eq!(
        nice_of(venue.id(), "operator"),
        Some(own),
        "others keep theirs"
    );
    stop_in_order(venue);
}

fn nice_of(process: u32, name: &str) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    threads.flatten().find_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        stat.contains(&format!("({name}) "))
            .then(|| nice_in(&stat))?
    })
}

/// Field 19 of a `stat`, the 17th behind the name.
fn nice_in(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(16)?.parse().ok()
}
