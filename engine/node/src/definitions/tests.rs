use super::*;
use lockstep_core::inspect::Allocation;
use lockstep_core::{Capacity, StateMachine};
use lockstep_record::batch::BatchKind;
use lockstep_record::event::{EventSink, NullSink};
use lockstep_record::{BatchInfo, InstrumentId, LogIndex, Sequence, Term, Timestamp};

const CONFIG: &str = r#"
[data]
directory = "d"

[network]
listen = "127.0.0.1:0"

[[instrument]]
id = 1
symbol = "PLAIN"

[[instrument]]
id = 2
symbol = "SIZE"
allocation = "pro-rata"
allocation_minimum = 5

[[instrument]]
id = 3
symbol = "TOP"
allocation = "top-share"
top_share = 40
"#;

fn apply(machine: &mut StateMachine, records: &[Vec<u8>]) {
    let next = machine.last_timestamp().0 + 1;
    apply_at(machine, records, next);
}

/// Applies what a configuration proposes.
fn propose(machine: &mut StateMachine, config: &Config) {
    let records = proposals(config, machine);
    apply(machine, &records);
}

fn apply_at(machine: &mut StateMachine, records: &[Vec<u8>], timestamp: u64) {
    apply_to(machine, records, timestamp, &mut NullSink);
}

/// Applies records as one batch.
pub(crate) fn apply_to<S: EventSink>(
    machine: &mut StateMachine,
    records: &[Vec<u8>],
    timestamp: u64,
    sink: &mut S,
) {
    let bytes = records.concat();
    // Records are 8-aligned in a log buffer.
    let mut aligned = vec![0u8; bytes.len() + 8];
    let at = aligned.as_ptr().align_offset(8);
    aligned[at..at + bytes.len()].copy_from_slice(&bytes);
    let batch = BatchInfo {
        kind: BatchKind::Commands,
        term: Term(1),
        index: LogIndex(machine.last_index().0 + 1),
        first_sequence: Sequence(machine.last_sequence().0 + 1),
        record_count: records.len() as u32,
        timestamp: Timestamp(timestamp),
        feature_set_version: 0,
    };
    let records = &aligned[at..at + bytes.len()];
    machine.apply(&batch, records, sink).unwrap();
}

#[test]
fn tick_bands_and_bounds_of_protection_are_proposed_until_the_log_has_them() {
    let bands = "tick_bands = [{ from_price = 10000, tick_size = 500 }, \
                 { from_price = 50000, tick_size = 1000 }]";
    let text = CONFIG.replace(
        "symbol = \"PLAIN\"",
        &format!("symbol = \"PLAIN\"\n{bands}"),
    );
    let text = format!("{text}\n[bounds]\npositions_max = 8\ntrades_max = 4\n");
    let config: Config = Config::parse(&text).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 5, "two bounds and three instruments");
    apply(&mut machine, &records);
    let bands = machine.tick_bands(InstrumentId(1));
    assert_eq!((bands.len(), bands[1].tick_size), (2, 1_000));
    assert_eq!(machine.risk_bounds().trades_max, 4);
    assert!(proposals(&config, &machine).is_empty());
    // Without the table in the file everything stays; an empty one takes it back.
    let config: Config = Config::parse(CONFIG).unwrap();
    assert!(proposals(&config, &machine).is_empty());
    let plain = CONFIG.replace("symbol = \"PLAIN\"", "symbol = \"PLAIN\"\ntick_bands = []");
    let config: Config = Config::parse(&plain).unwrap();
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 1, "one tick size again");
    apply(&mut machine, &records);
    assert!(proposals(&config, &machine).is_empty());
}

#[test]
fn collars_and_a_schedule_are_proposed_until_the_log_has_them() {
    let rules = "static_collar = 1000\ncollar_action = \"auction\"\nauction_duration_ms = 5000\n\
                 schedule = { opening_auction_ms = 32400000, trading_ms = 34200000, random_end_ms = 30000 }";
    let text = CONFIG.replace(
        "symbol = \"PLAIN\"",
        &format!("symbol = \"PLAIN\"\n{rules}"),
    );
    let config: Config = Config::parse(&text).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 5, "bounds, three instruments, a schedule");
    apply(&mut machine, &records);
    let known = machine.auction_rules(InstrumentId(1)).unwrap();
    assert_eq!((known.static_collar, known.collar_action), (1_000, b'V'));
    let known = machine.schedule(InstrumentId(1)).unwrap();
    assert_eq!(known.times_ms[2], 34_200_000);
    assert!(proposals(&config, &machine).is_empty());
    // Left out of the file they stay; what says "none" takes them back.
    let config: Config = Config::parse(CONFIG).unwrap();
    assert!(proposals(&config, &machine).is_empty());
    let none = "symbol = \"PLAIN\"\nstatic_collar = 0\ncollar_action = \"reject\"\nschedule = {}";
    let config: Config = Config::parse(&CONFIG.replace("symbol = \"PLAIN\"", none)).unwrap();
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 2, "the definition and the schedule");
    apply(&mut machine, &records);
    assert!(proposals(&config, &machine).is_empty());
    let descending = text.replace("32400000", "35000000");
    assert!(Config::parse(&descending).is_err());
}

