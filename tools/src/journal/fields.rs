//! The fields of a record by name, for people and for JSON.
//!
//! Values are as the journal has them, legal or not: a field that holds what the protocol does not know is
//! shown, not hidden.

use lockstep_record::command::{
    AccountQuery, BreakTrade, CancelOrder, DayClose, DayOpen, DefineFirm, DefineInstrument,
    DefineSession, DisableEntry, Disconnect, EnableEntry, EnterOrder, Login, Logout, MassCancel,
    ModifyOrder, OperatorCancel, OperatorMassCancel, ReplaceOrder, ResetProtection,
    RetireInstrument, SetBounds, SetEntryState, SetGrace, SetInstrumentState, SetLimits,
    SetPosition, SetProtection, SetReferencePrice, SetRiskBounds, SetSchedule, SetThrottle,
    StartAuction,
};
use lockstep_record::{Body, Kind, Part, PartTag, Policy, Record};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::net::Ipv6Addr;

/// Named values in the order of the layout.
pub type Fields = Vec<(&'static str, Value)>;

/// Letters of the wire; what is no visible ASCII is shown as `\xNN`.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text
}

/// Text without the spaces that pad it.
pub fn trimmed(bytes: &[u8]) -> String {
    text(bytes).trim_matches(' ').to_owned()
}

trait Shown {
    fn shown(&self) -> Value;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Shown for $type {
            fn shown(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}
numbers!(u16 u32 u64 i64);

impl<const N: usize> Shown for [u8; N] {
    fn shown(&self) -> Value {
        trimmed(self).into()
    }
}

/// A one-byte field that is a letter on the wire.
struct Letter(u8);

impl Shown for Letter {
    fn shown(&self) -> Value {
        text(&[self.0]).into()
    }
}

/// A one-byte field that is a number.
struct Small(u8);

impl Shown for Small {
    fn shown(&self) -> Value {
        Value::from(self.0)
    }
}

/// An address: IPv6, or IPv4 mapped into it.
struct Address([u8; 16]);

impl Shown for Address {
    fn shown(&self) -> Value {
        let address = Ipv6Addr::from(self.0);
        match address.to_ipv4_mapped() {
            Some(address) => address.to_string().into(),
            None => address.to_string().into(),
        }
    }
}

/// One function per kind: `name: wrapper` where a byte needs to be told what it is.
macro_rules! bodies {
    ($record:ident; $( $body:ident { $( $field:ident $( as $wrapper:ident )? ),* $(,)? } )*) => {
        match $record.header().kind {
            $( <$body as Body>::KIND => $record.body::<$body>().map(|archived| {
                let body = $body::from_archived(archived);
                // A kind without fields reads nothing of it.
                let _ = &body;
                vec![ $( (stringify!($field), bodies!(@ body.$field $( , $wrapper )?).shown()), )* ]
            }), )*
            _ => None,
        }
    };
    (@ $value:expr) => { $value };
    (@ $value:expr, $wrapper:ident) => { $wrapper($value) };
}

/// The body's fields; `None` if this build does not know the kind, the version or the length.
pub fn body(record: &Record<'_>) -> Option<Fields> {
    bodies! { record;
        Login {
            connection, requested_number, peer_address as Address, peer_port, user, requested_session
        }
        Logout { connection }
        Disconnect { connection, reason as Small }
        EnterOrder {
            price, symbol, user_ref_num, quantity, side as Letter, time_in_force as Letter,
            display as Letter, capacity as Letter, intermarket_sweep as Letter,
            cross_type as Letter, client_order_id
        }
        ReplaceOrder {
            price, original_user_ref_num, user_ref_num, quantity, time_in_force as Letter,
            display as Letter, intermarket_sweep as Letter, client_order_id
        }
        CancelOrder { user_ref_num, quantity }
        ModifyOrder { user_ref_num, quantity, side as Letter }
        MassCancel { user_ref_num, firm, symbol }
        DisableEntry { user_ref_num, firm }
        EnableEntry { user_ref_num, firm }
        AccountQuery {}
        SetBounds { open_orders_max, instruments_max, sessions_max, firms_max, price_levels_max }
        DefineFirm { firm, code }
        DefineSession {
            session, firm, user, cancel_on_disconnect as Small, order_entry as Small
        }
        DefineInstrument { symbol, instrument, tick_size, lot_size }
        DayOpen { midnight, date, session_name }
        DayClose {}
        SetInstrumentState { instrument, state as Letter }
        StartAuction {
            instrument, duration_ms, random_end_ms, state as Letter, next_state as Letter
        }
        SetSchedule {
            instrument, pre_open_ms, opening_auction_ms, trading_ms, closing_auction_ms, closed_ms,
            random_end_ms
        }
        SetReferencePrice { price, instrument }
        SetEntryState { id, scope as Letter, state as Letter }
        OperatorMassCancel {
            session, firm, instrument, group_id, by_group as Small, side as Letter
        }
        OperatorCancel { reference, session, user_ref_num, user_ref_idx as Small }
        BreakTrade { match_number, reason as Letter }
        SetLimits {
            order_notional_max, open_notional_max, long_max, short_max, gross_max,
            order_quantity_max, open_orders_max, id, scope as Letter
        }
        SetThrottle { window, session, messages_max }
        SetProtection {
            window, quantity_max, session, executions_max, group_id, by_group as Small
        }
        ResetProtection { session, group_id, by_group as Small }
        SetPosition { position, firm, instrument }
        RetireInstrument { instrument }
        SetRiskBounds { positions_max, trades_max, protections_max }
        SetGrace { grace }
    }
}

/// The name of a kind, or its number.
pub fn kind_name(kind: Kind) -> String {
    kind.name()
        .map_or_else(|| format!("kind_{}", kind.0), str::to_owned)
}

pub fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Reject => "reject",
        Policy::Ignore => "ignore",
        Policy::Halt => "halt",
    }
}

