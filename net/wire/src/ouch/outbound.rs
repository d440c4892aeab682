//! Venue → client.

use super::appendage::{Appendage, Block, LENGTH_FIELD};
use super::error::OuchError;
use super::message::{direction, messages, tiles};
use crate::Field;
use core::fmt;
use lockstep_record::{MatchNumber, OrderReference, Price};

messages! {
    /// `S`: the trading day begins or ends.
    SystemEvent / SystemEventView = b'S', 10 bytes, Never appendage {
        /// ns since midnight, as in every message of the venue.
        1 timestamp: u64,
        /// `S` start of day, `E` end of day.
        9 code: u8,
    }

    /// `A`: the order as accepted.
    Accepted / AcceptedView = b'A', 64 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 side: u8,
        14 quantity: u32,
        18 symbol: [u8; 8],
        26 price: Price,
        34 time_in_force: u8,
        35 display: u8,
        36 order_reference: OrderReference,
        44 capacity: u8,
        45 intermarket_sweep: u8,
        46 cross_type: u8,
        /// `L` live, `D` dead: nothing more will be said of it.
        47 state: u8,
        48 client_order_id: [u8; 14],
    }

    /// `U`: the order that took the original's place.
    Replaced / ReplacedView = b'U', 68 bytes, Always appendage {
        1 timestamp: u64,
        9 original_user_ref_num: u32,
        13 user_ref_num: u32,
        17 side: u8,
        /// Open now.
        18 quantity: u32,
        22 symbol: [u8; 8],
        30 price: Price,
        38 time_in_force: u8,
        39 display: u8,
        40 order_reference: OrderReference,
        48 capacity: u8,
        49 intermarket_sweep: u8,
        50 cross_type: u8,
        51 state: u8,
        52 client_order_id: [u8; 14],
    }

    /// `C`: shares removed; the order may still be live.
    Canceled / CanceledView = b'C', 18 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 quantity: u32,
        17 reason: u8,
    }

    /// `D`: shares removed by self-match prevention.
    SelfMatchCanceled / SelfMatchCanceledView = b'D', 32 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 decrement: u32,
        /// Always `Q`.
        17 reason: u8,
        18 quantity_prevented: u32,
        22 price: Price,
        30 liquidity: u8,
        31 strategy: u8,
    }

    /// `E`: shares traded.
    Executed / ExecutedView = b'E', 36 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 quantity: u32,
        17 price: Price,
        25 liquidity: u8,
        26 match_number: MatchNumber,
    }

    /// `B`: a trade that is undone.
    BrokenTrade / BrokenTradeView = b'B', 36 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 match_number: MatchNumber,
        21 reason: u8,
        22 client_order_id: [u8; 14],
    }

    /// `J`: refused; the number is consumed.
    Rejected / RejectedView = b'J', 29 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 reason: u16,
        15 client_order_id: [u8; 14],
    }

    /// `P`: the cancel waits for a cross.
    CancelPending / CancelPendingView = b'P', 13 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
    }

    /// `I`: the cancel came too late for a cross.
    CancelReject / CancelRejectView = b'I', 13 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
    }

    /// `T`: new price, display or reference.
    PriorityUpdate / PriorityUpdateView = b'T', 30 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 price: Price,
        21 display: u8,
        22 order_reference: OrderReference,
    }

    /// `M`: side or quantity changed.
    Modified / ModifiedView = b'M', 18 bytes, Optional appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 side: u8,
        /// Open now.
        14 quantity: u32,
    }

    /// `R`: the displayed part changed.
    Restated / RestatedView = b'R', 16 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 reason: u8,
    }

    /// `X`: a mass cancel is done.
    MassCancelResponse / MassCancelResponseView = b'X', 27 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 firm: [u8; 4],
        17 symbol: [u8; 8],
    }

    /// `G`: order entry is disabled.
    DisableResponse / DisableResponseView = b'G', 19 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 firm: [u8; 4],
    }

    /// `K`: order entry is enabled.
    EnableResponse / EnableResponseView = b'K', 19 bytes, Always appendage {
        1 timestamp: u64,
        9 user_ref_num: u32,
        13 firm: [u8; 4],
    }

    /// `Q`: the next usable number.
    AccountQueryResponse / AccountQueryResponseView = b'Q', 13 bytes, Optional appendage {
        1 timestamp: u64,
        9 next_user_ref_num: u32,
    }
}

direction! {
    /// A message from the venue: known type, legal length.
    Outbound:
    SystemEvent / SystemEventView
    Accepted / AcceptedView
    Replaced / ReplacedView
    Canceled / CanceledView
    SelfMatchCanceled / SelfMatchCanceledView
    Executed / ExecutedView
    BrokenTrade / BrokenTradeView
    Rejected / RejectedView
    CancelPending / CancelPendingView
    CancelReject / CancelRejectView
    PriorityUpdate / PriorityUpdateView
    Modified / ModifiedView
    Restated / RestatedView
    MassCancelResponse / MassCancelResponseView
    DisableResponse / DisableResponseView
    EnableResponse / EnableResponseView
    AccountQueryResponse / AccountQueryResponseView
}