#[test]
fn an_allocation_is_proposed_until_the_log_has_it() {
    let config: Config = Config::parse(CONFIG).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 4, "bounds and three instruments");
    apply(&mut machine, &records);
    let has: Vec<_> = machine.instruments().map(|i| i.allocation).collect();
    let wanted = [
        Allocation::PriceTime,
        Allocation::ProRata { minimum: 5 },
        Allocation::TopShare { percent: 40 },
    ];
    assert_eq!(has, wanted);
    assert!(proposals(&config, &machine).is_empty());
    let left_out = CONFIG.replace("allocation = \"pro-rata\"\nallocation_minimum = 5", "");
    let config: Config = Config::parse(&left_out).unwrap();
    assert!(proposals(&config, &machine).is_empty(), "it stays");
    let plain = CONFIG.replace(
        "allocation = \"pro-rata\"\nallocation_minimum = 5",
        "allocation = \"price-time\"",
    );
    let config: Config = Config::parse(&plain).unwrap();
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 1, "back to price-time");
    apply(&mut machine, &records);
    assert!(proposals(&config, &machine).is_empty());
}

const SESSIONS: &str = r#"
[[firm]]
id = 1
code = "ACME"

[[firm]]
id = 2
code = "BETA"

[[session]]
id = 1
user = "ALICE"
firm = "ACME"
password_argon2id = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"
permitted_firms = ["BETA"]
self_trade_group = 7
self_trade_mode = "oldest"
"#;

/// The file could not say a session's self-trade prevention, and knew nothing of what a record had set: each
/// start and each reload that changed anything else of the session defined it without, unseen.
#[test]
fn a_session_keeps_the_parts_that_the_file_does_not_say() {
    let with = format!("{CONFIG}{SESSIONS}");
    let config: Config = Config::parse(&with).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    propose(&mut machine, &config);
    let known = Known::session(&machine, 1).unwrap();
    assert_eq!((known.self_trade_group, known.self_trade_mode), (7, b'O'));
    assert!(proposals(&config, &machine).is_empty());
    // The file says nothing of it (any more), and changes something else.
    let text = with
        .replace("self_trade_group = 7\n", "")
        .replace("self_trade_mode = \"oldest\"\n", "")
        .replace("permitted_firms = [\"BETA\"]\n", "")
        .replace("id = 1\nuser", "cancel_on_disconnect = true\nid = 1\nuser");
    let config: Config = Config::parse(&text).unwrap();
    let records = proposals(&config, &machine);
    assert_eq!(records.len(), 1);
    apply(&mut machine, &records);
    let changed = Known::session(&machine, 1).unwrap();
    let wanted = SessionDefinition {
        cancel_on_disconnect: true,
        ..known
    };
    assert_eq!(changed, wanted);
    // What says "none" takes it back.
    let text = with
        .replace("self_trade_group = 7", "self_trade_group = 0")
        .replace("\"oldest\"", "\"none\"")
        .replace("[\"BETA\"]", "[]");
    let config: Config = Config::parse(&text).unwrap();
    propose(&mut machine, &config);
    let new = Known::session(&machine, 1).unwrap();
    assert_eq!((new.self_trade_group, new.self_trade_mode), (0, 0));
    assert_eq!(new.used_firms().count(), 0);
}

