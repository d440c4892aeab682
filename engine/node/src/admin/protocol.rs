//! The admin protocol's messages: JSON, typed, unknown members refused. docs/admin-protocol.md is normative.

use serde::{Deserialize, Serialize};

/// Of the protocol; a request of another version is refused.
pub const VERSION: u32 = 0;
/// Longest note that a request may carry, bytes.
pub const NOTE_LENGTH_MAX: usize = 120;
/// Price levels of a side that `show_book` may ask for.
pub const LEVELS_MAX: u32 = 50;
/// Orders that one answer may hold.
pub const ORDERS_MAX: u32 = 1000;

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    /// Echoed in the answer.
    #[serde(default)]
    pub id: u64,
    /// Why, in the operator's words; stands in the log beside his identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub command: Command,
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    ShowStatus,
    ShowDay,
    ShowBounds,
    ShowCounters,
    ShowFirms,
    ShowSessions,
    ShowInstruments,
    ShowBook(ShowBook),
    ShowOrders(ShowOrders),
    OpenDay,
    OpenDayOf(OpenDayOf),
    CloseDay,
    SetState(SetState),
    DefineFirm(DefineFirm),
    DefineSession(DefineSession),
    DefineInstrument(DefineInstrument),
    SetEntry(SetEntry),
    MassCancel(MassCancel),
    CancelOrder(CancelOrder),
    BreakTrade(BreakTrade),
    SetLimits(SetLimits),
    SetThrottle(SetThrottle),
    SetProtection(SetProtection),
    ResetProtection(ResetProtection),
    SetPosition(SetPosition),
    RetireInstrument(RetireInstrument),
    Reload(Reload),
    TakeSnapshot,
    ShowSnapshot(ShowSnapshot),
}

/// A trading day of another date than the calendar's: an evening session that counts for tomorrow.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct OpenDayOf {
    /// YYYYMMDD; above the last day's.
    pub date: u32,
}

