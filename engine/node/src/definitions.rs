//! What the configuration defines and the log lacks, as records to be put through the log.
//!
//! Definitions are facts of the log; the file only proposes. Nothing is ever undefined by leaving it out.

use crate::config::{Config, InstrumentConfig, SessionConfig};
use crate::operator;
use lockstep_core::StateMachine;
use lockstep_core::inspect::{Allocation, AuctionRules, Schedule};
use lockstep_record::command::{
    DefineFirm, DefineInstrument, DefineSession, SetBounds, SetRiskBounds, SetSchedule,
};
use lockstep_record::{InstrumentId, PartTag, SessionId};

/// Identity in the records that the node proposes by itself.
pub const OPERATOR: &str = "configuration";

/// A session as defined: body and further firms, ascending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionDefinition {
    pub body: DefineSession,
    pub permitted: Vec<u32>,
}

/// What is defined already; the state machine answers.
pub trait Known {
    fn bounds(&self) -> SetBounds;
    fn risk_bounds(&self) -> SetRiskBounds;
    fn firm(&self, id: u32) -> Option<DefineFirm>;
    fn session(&self, id: u32) -> Option<SessionDefinition>;
    fn instrument(&self, id: u32) -> Option<DefineInstrument>;
    /// Parts of the instrument's definition; those that say the default are left out.
    fn instrument_parts(&self, id: u32) -> Vec<(PartTag, Vec<u8>)>;
    fn schedule(&self, id: u32) -> Option<SetSchedule>;
}

/// The records that make the log say what the configuration says, in dependency order.
pub fn proposals(config: &Config, known: &impl Known) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let bounds = raised_bounds(config, &known.bounds());
    if bounds != known.bounds() {
        records.push(operator::record(&bounds, &[], OPERATOR));
    }
    let bounds = raised_risk_bounds(config, &known.risk_bounds());
    if bounds != known.risk_bounds() {
        records.push(operator::record(&bounds, &[], OPERATOR));
    }
    for firm in &config.firms {
        let body = DefineFirm {
            firm: firm.id,
            code: padded(&firm.code),
        };
        if known.firm(firm.id) != Some(body) {
            records.push(operator::record(&body, &[], OPERATOR));
        }
    }
    for session in &config.sessions {
        let wanted = session_definition(config, session);
        if known.session(session.id).as_ref() != Some(&wanted) {
            let part = |firm: &u32| (PartTag::PERMITTED_FIRM, firm.to_le_bytes().to_vec());
            let parts: Vec<_> = wanted.permitted.iter().map(part).collect();
            records.push(operator::record(&wanted.body, &parts, OPERATOR));
        }
    }
    for instrument in &config.instruments {
        let body = instrument_definition(instrument);
        // The configuration was checked: the values fit each other.
        let allocation = instrument.allocation().unwrap_or(Allocation::PriceTime);
        let bands = instrument.tick_bands.iter();
        let bands = bands.map(|band| (band.from_price, band.tick_size));
        let parts = instrument_parts(allocation, bands, &instrument.auction_rules());
        let same = known.instrument_parts(instrument.id) == parts;
        if known.instrument(instrument.id) != Some(body) || !same {
            records.push(operator::record(&body, &parts, OPERATOR));
        }
        let wanted = instrument.schedule();
        let body = schedule(instrument.id, &wanted);
        let new = known.schedule(instrument.id).is_none();
        let without = wanted.times_ms == [u32::MAX; 5] && wanted.random_end_ms == 0;
        if known.schedule(instrument.id) != Some(body) && !(new && without) {
            records.push(operator::record(&body, &[], OPERATOR));
        }
    }
    records
}

/// Bounds may only be raised: a lower one in the file leaves the log's.
fn raised_bounds(config: &Config, known: &SetBounds) -> SetBounds {
    let wanted = &config.bounds;
    SetBounds {
        open_orders_max: wanted.open_orders_max.max(known.open_orders_max),
        instruments_max: wanted.instruments_max.max(known.instruments_max),
        sessions_max: wanted.sessions_max.max(known.sessions_max),
        firms_max: wanted.firms_max.max(known.firms_max),
        price_levels_max: wanted.price_levels_max.max(known.price_levels_max),
        _reserved: [0; 12],
    }
}

/// The same for what protection keeps.
fn raised_risk_bounds(config: &Config, known: &SetRiskBounds) -> SetRiskBounds {
    let wanted = &config.bounds;
    SetRiskBounds {
        positions_max: wanted.positions_max.max(known.positions_max),
        trades_max: wanted.trades_max.max(known.trades_max),
        protections_max: wanted.protections_max.max(known.protections_max),
        _reserved: [0; 4],
    }
}

fn session_definition(config: &Config, session: &SessionConfig) -> SessionDefinition {
    // The configuration was checked: every firm it names is defined in it.
    let id_of = |code: &String| config.firms.iter().find(|f| f.code == *code).map(|f| f.id);
    let mut permitted: Vec<u32> = session.permitted_firms.iter().filter_map(id_of).collect();
    permitted.sort_unstable();
    permitted.dedup();
    let body = DefineSession {
        session: session.id,
        firm: id_of(&session.firm).unwrap_or(0),
        user: padded(&session.user.to_ascii_uppercase()),
        cancel_on_disconnect: u8::from(session.cancel_on_disconnect),
        order_entry: u8::from(session.order_entry),
        _reserved: [0; 8],
    };
    SessionDefinition { body, permitted }
}

fn instrument_definition(instrument: &InstrumentConfig) -> DefineInstrument {
    DefineInstrument {
        symbol: padded(&instrument.symbol),
        instrument: instrument.id,
        tick_size: instrument.tick_size,
        lot_size: instrument.lot_size,
        _reserved: [0; 12],
    }
}