/// How a part's value is to be read.
enum PartValue {
    Integer,
    Signed,
    Text,
    /// Two u32: a price and the tick size from there on.
    Band,
}

/// Name and reading of a part; `None` for a tag that this build does not know.
fn part_known(tag: PartTag) -> Option<(&'static str, PartValue)> {
    use PartValue::{Band, Integer, Signed, Text};
    Some(match tag {
        PartTag::FIRM => ("firm", Text),
        PartTag::MIN_QUANTITY => ("min_quantity", Integer),
        PartTag::CUSTOMER_TYPE => ("customer_type", Text),
        PartTag::MAX_FLOOR => ("max_floor", Integer),
        PartTag::PRICE_TYPE => ("price_type", Text),
        PartTag::PEG_OFFSET => ("peg_offset", Signed),
        PartTag::DISCRETION_PRICE => ("discretion_price", Integer),
        PartTag::DISCRETION_PRICE_TYPE => ("discretion_price_type", Text),
        PartTag::DISCRETION_PEG_OFFSET => ("discretion_peg_offset", Signed),
        PartTag::POST_ONLY => ("post_only", Text),
        PartTag::RANDOM_RESERVES => ("random_reserves", Integer),
        PartTag::ROUTE => ("route", Text),
        PartTag::EXPIRE_TIME => ("expire_time", Integer),
        PartTag::TRADE_NOW => ("trade_now", Text),
        PartTag::HANDLE_INST => ("handle_inst", Text),
        PartTag::GROUP_ID => ("group_id", Integer),
        PartTag::SHARES_LOCATED => ("shares_located", Text),
        PartTag::LOCATE_BROKER => ("locate_broker", Text),
        PartTag::SIDE => ("side", Text),
        PartTag::USER_REF_IDX => ("user_ref_idx", Integer),
        PartTag::STOP_PRICE => ("stop_price", Integer),
        PartTag::STOP_KIND => ("stop_kind", Text),
        PartTag::TRAIL_OFFSET => ("trail_offset", Signed),
        PartTag::SELF_TRADE_PREVENTION => ("self_trade_prevention", Text),
        PartTag::EXPIRE_DATE_TIME => ("expire_date_time", Integer),
        PartTag::OPERATOR => ("operator", Text),
        PartTag::OPERATOR_REQUEST => ("operator_request", Integer),
        PartTag::ALLOCATION => ("allocation", Text),
        PartTag::ALLOCATION_MINIMUM => ("allocation_minimum", Integer),
        PartTag::RANDOM_SEED => ("random_seed", Integer),
        PartTag::TOP_SHARE => ("top_share", Integer),
        PartTag::PERMITTED_FIRM => ("permitted_firm", Integer),
        PartTag::SELF_TRADE_GROUP => ("self_trade_group", Integer),
        PartTag::SELF_TRADE_MODE => ("self_trade_mode", Text),
        PartTag::STATIC_COLLAR => ("static_collar", Integer),
        PartTag::DYNAMIC_COLLAR => ("dynamic_collar", Integer),
        PartTag::COLLAR_ACTION => ("collar_action", Text),
        PartTag::AUCTION_DURATION => ("auction_duration", Integer),
        PartTag::AUCTION_RANDOM_END => ("auction_random_end", Integer),
        PartTag::INDICATION_INTERVAL => ("indication_interval", Integer),
        PartTag::TICK_BAND => ("tick_band", Band),
        _ => return None,
    })
}

