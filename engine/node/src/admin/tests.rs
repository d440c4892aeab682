//! Commands over a state machine that answers for itself: what they change, what they keep, and what they
//! are told.

use super::protocol::{Command, Problem, ProblemCode, Request};
use super::translate;
use crate::definitions::Known;
use crate::definitions::tests::apply_to;
use crate::operator;
use lockstep_core::{Capacity, StateMachine};
use lockstep_record::event::{Control, Delivery, Event, EventSink, Refusal};
use proptest::prelude::*;

const MIDNIGHT: u64 = 1_795_219_200_000_000_000;

/// What became of each record, in order.
#[derive(Default)]
struct Told(Vec<Option<Refusal>>);

impl EventSink for Told {
    fn deliver(&mut self, _: &Delivery, _: Event<'_>) {}

    fn control(&mut self, control: &Control) {
        if let Control::OperatorAnswered { refusal, .. } = control {
            self.0.push(*refusal);
        }
    }
}

struct Venue {
    machine: StateMachine,
    now: u64,
}

impl Venue {
    /// Two firms, two sessions, two instruments, an open day.
    fn new() -> Self {
        let mut venue = Self {
            machine: StateMachine::new(Capacity::default()),
            now: MIDNIGHT,
        };
        let bounds = lockstep_record::command::SetBounds {
            open_orders_max: 64,
            instruments_max: 8,
            sessions_max: 8,
            firms_max: 8,
            price_levels_max: 64,
            _reserved: [0; 12],
        };
        venue.put(&[operator::record(&bounds, &[], "")]);
        let risk = lockstep_record::command::SetRiskBounds {
            positions_max: 8,
            trades_max: 8,
            protections_max: 8,
            _reserved: [0; 4],
        };
        venue.put(&[operator::record(&risk, &[], "")]);
        for command in [
            r#"{"define_firm":{"id":1,"code":"ACME"}}"#,
            r#"{"define_firm":{"id":2,"code":"BETA"}}"#,
            r#"{"define_session":{"id":1,"user":"alice","firm":1}}"#,
            r#"{"define_session":{"id":2,"user":"BOB","firm":2,"self_trade_group":9}}"#,
            r#"{"define_instrument":{"id":1,"symbol":"AAPL"}}"#,
            r#"{"define_instrument":{"id":2,"symbol":"MSFT","tick_size":500}}"#,
        ] {
            venue.does(command);
        }
        let day = crate::day::venue_day(&crate::config::DayConfig::default(), MIDNIGHT + 1);
        let open = crate::day::day_open(&day.expect("a date"));
        venue.put(&[operator::record(&open, &[], "")]);
        venue
    }

    fn put(&mut self, records: &[Vec<u8>]) -> Vec<Option<Refusal>> {
        self.now += 1_000_000;
        let signed: Vec<_> = (1..)
            .zip(records)
            .map(|(number, record)| operator::signed(record, "uid 1 pid 2", number))
            .collect();
        let mut told = Told::default();
        apply_to(&mut self.machine, &signed, self.now, &mut told);
        self.machine.check_invariants().expect("the invariants");
        told.0
    }

    fn carry_out(&mut self, command: &Command) -> Result<Vec<Option<Refusal>>, Problem> {
        let records = translate::records(command, &self.machine)?;
        Ok(self.put(&records.unwrap_or_default()))
    }

    #[track_caller]
    fn told(&mut self, command: &str) -> Result<Vec<Option<Refusal>>, Problem> {
        let text = format!(r#"{{"version":0,"command":{command}}}"#);
        let request = Request::parse(text.as_bytes()).expect(command);
        self.carry_out(&request.command)
    }

    #[track_caller]
    fn does(&mut self, command: &str) {
        let told = self.told(command).expect(command);
        assert!(
            !told.is_empty() && told.iter().all(Option::is_none),
            "{command}: {told:?}"
        );
    }

    #[track_caller]
    fn refuses(&mut self, command: &str, why: Refusal) {
        assert_eq!(self.told(command), Ok(vec![Some(why)]), "{command}");
    }

    #[track_caller]
    fn is_no_command(&mut self, command: &str, code: ProblemCode, names: &str) {
        let problem = self.told(command).expect_err(command);
        assert_eq!(problem.code, code, "{command}");
        assert!(
            problem.message.contains(names),
            "{} of {command}",
            problem.message
        );
    }

    fn state(&self, id: u32) -> u8 {
        let id = lockstep_record::InstrumentId(id);
        self.machine.instrument(id).expect("defined").state as u8
    }
}

const ALL_RULES: &str = r#"{"define_instrument":{"id":1,"tick_size":5,"lot_size":10,
    "tick_bands":[{"from_price":10000,"tick_size":50},{"from_price":50000,"tick_size":100}],
    "allocation":"top-share","top_share":30,"static_collar":500,"dynamic_collar":100,
    "collar_action":"auction","auction_duration_ms":5000,"auction_random_end_ms":1000,
    "indication_interval_ms":500}}"#;

