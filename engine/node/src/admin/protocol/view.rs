//! What views answer.

use super::{DefineInstrument, OrderCursor};
use crate::config::ScheduleConfig;
use serde::{Deserialize, Serialize};

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
    /// What the operator lets anybody enter: `enabled`, `disabled` or `killed`.
    pub entry: String,
    /// How long a session may stay away after a change of leader, in ns; 0 = for ever.
    pub grace_ns: u64,
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
    pub positions_max: u32,
    pub trades_max: u32,
    pub protections_max: u32,
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
    /// 0 = a group of its own.
    pub self_trade_group: u32,
    /// As in the configuration: `none`, `newest`, `oldest`, `both` or `decrement`.
    pub self_trade_mode: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstrumentView {
    pub id: u32,
    pub symbol: String,
    /// In 1/10,000.
    pub tick_size: u32,
    pub lot_size: u32,
    pub state: String,
    /// Out of trading; gone when the next day opens.
    pub retired: bool,
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
    /// `None`: more than are counted for a view.
    pub orders: Option<u32>,
}

/// All that is set of an instrument, and where it is in its day.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstrumentDetail {
    /// Its rules by the names of the configuration's keys.
    pub definition: DefineInstrument,
    pub schedule: ScheduleConfig,
    pub retired: bool,
    pub state: String,
    /// In 1/10,000; 0 = none.
    pub reference_price: u64,
    /// ns since the Unix epoch, its random part included; 0 = the call does not end by itself.
    pub call_ends: u64,
    /// What an uncrossing would do now; absent while nothing would trade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeView>,
    pub statistics: StatisticsView,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct OutcomeView {
    /// In 1/10,000.
    pub price: u64,
    /// Shares that would trade.
    pub quantity: u64,
    /// Shares that would trade at this price but find no other side, and their side: `B`, `S`, `N`.
    pub imbalance: u64,
    pub imbalance_side: String,
}

/// Of the trading day; prices in 1/10,000, 0 = none.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct StatisticsView {
    pub symbol: String,
    pub open_price: u32,
    pub high_price: u32,
    pub low_price: u32,
    pub last_price: u32,
    pub closing_price: u32,
    pub previous_close_price: u32,
    pub trade_count: u32,
    /// Shares.
    pub volume: u64,
}

/// What a session or a firm may, 0 = no limit, and what its live orders amount to.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct LimitsView {
    pub order_quantity_max: u32,
    /// In 1/10,000.
    pub order_notional_max: u64,
    pub open_orders_max: u32,
    pub open_notional_max: u64,
    pub long_max: u64,
    pub short_max: u64,
    pub gross_max: u64,
    /// Absent until the venue has limits or keeps positions: nothing is counted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<ExposureView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ExposureView {
    pub open_orders: u32,
    /// In 1/10,000, decimal: it may need more than 64 bits.
    pub open_notional: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FirmDetail {
    pub firm: FirmView,
    pub limits: LimitsView,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SessionDetail {
    pub session: SessionView,
    pub limits: LimitsView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleView>,
    /// Of all orders first, then by group.
    pub protections: Vec<ProtectionView>,
    /// There are more than one answer holds.
    pub more_protections: bool,
}

/// What is used of a throttle in the window that began last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ThrottleView {
    pub messages_max: u32,
    pub window_ns: u64,
    pub messages: u32,
    /// ns since the Unix epoch.
    pub window_start: u64,
}

/// What a protection has counted in the window that began last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProtectionView {
    /// Absent: all orders of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u16>,
    pub window_ns: u64,
    /// 0 = any number.
    pub executions_max: u32,
    pub quantity_max: u64,
    pub executions: u32,
    pub quantity: u64,
    /// ns since the Unix epoch.
    pub window_start: u64,
    /// Its orders were pulled, and new ones are refused until it is reset.
    pub tripped: bool,
}

/// Shares; wide numbers are decimal text.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PositionView {
    pub firm: u32,
    pub symbol: String,
    /// Below 0 = short. It may need more than 64 bits.
    pub net: String,
    /// By today's trades that were not broken.
    pub bought: u64,
    pub sold: u64,
    /// Of live orders.
    pub open_buy: u64,
    pub open_sell: u64,
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
    /// `N`, or the auction that it is for.
    pub cross_type: String,
    /// Of one that waits out of the book: the trade price that triggers it, as it is now, in 1/10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<u64>,
    pub firm: u32,
    pub client_order_id: String,
    /// ns since the Unix epoch; 0 = it does not expire by itself.
    pub deadline: u64,
}