/// Every part of every definition, from the file into the state and back into a record: what one of them
/// forgets differs.
#[test]
fn definitions_come_back_whole() {
    let rules = "tick_size = 5\nlot_size = 10\nallocation = \"top-share\"\ntop_share = 30\n\
        tick_bands = [{ from_price = 10000, tick_size = 50 }]\nstatic_collar = 1\ndynamic_collar = 2\n\
        collar_action = \"auction\"\nauction_duration_ms = 3\nauction_random_end_ms = 4\n\
        indication_interval_ms = 50";
    let text = CONFIG.replace(
        "symbol = \"PLAIN\"",
        &format!("symbol = \"PLAIN\"\n{rules}"),
    );
    let config: Config = Config::parse(&format!("{text}{SESSIONS}")).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    propose(&mut machine, &config);
    let instrument = Known::instrument(&machine, 1).unwrap();
    let plain = InstrumentDefinition::new(1, instrument.symbol);
    let rules = instrument.rules;
    let said = [
        (instrument.tick_size, 5),
        (instrument.lot_size, 10),
        (rules.static_collar, 1),
        (rules.dynamic_collar, 2),
        (u32::from(rules.collar_action), u32::from(b'V')),
        (rules.duration_ms, 3),
        (rules.random_end_ms, 4),
        (rules.indication_interval_ms, 50),
    ];
    assert!(
        said.iter().all(|(found, wanted)| found == wanted),
        "{said:?}"
    );
    assert_eq!(instrument.allocation, Allocation::TopShare { percent: 30 });
    assert_ne!(instrument.tick_bands, plain.tick_bands);
    let session = Known::session(&machine, 1).unwrap();
    // Defined plainly, then again by the values that were read.
    let user = session.user;
    let forgotten = [
        plain.record(OPERATOR),
        SessionDefinition::new(1, 2, user).record(OPERATOR),
    ];
    apply(&mut machine, &forgotten);
    assert_ne!(Known::instrument(&machine, 1), Some(instrument));
    assert_ne!(Known::session(&machine, 1), Some(session));
    let again = [instrument.record(OPERATOR), session.record(OPERATOR)];
    apply(&mut machine, &again);
    assert_eq!(Known::instrument(&machine, 1), Some(instrument));
    assert_eq!(Known::session(&machine, 1), Some(session));
}

#[test]
fn an_instrument_is_retired_by_its_entry_and_not_defined_again() {
    let config: Config = Config::parse(CONFIG).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    propose(&mut machine, &config);
    let gone = CONFIG.replace("symbol = \"PLAIN\"", "symbol = \"PLAIN\"\nretired = true");
    let gone: Config = Config::parse(&gone).unwrap();
    let records = proposals(&gone, &machine);
    assert_eq!(records.len(), 1);
    apply(&mut machine, &records);
    assert!(Known::is_retired(&machine, 1));
    assert!(proposals(&gone, &machine).is_empty());
    assert!(
        proposals(&config, &machine).is_empty(),
        "today nothing changes it any more"
    );
    assert_eq!(Known::instrument_ids(&machine), [2, 3]);
    let day = crate::day::venue_day(&config.day, 1_795_219_200_000_000_000).unwrap();
    let open = operator::record(&crate::day::day_open(&day), &[], OPERATOR);
    apply_at(&mut machine, &[open], day.midnight_ns + 1);
    assert_eq!(Known::instrument(&machine, 1), None);
    assert!(proposals(&gone, &machine).is_empty(), "nor is it new");
    assert_eq!(
        proposals(&config, &machine).len(),
        1,
        "without the word it is"
    );
}

/// A proposal repeats a whole definition; what of it is new had to be found by eye.
#[test]
fn a_proposal_says_what_it_changes() {
    let all = format!("{CONFIG}{SESSIONS}");
    let config: Config = Config::parse(&all).unwrap();
    let mut machine = StateMachine::new(Capacity::default());
    let new = explained_proposals(&config, &machine);
    assert!(new.iter().all(|proposal| proposal.changes.is_empty()));
    propose(&mut machine, &config);
    let rules = "symbol = \"PLAIN\"\nstatic_collar = 600\nallocation = \"pro-rata\"\n\
        allocation_minimum = 3\ntick_bands = [{ from_price = 10000, tick_size = 500 }]\n\
        schedule = { trading_ms = 5 }";
    let text = all
        .replace("symbol = \"PLAIN\"", rules)
        .replace("\"oldest\"", "\"both\"")
        .replace("[\"BETA\"]", "[]");
    let config: Config = Config::parse(&text).unwrap();
    let changed = explained_proposals(&config, &machine);
    let changes: Vec<_> = changed.iter().map(|p| p.changes.join(", ")).collect();
    assert_eq!(
        changes,
        [
            "permitted_firms [2] -> [], self_trade_mode oldest -> both",
            "tick_bands [] -> [10000:500], allocation price-time -> pro-rata(3), static_collar 0 -> 600",
            "trading_ms never -> 5",
        ]
    );
}
