//! What can be asked: commands and their members.
//!
//! A change keeps what it does not name; what else a member means that is left out stands beside it.

use crate::config::{
    AllocationConfig, CollarActionConfig, ScheduleConfig, SelfTradeModeConfig, TickBandConfig,
};
use serde::{Deserialize, Serialize};

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
    ShowFirm(ShowFirm),
    ShowSession(ShowSession),
    ShowInstrument(ShowInstrument),
    ShowBook(ShowBook),
    ShowOrders(ShowOrders),
    ShowPositions(ShowPositions),
    ShowStatistics(ShowStatistics),
    OpenDay,
    OpenDayOf(OpenDayOf),
    CloseDay,
    SetState(SetState),
    StartAuction(StartAuction),
    SetSchedule(SetSchedule),
    SetReferencePrice(SetReferencePrice),
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
    SetGrace(SetGrace),
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
            | Self::ShowFirm(_)
            | Self::ShowSession(_)
            | Self::ShowInstrument(_)
            | Self::ShowBook(_)
            | Self::ShowOrders(_)
            | Self::ShowPositions(_)
            | Self::ShowStatistics(_)
            | Self::ShowSnapshot(_) => true,
            Self::Reload(reload) => !reload.apply,
            _ => false,
        }
    }
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
pub struct ShowBook {
    pub symbol: String,
    /// Price levels of each side, at most [`LEVELS_MAX`](super::LEVELS_MAX).
    pub levels: u32,
    /// Only bids below this price, in 1/10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bids_behind: Option<u64>,
    /// Only asks above this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks_behind: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowInstrument {
    pub symbol: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowSession {
    pub id: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowFirm {
    pub id: u32,
}

/// Positions of a firm, in an instrument, or the one of both; one must be said.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ShowPositions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

/// Prices and volume of the day; without a symbol of every instrument.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ShowStatistics {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ShowOrders {
    pub session: u32,
    /// Only what stands behind it: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OrderCursor>,
    /// At most [`ORDERS_MAX`](super::ORDERS_MAX).
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

/// Defines a session, or changes what is named of one. Its password stands in the definitions file alone.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
pub struct DefineSession {
    pub id: u32,
    /// A new one needs it, and its firm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Firm ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firm: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted_firms: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_on_disconnect: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_entry: Option<bool>,
    /// 0 = a group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_trade_group: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_trade_mode: Option<SelfTradeModeConfig>,
}

/// Defines an instrument, or changes what is named of one. Values are those of the configuration's keys.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
pub struct DefineInstrument {
    pub id: u32,
    /// A new one needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick_bands: Option<Vec<TickBandConfig>>,
    /// With what goes with it: a minimum or a top share alone says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_minimum: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_share: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_collar: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_collar: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collar_action: Option<CollarActionConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auction_duration_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auction_random_end_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indication_interval_ms: Option<u32>,
}

/// Which auction is called.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Auction {
    Opening,
    Volatility,
    Closing,
}

/// State that an auction ends in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NextState {
    Trading,
    Closed,
}

/// Begins an auction whose call ends by itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct StartAuction {
    pub symbol: String,
    pub auction: Auction,
    pub duration_ms: u32,
    /// Its call lasts up to so much longer.
    #[serde(default)]
    pub random_end_ms: u32,
    /// Left out: closed after the closing auction, else trading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_state: Option<NextState>,
}

/// Sets all of an instrument's schedule, in ms after the venue's midnight; what is left out does not happen
/// by itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetSchedule {
    pub symbol: String,
    pub schedule: ScheduleConfig,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetReferencePrice {
    pub symbol: String,
    /// In 1/10,000, on a tick; 0 = none.
    pub price: u64,
}

/// How long a session that a change of leader cut off may stay away before its orders are cancelled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetGrace {
    /// 0 = for ever.
    pub grace_ns: u64,
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

/// Sets the limits that are named of a session or a firm; 0 = none.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SetLimits {
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_quantity_max: Option<u32>,
    /// In 1/10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_notional_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_orders_max: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_notional_max: Option<u64>,
    /// Shares of one instrument; of a firm only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gross_max: Option<u64>,
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