/// Parts of a definition; those that say the default are left out.
fn instrument_parts(
    allocation: Allocation,
    bands: impl Iterator<Item = (u32, u32)>,
    rules: &AuctionRules,
) -> Vec<(PartTag, Vec<u8>)> {
    let mut parts = allocation_parts(allocation);
    for (from_price, tick_size) in bands {
        let value = [from_price.to_le_bytes(), tick_size.to_le_bytes()].concat();
        parts.push((PartTag::TICK_BAND, value));
    }
    let numbers = [
        (PartTag::STATIC_COLLAR, rules.static_collar),
        (PartTag::DYNAMIC_COLLAR, rules.dynamic_collar),
        (PartTag::AUCTION_DURATION, rules.duration_ms),
        (PartTag::AUCTION_RANDOM_END, rules.random_end_ms),
        (PartTag::INDICATION_INTERVAL, rules.indication_interval_ms),
    ];
    for (tag, value) in numbers.into_iter().filter(|(_, value)| *value != 0) {
        parts.push((tag, value.to_le_bytes().to_vec()));
    }
    if rules.collar_action != b'R' {
        parts.push((PartTag::COLLAR_ACTION, vec![rules.collar_action]));
    }
    parts
}

fn schedule(instrument: u32, schedule: &Schedule) -> SetSchedule {
    let [
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
    ] = schedule.times_ms;
    SetSchedule {
        instrument,
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
        random_end_ms: schedule.random_end_ms,
        _reserved: 0,
    }
}

fn allocation_parts(allocation: Allocation) -> Vec<(PartTag, Vec<u8>)> {
    let (letter, minimum, percent) = allocation.parts();
    if allocation == Allocation::PriceTime {
        return Vec::new();
    }
    vec![
        (PartTag::ALLOCATION, vec![letter]),
        (PartTag::ALLOCATION_MINIMUM, minimum.to_le_bytes().to_vec()),
        (PartTag::TOP_SHARE, percent.to_le_bytes().to_vec()),
    ]
}

/// Text padded right with spaces; it was checked to fit.
pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}

impl Known for StateMachine {
    fn bounds(&self) -> SetBounds {
        let bounds = Self::bounds(self);
        SetBounds {
            open_orders_max: bounds.open_orders_max,
            instruments_max: bounds.instruments_max,
            sessions_max: bounds.sessions_max,
            firms_max: bounds.firms_max,
            price_levels_max: bounds.price_levels_max,
            _reserved: [0; 12],
        }
    }

    fn risk_bounds(&self) -> SetRiskBounds {
        let bounds = Self::risk_bounds(self);
        SetRiskBounds {
            positions_max: bounds.positions_max,
            trades_max: bounds.trades_max,
            protections_max: bounds.protections_max,
            _reserved: [0; 4],
        }
    }

    fn firm(&self, id: u32) -> Option<DefineFirm> {
        let firm = self.firm_of(id)?;
        Some(DefineFirm {
            firm: id,
            code: firm.code,
        })
    }

    fn session(&self, id: u32) -> Option<SessionDefinition> {
        let session = Self::session(self, SessionId(id))?;
        let body = DefineSession {
            session: id,
            firm: session.firm.0,
            user: session.user,
            cancel_on_disconnect: u8::from(session.cancel_on_disconnect),
            order_entry: u8::from(session.order_entry),
            _reserved: [0; 8],
        };
        let mut permitted: Vec<u32> = self
            .session_permitted_firms(SessionId(id))
            .iter()
            .map(|f| f.0)
            .collect();
        permitted.sort_unstable();
        Some(SessionDefinition { body, permitted })
    }

    fn instrument_parts(&self, id: u32) -> Vec<(PartTag, Vec<u8>)> {
        let Some(instrument) = Self::instrument(self, InstrumentId(id)) else {
            return Vec::new();
        };
        let bands = self.tick_bands(InstrumentId(id)).iter();
        let bands = bands.map(|band| (band.from_price, band.tick_size));
        let Some(rules) = self.auction_rules(InstrumentId(id)) else {
            return Vec::new();
        };
        instrument_parts(instrument.allocation, bands, &rules)
    }

    fn schedule(&self, id: u32) -> Option<SetSchedule> {
        let known = Self::schedule(self, InstrumentId(id))?;
        Some(schedule(id, &known))
    }

    fn instrument(&self, id: u32) -> Option<DefineInstrument> {
        let instrument = Self::instrument(self, InstrumentId(id))?;
        Some(DefineInstrument {
            symbol: instrument.symbol,
            instrument: id,
            tick_size: instrument.tick_size,
            lot_size: instrument.lot_size,
            _reserved: [0; 12],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::Capacity;
    use lockstep_record::batch::BatchKind;
    use lockstep_record::event::NullSink;
    use lockstep_record::{BatchInfo, LogIndex, Sequence, Term, Timestamp};

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
            timestamp: Timestamp(machine.last_timestamp().0 + 1),
            feature_set_version: 0,
        };
        let records = &aligned[at..at + bytes.len()];
        machine.apply(&batch, records, &mut NullSink).unwrap();
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
        // Without the table in the file it is taken back; bounds stay.
        let config: Config = Config::parse(CONFIG).unwrap();
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
        // Left out of the file they are taken back.
        let config: Config = Config::parse(CONFIG).unwrap();
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
        let plain = CONFIG.replace("allocation = \"pro-rata\"\nallocation_minimum = 5", "");
        let config: Config = Config::parse(&plain).unwrap();
        let records = proposals(&config, &machine);
        assert_eq!(records.len(), 1, "back to price-time");
        apply(&mut machine, &records);
        assert!(proposals(&config, &machine).is_empty());
    }
}