/// The part's name, or its number.
pub fn part_name(tag: PartTag) -> String {
    part_known(tag).map_or_else(|| format!("tag_{}", tag.0), |(name, _)| name.to_owned())
}

/// The part's value; hexadecimal where tag or width is not known.
pub fn part_value(part: &Part<'_>) -> Value {
    let hex = || -> Value {
        let digits: String = part
            .value
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        digits.into()
    };
    match part_known(part.tag) {
        Some((_, PartValue::Text)) => trimmed(part.value).into(),
        Some((_, PartValue::Integer)) => integer(part).map_or_else(hex, Value::from),
        Some((_, PartValue::Signed)) => part.i32().map_or_else(hex, Value::from),
        Some((_, PartValue::Band)) => part
            .u64()
            .map_or_else(hex, |band| format!("{}:{}", band as u32, band >> 32).into()),
        None => hex(),
    }
}

fn integer(part: &Part<'_>) -> Option<u64> {
    part.u8()
        .map(u64::from)
        .or_else(|| part.u16().map(u64::from))
        .or_else(|| part.u32().map(u64::from))
        .or_else(|| part.u64())
}

/// Named values as one JSON object.
pub fn object(fields: Fields) -> Map<String, Value> {
    let named = fields.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A value as one word of a line.
pub fn word(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            format!("{text:?}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_record::{RECORD_LENGTH_MAX, RecordWriter, Source};

    #[repr(align(8))]
    struct Aligned([u8; RECORD_LENGTH_MAX]);

    fn shown<B: Body>(body_value: &B) -> Option<Fields> {
        let mut buffer = Aligned([0; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut buffer.0, Source::default(), body_value).finish();
        let (record, _) = Record::parse(&buffer.0[..length]).unwrap();
        body(&record)
    }

    /// Constants of a type in the record crate's source, by name: `pub const NAME: Self = Self(NUMBER);`.
    fn constants(of: &str) -> Vec<(&'static str, u16)> {
        let source = include_str!("../../../engine/record/src/record.rs");
        let (_, rest) = source.split_once(of).expect("the type's constants");
        let (own, _) = rest.split_once("\n}\n").expect("their end");
        let constant = |line: &'static str| {
            let line = line.trim().strip_prefix("pub const ")?;
            let (name, value) = line.split_once(": Self = Self(")?;
            Some((name, value.strip_suffix(");")?.parse().ok()?))
        };
        own.lines().filter_map(constant).collect()
    }

    /// Collars and tick bands (270 to 280) and a session's self-trade prevention were shown as `tag_270` and
    /// hexadecimal for weeks: nothing said that a new part must come here. The record crate's own source says it.
    #[test]
    fn every_kind_and_part_of_the_record_crate_has_its_name() {
        let kinds = constants("impl Kind {");
        assert!(kinds.len() >= 33, "{}", kinds.len());
        for (name, number) in kinds {
            let wanted = name.to_ascii_lowercase();
            assert_eq!(kind_name(Kind(number)), wanted, "of kind {number}");
        }
        let tags = constants("impl PartTag {");
        assert!(tags.len() >= 40, "{}", tags.len());
        for (name, number) in tags {
            let wanted = name.to_ascii_lowercase();
            assert_eq!(part_name(PartTag(number)), wanted, "of part {number}");
        }
    }

    /// Every kind that has a name has its fields shown: a new kind must come here too.
    #[test]
    fn every_named_kind_is_decoded() {
        let mut named = 0;
        for kind in (0..=u16::MAX)
            .map(Kind)
            .filter(|kind| kind.name().is_some())
        {
            let mut buffer = Aligned([0; RECORD_LENGTH_MAX]);
            let decoded = (0..=128u16).step_by(8).any(|body_length| {
                let length = 24 + u32::from(body_length);
                buffer.0[0..4].copy_from_slice(&length.to_le_bytes());
                buffer.0[4..6].copy_from_slice(&kind.0.to_le_bytes());
                buffer.0[6] = 1;
                buffer.0[20..22].copy_from_slice(&body_length.to_le_bytes());
                let (record, _) = Record::parse(&buffer.0[..length as usize]).unwrap();
                body(&record).is_some()
            });
            assert!(decoded, "{}", kind_name(kind));
            named += 1;
        }
        assert!(named >= 33, "{named}");
    }

    #[test]
    fn values_are_shown_as_they_are() {
        let mut peer_address = [0; 16];
        peer_address[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        let login = Login {
            connection: 9,
            requested_number: u64::MAX,
            peer_address,
            peer_port: 4000,
            user: *b"ALICE ",
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        };
        let fields = object(shown(&login).unwrap());
        assert_eq!(fields["peer_address"], "127.0.0.1");
        assert_eq!(fields["requested_number"], u64::MAX);
        assert_eq!(fields["user"], "ALICE");
        assert_eq!(fields["requested_session"], "");
        let state = SetInstrumentState {
            instrument: 3,
            state: 0xfe,
            _reserved: [0; 3],
        };
        assert_eq!(object(shown(&state).unwrap())["state"], "\\xfe");
        assert_eq!(shown(&DayClose { _reserved: 0 }), Some(vec![]));
    }

    #[test]
    fn parts_are_read_by_tag_and_width() {
        let part = |tag, value| Part {
            tag,
            policy: Policy::Reject,
            value,
        };
        assert_eq!(part_value(&part(PartTag::MIN_QUANTITY, &[1, 2, 0, 0])), 513);
        assert_eq!(part_value(&part(PartTag::PEG_OFFSET, &[0xff; 4])), -1);
        assert_eq!(part_value(&part(PartTag::FIRM, b"AB  ")), "AB");
        assert_eq!(
            part_value(&part(PartTag::MIN_QUANTITY, &[1, 2, 3])),
            "010203"
        );
        assert_eq!(part_value(&part(PartTag(99), b"\x00\xff")), "00ff");
        let band = [10_000u32.to_le_bytes(), 500u32.to_le_bytes()].concat();
        assert_eq!(part_value(&part(PartTag::TICK_BAND, &band)), "10000:500");
        assert_eq!(part_value(&part(PartTag::TICK_BAND, &[1, 2])), "0102");
        assert_eq!(part_name(PartTag(99)), "tag_99");
    }
}