impl Command {
    /// Whether it only looks.
    pub fn is_view(&self) -> bool {
        match self {
            Self::ShowStatus
            | Self::ShowDay
            | Self::ShowBounds
            | Self::ShowCounters
            | Self::ShowFirms
            | Self::ShowSessions
            | Self::ShowInstruments
            | Self::ShowBook(_)
            | Self::ShowOrders(_)
            | Self::ShowSnapshot(_) => true,
            Self::Reload(reload) => !reload.apply,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowBook {
    pub symbol: String,
    /// Price levels of each side, at most [`LEVELS_MAX`].
    pub levels: u32,
}

/// What became of a snapshot that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowSnapshot {
    /// Of the answer to `take_snapshot`.
    pub ticket: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowOrders {
    pub session: u32,
    /// Only what stands behind it: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OrderCursor>,
    /// At most [`ORDERS_MAX`].
    pub count: u32,
}

/// A place in a session's orders, oldest order reference first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
pub struct OrderCursor {
    pub user_ref: u32,
    #[serde(default)]
    pub user_ref_index: u8,
    pub reference: u64,
}

/// Sets the trading state of one instrument or, without a symbol, of all.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Trading,
    Halted,
    Closed,
    PreOpen,
    OpeningAuction,
    VolatilityAuction,
    ClosingAuction,
}

impl State {
    pub fn letter(self) -> u8 {
        match self {
            Self::Trading => b'T',
            Self::Halted => b'H',
            Self::Closed => b'C',
            Self::PreOpen => b'P',
            Self::OpeningAuction => b'O',
            Self::VolatilityAuction => b'V',
            Self::ClosingAuction => b'L',
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DefineFirm {
    pub id: u32,
    pub code: String,
}

/// Defines or changes a session. Its password stands in the definitions file alone.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DefineSession {
    pub id: u32,
    pub user: String,
    /// Firm ids.
    pub firm: u32,
    #[serde(default)]
    pub permitted_firms: Vec<u32>,
    #[serde(default)]
    pub cancel_on_disconnect: bool,
    pub order_entry: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DefineInstrument {
    pub id: u32,
    pub symbol: String,
    pub tick_size: u32,
    pub lot_size: u32,
}

/// Whose entry or limits are meant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    Session(u32),
    Firm(u32),
    Venue,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Enabled,
    /// Live orders stay.
    Disabled,
    /// Disabled, and all live orders are cancelled.
    Killed,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetEntry {
    pub scope: Scope,
    pub entry: Entry,
}

/// Cancels all live orders that fit; at least one member must choose, or `all` must be true.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct MassCancel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// `B`, `S`, `T` or `E`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<char>,
    /// 0: orders without a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u16>,
    pub all: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    pub session: u32,
    pub user_ref: u32,
    #[serde(default)]
    pub user_ref_index: u8,
    /// Must be the order's, unless it is 0.
    #[serde(default)]
    pub reference: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BreakTrade {
    pub match_number: u64,
    /// `E` erroneous, `C` consent, `S` supervisory, `X` external.
    pub reason: char,
}

/// Sets all limits of a session or a firm; 0 = none.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetLimits {
    pub scope: Scope,
    #[serde(default)]
    pub order_quantity_max: u32,
    /// In 1/10,000.
    #[serde(default)]
    pub order_notional_max: u64,
    #[serde(default)]
    pub open_orders_max: u32,
    #[serde(default)]
    pub open_notional_max: u64,
    /// Shares of one instrument; of a firm only.
    #[serde(default)]
    pub long_max: u64,
    #[serde(default)]
    pub short_max: u64,
    #[serde(default)]
    pub gross_max: u64,
}

/// Bounds a session's requests in a window of time; 0 messages = not bounded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetThrottle {
    pub session: u32,
    pub messages_max: u32,
    pub window_ns: u64,
}

/// Market-maker protection; both limits 0 = it ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetProtection {
    pub session: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u16>,
    pub window_ns: u64,
    #[serde(default)]
    pub executions_max: u32,
    #[serde(default)]
    pub quantity_max: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ResetProtection {
    pub session: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u16>,
}

/// Sets a firm's net position beside what it traded today; below 0 = short.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetPosition {
    pub firm: u32,
    pub symbol: String,
    pub position: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RetireInstrument {
    pub symbol: String,
}

/// Reads the configuration file again and compares its definitions with the state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    /// Put the difference through the log; otherwise only show it.
    pub apply: bool,
}

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Answer {
    pub version: u32,
    pub id: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok(serde_json::Value),
    Error(Problem),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Problem {
    pub code: ProblemCode,
    pub message: String,
}

impl Problem {
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// Not JSON, not a request, or a member is missing, unknown or out of range.
    Malformed,
    /// Of another version of the protocol.
    Version,
    /// The peer may not do that.
    NotPermitted,
    /// Nothing of that name.
    NotFound,
    /// The configuration file cannot be read or is wrong.
    Configuration,
    /// The engine or the log did not come to it in time; a command may still take effect.
    TimedOut,
    /// The node is stopping.
    Stopping,
}

/// What a command's record came to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Applied {
    /// The record's kind.
    pub kind: String,
    /// Its place in the total order; 0 if that is not known.
    pub sequence: u64,
    pub outcome: Fate,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The record's bytes in hexadecimal (journal-format.md).
    pub record: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Committed and applied.
    Applied,
    /// Committed, and refused by the state machine as a whole.
    Refused,
    /// Not known: no answer came in time. The journal tells.
    Unknown,
    /// Only proposed; nothing was put in the log.
    Proposed,
}

/// The answer to every command that is not a view, and to `reload`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
pub struct Commanded {
    pub records: Vec<Applied>,
    /// Sections of the file that differ and count only after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct StatusView {
    pub version: String,
    pub pid: u32,
    pub data_directory: String,
    pub policy: String,
    pub term: u64,
    /// Of the last batch applied.
    pub index: u64,
    /// Of the last record applied.
    pub sequence: u64,
    /// ns since the Unix epoch, of the last batch applied.
    pub timestamp: u64,
    /// Digest of all that was said up to `index`, hexadecimal.
    pub digest: String,
    pub open_orders: u32,
    pub firms: u32,
    pub sessions: u32,
    pub sessions_connected: u32,
    pub instruments: u32,
    /// Records without effect, by why.
    pub stale: u64,
    pub refused: u64,
    pub silent: u64,
    pub day: DayView,
}

/// The answer to `take_snapshot` and `show_snapshot`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SnapshotView {
    pub ticket: u64,
    pub state: SnapshotState,
    /// Of the last batch in it; 0 unless it is taken.
    pub index: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// The agent has not caught up yet, or is writing it.
    Waiting,
    Taken,
    /// The node's log says why.
    Failed,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DayView {
    pub open: bool,
    /// YYYYMMDD; 0 = none yet.
    pub date: u32,
    /// ns since the Unix epoch.
    pub midnight: u64,
    pub session_name: String,
    /// What the node does by itself.
    pub opening: String,
    /// ns since the Unix epoch at which the open day is to be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BoundsView {
    pub open_orders_max: u32,
    pub instruments_max: u32,
    pub sessions_max: u32,
    pub firms_max: u32,
    pub price_levels_max: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CounterView {
    pub id: u32,
    pub label: String,
    pub value: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FirmView {
    pub id: u32,
    pub code: String,
    /// What the operator lets it enter: `enabled`, `disabled` or `killed`.
    pub entry: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SessionView {
    pub id: u32,
    pub user: String,
    pub firm: u32,
    pub permitted_firms: Vec<u32>,
    pub connected: bool,
    pub epoch: u32,
    pub next_outbound: u64,
    pub open_orders: u32,
    /// By its definition.
    pub order_entry: bool,
    /// What the operator lets it enter: `enabled`, `disabled` or `killed`.
    pub entry: String,
    pub cancel_on_disconnect: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstrumentView {
    pub id: u32,
    pub symbol: String,
    /// In 1/10,000.
    pub tick_size: u32,
    pub lot_size: u32,
    pub state: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BookView {
    pub symbol: String,
    pub state: String,
    /// Of the last record applied when the book was looked at.
    pub sequence: u64,
    /// Best first.
    pub bids: Vec<LevelView>,
    pub asks: Vec<LevelView>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LevelView {
    /// In 1/10,000.
    pub price: u64,
    pub quantity: u64,
    pub orders: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct OrdersView {
    pub orders: Vec<OrderView>,
    /// There is more: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<OrderCursor>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct OrderView {
    pub user_ref: u32,
    pub user_ref_index: u8,
    pub reference: u64,
    pub instrument: u32,
    pub side: String,
    /// In 1/10,000.
    pub price: u64,
    pub open: u32,
    pub shown: u32,
    pub executed: u32,
    pub time_in_force: String,
    pub display: String,
    pub firm: u32,
    pub client_order_id: String,
    /// ns since the Unix epoch; 0 = it does not expire by itself.
    pub deadline: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Request, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }

    #[test]
    fn requests_are_what_the_document_says() {
        let request = parse(r#"{"version":0,"command":"show_status"}"#).unwrap();
        assert_eq!(
            (request.version, request.id, request.command),
            (0, 0, Command::ShowStatus)
        );
        let text = r#"{"version":0,"id":3,"note":"news","command":{"set_state":{"symbol":"AAPL","state":"halted"}}}"#;
        let request = parse(text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let Command::SetState(set) = request.command else {
            panic!("another command");
        };
        assert_eq!(
            (set.symbol.as_deref(), set.state.letter()),
            (Some("AAPL"), b'H')
        );
    }

    #[test]
    fn what_is_not_a_request_is_an_error() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"version":0,"command":"show_nothing"}"#,
            r#"{"version":0,"command":"show_status","more":1}"#,
            r#"{"version":-1,"command":"show_status"}"#,
            r#"{"version":0,"command":{"show_book":{"symbol":"A"}}}"#,
            r#"{"version":0,"command":{"show_book":{"symbol":"A","levels":1,"depth":2}}}"#,
            r#"{"version":0,"command":{"set_state":{"state":"sleeping"}}}"#,
            r#"{"version":0,"command":{"show_status":null,"open_day":null}}"#,
            &format!("{}{}", "[".repeat(5000), "]".repeat(5000)),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn answers_come_back() {
        let problem = Problem::new(ProblemCode::NotFound, "no such symbol");
        for outcome in [
            Outcome::Ok(serde_json::json!({"a": [1, 2]})),
            Outcome::Error(problem),
        ] {
            let answer = Answer {
                version: VERSION,
                id: 9,
                outcome,
            };
            let text = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        }
    }

    #[test]
    fn views_never_command() {
        assert!(Command::ShowStatus.is_view());
        assert!(Command::Reload(Reload { apply: false }).is_view());
        assert!(!Command::Reload(Reload { apply: true }).is_view());
        assert!(!Command::OpenDay.is_view());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = serde_json::from_slice::<Request>(&bytes);
        }

        /// Close to a request, one byte at a time.
        #[test]
        fn nor_does_a_request_with_a_wrong_byte(at in 0usize..90, byte in any::<u8>()) {
            let mut bytes =
                br#"{"version":0,"id":3,"command":{"define_instrument":{"id":1,"symbol":"A","tick_size":1,"lot_size":1}}}"#.to_vec();
            bytes[at] = byte;
            let _ = serde_json::from_slice::<Request>(&bytes);
        }
    }
}