/// A collar was to be widened, and the command that did it had no way not to say tick and lot: an
/// instrument of tick 500 got the command line's 100 back, and one that was defined by a record with rules
/// that the command could not say lost them.
#[test]
fn a_change_of_an_instrument_keeps_what_it_does_not_name() {
    let mut venue = Venue::new();
    venue.does(ALL_RULES);
    let all = Known::instrument(&venue.machine, 1).unwrap();
    assert_eq!(all.used_bands().count(), 2);
    assert_eq!(all.symbol, *b"AAPL    ");
    let change = |member: &str| format!(r#"{{"define_instrument":{{"id":1,{member}}}}}"#);
    // One member at a time: only that differs, and it says what was said.
    let members = [
        (r#""symbol":"AAPB""#, 1),
        (r#""tick_size":10"#, 1),
        (r#""lot_size":20"#, 1),
        (r#""tick_bands":[]"#, 1),
        (r#""allocation":"price-time""#, 1),
        (r#""static_collar":600"#, 1),
        (r#""dynamic_collar":0"#, 1),
        (r#""collar_action":"reject""#, 1),
        (r#""auction_duration_ms":1"#, 1),
        (r#""auction_random_end_ms":2"#, 1),
        (r#""indication_interval_ms":0"#, 1),
    ];
    for (member, differences) in members {
        venue.does(&change(member));
        let now = Known::instrument(&venue.machine, 1).unwrap();
        let (a, b) = (all.rules, now.rules);
        let found = [
            all.symbol != now.symbol,
            all.tick_size != now.tick_size,
            all.lot_size != now.lot_size,
            all.tick_bands != now.tick_bands,
            all.allocation != now.allocation,
            a.static_collar != b.static_collar,
            a.dynamic_collar != b.dynamic_collar,
            a.collar_action != b.collar_action,
            a.duration_ms != b.duration_ms,
            a.random_end_ms != b.random_end_ms,
            a.indication_interval_ms != b.indication_interval_ms,
        ];
        let found = found.iter().filter(|differs| **differs).count();
        assert_eq!(found, differences, "{member}");
        venue.does(&change(r#""symbol":"AAPL""#));
        venue.does(ALL_RULES);
        assert_eq!(Known::instrument(&venue.machine, 1), Some(all));
    }
    let other = Known::instrument(&venue.machine, 2).unwrap();
    assert_eq!(other.tick_size, 500);
    venue.does(r#"{"define_instrument":{"id":2,"static_collar":50}}"#);
    assert_eq!(Known::instrument(&venue.machine, 2).unwrap().tick_size, 500);
}

/// A session's self-trade prevention could be set by a raw record only, and any change of the session by
/// an operator took it away.
#[test]
fn a_change_of_a_session_keeps_what_it_does_not_name() {
    let mut venue = Venue::new();
    venue.does(
        r#"{"define_session":{"id":2,"permitted_firms":[1],"self_trade_mode":"decrement",
        "cancel_on_disconnect":true}}"#,
    );
    let all = Known::session(&venue.machine, 2).unwrap();
    assert_eq!((all.self_trade_group, all.self_trade_mode), (9, b'D'));
    assert!(all.cancel_on_disconnect && all.order_entry);
    venue.does(r#"{"define_session":{"id":2,"order_entry":false}}"#);
    let now = Known::session(&venue.machine, 2).unwrap();
    let wanted = crate::definitions::SessionDefinition {
        order_entry: false,
        ..all
    };
    assert_eq!(now, wanted);
    venue.does(r#"{"define_session":{"id":2,"permitted_firms":[],"self_trade_mode":"none"}}"#);
    let now = Known::session(&venue.machine, 2).unwrap();
    assert_eq!((now.used_firms().count(), now.self_trade_mode), (0, 0));
    assert_eq!(now.self_trade_group, 9);
}

/// Whoever lowered one limit of a firm took all others away.
#[test]
fn a_change_of_limits_keeps_those_it_does_not_name() {
    let mut venue = Venue::new();
    venue.does(r#"{"set_limits":{"scope":{"firm":1},"open_orders_max":5,"long_max":100}}"#);
    venue.does(r#"{"set_limits":{"scope":{"firm":1},"order_quantity_max":7,"long_max":0}}"#);
    let limits = Known::firm_limits(&venue.machine, 1).unwrap();
    let found = (
        limits.open_orders_max,
        limits.order_quantity_max,
        limits.long_max,
    );
    assert_eq!(found, (5, 7, 0));
    venue.does(r#"{"set_limits":{"scope":{"session":1},"gross_max":0,"open_notional_max":3}}"#);
    let limits = Known::session_limits(&venue.machine, 1).unwrap();
    assert_eq!(limits.open_notional_max, 3);
    let nobody = r#"{"set_limits":{"scope":{"session":7},"open_orders_max":5}}"#;
    venue.is_no_command(nobody, ProblemCode::NotFound, "session 7");
    let venue_s = r#"{"set_limits":{"scope":"venue","open_orders_max":5}}"#;
    venue.refuses(venue_s, Refusal::Value);
}

#[test]
fn auctions_are_called_by_command_and_refusals_are_told() {
    let mut venue = Venue::new();
    let start = |symbol: &str, auction: &str, more: &str| {
        format!(
            r#"{{"start_auction":{{"symbol":"{symbol}","auction":"{auction}","duration_ms":1000{more}}}}}"#
        )
    };
    venue.does(&start("AAPL", "volatility", ""));
    assert_eq!(venue.state(1), b'V');
    let view = venue.machine.auction(lockstep_record::InstrumentId(1));
    assert_eq!(view.unwrap().call_ends.0, venue.now + 1_000_000_000);
    // Its call ends by itself.
    venue.now += 2_000_000_000;
    venue.put(&[]);
    assert_eq!(venue.state(1), b'T');
    venue.does(&start("AAPL", "closing", ""));
    venue.now += 2_000_000_000;
    venue.put(&[]);
    assert_eq!(
        venue.state(1),
        b'C',
        "the usual state after a closing auction"
    );
    venue.does(&start("AAPL", "opening", r#","next_state":"closed""#));
    venue.now += 2_000_000_000;
    venue.put(&[]);
    assert_eq!(venue.state(1), b'C');
    venue.refuses(&start("AAPL", "volatility", ""), Refusal::State);
    let long = start("MSFT", "volatility", r#","random_end_ms":3600001"#);
    venue.refuses(&long, Refusal::Value);
    let nothing = start("NONE", "opening", "");
    venue.is_no_command(&nothing, ProblemCode::NotFound, "NONE");
    let reference =
        |price| format!(r#"{{"set_reference_price":{{"symbol":"MSFT","price":{price}}}}}"#);
    venue.does(&reference(10_000));
    venue.refuses(&reference(10_100), Refusal::Value);
    let schedule =
        |times: &str| format!(r#"{{"set_schedule":{{"symbol":"MSFT","schedule":{{{times}}}}}}}"#);
    venue.does(&schedule(
        r#""trading_ms":5,"closed_ms":172799999,"random_end_ms":7"#,
    ));
    let known = Known::schedule(&venue.machine, 2).unwrap();
    assert_eq!(
        (
            known.trading_ms,
            known.closed_ms,
            known.pre_open_ms,
            known.random_end_ms
        ),
        (5, 172_799_999, u32::MAX, 7)
    );
    venue.refuses(&schedule(r#""trading_ms":5,"closed_ms":5"#), Refusal::Value);
    venue.does(&schedule(""));
    assert_eq!(
        Known::schedule(&venue.machine, 2).unwrap().trading_ms,
        u32::MAX
    );
    let close = lockstep_record::command::DayClose { _reserved: 0 };
    venue.put(&[operator::record(&close, &[], "")]);
    venue.refuses(&start("MSFT", "volatility", ""), Refusal::NoDay);
}

#[test]
fn every_instrument_is_set_but_those_that_are_retired() {
    let mut venue = Venue::new();
    venue.does(r#"{"retire_instrument":{"symbol":"AAPL"}}"#);
    venue.does(r#"{"set_state":{"state":"halted"}}"#);
    assert_eq!((venue.state(1), venue.state(2)), (b'C', b'H'));
    venue.refuses(
        r#"{"define_instrument":{"id":1,"lot_size":5}}"#,
        Refusal::Taken,
    );
}

#[test]
fn what_a_new_entry_needs_is_said() {
    let mut venue = Venue::new();
    let malformed = ProblemCode::Malformed;
    venue.is_no_command(
        r#"{"define_session":{"id":3,"firm":1}}"#,
        malformed,
        "a user",
    );
    venue.is_no_command(
        r#"{"define_session":{"id":3,"user":"X"}}"#,
        malformed,
        "a firm",
    );
    venue.is_no_command(r#"{"define_instrument":{"id":3}}"#, malformed, "a symbol");
    for member in [
        r#""top_share":5"#,
        r#""allocation":"pro-rata","top_share":5"#,
        r#""symbol":"""#,
        r#""symbol":"TOOLONGSYM""#,
        r#""tick_bands":[{"from_price":0,"tick_size":0}]"#,
    ] {
        let change = format!(r#"{{"define_instrument":{{"id":1,{member}}}}}"#);
        assert_eq!(venue.told(&change).unwrap_err().code, malformed, "{change}");
    }
    let firms = "1,".repeat(3) + "0";
    let zero = format!(r#"{{"define_session":{{"id":1,"permitted_firms":[{firms}]}}}}"#);
    venue.is_no_command(&zero, malformed, "begin at 1");
    let many: Vec<String> = (1..=17).map(|firm| firm.to_string()).collect();
    let many = format!(
        r#"{{"define_session":{{"id":1,"permitted_firms":[{}]}}}}"#,
        many.join(",")
    );
    venue.is_no_command(&many, malformed, "at most 16");
}

/// Texts with a number, a letter and a word put in: close to what an operator's tool could send.
fn commands() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        0u64..4,
        Just(100),
        Just(10_000),
        any::<u64>(),
        Just(u64::from(u32::MAX))
    ];
    let word = prop_oneof![
        Just("AAPL".to_owned()),
        Just("MSFT".to_owned()),
        Just("opening".to_owned()),
        Just("killed".to_owned()),
        "[ -~]{0,9}"
    ];
    let templates = prop::sample::select(vec![
        r#"{"set_state":{"symbol":"WORD","state":"halted"}}"#,
        r#"{"start_auction":{"symbol":"WORD","auction":"volatility","duration_ms":NUMBER,"random_end_ms":OTHER}}"#,
        r#"{"set_schedule":{"symbol":"WORD","schedule":{"pre_open_ms":NUMBER,"closed_ms":OTHER}}}"#,
        r#"{"set_reference_price":{"symbol":"WORD","price":NUMBER}}"#,
        r#"{"define_firm":{"id":NUMBER,"code":"WORD"}}"#,
        r#"{"define_session":{"id":NUMBER,"user":"WORD","firm":OTHER,"self_trade_group":OTHER}}"#,
        r#"{"define_session":{"id":NUMBER,"permitted_firms":[OTHER,NUMBER,1]}}"#,
        r#"{"define_instrument":{"id":NUMBER,"symbol":"WORD","tick_size":OTHER}}"#,
        r#"{"define_instrument":{"id":NUMBER,"static_collar":OTHER,"indication_interval_ms":OTHER}}"#,
        r#"{"define_instrument":{"id":1,"tick_bands":[{"from_price":NUMBER,"tick_size":OTHER}],"lot_size":OTHER}}"#,
        r#"{"define_instrument":{"id":2,"allocation":"top-share","top_share":NUMBER}}"#,
        r#"{"set_entry":{"scope":{"firm":NUMBER},"entry":"killed"}}"#,
        r#"{"mass_cancel":{"session":NUMBER,"symbol":"WORD","side":"B"}}"#,
        r#"{"cancel_order":{"session":NUMBER,"user_ref":OTHER}}"#,
        r#"{"break_trade":{"match_number":NUMBER,"reason":"S"}}"#,
        r#"{"set_limits":{"scope":{"session":NUMBER},"open_notional_max":OTHER}}"#,
        r#"{"set_limits":{"scope":{"firm":NUMBER},"long_max":OTHER,"gross_max":NUMBER}}"#,
        r#"{"set_throttle":{"session":NUMBER,"messages_max":OTHER,"window_ns":NUMBER}}"#,
        r#"{"set_protection":{"session":NUMBER,"group_id":7,"window_ns":OTHER,"quantity_max":NUMBER}}"#,
        r#"{"reset_protection":{"session":NUMBER}}"#,
        r#"{"set_position":{"firm":NUMBER,"symbol":"WORD","position":OTHER}}"#,
        r#"{"retire_instrument":{"symbol":"WORD"}}"#,
        r#"{"set_grace":{"grace_ns":NUMBER}}"#,
    ]);
    (templates, number.clone(), number, word).prop_map(|(template, number, other, word)| {
        let word = serde_json::to_string(&word).unwrap_or_default();
        template
            .replace("NUMBER", &number.to_string())
            .replace("OTHER", &other.to_string())
            .replace("\"WORD\"", &word)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever operators say, it is refused before the log, or a record that the state machine applies or
    /// refuses by name; and a request reads back as it was written.
    #[test]
    fn commands_never_harm_the_venue(texts in prop::collection::vec(commands(), 1..40)) {
        let mut venue = Venue::new();
        for text in texts {
            let text = format!(r#"{{"version":0,"note":"n","command":{text}}}"#);
            let Ok(request) = Request::parse(text.as_bytes()) else {
                continue;
            };
            let again = Request::parse(&request.content());
            prop_assert_eq!(again.as_ref(), Ok(&request));
            match venue.carry_out(&request.command) {
                Ok(told) => prop_assert!(told.len() <= 2, "{}", text),
                Err(problem) => prop_assert!(!problem.message.is_empty()),
            }
        }
    }
}

/// A command that has no record, or a record that no command gives, is a hole in the operator's hand.
#[test]
fn every_operators_kind_has_a_command() {
    let mut venue = Venue::new();
    let commands = [
        r#"{"define_firm":{"id":3,"code":"NEWF"}}"#,
        r#"{"define_session":{"id":1,"order_entry":true}}"#,
        r#"{"define_instrument":{"id":1,"lot_size":1}}"#,
        r#"{"set_state":{"symbol":"AAPL","state":"halted"}}"#,
        r#"{"start_auction":{"symbol":"AAPL","auction":"opening","duration_ms":1}}"#,
        r#"{"set_schedule":{"symbol":"AAPL","schedule":{}}}"#,
        r#"{"set_reference_price":{"symbol":"AAPL","price":0}}"#,
        r#"{"set_entry":{"scope":"venue","entry":"enabled"}}"#,
        r#"{"mass_cancel":{"all":true}}"#,
        r#"{"cancel_order":{"session":1,"user_ref":1}}"#,
        r#"{"break_trade":{"match_number":1,"reason":"S"}}"#,
        r#"{"set_limits":{"scope":{"firm":1}}}"#,
        r#"{"set_throttle":{"session":1,"messages_max":0,"window_ns":0}}"#,
        r#"{"set_protection":{"session":1,"window_ns":0}}"#,
        r#"{"reset_protection":{"session":1}}"#,
        r#"{"set_position":{"firm":1,"symbol":"AAPL","position":1}}"#,
        r#"{"retire_instrument":{"symbol":"AAPL"}}"#,
        r#"{"set_grace":{"grace_ns":1}}"#,
    ];
    let mut given: Vec<u16> = Vec::new();
    for command in commands {
        let text = format!(r#"{{"version":0,"command":{command}}}"#);
        let request = Request::parse(text.as_bytes()).expect(command);
        let records = translate::records(&request.command, &venue.machine);
        let records = records.expect(command).expect(command);
        given.extend(records.iter().map(|r| super::commands::kind_of(r).0));
        venue.put(&records);
    }
    // Bounds are the file's, days have commands of their own.
    given.extend([64, 68, 69, 90]);
    given.sort_unstable();
    let known = (64..=u16::MAX).filter(|kind| lockstep_record::Kind(*kind).name().is_some());
    assert_eq!(given, known.collect::<Vec<u16>>());
}

/// The longest record that a command can give, with the longest note, is a record.
#[test]
fn the_longest_command_fits_a_record() {
    let bands: Vec<String> = (1..=20)
        .map(|n| format!(r#"{{"from_price":{n},"tick_size":100}}"#))
        .collect();
    let instrument = format!(
        r#"{{"define_instrument":{{"id":1,"symbol":"LONGNAME","tick_bands":[{}],"allocation":"pro-rata",
        "allocation_minimum":1,"static_collar":1,"dynamic_collar":1,"collar_action":"auction",
        "auction_duration_ms":1,"auction_random_end_ms":1,"indication_interval_ms":10}}}}"#,
        bands.join(",")
    );
    let firms: Vec<String> = (1..=16).map(|firm| firm.to_string()).collect();
    let session = format!(
        r#"{{"define_session":{{"id":1,"permitted_firms":[{}],"self_trade_group":1,"self_trade_mode":"both"}}}}"#,
        firms.join(",")
    );
    let machine = Venue::new().machine;
    for command in [instrument, session] {
        let text = format!(r#"{{"version":0,"command":{command}}}"#);
        let request = Request::parse(text.as_bytes()).expect("a request");
        let records = translate::records(&request.command, &machine);
        let records = records.expect("records").expect("records");
        let identity = format!("uid {0} pid {0}: {1}", u32::MAX, "n".repeat(120));
        let record = operator::signed(&records[0], &identity, u64::MAX);
        assert!(record.len() > 200 && record.len() <= lockstep_record::RECORD_LENGTH_MAX);
    }
}
