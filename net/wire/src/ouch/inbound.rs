//! Client → venue.

use super::appendage::{APPENDAGE_LENGTH_MAX, Appendage, Block, LENGTH_FIELD};
use super::error::OuchError;
use super::message::{direction, messages, tiles};
use crate::Field;
use core::fmt;
use lockstep_record::Price;

/// Longest message taken from a client.
pub const INBOUND_LENGTH_MAX: usize = EnterOrder::FIXED_LENGTH + APPENDAGE_LENGTH_MAX;

const _: () = {
    let mut at = 0;
    while at < Inbound::MESSAGES.len() {
        assert!(Inbound::MESSAGES[at].1 <= EnterOrder::FIXED_LENGTH);
        at += 1;
    }
};

messages! {
    /// `O`: a new order.
    EnterOrder / EnterOrderView = b'O', 47 bytes, Always appendage {
        1 user_ref_num: u32,
        /// `B` buy, `S` sell, `T` sell short, `E` sell short exempt.
        5 side: u8,
        6 quantity: u32,
        10 symbol: [u8; 8],
        18 price: Price,
        /// `0` day, `3` immediate or cancel, `5`, `6`, `E`.
        26 time_in_force: u8,
        27 display: u8,
        28 capacity: u8,
        29 intermarket_sweep: u8,
        30 cross_type: u8,
        31 client_order_id: [u8; 14],
    }

    /// `U`: another price, quantity or both, with new priority.
    ReplaceOrder / ReplaceOrderView = b'U', 40 bytes, Always appendage {
        1 original_user_ref_num: u32,
        5 user_ref_num: u32,
        /// Total of the chain, executed shares included.
        9 quantity: u32,
        13 price: Price,
        21 time_in_force: u8,
        22 display: u8,
        23 intermarket_sweep: u8,
        24 client_order_id: [u8; 14],
    }

    /// `X`: less of an order, or nothing of it.
    CancelOrder / CancelOrderView = b'X', 9 bytes, Optional appendage {
        1 user_ref_num: u32,
        /// New total of the chain; 0 cancels all that is open.
        5 quantity: u32,
    }

    /// `M`: another side among the sells, or less of an order.
    ModifyOrder / ModifyOrderView = b'M', 10 bytes, Optional appendage {
        1 user_ref_num: u32,
        5 side: u8,
        6 quantity: u32,
    }

    /// `C`: cancels many orders.
    MassCancel / MassCancelView = b'C', 19 bytes, Always appendage {
        1 user_ref_num: u32,
        /// Blank = the port's.
        5 firm: [u8; 4],
        /// Blank = all.
        9 symbol: [u8; 8],
    }

    /// `D`: no more orders of a firm.
    DisableEntry / DisableEntryView = b'D', 11 bytes, Always appendage {
        1 user_ref_num: u32,
        5 firm: [u8; 4],
    }

    /// `E`: orders of a firm again.
    EnableEntry / EnableEntryView = b'E', 11 bytes, Always appendage {
        1 user_ref_num: u32,
        5 firm: [u8; 4],
    }

    /// `Q`: which number is next?
    AccountQuery / AccountQueryView = b'Q', 1 bytes, Optional appendage {
    }
}

direction! {
    /// A message from a client: known type, legal length.
    Inbound:
    EnterOrder / EnterOrderView
    ReplaceOrder / ReplaceOrderView
    CancelOrder / CancelOrderView
    ModifyOrder / ModifyOrderView
    MassCancel / MassCancelView
    DisableEntry / DisableEntryView
    EnableEntry / EnableEntryView
    AccountQuery / AccountQueryView
}
