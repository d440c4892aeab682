//! What an order is beside its place in the book: everything that events echo and rules remember.

use crate::NONE;
use lockstep_record::FirmId;

/// The cold half of a live order, by the same slot.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Detail {
    /// Order reference; new at each replacement.
    pub reference: u64,
    /// Behind it in its session's list.
    pub next: u32,
    /// Before it in its session's list.
    pub prev: u32,
    pub client_order_id: [u8; 14],
    pub firm: u16,
    /// OUCH GroupID; 0 = none.
    pub group_id: u16,
    /// Options that the client gave and that a replacement inherits: `KEPT_*`.
    pub kept: u8,
    /// As on the wire: `B`, `S`, `T`, `E`.
    pub side: u8,
    pub time_in_force: u8,
    pub display: u8,
    pub capacity: u8,
    /// As on the wire: `N`, or the auction that it is for.
    pub cross_type: u8,
    pub customer_type: u8,
    pub trade_now: u8,
    /// `P`: was entered to add liquidity only.
    pub post_only: u8,
    /// Self-trade prevention that the client chose: `N`, `O`, `B`, `D`; 0 = the session's.
    pub self_trade: u8,
    /// Its extension, or `NONE`.
    pub extension: u32,
}
const _: () = assert!(size_of::<Detail>() == 56 - 8);

pub(crate) const FREE_DETAIL: Detail = Detail {
    reference: 0,
    next: NONE,
    prev: NONE,
    client_order_id: [b' '; 14],
    firm: 0,
    group_id: 0,
    kept: 0,
    side: 0,
    time_in_force: 0,
    display: 0,
    capacity: 0,
    cross_type: 0,
    customer_type: 0,
    trade_now: 0,
    post_only: 0,
    self_trade: 0,
    extension: NONE,
};

pub(crate) const KEPT_FIRM: u8 = 1;
pub(crate) const KEPT_GROUP_ID: u8 = 2;
pub(crate) const KEPT_CUSTOMER_TYPE: u8 = 4;
pub(crate) const KEPT_TRADE_NOW: u8 = 8;
pub(crate) const KEPT_POST_ONLY: u8 = 16;
pub(crate) const KEPT_SELF_TRADE: u8 = 32;

impl Detail {
    pub fn firm(&self) -> FirmId {
        FirmId(u32::from(self.firm))
    }
}
